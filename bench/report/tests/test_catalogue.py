"""Numbers, names and questions: what --only and --list make of them, and what is not built yet."""
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace

import experiments
import report
from report import artifact, catalogue, claims, published, sections
from report.model import PAPER, SIZES, SMOKE

BENCH = Path(report.__file__).resolve().parents[1]
NUMBERS = [f"E{i}" for i in range(1, 20)] + ["scaling"]
BUILT = list(experiments.ALL)


def reproduce(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-B", "-m", "report", *words], capture_output=True, text=True, check=False, timeout=60,
                          env={**os.environ, "PYTHONPATH": str(BENCH)})


class CatalogueTest(unittest.TestCase):
    def test_every_number_once_and_every_question_asked(self):
        self.assertEqual([e.number for e in catalogue.ENTRIES], NUMBERS)
        asked = {q for e in catalogue.ENTRIES for q in e.questions}
        self.assertEqual(asked, set(catalogue.QUESTIONS))
        self.assertEqual(len(asked), 7)

    def test_every_experiment_belongs_to_a_number_and_names_are_distinct(self):
        for experiment in BUILT:
            self.assertIn(catalogue.number_of(experiment.name), NUMBERS)
        names = [e.name for e in BUILT]
        self.assertEqual(len(names), len(set(names)))

    def test_every_module_of_the_folder_is_found(self):
        folder = Path(experiments.__file__).parent
        self.assertEqual({p.stem for p in folder.glob("*.py")} - {"__init__"},
                         {type(e).__module__.rpartition(".")[2] for e in BUILT})

    def test_classes_that_only_help_others_are_no_experiments(self):
        module = SimpleNamespace(__name__="a.module")
        for name, more in (("Helper", {"name": ""}), ("Real", {"name": "real"}), ("Record", {})):
            kind = type(name, (), {"jobs": None, "present": None, **more, "__module__": "a.module"})
            setattr(module, name, kind)
        setattr(module, "Imported", type("Imported", (), {"jobs": None, "present": None, "name": "x", "__module__": "other"}))
        self.assertEqual([e.name for e in experiments.experiments_of(module)], ["real"])

    def test_an_experiment_without_a_number_is_an_error_that_says_what_to_do(self):
        with self.assertRaisesRegex(LookupError, "new-one.*catalogue.py"):
            catalogue.in_order([SimpleNamespace(name="new-one")])

    def test_a_built_part_is_not_missing_and_a_new_one_replaces_its_not_yet(self):
        entry = catalogue.Entry("E3", "a title", ("RQ2",), "what?", {"there": "one thing", "to-come": "another thing"})
        built = [SimpleNamespace(name="there")]
        self.assertEqual(catalogue.missing(entry, built), ["another thing"])
        self.assertEqual(catalogue.missing(entry, [*built, SimpleNamespace(name="to-come")]), [])

    def test_claims_belong_to_numbers(self):
        for name in published.CLAIMS:
            self.assertIn(published.experiment_of(name), NUMBERS, name)
        self.assertEqual(published.experiment_of("nobody-knows"), "")


class OnlyTest(unittest.TestCase):
    def names(self, words):
        return catalogue.names_of(words, BUILT, ("claims",))

    def test_numbers_names_and_questions(self):
        self.assertEqual(self.names("memory"), ["memory"])
        self.assertEqual(self.names("E1"), ["memory"])
        self.assertEqual(self.names("e1, claims"), ["memory", "claims"])
        self.assertEqual(self.names("E1,memory"), ["memory"])
        self.assertEqual(set(self.names("E4,E7")), {"throughput-writes", "private-law", "publisher"})
        self.assertEqual(set(self.names("E2")), {e.name for e in BUILT if catalogue.number_of(e.name) == "E2"})
        self.assertGreater(len(self.names("E2")), 4)
        self.assertEqual(set(self.names("RQ6")), {e.name for e in BUILT if "RQ6" in catalogue.entry(catalogue.number_of(e.name)).questions})

    def test_unknown_names_are_told_with_what_there_is(self):
        for words in ("nothing", "E1,nothing", "E20", "E", ""):
            with self.assertRaises(catalogue.UnknownName) as caught:
                self.names(words)
            for known in ("E19", "RQ1", "memory", "claims"):
                self.assertIn(known, str(caught.exception))

    def test_command_line(self):
        done = reproduce("--only", "E4,nothing")
        self.assertEqual(done.returncode, 2)
        self.assertIn("no experiment nothing", done.stderr)
        listed = reproduce("--list")
        self.assertEqual(listed.returncode, 0)
        for number in NUMBERS:
            self.assertRegex(listed.stdout, rf"(?m)^{number} ")
        for experiment in BUILT:
            self.assertRegex(listed.stdout, rf"(?m)^{catalogue.number_of(experiment.name)} +{experiment.name} +RQ\d")
        self.assertEqual(reproduce("--help").returncode, 0)

    def test_what_is_not_built_has_nothing_to_run(self):
        empty = [e.number for e in catalogue.ENTRIES if not any(b.name in e.parts for b in BUILT)]
        for number in empty:
            with self.assertRaisesRegex(catalogue.UnknownName, "not yet"):
                self.names(number)

    def test_listing_needs_no_package(self):
        done = subprocess.run(
            [sys.executable, "-B", "-c", "import sys; sys.modules['numpy'] = sys.modules['matplotlib'] = None\n"
             "import runpy; sys.argv = ['report', '--list']; runpy.run_module('report', run_name='__main__')"],
            capture_output=True, text=True, check=False, timeout=60, env={**os.environ, "PYTHONPATH": str(BENCH)})
        self.assertEqual(done.returncode, 0, done.stderr)


