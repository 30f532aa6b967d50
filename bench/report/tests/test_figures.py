"""Every experiment draws what its own jobs may give, and every figure is readable at a column's width."""
import unittest

import experiments
from report import drawing, sections
from report.model import SIZES, Figure

from .made_up import rows_of

WIDTH_PIXELS = drawing.WIDTH * drawing.STYLE["figure.dpi"]


class EveryExperimentTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.sections = []
        for size in SIZES.values():
            for experiment in experiments.ALL:
                rows = rows_of(experiment, size, repetitions=1 if size.smoke else 3)
                # A program that made_up.py does not know yet: its module's own tests cover it.
                if rows:
                    cls.sections += [(size.name, s) for s in sections.build([experiment], rows, [])]

    def figures(self):
        for size, section in self.sections:
            for figure in section.figures:
                yield f"{section.name} {figure.name} {size}", figure

    def test_every_experiment_has_a_figure_a_table_and_rows_behind_each_line(self):
        self.assertGreater(len(self.sections), 30)
        for size, section in self.sections:
            with self.subTest(section.name, size=size):
                self.assertTrue(section.figures)
                self.assertTrue(section.tables)
                self.assertEqual(len({f.name for f in section.figures}), len(section.figures))
                for table in section.tables:
                    self.assertTrue(table.rows)
                    for row in table.rows:
                        self.assertEqual(len(row), len(table.head), table.caption)
                    if table.head[-1] == "rows":
                        self.assertTrue(any(row[-1].ids for row in table.rows), table.caption)

    def test_axes_have_names_and_numbers(self):
        for name, figure in self.figures():
            with self.subTest(name):
                axes = figure.canvas.axes[0]
                figure.canvas.draw_without_rendering()
                self.assertTrue(axes.get_xlabel())
                # A dot chart names its rows in place of an axis.
                self.assertTrue(axes.get_ylabel() or all(t.get_text() for t in axes.get_yticklabels()))
                for axis in (axes.xaxis, axes.yaxis):
                    low, high = sorted(axis.get_view_interval())
                    shown = [t for t, label in zip(axis.get_majorticklocs(), axis.get_ticklabels())
                             if low <= t <= high and label.get_text()]
                    self.assertGreaterEqual(len(shown), min(2, points(figure)), f"{axis.axis_name} axis")

    def test_titles_fit_and_numbers_do_not_run_into_each_other(self):
        for name, figure in self.figures():
            with self.subTest(name):
                figure.canvas.draw_without_rendering()
                axes = figure.canvas.axes[0]
                for title in axes.texts:
                    self.assertLessEqual(title.get_window_extent().x1, WIDTH_PIXELS, title.get_text())
                self.assertLessEqual(axes.get_legend().get_window_extent().x1, WIDTH_PIXELS + 1)
                low, high = sorted(axes.xaxis.get_view_interval())
                boxes = [label.get_window_extent() for tick, label in zip(axes.get_xticks(), axes.get_xticklabels())
                         if low <= tick <= high and label.get_text()]
                for left, right in zip(boxes, boxes[1:]):
                    self.assertLess(left.x1, right.x0)
                # What names the vertical axis stays within the figure.
                box = axes.yaxis.label.get_window_extent()
                self.assertGreaterEqual(box.y0, 0)
                self.assertLessEqual(box.y1, figure.canvas.bbox.y1)

    def test_intervals_are_drawn_where_there_are_enough_runs(self):
        full = [(section.name, figure) for size, section in self.sections if size == "full" for figure in section.figures
                # One run over time has no interval, and a simulation with one seed has none to speak of.
                if "over-time" not in figure.name]
        for name, figure in full:
            with self.subTest(name, figure=figure.name):
                bars = [one for one in figure.canvas.axes[0].collections if one.get_segments()]
                self.assertTrue(bars)


def points(figure: Figure) -> int:
    """Of the longest line."""
    return max(len(line.get_xdata()) for line in figure.canvas.axes[0].lines)


if __name__ == "__main__":
    unittest.main()
