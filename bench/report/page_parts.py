"""The repeated parts of the page: sections, tables, figures, and the way from a figure back to its raw rows."""
from __future__ import annotations

import html
import json

from . import catalogue, svg
from .formats import NOT_MEASURED, significant
from .intervals import Interval
from .model import Figure, Section, Sources, Table
from .results import flat
from .sections import Group
from .systems import COUNTS, LOOKS, SYSTEMS, in_order, look, variable

RAW_COLUMNS = ("operations", "duration_s", "operations_per_s", "aborts", "rss_bytes", "cache_bytes", "store_loads",
               "p50_ns", "p99_ns", "p999_ns")
MOST_TABLES = 4


def text(value) -> str:
    return html.escape(str(value), quote=True)


def sources(ids: tuple[str, ...]) -> str:
    """Links to the raw rows; many of them fold away."""
    if not ids:
        return ""
    links = " ".join(f"<a href=\"#{i}\">{i}</a>" for i in ids)
    return links if len(ids) <= 2 else f"<details><summary>{len(ids)} rows</summary>{links}</details>"


def cell(value) -> str:
    if isinstance(value, Sources):
        return f"<td class=rows>{sources(value.ids)}</td>"
    if value == NOT_MEASURED:
        return f"<td class=\"number missing\">{NOT_MEASURED}</td>"
    number, _, rest = str(value).partition(" (")
    spread = f"<span class=spread>{text(rest.rstrip(')'))}</span>" if rest else ""
    return f"<td class=number>{text(number)}{spread}</td>"


def key(name: str) -> str:
    """The spot of colour that stands for a cache, a reclaimer, a policy or a model wherever it is named."""
    return f"<i style=\"background:var({variable(look(name))})\"></i>" if name in LOOKS else ""


def keys_of(one: Section) -> str:
    """What the names in a section mean, unless they are caches: those are explained at the top of the page."""
    named = {str(word) for table_ in one.tables for word in (*table_.head, *(row[0] for row in table_.rows))}
    shown = [look(name) for name in in_order(named & LOOKS.keys()) if name not in SYSTEMS and name not in COUNTS]
    lines = "".join(f"<div><dt>{key(s.name)}{text(s.name)}</dt><dd>{text(s.about)}</dd></div>" for s in shown)
    return f"<details class=keys><summary>What the names mean</summary><dl class=systems>{lines}</dl></details>" if lines else ""


def table(one: Table, level: int = 4) -> str:
    """level: of its heading, one below that of what it stands in."""
    def heading(index: int, name: str) -> str:
        return f"<th scope=col{'' if index == 0 else ' class=rows' if name == 'rows' else ' class=number'}>{key(name)}{text(name)}</th>"

    head = "".join(heading(i, name) for i, name in enumerate(one.head))
    lines = []
    for row in one.rows:
        name, _, about = str(row[0]).partition(": ")
        first = key(name) + text(name) + (f"<span class=about>{text(about)}</span>" if about else "")
        lines.append(f"<tr><th scope=row>{first}</th>{''.join(cell(c) for c in row[1:])}</tr>")
    note = f"<p class=note>{text(one.note)}</p>" if one.note else ""
    return (f"<h{level}>{text(one.caption)}</h{level}><div class=scroll><table aria-label=\"{text(one.caption)}\">"
            f"<thead><tr>{head}</tr></thead>"
            f"<tbody>{''.join(lines)}</tbody></table></div>{note}")


def tables(all_: list[Table], level: int) -> str:
    """A section of many shows the first two; the others fold away, but not on paper."""
    shown, more = (all_, []) if len(all_) <= MOST_TABLES else (all_[:2], all_[2:])
    folded = (f"<details class=tables><summary>{len(more)} more tables</summary>{''.join(table(t, level) for t in more)}</details>"
              if more else "")
    return "".join(table(t, level) for t in shown) + folded


def gap_list(gaps: list[str]) -> str:
    if not gaps:
        return ""
    items = "".join(f"<li>{text(gap)}</li>" for gap in gaps)
    points = f"{len(gaps)} point{'s' * (len(gaps) > 1)} not measured"
    return f"<details class=gaps{' open' if len(gaps) <= 4 else ''}><summary>{points}</summary><ul>{items}</ul></details>"


def reading(lines: list[str]) -> str:
    def item(line: str) -> str:
        system, _, rest = line.partition(": ")
        if system in LOOKS:
            return f"<li>{key(system)}<b>{text(system)}</b> {text(rest)}</li>"
        return f"<li>{text(line)}</li>"

    return f"<ul class=reading>{''.join(item(line) for line in lines)}</ul>" if lines else ""


def figure(one: Figure) -> str:
    """Opens at full size in a page of its own; the formats for print are beside."""
    files = " ".join(f"<a href=\"figures/{one.name}.{kind}\">{kind.upper()}</a>" for kind in ("svg", "png", "pdf"))
    return (f"<figure><a class=full href=\"figures/{one.name}.svg\" title=\"Full size\">{svg.inline(one)}</a>"
            f"<figcaption>{text(one.caption)} <span class=links>{files}</span></figcaption></figure>")


