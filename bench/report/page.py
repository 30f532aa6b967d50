"""The report: one HTML file that needs no other."""
from __future__ import annotations

from pathlib import Path

from . import catalogue, claims, page_parts as parts, published
from .formats import duration, size as bytes_text
from .machine import stolen_percent
from .model import SIZES
from .page_parts import text
from .sections import Group
from .systems import SYSTEMS, variables

STYLE = Path(__file__).with_name("page.css")
SCRIPT = Path(__file__).with_name("page.js")


def style() -> str:
    # Print is always on white, whatever the reader's screen prefers.
    return (f":root{{{variables(dark=False)}}}@media screen and (prefers-color-scheme:dark){{:root{{{variables(dark=True)}}}}}"
            + STYLE.read_text(encoding="utf-8"))


def render(run: dict, groups: list[Group], rows: list[dict], verdicts: list[claims.Outcome], claim_gaps: list[str]) -> str:
    body = [asked(), verdict_section(verdicts, claim_gaps, run),
            parts.overview(groups, claims_by_number(verdicts))]
    body += [parts.group(group) for group in groups if group.sections or group.not_yet]
    body += [machine_section(run), how_section(run), parts.raw_rows(rows)]
    title = "One shared cache against private caches" + (" (smoke run)" if run["size"] == "smoke" else "")
    return ("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
            "<meta name=\"color-scheme\" content=\"light dark\">\n"
            f"<title>{text(title)}</title>\n<style>\n{style()}\n</style>\n</head>\n<body>\n{head(run, verdicts)}\n<main>\n"
            + "\n".join(body) + f"\n</main>\n<script>\n{SCRIPT.read_text(encoding='utf-8')}</script>\n</body>\n</html>\n")


def claims_by_number(verdicts: list[claims.Outcome]) -> dict[str, str]:
    """Such as E6: "2 of 3 hold"."""
    by_number: dict[str, list[str]] = {}
    for one in verdicts:
        by_number.setdefault(published.experiment_of(one.name), []).append(one.verdict)
    return {number: f"{found.count('holds')} of {len(found)} hold" for number, found in by_number.items()}


def head(run: dict, verdicts: list[claims.Outcome]) -> str:
    revision = run["machine"]["revision"]
    commit = (revision["commit"] or "")[:12] or "not committed"
    facts = [run["begun"].replace("T", " ").replace("+00:00", " UTC"),
             f"revision {commit}" + (" with changes" if revision["dirty"] else ""),
             f"{run['machine']['cores']} cores, {run['machine']['cpu']}", f"{run['runs']} runs in {duration(run['seconds'])}"]
    holds = sum(v.verdict == "holds" for v in verdicts)
    fails = sum(v.verdict == "fails" for v in verdicts)
    if verdicts:
        tally = f"<p class=tally><strong>{holds}</strong> of {len(verdicts)} claims hold" + (
            f", <strong class=fails>{fails}</strong> fail" if fails else "") + "</p>"
    else:
        tally = "<p class=tally>No claim was measured in this run.</p>"
    size = SIZES[run["size"]]
    results = "" if size.gives_results else " For results: <code>scripts/reproduce --paper</code>, or <code>--full</code>."
    about = (f"<p class={'size' if size.gives_results else 'smoke'} role=note><strong>{text(size.name.capitalize())} run.</strong> "
             f"{text(size.good_for)}{results}</p>")
    return (f"<header><p class=kicker>cow_cache</p><h1>One shared cache against private caches</h1>{tally}"
            f"<p class=facts>{' · '.join(text(f) for f in facts)}</p>{about}</header>")


def asked() -> str:
    systems = "".join(f"<div><dt>{parts.key(s.name)}{text(s.name)}</dt><dd>{text(s.about)}</dd></div>"
                      for s in SYSTEMS.values())
    return ("<section id=asked><h2>What was asked</h2>"
            "<p>An object database that gives every session its own cache pays for each object once per session: in memory, in "
            "loads from the store, and in news of every commit. <em>cow_cache</em> keeps one cache for the whole process. Its "
            "object states never change; a transaction that writes an object clones it first, and commit publishes the clone. "
            "What does that save, what does it cost on a read, and where is another way better?</p>"
            "<p>The same workloads run on each of these, under the same transaction code:</p>"
            f"<dl class=systems>{systems}</dl></section>")


def by_question(verdicts: list[claims.Outcome]) -> dict[str, list[claims.Outcome]]:
    """Under the first question of the experiment to which a claim belongs, in the order of the questions; under "" those that
    belong to none."""
    grouped: dict[str, list[claims.Outcome]] = {name: [] for name in (*catalogue.QUESTIONS, "")}
    for one in verdicts:
        grouped[published.question_of(one.name)].append(one)
    return {name: own for name, own in grouped.items() if own}


