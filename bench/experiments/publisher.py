"""Execution models under load: a publisher over HTTP, against requests in flight and time spent outside."""
from __future__ import annotations

from report import drawing
from report.formats import NOT_MEASURED, interval, ratio, size as bytes_text
from report.intervals import Interval
from report.model import Figure, Job, Section, Size, Sources, Table, point_of, summarise

# The field's models, each on the cache that it has there, and on the shared one.
SYSTEMS = (("coroutines", "shared"), ("fibers", "shared"), ("thread_pool", "shared"), ("pools", "shared"),
           ("coroutines", "private"), ("thread_pool", "private"), ("processes", "private"))
MANY = (("coroutines", "shared"), ("fibers", "shared"))  # who can serve ten thousand requests at once
THREADS = 8
FLIGHTS = (1, 8, 64, 512, 1000, 4000, 10_000)
WAITS = (0, 1, 10, 100)
SHARES = (0.0, 0.05)


class Publisher:
    name = "publisher"
    title = "Execution models under load"
    question = "How many requests can be under way at once, and what do they cost, when each waits for something outside?"
    method = ("A server publishes WordNet over HTTP from a process of its own; each request is a transaction that looks a word up, "
              "reads its synset and, inside the transaction, waits for a while as for an external call. Closed loop: as many "
              "connections as requests in flight. One thread reads and writes; pools, fibers and processes have 8. Load "
              "and server share the machine. Little's law is the limit: as many requests in flight as there are, each for the time of "
              "its wait. Memory is the proportional set size, which counts shared pages once.")

    def jobs(self, size: Size) -> list[Job]:
        flights, waits, shares = size.choose(smoke=((1, 1000), (10,), (0.0,)), paper=((1, 1000), (0, 10), (0.0,)),
                                             full=(FLIGHTS, WAITS, SHARES))
        jobs = [self.job(model, cache, flight, wait, share, size)
                for flight in flights for wait in waits for share in shares for model, cache in SYSTEMS
                # Processes do not see each other's commits, as they would not without a server of the store.
                if not (model == "processes" and share > 0)]
        most = size.choose(smoke=MANY, paper=MANY, full=())
        return jobs + [self.job(model, cache, 10_000, 100, 0.0, size) for model, cache in most]

    def job(self, model: str, cache: str, flight: int, wait: int, share: float, size: Size) -> Job:
        store = () if model == "processes" else ("--path", "{wordnet_copy}" if share else "{wordnet}")
        return Job(
            self.name, f"{model}/{cache}", (("in_flight", flight), ("wait_ms", wait), ("write_share", share)), "publisher_load",
            ("--publisher", "{binaries}/publisher", "--model", model, "--cache", cache, "--threads", str(THREADS),
             "--connections", str(flight), "--external-call", str(wait), "--write-share", str(share),
             "--seconds", str(size.seconds), "--warmup", str(max(size.warmup, 3e-3 * wait)), "--seed", "{seed}",
             "--repetition", "{repetition}", "--output", "{output}", *store),
            estimate_s=size.seconds + size.warmup + (1.5 if model == "processes" else 0.3))

    def present(self, rows: list[dict], section: Section) -> None:
        systems = [f"{model}/{cache}" for model, cache in SYSTEMS if any(r["system"] == f"{model}/{cache}" for r in rows)]
        for share in sorted({point_of(r)["write_share"] for r in rows}):
            for wait in sorted({point_of(r)["wait_ms"] for r in rows}):
                self.present_one([r for r in rows if point_of(r)["wait_ms"] == wait and point_of(r)["write_share"] == share],
                                 systems, wait, share, section)

    def present_one(self, rows: list[dict], systems: list[str], wait: int, share: float, section: Section) -> None:
        what = f"{wait} ms outside, {100 * share:g}% edits"
        figures = (("Answers per second", "throughput", interval),
                   ("99th percentile of the latency, in µs", "p99_us", interval),
                   ("Memory of the server", "pss_bytes", lambda v: NOT_MEASURED if v is None else bytes_text(v.median)))
        series = {s: drawing.Series(s) for s in systems}
        for caption, field, show in figures:
            table = Table(f"{caption}: {what}", ["requests in flight", *systems, "rows"], [])
            for flight in sorted({point_of(r)["in_flight"] for r in rows}):
                cells, ids = [], []
                for system in systems:
                    value, sources = summarise(rows, system, lambda r: r.get(field), in_flight=flight)
                    cells.append(show(value))
                    ids += sources.ids
                    if value is not None and field == "throughput":
                        series[system].points[flight] = value
                table.rows.append([f"{flight:,}", *cells, Sources(tuple(ids))])
            section.tables.append(table)
        drawn = list(series.values())
        if wait > 0:
            limit = {flight: flight / (1e-3 * wait) for flight in sorted({point_of(r)["in_flight"] for r in rows})}
            drawn.append(drawing.Series("", {f: Interval(rate, None, None, 0) for f, rate in limit.items()}, computed=True,
                                        label="Little's law"))
            section.tables.append(self.against_the_law(rows, systems, limit, what))
        section.figures.append(Figure(
            f"{self.name}-{wait}ms-{100 * share:g}", f"Answers per second against requests in flight: {what}.",
            "Line chart: answers per second against requests in flight, one line per model and cache.",
            drawing.lines(f"Publisher: {what}", "requests in flight", "answers per second", drawn, x_log=True,
                          y_log=True, x_format=drawing.thousands, y_format=drawing.thousands)))

    @staticmethod
    def against_the_law(rows: list[dict], systems: list[str], limit: dict[int, float], what: str) -> Table:
        table = Table(f"Answers per second, as a share of Little's law: {what}", ["requests in flight", *systems, "rows"], [],
                      "Requests in flight divided by the wait: what no server can exceed.")
        for flight, most in limit.items():
            cells, ids = [], []
            for system in systems:
                value, sources = summarise(rows, system, lambda r: r.get("throughput"), in_flight=flight)
                cells.append(ratio(value.scaled(1 / most) if value else None))
                ids += sources.ids
            table.rows.append([f"{flight:,}", *cells, Sources(tuple(ids))])
        return table
