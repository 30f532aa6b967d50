"""Ways to give memory back under the same cache: garbage, throughput and tails, with sleepers and more threads than cores."""
from __future__ import annotations

from .. import drawing
from ..formats import NOT_MEASURED, interval, size as bytes_text
from ..intervals import Interval
from ..model import Figure, Job, Section, Size, Sources, Table, point_of, summarise
from ..systems import RECLAIMERS, in_order

ALLOCATORS = ("glibc", "jemalloc", "mimalloc")
SECONDS = 8.0  # of the run whose limbo is drawn over time


class Reclaimers:
    name = "reclaimers"
    title = "Giving memory back while others sleep"
    question = "What does garbage cost, in memory and time, when transactions sleep or outnumber the cores?"
    method = ("Transactions of 20 reads on 20,000 resident objects, a share of them with a write, while other transactions that "
              "have read 1,000 objects each sleep. The cache is the same in every run; only who gives its memory back differs. "
              "Limbo is what has been retired and not freed yet.")

    def jobs(self, size: Size) -> list[Job]:
        seconds = size.seconds / 2 if size.smoke else size.seconds
        threads, sleepers, writes = ((2, 64), (0, 1), (0.05,)) if size.smoke else ((1, 2, 64), (0, 1, 16), (0.0, 0.05, 0.5))
        jobs = [self.job(reclaimer, t, s, w, seconds) for t in threads for s in sleepers for w in writes
                for reclaimer in RECLAIMERS]
        over_time = SECONDS / 4 if size.smoke else SECONDS
        jobs += [self.job(reclaimer, 2, 1, 0.5, over_time, "over-time") for reclaimer in RECLAIMERS if reclaimer != "leak"]
        return jobs + [self.job(reclaimer, 2, 1, 0.5, seconds, "allocators", allocator) for allocator in ALLOCATORS
                       for reclaimer in (("hybrid",) if size.smoke else ("hybrid", "epochs", "scan"))]

    def job(self, reclaimer: str, threads: int, sleepers: int, writes: float, seconds: float, part: str = "grid",
            allocator: str = "glibc") -> Job:
        return Job(
            self.name, reclaimer, (("part", part), ("threads", threads), ("sleepers", sleepers), ("write_share", writes),
                                   ("allocator", allocator)), "ablation",
            ("--reclaimer", reclaimer, "--threads", str(threads), "--sleepers", str(sleepers), "--writes", str(writes),
             "--allocator", allocator, "--seconds", f"{seconds:g}", "--seed", "{seed}", "--repetition", "{repetition}",
             "--experiment", self.name, "--output", "{output}"),
            estimate_s=seconds + 0.4)

    def present(self, rows: list[dict], section: Section) -> None:
        self.over_time([r for r in rows if point_of(r)["part"] == "over-time"], section)
        self.grid([r for r in rows if point_of(r)["part"] == "grid"], section)
        self.allocators([r for r in rows if point_of(r)["part"] == "allocators"], section)

    @staticmethod
    def over_time(rows: list[dict], section: Section) -> None:
        systems = in_order({r["system"] for r in rows})
        series = []
        for system in systems:
            # One run: a median over runs at each instant would show a run that never was.
            samples = next(r["limbo_over_time"] for r in rows if r["system"] == system)
            one = drawing.Series(system)
            for seconds, limbo in samples:
                one.points[round(seconds, 2)] = Interval.of([max(limbo, 1024)])
            series.append(one)
        if not series:
            return
        section.figures.append(Figure(
            "limbo-over-time", "Retired memory that is not free yet, while one transaction sleeps and two threads write.",
            "Line chart: bytes in limbo against seconds, one line per reclaimer.",
            drawing.curves("Limbo behind one sleeper", "seconds", "limbo", series, y_log=True, y_base=2,
                           y_format=drawing.bytes_axis)))
        table = Table("Limbo behind one sleeper, at most", ["reclaimer", "limbo", "rows"], [])
        for system in systems:
            value, sources = summarise(rows, system, lambda r: r.get("limbo_bytes"))
            table.rows.append([system, NOT_MEASURED if value is None else bytes_text(value.median), sources])
        section.tables.append(table)

    @staticmethod
    def grid(rows: list[dict], section: Section) -> None:
        systems = in_order({r["system"] for r in rows})
        points = sorted({(point_of(r)["write_share"], point_of(r)["threads"], point_of(r)["sleepers"]) for r in rows})
        shown = (("Transactions per second", lambda r: r.get("operations_per_s"), interval),
                 ("Time of one transaction, 99.9th percentile, in µs", lambda r: r["p999_ns"] / 1e3, interval),
                 ("Limbo, at most", lambda r: r.get("limbo_bytes"), lambda v: bytes_text(v.median) if v else NOT_MEASURED))
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

    @staticmethod
    def allocators(rows: list[dict], section: Section) -> None:
        systems = in_order({r["system"] for r in rows})
        table = Table("Transactions per second by allocator of heap members", ["allocator", *systems, "rows"], [],
                      "States themselves live in slabs of the cache's own.")
        for allocator in ALLOCATORS:
            cells, ids = [], []
            for system in systems:
                found, sources = summarise(rows, system, lambda r: r.get("operations_per_s"), allocator=allocator)
                cells.append(interval(found))
                ids += sources.ids
            if ids:
                table.rows.append([allocator, *cells, Sources(tuple(ids))])
        if table.rows:
            section.tables.append(table)
