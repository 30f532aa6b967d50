"""papers/artifact.md: what an evaluator needs, on one page, made from the list of experiments so that it cannot go stale."""
from __future__ import annotations

from pathlib import Path

import experiments
from . import catalogue, claims, results
from .formats import about
from .model import FULL, PAPER, SIZES, SMOKE, Size
from .paper import places

PATH = Path("papers") / "artifact.md"
BUILD = "10 to 20 min"

HEAD = """# Artifact

One page for whoever evaluates this artifact. Written by `scripts/reproduce --artifact` from the list of experiments; a test
compares the two.

## Getting started (3 min, packages apart)

Debian 12 on x86-64 or another 64-bit processor, 2 cores, 8 GB of memory (16 GB for `--full`), 5 GB of disk, root or sudo for `apt-get`; no special
hardware. In a clean clone:

```
scripts/setup                                # Debian packages only; again: does nothing
scripts/reproduce --kick                     # at most 3 min, its build included: core claims, counted; ends with PASS
scripts/reproduce --paper                    # builds ({build}), then at most 2 h: every figure and claim of the paper
scripts/reproduce --compare results/TIME     # against the published rows: within tolerance, or outside
```

A run ends with `results/TIME/report.html`. There are three sizes: `--smoke` shows within 10 minutes that everything works, and its
figures are no results; `--paper` has {paper} processes a point, on grids without the points that tell the same as their neighbours;
`--full` has the whole grids and {full} processes a point, and takes {hours}. The latter two want a machine that does nothing else (they refuse a
busy one; `--force` overrules that). `--only E4,RQ4,memory` picks experiments by number, question or name; `--resume results/TIME`
goes on with a run that was ended; nothing overwrites raw rows. The exit code is 0 if every run was good and every required claim
holds. `scripts/test` runs every test and ends with "N passed, 0 failed".

## What is where

| part of the paper | components | checked by |
|---|---|---|
| design: states, snapshots, read path | `cow_cache/` (map of files: `docs/design.md`) | `tests/`, run by `scripts/test` |
| protocols and their proofs | comments at the top of each header, `tests/models/` (Spin, Relacy) | tests `models`, `relacy_*`; `--sanitize=thread` |
| durability | `persistence/` | tests `store_crash`, `store_rocksdb`, `store_conformance` |
| caches to compare with | `bench/baselines/`, `bench/ablation/` | tests `cache_conformance`, `cache_baselines` |
| workloads (OO7, YCSB, STMBench7, Smallbank, zodbshootout, WordNet) | `bench/workloads/` | tests `workload_*`: counts, distributions, mixes |
| evaluation: runs, statistics, figures | `bench/experiments/`, a module each; `bench/report/` | test `report` |
| claims and their bounds | `bench/claims/`, `scripts/claims` | verdicts in `claims.md` |
| text, with numbers and figures from rows | `papers/paper/`, `papers/published.jsonl`, `scripts/paper` | test `report` |

## Experiments

Times are estimates on 2 cores, once built: one short run a point (smoke), {paper} of them on smaller grids (paper), {full} on the
whole grids (full). Disk is what a run takes while it lasts. Each writes its section of `report.html`, its figures (SVG, PNG, PDF in
`figures/`) and its rows (`rows.jsonl`, `rows.csv`).

| number | section, questions | `--only` name | program | smoke | paper | full | disk |
|---|---|---|---|---|---|---|---|
"""

TAIL = """
## Badges, point by point

*ACM, Artifacts Evaluated: Functional* [1] asks for artifacts that are documented, consistent, complete and exercisable, with
evidence of verification and validation; *USENIX, Artifacts Functional* [2] for documentation, completeness and exercisability.

- **Documented**: this page, `README.md`, `docs/design.md`; every script has `--help`.
- **Consistent**: one number for each experiment, here, in `--list`, in the report and in the paper; what is not built says "not yet".
- **Complete**: all code, baselines, workloads and generators; input is Debian's WordNet. One optional trace is not ours to pass on
  (orm-busy of cache2k's benchmarks, CC BY 4.0): `COW_CACHE_TRACE` says where it is.
- **Exercisable**: the commands above, nothing by hand.
- **Verified and validated**: `scripts/test`, its sanitizer variants, the models; workloads check their own counts and sums in every run.

*ACM, Artifacts Available* [1] asks for a public archive and an identifier; *ACM, Artifacts Evaluated: Reusable* [1] for artifacts that
others can build on.

- **Available**: `scripts/archive` makes the archive, its checksum and its Software Heritage identifiers, and `--check` compares them;
  `CITATION.cff` says how to cite. The deposit is left to a person: `docs/guide/depositing.md`.
- **Reusable**: `docs/guide/your-reclaimer.md`, `your-replacement-policy.md`, `your-store.md`, `your-workload.md`: each a whole example of at
  most 60 lines of code (`bench/extensions/`), which the tests run, and the command that measures it beside the built-in ones.

*ACM, Results Reproduced* [1]: others obtain the main results, in part with the authors' artifacts. *USENIX, Results Reproduced* [2]:
within a tolerance that supports the main claims.

- **Main results**: the table of verdicts (`claims.md`), each claim with its bound as its tolerance; `scripts/claims NAME` for one of them.
  `scripts/reproduce --compare DIR` says of each published value whether a run is within its tolerance.
- **Same statistics**: medians over {paper} or {full} processes, interleaved, with 95% bootstrap intervals; ratios of paired runs; the machine,
  load and stolen time are recorded in `machine.json`.
- **What may differ**: absolute times, and all that needs more cores than there are; such claims say "not testable here".

[1] ACM, Artifact Review and Badging 1.1, https://www.acm.org/publications/policies/artifact-review-and-badging-current
[2] USENIX, as in the OSDI '24 guide for artifacts, https://sysartifacts.github.io/osdi2024/author-submission-guide
"""


def time(experiment, size: Size) -> float:
    return sum(job.runs(size) * job.estimate_s for job in experiment.jobs(size))


def whole(size: Size) -> float:
    """Estimated seconds of everything, claims included."""
    return sum(time(one, size) for one in experiments.ALL) + claims.planned_s(size)


def text(root: Path) -> str:
    """Of the experiments, and of the paper and the published rows below `root`."""
    built = list(experiments.ALL)
    lines = []
    for entry in catalogue.ENTRIES:
        section = f"{entry.title} ({', '.join(entry.questions)})"
        for one in (e for e in built if e.name in entry.parts):
            programs = ", ".join(sorted({f"`{job.program}`" for job in one.jobs(SMOKE)}))
            lines.append(f"| {catalogue.label(entry.number)} | {section} | `{one.name}` | {programs} | {times(lambda size: time(one, size))} | "
                         f"{entry.disk} |")
        lines += [f"| {catalogue.label(entry.number)} | {section} | not yet: {what} | | | | | |" for what in catalogue.missing(entry, built)]
    lines.append(f"| | claims: all of the above | `{claims.NAME}` | `claims` | {times(claims.planned_s)} | 500 MB |")
    lines.append(f"| | everything | | | {times(whole)} | 1 GB |")
    counts = {"paper": PAPER.repetitions, "full": FULL.repetitions}
    questions = " ".join(f"{name}: {asks}" for name, asks in catalogue.QUESTIONS.items())
    return (HEAD.format(build=BUILD, hours=about(whole(FULL)), **counts) + "\n".join(lines) + "\n\n" + f"The questions: {questions}\n\n"
            + places.section(root) + TAIL.format(**counts))


def times(of) -> str:
    return " | ".join(about(of(size)) for size in SIZES.values())


def write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    results.replace_whole(path, text(path.parents[1]))
