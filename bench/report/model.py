"""The words that plan, runner, experiments and page share."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from .intervals import Interval


@dataclass(frozen=True)
class Size:
    """How much is measured: a smoke run shows that everything works, a paper run gives every figure and claim of the paper in an
    afternoon, a full run has the whole grids and more processes."""

    name: str
    repetitions: int
    seconds: float
    warmup: float
    good_for: str  # said wherever figures of such a run are shown
    cache_bytes: int = 2 << 30

    @property
    def smoke(self) -> bool:
        return self.name == "smoke"

    @property
    def gives_results(self) -> bool:
        """Its figures may be published, and it refuses a busy machine."""
        return not self.smoke

    def choose(self, *, smoke: Any, paper: Any, full: Any) -> Any:
        """What an experiment has of this size: a grid, seconds, an estimate."""
        return {"smoke": smoke, "paper": paper, "full": full}[self.name]


SMOKE = Size("smoke", repetitions=1, seconds=0.5, warmup=0.2,
             good_for="It shows that everything works, with few and short runs; its figures are not results.")
PAPER = Size("paper", repetitions=5, seconds=1.0, warmup=0.3,
             good_for="It has every figure and claim of the paper, on grids without the points that tell the same as their neighbours: "
                      "good for verdicts, ratios and shapes. For tails, and for differences of a few percent, a full run is better.")
FULL = Size("full", repetitions=10, seconds=3.0, warmup=1.0,
            good_for="It has the whole grids, long runs and most processes a point.")
SIZES = {size.name: size for size in (SMOKE, PAPER, FULL)}


@dataclass(frozen=True)
class Job:
    """One process to run. Words of `command` may hold {output}, {binaries}, {wordnet}, {wordnet_copy},
    {fresh} and {seed}."""

    experiment: str
    system: str
    point: tuple[tuple[str, Any], ...]  # what the figure varies, such as (("sessions", 4),)
    program: str  # in build/release/bench
    command: tuple[str, ...]
    estimate_s: float
    repetition: int = 0
    time_limit_s: float = 0.0  # 0: a generous multiple of the estimate
    once: bool = False  # it repeats within itself what it measures, or gives the same each time: a run has one of it

    def key(self) -> str:
        """Names this very run: what has a row with it need not run again."""
        return f"{self.label()} #{self.repetition + 1}"

    def runs(self, size: Size) -> int:
        """How many there are in a run of that size."""
        return 1 if self.once else size.repetitions

    def label(self) -> str:
        return " ".join([self.experiment, self.system, *(f"{key}={value}" for key, value in self.point)])


@dataclass
class Table:
    caption: str
    head: list[str]
    rows: list[list[Any]]  # cells: text, Interval formatted by the experiment, or Sources
    note: str = ""


@dataclass(frozen=True)
class Sources:
    """The raw rows that a line of a table or a figure's point rests on."""

    ids: tuple[str, ...]


@dataclass
class Figure:
    name: str  # file name without suffix
    caption: str
    alt: str
    canvas: Any  # matplotlib's Figure


@dataclass(frozen=True)
class Better:
    """A point at which another cache does better than ours, in the words of the experiment that found it."""

    where: str
    who: str
    theirs: str
    ours: str


@dataclass
class Section:
    name: str
    title: str
    question: str
    method: str
    number: str = ""  # in the catalogue
    reading: list[str] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)  # why a figure cannot be right; a run with one has failed
    better: list[Better] = field(default_factory=list)  # beside what rates of the rows tell


class Experiment(Protocol):
    name: str  # the catalogue says to which number it belongs
    title: str
    question: str
    method: str

    def jobs(self, size: Size) -> list[Job]:
        """The jobs of one repetition."""

    def present(self, rows: list[dict], section: Section) -> None:
        """Fills the section from this experiment's rows; called only when there are some."""


def point_of(row: dict) -> dict[str, Any]:
    return row.get("point", {})


def summarise(rows: list[dict], system: str, value, **point) -> tuple[Interval | None, Sources]:
    """Median and interval of value(row) over the repetitions of one point of one system."""
    chosen = [r for r in rows if r["system"] == system and all(point_of(r).get(k) == v for k, v in point.items())]
    pairs = [(value(r), r["id"]) for r in chosen]
    pairs = [(v, i) for v, i in pairs if v is not None]
    if not pairs:
        return None, Sources(())
    return Interval.of([v for v, _ in pairs]), Sources(tuple(i for _, i in pairs))
