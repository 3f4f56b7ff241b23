"""Beyond one machine: a grid's experiments as tasks of a Ray cluster.

Every node has this package, in the same version, and the corpus at the same path (a stand-in makes
itself). A node trains in a temporary folder and hands back the finished run, which enters the
caller's store whole: nodes need no file system in common. The trainings of a node that dies
begin anew on another one, and on processors of one kind they end at the same bits.
"""

import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from replicate.corpora.table import text_fingerprint
from replicate.files import InputError
from replicate.runs.code import LOADED_CODE, package_versions
from replicate.runs.experiments import Experiment
from replicate.runs.published import load_run
from replicate.runs.store import Run, folder_of
from replicate.training import worker
from replicate.training.worker import FailedElsewhereError, Source, Workers

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
        outcome = worker.run_one(experiment, source, device, Path(root), wait=True)
        return outcome.error or load_run(folder_of(experiment, Path(root)))


@contextmanager
def connected(source: Source, workers: Workers) -> Iterator[Callable[[Experiment], Run]]:
    """What trains an experiment on a node of a cluster, as `worker.run_one` takes it.

    `InputError` if Ray is not installed, or there is no cluster at the address.
    """
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
