"""How long one reclamation takes, and a writer's commits, against the number of sleepers, with threads and without."""
from __future__ import annotations

from report import drawing
from report.formats import NOT_MEASURED, interval, significant
from report.intervals import Interval
from report.model import Figure, Job, Section, Size, Sources, Table, point_of, summarise
from report.systems import in_order

RECLAIMERS = ("hybrid", "deep-scan", "scan", "ping", "interval", "counted", "neutralise")
SLEEPERS = {"smoke": (100,), "paper": (1, 10, 100, 1_000, 10_000), "full": (1, 10, 100, 1_000, 10_000)}
COMMITS = {"smoke": 1_000, "paper": 10_000, "full": 10_000}
LIMBO = "64KB"
TRANSACTIONS, THREADS = "transactions", "threads"
KINDS = (TRANSACTIONS, THREADS)
# What the figures show: ping beside threads, which it needs, the others beside transactions without one.
SHOWN = {"hybrid": TRANSACTIONS, "deep-scan": TRANSACTIONS, "scan": TRANSACTIONS, "ping": THREADS, "neutralise": TRANSACTIONS}
BEGIN_S, SECONDS_BY_SLEEPER = 0.1, {"scan": 2.5e-4, "deep-scan": 2.5e-4, "ping": 5e-4}


def estimate_s(reclaimer: str, kind: str, sleepers: int, commits: int) -> float:
    """Who asks each sleeper does so with every hundredth commit or so; ping asks a thread by a signal."""
    asking = 1.7e-3 if reclaimer == "ping" and kind == THREADS else SECONDS_BY_SLEEPER.get(reclaimer, 0)
    return BEGIN_S + 1e-5 * commits + sleepers * ((1.5e-4 if kind == THREADS else 3e-5) + asking * commits / 10_000)


def figure_of(name: str):
    return lambda row: row["figures"].get(name)


def in_us(value):
    return lambda row: None if value(row) is None else value(row) / 1e3


RECLAMATION = in_us(figure_of("reclamation_p50_ns"))
BUDGET = in_us(figure_of("budget_ns"))
TAIL = in_us(lambda row: row.get("p999_ns"))


