"""What scripts/bench says of figures that are made up, and how it reads a program."""
import json
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from report import bench, bench_file, bench_table, benchmark_program, machine
from report.bench_table import CANNOT_TELL, FAILED, FASTER, ONLY_NEW, ONLY_OLD, SLOWER, Figure
from report.folder import Refused
from report.intervals import Interval


def ratio(low: float, high: float, count: int = 10) -> Interval:
    return Interval((low + high) / 2, low, high, count)


NEW, OLD = Interval(12.0, 11.0, 13.0, 10), Interval(1500.0, 1400.0, 1600.0, 10)


class VerdictTest(unittest.TestCase):
    def test_an_interval_on_one_side_of_one(self):
        for expected, low, high in ((SLOWER, 1.001, 1.2), (FASTER, 0.8, 0.999), (CANNOT_TELL, 0.9, 1.1), (CANNOT_TELL, 1.0, 1.1),
                                    (CANNOT_TELL, 0.9, 1.0), (CANNOT_TELL, 1.0, 1.0)):
            self.assertEqual(Figure("a", NEW, OLD, ratio(low, high)).verdict, expected, (low, high))

    def test_few_pairs_tell_nothing(self):
        for count, expected in ((3, CANNOT_TELL), (4, CANNOT_TELL), (5, SLOWER)):
            self.assertEqual(Figure("a", NEW, OLD, ratio(2, 3, count)).verdict, expected)
        self.assertEqual(Figure("a", NEW, OLD, Interval(2.0, None, None, 1)).verdict, CANNOT_TELL)
        self.assertEqual(Figure("a", NEW, OLD, None).verdict, CANNOT_TELL)

    def test_one_side_only_and_failed(self):
        self.assertEqual([Figure("a", NEW).verdict, Figure("a", None, OLD).verdict, Figure("a", failed=True).verdict],
                         [ONLY_NEW, ONLY_OLD, FAILED])

    def test_equal_programs_are_rarely_told_apart(self):
        import random
        source, trials = random.Random(2), 300

        def pairs(count):
            return Interval.of([source.lognormvariate(0, 0.1) for _ in range(count)])

        for count in (bench_table.MINIMUM_FOR_VERDICT, bench.REPETITIONS):
            wrong = sum(Figure("a", NEW, OLD, pairs(count)).verdict != CANNOT_TELL for _ in range(trials))
            self.assertLess(wrong / trials, 0.1, count)

    def test_the_summary_counts_and_says_what_is_chance(self):
        figures = [Figure("a", NEW, OLD, ratio(2, 3)), Figure("b", NEW, OLD, ratio(2, 3)), Figure("c", NEW), Figure("d", failed=True)]
        self.assertEqual(bench_table.summary(figures),
                         "2 slower, 1 only in new, 1 failed. Of 2 that are equal, about one in twenty is called faster or slower by chance.")
        self.assertIn("Fewer than 5 repetitions", bench_table.summary([Figure("a", NEW, OLD, ratio(2, 3, 4))]))
        self.assertEqual(bench_table.summary([Figure("a", NEW)]), "1 only in new.")


class TableTest(unittest.TestCase):
    figures = [Figure("read/1", NEW, OLD, ratio(0.9871, 1.0129)), Figure("a-rather-long/name:2/real_time", None, OLD),
               Figure("broken", failed=True)]

    def test_compared(self):
        lines = bench_table.table(self.figures, True, None).splitlines()
        self.assertEqual(lines[2].split("  ")[0], "read/1")
        self.assertTrue(lines[2].endswith("1.50 us  12.0 ns  1.000 (0.987 to 1.013)  cannot tell"), lines[2])
        self.assertEqual(lines[3].split(), ["a-rather-long/name:2/real_time", "1.50", "us", "-", "-", "only", "in", "old"])
        self.assertEqual(lines[4].split(), ["broken", "-", "-", "-", "failed"])

    def test_alone(self):
        lines = bench_table.table([Figure("read/1", NEW), Figure("few", Interval(1.0, None, None, 2))], False, None).splitlines()
        self.assertEqual(lines[2].split(), "read/1 12.0 ns 11.0 ns to 13.0 ns".split())
        self.assertEqual(lines[3].split(), "few 1.00 ns -".split())

    def test_it_fits_wherever_a_cell_does(self):
        longest = len("  new/old 1.000 (0.987 to 1.013)")
        widest = len(bench_table.table(self.figures, True, None).splitlines()[1]) + 20
        for width in range(1, widest):
            text = bench_table.table(self.figures, True, width)
            self.assertLessEqual(max(map(len, text.splitlines())), max(width - 1, longest), text)
            for cell in ("read/1", "1.50 us", "12.0 ns", "1.000 (0.987 to 1.013)", "cannot tell", "only in old", "failed"):
                self.assertIn(cell, text)
        self.assertEqual(bench_table.table(self.figures, True, widest), bench_table.table(self.figures, True, None))


class FileTest(unittest.TestCase):
    def setUp(self):
        self.path = Path(self.enterContext(tempfile.TemporaryDirectory())) / "saved.json"

    def test_what_is_written_is_read_again(self):
        entry = {"name": "read/1", "run_type": "iteration", "cpu_time": 2.0, "time_unit": "us", "repetitions": 1, "repetition_index": 0}
        self.path.write_text(bench_file.text({"date": "a day"}, {"read/1": [[entry], [{**entry, "cpu_time": 3.0}]]},
                                             {"commit": "c" * 40, "dirty": True, "cpu": "a processor"}, []))
        saved = bench_file.read(self.path)
        self.assertEqual((saved.times, saved.date, saved.commit, saved.dirty, saved.cpu),
                         ({"read/1": [2000.0, 3000.0]}, "a day", "c" * 40, True, "a processor"))
        written = json.loads(self.path.read_text())["benchmarks"]
        self.assertEqual([(one["repetitions"], one["repetition_index"]) for one in written], [(2, 0), (2, 1)])

    def test_what_is_no_such_file_is_refused(self):
        for text in ("", "nonsense", "\udce4", "3", '{"context": {"cow_cache": 3}, "benchmarks": []}', '{"benchmarks": []}'):
            self.path.write_bytes(text.encode(errors="surrogateescape"))
            with self.assertRaises(Refused, msg=text):
                bench_file.read(self.path)


class ProgramTest(unittest.TestCase):
    def test_a_name_as_an_expression(self):
        self.assertEqual(benchmark_program.exactly("a<b>(1).2/x:3]}"), "^a<b>\\(1\\)\\.2/x:3]}$")

    def test_a_run_with_several_repetitions_of_its_own_is_their_median(self):
        entries = [{"name": "a", "cpu_time": time, "time_unit": "ns"} for time in (5.0, 1.0, 2.0)]
        self.assertEqual(benchmark_program.Run({}, entries).nanoseconds, 2.0)


class BusyTest(unittest.TestCase):
    def moments(self, idle: int):
        """Of a hundred ticks in between."""
        names = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
        before = dict.fromkeys(names, 0)
        return mock.patch.object(machine, "moment", side_effect=[{"cpu_ticks": before},
                                                                 {"cpu_ticks": before | {"idle": idle, "user": 100 - idle}}])

    def test_only_a_busy_machine_is_warned_of(self):
        with self.moments(idle=50):
            self.assertIn("50% of its processors' time", machine.busy_warning(0))
        with self.moments(idle=90):
            self.assertIsNone(machine.busy_warning(0))


if __name__ == "__main__":
    unittest.main()
