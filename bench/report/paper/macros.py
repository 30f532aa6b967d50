r"""From published rows to the macros of the paper's text.

The text says \val{claims/chase}, and the macro's argument is the name of the row; so nothing but a row gives a value, and a reader
of the source sees which. In the PDF each value links to its row in the appendix, which names run, raw rows and command.

  \val{ROW}           the median, with its unit; a dagger where it comes from a single run
  \ci{ROW}            the median and its interval
  \curvemax{ROW}      the largest value of a curve
  \bound{CLAIM}       what a claim must be: at most, at least
  \verdict{CLAIM}     holds, fails, is not reached (of a goal)
  \ratio{ROW}{ROW}    the first median divided by the second
  \const{NAME}        a constant of the code (constants.toml)
  \cited{NAME}        a figure that others published, with its citation (cited.toml)
  \fact{NAME}         a fact of the run: revision, date, cores, cpu, repetitions, claims, holding, failing, missed, singles, claims-only,
                      rows
  \claim{NAME}  \experiment{E6}  \question{RQ4}   names that text and artifact share
"""
from __future__ import annotations

import re
from dataclasses import dataclass

from .. import catalogue, published
from ..formats import significant
from .rows import NoSuchRow, Published, Row
from .sources import Cited, Constant, Source

OF_ROWS = ("val", "ci", "curvemax", "bound", "verdict", "ratio")
OTHERS = ("const", "cited", "fact", "claim", "experiment", "question")
USE = re.compile(r"\\(" + "|".join((*OF_ROWS, *OTHERS)) + r")\{([^{}]*)\}(?:(?<=\})\{([^{}]*)\})?")
UNITS = {"": "", "count": "", "x": r"$\times$", "%": r"\,\%", "1/s": "/s", "us": r"~\textmu s"}
DAGGER = r"\single{}"


class Unknown(ValueError):
    """A macro names what there is not. Says where."""


@dataclass(frozen=True)
class Use:
    macro: str
    first: str
    second: str  # of \ratio alone
    where: str  # file:line

    @property
    def rows(self) -> tuple[str, ...]:
        if self.macro not in OF_ROWS:
            return ()
        if self.macro in ("bound", "verdict"):
            return (f"claims/{self.first}",)
        return (self.first, self.second) if self.macro == "ratio" else (self.first,)

    @property
    def key(self) -> str:
        return f"{self.macro}:{self.first}" + (f":{self.second}" if self.macro == "ratio" else "")


@dataclass(frozen=True)
class Knowledge:
    """All that macros draw on."""

    published: Published
    constants: dict[str, Constant]
    cited: dict[str, Cited]


def uses(sources: list[Source]) -> list[Use]:
    found = []
    for source in sources:
        for number, line in source.lines():
            for match in USE.finditer(line):
                second = (match[3] or "") if match[1] == "ratio" else ""
                found.append(Use(match[1], match[2], second, f"{source.path.name}:{number}"))
    return found


def number(value: float) -> str:
    return significant(value).replace("-", "$-$")


def with_unit(value: float, unit: str) -> str:
    if unit == "count":  # of what comes whole
        return f"{value:,.0f}"
    if unit == "1/s" and value >= 1e6:
        return f"{number(value / 1e6)}\\,M/s"
    if unit == "1/s" and value >= 1e4:
        return f"{number(value / 1e3)}\\,k/s"
    return number(value) + unit_text(unit)


def unit_text(unit: str) -> str:
    return UNITS[unit] if unit in UNITS else f"~{unit}"


