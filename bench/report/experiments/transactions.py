"""Workloads of transactions that meet: Smallbank, STMBench7, and OO7 with many users."""
from __future__ import annotations

from ..formats import NOT_MEASURED, significant
from ..model import Section, Table, summarise
from ..systems import in_order
from .throughput import ByThreads


class Smallbank(ByThreads):
    name = "smallbank"
    title = "Smallbank against threads"
    question = "What do short transactions on few hot objects cost, and which anomalies does the isolation let through?"
    method = ("100,000 customers, of which 100 get 90% of the transactions; one session per thread, the store in memory. The sum of "
              "all money is checked. After the timed part four threads run 250 transactions each on four customers, and what "
              "has no serial order is counted: snapshot isolation allows write skew, and nothing else.")
    figure_caption = "Smallbank with a hotspot of 100 customers: transactions per second against threads."
    workload = "smallbank"
    arguments = ("--customers", "100000", "--hotspot", "100")

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


class Stmbench7(ByThreads):
    name = "stmbench7"
    title = "STMBench7 against threads"
    question = "How do the caches do when transactions of all sizes read and restructure one graph?"
    method = ("OO7's module, small with six connections a part (72,095 objects); STMBench7's read-write mix: 60% of the operations "
              "read, structural changes included, without long traversals; one session per thread, the store in memory. The "
              "blocking cache is the coarse lock of the paper. Afterwards every relation and every index must hold.")
    figure_caption = "STMBench7, read-write mix without long traversals: operations per second against threads."
    workload = "stmbench7"
    arguments = ("--mix", "read-write", "--no-long-traversals")
    load_s = 4.0


class Oo7Users(ByThreads):
    name = "oo7-users"
    title = "OO7 with many users"
    question = "What does sharing cost when some of the transactions write what others read?"
    method = ("A small OO7 module for each thread and one for all; 20% of the transactions read the own module, 20% the shared one, "
              "30% write the own, 30% the shared one. A transaction goes down to a random base assembly and visits its 60 atomic "
              "parts, swapping the coordinates of each if it writes. One session per thread, the store in memory.")
    figure_caption = "Multi-user OO7, mix 20/20/30/30: transactions per second against threads."
    workload = "oo7-users"
    arguments = ("--mix", "20/20/30/30")
    load_s = 4.0
