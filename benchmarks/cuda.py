"""What a GPU brings: how long an epoch takes, how many trainings it bears, how far it agrees.

    python benchmarks/cuda.py [--save]

Trains Att_d^1 on noise whose lengths are drawn from the lognormals that fit IEMOCAP's durations: on
the GPU and on the CPU by this project's kernels, and on the GPU by PyTorch's own layers, in float32
and with bf16 autocast; one training alone, then several in processes that share the GPU or the
machine's cores. Then the stand-in: probabilities of the test part on GPU and CPU, from the same
weights and from the same two epochs of training.
"""

import argparse
import os
import sys
import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pandas as pd
import scaling
import torch

from replicate import paper
from replicate.corpora.opening import open_corpus
from replicate.corpora.protocol import cohort
from replicate.corpora.waveforms import open_waveforms
from replicate.model import RawAudioEncoder, TranscriptionEncoder
from replicate.runs import facts
from replicate.runs.experiments import TABLE_4, TABLE_5, Experiment
from replicate.settings import Fold, Training
from replicate.training import loop
from replicate.training.examples import Examples, examples
from replicate.training.loop import Trainer

SIZE = 8  # of the noise, see `scaling.corpus`
MODELS = len(TABLE_4) + len(TABLE_5)
CPU, GPU, LAYERS, BF16 = "CPU", "GPU", "GPU, PyTorch's layers", "GPU, PyTorch's layers, bf16"

#: Way -> trainings side by side.
SIDE_BY_SIDE = {GPU: (1, 2, 4, MODELS), CPU: (1, os.cpu_count() or 1), LAYERS: (1,), BF16: (1,)}
WORKLOAD = "noise of lengths drawn from the lognormals that fit IEMOCAP's durations, on an "
EPOCHS = 2  # after which GPU and CPU are compared


EXPERIMENT = Experiment("any", "benchmark", "att_d1", "trainable", Fold(), 0)
KERNELS = loop.encoders


def trainer(way: str, data: Examples) -> Trainer:
    """A training of Att_d^1 in one of the ways."""
    loop.encoders = layers if way in (LAYERS, BF16) else KERNELS
    return Trainer(EXPERIMENT, data, None, "cpu" if way == CPU else "cuda")


def layers(*_: object) -> tuple[None, type[RawAudioEncoder], type[TranscriptionEncoder]]:
    """No kernels: the encoders of `replicate.model`."""
    return None, RawAudioEncoder, TranscriptionEncoder


def precision(way: str) -> AbstractContextManager[object]:
    """What a way computes in."""
    return torch.autocast("cuda", torch.bfloat16) if way == BF16 else nullcontext()


def train(way: str, folder: Path, start: object, results: object) -> None:
    """Train two epochs in this process, the second once all are ready; put what it took."""
    table, waveforms = scaling.corpus(SIZE, folder)
    trained = trainer(way, examples(EXPERIMENT, table, waveforms))
    with precision(way):
        trained.run_epoch()  # compiles kernels
        start.wait()
        trained.run_epoch()
    memory = float("nan") if way == CPU else torch.cuda.max_memory_reserved() / 2**20
    results.put(
        {
            "seconds": trained.epochs[-1]["seconds"],
            "utterances": len(table),
            "GPU MB each": memory,
        }
    )


def side_by_side(way: str, count: int, folder: Path) -> dict[str, object]:
    """The slowest of `count` trainings at once, as seconds of an epoch of the paper's corpus."""
    found = scaling.side_by_side(count, train, way, folder)
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
    data = examples(EXPERIMENT, cohort(opened), open_waveforms(opened))
    reference = trainer(CPU, data)
    for _ in range(EPOCHS):
        reference.run_epoch()
    expected = reference.predict(data.parts.test)[0]
    rows = []
    for way in (GPU, LAYERS, BF16):
        restored, trained, repeated = (trainer(way, data) for _ in range(3))
        restored.restore(reference.state())
        with precision(way):
            for _ in range(EPOCHS):
                trained.run_epoch()
                repeated.run_epoch()
            same = [each.predict(data.parts.test)[0] for each in (restored, trained, repeated)]
        for compared, found in zip(("weights", "training"), same, strict=False):
            rows.append(
                {
                    "way": way,
                    "same": compared,
                    "largest difference": float((found.float() - expected).abs().max()),
                    "same class": float((found.argmax(1) == expected.argmax(1)).float().mean()),
                    "repeats": str(torch.equal(same[1], same[2])),
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
    print(agreed.to_string(index=False, float_format="{:.6f}".format), flush=True)
    print(f"\nAn epoch of the paper's corpus, and {MODELS} models of {Training().epochs} epochs:\n")
    rows = []
    with tempfile.TemporaryDirectory() as name:
        scaling.corpus(SIZE, Path(name))
        for way, counts in SIDE_BY_SIDE.items():
            for count in counts:
                rows.append(side_by_side(way, count, Path(name)))
                row = pd.DataFrame(rows[-1:])
                print(row.to_string(index=False, header=len(rows) == 1), flush=True)
                if options.save:  # so far: time on a GPU may run out
                    tables = {"together": pd.DataFrame(rows), "agreement": agreed}
                    workload = WORKLOAD + torch.cuda.get_device_name()
                    facts.save_benchmark("cuda", workload, tables, device="cuda")


if __name__ == "__main__":
    main()
