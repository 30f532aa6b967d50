"""The order of the runs: round after round, each round holding one repetition of everything, in random order.

Rounds interleave the systems that are compared, so that what disturbs the machine for a while disturbs all of them; chance
keeps any two of them from always following each other. Within a round every experiment is spread over all of it, so a
run that the clock cuts short has lost a share of each experiment and none as a whole. The seed is recorded, so an order can
be had again.
"""
from __future__ import annotations

import random
from dataclasses import replace
from typing import Iterator

from .model import Experiment, Job, Size


def interleaved(experiments: list[Experiment], size: Size, seed: int, others: list[Job] = ()) -> list[Job]:
    """others: jobs that have their repetition already, which go into the round of that number."""
    dice = random.Random(seed)
    order: list[Job] = []
    for repetition in range(size.repetitions):
        groups = [[replace(job, repetition=repetition) for job in experiment.jobs(size) if repetition < job.runs(size)]
                  for experiment in experiments]
        groups.append([job for job in others if job.repetition == repetition])
        order.extend(spread(groups, dice))
    return order


def spread(groups: list[list[Job]], dice: random.Random) -> list[Job]:
    """All jobs in random order, the k-th of n of a group in the k-th part of n; a lonely one in the first half."""
    placed = []
    for group in groups:
        shuffled = list(group)
        dice.shuffle(shuffled)
        placed += [((k + 0.5 * dice.random()) / len(shuffled), job) for k, job in enumerate(shuffled)]
    return [job for _, job in sorted(placed, key=lambda pair: pair[0])]


def in_turn(sides_of: dict[str, list[str]], repetitions: int, dice: random.Random) -> Iterator[tuple[int, str, str]]:
    """Repetition, name and side of each run, for what is measured on several sides (builds, say): round after round, the names
    in random order. The sides of a name follow one another at once, because a ratio is of neighbours in time. Which of them
    goes first is drawn for the first round and takes turns from then on, so neither always has the warmer machine."""
    order = {name: dice.sample(sides, len(sides)) for name, sides in sides_of.items()}
    for repetition in range(repetitions):
        for name in dice.sample(list(order), len(order)):
            for side in order[name]:
                yield repetition, name, side
            order[name].reverse()
