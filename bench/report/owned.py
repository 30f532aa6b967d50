"""What must be gone when a run ends, however it ends: its folders, and every process that it started.

One `Owned` for a run. It makes the folders and forks a watcher, which waits for the end of a pipe: that end comes when the run
closes it, and when the run dies of anything, SIGKILL included. Then the watcher stops the processes and removes the folders.
So there is one way out, and every run takes it.

Processes are found by a mark that they hand down to whatever they start: their TMPDIR is the run's own folder, which also
keeps what they leave in "the temporary folder" in a place that goes.

Both hold a lock on the folders. A folder that nobody locks is of a run whose watcher was killed as well; the next run
removes it.
"""
from __future__ import annotations

import fcntl
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import IO

GRACE_S = 2.0  # between the request to stop and the order
PATIENCE_S = 5.0  # for the kernel to carry that out
TEMPORARY = "cow_cache-run-"  # in the system's place for temporary files
WORK = "measure-"  # in the checkout's build folder
ENDS = (signal.SIGTERM, signal.SIGHUP)


class Ended(BaseException):
    """A signal asks the run to end. Not an Exception: nothing that copes with errors may swallow it."""

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number


ENDINGS = (KeyboardInterrupt, Ended)


def number_of(ending: BaseException) -> int:
    """The signal that became it."""
    return ending.number if isinstance(ending, Ended) else signal.SIGINT


def raise_on_signals() -> None:
    """SIGTERM and SIGHUP become Ended, as SIGINT becomes KeyboardInterrupt. What nohup ignores stays ignored."""
    def end(number, _frame):
        raise Ended(number)

    for number in ENDS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, end)


@contextmanager
def undisturbed():
    """What is begun within is done before a signal is heard."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, *ENDS})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def exit_code(number: int) -> int:
    """As a shell says it."""
    return 128 + number


def processes(mark: Path) -> list[int]:
    """Those whose TMPDIR is `mark` or below it."""
    word = b"TMPDIR=" + os.fsencode(mark)
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:  # ended, or somebody else's
            continue
        if any(one == word or one.startswith(word + b"/") for one in words):
            found.append(int(name))
    return found


def stop(mark: Path, grace_s: float = GRACE_S) -> None:
    """Asks them to stop, then makes them. Returns when they are gone."""
    for number, seconds in ((signal.SIGTERM, grace_s), (signal.SIGKILL, PATIENCE_S)):
        deadline = time.monotonic() + seconds
        asked: set[int] = set()
        while alive := processes(mark):
            for process in alive:
                if process not in asked:  # one that was started meanwhile is asked as well
                    send(process, number)
                    asked.add(process)
            if time.monotonic() > deadline:
                break
            time.sleep(0.01)
        else:
            return


def send(process: int, number: int) -> None:
    try:
        os.kill(process, number)
        os.kill(process, signal.SIGCONT)  # one that is stopped hears nothing
    except OSError:
        pass


def remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def locked(folder: Path) -> int | None:
    """A descriptor that holds the folder's lock; None if somebody else has it, or it is gone."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return descriptor
    except OSError:
        os.close(descriptor)
        return None


def made_and_locked(place: Path, prefix: str) -> tuple[Path, int]:
    """A new folder, and the descriptor that holds its lock. Throws OSError.

    Until its lock is taken a folder looks like one that nobody owns, and another run that begins just now may lock and remove
    it. Then the next folder is tried."""
    while True:
        folder = Path(tempfile.mkdtemp(dir=place, prefix=prefix)).resolve()
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.stat(folder), os.fstat(lock)):
                return folder, lock
        except (BlockingIOError, FileNotFoundError):
            pass
        os.close(lock)


def sweep(places: dict[Path, str]) -> None:
    """Removes what runs have left whose watcher was killed too. places: prefix of the names, by folder."""
    for place, prefix in places.items():
        for folder in place.glob(f"{prefix}*"):
            if folder.is_symlink() or not folder.is_dir() or folder.stat().st_uid != os.geteuid():
                continue
            descriptor = locked(folder)
            if descriptor is not None:
                stop(folder)
                remove(folder)
                os.close(descriptor)


