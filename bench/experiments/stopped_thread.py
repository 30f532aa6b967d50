"""What a thread that is stopped stops: in the middle of a scan, or of a read."""
from __future__ import annotations

from report import drawing
from report.formats import NOT_MEASURED, interval, size as bytes_text
from report.intervals import Interval
from report.model import Figure, Job, Section, Size, Table, point_of, summarise
from report.systems import in_order

SCANNER, IN_LOG, READER = "scanner", "scanner-in-log", "reader"
STOPPED = {SCANNER: ("hybrid", "scan", "ping"), IN_LOG: ("hybrid", "scan"), READER: ("hybrid", "scan", "ping", "epochs")}
WORDS = {SCANNER: "in a scan, between two logs", IN_LOG: "in a scan, with the lock of a log", READER: "in a read"}
SECONDS = {"smoke": 0.05, "paper": 1.0, "full": 2.0}


class StoppedThread:
    name = "stopped-thread"
    title = "A thread that is stopped"
    question = "What do writers and readers do while a thread is stopped in the middle of a scan, or of a read?"
    method = ("Two threads commit groups of 20 of 20,000 objects, one reads and checks as in reclamation-time, one transaction sleeps and is in "
              "the way of epochs. Then a further thread is stopped, and goes on later. SIGSTOP would stop the whole process, so the thread is "
              "sent a signal whose handler waits with all signals blocked: it keeps its locks and answers nobody. It is in the middle of a "
              "scan for certain: scans are held up at the sleeper's log (ping's: at the answer of the sleeper's thread), the thread that "
              "retires alone meanwhile begins one, is stopped there, and only then the others go on. Counted: commits and reads in the same "
              "time before, meanwhile (the last commit, and those of its second half) and afterwards, and limbo. Every value is checked; "
              "hybrid's limbo must be within its bound throughout.")

    def jobs(self, size: Size) -> list[Job]:
        seconds = SECONDS[size.name]
        return [Job(self.name, system, (("stopped", stopped),), "probes",
                    ("stopped-thread", "--reclaimer", system, "--stopped", stopped, "--seconds", f"{seconds:g}", "--seed", "{seed}",
                     "--repetition", "{repetition}", "--experiment", self.name, "--output", "{output}"), estimate_s=2 * seconds + 0.15)
                for stopped, systems in STOPPED.items() for system in systems]

    def present(self, rows: list[dict], section: Section) -> None:
        section.tables.append(self.table(rows))
        section.figures += [self.drawn(rows, stopped) for stopped in (SCANNER, READER) if any(point_of(r)["stopped"] == stopped for r in rows)]
        section.reading += self.reading(rows)

    @staticmethod
    def table(rows: list[dict]) -> Table:
        table = Table("Before, while a thread is stopped, and after it has gone on",
                      ["stopped", "scheme", "commits/s before", "commits meanwhile", "the last after s", "commits/s, second half",
                       "commits/s after", "longest commit in ms", "reads/s before", "reads/s meanwhile", "limbo before, most",
                       "limbo meanwhile, most", "rows"], [])
        for stopped in STOPPED:
            for system in in_order({r["system"] for r in rows}):
                def of(name, system=system, stopped=stopped):
                    return summarise(rows, system, lambda r: r["figures"].get(name), stopped=stopped)
                before, sources = of("commits_per_s_before")
                if before is None:
                    continue
                limbo = [NOT_MEASURED if found is None else bytes_text(found.median)
                         for found in (of("limbo_bytes_before")[0], of("limbo_bytes_meanwhile")[0])]
                table.rows.append([WORDS[stopped], system, interval(before), *(interval(of(name)[0]) for name in (
                    "commits_meanwhile", "last_commit_s", "late_commits_per_s", "commits_per_s_after", "longest_commit_ms",
                    "reads_per_s_before", "reads_per_s_meanwhile")), *limbo, sources])
        return table

    @staticmethod
    def drawn(rows: list[dict], stopped: str) -> Figure:
        series = []
        for system in in_order({r["system"] for r in rows}):
            # One run: a median over runs at each instant would show a run that never was.
            row = next((r for r in rows if r["system"] == system and point_of(r)["stopped"] == stopped), None)
            if row is not None and row.get("over_time"):
                series.append(drawing.Series(system, {round(at, 3): Interval.of([commits]) for at, _, commits in row["over_time"]}))
        return Figure(
            f"commits-over-time-{stopped}-stopped", f"Commits so far, while a thread is stopped {WORDS[stopped]} for half of the time, in the "
            "middle. One run of each.", "Line chart: commits so far against seconds, one line per scheme.",
            drawing.curves(f"A thread stopped {WORDS[stopped].partition(',')[0]}", "seconds since the start", "commits so far", series,
                           y_format=drawing.thousands))

    @staticmethod
    def reading(rows: list[dict]) -> list[str]:
        found = []
        for stopped in STOPPED:
            parts = []
            for system in in_order({r["system"] for r in rows}):
                late, _ = summarise(rows, system, lambda r: r["figures"].get("late_commits_per_s"), stopped=stopped)
                if late is not None:
                    parts.append(f"{system} {'stops writers' if late.median == 0 else f'lets them commit {late.median:,.0f}/s'}")
            if parts:
                found.append(f"A thread stopped {WORDS[stopped]}: {'; '.join(parts)}.")
        return found
