"""From rows to sections: each experiment presents its own, and what is missing is named."""
from __future__ import annotations

from .model import Experiment, Section
from .runner import Gap


def gaps_of(name: str, gaps: list[Gap]) -> list[str]:
    """One line for each point that lacks runs, with the reason of the first."""
    by_point: dict[str, list[str]] = {}
    for gap in gaps:
        if gap.job.experiment == name:
            by_point.setdefault(gap.job.label().removeprefix(name + " "), []).append(gap.reason)
    return [f"{label}: {reasons[0]}" + (f" (and {len(reasons) - 1} more like it)" if len(reasons) > 1 else "")
            for label, reasons in by_point.items()]


def build(experiments: list[Experiment], rows: list[dict], gaps: list[Gap]) -> list[Section]:
    sections = []
    for experiment in experiments:
        section = Section(experiment.name, experiment.title, experiment.question, experiment.method)
        own = [row for row in rows if row["experiment"] == experiment.name]
        if own:
            experiment.present(own, section)
        section.gaps = gaps_of(experiment.name, gaps)
        sections.append(section)
    return sections
