"""papers/published.jsonl: the rows that the paper rests on, published with claims.md and findings.md.

A line of the file is a run (whose revision, command and digest it gives) or a row: a median with its interval over the
repetitions of one point of one experiment, or of one claim, and the raw rows that it was made of. The name of a row says which:
experiment/system/point/quantity, or claims/NAME. `scripts/reproduce --paper --publish` writes the file anew, and --full does.
"""
from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterator

from .. import published
from ..claims import NAME as CLAIMS, outcomes
from ..formats import flat_number
from ..intervals import MINIMUM_FOR_INTERVAL, Interval
from ..model import point_of

NAME = "published.jsonl"


@dataclass(frozen=True)
class Quantity:
    unit: str
    value: Callable[[dict], float | None]


def figure(*path: str) -> Callable[[dict], float | None]:
    def value(row: dict) -> float | None:
        found = row.get("figures", {})
        for word in path:
            if not isinstance(found, dict) or word not in found:
                return None
            found = found[word]
        return found

    return value


def scaled(value: Callable[[dict], float | None], factor: float) -> Callable[[dict], float | None]:
    return lambda row: None if value(row) is None else value(row) * factor


def growth(row: dict) -> float | None:
    return None if row.get("rss_bytes") is None else (row["rss_bytes"] - row.get("rss_before_bytes", 0)) / (1 << 20)


RATE = {"rate": Quantity("1/s", lambda row: row.get("operations_per_s"))}
LIMBO = {"limbo": Quantity("MiB", lambda row: None if row.get("limbo_bytes") is None else row["limbo_bytes"] / (1 << 20))}
TAIL = {"p999": Quantity("us", lambda row: None if row.get("p999_ns") is None else row["p999_ns"] / 1e3)}

# Of each experiment: the parts of a point that name it in a row, and what is published of it.
PUBLISHED: dict[str, tuple[tuple[str, ...], dict[str, Quantity]]] = {
    "memory": (("sessions",), {"memory": Quantity("MiB", growth)}),
    "ycsb": (("mix",), RATE),
    "stmbench7": (("mix", "threads"), RATE),
    "oo7-users": (("mix", "threads"), RATE),
    "hit-cost": (("workload", "reads"), {"ratio": Quantity("x", figure("ratio_to_everything")),
                                         "to-raw": Quantity("x", figure("ratio_to_raw"))}),
    "throughput-writes": (("write_share", "sessions"), RATE),
    "sleepers": (("sleepers",), RATE | LIMBO | TAIL),
    "reclaimers": (("write_share", "threads", "sleepers"), RATE | LIMBO | TAIL),
    "pinned-versions": (("kind", "updates", "sleepers"), {
        "superseded": Quantity("", figure("superseded")), "pinned": Quantity("", figure("pinned")), "wrong": Quantity("", figure("wrong")),
        "reread": Quantity("ns", figure("ns_per_reread"))}),
    "reclamation-time": (("sleepers_are", "sleepers"), TAIL | {
        "reclamation": Quantity("us", scaled(figure("reclamation_p50_ns"), 1e-3)),
        "reclamation-p99": Quantity("us", scaled(figure("reclamation_p99_ns"), 1e-3)),
        "budget": Quantity("us", scaled(figure("budget_ns"), 1e-3)),
        "first-longest": Quantity("ms", scaled(figure("first_longest_ns"), 1e-6)),
        "first-total": Quantity("ms", scaled(figure("first_total_ns"), 1e-6)),
        "first-count": Quantity("", figure("first_looks"))}),
    "stopped-thread": (("stopped",), {
        "before": Quantity("1/s", figure("commits_per_s_before")), "late": Quantity("1/s", figure("late_commits_per_s")),
        "after": Quantity("1/s", figure("commits_per_s_after")), "commits": Quantity("", figure("commits_meanwhile")),
        "reads": Quantity("1/s", figure("reads_per_s_meanwhile")), "last": Quantity("ms", scaled(figure("last_commit_s"), 1e3)),
        "limbo": Quantity("MiB", scaled(figure("limbo_bytes_meanwhile"), 1 / (1 << 20)))}),
    "publisher": (("in_flight", "wait_ms", "write_share"), {"rate": Quantity("1/s", lambda row: row.get("throughput"))}),
    "cold-start": (("sessions",), {"loads": Quantity("", lambda row: row.get("store_loads"))}),
    "open-sessions": (("subject", "sessions"), {"time": Quantity("ns", figure("ns"))}),
    "recovery": ((), {"answer": Quantity("ms", scaled(figure("first_answer_s"), 1e3)), "warm": Quantity("ms", scaled(figure("warm_s"), 1e3))}),
    "equal-memory": (("sequence", "objects", "sessions"), {
        cache: Quantity("", figure("hit_ratio", "adaptive", cache)) for cache in ("shared", "private")}),
    "smallbank": (("hotspot",), RATE),
    "zodbshootout": ((), {region: Quantity("1/s", figure(region, "per_second"))
                          for region in ("add", "update", "cold", "warm", "hot", "steamin")}),
    "retention": (("commits",), RATE | TAIL | {
        "most": Quantity("MiB", scaled(figure("most_bytes"), 1 / (1 << 20))), "end": Quantity("MiB", scaled(figure("bytes_at_end"), 1 / (1 << 20)))}),
    "peers-over-postgres": (("write_share", "processes"), RATE | {
        "memory": Quantity("MiB", scaled(figure("pss_bytes"), 1 / (1 << 20))), "grown": Quantity("MiB", scaled(figure("grown_bytes"), 1 / (1 << 20))),
        "cold-loads": Quantity("", figure("cold_loads")), "loads": Quantity("", figure("loads_per_transaction")),
        "round-trips": Quantity("", figure("round_trips_per_transaction")), "commits": Quantity("1/s", figure("commits_per_s")),
        "stale": Quantity("ms", figure("staleness_p50_ms")), "stale-p99": Quantity("ms", figure("staleness_p99_ms")),
        "predicted": Quantity("1/s", figure("predicted_throughput")), "predicted-loads": Quantity("", figure("predicted_loads_per_transaction")),
        "predicted-grown": Quantity("MiB", scaled(figure("predicted_grown_bytes"), 1 / (1 << 20)))}),
    "peers": (("objects", "reads", "threads"), {"time": Quantity("ns", figure("ns_per_read"))}),
    "scaling": (("schedule", "phase", "threads"), RATE | {
        "transfers": Quantity("", figure("transfers")), "shared-writes": Quantity("", figure("shared_writes"))}),
}
# Curves over the time of one run, of which a median would show a run that never was.
CURVES = {"sleepers": {"limbo-over-time": ("limbo_over_time", "MiB", 1 / (1 << 20))}}


