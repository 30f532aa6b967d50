"""The paper's numbers: nothing but a published row gives one, and the text holds none of its own. No LaTeX is needed."""
import re
import tempfile
import unittest
from dataclasses import replace
from pathlib import Path

import experiments
from experiments import hit_cost, scaling
from report import artifact, catalogue, published
from report.formats import significant
from report.model import FULL, PAPER as PAPER_SIZE
from report.paper import checks, figures, macros, places, rows, sources, tables, text_rules
from report.paper.macros import Knowledge, Use
from report.paper.rows import NoSuchRow, Published, Row
from report.paper.sources import Constant, Source

from . import made_up
from .support import claim, row, RUN

ROOT = Path(__file__).resolve().parents[3]
PAPER = sources.read(ROOT / "papers" / "paper")
KNOWN = Knowledge(rows.read(ROOT / "papers" / rows.NAME), PAPER.constants, PAPER.cited)
USES = macros.uses(PAPER.texts)


def source(text: str) -> Source:
    return Source(Path("a.tex"), text)


def with_rows(*changed: Row) -> Knowledge:
    return replace(KNOWN, published=Published(KNOWN.published.runs, {**KNOWN.published.rows, **{one.name: one for one in changed}}))


class PaperTest(unittest.TestCase):
    def test_the_paper_has_no_fault(self):
        self.assertEqual(checks.faults(PAPER, KNOWN, ROOT), [])

    def test_it_rests_on_rows(self):
        self.assertGreater(len({name for use in USES for name in use.rows}), 60)

    def test_another_row_is_another_text(self):
        before = macros.definitions(USES, KNOWN)
        shown = {name for use in USES for name in use.rows if use.macro not in ("verdict", "bound")}
        for name in sorted(shown):
            was = KNOWN.published[name]
            now = replace(was, curve=tuple((at, value * 3) for at, value in was.curve)) if was.curve else replace(was, median=was.median * 3 + 7)
            self.assertNotEqual(before, macros.definitions(USES, with_rows(now)), name)

    def test_another_row_is_another_sentence_table_and_appendix(self):
        sentence = r"A chase takes \ci{claims/chase} of that; the claim \verdict{chase}."
        was = KNOWN.published["claims/chase"]
        worse = with_rows(replace(was, median=9.0, low=8.0, high=9.5))
        self.assertIn("holds", macros.expanded(sentence, KNOWN))
        self.assertIn(r"9.00$\times$ (8.00 to 9.50)", macros.expanded(sentence, worse))
        self.assertIn("the claim fails", macros.expanded(sentence, worse))
        self.assertNotEqual(tables.claims(KNOWN), tables.claims(worse))
        self.assertNotEqual(tables.appendix(USES, KNOWN), tables.appendix(USES, worse))
        self.assertEqual(int(macros.facts(worse.published)["failing"]), int(macros.facts(KNOWN.published)["failing"]) + 1)

    def test_a_number_leads_to_its_row_and_to_what_measures_it(self):
        text = tables.as_markdown(USES, KNOWN, PAPER, ROOT)
        line = next(one for one in text.splitlines() if "`claims/begin-end`" in one)
        self.assertRegex(line, r"^\| evaluation\.tex:\d+ \|")
        self.assertIn("`scripts/claims begin-end`", line)
        self.assertIn(KNOWN.published["claims/begin-end"].ids[0], line)
        self.assertIn(r"\rowtarget{claims/begin-end}", tables.appendix(USES, KNOWN))

    def test_a_row_that_is_not_there_is_named(self):
        with self.assertRaisesRegex(macros.Unknown, r"a\.tex:2: no published row claims/chaste"):
            macros.value(macros.uses([source("\n\\val{claims/chaste}")])[0], KNOWN)
        fewer = Published(KNOWN.published.runs, {})
        found = checks.faults_of_macros(PAPER, replace(KNOWN, published=fewer))
        self.assertTrue(any("claims/chase" in one for one in found))

    def test_a_single_run_shows(self):
        one = Row("claims/chase", "run", "x", median=2.0, count=1, comparison="<=", bound=1.0)
        self.assertIn(macros.DAGGER, macros.value(Use("val", one.name, "", "text"), with_rows(one)))
        self.assertNotIn(macros.DAGGER, macros.value(Use("val", one.name, "", "text"), KNOWN))

    def test_what_comes_whole_has_no_decimals(self):
        self.assertEqual(macros.with_unit(5.0, "count"), "5")
        self.assertEqual(macros.with_unit(1234.0, "count"), "1,234")

    def test_a_goal_is_not_reached_and_a_claim_fails(self):
        missed = Row("claims/chase", "run", "x", 2.0, 1.9, 2.1, 3, comparison="<=", bound=1.0)
        self.assertEqual(macros.value(Use("verdict", "chase", "", "text"), with_rows(missed)), "fails")
        self.assertEqual(macros.value(Use("verdict", "chase", "", "text"), with_rows(replace(missed, required=False))), "is not reached")
        # The bound is for the upper end, where the claim says so.
        self.assertFalse(replace(missed, bound=2.0, judged=2.1).holds)


