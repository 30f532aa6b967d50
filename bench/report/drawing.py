"""Figures at the width of a paper's column: 3.5 inches, 8 point type, so that they read the same in print and on a phone."""
from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass, field

from .intervals import Interval
from .systems import look

WIDTH = 3.5
LEGEND_CHARACTERS = 62  # that fit into a row
LEGEND_ROW_INCHES = 0.17
TITLE_POINTS = 11  # above the legend, for the title
AXIS_INCHES = 2.75  # of an axis, beside what its labels take
DIGIT_INCHES = 0.066
# Colours that the page replaces by its own, for light and dark: each must be found nowhere else in a figure.
INK = "#1d232b"
RULE = "#d9dce1"
PAPER = "#fefefe"

STYLE = {
    "figure.figsize": (WIDTH, 2.55), "figure.dpi": 100,
    "figure.facecolor": PAPER, "axes.facecolor": "none", "savefig.facecolor": PAPER,
    "font.family": "sans-serif", "font.size": 8, "axes.titlesize": 8.5, "axes.labelsize": 8,
    "xtick.labelsize": 7.5, "ytick.labelsize": 7.5, "legend.fontsize": 7.5,
    "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.edgecolor": RULE,
    "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.titlepad": 22, "axes.spines.top": False,
    "axes.spines.right": False, "axes.linewidth": 0.8, "axes.grid": True, "grid.color": RULE, "grid.linewidth": 0.6,
    "axes.axisbelow": True, "xtick.major.size": 0, "ytick.major.size": 0, "xtick.minor.size": 0, "ytick.minor.size": 0,
    "lines.linewidth": 1.5, "lines.markersize": 4.5, "legend.frameon": False, "svg.fonttype": "none",
    "svg.hashsalt": "cow_cache",
}


@contextmanager
def narrower(width: float, without_titles: bool):
    """Figures that are drawn meanwhile are so wide; a paper has their titles in its captions."""
    global WIDTH, LEGEND_CHARACTERS, TITLE_POINTS
    before = WIDTH, LEGEND_CHARACTERS, TITLE_POINTS
    WIDTH, LEGEND_CHARACTERS, TITLE_POINTS = width, int(LEGEND_CHARACTERS * (width / WIDTH) ** 2), 0 if without_titles else TITLE_POINTS
    try:
        yield
    finally:
        WIDTH, LEGEND_CHARACTERS, TITLE_POINTS = before


@dataclass
class Series:
    system: str
    points: dict[float, Interval] = field(default_factory=dict)
    computed: bool = False  # not measured, but extrapolated or from a model: dashed, without markers
    label: str = ""  # in the legend, if not the system; "-": not in the legend

    @property
    def shown(self) -> str:
        return self.label or self.system


def plotting():
    """matplotlib's parts, loaded when something is drawn: what only lists or plans needs no package."""
    import matplotlib
    from matplotlib import ticker

    return matplotlib, ticker


def frame(title: str, height: float = 2.55):
    """An empty figure in the common style."""
    # Not pyplot's, which keeps every figure until it is closed.
    from matplotlib.figure import Figure

    matplotlib, _ = plotting()
    with matplotlib.rc_context(STYLE):
        canvas = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = canvas.add_subplot()
        axes.set_title(title)
    return canvas, axes


