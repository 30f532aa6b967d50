"""Where private caches win: what a transaction takes with a cache for each session, less what it takes with one cache for all.

What both do alike cancels out, so the model is of the difference. It is linear in counts of what differs:

    D = begin N + first F + repeated R + commit X + change W + load dM + decode dB + notice I + L2 dH2 + L3 dH3    (ns per operation)

N: transactions; F, R: objects that they read, and reads of one that they have read already; X: of them, those that commit changes;
W: objects that these write. They are counted once, in one session for each set of data (`workload-profile`). The others follow
from the setting, by the closed forms below, d meaning private less shared: M, B: loads from the store, and their kilobytes; I: changes
of other sessions that a begin learns of; H2, H3: lines that the processor's caches do not hold. Threads wait for each other where
they commit and where they load, which no count tells: the ten costs are those of a number of threads.

A session reads an object p times an operation, the others write it v times in that time, all at random. A copy is there if the session
has read it since the last write by another, and within the last tau operations, tau being what its memory reaches back; at an age
of t operations, the session has had no more than these. Of two such streams a read is the latest event, and within x, with
probability p / (p + v) (1 - exp(-(p + v) x)), so that a private cache misses

    M = sum of p (1 - p / (p + v) (1 - exp(-(p + v) min(t, tau))))       over the objects that the session uses.

Here v = (k - 1) w if k sessions use the object and each writes it w times an operation. For the one cache v = 0, since it keeps what was
committed, the clock is that of all sessions, and the memory is all of it. tau makes the expected bytes equal the memory: Che, Tung and
Wang, Hierarchical Web Caching Systems, JSAC 2002.

The copies of all sessions that a core serves, or all cores, pass through a processor's caches, so each session has its part of
them; what these throw out is taken for random, as Gelenbe, A Unified Approach to the Evaluation of a Class of Replacement Algorithms,
IEEE Transactions on Computers 1973, and a loop that does not fit is held in part. How much of the last-level cache there really is
(other machines use it, page tables too) is an eleventh parameter, a share out of L3_SHARES. The fit begins with what each cost may be
expected to be (EXPECTED), so that two that hardly move apart do not grow large with opposite signs: least squares of errors and of
costs alike, each in its own unit.

Left out: conflicts and what is done again, popularities that move, other policies than LRU, and all that the two do alike.
"""
from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import Callable, Sequence

TERMS = ("begin", "first", "repeated", "commit", "change", "load", "decode", "notice", "L2", "L3")
# What cannot be below zero: that a private cache saves time by a miss, by news, or by lines that are not there. And what cannot be
# above it: that it takes longer to log nothing, and to copy nothing.
COSTS = ("load", "decode", "notice", "L2", "L3")
SAVINGS = ("first", "change")
LINE_BYTES = 64
L3_SHARES = (0.25, 0.375, 0.5, 0.75, 1.0)
# How large each may be expected to be, in ns, before anything is fitted: orders of magnitude, of what the caches count in instructions
# and of what memory takes. A cost that the two workloads tell apart badly stays as small as that; NOISE is what a time is off by, at random.
EXPECTED = {"begin": 50, "first": 10, "repeated": 2, "commit": 500, "change": 200, "load": 1000, "decode": 1000, "notice": 50, "L2": 5,
            "L3": 20}
NOISE = 0.1


@dataclass(frozen=True)
class Group:
    """Objects that are used alike, as workload-profile counts them."""

    objects: float  # of all sessions
    reads: float  # first ones, of one object, an operation of a session that uses it
    writes: float  # likewise
    bytes: float  # of one
    share: float  # of the sessions that use it


@dataclass(frozen=True)
class Profile:
    transactions: float  # an operation, like all that follows
    first: float
    repeated: float
    writing: float
    written: float
    groups: tuple[Group, ...]

    @staticmethod
    def of(row: dict) -> "Profile":
        """Of a row of workload-profile. REQUIRES: it ran without a warm-up."""
        counts, operations, sessions = row["figures"]["profile"], row["operations"], row["parameters"]["sessions"]
        groups = []
        for objects, reads, writes, size, readers in counts["groups"]:
            share = readers / sessions
            groups.append(Group(objects, reads / objects / share / operations, writes / objects / share / operations, size / objects, share))
        return Profile(counts["transactions"] / operations, counts["first_reads"] / operations, counts["repeated_reads"] / operations,
                       counts["writing"] / operations, (counts["changed"] + counts["created"]) / operations,
                       tuple(groups))


