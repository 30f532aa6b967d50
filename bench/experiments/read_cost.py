"""Time of one read against a plain C++ pointer."""
from __future__ import annotations

from report import drawing
from report.formats import NOT_MEASURED, interval, ratio
from report.intervals import Interval, geometric_mean, paired_ratio
from report.model import Figure, Job, Section, Size, Sources, Table, point_of, summarise
from report.plausible import faster_than_raw
from report.systems import in_order

# Two-level reads hot objects from its private level, as private does.
SYSTEMS = ("raw", "shared", "private")
OBJECTS = (100, 1_000, 10_000, 100_000, 1_000_000)


class ReadCost:
    name = "read-cost"
    title = "Time of a read against a plain pointer"
    question = "What does a read through the cache cost beyond following a C++ pointer?"
    method = ("A chase: objects linked in one random cycle, all of them warm, each read yields the reference to the next, so no "
              "two reads overlap. One thread, one transaction; the same node for every system. Each repetition is a process of "
              "its own for each system; a ratio is taken within a repetition.")

    def jobs(self, size: Size) -> list[Job]:
        minimum = size.choose(smoke="0.05", paper="0.1", full="0.5")
        # One process for all systems, their repetitions in random order: a neighbour that takes the memory's bandwidth
        # for some seconds must not hit one system only.
        return [Job(self.name, "all", (), "microbenchmarks",
                    (f"--benchmark_filter=^chase/({'|'.join(SYSTEMS)})/", f"--benchmark_min_time={minimum}",
                     f"--benchmark_repetitions={size.choose(smoke=1, paper=1, full=3)}", "--benchmark_enable_random_interleaving=true",
                     "--benchmark_format=console", "--benchmark_out_format=json", "--benchmark_out={output}"),
                    estimate_s=size.choose(smoke=22.0, paper=26.0, full=90.0))]

    @staticmethod
    def time(row: dict) -> float | None:
        return row["figures"].get("ns_per_read")

    def ratio_to_raw(self, rows: list[dict], system: str, objects: int) -> Interval | None:
        def times(name: str) -> dict[int, float]:
            return {r["repetition"]: self.time(r) for r in rows if r["system"] == name and point_of(r)["objects"] == objects}

        return paired_ratio(times(system), times("raw"))

    def present(self, rows: list[dict], section: Section) -> None:
        systems = in_order({r["system"] for r in rows})
        sizes = sorted({point_of(r)["objects"] for r in rows})
        times = Table("Nanoseconds for one read", ["objects", *systems, "rows"], [])
        ratios = Table("The same as a ratio to raw, of paired runs", ["objects", *(s for s in systems if s != "raw"), "rows"], [])
        series = {s: drawing.Series(s) for s in systems}
        relative = {s: drawing.Series(s) for s in systems if s != "raw"}
        for objects in sizes:
            cells, ids = [], []
            for system in systems:
                value, sources = summarise(rows, system, self.time, objects=objects)
                ids += sources.ids
                cells.append(interval(value))
                if value is not None:
                    series[system].points[objects] = value
            times.rows.append([f"{objects:,}", *cells, Sources(tuple(ids))])
            for system in relative:
                against = self.ratio_to_raw(rows, system, objects)
                if against is not None:
                    relative[system].points[objects] = against
                doubt = faster_than_raw(system, f"{objects:,} objects", against)
                section.doubts += [doubt] if doubt else []
            ratios.rows.append([f"{objects:,}", *(ratio(relative[s].points.get(objects)) for s in relative),
                                Sources(tuple(ids))])
        means = []
        for system, one in relative.items():
            complete = len(one.points) == len(sizes)
            means.append(f"{geometric_mean([p.median for p in one.points.values()]):.2f}" if complete else NOT_MEASURED)
            if complete:
                section.reading.append(f"{system}: {means[-1]} times a plain pointer (geometric mean over "
                                       f"{sizes[0]:,} to {sizes[-1]:,} objects).")
        ratios.rows.append(["geometric mean", *means, Sources(())])
        section.tables += [times, ratios]
        section.figures.append(Figure(
            "read-cost", "Time of one read in a chase against the number of objects.",
            "Line chart: nanoseconds per read against the number of objects, one line per cache and one for raw pointers.",
            drawing.lines("Time of one read", "objects", "ns per read", list(series.values()), x_log=True, y_log=True,
                          x_format=drawing.thousands, y_format=lambda y: f"{y:g}")))
        if any(one.points for one in relative.values()):
            section.figures.append(Figure(
                "read-cost-ratio", "Time of one read divided by that of a plain pointer, same node, same order.",
                "Line chart: ratio to a raw pointer against the number of objects, one line per cache.",
                drawing.lines("Time of one read, ratio to raw", "objects", "ratio to a plain pointer",
                              [one for one in relative.values() if one.points], x_log=True, y_log=True,
                              x_format=drawing.thousands, y_format=lambda y: f"{y:g}", reference=1.0)))
