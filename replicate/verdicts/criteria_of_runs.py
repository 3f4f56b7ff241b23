"""Criteria that look at scores, answers and attention of trained models."""

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel
from scipy.stats import chisquare

from replicate.paper import EMOTIONS, TABLE_4, printed_confusion
from replicate.stats import classification
from replicate.stats.intervals import Interval, mean_interval, percentile_interval, share_interval
from replicate.verdicts.criterion import (
    Criterion,
    Finding,
    Outcome,
    Reported,
    all_of,
    bracketed,
    each_holds,
    gains_found,
    near,
    unimodal,
)
from replicate.verdicts.evidence import Evidence

#: Resampled sets of seeds for the interval of Kendall's tau.
TAU_RESAMPLES = 1000


class OfRuns(Criterion):
    """A criterion of trained models; `seeds` are the fewest for a verdict."""

    seeds: int = 10

    @abstractmethod
    def models(self, reported: Reported) -> list[str]:
        """The models that must have run, as `att_d1-word2vec`."""

    @abstractmethod
    def _compare(self, reported: Reported, evidence: Evidence) -> Finding:
        """`judge`, where all of them have."""

    def judge(self, reported: Reported, evidence: Evidence) -> Finding:
        """What they say, or which have not run and what there is of one modality."""
        if absent := [name for name in self.models(reported) if name not in evidence.summary]:
            missing = f"no runs of {', '.join(absent)}"
            return Finding(evidence=self._alone(reported, evidence), shortfall=missing)
        return self._compare(reported, evidence)

    def _alone(self, reported: Reported, evidence: Evidence) -> str:
        """What the models of one modality reach, if the claim is about one."""
        about = any(name.startswith(("audio", "text")) for name in self.models(reported))
        return unimodal(evidence) if about else ""

    def _too_few(self, seeds: int) -> str:
        """The shortfall in seeds; empty if there is none."""
        wanted = f"{seeds} of the {self.seeds} seeds that the criterion asks for"
        return wanted if seeds < self.seeds else ""


class OfModel(OfRuns):
    """A criterion of one model."""

    model: str

    def models(self, reported: Reported) -> list[str]:
        """That one."""
        return [self.model]


class Accuracy(OfModel):
    """Criterion A: the mean accuracy over seeds lies within `tolerance` of print.

    That is 1.96 standard deviations of the printed run: the binomial error of one run on 555
    utterances together with an assumed spread between seeds, `seed_sd`.
    """

    kind: Literal["accuracy"]
    tolerance: float = 0.042
    score_tolerance: float | None = None  # of the mean audio score, where it is judged
    text_ahead: float | None = None  # share of the seeds in which text must weigh more, if judged

    seed_sd: ClassVar[float] = 0.01
    weakness = (
        "wide: one and the same true mean could pass every row of Tables 4 and 5; narrow: the "
        "error of our own test set is not counted"
    )

    @property
    def test(self) -> str:
        """The test in a line."""
        parts = [f"mean accuracy of {self.seeds} seeds within {self.tolerance} of print"]
        if self.score_tolerance is not None:
            parts.append(f"mean audio score within {self.score_tolerance}")
        if self.text_ahead is not None:
            parts.append(f"text ahead in {self.text_ahead:.0%} of the seeds")
        return ", ".join(parts)

    def _compare(self, reported: Reported, evidence: Evidence) -> Finding:
        value, interval = evidence.mean(self.model, "accuracy")
        parts = [near(value, interval, reported["accuracy"], self.tolerance)]
        notes = []
        if "audio score" in reported:
            score, spread = evidence.mean(self.model, "audio_score")
            notes.append(f"audio score {bracketed(score, spread)}")
            if self.score_tolerance is not None:
                parts.append(near(score, spread, reported["audio score"], self.score_tolerance))
        if self.text_ahead is not None:
            ahead = evidence.by_seed(self.model, "audio_score") < 0.5
            notes.append(f"text ahead in {ahead.sum()} of {len(ahead)} seeds")
            parts.append("met" if ahead.mean() >= self.text_ahead else "not met")
        seeds = evidence.summary[self.model]["n_seeds"]
        outcome, missing = all_of_seeds(parts, seeds), self._too_few(seeds)
        return Finding(outcome, bracketed(value, interval), interval, "; ".join(notes), missing)


class Pair(BaseModel, frozen=True, extra="forbid"):
    """Two models, of which one is claimed to be better."""

    better: str
    worse: str

    @property
    def name(self) -> str:
        """As findings call it."""
        return f"{self.better} - {self.worse}"


