"""The figure of the design: the way of a read, and what a reclaimer looks at. No numbers in it."""
from __future__ import annotations

from .. import drawing
from .figures import COLUMN_INCHES

BLUE, RED, GREEN = "#0072b2", "#d55e00", "#009e73"


def draw(path) -> None:
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

    with matplotlib.rc_context({**drawing.STYLE, "pdf.fonttype": 42}):
        canvas = Figure(figsize=(COLUMN_INCHES, 2.5))
        axes = canvas.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, 100), ylim=(0, 76))
        axes.axis("off")

        def box(x, y, width, height, text, colour=drawing.INK, size=7.5):
            axes.add_patch(FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0.2,rounding_size=1.2", linewidth=1,
                                          edgecolor=colour, facecolor=drawing.PAPER))
            axes.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=size)

        def arrow(start, end, text="", at=None, colour=drawing.INK, ha="left", curve=0.0):
            axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=8, linewidth=1, color=colour,
                                           connectionstyle=f"arc3,rad={curve}", shrinkA=0, shrinkB=0))
            if text:
                axes.text(*at, text, fontsize=7, color=colour, ha=ha, va="center")

        box(1, 60, 31, 14, "transaction\nsnapshot, epoch", BLUE)
        box(1, 31, 31, 14, "read log:\nhandles of states", BLUE)
        box(66, 60, 33, 14, "Ref\noid, hint")
        box(66, 25, 33, 24, "state\nkey | begin, end\nolder | value")
        box(1, 2, 31, 12, "reclaimer", RED)
        box(66, 2, 33, 12, "store:\nevery revision", GREEN)
        arrow((10, 60), (10, 45.5), "1 log", (11.5, 53), BLUE)
        arrow((82, 60), (82, 49.5), "hint", (83.5, 55))
        arrow((32.5, 66), (65.5, 46), "2 look: key,\ninterval", (34, 70), BLUE)
        arrow((32.5, 38), (65.5, 38), "entries name states", (49, 41), drawing.INK, ha="center")
        arrow((32.5, 8), (65.5, 27), "a mark\ndead", (47, 9), RED)
        arrow((10, 14.5), (10, 30.5), "b fence,\nthen c read", (11.5, 22.5), RED)
        arrow((82, 14.5), (82, 24.5), "miss", (83.5, 19.5), GREEN)
        canvas.savefig(path, metadata={"CreationDate": None})
