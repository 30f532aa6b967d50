"""What each part of a hit costs: the read path with one part removed at a time."""
from __future__ import annotations

from report import drawing
from report.formats import NOT_MEASURED, interval, significant
from report.intervals import Interval
from report.model import Figure, Job, Section, Size, Sources, Table, point_of, summarise
from report.plausible import faster_than_raw
from report.published import HAC_BREAKDOWN, HAC_BREAKDOWN_SOURCE

WORKLOADS = {"chase-100": "chase, 100 objects", "chase-10000": "chase, 10,000 objects", "oo7-T1": "OO7 T1", "oo7-T6": "OO7 T6"}
READS = {"repeated": "read before in the transaction", "first": "first reads of a transaction"}
# In the order of the tables. What each lacks, and what is wrong with it as a cache.
VARIANTS = {
    "shared": "the cache's own reader",
    "everything": "the measuring reader, nothing removed",
    "no-log": "no read log: nothing keeps a state from being freed under its reader",
    "no-visited": "no visited bit: the policy evicts what is read all the time",
    "no-interval": "no interval check: a transaction sees commits after its snapshot",
    "no-hint": "no hints: every read searches the oid table",
    "no-decode": "no decoded values: every read decodes a record, and has no hint",
    "hash-log": "the log is a hash set only",
    "bitmap-log": "the log is a bitmap only",
    "key-only": "no log, visited bit and interval: only the key is compared",
    "hint-only": "not even the key: the hint is followed blindly",
    "raw": "plain C++ structs and pointers",
}
BASE = "everything"
PARTS = {"checks": ("no-log", "no-visited", "no-interval", "shared"), "shortcuts": ("no-hint", "no-decode")}
WITHOUT = {"checks": "one of the checks", "shortcuts": "hints or values"}
# Lines of HAC's table, and what does their work here: the time of one variant less that of another.
COUNTERPARTS = {
    "Concurrency control checks": ("read log and interval", "everything", "key-only"),
    "Usage statistics": ("visited bit", "everything", "no-visited"),
    "Residency and swizzling checks": ("key", "key-only", "hint-only"),
    "Indirection": ("headers, wider references, slots of whole cache lines", "hint-only", "raw"),
}


