"""How long a training step takes in eager PyTorch and with the fused kernels.

    python benchmarks/front_end.py [--lengths utterances.csv] [--repeats 5] [--save]

A step is that of the whole model (Att_d^1, trainable embedding, batch of 30): forward, loss,
backward, Adam. The audio is noise and the words are random; only lengths matter: 4.5 s each, 15 s
each, or random batches of IEMOCAP's lengths. All ways take every batch in turn, so that whatever
else the machine does hits them alike; each takes it twice and the second step counts, as the first
pays for what training does once (compiling for a length, the lag sums of a recording) or never does
(finding its caches full of another way's data). Idle OpenMP threads sleep, for all ways: spinning,
which is their default, they take a core from the kernels' threads (see `compiled.share_out`). The
last line is `speedup N`: mean eager over mean fused step on the random batches, two threads each.
"""

# ruff: noqa: E402

import os

WAITING = "OMP_WAIT_POLICY"
os.environ.setdefault(WAITING, "PASSIVE")  # is read once, when PyTorch is loaded

import argparse
import ctypes
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from replicate.corpora.iemocap import iemocap_seconds
from replicate.corpora.transcriptions import pad
from replicate.corpora.waveforms import Waveforms
from replicate.kernels.audio import FusedAudioEncoder
from replicate.kernels.audio_batches import FusedAudio
from replicate.kernels.audio_loops import TAIL
from replicate.kernels.gru import states
from replicate.kernels.text import FusedTranscriptionEncoder
from replicate.model import EmotionModel
from replicate.runs import facts
from replicate.settings import SAMPLE_RATE, ModelConfig
from replicate.studies import speed

BATCH = 30  # Table 1
WORDS = 2000  # of the vocabulary
RATE = 2.6  # words a second of speech in IEMOCAP
METADATA = Path(__file__).parents[2] / "shared" / "data" / "iemocap-metadata" / "utterances.csv"

#: Multiplications and additions a position of a training step: conv1 in each of three passes, the
#: lag sums, their gradient (by r, by w), conv2 and the shortcut.
OPERATIONS = 3 * 100 + 84 + (4 * 4 * 9 + 104) + (160 + 8)


