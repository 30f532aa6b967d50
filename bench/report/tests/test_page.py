"""The page and the texts: every number is there, verdicts are complete, colours are the same everywhere."""
import re
import unittest

import experiments
from report import claims, findings, page, published, sections, svg, systems
from report.drawing import Series, lines
from report.intervals import Interval
from report.model import SIZES, Figure
from report.page_parts import section as render_section

from .support import RUN, claim, numbered, row

NUMBERS = [f"E{i}" for i in range(1, 17)] + ["scaling"]
BUILT = list(experiments.ALL)


def memory_rows() -> list[dict]:
    return numbered([row(0, "memory", system, {"sessions": n}, rss_bytes=bytes_, rss_before_bytes=0)
                     for system, n, bytes_ in (("shared", 1, 100 << 20), ("shared", 256, 110 << 20), ("private", 1, 100 << 20),
                                               ("private", 5, 500 << 20))])


def whole_page(rows, outcomes=(), run=None) -> tuple[str, list]:
    built = sections.build([e for e in BUILT if any(r["experiment"] == e.name for r in rows)], rows, [])
    groups = sections.groups(built, BUILT)
    return page.render(run or RUN, groups, rows, list(outcomes), []), groups


class NumbersTest(unittest.TestCase):
    def test_every_number_is_in_every_output(self):
        html, groups = whole_page(memory_rows())
        outcomes = claims.outcomes([claim("memory-64", 1.0)])
        table = findings.claims_table(RUN, outcomes, groups)
        text = findings.findings(RUN, outcomes, [], [], groups)
        for number in NUMBERS:
            shown = number if number.startswith("E") else "Scaling"
            self.assertRegex(html, rf">{shown}</a></th>|>{number}</th>")
            self.assertIn(f"| {shown} |", table)
            self.assertIn(f"- {shown}, ", text)

    def test_what_is_not_built_says_so_with_what_is_missing(self):
        html, groups = whole_page([])
        text = findings.findings(RUN, [], [], [], groups)
        for group in groups:
            for what in group.not_yet:
                self.assertIn(what.split("'")[0], html)
                self.assertIn(f"Not yet: {what}", text)
            if not group.built:
                self.assertEqual(group.state, "not yet")
                self.assertEqual(group.sections, ())

    def test_ids_are_distinct_and_links_lead_somewhere(self):
        html, _ = whole_page(memory_rows(), claims.outcomes([claim("memory-64", 1.0)]))
        identifiers = re.findall(r'\bid="?([^"\s>]+)', html)
        self.assertEqual(len(identifiers), len(set(identifiers)))
        for target in set(re.findall(r'href="#([^"]+)"', html)) - {"r-memory-64"}:
            self.assertIn(target, identifiers)


class VerdictTest(unittest.TestCase):
    def test_a_line_has_claim_published_ours_interval_verdict_and_rows(self):
        rows = [claim("oo7-raw", value, id=f"r{i}", repetition=i) for i, value in enumerate((1.0, 1.1, 1.2), 1)]
        html = page.verdict_section(claims.outcomes(rows), [], RUN)
        for part in ("oo7-raw", "T1 1.89x", "1.10 x", "1.00 to 1.20", "holds", 'href="#r1"', 'href="#E2"', "smoke run"):
            self.assertIn(part, html)
        self.assertNotIn("smoke run", page.verdict_section(claims.outcomes(rows), [], {**RUN, "size": "full"}))

    def test_the_three_verdicts(self):
        html = page.verdict_section(claims.outcomes([claim("a", 1.0), claim("b", 3.0), claim("c", None)]), [], RUN)
        self.assertEqual(re.findall(r'class="verdict (\w+)"', html), ["holds", "fails", "not"])
        self.assertIn("none known", html)

    def test_every_size_says_what_its_figures_are_good_for(self):
        for size in SIZES.values():
            run = {**RUN, "size": size.name}
            for said in (page.head(run, []), " ".join(findings.provenance(run))):
                self.assertIn(size.good_for, said.replace("&#x27;", "'"))
                self.assertEqual([other for other in SIZES.values() if other.good_for in said], [size])
            self.assertEqual("For results:" in page.head(run, []), not size.gives_results)

    def test_smoke_is_marked_in_the_text_too(self):
        outcomes = claims.outcomes([claim("oo7-raw", 1.0)])
        groups = sections.groups([], BUILT)
        self.assertIn("holds (smoke)", findings.claims_table(RUN, outcomes, groups))
        self.assertNotIn("(smoke)", findings.claims_table({**RUN, "size": "full"}, outcomes, groups))
        self.assertIn(f"| RQ2 | E2 | `oo7-raw`:  | {published.beside('oo7-raw')} |", findings.claims_table(RUN, outcomes, groups))


