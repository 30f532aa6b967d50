"""What single experiments make of rows: where private caches win, extrapolation, Little's law, and the order of runs."""
import random
import re
import unittest
from pathlib import Path

import experiments
from report import microbenchmarks, plan, sections
from experiments.memory import COUNTS, Memory, extrapolated
from experiments.write_share import WriteShare
from report.intervals import Interval
from report.model import FULL, SIZES, Job
from report.runner import Runner
from report.systems import BOUNDS, RECLAIMERS

from .support import numbered, row

BUILT = list(experiments.ALL)


def present(name: str, rows: list[dict]):
    return next(s for s in sections.build(BUILT, numbered(rows), []) if s.name == name)


def one(value: float) -> Interval:
    return Interval(value, None, None, 1)


class MemoryTest(unittest.TestCase):
    def test_extrapolates_along_the_line_and_only_beyond_what_was_measured(self):
        beyond = extrapolated({1: one(100.0), 4: one(400.0), 16: one(1600.0)}, [1, 4, 16, 64, 4096])
        self.assertEqual({n: value.median for n, value in beyond.items()}, {64: 6400.0, 4096: 409600.0})
        self.assertEqual(extrapolated({16: one(5.0)}, [64]), {})

    def test_what_is_extrapolated_says_so_and_shared_is_not(self):
        rows = [row(0, "memory", system, {"sessions": n}, rss_bytes=bytes_, rss_before_bytes=0) for system, n, bytes_ in (
            ("shared", 1, 100 << 20), ("shared", 16, 100 << 20), ("private", 1, 100 << 20), ("private", 16, 1600 << 20))]
        shown = present("memory", rows)
        last = next(r for r in shown.tables[0].rows if r[0] == "4,096")
        self.assertEqual(last[1:3], ["not measured", "400 GiB (extrapolated)"])
        self.assertIn("extrapolated", shown.figures[0].caption)
        self.assertEqual(last[-1].ids, ())

    def test_asks_for_no_more_than_the_machine_has(self):
        for size in SIZES.values():
            self.assertLessEqual(Memory.most("private", size), 64)
        self.assertEqual(Memory.most("shared", FULL), COUNTS[-1])


class WriteShareTest(unittest.TestCase):
    def rows(self, rates):
        return [row(0, "throughput-writes", system, {"write_share": share, "sessions": 16}, operations_per_s=rate, operations=10,
                    aborts=0, p99_ns=10) for system, by_share in rates.items() for share, rate in by_share.items()]

    def test_finds_where_the_lines_cross(self):
        self.assertEqual(WriteShare().crossing({0: 1.5, 0.5: 0.5}), "shared is better from about 25% writes on.")
        self.assertEqual(WriteShare().crossing({0: 0.5, 1: 1.5}), "private is better from about 50% writes on.")
        self.assertIn("shared is better at every share", WriteShare().crossing({0: 0.5, 1: 0.9}))
        self.assertIn("private is better at every share", WriteShare().crossing({0: 1.5, 1: 1.1}))

    def test_says_where_private_wins(self):
        shown = present("throughput-writes", self.rows({"shared": {0: 100.0, 1: 100.0}, "private": {0: 200.0, 1: 50.0}}))
        self.assertIn("16 sessions: shared is better from about 67% writes on.", shown.reading)
        self.assertEqual([r[1] for r in shown.tables[0].rows], ["2.00", "0.50"])


class EqualMemoryTest(unittest.TestCase):
    def test_names_the_points_at_which_private_caches_hit_more(self):
        rows = [row(0, "equal-memory", "caches", {"sequence": "zipf", "objects": "disjoint", "sessions": n, "capacity": 0.2},
                    figures={"hit_ratio": {p: {"shared": 0.5, "private": private} for p in ("adaptive", "lru")}})
                for n, private in ((1, 0.5), (16, 0.6), (256, 0.4))]
        shown = present("equal-memory", rows)
        self.assertEqual([b.where for b in shown.better], ["Zipf 0.99; each session reads objects of its own, 16 sessions"])
        self.assertEqual([r[1:3] for r in shown.tables[0].rows], [["0.5000", "0.5000"], ["0.5000", "0.6000"], ["0.5000", "0.4000"]])


