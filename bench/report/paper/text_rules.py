"""What the paper's text must not hold: results that are written by hand, in digits or in words.

Digits stand in the arguments of macros that name rows, constants, citations and parts of the text; in the names of things (names.txt);
in lengths. Nowhere else.
"""
from __future__ import annotations

import re

from .macros import OF_ROWS, OTHERS
from .sources import Paper, Source

# Commands whose arguments are no text. (drawn has a name and a description; names of figures have no digits.)
SILENT = (*OF_ROWS, *OTHERS, "cite", "citep", "citet", "label", "ref", "autoref", "pageref", "eqref", "input", "tablebody", "include", "usepackage",
          "documentclass", "begin", "end", "vspace", "hspace", "setlength", "includegraphics", "bibliography", "bibliographystyle",
          "setcopyright", "settopmatter", "acmConference", "acmYear", "acmDOI", "acmISBN", "href", "url", "definecolor",
          "newcommand", "renewcommand", "providecommand", "defnumber", "hypersetup", "captionsetup", "fontsize", "raisebox", "rule",
          "AtBeginDocument", "pdfinfo", "lstset", "code", "path", "multicolumn", "cmidrule", "addlinespace")
DIGITS = re.compile(r"[0-9]+(?:[.,][0-9]+)*")

SMALL = "two|three|four|five|six|seven|eight|nine|ten"
LARGE = ("eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|"
         "ninety|hundreds?|thousands?|millions?|billions?|dozens?")
MEASURES = ("times|fold|percent|per cent|nanoseconds?|microseconds?|milliseconds?|seconds?|minutes?|hours?|bytes?|kilobytes?|megabytes?|"
            "instructions?|transactions?|sessions?|objects?|sleepers?|orders of magnitude")
WORDS = re.compile(rf"\b(?:(?:{LARGE})(?:[- ](?:one|{SMALL}))?|(?:{SMALL}|one)(?:[- ](?:and a half ))?[- ]?(?:{MEASURES})"
                   r"|one (?:percent|per cent|order of magnitude)|twice|thrice|doubl(?:es?|ed|ing)|tripl(?:es?|ed|ing)"
                   r"|quadrupl(?:es?|ed|ing)|halv(?:es?|ed|ing)|half(?: as| the| of)?|third of|quarter(?:s)? of)\b", re.IGNORECASE)
# "one object" and "two sessions" that only say what is spoken of are worded otherwise, or are constants.
HARMLESS = re.compile(r"\bone (?:transactions?|sessions?|objects?|sleepers?|instructions?|bytes?)\b", re.IGNORECASE)


def blank(text: str, start: int, end: int) -> str:
    """Keeps the lines, so that what is found behind is found where it is."""
    return text[:start] + re.sub(r"[^\n]", " ", text[start:end]) + text[end:]


def arguments_end(text: str, at: int) -> int:
    """Behind all [..] and {..} that follow one another."""
    while at < len(text) and text[at] in "[{":
        closing, depth, begin = {"[": "]", "{": "}"}[text[at]], 0, at
        opening = text[at]
        while at < len(text):
            if text[at] == "\\":
                at += 2
                continue
            depth += (text[at] == opening) - (text[at] == closing)
            at += 1
            if depth == 0:
                break
        if depth:
            return begin
    return at


def spoken(source: Source, names: list[str]) -> str:
    """The text without comments, commands and their silent arguments, and names; line by line where it was."""
    text = "\n".join(line for _, line in source.lines())
    # Parameters of macros and lengths of the layout. What a macro of the paper stands for is text like any other.
    text = re.sub(r"#[0-9]|\\(?:newcommand|renewcommand)\*?\\[A-Za-z]+\[[0-9]\]|\\setlength\\[A-Za-z]+\{[^{}]*\}",
                  lambda m: " " * len(m[0]), text)
    for match in list(re.finditer(r"\\([A-Za-z]+)\*?", text)):
        if match[1] in SILENT:
            text = blank(text, match.start(), arguments_end(text, match.end()))
    text = re.sub(r"\\\\\[[^\]]*\]", lambda m: " " * len(m[0]), text)  # the height of a line
    for name in sorted(names, key=len, reverse=True):
        text = re.sub(rf"(?<![A-Za-z0-9.,]){re.escape(name)}(?![A-Za-z0-9]|[.,][0-9])", lambda m: " " * len(m[0]), text)
    return text


def faults(source: Source, names: list[str]) -> list[str]:
    """What is written by hand and should be a macro."""
    found = []
    for number, line in enumerate(spoken(source, names).splitlines(), 1):
        where = f"{source.path.name}:{number}"
        found += [f"{where}: the number {match[0]} is written by hand" for match in DIGITS.finditer(line)]
        found += [f"{where}: \"{match[0].strip()}\" is a result in words" for match in WORDS.finditer(HARMLESS.sub(
            lambda m: " " * len(m[0]), line))]
    return found


def faults_of_names(names: list[str]) -> list[str]:
    """A name begins with a letter and is one word without a decimal point, so that no figure passes for one."""
    return [f"names.txt: {name} is no name" for name in names
            if not re.fullmatch(r"[A-Za-z][A-Za-z]*[-+]?[A-Za-z]*[-+]?[0-9]{0,2}(?:[-+][A-Za-z0-9]+|\+\+)?", name) or name.lower().startswith("x")
            and name != "x86-64"]


def faults_of_wording(source: Source) -> list[str]:
    """A word that the theorem on reclamation has a meaning for, and that alone would claim too much."""
    found = []
    for number, line in source.lines():
        quoted = re.sub(r"\\emph\{robust(ness)?\}", "", line)
        found += [f"{source.path.name}:{number}: \"{match[0]}\": say what is bounded, and by what"
                  for match in re.finditer(r"\brobust(ness|ly)?\b", quoted, re.IGNORECASE)]
    return found


def all_faults(paper: Paper) -> list[str]:
    found = faults_of_names(paper.names)
    for source in paper.texts:
        found += faults(source, paper.names) + faults_of_wording(source)
    return found
