"""The command line of scripts/reproduce."""
from __future__ import annotations

import os
import sys
from pathlib import Path

import experiments
from . import artifact, catalogue, claims, compare, console, kick, measuring, reference
from .arguments import arguments
from .console import complain, say
from .paper import rows


def compared(folders: list[Path]) -> int:
    try:
        table, differ = compare.compare(*(compare.Side.read(folder) for folder in folders))
    except (compare.NotARun, compare.NothingInCommon) as error:
        complain(f"scripts/reproduce: {error}")
        return 2
    say(table + (f"differ: {', '.join(differ)}" if differ else "no verdicts differ where both can tell"))
    return 1 if differ else 0


def beside_published(folder: Path, root: Path) -> int:
    try:
        found = reference.values(rows.read(root / "papers" / rows.NAME), reference.rows_of(folder))
    except (reference.NothingToCompare, OSError, ValueError) as error:
        complain(f"scripts/reproduce: {error}")
        return 2
    say(reference.text(found) + reference.summary(found))
    return 1 if any(one.verdict == reference.OUTSIDE for one in found) else 0


def main() -> int:
    console.prepare()
    options = arguments(sys.argv[1:])
    root = Path(os.environ.get("COW_CACHE_ROOT", Path(__file__).resolve().parents[2]))
    if options.list:
        say(catalogue.listing(list(experiments.ALL), {claims.NAME: "Does what the project claims hold here?"}))
        return 0
    if options.artifact:
        try:
            artifact.write(root / artifact.PATH)
        except OSError as error:
            complain(f"scripts/reproduce: {error}")
            return 1
        return 0
    if options.compare:
        return compared(options.compare) if len(options.compare) == 2 else beside_published(options.compare[0], root)
    console.go_on_unheard()
    if options.kick:
        return kick.kick(root)
    return measuring.measure(options, root)


if __name__ == "__main__":
    sys.exit(main())
