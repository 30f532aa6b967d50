"""Misses of the replacement policies against the capacity of the cache."""
from __future__ import annotations

import os

from report import drawing
from report.formats import NOT_MEASURED, significant
from report.model import Figure, Job, Section, Size, Sources, Table, point_of, summarise
from report.systems import POLICIES

RIVALS = ("lru", "clock", "s3-fifo", "s3-fifo-1bit", "sieve")
DEFAULT = "adaptive"
COLUMNS = (*RIVALS, DEFAULT, "min")
SEQUENCES = {
    "trace": "an ORM's accesses",
    "zipf": "Zipf 0.99",
    "zipf-scan": "Zipf 0.99 with scans",
    "oo7": "OO7, T1 three times",
}
CLUSTERS = (1, 8)


class ReplacementPolicies:
    name = "replacement"
    title = "Misses against the capacity of the cache"
    question = "How often must the store be asked when not everything fits, and how far is that from the least possible?"
    method = ("Simulated with the cache's own policy code; objects count alike, and a capacity is a share of the distinct "
              "objects. Zipf: 2 million accesses to 100,000 objects; with scans, every 20,000 accesses 10,000 neighbours are "
              "read. OO7: the reads of three T1 traversals of the small database. The ORM's trace is orm-busy of cache2k's "
              "benchmarks (headissue GmbH, Jens Wilke; CC BY 4.0), measured where COW_CACHE_TRACE names the file. LRU and "
              "S3-FIFO as published see every hit, MIN (Belady) the future; adaptive, CLOCK, SIEVE and S3-FIFO with one bit see "
              "what the cache's hits leave behind. A cluster is eight neighbours that are loaded and evicted together; its "
              "capacities are shares of the clusters.")

    def jobs(self, size: Size) -> list[Job]:
        common = ("--cluster", *map(str, CLUSTERS), "--seed", "{seed}", "--output", "{output}")
        jobs = [Job(self.name, "policies", (("sequence", sequence),), "simulate-cache", ("--workload", sequence, *common),
                    estimate_s=estimate) for sequence, estimate in (("zipf", 4.0), ("zipf-scan", 5.0), ("oo7", 2.0))]
        trace = os.environ.get("COW_CACHE_TRACE")
        if trace:
            jobs.append(Job(self.name, "policies", (("sequence", "trace"),), "simulate-cache", (*common, "--", trace),
                            estimate_s=7.0))
        return jobs

    @staticmethod
    def sequence_of(row: dict) -> str:
        """Traces are known by their files' names."""
        name = point_of(row)["sequence"]
        return name if name in SEQUENCES else "trace"

    def present(self, rows: list[dict], section: Section) -> None:
        for sequence in (s for s in SEQUENCES if any(self.sequence_of(r) == s for r in rows)):
            for cluster in CLUSTERS:
                own = [r for r in rows if self.sequence_of(r) == sequence and point_of(r)["cluster"] == cluster]
                if own:
                    self.present_one(own, sequence, cluster, section)

    def present_one(self, rows: list[dict], sequence: str, cluster: int, section: Section) -> None:
        about = SEQUENCES[sequence] + (f", clusters of {cluster}" if cluster > 1 else "")
        shares = sorted({float(share) for row in rows for share in row["figures"][DEFAULT]})
        table = Table(f"Miss ratio: {about}", ["capacity", *COLUMNS, "rows"], [])
        series = {policy: drawing.Series(policy) for policy in COLUMNS if policy in POLICIES}
        worst = 0.0
        for share in shares:
            cells, medians = [], {}
            ids: tuple[str, ...] = ()
            for policy in COLUMNS:
                value, sources = summarise(rows, "policies", lambda r: r["figures"].get(policy, {}).get(f"{share:g}"))
                ids = ids or sources.ids
                cells.append(NOT_MEASURED if value is None else f"{value.median:.4f}")
                if value is not None:
                    medians[policy] = value.median
                    if policy in series:
                        series[policy].points[share] = value
            table.rows.append([percent(share), *cells, Sources(ids)])
            worst = max(worst, medians[DEFAULT] / min(medians[rival] for rival in RIVALS))
        section.tables.append(table)
        if cluster == 1:
            section.figures.append(Figure(
                f"replacement-{sequence}", f"Miss ratio against capacity, as a share of the distinct objects: {about}.",
                f"Line chart: miss ratio against capacity for {about}, one line per replacement policy.",
                drawing.lines(f"Misses: {about}", "capacity, share of the objects", "miss ratio", list(series.values()),
                              even=True, x_format=percent)))
            section.reading.append(f"{about}: the default misses {significant(worst)} times as much as the best of the others "
                                   "where it is worst.")


def percent(share: float) -> str:
    return f"{share * 100:g}%"
