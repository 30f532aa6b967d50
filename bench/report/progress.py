"""Progress with an estimate of the time left: one line that renews itself on a terminal, plain lines elsewhere."""
from __future__ import annotations

import io
import sys
import time
from contextlib import contextmanager

from . import console
from .formats import duration

LEAST_LABEL = 20  # columns of it that must be left beside the times
PAUSES = 5


def fitted(label: str, times: str, width: int) -> str:
    """In less than `width` columns, because a terminal goes to its next line after the last one. The times are the first to
    go."""
    room = max(width - 1, 0)
    left = room - len(times) - 2
    return f"{label[:left]:<{left}}  {times}" if left >= LEAST_LABEL else label[:room]


class Progress:
    def __init__(self, total_jobs: int, total_estimate_s: float, stream=None, patience_s: float = 0.0):
        """patience_s: what takes less says nothing, and where there is no terminal a line comes PAUSES times as seldom."""
        self.stream = stream or sys.stderr or io.StringIO()  # standard error may be closed
        self.live = self.stream.isatty()
        self.total_jobs = total_jobs
        self.left_s = total_estimate_s  # as planned, for what has not run
        self.begun = time.monotonic()
        self.patience_s = patience_s
        self.silent_until = self.begun + patience_s
        self.spent_s = 0.0
        self.planned_s = 0.0  # as planned, for what has run
        self.done = 0
        self.skipped = 0

    def time_left(self) -> float:
        """The plan's estimate for the rest, corrected by how true it was so far."""
        # Two jobs' worth of trust in the plan, so that one odd first job does not throw the estimate off.
        pace = (self.spent_s + 5.0) / (self.planned_s + 5.0)
        return self.left_s * pace

    @contextmanager
    def job(self, label: str, planned_s: float):
        """Around one job."""
        begun = time.monotonic()
        self.start(label)
        yield
        self.finish(planned_s, time.monotonic() - begun)

    def start(self, label: str) -> None:
        if time.monotonic() < self.silent_until:
            return
        if not self.live:
            self.silent_until = time.monotonic() + PAUSES * self.patience_s
        elapsed = duration(time.monotonic() - self.begun)
        line = f"[{self.done + 1:>{len(str(self.total_jobs))}}/{self.total_jobs}] {label}"
        times = f"{elapsed} gone, about {duration(self.time_left())} left"
        if self.live:
            self._renew(fitted(line, times, console.columns(self.stream)))
        else:
            console.say(f"{line}  ({times})", self.stream)

    def finish(self, planned_s: float, spent_s: float) -> None:
        self.done += 1
        self.left_s -= planned_s
        self.planned_s += planned_s
        self.spent_s += spent_s

    def skip(self, planned_s: float) -> None:
        """For lack of time."""
        self.skipped += 1
        self.not_needed(planned_s)

    def not_needed(self, planned_s: float) -> None:
        self.total_jobs -= 1
        self.left_s -= planned_s

    def say(self, text: str) -> None:
        if self.live:
            self._renew("")
        console.say(text, self.stream)

    def close(self) -> None:
        if self.live:
            self._renew("")
        if time.monotonic() - self.begun < self.patience_s:
            return
        left_out = f", {self.skipped} left out" if self.skipped else ""
        console.say(f"{self.done} runs in {duration(time.monotonic() - self.begun)}{left_out}", self.stream)

    def _renew(self, text: str) -> None:
        console.write(self.stream, "\r\x1b[K" + text)
