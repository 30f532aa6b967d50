"""Figures that cannot be right, however welcome they are."""
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
