"""A program of Google Benchmark: which benchmarks it has, and one run of one of them, in a process of its own."""
from __future__ import annotations

import json
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from . import microbenchmarks
from .folder import Refused
from .owned import Owned

LIST_LIMIT_S = 60.0
# A run fills its caches anew for each guess at the number of iterations, so it takes much longer than it is asked to.
RUN_LIMIT_S, RUN_LIMIT_FACTOR = 600.0, 20.0
SPECIAL = re.compile(r"([.[\\()*+?{|^$])")  # in a POSIX extended expression, outside of brackets


class RunFailed(RuntimeError):
    """A benchmark gave no figure. Says why."""


@dataclass(frozen=True)
class Run:
    context: dict  # what Google Benchmark says of the machine and of the program
    entries: list[dict] = field(default_factory=list)  # as it wrote them, aggregates left out

    @property
    def nanoseconds(self) -> float:
        return median(microbenchmarks.time_of(entry) for entry in self.entries)


def last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def exactly(name: str) -> str:
    """The expression that matches this benchmark alone."""
    return "^" + SPECIAL.sub(r"\\\1", name) + "$"


def figures(entries: list[dict]) -> list[dict]:
    """Those with a time. Throws RunFailed, KeyError, TypeError, ValueError."""
    found = [one for one in entries if one.get("run_type", "iteration") == "iteration"]
    for one in found:
        if one.get("error_occurred"):
            raise RunFailed(one.get("error_message") or "it says that it failed")
        if not microbenchmarks.time_of(one) > 0:
            raise RunFailed(f"it says that it took {microbenchmarks.time_of(one)} ns")
    return found


@dataclass(frozen=True)
class Program:
    path: Path
    own: Owned

    def names(self, expression: str | None) -> list[str]:
        """Of the benchmarks that match it, or of all. Throws Refused."""
        command = [self.path, "--benchmark_list_tests=true", *([f"--benchmark_filter={expression}"] if expression else [])]
        with tempfile.TemporaryFile() as errors:
            try:
                code, said = self.own.hear(command, LIST_LIMIT_S, errors)
            except OSError as error:
                raise Refused(f"cannot run {self.path}: {error.strerror}") from error
            errors.seek(0)
            why = last_line(errors.read().decode(errors="replace"))
        names = [line for line in said.splitlines() if line.strip()]
        if code == 0 and names:
            return names
        # With nothing to run, Google Benchmark itself counts as successful.
        if expression is not None and code in (0, 2):
            raise Refused(f"no benchmark matches {expression!r}" + (f": {why}" if "Could not compile" in why else ""))
        raise Refused(f"{self.path} lists no benchmarks: " + ("it did not answer" if code is None else f"exit code {code}; {why}"))

    def run(self, name: str, seconds: float) -> Run:
        """Throws RunFailed."""
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "out.json"
            command = [self.path, f"--benchmark_filter={exactly(name)}", f"--benchmark_min_time={seconds:f}",
                       "--benchmark_repetitions=1", "--benchmark_out_format=json", f"--benchmark_out={out}"]
            try:
                code, said = self.own.hear(command, RUN_LIMIT_S + RUN_LIMIT_FACTOR * seconds)
            except OSError as error:
                raise RunFailed(f"cannot run {self.path}: {error.strerror}") from error
            if code != 0:
                raise RunFailed("it ran past its time limit" if code is None else f"exit code {code}: {last_line(said)}")
            try:
                document = json.loads(out.read_text(encoding="utf-8"))
                run = Run(document["context"], figures(document["benchmarks"]))
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                raise RunFailed(f"its figures cannot be read: {error!r}") from error
        if not run.entries:
            raise RunFailed("it wrote no figures")
        return run
