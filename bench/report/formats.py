"""Numbers as a reader wants them: three significant digits, a unit, and the interval behind."""
from __future__ import annotations

from .intervals import Interval

NOT_MEASURED = "not measured"


def significant(value: float, digits: int = 3) -> str:
    if value == 0:
        return "0"
    if abs(value) >= 10 ** digits:
        return f"{value:,.0f}"
    decimals = digits
    scale = abs(value)
    while scale >= 1 and decimals > 0:
        scale /= 10
        decimals -= 1
    return f"{value:,.{decimals}f}" if abs(value) >= 0.001 else f"{value:.2g}"


def interval(value: Interval | None, unit: str = "") -> str:
    if value is None:
        return NOT_MEASURED
    text = significant(value.median)
    if value.low is not None and value.high is not None:
        text += f" ({significant(value.low)} to {significant(value.high)})"
    return f"{text} {unit}".strip()


def ratio(value: Interval | None, decimals: int = 2) -> str:
    if value is None:
        return NOT_MEASURED
    text = f"{value.median:.{decimals}f}"
    if value.low is not None and value.high is not None:
        text += f" ({value.low:.{decimals}f} to {value.high:.{decimals}f})"
    return text


def nanoseconds(value: float) -> str:
    """In the unit that suits, in letters that every terminal has."""
    for unit in ("ns", "us", "ms"):
        if abs(value) < 1000:
            return f"{significant(value)} {unit}"
        value /= 1000
    return f"{significant(value)} s"


def size(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024 or unit == "GiB":
            return f"{significant(count)} {unit}"
        count /= 1024
    raise AssertionError


def duration(seconds: float) -> str:
    whole = int(round(seconds))
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 60}:{whole % 60:02d} min" if whole >= 60 else f"{whole} s"


def about(seconds: float) -> str:
    """Coarse: an estimate is no more than that."""
    if seconds < 90:
        return f"{max(5, round(seconds / 5) * 5):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def flat_number(value) -> str:
    """Of a point, in the name of a row: 0.05, 1024, zipf."""
    return f"{value:g}" if isinstance(value, float) else str(value)
