"""Two runs side by side: whether they come to the same verdicts where both can tell."""
from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from . import claims, results
from .claims import Outcome
from .folder import PLAN, ROWS
from .formats import interval


class NotARun(ValueError):
    """The folder holds no rows."""


class NothingInCommon(ValueError):
    """No claim was measured in both."""


@dataclass(frozen=True)
class Side:
    folder: Path
    size: str
    outcomes: dict[str, Outcome]

    @staticmethod
    def read(folder: Path) -> Side:
        try:
            rows = results.read(folder / ROWS)
            outcomes = {one.name: one for one in claims.outcomes(rows)}
            size = json.loads((folder / PLAN).read_text(encoding="utf-8"))["size"]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise NotARun(f"{folder} holds no run: {error!r}") from error
        return Side(folder, size, outcomes)


def can_tell(one: Outcome) -> bool:
    """Not if this machine cannot show it, or if the bound lies within the 95% interval: a repetition may say otherwise."""
    if one.measured is None:
        return False
    low, high = one.measured.low, one.measured.high
    return low is None or high is None or not low <= one.row["bound"] <= high


def compare(first: Side, second: Side) -> tuple[str, list[str]]:
    """A table, and the claims on which the two disagree although both can tell. Throws NothingInCommon."""
    if not first.outcomes.keys() & second.outcomes.keys():
        raise NothingInCommon(f"{first.folder} and {second.folder} have no claim in common")
    lines = [f"| claim | must be | {first.size}: {first.folder.name} | {second.size}: {second.folder.name} | verdicts |",
             "|---|---|---|---|---|"]
    differ = []
    for name in [*first.outcomes, *(n for n in second.outcomes if n not in first.outcomes)]:
        sides = [side.outcomes.get(name) for side in (first, second)]
        row = next(one for one in sides if one is not None).row
        if any(one is None or not can_tell(one) for one in sides):
            said = "one cannot tell"
        elif sides[0].verdict == sides[1].verdict:
            said = f"both: {sides[0].verdict}"
        else:
            said = "**differ**"
            differ.append(name)
        shown = ["not measured" if one is None else f"{interval(one.measured, row.get('unit', ''))}: {one.verdict}" for one in sides]
        lines.append(f"| `{name}` | {row['comparison']} {row['bound']:g} | {shown[0]} | {shown[1]} | {said} |")
    return "\n".join(lines) + "\n", differ
