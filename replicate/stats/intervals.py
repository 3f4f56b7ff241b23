"""Intervals of means, shares and differences: over seeds or over utterances.

Over seeds: where does the mean of many trainings lie on these test utterances? Over utterances:
what would these trainings give on others?
"""

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import t as student
from statsmodels.stats.proportion import proportion_confint

#: Samples of the bootstrap: percentiles of 95 % intervals to about a twentieth of their width.
RESAMPLES = 2000

#: Samples of whole clusters: with ten speakers more draws would tell no more.
CLUSTER_RESAMPLES = 500

#: To which values are rounded before they are called alike: equal shares, or equal differences of
#: shares, must be equal numbers, for ranks know ties, and without a spread there is no test.
PLACES = 12


class Interval(NamedTuple):
    """A two-sided 95 % interval; NaN where there is too little to tell."""

    low: float
    high: float

    def named(self, name: str) -> dict[str, float]:
        """As entries of a table's row: `name_low`, `name_high`."""
        return {f"{name}_low": self.low, f"{name}_high": self.high}


UNKNOWN = Interval(np.nan, np.nan)


class Estimate(NamedTuple):
    """A mean or a difference with its `Interval`."""

    value: float
    low: float
    high: float

    def named(self, name: str) -> dict[str, float]:
        """As entries of a table's row: `name`, `name_low`, `name_high`."""
        return {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high}


