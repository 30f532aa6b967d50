"""Nodes and sessions on one distributed store, simulated; and the simulation against the real caches on one node."""
from __future__ import annotations

from report import drawing, systems
from report.formats import NOT_MEASURED, significant, size as bytes_text
from report.model import Figure, Job, Section, Size, Sources, Table, point_of, summarise
from report.systems import System, in_order

# A cache per session as large as a node's one cache. A colour that the page knows how to show in the dark.
FULL = "private-full"
systems.LOOKS.setdefault(FULL, System(FULL, "a cache per session, each as large as a node's one cache",
                                      systems.SYSTEMS["raw"].colour, systems.SYSTEMS["raw"].colour_dark, "P"))
LAYOUTS = ("shared", "private", FULL)
NODES = (1, 10, 100, 1000)


class Cluster:
    name = "cluster"
    title = "A thousand nodes, simulated"
    question = "What do one cache per node and one per session do to a store that many nodes share?"
    method = ("A discrete-event simulation. Each node has 16 cores and 64 sessions (smoke run: 4 and 16), which run "
              "transactions of 20 reads one after another; in each there is an external wait of 10 ms on average. 200,000 objects "
              "of 1 KiB are read by Zipf's law (theta 0.99) and written uniformly; a node has memory for a quarter of them: shared "
              "in one cache, or private, split among the sessions; private-full gives each session that much. How often a cache "
              "misses follows from its size and from what others commit (Che's approximation, JSAC 2002, extended by "
              "invalidations). The store serves 512 requests at once (smoke run: 128), a load in 100 µs and a commit in 200 µs on "
              "average, 50 µs of network away; each commit is told to every other cache, which takes it 0.1 µs. These are "
              "assumptions. Validation: YCSB C (true Zipf, memory store) on the real caches on this machine, at equal total "
              "memory; one thread's time of a hit and of a miss, the bytes of an object and what a cache needs besides are "
              "measured with one session; all else is predicted.")

    def jobs(self, size: Size) -> list[Job]:
        transactions, shares = size.choose(smoke=("20000", ("0", "0.1")), paper=("50000", ("0", "0.1")),
                                           full=("400000", ("0", "0.01", "0.1", "0.5")))
        per_node, cores, servers = ("16", "4", "128") if size.smoke else ("64", "16", "512")
        jobs = [Job(self.name, "layouts", (("part", "cluster"), ("write_share", float(share))), "cluster/simulate-cluster",
                    ("study", "--cache", *LAYOUTS, "--nodes", *map(str, NODES), "--sessions", per_node, "--cores", cores,
                     "--store-servers", servers, "--write-share", share, "--transactions", transactions, "--seed", "{seed}",
                     "--output", "{output}"), estimate_s=size.choose(smoke=4.0, paper=6.0, full=30.0), time_limit_s=300.0,
                    once=size.name == "paper") for share in shares]
        records, sessions, seconds = size.choose(smoke=("8000", ("1", "4"), "0.2"), paper=("40000", ("1", "4", "16"), "0.5"),
                                                 full=("40000", ("1", "4", "16", "64"), "1"))
        jobs.append(Job(self.name, "caches", (("part", "validation"),), "cluster/simulate-cluster",
                        ("validate", "--experiment", "{binaries}/experiment", "--records", records, "--sessions", *sessions,
                         "--seconds", seconds, "--seed", "{seed}", "--output", "{output}"),
                        estimate_s=size.choose(smoke=8.0, paper=15.0, full=60.0)))
        return jobs

    def present(self, rows: list[dict], section: Section) -> None:
        validation = [r for r in rows if point_of(r)["part"] == "validation"]
        if validation:
            self.validation(validation, section)
        cluster = [r for r in rows if point_of(r)["part"] == "cluster"]
        for share in sorted({point_of(r)["write_share"] for r in cluster}):
            self.throughput([r for r in cluster if point_of(r)["write_share"] == share], share, section)
        if cluster:
            self.details(cluster, section)

    @staticmethod
    def validation(rows: list[dict], section: Section) -> None:
        table = Table("The simulation against the real caches, one node",
                      ["cache", "sessions", "transactions/s, measured", "predicted", "off", "misses of each, measured",
                       "predicted", "off", "cache bytes, measured", "predicted", "off", "rows"], [],
                      "Off: predicted by measured, less one. Times on a machine that others use move by tens of percent.")
        worst = {}
        for system in in_order({r["system"] for r in rows}):
            for sessions in sorted({point_of(r)["sessions"] for r in rows}):
                cells, sources = [], Sources(())
                for name, text in (("throughput", significant), ("misses", significant), ("bytes", bytes_text)):
                    for figure, show in ((f"measured_{name}", text), (f"predicted_{name}", text),
                                         (f"{name}_off", signed_percent)):
                        value, sources = summarise(rows, system, lambda r: r["figures"].get(figure), sessions=sessions)
                        cells.append(NOT_MEASURED if value is None else show(value.median))
                        if value is not None and figure.endswith("_off"):
                            worst[name] = max(worst.get(name, 0.0), abs(value.median))
                if sources.ids:
                    table.rows.append([system, str(sessions), *cells, sources])
        section.tables.append(table)
        if worst:
            section.reading.append("The simulation is off by at most " + ", ".join(
                f"{100 * off:.0f}% in {'cache bytes' if name == 'bytes' else name}" for name, off in worst.items())
                + " where it can be checked: one node, no network.")

    @staticmethod
    def throughput(rows: list[dict], share: float, section: Section) -> None:
        series = []
        for layout in LAYOUTS:
            one = drawing.Series(layout)
            for nodes in NODES:
                value, _ = summarise(rows, layout, lambda r: r["figures"].get("throughput"), nodes=nodes)
                if value is not None:
                    one.points[nodes] = value
            if one.points:
                series.append(one)
        if series:
            about = f"{100 * share:g}% of transactions write"
            section.figures.append(Figure(
                f"cluster-throughput-{100 * share:g}", f"Simulated: transactions per second of all nodes together; {about}.",
                f"Log-log chart: simulated transactions per second against nodes, one line per layout of caches; {about}.",
                drawing.lines(f"Simulated: {about}", "nodes", "transactions per second", series, x_log=True, y_log=True,
                              y_format=drawing.thousands)))

    @staticmethod
    def details(rows: list[dict], section: Section) -> None:
        table = Table("Simulated clusters", ["writes", "nodes", "caches", "transactions/s", "misses", "memory of a node",
                                             "store busy", "loads/s", "invalidations applied/s", "processor time for them",
                                             "aborts per commit", "rows"], [],
                      "Little's law holds in each: sessions are throughput times the mean time of a transaction, within 3%.")
        shown = (("throughput", significant), ("miss_ratio", significant), ("node_bytes", bytes_text),
                 ("store_utilisation", percent), ("loads_per_s", significant), ("invalidations_per_s", significant),
                 ("invalidation_share", percent), ("aborts_per_commit", significant))
        for share in sorted({point_of(r)["write_share"] for r in rows}):
            for nodes in NODES:
                for layout in LAYOUTS:
                    cells, sources = [], Sources(())
                    for figure, text in shown:
                        value, sources = summarise(rows, layout, lambda r: r["figures"].get(figure), nodes=nodes,
                                                   write_share=share)
                        cells.append(NOT_MEASURED if value is None else text(value.median))
                    if sources.ids:
                        table.rows.append([f"{100 * share:g}%", str(nodes), layout, *cells, sources])
        section.tables.append(table)
        for row in rows:
            if abs(row["figures"]["little"] - 1) > 0.03:
                off = f"{100 * (row['figures']['little'] - 1):.1f}%"
                section.doubts.append(f"Little's law is off by {off} in a simulated cluster ({row['id']}): it was not in its steady "
                                      "state.")


def percent(share: float) -> str:
    return f"{significant(100 * share)}%"


def signed_percent(share: float) -> str:
    return f"{100 * share:+.1f}%"
