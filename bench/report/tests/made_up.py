"""Rows for the jobs of an experiment, of the form that the programs write and with made-up figures: for tests of what is drawn
from them, and never in a report."""
from __future__ import annotations

import random

from experiments import equal_memory, open_sessions, peers, pinned_versions, read_cost, replacement
from report.model import Experiment, Job, Size
from report.systems import BOUNDS, CACHES, NO_BOUND

FACTORS = {"shared": 1.0, "private": 1.3, "two-level": 1.1, "locked": 0.5, "blocking": 0.8, "raw": 3.0}


def rows_of(experiment: Experiment, size: Size, repetitions: int = 3) -> list[dict]:
    dice = random.Random(5)
    rows = []
    for repetition in range(repetitions):
        for job in experiment.jobs(size):
            for made in of_job(job, lambda: dice.uniform(0.93, 1.07)):
                rows.append({"id": f"r{len(rows) + 1}", "experiment": experiment.name, "system": job.system, "repetition": repetition,
                             "command": "made up", "figures": {}, "operations": 10_000, "aborts": 3, **made,
                             "point": {**dict(job.point), **made.get("point", {})}})
    return rows


def of_job(job: Job, noise) -> list[dict]:
    if job.program == "simulate-cache":
        return of_simulation(job)
    if job.program == "microbenchmarks":
        return of_microbenchmarks(job, noise)
    if job.program == "ablation":
        return [of_ablation(job, noise)]
    if job.program == "probes" and job.experiment in ("pinned-versions", "reclamation-time", "stopped-thread"):
        return of_sleepers(job, noise)
    if job.experiment == "recovery":
        return [{"figures": {"open_s": 0.2 * noise(), "first_answer_s": 0.21 * noise(), "warm_s": 0.5 * noise(),
                             "acknowledged": 27_000, "recovered": 27_004, "hit_ratio_before": 0.7, "log_bytes": 6e7},
                 "hit_ratio_over_time": [[0.3, 0.4], [0.5, 0.7]]}]
    if job.experiment == "retention":
        factor = {"all": 10, "window": 3, "present": 1.2}[job.system]
        return [{"operations_per_s": 6e4 * noise(), "p50_ns": 1e4, "p99_ns": 4e4, "p999_ns": 2e5 * noise(), "operations": 10_000,
                 "over_time": [[t / 10, 1_000 * t, 1e6 * (1 + t * factor)] for t in range(20)],
                 "figures": {"most_bytes": 3e7 * factor * noise(), "bytes_at_end": 2e7 * factor * noise(), "live_bytes": 2e7, "packs": 7,
                             "tids_kept": 1_000}}]
    if job.experiment == "peers-over-postgres":
        return [of_processes(system, count, noise) for count in (1, 2, 4, 8) for system in ("shared", "private", "two-level")]
    if job.program == "peers":
        return [{"system": system, "point": {"reads": reads, "threads": threads},
                 "figures": {"ns_per_read": 10 * noise() * 3 ** index, "ratio_to_shared": noise() * 3 ** index}}
                for index, system in enumerate(peers.SYSTEMS) for reads in peers.READS for threads in peers.THREADS]
    if job.program == "publisher_load":
        point = dict(job.point)
        limit = point["in_flight"] / max(1e-3 * point["wait_ms"], 1e-4)
        return [{"throughput": min(limit, 50_000.0 if "coroutines" in job.system else 800.0) * noise(), "p99_us": 1e4 * noise(),
                 "pss_bytes": 5e7 * noise()}]
    if job.program == "experiment":
        return [of_driver(job, noise)]
    if job.program == "workload-profile":
        return [of_profile(noise)]
    return []


def of_driver(job: Job, noise) -> dict:
    point, factor = dict(job.point), FACTORS.get(job.system, 1.0)
    sessions, writes = point.get("sessions", 1), point.get("write_share", 0)
    many = sessions if job.system in ("private", "two-level") else 1
    rate = 5e4 * factor * noise() * (1 - 0.5 * writes * min(1.5, many / 8))
    figures = {"write_skews": 2, "transactions_in_write_skews": 5} | {
        region: {"per_second": noise() * factor * rate} for region, rate in
        {"add": 2e4, "update": 3e4, "cold": 4e5, "warm": 2e4, "hot": 2e6, "steamin": 5e7}.items()}
    return {"operations_per_s": rate, "rss_bytes": 1.2e8 * many * noise(), "rss_before_bytes": 0, "store_loads": 281_258 * many,
            "p99_ns": 1e5 / factor * noise(), "p999_ns": 1e6, "duration_s": (1 + 0.3 * many) * noise(), "figures": figures}


def of_processes(system: str, count: int, noise) -> dict:
    """Processes over one PostgreSQL: those of private caches load for each of their four sessions."""
    many = count * (4 if system == "private" else 1)
    rate, loads, grown = 9e4 / many ** 0.5 * noise(), 0.01 * (many - 1) * noise(), 1.2e7 * many * noise()
    stale = {"staleness_p50_ms": 2 * noise(), "staleness_p99_ms": 9 * noise(), "staleness_most_ms": 12 * noise()} if count > 1 else {}
    return {"system": system, "point": {"processes": count}, "operations_per_s": rate, "rss_bytes": 5e7 * many, "figures": {
        "pss_bytes": grown + 8e6 * count, "uss_bytes": grown + 6e6 * count, "pss_bytes_opened": 8e6 * count, "pss_bytes_warm": grown,
        "grown_bytes": grown, "cold_loads": 8_000 * many, "cold_seconds": 0.3 * many, "loads_per_transaction": loads,
        "round_trips_per_transaction": loads + 0.2 * noise(), "commits_per_s": rate / 10, "group_size": 1.5, "predicted_throughput": rate * noise(),
        "throughput_off": 0.1 * noise(), "predicted_loads_per_transaction": loads * noise(), "loads_off": 0.05 * noise(),
        "predicted_grown_bytes": grown * noise(), "grown_bytes_off": -0.07 * noise(), **stale}}


