"""OO7, the object-database benchmark, against plain C++ structs."""
from __future__ import annotations

from report import drawing
from report.formats import NOT_MEASURED, interval, ratio
from report.intervals import Interval, paired_ratio
from report.model import Figure, Job, Section, Size, Sources, Table, point_of, summarise
from report.plausible import faster_than_raw
from report.published import HAC_HOT_RATIOS, HAC_SOURCE
from report.systems import CACHES, in_order

OPERATIONS = {
    "T1": "depth-first over the atomic parts: 43,740 visits",
    "T2a": "T1, changing the first part of each composite: 2,187 changes, and commit",
    "T2b": "T1, changing every part: 43,740 changes, and commit",
    "T6": "root parts only: 2,187 visits",
}
SMOKE_OPERATIONS = ("T1", "T2b", "T6")


class Oo7:
    name = "oo7"
    title = "OO7, hot, against plain C++"
    question = "On the field's own benchmark, how far is each cache from the same program without a database?"
    method = ("OO7 small, fan-out 3 (42,095 objects), one session, hot: everything is in the cache. What runs during the warm-up "
              "does not count, of the rest the mean does. The number of visits and changes is checked against the "
              "benchmark's definition; a run with a wrong count is a failed run. The store is in memory, so that a commit "
              "shows the cache's share and not the disk's. Raw runs the same code on plain structs and pointers.")

    def jobs(self, size: Size) -> list[Job]:
        return [Job(
            self.name, system, (("operation", operation),), "experiment",
            ("run", "--workload", "oo7", "--operation", operation, "--cache", system, "--store", "memory", "--sessions", "1",
             "--threads", "1", "--seconds", str(size.seconds), "--warmup", str(size.warmup),
             "--cache-bytes", str(size.cache_bytes), "--seed", "{seed}", "--repetition", "{repetition}",
             "--experiment", self.name, "--output", "{output}"),
            estimate_s=0.4 + size.seconds + size.warmup)
            for operation in (SMOKE_OPERATIONS if size.smoke else OPERATIONS) for system in ("raw", *CACHES)]

    @staticmethod
    def mean_ns(row: dict) -> float | None:
        """One operation is one traversal."""
        return 1e9 / row["operations_per_s"] if row.get("operations_per_s") else None

    def times(self, rows: list[dict], system: str, operation: str) -> dict[int, float]:
        return {r["repetition"]: time for r in rows if r["system"] == system and point_of(r)["operation"] == operation
                and (time := self.mean_ns(r)) is not None}

    def present(self, rows: list[dict], section: Section) -> None:
        systems = in_order({r["system"] for r in rows})
        caches = [s for s in systems if s != "raw"]
        times = Table("Milliseconds for one traversal", ["operation", *systems, "rows"], [])
        ratios = Table("The same as a ratio to raw, of paired runs", ["operation", *caches, HAC_SOURCE, "rows"], [],
                       "The published column is the authors' own ratio, on their machine of 1997.")
        series = {s: drawing.Series(s) for s in caches}
        operations = [one for one in OPERATIONS if any(point_of(r)["operation"] == one for r in rows)]
        for index, operation in enumerate(operations):
            cells, ids = [], []
            for system in systems:
                value, sources = summarise(rows, system, self.mean_ns, operation=operation)
                ids += sources.ids
                cells.append(interval(value.scaled(1e-6)) if value else NOT_MEASURED)
            times.rows.append([f"{operation}: {OPERATIONS[operation]}", *cells, Sources(tuple(ids))])
            line = []
            for system in caches:
                against = paired_ratio(self.times(rows, system, operation), self.times(rows, "raw", operation))
                line.append(ratio(against))
                if against is not None:
                    series[system].points[index] = against
                doubt = faster_than_raw(system, operation, against)
                section.doubts += [doubt] if doubt else []
            hac = HAC_HOT_RATIOS.get(operation)
            ratios.rows.append([operation, *line, f"{hac:.2f}" if hac else "not published", Sources(tuple(ids))])
        section.tables += [times, ratios]
        drawn = [one for one in series.values() if one.points]
        if drawn:
            published = drawing.Series("HAC 1997", {
                index: Interval(HAC_HOT_RATIOS[operation], None, None, 1)
                for index, operation in enumerate(operations) if operation in HAC_HOT_RATIOS})
            section.figures.append(Figure(
                "oo7-ratio", f"OO7 small, hot traversals: time divided by that of plain C++ structs. Thin marks: {HAC_SOURCE}.",
                "Dot chart: ratio to raw C++ for each traversal, one dot per cache.",
                drawing.dots("OO7 small, hot: ratio to raw", "ratio to plain C++ structs", operations, drawn,
                             hollow=[published], x_log=True, x_format=lambda x: f"{x:g}", reference=1.0)))
        for system in caches:
            points = series[system].points
            told = [f"{operation} {points[index].median:.2f}" for index, operation in enumerate(operations) if index in points]
            if told:
                section.reading.append(f"{system}: {', '.join(told)} times plain C++.")