class SleepersTest(unittest.TestCase):
    def test_both_figures_over_time(self):
        rows = [row(0, "sleepers", system, {"sleepers": 1, "threads": 2}, limbo_over_time=[[0.0, 10], [1.0, 5000]],
                    p99_over_time=[[0.5, 2000], [1.5, 3000]], limbo_bytes=5000, p99_ns=2500, p999_ns=9000, operations_per_s=5.0)
                for system in ("hybrid", "epochs")]
        shown = present("sleepers", rows)
        self.assertEqual([f.name for f in shown.figures], ["limbo-over-time", "tails-over-time"])
        drawn = shown.figures[1].canvas.axes[0].lines[0]
        self.assertEqual(list(drawn.get_ydata()), [2.0, 3.0])  # in microseconds


class PinnedVersionsTest(unittest.TestCase):
    def test_counts_and_runs_stand_in_tables_of_their_own(self):
        def at(kind: str, sleepers: int) -> dict:
            return {"kind": kind, "updates": "uniform", "sleepers": sleepers}
        rows = [row(0, "pinned-versions", system, at("counted", n), figures={"superseded": n * factor, "newest": 0})
                for system, factor in (("epochs", 1_000), ("hybrid", 7)) for n in (1, 100)]
        rows += [row(0, "pinned-versions", "hybrid", at("run", 100), figures={
            "pinned": 700, "pinned_bytes": 33_600, "aborted": 0, "rereads": 5_000, "wrong": 0, "ns_per_hit": 3.0, "ns_per_reread": 900.0,
            "records_loaded": 4_000, "ns_per_update": 1_500.0})]
        shown = present("pinned-versions", rows)
        counted, run = shown.tables
        self.assertEqual([r[:3] for r in counted.rows], [["1", "7", "1,000"], ["100", "700", "100,000"]])
        self.assertEqual([r[:3] for r in run.rows], [["100", "hybrid", "700"]])
        self.assertEqual([f.name for f in shown.figures], ["pinned-versions-uniform"])


class ReclamationTimeTest(unittest.TestCase):
    def rows(self):
        def made(system: str, kind: str, sleepers: int, ns: float, **more) -> dict:
            return row(0, "reclamation-time", system, {"sleepers": sleepers, "sleepers_are": kind}, p50_ns=9_000, p999_ns=10 * ns, figures={
                "looks": 150, "reclamation_p50_ns": ns / 2, "reclamation_p99_ns": 2 * ns, "reclamation_max_ns": 3 * ns, "budget_ns": ns,
                "commit_max_ns": 11 * ns, "aborted": 0, **more})
        return [made("ping", "threads", n, 1_000 * n) for n in (1, 100)] + [made("ping", "transactions", n, 70.0 * n) for n in (1, 100)] + [
            made("hybrid", "transactions", n, 2_000, first_total_ns=9e6, first_longest_ns=1e6, first_looks=17) for n in (1, 100)]

    def test_ping_is_drawn_beside_threads_and_the_others_beside_transactions(self):
        shown = present("reclamation-time", self.rows())
        self.assertEqual([f.name for f in shown.figures], ["reclamation-time", "commit-tails"])
        drawn = {part.get_label(): list(part.lines[0].get_ydata()) for part in shown.figures[0].canvas.axes[0].containers}
        self.assertEqual(drawn, {"hybrid": [2.0, 2.0], "ping": [1.0, 100.0]})
        self.assertEqual(shown.reading, [
            "In µs, with 1 and with 100 sleepers, 64 KiB of garbage take a scheme, and commits at the 99.9th percentile: hybrid 2.00 and 2.00, "
            "commits 20.0 and 20.0; ping 1.00 and 100, commits 10.0 and 1,000."])
        few = present("reclamation-time", [r for r in self.rows() if r["point"]["sleepers"] == 100])
        self.assertEqual(few.reading, ["In µs, with 100 sleepers, 64 KiB of garbage take a scheme, and commits at the 99.9th percentile: hybrid "
                                       "2.00, commits 20.0; ping 100, commits 1,000."])

    def test_kinds_have_tables_of_their_own_and_what_it_costs_at_first_another(self):
        without, threads, first = present("reclamation-time", self.rows()).tables
        self.assertEqual([r[:2] for r in without.rows], [["1", "hybrid"], ["1", "ping"], ["100", "hybrid"], ["100", "ping"]])
        self.assertEqual([r[:2] for r in threads.rows], [["1", "ping"], ["100", "ping"]])
        self.assertEqual([r[:5] for r in first.rows], [[n, "transactions", "hybrid", "parked", "17"] for n in ("1", "100")])
        self.assertEqual([r[5:7] for r in first.rows], [["9.00", "1.00"]] * 2)


