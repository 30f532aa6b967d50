"""Runs jobs one after another and keeps their rows.

Every row that a program writes is kept with an id (r1, r2, ...), the point of the figure it belongs to and the command
that made it. A job that fails, whose requests fail, or that does not fit the time budget leaves no row but a gap, and the
report names every gap.
"""
from __future__ import annotations

import json
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from . import microbenchmarks, plausible
from .folder import RunFolder
from .model import Job
from .owned import Owned
from .progress import Progress

COMMON_LIMIT_S = 120.0
IMPORT_LIMIT_S = 600.0
OVERTIME_S = 10.0  # for a run that is under way at the deadline


@dataclass
class Gap:
    job: Job
    reason: str
    failed: bool  # False: left out on purpose


@dataclass
class Runner:
    binaries: Path
    folder: RunFolder
    owned: Owned
    seed: int
    deadline: float | None  # time.monotonic(), or None for no limit
    gaps: list[Gap] = field(default_factory=list)
    wordnet: Path | None = None

    def prepare(self, progress: Progress) -> None:
        """Imports WordNet once; what only reads shares it, what writes gets a copy."""
        path = self.owned.work / "wordnet"
        progress.say("importing WordNet")
        command = [str(self.binaries / "experiment"), "import-wordnet", "--path", str(path)]
        code, text = self.owned.hear(command, IMPORT_LIMIT_S)
        if code != 0:
            self._keep_log("import-wordnet.txt", command, text)
            why = f"failed with exit code {code}" if code is not None else f"took more than {IMPORT_LIMIT_S:.0f} s"
            raise RuntimeError(f"importing WordNet {why}: {text.strip()[-300:]}")
        self.wordnet = path

    def run(self, jobs: list[Job], progress: Progress) -> None:
        for job in jobs:
            if job.key() in self.folder.done:  # before the run that this one resumes was ended
                progress.not_needed(job.estimate_s)
                continue
            if self.deadline is not None and time.monotonic() + job.estimate_s > self.deadline:
                self.gaps.append(Gap(job, "left out: the time budget was used up", failed=False))
                progress.skip(job.estimate_s)
                continue
            progress.start(job.key())
            begun = time.monotonic()
            reason = self._run_one(job)
            if reason:
                self.gaps.append(Gap(job, reason, failed=True))
                progress.say(f"  {job.label()}: {reason}")
            progress.finish(job.estimate_s, time.monotonic() - begun)

    def _run_one(self, job: Job) -> str | None:
        """What went wrong, or None. Throws OSError if its rows cannot be kept."""
        with tempfile.TemporaryDirectory(dir=self.owned.work, prefix="job-", ignore_cleanup_errors=True) as folder:
            output = Path(folder) / "rows.jsonl"
            started, begun = datetime.now(timezone.utc).isoformat(timespec="seconds"), time.monotonic()
            try:
                command = [str(self.binaries / job.program), *self._fill(job, Path(folder), output)]
                code, text = self.owned.hear(command, self._limit(job))
            except OSError as error:
                return f"could not run: {error}"
            if code is None:
                return "stopped: it ran past its time limit"
            # A claim that fails is a result (exit code 1 with its figures written), not a run that failed.
            if code != 0 and not (job.program == "claims" and code == 1 and output.exists()):
                return f"exit code {code}; {self._log_of(job, command, text)}"
            if not output.exists() or output.stat().st_size == 0:
                return f"it wrote no rows; {self._log_of(job, command, text)}"
            try:
                found = self._read(job, output)
            except (OSError, ValueError, KeyError) as error:
                return f"its rows could not be read: {error!r}; {self._log_of(job, command, text)}"
            if not found:
                return "it wrote no rows"
            for row in found:
                if reason := plausible.failures(row):
                    return f"{reason}; {self._log_of(job, command, text)}"
        self.folder.keep(job.key(), [self._row(row, job, command, started) for row in found], time.monotonic() - begun)
        return None

    def _fill(self, job: Job, folder: Path, output: Path) -> list[str]:
        words = {"output": output, "binaries": self.binaries, "wordnet": self.wordnet, "fresh": folder / "store",
                 "seed": self.seed + job.repetition, "repetition": job.repetition, "wordnet_copy": None}
        if any("{wordnet_copy}" in word for word in job.command):
            words["wordnet_copy"] = folder / "wordnet"
            shutil.copytree(self.wordnet, folder / "wordnet")
        return [word.format(**words) for word in job.command]

    def _limit(self, job: Job) -> float:
        limit = job.time_limit_s or max(COMMON_LIMIT_S, 10 * job.estimate_s)
        if self.deadline is not None:
            limit = min(limit, max(self.deadline - time.monotonic(), 0) + OVERTIME_S)
        return limit

    def _log_of(self, job: Job, command: list[str], text: str) -> str:
        name = "-".join([job.experiment, job.system, *(str(value) for _, value in job.point), str(job.repetition)])
        return self._keep_log(name.replace("/", "_") + ".txt", command, text)

    def _keep_log(self, name: str, command: list[str], text: str) -> str:
        """Where to look. A log that finds no room is no reason to end a run."""
        logs = self.folder.path / "logs"
        try:
            logs.mkdir(exist_ok=True)
            (logs / name).write_text(f"$ {' '.join(command)}\n{text}", encoding="utf-8", errors="replace")
        except OSError as error:
            return f"its log could not be kept: {error.strerror}"
        return f"see logs/{name}"

    @staticmethod
    def _read(job: Job, output: Path) -> list[dict]:
        if job.program == "microbenchmarks":
            return microbenchmarks.rows(json.loads(output.read_text(encoding="utf-8")))
        if job.program == "claims":
            return json.loads(output.read_text(encoding="utf-8"))
        return [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines() if line.strip()]

    @staticmethod
    def _row(row: dict, job: Job, command: list[str], started: str) -> dict:
        row = {"start": started, **row}
        if not job.once:
            row["repetition"] = job.repetition
        row.update(job=job.key(), experiment=job.experiment,
                   command=" ".join([Path(command[0]).name, *job.command]))
        row.setdefault("system", job.system)
        row["point"] = {**dict(job.point), **row.get("point", {})}
        return row