class HitCost:
    name = "hit-cost"
    title = "What each part of a hit costs"
    question = "How much time of a read do the log, the visited bit, the interval check, the hint and decoded values take or save?"
    method = ("The real reader and a measuring-only copy of its steps (bench/probes/hit_cost_reader.hpp) from which parts are left "
              "out at compile time, on the same states of one shared cache; plain structs beside them. All are interleaved in "
              "one process in random order; processor time, a median of the samples of each. A pass follows a random cycle, or "
              "is a traversal of OO7's small module whose counts are checked; it is measured in a transaction that has made it "
              "before, and as a transaction of its own, begin and end included. The variants are not safe to use: see what each "
              "lacks. Without decoded values there is nowhere to keep hints, so that variant lacks both. HAC was measured in the "
              "same way, by removing code, on the medium database and a machine of 1997; its lines are shares of its C++ "
              "traversal.")

    def jobs(self, size: Size) -> list[Job]:
        rounds = size.choose(smoke=7, paper=11, full=21)
        return [Job(self.name, "all", (), "probes",
                    ("hit-cost", "--rounds", str(rounds), "--seed", "{seed}", "--repetition", "{repetition}", "--experiment",
                     self.name, "--output", "{output}"),
                    estimate_s=size.choose(smoke=5.0, paper=8.0, full=16.0))]

    @staticmethod
    def time(row: dict) -> float | None:
        return row["figures"].get("ns_per_read")

    def times(self, rows: list[dict], variant: str, workload: str, reads: str) -> dict[int, float]:
        return {r["repetition"]: self.time(r) for r in rows
                if r["system"] == variant and point_of(r)["workload"] == workload and point_of(r)["reads"] == reads}

    def present(self, rows: list[dict], section: Section) -> None:
        workloads = [w for w in WORKLOADS if any(point_of(r)["workload"] == w for r in rows)]
        for reads, about in READS.items():
            section.tables.append(self.times_table(rows, workloads, reads, about))
        for kind in PARTS:
            for reads, about in READS.items():
                section.figures.append(self.figure(rows, workloads, reads, about, kind))
        self.beside_hac(rows, section)
        self.say(rows, workloads, section)

    def times_table(self, rows: list[dict], workloads: list[str], reads: str, about: str) -> Table:
        table = Table(f"Nanoseconds for one read: {about}", ["variant", *(WORKLOADS[w] for w in workloads), "rows"], [],
                      self.note_on_logs(rows, workloads))
        for variant, lacks in VARIANTS.items():
            cells, ids = [], []
            for workload in workloads:
                value, sources = summarise(rows, variant, self.time, workload=workload, reads=reads)
                cells.append(interval(value))
                ids += sources.ids
            table.rows.append([f"{variant}: {lacks}", *cells, Sources(tuple(ids))])
        return table

    @staticmethod
    def note_on_logs(rows: list[dict], workloads: list[str]) -> str:
        parts = []
        for workload in workloads:
            row = next(r for r in rows if point_of(r)["workload"] == workload)
            layout = "a bitmap" if row["figures"]["log_is_bitmap"] else "a hash set"
            parts.append(f"{WORKLOADS[workload]}: {layout}")
        return "The layout that the log has chosen for itself after one pass: " + "; ".join(parts) + "."

    def ratio(self, rows: list[dict], variant: str, workload: str, reads: str, to: str = BASE) -> Interval | None:
        """Each value is a median over the rounds of a process, in each of which both sides were measured."""
        figure = "ratio_to_raw" if to == "raw" else "ratio_to_everything"
        value, _ = summarise(rows, variant, lambda r: r["figures"].get(figure), workload=workload, reads=reads)
        return value

    def figure(self, rows: list[dict], workloads: list[str], reads: str, about: str, kind: str) -> Figure:
        """Parts that cost time and parts that save some need axes of their own."""
        series = []
        for variant in PARTS[kind]:
            one = drawing.Series(variant)
            for index, workload in enumerate(workloads):
                value = self.ratio(rows, variant, workload, reads)
                if value is not None:
                    one.points[index] = value
            series.append(one)
        control = " shared is the cache's own reader, for control." if kind == "checks" else ""
        return Figure(
            f"hit-cost-{kind}-{reads}", f"Time of a read without one of its parts, divided by that with all of them: {about}. "
            f"Below 1 the part costs time, above 1 it saves time.{control}",
            f"Dot chart: ratio of the time of a read with one part removed to the time with all, {about}, for each workload.",
            drawing.dots(f"Without {WITHOUT[kind]}: {reads} reads", "time of a read, ratio to nothing removed",
                         [WORKLOADS[w] for w in workloads], series, x_log=kind == "shortcuts",
                         x_format=lambda x: f"{x:g}", reference=1.0))

    def beside_hac(self, rows: list[dict], section: Section) -> None:
        traversals = [t for t in ("T1", "T6") if any(point_of(r)["workload"] == f"oo7-{t}" for r in rows)]
        if not traversals:
            return
        head = ["HAC's line: what does its work here"]
        for traversal in traversals:
            head += [f"{traversal}, HAC", f"{traversal}, repeated", f"{traversal}, first"]
        table = Table("Parts as a share of the traversal in plain C++", [*head, "rows"], [],
                      f"Of {HAC_BREAKDOWN_SOURCE}, the medium database; ours the small one. HAC's code for exceptions has no "
                      "counterpart here. Each share is the difference of two variants in one process, so small ones may come "
                      "out below zero.")
        for line, (ours, more, less) in COUNTERPARTS.items():
            cells, ids = [], []
            for traversal in traversals:
                cells.append(percent(HAC_BREAKDOWN[traversal][line]))
                for reads in READS:
                    share, sources = self.share(rows, more, less, f"oo7-{traversal}", reads)
                    cells.append(NOT_MEASURED if share is None else spread(share))
                    ids += sources
            table.rows.append([f"{line}: {ours}", *cells, Sources(tuple(ids))])
        cells = []
        for traversal in traversals:
            cells.append(f"{HAC_BREAKDOWN[traversal]['total']:.2f}x")
            for reads in READS:
                total = self.ratio(rows, "shared", f"oo7-{traversal}", reads, to="raw")
                cells.append(NOT_MEASURED if total is None else f"{total.median:.2f}x")
                doubt = faster_than_raw("shared", f"{traversal}, {reads}", total)
                section.doubts += [doubt] if doubt else []
        table.rows.append(["whole traversal: of plain C++", *cells, Sources(())])
        section.tables.append(table)

    def share(self, rows: list[dict], more: str, less: str, workload: str, reads: str) -> tuple[Interval | None, list[str]]:
        """The difference of two variants as a share of raw, of the same process each time."""
        first, second, raw = (self.times(rows, v, workload, reads) for v in (more, less, "raw"))
        common = sorted(first.keys() & second.keys() & raw.keys())
        ids = [r["id"] for r in rows if r["system"] in (more, less, "raw") and point_of(r)["workload"] == workload
               and point_of(r)["reads"] == reads]
        return Interval.of([(first[i] - second[i]) / raw[i] for i in common]) if common else None, ids

    def say(self, rows: list[dict], workloads: list[str], section: Section) -> None:
        for workload in workloads:
            parts = []
            for variant, part in (("no-log", "the log"), ("no-hint", "hints"), ("no-decode", "hints and decoded values")):
                value = self.ratio(rows, variant, workload, "repeated")
                if value is not None:
                    parts.append(f"{significant(value.median)} without {part}")
            section.reading.append(f"{WORKLOADS[workload]}, repeated reads take {', '.join(parts)} times as long.")
            own = self.ratio(rows, "shared", workload, "repeated")
            if own is not None and not 0.8 <= own.median <= 1.25:
                section.reading.append(f"{WORKLOADS[workload]}: the cache's own reader took {own.median:.2f} of the measuring "
                                       "reader's time, so what the variants show here does not carry over.")


def percent(share: float) -> str:
    return f"{share * 100:.0f}%"


def spread(value: Interval) -> str:
    text = percent(value.median)
    return text if value.low is None else f"{text} ({percent(value.low)} to {percent(value.high)})"
