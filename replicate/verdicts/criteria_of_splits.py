"""Criteria for acoustic features in place of raw audio, `criteria_of_features.yml`.

They look at ten random splits, each with a seed of its own, and at sessions held out in turn.
Where the paper printed a number, one run on another split is what it is compared with; where it
claims a difference, the mean over splits decides, by Nadeau and Bengio's test.
"""

import datetime
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, Field

from replicate.paper import EMOTIONS, load
from replicate.runs.selection import Selection
from replicate.stats.hypothesis_tests import LEVEL, holm, mean_difference
from replicate.stats.intervals import UNKNOWN, Interval, prediction_interval
from replicate.verdicts.criteria_of_data import Extremes, Loudness
from replicate.verdicts.criteria_of_runs import Order, Pair, named_in, ranks_held
from replicate.verdicts.criterion import Finding, Outcome, Reported, Rule, all_of, bracketed
from replicate.verdicts.evidence import Evidence
from replicate.verdicts.fitness import fit

RESAMPLES = 1000

#: The fewest for a verdict.
SPLITS, SESSIONS = 10, 5


@dataclass(frozen=True)
class Splits:
    """What the models found."""

    own: Evidence  # a random split for each seed
    sessions: Evidence  # each session held out in turn, by several seeds
    overlap: float  # n_test / n_train of the random splits


def gather(runs: Selection) -> Splits:
    """The runs of acoustic features that may decide, by what is held out."""
    runs, left_out = fit(runs)
    kinds = [runs.of(folds=folds) for folds in ("own", "session")]
    title = next((run.provenance.corpus_title for run in runs), runs.corpus)
    own, sessions = (
        Evidence(chosen, title, synthetic=False, left_out=left_out) for chosen in kinds
    )
    overlaps = [run.provenance.overlap for run in kinds[0]]
    return Splits(own, sessions, float(np.mean(overlaps)) if overlaps else np.nan)


class OfSplits(Rule):
    """A rule that looks at random splits."""

    @abstractmethod
    def models(self, reported: Reported) -> list[str]:
        """The models that must have run, as `att_d1-glove`."""

    @abstractmethod
    def compare(self, reported: Reported, found: Splits) -> Finding:
        """`judge`, where all of them have."""

    def judge(self, reported: Reported, found: Splits) -> Finding:
        """What the runs say, or what is missing."""
        counts = {name: row["n_seeds"] for name, row in found.own.summary.items()}
        for name in self.models(reported):
            if counts.get(name, 0) < SPLITS:
                lacking = f"{counts.get(name, 0)} of {SPLITS} splits of {name}"
                return Finding(shortfall=lacking)
        return self.compare(reported, found)


class OfModel(OfSplits):
    """A rule of one model."""

    model: str

    def models(self, reported: Reported) -> list[str]:
        """That one."""
        return [self.model]


class Prediction(OfModel):
    """Printed values lie where one run on another split would, at .05 over their number."""

    kind: Literal["prediction"]
    values: tuple[Literal["accuracy", "audio score"], ...]

    line = "print lies where one run on another split would"

    def compare(self, reported: Reported, found: Splits) -> Finding:
        """Accuracy and, where it is judged, the audio's share of the attention."""
        ours: dict[str, pd.Series] = {
            value: found.own.by_seed(self.model, value.replace(" ", "_")) for value in self.values
        }
        return predicted(ours, reported)


class PredictionOfEach(OfSplits):
    """As `Prediction`, for accuracies of several models: printed name -> model."""

    kind: Literal["prediction of each"]
    values: dict[str, str]

    line = "each printed value lies where one run on another split would"

    def models(self, reported: Reported) -> list[str]:
        """Those named."""
        return list(self.values.values())

    def compare(self, reported: Reported, found: Splits) -> Finding:
        """Their accuracies."""
        ours = {name: found.own.by_seed(m, "accuracy") for name, m in self.values.items()}
        return predicted(ours, reported)