@dataclass(frozen=True)
class Setting:
    sessions: int
    threads: int
    memory: float | None  # bytes of all caches together; None: as much as they want
    seconds: tuple[float, float]  # since the sessions were opened with nothing cached: between which operations count
    l2_bytes: float  # of a core
    l3_bytes: float  # of all cores

    def with_l3(self, share: float) -> "Setting":
        return replace(self, l3_bytes=self.l3_bytes * share)


def reach(held: Callable[[float], float], memory: float | None) -> float:
    """The age at which what is held is as large as the memory."""
    if memory is None or held(1e15) <= memory:
        return math.inf
    low, high = 0.0, 1.0
    while held(high) < memory and high < 1e15:
        high *= 2
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if held(middle) < memory else (low, middle)
    return (low + high) / 2


def seen(rate: float, x: float) -> float:
    """The chance that something of that rate has happened within x."""
    return -math.expm1(-rate * x) if rate > 0 else 0.0


def mean_seen(rate: float, first: float, last: float, limit: float) -> float:
    """That chance within min(t, limit), in the mean over ages t from first to last."""
    if limit <= first or rate <= 0:
        return seen(rate, limit)
    if last <= first:
        return seen(rate, min(first, limit))
    if limit < last:
        inside = mean_seen(rate, first, limit, math.inf)
        return (inside * (limit - first) + seen(rate, limit) * (last - limit)) / (last - first)
    return 1 - (math.exp(-rate * first) - math.exp(-rate * last)) / (rate * (last - first))


def misses(profile: Profile, setting: Setting, private: bool, reached: tuple[float, float]) -> tuple[float, float]:
    """Loads of an operation, and their kilobytes. reached: operations of one session, between which this is the mean."""
    count = setting.sessions
    if private:
        parts = [(g.objects * g.share, g, g.reads, max(0.0, g.share * count - 1) * g.writes) for g in profile.groups]
        memory, scale = (None if setting.memory is None else setting.memory / count), 1.0
    else:
        # On the clock of all operations a session has one of `count`, and an object is used by a share of them.
        parts = [(g.objects, g, g.reads * g.share, 0.0) for g in profile.groups]
        memory, scale = setting.memory, float(count)
    limit = reach(lambda age: sum(n * g.bytes * p / (p + v) * seen(p + v, age) for n, g, p, v in parts), memory)
    loads = kilobytes = 0.0
    for n, g, p, v in parts:
        there = p / (p + v) * mean_seen(p + v, reached[0] * scale, reached[1] * scale, limit)
        loads += n * p * (1 - there)
        kilobytes += n * p * (1 - there) * g.bytes / 1e3
    return loads, kilobytes


def returned(chance: float, residence: float) -> float:
    """The chance that what was read is still there when it is read again, in operations of which so many read it, once each."""
    if residence == math.inf:
        return 1.0
    kept = math.exp(-1 / residence) if residence > 0 else 0.0
    return chance * kept / (1 - (1 - chance) * kept)


def far_lines(profile: Profile, setting: Setting, private: bool, cores: int, capacity: float) -> float:
    """Lines of first reads of an operation that the caches of so many cores, together so large, do not hold.

    Private copies divide the capacity by the sessions that these cores serve. What a processor's cache throws out is taken for random: a
    line stays for a time that is exponential about some mean, which fills the cache. So a loop that does not fit is held in part."""
    if private:
        capacity /= max(1.0, setting.sessions * cores / setting.threads)
    # Sets that not all sessions use are those of a thread's sessions: more cores than one have more of them.
    alone = private or cores == 1
    parts = [(g.objects * (g.share if alone else 1.0), g, min(1.0, g.reads * (1.0 if alone else g.share))) for g in profile.groups]
    residence = reach(lambda mean: sum(n * g.bytes * min(1.0, mean * p * (1 - returned(p, mean))) for n, g, p in parts), capacity)
    return sum(n * p * math.ceil(g.bytes / LINE_BYTES) * (1 - returned(p, residence)) for n, g, p in parts)


