"""Criteria for acoustic features in place of raw audio, `criteria_of_features.yml`.

They look at ten random splits, each with a seed of its own, and at sessions held out in turn.
Where the paper printed a number, one run on another split is what it is compared with; where it
claims a difference, the mean over splits decides, by Nadeau and Bengio's test.
"""

import datetime
from abc import abstractmethod
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, Field

from replicate.paper import EMOTIONS, load
from replicate.stats import classification
from replicate.stats.hypothesis_tests import LEVEL, Mean
from replicate.stats.intervals import UNKNOWN, Interval, prediction_interval
from replicate.verdicts.criteria_of_data import Extremes, Loudness
from replicate.verdicts.criteria_of_runs import (
    OfModel,
    OfPairs,
    OfRuns,
    Order,
    Pair,
    ranks_held,
)
from replicate.verdicts.criterion import (
    Finding,
    Outcome,
    Reported,
    all_of,
    bracketed,
    each_holds,
    gains_found,
    p_in_words,
)
from replicate.verdicts.evidence import Evidence

RESAMPLES = 1000


class OfSplits(OfRuns):
    """A criterion of models that have run on random splits, each with a seed of its own."""

    def judge(self, reported: Reported, evidence: Evidence) -> Finding:
        """What the runs say, or what is missing."""
        for name in self.models(reported):
            splits = evidence.summary[name]["n_seeds"] if name in evidence.summary else 0
            if splits < CRITERIA_OF_FEATURES.splits:
                lacking = f"{splits} of {CRITERIA_OF_FEATURES.splits} splits of {name}"
                return Finding("undecided", shortfall=lacking)
        return self._compare(reported, evidence)


class Predicted(OfSplits):
    """Printed values lie where one run on another split would, at .05 over their number."""

    @abstractmethod
    def ours(self, reported: Reported, evidence: Evidence) -> pd.DataFrame:
        """Our values: a row a split, a column a printed value."""

    def _compare(self, reported: Reported, evidence: Evidence) -> Finding:
        ours = self.ours(reported, evidence)
        parts: list[Outcome] = []
        described, interval = [], UNKNOWN
        for name, interval in one_more_run(ours).items():
            parts.append("met" if interval.low <= reported[name] <= interval.high else "not met")
            mean = float(ours[name].mean())
            described.append(f"{name} {bracketed(mean, interval)} ({parts[-1]})")
        alone = interval if len(ours.columns) == 1 else UNKNOWN
        return Finding(all_of(parts), "; ".join(described), alone)


def one_more_run(ours: pd.DataFrame) -> dict[str, Interval]:
    """Of values as of `Predicted.ours`, where those of one run on another split would lie."""
    level = LEVEL / len(ours.columns)
    return {str(n): prediction_interval(ours[n].dropna(), level) for n in ours}


class Prediction(OfModel, Predicted):
    """`Predicted`, for the accuracy of one model and the audio's share of the attention."""

    kind: Literal["prediction"]
    values: tuple[Literal["accuracy", "audio score"], ...]

    line = "the printed value lies where that of one run on another split would"
    weakness = (
        "ten splits leave a wide interval, which models several points apart pass; an audio score "
        "of about one half is also what untrained attention gives"
    )

    def ours(self, reported: Reported, evidence: Evidence) -> pd.DataFrame:
        """Those that are judged."""
        measures = {value: value.replace(" ", "_") for value in self.values}
        return pd.DataFrame({v: evidence.by_seed(self.model, m) for v, m in measures.items()})


class PredictionOfEach(Predicted):
    """`Predicted`, for accuracies of several models: printed name -> model."""

    kind: Literal["prediction of each"]
    values: dict[str, str]

    line = (
        "each printed accuracy of one modality, two of the four figures, lies where that of one "
        "run on another split would"
    )
    weakness = "ten splits leave a wide interval; the quoted fusions, uSA and mSA, are not judged"

    def models(self, reported: Reported) -> list[str]:
        """Those named."""
        return list(self.values.values())

    def ours(self, reported: Reported, evidence: Evidence) -> pd.DataFrame:
        """Their accuracies."""
        accuracies = {n: evidence.by_seed(model, "accuracy") for n, model in self.values.items()}
        return pd.DataFrame(accuracies)


class PredictionOfRates(OfModel, Predicted):
    """`Predicted`, for every recall and precision of Table 7."""

    kind: Literal["prediction of rates"]

    line = "every printed recall and precision lies where that of one run on another split would"
    weakness = "eight rates make eight wide intervals, in which those of other models lie, too"

    def ours(self, reported: Reported, evidence: Evidence) -> pd.DataFrame:
        """As Table 7 names them."""
        return evidence.rates(self.model)[list(reported)]


