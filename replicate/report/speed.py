"""Why training is fast: what each idea of `audio_kernels` saves, that all are exact, and the cost.

Times are never taken here, where anything may run beside: they come from stored benchmarks.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from replicate import paper
from replicate.audio_kernels import H1, H2, K1, TAIL, FusedAudio, FusedFrontEnd, window_moments
from replicate.experiments import Training
from replicate.measurements import Measurement, load
from replicate.model import AudioFrontEnd, ModelConfig, RawAudioEncoder
from replicate.report import anatomy
from replicate.report.layout import NBSP
from replicate.report.provenance import (
    Exhibit,
    Missing,
    Source,
    commit_name,
    or_notice,
    table,
)
from replicate.waveforms import Waveforms

#: A plan of trainings that would answer every claim: block -> (with audio, text alone).
MATRIX = {
    "nine configurations of Tables 4 and 5, 10 seeds": (90, 0),
    "the same nine, 20 other random splits": (180, 0),
    "the same nine, 5 session folds, 3 seeds": (135, 0),
    "one modality alone (text with both embeddings), 25 seeds": (25, 50),
    "8 open choices, two models, 10 seeds": (160, 0),
    "5 scenario folds, four models, 3 seeds": (45, 15),
}
CORES = (2, 16, 64)


def positions(waveforms: Waveforms, rows: np.ndarray, size: int) -> dict[str, float]:
    """Mean positions an utterance in random batches: `padded`, `kept` by idea 3, and `recorded`.

    Args:
        waveforms: the store.
        rows: the utterances.
        size: of a batch.
    """
    lengths = waveforms.lengths[np.random.default_rng(0).permutation(rows)]
    padded = kept = 0
    for start in range(0, len(lengths), size):
        batch = lengths[start : start + size]
        padded += len(batch) * batch.max()
        kept += np.minimum(batch.max(), batch + TAIL).sum()
    means = {"padded": padded, "kept": kept, "recorded": lengths.sum()}
    return {name: float(total / len(lengths)) for name, total in means.items()}


def batch_statistics(waveforms: Waveforms, rows: np.ndarray, source: Source) -> Exhibit:
    """Mean and variance of the first convolution over a batch, directly and by idea 1."""
    front_end = AudioFrontEnd().double()
    waves = waveforms.padded(rows).double()
    convolved = front_end.conv1(waves[:, None])  # [B, 4, T]
    batch = FusedAudio(waveforms).batch(rows)
    second, first = window_moments(
        batch.lag_sums[None, None, :K1],
        batch.lag_sums[K1:],
        batch.edges[0, :, None, :H1],
        batch.edges[1, :, None, -H1:],
    )
    weight, count = front_end.conv1.weight.flatten(1), waves.numel()
    mean = weight @ first / count + front_end.conv1.get_parameter("bias")
    covariance = second / count - torch.outer(first, first) / count**2
    variance = ((weight @ covariance) * weight).sum(1)
    direct = {"mean": convolved.mean((0, 2)), "variance": convolved.var((0, 2), unbiased=False)}
    columns = {}
    for name, lagged in (("mean", mean), ("variance", variance)):
        columns[name, "directly"] = [f"{value:.9f}" for value in direct[name].tolist()]
        columns[name, "from lag sums"] = [f"{value:.9f}" for value in lagged.tolist()]
    frame = pd.DataFrame(columns, index=pd.Index([f"channel {c}" for c in range(len(weight))]))
    caption = (
        f"What batch normalisation needs of the first convolution, over {count:,} positions: from "
        f"all its outputs, and from {K1 + 1} sums of the waveform."
    )
    return table(frame, caption, [source])


def winners(waveforms: Waveforms, rows: np.ndarray) -> dict[str, int]:
    """Positions of a batch: all, those that win a pooling bin, and the samples these saw."""
    waves = waveforms.padded(rows)
    maps = anatomy.record(RawAudioEncoder(ModelConfig()), waves)["relu_1"]  # [B, 8, T]
    pool = nn.AdaptiveMaxPool1d(ModelConfig().n_pool, return_indices=True)
    found = sum(len(row.unique()) for row in pool(maps)[1].flatten(1))
    return {"positions": waves.numel(), "winners": found, "seen": 1 + 2 * (H1 + H2)}


def gaps(
    ways: Mapping[str, tuple[nn.Module, Callable[[], Tensor]]],
    waveforms: Waveforms,
    rows: np.ndarray,
) -> pd.DataFrame:
    """Front ends against eager float64, all with the same weights.

    Args:
        ways: name -> front end, and what it makes of the batch; its weights are overwritten.
        waveforms: the store.
        rows: the batch.

    Returns:
        Index `way`; `output error` and `gradient error`, the largest of each relative to the
        largest output and to the largest parameter gradient.
    """
    torch.manual_seed(0)
    exact = AudioFrontEnd()
    state = exact.state_dict()
    exact.double()
    true = exact(waveforms.padded(rows).double())
    direction = torch.randn_like(true)
    gradients = _gradients(exact, true, direction)
    largest = max(float(gradient.abs().max()) for gradient in gradients)
    found = []
    for name, (front_end, forward) in ways.items():
        front_end.load_state_dict(state)
        output = forward()
        ours = _gradients(front_end, output, direction)
        gap = max(float((a - b).abs().max()) for a, b in zip(ours, gradients, strict=True))
        error = float((output - true).detach().abs().max() / true.detach().abs().max())
        found.append({"way": name, "output error": error, "gradient error": gap / largest})
    return pd.DataFrame(found).set_index("way")


def _gradients(module: nn.Module, output: Tensor, direction: Tensor) -> list[Tensor]:
    total = (output.double() * direction).sum()
    return [part.double() for part in torch.autograd.grad(total, list(module.parameters()))]


def exactness(waveforms: Waveforms, rows: np.ndarray, source: Source) -> Exhibit:
    """Eager float32, fused float32 and fused float64 against eager float64 on a batch."""
    eager, fused, double = AudioFrontEnd(), FusedFrontEnd(), FusedFrontEnd().double()
    waves, batch = waveforms.padded(rows), FusedAudio(waveforms).batch(rows)
    ways = {
        "eager, float32": (eager, lambda: eager(waves)),
        "fused, float32": (fused, lambda: fused(batch)),
        "fused, float64": (double, lambda: double(batch)),
    }
    shown = gaps(ways, waveforms, rows).map("{:.1e}".format)
    caption = (
        f"Largest errors against eager PyTorch in float64 on {len(rows)} utterances, relative to "
        "the largest output and the largest gradient."
    )
    return table(shown, caption, [source])


def measured(name: str) -> tuple[Measurement, Source]:
    """A stored benchmark and the source of what is shown of it.

    Raises:
        Missing: it has not been run.
    """
    found = load(name)
    if found is None:
        raise Missing("This benchmark has not been run.", f"python benchmarks/{name}.py --save")
    shown = ("torch", "numba", "triton")
    versions = [f"{name} {found.packages[name]}" for name in shown if name in found.packages]
    made = commit_name(found.commit, found.dirty)
    details = (found.hardware, *versions, found.date[:10], f"commit {made}")
    return found, Source(f"benchmarks/{name}.py, {found.workload}", False, details, corpus=False)


@or_notice
def steps() -> Exhibit:
    """What a training step takes with each front end, as the benchmark stored it."""
    found, source = measured("front_end")
    rows = found.table("steps").set_index("way").drop(columns=["output error", "gradient error"])
    shown = rows.astype(float).map("{:.0f}".format, na_action="ignore")
    shown.columns = pd.Index([str(column).replace(", ", f",{NBSP}") for column in shown])
    caption = (
        "A training step of Att_d^1 with a batch of 30, medians, two threads except where noted: "
        "time, and by how much memory grows. Random batches are padded to their longest utterance; "
        "their memory is that of the longest of them."
    )
    return table(shown, caption, [source])


@or_notice
def parts() -> Exhibit:
    """Where the time of a fused step goes, and the floor of the front end's."""
    found, source = measured("front_end")
    spent = found.table("parts").set_index("part")["ms"]
    floor = found.table("floor").iloc[0]
    least = max(floor["arithmetic"], floor["reading"])
    shown = pd.DataFrame({"ms": spent.map("{:.1f}".format), "share": spent / spent.sum()})
    shown["share"] = shown["share"].map("{:.0%}".format)
    caption = (
        "Parts of a fused step on a random batch, one thread, forward and backward. At the core's "
        f"peak the front end's arithmetic would take {floor['arithmetic']:.1f} ms and reading its "
        f"audio {floor['reading']:.1f} ms; it takes {spent['front end'] / least:.1f} times the "
        "longer of the two."
    )
    return table(shown, caption, [source])


