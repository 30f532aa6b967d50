"""The command line of scripts/compare-builds: the claims of two builds, measured in turn.

Two binaries that run one after the other meet different moments of the machine. Run in turn, pair by pair, what disturbs
one disturbs its neighbour as well, and the ratio of a pair keeps little of it.
"""
from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from . import console, measure_claims, owned, plan, results
from .arguments import positive, whole_number
from .console import complain, say
from .formats import ratio, significant
from .intervals import Interval, paired_ratio
from .owned import Owned
from .progress import Progress

DEFAULT_CLAIMS = ("chase", "oo7-private", "first-write", "begin-end", "commit-raw")
DEFAULT_PAIRS = 21
DEFAULT_BOUND = 1.03
MOST_PAIRS = 10_000
ESTIMATE_S = 5.0  # of one run of a claim; those differ


class MeasuringFailed(RuntimeError):
    """A claims program could not measure."""


@dataclass(frozen=True)
class Comparison:
    claim: str
    unit: str
    old: Interval
    new: Interval
    ratio: Interval  # new / old, or old / new where more is better: above 1 is worse

    def holds(self, bound: float) -> bool:
        worst = self.ratio.median if self.ratio.high is None else self.ratio.high
        return worst <= bound


def measure(program: Path, claim: str) -> dict:
    """One row of the program's JSON. Throws MeasuringFailed."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "claims.json"
        # Exit code 1 says that the claim does not hold, which is not the question here.
        done = subprocess.run([program, "--json", out, claim], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              encoding="utf-8", errors="replace")
        if done.returncode not in (0, 1) or not out.is_file():
            raise MeasuringFailed(f"{program} {claim}: exit code {done.returncode}: {done.stderr.strip()[-300:]}")
        row = json.loads(out.read_text(encoding="utf-8"))[0]
    if row["measured"] is None or row["measured"] <= 0:
        raise MeasuringFailed(f"{program} {claim}: measured {row['measured']}")
    return row


def compare(old: Path, new: Path, claims: list[str], pairs: int, job=nullcontext) -> list[Comparison]:
    """job(label): a context for each run. REQUIRES: pairs >= 1. Throws MeasuringFailed, OSError."""
    programs = {"old": old, "new": new}
    rows = {claim: {side: {} for side in programs} for claim in claims}
    for pair, claim, side in plan.in_turn({claim: list(programs) for claim in claims}, pairs, random.Random()):
        with job(f"{claim} {side}"):
            rows[claim][side][pair] = measure(programs[side], claim)
    return [of_pairs(claim, sides["old"], sides["new"]) for claim, sides in rows.items()]


def of_pairs(claim: str, olds: dict[int, dict], news: dict[int, dict]) -> Comparison:
    """Of the rows by their pair."""
    old, new = ({pair: row["measured"] for pair, row in rows.items()} for rows in (olds, news))
    ratio_of = paired_ratio(new, old) if news[0]["comparison"] == "<=" else paired_ratio(old, new)
    return Comparison(claim, news[0]["unit"], Interval.of(list(old.values())), Interval.of(list(new.values())), ratio_of)


def table(comparisons: list[Comparison], bound: float) -> str:
    lines = [f"{'claim':<20} {'old':>10} {'new':>10}  worse by (95% interval)",
             f"{'-' * 20} {'-' * 10} {'-' * 10}  {'-' * 40}"]
    for one in comparisons:
        old, new = (f"{significant(side.median)}{one.unit}" for side in (one.old, one.new))
        verdict = "holds" if one.holds(bound) else f"above {bound:g}"
        lines.append(f"{one.claim:<20} {old:>10} {new:>10}  {ratio(one.ratio)}: {verdict}")
    return "\n".join(lines)


def as_json(comparisons: list[Comparison], bound: float) -> list[dict]:
    return [{"claim": one.claim, "unit": one.unit, "old": one.old.as_json(), "new": one.new.as_json(), "worse_by": one.ratio.as_json(),
             "bound": bound, "holds": one.holds(bound)} for one in comparisons]


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/compare-builds", allow_abbrev=False,
        description="Measures claims with two builds in turn, pair by pair, and says how much worse the new one is.",
        epilog="Exit code: 0 the upper end of each interval is within the bound, 1 not so, 2 bad usage or a measurement that "
               "went wrong; 128 and its number after a signal.")
    parser.add_argument("old", type=Path, metavar="OLD", help="a claims program, or a checkout in which scripts/build-release has run")
    parser.add_argument("new", type=Path, metavar="NEW", help="likewise")
    parser.add_argument("claims", nargs="*", default=list(DEFAULT_CLAIMS), metavar="CLAIM",
                        help=f"names of claims (default: {' '.join(DEFAULT_CLAIMS)})")
    parser.add_argument("--pairs", type=whole_number(1, MOST_PAIRS),
                        default=DEFAULT_PAIRS, metavar="N", help=f"runs of each (default: {DEFAULT_PAIRS})")
    parser.add_argument("--bound", type=positive, default=DEFAULT_BOUND, metavar="RATIO",
                        help=f"what the upper end of the interval may be (default: {DEFAULT_BOUND})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the result to this file")
    chosen = parser.parse_args(argv)
    chosen.claims = list(dict.fromkeys(chosen.claims))
    measure_claims.check(parser, chosen.claims, chosen.json, "scripts/claims --list")
    for side in ("old", "new"):
        path = getattr(chosen, side)
        program = path / "build/release/bench/claims" if path.is_dir() else path
        if not (program.is_file() and os.access(program, os.X_OK)):
            parser.error(f"no claims program at {program}")
        setattr(chosen, side, program.resolve())
    return chosen


def main(argv: list[str]) -> int:
    chosen = arguments(argv)
    try:
        with Owned():
            return compare_all(chosen)
    except OSError as error:
        complain(f"scripts/compare-builds: {error}")
        return 2
    except owned.ENDINGS as ending:
        return owned.exit_code(owned.number_of(ending))


def compare_all(chosen: argparse.Namespace) -> int:
    runs = 2 * len(chosen.claims) * chosen.pairs
    progress = Progress(runs, runs * ESTIMATE_S)
    try:
        comparisons = compare(chosen.old, chosen.new, chosen.claims, chosen.pairs, lambda label: progress.job(label, ESTIMATE_S))
    except (MeasuringFailed, OSError) as error:
        progress.close()
        complain(f"scripts/compare-builds: {error}")
        return 2
    progress.close()
    say(table(comparisons, chosen.bound))
    if chosen.json:
        results.replace_whole(chosen.json, json.dumps(as_json(comparisons, chosen.bound), indent=2) + "\n")
    return 0 if all(one.holds(chosen.bound) for one in comparisons) else 1


if __name__ == "__main__":
    console.prepare()
    owned.raise_on_signals()
    sys.exit(main(sys.argv[1:]))
