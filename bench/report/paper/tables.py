"""The tables that are made whole from rows: all claims, and the appendix that leads from a value to its row."""
from __future__ import annotations

from pathlib import Path

from .. import published
from . import macros
from .macros import Knowledge, Use
from .sources import Paper


def escaped(text: str) -> str:
    for mark in "&%#_{}$":
        text = text.replace(mark, "\\" + mark)
    return text.replace("--", "-{}-").replace("<", r"\textless{}").replace(">", r"\textgreater{}")


def claims(known: Knowledge) -> str:
    """Rows of the table: question, experiment, claim and what it is, measured, bound, verdict."""
    lines, before = [], ""
    for row in known.published.claims:
        question = published.question_of(row.claim)
        if question != before and before:
            lines.append(r"\addlinespace[2pt]")
        cells = [question if question != before else "", published.experiment_of(row.claim), rf"\textsf{{{row.claim}}}",
                 escaped(row.about), macros.of_row(Use("ci", row.name, "", "claims"), known),
                 macros.of_row(Use("bound", row.claim, "", "claims"), known),
                 macros.of_row(Use("verdict", row.claim, "", "claims"), known)]
        lines.append(" & ".join(cells) + r" \\")
        before = question
    return "\n".join(lines) + "\n"


def used_rows(found: list[Use], known: Knowledge) -> list:
    names = {name for use in found for name in use.rows} | {row.name for row in known.published.claims}
    return [row for name, row in known.published.rows.items() if name in names]


def appendix(found: list[Use], known: Knowledge) -> str:
    lines = []
    for row in used_rows(found, known):
        shown = (macros.number(row.median) if row.median is not None else "curve") + (
            "" if row.low is None else f" ({macros.number(row.low)} to {macros.number(row.high)})")
        origin = ", ".join(row.ids) or escaped(row.source)
        lines.append(rf"\rowtarget{{{row.name}}}{{{escaped(row.name)}}} & {shown} {macros.UNITS.get(row.unit, row.unit)} & {row.run} & "
                     rf"{origin} & \texttt{{{escaped(row.command)}}} \\")
    return "\n".join(lines) + "\n"


def runs(known: Knowledge) -> str:
    lines = []
    for name, run in known.published.runs.items():
        note = escaped(run.get("note", ""))
        lines.append(rf"\item[\texttt{{{name}}}] revision \texttt{{{str(run['revision'])[:12]}}}, {run['begun']}, "
                     rf"{run['repetitions']} process(es) a point, {run['cores']} cores, {escaped(run['cpu'])}: "
                     rf"\texttt{{{escaped(run['command'])}}}. SHA-256 \texttt{{{run['digest'][:16]}}}. {note}")
    return "\n".join(lines) + "\n"


def constants(paper: Paper, root: Path) -> str:
    return "\n".join(rf"{one.shown} & \texttt{{{escaped(one.place(root))}}} & \texttt{{{escaped(one.code)}}} \\"
                     for one in paper.constants.values()) + "\n"


def as_markdown(found: list[Use], known: Knowledge, paper: Paper, root: Path) -> str:
    """numbers.md: from each place of the text to the row, and to what measures it again."""
    lines = ["# From a number to its row", "", "| where | macro | value | row | run | raw rows | command |", "|---|---|---|---|---|---|---|"]
    for use in found:
        rows = [known.published[name] for name in use.rows]
        if rows:
            lines.append(f"| {use.where} | `{use.macro}` | {macros.value(use, known)} | {', '.join(f'`{row.name}`' for row in rows)} | "
                         f"{', '.join(sorted({row.run for row in rows}))} | {', '.join(i for row in rows for i in row.ids)} | "
                         f"{', '.join(sorted({f'`{row.command}`' for row in rows}))} |")
    lines += ["", "## Constants", "", "| name | value | place |", "|---|---|---|"]
    lines += [f"| {one.name} | {one.shown} | {one.place(root)} |" for one in paper.constants.values()]
    lines += ["", "## Figures that are not ours", "", "| name | value | work | where |", "|---|---|---|---|"]
    lines += [f"| {one.name} | {one.value} | {one.cite or 'this project'} | {one.where} |" for one in paper.cited.values()]
    return "\n".join(lines) + "\n"
