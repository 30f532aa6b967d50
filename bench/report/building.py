"""What stands before every measurement: the packages and the optimised build."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from .owned import Owned

GRACE_S = 10.0  # in which compilers remove what they have half written


def set_up(root: Path) -> None:
    """With the terminal, for a password, and without the run's mark: a package manager is not to be stopped half way. Throws
    RuntimeError."""
    environment = {key: value for key, value in os.environ.items() if key != "TMPDIR"}
    process = subprocess.Popen([root / "scripts" / "setup", "--quiet"], stdout=sys.stderr, env=environment)
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
    if own.run([root / "scripts" / "build-release"], GRACE_S, stdout=sys.stderr) != 0:
        raise RuntimeError("the build failed")
    return root / "build" / "release" / "bench"