def lines(title: str, x_label: str, y_label: str, series: list[Series], *, x_log=False, y_log=False, y_base=10,
          y_format=None, x_format=None, reference: float | None = None,
          even=False):
    """One line per system; a bar through a point is its 95% interval; a dashed line is the reference.

    even: the values of x stand at even distances, for values that no scale would spread."""
    matplotlib, ticker = plotting()
    with matplotlib.rc_context(STYLE):
        canvas, axes = frame(title, 2.55 + LEGEND_ROW_INCHES * (legend_rows(series) - 1))
        values = sorted({x for one in series for x in one.points})
        place = {x: index if even else x for index, x in enumerate(values)}
        named = [x_format(x) if x_format else f"{x:g}" for x in values]
        ticks = apart(values, [math.log(place[x]) if x_log else place[x] for x in values], named)
        # The subject of the project is drawn last, over the others.
        for one in sorted(series, key=lambda s: s.system in ("shared", "adaptive")):
            style = look(one.system)
            xs = sorted(one.points)
            medians = [one.points[x].median for x in xs]
            if one.computed:
                axes.plot([place[x] for x in xs], medians, color=style.colour if one.system else INK, linestyle=(0, (3, 2)),
                          linewidth=1.2, label=one.shown)
                continue
            errors = [[one.points[x].median - (one.points[x].low if one.points[x].low is not None else one.points[x].median)
                       for x in xs],
                      [(one.points[x].high if one.points[x].high is not None else one.points[x].median)
                       - one.points[x].median for x in xs]]
            axes.errorbar([place[x] for x in xs], medians, yerr=errors, color=style.colour, marker=style.marker, label=one.shown,
                          elinewidth=1, capsize=2, markeredgecolor=style.colour if style.marker == "x" else PAPER,
                          markeredgewidth=1.2 if style.marker == "x" else 0.6, clip_on=False)
        if x_log:
            axes.set_xscale("log", base=2 if values[-1] <= 4096 else 10)
        if y_log:
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
        axes.set_xticks([place[x] for x in ticks], [x_format(x) if x_format else f"{x:g}" for x in ticks])
        axes.xaxis.set_minor_locator(ticker.NullLocator())
        if y_log:
            readable_ticks(axes.yaxis, [p.median for one in series for p in one.points.values()], y_base)
            if y_base != 10:
                axes.set_yscale("log", base=y_base)
        if y_format:
            axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda y, _: y_format(y)))
            axes.yaxis.set_minor_formatter(ticker.NullFormatter())
        if reference:
            axes.axhline(reference, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        legend(axes, [one.shown for one in series if one.shown != "-"])
    return canvas


def curves(title: str, x_label: str, y_label: str, series: list[Series], *, y_log=False, y_base=10, y_format=None):
    """One curve per system over a continuous x, too many points for markers."""
    matplotlib, ticker = plotting()
    with matplotlib.rc_context(STYLE):
        canvas, axes = frame(title, 2.55 + LEGEND_ROW_INCHES * (legend_rows(series) - 1))
        for one in series:
            style = look(one.system)
            xs = sorted(one.points)
            axes.plot(xs, [one.points[x].median for x in xs], color=style.colour, marker=style.marker, label=one.system,
                      markevery=max(1, len(xs) // 8), markeredgecolor=style.colour if style.marker == "x" else PAPER,
                      markeredgewidth=1.2 if style.marker == "x" else 0.6, clip_on=False)
        if y_log:
            axes.set_yscale("log", base=y_base)
            readable_ticks(axes.yaxis, [p.median for one in series for p in one.points.values()], y_base)
        else:
            axes.set_ylim(bottom=0)
        axes.set_xlim(left=0)
        if y_format:
            axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda y, _: y_format(y)))
            axes.yaxis.set_minor_formatter(ticker.NullFormatter())
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        legend(axes, [one.system for one in series])
    return canvas


def apart(values: list[float], positions: list[float], labels: list[str]) -> list[float]:
    """The values that get a number at the axis: numbers must not run into each other at a column's width. The last one
    always does, and then whatever has room before it. positions: from left to right, in any unit."""
    span = positions[-1] - positions[0]
    if not span:
        return values
    kept = [len(values) - 1]
    for index in range(len(values) - 2, -1, -1):
        distance = (positions[kept[-1]] - positions[index]) / span * AXIS_INCHES
        if distance >= DIGIT_INCHES * ((len(labels[index]) + len(labels[kept[-1]])) / 2 + 1):
            kept.append(index)
    return [values[index] for index in reversed(kept)]


def readable_ticks(axis, values: list[float], base: int = 10) -> None:
    """A logarithmic axis over less than two decades needs ticks between the powers of ten to be readable; over less than
    half of one it is nearly straight, and has those of a straight one."""
    _, ticker = plotting()
    axis.set_minor_locator(ticker.NullLocator())
    positive = [v for v in values if v > 0]
    if base != 10 or not positive:
        return
    decades = math.log10(max(positive) / min(positive))
    if decades < 0.35:
        axis.set_major_locator(ticker.MaxNLocator(5, steps=(1, 2, 5, 10)))
    elif decades < 1 and 0.7 < min(positive) and max(positive) <= 10:
        axis.set_major_locator(ticker.FixedLocator([0.7, 0.8, 0.9, 1, 1.2, 1.5, 2, 3, 4, 5, 7, 10]))
    elif decades < 1:
        axis.set_major_locator(ticker.LogLocator(base=10, subs=(1, 2, 3, 5)))
    elif decades < 2:
        axis.set_major_locator(ticker.LogLocator(base=10, subs=(1, 2, 5)))


