"""Medians with bootstrap intervals, and ratios of paired runs.

An interval is the 95% percentile bootstrap of the median over process repetitions. Fewer than three repetitions have no
interval: a bootstrap over one or two values says nothing.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

RESAMPLES = 4000
MINIMUM_FOR_INTERVAL = 3
# The intervals of a report must come out the same each time it is made from the same rows.
SEED = 20120217


def resampled_medians(data, random):
    """Of RESAMPLES samples that are drawn from the values with replacement."""
    import numpy

    return numpy.median(data[random.integers(0, data.size, (RESAMPLES, data.size))], axis=1)


@dataclass(frozen=True)
class Interval:
    median: float
    low: float | None
    high: float | None
    count: int

    @staticmethod
    def of(values: Sequence[float], confidence: float = 0.95) -> "Interval":
        """REQUIRES: at least one value."""
        import numpy  # here, so that what only lists or plans needs no package

        data = numpy.asarray(values, dtype=float)
        if data.size == 0:
            raise ValueError("an interval needs at least one value")
        median = float(numpy.median(data))
        if data.size < MINIMUM_FOR_INTERVAL:
            return Interval(median, None, None, int(data.size))
        medians = resampled_medians(data, numpy.random.default_rng(SEED))
        tail = (1 - confidence) / 2 * 100
        low, high = numpy.percentile(medians, [tail, 100 - tail])
        return Interval(median, float(low), float(high), int(data.size))

    def as_json(self) -> dict:
        return {"median": self.median, "low": self.low, "high": self.high, "count": self.count}

    def scaled(self, factor: float) -> "Interval":
        """REQUIRES: factor > 0."""
        low = None if self.low is None else self.low * factor
        high = None if self.high is None else self.high * factor
        return Interval(self.median * factor, low, high, self.count)


def paired_ratio(numerators: dict[int, float], denominators: dict[int, float]) -> Interval | None:
    """The ratio over the repetitions that both sides have; None without a common one.

    Paired, because the two runs of a repetition are neighbours in time: what disturbs the machine for minutes disturbs
    both, and cancels out.
    """
    common = sorted(numerators.keys() & denominators.keys())
    ratios = [numerators[r] / denominators[r] for r in common if denominators[r] > 0]
    return Interval.of(ratios) if ratios else None


def unpaired_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> Interval | None:
    """The ratio of the medians of two runs that were apart in time; None if a side has no value, or one that is not above 0.

    Both sides are drawn anew, each from its own values. What differed between the two times, other than what was measured, is
    in the ratio and not in its interval.
    """
    import numpy

    above, below = numpy.asarray(numerators, dtype=float), numpy.asarray(denominators, dtype=float)
    if not above.size or not below.size or (above <= 0).any() or (below <= 0).any():
        return None
    ratio, count = float(numpy.median(above) / numpy.median(below)), int(min(above.size, below.size))
    if count < MINIMUM_FOR_INTERVAL:
        return Interval(ratio, None, None, count)
    random = numpy.random.default_rng(SEED)
    low, high = numpy.percentile(resampled_medians(above, random) / resampled_medians(below, random), [2.5, 97.5])
    return Interval(ratio, float(low), float(high), count)


def geometric_mean(values: Sequence[float]) -> float:
    """REQUIRES: at least one value, all positive."""
    import numpy

    data = numpy.asarray(values, dtype=float)
    if data.size == 0 or (data <= 0).any():
        raise ValueError("a geometric mean needs positive values")
    return float(numpy.exp(numpy.log(data).mean()))
