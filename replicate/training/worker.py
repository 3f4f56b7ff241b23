"""The work of one experiment: open its data, take its lock, train, and say what came of it."""

import datetime
import importlib.util
import math
import shutil
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import joblib
import pandas as pd
import torch
from filelock import Timeout

from replicate.corpora.features import Features
from replicate.corpora.opening import open_corpus, open_sound
from replicate.corpora.table import Corpus
from replicate.corpora.transcriptions import WordVectors, open_vectors
from replicate.corpora.waveforms import Waveforms
from replicate.files import FULL, InputError, UnwritableError, lock_beside, unwritable
from replicate.runs.experiments import Experiment
from replicate.runs.published import is_finished, load_run
from replicate.runs.rerun import compare
from replicate.runs.store import AGAIN, Run, folder_of, save_run, weights_of
from replicate.runs.versions import Seen, at_hand
from replicate.training import weights
from replicate.training.train import train


@dataclass(frozen=True)
class Source:
    """Where a grid's data lie."""

    corpus: str  # name as on the command line
    data: Path | None = None  # its folder, None for the stand-in or `$REPLICATE_DATA`
    word2vec: Path | None = None  # file of pretrained vectors, None for the stand-in's own
    skip_damaged: bool = False  # leave damaged utterances out
    heard: bool = True  # whether the grid needs recordings, or features in their place


@dataclass(frozen=True)
class Outcome:
    """What became of an experiment."""

    experiment: Experiment
    accuracy: float = math.nan  # of its stored run on the test set, last epoch
    error: str | None = None  # why there is no run
    busy: bool = False  # whether another scheduler is training it


class FailedElsewhereError(Exception):
    """A training on another machine failed; the message is what that said."""


@lru_cache(maxsize=1)
def open_source(source: Source) -> tuple[Corpus, Waveforms | Features | None]:
    """The corpus and, where they are needed and there are any, its recordings or its features."""
    corpus = open_corpus(source.corpus, source.data, source.skip_damaged)
    return corpus, open_sound(corpus) if source.heard else None


def vectors_of(experiment: Experiment, source: Source) -> WordVectors | None:
    """The word vectors that an experiment begins with, None if there are none.

    `InputError` as `open_vectors`, or if they have another width than the model takes.
    """
    if experiment.embedding in ("trainable", "none"):
        return None  # and keep what another embedding has loaded
    return _loaded_vectors(experiment.embedding, experiment.architecture.emb_size, source)


@lru_cache(maxsize=1)
def _loaded_vectors(embedding: str, size: int, source: Source) -> WordVectors | None:
    found = open_vectors(embedding, open_source(source)[0].synthetic, source.word2vec)
    if found is not None and found.vectors.vector_size != size:
        what = f"has vectors of {found.vectors.vector_size} dimensions, but the model takes {size}"
        remedy = "pass vectors of that width, as GoogleNews's are"
        raise InputError(source.word2vec or embedding, what, remedy)
    return found


#: Frees what `vectors_of` has loaded last: it may be several gigabytes.
forget_vectors = _loaded_vectors.cache_clear


def run_one(
    experiment: Experiment,
    source: Source,
    device: str,
    root: Path,
    wait: bool,
    keep: bool = False,
    elsewhere: Callable[[Experiment], Run] | None = None,
) -> Outcome:
    """Train one experiment; an error is returned, so that it stops no other experiment.

    Only an `UnwritableError` is raised: a full disk stops them all. Without `wait`, what another
    scheduler is training is left to it. With `keep`, its weights are there afterwards. `elsewhere`
    is what trains it instead, if anything does.
    """
    folder = folder_of(experiment, root)
    lock = lock_beside(folder, timeout=-1 if wait else 0)
    try:
        with lock:
            corpus, sound = open_source(source)
            done = is_done(experiment, root, keep, at_hand(corpus, sound))
            if elsewhere is not None and not done:
                save_run(replace(elsewhere(experiment), folder=folder))
            elif not done:
                vectors = vectors_of(experiment, source)
                make = partial(
                    train, experiment, corpus, sound=sound, vectors=vectors, device=device,
                    report=print_progress, keep=keep,
                )  # fmt: skip
                if is_finished(experiment, root):
                    _weights_again(folder, make)
                else:
                    make(folder)
            accuracy = float(load_run(folder).epochs["test_accuracy"].iloc[-1])
            # whoever waits for it finds the run finished
            Path(lock.lock_file).unlink(missing_ok=True)
        return Outcome(experiment, accuracy)
    except Timeout:
        return Outcome(experiment, busy=True)
    except UnwritableError:
        raise
    except (InputError, FailedElsewhereError) as error:
        return Outcome(experiment, error=str(error))
    except Exception as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise unwritable(folder, error) from error
        return Outcome(experiment, error=traceback.format_exc())


