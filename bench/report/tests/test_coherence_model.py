"""The model of scaling where its answer is known."""
from __future__ import annotations

import unittest

from report.coherence_model import MACHINES, Machine, Operation, band, throughput


class CostTest(unittest.TestCase):
    machine = Machine("two groups of two in each of two sockets", 2, 4, 10, 20, 100)

    def test_mean_over_the_pairs(self):
        self.assertEqual(self.machine.cost_ns(1), 0)
        self.assertEqual(self.machine.cost_ns(2), 10)
        # Of three others, one is in the group and two are in the socket.
        self.assertAlmostEqual(self.machine.cost_ns(4), (10 + 2 * 20) / 3)
        self.assertAlmostEqual(self.machine.cost_ns(8), (10 + 2 * 20 + 4 * 100) / 7)
        # A third core is alone in its group: two of six ordered pairs are neighbours.
        self.assertAlmostEqual(self.machine.cost_ns(3), (2 * 10 + 4 * 20) / 6)

    def test_more_cores_never_cost_less(self):
        for machine in MACHINES:
            costs = [machine.cost_ns(n) for n in (2, 8, 32, 48, 96, 128)]
            self.assertEqual(costs, sorted(costs))


class ThroughputTest(unittest.TestCase):
    def test_without_transfers_it_is_linear(self):
        reading = Operation(alone_ns=10, transfers=0, busiest=0)
        for cores in (1, 2, 128):
            low, high = band(reading, cores)
            self.assertAlmostEqual(low, cores * 1e8)
            self.assertAlmostEqual(high, cores * 1e8)

    def test_one_line_is_a_limit(self):
        counter = Operation(alone_ns=5, transfers=1, busiest=1)
        self.assertAlmostEqual(throughput(counter, 64, 50, all_serial=False), 1e9 / 50)
        self.assertAlmostEqual(throughput(counter, 64, 50, all_serial=True), 1e9 / 55)
        low, high = band(counter, 128)
        self.assertLess(high, 1e9 / 51)
        self.assertLess(low, high)

    def test_lines_of_pairs_are_none(self):
        # Many lines, none of them busy: dearer, but linear.
        spread = Operation(alone_ns=100, transfers=10, busiest=0)
        self.assertAlmostEqual(throughput(spread, 64, 50, all_serial=False), 64 * 1e9 / 600)


if __name__ == "__main__":
    unittest.main()
