"""From the kill of a process to its successor's first correct answer, and to its warm cache."""
from __future__ import annotations

from report import drawing
from report.formats import NOT_MEASURED, interval, significant, size as bytes_text
from report.intervals import Interval
from report.model import Figure, Job, Section, Size, Table, summarise
from report.systems import in_order

SYSTEMS = ("shared", "private", "two-level", "locked")


class Recovery:
    name = "recovery"
    title = "After a kill"
    question = "How long after SIGKILL is there a correct answer, and how long until the cache is as warm as it was?"
    method = ("A process serves four clients, with a thread and a session each, on a RocksDB store: transactions of ten reads of "
              "accounts (true Zipf, theta 0.99), one in five of which also moves money and writes the client's ledger; each "
              "commit is on the device before it is acknowledged to the watching process. That process kills it, waits for its "
              "end, reopens the store, asks every ledger, and serves the same clients until the share of reads that needed no "
              "load from the store, in windows of 2,000 reads, is 95% of what it was. All caches of a system together "
              "have room for a quarter of the accounts. Then everything is compared with a model, to the last byte: each "
              "acknowledged write must be there, at most one more of each client, none in half. The operating system's page "
              "cache survives a kill, so this is the crash of a process.")

    def jobs(self, size: Size) -> list[Job]:
        accounts, seconds = size.choose(smoke=(40_000, 1.5), paper=(200_000, 4.0), full=(200_000, 10.0))
        return [Job(self.name, system, (("accounts", accounts),), "probes",
                    ("recovery", "--cache", system, "--path", "{fresh}", "--accounts", str(accounts), "--seconds", f"{seconds:g}",
                     "--seed", "{seed}", "--repetition", "{repetition}", "--experiment", self.name, "--output", "{output}"),
                    estimate_s=size.choose(smoke=4.0, paper=9.0, full=25.0))
                for system in SYSTEMS]

    @staticmethod
    def of(figure: str, scale: float = 1.0):
        return lambda row: row["figures"][figure] * scale

    def present(self, rows: list[dict], section: Section) -> None:
        systems = in_order({r["system"] for r in rows})
        times = Table("Milliseconds since the kill", ["system", "store open", "first correct answer", "95% of the hits", "rows"], [])
        counts = Table("What was found", ["system", "acknowledged commits", "found", "hit ratio before", "log at the kill", "rows"],
                       [], "Medians. A run in which an acknowledged commit is lost, or one is there in half, has failed and has no "
                           "row. More are found than acknowledged: commits whose acknowledgement was under way.")
        groups = ("store open", "first correct answer", "95% of the hits")
        figures = ("open_s", "first_answer_s", "warm_s")
        series = [drawing.Series(system) for system in systems]
        for one in series:
            cells = []
            for index, figure in enumerate(figures):
                value, sources = summarise(rows, one.system, self.of(figure, 1e3))
                cells.append(interval(value))
                if value is not None:
                    one.points[index] = value
            times.rows.append([one.system, *cells, sources])
            medians = [summarise(rows, one.system, self.of(f))[0] for f in ("acknowledged", "recovered", "hit_ratio_before",
                                                                            "log_bytes")]
            counts.rows.append([one.system, *(NOT_MEASURED if m is None else text(m.median) for m, text in zip(
                medians, (whole, whole, significant, bytes_text))), sources])
        section.tables += [times, counts]
        section.figures.append(Figure(
            "recovery", "Time since the kill until the store is open, the first correct answer, and 95% of the earlier hit ratio.",
            "Dot chart: milliseconds since the kill for each of three events, one dot per cache.",
            drawing.dots("After a kill", "ms since the kill", list(groups), series, x_format=lambda x: f"{x:,.0f}")))
        section.figures.append(self.over_time(rows, systems))
        for system in systems:
            answer, _ = summarise(rows, system, self.of("first_answer_s", 1e3))
            warm, _ = summarise(rows, system, self.of("warm_s", 1e3))
            section.reading.append(f"{system}: the first correct answer after {significant(answer.median)} ms, 95% of the earlier "
                                   f"hits after {significant(warm.median)} ms.")

    @staticmethod
    def over_time(rows: list[dict], systems: list[str]) -> Figure:
        """One run of each: a median over runs at each instant would show a run that never was."""
        series = []
        for system in systems:
            row = next(r for r in rows if r["system"] == system)
            one = drawing.Series(system)
            for seconds, ratio in row["hit_ratio_over_time"]:
                one.points[round(seconds * 1e3, 1)] = Interval.of([ratio / row["figures"]["hit_ratio_before"]])
            series.append(one)
        return Figure(
            "recovery-hits-over-time", "Hit ratio after the kill, as a share of the one before, in windows of 2,000 reads; one run of each.",
            "Line chart: hit ratio after a kill divided by the one before it against milliseconds, one line per cache.",
            drawing.curves("Hits after a kill", "ms since the kill", "share of the earlier hit ratio", series))


def whole(value: float) -> str:
    return f"{value:,.0f}"
