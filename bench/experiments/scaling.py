"""Traffic between cores per operation, counted; and how far that lets each cache scale, as a model."""
from __future__ import annotations

from report import coherence_model as model, drawing
from report.formats import NOT_MEASURED, significant
from report.model import Figure, Job, Section, Size, Sources, Table, point_of, summarise
from report.systems import in_order, look

PHASES = {
    "hit": "read, read before in this transaction",
    "begin-end": "begin and end",
    "first-reads": "transaction of 100 first reads",
    "commit": "transaction that commits one object",
    "miss": "transaction that loads one object",
}
# Where the caches differ: they share one committer, so the bands of their commits lie on each other.
DRAWN = {"begin-end": ("shared", "private", "locked", "blocking"), "first-reads": ("shared", "private", "locked", "blocking"),
         "commit": ("shared",), "miss": ("shared", "locked")}
READING = ("hit", "begin-end", "first-reads")
CORES = (1, 2, 4, 8, 16, 32, 48, 64, 96, 128)
SHOWN_CORES = (2, 8, 32, 128)


class Scaling:
    name = "scaling"
    title = "Scaling beyond the cores at hand"
    question = "Which operations write what other cores read, and how far can they scale then?"
    method = ("Counted, not timed: the caches are compiled with the compiler's instrumentation for ThreadSanitizer, and a "
              "recorder in the place of its runtime follows each cache line of 64 bytes through a MESI protocol with caches "
              "without limit. Threads take turns, one operation each, so that whatever they share moves as often as it can and the "
              "count is the same on any machine; commits are of objects of the thread's own, over a store in memory, which is "
              "counted too. A transfer is a read or a write that has to ask another core's cache. Not seen: what the allocator "
              "does inside. The bands are a model made of these counts, the processor time of an operation with one thread, "
              "and published times of a transfer; only the points are measured. " + model.SHAPE + ".")

    def jobs(self, size: Size) -> list[Job]:
        operations, threads = size.choose(smoke=("128", (2, 4)), paper=("1024", (2, 16)), full=("1024", (2, 4, 8, 16)))
        jobs = [self.count(n, operations, ()) for n in threads]
        # As they are scheduled: what is counted then depends on the machine, and must not be more.
        jobs.append(self.count(2, operations, ("--concurrent",)))
        seconds = size.choose(smoke=0.05, paper=0.2, full=0.5)
        jobs.append(Job(self.name, "caches", (("schedule", "timed"),), "traffic/time-operations",
                        ("--seconds", f"{seconds:g}", "--output", "{output}"), estimate_s=2 + 32 * seconds))
        return jobs

    def count(self, threads: int, operations: str, more: tuple[str, ...]) -> Job:
        return Job(self.name, "caches", (("schedule", "concurrent" if more else "alternate"), ("threads", threads)),
                   "traffic/count-traffic",
                   ("--threads", str(threads), "--operations", operations, "--warmup", "128", "--output", "{output}", *more),
                   estimate_s=1 + 0.4 * threads)

    def present(self, rows: list[dict], section: Section) -> None:
        systems = in_order({r["system"] for r in rows})
        threads = sorted({point_of(r)["threads"] for r in rows if point_of(r)["schedule"] == "alternate"})
        if threads:
            self.counts(rows, systems, threads, section)
            self.by_threads(rows, systems, threads, section)
        if threads and any(point_of(r)["schedule"] == "timed" for r in rows):
            self.bands(rows, systems, threads[-1], section)
        self.costs(section)

    @staticmethod
    def counts(rows: list[dict], systems: list[str], threads: list[int], section: Section) -> None:
        least = threads[0]
        table = Table(f"Traffic of one operation, {least} threads in turns",
                      ["operation", "cache", "writes to shared lines", "of them atomic updates", "transfers",
                       "of the busiest line", "rows"], [],
                      "A line is shared if two threads touch it. The first reads are 100 in one transaction.")
        series = {system: drawing.Series(system) for system in systems}
        for number, (phase, about) in enumerate(PHASES.items()):
            for system in systems:
                cells, sources = [], Sources(())
                for figure in ("shared_writes", "shared_updates", "transfers", "busiest_line_transfers"):
                    value, sources = summarise(rows, system, lambda r: r["figures"].get(figure), phase=phase, threads=least,
                                               schedule="alternate")
                    cells.append(NOT_MEASURED if value is None else significant(value.median))
                    if figure == "transfers" and value is not None:
                        series[system].points[number] = value.scaled(0.01) if phase == "first-reads" else value
                table.rows.append([about, system, *cells, sources])
        section.tables.append(table)
        section.figures.append(Figure(
            "traffic-per-operation", "Cache lines that one operation moves between cores; first reads: each.",
            "Dot chart: transfers of cache lines for each operation, one dot per cache.",
            drawing.dots("Traffic between cores", "transfers per operation",
                         ["hit", "begin, end", "first read", "commit", "miss"], list(series.values()))))
        for phase in READING:
            for system in [s for s in systems if s == "shared"]:
                found = [r for r in rows if r["system"] == system and point_of(r)["phase"] == phase
                         and point_of(r)["schedule"] != "timed" and r["figures"]["shared_writes"] > 0]
                if found:
                    times = significant(found[0]["figures"]["shared_writes"])
                    section.doubts.append(f"{system}: {PHASES[phase]} writes lines that other threads use, {times} times; the "
                                          f"design says never ({found[0]['id']}).")

    @staticmethod
    def by_threads(rows: list[dict], systems: list[str], threads: list[int], section: Section) -> None:
        table = Table("Transfers of one operation, by the number of threads",
                      ["operation", "cache", *map(str, threads), f"{threads[0]}, not in turns", "rows"], [],
                      "More threads find more of the lines elsewhere, up to all of them; an operation that stays below a "
                      "constant does not get dearer with the machine.")
        for phase in ("first-reads", "commit", "miss"):
            for system in systems:
                cells, ids = [], []
                for schedule, count in [("alternate", n) for n in threads] + [("concurrent", threads[0])]:
                    value, sources = summarise(rows, system, lambda r: r["figures"].get("transfers"), phase=phase,
                                               threads=count, schedule=schedule)
                    cells.append(NOT_MEASURED if value is None else significant(value.median))
                    ids += sources.ids
                table.rows.append([PHASES[phase], system, *cells, Sources(tuple(ids))])
        section.tables.append(table)
        commits = [r for r in rows if r["system"] == "shared" and point_of(r)["phase"] == "commit"
                   and point_of(r)["schedule"] == "alternate"]
        reads = [r for r in rows if r["system"] == "shared" and point_of(r)["phase"] in READING
                 and point_of(r)["schedule"] != "timed"]
        if commits and reads:
            moved = [r["figures"]["transfers"] for r in commits]
            writes = significant(max(r["figures"]["shared_writes"] for r in reads))
            section.reading.append(
                f"In the shared cache hits, begins, ends and first reads write {writes} times a line that another thread uses; a "
                f"commit of one object moves {significant(min(moved))} to {significant(max(moved))} lines, with {threads[0]} to "
                f"{threads[-1]} threads.")

    @staticmethod
    def bands(rows: list[dict], systems: list[str], threads: int, section: Section) -> None:
        table = Table("Operations per second: measured, and predicted by the model",
                      ["operation", "cache", "alone, ns", "1, measured", "2, measured",
                       *(f"{n}, model" for n in SHOWN_CORES), "rows"], [],
                      "Alone: one thread's processor time, which is what the model goes by; other programs do not change it. "
                      "Measured is by the clock on the wall. Model: lower and upper edge of the band.")
        for phase, about in PHASES.items():
            measured, operations = {}, {}
            for system in systems:
                alone, sources = summarise(rows, system, lambda r: r["figures"].get("processor_ns"), phase=phase, threads=1,
                                           schedule="timed")
                cells, ids = [NOT_MEASURED if alone is None else significant(alone.median)], []
                for count in (1, 2):
                    value, sources = summarise(rows, system, lambda r: r.get("operations_per_s"), phase=phase, threads=count,
                                               schedule="timed")
                    ids += sources.ids
                    cells.append(NOT_MEASURED if value is None else drawing_rate(value.median))
                    if value is not None:
                        measured.setdefault(system, {})[count] = value.median
                transfers, sources = summarise(rows, system, lambda r: r["figures"].get("transfers"), phase=phase,
                                               threads=threads, schedule="alternate")
                busiest, _ = summarise(rows, system, lambda r: r["figures"].get("busiest_line_transfers"), phase=phase,
                                       threads=threads, schedule="alternate")
                ids += sources.ids
                if transfers is None or alone is None:
                    continue
                operations[system] = model.Operation(alone.median, transfers.median, busiest.median)
                for cores in SHOWN_CORES:
                    low, high = model.band(operations[system], cores)
                    same = drawing_rate(low) == drawing_rate(high)
                    cells.append(drawing_rate(low) if same else f"{drawing_rate(low)} to {drawing_rate(high)}")
                table.rows.append([about, system, *cells, Sources(tuple(ids))])
            drawn = {system: operations[system] for system in DRAWN.get(phase, ()) if system in operations}
            if drawn:
                section.figures.append(Figure(
                    f"scaling-{phase}", f"Model, not measured beyond the points: {about}; bands from counted transfers and "
                    "published times of a transfer.",
                    f"Log-log chart: operations per second against cores up to 128 for {about}, a predicted band for each cache "
                    "and measured points at one and two threads.", draw_bands(about, drawn, measured)))
        section.tables.append(table)

    @staticmethod
    def costs(section: Section) -> None:
        table = Table("What the model takes a transfer to cost, in nanoseconds",
                      ["machine", "in a group", "in a socket", "across sockets", "mean over 2, 8, 32, 128 cores"], [],
                      model.SOURCE + ".")
        for machine in model.MACHINES:
            means = ", ".join(significant(machine.cost_ns(n)) for n in SHOWN_CORES)
            costs = (f"{cost:g}" for cost in (machine.group_ns, machine.socket_ns, machine.across_ns))
            table.rows.append([machine.name, *costs, means])
        section.tables.append(table)


