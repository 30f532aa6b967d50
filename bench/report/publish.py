"""Writes what a run found: raw data, figures, report; and says how it ended."""
from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

import experiments
from . import artifact, claims, findings, page, results, sections, svg
from .model import Experiment, Size
from .runner import Gap

PLAN, ROWS = "plan.json", "rows.jsonl"  # what a run needs to be resumed


def note_plan(out: Path, size: Size, options: argparse.Namespace, seed: int, revision: dict) -> None:
    (out / PLAN).write_text(json.dumps({"size": size.name, "only": options.only, "seed": seed, "repetitions": options.repetitions,
                                        "revision": revision}, indent=2) + "\n")


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
    (out / ROWS).touch()
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
            figure.canvas.savefig(figures / f"{figure.name}.pdf", metadata={"CreationDate": None})
    outcomes = claims.outcomes(rows)
    groups = sections.groups(built, list(experiments.ALL))
    (out / "report.html").write_text(page.render(run, groups, rows, outcomes, sections.gaps_of(claims.NAME, gaps)))
    (out / "claims.md").write_text(findings.claims_table(run, outcomes, groups))
    (out / "findings.md").write_text(findings.findings(run, outcomes, rows, built, groups))
    return [doubt for section in built for doubt in section.doubts]


def into_papers(out: Path, papers: Path) -> None:
    """The text and the figures of this run in place of those of an earlier one, and the map to them."""
    figures = papers / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    for name in ("claims.md", "findings.md"):
        shutil.copy(out / name, papers / name)
    for figure in sorted((out / "figures").glob("*.pdf")) + sorted((out / "figures").glob("*.svg")):
        shutil.copy(figure, figures / figure.name)
    artifact.write(papers / "artifact.md")


def verdict(out: Path, rows: list[dict], gaps: list[Gap], doubts: list[str], interrupted: bool) -> int:
    """Prints the outcome; returns the exit code."""
    outcomes = claims.outcomes(rows)
    for one in outcomes:
        measured = "-" if one.measured is None else f"{one.measured.median:g}"
        print(f"{one.name} {measured} {one.row['comparison']} {one.row['bound']} {one.verdict}")
    failed_claims = [one.name for one in outcomes if one.verdict == "fails" and one.required]
    missed_goals = [one.name for one in outcomes if one.verdict == "fails" and not one.required]
    failed_jobs = [gap for gap in gaps if gap.failed]
    left_out = len(gaps) - len(failed_jobs)
    if left_out:
        print(f"{left_out} runs left out for lack of time", file=sys.stderr)
    if failed_jobs:
        print(f"{len(failed_jobs)} runs failed; see {out / 'gaps.json'}", file=sys.stderr)
    if failed_claims:
        print(f"claims that fail: {', '.join(failed_claims)}", file=sys.stderr)
    if missed_goals:
        print(f"goals that are not reached: {', '.join(missed_goals)}", file=sys.stderr)
    for doubt in doubts:
        print(f"implausible: {doubt}", file=sys.stderr)
    print(f"report: {out / 'report.html'}")
    return 1 if failed_claims or failed_jobs or doubts or interrupted else 0
