"""What stands before every measurement: the packages and the optimised build."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from .owned import Owned

GRACE_S = 10.0  # in which compilers remove what they have half written


def build_folder(root: Path) -> Path | None:
    """None: the checkout is not to be written to."""
    try:
        (root / "build").mkdir(exist_ok=True)
    except OSError:
        return None
    return root / "build"


def set_up(root: Path, *groups: str) -> None:
    """The packages of these groups, such as --measure, or all. With the terminal, for a password, and without the run's mark: a package
    manager is not to be stopped half way. Throws RuntimeError."""
    environment = {key: value for key, value in os.environ.items() if key != "TMPDIR"}
    process = subprocess.Popen([root / "scripts" / "setup", "--quiet", *groups], stdout=sys.stderr, env=environment)
    try:
        code = process.wait()
    except BaseException:
        process.terminate()  # bash lets what it runs end first
        process.wait()
        raise
    if code != 0:
        raise RuntimeError(f"scripts/setup failed with exit code {code}")


def build(root: Path, own: Owned) -> Path:
    """The folder of the programs. Throws RuntimeError."""
    return built(root, own, root)


def build_one(root: Path, own: Owned, program: str, checkout: Path) -> Path:
    """The program, of any checkout. Throws RuntimeError."""
    return built(root, own, checkout, f"--checkout={checkout}", f"--only=bench/{program}") / program


def built(root: Path, own: Owned, checkout: Path, *arguments: str) -> Path:
    if own.run([root / "scripts" / "build-release", *arguments], GRACE_S, stdout=sys.stderr) != 0:
        raise RuntimeError("the build failed" if checkout == root else f"the build of {checkout} failed")
    return checkout / "build" / "release" / "bench"
