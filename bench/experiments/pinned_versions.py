"""Versions that must be kept for transactions that sleep: counted by rule, and of a cache that runs; and what it costs to wake."""
from __future__ import annotations

from report import drawing
from report.formats import NOT_MEASURED, interval, size as bytes_text
from report.model import Figure, Job, Section, Size, Sources, Table, point_of, summarise
from report.systems import in_order

RECLAIMERS = ("epochs", "interval", "counted", "neutralise", "hybrid")
# By sleepers: the seconds of a process are those of 5 runs, each with a million commits and at most two million reads after it.
SLEEPERS = {"smoke": (1, 100), "paper": (1, 10, 100, 1_000, 10_000), "full": (1, 10, 100, 1_000, 10_000)}
# A paper run counts at every point of uniform updates, and by Zipf beside most sleepers. In a running cache it leaves out what lies
# between others, and the one that would take as long as all others together: interval, which compares each retired state with each of
# 10,000 intervals.
ZIPF_FROM = {"smoke": None, "paper": 10_000, "full": 1}
PAPER_RECLAIMERS = {(10, 0.0): ("hybrid",), (1_000, 0.0): ("hybrid",), (10_000, 0.0): ("hybrid",),
                    (10_000, 0.99): tuple(one for one in RECLAIMERS if one != "interval")}
ESTIMATES_S = {"smoke": {1: 0.3, 100: 0.3}, "paper": {1: 8.0, 10: 2.0, 100: 32.0, 1_000: 7.0, 10_000: 18.0},
               "full": {1: 8.0, 10: 12.0, 100: 32.0, 1_000: 60.0, 10_000: 300.0}}
COUNTED, RUN = "counted", "run"


def named(updates: str) -> str:
    return {"uniform": "uniform updates", "zipf": "Zipf's updates"}[updates]


class PinnedVersions:
    name = "pinned-versions"
    title = "Snapshots that pin less than they can see"
    question = "How many versions must be kept for transactions that sleep, and what does it cost when they wake?"
    method = ("20,000 objects and a million commits of one object each, uniform or Zipf's (theta 0.99); sleepers begin evenly over the "
              "first half of them, read 100 objects each, uniformly, and sleep. First counted, without a cache: which superseded versions "
              "each rule keeps. Epochs: all that were superseded after the first sleeper began. Interval (2GEIBR): those that lived between "
              "a sleeper's begin and its last read, of which it makes one with each commit. Visible: those that a snapshot can see. Hybrid, "
              "this cache's rule: those that a sleeper has read. Then the same updates in a cache under each reclaimer: everything is "
              "evicted that can be, and what is left in limbo is pinned; that number must be the counted one (of interval at least that "
              "of visible, for a version may be retired late). Then the sleepers wake, one after the other, and read again at their "
              "snapshots what they had read, and others, all of them or two million reads together; each value is compared with a model, "
              "and a single wrong one fails the run. What was let go is loaded again from a store in memory; a disk's reads come on top.")

    def jobs(self, size: Size) -> list[Job]:
        objects, updates, rereads = (2_000, 20_000, 20_000) if size.smoke else (20_000, 1_000_000, 2_000_000)
        return [Job(self.name, "all", (("sleepers", sleepers), ("theta", theta)), "probes",
                    ("pinned-versions", "--objects", str(objects), "--updates", str(updates), "--sleepers", str(sleepers), "--zipf",
                     f"{theta:g}", "--rereads", str(rereads), "--reclaimers", ",".join(self.reclaimers(size, sleepers, theta)),
                     "--seed", "{seed}", "--repetition", "{repetition}", "--experiment", self.name, "--output", "{output}"),
                    estimate_s=ESTIMATES_S[size.name][sleepers])
                for theta in (0.0, 0.99) for sleepers in SLEEPERS[size.name]
                if theta == 0 or (ZIPF_FROM[size.name] is not None and sleepers >= ZIPF_FROM[size.name])]

    @staticmethod
    def reclaimers(size: Size, sleepers: int, theta: float) -> tuple[str, ...]:
        return PAPER_RECLAIMERS.get((sleepers, theta), RECLAIMERS) if size.name == "paper" else RECLAIMERS

    def present(self, rows: list[dict], section: Section) -> None:
        for updates in sorted({point_of(r)["updates"] for r in rows}):
            chosen = [r for r in rows if point_of(r)["updates"] == updates]
            self.present_counts([r for r in chosen if point_of(r)["kind"] == COUNTED], updates, section)
            self.present_runs([r for r in chosen if point_of(r)["kind"] == RUN], updates, section)

    @staticmethod
    def present_counts(rows: list[dict], updates: str, section: Section) -> None:
        systems = in_order({r["system"] for r in rows})
        sleepers = sorted({point_of(r)["sleepers"] for r in rows})
        table = Table(f"Superseded versions that must be kept, {named(updates)}, counted", ["sleepers", *systems, "rows"], [])
        series = {system: drawing.Series(system) for system in systems}
        for count in sleepers:
            cells, ids = [], []
            for system in systems:
                found, sources = summarise(rows, system, lambda r: r["figures"]["superseded"], sleepers=count)
                cells.append(NOT_MEASURED if found is None else f"{found.median:,.0f}")
                ids += sources.ids
                if found is not None and found.median > 0:
                    series[system].points[count] = found
            table.rows.append([f"{count:,}", *cells, Sources(tuple(ids))])
        section.tables.append(table)
        section.figures.append(Figure(
            f"pinned-versions-{updates}", f"Superseded versions that must be kept for staggered sleepers of 100 reads each, by rule, "
            f"{named(updates)}. Counted.", "Line chart: versions kept against the number of sleepers, one line per rule.",
            drawing.lines(f"Versions kept, {named(updates)}", "sleepers", "superseded versions kept",
                          [one for one in series.values() if one.points], x_log=True, y_log=True, y_format=drawing.thousands,
                          x_format=drawing.thousands)))

    @staticmethod
    def present_runs(rows: list[dict], updates: str, section: Section) -> None:
        table = Table(f"Sleepers in a running cache, and after they have woken, {named(updates)}",
                      ["sleepers", "reclaimer", "states pinned", "memory pinned", "sleepers aborted", "values read again", "wrong",
                       "ns of one that it had read", "ns of another", "records loaded", "ns an update", "rows"], [],
                      "Times are medians; a sleeper that was aborted reads nothing again.")
        for count in sorted({point_of(r)["sleepers"] for r in rows}):
            for system in in_order({r["system"] for r in rows}):
                def of(figure: str):
                    return summarise(rows, system, lambda r: r["figures"][figure], sleepers=count)
                pinned, sources = of("pinned")
                if pinned is None:
                    continue
                whole = [f"{of(figure)[0].median:,.0f}" for figure in ("aborted", "rereads", "wrong")]
                table.rows.append([f"{count:,}", system, f"{pinned.median:,.0f}", bytes_text(of("pinned_bytes")[0].median), *whole,
                                   interval(of("ns_per_hit")[0]), interval(of("ns_per_reread")[0]),
                                   f"{of('records_loaded')[0].median:,.0f}", interval(of("ns_per_update")[0]), sources])
        section.tables.append(table)