class NoSuchRow(LookupError):
    """Says which, and what there is that is like it."""


@dataclass(frozen=True)
class Row:
    name: str
    run: str
    unit: str
    median: float | None = None
    low: float | None = None
    high: float | None = None
    count: int = 0
    ids: tuple[str, ...] = ()
    comparison: str = ""  # of a claim
    bound: float | None = None
    required: bool = True
    judged: float | None = None  # what the bound is for, if not the median
    curve: tuple[tuple[float, float], ...] = ()
    about: str = ""  # of a claim: what is measured
    source: str = ""  # where it was read back from, if not written by the run itself

    @property
    def is_single(self) -> bool:
        """It comes from fewer runs than an interval can be made of."""
        return self.count < MINIMUM_FOR_INTERVAL

    @property
    def interval(self) -> Interval:
        return Interval(self.median, self.low, self.high, self.count)

    @property
    def holds(self) -> bool:
        judged = self.median if self.judged is None else self.judged
        return judged <= self.bound if self.comparison == "<=" else judged >= self.bound

    @property
    def claim(self) -> str:
        """Its name, of a claim; "" of any other row."""
        experiment, _, name = self.name.partition("/")
        return name if experiment == CLAIMS else ""

    @property
    def command(self) -> str:
        """What measures it again."""
        return f"scripts/claims {self.claim}" if self.claim else f"scripts/reproduce --paper --only {self.name.partition('/')[0]}"

    def as_json(self) -> dict:
        out = {"row": self.name, "run": self.run, "unit": self.unit}
        for key, empty in (("median", None), ("low", None), ("high", None), ("count", 0), ("ids", ()), ("comparison", ""),
                           ("bound", None), ("required", True), ("judged", None), ("curve", ()), ("about", ""),
                           ("source", "")):
            if getattr(self, key) != empty:
                out[key] = getattr(self, key)
        return out


@dataclass(frozen=True)
class Published:
    runs: dict[str, dict]
    rows: dict[str, Row]

    def __getitem__(self, name: str) -> Row:
        if name not in self.rows:
            alike = [one for one in self.rows if one.partition("/")[0] == name.partition("/")[0]]
            raise NoSuchRow(f"no published row {name}; of its experiment there are: {', '.join(alike) or 'none'}")
        return self.rows[name]

    def of(self, experiment: str) -> list[Row]:
        return [row for name, row in self.rows.items() if name.partition("/")[0] == experiment]

    @property
    def claims(self) -> list[Row]:
        """By the questions that they answer."""
        return sorted(self.of(CLAIMS), key=lambda row: published.place_of(row.claim))


