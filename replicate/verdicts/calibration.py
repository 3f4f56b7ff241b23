"""How often a perfect replication meets each criterion, and a second rule that it seldom misses.

A perfect replication trains the very model that the paper trained, on another random split. So its
runs differ from the printed one by the luck of the split and of the seed, and by nothing else.
"""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd
from pydantic import BaseModel
from scipy import stats

from replicate.paper import OWN, Claim, load, printed_confusion
from replicate.stats import classification
from replicate.stats.hypothesis_tests import LEVEL, holm
from replicate.stats.intervals import UNKNOWN, percentile_interval, wilson
from replicate.stats.summaries import by_run
from replicate.studies.audit import fractions
from replicate.verdicts.criteria import CRITERIA
from replicate.verdicts.criteria_of_data import Words
from replicate.verdicts.criteria_of_runs import (
    TAU_RESAMPLES,
    Accuracy,
    ConfusionRates,
    Difference,
    ErrorSpread,
    OfModel,
    Order,
    Ranks,
    kendall_tau,
    printed_error,
    rank_probabilities,
)
from replicate.verdicts.criterion import Finding, Outcome, Reported, all_of, bracketed, each_holds
from replicate.verdicts.evidence import Evidence

OUTCOMES = get_args(Outcome)

#: Simulated replications, and of those that cost most.
DRAWS, FEW = 20_000, 300


@dataclass(frozen=True)
class Scatter:
    """Standard deviations of the accuracy of one model's runs."""

    split: float  # over random splits, the seed's luck taken out
    seed: float  # over seeds on one split
    rate: float  # of a class's recall, over seeds on one split


def within_folds(values: pd.DataFrame, folds: pd.Series) -> float:
    """Standard deviation between runs on the same fold, the variance pooled over folds and columns.

    >>> values = pd.DataFrame({"accuracy": [0.6, 0.62, 0.7, 0.72]})
    >>> round(within_folds(values, pd.Series(["a", "a", "b", "b"])), 4)
    0.0141
    """
    squares = (values - values.groupby(folds).transform("mean")) ** 2
    free = (len(values) - folds.nunique()) * values.shape[1]
    return float(np.sqrt(squares.to_numpy().sum() / free))


def scatter(own: pd.DataFrame, repeated: pd.DataFrame) -> Scatter:
    """The parts of the luck, from the answers of one model's runs, see `selection.answers`.

    `own` are runs on splits of their own, `repeated` several runs on each fold.
    """
    found = by_run(repeated).set_index("run")
    recalls = {
        run: classification.recall(classification.confusion(part["emotion"], part["predicted"]))
        for run, part in repeated.groupby("run")
    }
    seed = within_folds(found[["accuracy"]], found["fold"])
    rate = within_folds(pd.DataFrame(recalls).T, found["fold"])
    return Scatter(float(np.sqrt(max(by_run(own)["accuracy"].var() - seed**2, 0))), seed, rate)


def of_accuracies(tolerance: float, seeds: int, luck: Scatter, rows: int = 1) -> pd.Series:
    """Chances of criterion A, see `Accuracy`, of `rows` that share splits, each with seeds."""
    rng = np.random.default_rng(0)
    printed = rng.normal(0, luck.split, (DRAWS, 1)) + rng.normal(0, luck.seed, (DRAWS, rows))
    shared = rng.normal(0, luck.split, (DRAWS, 1, 1))
    ours = shared + rng.normal(0, luck.seed, (DRAWS, rows, seeds))
    off = np.abs(ours.mean(axis=2) - printed)
    return _shares(off <= tolerance, off > tolerance + _half(ours))


def of_differences(criterion: Difference, printed: Mapping[str, float], luck: Scatter) -> pd.Series:
    """Chances of criterion D if the printed accuracies are true; a split gives all models alike."""
    rng = np.random.default_rng(0)
    ours = {
        name: printed[name] + rng.normal(0, luck.seed, (FEW, criterion.seeds))
        for name in criterion.models({})
    }
    gains = np.stack([ours[pair.better] - ours[pair.worse] for pair in criterion.pairs], axis=1)
    p_values = stats.ttest_1samp(gains, 0, axis=2).pvalue  # [draws, pairs]
    found = np.array([holm(row) for row in p_values]) < LEVEL
    positive = gains.mean(axis=2) > 0
    return _shares(found & positive, found & ~positive)


