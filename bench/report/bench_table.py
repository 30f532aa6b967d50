"""What scripts/bench found, as a table that fits into its terminal and as JSON."""
from __future__ import annotations

from dataclasses import dataclass

from .formats import nanoseconds, ratio
from .intervals import Interval

FASTER, SLOWER, CANNOT_TELL = "faster", "slower", "cannot tell"
ONLY_OLD, ONLY_NEW = "only in old", "only in new"
FAILED = "failed"
# All of three pairs lie on one side by chance every fourth time, all of five every sixteenth.
MINIMUM_FOR_VERDICT = 5
INDENT = "  "


@dataclass(frozen=True)
class Figure:
    """Of one benchmark. Times are nanoseconds."""

    name: str
    new: Interval | None = None  # None: that side has no such benchmark, or it failed
    old: Interval | None = None
    ratio: Interval | None = None  # new / old
    failed: bool = False

    @property
    def verdict(self) -> str:
        if self.failed:
            return FAILED
        if self.old is None or self.new is None:
            return ONLY_NEW if self.old is None else ONLY_OLD
        if self.ratio is None or self.ratio.count < MINIMUM_FOR_VERDICT:
            return CANNOT_TELL
        if self.ratio.low > 1:
            return SLOWER
        return FASTER if self.ratio.high < 1 else CANNOT_TELL

    def as_json(self, compared: bool) -> dict:
        def shown(interval: Interval | None) -> dict | None:
            return None if interval is None else interval.as_json()

        if not compared:
            return {"name": self.name, "nanoseconds": shown(self.new), "failed": self.failed}
        return {"name": self.name, "old_nanoseconds": shown(self.old), "new_nanoseconds": shown(self.new),
                "new_by_old": shown(self.ratio), "verdict": self.verdict}


def median(interval: Interval | None) -> str:
    return "-" if interval is None else nanoseconds(interval.median)


def bounds(interval: Interval | None) -> str:
    if interval is None or interval.low is None:
        return "-"
    return f"{nanoseconds(interval.low)} to {nanoseconds(interval.high)}"


def table(figures: list[Figure], compared: bool, width: int | None) -> str:
    """width: of the terminal; None: there is none. REQUIRES: a figure at least."""
    if compared:
        head = ("benchmark", "old", "new", "new/old (95% interval)", "the new one is")
        rows = [(one.name, median(one.old), median(one.new), "-" if one.ratio is None else ratio(one.ratio, 3), one.verdict)
                for one in figures]
    else:
        head = ("benchmark", "time", "95% interval", "")
        rows = [(one.name, median(one.new), bounds(one.new), FAILED if one.failed else "") for one in figures]
    lines = aligned(head, rows)
    if width is None or max(map(len, lines)) < width:
        return "\n".join(lines)
    return "\n".join(line for row in rows for line in stacked(head, row, width))


def aligned(head: tuple, rows: list[tuple]) -> list[str]:
    """A line a row. The names, the first column, begin below one another; figures end so; the last column is words."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]

    def line(cells) -> str:
        middle = [f"{cell:>{width}}" for cell, width in zip(cells[1:-1], widths[1:-1])]
        return "  ".join([f"{cells[0]:<{widths[0]}}", *middle, cells[-1]]).rstrip()

    rule = ["-" * width if title else "" for title, width in zip(head, widths)]
    return [line(head), line(rule), *(line(row) for row in rows)]


def stacked(head: tuple, row: tuple, width: int) -> list[str]:
    """The name, and below it what fits: for narrow terminals. A single cell may still be too long for one."""
    words = [f"{title.split(' (')[0]} {cell}" for title, cell in zip(head[1:-1], row[1:-1]) if cell != "-"]
    words += [row[-1]] if row[-1] else []
    lines = [row[0]]
    for word in words:
        if len(lines) > 1 and len(lines[-1]) + len(word) + 2 < width:
            lines[-1] += f", {word}"
        else:
            lines.append(INDENT + word)
    return lines


def summary(figures: list[Figure]) -> str:
    """How many of each verdict, and how many would be wrong by chance. REQUIRES: compared."""
    verdicts = [one.verdict for one in figures]
    counted = [f"{verdicts.count(one)} {one}" for one in (FASTER, SLOWER, CANNOT_TELL, ONLY_OLD, ONLY_NEW, FAILED) if one in verdicts]
    ratios = [one.ratio for one in figures if one.ratio is not None]
    judged = sum(one.count >= MINIMUM_FOR_VERDICT for one in ratios)
    text = ", ".join(counted) + "."
    if judged < len(ratios):
        text += f" Fewer than {MINIMUM_FOR_VERDICT} repetitions tell nothing."
    elif judged:
        text += f" Of {judged} that are equal, about one in twenty is called faster or slower by chance."
    return text