def speedup() -> dict[str, str]:
    """For the prose: how much faster a fused step is, with two threads and with one.

    And how long the training steps of a model take in eager PyTorch, and its whole training here.
    """
    steps, scaling = load("front_end"), load("scaling")
    if steps is None or scaling is None:
        names = ("speedup", "speedup_one", "eager_hours", "fused_minutes")
        return dict.fromkeys(names, "(not measured yet)")
    mean = steps.table("steps").set_index("way")["random, mean ms"]
    return {
        "speedup": f"{mean['eager'] / mean['fused']:.0f}",
        "speedup_one": f"{mean['eager'] / mean['fused, 1 thread']:.0f}",
        "eager_hours": f"{_steps() * mean['eager'] / 3.6e6:.0f}",
        "fused_minutes": f"{Training().epochs * _epoch(scaling) / 60:.0f}",
    }


def _epoch(scaling: Measurement) -> float:
    """Seconds of an epoch of the paper's corpus, one thread."""
    largest = scaling.table("size").iloc[-1]
    return float(
        largest["seconds"] / largest["utterances"] * sum(map(float, paper.COUNTS.values()))
    )


def _steps() -> int:
    """Training steps of a model by the paper's protocol."""
    training = Training()
    return training.epochs * math.ceil(float(paper.COUNTS["train"]) / training.batch_size)


