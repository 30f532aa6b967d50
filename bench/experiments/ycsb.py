"""YCSB's six core workloads."""
from __future__ import annotations

from report import drawing
from report.model import Figure, Job, Section, Size
from report.systems import CACHES
from .throughput import THREADS, Throughput, in_memory_job, rounded, some

MIXES = {
    "A": "half reads, half updates",
    "B": "95% reads, 5% updates",
    "C": "reads only",
    "D": "95% reads of the latest, 5% inserts",
    "E": "95% scans, 5% inserts",
    "F": "half reads, half read-modify-write",
}


class Ycsb(Throughput):
    name = "ycsb"
    title = "YCSB, workloads A to F"
    question = "How do the caches do on the requests that key-value stores are measured with?"
    method = ("100,000 records, one object each, of ten fields of 100 bytes; keys drawn beforehand from YCSB's own scrambled Zipf "
              "(theta 0.99: the hottest record gets 3.78% of the requests); two threads with one session each, the store in "
              "memory. An update writes one field, which clones the record. No update and no insert may be lost, or the run has "
              "failed.")
    axis = "mix"
    axis_label = "workload"
    figure_caption = "YCSB's workloads, requests per second with two threads."

    def show_x(self, x: str) -> str:
        return f"{x}: {MIXES[x]}"

    def jobs(self, size: Size) -> list[Job]:
        mixes = size.choose(smoke=("A", "E"), paper=("A", "C", "E", "F"), full=MIXES)
        return [in_memory_job(self.name, system, size, (("mix", mix),), "ycsb", THREADS, ("--mix", mix), load_s=0.8)
                for mix in mixes for system in some(CACHES, size)]

    def draw(self, section: Section, xs: list, series: dict[str, drawing.Series], part: str = "") -> None:
        drawn = [drawing.Series(s.system, {xs.index(x): value for x, value in s.points.items()}) for s in series.values()]
        section.figures.append(Figure(
            self.name, self.figure_caption, "Dot chart: requests per second for each of YCSB's workloads, one dot per cache.",
            drawing.dots(self.title, "requests per second", xs, [s for s in drawn if s.points], x_log=True,
                         x_format=drawing.thousands)))

    def read(self, section: Section, systems: list[str], series: dict[str, drawing.Series], part: str = "") -> None:
        for system in systems:
            told = [f"{mix} {rounded(value.median)}" for mix, value in sorted(series[system].points.items())]
            if told:
                section.reading.append(f"{system}: requests/s: {', '.join(told)}.")
