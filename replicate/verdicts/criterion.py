"""What every criterion is, what it finds, and the parts that criteria are made of."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from replicate.stats.hypothesis_tests import LEVEL, Mean, holm, mean_difference
from replicate.stats.intervals import UNKNOWN, Interval
from replicate.verdicts.evidence import Evidence

Outcome = Literal["met", "undecided", "not met"]

#: The printed values of a claim by name.
Reported: TypeAlias = Mapping[str, float]


@dataclass(frozen=True)
class Finding:
    """What a criterion finds."""

    outcome: Outcome | None = None  # None where there is nothing to judge
    reproduced: str = ""  # our values
    interval: Interval = UNKNOWN  # of our value, where it is one number
    evidence: str = ""  # what else to know
    shortfall: str = ""  # what is missing for a verdict; empty if nothing is


class Criterion(BaseModel, ABC):
    """When a claim counts as reproduced, fixed before any run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    line: ClassVar[str] = ""  # the test, with the names of the criterion's numbers in braces
    weakness: ClassVar[str] = ""  # what the test cannot tell
    #: Trained models, the corpus alone, or the paper's tables alone.
    looks_at: ClassVar[Literal["runs", "corpus", "print"]] = "runs"

    @property
    def test(self) -> str:
        """The test in a line."""
        return self.line.format_map(vars(self))

    @abstractmethod
    def judge(self, reported: Reported, evidence: Evidence) -> Finding:
        """What the evidence says; a finding knows nothing of which corpus may decide."""


def all_of(outcomes: Iterable[Outcome]) -> Outcome:
    """A criterion of several parts is met if all are, and not met if one is not."""
    found = set(outcomes)
    return "not met" if "not met" in found else "undecided" if "undecided" in found else "met"


def near(value: float, interval: Interval, target: float, tolerance: float) -> Outcome:
    """Whether a value lies within a tolerance; undecided where only its interval reaches it.

    An unknown interval reaches nothing: then the value alone decides.
    """
    if abs(value - target) <= tolerance:
        return "met"
    reaches = interval.low <= target + tolerance and interval.high >= target - tolerance
    return "undecided" if reaches else "not met"


def each_holds(chances: pd.Series, probability: float) -> Outcome:
    """Whether each of some statements is so probable; not met if one is as improbable."""
    if chances.min() >= probability:
        return "met"
    return "not met" if chances.min() <= 1 - probability else "undecided"


def p_in_words(p: float) -> str:
    """As in `p = 0.017`."""
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"


def _ahead(name: str, mean: Mean, p: float) -> tuple[Outcome, str]:
    if p >= LEVEL:
        return "undecided", p_in_words(p)
    return "met" if mean.difference > 0 else "not met", p_in_words(p)


def gains_found(
    gains: Mapping[str, pd.Series],
    overlap: float = 0.0,
    decide: Callable[[str, Mean, float], tuple[Outcome, str]] = _ahead,
) -> Finding:
    """Paired differences by name, claimed to be positive: t tests with Holm's correction.

    `overlap` as in `mean_difference`; `decide` goes from a name, its mean and its corrected p value
    to an outcome, with the reason.
    """
    means = [mean_difference(gain, overlap) for gain in gains.values()]
    p_values = holm([mean.p_value for mean in means])
    parts: list[Outcome] = []
    described = []
    for name, mean, p in zip(gains, means, p_values, strict=True):
        part, reason = decide(name, mean, p)
        parts.append(part)
        interval = Interval(mean.low, mean.high)
        described.append(f"{name}: {bracketed(mean.difference, interval, '+')}, {reason}")
    alone = interval if len(means) == 1 else UNKNOWN
    return Finding(all_of(parts), "; ".join(described), alone)


def bracketed(value: float, interval: Interval, sign: str = "") -> str:
    """As in `0.689 [0.671, 0.707]`; the value alone where the interval is unknown."""
    if np.isnan(interval.low):
        return f"{value:{sign}.3f}"
    return f"{value:{sign}.3f} [{interval.low:{sign}.3f}, {interval.high:{sign}.3f}]"


def unimodal(evidence: Evidence) -> str:
    """What the models of one modality reach."""
    return "; ".join(
        f"{name} {bracketed(*evidence.mean(str(name), 'accuracy'))}, "
        f"{row['n_seeds']} seed{'s' * (row['n_seeds'] > 1)}"
        for name, row in evidence.summary.items()
        if row["model"] in ("audio", "text")
    )
