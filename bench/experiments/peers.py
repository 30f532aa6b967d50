"""The cache beside other stores and maps: the same chase, each in transactions of its own kind."""
from __future__ import annotations

from report import drawing
from report.formats import interval, ratio
from report.model import Better, Figure, Job, Section, Size, Sources, Table, point_of, summarise

# In the order of the tables, and what a transaction and a read are there.
SYSTEMS = {
    "shared": "this cache, by the reference that an object holds",
    "shared/by-oid": "this cache, by oid alone",
    "lmdb": "LMDB: mdb_txn_renew and mdb_txn_reset, mdb_get in the memory map",
    "wiredtiger": "WiredTiger: snapshot isolation, one cursor a session, all in its cache",
    "rocksdb": "RocksDB: a snapshot, Get into a PinnableSlice, all in its block cache",
    "map": "unordered_map of shared_ptr behind a shared_mutex; no snapshots",
    "tbb": "tbb::concurrent_hash_map with a const_accessor; no snapshots",
}
OURS = "shared"
OBJECTS = {"smoke": (10_000, 100_000), "paper": (10_000, 1_000_000), "full": (10_000, 100_000, 1_000_000)}
READS = (10, 100, 1_000)
THREADS = (1, 2)
# Build and checks of a million objects in seven ways, and six points of so many rounds each.
ESTIMATES_S = {"smoke": (2.0, 4.0), "paper": (4.0, 25.0), "full": (15.0, 20.0, 55.0)}


def of(threads: int) -> str:
    return {1: "one thread", 2: "two threads"}.get(threads, f"{threads} threads")


def place(objects: int, reads: int) -> str:
    return f"{drawing.thousands(objects)} objects, {drawing.thousands(reads)} reads"


class Peers:
    name = "peers"
    title = "Reads beside other stores"
    question = "What does a warm read in a transaction cost in other stores, and in the maps that programs use without one?"
    method = ("A chase: objects of 136 bytes, linked in one random cycle, inserted in the order of their keys; each read yields the "
              "next one, so no two reads overlap. A transaction takes a snapshot, makes 10, 100 or 1,000 reads and ends; the next one "
              "goes on from there. Every peer has its own snapshot where it has any, and reads the record where it lies, without a "
              "copy: LMDB in its map (Chu, LDAPCon 2011), WiredTiger in its page, RocksDB in its block; the maps have no snapshots. "
              "All objects fit into every cache and have been read before. All sides are in one process, in rounds of random order; "
              "the sum of what each sample has read is compared with what it must be. With two threads, each follows the chain from a "
              "place of its own. Times are those of the processor, of one thread: what waits for a lock is left out, which is to the "
              "advantage of RocksDB's snapshots.")

    def jobs(self, size: Size) -> list[Job]:
        rounds, sample = size.choose(smoke=(3, "0.005"), paper=(7, "0.01"), full=(21, "0.02"))
        return [Job(self.name, "all", (("objects", objects),), "peers",
                    ("--objects", str(objects), "--reads", ",".join(map(str, READS)), "--threads", ",".join(map(str, THREADS)),
                     "--rounds", str(rounds), "--sample", sample, "--path", "{fresh}", "--seed", "{seed}", "--repetition",
                     "{repetition}", "--experiment", self.name, "--output", "{output}"), estimate_s=estimate)
                for objects, estimate in zip(OBJECTS[size.name], ESTIMATES_S[size.name])]

    @staticmethod
    def time(row: dict) -> float | None:
        return row["figures"].get("ns_per_read")

    @staticmethod
    def ratio_to_ours(row: dict) -> float | None:
        """A median over the rounds of a process, in each of which both sides were measured."""
        return row["figures"].get("ratio_to_shared")

    def present(self, rows: list[dict], section: Section) -> None:
        systems = [s for s in SYSTEMS if any(r["system"] == s for r in rows)]
        points = sorted({(point_of(r)["threads"], point_of(r)["objects"], point_of(r)["reads"]) for r in rows})
        for threads in sorted({point[0] for point in points}):
            chosen = [point for point in points if point[0] == threads]
            section.tables += [
                self.table(f"Nanoseconds for one read, {of(threads)}", rows, systems, chosen, self.time, interval,
                           "; ".join(f"{name}: {SYSTEMS[name]}" for name in systems) + "."),
                self.table(f"The same as a ratio to a read by reference, of paired samples, {of(threads)}", rows,
                           [s for s in systems if s != OURS], chosen, self.ratio_to_ours, ratio)]
            section.figures.append(self.figure(rows, systems, chosen))
        self.say(rows, systems, points, section)

    @staticmethod
    def table(caption: str, rows: list[dict], systems: list[str], points: list[tuple], value, shown, note: str = "") -> Table:
        table = Table(caption, ["objects, reads a transaction", *systems, "rows"], [], note)
        for threads, objects, reads in points:
            cells, ids = [], []
            for system in systems:
                found, sources = summarise(rows, system, value, threads=threads, objects=objects, reads=reads)
                cells.append(shown(found))
                ids += sources.ids
            table.rows.append([place(objects, reads), *cells, Sources(tuple(ids))])
        return table

    def figure(self, rows: list[dict], systems: list[str], points: list[tuple]) -> Figure:
        series = []
        for system in systems:
            one = drawing.Series(system)
            for index, (threads, objects, reads) in enumerate(points):
                value, _ = summarise(rows, system, self.time, threads=threads, objects=objects, reads=reads)
                if value is not None:
                    one.points[index] = value
            series.append(one)
        threads = points[0][0]
        return Figure(
            f"peers-{threads}", f"Time of one read in a chase, {of(threads)}: this cache, other stores, and maps without snapshots.",
            f"Dot chart: nanoseconds for one read, {of(threads)}, by number of objects and reads of a transaction, a dot for each "
            "store or map.",
            drawing.dots(f"A read in a transaction, {of(threads)}", "ns per read",
                         [place(objects, reads) for _, objects, reads in points],
                         series, x_log=True, x_format=lambda x: f"{x:g}"))

    def say(self, rows: list[dict], systems: list[str], points: list[tuple], section: Section) -> None:
        for system in systems:
            if system == OURS:
                continue
            ratios = {}
            for point in points:
                value, _ = summarise(rows, system, self.ratio_to_ours, **dict(zip(("threads", "objects", "reads"), point)))
                if value is not None:
                    ratios[point] = value
            if not ratios:
                continue
            section.reading.append(f"{system}: {min(r.median for r in ratios.values()):.1f} to "
                                   f"{max(r.median for r in ratios.values()):.1f} times a read by reference.")
            section.better += [
                Better(f"{of(threads)}, {place(objects, reads)} a transaction", system, ratio(times),
                       "1 (time of a read, ratio to one by reference)")
                for (threads, objects, reads), times in ratios.items()
                if (times.median if times.high is None else times.high) < 1 and not system.startswith(OURS)]
