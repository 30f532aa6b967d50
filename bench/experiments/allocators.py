"""Allocators of heap members against ways to give memory back."""
from __future__ import annotations

from report import drawing
from report.formats import NOT_MEASURED, interval, size as bytes_text
from report.model import Figure, Job, Section, Size, Sources, Table, summarise
from report.systems import in_order
from .reclaimers import ablation_job

ALLOCATORS = ("glibc", "jemalloc", "mimalloc")
POLICIES = ("hybrid", "epochs", "scan", "leak")


class Allocators:
    name = "allocators"
    title = "Allocators and free policies"
    question = "Does it matter which allocator serves heap members, and when memory is given back?"
    method = ("Two threads, half of the transactions write, one sleeps; otherwise as the reclaimers' experiment. States live in "
              "slabs of the cache's own; the allocator serves what they hold on the heap, here one text each. The free policies: "
              "hybrid and epochs free a few states with each batch that is retired, epochs only once the oldest transaction has "
              "left; scan frees in batches, of 64 KiB or more; leak never: the distance to it is what freeing costs. glibc's "
              "allocator is linked, the others are loaded before it.")

    def jobs(self, size: Size) -> list[Job]:
        seconds = size.choose(smoke=0.25, paper=size.seconds, full=size.seconds)
        policies = ("hybrid", "scan") if size.smoke else POLICIES
        return [ablation_job(self.name, policy, 2, 1, 0.5, seconds, allocator) for allocator in ALLOCATORS
                for policy in policies]

    def present(self, rows: list[dict], section: Section) -> None:
        systems = in_order({r["system"] for r in rows})
        shown = (("Transactions per second", lambda r: r.get("operations_per_s"), interval),
                 ("Time of one transaction, 99.9th percentile, in µs", lambda r: r["p999_ns"] / 1e3, interval),
                 ("Resident memory at the end", lambda r: r.get("rss_bytes"),
                  lambda v: bytes_text(v.median) if v else NOT_MEASURED))
        series = {system: drawing.Series(system) for system in systems}
        for caption, value, text in shown:
            table = Table(caption, ["allocator", *systems, "rows"], [])
            for index, allocator in enumerate(ALLOCATORS):
                cells, ids = [], []
                for system in systems:
                    found, sources = summarise(rows, system, value, allocator=allocator)
                    cells.append(text(found))
                    ids += sources.ids
                    if found is not None and value is shown[0][1]:
                        series[system].points[index] = found
                if ids:
                    table.rows.append([allocator, *cells, Sources(tuple(ids))])
            section.tables.append(table)
        section.figures.append(Figure(
            "allocators", "Transactions per second by allocator of heap members and free policy: two threads, half of the "
            "transactions write, one sleeps.", "Dot chart: transactions per second for each allocator, one dot per free policy.",
            drawing.dots("Allocators and free policies", "transactions per second", list(ALLOCATORS), list(series.values()),
                         x_format=drawing.thousands)))