def verdict_section(verdicts: list[claims.Outcome], gaps: list[str], run: dict) -> str:
    groups = []
    for name, own in by_question(verdicts).items():
        asks = f"{name}: {catalogue.QUESTIONS[name]}" if name else "Beside the questions"
        groups.append(f"<tbody><tr class=group><th scope=rowgroup colspan=6>{text(asks)}</th></tr>"
                      f"{''.join(verdict_line(one, run) for one in own)}</tbody>")
    heads = ((" scope=col", "claim"), (" scope=col", "published by others"), (" scope=col class=number", "ours (95% interval)"),
             (" scope=col class=number", "must be"), (" scope=col", "verdict"), (" scope=col class=rows", "rows"))
    table = ("<div class=scroll><table class=verdicts><thead><tr>" + "".join(f"<th{how}>{name}</th>" for how, name in heads)
             + f"</tr></thead>{''.join(groups)}</table></div>" if groups else "<p>Not measured in this run.</p>")
    again = ("<p class=note>Published figures are from other machines, for scale. Any claim again: "
             "<code>scripts/claims NAME</code>.</p>")
    return f"<section id=verdicts><h2>Verdicts</h2>{table}{parts.gap_list(gaps)}{again}</section>"


def verdict_line(one: claims.Outcome, run: dict) -> str:
    row, verdict = one.row, one.verdict
    smoke = "<span class=about>smoke run</span>" if run["size"] == "smoke" else ""
    sign = {"holds": "✓", "fails": "✗"}.get(verdict, "–")
    goal = "" if one.required else "<span class=about>a goal, not required</span>"
    known = published.beside(one.name)
    number = published.experiment_of(one.name)
    link = f"<a class=number-of href=\"#{number}\">{text(catalogue.label(number))}</a> " if number else ""
    return (f"<tr><td class=claim>{link}<code>{text(one.name)}</code><span class=about>{text(row.get('description', ''))}</span>"
            f"{detail(row)}</td>"
            f"<td class=published>{text(known) if known else '<span class=missing>none known</span>'}</td>"
            f"<td class=\"number ours\">{parts.measured(one.measured, row.get('unit', ''))}</td>"
            f"<td class=\"number must\">{parts.bound(row)}{goal}</td>"
            f"<td class=said><span class=\"verdict {verdict.split()[0]}\">{sign} {text(verdict)}</span>{smoke}</td>"
            f"<td class=rows>{parts.sources(one.ids)}</td></tr>")


def detail(row: dict) -> str:
    """How the figure came about, where the program says so."""
    said = row.get("detail")
    if isinstance(said, dict):
        said = ", ".join(f"{key} {value}" for key, value in said.items())
    return f"<span class=about>{text(said)}</span>" if said else ""


def cache_name(key: str) -> str:
    """level1_dcache_size -> L1d"""
    return key.replace("level", "L").replace("_dcache_size", "d").replace("_cache_size", "")


def machine_section(run: dict) -> str:
    machine = run["machine"]
    sessions = run.get("sessions", [run])
    before, after = sessions[0]["before"], sessions[-1]["after"]
    steal = stolen_percent(sessions)
    lines = {
        "processor": f"{machine['cpu']}, {machine['cores']} cores" + (
            f", virtual ({machine['virtualised']})" if machine["virtualised"] else ""),
        "processor caches": ", ".join(f"{cache_name(key)} {bytes_text(size)}"
                                      for key, size in machine["cpu_cache_bytes"].items() if size) or "unknown",
        "memory": bytes_text(machine["memory_bytes"]),
        "system": f"{machine['system']}, Linux {machine['kernel']}",
        "compiler": f"{machine['compiler']}",
        "flags": machine["flags"] or "unknown",
        "allocator": machine["allocator"],
        "packages": ", ".join(f"{name} {version}" for name, version in machine["packages"].items()),
        "load average": f"{before['load'][0]:.2f} before, " + (f"{after['load'][0]:.2f} after" if after else "unknown after"),
        "stolen time": "unknown" if steal is None else f"{steal:.2f}% of the processor time, given to other machines by the host",
    }
    body = "".join(f"<div><dt>{text(key)}</dt><dd>{text(value)}</dd></div>" for key, value in lines.items())
    warnings = "".join(f"<p class=warning>{text(w)}</p>" for w in run["warnings"])
    return f"<section id=machine><h2>Machine</h2>{warnings}<dl class=machine>{body}</dl></section>"


def how_section(run: dict) -> str:
    return ("<section id=how><h2>How it was measured, and how to do it again</h2>"
            f"<p>Each point is {run['repetitions']} run{'s' * (run['repetitions'] > 1)} of a process of its own. Runs of all "
            f"systems are interleaved in rounds, in an order shuffled with seed {run['seed']}. Shown is the median; an interval "
            "is the 95% percentile bootstrap of the median, given from three runs on; a ratio is taken between the two runs of "
            "one round. Latency is closed-loop.</p>"
            f"<pre><code>{text(run['command'])}</code></pre>"
            "<p>Everything behind this page: <a href=rows.jsonl>rows.jsonl</a>, <a href=rows.csv>rows.csv</a>, "
            "<a href=machine.json>machine.json</a>, <a href=figures/>figures</a>.</p></section>")
