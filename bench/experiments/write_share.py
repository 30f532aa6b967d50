"""Throughput against the share of transactions that write, by number of sessions: from where on is a private cache better?"""
from __future__ import annotations

from report import drawing
from report.formats import ratio
from report.intervals import paired_ratio
from report.model import Figure, Job, Section, Size, Sources, Table, point_of
from report.systems import CACHES
from .throughput import Throughput, wordnet_job

MIDDLE = 16  # sessions at which all caches are compared
RIVAL = "private"


class WriteShare(Throughput):
    name = "throughput-writes"
    title = "Throughput against the share of writes"
    question = "What happens when some of the transactions change objects, and from which share on is a private cache better?"
    method = ("WordNet: look a word up, walk its hypernyms to the root, collect a closure of hyponyms. Two threads serve all "
              "sessions in turn; a share of the transactions edits the gloss of a synset and commits to RocksDB, without waiting for "
              "the device, so that the caches are compared and not the disk. Each run has a copy of the database of its own.")
    short_title = "Share of writes"
    axis = "write_share"
    even = True
    axis_label = "writing transactions"
    figure_caption = "Transactions per second against the share of transactions that write, two threads."

    def show_x(self, x: float) -> str:
        return f"{100 * x:g}%"

    def jobs(self, size: Size) -> list[Job]:
        shares, sessions = size.choose(smoke=((0, 1), (2, MIDDLE)), paper=((0, 0.05, 1), (2, MIDDLE)),
                                       full=((0, 0.01, 0.05, 0.2, 0.5, 1), (2, MIDDLE, 64)))
        return [wordnet_job(self.name, system, size, (("write_share", share), ("sessions", count)), count, share)
                for count in sessions for share in shares for system in (CACHES if count == MIDDLE else ("shared", RIVAL))]

    def present(self, rows: list[dict], section: Section) -> None:
        counts = sorted({point_of(r)["sessions"] for r in rows})
        shares = sorted({point_of(r)["write_share"] for r in rows})
        for count in counts:
            self.present_part([r for r in rows if point_of(r)["sessions"] == count], section, f"{count} sessions")
        table = Table(f"Throughput of {RIVAL} caches divided by that of the shared one, paired runs",
                      ["writing transactions", *(f"{count} sessions" for count in counts), "rows"], [],
                      "Above 1 private caches are better. Two threads; what each session costs in memory is another table.")
        lines = {count: drawing.Series(f"{count} sessions") for count in counts}
        for share in shares:
            cells, ids = [], []
            for count in counts:
                own = [r for r in rows if point_of(r) == {"write_share": share, "sessions": count}]
                value = paired_ratio(*({r["repetition"]: self.rate(r) for r in own if r["system"] == s} for s in (RIVAL, "shared")))
                ids += [r["id"] for r in own if r["system"] in (RIVAL, "shared")]
                cells.append(ratio(value))
                if value is not None:
                    lines[count].points[share] = value
            table.rows.append([self.show_x(share), *cells, Sources(tuple(ids))])
        section.tables.insert(0, table)
        drawn = [one for one in lines.values() if one.points]
        if drawn:
            section.figures.insert(0, Figure(
                f"{self.name}-ratio", "Throughput of private caches divided by that of the shared one, against the share of "
                "transactions that write. Above the dashed line private caches are better.",
                "Line chart: ratio of throughputs against the share of writes, one line for each number of sessions.",
                drawing.lines("Private against shared, by share of writes", self.axis_label, "throughput, private / shared", drawn,
                              even=True, x_format=self.show_x, y_format=lambda y: f"{y:g}", reference=1.0)))
        for count, one in lines.items():
            ratios = {share: value.median for share, value in one.points.items()}
            if len(ratios) > 1:
                section.reading.append(f"{count} sessions: {self.crossing(ratios)}")

    def crossing(self, ratios: dict[float, float]) -> str:
        """Where private caches become better or stop being so, on straight lines between the measured shares."""
        shares = sorted(ratios)
        turns = []
        for before, after in zip(shares, shares[1:]):
            low, high = ratios[before] - 1, ratios[after] - 1
            if low * high < 0:
                at = before + (after - before) * low / (low - high)
                turns.append(f"{RIVAL if high > 0 else 'shared'} is better from about {100 * at:.2g}% writes on")
        if not turns:
            best = RIVAL if ratios[shares[0]] > 1 else "shared"
            turns.append(f"{best} is better at every share that was measured")
        return "; ".join(turns) + "."
