"""Progress with an estimate of the time left: one line that renews itself on a terminal, plain lines elsewhere."""
from __future__ import annotations

import shutil
import sys
import time

from .formats import duration


class Progress:
    def __init__(self, total_jobs: int, total_estimate_s: float, stream=None):
        self.stream = stream or sys.stderr
        self.live = self.stream.isatty()
        self.total_jobs = total_jobs
        self.left_s = total_estimate_s  # as planned, for what has not run
        self.begun = time.monotonic()
        self.spent_s = 0.0
        self.planned_s = 0.0  # as planned, for what has run
        self.done = 0
        self.skipped = 0

    def time_left(self) -> float:
        """The plan's estimate for the rest, corrected by how true it was so far."""
        # Two jobs' worth of trust in the plan, so that one odd first job does not throw the estimate off.
        pace = (self.spent_s + 5.0) / (self.planned_s + 5.0)
        return self.left_s * pace

    def start(self, label: str) -> None:
        elapsed = duration(time.monotonic() - self.begun)
        line = f"[{self.done + 1:>{len(str(self.total_jobs))}}/{self.total_jobs}] {label}"
        times = f"{elapsed} gone, about {duration(self.time_left())} left"
        if self.live:
            width = shutil.get_terminal_size().columns - len(times) - 3
            self._renew(f"{line[:width]:<{width}}  {times}")
        else:
            print(f"{line}  ({times})", file=self.stream, flush=True)

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
        print(text, file=self.stream, flush=True)

    def close(self) -> None:
        if self.live:
            self._renew("")
        left_out = f", {self.skipped} left out" if self.skipped else ""
        print(f"{self.done} runs in {duration(time.monotonic() - self.begun)}{left_out}",
              file=self.stream, flush=True)

    def _renew(self, text: str) -> None:
        self.stream.write("\r\x1b[K" + text)
        self.stream.flush()
