"""What the store is asked for when sessions start with empty caches."""
from __future__ import annotations

from report import drawing
from report.formats import NOT_MEASURED, interval, significant
from report.model import Figure, Job, Section, Size, Sources, Table, point_of, summarise
from report.systems import in_order

SYSTEMS = ("shared", "private", "two-level", "locked")


class ColdStart:
    name = "cold-start"
    title = "Cold start and stampede"
    question = "How often is one object loaded when several sessions start at the same moment on the same objects?"
    method = ("All caches are empty; every session, each on a thread of its own, reads all of WordNet at once. Counted are "
              "the records that the cache asked of the store. The objects are the same and the start is one, so each object is a "
              "stampede of as many sessions.")

    def jobs(self, size: Size) -> list[Job]:
        counts = size.choose(smoke=(1, 8), paper=(1, 4, 16), full=(1, 4, 16, 64))
        return [Job(
            self.name, system, (("sessions", sessions),), "experiment",
            ("run", "--workload", "wordnet", "--cache", system, "--store", "rocksdb", "--path", "{wordnet}",
             "--sessions", str(sessions), "--threads", str(sessions), "--write-share", "0", "--seconds", "0",
             "--warmup", "0", "--cache-bytes", str(size.cache_bytes), "--seed", "{seed}", "--repetition", "{repetition}",
             "--experiment", self.name, "--read-all", "--output", "{output}"),
            estimate_s=1.5 + 0.3 * (sessions if system in ("private", "two-level") else 1))
            for sessions in counts for system in SYSTEMS]

    @staticmethod
    def loads(row: dict) -> float | None:
        return row.get("store_loads")

    def present(self, rows: list[dict], section: Section) -> None:
        systems = in_order({r["system"] for r in rows})
        counts = sorted({point_of(r)["sessions"] for r in rows})
        loads = Table("Records loaded from the store", ["sessions", *systems, "rows"], [])
        times = Table("Seconds until every session has read everything", ["sessions", *systems, "rows"], [])
        series = {s: drawing.Series(s) for s in systems}
        for sessions in counts:
            ids: list[str] = []
            cells, seconds = [], []
            for system in systems:
                value, sources = summarise(rows, system, self.loads, sessions=sessions)
                taken, _ = summarise(rows, system, lambda r: r.get("duration_s"), sessions=sessions)
                ids += sources.ids
                cells.append(NOT_MEASURED if value is None else f"{value.median:,.0f}")
                seconds.append(interval(taken))
                if value is not None:
                    series[system].points[sessions] = value
            loads.rows.append([str(sessions), *cells, Sources(tuple(ids))])
            times.rows.append([str(sessions), *seconds, Sources(tuple(ids))])
        section.tables += [loads, times]
        waiting = {s: drawing.Series(s) for s in systems}
        for system in systems:
            for sessions in counts:
                taken, _ = summarise(rows, system, lambda r: r.get("duration_s"), sessions=sessions)
                if taken is not None:
                    waiting[system].points[sessions] = taken
        section.figures.append(Figure(
            "cold-start", "Records loaded from the store when sessions start at once on the same objects, by number of sessions.",
            "Line chart: store loads against the number of sessions that start cold, one line per cache.",
            drawing.lines("Store loads at a cold start", "sessions that start at once", "records loaded",
                          list(series.values()), x_log=True, y_log=True, y_format=drawing.thousands)))
        section.figures.append(Figure(
            "cold-start-time", "Seconds until every one of the sessions that start at once has read everything.",
            "Line chart: seconds against the number of sessions that start cold, one line per cache.",
            drawing.lines("Time of a cold start", "sessions that start at once", "seconds", list(waiting.values()), x_log=True,
                          y_log=True, y_format=lambda y: f"{y:g}")))
        for system in systems:
            points = series[system].points
            if len(points) > 1 and points[min(points)].median > 0:
                last = max(points)
                times_more = points[last].median / points[min(points)].median
                section.reading.append(f"{system}: {last} sessions load {significant(times_more)} times as much "
                                       f"as {min(points)} does.")
