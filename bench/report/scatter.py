"""What a model says against what was measured: a dot for each point, on logarithmic axes, with the diagonal."""
from __future__ import annotations

from dataclasses import dataclass, field

from .drawing import INK, LEGEND_ROW_INCHES, PAPER, STYLE, Series, frame, legend, legend_rows, plotting, readable_ticks
from .intervals import Interval
from .systems import look


@dataclass
class Cloud:
    name: str  # with a look of its own (systems.py)
    points: list[tuple[Interval, float]] = field(default_factory=list)  # measured, predicted
    hollow: bool = False  # what the model was fitted to


def scatter(title: str, x_label: str, y_label: str, clouds: list[Cloud], tolerance: float):
    """Between the dotted lines a prediction is off by no more than the tolerance; the dashed ones through 1 divide who is better."""
    matplotlib, ticker = plotting()
    with matplotlib.rc_context(STYLE):
        canvas, axes = frame(title, 3.3 + LEGEND_ROW_INCHES * (legend_rows([Series(one.name) for one in clouds]) - 1))
        values = [value for one in clouds for measured, predicted in one.points
                  for value in (measured.median, predicted, measured.low, measured.high) if value]
        low, high = min(values) / 1.15, max(values) * 1.15
        for factor in (1 / (1 + tolerance), 1 + tolerance):
            axes.plot([low, high], [low * factor, high * factor], color=INK, linewidth=0.6, linestyle=(0, (1, 2)))
        axes.plot([low, high], [low, high], color=INK, linewidth=0.8)
        for draw in (axes.axhline, axes.axvline):
            draw(1, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
        for one in clouds:
            style = look(one.name)
            errors = [[max(0.0, m.median - (m.median if m.low is None else m.low)) for m, _ in one.points],
                      [max(0.0, (m.median if m.high is None else m.high) - m.median) for m, _ in one.points]]
            line = style.marker in "x+"
            axes.errorbar([m.median for m, _ in one.points], [p for _, p in one.points], xerr=errors, linestyle="none", color=style.colour,
                          marker=style.marker, markersize=4.5, label=one.name, elinewidth=0.8, capsize=0,
                          markerfacecolor=PAPER if one.hollow else style.colour,
                          markeredgecolor=style.colour if one.hollow or line else PAPER, markeredgewidth=1.0 if one.hollow or line else 0.5)
        for axis, scale, limits in ((axes.xaxis, axes.set_xscale, axes.set_xlim), (axes.yaxis, axes.set_yscale, axes.set_ylim)):
            scale("log")
            limits(low, high)
            readable_ticks(axis, [low, high])
            axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        legend(axes, [one.name for one in clouds])
    return canvas
