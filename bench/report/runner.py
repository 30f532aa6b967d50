"""Runs jobs one after another and keeps their rows.

Every row that a program writes is kept with an id (r1, r2, ...), the point of the figure it belongs to and the command
that made it. A job that fails or does not fit the time budget leaves no row but a gap, and the report names every gap.
"""
from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from . import microbenchmarks
from .model import Job
from .progress import Progress

COMMON_LIMIT_S = 120.0
OVERTIME_S = 10.0  # for a run that is under way at the deadline


@dataclass
class Gap:
    job: Job
    reason: str
    failed: bool  # False: left out on purpose


@dataclass
class Runner:
    binaries: Path
    out: Path
    scratch: Path
    seed: int
    deadline: float | None  # time.monotonic(), or None for no limit
    rows: list[dict] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    wordnet: Path | None = None

    def prepare(self, progress: Progress) -> None:
        """Imports WordNet once; what only reads shares it, what writes gets a copy."""
        path = self.scratch / "wordnet"
        progress.say("importing WordNet")
        (self.out / "logs").mkdir(parents=True, exist_ok=True)
        with (self.out / "logs" / "import-wordnet.txt").open("w") as log:
            done = subprocess.run([self.binaries / "experiment", "import-wordnet", "--path", str(path)], stdout=log,
                                  stderr=subprocess.STDOUT, timeout=600, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"importing WordNet failed with exit code {done.returncode}; see "
                               f"{self.out / 'logs' / 'import-wordnet.txt'}")
        self.wordnet = path

    def run(self, jobs: list[Job], progress: Progress) -> None:
        measured = {row.get("job") for row in self.rows}
        for job in jobs:
            if job.key() in measured:  # before the run that this one resumes was ended
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
        """What went wrong, or None."""
        with tempfile.TemporaryDirectory(dir=self.scratch, prefix="job-") as folder:
            output = Path(folder) / "rows.jsonl"
            started = datetime.now(timezone.utc).isoformat(timespec="seconds")
            try:
                command = [str(self.binaries / job.program), *self._fill(job, Path(folder), output)]
                code, text = self._execute(command, job)
            except OSError as error:
                return f"could not run: {error}"
            if code is None:
                return "stopped: it ran past its time limit"
            # A claim that fails is a result (exit code 1 with its figures written), not a run that failed.
            if code != 0 and not (job.program == "claims" and code == 1 and output.exists()):
                name = self._keep_log(job, command, text)
                return f"exit code {code}; see logs/{name}"
            if not output.exists() or output.stat().st_size == 0:
                name = self._keep_log(job, command, text)
                return f"it wrote no rows; see logs/{name}"
            try:
                found = self._read(job, output)
            except (OSError, ValueError, KeyError) as error:
                self._keep_log(job, command, text)
                return f"its rows could not be read: {error!r}"
            if not found:
                return "it wrote no rows"
            for row in found:
                self._keep(row, job, command, started)
        return None

    def _fill(self, job: Job, folder: Path, output: Path) -> list[str]:
        words = {"output": output, "binaries": self.binaries, "wordnet": self.wordnet, "fresh": folder / "store",
                 "seed": self.seed + job.repetition, "repetition": job.repetition, "wordnet_copy": None}
        if any("{wordnet_copy}" in word for word in job.command):
            words["wordnet_copy"] = folder / "wordnet"
            shutil.copytree(self.wordnet, folder / "wordnet")
        return [word.format(**words) for word in job.command]

    def _execute(self, command: list[str], job: Job) -> tuple[int | None, str]:
        limit = job.time_limit_s or max(COMMON_LIMIT_S, 10 * job.estimate_s)
        if self.deadline is not None:
            limit = min(limit, max(self.deadline - time.monotonic(), 0) + OVERTIME_S)
        with tempfile.TemporaryFile(dir=self.scratch) as text:
            # A session of its own, so that a run past its limit can be ended with whatever it started.
            process = subprocess.Popen(command, stdout=text, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                       start_new_session=True)
            try:
                code: int | None = process.wait(timeout=limit)
            except BaseException as error:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                if not isinstance(error, subprocess.TimeoutExpired):
                    raise
                code = None
            text.seek(0)
            return code, text.read().decode(errors="replace")

    def _keep_log(self, job: Job, command: list[str], text: str) -> str:
        logs = self.out / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        name = "-".join([job.experiment, job.system, *(str(value) for _, value in job.point), str(job.repetition)])
        name = name.replace("/", "_") + ".txt"
        (logs / name).write_text(f"$ {' '.join(command)}\n{text}")
        return name

    @staticmethod
    def _read(job: Job, output: Path) -> list[dict]:
        if job.program == "microbenchmarks":
            return microbenchmarks.rows(json.loads(output.read_text()))
        if job.program == "claims":
            return json.loads(output.read_text())
        return [json.loads(line) for line in output.read_text().splitlines() if line.strip()]

    def _keep(self, row: dict, job: Job, command: list[str], started: str) -> None:
        row = {"start": started, **row}
        row.update(id=f"r{len(self.rows) + 1}", job=job.key(), experiment=job.experiment, repetition=job.repetition,
                   command=" ".join([Path(command[0]).name, *job.command]))
        row.setdefault("system", job.system)
        row["point"] = {**dict(job.point), **row.get("point", {})}
        self.rows.append(row)
        # Written at once: what was measured survives whatever happens next.
        with (self.out / "rows.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
