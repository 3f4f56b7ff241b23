"""Is one model better than another? The test that fits how the runs were drawn.

All models are compared on what all of them ran: every function takes a table with a column for
each model and returns a row for each pair of models, the first minus the second. Some take a
reference, a column from which each other one is told apart; then those are all the pairs. Where a
table has several pairs, `p_holm` is the p value after Holm's correction for all of them.

Which test: the same test utterances call for Cochran's Q and McNemar's test; many seeds on one
split for paired tests over seeds; many random splits, whose training parts overlap, for Nadeau and
Bengio's correction; groups held out in turn for a bootstrap that draws whole groups.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats
from scipy.optimize import brentq
from statsmodels.stats.contingency_tables import cochrans_q
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestIndPower, TTestPower
from statsmodels.stats.weightstats import ttost_paired

from replicate import metrics
from replicate.metrics import Interval
from replicate.runs import Run

#: Two models are equivalent if their accuracies differ by less; fixed before any were compared so.
REGION = 0.01

#: Chance of finding a difference that is there, for `detectable`.
POWER = 0.8

LEVEL = 0.05

#: What a bootstrap draws as a whole: dialogue, speaker or group of each row.
Clusters: TypeAlias = Sequence[Hashable] | pd.Index | pd.Series


class Estimate(NamedTuple):
    """A mean or a difference with its 95 % interval; NaN where there is too little to tell."""

    value: float
    low: float
    high: float


def answers(runs: Sequence[Run], selection: str) -> pd.DataFrame:
    """Which answers are right, on the test utterances that all models answered.

    Returns:
        Index `fold`, `seed`, `utterance`; a bool column for each `model-embedding`, in the runs'
        order.

    Raises:
        ValueError: if two runs are of the same model, fold and seed.
    """
    table = metrics.pooled(runs, selection)
    right = table.assign(
        name=table["model"] + "-" + table["embedding"],
        right=(table["predicted"] == table["emotion"]).astype(float),
    )
    wide = right.pivot(index=["fold", "seed", "utterance"], columns="name", values="right")
    return wide[right["name"].unique()].dropna().astype(bool)


def accuracies(right: pd.DataFrame, by: str) -> pd.DataFrame:
    """Accuracy of each model by `seed` or by `fold`, from `answers`."""
    return right.groupby(level=by).mean()


@dataclass(frozen=True)
class Omnibus:
    """Cochran's Q: are several models equally good on the same utterances?

    Attributes:
        n: utterances.
        statistic: Q, chi-square with one degree of freedom less than there are models.
        degrees: of freedom.
        p_value: NaN if the models are right on the same utterances.
    """

    n: int
    statistic: float
    degrees: int
    p_value: float


def cochran(right: pd.DataFrame) -> Omnibus:
    """Cochran's Q test of several models on one test set."""
    with np.errstate(invalid="ignore"):
        found = cochrans_q(right.to_numpy(dtype=int))
    degrees = right.shape[1] - 1
    return Omnibus(len(right), float(found.statistic), degrees, float(found.pvalue))


def over_utterances(right: pd.DataFrame, reference: str | None = None) -> pd.DataFrame:
    """McNemar's exact test of each pair on one test set, to follow a significant `cochran`.

    Args:
        right: a bool column for each model.
        reference: a column, see above; every pair by default.

    Returns:
        `first`, `second`, the fields of `metrics.Paired`, `p_holm`.
    """
    always = np.ones(len(right), dtype=bool)
    rows = [
        {"first": a, "second": b, **vars(metrics.mcnemar(always, right[a], right[b]))}
        for a, b in _pairs(right, reference)
    ]
    return _with_holm(pd.DataFrame(rows))