def dots(title: str, x_label: str, groups: list[str], series: list[Series], *, hollow: list[Series] = (),
         x_log=False, x_format=None, reference: float | None = None):
    """One row per group, one dot per system at its value; `points` of a series are keyed by the group's number.

    Hollow dots are values that others published."""
    matplotlib, ticker = plotting()
    with matplotlib.rc_context(STYLE):
        height = 1.2 + 0.34 * len(groups) + (0.2 if hollow else 0)
        canvas, axes = frame(title, height)
        spread = 0.6 / max(1, len(series) + len(hollow) - 1)
        for index, one in enumerate([*series, *hollow]):
            style = look(one.system)
            shift = (index - (len(series) + len(hollow) - 1) / 2) * spread
            published = index >= len(series)
            for row, value in one.points.items():
                low = value.median if value.low is None else value.low
                high = value.median if value.high is None else value.high
                axes.errorbar(value.median, row + shift, xerr=[[value.median - low], [high - value.median]],
                              color=INK if published else style.colour,
                              marker=("1", "2", "3")[(index - len(series)) % 3] if published else style.marker,
                              linestyle="none", elinewidth=1, capsize=2, markeredgewidth=1 if published else 0.6,
                              markersize=6 if published else 4.5,
                              markeredgecolor=INK if published else style.colour if style.marker == "x" else PAPER,
                              label=one.system)
        if x_log:
            axes.set_xscale("log")
            readable_ticks(axes.xaxis, [p.median for one in [*series, *hollow] for p in one.points.values()])
        if x_format:
            axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda x, _: x_format(x)))
        axes.set_yticks(range(len(groups)), groups)
        axes.set_ylim(len(groups) - 0.5, -0.5)
        axes.grid(False, axis="y")
        for row in range(1, len(groups)):
            axes.axhline(row - 0.5, color=RULE, linewidth=0.6)
        if reference:
            axes.axvline(reference, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
        if not x_log and series:
            axes.set_xlim(left=0)
        axes.set_xlabel(x_label)
        legend(axes, [one.system for one in [*series, *hollow]])
    return canvas


def legend(axes, names: list[str]) -> None:
    """Between title and axes, in rows as long as the width allows; a system that was drawn in several strokes shows once."""
    from matplotlib.transforms import blended_transform_factory

    handles, labels = axes.get_legend_handles_labels()
    # The first part of an error bar is its marker and line: the bar itself says nothing in a legend.
    by_label = {label: handle[0] if isinstance(handle, tuple) else handle for label, handle in zip(labels, handles)}
    shown = list(dict.fromkeys(name for name in names if name in by_label))
    columns = columns_of(shown)
    rows = math.ceil(len(shown) / columns)
    # matplotlib fills a legend by columns; readers expect rows.
    order = [shown[i] for column in range(columns) for i in range(column, len(shown), columns)]
    drawn = axes.legend([by_label[name] for name in order], order, loc="lower left", bbox_to_anchor=(0, 1), ncols=columns,
                        borderaxespad=0.6, borderpad=0, handlelength=1.2, handletextpad=0.4, columnspacing=1.0)
    # The title leaves room for it; it must not squeeze the axes as well.
    drawn.set_in_layout(False)
    # Flush with the left edge of the figure, whatever room the labels of the axis take.
    edge = blended_transform_factory(axes.figure.transFigure, axes.transAxes)
    drawn.set_bbox_to_anchor((0.01, 1), transform=edge)
    above = TITLE_POINTS + 12 * rows
    title = axes.annotate(axes.get_title(loc="left"), (0.01, 1), xycoords=edge, xytext=(0, above),
                          textcoords="offset points", weight="bold", fontsize=8.5, annotation_clip=False)
    title.set_in_layout(False)
    axes.set_title(" ", pad=above)  # keeps the room


def columns_of(names: list[str]) -> int:
    """Of the legend: as many as the width allows."""
    columns = max(1, len(names))
    while columns > 1 and row_width(names, columns) > LEGEND_CHARACTERS:
        columns -= 1
    return columns


def legend_rows(series: list[Series]) -> int:
    names = list(dict.fromkeys(one.shown for one in series if one.shown != "-"))
    return max(1, math.ceil(len(names) / columns_of(names)))


def row_width(names: list[str], columns: int) -> int:
    """In characters, with what stands beside each name."""
    return sum(max(len(name) for name in names[column::columns]) + 5 for column in range(columns))


def thousands(value: float) -> str:
    for limit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:g}{suffix}"
    return f"{value:g}"


def bytes_axis(value: float) -> str:
    for limit, suffix in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if abs(value) >= limit:
            return f"{value / limit:.3g} {suffix}"
    return f"{value:.3g} B"
