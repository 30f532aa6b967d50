"""What `scripts/bench --json` writes and `--compare` reads: Google Benchmark's own JSON, with two more members that other readers
pass over. "cow_cache", in the context, says of which commit and of which processor the figures are; "figures" has the intervals."""
from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from . import microbenchmarks
from .benchmark_program import RunFailed, figures
from .folder import Refused


@dataclass(frozen=True)
class Saved:
    path: Path
    times: dict[str, list[float]]  # nanoseconds of each repetition
    date: str = ""
    commit: str | None = None
    dirty: bool = False
    cpu: str | None = None


def read(path: Path) -> Saved:
    """Throws Refused."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        context = document["context"]
        times: dict[str, list[float]] = {}
        for one in document["benchmarks"]:
            if not one.get("error_occurred"):
                for entry in figures([one]):
                    times.setdefault(entry["name"], []).append(microbenchmarks.time_of(entry))
        ours = context.get("cow_cache", {})
        saved = Saved(path, times, context.get("date", ""), ours.get("commit"), bool(ours.get("dirty")), ours.get("cpu"))
    except OSError as error:
        raise Refused(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RunFailed) as error:
        raise Refused(f"{path} is neither from --json nor from Google Benchmark: {error!r}") from error
    if not times:
        raise Refused(f"{path} has no figures")
    return saved


def text(context: dict, entries: dict[str, list[list[dict]]], ours: dict, shown: list[dict]) -> str:
    """context: Google Benchmark's, of a run. entries: of each benchmark, those of each repetition."""
    benchmarks = [{**entry, "repetitions": len(repetitions), "repetition_index": index}
                  for repetitions in entries.values() for index, found in enumerate(repetitions) for entry in found]
    return json.dumps({"context": {**context, "cow_cache": ours}, "benchmarks": benchmarks, "figures": shown}, indent=2) + "\n"
