"""Writes what a run found: raw data, figures, report; and says how it ended."""
from __future__ import annotations

import argparse
import json
import os
import shutil
from pathlib import Path

import experiments
from . import artifact, claims, findings, page, results, sections, svg
from .console import complain, say
from .folder import ROWS
from .paper import rows as published_rows
from .model import Experiment
from .results import replace_whole
from .runner import Gap


def command_line(size: str, options: argparse.Namespace) -> str:
    """What to type to run the same experiments again; without the seed, which would fix the order as well."""
    words = ["scripts/reproduce", f"--{size}"]
    if options.only is not None:
        words.append(f"--only {options.only}")
    if options.repetitions:
        words.append(f"--repetitions {options.repetitions}")
    return " ".join(words)


def write(out: Path, run: dict, chosen: list[Experiment], rows: list[dict],
          gaps: list[Gap]) -> list[str]:
    """Returns what makes figures of this run doubtful. Throws OSError."""
    results.write_csv(rows, out / "rows.csv")
    (out / ROWS).touch()
    replace_whole(out / "gaps.json", json.dumps(
        [{"job": gap.job.label(), "repetition": gap.job.repetition, "reason": gap.reason, "failed": gap.failed} for gap in gaps],
        indent=2) + "\n")
    figures = out / "figures"
    figures.mkdir(exist_ok=True)
    built = sections.build(chosen, rows, gaps)
    for section in built:
        for figure in section.figures:
            (figures / f"{figure.name}.svg").write_text(svg.standalone(figure), encoding="utf-8")
            figure.canvas.savefig(figures / f"{figure.name}.png", dpi=300)
            figure.canvas.savefig(figures / f"{figure.name}.pdf", metadata={"CreationDate": None})
    outcomes = claims.outcomes(rows)
    groups = sections.groups(built, list(experiments.ALL))
    replace_whole(out / "report.html", page.render(run, groups, rows, outcomes, sections.gaps_of(claims.NAME, gaps)))
    replace_whole(out / "claims.md", findings.claims_table(run, outcomes, groups))
    replace_whole(out / "findings.md", findings.findings(run, outcomes, rows, built, groups))
    replace_whole(out / published_rows.NAME, published_rows.text_of_run(run, rows, out / ROWS))
    return [doubt for section in built for doubt in section.doubts]


def into_papers(out: Path, papers: Path) -> None:
    """The text and the figures of this run in place of those of an earlier one, and the map to them. Git keeps the text alone.
    Everything is copied before anything is replaced, so that a full disk leaves the earlier results whole. Throws OSError."""
    chosen = {papers / name: out / name for name in ("claims.md", "findings.md", published_rows.NAME)}
    chosen |= {papers / "figures" / one.name: one for kind in ("pdf", "svg") for one in sorted((out / "figures").glob(f"*.{kind}"))}
    (papers / "figures").mkdir(parents=True, exist_ok=True)
    new = {place: place.with_name(place.name + ".new") for place in chosen}
    try:
        for place, source in chosen.items():
            shutil.copy(source, new[place])
        for place in chosen:
            os.replace(new[place], place)
    finally:
        for one in new.values():
            one.unlink(missing_ok=True)
    artifact.write(papers / "artifact.md")


def why_not(gaps: list[Gap], doubts: list[str], interrupted: bool) -> str | None:
    """Why a run is not one to be published; None if it is."""
    if interrupted:
        return "the run was interrupted"
    if gaps:
        return f"{len(gaps)} of its runs have no rows"
    return "some of its figures cannot be right" if doubts else None


def verdict(out: Path, rows: list[dict], gaps: list[Gap], doubts: list[str]) -> int:
    """Prints the outcome; returns the exit code."""
    outcomes = claims.outcomes(rows)
    for one in outcomes:
        measured = "-" if one.measured is None else f"{one.measured.median:g}"
        say(f"{one.name} {measured} {one.row['comparison']} {one.row['bound']} {one.verdict}")
    failed_claims = [one.name for one in outcomes if one.verdict == "fails" and one.required]
    missed_goals = [one.name for one in outcomes if one.verdict == "fails" and not one.required]
    failed_jobs = [gap for gap in gaps if gap.failed]
    left_out = len(gaps) - len(failed_jobs)
    if left_out:
        complain(f"{left_out} runs left out for lack of time")
    if failed_jobs:
        complain(f"{len(failed_jobs)} runs failed; see {out / 'gaps.json'}")
    if failed_claims:
        complain(f"claims that fail: {', '.join(failed_claims)}")
    if missed_goals:
        complain(f"goals that are not reached: {', '.join(missed_goals)}")
    for doubt in doubts:
        complain(f"implausible: {doubt}")
    say(f"report: {out / 'report.html'}")
    return 1 if failed_claims or failed_jobs or doubts else 0
