"""Many experiments at once: one single-threaded training a core, each in a process of its own.

A run's folder is locked while it is trained. Two schedulers on one store so share the work: each
leaves what the other is training for last, and then waits for it. The system frees the lock of a
process that was killed.

Beyond one machine, experiments are tasks of a Ray cluster. Every node has this package, in the same
version, and the corpus at the same path (a stand-in makes itself). A node trains in a temporary
folder and hands back the finished run, which enters the caller's store whole: nodes need no file
system in common. The trainings of a node that dies begin anew on another one, and on processors of
one kind they end at the same bits.
"""

import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import joblib

from replicate.corpora.table import text_fingerprint
from replicate.files import InputError, remove_abandoned
from replicate.interrupts import worker_options
from replicate.kernels import compiled
from replicate.runs.code import LOADED_CODE, package_versions
from replicate.runs.experiments import Experiment
from replicate.runs.published import load_run
from replicate.runs.store import Run, folder_of
from replicate.settings import RESULTS
from replicate.training.worker import (
    FailedElsewhereError,
    Outcome,
    Source,
    Workers,
    open_source,
    run_one,
)

#: How often a training may begin anew because its node has died.
RETRIES = 10


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
        with _connected(source, workers) as train, ThreadPool(len(tasks) or 1) as waiting:
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
        what = "a training process was killed, perhaps for want of memory"
        fewer = (
            f"go on with fewer --jobs than {workers.jobs}: no more than an epoch of each is lost"
        )
        raise InputError(root, what, fewer) from error
    finally:  # an interrupt ends the processes at once, even in the middle of a checkpoint
        for experiment in experiments:
            remove_abandoned(folder_of(experiment, root))


def _one_of_many(first: bool, task: tuple[Any, ...]) -> Outcome:
    """As `run_one`, in a process of many: the first alone says that kernels are compiled."""
    if not first:
        compiled.leave_announcement()
    return run_one(*task)


def state_of(source: Source, device: str) -> dict[str, object]:
    """What must be the same on every node; `InputError` as `open_source`, or without Triton."""
    corpus, sound = open_source(source)
    return {
        "code": [LOADED_CODE[heard, "cuda"] for heard in ("audio", "features")],
        "packages": package_versions(device=device),
        "transcripts": text_fingerprint(corpus.utterances),
        "recordings": sound.fingerprint if sound is not None else None,
    }


def train_here(
    experiment: Experiment, source: Source, device: str, state: dict[str, object]
) -> Run | str:
    """The run, trained on this node if its `state_of` the source is the caller's, or an error."""
    try:
        here = state_of(source, device)
    except InputError as problem:
        return f"{socket.gethostname()}: {problem}"
    if other := [name for name in state if state[name] != here[name]]:
        what = f"has other {', '.join(other)} than the machine that asks"
        return str(InputError(socket.gethostname(), what, "install the same there"))
    with tempfile.TemporaryDirectory() as root:
        outcome = run_one(experiment, source, device, Path(root), wait=True)
        return outcome.error or load_run(folder_of(experiment, Path(root)))


@contextmanager
def _connected(source: Source, workers: Workers) -> Iterator[Callable[[Experiment], Run]]:
    """What trains an experiment on a node; `InputError` if Ray or the cluster is not there."""
    ray = _connect(str(workers.cluster))
    gpus = workers.gpus if workers.device == "cuda" else 0
    task = ray.remote(train_here).options(num_cpus=1, num_gpus=gpus, max_retries=RETRIES)
    state = state_of(source, workers.device)

    def train(experiment: Experiment) -> Run:
        try:
            found: Run | str = ray.get(task.remote(experiment, source, workers.device, state))
        except ray.exceptions.RayError as error:
            found = str(error)
        if isinstance(found, str):
            raise FailedElsewhereError(found)
        return found

    try:
        yield train
    finally:
        ray.shutdown()


def _connect(address: str) -> Any:
    """Ray, connected to a cluster."""
    try:
        import ray
    except ImportError as error:
        remedy = "run `pip install 'lima-bak-replication[cluster]'`"
        raise InputError("ray", "is not installed", remedy) from error
    try:
        if address != "auto":  # Ray itself would wait for long
            host, _, port = address.removeprefix("ray://").rpartition(":")
            socket.create_connection((host, int(port)), timeout=10).close()
        ray.init(address=address)
    except (OSError, RuntimeError, ValueError) as error:
        what = f"no Ray cluster answers here ({error})"
        raise InputError(address, what, "start one with `ray start --head`") from error
    return ray