class HandWrittenTest(unittest.TestCase):
    def faults(self, text):
        return text_rules.faults(source(text), PAPER.names)

    def test_results_in_digits(self):
        for text in ("It is 1.9x faster.", "It takes 14 ns.", "faster by $4.4\\times$", "(95\\,\\%)", "\\emph{1,573} bytes",
                     "\\newcommand\\hidden{1.9x}", "\\caption{It is 7 times}", "\\textbf{0}", "T1.9 and OO7x2"):
            self.assertTrue(self.faults(text), text)

    def test_results_in_words(self):
        for text in ("It is nineteen times faster.", "Nineteen-fold.", "It halves the time.", "twice as fast", "three times as much",
                     "one percent", "ten nanoseconds", "thousands of sessions", "an order: two orders of magnitude", "half of the memory",
                     "five objects", "Sixty-three of them"):
            self.assertTrue(self.faults(text), text)

    def test_put_into_the_paper_it_is_found_where_it_is(self):
        for number, words in ((1, "It is 1.9x faster. "), (2, "It is nineteen times faster. ")):
            text = next(one for one in PAPER.texts if one.path.name == "evaluation.tex")
            lines = text.text.splitlines()
            at = next(i for i, line in enumerate(lines) if line.startswith("A first write")) + number - 1
            lines[at] = words + lines[at]
            found = text_rules.faults(replace(text, text="\n".join(lines)), PAPER.names)
            self.assertEqual(len(found), 1, found)
            self.assertIn(f"evaluation.tex:{at + 1}:", found[0])

    def test_what_is_no_result(self):
        for text in ("\\val{claims/chase} of \\cite{oo7}", "one cache for two threads", "see \\S\\ref{sec:rq1}", "% 1.9x in a comment",
                     "OO7's T1, T6 and S3-FIFO in C++20", "\\setlength\\tabcolsep{4pt}", "\\begin{tabular}{@{}p{0.27\\columnwidth}@{}}",
                     "the first of them", "\\newcommand\\val[1]{\\usenumber{val:#1}}", "one object, one transaction"):
            self.assertEqual(self.faults(text), [], text)

    def test_no_figure_passes_for_a_name(self):
        self.assertEqual(text_rules.faults_of_names(PAPER.names), [])
        for name in ("1.9x", "x1.9", "19", "x19", "T1.9", "times19000"):
            self.assertTrue(text_rules.faults_of_names([name]), name)

    def test_never_that_word_alone(self):
        self.assertTrue(text_rules.faults_of_wording(source("Our reclaimer is robust.")))
        self.assertEqual(text_rules.faults_of_wording(source("what theory calls \\emph{robust}")), [])


