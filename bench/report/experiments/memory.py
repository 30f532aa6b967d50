"""Memory against the number of sessions."""
from __future__ import annotations

from .. import drawing
from ..formats import NOT_MEASURED, size as bytes_text
from ..model import Figure, Job, Section, Size, Table, point_of, summarise
from ..systems import in_order

SYSTEMS = ("shared", "private", "two-level", "locked")


class Memory:
    name = "memory"
    title = "Memory against sessions"
    question = "How much memory does a process need when more sessions read the same objects?"
    method = ("Each session reads all of WordNet 3.0 (117,659 synsets, their pointers and the index of words) and stays open. "
              "What is shown is the resident memory of the process beyond what it was before the database was opened, so "
              "RocksDB's own memory is in it.")

    def jobs(self, size: Size) -> list[Job]:
        counts = (1, 4, 16) if size.smoke else (1, 2, 4, 8, 16, 32, 64)
        jobs = [self.job(system, sessions, size) for sessions in counts for system in SYSTEMS]
        # 64 private caches take a minute to fill, the shared one is full after the first session.
        return jobs + [self.job("shared", 64, size)] if size.smoke else jobs

    def job(self, system: str, sessions: int, size: Size) -> Job:
        copies = sessions if system in ("private", "two-level") else 1
        return Job(
            self.name, system, (("sessions", sessions),), "experiment",
            ("run", "--workload", "wordnet", "--cache", system, "--store", "rocksdb", "--path", "{wordnet}",
             "--sessions", str(sessions), "--threads", str(min(2, sessions)), "--write-share", "0", "--seconds", "0",
             "--warmup", "0", "--cache-bytes", str(size.cache_bytes), "--seed", "{seed}", "--repetition", "{repetition}",
             "--experiment", self.name, "--read-all", "--output", "{output}"),
            estimate_s=1.0 + 0.4 * copies)

    @staticmethod
    def growth(row: dict) -> float | None:
        if row.get("rss_bytes") is None:
            return None
        return float(row["rss_bytes"] - row.get("rss_before_bytes", 0))

    def present(self, rows: list[dict], section: Section) -> None:
        systems = in_order({r["system"] for r in rows})
        counts = sorted({point_of(r)["sessions"] for r in rows})
        table = Table("Resident memory of the process, by open sessions", ["sessions", *systems, "rows"], [],
                      "Medians, and below each the 95% interval where there are three runs or more.")
        series = {system: drawing.Series(system) for system in systems}
        for sessions in counts:
            cells, ids = [], []
            for system in systems:
                value, sources = summarise(rows, system, self.growth, sessions=sessions)
                ids += sources.ids
                cells.append(NOT_MEASURED if value is None else bytes_text(value.median) + (
                    "" if value.low is None else f" ({bytes_text(value.low)} to {bytes_text(value.high)})"))
                if value is not None:
                    series[system].points[sessions] = value
            table.rows.append([str(sessions), *cells, type(sources)(tuple(ids))])
        section.tables.append(table)
        section.figures.append(Figure(
            "memory-sessions", "Resident memory of a process against its open sessions, each of which has read all of WordNet.",
            "Line chart: resident memory against the number of sessions, one line per cache.",
            drawing.lines("Memory against sessions", "open sessions", "resident memory", list(series.values()), x_log=True,
                          y_log=True, y_base=2, y_format=drawing.bytes_axis)))
        for system in systems:
            points = series[system].points
            if len(points) > 1:
                first, last = min(points), max(points)
                added = (points[last].median - points[first].median) / (last - first)
                section.reading.append(f"{system}: {bytes_text(points[first].median)} at {first} session{'s' * (first > 1)}, "
                                       f"{bytes_text(points[last].median)} at {last}: "
                                       f"{bytes_text(max(added, 0))} for each further session.")
