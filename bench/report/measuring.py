"""From what was asked for to the report: sets up, builds, measures, draws. What goes wrong on the way is said in a line."""
from __future__ import annotations

import argparse
import random
import shlex
import signal
import time
from datetime import datetime, timezone
from pathlib import Path

import experiments
from . import arguments, building, catalogue, claims, machine, owned, plan, publish
from .console import complain, say
from .folder import Refused, RunFolder
from .model import Job
from .owned import Owned
from .progress import Progress
from .runner import Runner

NAME = "scripts/reproduce"
SMOKE_BUDGET_S = 600.0  # from the end of the build to the report
DRAWING_S = 30.0  # kept back from the budget for figures and the report
LOOK_S = 3.0  # how long a look at the machine's load takes
SHORT_LOOK_S = 0.3  # for a smoke run, whose figures are no results
WORDNET_MB = 200  # its store, and a copy for a run that writes


def measure(options: argparse.Namespace, root: Path) -> int:
    """The exit code."""
    folder = None
    try:
        owned.raise_on_signals()
        started = datetime.now(timezone.utc)
        folder = run_folder(options, root, started)
        with Owned(building.build_folder(root)) as own:
            try:
                return Measuring(options, root, folder, own, started).run()
            finally:
                folder.close()
    except Refused as error:
        complain(f"{NAME}: {error}")
        return 2
    except RuntimeError as error:
        complain(f"{NAME}: {error}")
        return 1
    except OSError as error:
        complain(f"{NAME}: {error}{how_to_go_on(folder)}")
        return 1
    except owned.ENDINGS as ending:
        return ended(owned.number_of(ending), folder)


def ended(number: int, folder: RunFolder | None) -> int:
    complain(f"{NAME}: ended by {signal.Signals(number).name}{how_to_go_on(folder)}")
    return owned.exit_code(number)


def how_to_go_on(folder: RunFolder | None) -> str:
    if folder is None or not folder.is_there:
        return ": nothing was measured"
    return f": {len(folder.done)} jobs are done and kept. To go on: {NAME} --resume {shlex.quote(str(folder.path))}"


def run_folder(options: argparse.Namespace, root: Path, started: datetime) -> RunFolder:
    """Throws Refused."""
    if options.resume:
        return RunFolder.resumed(options.resume.resolve())
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(arguments.MOST_SEED + 1)
    where = options.out or root / "results" / started.strftime("%Y-%m-%dT%H%M%SZ")
    return RunFolder.new(where.resolve(), is_ours_to_name=options.out is None, plan={
        "size": options.size.name, "only": options.only, "seed": options.seed, "repetitions": options.repetitions,
        "binaries": str(options.binaries.resolve()) if options.binaries else None, "revision": machine.revision(root)})


