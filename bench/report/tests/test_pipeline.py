"""From jobs to a page: gaps, formats, Google Benchmark's rows, and where a page links to."""
import json
import re
import stat
import tempfile
import time
import unittest
from pathlib import Path

import experiments
from report import claims, compare, findings, microbenchmarks, results, sections
from report.formats import interval, nanoseconds, significant, size
from report.intervals import Interval
from report.model import Job
from report.page_parts import raw_rows, section as render_section
from report.plausible import faster_than_raw
from report.folder import Refused, RunFolder
from report.owned import Owned
from report.progress import Progress
from report.runner import Runner

# Writes one row to the file after --output, or fails when told to.
PROGRAM = """#!/bin/sh
while [ $# -gt 0 ]; do
  case "$1" in --output) out=$2 ;; --fail) exit 3 ;; --sleep) sleep 30 ;; --silent) exit 0 ;; --row) row=$2 ;; esac
  shift
done
echo "${row:-{\\"operations\\": 5, \\"operations_per_s\\": 10.0, \\"figures\\": {\\}\\}}" > "$out"
"""


class RunnerTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        program = self.root / "experiment"
        program.write_text(PROGRAM)
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def run_jobs(self, *jobs, deadline=None):
        """In one and the same folder: the second time it is resumed."""
        where = self.root / "run"
        folder = RunFolder.resumed(where) if where.exists() else RunFolder.new(where, False, {"seed": 7})
        folder.repair()
        with Owned() as own, (self.root / "progress.txt").open("w") as stream:
            runner = Runner(self.root, folder, own, seed=7, deadline=deadline)
            runner.run(list(jobs), Progress(len(jobs), 1.0, stream))
        folder.close()
        return runner

    def job(self, *words, **more):
        return Job("memory", "shared", (("sessions", 2),), "experiment", ("--output", "{output}", *words), 0.1, **more)

    def test_keeps_rows_with_id_point_and_command(self):
        folder = self.run_jobs(self.job(), self.job(repetition=1)).folder
        self.assertEqual([row["id"] for row in folder.rows], ["r1", "r2"])
        self.assertEqual(folder.rows[1]["point"], {"sessions": 2})
        self.assertEqual(folder.rows[1]["repetition"], 1)
        self.assertEqual(results.read(folder.path / "rows.jsonl"), folder.rows)
        for done in results.read(folder.path / "jobs.jsonl"):
            self.assertTrue(0 < done["seconds"] < 60, done)  # what estimates are made from

    def test_failures_become_gaps_and_no_row(self):
        runner = self.run_jobs(self.job("--fail"), self.job("--silent"), self.job("--sleep", time_limit_s=0.3))
        self.assertEqual(runner.folder.rows, [])
        self.assertTrue(all(gap.failed for gap in runner.gaps))
        self.assertIn("exit code 3", runner.gaps[0].reason)
        self.assertIn("rows", runner.gaps[1].reason)
        self.assertIn("time limit", runner.gaps[2].reason)

    def test_a_row_of_failures_is_a_failed_job(self):
        def row(**more):
            return self.job("--row", json.dumps({"figures": {}, **more}).replace("{", "{{").replace("}", "}}"))

        runner = self.run_jobs(row(operations=3505, failed=114247), row(operations=0, failed=0, refused=0))
        self.assertEqual(runner.folder.rows, [])
        self.assertIn("114,247 of 117,752 requests failed", runner.gaps[0].reason)
        self.assertIn("no request came back", runner.gaps[1].reason)
        # What a server refuses is an answer, and a few failures in many thousand are a result.
        runner = self.run_jobs(row(operations=5, refused=5000, failed=5))
        self.assertEqual((len(runner.folder.rows), runner.gaps), (1, []))

    def test_what_does_not_fit_the_budget_is_left_out_and_named(self):
        runner = self.run_jobs(self.job(), deadline=time.monotonic() - 1)
        self.assertEqual(runner.folder.rows, [])
        self.assertFalse(runner.gaps[0].failed)
        shown = sections.build(list(experiments.ALL), runner.folder.rows, runner.gaps)
        memory = next(s for s in shown if s.name == "memory")
        self.assertIn("sessions=2", memory.gaps[0])
        self.assertIn("Not measured", render_section(memory))

    def test_a_run_goes_on_where_it_was_ended(self):
        first = self.run_jobs(self.job(), self.job(repetition=1)).folder
        rows = first.path / "rows.jsonl"
        with rows.open("a") as file:
            file.write('{"experiment": "mem')  # killed while it wrote
        folder = self.run_jobs(self.job(), self.job(repetition=1), self.job(repetition=2)).folder
        self.assertEqual([row["id"] for row in folder.rows], ["r1", "r2", "r3"])
        self.assertEqual(folder.rows[:2], first.rows)
        self.assertEqual(results.read(rows), folder.rows)
        self.assertEqual(folder.rows[2]["repetition"], 2)

    def test_rows_without_their_jobs_mark_do_not_count(self):
        first = self.run_jobs(self.job()).folder
        rows = first.path / "rows.jsonl"
        torn = {**first.rows[0], "id": "r2", "job": self.job(repetition=1).key(), "operations": 99}
        results.append_whole(rows, json.dumps(torn) + "\n")  # the first of two rows, and then it was killed
        folder = self.run_jobs(self.job(), self.job(repetition=1)).folder
        self.assertEqual([row["operations"] for row in folder.rows], [5, 5])
        self.assertEqual(results.read(rows), folder.rows)

    def test_a_mark_without_its_rows_does_not_count(self):
        first = self.run_jobs(self.job(), self.job(repetition=1)).folder
        results.replace_whole(first.path / "rows.jsonl", results.lines_of(first.rows[:1]))
        folder = self.run_jobs(self.job(), self.job(repetition=1)).folder
        self.assertEqual(len(results.read(first.path / "rows.jsonl")), 2)
        self.assertEqual(len(folder.done), 2)

    def test_a_run_that_noted_no_jobs_is_not_resumed(self):
        (self.root / "old").mkdir()
        (self.root / "old" / "plan.json").write_text("{}")
        (self.root / "old" / "rows.jsonl").write_text('{"id": "r1"}\n')
        with self.assertRaisesRegex(Refused, "earlier version"):
            RunFolder.resumed(self.root / "old")

    def test_one_folder_is_one_runs(self):
        where = self.root / "named"
        one, other = (RunFolder.new(where, True, {}) for _ in range(2))
        self.assertEqual([one.path.name, other.path.name], ["named", "named-2"])
        with self.assertRaises(Refused):
            RunFolder.new(where, False, {})
        with self.assertRaisesRegex(Refused, "another run"):
            RunFolder.resumed(where)
        for folder in (one, other):
            folder.close()
        self.assertFalse(where.exists())  # nothing was measured


