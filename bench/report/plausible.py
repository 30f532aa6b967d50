"""Figures that cannot be right, however welcome they are, and rows that are no result."""
from __future__ import annotations

from .intervals import Interval

# Raw pointers are the physical limit of a cache. Noise makes a ratio of 0.9 now and then; less means that the two sides did
# different work, or the same work on memory laid out differently.
LEAST_RATIO_TO_RAW = 0.8


def faster_than_raw(system: str, point: str, ratio: Interval | None) -> str | None:
    """What to say about a ratio to raw that is too good; None if it is plausible."""
    if ratio is None or (ratio.median if ratio.high is None else ratio.high) >= LEAST_RATIO_TO_RAW:
        return None
    return (f"{system} at {point} took {ratio.median:.2f} of the time of plain pointers, which are the physical limit: the two "
            "sides did not do the same work on memory laid out alike. Not a result, whatever claim rests on it.")


# Of requests that got no whole answer. What a server refuses is an answer.
MOST_FAILED = 0.001


def failures(row: dict) -> str | None:
    """Why a row is no result, if too much of what it counts has failed; None if it is one."""
    failed = row.get("failed", 0)
    all_ = failed + row.get("refused", 0) + row.get("operations", 0)
    if failed > MOST_FAILED * all_:
        return f"{failed:,} of {all_:,} requests failed"
    if "failed" in row and not all_:
        return "no request came back"
    return None
