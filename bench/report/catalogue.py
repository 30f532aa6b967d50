"""The research questions and the experiments that answer them, by number: what each asks and which parts it needs.

A part is the name of an experiment, in a module of bench/experiments. One that no module has yet is shown in the
report as "not yet", with what is missing; nothing here needs an edit once a module has an experiment of that name.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable

QUESTIONS = {
    "RQ1": "How much memory does sharing save?",
    "RQ2": "What does a read cost, and how does that scale?",
    "RQ3": "What does a write cost?",
    "RQ4": "What becomes of garbage, and of those who sleep?",
    "RQ5": "What does a miss cost, cold and after a crash?",
    "RQ6": "Which objects should stay?",
    "RQ7": "What does each part contribute?",
}


@dataclass(frozen=True)
class Entry:
    number: str
    title: str
    questions: tuple[str, ...]
    asks: str
    parts: dict[str, str]  # name of an experiment: what is missing as long as there is none of that name
    disk_mb: int = 0  # at most, while it runs; what it writes is removed again

    @property
    def disk(self) -> str:
        return f"{self.disk_mb} MB" if self.disk_mb else "none"


ENTRIES = (
    Entry("E1", "Memory against sessions", ("RQ1",),
          "How much memory does a process need when more sessions read the same objects?",
          {"memory": "memory for 1 to 4,096 sessions"}, 30),
    Entry("E2", "Throughput against threads and sessions", ("RQ2", "RQ3"),
          "Do more threads or sessions slow each other down, on the field's benchmarks?",
          {"oo7": "OO7's traversals against plain C++", "oo7-threads": "OO7's T1 against threads",
           "oo7-users": "OO7 with many users", "ycsb": "YCSB A to F", "stmbench7": "STMBench7's three mixes",
           "throughput-sessions": "throughput against sessions"}, 30),
    Entry("E3", "What a hit costs, part by part", ("RQ2", "RQ7"),
          "What does a hit cost beyond following a pointer, and which part of the design costs how much of it?",
          {"read-cost": "the cost of a whole hit",
           "hit-cost": "builds that leave out one part of a hit at a time: read log, visited bit, snapshot check, hint, "
                       "decoding",
           "chunk-check": "a prototype that checks chunks of states at once"}),
    Entry("E4", "Share of writes, and where private caches win", ("RQ3",),
          "What happens when some of the transactions change objects, and from which share on is a private cache better?",
          {"throughput-writes": "throughput for 0 to 100% writing transactions by sessions",
           "private-law": "a model of where private caches win, fitted to two workloads and judged on all others"}, 100),
    Entry("E5", "Object size", ("RQ3",),
          "What does it cost to clone an object of 64 bytes to a megabyte, and do values in chunks help?",
          {"object-size": "the cost of a first write and of a commit by object size, and values that are kept in chunks"}),
    Entry("E6", "Garbage and tails behind sleepers", ("RQ4",),
          "What happens to memory and to the tails of others while one transaction sleeps?",
          {"sleepers": "limbo and tails over time by reclaimer",
           "pinned-versions": "versions that must be kept against the number of sleepers, and what waking costs",
           "reclamation-time": "time of a reclamation and of commits against the number of sleepers, threads and not",
           "stopped-thread": "what a thread that is stopped in a scan, or in a read, stops"}),
    Entry("E7", "Waits for something outside", ("RQ4",),
          "How many requests can be under way at once when each waits for something outside?",
          {"publisher": "throughput of 1 to 10,000 logical threads against Little's law"}, 100),
    Entry("E8", "Cold start and stampede", ("RQ5",),
          "How often is one object loaded when many sessions start at the same moment?",
          {"cold-start": "loads of sessions that start cold at once"}, 30),
    Entry("E9", "Begin and commit against other open sessions", ("RQ3", "RQ1"),
          "Do a begin and a commit pay for the other sessions that are open?",
          {"open-sessions": "time of begin and of commit for 1 to 2,048 open sessions"}),
    Entry("E10", "Hit ratio in equal memory", ("RQ6", "RQ1"),
          "What does one cache hit that many do not in the same memory, and when do many hit as much or more?",
          {"equal-memory": "hit ratios of one cache and of many in the same memory, on equal and on disjoint objects"}),
    Entry("E11", "Allocators and free policies", ("RQ4", "RQ7"),
          "Does it matter which allocator serves heap members, and when memory is given back?",
          {"allocators": "throughput and tails by allocator and free policy"}),
    Entry("E12", "Reclaimers", ("RQ4", "RQ7"),
          "What does each way to give memory back cost, with sleepers and with more threads than cores?",
          {"reclaimers": "throughput, tails and limbo by reclaimer"}),
    Entry("E13", "Replacement and scans", ("RQ6",),
          "How often must the store be asked when not everything fits, and how far is that from the least possible?",
          {"replacement": "miss ratios by policy and capacity"}),
    Entry("E14", "Recovery", ("RQ5",),
          "How long after a kill is the database correct again, and how long until 95% of the reads hit?",
          {"recovery": "a run that is killed, reopened and checked: time until it is correct and until 95% of the reads hit"},
          500),
    Entry("E15", "zodbshootout", ("RQ5", "RQ3"),
          "Where does a whole database on this cache stand beside those that its users know?",
          {"zodbshootout": "zodbshootout's regions"}, 50),
    Entry("E16", "Smallbank", ("RQ3",),
          "What do short transactions on few hot objects cost, and which anomalies does the isolation let through?",
          {"smallbank": "aborts by size of the hotspot, with snapshots and serializable"}),
    Entry("E17", "Beside other stores", ("RQ2",),
          "What does a warm read cost beside one in other stores, each in a transaction of its own, and beside one in a map?",
          {"peers": "the same chase in LMDB, WiredTiger, RocksDB and two hash maps"}, 800),
    Entry("E18", "History that is kept, and packed", ("RQ5",),
          "What does a store take, and what do commits cost, when history is kept for ever, for a while, or not at all?",
          {"retention": "space and speed over many commits with and without retention"}, 8000),
    Entry("E19", "Processes over one PostgreSQL", ("RQ5", "RQ1"),
          "What do processes that share one store in a database server take, and ask of it, each with one cache?",
          {"peers-over-postgres": "memory, loads, throughput, staleness and round trips of 1 to 8 processes, with shared and other caches"}),
    Entry("scaling", "Scaling beyond the cores at hand", ("RQ2",),
          "What would happen on more cores, and on many nodes, as far as a count and a model can tell?",
          {"scaling": "writes to shared cache lines per operation, counted in an instrumented build, and the band that "
                            "published coherence costs predict from them",
           "cluster": "a discrete-event simulation of nodes, sessions, waits and invalidations up to 1,000 nodes, validated "
                         "against measured points"}),
)


def entry(number: str) -> Entry:
    return next(e for e in ENTRIES if e.number == number)


def number_of(name: str) -> str:
    """To which number the experiment of that name belongs."""
    for one in ENTRIES:
        if name in one.parts:
            return one.number
    raise LookupError(f"the experiment {name} belongs to no number: name it as a part of one in bench/report/catalogue.py")


def label(number: str) -> str:
    """E4, or Scaling: how a number is shown."""
    return number if number.startswith("E") else number.capitalize()


def missing(one: Entry, built: Iterable) -> list[str]:
    """What the parts lack that no module of `built` is."""
    names = {experiment.name for experiment in built}
    return [what for name, what in one.parts.items() if name not in names]


def in_order(built: Iterable) -> list:
    """By number, and within a number as its parts are listed."""
    names = [name for one in ENTRIES for name in one.parts]
    for experiment in built:
        number_of(experiment.name)
    return sorted(built, key=lambda experiment: names.index(experiment.name))


class UnknownName(ValueError):
    """Says which, and what there is."""


def names_of(words: str, built: list, others: tuple[str, ...]) -> list[str]:
    """The names that "E4,memory,RQ2" means, in the order of `built`, then of `others`. Throws UnknownName."""
    wanted: set[str] = set()
    unknown, empty = [], []
    for word in (w.strip() for w in words.split(",")):
        lower = word.lower()
        of_number = [e for e in ENTRIES if lower == e.number.lower() or word.upper() in e.questions]
        by_name = [name for name in (*(b.name for b in built), *others) if name.lower() == lower]
        found = by_name + [b.name for b in built if any(number_of(b.name) == e.number for e in of_number)]
        wanted.update(found)
        if not found:
            (empty if of_number else unknown).append(word)
    numbers = ", ".join(e.number for e in ENTRIES)
    if unknown:
        raise UnknownName(f"no experiment {', '.join(word or 'without a name' for word in unknown)}; there are the numbers {numbers}, the questions "
                          f"{', '.join(QUESTIONS)} and the names {', '.join([*(b.name for b in built), *others])}")
    if empty and not wanted:
        raise UnknownName(f"not yet: {', '.join(empty)} has nothing to run; --list says what is missing")
    return [name for name in (*(b.name for b in built), *others) if name in wanted]


def listing(built: list, others: dict[str, str]) -> str:
    """What --list prints: number, name, research questions and question; "-" where nothing is built yet."""
    lines = []
    for one in ENTRIES:
        questions = ",".join(one.questions)
        own = [b for b in built if b.name in one.parts]
        lines += [f"{one.number:8}{b.name:21}{questions:9} {b.question}" for b in own]
        lines += [f"{one.number:8}{'-':21}{questions:9} not yet: {what}" for what in missing(one, built)]
    lines += [f"{'-':8}{name:21}{'-':9} {question}" for name, question in others.items()]
    return "\n".join(lines)
