"""Where private caches win, as a law: a model with the costs of two workloads, judged on all the others."""
from __future__ import annotations

import math
from dataclasses import dataclass

from report import private_model, scatter
from report.formats import ratio, significant
from report.intervals import Interval, paired_ratio
from report.model import Figure, Job, Section, Size, Sources, Table, point_of
from report.private_model import Parameters, Point, Profile, Setting
from report.private_sweeps import FITTED, JUDGED, PAPER_SWEEPS, SECONDS, SMOKE_SWEEPS, SWEEPS, THREADS, Place, Sweep, Workload, workloads

PROFILE_SECONDS = 1.0
WITHIN = 20 / 100  # the goal for a crossover
SAME = 1.02  # two ratios that are nearer to 1 than this do not say who is better


def run_job(sweep: Sweep, place: Place, system: str) -> Job:
    # The budget of private caches is one for each session.
    budget = 1 << 30 if place.memory is None else place.memory // (place.sessions if system == "private" else 1)
    return Job(PrivateLaw.name, system, (("sweep", sweep.name), ("x", place.x)), "experiment",
               ("run", *place.workload.arguments, "--cache", system, "--store", "memory", "--sessions", str(place.sessions), "--threads",
                str(place.threads), "--seconds", str(SECONDS), "--warmup", str(place.warmup), "--cache-bytes", str(budget), "--seed", "{seed}",
                "--repetition", "{repetition}", "--experiment", PrivateLaw.name, "--output", "{output}"),
               estimate_s=SECONDS + place.warmup + place.workload.load_s + 0.2)


def profile_job(workload: Workload) -> Job:
    count = str(THREADS if workload.own_sets else 1)
    return Job(PrivateLaw.name, "counted", (("workload", workload.name),), "workload-profile",
               ("run", *workload.arguments, "--store", "memory", "--sessions", count, "--threads", count, "--seconds",
                str(PROFILE_SECONDS), "--warmup", "0", "--seed", "{seed}", "--repetition", "{repetition}", "--experiment",
                PrivateLaw.name, "--output", "{output}"),
               estimate_s=PROFILE_SECONDS + 2 * workload.load_s + 0.2)


# Name, unit, value or curve, of how many processes a point at least, raw rows.
Summary = tuple[str, str, "float | tuple[tuple[float, float], ...]", int, tuple[str, ...]]


@dataclass
class Found:
    """A point that was measured, and what the model says about it."""

    sweep: Sweep
    place: Place
    measured: Interval  # throughput of private caches / that of the shared one
    by_repetition: dict[int, float]
    predicted: float
    loads: tuple[float, float]  # of an operation with private caches: predicted, counted
    ids: tuple[str, ...]


@dataclass
class Crossing:
    sweep: Sweep
    measured: float | None
    spread: Interval | None
    predicted: float | None

    @property
    def error(self) -> float | None:
        return None if self.measured is None or self.predicted is None else self.predicted / self.measured - 1

    @property
    def within(self) -> bool:
        return self.error is not None and abs(self.error) <= WITHIN


