"""What runs on a GPU took, and how far they part from a CPU's; and that fast front ends are exact.

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

from replicate.corpora.waveforms import Waveforms
from replicate.model import AudioFrontEnd
from replicate.runs.code import difference
from replicate.runs.rerun import Comparison, Report, compare
from replicate.runs.store import Run

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