@dataclass(frozen=True)
class Way:
    """A way to do a step: name, threads, and the model with its optimiser."""

    name: str
    threads: int
    model: EmotionModel
    optimiser: torch.optim.Optimizer
    bf16: bool = False

    @property
    def fused(self) -> bool:
        """Whether the front end is the fused one."""
        return isinstance(self.model.audio, FusedAudioEncoder)

    def inputs(self, waveforms: Waveforms, audio: FusedAudio, rows: np.ndarray) -> object:
        """A batch in the form that the front end takes."""
        return audio.batch(rows) if self.fused else waveforms.padded(rows)

    def step(self, waves: object, words: Tensor, labels: Tensor) -> None:
        """A training step."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            loss = F.cross_entropy(self.model(waves, words).logits, labels)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()


def ways() -> list[Way]:
    """All that are compared, with the same initial weights."""

    def way(name: str, threads: int, *encoders: type, bf16: bool = False) -> Way:
        torch.manual_seed(0)
        model = EmotionModel(ModelConfig(), "att_d1", WORDS, 4, *encoders)
        optimiser = torch.optim.Adam(model.parameters(), fused=True)
        return Way(name, threads, model, optimiser, bf16)

    compiled = way("torch.compile", 2)
    compiled.model.audio.front_end.compile(dynamic=True)
    return [
        way("fused, 1 thread", 1, FusedAudioEncoder, FusedTranscriptionEncoder),
        way("fused", 2, FusedAudioEncoder, FusedTranscriptionEncoder),
        way("eager", 2),
        way("eager, bf16", 2, bf16=True),
        compiled,
    ]


def iemocap_lengths(path: Path | None, rng: np.random.Generator) -> tuple[np.ndarray, str]:
    """Lengths in samples of utterances of the four classes, and where they come from."""
    if path is not None:
        table = pd.read_csv(path)
        wanted = table["label"].isin(["ang", "hap", "exc", "neu", "sad"])
        return table.loc[wanted, "num_samples"].to_numpy(), path.name
    return (iemocap_seconds(rng) * SAMPLE_RATE).astype(int), "lognormal fits"


def epoch_sample(lengths: np.ndarray, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Lengths of `count` batches that stand for an epoch of random batches.

    Of the epoch's batches, ordered by their longest utterance, each is the middle one of `count`
    equal parts: what a step costs depends most on the longest.
    """
    shuffled = rng.permutation(lengths)[: len(lengths) // BATCH * BATCH].reshape(-1, BATCH)
    ordered = shuffled[shuffled.max(1).argsort()]
    return list(ordered[(2 * np.arange(count) + 1) * len(ordered) // (2 * count)])


def noise(lengths: np.ndarray, rng: np.random.Generator) -> Waveforms:
    """Waveforms of these lengths."""
    samples = rng.normal(0, 1000, lengths.sum()).astype(np.int16)
    offsets = np.cumsum(lengths) - lengths
    return Waveforms(samples, offsets, lengths, tuple(map(str, range(len(lengths)))), "")


def sentences(lengths: np.ndarray, rng: np.random.Generator) -> Tensor:
    """Random words of utterances of these lengths in samples, [B, n]."""
    spoken = np.maximum(lengths / SAMPLE_RATE * RATE, 1).astype(int)
    return pad([rng.integers(2, WORDS, count) for count in spoken], 5)


def memory(step: Callable[[], None]) -> float:
    """By how many MB resident memory grows in a step at most; NaN where Linux does not tell."""
    try:
        ctypes.CDLL(None).malloc_trim(0)  # gives back what earlier steps have left
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    except (AttributeError, OSError):
        step()
        return float("nan")
    before = _status("VmRSS")
    step()
    return (_status("VmHWM") - before) / 1024


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def measure(
    compared: list[Way], waveforms: Waveforms, batches: list[np.ndarray], title: str
) -> pd.DataFrame:
    """Seconds and MB of a step, one row a batch and way."""
    audio = FusedAudio(waveforms)
    rng = np.random.default_rng(0)
    labels = torch.from_numpy(rng.integers(0, 4, BATCH))
    rows = []
    for number, batch in enumerate(batches, 1):
        words = sentences(waveforms.lengths[batch], rng)
        for way in compared:
            torch.set_num_threads(way.threads)

            def step(way: Way = way, words: Tensor = words, batch: np.ndarray = batch) -> None:
                way.step(way.inputs(waveforms, audio, batch), words, labels)

            step()
            started = time.perf_counter()
            step()
            row = {"way": way.name, "seconds": time.perf_counter() - started}
            if number == len(batches):  # of random batches the one with the longest utterance
                row["MB"] = memory(step)
            rows.append(row)
        print(f"\r{title}: {number} of {len(batches)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return pd.DataFrame(rows)


def errors(compared: list[Way], waveforms: Waveforms, rows: np.ndarray) -> pd.DataFrame:
    """Every way's front end against eager float64, see `speed.gaps`."""

    def forward(way: Way) -> Callable[[], Tensor]:
        def computed() -> Tensor:
            with torch.autocast("cpu", torch.bfloat16, enabled=way.bf16):
                return way.model.audio.front_end(way.inputs(waveforms, FusedAudio(waveforms), rows))

        return computed

    ways = {way.name: (way.model.audio.front_end, forward(way)) for way in compared}
    return speed.gaps(ways, waveforms, rows)


def milliseconds(action: Callable[[], object], repeats: int) -> float:
    """Median time of an action."""
    action()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)


def parts(way: Way, waveforms: Waveforms, rows: np.ndarray, repeats: int) -> dict[str, float]:
    """Milliseconds of the parts of a fused step with one thread, forward and backward.

    The last is what a whole step takes beyond them: setting gradients to zero, Python.
    """
    torch.set_num_threads(1)
    model, audio, rng = way.model, FusedAudio(waveforms), np.random.default_rng(0)
    batch = audio.batch(rows)
    words = sentences(waveforms.lengths[rows], rng)
    labels = torch.from_numpy(rng.integers(0, 4, BATCH))
    pooled = torch.rand(BATCH, 200, 8, requires_grad=True)
    features = torch.rand(2, BATCH, 400, requires_grad=True)

    def rest() -> Tensor:
        fused = model.fusion(features[0], model.audio.projection(features[1][:, :32]))
        return F.cross_entropy(model.classifier(fused.features), labels)

    found = {
        "cutting the batch": milliseconds(lambda: audio.batch(rows), repeats),
        "front end": milliseconds(lambda: model.audio.front_end(batch).sum().backward(), repeats),
        "GRU": milliseconds(lambda: states(model.audio.gru, pooled).sum().backward(), repeats),
        "text": milliseconds(lambda: model.text(words).sum().backward(), repeats),
        "fusion, classifier": milliseconds(lambda: rest().backward(), repeats),
        "optimiser": milliseconds(way.optimiser.step, repeats),
    }
    whole = milliseconds(lambda: way.step(audio.batch(rows), words, labels), repeats)
    return {**found, "all else": whole - sum(found.values())}


def floor(positions: int) -> tuple[float, float]:
    """Milliseconds that arithmetic and reading alone would take on one core.

    The core's peak is that of a float32 matrix product, its bandwidth that of a large copy.
    """
    torch.set_num_threads(1)
    a, large = torch.rand(1024, 1024), torch.zeros(64 * 2**20, dtype=torch.int16)
    target = torch.empty_like(large)
    multiplications = 1024**3 / milliseconds(lambda: a @ a, 9)
    copied = 2 * large.nbytes / milliseconds(lambda: target.copy_(large), 5)
    return OPERATIONS * positions / multiplications, 3 * 2 * positions / copied


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lengths", type=Path, default=METADATA if METADATA.exists() else None)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--save", action="store_true", help="store in results/benchmarks/")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    lengths, source = iemocap_lengths(options.lengths, rng)
    machine = platform.processor() or platform.machine()
    print(f"{machine}, PyTorch {torch.__version__}, Numba {numba.__version__}")

    torch.set_flush_denormal(True)  # as in training
    compared = ways()
    drawn = epoch_sample(lengths, options.repeats, rng)
    table = errors(compared, noise(np.array([30_000, 72_000, 9000]), rng), np.arange(3))
    workloads = {
        "uniform 4.5 s": [np.full(BATCH, 72_000)] * options.repeats,
        "uniform 15 s": [np.full(BATCH, 240_000)] * options.repeats,
        "random": drawn,
    }
    for title, batches in workloads.items():
        waveforms = noise(np.concatenate(batches), rng)
        rows = list(np.arange(len(waveforms.lengths)).reshape(-1, BATCH))
        measured = measure(compared, waveforms, rows, title).groupby("way", sort=False)
        table[f"{title}, ms"] = 1000 * measured["seconds"].median()
        table[f"{title}, MB"] = measured["MB"].max()
        means = measured["seconds"].mean()
    print(f"\nTraining step of Att_d^1, batch of {BATCH}, two threads except where noted, medians;")
    print(f"random batches of IEMOCAP's lengths ({source}), the longest of 30 lasts")
    print(f"{np.max(drawn, 1).mean() / SAMPLE_RATE:.1f} s on average; MB by which memory grows,")
    print("of random batches in the one with the longest utterance\n")
    errors_first = {column: "{:.1e}".format for column in table if column.endswith("error")}
    print(table.to_string(float_format="{:.0f}".format, formatters=errors_first))

    print("\nParts of a fused step on a random batch, one thread, ms:")
    middle = len(rows) // 2
    times = parts(compared[0], waveforms, rows[middle], 3 * options.repeats)
    for name, value in times.items():
        print(f"  {name:20} {value:6.1f}")
    kept = int(np.minimum(drawn[middle] + TAIL, drawn[middle].max()).sum())
    arithmetic, reading = floor(kept)
    print(
        f"At the core's peak the front end would take {arithmetic:.1f} ms of arithmetic ({kept:,}"
    )
    print(f"positions, {OPERATIONS} multiplications each) and {reading:.1f} ms of reading.")
    if options.save:
        table["random, mean ms"] = 1000 * means
        spent = pd.DataFrame({"part": times.keys(), "ms": times.values()})
        least = pd.DataFrame([{"positions": kept, "arithmetic": arithmetic, "reading": reading}])
        tables = {"steps": table.reset_index(), "parts": spent, "floor": least}
        workload = (
            f"noise; random batches have IEMOCAP's lengths ({source}); "
            f"{WAITING}={os.environ[WAITING]}"
        )
        print(facts.save_benchmark("front_end", workload, tables))
    print(f"speedup {means['eager'] / means['fused']:.1f}")


if __name__ == "__main__":
    main()