class Law:
    """The costs from the fitted workloads, and every point that was measured."""

    def __init__(self, rows: list[dict]):
        self.rows = rows
        self.profiles = {point_of(r)["workload"]: (Profile.of(r), r) for r in rows if r["system"] == "counted"}
        self.runs: dict[tuple[str, float, str], dict[int, dict]] = {}
        for row in rows:
            if row["system"] != "counted" and row.get("operations_per_s"):
                point = point_of(row)
                self.runs.setdefault((point["sweep"], point["x"], row["system"]), {})[row["repetition"]] = row
        points: dict[int, list[Point]] = {}
        for sweep in FITTED:
            for place in sweep.places:
                if (point := self.point(sweep, place)) is not None:
                    points.setdefault(place.threads, []).append(point)
        self.parameters: dict[int, Parameters] = {threads: private_model.fit(own) for threads, own in sorted(points.items())}
        self.found = [one for sweep in SWEEPS for place in sweep.places if (one := self.judge(sweep, place)) is not None]

    def of(self, sweep: Sweep, place: Place, system: str) -> dict[int, dict]:
        return self.runs.get((sweep.name, place.x, system), {})

    def both(self, sweep: Sweep, place: Place):
        """Profile, setting and the median times of an operation of a thread, shared and private; None unless all is there."""
        profiled = self.profiles.get(place.workload.name)
        one, own = self.of(sweep, place, "shared"), self.of(sweep, place, "private")
        if profiled is None or not one or not own:
            return None
        profile, row = profiled
        sizes = row["figures"]["profile"]
        setting = Setting(place.sessions, place.threads, place.memory, (place.warmup, place.warmup + SECONDS), sizes["l2_bytes"], sizes["l3_bytes"])
        times = [Interval.of([1e9 * place.threads / r["operations_per_s"] for r in side.values()]).median for side in (one, own)]
        return profile, setting, *times

    def point(self, sweep: Sweep, place: Place) -> Point | None:
        known = self.both(sweep, place)
        if known is None:
            return None
        profile, setting, shared_ns, private_ns = known
        return Point(profile, setting, shared_ns, private_ns)

    def judge(self, sweep: Sweep, place: Place) -> Found | None:
        known = self.both(sweep, place)
        if known is None or place.threads not in self.parameters:
            return None
        profile, setting, shared_ns, _ = known
        one, own = self.of(sweep, place, "shared"), self.of(sweep, place, "private")
        rates = [{n: r["operations_per_s"] for n, r in side.items()} for side in (own, one)]
        measured = paired_ratio(*rates)
        if measured is None:
            return None
        private_ns = private_model.predicted_ns(self.parameters[place.threads], profile, setting, shared_ns)
        loads = private_model.misses(profile, setting, True, private_model.ages(setting, private_ns))[0]
        counted = [r["figures"]["loads_without_warmup"] / r["operations"] for r in own.values() if r.get("operations")
                   and "loads_without_warmup" in r["figures"]]
        return Found(sweep, place, measured, {n: rates[0][n] / rates[1][n] for n in rates[0].keys() & rates[1].keys()},
                     shared_ns / private_ns, (loads, Interval.of(counted).median if counted else float("nan")),
                     tuple(r["id"] for side in (one, own) for r in side.values()))

    def crossings(self) -> list[Crossing]:
        """Of the judged sweeps: where one side begins to be better, measured or predicted; the first, should there be several."""
        crossed = []
        for sweep in JUDGED:
            own = [one for one in self.found if one.sweep is sweep]
            measured = private_model.crossings({one.place.x: one.measured.median for one in own}, sweep.logarithmic)
            predicted = private_model.crossings({one.place.x: one.predicted for one in own}, sweep.logarithmic)
            if not measured and not predicted:
                continue
            of_each = [private_model.crossings({one.place.x: one.by_repetition[n] for one in own}, sweep.logarithmic)
                       for n in sorted(set.intersection(*(set(one.by_repetition) for one in own)))]
            whole = of_each and all(of_each)
            crossed.append(Crossing(sweep, measured[0] if measured else None,
                                    Interval.of([each[0] for each in of_each]) if whole else None, predicted[0] if predicted else None))
        return crossed


