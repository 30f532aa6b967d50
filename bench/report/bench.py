"""The command line of scripts/bench: the microbenchmarks of this tree, alone or beside those of another revision or of a file."""
from __future__ import annotations

import argparse
import os
import random
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from . import bench_file, building, console, machine, owned, plan, results, revisions
from .arguments import path, positive, whole_number
from .bench_file import Saved
from .bench_table import MINIMUM_FOR_VERDICT, Figure, summary, table
from .benchmark_program import Program, Run, RunFailed
from .console import complain, say
from .folder import Refused
from .intervals import Interval, paired_ratio, unpaired_ratio
from .owned import Owned
from .progress import Progress

NAME = "scripts/bench"
PROGRAM = "microbenchmarks"
REPETITIONS, MOST_REPETITIONS = 10, 10_000
SECONDS, MOST_SECONDS = 0.1, 3600.0
PATIENCE_S = 2.0  # what takes less needs no progress
LOOK_S, LOOK_SHARE = 3.0, 0.05  # at the machine: at most, and of what the benchmarks take
# Google Benchmark finds out how many iterations there must be before it measures.
ESTIMATE_FACTOR, ESTIMATE_S = 2.5, 0.1


@dataclass(frozen=True)
class Revision:
    name: str
    commit: str

    def __str__(self) -> str:
        return f"{self.name} ({self.commit[:revisions.SHOWN]})"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog=NAME, allow_abbrev=False,
        description="Builds and runs the microbenchmarks: each repetition of each in a process of its own, round after round, in random "
                    "order. Shows medians with 95% intervals, of one item (a read, a commit) or of one iteration. All of them take about a "
                    "quarter of an hour once they are built, with --compare REVISION twice as long; a FILTER makes it seconds.",
        epilog="Exit code: 0 done, whatever is faster; 1 a benchmark failed, or the build; 2 bad usage, nothing matches, nothing to "
               "compare with; 128 and its number after a signal. After Ctrl-C it shows what there is.")
    made.add_argument("filter", nargs="?", metavar="FILTER", help="a regular expression: those that match only, as --benchmark_filter")
    made.add_argument("--list", action="store_true", help="show the names, and leave")
    made.add_argument("--compare", metavar="REVISION|FILE",
                      help="with the same program of another revision, which is built in build/revisions: both run in turn, pair by "
                           "pair. Or with a file that --json wrote, which says less: what else has changed since then, it cannot tell")
    made.add_argument("--json", type=path, metavar="FILE", help="also write this tree's figures, as Google Benchmark does, for --compare")
    made.add_argument("--repetitions", type=whole_number(1, MOST_REPETITIONS), default=REPETITIONS, metavar="N",
                      help=f"of each (default: {REPETITIONS}; fewer than three have no interval, fewer than "
                           f"{MINIMUM_FOR_VERDICT} no verdict)")
    made.add_argument("--seconds", type=positive, default=SECONDS, metavar="S",
                      help=f"how long a repetition is to measure, at least (default: {SECONDS:g})")
    made.add_argument("--program", type=path, metavar="FILE", help="run this program of Google Benchmark instead; nothing is built")
    return made


def arguments(argv: list[str], root: Path) -> argparse.Namespace:
    """With `against`: a Revision, a Saved, or None. Leaves with exit code 2."""
    made = parser()
    chosen = made.parse_args(argv)
    if chosen.list and (chosen.compare is not None or chosen.json is not None):
        made.error("--list goes with FILTER and --program only")
    if chosen.filter == "":
        made.error("FILTER is empty")
    if chosen.seconds > MOST_SECONDS:
        made.error(f"--seconds {chosen.seconds:g}: more than {MOST_SECONDS:g}")
    if chosen.program is not None:
        if not (chosen.program.is_file() and os.access(chosen.program, os.X_OK)):
            made.error(f"no program at {chosen.program}")
        chosen.program = chosen.program.resolve()
    try:
        chosen.against = None if chosen.compare is None else against(chosen.compare, root)
    except Refused as error:
        made.error(str(error))
    if isinstance(chosen.against, Revision) and chosen.program is not None:
        made.error("--program has no other revisions: compare it with a file")
    if chosen.json is not None and (why := console.why_unwritable(chosen.json)):
        made.error(f"--json {chosen.json}: {why}")
    return chosen


