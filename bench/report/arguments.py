"""The command line of scripts/reproduce: all that can be refused is refused here, before anything is set up, built or written."""
from __future__ import annotations

import argparse
import json
import math
import os
import re
from dataclasses import replace
from pathlib import Path

import experiments
from . import catalogue, claims
from .folder import PLAN
from .intervals import MINIMUM_FOR_INTERVAL
from .model import FULL, PAPER, SIZES, SMOKE, Job, Size

MOST_REPETITIONS = 1000
MOST_SEED = (1 << 31) - 1
ALONE = ("kick", "list", "artifact", "compare")  # go with nothing else


def path(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("is empty")
    return Path(text)


def whole_number(low: int, high: int):
    def number(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", text) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {low} to {high}")
        return int(text)

    return number


def positive(text: str) -> float:
    value = float(text)
    if not (value > 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError("must be above 0")
    return value


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="scripts/reproduce", description="From sources to figures: builds optimised, measures, draws, reports.",
        allow_abbrev=False,
        epilog="Exit code: 0 every experiment ran, its figures are plausible and every required claim holds; 1 not so; 2 bad "
               "usage, no room or right to write, or a machine too busy to measure on; 128 and its number after a signal (130: "
               "Ctrl-C). A run that was ended goes on with --resume.")
    size = made.add_mutually_exclusive_group()
    size.add_argument("--smoke", action="store_true",
                      help="one short run per point, at most 10 minutes once built; not for results (default)")
    size.add_argument("--paper", action="store_true",
                      help=f"all figures and claims of the paper: {PAPER.repetitions} runs per point on smaller grids, for results; at "
                           "most 2 hours on 2 cores once built")
    size.add_argument("--full", action="store_true",
                      help=f"the whole grids: {FULL.repetitions} runs per point, for results; takes a day")
    made.add_argument("--kick", action="store_true",
                      help="build one small program (3 minutes at most with its build), which checks by counts what is claimed first, and leave: the "
                           "last line is PASS, or FAIL and why")
    made.add_argument("--only", metavar="NAME,...",
                      help="some experiments only: numbers (E4), research questions (RQ4) or names (memory,claims), see --list")
    made.add_argument("--resume", type=path, metavar="DIR",
                      help="go on with the run in DIR that was ended: with its size, seed and experiments, keeping its rows")
    made.add_argument("--force", action="store_true", help="measure with --paper or --full although the machine is busy")
    made.add_argument("--publish", action="store_true",
                      help="also put findings, claims and figures into papers/ (the figures are not kept in git); of a whole --paper "
                           "or --full run only")
    made.add_argument("--out", type=path, metavar="DIR", help="where to write (default: results/<UTC time>); must not exist")
    made.add_argument("--seed", type=whole_number(0, MOST_SEED),
                      help="for the order of runs and the workloads (default: drawn, and recorded)")
    made.add_argument("--repetitions", type=whole_number(1, MOST_REPETITIONS), metavar="N",
                      help="runs per point, in place of the size's own")
    made.add_argument("--binaries", type=path, metavar="DIR", help="measure the programs in DIR instead of building them")
    made.add_argument("--list", action="store_true",
                      help="show number, name, research questions and question of each experiment, and leave")
    made.add_argument("--artifact", action="store_true", help="write papers/artifact.md from the list of experiments, and leave")
    made.add_argument("--compare", type=path, nargs="+", metavar="DIR",
                      help="show which values of the run in DIR are within tolerance of those that are published (papers/published.jsonl), "
                           "and leave: 1 if one is outside. Of two runs: their verdicts side by side, 1 if they differ where both can tell")
    return made


def arguments(argv: list[str]) -> argparse.Namespace:
    """With `names` of the chosen experiments, `size`, and `resumed_revision`. Leaves with exit code 2."""
    made = parser()
    chosen = made.parse_args(argv)
    given = [name for name, value in vars(chosen).items() if value is not None and value is not False]
    for word in ALONE:
        if word in given and len(given) > 1:
            made.error(f"--{word} goes with nothing else")
    if chosen.compare and len(chosen.compare) > 2:
        made.error("--compare takes one run, or two")
    chosen.resumed_revision = None
    if chosen.resume:
        take_from_plan(made, chosen, given)
    chosen.size = size_of(chosen)
    built = list(experiments.ALL)
    try:
        chosen.names = ([*(e.name for e in built), claims.NAME] if chosen.only is None
                        else catalogue.names_of(chosen.only, built, (claims.NAME,)))
    except catalogue.UnknownName as error:
        made.error(str(error))
    if chosen.out and chosen.out.exists() and (not chosen.out.is_dir() or any(chosen.out.iterdir())):
        made.error(f"{chosen.out} exists: raw data is never overwritten")
    if chosen.publish and (not chosen.size.gives_results or chosen.only is not None or chosen.size.repetitions < MINIMUM_FOR_INTERVAL):
        made.error(f"--publish is for results: --paper or --full, all experiments, at least {MINIMUM_FOR_INTERVAL} repetitions")
    if chosen.binaries:
        missing = missing_programs(chosen.binaries, chosen_jobs(chosen), claims.NAME in chosen.names)
        if missing:
            made.error(f"--binaries {chosen.binaries}: no program {', '.join(missing)} there")
    return chosen


def take_from_plan(made: argparse.ArgumentParser, chosen: argparse.Namespace, given: list[str]) -> None:
    if set(given) & {"out", "only", "seed", "repetitions", *SIZES}:
        made.error("--resume takes everything from the run that it resumes")
    try:
        was = json.loads((chosen.resume / PLAN).read_text(encoding="utf-8"))
        chosen.smoke, chosen.paper, chosen.full = (SIZES[was["size"]] is size for size in (SMOKE, PAPER, FULL))
        chosen.only, chosen.seed = was["only"], was["seed"]
        chosen.repetitions = was["repetitions"]
        chosen.resumed_revision = was.get("revision")
        if chosen.binaries is None and was.get("binaries"):
            chosen.binaries = Path(was["binaries"])
        fine = isinstance(chosen.seed, int) and isinstance(chosen.repetitions, (int, type(None)))
    except (OSError, ValueError, KeyError, TypeError):
        fine = False
    if not fine:
        made.error(f"{chosen.resume} holds no run that could be resumed")


def size_of(chosen: argparse.Namespace) -> Size:
    size = FULL if chosen.full else PAPER if chosen.paper else SMOKE
    return replace(size, repetitions=chosen.repetitions) if chosen.repetitions else size


def chosen_jobs(chosen: argparse.Namespace) -> list[Job]:
    """Of one repetition, claims apart: what those are, their program says."""
    return [job for one in experiments.ALL if one.name in chosen.names for job in one.jobs(chosen.size)]


def missing_programs(folder: Path, jobs: list[Job], with_claims: bool) -> list[str]:
    needed = {job.program for job in jobs} | ({"claims"} if with_claims else set())
    words = [word for job in jobs for word in job.command]
    needed |= {word.removeprefix("{binaries}/") for word in words if word.startswith("{binaries}/")}
    if any("{wordnet" in word for word in words):
        needed.add("experiment")  # imports it
    return sorted(name for name in needed if not ((folder / name).is_file() and os.access(folder / name, os.X_OK)))