class PredictionOfRates(OfModel):
    """As `Prediction`, for every recall and precision of Table 7."""

    kind: Literal["prediction of rates"]

    line = "every recall and precision of print lies where one run on another split would"

    def compare(self, reported: Reported, found: Splits) -> Finding:
        """Split by split."""
        rates = found.own.rates(self.model)
        ours = {name: rates[name.split()[1]][name.split()[0]] for name in reported}
        return replace(predicted(ours, reported), interval=UNKNOWN)


def predicted(ours: Mapping[str, pd.Series], reported: Reported) -> Finding:
    """Whether each printed value lies in the interval of one more run.

    Args:
        ours: name of a printed value -> our values, one a split.
        reported: the printed values.
    """
    parts: list[Outcome] = []
    described, interval = [], UNKNOWN
    for name, values in ours.items():
        interval = prediction_interval(values, LEVEL / len(ours))
        parts.append("met" if interval.low <= reported[name] <= interval.high else "not met")
        described.append(f"{name} {bracketed(float(values.mean()), interval)} ({parts[-1]})")
    alone = interval if len(ours) == 1 else UNKNOWN
    return Finding(all_of(parts), "; ".join(described), alone)


class DifferenceOverSplits(OfSplits):
    """Differences that are claimed to be positive; a gain below `margin` counts as none."""

    kind: Literal["difference"]
    margin: float
    pairs: tuple[Pair, ...]

    line = (
        "t test over ten splits with Nadeau and Bengio's and Holm's "
        "corrections; sessions agree in sign"
    )

    def models(self, reported: Reported) -> list[str]:
        """Those of all pairs."""
        return named_in(self.pairs)

    def compare(self, reported: Reported, found: Splits) -> Finding:
        """Over random splits; over sessions the sign must be the same."""
        folds = found.sessions.by_run["fold"].nunique()
        if folds < SESSIONS:
            return Finding(shortfall=f"{folds} of {SESSIONS} sessions held out")
        gains = [pair.gain(found.own) for pair in self.pairs]
        means = [mean_difference(gain, found.overlap) for gain in gains]
        p_values = holm([mean.p_value for mean in means])
        parts: list[Outcome] = []
        described = []
        for pair, mean, p in zip(self.pairs, means, p_values, strict=True):
            held_out = float(pair.gain(found.sessions).mean())
            part: Outcome = "undecided"
            if p < LEVEL and mean.difference > 0 and held_out > 0:
                part = "met"
            elif (p < LEVEL and mean.difference < 0) or mean.high < self.margin:
                part = "not met"
            parts.append(part)
            interval = Interval(mean.low, mean.high)
            described.append(
                f"{pair.better} - {pair.worse}: {bracketed(mean.difference, interval, '+')}, "
                f"p = {p:.3f}, sessions {held_out:+.3f} ({part})"
            )
        alone = Interval(means[0].low, means[0].high) if len(means) == 1 else UNKNOWN
        return Finding(all_of(parts), "; ".join(described), alone)


class OrderOverSplits(OfSplits):
    """Kendall's tau with the printed order, see `criteria_of_runs.Order`."""

    kind: Literal["order"]
    embedding: str

    line = "Kendall's tau with the printed order, bootstrap over splits"

    def models(self, reported: Reported) -> list[str]:
        """The rows of Table 4."""
        return Order(kind="order", embedding=self.embedding).models(reported)

    def compare(self, reported: Reported, found: Splits) -> Finding:
        """A split is what is drawn."""
        return Order(kind="order", embedding=self.embedding).compare(reported, found.own)


class Resampled(OfSplits):
    """Statements of which each must hold in 95 % of bootstrap samples of the splits."""

    @abstractmethod
    def statements(self, reported: Reported, found: Splits, draws: np.ndarray) -> pd.DataFrame:
        """Whether each statement (column) holds in each sample (row) `draws` [samples, splits]."""

    def compare(self, reported: Reported, found: Splits) -> Finding:
        """How often each statement holds."""
        seeds = found.own.answers_of(self.models(reported)[0])["seed"].nunique()
        draws = np.random.default_rng(0).integers(seeds, size=(RESAMPLES, seeds))
        chances = self.statements(reported, found, draws).mean()
        outcome: Outcome = "undecided"
        if chances.min() >= 1 - LEVEL:
            outcome = "met"
        elif chances.min() <= LEVEL:
            outcome = "not met"
        return Finding(outcome, "; ".join(f"{name}: {p:.3f}" for name, p in chances.items()))


