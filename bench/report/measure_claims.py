"""The command line of scripts/claims: sets up, builds, and runs the program that measures, as something that is owned."""
from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from . import building, console, owned, published
from .console import complain
from .owned import Owned

NAME = "scripts/claims"


def check(parser: argparse.ArgumentParser, names: list[str], json: Path | None, listing: str) -> None:
    """Leaves with exit code 2 if there are no such claims, or nothing can be written to the file. listing: what shows them."""
    unknown = [name for name in names if name not in published.CLAIMS]
    if unknown:
        parser.error(f"no claim {', '.join(unknown)} (see {listing})")
    if json is not None and (why := console.why_unwritable(json)):
        parser.error(f"--json {json}: {why}")


def program_arguments(argv: list[str]) -> list[str]:
    """What the program is told. Leaves with exit code 2 if that makes no sense."""
    parser = argparse.ArgumentParser(prog=NAME, allow_abbrev=False)
    for flag in ("--quick", "--verbose", "--list"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME")
    chosen = parser.parse_args(argv)
    if chosen.list and len(argv) > 1:
        parser.error("--list goes with nothing else")
    check(parser, chosen.names, chosen.json, "--list")
    told = [flag for flag, given in (("--quick", chosen.quick), ("--verbose", chosen.verbose), ("--list", chosen.list)) if given]
    if chosen.json is not None:
        told += ["--json", str(chosen.json)]
    return [*told, *chosen.names]


def main() -> int:
    console.prepare()
    told = program_arguments(sys.argv[1:])
    root = Path(os.environ["COW_CACHE_ROOT"])
    try:
        owned.raise_on_signals()
        with Owned() as own:
            building.set_up(root)
            code = own.run([building.build(root, own) / "claims", *told])
            return code if code >= 0 else owned.exit_code(-code)
    except (RuntimeError, OSError) as error:
        complain(f"{NAME}: {error}")
        return 1
    except owned.ENDINGS as ending:
        return owned.exit_code(owned.number_of(ending))


if __name__ == "__main__":
    sys.exit(main())
