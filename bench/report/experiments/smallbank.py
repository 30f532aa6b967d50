"""Smallbank: conflicts against the size of the hotspot, and what the isolation lets through."""
from __future__ import annotations

from ..formats import NOT_MEASURED, significant
from ..model import Job, Section, Size, Table, summarise
from ..systems import CACHES, in_order
from .throughput import THREADS, Throughput, in_memory_job, some

CUSTOMERS = 100_000


class Smallbank(Throughput):
    name = "smallbank"
    title = "Smallbank against the hotspot"
    question = "What do short transactions on few hot objects cost, and which anomalies does the isolation let through?"
    method = (f"{CUSTOMERS:,} customers, of which those of the hotspot get 90% of the transactions; two threads with a session each, "
              "the store in memory. The sum of all money is checked. After the timed part four threads run 250 transactions each on "
              "four customers, and what has no serial order is counted: snapshot isolation allows write skew, and nothing else.")
    axis = "hotspot"
    axis_label = "customers in the hotspot"
    even = True
    figure_caption = "Smallbank with two threads: transactions per second against the customers of the hotspot."

    def show_x(self, x: float) -> str:
        return f"{x:,g}" if x < CUSTOMERS else "all"

    def jobs(self, size: Size) -> list[Job]:
        hotspots = (10, CUSTOMERS) if size.smoke else (10, 100, 1_000, 10_000, CUSTOMERS)
        return [in_memory_job(self.name, system, size, (("hotspot", hotspot),), "smallbank", THREADS,
                              ("--customers", str(CUSTOMERS), "--hotspot", str(hotspot if hotspot < CUSTOMERS else 0)), 1.0)
                for hotspot in hotspots for system in some(CACHES, size)]

    def present(self, rows: list[dict], section: Section) -> None:
        super().present(rows, section)
        skews = Table("Write skews in 1,000 transactions on four customers", ["system", "groups", "transactions in them", "rows"],
                      [], "Medians. Who waits for each other has none; a snapshot that is too old for its reads has some.")
        for system in in_order({r["system"] for r in rows}):
            groups, sources = summarise(rows, system, lambda r: r.get("figures", {}).get("write_skews"))
            members, _ = summarise(rows, system, lambda r: r.get("figures", {}).get("transactions_in_write_skews"))
            skews.rows.append([system, significant(groups.median) if groups else NOT_MEASURED,
                               significant(members.median) if members else NOT_MEASURED, sources])
        section.tables.append(skews)