def of_rates(standard_errors: float, seeds: int, luck: Scatter) -> pd.Series:
    """Chances of claim 17's criterion if print and ours are two draws from the printed Table 7."""
    truth, (print_, ours) = printed_confusion().to_numpy(), _tables(2, DRAWS)
    rng = np.random.default_rng(1)  # not the stream that drew the tables
    sizes = truth.sum(axis=1), truth.sum(axis=0)  # of recall and of precision
    each = (classification.rates(tables) for tables in (print_, ours))
    met, missed = [], []
    for printed, shared, n in zip(*each, sizes, strict=True):  # [draws, 4]
        runs = shared[..., None] + rng.normal(0, luck.rate, (*shared.shape, seeds))
        off, half = np.abs(runs.mean(axis=2) - printed), _half(runs)
        allowed = standard_errors * np.sqrt(printed * (1 - printed) / n)
        met.append(off <= allowed)
        missed.append(off > allowed + half)
    return _shares(np.concatenate(met, axis=1), np.concatenate(missed, axis=1))


def of_ranks(criterion: Ranks) -> pd.Series:
    """Chances of the outcomes of claim 18's criterion if the printed Table 7 is the truth."""
    rng, outcomes = np.random.default_rng(1), []
    for table in _tables(1, FEW)[0]:
        again = rng.multinomial(table.sum(), table.ravel() / table.sum(), 1000).reshape(-1, 4, 4)
        outcomes.append(each_holds(rank_probabilities(again), criterion.probability))
    return _counted(outcomes)


def of_errors(criterion: ErrorSpread) -> pd.Series:
    """Chances of the outcomes of claim 20's criterion if the printed Table 7 is the truth."""
    printed = printed_confusion()
    made = (pd.DataFrame(t, printed.index, printed.columns) for t in _tables(1, FEW)[0])
    return _counted([criterion.spread(table)[0] for table in made])


def of_order(criterion: Order, printed: Mapping[str, float], luck: Scatter) -> pd.Series:
    """Chances of the outcomes of claim 12's criterion if the printed accuracies are true."""
    true = np.array([printed[name] for name in criterion.models({})])
    rng, seeds = np.random.default_rng(0), criterion.seeds
    ours = true + rng.normal(0, luck.seed, (FEW, seeds, len(true)))
    low, high = np.empty((2, FEW, 1))
    for k, runs in enumerate(ours):
        means = runs[rng.integers(seeds, size=(TAU_RESAMPLES, seeds))].mean(axis=1)
        low[k], high[k] = percentile_interval(kendall_tau(true, means))
    return _shares(low > 0, high < 0)


def of_words(reported: Mapping[str, Decimal]) -> pd.Series:
    """Chances that the Wilson intervals of ours hold all ratios that another test set prints.

    The least fraction behind a printed ratio is taken for the true one, and its denominator for the
    occurrences in either set; a chance is that nine of ten seeds agree, which read the same words.
    """
    held = 1.0
    for ratio in reported.values():
        right, n = fractions(ratio)[0]
        counts = np.arange(n + 1)
        likely = stats.binom.pmf(counts, n, right / n)
        low, high = np.array([wilson(count, n) for count in counts]).T
        inside = (low[:, None] <= counts / n) & (counts / n <= high[:, None])  # [ours, print]
        held *= float(likely @ inside @ likely)
    return pd.Series([held, 0.0, 1 - held], list(OUTCOMES))


