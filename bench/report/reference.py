"""A run beside the published rows: which values are within tolerance on the reader's machine, and where each tolerance comes from.

A claim has its bound. Where the published row itself does not keep that, and for everything else that is a number without a unit of
time, the tolerance is the published interval, widened by a factor that is said. Times and rates differ by machine: they are shown,
and what is compared is their ratio to this design at the same point of the same run.
"""
from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from . import results
from .folder import ROWS
from .formats import interval, significant
from .intervals import Interval
from .paper import rows as published_rows
from .paper.rows import Published, Row

# What is counted comes out nearly the same anywhere, but for lines that cores share: which are shared depends on where the allocator puts
# things. A ratio of times depends on the machine's caches and memory as well.
COUNTED, TIMED = 1.1, 1.5
FACTORS = {"": COUNTED, "%": COUNTED, "x": TIMED}
PLACED = "transfers"
OURS = ("shared", "hybrid", "coroutines/shared")
# Quantities with a unit whose ratio to ours tells something. Not of tails and limbo: the one is noise, and the other depends on the
# rate and on how long the run was.
RATIOS = ("rate", "time", "memory", "add", "update", "cold", "warm", "hot", "steamin")
WITHIN, OUTSIDE, SHOWN, MISSING = "within tolerance", "outside", "shown only", "not in this run"


class NothingToCompare(ValueError):
    """The folder holds no run, or none of its values is published."""


@dataclass(frozen=True)
class Value:
    name: str
    published: str
    here: str
    tolerance: str
    verdict: str


def widened(of: Interval, factor: float) -> tuple[float, float]:
    """The interval, or the single value, with both ends further from zero and nearer to it by the factor."""
    low, high = (of.median, of.median) if of.low is None else (of.low, of.high)
    return (low / factor if low > 0 else low * factor), (high * factor if high > 0 else high / factor)


def by_interval(name: str, was: Interval, now: Interval, unit: str, factor: float, what: str = "") -> Value:
    """Within, if any part of the interval here, or the single value, is within the widened one."""
    low, high = widened(was, factor)
    here_low, here_high = (now.median, now.median) if now.low is None else (now.low, now.high)
    tolerance = f"{what}published interval, x{factor:g} wider: {significant(low)} to {significant(high)}"
    return Value(name, interval(was, unit), interval(now, unit), tolerance, WITHIN if here_high >= low and here_low <= high else OUTSIDE)


def of_claim(was: Row, now: Row) -> Value:
    """By the bound that the program here has: it is the one that is claimed."""
    if now.holds or was.holds:
        tolerance = f"claim's bound: {now.comparison} {now.bound:g} {now.unit}".strip()
        return Value(was.name, interval(was.interval, was.unit), interval(now.interval, now.unit), tolerance, WITHIN if now.holds else OUTSIDE)
    return by_interval(was.name, was.interval, now.interval, was.unit, TIMED, f"published misses its bound of {now.bound:g} too; ")


def of_ours(row: Row, rows: dict[str, Row]) -> Row | None:
    """The row of this design at the same point; None for itself, and where there is none."""
    words = row.name.split("/")
    for ours in OURS:
        for length in (1, 2):  # of the system's name
            name = "/".join([words[0], ours, *words[1 + length:]])
            if len(words) > 1 + length and name != row.name and name in rows:
                return rows[name]
    return None


def quotient(above: Row, below: Row) -> Interval | None:
    """The widest that the two intervals allow; None if there is nothing to divide by."""
    if not below.median or (below.low is not None and below.low <= 0):
        return None
    if above.low is None or below.low is None:
        return Interval(above.median / below.median, None, None, min(above.count, below.count))
    return Interval(above.median / below.median, above.low / below.high, above.high / below.low, min(above.count, below.count))


def of_row(was: Row, known: Published, here: dict[str, Row]) -> Value:
    now = here.get(was.name)
    shown = "a curve" if was.median is None else interval(was.interval, was.unit)
    if now is None:
        return Value(was.name, shown, "", "", MISSING)
    if was.median is None:
        return Value(was.name, shown, "a curve", "one run over time", SHOWN)
    if was.claim:
        return of_claim(was, now)
    if was.unit in FACTORS:
        factor = TIMED if was.name.rpartition("/")[2] == PLACED else FACTORS[was.unit]
        return by_interval(was.name, was.interval, now.interval, was.unit, factor)
    ours, ours_here = of_ours(was, known.rows), of_ours(now, here)
    if was.name.rpartition("/")[2] in RATIOS and ours is not None and ours_here is not None:
        ratio, ratio_here = quotient(was, ours), quotient(now, ours_here)
        if ratio is not None and ratio_here is not None:
            found = by_interval(was.name, ratio, ratio_here, "x", TIMED, f"ratio to {ours.name.removeprefix(was.name.partition('/')[0] + '/')}, ")
            return Value(found.name, f"{shown}; {found.published}", f"{interval(now.interval, now.unit)}; {found.here}", found.tolerance,
                         found.verdict)
    return Value(was.name, shown, interval(now.interval, now.unit), "differs by machine", SHOWN)


def values(known: Published, here: dict[str, Row]) -> list[Value]:
    """Claims first, by the questions that they answer. Throws NothingToCompare."""
    claims = known.claims
    others = [row for row in known.rows.values() if not row.claim]
    found = [of_row(row, known, here) for row in (*claims, *others)]
    if all(one.verdict == MISSING for one in found):
        raise NothingToCompare("none of the published values was measured in this run")
    return found


def rows_of(folder: Path) -> dict[str, Row]:
    """Throws NothingToCompare."""
    try:
        return {row.name: row for row in published_rows.summaries(results.read(folder / ROWS), folder.name)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise NothingToCompare(f"{folder} holds no run: {error!r}") from error


def text(found: list[Value]) -> str:
    lines = ["| value | published | here | tolerance | verdict |", "|---|---|---|---|---|"]
    lines += [f"| `{one.name}` | {one.published} | {one.here} | {one.tolerance} | {one.verdict} |" for one in found if one.verdict != MISSING]
    return "\n".join(lines) + "\n"


def summary(found: list[Value]) -> str:
    counts = Counter(one.verdict for one in found)
    outside = [one.name for one in found if one.verdict == OUTSIDE]
    said = (f"{counts[WITHIN]} of {counts[WITHIN] + counts[OUTSIDE]} values within tolerance, {counts[OUTSIDE]} outside; "
            f"{counts[SHOWN]} shown only, {counts[MISSING]} published ones not in this run")
    return said + (f"\noutside: {', '.join(outside)}" if outside else "")
