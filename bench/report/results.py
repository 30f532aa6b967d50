"""The raw data of a run as files, and back: rows.jsonl as written by the runner, rows.csv for spreadsheets."""
from __future__ import annotations

import csv
import json
import os
from pathlib import Path

# What every row has comes first; the rest follows in the order in which it appears.
FIRST = ("id", "experiment", "system", "workload", "repetition", "seed", "start", "duration_s", "operations",
         "operations_per_s", "aborts", "rss_bytes", "rss_before_bytes", "peak_rss_bytes", "mean_rss_bytes", "cache_bytes",
         "limbo_bytes", "mean_limbo_bytes", "store_loads", "p50_ns", "p99_ns", "p999_ns")


def flat(row: dict) -> dict:
    """One level: parameters.sessions, figures.add.per_second."""
    out = {}
    for key, value in row.items():
        if isinstance(value, dict):
            out.update({f"{key}.{inner}": v for inner, v in flat(value).items()})
        else:
            out[key] = value
    return out


def write_csv(rows: list[dict], path: Path) -> None:
    flattened = [flat(row) for row in rows]
    columns = list(dict.fromkeys([*FIRST, *(key for row in flattened for key in row)]))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(flattened)


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def read_whole(path: Path) -> list[dict]:
    """Those lines that are whole: a machine that lost power may have left half of one at the end."""
    if not path.exists():
        return []
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    return [json.loads(line) for line in whole.decode().splitlines() if line.strip()]


def lines_of(rows: list[dict]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def append_whole(path: Path, text: str) -> None:
    """All of it or nothing, and on the device. Throws OSError, and then it was nothing."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        before = os.fstat(descriptor).st_size
        try:
            rest = memoryview(text.encode())
            while rest:
                rest = rest[os.write(descriptor, rest):]
            os.fsync(descriptor)
        except BaseException:
            os.ftruncate(descriptor, before)
            raise
    finally:
        os.close(descriptor)


def replace_whole(path: Path, text: str) -> None:
    """The new text or what was there before. Throws OSError."""
    new = path.with_name(path.name + ".new")
    try:
        with new.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
