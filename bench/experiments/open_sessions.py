"""Begin and commit while other sessions are open."""
from __future__ import annotations

from report import drawing
from report.formats import interval
from report.model import Figure, Job, Section, Size, Sources, Table, point_of, summarise
from report.systems import CACHES, in_order

SUBJECTS = {"commit": "A commit of one object", "begin": "The begin of a transaction"}


class OpenSessions:
    name = "open-sessions"
    title = "Begin and commit against open sessions"
    question = "Do a begin and a commit pay for the other sessions that are open?"
    method = ("Each session has read the same 100 objects of 256 bytes. One after the other begins a transaction, changes one "
              "object and commits to a store in memory, so a commit concerns all other sessions, and who begins has missed as many "
              "commits as there are sessions. Timed are the begin and the commit alone, in separate runs, each with the cost of reading "
              "the clock (some 30 ns); of all times of a run the median counts.")

    def jobs(self, size: Size) -> list[Job]:
        systems = CACHES[:3] if size.smoke else CACHES
        # One process for all, its repetitions in random order, as for the cost of a read.
        return [Job(self.name, "all", (), "microbenchmarks",
                    (f"--benchmark_filter=^(commit|begin)-open/({'|'.join(systems)})/",
                     f"--benchmark_repetitions={size.choose(smoke=1, paper=3, full=3)}", "--benchmark_enable_random_interleaving=true",
                     "--benchmark_format=console", "--benchmark_out_format=json", "--benchmark_out={output}"),
                    estimate_s=size.choose(smoke=2.0, paper=4.0, full=4.0))]

    def present(self, rows: list[dict], section: Section) -> None:
        systems = in_order({r["system"] for r in rows})
        for subject, title in SUBJECTS.items():
            own = [r for r in rows if point_of(r)["subject"] == subject]
            counts = sorted({point_of(r)["sessions"] for r in own})
            table = Table(f"{title}, in ns", ["open sessions", *systems, "rows"], [])
            series = {s: drawing.Series(s) for s in systems}
            for sessions in counts:
                cells, ids = [], []
                for system in systems:
                    value, sources = summarise(own, system, lambda r: r["figures"].get("ns"), sessions=sessions)
                    cells.append(interval(value))
                    ids += sources.ids
                    if value is not None:
                        series[system].points[sessions] = value
                table.rows.append([f"{sessions:,}", *cells, Sources(tuple(ids))])
            section.tables.append(table)
            if not counts:
                continue
            section.figures.append(Figure(
                f"{self.name}-{subject}", f"{title} against the number of open sessions that have read the object.",
                f"Line chart: nanoseconds of a {subject} against open sessions, one line per cache.",
                drawing.lines(f"Time of a {subject}", "open sessions", f"ns per {subject}", list(series.values()), x_log=True, y_log=True,
                              x_format=lambda x: f"{x:,g}", y_format=drawing.thousands)))
            for system in systems:
                points = series[system].points
                if len(points) > 1:
                    section.reading.append(f"{system}: a {subject} takes {interval(points[min(points)], 'ns')} with {min(points)} "
                                           f"open session, {interval(points[max(points)], 'ns')} with {max(points):,}.")
