"""Workloads of transactions that meet, against threads: OO7's traversals, OO7 with many users, STMBench7."""
from __future__ import annotations

from .throughput import ByThreads


class Oo7Threads(ByThreads):
    name = "oo7-threads"
    title = "OO7's T1 against threads"
    question = "Do threads that traverse the same module slow each other down?"
    method = ("OO7 small, fan-out 3; each thread traverses the whole module over and over, depth-first (T1: 43,740 visits), and its "
              "visits are counted. One session per thread, the store in memory.")
    figure_caption = "OO7 small, T1: traversals per second against threads."
    workload = "oo7"
    option = "--operation"
    variants = {"T1": "T1"}


class Stmbench7(ByThreads):
    name = "stmbench7"
    title = "STMBench7"
    question = "How do the caches do when transactions of all sizes read and restructure one graph?"
    method = ("OO7's module, small with six connections a part (72,095 objects); STMBench7's mixes, dominated by reads (90% of the "
              "operations), read-write (60%) and dominated by writes (10%), structural changes included, without long traversals; "
              "one session per thread, the store in memory. The blocking cache is the coarse lock of the paper. Afterwards every "
              "relation and every index must hold.")
    figure_caption = "STMBench7 without long traversals: operations per second against threads."
    workload = "stmbench7"
    arguments = ("--no-long-traversals",)
    variants = {"read-write": "read-write", "read": "read-dominated", "write": "write-dominated"}
    between = ("read-write",)
    load_s = 0.6


class Oo7Users(ByThreads):
    name = "oo7-users"
    title = "OO7 with many users"
    question = "What does sharing cost when some of the transactions write what others read?"
    method = ("A small OO7 module for each thread and one for all. A mix says in percent how many transactions read the own module, "
              "read the shared one, write the own, write the shared one. A transaction goes down to a random base assembly and visits "
              "its 60 atomic parts, swapping the coordinates of each if it writes. One session per thread, the store in memory. "
              "With 80/20/0/0 most of what each session reads is read by nobody else: the case for private caches.")
    figure_caption = "Multi-user OO7: transactions per second against threads."
    workload = "oo7-users"
    variants = {"20/20/30/30": "20/20/30/30", "60/20/15/5": "60/20/15/5", "80/20/0/0": "80/20/0/0"}
    between = ("60/20/15/5",)
    load_s = 0.6
