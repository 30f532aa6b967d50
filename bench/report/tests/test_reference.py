"""A run beside published rows: which values are within tolerance, by which tolerance, and which are only shown."""
import json
import tempfile
import unittest
from pathlib import Path

from report import __main__ as command, reference
from report.intervals import Interval
from report.paper import rows
from report.paper.rows import Published, Row
from report.reference import MISSING, OUTSIDE, SHOWN, WITHIN

from .support import claim, row


def claimed(median: float, bound: float = 2.0, comparison: str = "<=") -> Row:
    return Row("claims/chase", "run", "x", median, count=1, comparison=comparison, bound=bound)


def measured(name: str, unit: str, median: float, spread: float = 0.0) -> Row:
    return Row(name, "run", unit, median, median - spread, median + spread, 5)


def verdicts(published: list[Row], here: list[Row]) -> dict[str, str]:
    known = Published({"run": {}}, {one.name: one for one in published})
    return {one.name: one.verdict for one in reference.values(known, {one.name: one for one in here})}


class ToleranceTest(unittest.TestCase):
    def test_a_claim_has_its_bound(self):
        for here, verdict in ((1.9, WITHIN), (2.1, OUTSIDE)):
            found = reference.of_claim(claimed(1.0), claimed(here))
            self.assertEqual(found.verdict, verdict)
            self.assertEqual(found.tolerance, "claim's bound: <= 2 x")
        self.assertEqual(reference.of_claim(claimed(5.0, comparison=">="), claimed(1.0, comparison=">=")).verdict, OUTSIDE)

    def test_a_claim_that_the_published_row_misses_is_compared_with_that_row(self):
        for here, verdict in ((3.0, WITHIN), (5.9, WITHIN), (6.1, OUTSIDE)):
            found = reference.of_claim(claimed(4.0), claimed(here))
            self.assertEqual(found.verdict, verdict, here)
            self.assertIn("published misses its bound of 2 too", found.tolerance)
        self.assertEqual(reference.of_claim(claimed(4.0), claimed(1.0)).verdict, WITHIN)  # better than what is published

    def test_the_interval_is_widened_at_both_ends(self):
        self.assertEqual(reference.widened(Interval(2.0, 1.0, 3.0, 5), 2.0), (0.5, 6.0))
        self.assertEqual(reference.widened(Interval(2.0, None, None, 1), 2.0), (1.0, 4.0))
        self.assertEqual(reference.widened(Interval(-2.0, -3.0, -1.0, 5), 2.0), (-6.0, -0.5))
        self.assertEqual(reference.widened(Interval(0.0, 0.0, 0.0, 5), 2.0), (0.0, 0.0))

    def test_counts_are_held_to_less_than_ratios_of_times(self):
        for unit, factor in (("", reference.COUNTED), ("x", reference.TIMED)):
            was = measured("hit-cost/no-log/oo7-T1,first/ratio", unit, 1.0)
            for here, verdict in ((0.99 * factor, WITHIN), (1.01 * factor, OUTSIDE), (1 / (1.01 * factor), OUTSIDE)):
                self.assertEqual(verdicts([was], [measured(was.name, unit, here)]), {was.name: verdict})
        was = measured("scaling/shared/alternate,commit,2/transfers", "", 10.0)
        self.assertEqual(verdicts([was], [measured(was.name, "", 14.0)]), {was.name: WITHIN})
        # A part of an interval that is within is enough: the run cannot tell.
        was = measured("cold-start/shared/8/loads", "", 1.0)
        self.assertEqual(verdicts([was], [measured(was.name, "", 1.2, spread=0.15)]), {was.name: WITHIN})
        self.assertEqual(verdicts([measured(was.name, "", 0.0)], [measured(was.name, "", 1.0)]), {was.name: OUTSIDE})

    def test_of_times_and_rates_the_ratio_to_ours_is_compared(self):
        names = ("smallbank/shared/10/rate", "smallbank/private/10/rate")
        was = [measured(names[0], "1/s", 100.0), measured(names[1], "1/s", 200.0)]
        # A machine that is ten times faster, and one on which private caches have lost half of what they won.
        self.assertEqual(verdicts(was, [measured(names[0], "1/s", 1000.0), measured(names[1], "1/s", 2000.0)]),
                         {names[0]: SHOWN, names[1]: WITHIN})
        self.assertEqual(verdicts(was, [measured(names[0], "1/s", 100.0), measured(names[1], "1/s", 90.0)]),
                         {names[0]: SHOWN, names[1]: OUTSIDE})
        # Without ours beside it there is no ratio.
        self.assertEqual(verdicts(was[1:], [measured(names[1], "1/s", 90.0)]), {names[1]: SHOWN})

    def test_ours_is_found_where_a_systems_name_has_two_words(self):
        names = ("publisher/coroutines/shared/64,10,0/rate", "publisher/processes/private/64,10,0/rate")
        published = {name: measured(name, "1/s", 5.0) for name in names}
        self.assertEqual(reference.of_ours(published[names[1]], published), published[names[0]])
        self.assertIsNone(reference.of_ours(published[names[0]], published))
        names = ("smallbank/shared/10/rate", "smallbank/shared/serializable/10/rate")
        published = {name: measured(name, "1/s", 5.0) for name in names}
        self.assertEqual(reference.of_ours(published[names[1]], published), published[names[0]])

    def test_tails_limbo_and_curves_are_only_shown(self):
        names = [f"sleepers/{system}/1/{what}" for system in ("hybrid", "epochs") for what in ("p999", "limbo", "limbo-over-time")]
        units = {"p999": "us", "limbo": "MiB", "limbo-over-time": "MiB"}
        rows_ = [Row(name, "run", "MiB", count=1, curve=((0.0, 1.0),)) if "over" in name else
                 measured(name, units[name.rpartition("/")[2]], 1.0) for name in names]
        self.assertEqual(set(verdicts(rows_, rows_).values()), {SHOWN})


class RunTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        (self.root / "papers").mkdir()
        (self.root / "run").mkdir()
        raw = self.raw(1.0)
        about = {"run": "run", "revision": "r", "size": "paper"}
        (self.root / "papers" / rows.NAME).write_text(rows.text([about], rows.summaries(raw, "run")))

    @staticmethod
    def raw(factor: float) -> list[dict]:
        return [claim("chase", factor), row(1, "hit-cost", "no-log", {"workload": "oo7-T1", "reads": "first"},
                                            figures={"ratio_to_everything": factor})]

    def compared(self, raw: list[dict]) -> int:
        (self.root / "run" / "rows.jsonl").write_text("".join(json.dumps(one) + "\n" for one in raw))
        return command.beside_published(self.root / "run", self.root)

    def test_exit_codes(self):
        self.assertEqual(self.compared(self.raw(1.2)), 0)
        self.assertEqual(self.compared(self.raw(1.7)), 1)  # the claim still holds, and the ratio is outside
        self.assertEqual(self.compared([row(1, "memory", "shared", {"sessions": 1})]), 2)
        self.assertEqual(self.compared([{"no": "row"}]), 2)
        self.assertEqual(command.beside_published(self.root / "nowhere", self.root), 2)

    def test_the_summary_counts_and_names(self):
        (self.root / "run" / "rows.jsonl").write_text("".join(json.dumps(one) + "\n" for one in self.raw(1.7)[1:]))
        found = reference.values(rows.read(self.root / "papers" / rows.NAME), reference.rows_of(self.root / "run"))
        self.assertEqual({one.verdict for one in found}, {OUTSIDE, MISSING})
        said = reference.summary(found)
        self.assertIn("0 of 1 values within tolerance, 1 outside; 0 shown only, 1 published ones not in this run", said)
        self.assertIn("outside: hit-cost/no-log/oo7-T1,first/ratio", said)
        self.assertNotIn("claims/chase", reference.text(found))


if __name__ == "__main__":
    unittest.main()