class OutcomeTest(unittest.TestCase):
    @staticmethod
    def row(name, measured, **more):
        return {"id": f"r{measured}", "experiment": "claims", "name": name, "measured": measured, "comparison": "<=", "bound": 2.0,
                **more}

    def test_the_median_decides(self):
        one, = claims.outcomes([self.row("a", 1.0), self.row("a", 9.0), self.row("a", 1.5)])
        self.assertEqual((one.verdict, one.measured.median, len(one.ids)), ("holds", 1.5, 3))
        one, = claims.outcomes([self.row("a", 3.0)])
        self.assertEqual((one.verdict, one.required), ("fails", True))

    def test_an_upper_end_is_judged_where_there_is_one(self):
        one, = claims.outcomes([self.row("a", 1.9, upper_end=2.1), self.row("a", 1.8, upper_end=2.2), self.row("a", 1.0, upper_end=1.1)])
        self.assertEqual((one.verdict, one.measured.median), ("fails", 1.8))
        one, = claims.outcomes([self.row("a", 1.9, upper_end=2.0)])
        self.assertEqual(one.verdict, "holds")

    def test_what_cannot_be_tested_is_neither(self):
        one, = claims.outcomes([self.row("a", None)])
        self.assertEqual(one.verdict, "not testable here")

    def test_findings_name_what_failed_and_who_is_better(self):
        run = {"machine": {"revision": {"commit": "c" * 40}, "cores": 2, "cpu": "a processor"}, "begun": "2026-01-01T00:00:00",
               "size": "smoke", "command": "scripts/reproduce --smoke"}
        rows = [{"experiment": "throughput-writes", "system": system, "point": {"write_share": 0.5}, "operations_per_s": rate}
                for system, rate in (("shared", 100.0), ("private", 120.0), ("locked", 101.0), ("raw", 900.0))]
        outcomes = claims.outcomes([self.row("good", 1.0), self.row("bad", 3.0), self.row("goal", 4.0, required=False)])
        groups = sections.groups([], list(experiments.ALL))
        text = findings.findings(run, outcomes, rows, [], groups)
        self.assertIn("`bad`: 3.00", text.split("## What failed")[1])
        self.assertIn("private 120 against 100", text)
        self.assertNotIn("locked 101", text)
        self.assertNotIn("raw 900", text)
        self.assertIn("a goal, not required", findings.claims_table(run, outcomes, groups))


class CompareTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)

    def run_with(self, name, size_, **measured):
        """A run in which each claim, of the bound <= 2, measured these values."""
        folder = self.root / name
        folder.mkdir()
        (folder / "plan.json").write_text(json.dumps({"size": size_}))
        rows = [OutcomeTest.row(claim, value) for claim, values in measured.items() for value in values]
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return compare.Side.read(folder)

    def test_says_who_agrees_who_differs_and_who_cannot_tell(self):
        smoke = self.run_with("a", "smoke", same=[1.0], other=[1.0], close=[1.9], never=[None], alone=[1.0])
        full = self.run_with("b", "full", same=[1.1] * 3, other=[2.5] * 3, close=[1.8, 2.1, 2.2], never=[None] * 3)
        table, differ = compare.compare(smoke, full)
        self.assertEqual(differ, ["other"])
        verdicts = {line.split("|")[1].strip().strip("`"): line.split("|")[5].strip() for line in table.splitlines()[2:]}
        self.assertEqual(verdicts, {"same": "both: holds", "other": "**differ**", "close": "one cannot tell",
                                    "never": "one cannot tell", "alone": "one cannot tell"})
        self.assertIn("not measured", table)

    def test_runs_with_nothing_in_common_are_refused(self):
        with self.assertRaises(compare.NothingInCommon):
            compare.compare(self.run_with("a", "smoke", one=[1.0]), self.run_with("b", "full", two=[1.0]))
        with self.assertRaises(compare.NothingInCommon):
            compare.compare(self.run_with("c", "smoke"), self.run_with("d", "full"))

    def test_a_folder_without_a_run_is_refused(self):
        with self.assertRaises(compare.NotARun):
            compare.Side.read(self.root)


class FormatTest(unittest.TestCase):
    def test_nanoseconds_in_the_unit_that_suits(self):
        self.assertEqual([nanoseconds(one) for one in (0.05, 1.5, 999, 1000, 45_600, 7.8e6, 2e9, 9e12)],
                         ["0.050 ns", "1.50 ns", "999 ns", "1.00 us", "45.6 us", "7.80 ms", "2.00 s", "9,000 s"])

    def test_significant(self):
        for value, expected in ((0, "0"), (1.234, "1.23"), (12.34, "12.3"), (123.4, "123"), (1234.5, "1,234"),
                                (0.1234, "0.123"), (0.00001234, "1.2e-05")):
            self.assertEqual(significant(value), expected)

    def test_size_and_missing(self):
        self.assertEqual(size(1536), "1.50 KiB")
        self.assertEqual(interval(None), "not measured")
        self.assertEqual(interval(Interval(1.0, None, None, 1)), "1.00")
        self.assertEqual(interval(Interval(2.0, 1.0, 3.0, 9), "ns"), "2.00 (1.00 to 3.00) ns")