def drawing_rate(value: float) -> str:
    for limit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{significant(value / limit)} {suffix}"
    return significant(value)


def draw_bands(about: str, operations: dict[str, model.Operation], measured: dict[str, dict[int, float]]):
    matplotlib, ticker = drawing.plotting()
    with matplotlib.rc_context(drawing.STYLE):
        canvas, axes = drawing.frame("Model: " + about)
        for system in sorted(operations, key=lambda s: s == "shared"):
            style = look(system)
            edges = [model.band(operations[system], n) for n in CORES]
            axes.fill_between(CORES, [low for low, _ in edges], [high for _, high in edges], color=style.colour, alpha=0.22,
                              linewidth=0)
            for edge in (0, 1):
                axes.plot(CORES, [pair[edge] for pair in edges], color=style.colour, linewidth=0.8, linestyle=(0, (3, 2)))
            points = measured.get(system, {})
            axes.plot(list(points), list(points.values()), linestyle="none", color=style.colour, marker=style.marker,
                      label=system, markeredgecolor=drawing.PAPER, markeredgewidth=0.6, zorder=4)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks([1, 2, 4, 8, 16, 32, 64, 128], ["1", "2", "4", "8", "16", "32", "64", "128"])
        axes.xaxis.set_minor_locator(ticker.NullLocator())
        axes.yaxis.set_minor_locator(ticker.NullLocator())
        axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda y, _: drawing.thousands(y)))
        axes.set_xlabel("cores (points: measured; bands: model)")
        axes.set_ylabel("operations per second")
        drawing.legend(axes, in_order(operations))
    return canvas