class ScoreSpreadOverSplits(Resampled):
    """The deviation of scores over utterances lies within a factor of print; GloVe for Word2Vec."""

    kind: Literal["score spread"]
    factor: float

    line = (
        "deviation over utterances within a factor of {factor:g} of print in "
        "95 % of resampled splits"
    )

    def models(self, reported: Reported) -> list[str]:
        """Those of which the paper prints a spread."""
        return [name.replace("word2vec", "glove") for name in reported]

    def statements(self, reported: Reported, found: Splits, draws: np.ndarray) -> pd.DataFrame:
        """The mean over splits of its logarithm."""
        held = {}
        for name, printed in zip(self.models(reported), reported.values(), strict=True):
            deviations = found.own.by_seed(name, "audio_score_sd").to_numpy()
            away = np.log(deviations)[draws].mean(axis=1) - np.log(printed)
            label = f"{name} {np.exp(np.log(deviations).mean()):.3f} ({printed} in print)"
            held[label] = np.abs(away) <= np.log(self.factor)
        return pd.DataFrame(held)


class RanksOverSplits(OfModel, Resampled):
    """The ranks that Section 5 states: best and worst recall, best precision."""

    kind: Literal["ranks"]

    line = "each rank holds in 95 % of resampled splits"

    def statements(self, reported: Reported, found: Splits, draws: np.ndarray) -> pd.DataFrame:
        """By the mean rates over splits."""
        counts = np.stack(found.own.confusions(self.model)).astype(float)  # [splits, 4, 4]
        right = np.diagonal(counts, axis1=1, axis2=2)
        recall = (right / counts.sum(axis=2))[draws].mean(axis=1)  # [samples, 4]
        precision = (right / np.maximum(counts.sum(axis=1), 1))[draws].mean(axis=1)
        return ranks_held(recall, precision)


class Errors(OfModel, Resampled):
    """Neutrality is each other class's commonest error, and each takes a `share` of its own."""

    kind: Literal["errors"]
    share: float

    line = "each statement on the errors holds in 95 % of resampled splits"

    def statements(self, reported: Reported, found: Splits, draws: np.ndarray) -> pd.DataFrame:
        """By the sums over splits."""
        counts = np.stack(found.own.confusions(self.model)).astype(float)
        errors = counts * (1 - np.eye(len(EMOTIONS)))
        sums = errors[draws].sum(axis=1)  # [samples, true, predicted]
        neutral = EMOTIONS.index("neutrality")
        own = sums[:, neutral] / sums[:, neutral].sum(axis=1, keepdims=True)
        held = {}
        for k, emotion in enumerate(EMOTIONS):
            if k != neutral:
                held[f"{emotion} is taken for neutrality most"] = sums[:, k].argmax(1) == neutral
                held[f"neutrality is taken for {emotion} often enough"] = own[:, k] >= self.share
        return pd.DataFrame(held)


_Kind = Annotated[
    Prediction | PredictionOfEach | PredictionOfRates | DifferenceOverSplits | OrderOverSplits
    | ScoreSpreadOverSplits | RanksOverSplits | Errors | Loudness | Extremes,
    Field(discriminator="kind"),
]  # fmt: skip


class Fixed(BaseModel, frozen=True, extra="forbid"):
    """Criteria by the number of the claim, and when they were fixed."""

    fixed: datetime.date
    splits: int
    sessions: int
    claims: dict[int, _Kind]


CRITERIA_OF_FEATURES = load(Path(__file__).with_name("criteria_of_features.yml"), Fixed)
