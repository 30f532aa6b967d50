"""Google Benchmark's JSON as rows like the driver's."""
from __future__ import annotations

from statistics import median

NANOSECONDS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}


def rows(document: dict) -> list[dict]:
    """One row per benchmark called chase/SYSTEM/OBJECTS: the median of its repetitions, which the row lists as well. An
    aggregate (mean, stddev) is not a row: we keep our own."""
    found: dict[str, dict] = {}
    for benchmark in document["benchmarks"]:
        parts = benchmark["name"].split("/")
        if benchmark.get("run_type") == "aggregate" or len(parts) < 3 or parts[0] != "chase":
            continue
        if benchmark.get("error_occurred"):
            raise ValueError(f"{benchmark['name']}: {benchmark.get('error_message', 'failed')}")
        row = found.setdefault(benchmark["name"], {
            "system": parts[1],
            "workload": "chase",
            "point": {"objects": int(parts[2])},
            "operations": benchmark["iterations"],
            "figures": counters(benchmark),
            "parameters": {"benchmark": benchmark["name"], "repetitions_ns": []},
        })
        row["parameters"]["repetitions_ns"].append(read_time(benchmark))
        row["figures"]["ns_per_read"] = median(row["parameters"]["repetitions_ns"])
    return list(found.values())


def read_time(benchmark: dict) -> float:
    """Nanoseconds of CPU time for one read. A counter ns_per_read, where there is one, says it directly: then an
    iteration of the benchmark may be many reads."""
    if "ns_per_read" in benchmark:
        return float(benchmark["ns_per_read"])
    if benchmark.get("items_per_second"):
        return 1e9 / float(benchmark["items_per_second"])
    return float(benchmark["cpu_time"]) * NANOSECONDS[benchmark.get("time_unit", "ns")]


def counters(benchmark: dict) -> dict[str, float]:
    """The counters that the benchmark itself defined."""
    known = {"family_index", "per_family_instance_index", "repetitions", "repetition_index", "threads", "iterations",
             "real_time", "cpu_time"}
    return {key: value for key, value in benchmark.items() if isinstance(value, float) and key not in known}
