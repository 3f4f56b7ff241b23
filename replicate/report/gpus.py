"""What a GPU brings: from a stored benchmark, and from the stored runs that shared one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from replicate.code import difference
from replicate.experiments import Training
from replicate.measurements import load
from replicate.report.layout import name_of
from replicate.report.provenance import Exhibit, Missing, of_runs, or_notice, table
from replicate.report.speed import MATRIX, measured
from replicate.rerun import compare, place, repeats
from replicate.runs import Run, load_runs

GPUS = (1, 8)


@dataclass(frozen=True)
class Shared:
    """Stored runs that shared a GPU: all had begun before the first of them ended.

    Attributes:
        runs: those that hear audio.
        seconds: of an epoch, their mean.
        minutes: from the first begin to the end of the last epoch.
    """

    runs: tuple[Run, ...]
    seconds: float
    minutes: float

    @property
    def gpu(self) -> str:
        """Its name."""
        return self.runs[0].provenance.hardware


def shared() -> Shared:
    """The first stored runs of the paper's protocol that were trained on a GPU side by side.

    Raises:
        Missing: no run was trained on a GPU.
    """
    runs = [
        run
        for run in load_runs("standin-full", "paper")
        if run.provenance.device == "cuda" and run.experiment.model != "text"
    ]
    if not runs:
        raise Missing(
            "No stored run was trained on a GPU.",
            "replicate run --corpus standin-full --profile paper --seeds 1 --device cuda --jobs 11",
        )
    first_end = min(map(_end, runs))
    together = tuple(run for run in runs if _begin(run) < first_end)
    return Shared(
        runs=together,
        seconds=float(np.mean([run.epochs["seconds"].mean() for run in together])),
        minutes=(max(map(_end, together)) - min(map(_begin, together))) / timedelta(minutes=1),
    )


def _begin(run: Run) -> datetime:
    return datetime.fromisoformat(run.provenance.started)


def _end(run: Run) -> datetime:
    return _begin(run) + timedelta(seconds=run.provenance.wall_seconds)


@or_notice
def sharing() -> Exhibit:
    """What trainings took that shared a GPU."""
    found = shared()
    rows = [
        {
            "model": name_of(run),
            "seconds an epoch": f"{run.epochs['seconds'].mean():.1f}",
            f"minutes of {run.experiment.training.epochs} epochs": (
                f"{run.provenance.wall_seconds / 60:.1f}"
            ),
        }
        for run in found.runs
    ]
    caption = f"Trainings that shared one GPU ({found.gpu}), {len(found.runs)} at once."
    return table(pd.DataFrame(rows), caption, of_runs(found.runs), index=False)


@or_notice
def cost() -> Exhibit:
    """What the trainings of that plan that hear audio cost on GPUs, from runs that shared one."""
    found = shared()
    at_once = len(found.runs)
    trainings = pd.Series({block: heard for block, (heard, _) in MATRIX.items()})
    trainings["all"] = trainings.sum()
    shown = pd.DataFrame({"with audio": trainings})
    for gpus in GPUS:
        hours = trainings * Training().epochs * found.seconds / at_once / 3600 / gpus
        name = f"hours on {gpus} GPU{'s' * (gpus > 1)} and {gpus * at_once} cores"
        shown[name] = hours.map("{:.1f}".format)
    caption = (
        f"The epochs of the trainings with audio of that plan, {at_once} at once on each GPU, each "
        "fed by a core of its own and as fast as those above."
    )
    return table(shown, caption, of_runs(found.runs))


@or_notice
def benchmark() -> Exhibit:
    """How long an epoch takes on a GPU, and how many trainings it bears."""
    found, source = measured("cuda")
    rows = found.table("together")
    shown = pd.DataFrame(
        {
            "on": rows["way"].replace("CPU", "CPU, a core each"),
            "trainings at once": rows["trainings"],
            "seconds an epoch": rows["seconds"].map("{:.1f}".format),
            "minutes for nine models": rows["minutes"].map("{:.0f}".format),
            "MB of the GPU each": rows["GPU MB each"].map("{:.0f}".format, na_action="ignore"),
        }
    )
    caption = (
        "An epoch of Att_d^1 on a GPU and on the CPU beside it, by this project's kernels, timed "
        "once: seconds an utterance, times the number of the paper's utterances. At that rate as "
        f"many models as Tables 4 and 5 have, {Training().epochs} epochs each. And what PyTorch "
        "holds of the GPU's memory, to which CUDA adds its own."
    )
    return table(shown, caption, [source], index=False)


@or_notice
def agreement() -> Exhibit:
    """How far a GPU's probabilities are from a CPU's."""
    found, source = measured("cuda")
    rows = found.table("agreement")
    shown = pd.DataFrame(
        {
            "on": rows["way"],
            "from the same": rows["same"],
            "largest difference": rows["largest difference"].map("{:.0e}".format),
            "same class": rows["same class"].map("{:.0%}".format),
            "repeated": rows["repeats"].map({"True": "same bits", "False": "other bits"}),
        }
    )
    caption = (
        "Probabilities of the test part, held against those of this project's kernels on a CPU: "
        "from the same weights, and from two epochs of the same training, one seed; and whether "
        "that training, done twice, had the same bits."
    )
    made_by = replace(
        source, title="stand-in (synthetic, quick), benchmarks/cuda.py", synthetic=True
    )
    return table(shown, caption, [made_by], index=False)


@or_notice
def repeated() -> Exhibit:
    """What became of a GPU's runs that a CPU trained again, beside what another seed changes."""
    stored = load_runs("standin-full", "paper")
    on_gpu = {place(run): run for run in stored if run.provenance.device == "cuda"}
    kept = [
        repeat
        for repeat in repeats()
        if repeat.device == "cpu"
        and repeat.run in on_gpu
        and not difference(repeat.made_by, on_gpu[repeat.run].provenance.code)
    ]
    if not kept:
        raise Missing(
            "No stored run of a GPU was repeated on a CPU.",
            "replicate rerun --corpus standin-full --profile paper --sample 1 --keep",
        )
    rows = []
    for repeat in kept:
        run, found = on_gpu[repeat.run], repeat.comparison
        accuracy = float(run.epochs["test_accuracy"].iloc[-1])
        rows.append(
            {
                "model": name_of(run),
                "loss of epoch 1 differs by": f"{found.loss:.0e}",
                "test accuracy": f"{accuracy:.3f}",
                "of the repeat": f"{accuracy + found.accuracy:.3f}",
                "classes that differ": f"{found.flips:.1%}",
                "of other seeds": _flips_between_seeds(run, stored),
            }
        )
    machines = " and ".join(sorted({repeat.repeated_on for repeat in kept}))
    caption = (
        f"Runs of a GPU, trained again on {machines}: the loss of the first epoch, relative, and "
        "the predictions of the last. Beside them the share of classes that differ where the same "
        "model is trained with another seed on the same split, mean."
    )
    runs = [on_gpu[repeat.run] for repeat in kept]
    return table(pd.DataFrame(rows), caption, of_runs(runs, "last-epoch"), index=False)


