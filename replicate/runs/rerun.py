"""The way to distrust a stored result: make it again from nothing and compare.

Anybody may report what came of it, signed (`results/reruns/`). Where code has changed since a run
was made, a repeat is the evidence that the change left the run's bits alone; of a GPU's run, how
far a CPU parts from it.
"""

import datetime
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import ConfigDict, Field, with_config

from replicate.files import MOST_NAMED, InputError, read_record, write_record
from replicate.paper import EMOTIONS
from replicate.runs import versions
from replicate.runs.code import difference
from replicate.runs.experiments import Experiment
from replicate.runs.store import REPORTS, Run
from replicate.settings import RESULTS
from replicate.stats import classification

#: What a repeat may show.
Agreement = Literal["to the bit", "within the tolerance", "differs"]

#: Where rounding may differ, what a repeat must keep. Training magnifies rounding from step to
#: step, so the beginning is held to closer limits than the end: the probabilities before the first
#: step, ...
START_TOLERANCE = 1e-5
#: ... the loss of the first epoch, relative, by whether a GPU made one of the two, ...
LOSS_TOLERANCE = {False: 1e-3, True: 5e-3}
#: ... that of each of the first epochs, ...
EARLY_EPOCHS, EARLY_TOLERANCE = 5, 0.02
#: ... the share of classes that a baseline, which has no epochs, gives otherwise, ...
FLIPS_TOLERANCE = 0.01
#: ... and the accuracies, in standard errors of the difference of two proportions.
STANDARD_ERRORS = 3.0


@dataclass(frozen=True)
class Comparison:
    """A stored run or baseline beside its repeat."""

    name: str  # of the experiment
    exact: bool  # whether bits must agree: same processor, device and package versions, all on CPU
    changed: tuple[str, ...]  # definitions that have changed since; bits must agree nevertheless
    identical: bool  # whether they do, in every prediction, treatment and epoch
    flips: float  # share of test utterances whose predicted class differs (last epoch)
    loss: float  # relative difference of the first epoch's; 0 of baselines, which have no epochs
    accuracy: float  # difference of the last epoch's on the test part, repeat minus stored
    allowed: float  # what `accuracy` may be at most where bits need not agree
    start: float = 0.0  # largest difference of a probability before the first step
    early: float = 0.0  # largest relative difference of the loss of an early epoch
    on_gpu: bool = False  # whether a GPU made one of the two
    trained: bool = True  # whether it is a run, and no baseline

    @property
    def holds(self) -> bool:
        """Whether the repeat confirms the stored run."""
        if self.exact:
            return self.identical
        if not self.trained and self.flips > FLIPS_TOLERANCE:
            return False
        begins_alike = (
            self.start <= START_TOLERANCE
            and self.loss <= LOSS_TOLERANCE[self.on_gpu]
            and self.early <= EARLY_TOLERANCE
        )
        return begins_alike and abs(self.accuracy) <= self.allowed

    @property
    def agreement(self) -> Agreement:
        """What the repeat shows."""
        if self.identical:
            return "to the bit"
        return "within the tolerance" if self.holds else "differs"

    def __str__(self) -> str:
        kind = "to the bit" if self.exact else "within the tolerance for other machines"
        if self.changed:
            kind += f", though {named(self.changed)} changed since"
        found = "the same bits" if self.identical else (
            f"start off by {self.start:.1e}, loss of epoch 1 by {self.loss:.1e}, of the first "
            f"{EARLY_EPOCHS} by {self.early:.1e}, {self.flips:.1%} of classes differ, "
            f"accuracy {self.accuracy:+.3f} (allowed {self.allowed:.3f})"
        )  # fmt: skip
        return f"{'holds' if self.holds else 'DIFFERS'}  {self.name}, {kind}: {found}"


def compare(stored: Run, again: Run) -> Comparison:
    """A stored result and its repeat; `InputError` if they saw other data, which tells nothing."""
    if differing := versions.other_data(stored, again):
        what = f"other {' and '.join(differing)} than its repeat"
        versions.refuse(stored.folder.parent, [stored.experiment.name], 1, what)
    last = [result.selected("last-epoch") for result in (stored, again)]
    one, other = map(classification.predicted, last)
    truth = last[0]["emotion"].to_numpy()
    shares = [float(np.mean(guessed == truth)) for guessed in (one, other)]
    mean = np.mean(shares)
    return Comparison(
        name=stored.experiment.name,
        exact=_kind(stored) == _kind(again) and stored.provenance.device == "cpu",
        changed=stored.changed_code,
        identical=all(map(pd.DataFrame.equals, _tables(stored, stored), _tables(again, stored))),
        flips=float(np.mean(one != other)),
        loss=_losses_apart(stored, again, 1),
        accuracy=shares[1] - shares[0],
        allowed=float(STANDARD_ERRORS * np.sqrt(2 * mean * (1 - mean) / len(one))),
        start=_apart_at_the_start(stored, again),
        early=_losses_apart(stored, again, EARLY_EPOCHS),
        on_gpu="cuda" in (stored.provenance.device, again.provenance.device),
        trained=isinstance(stored.experiment, Experiment),
    )


