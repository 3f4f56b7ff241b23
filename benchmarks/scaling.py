"""How time and memory of training grow with the corpus and with trainings side by side.

    python benchmarks/scaling.py [--save]

Trains Att_d^1 on noise whose lengths are drawn from the lognormals that fit IEMOCAP's durations:
an epoch of x1, x2, x4 and x8 of 700 utterances, each in a fresh process and on one thread; then the
smallest corpus in 1, 2 and 4 processes at once. Memory is what a process holds for itself (the
audio is a memory map, whose pages all processes share and the system may drop) at its peak, and
what is resident at the end.
"""

import argparse
import math
import multiprocessing
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import psutil

from replicate.corpora.iemocap import DURATIONS, EXTREMES
from replicate.corpora.standin.channels import prior
from replicate.corpora.table import utterance_table
from replicate.corpora.waveforms import Waveforms
from replicate.paper import EMOTIONS
from replicate.runs import facts
from replicate.runs.experiments import Experiment
from replicate.settings import SAMPLE_RATE, Fold, Training
from replicate.training.examples import examples
from replicate.training.loop import Trainer

UTTERANCES = 700
SIZES = (1, 2, 4, 8)
SIDE_BY_SIDE = (1, 2, 4)
WORDS = 2000  # of the vocabulary


def corpus(size: int, folder: Path) -> tuple[pd.DataFrame, Waveforms]:
    """A cohort of `size` times `UTTERANCES` with its recordings in a memory map in `folder`."""
    rng = np.random.default_rng(0)
    n = size * UTTERANCES
    label = rng.choice(len(EMOTIONS), n, p=prior())
    mu, sigma = np.array(DURATIONS).T
    seconds = rng.lognormal(mu[label], sigma[label]).clip(*EXTREMES)
    lengths = (seconds * SAMPLE_RATE).astype(np.int64)
    path = folder / f"{size}.int16"
    if not path.exists():
        noise = rng.normal(0, 1000, lengths.sum()).astype(np.int16)
        noise.tofile(path)
    samples = np.memmap(path, np.int16, "r")
    ids = tuple(f"u{i:05d}" for i in range(n))
    table = utterance_table(
        {
            "utterance": ids[i],
            "dialogue": f"d{i // 40}",
            "session": str(1 + i % 5),
            "speaker": f"s{i % 10}",
            "start": float(i),
            "label": EMOTIONS[label[i]],
            "transcript": " ".join(f"w{w}" for w in rng.zipf(1.3, 12) % WORDS),
            "wav": f"{ids[i]}.wav",
        }
        for i in range(n)
    )
    table["emotion"] = [EMOTIONS[k] for k in label]
    return table, Waveforms(samples, np.cumsum(lengths) - lengths, lengths, ids, "noise")


def train(size: int, folder: Path, start: object, results: object) -> None:
    """Train an epoch in this process, once all are ready; put its seconds and MB."""
    table, waveforms = corpus(size, folder)
    training = replace(Training(), epochs=2)
    experiment = Experiment("noise", "benchmark", "att_d1", "trainable", Fold(), 0, training)
    trainer = Trainer(experiment, examples(experiment, table, waveforms), None, "cpu")
    trainer.predict(np.arange(30))  # compiled kernels are loaded now
    start.wait()
    peak = Peak()
    started = time.perf_counter()
    trainer.run_epoch()
    seconds = time.perf_counter() - started
    results.put(
        {
            "utterances": len(table),
            "hours": float(waveforms.lengths.sum() / SAMPLE_RATE / 3600),
            "seconds": seconds,
            "own MB": peak.stop(),
            "resident MB": psutil.Process().memory_info().rss / 2**20,
        }
    )


class Peak:
    """The most memory that this process holds for itself, looked at ten times a second."""

    def __init__(self) -> None:
        self._largest, self._ended = math.nan, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        process = psutil.Process()
        while not self._ended.wait(0.1):
            memory = process.memory_info()
            own = memory.rss - getattr(memory, "shared", math.nan)  # Linux alone tells
            self._largest = float(np.fmax(self._largest, own / 2**20))

    def stop(self) -> float:
        """The peak in MB."""
        self._ended.set()
        self._thread.join()
        return self._largest


def side_by_side(count: int, target: Callable[..., None], *arguments: object) -> pd.DataFrame:
    """One row for each of `count` processes that train at once.

    Args:
        count: processes.
        target: what each does with `arguments`, a barrier to wait at and a queue for its row.
        arguments: as said.
    """
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(count), context.Queue()
    children = [
        context.Process(target=target, args=(*arguments, start, results), daemon=True)
        for _ in range(count)
    ]
    for child in children:
        child.start()
    rows = [results.get(timeout=1800) for _ in children]
    for child in children:
        child.join()
    return pd.DataFrame(rows)


def main() -> None:
    """Measure, print and, if asked, store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--save", action="store_true", help="store in results/benchmarks/")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = pd.concat(
            [side_by_side(1, train, size, folder) for size in SIZES], ignore_index=True
        )
        size["seconds an hour"] = size["seconds"] / size["hours"]
        print("An epoch, training and test, one thread:\n")
        print(size.to_string(index=False, float_format="{:.1f}".format))
        together = pd.DataFrame(
            {
                "trainings": count,
                "seconds": (found := side_by_side(count, train, 1, folder))["seconds"].max(),
                "own MB each": found["own MB"].max(),
            }
            for count in SIDE_BY_SIDE
        )
    rates = together["trainings"] / together["seconds"]
    together["throughput"] = rates / rates.iloc[0]
    print("\nTrainings side by side:\n")
    print(together.to_string(index=False, float_format="{:.2f}".format))
    if options.save:
        workload = "noise of lengths drawn from the lognormals that fit IEMOCAP's durations"
        print(facts.save_benchmark("scaling", workload, {"size": size, "together": together}))


if __name__ == "__main__":
    main()