class StructureTest(unittest.TestCase):
    """What a screen reader goes by."""

    def setUp(self):
        rows = memory_rows() + [row(9, "sleepers", name, {"sleepers": 1, "threads": 2, "write_share": 0.5, "allocator": "glibc"},
                                    p99_ns=1, p999_ns=1, limbo_bytes=1, limbo_over_time=[[0.1, 1]], operations_per_s=1.0)
                                for name in ("hybrid", "epochs")]
        names = ("memory-64", "oo7-raw", "sleeper-limbo", "unknown")
        self.html, _ = whole_page(numbered(rows), claims.outcomes([claim(name, 1.0) for name in names]))

    def test_headings_have_no_gaps(self):
        levels = [int(level) for level in re.findall(r"<h([1-6])", self.html)]
        self.assertEqual(levels[0], 1)
        self.assertIn(3, levels)
        for before, after in zip(levels, levels[1:]):
            self.assertLessEqual(after, before + 1)

    def test_there_is_one_main_and_all_sections_are_in_it(self):
        self.assertEqual(self.html.count("<main>"), 1)
        before, _, rest = self.html.partition("<main>")
        within, _, after = rest.partition("</main>")
        self.assertIn("<header>", before)
        self.assertIn("<section", within)
        self.assertNotIn("<section", before + after)

    def test_every_heading_of_a_table_says_what_it_heads(self):
        heads = re.findall(r"<th[ >][^>]*", self.html)
        self.assertTrue(heads)
        for one in heads:
            self.assertRegex(one, r"scope=(col|row|rowgroup)")

    def test_verdicts_are_grouped_by_question(self):
        table = self.html.partition("<table class=verdicts>")[2].partition("</table>")[0]
        shown = re.findall(r"scope=rowgroup[^>]*>(RQ\d|Beside)|<code>([a-z0-9-]+)</code>", table)
        self.assertEqual([group or name for group, name in shown],
                         ["RQ1", "memory-64", "RQ2", "oo7-raw", "RQ4", "sleeper-limbo", "Beside", "unknown"])


class ColourTest(unittest.TestCase):
    def test_a_look_has_one_colour_and_one_variable_for_dark_and_light(self):
        light, dark = systems.variables(dark=False), systems.variables(dark=True)
        for one in systems.LOOKS.values():
            self.assertIn(f"{systems.variable(one)}:{one.colour};", light)
            self.assertIn(f"{systems.variable(one)}:{one.colour_dark};", dark)

    def test_looks_of_one_kind_differ_in_colour_and_marker(self):
        for kind in (systems.SYSTEMS, systems.RECLAIMERS, systems.POLICIES, systems.MODELS, systems.COUNTS):
            for field in ("colour", "colour_dark", "marker"):
                values = [getattr(one, field) for one in kind.values()]
                self.assertEqual(len(values), len(set(values)), field)

    def test_no_fixed_colour_is_left_in_an_inline_figure(self):
        for kind in (systems.SYSTEMS, systems.RECLAIMERS, systems.MODELS, systems.COUNTS):
            canvas = lines("Title", "x", "y", [Series(name, {1: Interval(i + 1, None, None, 1), 2: Interval(i + 2, i + 1, i + 3, 9)})
                                               for i, name in enumerate(kind)])
            drawn = svg.inline(Figure("figure", "caption", "alt", canvas))
            self.assertEqual(set(re.findall(r"#[0-9a-f]{6}\b", drawn)) - {"#000000", "#ffffff"}, set())

    def test_tables_have_the_keys_of_reclaimers_and_say_what_they_mean(self):
        rows = numbered([row(0, "reclaimers", name, {"threads": 2, "sleepers": 1, "write_share": 0.05, "allocator": "glibc"},
                             operations_per_s=10.0, p999_ns=1000, limbo_bytes=10) for name in systems.RECLAIMERS])
        shown = next(s for s in sections.build(BUILT, rows, []) if s.name == "reclaimers")
        html = render_section(shown)
        for one in systems.RECLAIMERS.values():
            self.assertIn(f"var({systems.variable(one)})\"></i>{one.name}", html)
        self.assertIn(systems.RECLAIMERS["scan"].about, html)


class FigureTest(unittest.TestCase):
    def test_a_figure_opens_at_full_size(self):
        shown = next(s for s in sections.build(BUILT, memory_rows(), []) if s.name == "memory")
        self.assertIn('<a class=full href="figures/memory-sessions.svg"', render_section(shown))

    def test_every_bar_of_an_interval_is_drawn(self):
        canvas = lines("Title", "x", "y", [Series("shared", {1: Interval(2, 1, 3, 9), 2: Interval(3, 2, 5, 9)})])
        bars = [c for c in canvas.axes[0].collections if len(c.get_segments()) == 2]
        heights = sorted((s[0][1], s[1][1]) for bar in bars for s in bar.get_segments())
        self.assertEqual(heights, [(1.0, 3.0), (2.0, 5.0)])


if __name__ == "__main__":
    unittest.main()
