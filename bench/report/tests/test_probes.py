"""What the probes' rows become: ratios, verdicts, and where they lead back to."""
import unittest

from report import sections
from experiments import chunk_check, hit_cost, object_size, recovery
from report.model import Sources


def present(experiment, rows):
    for index, row in enumerate(rows):
        row.update(id=f"r{index + 1}", experiment=experiment.name, command="")
        row.setdefault("repetition", 0)
    return sections.build([experiment], rows, [])[0]


def cells(section, caption):
    """Rows of a table by their first cell."""
    table = next(t for t in section.tables if t.caption.startswith(caption))
    return {row[0]: row[1:] for row in table.rows}


class HitCostTest(unittest.TestCase):
    TIMES = {"raw": 1.0, "hint-only": 1.2, "key-only": 1.5, "everything": 2.0, "shared": 2.1, "no-log": 1.7, "no-visited": 1.9,
             "no-interval": 1.8, "no-hint": 8.0, "no-decode": 100.0, "hash-log": 2.2, "bitmap-log": 2.0}

    def rows(self, **other):
        times = {**self.TIMES, **other}
        return [{"system": name, "point": {"workload": workload, "reads": reads},
                 "figures": {"ns_per_read": time, "ratio_to_everything": time / times["everything"],
                             "ratio_to_raw": time / times["raw"], "log_is_bitmap": workload == "oo7-T1"}}
                for workload in ("chase-100", "oo7-T1") for reads in hit_cost.READS for name, time in times.items()]

    def test_shares_beside_hac(self):
        shown = present(hit_cost.HitCost(), self.rows())
        found = cells(shown, "Parts as a share")
        self.assertEqual(found["Concurrency control checks: read log and interval"][:2], ["16%", "50%"])
        self.assertEqual(found["Usage statistics: visited bit"][:2], ["13%", "10%"])
        self.assertEqual(found["Residency and swizzling checks: key"][:2], ["21%", "30%"])
        self.assertEqual(found["whole traversal: of plain C++"][:2], ["1.89x", "2.10x"])
        self.assertIn("OO7 T1: a bitmap", shown.tables[0].note)
        self.assertIn("chase, 100 objects: a hash set", shown.tables[0].note)
        self.assertEqual(len(shown.figures), 4)
        self.assertEqual(shown.doubts, [])

    def test_a_measuring_reader_that_differs_from_the_real_one_is_named(self):
        self.assertFalse(any("carry over" in line for line in present(hit_cost.HitCost(), self.rows()).reading))
        self.assertTrue(any("carry over" in line for line in present(hit_cost.HitCost(), self.rows(shared=4.0)).reading))

    def test_faster_than_plain_pointers_is_doubtful(self):
        self.assertTrue(present(hit_cost.HitCost(), self.rows(shared=0.3)).doubts)


