"""Is one model better than another? The test that fits how the runs were drawn.

The same test utterances call for Cochran's Q and McNemar's test; many seeds on one split for paired
tests over seeds; many random splits, whose training parts overlap, for Nadeau and Bengio's
correction; groups held out in turn for a bootstrap that draws whole groups.

Tables have a column for each model, of what all of them ran; tests of pairs give a row for each,
`first` less `second`. `p_holm` is the p value after Holm's correction for all rows.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats
from statsmodels.stats.contingency_tables import cochrans_q
from statsmodels.stats.contingency_tables import mcnemar as exact_mcnemar

from replicate.stats.intervals import (
    PLACES,
    Clusters,
    Estimate,
    mean_over_clusters,
    without_spread,
)

LEVEL = 0.05


@dataclass(frozen=True)
class Difference:
    """One model less another, over `n` utterances, seeds or splits; its 95 % interval and p."""

    n: int
    difference: float
    low: float
    high: float
    p_value: float

    @property
    def sign(self) -> int:
        """1 or -1 where interval and test show a difference above or below zero, else 0."""
        shown = self.p_value < LEVEL
        return int(shown and self.low > 0) - int(shown and self.high < 0)

    def named(self, name: str) -> dict[str, float]:
        """Difference and interval as entries of a table's row."""
        return Estimate(self.difference, self.low, self.high).named(name)


def each_pair(
    table: pd.DataFrame,
    test: Callable[[pd.Series, pd.Series], Mapping[str, object]],
    reference: str | None = None,
) -> pd.DataFrame:
    """A test of each pair of columns, or of each with one: `first`, `second`, what it finds."""
    pairs = list(combinations(table, 2))
    if reference is not None:
        pairs = [(column, reference) for column in table if column != reference]
    rows = [{"first": a, "second": b, **test(table[a], table[b])} for a, b in pairs]
    return pd.DataFrame(rows)


# --- the same utterances ---


@dataclass(frozen=True)
class Paired(Difference):
    """Accuracies on the same utterances, `only_first` of which the first model alone gets right.

    The interval is exact, given on how many the two disagree (Clopper-Pearson). It excludes 0 just
    where `p_value`, of McNemar's exact test, is below 0.05; NaN if they disagree on none.
    """

    only_first: int
    only_second: int


def mcnemar(first: ArrayLike, second: ArrayLike) -> Paired:
    """Compare two models by which of their answers are right: bool, in the same order."""
    right, other = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    only_first, only_second = int((right & ~other).sum()), int((other & ~right).sum())
    n, disagree = len(right), only_first + only_second
    low = high = np.nan
    if disagree:
        share = stats.binomtest(only_first, disagree).proportion_ci(0.95, method="exact")
        low, high = ((2 * end - 1) * disagree / n for end in share)
    p_value = float(exact_mcnemar([[0, only_first], [only_second, 0]], exact=True).pvalue)
    return Paired(n, (only_first - only_second) / n, low, high, p_value, only_first, only_second)


def cochran(right: pd.DataFrame) -> dict[str, float]:
    """Cochran's Q test of several models on one test set: are they equally good?

    `n` utterances; `statistic` Q, chi-square with so many `degrees` of freedom; `p_value`, NaN if
    all models are right on the same utterances.
    """
    with np.errstate(invalid="ignore"):
        found = cochrans_q(right.to_numpy(dtype=int))
    q, p_value = float(found.statistic), float(found.pvalue)
    return {"n": len(right), "statistic": q, "degrees": right.shape[1] - 1, "p_value": p_value}


def over_utterances(right: pd.DataFrame, reference: str | None = None) -> pd.DataFrame:
    """McNemar's exact test of each pair on one test set, to follow a significant `cochran`.

    Returns `first`, `second`, the fields of `Paired`, `p_holm`.
    """
    return with_holm(each_pair(right, lambda a, b: vars(mcnemar(a, b)), reference))


