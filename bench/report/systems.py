"""The caches that are compared: their names and how every figure shows them.

Colours are Okabe and Ito's palette, which stays distinct for colour-blind readers and in grey; each cache has a marker
of its own as well, so that no figure relies on colour alone.
"""
from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class System:
    name: str  # as the driver calls it
    about: str
    colour: str
    colour_dark: str  # the same hue, lighter, for a dark page
    marker: str


def by_name(*systems: System) -> dict[str, System]:
    return {system.name: system for system in systems}


SYSTEMS = by_name(
    System("shared", "this design: one cache of immutable states, no lock on a read", "#0072b2", "#56b4f5", "o"),
    System("private", "one cache per session, swizzled pointers (the ZODB model)", "#d55e00", "#ff8a45", "s"),
    System("two-level", "shared serialised records below private objects (the RelStorage model)", "#e69f00",
           "#f5bb3d", "^"),
    System("locked", "one concurrent hash map of shared_ptr", "#009e73", "#35cfa3", "D"),
    System("blocking", "one cache, readers wait while a transaction writes", "#b0578d", "#e18fc0", "v"),
    System("raw", "plain C++ pointers, no database: the physical limit", "#5f6670", "#a3abb6", "x"),
)
# Ways to give memory back, compared under the shared cache.
RECLAIMERS = by_name(
    System("hybrid", "epochs, and read logs for those who sleep: this design", "#0072b2", "#56b4f5", "o"),
    System("epochs", "epochs only", "#d55e00", "#ff8a45", "s"),
    System("scan", "read logs only, scanned for every 64 KiB of garbage", "#e69f00", "#f5bb3d", "^"),
    System("scan-global", "the same, the fence machine-wide (MEMBARRIER_CMD_GLOBAL)", "#9c6500", "#cf9a3a", "<"),
    System("ping", "epochs, and private lists that a signal makes threads publish (EpochPOP)", "#56b4e9", "#9ad4fb", "P"),
    System("interval", "birth and retirement of a state against a transaction's interval (2GEIBR)", "#117733", "#6cc987", ">"),
    System("counted", "a counted handle for each state read", "#882255", "#d68aad", "p"),
    System("neutralise", "epochs; above the budget the oldest transactions are aborted (NBR)", "#332288", "#9a8cf0", "h"),
    System("urcu-memb", "liburcu, membarrier flavour", "#009e73", "#35cfa3", "D"),
    System("urcu-qsbr", "liburcu, quiescent-state flavour", "#b0578d", "#e18fc0", "v"),
    System("leak", "frees nothing", "#5f6670", "#a3abb6", "x"),
)
# A rule that no reclaimer here has as it stands: a version is kept while a snapshot can see it.
RULES = by_name(
    System("visible", "what some snapshot can see is kept", "#44aa99", "#7fd6c8", "X"),
)
# A reclaimer in another setting.
SETTINGS = by_name(
    System("deep-scan", "hybrid, whose sleepers do not say that they sleep: each scan reads their logs", "#cc3311", "#ff7a5c", "d"),
)
# What limits garbage behind transactions that sleep, and why: by class, as `ablation --list` has it and
# tests/bench/reclamation_schemes_test.cpp checks it, liburcu's apart. Beyond it each collects some before it looks.
NO_BOUND = "no bound"
BOUNDS = {
    "hybrid": ("what transactions have read", "beyond the budget the logs say what is in use"),
    "epochs": (NO_BOUND, "an epoch protects whatever is retired after it"),
    "scan": ("what transactions have read", "the logs say what is in use"),
    "scan-global": ("what transactions have read", "as scan"),
    "ping": ("what transactions have read", "the lists that threads publish say so; each thread must answer a signal"),
    "interval": ("what some snapshot can see", "what was alive at the snapshot may be read, so it is kept; what was born later not"),
    "counted": ("what transactions have read", "a state without a holder is free, whoever sleeps"),
    "neutralise": ("a budget, by aborting", "who is in the way of the budget is aborted, and begins anew"),
    "urcu-memb": (NO_BOUND, "a grace period waits for every transaction"),
    "urcu-qsbr": (NO_BOUND, "as urcu-memb"),
    "leak": (NO_BOUND, "nothing is ever freed"),
}
# Replacement policies appear in no figure together with caches, so they may have the same colours.
POLICIES = by_name(
    System("adaptive", "window, probation, main queue; shares follow the ghosts: the default", "#0072b2", "#56b4f5", "o"),
    System("lru", "least recently used, which needs every hit", "#d55e00", "#ff8a45", "s"),
    System("clock", "second chances in a ring", "#e69f00", "#f5bb3d", "^"),
    System("s3-fifo", "as published, counters of every hit", "#009e73", "#35cfa3", "D"),
    System("sieve", "a hand over one queue", "#b0578d", "#e18fc0", "v"),
    System("min", "knows the future: the limit", "#5f6670", "#a3abb6", "x"),
)
# Execution models on a cache, as the publisher's experiment compares them.
MODELS = by_name(
    System("coroutines/shared", "coroutines on the loop, one cache", "#0072b2", "#56b4f5", "o"),
    System("fibers/shared", "fibers beside the loop, one cache", "#009e73", "#35cfa3", "D"),
    System("thread_pool/shared", "a pool of threads, one cache", "#e69f00", "#f5bb3d", "^"),
    System("pools/shared", "two pools, quick and slow, one cache", "#b0578d", "#e18fc0", "v"),
    System("coroutines/private", "coroutines, a cache for each transaction under way", "#5f6670", "#a3abb6", "P"),
    System("thread_pool/private", "a pool of threads, a cache each (ZServer, waitress)", "#d55e00", "#ff8a45", "s"),
    System("processes/private", "processes, a cache each (gunicorn)", "#333334", "#cccccd", "x"),
)
# Numbers of sessions, where a line is a number and not a cache: one hue from light to dark.
COUNTS = by_name(
    System("2 sessions", "", "#74a9cf", "#3f86b5", "o"),
    System("16 sessions", "", "#2b7bb0", "#7ab8e0", "s"),
    System("64 sessions", "", "#084a7d", "#c3e0f5", "D"),
)
# The read path with one part removed; shared, beside them, is the cache's own.
HIT_VARIANTS = by_name(
    System("no-log", "no read log", "#d55e00", "#ff8a45", "s"),
    System("no-visited", "no visited bit", "#e69f00", "#f5bb3d", "^"),
    System("no-interval", "no interval check", "#009e73", "#35cfa3", "D"),
    System("no-hint", "no hints", "#b0578d", "#e18fc0", "v"),
    System("no-decode", "no decoded values", "#5f6670", "#a3abb6", "P"),
)
# A value in one object or in pieces; a cache has its colour, lighter where the value is in pieces.
VALUES = by_name(
    System("shared/whole", "shared cache, the value in one object", "#0072b2", "#56b4f5", "o"),
    System("shared/pieces", "shared cache, pieces of 4 KiB", "#56b4e9", "#9ad4fb", "^"),
    System("private/whole", "private cache, the value in one object", "#d55e00", "#ff8a45", "s"),
    System("private/pieces", "private cache, pieces of 4 KiB", "#e69f00", "#f5bb3d", "D"),
)
# Other stores, and maps without snapshots, beside this cache.
PEERS = by_name(
    System("shared/by-oid", "this cache, by oid alone", "#56b4e9", "#9ad4fb", "P"),
    System("lmdb", "LMDB, zero copy", "#d55e00", "#ff8a45", "s"),
    System("wiredtiger", "WiredTiger, all in its cache", "#e69f00", "#f5bb3d", "^"),
    System("rocksdb", "RocksDB, all in its block cache", "#b0578d", "#e18fc0", "v"),
    System("map", "unordered_map of shared_ptr behind a shared_mutex", "#009e73", "#35cfa3", "D"),
    System("tbb", "tbb::concurrent_hash_map", "#5f6670", "#a3abb6", "x"),
)
# Workloads, where each dot is one: those that a model was fitted to, and those that it is judged on.
WORKLOADS = by_name(
    System("OO7 (fitted)", "", "#5f6670", "#a3abb6", "o"),
    System("YCSB A, C (fitted)", "", "#333334", "#cccccd", "s"),
    System("YCSB B, F", "", "#0072b2", "#56b4f5", "o"),
    System("YCSB D, E", "", "#56b4e9", "#9ad4fb", "P"),
    System("YCSB by memory", "", "#e69f00", "#f5bb3d", "^"),
    System("Smallbank", "", "#d55e00", "#ff8a45", "D"),
    System("WordNet", "", "#009e73", "#35cfa3", "v"),
    System("OO7 with users", "", "#b0578d", "#e18fc0", "X"),
    System("STMBench7", "", "#9c6500", "#cf9a3a", "p"),
    System("One thread", "", "#117733", "#6cc987", "<"),
)
# Levels of isolation beside the caches, which have snapshot isolation (blocking apart): the cache's colour, lighter.
LEVELS = by_name(
    System("shared/serializable", "the shared cache, what was read validated as well", "#56b4e9", "#9ad4fb", "P"),
)
# How long a store keeps its history.
HISTORIES = by_name(
    System("all", "history is kept for ever", "#d55e00", "#ff8a45", "s"),
    System("window", "for a while: packed up to then in the background", "#0072b2", "#56b4f5", "o"),
    System("present", "not at all: packed up to the present", "#009e73", "#35cfa3", "D"),
)
LOOKS = {**HISTORIES, **SYSTEMS, **LEVELS, **RECLAIMERS, **RULES, **SETTINGS, **POLICIES, **MODELS, **COUNTS, **HIT_VARIANTS, **VALUES, **PEERS,
         **WORKLOADS}
CACHES = ("shared", "private", "two-level", "locked", "blocking")


def in_order(names) -> list[str]:
    """Known systems in the order in which they stand above, unknown ones after them."""
    known = [name for name in LOOKS if name in names]
    return known + sorted(name for name in names if name not in LOOKS)


def look(name: str) -> System:
    return LOOKS.get(name, System(name, "", "#333334", "#cccccd", "*"))


def variable(system: System) -> str:
    """The CSS variable that holds its colour. Looks of the same colour share it: they are in no figure together."""
    return f"--key-{system.colour.lstrip('#')}"


def variables(dark: bool) -> str:
    """All of them, as CSS declarations."""
    colours = {variable(one): one.colour_dark if dark else one.colour for one in LOOKS.values()}
    return "".join(f"{name}:{colour};" for name, colour in colours.items())
