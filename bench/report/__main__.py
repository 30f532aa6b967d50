"""The command line of scripts/reproduce: builds, measures, draws and writes the report."""
from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import experiments
from . import artifact, catalogue, claims, compare, machine, plan, publish, results
from .formats import duration
from .model import FULL, SMOKE
from .progress import Progress
from .runner import Runner

SMOKE_BUDGET_S = 600.0  # from the end of the build to the report
DRAWING_S = 30.0  # kept back from the budget for figures and the report
LOOK_S = 3.0  # how long a look at the machine's load takes
MOST_BUSY_PERCENT = 20.0  # of all processors, by others


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/reproduce", description="From sources to figures: builds optimised, measures, draws, reports.",
        epilog="Exit code: 0 every experiment ran, its figures are plausible and every required claim holds; 1 not so; 2 bad "
               "usage, or a machine too busy to measure on.")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--smoke", action="store_true",
                      help="one short run per point, at most 10 minutes once built; not for results (default)")
    size.add_argument("--full", action="store_true", help=f"{FULL.repetitions} runs per point, for results; takes hours")
    parser.add_argument("--only", metavar="NAME,...",
                        help="some experiments only: numbers (E4), research questions (RQ4) or names (memory,claims), see --list")
    parser.add_argument("--resume", type=Path, metavar="DIR",
                        help="go on with the run in DIR that was ended: with its size, seed and experiments, keeping its rows")
    parser.add_argument("--force", action="store_true", help="measure with --full although the machine is busy")
    parser.add_argument("--publish", action="store_true", help="also put findings, claims and figures into papers/")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write (default: results/<UTC time>); must not exist")
    parser.add_argument("--seed", type=int, help="for the order of runs and the workloads (default: drawn, and recorded)")
    parser.add_argument("--repetitions", type=int, metavar="N", help="runs per point, in place of the size's own")
    parser.add_argument("--binaries", type=Path, metavar="DIR", help="measure the programs in DIR instead of building them")
    parser.add_argument("--list", action="store_true",
                        help="show number, name, research questions and question of each experiment, and leave")
    parser.add_argument("--artifact", action="store_true", help="write papers/artifact.md from the list of experiments, and leave")
    parser.add_argument("--compare", type=Path, nargs=2, metavar="DIR",
                        help="show the verdicts of two runs side by side, a smoke and a full one, say, and leave: 1 if they "
                             "differ where both can tell")
    chosen = parser.parse_args(argv)
    chosen.resumed_revision = None
    if chosen.resume:
        if chosen.out or chosen.only or chosen.seed is not None or chosen.repetitions or chosen.full or chosen.smoke:
            parser.error("--resume takes everything from the run that it resumes")
        try:
            was = json.loads((chosen.resume / publish.PLAN).read_text())
        except (OSError, ValueError):
            parser.error(f"{chosen.resume} holds no run that could be resumed")
        chosen.full, chosen.only, chosen.seed = was["size"] == FULL.name, was["only"], was["seed"]
        chosen.repetitions = was["repetitions"]
        chosen.resumed_revision = was.get("revision")
    built = list(experiments.ALL)
    try:
        chosen.names = (catalogue.names_of(chosen.only, built, (claims.NAME,)) if chosen.only
                        else [*(e.name for e in built), claims.NAME])
    except catalogue.UnknownName as error:
        parser.error(str(error))
    if chosen.repetitions is not None and chosen.repetitions < 1:
        parser.error("--repetitions must be at least 1")
    if chosen.out and chosen.out.exists() and (not chosen.out.is_dir() or any(chosen.out.iterdir())):
        parser.error(f"{chosen.out} exists: raw data is never overwritten")
    return chosen


def build(root: Path) -> Path:
    done = subprocess.run([root / "scripts" / "build-release"], stdout=sys.stderr, check=False)
    if done.returncode != 0:
        raise RuntimeError("the build failed")
    return root / "build" / "release" / "bench"


def preflight(scratch: Path) -> list[str]:
    """What makes figures doubtful; said at once and again in the report."""
    warnings = []
    before = machine.moment()
    time.sleep(LOOK_S)
    busy = machine.busy_percent(before, machine.moment())
    if busy is not None and busy > MOST_BUSY_PERCENT:
        warnings.append(f"The machine was busy before the first run: {busy:.0f}% of its processors' time went to others.")
    stat = os.statvfs(scratch)
    free = stat.f_bavail * stat.f_frsize
    if free < 5 << 30:
        warnings.append(f"Little disk space was left: {free / (1 << 30):.1f} GiB.")
    if machine.available_memory_bytes() < 8 << 30:
        warnings.append(f"Little memory was left: {machine.available_memory_bytes() / (1 << 30):.1f} GiB.")
    return warnings


