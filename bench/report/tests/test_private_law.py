"""The model of where private caches win: its closed forms against a simulation, its fit and crossovers where the answer is known."""
from __future__ import annotations

import random
import unittest
from collections import OrderedDict
from dataclasses import replace

from experiments.private_law import Law, PrivateLaw
from report import private_model, private_sweeps, sections
from report.model import FULL, SMOKE
from report.private_model import Group, Parameters, Point, Profile, Setting, crossings, fit, misses, predicted_ns
from report.private_sweeps import FITTED, JUDGED, SWEEPS

from .support import numbered, row

L2, L3 = 1 << 20, 32 << 20
TRUTH = Parameters((-15.0, -9.0, -0.4, -120.0, -35.0, 300.0, 250.0, 40.0, 0.1, 0.3))


def simulated_loads(objects: int, skew: float, writes: float, sessions: int, room: int | None, private: bool, seed: int) -> float:
    """Loads of an operation, one read each, of LRU caches that hear of each other's writes before they read."""
    dice = random.Random(seed)
    weights = [1 / (i + 1) ** skew for i in range(objects)]
    drawn = dice.choices(range(objects), weights, k=60_000)
    caches = [OrderedDict() for _ in range(sessions if private else 1)]
    limit = room // len(caches) if room else None
    loads = 0
    for number, key in enumerate(drawn):
        cache = caches[number % len(caches)]
        if key in cache:
            cache.move_to_end(key)
        else:
            loads += number >= len(drawn) // 2
            cache[key] = None
            if limit and len(cache) > limit:
                cache.popitem(last=False)
        if private and dice.random() < writes:
            for other in caches:
                if other is not cache:
                    other.pop(key, None)
    return loads / (len(drawn) - len(drawn) // 2)


def profile(objects: int, skew: float, writes: float, size: float = 100.0) -> Profile:
    weights = [1 / (i + 1) ** skew for i in range(objects)]
    groups = tuple(Group(1, w / sum(weights), writes * w / sum(weights), size, 1.0) for w in weights)
    return Profile(1, 1, 0, writes, writes, groups)


class MissesTest(unittest.TestCase):
    def test_against_a_simulation(self):
        # Sessions x memory x share of writes: cold ones, invalidated ones, evicted ones, and all three.
        for sessions, room, writes in ((1, None, 0), (8, None, 0), (8, None, 0.2), (2, None, 0.5), (8, 800, 0), (8, 800, 0.3), (4, 200, 0.05)):
            for private in (True, False):
                own = profile(1_000, 0.9, writes)
                setting = Setting(sessions, 1, None if room is None else room * 100.0, (0, 1), L2, L3)
                reached = (30_000 / sessions, 60_000 / sessions)
                computed = misses(own, setting, private, reached)[0]
                counted = simulated_loads(1_000, 0.9, writes, sessions, room, private, seed=sessions)
                self.assertAlmostEqual(computed, counted, delta=0.02 + 0.08 * counted, msg=f"{sessions} {room} {writes} {private}")

    def test_of_sets_that_nobody_else_uses_nothing_is_invalidated(self):
        common = profile(100, 0.9, 0.5)
        own = replace(common, groups=tuple(replace(g, share=0.25) for g in common.groups))
        setting = Setting(4, 4, None, (0, 1), L2, L3)
        self.assertLess(misses(own, setting, True, (1e7, 2e7))[0], 1e-3)
        self.assertGreater(misses(common, setting, True, (1e7, 2e7))[0], 0.3)

    def test_share_of_writes_alone_says_how_often_the_news_is_first(self):
        # Of (k - 1) w : p, whatever the popularity.
        for skew in (0.0, 0.6, 1.2):
            loads = misses(profile(50, skew, 0.25), Setting(5, 1, None, (0, 1), L2, L3), True, (1e8, 2e8))[0]
            self.assertAlmostEqual(loads, (4 * 0.25) / (1 + 4 * 0.25), places=3)


def simulated_lines(objects: int, room: int, copies: int, loop: bool, seed: int = 3) -> float:
    """The share of accesses that a cache of so many objects, which throws out random ones, does not hold; copies take turns."""
    dice = random.Random(seed)
    held, slots, missed = set(), [], 0
    total = 40 * objects * copies
    for number in range(total):
        turn, place = number % copies, number // copies
        key = (turn, place % objects if loop else dice.randrange(objects))
        if key in held:
            continue
        missed += number >= total // 2
        if len(slots) < room:
            slots.append(key)
        else:
            index = dice.randrange(room)
            held.discard(slots[index])
            slots[index] = key
        held.add(key)
    return missed / (total - total // 2)


class LinesTest(unittest.TestCase):
    def computed(self, objects: int, room: int, copies: int, loop: bool) -> float:
        chance = 1.0 if loop else 1 / 200
        own = Profile(1, objects * chance, 0, 0, 0, (Group(objects, chance, 0.0, 64, 1.0),))
        setting = Setting(copies, 1, None, (0, 1), room * 64, L3)
        return private_model.far_lines(own, setting, True, 1, setting.l2_bytes) / (objects * chance)

    def test_against_a_simulation(self):
        for loop in (True, False):
            for objects, room, copies in ((200, 250, 1), (200, 150, 1), (200, 100, 1), (200, 300, 4)):
                self.assertAlmostEqual(self.computed(objects, room, copies, loop), simulated_lines(objects, room, copies, loop), delta=0.07,
                                       msg=f"{loop} {room} {copies}")

    def test_one_cache_holds_what_copies_do_not(self):
        whole = profile(1_000, 0.0, 0, size=640.0)
        setting = Setting(64, 1, None, (0, 1), 2 << 20, L3)
        self.assertAlmostEqual(private_model.far_lines(whole, setting, False, 1, setting.l2_bytes), 0, places=6)
        self.assertGreater(private_model.far_lines(whole, setting, True, 1, setting.l2_bytes), 9)


class CrossingsTest(unittest.TestCase):
    def test_where_the_ratio_is_one(self):
        self.assertAlmostEqual(crossings({2: 2.0, 8: 0.5}, logarithmic=True)[0], 4)
        self.assertAlmostEqual(crossings({0: 2.0, 1: 0.5})[0], 0.5)
        self.assertEqual(crossings({2: 2.0, 8: 1.5}), [])
        self.assertEqual(len(crossings({1: 2.0, 2: 0.5, 3: 2.0})), 2)


# First reads, repeated ones, changed objects of a writing transaction, share of these, bytes of an object.
SHAPES = {"oo7-T1-0": (900, 1500, 0, 0.0, 200), "oo7-T6-0": (60, 5, 0, 0.0, 200), "oo7-T1-0.1": (900, 1500, 300, 0.1, 200),
          "ycsb-A": (5, 1, 1, 0.5, 1200), "ycsb-C": (5, 1, 0, 0.0, 1200)}


def profile_row(workload, operations: int = 1000) -> dict:
    dice = random.Random(workload.name)
    first, repeated, changed, writing, size = SHAPES.get(workload.name) or (
        dice.randint(4, 60), dice.randint(0, 100), dice.randint(1, 6), dice.uniform(0.02, 0.3), dice.choice((80, 300, 1200)))
    sessions = private_sweeps.THREADS if workload.own_sets else 1
    groups = [[200, first * operations // 2, int(changed * writing * operations), 200 * size, sessions],
              [9_000, first * operations - first * operations // 2, 0, 9_000 * size, sessions]]
    return row(0, PrivateLaw.name, "counted", {"workload": workload.name}, operations=operations, parameters={"sessions": sessions}, figures={
        "profile": {"transactions": operations, "first_reads": first * operations, "repeated_reads": repeated * operations,
                    "writing": int(writing * operations), "changed": int(changed * writing * operations), "created": 0,
                    "written_bytes": int(changed * writing * operations) * size, "l2_bytes": L2, "l3_bytes": L3, "groups": groups}})


def made_up_rows(truth: Parameters, sweeps=SWEEPS, repetitions: int = 3, noise: float = 0.0) -> list[dict]:
    """Rows of a world in which the model is true."""
    dice = random.Random(11)
    rows = [profile_row(one) for one in private_sweeps.workloads(sweeps)]
    profiles = {r["point"]["workload"]: Profile.of(r) for r in rows}
    for sweep in sweeps:
        for place in sweep.places:
            setting = Setting(place.sessions, place.threads, place.memory, (place.warmup, place.warmup + private_sweeps.SECONDS), L2, L3)
            own = profiles[place.workload.name]
            shared_ns = 300 + 60 * own.first + 2 * own.repeated + 900 * own.writing
            private_ns = predicted_ns(truth, own, setting, shared_ns)
            for system, ns in (("shared", shared_ns), ("private", private_ns)):
                for repetition in range(repetitions):
                    rows.append(row(0, PrivateLaw.name, system, {"sweep": sweep.name, "x": place.x}, operations=1000, repetition=repetition,
                                    operations_per_s=1e9 * place.threads / ns * (1 + noise * dice.uniform(-1, 1)),
                                    figures={"loads_without_warmup": 0})
                                | {"repetition": repetition})
    return numbered(rows)


class FitTest(unittest.TestCase):
    def test_the_two_workloads_tell_all_terms_apart(self):
        law = Law(made_up_rows(TRUTH))
        for one in law.found:
            wanted = one.measured.median
            self.assertAlmostEqual(one.predicted / wanted, 1, delta=0.1, msg=f"{one.sweep.name} {one.place.x}")

    def test_crossovers_are_found_where_they_are(self):
        crossed = Law(made_up_rows(TRUTH)).crossings()
        self.assertGreater(len(crossed), 8)
        for one in crossed:
            self.assertTrue(one.within, f"{one.sweep.name}: {one.measured} {one.predicted}")

    def test_noise_of_a_percent_moves_few_of_them(self):
        crossed = Law(made_up_rows(TRUTH, noise=0.01)).crossings()
        self.assertGreater(sum(one.within for one in crossed), len(crossed) * 2 / 3)

    def test_a_world_in_which_the_judged_behave_otherwise_is_a_miss(self):
        rows = made_up_rows(TRUTH)
        judged = {sweep.name for sweep in JUDGED}
        for one in rows:
            if one["system"] == "private" and one["point"].get("sweep") in judged:
                one["operations_per_s"] *= 1.5
        self.assertLess(sum(c.within for c in Law(rows).crossings()), len(Law(made_up_rows(TRUTH)).crossings()) / 2)

    def test_judged_rows_do_not_move_the_costs(self):
        rows = made_up_rows(TRUTH)
        fitted = {sweep.name for sweep in FITTED}
        before = Law(rows).parameters
        for one in rows:
            if one["system"] == "private" and one["point"].get("sweep") not in fitted:
                one["operations_per_s"] *= 3
        self.assertEqual(Law(rows).parameters, before)

    def test_costs_that_always_come_together_stay_as_small_as_expected(self):
        # Every operation commits and changes one object: what it costs may be either's.
        own = replace(profile(100, 0.9, 1.0), writing=1.0, written=1.0)
        setting = Setting(1, 1, None, (10, 20), L2, L3)
        found = fit([Point(own, setting, 1000.0, 1000.0 - saved) for saved in (95, 100, 105)])
        costs = dict(zip(private_model.TERMS, found.ns))
        for name in ("begin", "first", "commit", "change"):
            self.assertLess(abs(costs[name]), 2 * private_model.EXPECTED[name], name)
        self.assertAlmostEqual(predicted_ns(found, own, setting, 1000.0), 900, delta=30)

    def test_no_cost_is_below_zero_and_no_saving_above_it(self):
        setting = Setting(8, 2, None, (0.2, 0.6), L2, L3)
        own = profile(100, 0.9, 0.3)
        # A world in which more sessions, and so more loads and more news, make private caches faster.
        points = [Point(own, replace(setting, sessions=n), 1000.0, 1000.0 - 20 * n) for n in (2, 4, 8, 16, 32)]
        for name, cost in zip(private_model.TERMS, fit(points).ns):
            if name in private_model.COSTS:
                self.assertGreaterEqual(cost, 0)
            if name in private_model.SAVINGS:
                self.assertLessEqual(cost, 0)


class ReportTest(unittest.TestCase):
    def test_two_workloads_are_fitted_and_none_of_them_is_judged(self):
        fitted = {place.workload.name for sweep in FITTED for place in sweep.places}
        judged = {place.workload.name for sweep in JUDGED for place in sweep.places}
        self.assertFalse(fitted & judged)
        self.assertEqual({name.split("-")[0] for name in fitted}, {"oo7", "ycsb"})

    def test_shows_every_point_and_says_what_was_missed(self):
        rows = made_up_rows(TRUTH)
        for one in rows:
            if one["system"] == "private" and one["point"].get("sweep") == "smallbank":
                one["operations_per_s"] *= 2.5
        shown = next(s for s in sections.build([PrivateLaw()], rows, []) if s.name == PrivateLaw.name)
        tables = {table.caption: table for table in shown.tables}
        judged = next(table for caption, table in tables.items() if caption.endswith("judged"))
        self.assertEqual(len(judged.rows), sum(len(sweep.places) for sweep in JUDGED))
        self.assertRegex(shown.reading[0], r"^\d+ of \d+ crossovers are predicted within 20%\.$")
        self.assertTrue(any(line.startswith("Of ") for line in shown.reading))
        dots = [line for line in shown.figures[0].canvas.axes[0].containers]
        self.assertEqual(sum(len(container[0].get_xdata()) for container in dots), sum(len(sweep.places) for sweep in SWEEPS))

    def test_publishes_every_point_and_how_many_are_right(self):
        rows = made_up_rows(TRUTH)
        summaries = PrivateLaw.summaries(rows)
        self.assertEqual({count for _, _, _, count, _ in summaries}, {3})
        told = {name: value for name, _, value, _, _ in summaries}
        curves = [value for name, value in told.items() if name.startswith("points/")]
        self.assertEqual(sum(map(len, curves)), sum(len(sweep.places) for sweep in SWEEPS))
        self.assertEqual(told["law/points"], sum(len(sweep.places) for sweep in JUDGED))
        self.assertEqual(told["law/points"], told["law-one-thread/points"] + told["law-threads/points"])
        self.assertEqual(told["law/crossovers"], len(Law(rows).crossings()))
        self.assertLessEqual(told["law/crossovers-within"], told["law/crossovers"])

    def test_without_the_fitted_workloads_nothing_is_judged(self):
        rows = [r for r in made_up_rows(TRUTH) if r["point"].get("sweep", "ycsb-B") == "ycsb-B"]
        shown = next(s for s in sections.build([PrivateLaw()], rows, []) if s.name == PrivateLaw.name)
        self.assertRegex(shown.reading[0], "^Neither fitted nor judged")
        self.assertFalse(shown.tables)

    def test_a_smoke_run_fits_and_judges_as_well(self):
        names = {dict(job.point).get("sweep") for job in PrivateLaw().jobs(SMOKE)}
        self.assertTrue(names & {sweep.name for sweep in FITTED} and names & {sweep.name for sweep in JUDGED})
        self.assertGreater(len(PrivateLaw().jobs(FULL)), len(PrivateLaw().jobs(SMOKE)))


if __name__ == "__main__":
    unittest.main()
