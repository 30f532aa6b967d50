"""Google Benchmark's JSON as rows like the driver's."""
from __future__ import annotations

from statistics import median

NANOSECONDS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}
# NAME/SYSTEM/NUMBER: what the number is, what the row is named after, and what its time is called.
SUBJECTS = {
    "chase": (lambda number: {"objects": number}, "chase", "ns_per_read"),
    "commit-open": (lambda number: {"subject": "commit", "sessions": number}, "open-sessions", "ns"),
    "begin-open": (lambda number: {"subject": "begin", "sessions": number}, "open-sessions", "ns"),
}


def rows(document: dict) -> list[dict]:
    """One row per benchmark called NAME/SYSTEM/NUMBER: the median of its repetitions, which the row lists as well. An
    aggregate (mean, stddev) is not a row: we keep our own."""
    found: dict[str, dict] = {}
    for benchmark in document["benchmarks"]:
        parts = benchmark["name"].split("/")
        if benchmark.get("run_type") == "aggregate" or len(parts) < 3 or parts[0] not in SUBJECTS:
            continue
        if benchmark.get("error_occurred"):
            raise ValueError(f"{benchmark['name']}: {benchmark.get('error_message', 'failed')}")
        point, workload, time = SUBJECTS[parts[0]]
        row = found.setdefault(benchmark["name"], {
            "system": parts[1],
            "workload": workload,
            "point": point(int(parts[2])),
            "operations": benchmark["iterations"],
            "figures": counters(benchmark),
            "parameters": {"benchmark": benchmark["name"], "repetitions_ns": []},
        })
        row["parameters"]["repetitions_ns"].append(time_of(benchmark))
        row["figures"][time] = median(row["parameters"]["repetitions_ns"])
    return list(found.values())


def time_of(benchmark: dict) -> float:
    """Nanoseconds for one item, such as a read or a commit, or for one iteration where the benchmark counts no items: of the
    processor, or of the clock if the benchmark asks for real time or times itself. A counter ns_per_read or median_ns, where there
    is one, says it directly: then an iteration of the benchmark may be many reads, or the mean be no good figure."""
    for counter in ("ns_per_read", "median_ns"):
        if counter in benchmark:
            return float(benchmark[counter])
    if benchmark.get("items_per_second"):
        return 1e9 / float(benchmark["items_per_second"])
    by_the_clock = {"real_time", "manual_time"} & set(benchmark["name"].split("/"))
    time = benchmark["real_time" if by_the_clock else "cpu_time"]
    return float(time) * NANOSECONDS[benchmark.get("time_unit", "ns")]


def counters(benchmark: dict) -> dict[str, float]:
    """The counters that the benchmark itself defined."""
    known = {"family_index", "per_family_instance_index", "repetitions", "repetition_index", "threads", "iterations",
             "real_time", "cpu_time"}
    return {key: value for key, value in benchmark.items() if isinstance(value, float) and key not in known}