class Measuring:
    """One run, or what is left of one."""

    def __init__(self, options: argparse.Namespace, root: Path, folder: RunFolder, own: Owned, started: datetime):
        self.options, self.root, self.folder, self.own, self.started = options, root, folder, own, started
        self.size = options.size
        self.chosen = [e for e in experiments.ALL if e.name in options.names]

    def run(self) -> int:
        building.set_up(self.root)
        if self.folder.facts.get("finished"):
            say(f"{self.folder.path} is finished: nothing is left to measure, and its report is drawn again")
            return self.report([])
        mixed = self.other_revision()
        self.look_for_room()
        binaries = self.options.binaries.resolve() if self.options.binaries else building.build(self.root, self.own)
        missing = arguments.missing_programs(binaries, arguments.chosen_jobs(self.options), claims.NAME in self.options.names)
        if missing:
            raise Refused(f"{binaries} has no program {', '.join(missing)}")
        warnings = self.warnings(mixed)
        for warning in warnings:
            complain(f"warning: {warning}")
        if warnings and self.size.gives_results and not self.options.force:
            raise Refused("figures taken now would be worth nothing; wait, or say --force")
        gaps, interrupted = self.measure(binaries, warnings)
        return self.report(gaps, interrupted)

    def other_revision(self) -> bool:
        """Throws Refused unless --force."""
        was = self.options.resumed_revision
        if was is None or was == machine.revision(self.root):
            return False
        if not self.options.force:
            raise Refused(f"{self.folder.path} was measured with another revision ({was['commit']}), and one run is of one; say "
                          "--force to mix them")
        return True

    def look_for_room(self) -> None:
        """Throws Refused."""
        needed = max((entry.disk_mb for entry in catalogue.ENTRIES if any(e.name in entry.parts for e in self.chosen)), default=0)
        if self.needs_wordnet(arguments.chosen_jobs(self.options)):
            needed += WORDNET_MB
        for folder in self.own.folders:
            free = machine.free_bytes(folder) >> 20
            if free < needed:
                raise Refused(f"{folder.parent} has room for {free} MiB, and what was asked for takes {needed}")

    @staticmethod
    def needs_wordnet(jobs: list[Job]) -> bool:
        return any("{wordnet" in word for job in jobs for word in job.command)

    def warnings(self, mixed: bool) -> list[str]:
        """What makes figures doubtful; said at once and again in the report."""
        warnings = []
        if busy := machine.busy_warning(SHORT_LOOK_S if self.size.smoke else LOOK_S):
            warnings.append(busy)
        free = machine.free_bytes(self.own.work)
        if free < 5 << 30:
            warnings.append(f"Little disk space was left: {free / (1 << 30):.1f} GiB.")
        if machine.available_memory_bytes() < 8 << 30:
            warnings.append(f"Little memory was left: {machine.available_memory_bytes() / (1 << 30):.1f} GiB.")
        if mixed:
            warnings.append("The run was resumed with another revision of the programs: its rows are of two.")
        return warnings

    def measure(self, binaries: Path, warnings: list[str]):
        """The gaps, and whether it was interrupted. Its facts are noted beside those of earlier sittings."""
        begun = time.monotonic()
        asked = claims.jobs(binaries / "claims", self.size) if claims.NAME in self.options.names else []
        jobs = plan.interleaved(self.chosen, self.size, self.options.seed, asked)
        self.folder.repair()
        progress = Progress(len(jobs), sum(job.estimate_s for job in jobs))
        progress.say(f"{self.size.name} run of {len(jobs)} jobs, seed {self.options.seed}, into {self.folder.path}")
        deadline = begun + SMOKE_BUDGET_S - DRAWING_S if self.size.smoke else None
        runner = Runner(binaries, self.folder, self.own, self.options.seed, deadline)
        session = {"begun": self.started.isoformat(timespec="seconds"), "seconds": 0.0, "runs": 0, "before": machine.moment(),
                   "after": None, "warnings": list(warnings), "machine": machine.describe(self.root, binaries)}
        earlier = self.folder.facts.get("sessions", [])
        self.note([*earlier, session], finished=False)
        interrupted = False
        try:
            if self.needs_wordnet([job for job in jobs if job.key() not in self.folder.done]):
                runner.prepare(progress)
            runner.run(jobs, progress)
        except KeyboardInterrupt:
            if not self.folder.done:
                raise
            interrupted = True
            progress.say("interrupted: reporting what was measured; once more ends at once")
            session["warnings"].append("The run was interrupted: what is missing was not measured.")
        finally:
            progress.close()
        session |= {"seconds": time.monotonic() - begun, "runs": progress.done, "after": machine.moment()}
        self.note([*earlier, session], finished=not interrupted and not runner.gaps)
        return runner.gaps, interrupted

    def note(self, sessions: list[dict], finished: bool) -> None:
        """A run's facts are the first sitting's, and those of each."""
        first = sessions[0]
        self.folder.note_facts({
            "size": self.size.name, "repetitions": self.size.repetitions, "seed": self.options.seed,
            "runs": sum(one["runs"] for one in sessions), "begun": first["begun"], "seconds": sum(one["seconds"] for one in sessions),
            "machine": first["machine"], "before": first["before"], "after": sessions[-1]["after"],
            "warnings": list(dict.fromkeys(warning for one in sessions for warning in one["warnings"])),
            "command": publish.command_line(self.size.name, self.options), "finished": finished, "sessions": sessions})

    def report(self, gaps: list, interrupted: bool = False) -> int:
        doubts = publish.write(self.folder.path, self.folder.facts, self.chosen, self.folder.rows, gaps)
        code = publish.verdict(self.folder.path, self.folder.rows, gaps, doubts)
        if self.options.publish:
            why = publish.why_not(gaps, doubts, interrupted)
            if why is None:
                publish.into_papers(self.folder.path, self.root / "papers")
            else:
                complain(f"{NAME}: not published: {why}")
                code = code or 1
        return ended(signal.SIGINT, self.folder) if interrupted else code
