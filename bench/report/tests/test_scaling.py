"""The sections on scaling and on clusters, from rows that are made up."""
from __future__ import annotations

import unittest

from report import sections
from experiments import cluster, scaling
from report.page_parts import section as render_section


def traffic(phase: str, threads: int, schedule: str = "alternate", system: str = "shared", writes: float = 0.0,
            transfers: float = 0.0) -> dict:
    return {"experiment": "scaling", "system": system, "repetition": 0, "command": "",
            "point": {"phase": phase, "threads": threads, "schedule": schedule},
            "figures": {"shared_writes": writes, "shared_updates": 0.0, "transfers": transfers,
                        "busiest_line_transfers": transfers}}


def timed(phase: str, threads: int, rate: float, system: str = "shared") -> dict:
    return {"experiment": "scaling", "system": system, "repetition": 0, "command": "", "operations_per_s": rate,
            "point": {"phase": phase, "threads": threads, "schedule": "timed"}, "figures": {"processor_ns": 1e9 * threads / rate}}


def built(experiment, rows: list[dict]):
    return sections.build([experiment], [{**row, "id": f"r{i + 1}"} for i, row in enumerate(rows)], [])[0]


class ScalingTest(unittest.TestCase):
    rows = [traffic(phase, n, transfers=20.0 if phase == "commit" else 0.0) for phase in scaling.PHASES for n in (2, 8)] + [
        timed(phase, n, n * 1e6) for phase in scaling.PHASES for n in (1, 2)]

    def test_model_is_called_one_and_is_linear_without_transfers(self):
        shown = built(scaling.Scaling(), self.rows)
        self.assertEqual(shown.doubts, [])
        drawn = [figure for figure in shown.figures if figure.name.startswith("scaling-")]
        self.assertEqual(len(drawn), len(scaling.DRAWN))
        self.assertTrue(all("Model" in figure.caption for figure in drawn))
        predicted = next(table for table in shown.tables if "predicted" in table.caption)
        hit = next(row for row in predicted.rows if row[0] == scaling.PHASES["hit"])
        self.assertEqual(hit[2:9], ["1,000", "1.00 M", "2.00 M", "2.00 M", "8.00 M", "32.0 M", "128 M"])
        commit = next(row for row in predicted.rows if row[0] == scaling.PHASES["commit"])
        self.assertIn(" to ", commit[8])
        self.assertTrue(render_section(shown))

    def test_a_read_that_writes_shared_lines_is_a_failed_run(self):
        for phase in scaling.READING:
            shown = built(scaling.Scaling(), [*self.rows, traffic(phase, 2, "concurrent", writes=0.5)])
            self.assertEqual(len(shown.doubts), 1)
            self.assertIn("never", shown.doubts[0])
        # The locked cache does, and may; so does a commit.
        others = [traffic("first-reads", 2, system="locked", writes=6.0), traffic("commit", 2, "concurrent", writes=50.0)]
        self.assertEqual(built(scaling.Scaling(), [*self.rows, *others]).doubts, [])


class ClusterTest(unittest.TestCase):
    @staticmethod
    def row(layout: str, nodes: int, little: float = 1.0) -> dict:
        figures = dict.fromkeys(("miss_ratio", "store_utilisation", "loads_per_s", "invalidations_per_s", "invalidation_share",
                                 "aborts_per_commit"), 0.5)
        return {"experiment": "cluster", "system": layout, "repetition": 0, "command": "",
                "point": {"part": "cluster", "nodes": nodes, "write_share": 0.1},
                "figures": {**figures, "throughput": 100.0 * nodes, "node_bytes": 1 << 20, "little": little}}

    def test_a_simulation_out_of_its_steady_state_is_a_failed_run(self):
        rows = [self.row(layout, nodes) for layout in cluster.LAYOUTS for nodes in (1, 10)]
        self.assertEqual(built(cluster.Cluster(), rows).doubts, [])
        doubts = built(cluster.Cluster(), [*rows, self.row("shared", 100, little=0.9)]).doubts
        self.assertEqual(len(doubts), 1)
        self.assertIn("Little", doubts[0])

    def test_deviation_is_printed(self):
        figures = {}
        for name, measured, predicted in (("throughput", 100.0, 110.0), ("misses", 0.5, 0.4), ("bytes", 1000.0, 1000.0)):
            figures |= {f"measured_{name}": measured, f"predicted_{name}": predicted, f"{name}_off": predicted / measured - 1}
        shown = built(cluster.Cluster(), [{"experiment": "cluster", "system": "shared", "repetition": 0, "command": "",
                                           "point": {"part": "validation", "sessions": 4}, "figures": figures}])
        self.assertIn("+10.0%", shown.tables[0].rows[0])
        self.assertIn("-20.0%", shown.tables[0].rows[0])
        self.assertIn("10% in throughput, 20% in misses, 0% in cache bytes", shown.reading[0])


if __name__ == "__main__":
    unittest.main()
