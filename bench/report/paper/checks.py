"""What must hold of the paper, without LaTeX: the test `report` and scripts/paper ask the same questions."""
from __future__ import annotations

import re
from pathlib import Path

from .. import catalogue, published
from ..formats import interval
from . import macros, text_rules
from .macros import Knowledge, Unknown
from .sources import Paper

CITE = re.compile(r"\\cite[pt]?\{([^}]*)\}")


def faults(paper: Paper, known: Knowledge, root: Path) -> list[str]:
    return [*text_rules.all_faults(paper), *faults_of_macros(paper, known), *faults_of_places(paper, root), *faults_of_citations(paper),
            *faults_of_shared_names(paper), *faults_of_claims_table(known, root)]


def faults_of_macros(paper: Paper, known: Knowledge) -> list[str]:
    found = []
    for use in macros.uses(paper.texts):
        try:
            macros.value(use, known)
        except Unknown as error:
            found.append(str(error))
    return found


def faults_of_places(paper: Paper, root: Path) -> list[str]:
    """Constants that are not where they should be, or that the text has no more use for."""
    found = []
    for constant in paper.constants.values():
        try:
            constant.place(root)
        except (OSError, ValueError) as error:
            found.append(str(error))
    for one in paper.cited.values():
        if one.file and one.code not in (root / one.file).read_text(encoding="utf-8"):
            found.append(f"cited {one.name}: {one.file} does not say \"{one.code}\"")
        if one.cite and one.cite not in paper.bibliography:
            found.append(f"cited {one.name}: {one.cite} is not in paper.bib")
        if not one.cite and not one.file:
            found.append(f"cited {one.name}: neither a citation nor a place in the project says where it is from")
    used = {(use.macro, use.first) for use in macros.uses(paper.texts)}
    found += [f"constant {name} is not used" for name in paper.constants if ("const", name) not in used]
    found += [f"cited {name} is not used" for name in paper.cited if ("cited", name) not in used]
    return found


def faults_of_citations(paper: Paper) -> list[str]:
    cited = {key.strip() for source in paper.texts for _, line in source.lines() for match in CITE.finditer(line) for key in match[1].split(",")}
    cited |= {one.cite for one in paper.cited.values() if one.cite}
    return [f"{key} is cited and is not in paper.bib" for key in sorted(cited - paper.bibliography.keys())] + [
        f"{key} is in paper.bib and is not cited" for key in sorted(paper.bibliography.keys() - cited)]


def faults_of_shared_names(paper: Paper) -> list[str]:
    """Every experiment and question of the catalogue, and so of papers/artifact.md, has its place in the paper."""
    said = macros.uses(paper.texts)
    experiments = {use.first for use in said if use.macro == "experiment"}
    questions = {use.first for use in said if use.macro == "question"}
    found = [f"the paper does not speak of {catalogue.label(one.number)}, {one.title}" for one in catalogue.ENTRIES
             if catalogue.label(one.number) not in experiments]
    return found + [f"the paper does not ask {name}" for name in catalogue.QUESTIONS if name not in questions]


def faults_of_claims_table(known: Knowledge, root: Path) -> list[str]:
    """claims.md and the rows are of the same run: each says what the other does."""
    text = (root / "papers" / "claims.md").read_text(encoding="utf-8")
    found = []
    for row in known.published.claims:
        if row.claim not in published.CLAIMS:
            found.append(f"the row {row.name} is of a claim that bench/report/published.py does not know")
        if row.is_single:
            continue
        shown = interval(row.interval, row.unit)
        measured = [cell for line in text.splitlines() if f"`{row.claim}`:" in line for cell in line.split("|") if " to " in cell and "(" in cell]
        if not any(same(row, figures_in(cell)) for cell in measured):
            found.append(f"papers/claims.md does not say {shown} of {row.claim}, as papers/published.jsonl does")
    return found


def figures_in(cell: str) -> list[float]:
    return [float(one.replace(",", "")) for one in re.findall(r"-?\d[\d,]*(?:\.\d+)?", cell)]


def same(row: macros.Row, said: list[float]) -> bool:
    """To the three digits that a table shows."""
    return len(said) == 3 and all(abs(mine - theirs) <= 0.005 * max(abs(mine), 0.001)
                                  for mine, theirs in zip((row.median, row.low, row.high), said))
