"""The order of the runs: round after round, each round holding one repetition of everything, shuffled.

Rounds interleave the systems that are compared, so that what disturbs the machine for a while disturbs all of them; the
shuffle keeps any two of them from always following each other. The seed is recorded, so an order can be had again.
"""
from __future__ import annotations

import random
from dataclasses import replace

from .model import Experiment, Job, Size


def interleaved(experiments: list[Experiment], size: Size, seed: int) -> list[Job]:
    rounds = random.Random(seed)
    order: list[Job] = []
    for repetition in range(size.repetitions):
        jobs = [job for experiment in experiments for job in experiment.jobs(size)]
        rounds.shuffle(jobs)
        order.extend(replace(job, repetition=repetition) for job in jobs)
    return order
