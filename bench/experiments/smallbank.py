"""Smallbank: conflicts against the size of the hotspot, and what the isolation lets through."""
from __future__ import annotations

from dataclasses import replace

from report import drawing
from report.formats import NOT_MEASURED, significant
from report.model import Figure, Job, Section, Size, Table, point_of, summarise
from report.systems import CACHES, in_order
from .throughput import THREADS, Throughput, conflicts, in_memory_job, some

CUSTOMERS = 100_000
SERIALIZABLE = "shared/serializable"


class Smallbank(Throughput):
    name = "smallbank"
    title = "Smallbank against the hotspot"
    question = "What do short transactions on few hot objects cost, and which anomalies does the isolation let through?"
    method = (f"{CUSTOMERS:,} customers, of which those of the hotspot get 90% of the transactions; two threads with a session each, "
              "the store in memory. The sum of all money is checked. After the timed part four threads run 250 transactions each on "
              "four customers, and what has no serial order is counted: snapshot isolation allows write skew, and nothing else; "
              f"serializable transactions ({SERIALIZABLE}: a commit validates what was read) must have none.")
    axis = "hotspot"
    axis_label = "customers in the hotspot"
    even = True
    figure_caption = "Smallbank with two threads: transactions per second against the customers of the hotspot."

    def show_x(self, x: float) -> str:
        return f"{x:,g}" if x < CUSTOMERS else "all"

    def jobs(self, size: Size) -> list[Job]:
        hotspots = size.choose(smoke=(10, CUSTOMERS), paper=(10, 1_000, CUSTOMERS), full=(10, 100, 1_000, 10_000, CUSTOMERS))
        return [job for hotspot in hotspots for job in self.at(hotspot, size)]

    def at(self, hotspot: int, size: Size) -> list[Job]:
        arguments = ("--customers", str(CUSTOMERS), "--hotspot", str(hotspot if hotspot < CUSTOMERS else 0))

        def job(system: str, level: tuple[str, ...] = ()) -> Job:
            return in_memory_job(self.name, system, size, (("hotspot", hotspot),), "smallbank", THREADS, (*arguments, *level), 1.6)

        return [*(job(system) for system in some(CACHES, size)),
                replace(job("shared", ("--serializable",)), system=SERIALIZABLE)]

    def present(self, rows: list[dict], section: Section) -> None:
        super().present(rows, section)
        self.draw_conflicts(rows, section)
        skews = Table("Write skews in 1,000 transactions on four customers", ["system", "groups", "transactions in them", "rows"],
                      [], "Medians. Who waits for each other has none; a snapshot that is too old for its reads has some.")
        for system in in_order({r["system"] for r in rows}):
            groups, sources = summarise(rows, system, lambda r: r.get("figures", {}).get("write_skews"))
            members, _ = summarise(rows, system, lambda r: r.get("figures", {}).get("transactions_in_write_skews"))
            skews.rows.append([system, significant(groups.median) if groups else NOT_MEASURED,
                               significant(members.median) if members else NOT_MEASURED, sources])
        section.tables.append(skews)

    def draw_conflicts(self, rows: list[dict], section: Section) -> None:
        series = [drawing.Series(system) for system in in_order({r["system"] for r in rows})]
        for one in series:
            for hotspot in sorted({point_of(r)["hotspot"] for r in rows}):
                lost, _ = summarise(rows, one.system, conflicts, hotspot=hotspot)
                if lost is not None:
                    one.points[hotspot] = lost
        caption = "Smallbank with two threads: transactions aborted for a conflict, for each 1,000 committed."
        section.figures.append(Figure(
            f"{self.name}-conflicts", caption, f"Line chart: conflicts against {self.axis_label}, one line per cache and isolation level.",
            drawing.lines("Smallbank: conflicts against the hotspot", self.axis_label, "aborted per 1,000 committed", series, even=True,
                          x_format=self.show_x)))
