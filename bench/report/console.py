"""What is said to the terminal, or to whatever stands in its place. A run must not end because nobody listens any more, or
because the listener's character set lacks a letter."""
from __future__ import annotations

import os
import signal
import sys
from pathlib import Path


def prepare() -> None:
    """Letters that the locale lacks become question marks. A reader who has seen enough (`| head`) ends the program quietly. What is
    closed of the three standard descriptors is opened on nothing: or the next file would get its number, and be taken for it."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.reconfigure(errors="replace")
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)


def go_on_unheard() -> None:
    """From here on what is under way is worth more than its listener."""
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)


def say(text: str, stream=None) -> None:
    """Standard output by default."""
    write(sys.stdout if stream is None else stream, text + "\n")


def complain(text: str) -> None:
    """To standard error, which may be closed."""
    write(sys.stderr, text + "\n")


def write(stream, text: str) -> None:
    if stream is None:
        return
    try:
        stream.write(text)
        stream.flush()
    except (OSError, ValueError):  # the terminal is gone, the pipe is closed
        drop(stream)


def drop(stream) -> None:
    """What is buffered must not fail again when the program ends."""
    try:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)
    except (OSError, ValueError):
        pass


def columns(stream) -> int:
    """Of the terminal that `stream` is; 80 where it does not say."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def why_unwritable(path: Path) -> str | None:
    """Why nothing can be written to that file; None if it can. Asked before what is to be written is measured."""
    was_there = path.exists()
    try:
        with path.open("a", encoding="utf-8"):
            pass
    except OSError as error:
        return error.strerror
    if not was_there:
        path.unlink()
    return None
