"""The way to distrust a stored run: train it again from nothing and compare."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from replicate import metrics
from replicate.runs import Run

#: Where rounding may differ, what a repeat must keep: the first epoch's loss within this share ...
LOSS_TOLERANCE = 0.02
#: ... and the accuracies within this many standard errors of the difference of two proportions.
STANDARD_ERRORS = 3.0


@dataclass(frozen=True)
class Comparison:
    """A stored run beside its repeat.

    Attributes:
        name: of the experiment.
        exact: whether bits must agree: same processor, device, package versions and code.
        identical: whether they do, in every prediction and epoch.
        flips: share of test utterances whose predicted class differs (last epoch).
        loss: relative difference of the first epoch's loss.
        accuracy: difference of the last epoch's test accuracy, repeat minus stored.
        allowed: what `accuracy` may be at most where bits need not agree.
    """

    name: str
    exact: bool
    identical: bool
    flips: float
    loss: float
    accuracy: float
    allowed: float

    @property
    def holds(self) -> bool:
        """Whether the repeat confirms the stored run."""
        if self.exact:
            return self.identical
        return self.loss <= LOSS_TOLERANCE and abs(self.accuracy) <= self.allowed

    def __str__(self) -> str:
        kind = "to the bit" if self.exact else "within the tolerance for other machines"
        found = "the same bits" if self.identical else (
            f"loss of epoch 1 off by {self.loss:.1e}, {self.flips:.1%} of classes differ, "
            f"accuracy {self.accuracy:+.3f} (allowed {self.allowed:.3f})"
        )  # fmt: skip
        return f"{'holds' if self.holds else 'DIFFERS'}  {self.name}, {kind}: {found}"


def compare(stored: Run, again: Run) -> Comparison:
    """A stored run and its repeat."""
    one, other = stored.selected("last-epoch"), again.selected("last-epoch")
    shares = [float(run.epochs["test_accuracy"].iloc[-1]) for run in (stored, again)]
    losses = [float(run.epochs["loss"].iloc[0]) for run in (stored, again)]
    mean = np.mean(shares)
    flipped = metrics.predicted(one) != metrics.predicted(other)
    return Comparison(
        name=stored.experiment.name,
        exact=_kind(stored) == _kind(again) and stored.provenance.device == "cpu",
        identical=stored.predictions.equals(again.predictions)
        and _curves(stored).equals(_curves(again)),
        flips=float(flipped.mean()),
        loss=abs(losses[1] - losses[0]) / losses[0],
        accuracy=shares[1] - shares[0],
        allowed=float(STANDARD_ERRORS * np.sqrt(2 * mean * (1 - mean) / len(one))),
    )


def _kind(run: Run) -> tuple[object, ...]:
    """What must be the same for the same bits."""
    made = run.provenance
    return made.hardware, made.device, made.threads, made.packages, made.code


def _curves(run: Run) -> pd.DataFrame:
    """Every epoch without its time."""
    return run.epochs.drop(columns="seconds")
