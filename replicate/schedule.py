"""Many experiments at once: one single-threaded training a core, each in a process of its own."""

import os
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import joblib
import pandas as pd

from replicate.corpora import open_corpus
from replicate.corpora.table import Corpus
from replicate.errors import InputError
from replicate.experiments import Experiment
from replicate.runs import RESULTS, folder_of, is_finished
from replicate.training import train
from replicate.transcriptions import WordVectors, open_vectors
from replicate.waveforms import Waveforms, open_waveforms


@dataclass(frozen=True)
class Source:
    """Where a grid's data lie.

    Attributes:
        corpus: name as on the command line.
        data: the corpus's folder, None for the stand-in or `$REPLICATE_DATA`.
        word2vec: file of pretrained vectors, None for the stand-in's own.
        skip_damaged: leave damaged utterances out.
        heard: whether the grid needs recordings; all its experiments then share one cohort.
    """

    corpus: str
    data: Path | None = None
    word2vec: Path | None = None
    skip_damaged: bool = False
    heard: bool = True


@dataclass(frozen=True)
class Outcome:
    """What became of an experiment: `error` is None where its run is stored."""

    experiment: Experiment
    error: str | None


@lru_cache(maxsize=1)
def open_source(source: Source) -> tuple[Corpus, Waveforms | None]:
    """The corpus and its recordings; damaged utterances are out of both, where asked for.

    Raises:
        InputError: as `open_corpus` and `open_waveforms`.
    """
    corpus = open_corpus(source.corpus, source.data, source.skip_damaged)
    if not (source.heard and corpus.has_audio):
        return corpus, None
    waveforms = open_waveforms(corpus, source.skip_damaged)
    out = [problem.utterance for problem in waveforms.problems]
    kept = corpus.utterances[~corpus.utterances["utterance"].isin(out)]
    return replace(corpus, utterances=kept.reset_index(drop=True)), waveforms


@lru_cache(maxsize=1)
def _vectors(embedding: str, source: Source) -> WordVectors | None:
    return open_vectors(embedding, open_source(source)[0].synthetic, source.word2vec)


def run_one(
    experiment: Experiment, source: Source, device: str, root: Path, scheduler: int
) -> Outcome:
    """Train one experiment; an error is returned, so that it stops no other experiment.

    Args:
        experiment: what to train.
        source: its data.
        device: `cpu` or `cuda`.
        root: the run store.
        scheduler: process id of the scheduler; a worker that outlives it stops after its epoch, so
            that no two trainings ever write the same checkpoint.
    """

    def report(trained: Experiment, epochs: pd.DataFrame, speed: float) -> None:
        print_progress(trained, epochs, speed)
        if scheduler not in (os.getpid(), os.getppid()):
            os._exit(1)

    try:
        corpus, waveforms = open_source(source)
        train(
            experiment,
            corpus,
            folder_of(experiment, root),
            waveforms=waveforms,
            vectors=_vectors(experiment.embedding, source),
            device=device,
            report=report,
        )
    except InputError as error:
        return Outcome(experiment, str(error))
    except Exception:
        return Outcome(experiment, traceback.format_exc())
    return Outcome(experiment, None)


def run_grid(
    experiments: Sequence[Experiment],
    source: Source,
    jobs: int,
    device: str = "cpu",
    root: Path = RESULTS,
) -> Iterator[Outcome]:
    """Train the experiments that have no run yet, `jobs` at a time, and yield as they finish."""
    todo = [experiment for experiment in experiments if not is_finished(experiment, root)]
    if jobs == 1:
        yield from (run_one(experiment, source, device, root, os.getpid()) for experiment in todo)
        return
    pool = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)
    task = joblib.delayed(run_one)
    yield from pool(task(item, source, device, root, os.getpid()) for item in todo)


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


def duration(seconds: float) -> str:
    """Seconds as `h:mm:ss`, or `m:ss` under an hour."""
    return time.strftime("%-H:%M:%S" if seconds >= 3600 else "%-M:%S", time.gmtime(seconds))