def chances(claim: Claim, luck: Scatter) -> pd.Series | None:
    """How often a perfect replication has each outcome of a claim's criterion; None if unknown."""
    criterion = CRITERIA[claim.id]
    printed = dict(zip(OWN["model"] + "-" + OWN["embedding"], OWN["accuracy"], strict=True))
    match criterion:
        case Accuracy():
            return of_accuracies(criterion.tolerance, criterion.seeds, luck)
        case Difference() if set(criterion.models({})) <= printed.keys():
            return of_differences(criterion, printed, luck)
        case Order():
            return of_order(criterion, printed, luck)
        case ConfusionRates():
            return of_rates(criterion.standard_errors, criterion.seeds, luck)
        case Ranks():
            return of_ranks(criterion)
        case ErrorSpread():
            return of_errors(criterion)
        case Words():
            return of_words(claim.reported)
    return None


def _half(runs: np.ndarray) -> np.ndarray:
    """Half of the 95 % interval of the mean over the last axis."""
    n = runs.shape[-1]
    return np.asarray(stats.t.ppf(1 - LEVEL / 2, n - 1) * runs.std(axis=-1, ddof=1) / np.sqrt(n))


def _tables(sets: int, draws: int) -> np.ndarray:
    """Confusion matrices drawn row by row from the printed one: [sets, draws, 4, 4]."""
    rng, truth = np.random.default_rng(0), printed_confusion().to_numpy()
    rows = [rng.multinomial(row.sum(), row / row.sum(), (sets, draws)) for row in truth]
    return np.stack(rows, axis=2)


def _counted(outcomes: Sequence[Outcome]) -> pd.Series:
    """Shares of some outcomes."""
    return pd.Series(outcomes).value_counts(normalize=True).reindex(OUTCOMES, fill_value=0.0)


def _shares(met: np.ndarray, missed: np.ndarray) -> pd.Series:
    """Shares of draws by outcome, of whether each part is met or not met: [draws, parts]."""
    all_met, one_missed = met.all(axis=1).mean(), missed.any(axis=1).mean()
    undecided = max(1 - all_met - one_missed, 0.0)
    return pd.Series([all_met, undecided, one_missed], list(OUTCOMES))


class TwoRuns(OfModel):
    """Print and ours are two runs of one model, each with a split of its own.

    Each printed value, the accuracy or every rate of Table 7, lies within z sqrt(2) standard errors
    of ours, z at .05 over the number of values. The standard error of a rate is binomial, that of
    an accuracy is `spread`, the standard deviation of text alone on IEMOCAP over splits.
    """

    kind: Literal["two runs"]
    spread: float = 0.025

    line = "the difference to the printed value is what two runs on two splits may have"

    def _compare(self, reported: Reported, evidence: Evidence) -> Finding:
        judged = {name: p for name, p in reported.items() if not name.endswith("score")}
        rates, parts, described = evidence.rates(self.model), [], []
        for name, p in judged.items():
            if name == "accuracy":
                value, error = evidence.mean(self.model, "accuracy")[0], self.spread
            else:
                value, error = rates[name].mean(), printed_error(name, p)
            close = abs(value - p) <= self._errors(len(judged)) * error
            part: Outcome = "met" if close else "not met"
            parts.append(part)
            described.append(f"{name} {bracketed(value, UNKNOWN)} ({part})")
        missing = self._too_few(len(rates))
        return Finding(all_of(parts), "; ".join(described), shortfall=missing)

    def chances(self, reported: Reported, luck: Scatter) -> pd.Series:
        """As the function of that name."""
        if "accuracy" in reported:
            found = of_accuracies(self._errors(1) * self.spread, self.seeds, luck)
        else:
            found = of_rates(self._errors(len(reported)), self.seeds, luck)
        return pd.Series([found["met"], 0.0, 1 - found["met"]], list(OUTCOMES))

    def _errors(self, values: int) -> float:
        """How many standard errors of one run the difference of two may have."""
        return float(stats.norm.ppf(1 - LEVEL / 2 / values) * np.sqrt(2))


class SecondRules(BaseModel, frozen=True, extra="forbid"):
    """`criteria_second.yml`."""

    fixed: datetime.date
    claims: dict[int, TwoRuns]


#: The rules that came after the calibration, beside those that were fixed first.
SECOND = load(Path(__file__).with_name("criteria_second.yml"), SecondRules)
