"""What the rows of the peers become: times, ratios of paired samples, and where another one is better."""
import unittest

from experiments import peers
from report import sections
from report.model import SIZES, Sources

from .support import numbered, row

TIMES = {"shared": 10.0, "shared/by-oid": 30.0, "lmdb": 130.0, "wiredtiger": 260.0, "rocksdb": 1000.0, "map": 35.0, "tbb": 25.0}


def rows(repetitions=1, **other):
    times = {**TIMES, **other}
    made = [row(0, "peers", system, {"objects": objects, "reads": reads, "threads": threads}, repetition=repetition,
                figures={"ns_per_read": time * threads, "ratio_to_shared": time / times["shared"]})
            for repetition in range(repetitions) for objects in peers.OBJECTS["full"] for threads in peers.THREADS
            for reads in peers.READS for system, time in times.items()]
    return numbered(made)


def present(made):
    return sections.build([peers.Peers()], made, [])[0]


class PeersTest(unittest.TestCase):
    def test_a_line_for_each_point_and_a_column_for_each_system(self):
        times, ratios, times_of_two, ratios_of_two = present(rows()).tables
        self.assertEqual(times.head[1:-1], list(peers.SYSTEMS))
        self.assertEqual(ratios.head[1:-1], list(peers.SYSTEMS)[1:])
        self.assertEqual([line[0] for line in times.rows], [f"{objects} objects, {reads} reads" for objects in ("10k", "100k", "1M")
                                                            for reads in ("10", "100", "1k")])
        self.assertEqual(times.rows[0][1:-1], ["10.0", "30.0", "130", "260", "1,000", "35.0", "25.0"])
        self.assertEqual(times_of_two.rows[0][1], "20.0")
        for table in (ratios, ratios_of_two):
            self.assertEqual(table.rows[0][1:-1], ["3.00", "13.00", "26.00", "100.00", "3.50", "2.50"])
        self.assertIsInstance(times.rows[0][-1], Sources)
        self.assertEqual(len(times.rows[0][-1].ids), len(TIMES))

    def test_a_figure_for_each_number_of_threads(self):
        self.assertEqual([figure.name for figure in present(rows()).figures], ["peers-1", "peers-2"])

    def test_the_reading_names_the_range(self):
        made = rows()
        for one in made:
            if one["system"] == "lmdb" and one["point"]["objects"] == 1_000_000:
                one["figures"]["ratio_to_shared"] = 4.0
        self.assertIn("lmdb: 4.0 to 13.0 times a read by reference.", present(made).reading)

    def test_who_is_better_is_named_when_the_interval_says_so(self):
        self.assertEqual(present(rows()).better, [])
        found = present(rows(repetitions=3, map=9.0)).better
        self.assertEqual(len(found), 18)
        self.assertEqual((found[0].where, found[0].who), ("one thread, 10k objects, 10 reads a transaction", "map"))
        made = rows(repetitions=3, map=9.0)
        for one in made:
            if one["system"] == "map" and one["repetition"] == 2:
                one["figures"]["ratio_to_shared"] = 1.2
        self.assertEqual(present(made).better, [])

    def test_a_run_that_lacks_a_system_shows_the_others(self):
        shown = present([one for one in rows() if one["system"] != "wiredtiger"])
        self.assertNotIn("wiredtiger", shown.tables[0].head)

    def test_all_sizes_ask_for_the_same_shapes(self):
        for size in SIZES.values():
            for job in peers.Peers().jobs(size):
                self.assertEqual(job.command[job.command.index("--reads") + 1], "10,100,1000")
                self.assertEqual(job.command[job.command.index("--threads") + 1], "1,2")


if __name__ == "__main__":
    unittest.main()
