"""scripts/reproduce --kick: builds one small program and runs it. What it checks it counts, so that a busy machine changes nothing."""
from __future__ import annotations

import time
from pathlib import Path

from . import building, owned
from .console import complain, say
from .formats import duration
from .owned import Owned

PROGRAM = "kick"
LIMIT_S = 120.0  # it takes two seconds; a machine may be busy, or slow


def kick(root: Path) -> int:
    """The exit code. The last line says PASS, or FAIL and why."""
    try:
        owned.raise_on_signals()
        with Owned(building.build_folder(root)) as own:
            why = seen(root, own)
    except (RuntimeError, OSError) as error:
        why = str(error)
    except owned.ENDINGS as ending:
        complain("scripts/reproduce: ended by a signal")
        return owned.exit_code(owned.number_of(ending))
    say("PASS" if why is None else f"FAIL: {' '.join(why.split())}")
    return 0 if why is None else 1


def seen(root: Path, own: Owned) -> str | None:
    """Says what was seen; why that is no pass, or None. Throws RuntimeError, OSError."""
    building.set_up(root, "--measure")
    begun = time.monotonic()
    program = building.build_one(root, own, PROGRAM, root)
    built = time.monotonic()
    code, text = own.hear([str(program)], LIMIT_S)
    say(text.rstrip())
    say(f"built in {duration(built - begun)}, checked in {duration(time.monotonic() - built)}")
    failed = [line.removeprefix("FAILS ").strip() for line in text.splitlines() if line.startswith("FAILS ")]
    if code == 0 and not failed and text.strip():
        return None
    if code is None:
        return f"the checks took more than {LIMIT_S:.0f} s"
    return "; ".join(failed) or f"exit code {code}: {text.strip()[-200:]}"