def each_training(right: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`cochran` and `over_utterances` for the models of each fold and seed by themselves.

    Several answers to one utterance are no independent trials, so seeds may not be pooled here.

    Returns:
        By `fold` and `seed`: the fields of `Omnibus`, `p_holm` (Holm's correction for all of these
        rows), and `apart`, the number of pairs that `over_utterances` tells apart.
        By `fold` and `seed`, a row for each pair: the columns of `over_utterances`, whose
        correction is for the pairs of one training.
    """
    parts = dict(iter(right.groupby(level=["fold", "seed"])))
    found = {key: over_utterances(part) for key, part in parts.items()}
    pairs = pd.concat(found, names=["fold", "seed"]).droplevel(-1)
    index = pd.MultiIndex.from_tuples(parts, names=["fold", "seed"])
    tests = pd.DataFrame([vars(cochran(part)) for part in parts.values()], index)
    apart = (pairs["p_holm"] < LEVEL).groupby(level=["fold", "seed"]).sum()
    return _with_holm(tests).assign(apart=apart), pairs


@dataclass(frozen=True)
class Mean:
    """The mean of paired differences.

    Attributes:
        n: how many.
        difference: their mean.
        spread: their standard deviation, NaN for a single one.
        low: the 95 % interval of the mean, NaN without any spread.
        high: the upper end.
        p_value: of the t test, two-sided; 1 without any spread, which is no evidence: a few
            differences of counts on a small test set are often alike.
    """

    n: int
    difference: float
    spread: float
    low: float
    high: float
    p_value: float


def mean_difference(differences: ArrayLike, overlap: float = 0.0) -> Mean:
    """Paired t test and interval, with Nadeau and Bengio's correction (2003) for random splits.

    The training parts of random splits overlap, so differences on them are correlated; the plain t
    test takes their spread for too much evidence. The variance of the mean of J differences is
    s^2 (1/J + n_test/n_train).

    Args:
        differences: one for each seed or split.
        overlap: n_test / n_train of random splits; 0 where all differences come from one split.
    """
    values = np.asarray(differences, dtype=float).round(metrics.PLACES)
    n, mean = len(values), float(values.mean())
    if metrics.without_spread(values):
        return Mean(n, mean, 0.0 if n > 1 else np.nan, np.nan, np.nan, 1.0)
    spread = float(values.std(ddof=1))
    error = float(spread * np.sqrt(1 / n + overlap))
    low, high = stats.t.interval(1 - LEVEL, n - 1, mean, error)
    p_value = 2 * stats.t.sf(abs(mean) / error, n - 1)
    return Mean(n, mean, spread, float(low), float(high), float(p_value))


def size_tests(differences: ArrayLike, region: float, overlap: float = 0.0) -> tuple[float, float]:
    """Is the mean of paired differences larger, is it smaller in size than a region around zero?

    Args:
        differences: one for each seed or split.
        region: half the region's width.
        overlap: see `mean_difference`.

    Returns:
        The p values of the two one-sided t tests, the second being that of TOST; 1 without any
        spread.
    """
    mean = mean_difference(differences, overlap)
    error = mean.spread * np.sqrt(1 / mean.n + overlap)
    if not error > 0:
        return 1.0, 1.0
    t = (abs(mean.difference) - region) / error
    return float(stats.t.sf(t, mean.n - 1)), float(stats.t.cdf(t, mean.n - 1))


def over_seeds(values: pd.DataFrame, reference: str | None = None) -> pd.DataFrame:
    """Paired t test and Wilcoxon's signed-rank test of each pair.

    They tell what other seeds would give on the same test utterances, not what other utterances
    would.

    Args:
        values: accuracies, a row for each seed.
        reference: a column, see above; every pair by default.

    Returns:
        `first`, `second`, the fields of `Mean`, `rank_low`, `rank_high` (see
        `signed_rank_interval`), `rank_p_value` (signed-rank test), `p_holm`, `rank_p_holm`.
    """
    rows = []
    for first, second, difference in _differences(values, reference):
        rank_low, rank_high = signed_rank_interval(difference)
        rows.append(
            {
                "first": first,
                "second": second,
                **vars(mean_difference(difference)),
                "rank_low": rank_low,
                "rank_high": rank_high,
                "rank_p_value": _signed_rank(difference),
            }
        )
    return _with_holm(_with_holm(pd.DataFrame(rows)), "rank_")


def signed_rank_interval(differences: ArrayLike) -> Interval:
    """The shifts that Wilcoxon's signed-rank test does not reject (Hollander & Wolfe, Section 3.3).

    The ends are ordered means of two differences (Walsh averages), so that coverage is at least
    95 % for any symmetric distribution; NaN below six differences, where no test can reject.
    """
    values = np.asarray(differences, dtype=float)
    below = int(np.searchsorted(_signed_rank_distribution(len(values)), LEVEL / 2, side="right"))
    if not below:
        return Interval(np.nan, np.nan)
    walsh = np.sort(((values[:, None] + values) / 2)[np.triu_indices(len(values))])
    return Interval(float(walsh[below - 1]), float(walsh[-below]))


def _signed_rank_distribution(n: int) -> np.ndarray:
    """P(sum of the positive ranks <= 0, 1, 2 ...) of n values where every sign is a fair coin's."""
    ways = np.ones(1)
    for rank in range(1, n + 1):  # the product of the polynomials (1 + x^rank) / 2
        ways = (np.pad(ways, (0, rank)) + np.pad(ways, (rank, 0))) / 2
    distribution: np.ndarray = ways.cumsum()
    return distribution


def _signed_rank(differences: np.ndarray) -> float:
    """Two-sided p value of Wilcoxon's signed-rank test; zeros are dropped.

    Accuracies on one test set are counts of it, so that differences often tie. SciPy's test is
    exact with ties up to 13 differences, more than any profile has seeds.
    """
    with np.errstate(invalid="ignore"):  # SciPy divides by the spread of the ranks of no values
        return float(stats.wilcoxon(differences).pvalue)


def fewest_seeds(pairs: int) -> int:
    """Seeds from which the signed-rank test can reject at all, after Holm's correction.

    Its least p value is that of n differences of one sign, 2 / 2^n.

    Args:
        pairs: how many are tested together.
    """
    return int(np.ceil(np.log2(2 * pairs / LEVEL)))


def over_resplits(values: pd.DataFrame, n_train: int, n_test: int) -> pd.DataFrame:
    """Corrected resampled t test of each pair, see `mean_difference`.

    Args:
        values: accuracies, a row for each split.
        n_train: utterances of each training part.
        n_test: utterances of each test part.

    Returns:
        `first`, `second`, the fields of `Mean`, `p_holm`.
    """
    rows = [
        {"first": a, "second": b, **vars(mean_difference(difference, n_test / n_train))}
        for a, b, difference in _differences(values)
    ]
    return _with_holm(pd.DataFrame(rows))


def between(first: ArrayLike, second: ArrayLike, overlap: float = 0.0) -> Estimate:
    """The mean of one group of runs less that of another, which are not paired: Welch's interval.

    Args:
        first: one value a run.
        second: likewise.
        overlap: as of `mean_difference`, if each run of a group has a random split of its own.
    """
    groups = [np.asarray(values, dtype=float) for values in (first, second)]
    gap = float(groups[0].mean() - groups[1].mean())
    if any(metrics.without_spread(values) for values in groups):
        return Estimate(gap, np.nan, np.nan)
    parts = np.array([values.var(ddof=1) * (1 / len(values) + overlap) for values in groups])
    weights = np.array([len(values) - 1 for values in groups])
    degrees = parts.sum() ** 2 / (parts**2 / weights).sum()
    margin = float(stats.t.ppf(1 - LEVEL / 2, degrees) * np.sqrt(parts.sum()))
    return Estimate(gap, gap - margin, gap + margin)


def over_clusters(
    right: pd.DataFrame, clusters: Clusters, reference: str | None = None
) -> pd.DataFrame:
    """Percentile bootstrap of the difference in accuracy that draws whole clusters.

    Utterances of one dialogue or speaker resemble each other; an interval over single utterances
    would be too narrow. So is this one where there are only a few clusters, as with five sessions.

    Args:
        right: from `answers`.
        clusters: of each row.
        reference: a column, see above; every pair by default.

    Returns:
        `first`, `second`, `n` (clusters), `difference`, `low`, `high`.
    """
    n = pd.Index(clusters).nunique()
    rows = []
    for first, second in _pairs(right, reference):
        gains = right[first].to_numpy(dtype=float) - right[second].to_numpy(dtype=float)
        gain, low, high = mean_over_clusters(gains, clusters)
        rows.append(
            {
                "first": first,
                "second": second,
                "n": n,
                "difference": gain,
                "low": low,
                "high": high,
            }
        )
    return pd.DataFrame(rows)


def mean_over_clusters(values: ArrayLike, clusters: Clusters) -> Estimate:
    """The mean of values; its interval draws whole clusters, see `over_clusters`."""
    sums, sizes = _by_cluster(clusters, values, np.ones(len(clusters)))
    return _bootstrapped(lambda total, size: total / size, sums, sizes)


def difference_over_clusters(values: ArrayLike, chosen: ArrayLike, clusters: Clusters) -> Estimate:
    """The mean of the chosen values less that of the others; its interval draws whole clusters.

    Args:
        values: of each row.
        chosen: bool, of each row. A cluster may hold rows of both kinds.
        clusters: of each row.

    Returns:
        NaN if all rows are of one kind; draws in which they are do not count.
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
        draws = np.random.default_rng(0).integers(n, size=(metrics.RESAMPLES, n))
        drawn = of_totals(*(one[draws].sum(axis=1) for one in sums))
    return Estimate(value, *metrics.percentile_interval(drawn))


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided t tests (TOST): is a paired difference inside a region around zero?

    Attributes:
        difference: mean.
        low: of its 90 % interval, which lies within the region just where `p_value` < 0.05.
        high: the upper end.
        region: half its width.
        p_value: the larger of the two tests'.
    """

    difference: float
    low: float
    high: float
    region: float
    p_value: float

    @property
    def shown(self) -> bool:
        """Whether equivalence is shown; where it is not, a difference need not be."""
        return self.p_value < LEVEL


def equivalence(first: ArrayLike, second: ArrayLike, region: float = REGION) -> Equivalence:
    """Whether two models are equally good, from paired accuracies.

    Without any spread of the differences there is no test: the interval is NaN, the p value 1.
    """
    one, other = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if metrics.without_spread(one - other):
        return Equivalence(float(np.mean(one - other)), np.nan, np.nan, region, 1.0)
    p_value = ttost_paired(one, other, -region, region)[0]
    low, high = stats.ttest_rel(one, other).confidence_interval(1 - 2 * LEVEL)
    return Equivalence(float(np.mean(one - other)), float(low), float(high), region, float(p_value))


def equivalences(values: pd.DataFrame) -> pd.DataFrame:
    """`equivalence` of each pair.

    Args:
        values: accuracies, a row for each seed.

    Returns:
        `first`, `second`, the fields of `Equivalence`, `p_holm`.
    """
    rows = [
        {"first": a, "second": b, **vars(equivalence(values[a], values[b]))}
        for a, b in combinations(values, 2)
    ]
    return _with_holm(pd.DataFrame(rows))


#: Whether a pair differs and whether it is equivalent -> what can be said of it.
OUTCOMES = {
    (True, False): "differ",
    (False, True): "equal",
    (True, True): "differ, but little",
    (False, False): "undecided",
}


def differ_or_equal(values: pd.DataFrame) -> pd.DataFrame:
    """What the paired t test and the test of equivalence together say of each pair.

    A pair that differs by less than `REGION` with little spread may pass both. A pair that passes
    neither is undecided, which is not equal.

    >>> ahead = pd.DataFrame({"a": [0.70, 0.71, 0.72], "b": [0.601, 0.609, 0.62]})
    >>> differ_or_equal(ahead)["outcome"].item()
    'differ'

    Args:
        values: accuracies, a row for each seed.

    Returns:
        The columns of `over_seeds`; `equal_low`, `equal_high` (the 90 % interval) and
        `equal_p_holm` of `equivalences`; `outcome`, one of `OUTCOMES`.
    """
    found = over_seeds(values)
    equal = equivalences(values)[["low", "high", "p_holm"]]
    found = found.join(equal.add_prefix("equal_"))
    both = zip(found["p_holm"] < LEVEL, found["equal_p_holm"] < LEVEL, strict=True)
    return found.assign(outcome=[OUTCOMES[bool(differ), bool(same)] for differ, same in both])


def widest_for_equivalence(seeds: int, tests: int = 1) -> float:
    """Spread of paired differences up to which equal means are shown to be equal.

    A mean difference of 0 passes TOST where `REGION` sqrt(n) / s > t_(1 - `LEVEL` / tests, n - 1).

    >>> round(widest_for_equivalence(10), 4), round(widest_for_equivalence(10, tests=36), 4)
    (0.0173, 0.0078)

    Args:
        seeds: how many differences.
        tests: how many are made, of which this is the first by Holm's correction.

    Returns:
        The standard deviation of the differences; NaN for one seed.
    """
    return float(REGION * np.sqrt(seeds) / stats.t.ppf(1 - LEVEL / tests, seeds - 1))


def chance_spread(n: int, disagreement: float = 0.1) -> float:
    """Standard deviation of the difference of two accuracies if only chance decides.

    One of the two models alone is right on a share d of n utterances, and that may be either:
    sqrt(d / n).

    >>> round(chance_spread(555), 4)
    0.0134

    Args:
        n: test utterances.
        disagreement: d.
    """
    return float(np.sqrt(disagreement / n))


def detectable(
    spreads: Sequence[float], seeds: Sequence[int], level: float = LEVEL
) -> pd.DataFrame:
    """The true difference that a paired t test finds, in its direction, with probability `POWER`.

    Args:
        spreads: standard deviations of the paired differences.
        seeds: numbers of pairs.
        level: of the test, two-sided.

    Returns:
        A row for each spread, a column for each number of seeds.
    """
    # statsmodels' own two-sided solution does not converge for few seeds and a low level
    test = {"alpha": level / 2, "alternative": "larger", "power": POWER}
    effects = [TTestPower().solve_power(nobs=n, **test) for n in seeds]
    return pd.DataFrame(
        np.outer(spreads, effects),
        pd.Index(spreads, name="sd of differences"),
        pd.Index(seeds, name="seeds"),
    )


def mcnemar_power(n: int, disagreement: float, difference: float, level: float = LEVEL) -> float:
    """Probability that McNemar's exact test finds a true difference, in its direction.

    Args:
        n: test utterances.
        disagreement: share of utterances on which one of the two models alone is right.
        difference: of their accuracies, from 0 to `disagreement`.
        level: of the test, two-sided.
    """
    differ = np.arange(n + 1)
    most = stats.binom.ppf(level / 2, differ, 0.5) - 1  # that the worse model alone may get right
    found = stats.binom.cdf(most, differ, (1 - difference / disagreement) / 2)
    return float(stats.binom.pmf(differ, n, disagreement) @ found)


def resolvable(n: int, disagreement: float, level: float = LEVEL) -> float:
    """The true difference that McNemar's exact test finds with probability `POWER`.

    Args:
        n: test utterances.
        disagreement: share of utterances on which one of the two models alone is right.
        level: of the test, two-sided.

    Returns:
        The difference of the accuracies; NaN where not even the largest possible is found.
    """

    def lacking(difference: float) -> float:
        return mcnemar_power(n, disagreement, difference, level) - POWER

    return float(brentq(lacking, 0, disagreement)) if lacking(disagreement) > 0 else np.nan


def detectable_between(n_first: int, n_second: int, spread: float) -> float:
    """The true difference between two groups that a t test finds with probability `POWER`.

    Args:
        n_first: size of one group; it may be 1, as of a single printed run.
        n_second: size of the other.
        spread: standard deviation within each.
    """
    test = TTestIndPower()
    effect = test.solve_power(nobs1=n_first, ratio=n_second / n_first, alpha=LEVEL, power=POWER)
    return float(effect * spread)


def _pairs(columns: Iterable[Hashable], reference: Hashable) -> list[tuple[Hashable, Hashable]]:
    """Every pair, or each other column and the reference."""
    if reference is None:
        return list(combinations(columns, 2))
    return [(column, reference) for column in columns if column != reference]


def _differences(
    values: pd.DataFrame, reference: str | None = None
) -> list[tuple[Hashable, Hashable, np.ndarray]]:
    """Each pair of columns and the differences of their rows: float64 [n]."""
    if len(values) < 2:
        raise ValueError(f"{len(values)} paired values; at least two are needed")
    return [
        (a, b, (values[a] - values[b]).to_numpy().round(metrics.PLACES))
        for a, b in _pairs(values, reference)
    ]


def _with_holm(rows: pd.DataFrame, prefix: str = "") -> pd.DataFrame:
    """Add Holm's correction of the column `p_value`."""
    return rows.assign(**{f"{prefix}p_holm": holm(rows[f"{prefix}p_value"])})


def holm(p_values: ArrayLike) -> np.ndarray:
    """Holm's correction (1979)."""
    corrected: np.ndarray = multipletests(p_values, method="holm")[1]
    return corrected