def is_done(experiment: Experiment, root: Path, keep: bool, seen: Seen | None = None) -> bool:
    """As `is_finished`, and with `keep` whether its weights are stored as well."""
    if not is_finished(experiment, root, seen):
        return False
    return not keep or weights.are_kept(load_run(folder_of(experiment, root)))


def _weights_again(folder: Path, make: Callable[[Path], Run]) -> None:
    """The weights of a finished run, from a repeat; `InputError` if that is another model."""
    scratch = folder.parent / AGAIN / folder.name  # where a repeat that is interrupted goes on
    comparison = compare(load_run(folder), make(scratch))
    shutil.rmtree(scratch)
    if comparison.holds:  # last, for nobody comes back once the weights are there
        weights_of(scratch).replace(weights_of(folder))
    weights_of(scratch).unlink(missing_ok=True)
    with suppress(OSError):
        scratch.parent.rmdir()  # unless another repeat is there
    if not comparison.holds:
        what = f"its weights were not kept, and a repeat has others: {comparison}"
        raise InputError(folder, what, "train it with --keep-weights and other --results")


@dataclass(frozen=True)
class Workers:
    """What trains."""

    jobs: int = 1  # trainings at once on this machine
    device: str = "cpu"  # or `cuda`
    cluster: str | None = None  # address of a Ray cluster that trains instead
    gpus: float = 0.25  # on a cluster with `cuda`, the share of a GPU that a training takes
    keep: frozenset[Experiment] = frozenset()  # whose weights are kept

    def __post_init__(self) -> None:
        if self.cluster is not None and self.keep:
            what = "weights are kept only where the training is on this machine"
            remedy = "leave --cluster out, or --keep-weights and profile demo"
            raise InputError("--cluster", what, remedy)


def workers(
    jobs: int | None, device: str, cluster: str | None = None, gpus_each: float = 0.0
) -> Workers:
    """What trains: a cluster, or this machine, with one training a core that this process may use.

    `InputError` if this machine lacks what that needs, or the options contradict each other.
    """
    cuda = device == "cuda"
    if cuda and importlib.util.find_spec("triton") is None:
        raise InputError("--device cuda", "needs Triton", "pip install triton, or use --device cpu")
    if cluster is not None:
        if jobs is not None:
            raise InputError("--jobs", "is up to the cluster", "leave --jobs or --cluster out")
        return Workers(device=device, cluster=cluster, gpus=gpus_each)
    if cuda and not torch.cuda.is_available():
        raise InputError("--device cuda", "PyTorch finds no GPU here", "use --device cpu")
    return Workers(jobs or (1 if cuda else joblib.cpu_count()), device)


def print_progress(experiment: Experiment, epochs: pd.DataFrame, speed: float) -> None:
    """One line an epoch on standard error."""
    last, total = epochs.iloc[-1], experiment.training.epochs
    left = epochs["seconds"].mean() * (total - len(epochs))
    print(
        f"{experiment.name}  epoch {len(epochs)}/{total}  loss {last['loss']:.3f}  "
        f"train {last['train_accuracy']:.3f}  test {last['test_accuracy']:.3f}  "
        f"{speed:.0f} utterances/s  {duration(left)} left",
        file=sys.stderr,
        flush=True,
    )


def state(outcomes: Sequence[Outcome], total: int, seconds: float, jobs: int | None) -> str:
    """A grid's state after the last of some outcomes, which took some seconds, in one line.

    `total` experiments are in the grid; of a cluster it is not known how many train at once.
    """
    done, last = len(outcomes), outcomes[-1]
    became = f"test accuracy {last.accuracy:.3f}" if last.error is None else f"FAILED\n{last.error}"
    best = max((o for o in outcomes if o.error is None), key=lambda o: o.accuracy, default=last)
    left = duration(seconds / done * (total - done))
    running = "" if jobs is None else f"{min(jobs, total - done)} running, "
    return (
        f"[{done} of {total} done, {running}{left} left, "
        f"best {best.accuracy:.3f} {best.experiment.name}] {last.experiment.name}: {became}"
    )


def duration(seconds: float) -> str:
    """Seconds as `h:mm:ss`, and the days before that."""
    return str(datetime.timedelta(seconds=round(seconds)))
