"""The paper's figures: the report's own drawing, at the width of a column, from published rows alone."""
from __future__ import annotations

from dataclasses import replace
from typing import Callable

from .. import drawing, private_sweeps, scatter
from ..intervals import Interval
from ..systems import CACHES, RECLAIMERS
from .rows import NoSuchRow, Published

COLUMN_INCHES = 3.33  # acmart, sigconf
HITS = {"chase-100": "chase of 100", "chase-10000": "chase of 10,000", "oo7-T1": "OO7 T1", "oo7-T6": "OO7 T6"}
SLEEPERS = (1, 10, 100, 1_000, 10_000)
REMOVED = ("no-log", "no-visited", "no-interval")


def series_of(published: Published, experiment: str, systems: tuple[str, ...], point: Callable[[float], str], xs, quantity: str):
    """One series a system; a system without any row is left out, a figure without any is an error."""
    series = []
    for system in systems:
        one = drawing.Series(system)
        for x in xs:
            name = f"{experiment}/{system}/{point(x)}/{quantity}"
            if name in published.rows:
                one.points[x] = published.rows[name].interval
        if one.points:
            series.append(one)
    if not series:
        raise NoSuchRow(f"no published row {experiment}/.../{quantity} to draw")
    return series


def limbo(published: Published):
    series = []
    for system in RECLAIMERS:
        row = published.rows.get(f"sleepers/{system}/1/limbo-over-time")
        if row is not None:
            series.append(drawing.Series(system, {at: Interval(max(v, 1 / 1024) * (1 << 20), None, None, 1) for at, v in row.curve}))
    if not series:
        raise NoSuchRow("no published row sleepers/.../limbo-over-time to draw")
    return drawing.curves("", "seconds since the start", "memory in limbo", series, y_log=True, y_base=2, y_format=drawing.bytes_axis)


def reclamation(published: Published):
    """Ping's sleepers are threads; the others' have none."""
    shown = {"hybrid": "transactions", "deep-scan": "transactions", "scan": "transactions", "neutralise": "transactions", "ping": "threads"}
    labels = {"hybrid": "ours, parked", "deep-scan": "ours, not parked"}
    series = [replace(one, label=labels.get(system, "")) for system, kind in shown.items()
              for one in series_of(published, "reclamation-time", (system,), lambda n, kind=kind: f"{kind},{n}", SLEEPERS, "budget")]
    return drawing.lines("", "sleepers", "µs to reclaim 64 KiB", series, x_log=True, y_log=True, x_format=drawing.thousands,
                         y_format=drawing.thousands)


def begin(published: Published):
    series = series_of(published, "open-sessions", CACHES, lambda n: f"begin,{n}", (1, 16, 256, 2048), "time")
    return drawing.lines("", "open sessions", "ns per begin", series, x_log=True, y_log=True, x_format=lambda x: f"{x:,g}",
                         y_format=drawing.thousands)


def equal_memory(published: Published):
    """What all sessions read alike, and what each reads alone: the colour is the cache, dashes are the latter."""
    sessions = (1, 4, 16, 64, 256)
    series = []
    for objects in ("same", "disjoint"):
        for cache in ("shared", "private"):
            points = {n: published[f"equal-memory/caches/zipf,{objects},{n}/{cache}"].interval for n in sessions}
            series.append(drawing.Series(cache, points, computed=objects == "disjoint", label=f"{cache}, {objects}"))
    return drawing.lines("", "sessions", "hit ratio", series, x_log=True)


def hit_cost(published: Published):
    """Above the line reads that a transaction repeats, below it its first ones."""
    places = [(workload, reads) for reads in ("repeated", "first") for workload in HITS]
    series = [drawing.Series(variant, {
        index: published[f"hit-cost/{variant}/{workload},{reads}/ratio"].interval for index, (workload, reads) in enumerate(places)})
        for variant in REMOVED]
    groups = [HITS[workload] + (", first" if reads == "first" else "") for workload, reads in places]
    return drawing.dots("", "time of a read without it / with all", groups, series, x_format=lambda x: f"{x:g}", reference=1.0)


def smallbank(published: Published):
    hotspots = (10, 100, 1_000, 10_000, 100_000)
    series = series_of(published, "smallbank", (*CACHES, "shared/serializable"), str, hotspots, "rate")
    return drawing.lines("", "customers in the hotspot", "transactions per second", series, even=True,
                         x_format=lambda x: f"{x:,g}" if x < hotspots[-1] else "all", y_format=drawing.thousands)


def private_law(published: Published):
    """Every point of the model of where private caches win."""
    from experiments import private_law as law

    points = []
    for sweep in private_sweeps.SWEEPS:
        row = published.rows.get(f"{law.PrivateLaw.name}/points/{sweep.name}")
        points += [(sweep, Interval(measured, None, None, row.count), predicted) for measured, predicted in (row.curve if row else ())]
    if not points:
        raise NoSuchRow("no published row private-law/points/... to draw")
    return scatter.scatter("", "private / shared, measured", "predicted", law.clouds(points), law.WITHIN)


HEIGHTS = {"hit-cost": 0.78}  # of the report's figure
ALL: dict[str, Callable[[Published], object]] = {
    "limbo": limbo, "reclamation": reclamation, "begin": begin, "equal-memory": equal_memory, "hit-cost": hit_cost, "smallbank": smallbank,
    "private-law": private_law}


def draw(name: str, published: Published, path) -> None:
    """Throws NoSuchRow, OSError."""
    import matplotlib

    with drawing.narrower(COLUMN_INCHES, without_titles=True):
        canvas = ALL[name](published)
        canvas.set_size_inches(COLUMN_INCHES, canvas.get_size_inches()[1] * HEIGHTS.get(name, 0.82))
    # Type 42: fonts that an archive accepts. No date, so that the same rows draw the same bytes.
    with matplotlib.rc_context({"pdf.fonttype": 42}):
        canvas.savefig(path, metadata={"CreationDate": None})
