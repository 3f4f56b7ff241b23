"""What trainings cost, from stored benchmarks and runs; and that fast front ends are exact.

Times are never taken here, where anything may run beside.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from replicate import paper
from replicate.corpora.waveforms import Waveforms
from replicate.model import AudioFrontEnd
from replicate.runs.code import difference
from replicate.runs.rerun import Comparison, Report, compare
from replicate.runs.store import Run
from replicate.settings import Training

#: A plan of trainings that would answer every claim: block -> (with audio, text alone).
PLAN = {
    "nine configurations of Tables 4 and 5, 10 seeds": (90, 0),
    "the same nine, 20 other random splits": (180, 0),
    "the same nine, 5 session folds, 3 seeds": (135, 0),
    "one modality alone (text with both embeddings), 25 seeds": (25, 50),
    "8 open choices, two models, 10 seeds": (160, 0),
    "5 scenario folds, four models, 3 seeds": (45, 15),
}


# --- exactness ---


def gaps(
    ways: Mapping[str, tuple[nn.Module, Callable[[], Tensor]]],
    waveforms: Waveforms,
    rows: np.ndarray,
) -> pd.DataFrame:
    """Front ends against eager float64, all with the same weights, on a batch: these rows.

    `ways`: name -> front end, whose weights are overwritten, and what it makes of the batch.
    Returned: index `way`; `output error` and `gradient error`, the largest of each relative to the
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
    errors = {}
    for name, (front_end, forward) in ways.items():
        front_end.load_state_dict(state)
        output = forward()
        ours = _gradients(front_end, output, direction)
        gap = max(float((a - b).abs().max()) for a, b in zip(ours, gradients, strict=True))
        error = float((output - true).detach().abs().max() / true.detach().abs().max())
        errors[name] = {"output error": error, "gradient error": gap / largest}
    return pd.DataFrame.from_dict(errors, orient="index").rename_axis("way")


def _gradients(module: nn.Module, output: Tensor, direction: Tensor) -> list[Tensor]:
    total = (output.double() * direction).sum()
    return [part.double() for part in torch.autograd.grad(total, list(module.parameters()))]


# --- from stored benchmarks ---


def training_steps() -> int:
    """Steps of a training by the paper's protocol: epochs times batches an epoch."""
    training = Training()
    return training.epochs * math.ceil(float(paper.COUNTS["train"]) / training.batch_size)


def epoch_seconds(size: pd.DataFrame) -> float:
    """Seconds of an epoch of the paper's corpus, by those of an utterance of the largest timed."""
    largest = size.iloc[-1]
    utterances = sum(map(float, paper.COUNTS.values()))
    return float(largest["seconds"] / largest["utterances"] * utterances)


def training_seconds(
    size: pd.DataFrame, parts: pd.DataFrame, together: pd.DataFrame
) -> dict[str, float]:
    """Seconds of a core for one training, two of them side by side.

    With audio: epochs times `epoch_seconds`. Text alone: steps times the parts of a step without
    audio (`part` and `ms`). Both over the throughput of two trainings by twice that of one.
    """
    ms = parts.set_index("part")["ms"]
    text_step = (ms["text"] + ms["fusion, classifier"] + ms["optimiser"]) / 1000
    efficiency = together.set_index("trainings")["throughput"][2] / 2
    return {
        "with audio": Training().epochs * epoch_seconds(size) / efficiency,
        "text alone": training_steps() * text_step / efficiency,
    }


def worth_cores(together: pd.DataFrame) -> pd.Series:
    """How many cores of this machine would train as much, each alone: trainings * core / time."""
    core = together.query("way == 'CPU' and trainings == 1")["seconds"].iloc[0]
    return pd.Series(together["trainings"] * core / together["seconds"])


# --- from stored runs ---


def trained_together(runs: Iterable[Run]) -> tuple[Run, ...]:
    """The first runs with audio that shared a GPU: all began before the first of them ended."""
    on_gpu = [
        run for run in runs if run.provenance.device == "cuda" and run.experiment.model != "text"
    ]
    first_end = min(map(_end, on_gpu), default=None)
    return tuple(run for run in on_gpu if first_end and _begin(run) < first_end)


def minutes_together(runs: Iterable[Run]) -> float:
    """Minutes from the first begin to the last end."""
    runs = list(runs)
    return (max(map(_end, runs)) - min(map(_begin, runs))) / timedelta(minutes=1)


def _begin(run: Run) -> datetime:
    return datetime.fromisoformat(run.provenance.started)


def _end(run: Run) -> datetime:
    return _begin(run) + timedelta(seconds=run.provenance.wall_seconds)


def repeated_on_cpu(
    runs: Iterable[Run], reports: Sequence[Report]
) -> list[tuple[Run, Report, Comparison]]:
    """Runs of a GPU that a CPU trained again by the same code, each with what came of it."""
    on_gpu = {run.experiment.place: run for run in runs if run.provenance.device == "cuda"}
    found = [
        (on_gpu.get(repeat.run), report, repeat)
        for report in reports
        for repeat in report.repeats
        if report.device == "cpu"
    ]
    return [
        (run, report, repeat.comparison)
        for run, report, repeat in found
        if run and not difference(repeat.made_by, run.provenance.code)
    ]


def flips_between_seeds(run: Run, runs: Iterable[Run]) -> float:
    """Mean share of classes that differ in runs of the same experiment with other seeds, or NaN."""
    seed, made = run.experiment.seed, run.experiment
    flips = [
        compare(run, other).flips
        for other in runs
        if other is not run and replace(other.experiment, seed=seed) == made  # type: ignore[arg-type]
    ]
    return float(np.mean(flips)) if flips else math.nan
