"""Throughput: what its experiments have in common, and the one against the number of sessions."""
from __future__ import annotations

from report import drawing
from report.formats import NOT_MEASURED, interval, significant
from report.model import Figure, Job, Section, Size, Sources, Table, point_of, summarise
from report.systems import CACHES, in_order

THREADS = 2


def wordnet_job(experiment: str, system: str, size: Size, point: tuple, sessions: int, write_share: float) -> Job:
    # Private caches fill once per session before anything is timed: the more sessions, the longer.
    fill = sessions if system in ("private", "two-level") else 1
    return Job(
        experiment, system, point, "experiment",
        ("run", "--workload", "wordnet", "--cache", system, "--store", "rocksdb",
         "--path", "{wordnet_copy}" if write_share else "{wordnet}", "--sessions", str(sessions),
         "--threads", str(min(THREADS, sessions)), "--write-share", str(write_share), "--seconds", str(size.seconds),
         "--warmup", str(size.warmup), "--cache-bytes", str(size.cache_bytes), "--seed", "{seed}",
         "--repetition", "{repetition}", "--experiment", experiment, "--output", "{output}",
         *(("--unsynced",) if write_share else ())),
        estimate_s=size.seconds + size.warmup + (1.3 if write_share else 1.0) + 0.005 * fill)


class Throughput:
    """What the two experiments have in common."""

    name = title = short_title = question = method = axis = axis_label = figure_caption = ""
    x_log = False
    even = False  # see drawing.lines

    @staticmethod
    def rate(row: dict) -> float | None:
        return row.get("operations_per_s")

    def show_x(self, x: float) -> str:
        return f"{x:g}"

    def present(self, rows: list[dict], section: Section) -> None:
        self.present_part(rows, section)

    def present_part(self, rows: list[dict], section: Section, part: str = "") -> dict[str, drawing.Series]:
        """Tables, figure and sentences of `rows`, which differ in `axis` only; `part` names them if there are others."""
        about = f": {part}" if part else ""
        systems = in_order({r["system"] for r in rows})
        xs = sorted({point_of(r)[self.axis] for r in rows})
        rates = Table(f"Transactions per second{about}", [self.axis_label, *systems, "rows"], [],
                      "Medians, and below each the 95% interval where there are three runs or more.")
        waits = Table(f"Time of one transaction, 99th percentile, in µs{about}", [self.axis_label, *systems, "rows"], [],
                      "Closed loop: a transaction starts when the one before it has ended, so waits in a queue are not in it.")
        aborts = Table(f"Conflicts: aborted per 1,000 committed{about}", [self.axis_label, *systems, "rows"], [])
        series = {s: drawing.Series(s) for s in systems}
        for x in xs:
            ids: list[str] = []
            columns: list[list[str]] = [[], [], []]
            for system in systems:
                point = {self.axis: x}
                value, sources = summarise(rows, system, self.rate, **point)
                tail, _ = summarise(rows, system, lambda r: r.get("p99_ns"), **point)
                lost, _ = summarise(rows, system, conflicts, **point)
                ids += sources.ids
                columns[0].append(interval(value))
                columns[1].append(interval(tail.scaled(1e-3)) if tail else NOT_MEASURED)
                columns[2].append(significant(lost.median) if lost else NOT_MEASURED)
                if value is not None:
                    series[system].points[x] = value
            for table, cells in zip((rates, waits, aborts), columns):
                table.rows.append([self.show_x(x), *cells, Sources(tuple(ids))])
        section.tables += [rates, waits]
        if any(cell not in (NOT_MEASURED, "0") for row in aborts.rows for cell in row[1:-1]):
            section.tables.append(aborts)
        self.draw(section, xs, series, part)
        self.read(section, systems, series, part)
        return series

    def draw(self, section: Section, xs: list, series: dict[str, drawing.Series], part: str = "") -> None:
        name = self.name + ("-" + "".join(c if c.isalnum() else "-" for c in part) if part else "")
        section.figures.append(Figure(
            name, self.figure_caption + (f" {part}." if part else ""),
            f"Line chart: transactions per second against {self.axis_label}, one line per cache.",
            drawing.lines((self.short_title or self.title) + (f": {part}" if part else ""), self.axis_label, "transactions per second",
                          list(series.values()), x_log=self.x_log, even=self.even, x_format=self.show_x,
                          y_format=drawing.thousands)))

    def read(self, section: Section, systems: list[str], series: dict[str, drawing.Series], part: str = "") -> None:
        for system in systems:
            points = series[system].points
            if len(points) > 1:
                first, last = min(points), max(points)
                section.reading.append(
                    f"{system}: {part + ': ' if part else ''}from {rounded(points[first].median)} transactions/s at {self.show_x(first)} to "
                    f"{rounded(points[last].median)} at {self.show_x(last)} {self.axis_label}.")


