"""Beyond one machine: a grid's experiments as tasks of a Ray cluster.

Every node has this package, in the same version, and the corpus at the same path (a stand-in makes
itself). A node trains in a temporary folder and hands back the finished run, which enters the
caller's store whole: nodes need no file system in common. The trainings of a node that dies
begin anew on another one, and on processors of one kind they end at the same bits.
"""

import socket
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import Timeout

from replicate.corpora.table import text_fingerprint
from replicate.files import InputError
from replicate.runs.code import LOADED_CODE, package_versions
from replicate.runs.experiments import Experiment
from replicate.runs.published import is_finished, load_run
from replicate.runs.store import Run, folder_of, save_run
from replicate.runs.versions import at_hand
from replicate.training import worker
from replicate.training.worker import Outcome, Source, Workers

#: How often a training may begin anew because its node has died.
RETRIES = 10


def state_of(source: Source, device: str) -> dict[str, object]:
    """What must be the same on every node; `InputError` as `open_source`, or without Triton."""
    corpus, sound = worker.open_source(source)
    return {
        "code": LOADED_CODE["audio", "cuda"],
        "packages": package_versions(device=device),
        "transcripts": text_fingerprint(corpus.utterances),
        "recordings": sound.fingerprint if sound is not None else None,
    }


def train_here(
    experiment: Experiment, source: Source, device: str, state: dict[str, object]
) -> tuple[Outcome, Run | None]:
    """Train on this node, if its `state_of` the source is the caller's: the outcome and the run."""
    try:
        here = state_of(source, device)
    except InputError as problem:
        return Outcome(experiment, error=f"{socket.gethostname()}: {problem}"), None
    if other := [name for name in state if state[name] != here[name]]:
        error = InputError(
            socket.gethostname(),
            f"has other {', '.join(other)} than the machine that asks",
            "install the same there",
        )
        return Outcome(experiment, error=str(error)), None
    with tempfile.TemporaryDirectory() as root:
        outcome = worker.run_one(experiment, source, device, Path(root), wait=True)
        if outcome.error is not None:
            return outcome, None
        return outcome, load_run(folder_of(experiment, Path(root)))


def run_each(
    experiments: Sequence[Experiment], source: Source, workers: Workers, root: Path, wait: bool
) -> Iterator[Outcome]:
    """Train experiments on a cluster and yield what became of them as they finish.

    `root` is the run store on this machine; `wait` as in `worker.run_one`. `InputError` if Ray is
    not installed, or there is no cluster at the address.
    """
    ray = _connect(str(workers.cluster))
    gpus = workers.gpus if workers.device == "cuda" else 0
    task = ray.remote(train_here).options(num_cpus=1, num_gpus=gpus, max_retries=RETRIES)
    state, seen = state_of(source, workers.device), at_hand(*worker.open_source(source))
    pending = {}
    try:
        for experiment in experiments:
            lock = worker.lock_of(experiment, root, wait)
            try:
                lock.acquire()
            except Timeout:
                yield Outcome(experiment, busy=True)
                continue
            if is_finished(experiment, root, seen):  # by the scheduler that held the lock
                outcome = worker.outcome_of(experiment, root)
                Path(lock.lock_file).unlink(missing_ok=True)
                lock.release()
                yield outcome
                continue
            pending[task.remote(experiment, source, workers.device, state)] = experiment, lock
        while pending:
            (ended,), _ = ray.wait(list(pending), num_returns=1)
            experiment, lock = pending.pop(ended)
            try:
                outcome, run = ray.get(ended)
            except ray.exceptions.RayError as error:
                outcome, run = Outcome(experiment, error=str(error)), None
            if run is not None:
                save_run(replace(run, folder=folder_of(experiment, root)))
                Path(lock.lock_file).unlink(missing_ok=True)
            lock.release()
            yield outcome
    finally:
        ray.shutdown()


def _connect(address: str) -> Any:
    """Ray, connected to a cluster."""
    try:
        import ray
    except ImportError as error:
        raise InputError(
            "ray", "is not installed", "run `pip install 'lima-bak-replication[cluster]'`"
        ) from error
    try:
        if address != "auto":  # Ray itself would wait for long
            host, _, port = address.removeprefix("ray://").rpartition(":")
            socket.create_connection((host, int(port)), timeout=10).close()
        ray.init(address=address)
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(
            address, f"no Ray cluster answers here ({error})", "start one with `ray start --head`"
        ) from error
    return ray