class GroupTest(unittest.TestCase):
    def test_states(self):
        found = {g.entry.number: g for g in sections.groups([], BUILT)}
        self.assertEqual(list(found), NUMBERS)
        self.assertEqual(found["E1"].state, "not in this run")
        nothing = {g.entry.number: g for g in sections.groups([], [])}
        self.assertTrue(all(g.state == "not yet" and g.not_yet for g in nothing.values()))
        part = [e for e in BUILT if e.name == "read-cost"]
        found = {g.entry.number: g for g in sections.groups(sections.build(part, [], []), part)}
        self.assertEqual(found["E3"].state, "not measured, in part not yet")


class BudgetTest(unittest.TestCase):
    def test_a_smoke_run_is_planned_for_less_than_its_budget(self):
        planned = sum(artifact.time(experiment, SMOKE) for experiment in BUILT)
        # The claims run as well; 30 seconds are kept for drawing.
        self.assertLess(planned, 600 - 30 - claims.QUICK_ESTIMATE_S * len(published.CLAIMS))

    def test_a_paper_run_is_planned_for_less_than_two_hours_with_intervals(self):
        self.assertGreaterEqual(PAPER.repetitions, 5)
        self.assertLess(artifact.whole(PAPER), 120 * 60)

    def test_a_size_takes_longer_than_the_one_before(self):
        for experiment in BUILT:
            smoke, paper, full = (sum(job.estimate_s for job in experiment.jobs(size)) for size in SIZES.values())
            self.assertLessEqual(paper, full, experiment.name)
            self.assertLessEqual(smoke, 1.2 * paper, experiment.name)

    def test_a_paper_run_measures_points_of_a_full_one(self):
        for experiment in BUILT:
            of_full = {(job.system, job.point) for job in experiment.jobs(SIZES["full"])}
            for job in experiment.jobs(PAPER):
                self.assertIn((job.system, job.point), of_full, experiment.name)

    def test_sizes_are_told_apart_by_name(self):
        self.assertEqual(list(SIZES), ["smoke", "paper", "full"])
        self.assertEqual([size.choose(smoke=1, paper=2, full=3) for size in SIZES.values()], [1, 2, 3])
        self.assertEqual([size.gives_results for size in SIZES.values()], [False, True, True])

    def test_every_experiment_has_jobs_of_every_size(self):
        for experiment in BUILT:
            for size in SIZES.values():
                jobs = experiment.jobs(size)
                self.assertTrue(jobs, experiment.name)
                self.assertEqual({job.experiment for job in jobs}, {experiment.name})


class ArtifactTest(unittest.TestCase):
    @staticmethod
    def without_times(text: str) -> str:
        """Estimates depend on the memory of the machine and on whether it has the trace."""
        import re

        return re.sub(r"\| [\d.]+ (s|min|h) (?=\|)", "| TIME ", text)

    def test_the_page_in_the_repository_is_of_this_list(self):
        committed = BENCH.parent / artifact.PATH
        self.assertEqual(self.without_times(committed.read_text()), self.without_times(artifact.text(BENCH.parent)),
                         "papers/artifact.md is old: scripts/reproduce --artifact")

    def test_maps_every_number_and_names_files_that_exist(self):
        import re

        text = artifact.text(BENCH.parent)
        for number in NUMBERS:
            self.assertIn(f"| {catalogue.label(number)} |", text)
        for path in re.findall(r"`((?:bench|scripts|tests|docs|cow_cache|persistence)/[\w/.]*)`", text):
            self.assertTrue((BENCH.parent / path).exists(), path)

    def test_writes(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "papers" / "artifact.md"
            artifact.write(path)
            self.assertEqual(path.read_text(), artifact.text(Path(folder)))  # without the paper's text there is no table of its figures
            self.assertNotIn("## Figures and tables", path.read_text())


if __name__ == "__main__":
    unittest.main()
