"""Where the paper shows what: its figures and tables, in the order of the text, with the experiments that they rest on and what
measures those again."""
from __future__ import annotations

import re
from dataclasses import dataclass

import experiments
from .. import catalogue, claims, published
from ..formats import interval
from ..model import FULL
from .macros import Knowledge, uses
from .sources import Paper, Source

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


def commands(label: str) -> tuple[str, float]:
    """What measures an experiment of the catalogue again, in full, and how many minutes that takes."""
    entry = next(one for one in catalogue.ENTRIES if catalogue.label(one.number) == label)
    built = [one for one in experiments.ALL if one.name in entry.parts]
    seconds = FULL.repetitions * sum(job.estimate_s for one in built for job in one.jobs(FULL))
    return f"scripts/reproduce --full --only {entry.number}", seconds / 60


def verdicts(label: str, known: Knowledge) -> list[str]:
    """Of its claims: what is expected of whoever measures them again."""
    return [f"`{row.claim}` {interval(row.interval, row.unit)}, {row.comparison} {row.bound:g}: {'holds' if row.holds else 'fails'}"
            for row in known.published.claims if catalogue.label(published.experiment_of(row.claim)) == label]


def as_markdown(paper: Paper, known: Knowledge) -> str:
    lines = ["## Figures and tables", "", "| in the paper | experiment | command | minutes | claims: published, bound, verdict |",
             "|---|---|---|---|---|"]
    for place in places(paper):
        if "claims" in place.label:
            minutes = len(published.CLAIMS) * claims.ESTIMATE_S * FULL.repetitions / 60
            lines.append(f"| {place.name} | all | `scripts/reproduce --full --only claims` | {minutes:.0f} | all of them |")
            continue
        for label in place.experiments:
            command, minutes = commands(label)
            lines.append(f"| {place.name} | {label} | `{command}` | {minutes:.0f} | {'; '.join(verdicts(label, known))} |")
        if not place.experiments:
            lines.append(f"| {place.name} | nothing is measured | | | |")
    return "\n".join(lines) + "\n"