def measure(options: argparse.Namespace, root: Path) -> int:
    size = FULL if options.full else SMOKE
    if options.repetitions:
        size = replace(size, repetitions=options.repetitions)
    revision = machine.revision(root)
    mixed = options.resumed_revision is not None and options.resumed_revision != revision
    if mixed and not options.force:
        print(f"scripts/reproduce: {options.resume} was measured with another revision ({options.resumed_revision['commit']}), and "
              "one run is of one; say --force to mix them", file=sys.stderr)
        return 2
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 31)
    binaries = options.binaries.resolve() if options.binaries else build(root)
    started = datetime.now(timezone.utc)
    begun = time.monotonic()
    out = (options.resume or options.out or root / "results" / started.strftime("%Y-%m-%dT%H%M%SZ")).resolve()
    work = root / "build"
    work.mkdir(exist_ok=True)

    chosen = [e for e in experiments.ALL if e.name in options.names]
    asked = claims.jobs(binaries / "claims", size) if claims.NAME in options.names else []
    jobs = plan.interleaved(chosen, size, seed, asked)
    rows = []
    if options.resume and (out / publish.ROWS).exists():
        results.cut_torn_end(out / publish.ROWS)
        rows = results.read(out / publish.ROWS)
    with tempfile.TemporaryDirectory(dir=work, prefix="measure-") as scratch:
        warnings = preflight(Path(scratch))
        if mixed:
            warnings.append("The run was resumed with another revision of the programs: its rows are of two.")
        for warning in warnings:
            print(f"warning: {warning}", file=sys.stderr)
        if warnings and options.full and not options.force:
            print("scripts/reproduce: figures taken now would be worth nothing; wait, or say --force", file=sys.stderr)
            return 2
        out.mkdir(parents=True, exist_ok=True)
        if not options.resume:
            publish.note_plan(out, size, options, seed, revision)
        progress = Progress(len(jobs), sum(job.estimate_s for job in jobs))
        progress.say(f"{size.name} run of {len(jobs)} jobs, seed {seed}, into {out}")
        deadline = begun + SMOKE_BUDGET_S - DRAWING_S if size.smoke else None
        runner = Runner(binaries, out, Path(scratch), seed, deadline, rows=rows)
        facts = machine.describe(root, binaries)
        before = machine.moment()
        try:
            if any("wordnet" in word for job in jobs for word in job.command):
                runner.prepare(progress)
            runner.run(jobs, progress)
        except KeyboardInterrupt:
            progress.say("interrupted: reporting what was measured")
            warnings.append("The run was interrupted: what is missing was not measured.")
        progress.close()
    run = {
        "size": size.name, "repetitions": size.repetitions, "seed": seed, "runs": progress.done,
        "begun": started.isoformat(timespec="seconds"), "seconds": time.monotonic() - begun, "machine": facts, "before": before,
        "after": machine.moment(), "warnings": warnings, "command": publish.command_line(size.name, options),
    }
    doubts = publish.write(out, run, chosen, runner.rows, runner.gaps)
    if options.publish:
        publish.into_papers(out, root / "papers")
    return publish.verdict(out, runner.rows, runner.gaps, doubts, bool(warnings and "interrupted" in warnings[-1]))


def main() -> int:
    options = arguments(sys.argv[1:])
    root = Path(os.environ.get("COW_CACHE_ROOT", Path(__file__).resolve().parents[2]))
    if options.list:
        print(catalogue.listing(list(experiments.ALL), {claims.NAME: "Does what the project claims hold here?"}))
        return 0
    if options.artifact:
        artifact.write(root / artifact.PATH)
        return 0
    if options.compare:
        try:
            table, differ = compare.compare(*(compare.Side.read(folder) for folder in options.compare))
        except compare.NotARun as error:
            print(f"scripts/reproduce: {error}", file=sys.stderr)
            return 2
        print(table, end="")
        print(f"differ: {', '.join(differ)}" if differ else "no verdicts differ where both can tell")
        return 1 if differ else 0
    begun = time.monotonic()
    try:
        return measure(options, root)
    except RuntimeError as error:
        print(f"scripts/reproduce: {error} (after {duration(time.monotonic() - begun)})", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
