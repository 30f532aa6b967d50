"""Writes what a run found: raw data, figures, report; and says how it ended."""
from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from . import claims, page, results, sections, svg
from .model import Experiment
from .runner import Gap


def command_line(size: str, options: argparse.Namespace) -> str:
    """What to type to run the same experiments again; without the seed, which would fix the order as well."""
    words = ["scripts/reproduce", f"--{size}"]
    if options.only:
        words.append(f"--only {options.only}")
    if options.repetitions:
        words.append(f"--repetitions {options.repetitions}")
    return " ".join(words)


def write(out: Path, run: dict, chosen: list[Experiment], rows: list[dict],
          gaps: list[Gap]) -> list[str]:
    """Returns what makes figures of this run doubtful."""
    (out / "machine.json").write_text(json.dumps(run, indent=2) + "\n")
    results.write_csv(rows, out / "rows.csv")
    if not (out / "rows.jsonl").exists():
        (out / "rows.jsonl").touch()
    (out / "gaps.json").write_text(json.dumps(
        [{"job": gap.job.label(), "repetition": gap.job.repetition, "reason": gap.reason, "failed": gap.failed} for gap in gaps],
        indent=2) + "\n")
    figures = out / "figures"
    figures.mkdir(exist_ok=True)
    built = sections.build(chosen, rows, gaps)
    for section in built:
        for figure in section.figures:
            (figures / f"{figure.name}.svg").write_text(svg.standalone(figure))
            figure.canvas.savefig(figures / f"{figure.name}.png", dpi=300)
    (out / "report.html").write_text(page.render(run, built, rows, sections.gaps_of(claims.NAME, gaps)))
    return [doubt for section in built for doubt in section.doubts]


def verdict(out: Path, rows: list[dict], gaps: list[Gap], doubts: list[str], interrupted: bool) -> int:
    """Prints the outcome; returns the exit code."""
    measured = [row for row in rows if row["experiment"] == claims.NAME]
    for row in measured:
        print(f"{row['name']} {row['measured']} {row['comparison']} {row['bound']} {claims.verdict(row)}")
    failed_claims = [row["name"] for row in measured if claims.verdict(row) == "fails"]
    failed_jobs = [gap for gap in gaps if gap.failed]
    left_out = len(gaps) - len(failed_jobs)
    if left_out:
        print(f"{left_out} runs left out for lack of time", file=sys.stderr)
    if failed_jobs:
        print(f"{len(failed_jobs)} runs failed; see {out / 'gaps.json'}", file=sys.stderr)
    if failed_claims:
        print(f"claims that fail: {', '.join(failed_claims)}", file=sys.stderr)
    for doubt in doubts:
        print(f"implausible: {doubt}", file=sys.stderr)
    print(f"report: {out / 'report.html'}")
    return 1 if failed_claims or failed_jobs or doubts or interrupted else 0
