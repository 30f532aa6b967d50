"""What stands in papers/paper: the text, the constants, what others published, and the bibliography's keys."""
from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Source:
    """A file of text."""

    path: Path
    text: str

    def lines(self) -> list[tuple[int, str]]:
        """Without comments."""
        return [(number, re.sub(r"(?<!\\)%.*", "", line)) for number, line in enumerate(self.text.splitlines(), 1)]


@dataclass(frozen=True)
class Constant:
    """A number that the code holds."""

    name: str
    shown: str  # as the text has it: "2~MiB"
    file: str
    code: str  # what stands at that place: on one line, once in the file

    def place(self, root: Path) -> str:
        """file:line. Throws ValueError if the code is not there, or does not hold the number."""
        lines = (root / self.file).read_text(encoding="utf-8").splitlines()
        found = [number for number, line in enumerate(lines, 1) if self.code in line]
        if len(found) != 1:
            raise ValueError(f"constant {self.name}: {self.file} has \"{self.code}\" on {len(found)} lines, and it must be one")
        own = re.search(r"\d[\d,.]*", self.shown)
        numbers = {re.sub("[',_]", "", one).rstrip(".") for one in re.findall(r"\d[\d',._]*", self.code)}
        if own is None or own[0].replace(",", "").rstrip(".") not in numbers:
            raise ValueError(f"constant {self.name}: \"{self.code}\" in {self.file} does not hold {self.shown}")
        return f"{self.file}:{found[0]}"


@dataclass(frozen=True)
class Cited:
    """A figure that is not from our rows."""

    name: str
    value: str
    cite: str  # key of the bibliography; "" for what was measured for this project
    where: str  # in that work, or how it was measured
    file: str = ""  # where the project says it, if it does
    code: str = ""


@dataclass(frozen=True)
class Paper:
    folder: Path
    texts: list[Source]
    constants: dict[str, Constant]
    cited: dict[str, Cited]
    names: list[str]
    bibliography: dict[str, str]  # key: the entry's text


def read(folder: Path) -> Paper:
    """Throws OSError, ValueError."""
    texts = [Source(path, path.read_text(encoding="utf-8")) for path in [folder / "paper.tex", *sorted(folder.glob("sections/*.tex"))]]
    constants = {name: Constant(name=name, **one) for name, one in tomllib.loads((folder / "constants.toml").read_text()).items()}
    cited = {name: Cited(name=name, **one) for name, one in tomllib.loads((folder / "cited.toml").read_text()).items()}
    names = [line for line in (folder / "names.txt").read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    entries = re.split(r"(?m)^@", (folder / "paper.bib").read_text(encoding="utf-8"))[1:]
    return Paper(folder, texts, constants, cited, names, {entry[entry.index("{") + 1:entry.index(",")]: entry for entry in entries})