class Owned:
    """REQUIRES: made while the process has one thread (it forks)."""

    def __init__(self, build: Path | None = None):
        """build: where the large folder goes; None, or one that cannot be written to: with the temporary files."""
        system = Path(tempfile.gettempdir())
        places = {system: TEMPORARY}
        if build is not None and os.access(build, os.W_OK):
            places[build] = WORK
        sweep(places)
        with undisturbed():
            made = [made_and_locked(place, prefix) for place, prefix in places.items()]
            self.folders, self._locks = [folder for folder, _ in made], [lock for _, lock in made]
            self.temporary, self.work = self.folders[0], self.folders[-1]
            self.temporary.chmod(0o711)  # a server that root has started as an ordinary user must get to its own folder below
            # Anything that this very process makes goes there as well.
            self._before = os.environ.get("TMPDIR")
            os.environ["TMPDIR"] = tempfile.tempdir = str(self.temporary)
            ends = os.pipe()  # closed on exec, so nothing but this process holds it open
            self._watcher = os.fork()
            if self._watcher == 0:
                self._watch(*ends)
            os.close(ends[0])
            self._pipe = ends[1]

    def __enter__(self) -> Owned:
        return self

    def __exit__(self, *_error) -> None:
        self.end()

    def end(self) -> None:
        """Everything is gone when this returns. Signals wait for it."""
        with undisturbed():
            if self._pipe is None:
                return
            os.close(self._pipe)
            self._pipe = None
            os.waitpid(self._watcher, 0)
            self._clean()  # finds nothing, unless somebody has killed the watcher
            for lock in self._locks:
                os.close(lock)
            tempfile.tempdir = None
            if self._before is None:
                del os.environ["TMPDIR"]
            else:
                os.environ["TMPDIR"] = self._before

    def start(self, command: list, **more) -> subprocess.Popen:
        """In a session of its own, so that a terminal's signals come to this process alone, which passes them on."""
        with undisturbed():
            return subprocess.Popen(command, start_new_session=True, preexec_fn=heard, **more)

    def run(self, command: list, grace_s: float = GRACE_S, **more) -> int:
        """Its exit code; negative: ended by that signal. Whatever it started and left is stopped."""
        process = self.start(command, **more)
        try:
            return process.wait()
        finally:
            self.stop(process, grace_s)

    def hear(self, command: list, limit_s: float, errors: int | IO = subprocess.STDOUT) -> tuple[int | None, str]:
        """As run: exit code, None if it ran past the limit, and what it said. errors: where standard error goes."""
        with tempfile.TemporaryFile(dir=self.work) as text:
            process = self.start(command, stdout=text, stderr=errors, stdin=subprocess.DEVNULL)
            code: int | None = None
            try:
                code = process.wait(timeout=limit_s)
            except subprocess.TimeoutExpired:
                pass
            finally:
                self.stop(process, grace_s=0.0 if code is None else GRACE_S)
            text.seek(0)
            return code, text.read().decode(errors="replace")

    def stop(self, process: subprocess.Popen | None = None, grace_s: float = GRACE_S) -> None:
        """Every process of the run; `process` is the one to be waited for."""
        with undisturbed():
            if process is not None and process.poll() is None:
                # A zombie has no environment any more, so it is not among those that `stop` waits for.
                send(process.pid, signal.SIGTERM)
            stop(self.temporary, grace_s)
            if process is not None:
                if process.poll() is None:  # it has taken another TMPDIR, or is no program yet
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _clean(self) -> None:
        stop(self.temporary)
        for folder in self.folders:
            remove(folder)

    def _watch(self, reading: int, writing: int):
        """In the watcher: never returns."""
        try:
            os.setsid()
            for number in (signal.SIGINT, signal.SIGQUIT, *ENDS):
                signal.signal(number, signal.SIG_IGN)
            nothing = os.open(os.devnull, os.O_RDWR)
            for standard in (0, 1, 2):  # it must not keep somebody's pipe open
                os.dup2(nothing, standard)
            os.chdir("/")
            os.close(writing)
            while os.read(reading, 1):
                pass
            self._clean()
        finally:
            os._exit(0)


def heard() -> None:
    """In a child, before it becomes a program: signals are as usual there, and it may have all descriptors that a process may
    have. Debian's usual limit, 1,024, is one that a process may raise itself."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
