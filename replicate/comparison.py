"""Is one model better than another? The test that fits how the runs were drawn.

All models are compared on what all of them ran: every function takes a table with a column for
each model and returns a row for each pair of models, the first minus the second. Some take a
reference, a column from which each other one is told apart; then those are all the pairs. Where a
table has several pairs, `p_holm` is the p value after Holm's correction for all of them.

Which test: the same test utterances call for Cochran's Q and McNemar's test; many seeds on one
split for paired tests over seeds; many random splits, whose training parts overlap, for Nadeau and
Bengio's correction; groups held out in turn for a bootstrap that draws whole groups.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats
from statsmodels.stats.contingency_tables import cochrans_q
from statsmodels.stats.power import TTestIndPower, TTestPower
from statsmodels.stats.weightstats import ttost_paired

from replicate import metrics
from replicate.metrics import Interval
from replicate.runs import Run

#: Two models are equivalent if their accuracies differ by less; fixed before any run.
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


def compare(
    runs: Sequence[Run], selection: str, clusters: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Every pair of models by the test that the runs' folds call for.

    Args:
        runs: runs of two or more models on one corpus, profile and kind of fold.
        selection: which epoch, see `replicate.runs.SELECTIONS`.
        clusters: utterance -> what the bootstrap draws as a whole, where groups were held out; by
            default the group.

    Returns:
        `over_seeds` for one random split, `over_resplits` for several, `over_clusters` for groups
        held out.
    """
    right = answers(runs, selection)
    folds = right.index.get_level_values("fold")
    if any(run.experiment.fold.kind != "stratified" for run in runs):
        drawn = right.index.get_level_values("utterance").map(dict(clusters)) if clusters else folds
        return over_clusters(right, drawn)
    if folds.nunique() == 1:
        return over_seeds(accuracies(right, "seed"))
    made = runs[0].provenance
    return over_resplits(accuracies(right, "fold"), made.n_train, made.n_test)


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


def over_seeds(values: pd.DataFrame, reference: str | None = None) -> pd.DataFrame:
    """Paired t test and Wilcoxon's signed-rank test of each pair.

    They tell what other seeds would give on the same test utterances, not what other utterances
    would.

    Args:
        values: accuracies, a row for each seed.
        reference: a column, see above; every pair by default.

    Returns:
        `first`, `second`, `n` (seeds), `difference` (mean), `low`, `high` (Student's t), `p_value`
        (t test), `rank_low`, `rank_high` (see `signed_rank_interval`), `rank_p_value` (see
        `signed_rank`), and `p_holm`, `rank_p_holm`.
    """
    rows = []
    for first, second, difference in _differences(values, reference):
        low, high = metrics.mean_interval(difference)
        rank_low, rank_high = signed_rank_interval(difference)
        rows.append(
            {
                "first": first,
                "second": second,
                "n": len(difference),
                "difference": difference.mean(),
                "low": low,
                "high": high,
                "p_value": _t_test(difference, 1 / len(difference)),
                "rank_low": rank_low,
                "rank_high": rank_high,
                "rank_p_value": signed_rank(difference),
            }
        )
    return _with_holm(_with_holm(pd.DataFrame(rows)), "rank_")


def signed_rank_interval(differences: ArrayLike) -> Interval:
    """The shifts that Wilcoxon's signed-rank test does not reject (Hollander & Wolfe, Section 3.3).

    The ends are ordered means of two differences (Walsh averages), so that coverage is at least
    95 % for any symmetric distribution; NaN below six differences, where no test can reject.
    """
    values = np.asarray(differences, dtype=float)
    at_most = _signed_rank_distribution(np.arange(1, len(values) + 1))
    below = int(np.searchsorted(at_most, LEVEL / 2, side="right"))
    if not below:
        return Interval(np.nan, np.nan)
    walsh = np.sort(((values[:, None] + values) / 2)[np.triu_indices(len(values))])
    return Interval(float(walsh[below - 1]), float(walsh[-below]))


def signed_rank(differences: ArrayLike) -> float:
    """Two-sided p value of Wilcoxon's signed-rank test, exact with ties; zeros are dropped.

    Accuracies on one test set are counts of it, so that differences often tie, and SciPy's exact
    distribution knows no ties.
    """
    values = np.asarray(differences, dtype=float)
    values = values[values != 0]
    ranks = (2 * stats.rankdata(np.abs(values))).astype(int)  # twice, as ties have half ranks
    positive = int(ranks[values > 0].sum())
    fewer = min(positive, ranks.sum() - positive)
    return float(min(1.0, 2 * _signed_rank_distribution(ranks)[fewer]))