class PlacesTest(unittest.TestCase):
    def test_a_constant_is_where_it_is_said_to_be(self):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "a.hpp").write_text("// limits\nconstexpr int kMost = 10'000;\n")
            constant = Constant("most", "10,000", "a.hpp", "kMost = 10'000")
            self.assertEqual(constant.place(Path(folder)), "a.hpp:2")
            for wrong in (replace(constant, shown="20,000"), replace(constant, code="kMost = 20'000"), replace(constant, code="limits")):
                with self.assertRaises(ValueError):
                    wrong.place(Path(folder))
            (Path(folder) / "a.hpp").write_text("constexpr int kMost = 20'000;\n")
            with self.assertRaisesRegex(ValueError, "on 0 lines"):
                constant.place(Path(folder))

    def test_published_figures_are_those_of_the_report(self):
        for traversal, ratio in published.HAC_HOT_RATIOS.items():
            self.assertTrue(PAPER.cited[f"hac-{traversal.lower()}"].value.startswith(f"{ratio}$"), traversal)

    def test_text_and_artifact_share_their_names(self):
        text = artifact.text(ROOT)
        for use in USES:
            if use.macro in ("experiment", "question"):
                self.assertIn(use.first, text)
        for entry in catalogue.ENTRIES:
            without = [use for use in USES if (use.macro, use.first) != ("experiment", catalogue.label(entry.number))]
            self.assertLess(len(without), len(USES), entry.number)
        with self.assertRaisesRegex(macros.Unknown, "no experiment E99"):
            macros.value(macros.uses([source("\\experiment{E99}")])[0], KNOWN)

    def test_figures_and_tables_lead_to_commands(self):
        found = places.places(PAPER)
        self.assertEqual([one.number for one in found if one.kind == "figure"],
                         list(range(1, sum(one.kind == "figure" for one in found) + 1)))
        self.assertEqual(len({one.label for one in found}), len(found))
        by_label = {one.label: one for one in found}
        self.assertEqual(by_label["fig:limbo"].experiments, ("E6",))
        drawn = set(re.findall(r"\\drawn\{([\w-]+)\}", "".join(one.text for one in PAPER.texts)))
        self.assertEqual(drawn, {*figures.ALL, "design"})
        for name in figures.ALL:
            self.assertTrue(by_label[f"fig:{name}"].experiments, name)
        text = places.as_markdown(PAPER, KNOWN)
        limbo = re.escape(significant(KNOWN.published["claims/sleeper-limbo"].median))
        self.assertRegex(text, rf"\| Figure \d \| E6 \| `scripts/reproduce --paper --only E6` \| \d+ min \| .*`sleeper-limbo` {limbo} ")
        # Of an experiment without a claim the first values of the text say what to expect.
        self.assertRegex(text, r"\| Figure \d \| E10 \| .*`equal-memory/caches/zipf,\w+,\d+/\w+` 0\.\d+")

    def test_claims_and_rows_are_of_one_run(self):
        self.assertEqual(checks.faults_of_claims_table(KNOWN, ROOT), [])
        other = with_rows(replace(KNOWN.published["claims/chase"], median=1.08, high=1.13))
        self.assertEqual(len(checks.faults_of_claims_table(other, ROOT)), 1)


def counted_threads(size) -> list[int]:
    return sorted({dict(job.point)["threads"] for job in scaling.Scaling().jobs(size) if dict(job.point)["schedule"] == "alternate"})


