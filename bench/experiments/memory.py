"""Memory against the number of sessions."""
from __future__ import annotations

from report import drawing
from report.formats import NOT_MEASURED, size as bytes_text
from report.intervals import Interval
from report.machine import memory_bytes
from report.model import Figure, Job, Section, Size, Sources, Table, point_of, summarise
from report.systems import in_order

SYSTEMS = ("shared", "private", "two-level", "locked")
PER_SESSION = ("private", "two-level")  # whose memory grows with sessions
COUNTS = (1, 4, 16, 64, 256, 1024, 4096)
PAPER_COUNTS = (1, 16, 1024)  # the lines are straight
# Of WordNet in one private cache; what it really is comes out. This only keeps a run from needing more than there is.
PRIVATE_BYTES = 125 << 20
SECONDS_A_SESSION = {"shared": 0.006, "locked": 0.04}  # to read all of it from a warm cache
MOST_OF_MEMORY = 0.5
MOST_PRIVATE = 64  # more of them take minutes to fill


class Memory:
    name = "memory"
    title = "Memory against sessions"
    question = "How much memory does a process need when more sessions read the same objects?"
    method = ("Each session reads all of WordNet 3.0 (117,659 synsets, their pointers and the index of words) and stays open. "
              "What is shown is the resident memory of the process beyond what it was before the database was opened, so "
              "RocksDB's own memory is in it. Caches that grow with their sessions are measured up to half of the machine's "
              f"memory and {MOST_PRIVATE} sessions at most (16 but in a full run, and so is locked); "
              "what is beyond is extrapolated along a straight line and marked so.")

    def jobs(self, size: Size) -> list[Job]:
        wanted = size.choose(smoke=COUNTS, paper=PAPER_COUNTS, full=COUNTS)
        counts = {s: tuple(n for n in wanted if n <= self.most(s, size)) for s in SYSTEMS}
        return [self.job(system, sessions, size) for system in SYSTEMS for sessions in counts[system]]

    @staticmethod
    def most(system: str, size: Size) -> int:
        """The number of sessions up to which a cache is measured."""
        if system in PER_SESSION:
            return max(1, min(size.choose(smoke=16, paper=16, full=MOST_PRIVATE), int(MOST_OF_MEMORY * memory_bytes() / PRIVATE_BYTES)))
        return size.choose(smoke=256 if system == "shared" else 16, paper=COUNTS[-1] if system == "shared" else 16, full=COUNTS[-1])

    def job(self, system: str, sessions: int, size: Size) -> Job:
        each = 0.6 if system in PER_SESSION else SECONDS_A_SESSION[system]
        return Job(
            self.name, system, (("sessions", sessions),), "experiment",
            ("run", "--workload", "wordnet", "--cache", system, "--store", "rocksdb", "--path", "{wordnet}",
             "--sessions", str(sessions), "--threads", str(min(2, sessions)), "--write-share", "0", "--seconds", "0",
             "--warmup", "0", "--cache-bytes", str(size.cache_bytes), "--seed", "{seed}", "--repetition", "{repetition}",
             "--experiment", self.name, "--read-all", "--output", "{output}"),
            estimate_s=1.3 + each * sessions)

    @staticmethod
    def growth(row: dict) -> float | None:
        if row.get("rss_bytes") is None:
            return None
        return float(row["rss_bytes"] - row.get("rss_before_bytes", 0))

    def present(self, rows: list[dict], section: Section) -> None:
        systems = in_order({r["system"] for r in rows})
        counts = sorted({point_of(r)["sessions"] for r in rows} | set(COUNTS))
        table = Table("Resident memory of the process, by open sessions", ["sessions", *systems, "rows"], [],
                      "Medians, and below each the 95% interval where there are three runs or more.")
        series = {system: drawing.Series(system) for system in systems}
        found = {(system, n): summarise(rows, system, self.growth, sessions=n) for system in systems for n in counts}
        for (system, n), (value, _) in found.items():
            if value is not None:
                series[system].points[n] = value
        beyond = {system: extrapolated(series[system].points, counts) for system in systems if system in PER_SESSION}
        for sessions in counts:
            ids = tuple(i for system in systems for i in found[system, sessions][1].ids)
            cells = [self.cell(found[system, sessions][0], beyond.get(system, {}).get(sessions)) for system in systems]
            if any(cell != NOT_MEASURED for cell in cells):
                table.rows.append([f"{sessions:,}", *cells, Sources(ids)])
        section.tables.append(table)
        drawn = list(series.values())
        for system, points in beyond.items():
            if points:
                last = max(series[system].points)
                drawn.append(drawing.Series(system, {last: series[system].points[last], **points}, computed=True, label="-"))
        note = " Dashed: extrapolated, not measured." if any(beyond.values()) else ""
        section.figures.append(Figure(
            "memory-sessions",
            f"Resident memory of a process against its open sessions, each of which has read all of WordNet.{note}",
            "Line chart: resident memory against the number of sessions, one line per cache.",
            drawing.lines("Memory against sessions", "open sessions", "resident memory", drawn, x_log=True,
                          y_log=True, y_base=2, y_format=drawing.bytes_axis)))
        for system in systems:
            points = series[system].points
            if len(points) > 1:
                first, last = min(points), max(points)
                added = (points[last].median - points[first].median) / (last - first)
                section.reading.append(f"{system}: {bytes_text(points[first].median)} at {first} session{'s' * (first > 1)}, "
                                       f"{bytes_text(points[last].median)} at {last:,}: "
                                       f"{bytes_text(max(added, 0))} for each further session.")

    @staticmethod
    def cell(value: Interval | None, computed: Interval | None) -> str:
        if value is not None:
            spread = "" if value.low is None else f" ({bytes_text(value.low)} to {bytes_text(value.high)})"
            return bytes_text(value.median) + spread
        return NOT_MEASURED if computed is None else f"{bytes_text(computed.median)} (extrapolated)"


def extrapolated(points: dict[float, Interval], counts: list[int]) -> dict[float, Interval]:
    """Beyond the last measured point, along the line through the first and the last; nothing without two of them."""
    if len(points) < 2:
        return {}
    first, last = min(points), max(points)
    slope = (points[last].median - points[first].median) / (last - first)
    return {n: Interval(points[last].median + slope * (n - last), None, None, 0) for n in counts if n > last}