def _signed_rank_distribution(ranks: np.ndarray) -> np.ndarray:
    """P(sum of the positive ranks <= 0, 1, 2 ...) where every sign is a fair coin's."""
    ways = np.ones(1)
    for rank in ranks:  # the product of the polynomials (1 + x^rank) / 2
        ways = (np.pad(ways, (0, rank)) + np.pad(ways, (rank, 0))) / 2
    distribution: np.ndarray = ways.cumsum()
    return distribution


def over_resplits(values: pd.DataFrame, n_train: int, n_test: int) -> pd.DataFrame:
    """Corrected resampled t test of each pair (Nadeau & Bengio 2003).

    The training parts of random splits overlap, so differences on them are correlated; the plain t
    test takes their spread for too much evidence. Here the variance of the mean of J differences
    is s^2 (1/J + n_test/n_train).

    Args:
        values: accuracies, a row for each split.
        n_train: utterances of each training part.
        n_test: utterances of each test part.

    Returns:
        `first`, `second`, `n` (splits), `difference`, `low`, `high`, `p_value`, `p_holm`.
    """
    share = 1 / len(values) + n_test / n_train
    rows = []
    for first, second, difference in _differences(values):
        margin = stats.t.ppf(1 - LEVEL / 2, len(values) - 1) * _error(difference, share)
        rows.append(
            {
                "first": first,
                "second": second,
                "n": len(values),
                "difference": difference.mean(),
                "low": difference.mean() - margin,
                "high": difference.mean() + margin,
                "p_value": _t_test(difference, share),
            }
        )
    return _with_holm(pd.DataFrame(rows))


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
    """Whether two models are equally good, from paired accuracies that are not all alike."""
    one, other = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    p_value = ttost_paired(one, other, -region, region)[0]
    low, high = stats.ttest_rel(one, other).confidence_interval(1 - 2 * LEVEL)
    return Equivalence(float(np.mean(one - other)), float(low), float(high), region, float(p_value))


def detectable(spreads: Sequence[float], seeds: Sequence[int]) -> pd.DataFrame:
    """The true difference that a paired t test finds with probability `POWER`, two-sided at .05.

    Args:
        spreads: standard deviations of the paired differences.
        seeds: numbers of pairs.

    Returns:
        A row for each spread, a column for each number of seeds.
    """
    effects = [TTestPower().solve_power(nobs=n, alpha=LEVEL, power=POWER) for n in seeds]
    return pd.DataFrame(
        np.outer(spreads, effects),
        pd.Index(spreads, name="sd of differences"),
        pd.Index(seeds, name="seeds"),
    )


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
    # rounded: equal differences of shares must be equal numbers, for ranks know ties
    return [
        (a, b, (values[a] - values[b]).to_numpy().round(12)) for a, b in _pairs(values, reference)
    ]


def _error(differences: np.ndarray, share: float) -> float:
    """Standard error of the mean of differences, whose variance is this share of theirs."""
    return float(differences.std(ddof=1) * np.sqrt(share))


def _t_test(differences: np.ndarray, share: float) -> float:
    """Two-sided p value; 1 where there is no difference at all."""
    if not differences.any():
        return 1.0
    with np.errstate(divide="ignore"):
        t = np.divide(abs(differences.mean()), _error(differences, share))
    return float(2 * stats.t.sf(t, len(differences) - 1))


def _with_holm(rows: pd.DataFrame, prefix: str = "") -> pd.DataFrame:
    """Add Holm's correction of the column `p_value`."""
    return rows.assign(**{f"{prefix}p_holm": holm(rows[f"{prefix}p_value"])})


def holm(p_values: ArrayLike) -> np.ndarray:
    """Holm's correction (1979), as `multipletests` of statsmodels computes it.

    That collects all garbage at every call, which on a page takes longer than the tests.
    """
    values = np.asarray(p_values, dtype=float)
    order = np.argsort(values)
    corrected = np.empty(len(values))
    factors = np.arange(len(values), 0, -1)
    corrected[order] = np.maximum.accumulate(values[order] * factors).clip(max=1.0)
    return corrected
