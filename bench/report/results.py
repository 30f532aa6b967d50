"""The raw data of a run as files, and back: rows.jsonl as written by the runner, rows.csv for spreadsheets."""
from __future__ import annotations

import csv
import json
from pathlib import Path

# What every row has comes first; the rest follows in the order in which it appears.
FIRST = ("id", "experiment", "system", "workload", "repetition", "seed", "start", "duration_s", "operations",
         "operations_per_s", "aborts", "rss_bytes", "rss_before_bytes", "cache_bytes", "limbo_bytes", "store_loads",
         "p50_ns", "p99_ns", "p999_ns")


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
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(flattened)


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def cut_torn_end(path: Path) -> None:
    """A run that was killed may have left half a line at the end. That is no row, and it would spoil the next one."""
    if path.exists():
        whole = path.read_bytes()
        if not whole.endswith(b"\n"):
            with path.open("r+b") as file:
                file.truncate(whole.rfind(b"\n") + 1)