class DifferenceOverSplits(OfSplits, OfPairs):
    """Differences that are claimed to be positive; a gain below `margin` counts as none."""

    kind: Literal["difference"]
    margin: float

    line = (
        "t test over ten splits with Nadeau and Bengio's and Holm's corrections; sessions agree in "
        "sign; not met where the interval ends below a gain of {margin:g}"
    )
    weakness = (
        "ten splits miss differences of two points; of sessions the sign alone counts; "
        "the interval at the margin is not corrected for the number of pairs"
    )

    def _compare(self, reported: Reported, evidence: Evidence) -> Finding:
        sessions = evidence.sessions
        counts = sessions.by_run.groupby("name")["fold"].nunique().to_dict() if sessions else {}
        asked = CRITERIA_OF_FEATURES.sessions
        few = [name for name in self.models(reported) if counts.get(name, 0) < asked]
        if sessions is None or few:
            lacking = f"{counts.get(few[0], 0)} of {asked} sessions of {few[0]} held out"
            return Finding("undecided", shortfall=lacking)
        held_out = {pair.name: _over_sessions(sessions, pair) for pair in self.pairs}

        def decide(name: str, mean: Mean, p: float) -> tuple[Outcome, str]:
            part: Outcome = "undecided"
            if p < LEVEL and mean.difference > 0 and held_out[name] > 0:
                part = "met"
            elif (p < LEVEL and mean.difference < 0) or mean.high < self.margin:
                part = "not met"
            return part, f"{p_in_words(p)}, sessions {held_out[name]:+.3f} ({part})"

        return gains_found(self.gains(evidence), evidence.runs.overlap, decide)


def _over_sessions(sessions: Evidence, pair: Pair) -> float:
    """What the better model gains, a mean over sessions; of each, over the seeds that both have."""
    runs = sessions.by_run.pivot(index=["fold", "seed"], columns="name", values="accuracy")
    gains = (runs[pair.better] - runs[pair.worse]).dropna()
    return float(gains.groupby("fold").mean().mean())


class OrderOverSplits(OfSplits, Order):
    """`Order`, where a split is what is drawn."""

    line = "Kendall's tau with the printed order, bootstrap over splits"


class Resampled(OfSplits):
    """Statements of which each must hold in 95 % of bootstrap samples of the splits."""

    weakness = "splits are drawn as if their training parts did not overlap: chances look too sure"

    @abstractmethod
    def _held(self, reported: Reported, evidence: Evidence, draws: np.ndarray) -> pd.DataFrame:
        """Whether each statement (column) holds in each sample (row) `draws` [samples, splits]."""

    def _compare(self, reported: Reported, evidence: Evidence) -> Finding:
        seeds = evidence.answers_of(self.models(reported)[0])["seed"].nunique()
        draws = np.random.default_rng(0).integers(seeds, size=(RESAMPLES, seeds))
        chances = self._held(reported, evidence, draws).mean()
        told = "; ".join(f"{name}: in {p:.1%} of resamples" for name, p in chances.items())
        return Finding(each_holds(chances, 1 - LEVEL), told)


class ScoreSpreadOverSplits(Resampled):
    """The deviation of scores over utterances lies within a factor of print; GloVe for Word2Vec.

    What is compared is the geometric mean over splits.
    """

    kind: Literal["score spread"]
    factor: float

    line = (
        "deviation over utterances within a factor of {factor:g} of print in "
        "95 % of resampled splits"
    )
    weakness = "the rounding is not counted, which may be a quarter of a spread of .002"

    def models(self, reported: Reported) -> list[str]:
        """Those of which the paper prints a spread."""
        return [name.replace("word2vec", "glove") for name in reported]

    def _held(self, reported: Reported, evidence: Evidence, draws: np.ndarray) -> pd.DataFrame:
        held = {}
        for name, printed in zip(self.models(reported), reported.values(), strict=True):
            deviations = evidence.by_seed(name, "audio_score_sd").to_numpy()
            away = np.log(deviations)[draws].mean(axis=1) - np.log(printed)
            label = f"{name} {np.exp(np.log(deviations).mean()):.4f} ({printed} in print)"
            held[label] = np.abs(away) <= np.log(self.factor)
        return pd.DataFrame(held)


class RanksOverSplits(OfModel, Resampled):
    """The ranks that Section 5 states, of the mean rates over splits."""

    kind: Literal["ranks"]

    line = "each rank holds in 95 % of resampled splits"

    def _held(self, reported: Reported, evidence: Evidence, draws: np.ndarray) -> pd.DataFrame:
        counts = np.stack(evidence.confusions(self.model))  # [splits, 4, 4]
        recall, precision = classification.rates(counts)  # [splits, 4]
        return ranks_held(recall[draws].mean(axis=1), precision[draws].mean(axis=1))


class Errors(OfModel, Resampled):
    """Neutrality is each other class's commonest error, and each takes a `share` of its own.

    Errors are summed over splits.
    """

    kind: Literal["errors"]
    share: float

    line = "each statement on the errors holds in 95 % of resampled splits"

    def _held(self, reported: Reported, evidence: Evidence, draws: np.ndarray) -> pd.DataFrame:
        counts = np.stack(evidence.confusions(self.model)).astype(float)
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
