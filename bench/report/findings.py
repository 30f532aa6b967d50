"""What a run found, as text: the claims with their verdicts, and where another cache does better than ours."""
from __future__ import annotations

from . import catalogue, published
from .claims import Outcome
from .formats import interval, significant
from .intervals import Interval
from .model import SIZES, Section, point_of
from .sections import Group

OURS = "shared"
CLEARLY = 1.05  # less than that between two medians of a smoke run is noise


def claims_table(run: dict, outcomes: list[Outcome], groups: list[Group]) -> str:
    lines = ["# Claims", "", *provenance(run), "",
             "| question | experiment | claim | published | ours (95% interval) | must be | verdict | raw rows |",
             "|---|---|---|---|---|---|---|---|"]
    smoke = " (smoke)" if run["size"] == "smoke" else ""
    for one in outcomes:
        unit = one.row.get("unit", "")
        verdict = f"{one.verdict}{smoke}" if one.required else f"{one.verdict}{smoke}, a goal, not required"
        lines.append(
            f"| {published.question_of(one.name)} | {published.experiment_of(one.name)} | `{one.name}`: {one.row.get('description', '')} | "
            f"{published.beside(one.name)} | {interval(one.measured, unit)} | {one.row['comparison']} {one.row['bound']:g} {unit} | "
            f"{verdict} | {', '.join(one.ids)} |")
    lines += ["", "## By experiment", "", "| number | experiment | questions | state | claims |", "|---|---|---|---|---|"]
    for group in groups:
        own = [f"`{one.name}`" for one in outcomes if published.experiment_of(one.name) == group.entry.number]
        lines.append(f"| {catalogue.label(group.entry.number)} | {group.entry.title} | {', '.join(group.entry.questions)} | "
                     f"{'; '.join([group.state, *group.not_yet])} | {', '.join(own) or 'none measured'} |")
    return "\n".join(lines) + "\n"


def findings(run: dict, outcomes: list[Outcome], rows: list[dict], sections: list[Section], groups: list[Group]) -> str:
    lines = ["# Findings", "", *provenance(run)]
    if not outcomes:
        lines += ["", "No claim was measured in this run."]
    for title, verdict in (("What held", "holds"), ("What failed", "fails"),
                           ("What could not be tested here", "not testable here")):
        if not outcomes:
            break
        lines += ["", f"## {title}", ""]
        chosen = [one for one in outcomes if one.verdict == verdict]
        lines += [f"- `{one.name}`: {interval(one.measured, one.row.get('unit', ''))}, must be {one.row['comparison']} "
                  f"{one.row['bound']:g}. {sentence(one.row.get('description', ''))}" for one in chosen] or ["Nothing."]
    lines += ["", "## Where another cache is better", ""]
    titles = {section.name: section.title for section in sections}
    lines += [f"- {titles.get(name, name)}, {point}: {system} {significant(theirs)} against {significant(ours)} per second."
              for name, point, system, theirs, ours in beaten(rows)]
    lines += [f"- {section.title}: {one.where}: {one.who} {one.theirs} against {one.ours}."
              for section in sections for one in section.better]
    if lines[-1] == "":
        lines.append("At no point of this run.")
    doubts = [doubt for section in sections for doubt in section.doubts]
    if doubts:
        lines += ["", "## What cannot be right", "", *(f"- {doubt}" for doubt in doubts)]
    lines += ["", "## By experiment", ""]
    for group in groups:
        entry = group.entry
        lines.append(f"- {catalogue.label(entry.number)}, {entry.title} ({', '.join(entry.questions)}): {group.state}.")
        lines += [f"  - {line}" for section in group.sections for line in section.reading]
        lines += [f"  - Not yet: {what}." for what in group.not_yet]
    return "\n".join(lines) + "\n"


def sentence(description: str) -> str:
    """The first letter large, the others as they are: OO7 stays OO7."""
    return f"{description[:1].upper()}{description[1:]}."


def provenance(run: dict) -> list[str]:
    commit = (run["machine"]["revision"]["commit"] or "not committed")[:12]
    lines = [f"From a {run['size']} run of revision {commit} on {run['machine']['cores']} cores, {run['machine']['cpu']}, "
             f"{run['begun'][:10]}: `{run['command']}`."]
    return [*lines, f"{SIZES[run['size']].good_for}"]


def beaten(rows: list[dict]) -> list[tuple[str, str, str, float, float]]:
    """Points at which the throughput of another cache is clearly above ours."""
    rates: dict[tuple[str, str], dict[str, list[float]]] = {}
    for row in rows:
        if row.get("operations_per_s"):
            point = ", ".join(f"{key} {value}" for key, value in point_of(row).items())
            rates.setdefault((row["experiment"], point), {}).setdefault(row["system"], []).append(row["operations_per_s"])
    found = []
    for (experiment, point), by_system in sorted(rates.items()):
        if OURS not in by_system:
            continue
        ours = Interval.of(by_system[OURS])
        for system, values in sorted(by_system.items()):
            theirs = Interval.of(values)
            apart = theirs.low is None or ours.high is None or theirs.low > ours.high
            if system.split("/")[0] not in (OURS, "raw") and theirs.median > CLEARLY * ours.median and apart:
                found.append((experiment, point, system, theirs.median, ours.median))
    return found
