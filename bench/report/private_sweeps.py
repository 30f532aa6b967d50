"""The sweeps of the model of where private caches win: which workloads it is fitted to, and which it is judged on."""
from __future__ import annotations

from dataclasses import dataclass, replace

THREADS = 2
SECONDS, WARMUP = 0.4, 0.2  # there are many points; what their sessions take to get warm comes on top
MIB = 1 << 20


@dataclass(frozen=True)
class Workload:
    """What workload-profile counts once; sessions and memory are of the setting."""

    name: str
    arguments: tuple[str, ...]
    load_s: float  # to fill the store
    fill_s: float  # until a session has loaded most of what it reads
    own_sets: bool = False  # each thread has a part of the data that the sessions of others never use


@dataclass(frozen=True)
class Place:
    """One point of a sweep."""

    x: float
    workload: Workload
    sessions: int
    threads: int = THREADS
    memory: int | None = None  # of all caches together

    @property
    def warmup(self) -> float:
        return round(WARMUP + self.workload.fill_s * self.sessions / self.threads, 3)


@dataclass(frozen=True)
class Sweep:
    name: str
    family: str  # how the figure shows it
    axis: str
    places: tuple[Place, ...]
    fitted: bool = False
    logarithmic: bool = True


def ycsb(mix: str) -> Workload:
    return Workload(f"ycsb-{mix}", ("--workload", "ycsb", "--mix", mix, "--records", "10000"), 0.1, 0.01)


def oo7(operation: str, share: float) -> Workload:
    return Workload(f"oo7-{operation}-{share:g}", ("--workload", "oo7", "--operation", operation, "--write-share", f"{share:g}"), 0.2, 0.1)


def smallbank(hotspot: int) -> Workload:
    return Workload(f"smallbank-{hotspot}", ("--workload", "smallbank", "--customers", "10000", "--hotspot", str(hotspot),
                                             "--isolation-transactions", "0"), 0.1, 0.01)


def wordnet(share: float) -> Workload:
    return Workload(f"wordnet-{share:g}", ("--workload", "wordnet", "--write-share", f"{share:g}"), 1.5, 0.05)


def users(mix: str) -> Workload:
    return Workload(f"oo7-users-{mix.replace('/', '-')}", ("--workload", "oo7-users", "--mix", mix), 0.5, 0.1, own_sets=True)


def one_user(mix: str) -> Workload:
    """With one thread there is one user, and all sessions read the same."""
    return replace(users(mix), name=f"{users(mix).name}-1", own_sets=False)


def stmbench7(mix: str) -> Workload:
    return Workload(f"stmbench7-{mix}", ("--workload", "stmbench7", "--mix", mix, "--no-long-traversals", "--size", "small"), 0.25, 0.05)


def by_sessions(workload: Workload, *counts: int, threads: int = THREADS) -> tuple[Place, ...]:
    return tuple(Place(count, workload, count, threads) for count in counts)


def by_memory(workload: Workload, sessions: int, *sizes: float, threads: int = THREADS) -> tuple[Place, ...]:
    """In so many MiB for all caches together."""
    return tuple(Place(size, workload, sessions, threads, int(size * MIB)) for size in sizes)


def fitted(threads: int) -> tuple[Sweep, ...]:
    """The two whose costs are fitted, chosen before anything was judged. They move every count of the model apart from the others:
    OO7 follows references, has many small objects, repeats reads (T1) or hardly does (T6), and changes hundreds of objects in one
    transaction; YCSB looks up one large object at a time and changes it in every second transaction (A) or never (C). Both at
    several numbers of sessions, YCSB A also in little memory."""
    of = f"-{threads}t"
    return tuple(Sweep(name + of, family, axis, places, fitted=True) for name, family, axis, places in (
        ("oo7-T1", "OO7 (fitted)", "sessions", by_sessions(oo7("T1", 0), 2, 4, 16, threads=threads)),
        ("oo7-T6", "OO7 (fitted)", "sessions", by_sessions(oo7("T6", 0), 2, 4, 16, threads=threads)),
        ("oo7-T2a", "OO7 (fitted)", "sessions", by_sessions(oo7("T1", 0.1), 2, 4, 16, threads=threads)),
        ("ycsb-A", "YCSB A, C (fitted)", "sessions", by_sessions(ycsb("A"), 2, 4, 8, 16, 64, threads=threads)),
        ("ycsb-C", "YCSB A, C (fitted)", "sessions", by_sessions(ycsb("C"), 2, 8, 64, threads=threads)),
        ("ycsb-A-memory", "YCSB A, C (fitted)", "MiB", by_memory(ycsb("A"), 4, 1, 4, threads=threads))))