def rounded(value: float) -> str:
    """Three digits and a suffix, for a sentence."""
    return drawing.thousands(float(f"{value:.3g}"))


def conflicts(row: dict) -> float | None:
    if row.get("aborts") is None or not row.get("operations"):
        return None
    return 1000.0 * row["aborts"] / row["operations"]


class ByThreads(Throughput):
    """A workload whose threads have one session each; the store is in memory, so that the caches are compared."""

    axis = axis_label = "threads"
    workload = ""
    arguments: tuple[str, ...] = ()
    option = "--mix"  # by which the workload's variants are told apart
    variants: dict[str, str] = {}  # value of the option, and what it is called; the first one runs in a smoke run too
    between: tuple[str, ...] = ()  # variants that lie between others, and that a paper run leaves out
    load_s = 0.3  # to fill the store, which every run does

    def jobs(self, size: Size) -> list[Job]:
        counts = size.choose(smoke=(THREADS,), paper=(1, THREADS), full=(1, THREADS, 4))
        all_ = list(self.variants)
        variants = size.choose(smoke=all_[:1], paper=[one for one in all_ if one not in self.between], full=all_)
        return [in_memory_job(self.name, system, size, (("mix", variant), ("threads", threads)), self.workload, threads,
                              (self.option, variant, *self.arguments), self.load_s)
                for variant in variants for threads in counts for system in some(CACHES, size)]

    def present(self, rows: list[dict], section: Section) -> None:
        for variant, called in self.variants.items():
            own = [r for r in rows if point_of(r)["mix"] == variant]
            if own:
                self.present_part(own, section, called if len(self.variants) > 1 else "")


def some(systems: tuple[str, ...], size: Size) -> tuple[str, ...]:
    """A smoke run has time for the first two."""
    return systems[:2] if size.smoke else systems


def in_memory_job(experiment: str, system: str, size: Size, point: tuple, workload: str, threads: int,
                  arguments: tuple[str, ...], load_s: float) -> Job:
    return Job(
        experiment, system, point, "experiment",
        ("run", "--workload", workload, *arguments, "--cache", system, "--store", "memory", "--sessions", str(threads),
         "--threads", str(threads), "--seconds", str(size.seconds), "--warmup", str(size.warmup), "--cache-bytes",
         str(size.cache_bytes), "--seed", "{seed}", "--repetition", "{repetition}", "--experiment", experiment, "--output",
         "{output}"),
        estimate_s=size.seconds + size.warmup + load_s)


class Sessions(Throughput):
    name = "throughput-sessions"
    title = "Throughput against sessions"
    question = "Do more open sessions slow each other down?"
    method = ("WordNet, read only: look a word up, walk its hypernyms to the root, collect a closure of hyponyms. Two threads "
              "serve all sessions in turn. Every cache may use 2 GiB in all.")
    axis = "sessions"
    axis_label = "open sessions"
    figure_caption = "Transactions per second against the number of open sessions, two threads, read only."
    x_log = True

    def jobs(self, size: Size) -> list[Job]:
        counts = size.choose(smoke=(1, 64), paper=(1, 16, 64), full=(1, 2, 4, 8, 16, 64))
        return [wordnet_job(self.name, system, size, (("sessions", sessions),), sessions, 0)
                for sessions in counts for system in CACHES]
