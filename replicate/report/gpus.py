"""What a GPU brings: from a stored benchmark, and from the stored runs that shared one."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from replicate.experiments import TABLE_4, TABLE_5, Training
from replicate.measurements import load
from replicate.report.layout import name_of
from replicate.report.provenance import Exhibit, Missing, of_runs, or_notice, table
from replicate.report.speed import MATRIX, measured
from replicate.runs import Run, load_runs

GPUS = (1, 8)
MODELS = len(TABLE_4) + len(TABLE_5)


@dataclass(frozen=True)
class Shared:
    """Stored runs that shared a GPU.

    Attributes:
        runs: those that hear audio.
        at_once: how many of them had begun before the first ended.
        seconds: of an epoch, their mean.
        minutes: of all epochs of the slowest.
    """

    runs: tuple[Run, ...]
    at_once: int
    seconds: float
    minutes: float

    @property
    def gpu(self) -> str:
        """Its name."""
        return self.runs[0].provenance.hardware


def shared() -> Shared:
    """The stored runs of the paper's protocol that were trained on a GPU.

    Raises:
        Missing: there are none.
    """
    runs = tuple(
        run
        for run in load_runs("standin-full", "paper")
        if run.provenance.device == "cuda" and run.experiment.model != "text"
    )
    if not runs:
        raise Missing(
            "No stored run was trained on a GPU.",
            f"replicate run --corpus standin-full --profile paper --device cuda --jobs {MODELS}",
        )
    begins = [datetime.fromisoformat(run.provenance.started) for run in runs]
    took = [run.provenance.wall_seconds for run in runs]
    first = min(b + timedelta(seconds=s) for b, s in zip(begins, took, strict=True))
    return Shared(
        runs=runs,
        at_once=sum(begin < first for begin in begins),
        seconds=float(np.mean([run.epochs["seconds"].mean() for run in runs])),
        minutes=max(took) / 60,
    )


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
    caption = f"Trainings that shared one GPU ({found.gpu}), {found.at_once} at once."
    return table(pd.DataFrame(rows), caption, of_runs(found.runs), index=False)


@or_notice
def cost() -> Exhibit:
    """What the trainings of that plan that hear audio cost on GPUs, from runs that shared one."""
    found = shared()
    trainings = pd.Series({block: heard for block, (heard, _) in MATRIX.items()})
    trainings["all"] = trainings.sum()
    shown = pd.DataFrame({"with audio": trainings})
    for gpus in GPUS:
        hours = trainings * Training().epochs * found.seconds / found.at_once / 3600 / gpus
        name = f"hours on {gpus} GPU{'s' * (gpus > 1)} and {gpus * found.at_once} cores"
        shown[name] = hours.map("{:.1f}".format)
    caption = (
        f"The trainings with audio of that plan, {found.at_once} at once on each GPU, each fed by "
        "a core of its own and as fast as those above."
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
        }
    )
    caption = (
        "An epoch of Att_d^1 on a GPU and on the CPU beside it, by this project's kernels, timed "
        "once; as many seconds an utterance as on a smaller corpus, times the paper's utterances. "
        f"And at that rate as many models as Tables 4 and 5 have, {Training().epochs} epochs each."
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


def benchmark_in_words() -> dict[str, str]:
    """For the prose: what a GPU brings, against a core of its machine."""
    found = load("cuda")
    if found is None:
        names = ("gpu", "gpu_gain", "gpu_most", "gpu_share", "gpu_minutes", "gpu_lacks")
        return dict.fromkeys(names, "(not measured yet)")
    rows = found.table("together").set_index(["way", "trainings"])
    seconds, core = rows["seconds"]["GPU"], rows["seconds"]["CPU", 1]
    most = max(seconds.index)
    lacks = "How fast all cores of that machine are together was not measured."
    return {
        "gpu": found.workload.rpartition(" on an ")[2],
        "gpu_gain": f"{core / seconds[1]:.1f}",
        "gpu_most": str(most),
        "gpu_share": f"{most * core / seconds[most]:.0f}",
        "gpu_minutes": f"{rows['minutes']['GPU', most]:.0f}",
        "gpu_lacks": lacks if len(rows.loc["CPU"]) == 1 else "",
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
        "shared_runs": str(runs.at_once),
        "shared_minutes": f"{runs.minutes:.0f}",
    }
