"""What scripts/paper calls: checks the text, and writes numbers, tables and figures beside it for LaTeX."""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..console import complain, say
from ..results import replace_whole
from . import checks, figures, macros, places, rows, schematic, sources, tables

ROOT = Path(__file__).resolve().parents[3]


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="scripts/paper", allow_abbrev=False)
    made.add_argument("--check", action="store_true", help="look at text and numbers only, and write nothing")
    made.add_argument("--out", type=Path, default=ROOT / "build" / "paper", help="where numbers, tables and figures go")
    return made


def write(known: macros.Knowledge, paper: sources.Paper, out: Path) -> None:
    found = macros.uses(paper.texts)
    (out / "figures").mkdir(parents=True, exist_ok=True)
    made = {"numbers.tex": macros.definitions(found, known), "claims-table.tex": tables.claims(known),
            "rows-table.tex": tables.appendix(found, known), "runs-list.tex": tables.runs(known),
            "constants-table.tex": tables.constants(paper, ROOT),
            "numbers.md": tables.as_markdown(found, known, paper, ROOT) + "\n" + places.as_markdown(paper, known)}
    for name, text in made.items():
        replace_whole(out / name, text)
    say(f"numbers: {len(made)} files, {len({use.key for use in found})} values")
    for name in figures.ALL:
        figures.draw(name, known.published, out / "figures" / f"{name}.pdf")
        say(f"figure: {name}")
    schematic.draw(out / "figures" / "design.pdf")
    say("figure: design")


def main() -> int:
    options = parser().parse_args()
    try:
        paper = sources.read(ROOT / "papers" / "paper")
        known = macros.Knowledge(rows.read(ROOT / "papers" / rows.NAME), paper.constants, paper.cited)
        found = checks.faults(paper, known, ROOT)
        for fault in found:
            complain(f"scripts/paper: {fault}")
        if found:
            return 1
        if options.check:
            say("the text holds no number that is written by hand, and every macro has its row")
            return 0
        write(known, paper, options.out)
    except (OSError, ValueError, LookupError) as error:
        complain(f"scripts/paper: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
