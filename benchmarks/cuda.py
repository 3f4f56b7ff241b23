"""What a GPU brings: how long an epoch takes, how many trainings it bears, how far it agrees.

    python benchmarks/cuda.py [--save]

Trains Att_d^1 on noise whose lengths are drawn from the lognormals that fit IEMOCAP's durations, on
the GPU as `--device cuda` does it (PyTorch's defaults), with all products in float32, and with bf16
autocast, and on the CPU by this project's kernels; one training alone, then several in processes
that share the GPU or the machine's cores. Then the stand-in: probabilities of the test part on
GPU and CPU, from the same weights and from the same two epochs of training.
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from scaling import corpus

from replicate import measurements, paper
from replicate.corpora import open_corpus
from replicate.experiments import TABLE_4, TABLE_5, Experiment, Training
from replicate.protocol import Fold, cohort
from replicate.training import Examples, Trainer, examples
from replicate.waveforms import open_waveforms

SIZE = 2  # of the noise, see `scaling.corpus`
MODELS = len(TABLE_4) + len(TABLE_5)
CPU, DEFAULT, FLOAT32, BF16 = "CPU", "GPU", "GPU, float32 throughout", "GPU, bf16"

#: Way -> trainings side by side.
SIDE_BY_SIDE = {
    CPU: (1, os.cpu_count() or 1),
    DEFAULT: (1, 2, 4, 8),
    FLOAT32: (1,),
    BF16: (1,),
}
EPOCHS = 2  # of which the second is measured


def trainer(way: str, corpus_name: str, data: Examples) -> Trainer:
    """A training of Att_d^1 in one of the ways."""
    training = replace(Training(), epochs=EPOCHS)
    experiment = Experiment(corpus_name, "benchmark", "att_d1", "trainable", Fold(), 0, training)
    torch.backends.cudnn.allow_tf32 = way != FLOAT32
    return Trainer(experiment, data, None, "cpu" if way == CPU else "cuda")


def precision(way: str) -> AbstractContextManager[object]:
    """What a way computes in."""
    return torch.autocast("cuda", torch.bfloat16) if way == BF16 else nullcontext()


def train(way: str, folder: Path, start: object, results: object) -> None:
    """Train two epochs in this process, the second once all are ready; put what it took."""
    table, waveforms = corpus(SIZE, folder)
    experiment = Experiment("noise", "benchmark", "att_d1", "trainable", Fold(), 0)
    training = trainer(way, "noise", examples(experiment, table, waveforms))
    with precision(way):
        training.run_epoch()
        start.wait()
        training.run_epoch()
    memory = float("nan") if way == CPU else torch.cuda.max_memory_reserved() / 2**20
    results.put(
        {
            "seconds": training.epochs[-1]["seconds"],
            "utterances": len(table),
            "GPU MB each": memory,
        }
    )


def side_by_side(way: str, count: int, folder: Path) -> dict[str, object]:
    """The slowest of `count` trainings at once, as seconds of an epoch of the paper's corpus."""
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(count), context.Queue()
    children = [
        context.Process(target=train, args=(way, folder, start, results)) for _ in range(count)
    ]
    for child in children:
        child.start()
    found = pd.DataFrame([results.get(timeout=600) for _ in children])
    for child in children:
        child.join()
    rate = found["utterances"].iloc[0] / found["seconds"].max()
    epoch = sum(map(float, paper.COUNTS.values())) / rate
    return {
        "way": way,
        "trainings": count,
        "seconds": epoch,
        "minutes": MODELS * Training().epochs * epoch / count / 60,
        "GPU MB each": found["GPU MB each"].max(),
    }


def agreement() -> pd.DataFrame:
    """Largest difference from the CPU's probabilities on the stand-in, and equal classes."""
    opened = open_corpus("standin-quick")
    experiment = Experiment(opened.name, "benchmark", "att_d1", "trainable", Fold(), 0)
    data = examples(experiment, cohort(opened), open_waveforms(opened))
    reference = trainer(CPU, opened.name, data)
    for _ in range(EPOCHS):
        reference.run_epoch()
    expected = reference.predict(data.parts.test)[0]
    rows = []
    for way in (DEFAULT, FLOAT32, BF16):
        restored, trained = (trainer(way, opened.name, data) for _ in range(2))
        restored.restore(reference.state())
        with precision(way):
            for _ in range(EPOCHS):
                trained.run_epoch()
            answers = {
                "same weights": restored.predict(data.parts.test)[0],
                "same training": trained.predict(data.parts.test)[0],
            }
        for compared, found in answers.items():
            rows.append(
                {
                    "way": way,
                    "compared": compared,
                    "largest difference": float((found.float() - expected).abs().max()),
                    "same class": float((found.argmax(1) == expected.argmax(1)).float().mean()),
                    "accuracy": trained.epochs[-1]["test_accuracy"],
                    "of the CPU": reference.epochs[-1]["test_accuracy"],
                }
            )
    return pd.DataFrame(rows)


def main() -> None:
    """Measure, print and, if asked, store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--save", action="store_true", help="store in results/benchmarks/")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("PyTorch finds no GPU here: this measures one against the CPU beside it.")
    print(f"{torch.cuda.get_device_name()}, {os.cpu_count()} cores, PyTorch {torch.__version__}\n")
    agreed = agreement()
    print(agreed.to_string(index=False, float_format="{:.5f}".format), flush=True)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        corpus(SIZE, folder)
        for way, counts in SIDE_BY_SIDE.items():
            for count in counts:
                rows.append(side_by_side(way, count, folder))
                print(rows[-1], flush=True)
    together = pd.DataFrame(rows)
    print(f"\nAn epoch of the paper's corpus, and {MODELS} models of {Training().epochs} epochs:\n")
    print(together.to_string(index=False, float_format="{:.1f}".format))
    if options.save:
        workload = (
            f"{torch.cuda.get_device_name()}; noise of lengths drawn from the lognormals that fit "
            "IEMOCAP's durations"
        )
        print(measurements.save("cuda", workload, {"together": together, "agreement": agreed}))


if __name__ == "__main__":
    main()
