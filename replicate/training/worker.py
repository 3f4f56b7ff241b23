"""The work of one experiment: open its data, take its lock, train, and say what came of it."""

import datetime
import math
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pandas as pd
from filelock import BaseFileLock, Timeout

from replicate.corpora.features import Features
from replicate.corpora.opening import open_corpus
from replicate.corpora.table import Corpus
from replicate.corpora.transcriptions import WordVectors, open_vectors
from replicate.corpora.waveforms import Waveforms, open_waveforms
from replicate.files import FULL, InputError, UnwritableError, lock_beside, unwritable
from replicate.interrupts import end_with
from replicate.runs.experiments import Experiment
from replicate.runs.published import is_finished, load_run
from replicate.runs.store import folder_of
from replicate.runs.versions import at_hand
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


@lru_cache(maxsize=1)
def open_source(source: Source) -> tuple[Corpus, Waveforms | Features | None]:
    """The corpus and, where they are needed and there are any, its recordings or its features.

    Raises:
        InputError: as `open_corpus` and `open_waveforms`.
    """
    corpus = open_corpus(source.corpus, source.data, source.skip_damaged)
    if not source.heard:
        return corpus, None
    return corpus, open_waveforms(corpus) if corpus.has_audio else corpus.features


def vectors_of(experiment: Experiment, source: Source) -> WordVectors | None:
    """The word vectors that an experiment begins with, None if there are none.

    `InputError` as `open_vectors`, or if they have another width than the model takes.
    """
    embedding = experiment.embedding
    if embedding in ("trainable", "none"):
        return None  # and keep what another embedding has loaded
    return _loaded_vectors(embedding, experiment.architecture.emb_size, source)


@lru_cache(maxsize=1)
def _loaded_vectors(embedding: str, size: int, source: Source) -> WordVectors | None:
    found = open_vectors(embedding, open_source(source)[0].synthetic, source.word2vec)
    if found is not None and found.vectors.vector_size != size:
        raise InputError(
            source.word2vec or embedding,
            f"has vectors of {found.vectors.vector_size} dimensions, but the model takes {size}",
            "pass vectors of that width, as GoogleNews's are",
        )
    return found


def forget_vectors() -> None:
    """Free what `vectors_of` has loaded last: it may be several gigabytes."""
    _loaded_vectors.cache_clear()


def run_one(
    experiment: Experiment, source: Source, device: str, root: Path, scheduler: int, wait: bool
) -> Outcome:
    """Train one experiment; an error is returned, so that it stops no other experiment.

    Only an `UnwritableError` is raised: a full disk stops them all. A worker does not outlive the
    process `scheduler`. Without `wait`, what another scheduler is training is left to it.
    """
    end_with(scheduler)
    folder, lock = folder_of(experiment, root), lock_of(experiment, root, wait)
    try:
        with lock:
            corpus, sound = open_source(source)
            if not is_finished(experiment, root, at_hand(corpus, sound)):
                for leftover in folder.glob(".checkpoint.pt.*"):  # of a process that was killed
                    leftover.unlink()
                vectors = vectors_of(experiment, source)
                train(
                    experiment, corpus, folder,
                    sound=sound, vectors=vectors, device=device, report=print_progress,
                )  # fmt: skip
            outcome = outcome_of(experiment, root)
            # whoever waits for it finds the run finished
            Path(lock.lock_file).unlink(missing_ok=True)
        return outcome
    except Timeout:
        return Outcome(experiment, busy=True)
    except UnwritableError:
        raise
    except InputError as error:
        return Outcome(experiment, error=str(error))
    except Exception as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise unwritable(folder, error) from error
        return Outcome(experiment, error=traceback.format_exc())


def lock_of(experiment: Experiment, root: Path, wait: bool) -> BaseFileLock:
    """The lock of a run's folder; without `wait`, taking it raises `Timeout` where it is held."""
    return lock_beside(folder_of(experiment, root), timeout=-1 if wait else 0)


def outcome_of(experiment: Experiment, root: Path) -> Outcome:
    """The outcome of an experiment whose run is stored."""
    epochs = load_run(folder_of(experiment, root)).epochs
    return Outcome(experiment, float(epochs["test_accuracy"].iloc[-1]))


@dataclass(frozen=True)
class Workers:
    """What trains."""

    jobs: int = 1  # trainings at once on this machine
    device: str = "cpu"  # or `cuda`
    cluster: str | None = None  # address of a Ray cluster that trains instead
    gpus: float = 0.25  # on a cluster with `cuda`, the share of a GPU that a training takes


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
