"""What the size of a value costs its writers, in one object and in pieces."""
from __future__ import annotations

from report import drawing
from report.formats import NOT_MEASURED, interval, significant, size as bytes_text
from report.intervals import paired_ratio
from report.model import Figure, Job, Section, Size, Sources, Table, point_of, summarise
from report.systems import in_order

STORES = {"memory": "store in memory", "rocksdb-unsynced": "RocksDB, not synced", "rocksdb": "RocksDB, on the device"}
CHANGES = {"one byte": "one byte changes", "all": "every byte changes"}
CACHES = ("shared", "private")
CLEARLY = 0.8  # less between two medians of one process is noise


class ObjectSize:
    name = "object-size"
    title = "Writing values of 64 B to 1 MiB"
    question = "What does the first write of a large value cost, and from which size on do pieces of 4 KiB pay?"
    method = ("A value is a string in one object, or a list of references to pieces of 4 KiB. A shared cache clones what is "
              "written, a private one changes its own copy in place; both encode what has changed when they commit. One session; "
              "the first write is of a value that the transaction has just read, the commit is of one changed value. All sides "
              "are interleaved in one process, on stores of the same kind; every byte is compared with a model, and the records "
              "of each commit are counted.")

    def jobs(self, size: Size) -> list[Job]:
        rounds = size.choose(smoke=7, paper=7, full=21)
        return [Job(self.name, "all", (("store", store),), "probes",
                    ("object-size", "--store", store, "--path", "{fresh}", "--rounds", str(rounds), "--seed", "{seed}",
                     "--repetition", "{repetition}", "--experiment", self.name, "--output", "{output}"),
                    estimate_s=estimate * rounds / 7)
                for store, estimate in (("memory", 0.5), ("rocksdb-unsynced", 2.0), ("rocksdb", 8.0))]

    @staticmethod
    def of(figure: str):
        return lambda row: row["figures"].get(figure)

    def present(self, rows: list[dict], section: Section) -> None:
        systems = in_order({r["system"] for r in rows})
        sizes = sorted({point_of(r)["bytes"] for r in rows})
        stores = [s for s in STORES if any(point_of(r)["store"] == s for r in rows)]
        if stores:
            self.show(rows, systems, sizes, "write_us", "first write, one byte changes", section, store=stores[0],
                      change="one byte")
        for store in stores:
            for change in CHANGES:
                self.show(rows, systems, sizes, "update_us", f"{CHANGES[change]}, {STORES[store]}", section, store=store,
                          change=change)
        if stores:
            self.show(rows, systems, sizes, "read_us", "reading all of it", section, store=stores[0], change="one byte")
        self.where_pieces_win(rows, sizes, stores, section)

    def show(self, rows: list[dict], systems: list[str], sizes: list[int], figure: str, about: str, section: Section,
             **point) -> None:
        what = {"write_us": "the first write", "update_us": "first write and commit", "read_us": "a read"}[figure]
        table = Table(f"Microseconds for {what}: {about}", ["size", *systems, "rows"], [])
        series = {system: drawing.Series(system) for system in systems}
        for bytes_ in sizes:
            cells, ids = [], []
            for system in systems:
                value, sources = summarise(rows, system, self.of(figure), bytes=bytes_, **point)
                cells.append(interval(value))
                ids += sources.ids
                if value is not None:
                    series[system].points[bytes_] = value
            if ids:
                table.rows.append([bytes_text(bytes_), *cells, Sources(tuple(ids))])
        section.tables.append(table)
        drawn = point["change"] == "one byte" or point["store"] == "memory"
        if drawn and any(one.points for one in series.values()):
            name = f"object-size-{figure.removesuffix('_us')}-{point['store']}-{point['change'].replace(' ', '-')}"
            medians = [value.median for one in series.values() for value in one.points.values()]
            decades = max(medians) / min(medians) >= 10  # below that a logarithmic axis has hardly a tick
            section.figures.append(Figure(
                name, f"Time of {what} against the size of the value: {about}.",
                f"Line chart: microseconds for {what} against the size of the value, {about}; in one object and in pieces, in a "
                "shared and a private cache.",
                drawing.lines(title_of(figure, about), "size of the value", "µs", list(series.values()), even=True,
                              y_log=decades, x_format=short_bytes, y_format=drawing.thousands)))

    def where_pieces_win(self, rows: list[dict], sizes: list[int], stores: list[str], section: Section) -> None:
        table = Table("Time of first write and commit in pieces, divided by that in one object",
                      ["store, cache, change", *(bytes_text(b) for b in sizes), "rows"], [],
                      "Ratios within a process. Below 1 pieces are faster.")
        for store in stores:
            for cache in CACHES:
                for change in CHANGES:
                    cells, ids, wins = [], [], []
                    for bytes_ in sizes:
                        ratio, sources = self.ratio(rows, cache, store=store, change=change, bytes=bytes_)
                        cells.append(NOT_MEASURED if ratio is None else f"{ratio.median:.2f}")
                        ids += sources
                        wins.append(ratio is not None and (ratio.median < CLEARLY if ratio.high is None else ratio.high < 1))
                    table.rows.append([f"{STORES[store]}, {cache}, {change}", *cells, Sources(tuple(ids))])
                    section.reading.append(f"{cache}: {CHANGES[change]}, {STORES[store]}: {verdict(sizes, wins)}.")
        section.tables.append(table)

    def ratio(self, rows: list[dict], cache: str, **point):
        def times(system: str) -> dict[int, float]:
            return {r["repetition"]: r["figures"]["update_us"] for r in rows
                    if r["system"] == system and all(point_of(r).get(k) == v for k, v in point.items())}

        pieces, whole = f"{cache}/pieces", f"{cache}/whole"
        ids = [r["id"] for r in rows if r["system"] in (pieces, whole) and all(point_of(r).get(k) == v for k, v in point.items())]
        return paired_ratio(times(pieces), times(whole)), ids


def verdict(sizes: list[int], wins: list[bool]) -> str:
    """From where on pieces are clearly faster at every larger size."""
    first = len(sizes)
    while first > 0 and wins[first - 1]:
        first -= 1
    if first == len(sizes):
        return "pieces do not pay"
    return f"pieces pay from {bytes_text(sizes[first])} on"


def title_of(figure: str, about: str) -> str:
    subject = {"write_us": "Value size: ", "update_us": "Update: ", "read_us": "Value size: "}[figure]
    return subject + about


def short_bytes(count: float) -> str:
    for unit, limit in (("Mi", 1 << 20), ("Ki", 1 << 10)):
        if count >= limit:
            return f"{significant(count / limit, 1)}{unit}"
    return f"{count:g}"