def of_row(use: Use, known: Knowledge) -> str:
    rows = [known.published[name] for name in use.rows]
    row = rows[0]
    mark = DAGGER if any(one.is_single for one in rows) else ""
    if use.macro == "verdict":
        return ("holds" if row.holds else "fails" if row.required else "is not reached")
    if use.macro == "bound":
        return (r"$\le$\," if row.comparison == "<=" else r"$\ge$\,") + f"{row.bound:,g}" + unit_text(row.unit)
    if use.macro == "curvemax":
        return linked(row, with_unit(max(value for _, value in row.curve), row.unit) + mark)
    if any(one.median is None for one in rows):
        raise Unknown(f"{use.where}: {use.first} is a curve and has no value of its own")
    if use.macro == "ratio":
        if not rows[1].median:
            raise Unknown(f"{use.where}: nothing can be divided by {use.second}")
        return linked(row, with_unit(row.median / rows[1].median, "x") + mark)
    if use.macro == "ci" and row.low is not None:
        between = f"{number(row.low)} to {number(row.high)}"
        return linked(row, f"{with_unit(row.median, row.unit)} ({between})")
    return linked(row, with_unit(row.median, row.unit) + mark)


def linked(row: Row, text: str) -> str:
    return rf"\tolink{{{row.name}}}{{{text}}}"


def value(use: Use, known: Knowledge) -> str:
    """What the macro stands for. Throws Unknown."""
    try:
        if use.macro in OF_ROWS:
            return of_row(use, known)
        if use.macro == "const":
            return known.constants[use.first].shown
        if use.macro == "cited":
            one = known.cited[use.first]
            return f"{one.value}~\\cite{{{one.cite}}}" if one.cite else one.value
        if use.macro == "fact":
            return facts(known.published)[use.first]
        if use.macro == "claim" and use.first in published.CLAIMS:
            return rf"\textsf{{{use.first}}}"
        if use.macro == "experiment" and use.first in {catalogue.label(one.number) for one in catalogue.ENTRIES}:
            return use.first
        if use.macro == "question" and use.first in catalogue.QUESTIONS:
            return use.first
    except NoSuchRow as error:
        raise Unknown(f"{use.where}: {error}") from error
    except KeyError:
        pass
    raise Unknown(f"{use.where}: there is no {use.macro} {use.first}")


def main_run(known: Published) -> dict:
    """The one that most rows are of."""
    return known.runs[max(known.runs, key=lambda name: sum(row.run == name for row in known.rows.values()))]


def facts(known: Published) -> dict[str, str]:
    run, claims = main_run(known), known.claims
    return {"revision": str(run["revision"])[:12], "date": str(run["begun"]), "cores": str(run["cores"]), "cpu": str(run["cpu"]),
            "repetitions": str(run["repetitions"]), "claims": str(len(claims)), "holding": str(sum(one.holds for one in claims)),
            "failing": str(sum(not one.holds for one in claims)), "rows": str(len(known.rows)),
            "missed": ", ".join(rf"\textsf{{{one.claim}}}" for one in claims if not one.holds) or "none",
            "singles": str(sum(one.is_single for one in claims)), "claims-only": ", ".join(claims_only(known)) or "none"}


def claims_only(known: Published) -> list[str]:
    """Numbers of the experiments of which no row is published but claims."""
    measured = {name.partition("/")[0] for name in known.rows}
    return [catalogue.label(one.number) for one in catalogue.ENTRIES if not measured & one.parts.keys()]


def definitions(found: list[Use], known: Knowledge) -> str:
    """numbers.tex: one definition for each use that differs. Throws Unknown."""
    lines = ["% Made from papers/published.jsonl, constants.toml and cited.toml by scripts/paper: not to be edited."]
    for key, use in sorted({use.key: use for use in found}.items()):
        lines.append(rf"\defnumber{{{key}}}{{{value(use, known)}}}")
    return "\n".join(lines) + "\n"


def expanded(text: str, known: Knowledge) -> str:
    """Of a piece of text: with the values in the places of the macros."""
    def put(match: re.Match) -> str:
        second = (match[3] or "") if match[1] == "ratio" else ""
        rest = "" if match[1] == "ratio" or match[3] is None else f"{{{match[3]}}}"
        return value(Use(match[1], match[2], second, "text"), known) + rest

    return USE.sub(put, text)
