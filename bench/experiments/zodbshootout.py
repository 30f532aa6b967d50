"""zodbshootout's timed regions, beside its published tables."""
from __future__ import annotations

from report import drawing
from report.formats import interval, significant
from report.intervals import Interval
from report.model import Figure, Job, Section, Size, Sources, Table, summarise
from report.published import ZODBSHOOTOUT, ZODBSHOOTOUT_SOURCE
from report.systems import CACHES, in_order

REGIONS = {
    "add": "add new objects, commit",
    "update": "change own objects, commit",
    "cold": "read, every cache empty",
    "warm": "change, commit, read, commit",
    "hot": "read, object cache empty, storage cache warm",
    "steamin": "read, every object live",
}


class Zodbshootout:
    name = "zodbshootout"
    title = "zodbshootout's regions"
    question = "Where does a whole database on this cache stand beside those that its users know?"
    method = ("Two workers, each with a map of its own, 1,000 objects of 300 bytes a transaction, on RocksDB with synchronous "
              "commits. Objects per second, from the slowest worker. The published figures come from another machine and "
              "another language: they give the scale, not a comparison.")

    def jobs(self, size: Size) -> list[Job]:
        return [Job(
            self.name, system, (), "experiment",
            ("run", "--workload", "zodbshootout", "--cache", system, "--store", "rocksdb", "--path", "{fresh}",
             "--sessions", "2", "--threads", "2", "--seconds", str(size.seconds), "--warmup", str(size.warmup),
             "--cache-bytes", str(size.cache_bytes), "--seed", "{seed}", "--repetition", "{repetition}",
             "--experiment", self.name, "--output", "{output}"),
            estimate_s=1.5) for system in CACHES]

    @staticmethod
    def region(name: str):
        def rate(row: dict) -> float | None:
            figure = row.get("figures", {}).get(name)
            return figure.get("per_second") if isinstance(figure, dict) else None

        return rate

    def present(self, rows: list[dict], section: Section) -> None:
        systems = in_order({r["system"] for r in rows})
        others = sorted({key for r in rows for key, v in r.get("figures", {}).items() if isinstance(v, dict)})
        regions = [*REGIONS, *(key for key in others if key not in REGIONS)]
        ours = Table("Objects per second, measured here", ["region", *systems, "rows"], [])
        theirs = Table("Objects per second, as published", ["region", *ZODBSHOOTOUT], [],
                       f"Source: {ZODBSHOOTOUT_SOURCE}. It is of an earlier version of the benchmark, whose warm region only "
                       "reads, in another process.")
        series = {s: drawing.Series(s) for s in systems}
        for index, region in enumerate(regions):
            cells, ids = [], []
            for system in systems:
                value, sources = summarise(rows, system, self.region(region))
                ids += sources.ids
                cells.append(interval(value))
                if value is not None and region in REGIONS:
                    series[system].points[index] = value
            about = f"{region}: {REGIONS[region]}" if region in REGIONS else region
            ours.rows.append([about, *cells, Sources(tuple(ids))])
        for region in REGIONS:
            theirs.rows.append([region, *(significant(table[region]) for table in ZODBSHOOTOUT.values())])
        section.tables += [ours, theirs]
        published = [drawing.Series(name, {index: Interval(table[region], None, None, 1)
                                           for index, region in enumerate(REGIONS)}) for name, table in ZODBSHOOTOUT.items()]
        section.figures.append(Figure(
            "zodbshootout",
            f"Objects per second in zodbshootout's regions. Thin marks are published figures: {ZODBSHOOTOUT_SOURCE}.",
            "Dot chart: objects per second for the regions add, update, cold, warm, hot and steamin, one dot per cache, with "
            "published figures of RelStorage and ZEO.",
            drawing.dots("zodbshootout", "objects per second", list(REGIONS), [s for s in series.values() if s.points],
                         hollow=published, x_log=True, x_format=drawing.thousands)))
        shared = series.get("shared")
        if shared and shared.points:
            told = [f"{region} {drawing.thousands(float(f'{shared.points[i].median:.3g}'))}"
                    for i, region in enumerate(REGIONS) if i in shared.points]
            section.reading.append(f"shared: objects per second: {', '.join(told)}.")
