"""Are two models equally good? Tests of equivalence."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats
from statsmodels.stats.weightstats import ttost_paired

from replicate.stats.hypothesis_tests import LEVEL, OUTCOMES, mean_difference, over_seeds, with_holm
from replicate.stats.intervals import without_spread

#: Two models are equivalent if their accuracies differ by less; fixed before any were compared so.
REGION = 0.01


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
    if without_spread(one - other):
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
    return with_holm(pd.DataFrame(rows))


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