FITTED = (*fitted(1), *fitted(2))
SESSIONS = (2, 4, 8, 16, 64)
SHARES = (0, 0.05, 0.2, 1)
MIXES = ("read", "read-write", "write")
USERS = ("80/20/0/0", "60/20/15/5", "20/20/30/30")
FEW = (1, 2, 3, 4)
JUDGED = (
    *(Sweep(f"ycsb-{mix}", "YCSB B, F", "sessions", by_sessions(ycsb(mix), *SESSIONS)) for mix in "BF"),
    *(Sweep(f"ycsb-{mix}", "YCSB D, E", "sessions", by_sessions(ycsb(mix), 2, 8, 32)) for mix in "DE"),
    *(Sweep(f"ycsb-{mix}-memory", "YCSB by memory", "MiB", by_memory(ycsb(mix), 8, 0.5, 2, 8, 16)) for mix in "BF"),
    Sweep("smallbank", "Smallbank", "sessions", by_sessions(smallbank(0), *SESSIONS)),
    Sweep("smallbank-hotspot", "Smallbank", "customers", tuple(Place(hot or 10_000, smallbank(hot), 8) for hot in (10, 100, 1_000, 0))),
    *(Sweep(f"wordnet-{count}", "WordNet", "writes", tuple(Place(share, wordnet(share), count) for share in SHARES), logarithmic=False)
      for count in (2, 16)),
    *(Sweep(users(mix).name, "OO7 with users", "sessions", by_sessions(users(mix), 2, 4, 16))
      for mix in USERS),
    *(Sweep(f"stmbench7-{mix}", "STMBench7", "sessions", by_sessions(stmbench7(mix), 2, 8, 32)) for mix in MIXES),
    # One thread: nobody waits for anybody, and every session comes round in turn.
    *(Sweep(f"ycsb-{mix}-1t", "One thread", "sessions", by_sessions(ycsb(mix), *FEW, threads=1)) for mix in "DEF"),
    Sweep("ycsb-B-1t", "One thread", "sessions", by_sessions(ycsb("B"), *FEW, 8, 16, 64, threads=1)),
    *(Sweep(f"ycsb-{mix}-memory-1t", "One thread", "MiB", by_memory(ycsb(mix), 4, 0.5, 2, 8, 16, threads=1)) for mix in "BF"),
    Sweep("smallbank-1t", "One thread", "sessions", by_sessions(smallbank(0), *FEW, 8, 16, 64, threads=1)),
    Sweep("wordnet-2-1t", "One thread", "writes", tuple(Place(share, wordnet(share), 2, 1) for share in SHARES), logarithmic=False),
    *(Sweep(f"{users(mix).name}-1t", "One thread", "sessions", by_sessions(one_user(mix), 1, 2, 4, threads=1)) for mix in USERS),
    *(Sweep(f"stmbench7-{mix}-1t", "One thread", "sessions", by_sessions(stmbench7(mix), *FEW, 8, 32, threads=1)) for mix in MIXES),
)
SWEEPS = (*FITTED, *JUDGED)
# One thread alone, whose points are blind; up to four sessions, where it turns; WordNet at the ends.
PAPER_SWEEPS = (*fitted(1), *(replace(sweep, places=tuple(
    place for place in sweep.places if place.sessions in (1, 2, 4) and (sweep.axis != "writes" or place.x in (0, 1))))
    for sweep in JUDGED if sweep.places[0].threads == 1))
SMOKE_SWEEPS = tuple(replace(sweep, places=sweep.places[:1]) for sweep in SWEEPS if sweep.name in ("ycsb-A-2t", "ycsb-B"))


def workloads(sweeps: tuple[Sweep, ...]) -> list[Workload]:
    return list({place.workload.name: place.workload for sweep in sweeps for place in sweep.places}.values())
