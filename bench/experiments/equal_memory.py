"""Hits of one cache and of many in the same memory: on the same objects, on disjoint ones, and beside scans."""
from __future__ import annotations

import os

from report import drawing
from report.formats import NOT_MEASURED
from report.model import Better, Figure, Job, Section, Size, Sources, Table, point_of, summarise
from .replacement import SEQUENCES, percent

CAPACITY = 0.2  # of the distinct objects, as in the published comparison
OBJECTS = {
    "same": "all sessions read the same objects",
    "disjoint": "each session reads objects of its own",
    "scanned": "each its own, and every second session scans",
}
CACHES = ("shared", "private")
POLICIES = {"adaptive": "the default", "lru": "LRU"}


class EqualMemory:
    name = "equal-memory"
    title = "Hit ratio in equal memory"
    question = "What does one cache hit that many do not in the same memory, and when do many hit as much or more?"
    method = ("Simulated with the cache's own policy code. A sequence of accesses is cut into requests of 64, dealt out to sessions "
              f"at random; all caches together hold {CAPACITY:.0%} of the distinct objects, each private one an equal part. Objects "
              "count alike, the first access to each is a miss in any cache. Sequences are those of the replacement policies. "
              "Disjoint: the sequence's objects once for each session. Scanned: every second session reads its objects in "
              "turn, over and over, which no cache of its own can hold either.")

    def jobs(self, size: Size) -> list[Job]:
        counts = ("1", "16", "256") if size.smoke else ("1", "4", "16", "64", "256")
        common = ("--sessions", *counts, "--capacity", f"{CAPACITY:g}", "--seed", "{seed}", "--output", "{output}")
        cases = [("zipf", objects) for objects in OBJECTS] + [("oo7", "same"), ("oo7", "disjoint")]
        jobs = [Job(self.name, "caches", (("sequence", sequence), ("objects", objects)), "simulate-cache",
                    ("--workload", sequence, "--objects", objects, *common), estimate_s=0.5 * len(counts))
                for sequence, objects in cases]
        trace = os.environ.get("COW_CACHE_TRACE")
        if trace:
            jobs += [Job(self.name, "caches", (("sequence", "trace"), ("objects", objects)), "simulate-cache",
                         ("--objects", objects, *common, "--", trace), estimate_s=2.0 * len(counts)) for objects in OBJECTS]
        return jobs

    def present(self, rows: list[dict], section: Section) -> None:
        for sequence in SEQUENCES:
            for objects in OBJECTS:
                own = [r for r in rows if sequence_of(r) == sequence and point_of(r)["objects"] == objects]
                if own:
                    self.present_one(own, sequence, objects, section)

    @staticmethod
    def present_one(rows: list[dict], sequence: str, objects: str, section: Section) -> None:
        about = f"{SEQUENCES[sequence]}; {OBJECTS[objects]}"
        table = Table(f"Hit ratio: {about}", ["sessions", *(f"{c}, {p}" for p in POLICIES.values() for c in CACHES), "rows"], [])
        series = {cache: drawing.Series(cache) for cache in CACHES}
        for sessions in sorted({point_of(r)["sessions"] for r in rows}):
            cells, ids, medians = [], (), {}
            for policy in POLICIES:
                for cache in CACHES:
                    value, sources = summarise(rows, "caches", lambda r: r["figures"]["hit_ratio"][policy][cache],
                                               sessions=sessions)
                    ids = ids or sources.ids
                    cells.append(NOT_MEASURED if value is None else f"{value.median:.4f}")
                    if value is not None and policy == "adaptive":
                        medians[cache] = value.median
                        series[cache].points[sessions] = value
            table.rows.append([str(sessions), *cells, Sources(ids)])
            if len(medians) == 2 and medians["private"] > medians["shared"] + 0.0005:
                section.better.append(Better(f"{about}, {sessions} sessions", "private", f"hits {medians['private']:.3f}",
                                             f"{medians['shared']:.3f}"))
        section.tables.append(table)
        section.figures.append(Figure(
            f"equal-memory-{sequence}-{objects}",
            f"Hit ratio against sessions, all caches together holding {percent(CAPACITY)} of the objects: {about}.",
            f"Line chart: hit ratio against the number of sessions for one shared and for private caches: {about}.",
            drawing.lines(f"Hits: {SEQUENCES[sequence]}, {objects} objects", "sessions", "hit ratio", list(series.values()),
                          x_log=True)))
        ends = [(cache, one.points[min(one.points)].median, one.points[max(one.points)].median, max(one.points))
                for cache, one in series.items() if len(one.points) > 1]
        section.reading += [f"{cache}: {about}: from {first:.3f} with one session to {last:.3f} with {most}."
                            for cache, first, last, most in ends]


def sequence_of(row: dict) -> str:
    """Traces are known by their files' names."""
    name = point_of(row)["sequence"]
    return name if name in SEQUENCES else "trace"
