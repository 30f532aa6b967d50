"""What the project claims, measured by the program `claims`, one process for each name."""
from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from . import published
from .intervals import Interval
from .model import Job, Size

NAME = "claims"
# Seconds of a claim, on the average: some take none, and some twenty.
QUICK_ESTIMATE_S, ESTIMATE_S = 4.8, 6.2
# Those of large stores take minutes, those with a server must start it; both repeat within one process what they measure: one run of
# each. Seconds.
ONCE = {"pack-online": 60.0, "pack-speed": 20.0, "pack-memory": 20.0, "pack-space": 30.0, "backup-online": 140.0,
        "peer-warm": 3.5, "peer-staleness": 6.7, "peer-staleness-poll": 7.5, "peer-commit": 10.0, "peer-idle": 2.5}
# What is searched for and not measured: no run of scripts/reproduce has it, but scripts/claims, and a test among the checks.
SEARCHED = ("peer-history",)


def answer(program: Path, question: str) -> str:
    """What the program prints for --list or --help; "" where it knows no such word."""
    try:
        done = subprocess.run([program, question], capture_output=True, encoding="utf-8", errors="replace", timeout=30,
                              check=False)
    except OSError as error:
        raise RuntimeError(f"cannot run {program}: {error}") from error
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"{program} {question} did not answer") from error
    return done.stdout if done.returncode == 0 else ""


def jobs(program: Path, size: Size) -> list[Job]:
    """One process a claim, so that none warms another's caches, and one that crashes takes no other with it."""
    quick = ("--quick",) if size.smoke and "--quick" in answer(program, "--help") else ()
    estimate = QUICK_ESTIMATE_S if quick else ESTIMATE_S
    names = [line.split()[0] for line in answer(program, "--list").splitlines() if line.strip()]
    if not names:
        raise RuntimeError(f"{program} --list names no claim")
    return [Job(NAME, "shared", (("name", name),), "claims", (*quick, "--json", "{output}", name),
                estimate_s=estimate if quick else ONCE.get(name, estimate), time_limit_s=600.0 if name in ONCE else 300.0, repetition=repetition)
            for repetition in range(size.repetitions) for name in names
            if name not in SEARCHED and (repetition == 0 or name not in ONCE)]


def planned_s(size: Size) -> float:
    """Of all claims that the project knows, without asking the program."""
    measured = len(published.CLAIMS) - len(SEARCHED)
    if size.smoke:
        return size.repetitions * measured * QUICK_ESTIMATE_S
    return size.repetitions * (measured - len(ONCE)) * ESTIMATE_S + sum(ONCE.values())


@dataclass(frozen=True)
class Outcome:
    """A claim over the repetitions of a run."""

    name: str
    row: dict  # the first: what it says besides the figure is the same in each
    measured: Interval | None  # None: this machine cannot show it
    judged: float | None  # what the bound is for: the median, of what was measured or of the upper ends of each run's interval
    ids: tuple[str, ...]

    @property
    def required(self) -> bool:
        return self.row.get("required", True)

    @property
    def verdict(self) -> str:
        """"holds", "fails", or "not testable here" for what this machine cannot show. Of several runs the median counts."""
        if self.judged is None:
            return "not testable here"
        bound = self.row["bound"]
        holds = self.judged <= bound if self.row["comparison"] == "<=" else self.judged >= bound
        return "holds" if holds else "fails"


def outcomes(rows: list[dict]) -> list[Outcome]:
    """By the questions that they answer, whatever the order of the run."""
    by_name: dict[str, list[dict]] = {}
    for row in rows:
        if row["experiment"] == NAME:
            by_name.setdefault(row["name"], []).append(row)
    found = []
    for name, own in sorted(by_name.items(), key=lambda one: published.place_of(one[0])):
        shown = [row for row in own if row.get("measured") is not None]
        found.append(Outcome(name, own[0], Interval.of([row["measured"] for row in shown]) if shown else None,
                             median([row.get("upper_end", row["measured"]) for row in shown]) if shown else None,
                             tuple(row["id"] for row in own)))
    return found
