"""Figures that others published, shown beside ours. Other machines, other years: for scale, never for a ratio."""
from __future__ import annotations

from . import catalogue

# https://zodbshootout.readthedocs.io/en/stable/results.html, "typical output of running zodbshootout with
# etc/sample.conf on a dual core, 2.1 GHz laptop": 1000 objects a transaction, objects per second.
ZODBSHOOTOUT_SOURCE = "zodbshootout's documentation, results.html: dual-core 2.1 GHz laptop, Python, 1,000 objects a transaction"
ZODBSHOOTOUT = {
    "RelStorage PostgreSQL": {"add": 6529, "update": 6754, "warm": 4969, "cold": 5041, "hot": 38132, "steamin": 4591465},
    "RelStorage MySQL": {"add": 10027, "update": 9012, "warm": 6147, "cold": 10554, "hot": 37286, "steamin": 4366792},
    "ZEO FileStorage": {"add": 5212, "update": 4393, "warm": 1960, "cold": 1920, "hot": 37723, "steamin": 4534382},
}

# Castro, Adya, Liskov, Myers: HAC: Hybrid Adaptive Caching for Distributed Storage Systems, SOSP 1997, table 3: hot
# traversals of OO7 against the same program in C++ without a database.
HAC_SOURCE = "HAC, SOSP 1997, table 3"
HAC_HOT_RATIOS = {"T1": 1.89, "T6": 1.48}
# The same table, seconds of T1 and milliseconds of T6 as shares of the C++ traversal (4.12 s, 6.05 ms):
# http://www.pmg.lcs.mit.edu/papers/hac-sosp97/node24.html. "total" is the whole traversal.
HAC_BREAKDOWN_SOURCE = HAC_SOURCE
HAC_BREAKDOWN = {
    "T1": {"Exception code": 0.86 / 4.12, "Concurrency control checks": 0.64 / 4.12, "Usage statistics": 0.53 / 4.12,
           "Residency and swizzling checks": (0.54 + 0.33) / 4.12, "Indirection": 0.75 / 4.12, "total": 7.77 / 4.12},
    "T6": {"Exception code": 0.81 / 6.05, "Concurrency control checks": 0.62 / 6.05, "Usage statistics": 0.85 / 6.05,
           "Residency and swizzling checks": (0.37 + 0.23) / 6.05, "Indirection": 0.00 / 6.05, "total": 8.93 / 6.05},
}

# By the name of the claim: to which experiment it belongs, and what others have published beside it. "" where we know of no
# figure that is about the same thing.
ZODB = "ZODB 5.8, measured for this project"
CLAIMS = {
    "chase": ("E3", "verlib, versioned pointers: throughput 5 to 26% below plain ones (PPoPP 2024)"),
    "oo7-raw": ("E2", "HAC (SOSP 1997, table 3): T1 1.89x, T6 1.48x of C++"),
    "oo7-raw-t1": ("E2", "HAC (SOSP 1997, table 3): T1 1.89x of C++"),
    "oo7-private": ("E2", ""),
    "oo7-fresh": ("E2", ""),
    "first-reads": ("E3", ""),
    "by-oid": ("E3", ""),
    "by-oid-million": ("E3", ""),
    "begin-end": ("E9", "xenium's epochs: 9.2 ns for the guard alone"),
    "two-threads": ("E2", "parlayhash, Zipf 0.99 reads, 16 threads / 1: 12.1x; TBB: 9.5x"),
    "memory-64": ("E1", f"{ZODB}: 692 B per object and connection, so 63 x the cache"),
    "cold-loads": ("E8", f"{ZODB}: one load per object and connection, so 8"),
    "statistics": ("E1", "ZODB's estimate is 2 to 3 times too low (ZODB issue 231)"),
    "object-bytes": ("E1", ""),
    "one-transaction": ("E1", ""),
    "sleeper-limbo": ("E6", "epochs: without bound; hazard pointers: some 60 objects"),
    "sleepers-limbo": ("E6", "epochs: without bound"),
    "sleeper-throughput": ("E6", ""),
    "oversubscribed": ("E12", "epochs, 90 threads on 72 cores: 0.5x (rusnikola/lfsmr, artifact of Hyaline, PLDI 2021)"),
    "open-transactions": ("E1", ""),
    "budget": ("E1", ""),
    "limbo-idle": ("E6", ""),
    "revisions": ("E1", ""),
    "commit-hot": ("E9", ""),
    "first-write": ("E5", ""),
    "commit-raw": ("E9", ""),
    "small-commit": ("E9", ""),
    "commit-behind-old": ("E9", ""),
    "orm-misses": ("E13", ""),
    "async-hit": ("E7", ""),
    "coroutines-memory": ("E7", ""),
    "littles-law": ("E7", "Little's law: 1x is the limit"),
    "sleepers-10k-limbo": ("E6", "epochs: without bound"),
    "publisher": ("E7", ""),
    "peers": ("E17", ""),
    "pack-online": ("E18", ""),
    "pack-speed": ("E18", ""),
    "pack-memory": ("E18", ""),
    "pack-space": ("E18", ""),
    "backup-online": ("E18", ""),
    "old-snapshot": ("E18", ""),
    "peer-warm": ("E19", ""),
    "peer-staleness": ("E19", ""),
    "peer-staleness-poll": ("E19", ""),
    "peer-commit": ("E19", ""),
    "peer-idle": ("E19", ""),
    "peer-history": ("E19", ""),
}


def experiment_of(claim: str) -> str:
    """Its number in the catalogue; "" for a claim that this table does not know."""
    return CLAIMS.get(claim, ("", ""))[0]


def question_of(claim: str) -> str:
    """The research question that it answers: the first of its experiment. "" for a claim that this table does not know."""
    number = experiment_of(claim)
    return catalogue.entry(number).questions[0] if number else ""


def place_of(claim: str) -> tuple[int, int, int]:
    """By question, then by experiment, then by this table; what it does not know comes last."""
    if claim not in CLAIMS:
        return len(catalogue.QUESTIONS), 0, 0
    numbers = [entry.number for entry in catalogue.ENTRIES]
    return list(catalogue.QUESTIONS).index(question_of(claim)), numbers.index(experiment_of(claim)), list(CLAIMS).index(claim)


def beside(claim: str) -> str:
    return CLAIMS.get(claim, ("", ""))[1]