class OfPairs(OfRuns):
    """A criterion of differences."""

    pairs: tuple[Pair, ...]

    def models(self, reported: Reported) -> list[str]:
        """Those of all pairs."""
        return sorted({name for pair in self.pairs for name in (pair.better, pair.worse)})

    def gains(self, evidence: Evidence) -> dict[str, pd.Series]:
        """The better one's accuracy less the other's, seed by seed, of each pair by name."""
        found = {}
        for pair in self.pairs:
            both = evidence.accuracies([pair.better, pair.worse])
            found[pair.name] = both[pair.better] - both[pair.worse]
        return found


class Difference(OfPairs):
    """Criterion D: the paired 95 % interval of each difference excludes 0; Holm over the pairs."""

    kind: Literal["difference"]

    weakness = "seeds of one split vary less than splits do; ten seeds miss small differences"

    @property
    def test(self) -> str:
        """The test in a line."""
        holm = ", Holm's correction" if len(self.pairs) > 1 else ""
        return f"paired t test over {self.seeds} seeds{holm}"

    def _compare(self, reported: Reported, evidence: Evidence) -> Finding:
        gains = self.gains(evidence)
        missing = self._too_few(seeds := min(map(len, gains.values())))
        if seeds < 2:
            return Finding(shortfall=missing)
        found = gains_found(gains, evidence.runs.overlap)
        return replace(found, evidence=self._alone(reported, evidence), shortfall=missing)


class Order(OfRuns):
    """Kendall's tau between the printed and the reproduced order; its interval excludes 0."""

    kind: Literal["order"]
    embedding: str

    line = "Kendall's tau with the printed order, bootstrap over seeds"
    weakness = "tau above 0 is far less than the same order"

    def models(self, reported: Reported) -> list[str]:
        """The rows of Table 4."""
        return [f"{model}-{self.embedding}" for model in TABLE_4["model"]]

    def _compare(self, reported: Reported, evidence: Evidence) -> Finding:
        printed = TABLE_4["accuracy"].to_numpy()
        ours = evidence.accuracies(self.models(reported)).to_numpy()  # [seeds, 7]
        missing = self._too_few(len(ours))
        if len(ours) < 2:
            return Finding(shortfall=missing)
        tau = float(kendall_tau(printed, ours.mean(axis=0)))
        interval = tau_interval(printed, ours)
        outcome: Outcome = "undecided"
        if interval.low > 0 or interval.high < 0:
            outcome = "met" if interval.low > 0 else "not met"
        ranking = pd.Series(ours.mean(axis=0), TABLE_4["label"]).sort_values()[::-1]
        order = ", ".join(f"{label} {value:.3f}" for label, value in ranking.items())
        return Finding(outcome, f"tau {bracketed(tau, interval, '+')}", interval, order, missing)


def tau_interval(printed: np.ndarray, ours: np.ndarray) -> Interval:
    """Of Kendall's tau of [n] with the mean over runs of [runs, n]; the bootstrap draws runs."""
    draws = np.random.default_rng(0).integers(len(ours), size=(TAU_RESAMPLES, len(ours)))
    return percentile_interval(kendall_tau(printed, ours[draws].mean(axis=1)))


