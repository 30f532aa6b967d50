"""Where the paper shows what: its figures and tables, in the order of the text, with the experiments that they rest on and what
measures those again."""
from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import experiments
from .. import catalogue, claims, published
from ..formats import about, interval
from ..model import PAPER
from . import rows as published_rows, sources
from .macros import Knowledge, uses
from .sources import Paper, Source

MOST_VALUES = 4
FLOAT = re.compile(r"\\begin\{(figure|table)\*?\}.*?\\end\{\1\*?\}", re.S)


@dataclass(frozen=True)
class Place:
    kind: str  # figure or table
    number: int
    label: str
    experiments: tuple[str, ...]  # labels of the catalogue; none where nothing is measured

    @property
    def name(self) -> str:
        return f"{self.kind.capitalize()} {self.number}"


def in_order(paper: Paper) -> list[Source]:
    """The texts as paper.tex has them follow one another."""
    by_stem = {source.path.stem: source for source in paper.texts}
    return [by_stem[stem] for stem in re.findall(r"\\input\{sections/(\w+)\}", by_stem["paper"].text)]


def places(paper: Paper) -> list[Place]:
    found, counts = [], {"figure": 0, "table": 0}
    for source in in_order(paper):
        for match in FLOAT.finditer(source.text):
            counts[match[1]] += 1
            said = [use.first for use in uses([Source(source.path, match[0])]) if use.macro == "experiment"]
            if "claims-table.tex" in match[0]:
                said = [catalogue.label(one.number) for one in catalogue.ENTRIES]
            label = re.search(r"\\label\{([^}]*)\}", match[0])
            found.append(Place(match[1], counts[match[1]], label[1] if label else "", tuple(dict.fromkeys(said))))
    return found


def entry_of(label: str) -> catalogue.Entry:
    return next(one for one in catalogue.ENTRIES if catalogue.label(one.number) == label)


def commands(label: str) -> tuple[str, float]:
    """What measures an experiment of the catalogue again, and its claims, as the paper needs them; and how many seconds that takes."""
    entry = entry_of(label)
    built = [one for one in experiments.ALL if one.name in entry.parts]
    seconds = sum(job.runs(PAPER) * job.estimate_s for one in built for job in one.jobs(PAPER))
    return f"scripts/reproduce --paper --only {entry.number}", seconds


def verdicts(label: str, known: Knowledge) -> list[str]:
    """Of its claims: what is expected of whoever measures them again."""
    return [f"`{row.claim}` {interval(row.interval, row.unit)}, {row.comparison} {row.bound:g}: {'holds' if row.holds else 'fails'}"
            for row in known.published.claims if catalogue.label(published.experiment_of(row.claim)) == label]


def values(label: str, paper: Paper, known: Knowledge) -> list[str]:
    """Of the rows of an experiment that the text names, with their intervals: zeros last, for they tell least. Curves have no such value."""
    named = dict.fromkeys(name for use in uses(paper.texts) for name in use.rows if name.partition("/")[0] in entry_of(label).parts)
    rows = [row for name in named if (row := known.published[name]).median is not None]
    return [f"`{row.name}` {interval(row.interval, row.unit)}" for row in sorted(rows, key=lambda row: row.median == 0)]


def as_markdown(paper: Paper, known: Knowledge) -> str:
    lines = ["## Figures and tables", "",
             "What measures each of the paper's figures and tables again, in estimated time, and what to expect: claims with their "
             "published median and", "interval, bound and verdict (`scripts/claims NAME` for one of them), and the first of the values "
             "that the text names, with their intervals.", f"Published are {about_runs(known)}.", "",
             "| in the paper | experiment | command | time | expected |", "|---|---|---|---|---|"]
    for place in places(paper):
        if "claims" in place.label:
            held = sum(row.holds for row in known.published.claims)
            lines.append(f"| {place.name} | all | `scripts/reproduce --paper --only claims` | {about(claims.planned_s(PAPER))} | "
                         f"{held} of {len(known.published.claims)} hold; each is below, with its experiment, or in `claims.md` |")
            continue
        for label in place.experiments:
            command, seconds = commands(label)
            expected = [*verdicts(label, known), *values(label, paper, known)[:MOST_VALUES]]
            lines.append(f"| {place.name} | {label} | `{command}` | {about(seconds)} | {'; '.join(expected) or 'a curve, of one run'} |")
        if not place.experiments:
            lines.append(f"| {place.name} | nothing is measured | | | |")
    return "\n".join(lines) + "\n"


def about_runs(known: Knowledge) -> str:
    return "; ".join(f"run `{name}`, {run['begun']}, {run['cores']} cores, {run['cpu']}, {run['repetitions']} process(es) a point"
                     for name, run in known.published.runs.items())


def section(root: Path) -> str:
    """For papers/artifact.md; of a checkout without the paper there is none."""
    folder, published_file = root / "papers" / "paper", root / "papers" / published_rows.NAME
    if not folder.is_dir() or not published_file.is_file():
        return ""
    paper = sources.read(folder)
    return as_markdown(paper, Knowledge(published_rows.read(published_file), paper.constants, paper.cited))