def of_profile(noise) -> dict:
    """What an operation of 10,000 does: ten first reads and twenty repeated ones; a fifth of them change an object."""
    reads = int(1e5 * noise())
    return {"parameters": {"sessions": 1}, "figures": {"profile": {
        "transactions": 10_000, "first_reads": reads, "repeated_reads": 2 * reads, "writing": 2_000, "changed": 2_000, "created": 0,
        "written_bytes": 2_000 * 300, "l2_bytes": 1 << 20, "l3_bytes": 32 << 20, "groups": [[5_000, reads, 2_000, 5_000 * 300, 1]]}}}


def of_ablation(job: Job, noise) -> dict:
    waits = BOUNDS[job.system][0] == NO_BOUND
    return {"operations_per_s": 4e5 * noise(), "p99_ns": 9e3 * noise(), "p999_ns": 5e4 * noise(), "rss_bytes": 3e8 * noise(),
            "peak_rss_bytes": 3e8 * noise(), "mean_rss_bytes": 2.5e8 * noise(),
            "limbo_bytes": (2e8 if waits else 9e5) * noise(), "mean_limbo_bytes": (1e8 if waits else 5e5) * noise(),
            "figures": {"sleepers_aborted": dict(job.point)["sleepers"] if job.system == "neutralise" else 0, "too_old": 0},
            "limbo_over_time": [[t / 5, 2.5e7 * t / 5 if waits else 7e5 * noise()] for t in range(40)],
            "p99_over_time": [[0.4 + 0.8 * t, 9e3 * noise()] for t in range(10)]}


def of_sleepers(job: Job, noise) -> list[dict]:
    point = dict(job.point)
    if job.experiment == "stopped-thread":
        stops = point["stopped"] != "reader" and job.system == "hybrid"
        return [{"figures": {"commits_per_s_before": 2e4 * noise(), "commits_meanwhile": 900 if stops else 18_000, "last_commit_s": 0.04 * noise(),
                             "late_commits_per_s": 0 if stops else 2e4 * noise(), "commits_per_s_after": 2e4 * noise(),
                             "longest_commit_ms": 2e3 * noise(), "reads_per_s_before": 5e6 * noise(), "reads_per_s_meanwhile": 6e6 * noise(),
                             "limbo_bytes_before": 5e5 * noise(), "limbo_bytes_meanwhile": 8e5 * noise()},
                 "over_time": [[t / 10, 1e5, 1_000 * t] for t in range(40)]}]
    if job.experiment == "reclamation-time":
        parks = job.system in ("hybrid", "neutralise")
        ns = (2e3 if parks else 1e3 * point["sleepers"]) * noise()
        return [{"p50_ns": 1e4 * noise(), "p999_ns": 5e4 * noise() + ns, "figures": {
            "looks": 150, "reclamation_p50_ns": ns, "reclamation_p99_ns": 2 * ns, "reclamation_max_ns": 3 * ns, "budget_ns": ns,
            "commit_max_ns": 4 * ns, "aborted": 0,
            **({"first_total_ns": 9e6 * noise(), "first_longest_ns": 1e6 * noise(), "first_looks": 17} if parks else {})}}]
    updates = "zipf" if point["theta"] else "uniform"
    counted = [{"system": rule, "point": {"kind": "counted", "updates": updates}, "figures": {"superseded": factor * point["sleepers"], "newest": 0}}
               for rule, factor in (("epochs", 1_000), ("interval", 90), ("visible", 80), ("hybrid", 7))]
    run = [{"system": name, "point": {"kind": "run", "updates": updates}, "figures": {
        "pinned": 700 * noise(), "pinned_bytes": 33_600, "aborted": 0, "rereads": 5_000, "wrong": 0, "ns_per_hit": 3.0, "ns_per_reread": 900.0,
        "records_loaded": 4_000, "ns_per_update": 1_500.0}} for name in pinned_versions.RECLAIMERS]
    return counted + run


def of_microbenchmarks(job: Job, noise) -> list[dict]:
    if job.experiment == "read-cost":
        return [{"system": system, "point": {"objects": objects}, "figures": {"ns_per_read": noise() * (1 + objects ** 0.4 / 4)}}
                for system in read_cost.SYSTEMS for objects in read_cost.OBJECTS]
    if job.experiment == "open-sessions":
        return [{"system": system, "point": {"subject": subject, "sessions": sessions},
                 "figures": {"ns": 500 * noise() * (sessions if system == "private" else 1)}}
                for system in CACHES for subject in open_sessions.SUBJECTS for sessions in (1, 16, 256, 2048)]
    return []


def of_simulation(job: Job) -> list[dict]:
    if job.experiment == "replacement":
        shares = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5)
        return [{"point": {"cluster": cluster}, "figures": {
            policy: {f"{share:g}": (0.9 - share) * (1 - 0.02 * index) for share in shares}
            for index, policy in enumerate(replacement.COLUMNS)}} for cluster in replacement.CLUSTERS]
    if job.experiment == "equal-memory":
        same = dict(job.point)["objects"] == "same"
        return [{"point": {"sessions": sessions, "capacity": equal_memory.CAPACITY}, "figures": {"hit_ratio": {
            policy: {"shared": 0.83, "private": 0.83 / sessions ** 0.2 if same else 0.84} for policy in equal_memory.POLICIES}}}
            for sessions in (1, 4, 16, 64, 256)]
    return []