def kendall_tau(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Kendall's tau-b of [n] with each row of [..., n]; SciPy's takes a millisecond a row."""
    a, b = np.triu_indices(len(first), 1)
    signs, others = (np.sign(values[..., a] - values[..., b]) for values in (first, second))
    untied, others_untied = ((values**2).sum(-1) for values in (signs, others))
    return np.asarray((signs * others).sum(-1) / np.sqrt(untied) / np.sqrt(others_untied))


class ScoreSpread(OfRuns):
    """The standard deviation of scores over utterances lies within a factor of print.

    What is compared is the geometric mean over seeds.
    """

    kind: Literal["score spread"]
    factor: float

    line = "standard deviation over utterances within a factor of {factor:g}"
    weakness = "a spread of scores says nothing about what the scores follow"

    def models(self, reported: Reported) -> list[str]:
        """Those of which the paper prints a spread."""
        return list(reported)

    def _compare(self, reported: Reported, evidence: Evidence) -> Finding:
        parts, described = [], []
        for name, printed in reported.items():
            logs = np.log(evidence.by_seed(name, "audio_score_sd"))
            interval = mean_interval(logs)
            parts.append(near(logs.mean(), interval, np.log(printed), np.log(self.factor)))
            ends = Interval(*np.exp(interval))
            described.append(f"{name} {bracketed(np.exp(logs.mean()), ends)}")
        seeds = min(evidence.summary[name]["n_seeds"] for name in reported)
        outcome = all_of_seeds(parts, seeds)
        return Finding(outcome, ", ".join(described), shortfall=self._too_few(seeds))


class ConfusionRates(OfModel):
    """Each rate of Table 7 lies within so many binomial standard errors of print."""

    kind: Literal["confusion rates"]
    standard_errors: float

    line = "each rate within {standard_errors:g} binomial standard errors of print"
    weakness = "eight rates are judged at once, and the error of our own test set is not counted"

    def _compare(self, reported: Reported, evidence: Evidence) -> Finding:
        rates = evidence.rates(self.model)
        parts, described = [], []
        for name, p in reported.items():
            ours, interval = rates[name], share_interval(rates[name])
            allowed = self.standard_errors * printed_error(name, p)
            parts.append(near(ours.mean(), interval, p, allowed))
            described.append(f"{name} {bracketed(ours.mean(), interval)} ({parts[-1]})")
        outcome = all_of_seeds(parts, seeds := len(rates))
        return Finding(outcome, "; ".join(described), shortfall=self._too_few(seeds))


def printed_error(name: str, p: float) -> float:
    """Binomial standard error of a rate in print, such as `anger recall`, from Table 7's counts."""
    emotion, rate = name.split()
    sizes = printed_confusion().sum(axis="columns" if rate == "recall" else "index")
    return float(np.sqrt(p * (1 - p) / sizes[emotion]))


class Ranks(OfModel):
    """The stated ranks hold with this probability over bootstrap samples of test utterances."""

    kind: Literal["ranks"]
    probability: float

    line = "each rank has a bootstrap probability of at least {probability:g}"
    weakness = "utterances are drawn one by one, although those of a dialogue resemble each other"

    def _compare(self, reported: Reported, evidence: Evidence) -> Finding:
        answers = evidence.answers_of(self.model)
        mine = answers["emotion"], answers["predicted"], answers["utterance"]
        both = [
            rank_probabilities(classification.bootstrap_confusions(*those))
            for those in (mine, classification.labels(printed_confusion()))
        ]
        found, in_print = (
            ", ".join(f"P({name}) = {p:.3f}" for name, p in values.items()) for values in both
        )
        return Finding(
            each_holds(both[0], self.probability),
            found,
            evidence=f"the printed Table 7 by itself: {in_print}",
            shortfall=self._too_few(answers["seed"].nunique()),
        )


def rank_probabilities(samples: np.ndarray) -> pd.Series:
    """In how many of some confusion matrices [n, 4, 4] each rank holds that claim 18 states."""
    return ranks_held(*classification.rates(samples)).mean()


def ranks_held(recall: np.ndarray, precision: np.ndarray) -> pd.DataFrame:
    """Whether each rank that claim 18 states holds, of rates [n, 4] a row."""
    held = {
        "sadness best recall": recall.argmax(axis=1) == EMOTIONS.index("sadness"),
        "neutrality worst recall": recall.argmin(axis=1) == EMOTIONS.index("neutrality"),
        "happiness best precision": precision.argmax(axis=1) == EMOTIONS.index("happiness"),
    }
    return pd.DataFrame(held)


class ErrorSpread(OfModel):
    """Neutrality is each other class's commonest error; its own errors pass for even."""

    kind: Literal["error spread"]
    significance: float

    line = (
        "neutrality is the commonest error of each other class; chi-square does not reject at "
        "{significance:g} that its own errors are even"
    )
    weakness = (
        "the commonest error need not be most of the errors; that a test does not reject evenness "
        "is no proof of it"
    )

    def judge(self, reported: Reported, evidence: Evidence) -> Finding:
        """As the others, beside what the printed table says by itself."""
        outcome, errors = self.spread(printed_confusion())
        printed = f"the printed Table 7 by itself: criterion {outcome}: {errors}"
        return replace(super().judge(reported, evidence), evidence=printed)

    def _compare(self, reported: Reported, evidence: Evidence) -> Finding:
        counts = evidence.confusions(self.model)
        outcome, described = self.spread(sum(counts[1:], counts[0]) / len(counts))
        return Finding(outcome, described, shortfall=self._too_few(len(counts)))

    def spread(self, counts: pd.DataFrame) -> tuple[Literal["met", "not met"], str]:
        """Whether a confusion matrix meets the criterion, and its errors in words."""
        errors = counts.astype(float) - np.diag(np.diag(counts))
        others, own = errors.drop(index="neutrality"), errors.loc["neutrality"].drop("neutrality")
        into = others["neutrality"]
        p_value = float(chisquare(own).pvalue) if own.any() else np.nan
        theirs = ", ".join(f"{e} {into[e]:.3g} of {others.loc[e].sum():.3g}" for e in others.index)
        its = ", ".join(f"{e} {n:.3g}" for e, n in own.items())
        commonest = bool((into >= others.max(axis=1)).all())
        return (
            "met" if commonest and not p_value < self.significance else "not met",
            f"errors to neutrality: {theirs}; of neutrality: {its} (p = {p_value:.3f})",
        )


def all_of_seeds(outcomes: Iterable[Outcome], seeds: int) -> Outcome:
    """As `all_of`; but one seed, which has no interval, decides nothing."""
    return all_of(outcomes) if seeds > 1 else "undecided"