class ReclamationTime:
    name = "reclamation-time"
    title = "Time of a reclamation beside sleepers"
    question = "How long does one reclamation take, and a writer's commit, while thousands of transactions sleep?"
    method = (
        "20,000 objects in groups of 20. Sleepers have read 100 objects each of the 1,000 most popular ones and sleep: each on a thread of its "
        "own, or all of them without one, as suspended coroutines are. One thread commits a group at a time, drawn uniformly, another one "
        "reads. Every scheme looks who is in the way when 64 KiB of garbage have come together (hybrid's budget is set to that). A reclamation "
        "is a call that retires states and then looks: reads logs, lists or seats of those who may be in the way, or aborts them; with hybrid "
        "and neutralise, which get the sleepers out of the way and then need epochs alone, also one that only frees. The same for all is the "
        "time of all calls for 64 KiB of garbage. Hybrid's sleepers say that they sleep, so the first scans park them, which is timed apart; "
        "deep-scan is the same reclaimer when they do not say so, so each scan reads all of their logs. Before anything is timed all is "
        "evicted, so what sleepers have read is kept by the scheme alone. A commit writes its number into all of a group: the reader must "
        "find one number in a group, none that is older than its snapshot, and the same when it reads again; each sleeper, when it wakes, "
        "what it had found. A single wrong value fails the run.")

    def jobs(self, size: Size) -> list[Job]:
        commits = COMMITS[size.name]
        return [Job(self.name, reclaimer, (("sleepers", sleepers), ("sleepers_are", kind)), "probes",
                    ("reclamation-time", "--reclaimer", reclaimer, "--sleepers", str(sleepers), *(("--threads",) if kind == THREADS else ()),
                     "--commits", str(commits), "--limbo", LIMBO, "--seed", "{seed}", "--repetition", "{repetition}", "--experiment", self.name,
                     "--output", "{output}"), estimate_s=estimate_s(reclaimer, kind, sleepers, commits))
                for sleepers in SLEEPERS[size.name] for kind in KINDS for reclaimer in RECLAIMERS]

    def present(self, rows: list[dict], section: Section) -> None:
        section.reading += self.reading(rows)
        section.figures += [
            self.drawn(rows, "reclamation-time", "Time to reclaim 64 KiB of garbage, against the number of sleepers", "µs for 64 KiB", BUDGET),
            self.drawn(rows, "commit-tails", "Time of a commit of 20 objects, the 99.9th percentile, against the number of sleepers",
                       "99.9th percentile in µs", TAIL)]
        for kind in KINDS:
            chosen = [r for r in rows if point_of(r)["sleepers_are"] == kind]
            if chosen:
                section.tables.append(self.table(chosen, kind))
        section.tables.append(self.first(rows))

    @staticmethod
    def drawn(rows: list[dict], name: str, caption: str, label: str, value) -> Figure:
        series = []
        for system in in_order(SHOWN):
            points = {}
            for sleepers in sorted({point_of(r)["sleepers"] for r in rows}):
                found, _ = summarise(rows, system, value, sleepers=sleepers, sleepers_are=SHOWN[system])
                if found is not None:
                    points[sleepers] = Interval(max(found.median, 0.1), found.low, found.high, found.count)
            if points:
                series.append(drawing.Series(system, points))
        return Figure(name, f"{caption}. Ping's sleepers are threads, the others' have none.",
                      f"Line chart: {label} against the number of sleepers, one line per scheme.",
                      drawing.lines(caption.partition(",")[0], "sleepers", label, series, x_log=True, y_log=True, y_format=drawing.thousands,
                                    x_format=drawing.thousands))

    @staticmethod
    def table(rows: list[dict], kind: str) -> Table:
        table = Table({TRANSACTIONS: "Sleepers without threads", THREADS: "Sleepers that are threads"}[kind],
                      ["sleepers", "scheme", "looks", "a reclamation in µs, median", "p99", "longest", "µs for 64 KiB of garbage, all calls",
                       "commit in µs, median", "p99.9", "longest", "sleepers aborted", "rows"], [])
        for sleepers in sorted({point_of(r)["sleepers"] for r in rows}):
            for system in in_order({r["system"] for r in rows}):
                def of(value, sleepers=sleepers, system=system):
                    return summarise(rows, system, value, sleepers=sleepers)
                count, sources = of(figure_of("looks"))
                if count is None:
                    continue
                times = [RECLAMATION, in_us(figure_of("reclamation_p99_ns")), in_us(figure_of("reclamation_max_ns")), BUDGET,
                         in_us(lambda r: r.get("p50_ns")), TAIL, in_us(figure_of("commit_max_ns"))]
                table.rows.append([f"{sleepers:,}", system, f"{count.median:,.0f}", *(interval(of(value)[0]) for value in times),
                                   f"{of(figure_of('aborted'))[0].median:,.0f}", sources])
        return table

    @staticmethod
    def first(rows: list[dict]) -> Table:
        table = Table("At first: until the sleepers are out of the way",
                      ["sleepers", "they are", "scheme", "they are then", "looks", "together in ms", "longest in ms", "rows"], [],
                      "Of all schemes only these two get sleepers out of the way.")
        for sleepers in sorted({point_of(r)["sleepers"] for r in rows}):
            for kind in KINDS:
                for system, become in (("hybrid", "parked"), ("neutralise", "aborted")):
                    def of(name, sleepers=sleepers, kind=kind, system=system):
                        return summarise(rows, system, figure_of(name), sleepers=sleepers, sleepers_are=kind)
                    count, sources = of("first_looks")
                    if count is None:
                        continue
                    whole, longest = (interval(Interval(found.median / 1e6, None if found.low is None else found.low / 1e6,
                                                        None if found.high is None else found.high / 1e6, found.count))
                                      for found in (of("first_total_ns")[0], of("first_longest_ns")[0]))
                    table.rows.append([f"{sleepers:,}", kind, system, become, f"{count.median:,.0f}", whole, longest,
                                       Sources(sources.ids)])
        return table

    @staticmethod
    def reading(rows: list[dict]) -> list[str]:
        """From the fewest sleepers to the most: what a reclamation takes, and a commit."""
        counts = sorted({point_of(r)["sleepers"] for r in rows})
        ends = sorted({counts[0], counts[-1]})
        parts = []
        for system in in_order(SHOWN):
            found = [[summarise(rows, system, value, sleepers=n, sleepers_are=SHOWN[system])[0] for n in ends] for value in (BUDGET, TAIL)]
            if all(one is not None for pair in found for one in pair):
                times = [" and ".join(f"{significant(one.median)}" for one in pair) for pair in found]
                parts.append(f"{system} {times[0]}, commits {times[1]}")
        if not parts:
            return [NOT_MEASURED]
        behind = " and with ".join(f"{n:,}" for n in ends)
        return [f"In µs, with {behind} sleepers, 64 KiB of garbage take a scheme, and commits at the 99.9th percentile: {'; '.join(parts)}."]
