"""Garbage and tails over time while a transaction sleeps, by reclaimer."""
from __future__ import annotations

from report import drawing
from report.formats import interval
from report.intervals import Interval
from report.model import Figure, Job, Section, Size, Sources, Table, point_of, summarise
from report.systems import RECLAIMERS, in_order
from .reclaimers import ablation_job, bytes_or_none

# Who frees nothing has a limbo that only grows: it would set the scale for all others.
SYSTEMS = tuple(name for name in RECLAIMERS if name != "leak")


class Sleepers:
    name = "sleepers"
    title = "Limbo and tails behind sleepers"
    question = "What happens to memory and to the tails of others while one transaction sleeps?"
    method = ("Two threads run transactions of 20 reads on 20,000 resident objects, half of them with a write, while other "
              "transactions that have read 1,000 objects each sleep from the beginning to the end. The cache is the same in every "
              "run; only who gives its memory back differs. Limbo is what has been retired and not freed yet, sampled 40 times; "
              "the 99th percentile is that of all transactions within a tenth of the run.")

    def jobs(self, size: Size) -> list[Job]:
        seconds, counts = size.choose(smoke=(0.5, (1,)), paper=(2.5, (1, 100)), full=(8.0, (1, 100)))
        return [ablation_job(self.name, reclaimer, 2, sleepers, 0.5, seconds) for sleepers in counts for reclaimer in SYSTEMS]

    def present(self, rows: list[dict], section: Section) -> None:
        for sleepers in sorted({point_of(r)["sleepers"] for r in rows}):
            self.present_one([r for r in rows if point_of(r)["sleepers"] == sleepers], sleepers, section)

    @staticmethod
    def present_one(rows: list[dict], sleepers: int, section: Section) -> None:
        systems = in_order({r["system"] for r in rows})
        behind = "one sleeper" if sleepers == 1 else f"{sleepers} sleepers"
        suffix = "" if sleepers == 1 else f"-{sleepers}"
        limbo, tails = [], []
        for system in systems:
            # One run: a median over runs at each instant would show a run that never was.
            row = next(r for r in rows if r["system"] == system)
            limbo.append(drawing.Series(system, {round(s, 2): Interval.of([max(v, 1024)]) for s, v in row["limbo_over_time"]}))
            tails.append(drawing.Series(system, {round(s, 2): Interval.of([v / 1e3]) for s, v in row.get("p99_over_time", ())}))
        section.figures.append(Figure(
            f"limbo-over-time{suffix}", f"Retired memory that is not free yet, while {behind} hold what they read and two threads "
            "write. One run of each.", "Line chart: bytes in limbo against seconds, one line per reclaimer.",
            drawing.curves(f"Limbo behind {behind}", "seconds since the start", "memory in limbo", limbo, y_log=True, y_base=2,
                           y_format=drawing.bytes_axis)))
        if any(one.points for one in tails):
            section.figures.append(Figure(
                f"tails-over-time{suffix}", f"Time of a transaction, 99th percentile within each tenth of the run, behind {behind}. "
                "One run of each.", "Line chart: 99th percentile in microseconds against seconds, one line per reclaimer.",
                drawing.curves(f"Tails behind {behind}", "seconds since the start", "99th percentile in µs",
                               [one for one in tails if one.points], y_log=True, y_format=drawing.thousands)))
        table = Table(f"Behind {behind}", ["reclaimer", "transactions", "memory at most", "memory, mean", "limbo at most", "limbo, mean",
                                           "p99 in µs", "p99.9 in µs", "transactions/s", "sleepers aborted", "rows"], [])
        for system in systems:
            done, sources = summarise(rows, system, lambda r: r.get("operations"))
            sizes = [bytes_or_none(summarise(rows, system, lambda r, name=name: r.get(name))[0])
                     for name in ("peak_rss_bytes", "mean_rss_bytes", "limbo_bytes", "mean_limbo_bytes")]
            aborted, _ = summarise(rows, system, lambda r: r.get("figures", {}).get("sleepers_aborted"))
            tail, _ = summarise(rows, system, lambda r: r["p99_ns"] / 1e3)
            far, _ = summarise(rows, system, lambda r: r["p999_ns"] / 1e3)
            rate, _ = summarise(rows, system, lambda r: r.get("operations_per_s"))
            table.rows.append([system, interval(done), *sizes, interval(tail), interval(far), interval(rate), interval(aborted),
                               Sources(sources.ids)])
        section.tables.append(table)
