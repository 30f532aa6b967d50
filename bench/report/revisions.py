"""Another revision of the project, beside the one that is worked on.

Its files are taken from git as they were committed, into build/revisions/COMMIT, where its build stays for the next time. Nothing
is checked out: the repository knows nothing of it, and to remove build/revisions is enough.
"""
from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

from .folder import Refused
from .owned import Owned

FOLDER = Path("build") / "revisions"
SHOWN = 12  # letters of a commit's name


def git(root: Path, *words: str) -> str | None:
    """What it prints; None if it fails. Throws Refused if there is no git."""
    try:
        done = subprocess.run(["git", "-C", root, *words], capture_output=True, encoding="utf-8", errors="replace", check=False)
    except OSError as error:
        raise Refused(f"cannot run git, which knows the revisions: {error.strerror}") from error
    return done.stdout.strip() if done.returncode == 0 else None


def commit(root: Path, name: str) -> str | None:
    """Its whole name; None if there is no such revision. Throws Refused if the root is no checkout by git."""
    # A folder that was unpacked inside of another project's checkout has revisions of that one around it.
    if git(root, "rev-parse", "--show-prefix") != "":
        raise Refused(f"{root} is not a checkout of its own by git, so there are no other revisions of it")
    if not name or name.startswith("-"):
        return None
    return git(root, "rev-parse", "--quiet", "--verify", f"{name}^{{commit}}")


def sources(root: Path, of_commit: str, own: Owned) -> Path:
    """The checkout of it. It is there as a whole or not at all. Throws RuntimeError, OSError."""
    place = root / FOLDER / of_commit[:SHOWN]
    if place.is_dir():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    archive, folder = own.work / "revision.tar", own.work / "revision"
    folder.mkdir()
    for command in (["git", "-C", root, "archive", "--format=tar", "-o", archive, of_commit], ["tar", "-xf", archive, "-C", folder]):
        if own.run(command) != 0:
            raise RuntimeError(f"cannot take the files of {of_commit[:SHOWN]} from git")
    archive.unlink()
    try:
        os.rename(folder, place)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        # Another run was faster, and its files are the same.
    return place