def ages(setting: Setting, operation_ns: float) -> tuple[float, float]:
    """How many operations a session has behind it, from when to when they count; operation_ns: of a thread."""
    first, last = (s * 1e9 / operation_ns * setting.threads / setting.sessions for s in setting.seconds)
    return first, last


def counts(profile: Profile, setting: Setting, operation_ns: float) -> list[float]:
    """What the terms are multiplied by."""
    reached = ages(setting, operation_ns)
    own, one = misses(profile, setting, True, reached), misses(profile, setting, False, reached)
    far = [far_lines(profile, setting, True, cores, size) - far_lines(profile, setting, False, cores, size)
           for cores, size in ((1, setting.l2_bytes), (setting.threads, setting.l3_bytes))]
    return [profile.transactions, profile.first, profile.repeated, profile.writing, profile.written, own[0] - one[0], own[1] - one[1],
            (setting.sessions - 1) * profile.written, *far]


@dataclass(frozen=True)
class Parameters:
    """Nanoseconds of each term, and the share of the last-level cache that is there."""

    ns: tuple[float, ...]
    l3_share: float = 1.0

    def difference_ns(self, counted: Sequence[float]) -> float:
        return sum(cost * count for cost, count in zip(self.ns, counted))


@dataclass(frozen=True)
class Point:
    """One to be fitted: what was counted, and what was measured, in ns an operation of a thread."""

    profile: Profile
    setting: Setting
    shared_ns: float
    private_ns: float


def fit(points: Sequence[Point]) -> Parameters:
    """Least squares of what each time with private caches is off by, relatively, for that share of the last-level cache which leaves the
    least."""
    found = [best_costs(points, share) for share in L3_SHARES]
    return min(found, key=lambda one: one[0])[1]


def best_costs(points: Sequence[Point], share: float) -> tuple[float, Parameters]:
    """What is left, and the costs, COSTS and SAVINGS on their side of zero: of all choices of those that are zero, the best one that leaves
    the others there."""
    import numpy

    counted = [counts(point.profile, point.setting.with_l3(share), point.private_ns) for point in points]
    rows = numpy.array([[count / point.private_ns for count in own] for point, own in zip(points, counted)])
    wanted = numpy.array([1 - point.shared_ns / point.private_ns for point in points])
    scale = numpy.array([EXPECTED[name] for name in TERMS], dtype=float)
    damped = numpy.vstack([rows * scale / NOISE, numpy.eye(len(TERMS))])
    target = numpy.concatenate([wanted / NOISE, numpy.zeros(len(TERMS))])
    best, values = math.inf, numpy.zeros(len(TERMS))
    sides = {name: 1 for name in COSTS} | {name: -1 for name in SAVINGS}
    for dropped in itertools.product((False, True), repeat=len(sides)):
        absent = {name for name, drop in zip(sides, dropped) if drop}
        kept = [index for index, name in enumerate(TERMS) if name not in absent]
        found = numpy.zeros(len(TERMS))
        found[kept] = numpy.linalg.lstsq(damped[:, kept], target, rcond=None)[0]
        error = float(((damped @ found - target) ** 2).sum())
        if error < best and all(side * found[TERMS.index(name)] >= 0 for name, side in sides.items()):
            best, values = error, found
    return best, Parameters(tuple(float(value) for value in values * scale), share)


def predicted_ns(parameters: Parameters, profile: Profile, setting: Setting, shared_ns: float) -> float:
    """What an operation takes with private caches. How warm these are depends on it, so it is looked for until it stands."""
    guess, setting = shared_ns, setting.with_l3(parameters.l3_share)
    for _ in range(30):
        better = shared_ns + parameters.difference_ns(counts(profile, setting, guess))
        better = max(better, 0.05 * shared_ns)
        if abs(better - guess) < 1e-4 * guess:
            return better
        guess = math.sqrt(better * guess)
    return guess


def crossings(ratios: dict[float, float], logarithmic: bool = False) -> list[float]:
    """Where the ratio is 1, on straight lines between its logarithms at the points; `logarithmic`: and between those of x."""
    found = []
    xs = sorted(ratios)
    place, back = (math.log, math.exp) if logarithmic else (float, float)
    for before, after in zip(xs, xs[1:]):
        low, high = math.log(ratios[before]), math.log(ratios[after])
        if low * high < 0:
            found.append(back(place(before) + (place(after) - place(before)) * low / (low - high)))
    return found
