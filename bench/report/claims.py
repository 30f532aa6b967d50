"""What the project claims, measured by the program `claims`, one process for each name."""
from __future__ import annotations

import subprocess
from pathlib import Path

from .model import Job, Size

NAME = "claims"


def answer(program: Path, question: str) -> str:
    """What the program prints for --list or --help; "" where it knows no such word."""
    try:
        done = subprocess.run([program, question], capture_output=True, text=True, timeout=30, check=False)
    except OSError as error:
        raise RuntimeError(f"cannot run {program}: {error}") from error
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"{program} {question} did not answer") from error
    return done.stdout if done.returncode == 0 else ""


def jobs(program: Path, size: Size) -> list[Job]:
    """One process a claim, so that none warms another's caches, and one that crashes takes no other with it."""
    quick = ("--quick",) if size.smoke and "--quick" in answer(program, "--help") else ()
    estimate = 6.0 if quick else 20.0
    names = [line.split()[0] for line in answer(program, "--list").splitlines() if line.strip()]
    if not names:
        raise RuntimeError(f"{program} --list names no claim")
    return [Job(NAME, "shared", (("name", name),), "claims", (*quick, "--json", "{output}", name),
                estimate_s=estimate, time_limit_s=120.0) for name in names]


def verdict(row: dict) -> str:
    """"holds", "fails", or "not testable" for what this machine cannot show."""
    if row.get("holds") is None:
        return "not testable"
    return "holds" if row["holds"] else "fails"
