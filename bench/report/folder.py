"""The folder of a run: made for one run alone, and asked for its room before anything is measured.

plan.json says what is to be measured, machine.json when and on what it was, rows.jsonl what came out, and jobs.jsonl which jobs
are done: a job counts by its own line there and by nothing else. Its rows are written before that line, whole or not at all,
so rows of a job without one are left over from a run that was killed in between.
"""
from __future__ import annotations

import fcntl
import itertools
import json
import os
from pathlib import Path

from . import machine, results
from .owned import undisturbed

PLAN, ROWS, JOBS, FACTS = "plan.json", "rows.jsonl", "jobs.jsonl", "machine.json"
ROOM_BYTES = 64 << 20  # for rows, figures and the report of the largest run


class Refused(ValueError):
    """What was asked for cannot be begun; nothing was changed. Exit code 2."""


class RunFolder:
    def __init__(self, path: Path, made: list[Path]):
        self.path = path
        self.rows: list[dict] = []
        self.done: set[str] = set()
        self.facts: dict = {}
        self._made = made  # folders that were not there before
        self._is_new = False
        self._lock = None

    @classmethod
    def new(cls, where: Path, is_ours_to_name: bool, plan: dict) -> RunFolder:
        """is_ours_to_name: another run may have taken the name in the same second; then another one is found. Throws Refused."""
        for number in itertools.count(1):
            path = where if number == 1 else where.with_name(f"{where.name}-{number}")
            made = [one for one in (path, *path.parents) if not one.exists()]
            try:
                path.mkdir(parents=True, exist_ok=not is_ours_to_name)
                if any(path.iterdir()):
                    raise Refused(f"{path} exists: raw data is never overwritten")
                folder = cls(path, made)
                folder._begin(plan)
                return folder
            except FileExistsError as error:
                if not is_ours_to_name:
                    raise Refused(f"{path} exists: raw data is never overwritten") from error
            except OSError as error:
                withdraw(made)
                raise Refused(f"cannot write to {path}: {error.strerror}; --out names another place") from error

    @classmethod
    def resumed(cls, path: Path) -> RunFolder:
        """Throws Refused."""
        folder = cls(path, [])
        folder._take_lock(os.O_RDWR)
        rows, jobs = path / ROWS, path / JOBS
        try:
            if rows.exists() and rows.stat().st_size and not jobs.exists():
                raise Refused(f"{path} is of an earlier version, which did not note which jobs were done")
            folder._check_room()
            found = {row["id"]: row for row in results.read_whole(rows)}
            for job in results.read_whole(jobs):
                if all(one in found for one in job["rows"]):
                    folder.done.add(job["job"])
                    folder.rows += [found[one] for one in job["rows"]]
            if (path / FACTS).exists():
                folder.facts = json.loads((path / FACTS).read_text(encoding="utf-8"))
        except (ValueError, KeyError, TypeError) as error:
            if isinstance(error, Refused):
                raise
            raise Refused(f"{path} cannot be resumed: {error!r}") from error
        except OSError as error:
            raise Refused(f"cannot read {path}: {error.strerror}") from error
        return folder

    def repair(self) -> None:
        """Takes away what a killed run has left of a job that was not done. Throws OSError."""
        jobs = [job for job in results.read_whole(self.path / JOBS) if job["job"] in self.done]
        for name, lines in ((ROWS, self.rows), (JOBS, jobs)):
            path, text = self.path / name, results.lines_of(lines)
            if path.exists() and path.read_bytes() != text.encode():
                results.replace_whole(path, text)

    def keep(self, job: str, rows: list[dict], seconds: float) -> None:
        """The job is done, which took so long, and these are its rows. Throws OSError, and then it is not done, whatever is left in the file: who
        resumes the run repairs it."""
        first = 1 + max((int(row["id"][1:]) for row in self.rows), default=0)
        rows = [{**row, "id": f"r{first + index}"} for index, row in enumerate(rows)]
        with undisturbed():
            results.append_whole(self.path / ROWS, results.lines_of(rows))
            results.append_whole(self.path / JOBS, results.lines_of(
                [{"job": job, "seconds": round(seconds, 2), "rows": [row["id"] for row in rows]}]))
            self.rows += rows
            self.done.add(job)

    def note_facts(self, facts: dict) -> None:
        """Throws OSError."""
        self.facts = facts
        results.replace_whole(self.path / FACTS, json.dumps(facts, indent=2) + "\n")

    def close(self) -> None:
        """A folder in which nothing was measured goes again."""
        own = (PLAN, FACTS, JOBS, ROWS)
        if self._is_new and not self.done and self.path.is_dir() and {one.name for one in self.path.iterdir()} <= set(own):
            for name in own:
                (self.path / name).unlink(missing_ok=True)
            withdraw(self._made)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def is_there(self) -> bool:
        return (self.path / PLAN).exists()

    def _begin(self, plan: dict) -> None:
        self._take_lock(os.O_RDWR | os.O_CREAT | os.O_EXCL)
        self._is_new = True
        try:
            self._check_room()
            results.append_whole(self.path / PLAN, json.dumps(plan, indent=2) + "\n")
            results.append_whole(self.path / JOBS, "")
        except (OSError, Refused):
            self.close()
            raise

    def _take_lock(self, how: int) -> None:
        """Throws FileExistsError if the plan must be new and is not, Refused if another run has it."""
        try:
            self._lock = os.open(self.path / PLAN, how, 0o666)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Refused(f"{self.path} is being measured by another run") from error
        except FileExistsError:
            raise
        except OSError as error:
            raise Refused(f"cannot write to {self.path}: {error.strerror}") from error

    def _check_room(self) -> None:
        free = machine.free_bytes(self.path)
        if free < ROOM_BYTES:
            raise Refused(f"{self.path} has room for {free >> 20} MiB, and a report may take {ROOM_BYTES >> 20}")


def withdraw(made: list[Path]) -> None:
    for folder in made:
        try:
            folder.rmdir()
        except OSError:  # it is not empty: another run's
            return
