"""The order of runs, and what is said while they run."""
import io
import random
import unittest

import experiments
from report import plan
from report.model import FULL, SIZES, SMOKE
from report.progress import Progress, fitted


class PlanTest(unittest.TestCase):
    def test_every_round_holds_every_job_once(self):
        order = plan.interleaved(list(experiments.ALL), FULL, seed=4)
        jobs = [job for experiment in experiments.ALL for job in experiment.jobs(FULL)]
        for repetition in range(FULL.repetitions):
            wanted = [job for job in jobs if repetition == 0 or not job.once]
            chunk, order = order[:len(wanted)], order[len(wanted):]
            self.assertEqual({job.repetition for job in chunk}, {repetition})
            self.assertEqual(sorted(job.label() for job in chunk), sorted(job.label() for job in wanted))
        self.assertEqual(order, [])

    def test_seed_decides_the_order(self):
        chosen = list(experiments.ALL)
        self.assertEqual(plan.interleaved(chosen, SMOKE, 1), plan.interleaved(chosen, SMOKE, 1))
        self.assertNotEqual(plan.interleaved(chosen, SMOKE, 1), plan.interleaved(chosen, SMOKE, 2))

    def test_points_are_distinct(self):
        for size_ in SIZES.values():
            for experiment in experiments.ALL:
                labels = [job.label() for job in experiment.jobs(size_)]
                self.assertEqual(len(labels), len(set(labels)), experiment.name)


class InTurnTest(unittest.TestCase):
    def rounds(self, seed: int, repetitions: int = 6):
        sides_of = {"both": ["old", "new"], "other": ["old", "new"], "one": ["new"], "none": []}
        runs = list(plan.in_turn(sides_of, repetitions, random.Random(seed)))
        return [[run[1:] for run in runs if run[0] == repetition] for repetition in range(repetitions)], runs

    def test_every_round_holds_every_name_on_each_of_its_sides_once(self):
        rounds, runs = self.rounds(1)
        for one in rounds:
            self.assertEqual(sorted(one), [("both", "new"), ("both", "old"), ("one", "new"), ("other", "new"), ("other", "old")])
        self.assertEqual([run[0] for run in runs], sorted(run[0] for run in runs))

    def test_the_sides_of_a_name_are_neighbours_and_take_turns_at_going_first(self):
        for seed in range(20):
            for name in ("both", "other"):
                first = []
                for one in self.rounds(seed)[0]:
                    at = [index for index, (which, _) in enumerate(one) if which == name]
                    self.assertEqual(at[1] - at[0], 1)
                    first.append(one[at[0]][1])
                self.assertEqual(first, [first[0], first[1]] * 3)
                self.assertNotEqual(first[0], first[1])

    def test_who_goes_first_and_the_order_of_the_names_are_drawn(self):
        firsts = [self.rounds(seed)[0][0] for seed in range(40)]
        self.assertEqual({dict(one)["one"] for one in firsts}, {"new"})
        self.assertEqual({next(side for name, side in one if name == "both") for one in firsts}, {"old", "new"})
        self.assertEqual({one[0][0] for one in firsts}, {"both", "other", "one"})


class ProgressTest(unittest.TestCase):
    def test_a_line_fits_whatever_the_width(self):
        label, times = "[ 3/120] publisher coroutines/shared in_flight=1000", "1 h 02 min gone, about 10 h 00 min left"
        for width in range(200):
            line = fitted(label, times, width)
            self.assertLessEqual(len(line), max(width - 1, 0))
            self.assertTrue(label.startswith(line.rstrip()) or line.endswith(times))
        self.assertTrue(fitted(label, times, 120).endswith(times))

    def test_what_is_soon_done_says_nothing(self):
        said = io.StringIO()
        progress = Progress(2, 1.0, said, patience_s=1000.0)
        for label in ("one", "other"):
            with progress.job(label, 0.5):
                pass
        progress.close()
        self.assertEqual((said.getvalue(), progress.done), ("", 2))
        patient = Progress(2, 1.0, said)
        with patient.job("one", 0.5):
            pass
        patient.close()
        self.assertIn("[1/2] one", said.getvalue())
        self.assertIn("1 runs in", said.getvalue())

    def test_a_job_that_fails_is_not_done(self):
        progress = Progress(2, 1.0, io.StringIO())
        with self.assertRaises(ValueError), progress.job("one", 0.5):
            raise ValueError
        self.assertEqual(progress.done, 0)


if __name__ == "__main__":
    unittest.main()
