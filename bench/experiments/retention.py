"""What a store takes, and what commits cost, when history is kept for ever, for a while, or not at all."""
from __future__ import annotations

import itertools

from report import drawing
from report.formats import NOT_MEASURED, interval, significant, size as bytes_text
from report.intervals import Interval
from report.model import Figure, Job, Section, Size, Table, point_of, summarise

KEPT = {"all": "for ever", "window": "for a while", "present": "not at all"}
MIB = 1 / (1 << 20)


class Retention:
    name = "retention"
    title = "History that is kept, and packed"
    question = "What does a store take, and what do commits cost, when history is kept for ever, for a while, or not at all?"
    method = ("One thread commits changes of one object of 256 bytes each, without a sync, to a RocksDB store of 100,000 objects, uniformly. "
              "Beside it the store is packed in the background (cow::Retention, a quarter of the time at most, half a second between two "
              "packs): up to a tenth of the run ago (for a while), up to the present (not at all), or never (for ever). The directory is "
              "weighed ten times a second. At the end the store is verified.")

    def jobs(self, size: Size) -> list[Job]:
        objects = size.choose(smoke=5_000, paper=100_000, full=100_000)
        return [Job(self.name, system, (("commits", commits),), "probes",
                    ("retention", "--keep", system, "--commits", str(commits), "--objects", str(objects), "--window", f"{window:g}",
                     "--path", "{fresh}", "--seed", "{seed}", "--repetition", "{repetition}", "--experiment", self.name, "--output", "{output}"),
                    estimate_s=2 + 1e-5 * commits, once=size.name == "paper")
                for commits, window in size.choose(smoke=((40_000, 0.1),), paper=((1_000_000, 2.0),), full=((1_000_000, 2.0), (10_000_000, 20.0)))
                for system in KEPT]

    def present(self, rows: list[dict], section: Section) -> None:
        table = Table("History kept", ["commits", "kept", "commits/s", "commit, p99.9 in µs", "directory, most", "directory, at the end",
                                       "of the live data", "packs", "rows"], [])
        counts = sorted({point_of(row)["commits"] for row in rows})
        for count, (system, words) in itertools.product(counts, KEPT.items()):
            rate, sources = summarise(rows, system, lambda r: r["operations_per_s"], commits=count)
            if rate is None:
                continue
            tail, _ = summarise(rows, system, lambda r: r["p999_ns"] / 1e3, commits=count)
            most, end, live, packs = (summarise(rows, system, lambda r, name=name: r["figures"][name], commits=count)[0]
                                      for name in ("most_bytes", "bytes_at_end", "live_bytes", "packs"))
            table.rows.append([f"{count:,}", words, interval(rate), interval(tail), bytes_text(most.median), bytes_text(end.median),
                               f"{significant(end.median / live.median)} x" if live.median else NOT_MEASURED, significant(packs.median), sources])
            section.reading.append(f"{count:,} commits, history kept {words}: {significant(rate.median)} commits/s, at most "
                                   f"{bytes_text(most.median)}, {bytes_text(end.median)} at the end.")
        section.tables.append(table)
        series = []
        for system in KEPT:
            # One run: a median over runs at each instant would show a run that never was.
            row = next((r for r in rows if r["system"] == system and point_of(r)["commits"] == counts[-1]), None)
            if row is not None:
                series.append(drawing.Series(system, {commits: Interval.of([size * MIB]) for _, commits, size in row["over_time"] if commits}))
        section.figures.append(Figure(
            "retention-over-time", "The store's directory against the commits so far. One run of each, of the longest.",
            "Line chart: MiB of the store's directory against commits, a line for each length of history.",
            drawing.curves("History that is kept", "commits so far", "MiB", series)))
