"""Many experiments at once: one single-threaded training a core, each in a process of its own.

A run's folder is locked while it is trained. Two schedulers on one store so share the work: each
leaves what the other is training for last, and then waits for it. The system frees the lock of a
process that was killed.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import joblib

from replicate.files import InputError
from replicate.interrupts import worker_options
from replicate.kernels import compiled
from replicate.runs.experiments import Experiment
from replicate.settings import RESULTS
from replicate.training.cluster import connected
from replicate.training.worker import Outcome, Source, Workers, run_one


def run_grid(
    experiments: Sequence[Experiment], source: Source, workers: Workers, root: Path = RESULTS
) -> Iterator[Outcome]:
    """Train experiments and yield what became of them as they finish."""
    busy = []
    for outcome in _run_each(experiments, source, workers, root, wait=False):
        if outcome.busy:
            busy.append(outcome.experiment)
        else:
            yield outcome
    if busy:
        yield from _run_each(busy, source, workers, root, wait=True)


def _run_each(
    experiments: Sequence[Experiment], source: Source, workers: Workers, root: Path, wait: bool
) -> Iterator[Outcome]:
    tasks = [
        (item, source, workers.device, root, wait, item in workers.keep) for item in experiments
    ]
    if workers.cluster is not None:  # which trains, so that threads suffice to wait for it
        with connected(source, workers) as train, ThreadPool(len(tasks) or 1) as waiting:
            there = partial(run_one, elsewhere=train)
            yield from waiting.imap_unordered(lambda task: there(*task), tasks)
        return
    if workers.jobs == 1:
        yield from (run_one(*task) for task in tasks)
        return
    pool = joblib.Parallel(
        n_jobs=workers.jobs, return_as="generator_unordered", batch_size=1, **worker_options()
    )
    try:
        yield from pool(
            joblib.delayed(_one_of_many)(number == 0, task) for number, task in enumerate(tasks)
        )
    except BrokenProcessPool as error:  # joblib then ends the other processes, too
        raise InputError(
            root,
            "a training process was killed, perhaps for want of memory",
            f"go on with fewer --jobs than {workers.jobs}: no more than an epoch of each is lost",
        ) from error


def _one_of_many(first: bool, task: tuple[Any, ...]) -> Outcome:
    """As `run_one`, in a process of many: the first alone says that kernels are compiled."""
    if not first:
        compiled.leave_announcement()
    return run_one(*task)