class StoppedThreadTest(unittest.TestCase):
    def test_says_who_stops_writers(self):
        rows = [row(0, "stopped-thread", system, {"stopped": stopped}, over_time=[[0.0, 10, 0], [1.0, 20, 500]], figures={
            "commits_per_s_before": 500.0, "commits_meanwhile": 40, "last_commit_s": 0.1, "late_commits_per_s": late, "commits_per_s_after": 510.0,
            "longest_commit_ms": 900.0, "reads_per_s_before": 1e6, "reads_per_s_meanwhile": 2e6, "limbo_bytes_before": 1 << 19,
            "limbo_bytes_meanwhile": 3 << 18}) for system, stopped, late in
            (("hybrid", "scanner", 0), ("scan", "scanner", 480), ("hybrid", "reader", 490), ("ping", "reader", 0))]
        shown = present("stopped-thread", rows)
        self.assertEqual(shown.reading, ["A thread stopped in a scan, between two logs: hybrid stops writers; scan lets them commit 480/s.",
                                         "A thread stopped in a read: hybrid lets them commit 490/s; ping stops writers."])
        self.assertEqual([f.name for f in shown.figures], ["commits-over-time-scanner-stopped", "commits-over-time-reader-stopped"])
        self.assertEqual([r[:2] for r in shown.tables[0].rows], [["in a scan, between two logs", "hybrid"], ["in a scan, between two logs", "scan"],
                                                                 ["in a read", "hybrid"], ["in a read", "ping"]])
        self.assertEqual(shown.tables[0].rows[0][10:12], ["512 KiB", "768 KiB"])


