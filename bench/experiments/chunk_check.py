"""What a check of whole chunks before that of single states would save, and what it would cost elsewhere."""
from __future__ import annotations

from report.formats import NOT_MEASURED, ratio, significant, size as bytes_text
from report.intervals import Interval
from report.model import Job, Section, Size, Sources, Table, point_of, summarise
from report.plausible import faster_than_raw

TRAVERSALS = ("T1", "T6", "T2b")
READS = {"hot": "in a transaction that has made the traversal before", "fresh": "as a transaction of its own"}
# In the order of the tables, and at which sizes of chunks they were measured.
SIDES = {
    "raw": "plain C++ structs and pointers",
    "shared": "the cache's own reader, which checks states one by one",
    "chunks": "the prototype",
    "chunks-short-key": "the same, with keys of one comparison: a bound",
    "chunks-blindly": "the same, with hints that need no check: a bound that no cache can reach",
    "hint-only": "no check of any kind: the hint is followed blindly",
}
STOP_RULE = 1.6  # T6 hot against plain structs: below this the check would be adopted
CHUNK, PAGE = 65536, 4096


class ChunkCheck:
    name = "chunk-check"
    title = "One check for a chunk of states"
    question = "What would one log entry and one interval check for a whole chunk save, and what would it cost elsewhere?"
    method = ("A prototype of the read path (bench/probes/chunk_reader.hpp) logs an aligned piece of the state memory and looks at one "
              "interval for all states in it, as vmcache has one version for a page; where a state of the chunk was superseded or "
              "added since, it checks states one by one, as the cache does. It reads the states of a real shared cache, "
              "which has loaded OO7's small module in the order of T1, by the cache's own hints and logs. Chunks of 64 KiB and of "
              "4 KiB; an object was changed in 0 to 50% of them, and a transaction sleeps that sees the old states. Instructions "
              "and lines are counted by callgrind (caches of 32 KiB and 1 MiB), in a full run; times are medians of interleaved samples in one "
              "process, where nothing was written to. Counts of all traversals are checked. Adopted if T6 hot takes less than "
              f"{STOP_RULE} times as long as plain structs.")

    def jobs(self, size: Size) -> list[Job]:
        # Only a full run has time for Valgrind; the test `probes-chunk-check` tries it.
        how = size.choose(smoke=("--no-instructions", "--rounds", "3", "--sample", "0.001"), paper=("--no-instructions", "--rounds", "11"),
                          full=("--rounds", "21"))
        return [Job(self.name, "all", (), "probes",
                    ("chunk-check", *how, "--seed", "{seed}", "--repetition", "{repetition}", "--experiment", self.name,
                     "--output", "{output}"),
                    estimate_s=size.choose(smoke=2.0, paper=5.0, full=90.0))]

    @staticmethod
    def of(figure: str):
        return lambda row: row["figures"].get(figure)

    def present(self, rows: list[dict], section: Section) -> None:
        shares = sorted({point_of(r)["written"] for r in rows})
        for figure, what in (("instructions", "Instructions"), ("first_misses", "Cache lines fetched")):
            for reads, about in READS.items():
                section.tables.append(self.by_share(rows, shares, figure, f"{what} for one read, {about}", reads))
        section.tables.append(self.bounds(rows, section))
        section.tables.append(self.held(rows))
        self.commits(rows, section)
        self.verdict(rows, section)

    def by_share(self, rows: list[dict], shares: list[float], figure: str, caption: str, reads: str) -> Table:
        table = Table(caption, ["traversal, reader", *(f"{share:.0%} written" for share in shares), "rows"], [],
                      "The share of the chunks in which an object was changed since they were filled.")
        for traversal in TRAVERSALS:
            for system, bytes_ in (("raw", CHUNK), ("shared", CHUNK), ("chunks", CHUNK), ("chunks", PAGE)):
                cells, ids = [], []
                for share in shares:
                    value, sources = summarise(rows, system, self.of(figure), workload=traversal, reads=reads, written=share,
                                               chunk_bytes=bytes_)
                    cells.append(NOT_MEASURED if value is None else significant(value.median))
                    ids += sources.ids
                named = f"{system} of {bytes_text(bytes_)}" if system == "chunks" else system
                table.rows.append([f"{traversal}, {named}", *cells, Sources(tuple(ids))])
        return table

    def value(self, rows: list[dict], system: str, figure: str, traversal: str, reads: str) -> tuple[Interval | None, Sources]:
        return summarise(rows, system, self.of(figure), workload=traversal, reads=reads, written=0.0, chunk_bytes=CHUNK)

    def bounds(self, rows: list[dict], section: Section) -> Table:
        points = [(traversal, reads) for traversal in ("T6", "T1") for reads in READS]
        head = [f"{traversal} {reads}: {what}" for traversal, reads in points for what in ("instructions", "time of raw")]
        table = Table("Instructions for one read, and time as a ratio to plain structs, where nothing was written to; chunks of 64 KiB",
                      ["reader", *head, "rows"], [])
        for system, about in SIDES.items():
            cells, ids = [], []
            for traversal, reads in points:
                counted, sources = self.value(rows, system, "instructions", traversal, reads)
                time, _ = self.value(rows, system, "ratio_to_raw", traversal, reads)
                cells += [NOT_MEASURED if counted is None else significant(counted.median), ratio(time)]
                ids += sources.ids
                doubt = faster_than_raw(system, f"{traversal}, {reads}", time)
                section.doubts += [doubt] if doubt else []
            table.rows.append([f"{system}: {about}", *cells, Sources(tuple(ids))])
        return table

    def held(self, rows: list[dict]) -> Table:
        table = Table("What a transaction logs and holds, where nothing was written to",
                      ["transaction, reader", "chunks logged", "states logged", "states held", "bytes held", "rows"], [],
                      "Held is what nobody may free before the transaction ends, heap members included: also what is evicted or "
                      "superseded meanwhile. A serializable transaction would conflict with a change of any of these objects.")
        for workload, about in (("10-parts", "10 parts, chosen at random"), ("T6", "T6"), ("T1", "T1")):
            for system, bytes_ in (("shared", CHUNK), ("chunks", CHUNK), ("chunks", PAGE)):
                cells, ids = [], []
                for figure in ("chunks_logged", "states_logged", "held_states", "held_bytes"):
                    value, sources = summarise(rows, system, self.of(figure), workload=workload, reads="fresh", written=0.0,
                                               chunk_bytes=bytes_)
                    text = bytes_text if figure.endswith("bytes") else significant
                    cells.append(NOT_MEASURED if value is None else text(value.median))
                    ids = list(sources.ids)
                named = f"{system} of {bytes_text(bytes_)}" if system == "chunks" else system
                table.rows.append([f"{about}, {named}", *cells, Sources(tuple(ids))])
        return table

    def commits(self, rows: list[dict], section: Section) -> None:
        costs = [self.value(rows, system, "instructions", "supersede", "hot")[0] for system in ("shared", "chunks")]
        if None not in costs:
            section.reading.append(f"To supersede a state and to drop it takes {significant(costs[1].median - costs[0].median)} more "
                                   "instructions where its chunk has a header, two atomic steps among them, on a line that first "
                                   "reads of the chunk look at.")

    def verdict(self, rows: list[dict], section: Section) -> None:
        time, _ = self.value(rows, "chunks", "ratio_to_raw", "T6", "hot")
        now, _ = self.value(rows, "shared", "ratio_to_raw", "T6", "hot")
        if time is None or now is None:
            return
        below = (time.median if time.high is None else time.high) < STOP_RULE
        section.reading.append(f"T6 hot takes {ratio(time)} times as long as plain structs with the check of chunks, {ratio(now)} without: "
                               f"{'below' if below else 'not below'} {STOP_RULE}, so it is {'worth adopting' if below else 'not adopted'}.")