def against(what: str, root: Path) -> Revision | Saved:
    """Throws Refused."""
    if Path(what).is_file():
        return bench_file.read(Path(what))
    commit = revisions.commit(root, what)
    if commit is None:
        raise Refused(f"--compare {what}: there is neither such a file nor such a revision")
    return Revision(what, commit)


def main() -> int:
    console.prepare()
    root = Path(os.environ["COW_CACHE_ROOT"])
    try:
        owned.raise_on_signals()
        options = arguments(sys.argv[1:], root)
        with Owned(building.build_folder(root) if isinstance(options.against, Revision) else None) as own:
            return Bench(options, root, own).run()
    except Refused as error:
        complain(f"{NAME}: {error}")
        return 2
    except (RuntimeError, OSError) as error:
        complain(f"{NAME}: {error}")
        return 1
    except owned.ENDINGS as ending:
        return ended(owned.number_of(ending))


def ended(number: int) -> int:
    complain(f"{NAME}: ended by {signal.Signals(number).name}")
    return owned.exit_code(number)


class Bench:
    """One call."""

    def __init__(self, options: argparse.Namespace, root: Path, own: Owned):
        self.options, self.root, self.own = options, root, own
        self.saved = options.against if isinstance(options.against, Saved) else None
        self.runs: dict[str, dict[str, dict[int, Run]]] = {}  # by side, name and repetition
        self.failed: dict[str, str] = {}

    def run(self) -> int:
        building.set_up(self.root, "--measure")
        programs = self.programs()
        names = {side: self.names(side, program) for side, program in programs.items()}
        if self.options.list:
            say("\n".join(names["new"]))
            return 0
        console.go_on_unheard()
        sides_of = self.sides_of(names)
        runs = self.options.repetitions * sum(map(len, sides_of.values()))
        warnings = self.warnings(runs * self.estimate_s())
        for warning in warnings:
            complain(f"warning: {warning}")
        try:
            self.measure(programs, sides_of, runs)
        except KeyboardInterrupt:
            if any(name in self.runs["new"] for name in sides_of):
                self.show(list(sides_of), warnings)
            raise
        self.show(list(sides_of), warnings)
        if self.options.json is not None:
            self.write(list(sides_of), warnings)
        return 1 if self.failed else 0

    def programs(self) -> dict[str, Program]:
        """Of each side that runs. Throws RuntimeError, OSError."""
        new = self.options.program or building.build_one(self.root, self.own, PROGRAM, self.root)
        found = {"new": Program(new, self.own)}
        if isinstance(self.options.against, Revision):
            checkout = revisions.sources(self.root, self.options.against.commit, self.own)
            found["old"] = Program(building.build_one(self.root, self.own, PROGRAM, checkout), self.own)
        return found

    def names(self, side: str, program: Program) -> list[str]:
        """Throws Refused."""
        try:
            return program.names(self.options.filter)
        except Refused as error:
            raise Refused(f"{self.options.against}: {error}" if side == "old" else str(error)) from error

    def sides_of(self, names: dict[str, list[str]]) -> dict[str, list[str]]:
        """Which sides are to run each benchmark: none, where it is in the file alone. Throws Refused."""
        others = names.get("old", [])
        if self.saved is not None:
            # The file's names cannot be asked whether they match.
            others = [name for name in self.saved.times if self.options.filter is None or name in names["new"]]
        if self.options.against is not None and not set(others) & set(names["new"]):
            raise Refused(f"{self.options.compare} has none of these benchmarks")
        return {name: [side for side, own in names.items() if name in own] for name in dict.fromkeys([*names["new"], *others])}

    def estimate_s(self) -> float:
        return ESTIMATE_FACTOR * self.options.seconds + ESTIMATE_S

    def warnings(self, whole_s: float) -> list[str]:
        found = [machine.busy_warning(min(LOOK_S, LOOK_SHARE * whole_s))]
        if self.saved is not None and self.saved.cpu not in (None, machine.cpu_model()):
            found.append(f"{self.saved.path} is from another machine: {self.saved.cpu}.")
        return [one for one in found if one is not None]

    def measure(self, programs: dict[str, Program], sides_of: dict[str, list[str]], runs: int) -> None:
        self.runs = {side: {} for side in programs}
        progress = Progress(runs, runs * self.estimate_s(), patience_s=PATIENCE_S)
        try:
            for repetition, name, side in plan.in_turn(sides_of, self.options.repetitions, random.Random()):
                if name in self.failed:
                    progress.not_needed(self.estimate_s())
                    continue
                with progress.job(name if len(programs) == 1 else f"{name} {side}", self.estimate_s()):
                    try:
                        self.runs[side].setdefault(name, {})[repetition] = programs[side].run(name, self.options.seconds)
                    except RunFailed as error:
                        self.failed[name] = str(error) if len(programs) == 1 else f"{side}: {error}"
                        progress.say(f"{name} failed: {self.failed[name]}")
        finally:
            progress.close()

    def figure(self, name: str) -> Figure:
        if name in self.failed:
            return Figure(name, failed=True)
        new, old = ({repetition: run.nanoseconds for repetition, run in self.runs.get(side, {}).get(name, {}).items()}
                    for side in ("new", "old"))
        ratio = paired_ratio(new, old)
        if self.saved is not None:
            old = dict(enumerate(self.saved.times.get(name, [])))
            ratio = unpaired_ratio(list(new.values()), list(old.values()))
        of_new, of_old = (Interval.of(list(times.values())) if times else None for times in (new, old))
        return Figure(name, of_new, of_old, ratio)

    def show(self, names: list[str], warnings: list[str]) -> None:
        compared = self.options.against is not None
        figures = [self.figure(name) for name in names]
        say(table(figures, compared, console.columns(sys.stdout) if sys.stdout is not None and sys.stdout.isatty() else None))
        notes = [f"{name} failed: {why}" for name, why in self.failed.items()]
        if compared:
            notes = [*self.sides(), summary(figures), *notes]
        notes += [f"warning: {warning}" for warning in warnings]
        if notes:
            say("\n" + "\n".join(notes))

    def sides(self) -> list[str]:
        """What was compared."""
        new = machine.revision(self.root)
        changed = ", with changes" if new["dirty"] else ""
        lines = ["new: " + (str(self.options.program) if self.options.program else f"this tree ({self.short(new['commit'])}{changed})")]
        if self.saved is None:
            return [f"old: {self.options.against}", *lines, "new/old: of pairs that ran one after the other."]
        of = f", {self.short(self.saved.commit)}" + (", with changes" if self.saved.dirty else "") if self.saved.commit else ""
        return [f"old: {self.saved.path} ({self.saved.date or 'of an unknown time'}{of})", *lines,
                "Both were measured apart in time, so what else has changed on the machine is in new/old, and not in its interval. "
                "--compare REVISION, which runs both in turn, says more."]

    @staticmethod
    def short(commit: str | None) -> str:
        return commit[:revisions.SHOWN] if commit else "no revision"

    def write(self, names: list[str], warnings: list[str]) -> None:
        """Throws OSError."""
        entries = {name: [run.entries for run in self.runs["new"][name].values()] for name in names
                   if name in self.runs["new"] and name not in self.failed}
        context = next((run.context for runs in self.runs["new"].values() for run in runs.values()), {})
        revision = {"commit": None, "dirty": None} if self.options.program else machine.revision(self.root)
        ours = {**revision, "cpu": machine.cpu_model(), "seconds": self.options.seconds, "warnings": warnings}
        shown = [self.figure(name).as_json(self.options.against is not None) for name in names]
        results.replace_whole(self.options.json, bench_file.text(context, entries, ours, shown))


if __name__ == "__main__":
    sys.exit(main())