class MicrobenchmarkTest(unittest.TestCase):
    def test_units_counters_and_aggregates(self):
        document = {"benchmarks": [
            {"name": "chase/shared/1000", "run_type": "iteration", "iterations": 9, "cpu_time": 0.004, "time_unit": "us"},
            {"name": "chase/raw/1000", "run_type": "iteration", "iterations": 9, "cpu_time": 99.0, "time_unit": "ns",
             "items_per_second": 2.5e8},
            {"name": "chase/raw/1000_mean", "run_type": "aggregate", "iterations": 9, "cpu_time": 1.0},
            {"name": "begin_end/shared", "run_type": "iteration", "iterations": 9, "cpu_time": 1.0}]}
        rows = microbenchmarks.rows(document)
        self.assertEqual([(r["system"], r["point"]["objects"]) for r in rows], [("shared", 1000), ("raw", 1000)])
        self.assertAlmostEqual(rows[0]["figures"]["ns_per_read"], 4.0)
        self.assertAlmostEqual(rows[1]["figures"]["ns_per_read"], 4.0)

    def test_by_the_clock_where_the_name_says_so(self):
        def time(name):
            return microbenchmarks.time_of({"name": name, "real_time": 2.0, "cpu_time": 3.0, "time_unit": "ns"})

        for name in ("a/real_time", "a/real_time/threads:2", "a/1/iterations:9/manual_time", "a/manual_time/threads:2"):
            self.assertEqual(time(name), 2.0, name)
        for name in ("a", "a/1", "a/process_time", "real_timer/1"):
            self.assertEqual(time(name), 3.0, name)

    def test_an_error_is_not_a_figure(self):
        with self.assertRaises(ValueError):
            microbenchmarks.rows({"benchmarks": [{"name": "chase/raw/10", "error_occurred": True, "error_message": "no"}]})


class PlausibleTest(unittest.TestCase):
    def test_faster_than_plain_pointers_is_no_result(self):
        self.assertIsNone(faster_than_raw("shared", "T1", None))
        self.assertIsNone(faster_than_raw("shared", "T1", Interval(1.1, 1.0, 1.2, 10)))
        self.assertIsNone(faster_than_raw("shared", "T1", Interval(0.7, 0.5, 0.95, 10)))
        self.assertIn("Not a result", faster_than_raw("shared", "T1", Interval(0.05, 0.04, 0.06, 10)))
        self.assertIn("Not a result", faster_than_raw("shared", "T1", Interval(0.05, None, None, 1)))

    def test_the_page_says_so(self):
        rows = [{"id": f"r{i}", "experiment": "read-cost", "system": system, "repetition": 0, "command": "",
                 "point": {"objects": 100}, "figures": {"ns_per_read": time_ns}}
                for i, (system, time_ns) in enumerate((("raw", 100.0), ("shared", 5.0)))]
        shown = next(s for s in sections.build(list(experiments.ALL), rows, []) if s.name == "read-cost")
        self.assertEqual(len(shown.doubts), 1)
        self.assertIn("physical limit", render_section(shown))


class PageTest(unittest.TestCase):
    def test_every_row_that_a_section_names_is_on_the_page(self):
        rows = [{"id": f"r{i + 1}", "experiment": "memory", "system": system, "repetition": 0, "command": "experiment run",
                 "point": {"sessions": sessions}, "rss_bytes": 1000 * sessions + i, "rss_before_bytes": 10, "figures": {}}
                for i, (system, sessions) in enumerate((s, n) for s in ("shared", "private") for n in (1, 4))]
        shown = next(s for s in sections.build(list(experiments.ALL), rows, []) if s.name == "memory")
        html = render_section(shown) + raw_rows(rows)
        linked = set(re.findall(r'href="#(r\d+)"', html))
        self.assertEqual(linked, {row["id"] for row in rows})
        self.assertTrue(all(f'id="{i}"' in html for i in linked))
        identifiers = re.findall(r'\bid="([^"]+)"', html)
        self.assertEqual(len(identifiers), len(set(identifiers)))

    def test_text_from_rows_is_escaped(self):
        row = {"id": "r1", "experiment": "memory", "system": "<b>", "repetition": 0, "command": "\"><script>", "point": {},
               "figures": {}}
        self.assertNotIn("<script>", raw_rows([row]))
        self.assertNotIn("<b>", raw_rows([json.loads(json.dumps(row))]))


if __name__ == "__main__":
    unittest.main()
