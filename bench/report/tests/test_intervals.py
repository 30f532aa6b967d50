"""Run by Meson: /usr/bin/python3 -m unittest discover -s bench/report/tests -t bench"""
import random
import statistics
import unittest

from report.intervals import Interval, geometric_mean, paired_ratio, unpaired_ratio


class IntervalTest(unittest.TestCase):
    def test_median_of_odd_and_even_counts(self):
        self.assertEqual(Interval.of([3, 1, 2]).median, 2)
        self.assertEqual(Interval.of([4, 1, 2, 3]).median, 2.5)

    def test_too_few_values_have_no_interval(self):
        for values in ([7.0], [7.0, 9.0]):
            interval = Interval.of(values)
            self.assertIsNone(interval.low)
            self.assertIsNone(interval.high)
        self.assertIsNotNone(Interval.of([7.0, 8.0, 9.0]).low)

    def test_no_values_is_an_error(self):
        with self.assertRaises(ValueError):
            Interval.of([])

    def test_equal_values_have_an_interval_without_width(self):
        interval = Interval.of([5.0] * 10)
        self.assertEqual((interval.low, interval.median, interval.high), (5.0, 5.0, 5.0))

    def test_interval_is_ordered_and_within_the_values(self):
        values = [1.0, 2.0, 3.0, 4.0, 100.0]
        interval = Interval.of(values)
        self.assertLessEqual(interval.low, interval.median)
        self.assertLessEqual(interval.median, interval.high)
        self.assertGreaterEqual(interval.low, min(values))
        self.assertLessEqual(interval.high, max(values))

    def test_same_values_same_interval(self):
        values = [random.Random(3).random() for _ in range(10)]
        self.assertEqual(Interval.of(values), Interval.of(values))

    def test_covers_the_true_median_about_as_often_as_it_says(self):
        source = random.Random(11)
        true_median = 0.0
        trials = 200
        covered = 0
        for _ in range(trials):
            interval = Interval.of([source.gauss(0, 1) for _ in range(15)])
            covered += interval.low <= true_median <= interval.high
        # A percentile bootstrap of 15 values covers a little less than 95%.
        self.assertGreater(covered / trials, 0.85)

    def test_one_outlier_moves_a_mean_but_hardly_this(self):
        values = [10.0] * 9 + [1000.0]
        self.assertEqual(Interval.of(values).median, 10.0)
        self.assertGreater(statistics.mean(values), 100)

    def test_scaled_keeps_missing_bounds_missing(self):
        self.assertEqual(Interval(2.0, 1.0, 3.0, 5).scaled(10), Interval(20.0, 10.0, 30.0, 5))
        self.assertEqual(Interval(2.0, None, None, 1).scaled(10), Interval(20.0, None, None, 1))


class RatioTest(unittest.TestCase):
    def test_pairs_by_repetition(self):
        # The second repetition met a machine of half the speed: paired, the ratio does not notice.
        ratio = paired_ratio({0: 11.0, 1: 22.0, 2: 11.0}, {0: 10.0, 1: 20.0, 2: 10.0})
        self.assertAlmostEqual(ratio.median, 1.1)
        self.assertAlmostEqual(ratio.high - ratio.low, 0)

    def test_uses_common_repetitions_only(self):
        self.assertEqual(paired_ratio({0: 4.0, 5: 9.0}, {0: 2.0, 1: 1.0}).count, 1)
        self.assertIsNone(paired_ratio({0: 1.0}, {1: 1.0}))
        self.assertIsNone(paired_ratio({0: 1.0}, {0: 0.0}))

    def test_apart_in_time(self):
        ratio = unpaired_ratio([3.0, 6.0, 9.0], [2.0, 2.0, 2.0, 2.0])
        self.assertEqual((ratio.median, ratio.low, ratio.high, ratio.count), (3.0, 1.5, 4.5, 3))
        self.assertEqual(unpaired_ratio([4.0], [2.0, 2.0, 2.0]), Interval(2.0, None, None, 1))
        for nothing in ([], [0.0], [-1.0]):
            self.assertIsNone(unpaired_ratio(nothing, [1.0]))
            self.assertIsNone(unpaired_ratio([1.0], nothing))

    def test_apart_in_time_calls_equals_different_about_as_rarely_as_it_says(self):
        source = random.Random(5)

        def sample():
            return [source.lognormvariate(0, 0.1) for _ in range(10)]

        trials = 200
        wrong = sum(not one.low <= 1 <= one.high for one in (unpaired_ratio(sample(), sample()) for _ in range(trials)))
        self.assertLess(wrong / trials, 0.12)

    def test_geometric_mean(self):
        self.assertAlmostEqual(geometric_mean([1.0, 4.0]), 2.0)
        self.assertAlmostEqual(geometric_mean([2.0, 0.5]), 1.0)
        for values in ([], [1.0, 0.0], [1.0, -1.0]):
            with self.assertRaises(ValueError):
                geometric_mean(values)


if __name__ == "__main__":
    unittest.main()