def each_training(right: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`cochran` and `over_utterances` for the models of each fold and seed by themselves.

    Several answers to one utterance are no independent trials, so seeds may not be pooled here. By
    `fold` and `seed`: what `cochran` finds, `p_holm` (for all of these rows), and `apart`, how many
    pairs are told apart; then the pairs, whose correction is for one training.
    """
    parts = dict(iter(right.groupby(level=["fold", "seed"])))
    found = {key: over_utterances(part) for key, part in parts.items()}
    pairs = pd.concat(found, names=["fold", "seed"]).droplevel(-1)
    index = pd.MultiIndex.from_tuples(parts, names=["fold", "seed"])
    tests = pd.DataFrame([cochran(part) for part in parts.values()], index)
    apart = (pairs["p_holm"] < LEVEL).groupby(level=["fold", "seed"]).sum()
    return with_holm(tests).assign(apart=apart), pairs


# --- seeds and splits ---


@dataclass(frozen=True)
class Mean(Difference):
    """The mean of `n` paired differences, `spread` their standard deviation.

    Without any spread the interval is NaN and `p_value`, of the t test, 1: a few differences of
    counts on a small test set are often alike, which is no evidence.
    """

    spread: float


def mean_difference(differences: ArrayLike, overlap: float = 0.0, level: float = LEVEL) -> Mean:
    """Paired t test and interval, with Nadeau and Bengio's correction (2003) for splits.

    The training parts of random splits overlap, as do those of groups that are held out in turn, so
    differences on them are correlated. The variance of the mean of J differences, one a seed, split
    or group, is s^2 (1/J + n_test/n_train): `overlap` is that quotient, 0 on one split. The
    interval has 1 - `level`. Of no differences all is NaN.
    """
    values = np.asarray(differences, dtype=float).round(PLACES)
    if not len(values):
        return Mean(0, *[np.nan] * 5)
    n, mean = len(values), float(values.mean())
    if without_spread(values):
        return Mean(n, mean, np.nan, np.nan, 1.0, 0.0 if n > 1 else np.nan)
    spread = float(values.std(ddof=1))
    error = float(spread * np.sqrt(1 / n + overlap))
    low, high = stats.t.interval(1 - level, n - 1, mean, error)
    p_value = 2 * stats.t.sf(abs(mean) / error, n - 1)
    return Mean(n, mean, float(low), float(high), float(p_value), spread)


def over_seeds(
    values: pd.DataFrame, reference: str | None = None, overlap: float = 0.0
) -> pd.DataFrame:
    """Paired t test of each pair, a row of `values` a seed; `overlap` as in `mean_difference`.

    On one split it says what other seeds would give on the same test utterances.

    Returns `first`, `second`, the fields of `Mean`, `p_holm`.
    """
    found = each_pair(values, lambda a, b: vars(mean_difference(_gaps(a, b), overlap)), reference)
    return with_holm(found)


def _gaps(first: pd.Series, second: pd.Series) -> np.ndarray:
    if len(first) < 2:
        raise ValueError(f"{len(first)} paired values; at least two are needed")
    return np.asarray((first - second).round(PLACES))


# --- clusters ---


def over_clusters(
    right: pd.DataFrame, clusters: Clusters, reference: str | None = None
) -> pd.DataFrame:
    """Percentile bootstrap of the difference in accuracy that draws whole clusters.

    Utterances of one dialogue or speaker resemble each other; an interval over single utterances
    would be too narrow. So is this one where clusters are few, as five sessions are.

    Returns `first`, `second`, `n` (clusters), `difference`, `low`, `high`.
    """
    n = pd.Index(clusters).nunique()

    def test(first: pd.Series, second: pd.Series) -> dict[str, float]:
        gain = mean_over_clusters(first.astype(float) - second.astype(float), clusters)
        return {"n": n, "difference": gain.value, "low": gain.low, "high": gain.high}

    return each_pair(right, test, reference)


# --- chance, and many tests ---


def chance_spread(n: int, disagreement: float = 0.1) -> float:
    """Standard deviation of the difference of two accuracies if only chance decides: sqrt(d / n).

    One of the two models alone is right on a share d of n utterances, and that may be either.

    >>> round(chance_spread(555), 4)
    0.0134
    """
    return float(np.sqrt(disagreement / n))


def with_holm(rows: pd.DataFrame) -> pd.DataFrame:
    """Add Holm's correction of the column `p_value`."""
    return rows.assign(p_holm=holm(rows["p_value"]))


def holm(p_values: ArrayLike) -> np.ndarray:
    """Holm's correction (1979): the kth least of n times n - k + 1, and none below a lesser one.

    statsmodels' own collects garbage at each call, half a second of a page's process.

    >>> holm([0.01, 0.04, 0.03])
    array([0.03, 0.06, 0.06])
    """
    values = np.asarray(p_values, dtype=float)
    order = values.argsort()
    corrected = np.empty_like(values)
    scaled = values[order] * np.arange(len(values), 0, -1)
    corrected[order] = np.maximum.accumulate(scaled).clip(max=1)
    return corrected