def wilson(count: ArrayLike, n: ArrayLike) -> Interval:
    """Wilson's interval of a proportion; arrays give arrays; NaN where `n` is 0."""
    counts, sizes = np.asarray(count, dtype=float), np.asarray(n, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = proportion_confint(counts, sizes, method="wilson")
    return Interval(low, high)


def without_spread(values: ArrayLike) -> bool:
    """Whether values leave it unknown how far they scatter: fewer than two, or all alike.

    Counts on a small test set are often alike, which does not show that the next one would be.
    """
    rounded = np.asarray(values, dtype=float).round(PLACES)
    return len(rounded) < 2 or not np.ptp(rounded)


def mean_interval(values: ArrayLike) -> Interval:
    """Student's t interval of the mean, for one value a seed; NaN for `without_spread`.

    Mean +- t s / sqrt(n), t at .975 with n - 1 degrees of freedom.

    >>> [round(end, 3) for end in mean_interval([0.70, 0.72, 0.74])]
    [0.67, 0.77]
    """
    return _student(values, 0)


def share_interval(values: ArrayLike) -> Interval:
    """`mean_interval` of shares, cut to where a share can lie."""
    return Interval(*np.clip(mean_interval(values), 0, 1).tolist())


def prediction_interval(values: ArrayLike, level: float = 0.05) -> Interval:
    """Where one more value of the same kind lies, for one value a run; NaN for `without_spread`.

    Student's t, mean +- t s sqrt(1 + 1/n); it lies there with probability 1 - `level`. The values
    must be drawn independently and alike, such as runs that each have a seed and a random split of
    their own; then their spread already holds the luck of the test utterances.

    >>> [round(end, 3) for end in prediction_interval([0.70, 0.72, 0.74])]
    [0.621, 0.819]
    """
    return _student(values, 1, level)


def next_share(values: ArrayLike) -> Interval:
    """`prediction_interval` of shares, cut to where a share can lie."""
    return Interval(*np.clip(prediction_interval(values), 0, 1).tolist())


def chance_of_next(values: ArrayLike, least: float) -> float:
    """Probability that one more value is at least `least`, see `prediction_interval`.

    P(T > (least - mean) / (s sqrt(1 + 1/n))), T of Student's t with n - 1 degrees of freedom.

    >>> round(chance_of_next([0.70, 0.72, 0.74], 0.819), 3)
    0.025
    """
    values = np.asarray(values, dtype=float)
    scale = values.std(ddof=1) * np.sqrt(1 + 1 / len(values))
    return float(student.sf((least - values.mean()) / scale, len(values) - 1))


def _student(values: ArrayLike, scatter: float, level: float = 0.05) -> Interval:
    """Mean +- t s sqrt(`scatter` + 1/n)."""
    values = np.asarray(values, dtype=float)
    if without_spread(values):
        return UNKNOWN
    n, mean = len(values), float(values.mean())
    margin = float(
        student.ppf(1 - level / 2, n - 1) * values.std(ddof=1) * np.sqrt(scatter + 1 / n)
    )
    return Interval(mean - margin, mean + margin)


def percentile_interval(values: np.ndarray) -> Interval:
    """The middle 95 % of bootstrap values; NaN if all of them are."""
    if np.isnan(values).all():
        return UNKNOWN
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return Interval(float(low), float(high))


def interval_over_clusters(
    table: pd.DataFrame,
    cluster: str,
    statistic: Callable[[pd.DataFrame], pd.DataFrame],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Percentile bootstrap of statistics of a table that draws whole groups of its rows.

    Rows of the same value in the column `cluster`, such as the speaker, are a group. Gives lower
    and upper ends of 95 % intervals, in the shape of the statistics; NaN of but one group.
    """
    groups = [group for _, group in table.groupby(cluster)]
    if len(groups) < 2:
        unknown = statistic(table) * np.nan
        return unknown, unknown
    draws = np.random.default_rng(0).integers(len(groups), size=(CLUSTER_RESAMPLES, len(groups)))
    drawn = [statistic(pd.concat([groups[k] for k in draw])) for draw in draws]
    shape = drawn[0]
    ends = np.nanpercentile([one.to_numpy() for one in drawn], [2.5, 97.5], axis=0)
    low, high = (pd.DataFrame(end, shape.index, shape.columns) for end in ends)
    return low, high


#: What a bootstrap draws as a whole: dialogue, speaker or group of each row.
Clusters: TypeAlias = Sequence[Hashable] | pd.Index | pd.Series


def times_drawn(clusters: Clusters) -> np.ndarray:
    """How often each row is drawn by draws of whole clusters: float64 [CLUSTER_RESAMPLES, n].

    The draws are those of `interval_over_clusters`; NaN of but one cluster.
    """
    number, names = pd.factorize(pd.Index(clusters), sort=True)
    draws = np.random.default_rng(0).integers(len(names), size=(CLUSTER_RESAMPLES, len(names)))
    times = [np.bincount(draw, minlength=len(names))[number] for draw in draws]
    return np.array(times) * (1.0 if len(names) > 1 else np.nan)


def mean_over_clusters(values: ArrayLike, clusters: Clusters) -> Estimate:
    """The mean of values; its interval draws whole clusters, see `over_clusters`."""
    sums, sizes = _by_cluster(clusters, values, np.ones(len(clusters)))
    return _bootstrapped(lambda total, size: total / size, sums, sizes)


def difference_over_clusters(values: ArrayLike, chosen: ArrayLike, clusters: Clusters) -> Estimate:
    """The mean of the chosen values less that of the others; its interval draws whole clusters.

    A cluster may hold rows of both kinds. NaN if all rows are of one; such draws do not count.
    """
    one = np.asarray(chosen, dtype=float)
    parts = _by_cluster(clusters, one * np.asarray(values), one, values, np.ones(len(one)))
    return _bootstrapped(lambda a, m, b, n: a / m - (b - a) / (n - m), *parts)


def _by_cluster(clusters: Clusters, *values: ArrayLike) -> list[np.ndarray]:
    """Sums of values over the rows of each cluster: float64 [n] for each."""
    number = pd.factorize(pd.Index(clusters))[0]
    return [np.bincount(number, weights=np.asarray(one, dtype=float)) for one in values]


def _bootstrapped(of_totals: Callable[..., np.ndarray], *sums: np.ndarray) -> Estimate:
    """A statistic of totals over clusters, and its percentile bootstrap."""
    n = len(sums[0])
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(of_totals(*(one.sum() for one in sums)))
        if n < 2 or np.isnan(value):
            return Estimate(value, np.nan, np.nan)
        draws = np.random.default_rng(0).integers(n, size=(RESAMPLES, n))
        drawn = of_totals(*(one[draws].sum(axis=1) for one in sums))
    return Estimate(value, *percentile_interval(drawn))