def _flips_between_seeds(run: Run, stored: Sequence[Run]) -> str | None:
    """The share of classes that differ in runs of the same experiment with other seeds, mean."""
    flips = [
        compare(run, other).flips
        for other in stored
        if other is not run
        and replace(other.experiment, seed=run.experiment.seed) == run.experiment
    ]
    return f"{np.mean(flips):.1%}" if flips else None


def benchmark_in_words() -> dict[str, str]:
    """For the prose: what a GPU brings, against a core of its machine."""
    found = load("cuda")
    if found is None:
        names = ("gpu", "gpu_gain", "gpu_most", "gpu_share", "gpu_minutes", "gpu_untimed")
        return dict.fromkeys(names, "(not measured yet)")
    rows = found.table("together").set_index(["way", "trainings"])
    seconds, core = rows["seconds"]["GPU"], rows["seconds"]["CPU", 1]
    most = max(seconds.index)
    compared = set(found.table("agreement")["way"])
    untimed = ["all cores of that machine together"] * (len(rows.loc["CPU"]) == 1)
    untimed += sorted(compared - set(rows.index.get_level_values("way")))
    return {
        "gpu": found.workload.rpartition(" on an ")[2],
        "gpu_gain": f"{core / seconds[1]:.1f}",
        "gpu_most": str(most),
        "gpu_share": f"{most * core / seconds[most]:.0f}",
        "gpu_minutes": f"{rows['minutes']['GPU', most]:.0f}",
        "gpu_untimed": f"Not timed: {'; '.join(untimed)}." if untimed else "",
    }


def sharing_in_words() -> dict[str, str]:
    """For the prose: what the stored runs took that shared a GPU."""
    try:
        runs = shared()
    except Missing:
        names = ("shared_gpu", "shared_runs", "shared_minutes")
        return dict.fromkeys(names, "(not trained yet)")
    return {
        "shared_gpu": runs.gpu,
        "shared_runs": str(len(runs.runs)),
        "shared_minutes": f"{runs.minutes:.0f}",
    }