class PublishedRowsTest(unittest.TestCase):
    def test_rows_of_a_run(self):
        raw = [claim("chase", 1.0 + n / 100, repetition=n, id=f"r{n}") for n in range(3)]
        raw += [row(10 + n, "open-sessions", "private", {"subject": "begin", "sessions": 16}, figures={"ns": 100.0 + n}, repetition=n)
                for n in range(3)]
        raw += [row(20, "sleepers", "hybrid", {"threads": 2, "sleepers": 1}, limbo_over_time=[[0.0, 1 << 20], [1.0, 3 << 20]],
                    limbo_bytes=3 << 20)]
        found = {one.name: one for one in rows.summaries(raw, "run")}
        self.assertEqual(found["claims/chase"].median, 1.01)
        self.assertEqual(found["claims/chase"].ids, ("r0", "r1", "r2"))
        self.assertEqual(found["open-sessions/private/begin,16/time"].median, 101.0)
        self.assertEqual(found["sleepers/hybrid/1/limbo-over-time"].curve, ((0.0, 1.0), (1.0, 3.0)))
        self.assertEqual(found["sleepers/hybrid/1/limbo"].median, 3.0)

    def test_a_whole_run_publishes_all_that_the_paper_says(self):
        for size in (PAPER_SIZE, FULL):
            with self.subTest(size.name):
                self.publishes_all(size)

    def publishes_all(self, size):
        raw = [claim(name, 1.0, comparison="<=", bound=2.0, id=f"c{n}", repetition=n) for name in published.CLAIMS for n in range(3)]
        for experiment in experiments.ALL:
            raw += made_up.rows_of(experiment, size)
        raw += [row(n, "hit-cost", variant, {"workload": workload, "reads": reads}, repetition=n,
                    figures={"ratio_to_everything": 1.0 + n, "ratio_to_raw": 2.0})
                for variant in hit_cost.VARIANTS for workload in hit_cost.WORKLOADS for reads in hit_cost.READS for n in range(3)]
        raw += [row(n, "scaling", system, {"schedule": "alternate", "phase": phase, "threads": threads}, repetition=n,
                    figures={"transfers": 1.0, "shared_writes": 0.0})
                for system in ("shared", "private", "locked", "blocking") for phase in scaling.PHASES for threads in counted_threads(size)
                for n in range(3)]
        found = {one.name: one for one in rows.summaries(raw, "run")}
        known = replace(KNOWN, published=Published({"run": {**KNOWN.published.runs[next(iter(KNOWN.published.runs))]}}, found))
        self.assertEqual(checks.faults_of_macros(PAPER, known), [])
        with tempfile.TemporaryDirectory() as folder:
            for name in figures.ALL:
                figures.draw(name, known.published, Path(folder) / f"{name}.pdf")

    def test_written_and_read_back(self):
        with tempfile.TemporaryDirectory() as folder:
            raw, path = Path(folder) / "rows.jsonl", Path(folder) / "published.jsonl"
            raw.write_text("{}\n")
            path.write_text(rows.text_of_run(RUN, [claim("chase", 1.0 + n, id=f"r{n}", repetition=n) for n in range(3)], raw))
            back = rows.read(path)
            self.assertEqual(back["claims/chase"].median, 2.0)
            self.assertEqual(back.runs["ccccccc"]["command"], RUN["command"])
            self.assertEqual(len(back.runs["ccccccc"]["digest"]), 64)
            path.write_text(path.read_text() + path.read_text().splitlines()[1] + "\n")
            with self.assertRaisesRegex(ValueError, "twice"):
                rows.read(path)

    def test_every_figure_can_be_drawn_and_says_what_it_lacks(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in figures.ALL:
                path = Path(folder) / f"{name}.pdf"
                figures.draw(name, KNOWN.published, path)
                self.assertGreater(path.stat().st_size, 1000)
                with self.assertRaisesRegex(NoSuchRow, "no published row"):
                    figures.draw(name, Published(KNOWN.published.runs, {}), path)

    def test_claims_stand_by_their_questions(self):
        places = [published.place_of(one.claim) for one in KNOWN.published.claims]
        self.assertEqual(places, sorted(places))
        asked = [published.question_of(one.claim) for one in KNOWN.published.claims]
        self.assertEqual(asked, sorted(asked))
        first_of_each = re.findall(r"(?m)^(RQ\d) ", tables.claims(KNOWN))
        self.assertEqual(first_of_each, sorted(set(asked)))


if __name__ == "__main__":
    unittest.main()