def _apart_at_the_start(stored: Run, again: Run) -> float:
    """Largest difference between the probabilities of two untrained models; 0 where not kept."""
    first = [
        run.treated[run.treated["treatment"] == "untrained"].set_index("utterance")[[*EMOTIONS]]
        for run in (stored, again)
        if len(run.treated)
    ]
    if len(first) < 2 or not len(first[0]):
        return 0.0
    return float((first[0] - first[1].reindex(first[0].index)).abs().to_numpy().max())


def _losses_apart(stored: Run, again: Run, epochs: int) -> float:
    """Largest relative difference between the losses of the first epochs; 0 of baselines."""
    if not len(stored.epochs):
        return 0.0
    losses = [run.epochs["loss"].to_numpy()[:epochs] for run in (stored, again)]
    return float(np.abs(losses[1] / losses[0] - 1).max())


def _kind(result: Run) -> tuple[object, ...]:
    """What must be the same for the same bits."""
    made = result.provenance
    return made.hardware, made.device, made.threads, made.packages


def _tables(result: Run, stored: Run) -> list[pd.DataFrame]:
    """All that must be the same bits: what was predicted, and every epoch without its time.

    Of a repeat, the treatments that the stored run has: there may be more since.
    """
    epochs, treated = result.epochs.drop(columns="seconds", errors="ignore"), result.treated
    if len(treated):
        known = treated["treatment"].isin(stored.treated["treatment"])
        treated = treated[known].reset_index(drop=True)
    return [result.predictions, treated, epochs]


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True)
class Repeat:
    """A stored result that was made again, and what came of it."""

    run: Annotated[str, Field(pattern=r"^[^/]+/[^/]+/[^/]+$")]  # `Experiment.place`
    agreement: Agreement
    comparison: Comparison
    made_by: dict[str, str]  # the numerical code that made the run, as `Provenance.code`
    repeated_by: dict[str, str]  # that which repeated it

    def __post_init__(self) -> None:
        if self.agreement != self.comparison.agreement:
            told = f"says {self.agreement!r}, but by its numbers it is"
            raise ValueError(f"{told} {self.comparison.agreement!r}")


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True)
class Report:
    """What came of repeats that somebody made; empty or null where an old one did not note it."""

    signed: Annotated[str, Field(min_length=1)]  # who answers for it
    date: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$")]  # UTC
    hardware: str  # processor or GPU, in words
    device: Literal["cpu", "cuda"]
    system: str  # the operating system
    packages: dict[str, str]  # versions
    commit: str
    dirty: bool | None  # whether numerical code differed from that commit
    seconds: Annotated[float, Field(ge=0)] | None  # that all of it took
    repeats: Annotated[tuple[Repeat, ...], Field(min_length=1)]


def reports(root: Path = RESULTS) -> list[Report]:
    """All reports of a store; `InputError` names a file that is none, and the field."""
    again = "restore it from git, or write it with `replicate rerun --report`"
    paths = sorted((root / REPORTS).glob("*.json"))
    found = (read_record(path, Report, again) for path in paths)
    return [report for report in found if report is not None]


def repeats(root: Path = RESULTS) -> list[Repeat]:
    """The repeats of all reports."""
    return [repeat for report in reports(root) for repeat in report.repeats]


def signer() -> str:
    """The user's name by git; `InputError` if it has none."""
    command = ["git", "config", "user.name"]
    try:
        name = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    except OSError:
        name = ""
    if not name:
        what = "nobody signs the report: git knows no user.name"
        raise InputError("--report", what, "pass --signed NAME")
    return name


def write_report(
    path: Path, signed: str, made: Sequence[tuple[Run, Run, Comparison]], seconds: float
) -> Path:
    """Write what came of results and their repeats, whether they hold or not."""
    last = made[-1][1].provenance
    report = Report(
        signed=signed,
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        hardware=last.hardware,
        device="cuda" if last.device == "cuda" else "cpu",
        system=platform.platform(),
        packages=last.packages,
        commit=last.commit,
        dirty=any(again.provenance.dirty for _, again, _ in made),
        seconds=round(seconds, 1),
        repeats=tuple(
            Repeat(
                run=stored.experiment.place,
                agreement=comparison.agreement,
                comparison=comparison,
                made_by=stored.provenance.code,
                repeated_by=again.provenance.code,
            )
            for stored, again, comparison in made
        ),
    )
    return write_record(path, report)


def change_since(runs: Sequence[Run], known: list[Repeat]) -> str:
    """What has changed in the numerical code since runs were made, in words; empty if nothing."""
    changed = sorted({name for run in runs for name in run.changed_code})
    if not changed:
        return ""
    tried = [
        [  # what came of repeats, by today's code, of runs that the same code made
            one.comparison
            for one in known
            if not difference(one.made_by, run.provenance.code)
            and not difference(one.repeated_by, run.code_now)
        ]
        for run in runs
        if run.changed_code
    ]
    told = f"code changed since ({named(changed)})"
    if any(repeat.exact and not repeat.identical for found in tried for repeat in found):
        return f"{told}; a repeat gave other results"
    if all(any(repeat.identical for repeat in found) for found in tried):
        return f"{told}; repeats gave identical results"
    return told


def named(definitions: Sequence[str]) -> str:
    """Definitions in words: all of a few, a count and the first of many."""
    if len(definitions) <= MOST_NAMED:
        return ", ".join(definitions)
    first = ", ".join(definitions[:MOST_NAMED])
    return f"{len(definitions)} definitions, {first} and others"