def section(one: Section, alone: bool = False) -> str:
    """alone: it is all of its number, whose title and question stand above it already."""
    figures = [figure(f) for f in one.figures]
    # A single figure has the space beside it: what it says goes there.
    beside = reading(one.reading) if len(figures) == 1 else ""
    figure_block = f"<div class=figures>{''.join(figures)}{beside}</div>" if figures else ""
    if not one.figures and not one.tables:
        figure_block = "<p class=missing>Not measured in this run.</p>"
    head = "" if alone else f"<h3>{text(one.title)}</h3><p class=question>{text(one.question)}</p>"
    return (f"<div class=part id=\"experiment-{text(one.name)}\">{head}"
            f"{''.join(f'<p class=warning role=note>{text(doubt)}</p>' for doubt in one.doubts)}"
            f"{figure_block}{'' if beside else reading(one.reading)}{tables(one.tables, 3 if alone else 4)}{keys_of(one)}"
            f"<details class=method><summary>How it was measured</summary><p>{text(one.method)}</p></details>"
            f"{gap_list(one.gaps)}</div>")


def group(one: Group) -> str:
    """A number of the catalogue: title, question, its experiments, and what is not built yet."""
    entry = one.entry
    name = catalogue.label(entry.number)
    alone = len(one.sections) == 1 and len(entry.parts) == 1
    body = "".join(section(s, alone) for s in one.sections)
    not_yet = "".join(f"<p class=notyet role=note><strong>Not yet:</strong> {text(what)}.</p>" for what in one.not_yet)
    return (f"<section id=\"{text(entry.number)}\"><p class=kicker>{text(', '.join((name, *entry.questions)))}</p>"
            f"<h2>{text(entry.title)}</h2><p class=question>{text(entry.asks)}</p>{body}{not_yet}</section>")


def overview(groups: list[Group], claims_of: dict[str, str]) -> str:
    """Every number, whether measured or not, with a link to it. claims_of: a summary of its claims by number."""
    lines = []
    for one in groups:
        number = one.entry.number
        link = f"<a href=\"#{number}\">{text(catalogue.label(number))}</a>" if one.sections or one.not_yet else text(number)
        lines.append(f"<tr><th scope=row>{link}</th><td class=what>{text(one.entry.title)}</td>"
                     f"<td class=rq>{text(', '.join(one.entry.questions))}</td>"
                     f"<td><span class=\"state {one.state.split()[0]}\">{text(one.state)}</span></td>"
                     f"<td class=claimed>{text(claims_of.get(number, '–'))}</td></tr>")
    questions = "".join(f"<div><dt>{name}</dt><dd>{text(asks)}</dd></div>" for name, asks in catalogue.QUESTIONS.items())
    return ("<section id=experiments><h2>Experiments</h2><div class=scroll><table class=overview><thead><tr><th scope=col>number</th>"
            "<th scope=col>experiment</th><th scope=col>questions</th><th scope=col>state</th><th scope=col>claims</th></tr></thead>"
            f"<tbody>{''.join(lines)}</tbody></table></div>"
            f"<details class=method><summary>The research questions</summary><dl class=systems>{questions}</dl></details></section>")


def with_unit(value, unit: str) -> str:
    number = significant(float(value)) if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)
    return text(f"{number} {unit}".strip())


def measured(value: Interval | None, unit: str) -> str:
    if value is None:
        return NOT_MEASURED
    spread = "" if value.low is None else f"<span class=spread>{significant(value.low)} to {significant(value.high)}</span>"
    return with_unit(value.median, unit) + spread


def bound(row: dict) -> str:
    sign = {"<=": "≤", ">=": "≥", "==": "="}.get(row.get("comparison", ""), text(row.get("comparison", "")))
    return f"{sign} {with_unit(row.get('bound', ''), row.get('unit', ''))}".strip()


def raw_rows(rows: list[dict]) -> str:
    """Every row, so that a figure can be followed back without leaving the page."""
    groups: dict[str, list[dict]] = {}
    for row in rows:
        groups.setdefault(row["experiment"], []).append(row)
    blocks = []
    for experiment, own in groups.items():
        columns = [c for c in RAW_COLUMNS if any(row.get(c) is not None for row in own)]
        own = sorted(own, key=lambda r: (json.dumps(r["point"]), in_order([r["system"]]), r["repetition"]))
        head = "".join(f"<th scope=col class=number>{text(c)}</th>" for c in columns)
        lines = []
        for row in own:
            point = ", ".join(f"{k}={v}" for k, v in row["point"].items())
            figures = ", ".join(f"{k} {significant(v) if isinstance(v, (int, float)) else v}"
                                for k, v in flat(row.get("figures", {})).items())
            values = "".join(f"<td class=number>{'' if row.get(c) is None else raw(row[c])}</td>" for c in columns)
            lines.append(f"<tr id=\"{row['id']}\"><td>{row['id']}</td><td>{text(row['system'])}</td><td>{text(point)}</td>"
                         f"<td class=number>{row['repetition'] + 1}</td>{values}"
                         f"<td title=\"{text(row['command'])}\">{text(figures)}</td></tr>")
        blocks.append(f"<details><summary>{text(experiment)}: {len(own)} rows</summary>"
                      f"<div class=scroll><table class=raw><thead><tr><th scope=col>row</th>"
                      f"<th scope=col>system</th><th scope=col>point</th><th scope=col class=number>run</th>{head}"
                      f"<th scope=col>figures</th></tr></thead>"
                      f"<tbody>{''.join(lines)}</tbody></table></div></details>")
    return f"<section id=raw><h2>Raw rows</h2>{''.join(blocks)}</section>"


def raw(value) -> str:
    if isinstance(value, float) and not value.is_integer():
        return text(f"{value:,.2f}" if abs(value) >= 1 else f"{value:.4g}")
    return text(f"{value:,.0f}" if isinstance(value, (int, float)) else value)
