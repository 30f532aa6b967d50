"""Rows as the programs write them, for tests of what is made of them."""
from __future__ import annotations

RUN = {
    "size": "smoke", "repetitions": 1, "seed": 1, "runs": 3, "begun": "2026-01-01T00:00:00+00:00", "seconds": 5.0,
    "command": "scripts/reproduce --smoke", "warnings": [],
    "machine": {"revision": {"commit": "c" * 40, "dirty": False}, "cores": 2, "cpu": "a processor", "virtualised": None,
                "cpu_cache_bytes": {}, "memory_bytes": 8 << 30, "system": "Debian", "kernel": "6.1", "compiler": "g++", "flags": None,
                "allocator": "jemalloc", "packages": {}},
    "before": {"load": [0.0], "cpu_ticks": {"user": 0, "steal": 0}}, "after": {"load": [0.0], "cpu_ticks": {"user": 9, "steal": 0}},
}


def row(number: int, experiment: str, system: str, point: dict, **more) -> dict:
    return {"id": f"r{number}", "experiment": experiment, "system": system, "repetition": 0, "command": "a command", "point": point,
            "figures": {}, **more}


def numbered(rows: list[dict]) -> list[dict]:
    return [{**one, "id": f"r{index + 1}"} for index, one in enumerate(rows)]


def claim(name: str, measured: float | None, **more) -> dict:
    return {"id": f"r-{name}", "experiment": "claims", "name": name, "measured": measured, "comparison": "<=", "bound": 2.0, "unit": "x",
            "system": "shared", "repetition": 0, "command": "claims", "point": {}, "figures": {}, **more}