class ChunkCheckTest(unittest.TestCase):
    def rows(self, chunks):
        """`chunks`: T6's time by the prototype. Without Valgrind nothing is counted."""
        ratios = {"raw": 1.0, "shared": 2.3, "chunks": chunks}
        return [{"system": system, "point": {"workload": workload, "reads": reads, "written": share, "chunk_bytes": size},
                 "figures": {"instructions": 10 * value + 100 * share, "first_misses": 1.0, "chunks_logged": 3, "states_logged": 4,
                             "held_states": 5, "held_bytes": size, **({"ratio_to_raw": value} if share == 0 else {})}}
                for size in (chunk_check.CHUNK, chunk_check.PAGE) for share in (0.0, 0.5)
                for workload in chunk_check.TRAVERSALS for reads in chunk_check.READS for system, value in ratios.items()]

    def test_the_stop_rule_is_about_t6_hot(self):
        self.assertTrue(present(chunk_check.ChunkCheck(), self.rows(2.0)).reading[-1].endswith("not below 1.6, so it is not adopted."))
        self.assertTrue(present(chunk_check.ChunkCheck(), self.rows(1.5)).reading[-1].endswith(": below 1.6, so it is worth adopting."))

    def test_tables_by_the_share_that_was_written(self):
        shown = present(chunk_check.ChunkCheck(), self.rows(2.0))
        counted = cells(shown, "Instructions for one read, in a transaction")
        self.assertEqual(counted["T6, chunks of 64.0 KiB"][:2], ["20.0", "70.0"])
        self.assertEqual(counted["T1, shared"][:2], ["23.0", "73.0"])
        held = cells(shown, "What a transaction logs")
        self.assertEqual(held["T6, chunks of 4.00 KiB"][:4], ["3.00", "4.00", "5.00", "4.00 KiB"])
        self.assertEqual(held["10 parts, chosen at random, shared"][0], "not measured")
        self.assertEqual(cells(shown, "Instructions for one read, and time")["hint-only: " + chunk_check.SIDES["hint-only"]][0],
                         "not measured")

    def test_what_a_commit_pays(self):
        point = {"workload": "supersede", "reads": "hot", "written": 0.0, "chunk_bytes": chunk_check.CHUNK}
        costs = [{"system": system, "point": point, "figures": {"instructions": value}} for system, value in (("shared", 9), ("chunks", 41))]
        self.assertIn("takes 32.0 more instructions", present(chunk_check.ChunkCheck(), self.rows(2.0) + costs).reading[0])

    def test_faster_than_plain_pointers_is_doubtful(self):
        self.assertTrue(present(chunk_check.ChunkCheck(), self.rows(0.3)).doubts)


class ObjectSizeTest(unittest.TestCase):
    SIZES = (1024, 4096, 16384, 65536)

    def rows(self, pieces):
        """Whole values take one microsecond per KiB."""
        return [{"system": f"{cache}/{layout}", "point": {"store": "memory", "bytes": size, "change": change},
                 "figures": {"write_us": 1.0, "read_us": 1.0, "commit_us": 1.0,
                             "update_us": size / 1024 if layout == "whole" else pieces(size, change)}}
                for cache in object_size.CACHES for layout in ("whole", "pieces") for size in self.SIZES
                for change in object_size.CHANGES]

    def test_where_pieces_win(self):
        shown = present(object_size.ObjectSize(), self.rows(lambda size, change: 4.0 if change == "one byte" else size / 500))
        self.assertIn("shared: one byte changes, store in memory: pieces pay from 16.0 KiB on.", shown.reading)
        self.assertIn("private: every byte changes, store in memory: pieces do not pay.", shown.reading)
        ratios = cells(shown, "Time of first write and commit in pieces")["store in memory, shared, one byte"]
        self.assertEqual(ratios[:-1], ["4.00", "1.00", "0.25", "0.06"])
        self.assertIsInstance(ratios[-1], Sources)

    def test_a_win_must_last(self):
        self.assertEqual(object_size.verdict([1, 2, 3], [True, False, False]), "pieces do not pay")
        self.assertEqual(object_size.verdict([1, 2, 3], [True, False, True]), "pieces pay from 3.00 B on")
        self.assertEqual(object_size.verdict([1, 2], [True, True]), "pieces pay from 1.00 B on")


class RecoveryTest(unittest.TestCase):
    def test_times_since_the_kill(self):
        rows = [{"system": system, "point": {"accounts": 100}, "hit_ratio_over_time": [[0.2, 0.4], [0.3, 0.8]],
                 "figures": {"open_s": 0.1, "first_answer_s": 0.15, "warm_s": 0.3 * factor, "hit_ratio_before": 0.8,
                             "acknowledged": 1000, "recovered": 1001, "log_bytes": 1 << 20}}
                for system, factor in (("shared", 1), ("private", 4))]
        shown = present(recovery.Recovery(), rows)
        times = cells(shown, "Milliseconds since the kill")
        self.assertEqual(times["shared"][:3], ["100", "150", "300"])
        self.assertEqual(times["private"][2], "1,200")
        self.assertEqual(cells(shown, "What was found")["shared"][:4], ["1,000", "1,001", "0.800", "1.00 MiB"])
        self.assertEqual(len(shown.figures), 2)


if __name__ == "__main__":
    unittest.main()
