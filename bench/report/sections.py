"""From rows to sections: each experiment presents its own, what is missing is named, and what is not built says so."""
from __future__ import annotations

from dataclasses import dataclass

from . import catalogue
from .catalogue import Entry
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
        section = Section(experiment.name, experiment.title, experiment.question, experiment.method,
                          catalogue.number_of(experiment.name))
        own = [row for row in rows if row["experiment"] == experiment.name]
        if own:
            experiment.present(own, section)
        section.gaps = gaps_of(experiment.name, gaps)
        sections.append(section)
    return sections


@dataclass(frozen=True)
class Group:
    """A number of the catalogue: the sections of this run that belong to it, and what is not built yet."""

    entry: Entry
    sections: tuple[Section, ...]
    not_yet: tuple[str, ...]
    built: int  # experiments that there are, in this run or not

    @property
    def measured(self) -> bool:
        return any(section.tables for section in self.sections)

    @property
    def state(self) -> str:
        if not self.built:
            return "not yet"
        measured = "measured" if self.measured else "not in this run" if not self.sections else "not measured"
        return f"{measured}, in part not yet" if self.not_yet else measured


def groups(sections: list[Section], built: list[Experiment]) -> list[Group]:
    """One for each number, whatever this run measured."""
    return [Group(entry, tuple(s for s in sections if s.number == entry.number), tuple(catalogue.missing(entry, built)),
                  sum(experiment.name in entry.parts for experiment in built)) for entry in catalogue.ENTRIES]
