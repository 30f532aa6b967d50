"""Processes over one PostgreSQL, with three kinds of caches, and what the cluster's model predicts of them."""
from __future__ import annotations

from report import drawing
from report.formats import NOT_MEASURED, interval, significant, size as bytes_text
from report.model import Figure, Job, Section, Size, Sources, Table, point_of, summarise
from report.systems import in_order

MIB = 1 / (1 << 20)
PROCESSES = {"smoke": (1, 2), "paper": (1, 2, 4, 8), "full": (1, 2, 4, 8)}
SESSIONS = 4  # of a process
WRITES = 10 / 100  # of the transactions
OBJECTS = 8_000
ABOUT = {"shared": "one cache a process", "private": "one a session", "two-level": "one a session over one of records a process"}


class PeersOverPostgres:
    name = "peers-over-postgres"
    title = "Processes over one PostgreSQL"
    question = "What do processes that share one store in a database server take, and ask of it, each with one cache?"
    method = ("PostgreSQL of Debian, in a scratch directory, started by an ordinary user, reached by a socket; what it commits is on the device "
              "(fsync). Processes of their own, each with sessions in threads, run transactions of 20 reads by Zipf's law (theta 0.99); some also "
              "change one object, drawn uniformly. Caches: one for all sessions of a process (shared); one for each session (private); and one "
              "for each session over one of serialized records for the process, of which each session decodes its own objects (two-level: "
              "RelStorage's way). Everything fits into each. A process starts cold, reads everything once in each session, and is then "
              "measured. Memory is the sum of the processes' proportional set sizes (PSS), without the server's. Staleness: from when a commit "
              "has returned in one process until a transaction of another one begins that sees it. Afterwards every process reads all objects "
              "and must find as many changes as all have committed. The prediction is the simulation of E-Scaling's cluster with a process for a "
              "node: all run on the cores of one machine, a process commits one group at a time, and the server one group after the other. Its "
              "costs are those of one session of one process (a transaction, a load, a commit), and of a second process that only learns; "
              "everything else is predicted. A run has one process of the measurement, which makes its rounds within itself: every round has "
              "new processes.")

    def jobs(self, size: Size) -> list[Job]:
        sessions, objects, seconds, rounds = size.choose(smoke=(2, 1_000, 0.3, 1), paper=(SESSIONS, OBJECTS, 1.0, 1),
                                                         full=(SESSIONS, OBJECTS, 3.0, 10))
        shares = size.choose(smoke=(WRITES,), paper=(WRITES,), full=(WRITES / 10, WRITES))
        return [Job(self.name, "all", (("write_share", share),), "probes",
                    ("postgres-peers", "--processes", ",".join(map(str, PROCESSES[size.name])), "--sessions", str(sessions), "--objects",
                     str(objects), "--write-share", f"{share:g}", "--seconds", f"{seconds:g}", "--rounds", str(rounds), "--seed", "{seed}",
                     "--repetition", "{repetition}", "--experiment", self.name, "--output", "{output}"),
                    estimate_s=size.choose(smoke=10.0, paper=130.0, full=1_400.0), time_limit_s=3_600.0, once=True) for share in shares]

    def present(self, rows: list[dict], section: Section) -> None:
        for row in rows:
            if why := row["figures"].get("not_measurable"):
                section.reading.append(f"Left out: {why}.")
        rows = [row for row in rows if "not_measurable" not in row["figures"]]
        for share in sorted({point_of(row)["write_share"] for row in rows}):
            self.of_share([row for row in rows if point_of(row)["write_share"] == share], share, section)

    def of_share(self, rows: list[dict], share: float, section: Section) -> None:
        systems = in_order({row["system"] for row in rows})
        counts = sorted({point_of(row)["processes"] for row in rows})
        writes = f"{100 * share:g}% of transactions write"
        section.tables += [self.measured(rows, systems, counts, writes), self.predicted(rows, systems, counts, writes)]
        if len(counts) > 1:
            section.figures += [self.figure(f"postgres-memory-{100 * share:g}", "memory of all processes", "MiB", rows, systems, counts, writes,
                                            lambda r: r["figures"]["pss_bytes"] * MIB),
                                self.figure(f"postgres-throughput-{100 * share:g}", "transactions of all processes", "transactions/s", rows, systems,
                                            counts, writes, lambda r: r["operations_per_s"])]
        self.say(rows, systems, counts[-1], writes, section)

    @staticmethod
    def measured(rows: list[dict], systems: list[str], counts: list[int], writes: str) -> Table:
        columns = (("memory (PSS)", lambda r: r["figures"]["pss_bytes"], bytes_text),
                   ("memory (RSS)", lambda r: r["rss_bytes"], bytes_text),
                   ("loads until warm", lambda r: r["figures"]["cold_loads"], lambda value: f"{value:,.0f}"),
                   ("loads a transaction", lambda r: r["figures"]["loads_per_transaction"], significant),
                   ("round trips a transaction", lambda r: r["figures"]["round_trips_per_transaction"], significant),
                   ("commits/s", lambda r: r["figures"]["commits_per_s"], significant),
                   ("commits of a group", lambda r: r["figures"]["group_size"], significant),
                   ("seen after ms, median", lambda r: r["figures"].get("staleness_p50_ms"), significant),
                   ("p99", lambda r: r["figures"].get("staleness_p99_ms"), significant))
        table = Table(f"Processes over one PostgreSQL, {writes}", ["processes", "caches", "transactions/s", *(name for name, *_ in columns), "rows"],
                      [], "; ".join(f"{name}: {ABOUT[name]}" for name in systems) + ".")
        for count in counts:
            for system in systems:
                rate, sources = summarise(rows, system, lambda r: r["operations_per_s"], processes=count)
                cells = []
                for _, value, text in columns:
                    found, _ = summarise(rows, system, value, processes=count)
                    cells.append(NOT_MEASURED if found is None else text(found.median))
                if sources.ids:
                    table.rows.append([str(count), system, interval(rate), *cells, sources])
        return table

    @staticmethod
    def predicted(rows: list[dict], systems: list[str], counts: list[int], writes: str) -> Table:
        table = Table(f"The cluster's model against the processes, {writes}",
                      ["processes", "caches", "transactions/s, measured", "predicted", "off", "loads a transaction, measured", "predicted",
                       "off", "memory grown, measured", "predicted", "off", "rows"], [],
                      "Off: predicted by measured, less one; of loads where there are some.")
        parts = ((lambda r: r["operations_per_s"], "predicted_throughput", "throughput_off", significant),
                 (lambda r: r["figures"]["loads_per_transaction"], "predicted_loads_per_transaction", "loads_off", significant),
                 (lambda r: r["figures"]["grown_bytes"], "predicted_grown_bytes", "grown_bytes_off", bytes_text))
        for count in counts:
            for system in systems:
                cells, sources = [], Sources(())
                for value, prediction, off, text in parts:
                    for how, show in ((value, text), (lambda r, name=prediction: r["figures"][name], text),
                                      (lambda r, name=off: r["figures"].get(name), signed_percent)):
                        found, sources_of = summarise(rows, system, how, processes=count)
                        cells.append(NOT_MEASURED if found is None else show(found.median))
                        sources = sources_of if sources_of.ids else sources
                if sources.ids:
                    table.rows.append([str(count), system, *cells, sources])
        return table

    @staticmethod
    def figure(name: str, what: str, unit: str, rows: list[dict], systems: list[str], counts: list[int], writes: str, value) -> Figure:
        series = []
        for system in systems:
            one = drawing.Series(system)
            for count in counts:
                found, _ = summarise(rows, system, value, processes=count)
                if found is not None:
                    one.points[count] = found
            series.append(one)
        title = f"{what[0].upper()}{what[1:]}"
        return Figure(name, f"{title} over one PostgreSQL; {writes}.",
                      f"Line chart: {what} against the number of processes, a line for each kind of caches; {writes}.",
                      drawing.lines(f"{what.partition(' of ')[0].capitalize()}, {writes}", "processes", unit, series, x_log=True, y_log=True,
                                    y_format=drawing.thousands))

    @staticmethod
    def say(rows: list[dict], systems: list[str], count: int, writes: str, section: Section) -> None:
        for system in systems:
            found = {name: summarise(rows, system, value, processes=count)[0] for name, value in (
                ("rate", lambda r: r["operations_per_s"]), ("memory", lambda r: r["figures"]["pss_bytes"]),
                ("cold", lambda r: r["figures"]["cold_loads"]), ("trips", lambda r: r["figures"]["round_trips_per_transaction"]),
                ("stale", lambda r: r["figures"].get("staleness_p99_ms")))}
            if found["rate"] is None:
                continue
            stale = f", commits seen after {significant(found['stale'].median)} ms (p99)" if found["stale"] is not None else ""
            section.reading.append(
                f"{count} processes, {writes}, {ABOUT[system]}: {significant(found['rate'].median)} transactions/s in "
                f"{bytes_text(found['memory'].median)}, {found['cold'].median:,.0f} loads until warm, "
                f"{significant(found['trips'].median)} round trips a transaction{stale}.")
        worst = {}
        for row in rows:
            for name, what in (("throughput_off", "throughput"), ("loads_off", "loads"), ("grown_bytes_off", "memory")):
                if name in row["figures"]:
                    worst[what] = max(worst.get(what, 0.0), abs(row["figures"][name]))
        if worst:
            section.reading.append(f"{writes[0].upper()}{writes[1:]}: the model is off by at most "
                                   + ", ".join(f"{100 * off:.0f}% in {what}" for what, off in worst.items()) + ".")


def signed_percent(share: float) -> str:
    return f"{100 * share:+.1f}%"
