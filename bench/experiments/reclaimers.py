"""Ways to give memory back under the same cache: garbage, throughput and tails, with sleepers and more threads than cores."""
from __future__ import annotations

from report import drawing
from report.formats import NOT_MEASURED, interval, size as bytes_text
from report.model import Figure, Job, Section, Size, Sources, Table, point_of, summarise
from report.systems import BOUNDS, RECLAIMERS, in_order


def ablation_job(experiment: str, reclaimer: str, threads: int, sleepers: int, writes: float, seconds: float,
                 allocator: str = "glibc") -> Job:
    return Job(
        experiment, reclaimer, (("threads", threads), ("sleepers", sleepers), ("write_share", writes), ("allocator", allocator)),
        "ablation",
        ("--reclaimer", reclaimer, "--threads", str(threads), "--sleepers", str(sleepers), "--writes", str(writes),
         "--allocator", allocator, "--seconds", f"{seconds:g}", "--seed", "{seed}", "--repetition", "{repetition}",
         "--experiment", experiment, "--output", "{output}"),
        estimate_s=seconds + 0.3)


def bytes_or_none(value) -> str:
    return NOT_MEASURED if value is None else bytes_text(value.median)


def bounds_table(systems: list[str]) -> Table:
    """What each promises; no figure of this run."""
    known = [system for system in systems if system in BOUNDS]
    return Table("What limits garbage behind sleepers, by class", ["reclaimer", "garbage is at most", "because"],
                 [[system, *BOUNDS[system]] for system in known])


def bounds_line(systems: list[str]) -> str:
    by_bound: dict[str, list[str]] = {}
    for system in systems:
        if system in BOUNDS:
            by_bound.setdefault(BOUNDS[system][0], []).append(system)
    return "Garbage behind sleepers, by class: " + "; ".join(f"{bound}: {', '.join(names)}" for bound, names in by_bound.items()) + "."


def aborts_line(rows: list[dict], systems: list[str]) -> str:
    """Of all runs together: who reaches its bound by aborting says so beside it."""
    def aborted(system: str, what: str) -> int:
        return sum(r.get("figures", {}).get(what, 0) for r in rows if r["system"] == system)
    parts = [f"{system} {aborted(system, 'sleepers_aborted'):,} of those that slept and {aborted(system, 'too_old'):,} of those that ran"
             for system in systems if aborted(system, "sleepers_aborted") or aborted(system, "too_old")]
    return "Transactions aborted to free memory: " + ("; ".join(parts) if parts else "none") + "."


class Reclaimers:
    name = "reclaimers"
    title = "Reclaimers"
    question = "What does garbage cost, in memory and time, when transactions sleep or outnumber the cores?"
    method = ("Transactions of 20 reads on 20,000 resident objects, a share of them with a write, while other transactions that "
              "have read 1,000 objects each sleep. The cache is the same in every run; only who gives its memory back differs. "
              "Limbo, or garbage, is what has been retired and not freed yet; it and the process's resident memory are sampled every "
              "2 ms. What a scheme must be told of reads costs a virtual call or two each, which those that only look into the log "
              "(hybrid, epochs, scan) or only know of transactions (liburcu) do not pay.")

    def jobs(self, size: Size) -> list[Job]:
        seconds = size.choose(smoke=0.25, paper=size.seconds, full=size.seconds)
        # E6 has those of one sleeper and of many writes.
        threads, sleepers, writes = size.choose(smoke=((2, 64), (1,), (0.05,)), paper=((2, 64), (0, 16), (0.05,)),
                                                full=((2, 64), (0, 1, 16), (0.05, 0.5)))
        return [ablation_job(self.name, reclaimer, t, s, w, seconds) for t in threads for s in sleepers for w in writes
                for reclaimer in RECLAIMERS]

    def present(self, rows: list[dict], section: Section) -> None:
        systems = in_order({r["system"] for r in rows})
        points = sorted({(point_of(r)["write_share"], point_of(r)["threads"], point_of(r)["sleepers"]) for r in rows})
        section.tables.append(bounds_table(systems))
        section.reading += [bounds_line(systems), aborts_line(rows, systems)]
        shown = (("Transactions", lambda r: r.get("operations"), interval),
                 ("Transactions per second", lambda r: r.get("operations_per_s"), interval),
                 ("Time of one transaction, 99.9th percentile, in µs", lambda r: r["p999_ns"] / 1e3, interval),
                 ("Resident memory, at most", lambda r: r.get("peak_rss_bytes"), bytes_or_none),
                 ("Resident memory, mean", lambda r: r.get("mean_rss_bytes"), bytes_or_none),
                 ("Limbo, at most", lambda r: r.get("limbo_bytes"), bytes_or_none),
                 ("Limbo, mean", lambda r: r.get("mean_limbo_bytes"), bytes_or_none))
        for caption, value, text in shown:
            table = Table(caption, ["writes, threads, sleepers", *systems, "rows"], [])
            for writes, threads, sleepers in points:
                cells, ids = [], []
                for system in systems:
                    found, sources = summarise(rows, system, value, write_share=writes, threads=threads, sleepers=sleepers)
                    cells.append(text(found))
                    ids += sources.ids
                table.rows.append([f"{100 * writes:g}%, {threads}, {sleepers}", *cells, Sources(tuple(ids))])
            section.tables.append(table)
        groups = [point for point in points if point[0] == 0.05] or points
        series = [drawing.Series(system) for system in systems]
        for index, (writes, threads, sleepers) in enumerate(groups):
            for one in series:
                found, _ = summarise(rows, one.system, lambda r: r.get("operations_per_s"), write_share=writes,
                                     threads=threads, sleepers=sleepers)
                if found is not None:
                    one.points[index] = found
        if groups:
            section.figures.append(Figure(
                "reclaimers-throughput", "Transactions per second by reclaimer, 5% of them writing.",
                "Dot chart: transactions per second for each number of threads and sleepers, one dot per reclaimer.",
                drawing.dots("Throughput by reclaimer", "transactions per second",
                             [f"{threads} threads, {sleepers} asleep" for _, threads, sleepers in groups], series,
                             x_format=drawing.thousands)))
