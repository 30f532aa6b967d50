"""What a run found, as text: the claims with their verdicts, and where another cache does better than ours."""
from __future__ import annotations

from . import published
from .claims import Outcome
from .formats import interval, significant
from .intervals import Interval
from .model import Section, point_of

OURS = "shared"
CLEARLY = 1.05  # less than that between two medians of a smoke run is noise


def claims_table(run: dict, outcomes: list[Outcome]) -> str:
    lines = ["# Claims", "", *provenance(run), "",
             "| claim | published | ours (95% interval) | must be | verdict | raw rows |", "|---|---|---|---|---|---|"]
    for one in outcomes:
        unit = one.row.get("unit", "")
        verdict = one.verdict if one.required else f"{one.verdict} (a goal, not required)"
        lines.append(
            f"| `{one.name}`: {one.row.get('description', '')} | {published.CLAIMS.get(one.name, '')} | "
            f"{interval(one.measured, unit)} | {one.row['comparison']} {one.row['bound']:g} {unit} | {verdict} | "
            f"{', '.join(one.ids)} |")
    return "\n".join(lines) + "\n"


def findings(run: dict, outcomes: list[Outcome], rows: list[dict], sections: list[Section]) -> str:
    lines = ["# Findings", "", *provenance(run)]
    for title, verdict in (("What held", "holds"), ("What failed", "fails"), ("What could not be tested here", "not testable")):
        lines += ["", f"## {title}", ""]
        chosen = [one for one in outcomes if one.verdict == verdict]
        lines += [f"- `{one.name}`: {interval(one.measured, one.row.get('unit', ''))}, must be {one.row['comparison']} "
                  f"{one.row['bound']:g}. {one.row.get('description', '').capitalize()}." for one in chosen] or ["Nothing."]
    lines += ["", "## Where another cache is better", ""]
    titles = {section.name: section.title for section in sections}
    lines += [f"- {titles.get(name, name)}, {point}: {system} {significant(theirs)} against {significant(ours)} per second."
              for name, point, system, theirs, ours in beaten(rows)] or ["At no point of this run."]
    doubts = [doubt for section in sections for doubt in section.doubts]
    if doubts:
        lines += ["", "## What cannot be right", "", *(f"- {doubt}" for doubt in doubts)]
    return "\n".join(lines) + "\n"


def provenance(run: dict) -> list[str]:
    commit = (run["machine"]["revision"]["commit"] or "not committed")[:12]
    lines = [f"From a {run['size']} run of revision {commit} on {run['machine']['cores']} cores, {run['machine']['cpu']}, "
             f"{run['begun'][:10]}: `{run['command']}`."]
    if run["size"] == "smoke":
        lines.append("A smoke run shows that everything works; its figures are not results.")
    return lines


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
            if system not in (OURS, "raw") and theirs.median > CLEARLY * ours.median and apart:
                found.append((experiment, point, system, theirs.median, ours.median))
    return found