@or_notice
def cost() -> Exhibit:
    """What a plan of experiments costs, from measured epochs and steps."""
    (scaling, first), (front_end, second) = measured("scaling"), measured("front_end")
    spent = front_end.table("parts").set_index("part")["ms"]
    step = (spent["text"] + spent["fusion, classifier"] + spent["optimiser"]) / 1000
    together = scaling.table("together").set_index("trainings")["throughput"]
    trainings = pd.DataFrame(MATRIX.values(), pd.Index(MATRIX), ["with audio", "text alone"])
    trainings.loc["all"] = trainings.sum()
    each = np.array([Training().epochs * _epoch(scaling), _steps() * step]) / (together[2] / 2)
    shown = trainings.copy()
    for cores in CORES:
        shown[f"hours on {cores} cores"] = (trainings @ each / 3600 / cores).map("{:,.1f}".format)
    caption = (
        "A plan of trainings by the paper's protocol, larger than the grids that this book has "
        "run, and what they would cost, one training a core, each as fast as one of two side by "
        "side."
    )
    return table(shown, caption, [first, second])


@or_notice
def growth() -> Exhibit:
    """How an epoch's time and memory grow with the corpus."""
    found, source = measured("scaling")
    rows = found.table("size")
    shown = pd.DataFrame(
        {
            "utterances": rows["utterances"].map("{:,}".format),
            "hours of audio": rows["hours"].map("{:.1f}".format),
            "seconds an epoch": rows["seconds"].map("{:.1f}".format),
            "seconds an hour of audio": rows["seconds an hour"].map("{:.1f}".format),
            "MB of its own": rows["own MB"].map("{:.0f}".format, na_action="ignore"),
        }
    )
    caption = "An epoch of Att_d^1 on one thread, and the most memory the process held for itself."
    return table(shown, caption, [source], index=False)


@or_notice
def together() -> Exhibit:
    """What trainings side by side gain."""
    found, source = measured("scaling")
    rows = found.table("together")
    shown = pd.DataFrame(
        {
            "trainings at once": rows["trainings"],
            "seconds an epoch": rows["seconds"].map("{:.1f}".format),
            "throughput": rows["throughput"].map("{:.2f}".format),
        }
    )
    caption = (
        "Trainings side by side: the slowest one's epoch, and throughput relative to one alone."
    )
    return table(shown, caption, [source], index=False)