class PrivateLaw:
    name = "private-law"
    title = "Where private caches win, as a law"
    question = "From the counts of a workload alone, where does a cache for each session become better than one for all, or worse?"
    method = ("A model of the time by which the two differ: first and repeated reads, misses, news of other sessions' commits, what a commit "
              "costs, and lines that the processor's caches do not hold (bench/report/private_model.py). Its costs are fitted to two workloads "
              "that were fixed beforehand, OO7 (T1, T6, and T1 with a tenth of T2a) and YCSB (A and C), and to nothing else; all others are "
              "predicted from what one session of them does, which is counted, and from what the shared cache takes. Two threads where nothing "
              f"else is said, the store in memory; sessions begin cold, and {SECONDS:g} s count once most are warm. A crossover is where the "
              "ratio is 1, on straight lines between the points, measured and predicted alike.")

    def jobs(self, size: Size) -> list[Job]:
        sweeps = size.choose(smoke=SMOKE_SWEEPS, paper=PAPER_SWEEPS, full=SWEEPS)
        runs = [run_job(sweep, place, system) for sweep in sweeps for place in sweep.places for system in ("shared", "private")]
        return [*map(profile_job, workloads(sweeps)), *runs]

    def present(self, rows: list[dict], section: Section) -> None:
        law = Law(rows)
        if not law.found:
            section.reading.append("Neither fitted nor judged: it needs counts and both caches' times of the fitted workloads.")
            return
        tables = [self.crossover_table(law), *self.point_tables(law), self.cost_table(law)]
        section.tables += [table for table in tables if table.rows]
        section.figures.append(figure(law.found))
        section.reading += self.sentences(law)

    @staticmethod
    def summaries(rows: list[dict]) -> list[Summary]:
        """For the paper: every point, as a curve of predicted over measured ratios for each sweep, and how many are right."""
        law = Law(rows)
        told = []
        for sweep in SWEEPS:
            own = [one for one in law.found if one.sweep is sweep]
            if own:
                told.append((f"points/{sweep.name}", "x", tuple((round(one.measured.median, 4), round(one.predicted, 4)) for one in own),
                             fewest(own), (f"{own[0].ids[0]} to {own[-1].ids[-1]}",)))
        crossed, judged = law.crossings(), [one for one in law.found if not one.sweep.fitted]
        if not judged:
            return told
        ids = (f"all {len(rows)} from {rows[0]['id']} to {rows[-1]['id']}",)
        for kind, threads in (("", None), ("-one-thread", 1), ("-threads", THREADS)):
            chosen = [one for one in judged if threads in (None, one.place.threads)]
            over = [c for c in crossed if threads in (None, c.sweep.places[0].threads)]
            off = sorted(abs(one.predicted / one.measured.median - 1) for one in chosen) or [0.0]
            numbers = {"crossovers": len(over), "crossovers-within": sum(c.within for c in over),
                       "crossovers-missed": sum(c.error is None for c in over), "points": len(chosen),
                       "points-within": sum(error <= WITHIN for error in off if chosen), "points-right": sum(map(right, chosen))}
            told += [(f"law{kind}/{name}", "count", float(value), fewest(chosen), ids) for name, value in numbers.items()]
            told += [(f"law{kind}/{name}", "%", 100 * value, fewest(chosen), ids)
                     for name, value in (("median-error", off[len(off) // 2]), ("worst-error", off[-1]))]
        return told

    @staticmethod
    def crossover_table(law: Law) -> Table:
        table = Table("Where one becomes better than the other", ["sweep", "measured", "predicted", "off by", f"within {WITHIN:.0%}", "rows"], [],
                      "Of the judged workloads; the first crossover of a sweep, should there be several. In sweeps that are not "
                      "here neither measurement nor model has one.")
        for one in law.crossings():
            ids = tuple(i for found in law.found if found.sweep is one.sweep for i in found.ids)
            table.rows.append([f"{one.sweep.name}, {one.sweep.axis}", shown(one.measured, one.spread), shown(one.predicted),
                               "-" if one.error is None else f"{one.error:+.0%}", "yes" if one.within else "no", Sources(ids)])
        return table

    @staticmethod
    def point_tables(law: Law) -> list[Table]:
        tables = []
        for about, fitted in (("judged", False), ("fitted", True)):
            table = Table(f"Throughput of private caches divided by that of the shared one: {about}",
                          ["sweep", "at", "measured", "predicted", "off by", "loads predicted", "loads counted", "rows"], [],
                          "Above 1 private caches are better. Loads: from the store, an operation, with private caches.")
            for one in law.found:
                if one.sweep.fitted == fitted:
                    table.rows.append([one.sweep.name, f"{one.place.x:g} {one.sweep.axis}", ratio(one.measured), f"{one.predicted:.2f}",
                                       f"{one.predicted / one.measured.median - 1:+.0%}", significant(one.loads[0]),
                                       significant(one.loads[1]), Sources(one.ids)])
            tables.append(table)
        return tables

    @staticmethod
    def cost_table(law: Law) -> Table:
        ids = tuple(i for one in law.found if one.sweep.fitted for i in one.ids)
        return Table("What the model was fitted to say, private less shared, in ns", ["term", *map(threads_of, law.parameters), "rows"],
                     [[f"{term}: {MEANING[term]}", *(significant(own.ns[index]) for own in law.parameters.values()), Sources(ids)]
                      for index, term in enumerate(private_model.TERMS)]
                     + [["share of the last-level cache", *(f"{own.l3_share:g}" for own in law.parameters.values()), Sources(ids)]],
                     "Below zero a private cache saves that much. Terms that the two workloads tell apart badly share what they cost.")

    @staticmethod
    def sentences(law: Law) -> list[str]:
        judged = [one for one in law.found if not one.sweep.fitted]
        crossed = law.crossings()
        told = [f"{sum(c.within for c in crossed)} of {len(crossed)} crossovers are predicted within {WITHIN:.0%}."]
        for c in crossed:
            if c.within:
                continue
            if c.error is None:
                side = "measured, not predicted" if c.predicted is None else "predicted, not measured"
                told.append(f"{c.sweep.name}: a crossover at {shown(c.measured or c.predicted)} {c.sweep.axis} is {side}.")
            else:
                told.append(f"{c.sweep.name}: crossover at {shown(c.measured)} {c.sweep.axis}, predicted at {shown(c.predicted)}.")
        if judged:
            off = sorted(abs(one.predicted / one.measured.median - 1) for one in judged)
            told.append(f"Of {len(judged)} judged points {sum(e <= WITHIN for e in off)} are within {WITHIN:.0%}, half of them within "
                        f"{off[len(off) // 2]:.0%}, the worst is {off[-1]:.0%} off; who is better is right at {sum(map(right, judged))}.")
        return told


MEANING = {
    "begin": "a transaction", "first": "an object that it reads", "repeated": "a read of it again", "commit": "a transaction that writes",
    "change": "an object that it writes",
    "load": "an object loaded", "decode": "a kilobyte of them", "notice": "a change by another session",
    "L2": "a line beyond the second-level cache", "L3": "a line beyond the last-level cache",
}


def threads_of(count: int) -> str:
    return "one thread" if count == 1 else f"{count} threads"


def shown(at: float | None, spread: Interval | None = None) -> str:
    if at is None:
        return "none"
    if spread is None or spread.low is None:
        return significant(at, 2)
    return f"{significant(at, 2)} ({significant(spread.low, 2)} to {significant(spread.high, 2)})"


def fewest(found: list[Found]) -> int:
    return min((one.measured.count for one in found), default=0)


def right(one: Found) -> bool:
    """The model names the better one, or both say that it matters little."""
    return (one.measured.median > 1) == (one.predicted > 1) or max(abs(math.log(one.measured.median)),
                                                                   abs(math.log(one.predicted))) < math.log(SAME)


def clouds(points: list[tuple[Sweep, Interval, float]]) -> list[scatter.Cloud]:
    """A cloud for each family of sweeps: what was measured and predicted."""
    made = {sweep.family: scatter.Cloud(sweep.family, hollow=sweep.fitted) for sweep in SWEEPS}
    for sweep, measured, predicted in points:
        made[sweep.family].points.append((measured, predicted))
    return [cloud for cloud in made.values() if cloud.points]


def figure(found: list[Found]) -> Figure:
    drawn = clouds([(one.sweep, one.measured, one.predicted) for one in found])
    return Figure(PrivateLaw.name, "Throughput of private caches divided by that of the shared one: predicted against measured, every point. "
                  f"Dotted: {WITHIN:.0%} to either side; above 1 private caches are better. Hollow: what the model was fitted to.",
                  "Scatter plot on logarithmic axes: the predicted ratio against the measured one, a marker for each workload.",
                  scatter.scatter("Private / shared: predicted and measured", "measured", "predicted", drawn, WITHIN))