def point_text(experiment: str, row: dict) -> str:
    point = point_of(row)
    return ",".join(flat_number(point[key]) for key in PUBLISHED[experiment][0] if key in point)


def name_of(experiment: str, system: str, point: str, quantity: str) -> str:
    return "/".join(word for word in (experiment, system, point, quantity) if word)


def summaries(rows: list[dict], run: str) -> list[Row]:
    """What is published of raw rows."""
    found = []
    for one in outcomes(rows):
        if one.measured is not None:
            found.append(Row(f"{CLAIMS}/{one.name}", run, one.row.get("unit", ""), one.measured.median, one.measured.low,
                             one.measured.high, one.measured.count, one.ids, one.row["comparison"], one.row["bound"], one.required,
                             one.judged if one.judged != one.measured.median else None, about=one.row.get("description", "")))
    found += of_whole_experiments(rows, run)
    groups: dict[tuple[str, str, str], list[dict]] = {}
    for row in rows:
        if row["experiment"] in PUBLISHED:
            groups.setdefault((row["experiment"], row["system"], point_text(row["experiment"], row)), []).append(row)
    for (experiment, system, point), own in groups.items():
        for quantity, how in PUBLISHED[experiment][1].items():
            values = [(how.value(row), row["id"]) for row in own]
            values = [(value, name) for value, name in values if value is not None]
            if values:
                of = Interval.of([value for value, _ in values])
                found.append(Row(name_of(experiment, system, point, quantity), run, how.unit, of.median, of.low, of.high, of.count,
                                 tuple(name for _, name in values)))
        for quantity, (key, unit, factor) in CURVES.get(experiment, {}).items():
            if own[0].get(key):
                found.append(Row(name_of(experiment, system, point, quantity), run, unit, count=1, ids=(own[0]["id"],),
                                 curve=tuple((round(at, 3), value * factor) for at, value in own[0][key])))
    return found


def of_whole_experiments(rows: list[dict], run: str) -> Iterator[Row]:
    """What only all rows of an experiment together say, where its class has `summaries`: values, and curves."""
    import experiments  # here, because some of them draw as the paper does

    for one in experiments.ALL:
        own = [row for row in rows if row["experiment"] == one.name]
        if own and hasattr(one, "summaries"):
            for name, unit, value, count, ids in one.summaries(own):
                how = {"curve": value} if isinstance(value, tuple) else {"median": value}
                yield Row(f"{one.name}/{name}", run, unit, count=count, ids=ids, **how)


def about_run(run: dict, raw: Path) -> dict:
    """The line of a run. Throws OSError."""
    machine = run["machine"]
    return {"run": (machine["revision"]["commit"] or "not committed")[:7], "revision": machine["revision"]["commit"],
            "size": run["size"], "repetitions": run["repetitions"], "cores": machine["cores"], "cpu": machine["cpu"],
            "begun": run["begun"][:10], "command": run["command"], "digest": hashlib.sha256(raw.read_bytes()).hexdigest()}


def text(runs: list[dict], rows: list[Row]) -> str:
    return "".join(json.dumps(line) + "\n" for line in [*runs, *(row.as_json() for row in rows)])


def text_of_run(run: dict, rows: list[dict], raw: Path) -> str:
    """The file of a run whose raw rows are in the file `raw`. Throws OSError."""
    about = about_run(run, raw)
    return text([about], summaries(rows, about["run"]))


def read(path: Path) -> Published:
    """Throws OSError, ValueError."""
    runs, rows = {}, {}
    for line in path.read_text(encoding="utf-8").splitlines():
        found = json.loads(line)
        if "row" not in found:
            runs[found["run"]] = found
            continue
        found["curve"] = tuple(map(tuple, found.get("curve", ())))
        found["ids"] = tuple(found.get("ids", ()))
        row = Row(name=found.pop("row"), **found)
        if row.name in rows or row.run not in runs or (row.median is None) == (not row.curve):
            raise ValueError(f"{path}: the row {row.name} is there twice, of no run, or without a value")
        if row.low is not None and row.count < MINIMUM_FOR_INTERVAL:
            raise ValueError(f"{path}: the row {row.name} has an interval over fewer than {MINIMUM_FOR_INTERVAL} runs")
        rows[row.name] = row
    return Published(runs, rows)