class RetentionTest(unittest.TestCase):
    def test_says_what_history_takes(self):
        rows = [row(0, "retention", system, {"commits": 1_000}, operations_per_s=rate, p999_ns=5_000, over_time=[[0.0, 0, 1 << 20], [1.0, 900, most]],
                    figures={"most_bytes": most, "bytes_at_end": most // 2, "live_bytes": 1 << 20, "packs": packs, "tids_kept": 7})
                for system, rate, most, packs in (("present", 900.0, 3 << 20, 9), ("all", 1000.0, 40 << 20, 0))]
        shown = present("retention", rows)
        self.assertEqual(shown.reading, ["1,000 commits, history kept for ever: 1,000 commits/s, at most 40.0 MiB, 20.0 MiB at the end.",
                                         "1,000 commits, history kept not at all: 900 commits/s, at most 3.00 MiB, 1.50 MiB at the end."])
        self.assertEqual([r[1] for r in shown.tables[0].rows], ["for ever", "not at all"])
        self.assertEqual([f.name for f in shown.figures], ["retention-over-time"])


class PeersOverPostgresTest(unittest.TestCase):
    def made(self, system: str, count: int, **more) -> dict:
        figures = {"pss_bytes": 30 << 20, "grown_bytes": 20 << 20, "cold_loads": 8_000 * count, "loads_per_transaction": 0.05 * (count - 1),
                   "round_trips_per_transaction": 0.25, "commits_per_s": 900.0, "group_size": 1.5, "predicted_throughput": 8_000.0,
                   "throughput_off": -0.2, "predicted_loads_per_transaction": 0.04, "predicted_grown_bytes": 21 << 20, "grown_bytes_off": 0.05}
        return row(0, "peers-over-postgres", system, {"write_share": 0.1, "processes": count}, operations_per_s=10_000.0, rss_bytes=40 << 20,
                   figures=figures | more)

    def test_says_what_processes_take_and_how_far_the_model_is_off(self):
        seen = {"staleness_p50_ms": 1.5, "staleness_p99_ms": 7.0, "loads_off": -0.25}
        rows = [self.made(system, count, **(seen if count > 1 else {})) for system in ("private", "shared") for count in (1, 2)]
        shown = present("peers-over-postgres", rows)
        measured, predicted = shown.tables
        self.assertEqual([r[:2] for r in measured.rows], [["1", "shared"], ["1", "private"], ["2", "shared"], ["2", "private"]])
        self.assertEqual(measured.rows[0][-3:-1], ["not measured", "not measured"])  # there is nobody who could see it late
        self.assertEqual(measured.rows[2][-3:-1], ["1.50", "7.00"])
        self.assertEqual(predicted.rows[2][2:11], ["10,000", "8,000", "-20.0%", "0.050", "0.040", "-25.0%", "20.0 MiB", "21.0 MiB", "+5.0%"])
        self.assertEqual(shown.reading[0], "2 processes, 10% of transactions write, one cache a process: 10,000 transactions/s in 30.0 MiB, 16,000 "
                                           "loads until warm, 0.250 round trips a transaction, commits seen after 7.00 ms (p99).")
        self.assertEqual(shown.reading[-1], "10% of transactions write: the model is off by at most 20% in throughput, 5% in memory, 25% in loads.")
        self.assertEqual([f.name for f in shown.figures], ["postgres-memory-10", "postgres-throughput-10"])

    def test_without_postgresql_it_says_so_and_shows_nothing(self):
        rows = [row(0, "peers-over-postgres", "none", {"write_share": 0.1}, figures={"not_measurable": "PostgreSQL is not installed"})]
        shown = present("peers-over-postgres", rows)
        self.assertEqual(shown.reading, ["Left out: PostgreSQL is not installed."])
        self.assertEqual((shown.tables, shown.figures), ([], []))

    def test_a_run_has_one_job_of_it_whose_rounds_have_numbers_of_their_own(self):
        chosen = [one for one in BUILT if one.name == "peers-over-postgres"]
        for size in SIZES.values():
            jobs = plan.interleaved(chosen, size, 1)
            self.assertEqual([job.repetition for job in jobs], [0] * len(chosen[0].jobs(size)))
        kept = Runner._row({"repetition": 2, "point": {"processes": 4}}, jobs[0], ["probes"], "now")
        self.assertEqual((kept["repetition"], kept["point"]["processes"]), (2, 4))


class ReclaimersTest(unittest.TestCase):
    def test_says_who_reaches_its_bound_by_aborting(self):
        rows = [row(0, "reclaimers", system, {"threads": 2, "sleepers": 1, "write_share": 0.5}, operations=7, operations_per_s=1.0,
                    p999_ns=1000, limbo_bytes=2048, mean_limbo_bytes=1024, peak_rss_bytes=1 << 20, mean_rss_bytes=1 << 19,
                    figures={"sleepers_aborted": aborted, "too_old": 0})
                for system, aborted in (("hybrid", 0), ("neutralise", 1))]
        shown = present("reclaimers", rows)
        self.assertEqual(shown.reading, [
            "Garbage behind sleepers, by class: what transactions have read: hybrid; a budget, by aborting: neutralise.",
            "Transactions aborted to free memory: neutralise 1 of those that slept and 0 of those that ran."])
        bounds = shown.tables[0]
        self.assertEqual([r[:2] for r in bounds.rows], [["hybrid", "what transactions have read"], ["neutralise", "a budget, by aborting"]])
        mean = next(t for t in shown.tables if t.caption == "Limbo, mean")
        self.assertEqual(mean.rows[0][1:3], ["1.00 KiB", "1.00 KiB"])

    def test_the_bounds_shown_are_those_that_the_schemes_have(self):
        root = Path(__file__).resolve().parents[3]
        scheme = (root / "bench/ablation/scheme.hpp").read_text()
        texts = dict(re.findall(r'case Bound::(\w+): return "([^"]+)"', re.sub(r"\s+", " ", scheme)))
        declared = {}
        for file in ("own_schemes.hpp", "urcu.cpp"):
            text = (root / "bench/ablation" / file).read_text()
            declared |= dict(re.findall(r'\.name = "([\w-]+)",.*?\.bound = Bound::(\w+)', text, re.S))
        declared.pop("two-step")  # the guide's example, which no experiment measures
        self.assertEqual({name: texts[bound] for name, bound in declared.items()}, {name: bound for name, (bound, _) in BOUNDS.items()})


class SchemesTest(unittest.TestCase):
    def jobs(self, name: str, size):
        return next(e for e in BUILT if e.name == name).jobs(size)

    def test_garbage_is_measured_of_every_scheme_at_every_size(self):
        for size in SIZES.values():
            for name, left_out in (("sleepers", {"leak"}), ("reclaimers", set())):
                by_point: dict[tuple, set[str]] = {}
                for job in self.jobs(name, size):
                    by_point.setdefault(job.point, set()).add(job.system)
                for point, systems_ in by_point.items():
                    self.assertEqual(systems_, RECLAIMERS.keys() - left_out, (name, size.name, point))

    def test_versions_behind_ten_thousand_sleepers_are_measured_of_all_but_what_does_not_fit(self):
        for size, left_out in (("paper", {"interval"}), ("full", set())):
            asked = {name for job in self.jobs("pinned-versions", SIZES[size]) if dict(job.point)["sleepers"] == 10_000
                     for name in job.command[job.command.index("--reclaimers") + 1].split(",")}
            self.assertEqual(asked, {"epochs", "interval", "counted", "neutralise", "hybrid"} - left_out)


class PublisherTest(unittest.TestCase):
    def test_shares_of_littles_law(self):
        rows = [row(0, "publisher", "coroutines/shared", {"in_flight": 1000, "wait_ms": 10, "write_share": 0.0},
                    throughput=50_000.0, p99_us=5.0, pss_bytes=10)]
        shown = present("publisher", rows)
        law = next(t for t in shown.tables if "Little's law" in t.caption)
        self.assertEqual(law.rows[0][:2], ["1,000", "0.50"])


class OpenSessionsTest(unittest.TestCase):
    def test_rows_of_google_benchmark(self):
        rows = microbenchmarks.rows({"benchmarks": [
            {"name": "commit-open/private/256/manual_time", "run_type": "iteration", "iterations": 9, "real_time": 2.0,
             "cpu_time": 99.0, "time_unit": "us"},
            {"name": "commit-open/private/256/manual_time", "run_type": "iteration", "iterations": 9, "real_time": 4.0,
             "cpu_time": 99.0, "time_unit": "us"},
            {"name": "begin-open/shared/1/iterations:20000/manual_time", "run_type": "iteration", "iterations": 9, "real_time": 20.0,
             "cpu_time": 99.0, "time_unit": "ns", "median_ns": 15.0}]})
        self.assertEqual([(r["system"], r["point"]) for r in rows],
                         [("private", {"subject": "commit", "sessions": 256}), ("shared", {"subject": "begin", "sessions": 1})])
        self.assertAlmostEqual(rows[0]["figures"]["ns"], 3000.0)
        self.assertAlmostEqual(rows[1]["figures"]["ns"], 15.0)  # its own median goes before the mean
        shown = present("open-sessions", [row(0, "open-sessions", **{k: r[k] for k in ("system", "point", "figures")}) | {
            "figures": r["figures"]} for r in rows])
        self.assertEqual([t.rows[0][0] for t in shown.tables], ["256", "1"])


class SpreadTest(unittest.TestCase):
    def job(self, experiment, number):
        return Job(experiment, "shared", (("n", number),), "experiment", (), 1.0)

    def test_a_run_cut_short_has_lost_no_experiment(self):
        groups = [[self.job("large", i) for i in range(40)], [self.job("small", i) for i in range(4)], [self.job("lonely", 0)]]
        for seed in range(50):
            order = plan.spread(groups, random.Random(seed))
            self.assertEqual(len(order), 45)
            kept = order[:30]
            self.assertEqual({job.experiment for job in kept}, {"large", "small", "lonely"}, seed)
            self.assertGreaterEqual(sum(job.experiment == "small" for job in kept), 2, seed)

    def test_claims_go_into_the_round_of_their_repetition(self):
        asked = [Job("claims", "shared", (("name", "a"),), "claims", (), 1.0, repetition=r) for r in range(FULL.repetitions)]
        order = plan.interleaved([e for e in BUILT if e.name == "smallbank"], FULL, 3, asked)
        rounds = [job.repetition for job in order]
        self.assertEqual(rounds, sorted(rounds))
        self.assertEqual(sum(job.experiment == "claims" for job in order), FULL.repetitions)


if __name__ == "__main__":
    unittest.main()
