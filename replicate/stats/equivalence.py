"""Are two models equally good? Tests of equivalence."""

from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from replicate.stats.hypothesis_tests import (
    LEVEL,
    each_pair,
    mean_difference,
    over_seeds,
    with_holm,
)

#: Two models are equivalent if their accuracies differ by less; fixed before any were compared so.
REGION = 0.01

#: Whether a pair differs and whether it is equivalent -> what can be said of it.
OUTCOMES = {
    (True, False): "differ",
    (False, True): "equal",
    (True, True): "differ, but little",
    (False, False): "undecided",
}


def size_tests(
    differences: ArrayLike, region: float = REGION, overlap: float = 0.0
) -> tuple[float, float]:
    """Is the mean of paired differences larger, is it smaller in size than `region`?

    The p values of two one-sided t tests, the second that of TOST; 1 without any spread. `overlap`
    as in `mean_difference`.
    """
    mean = mean_difference(differences, overlap)
    error = mean.spread * np.sqrt(1 / mean.n + overlap)
    if not error > 0:
        return 1.0, 1.0
    t = (abs(mean.difference) - region) / error
    return float(stats.t.sf(t, mean.n - 1)), float(stats.t.cdf(t, mean.n - 1))


def differ_or_equal(values: pd.DataFrame, overlap: float = 0.0) -> pd.DataFrame:
    """What the paired t test and the test of equivalence together say of each pair.

    A pair that differs by less than `REGION` with little spread may pass both. A pair that passes
    neither is undecided, which is not equal. `overlap` as in `mean_difference`.

    >>> ahead = pd.DataFrame({"a": [0.70, 0.71, 0.72], "b": [0.601, 0.609, 0.62]})
    >>> differ_or_equal(ahead)["outcome"].item()
    'differ'

    Returns:
        The columns of `over_seeds`; `equal_low`, `equal_high` (the 90 % interval, which lies within
        `REGION` just where the uncorrected p is below 0.05) and `equal_p_value`, `equal_p_holm`;
        `outcome`, one of `OUTCOMES`.
    """
    found = over_seeds(values, overlap=overlap)
    equal = with_holm(each_pair(values, partial(_equivalence, overlap=overlap)))
    found = found.join(equal.drop(columns=["first", "second"]).add_prefix("equal_"))
    both = zip(found["p_holm"] < LEVEL, found["equal_p_holm"] < LEVEL, strict=True)
    return found.assign(outcome=[OUTCOMES[bool(differ), bool(same)] for differ, same in both])


def _equivalence(first: pd.Series, second: pd.Series, overlap: float) -> dict[str, float]:
    gaps = first - second
    mean = mean_difference(gaps, overlap, level=2 * LEVEL)
    return {"low": mean.low, "high": mean.high, "p_value": size_tests(gaps, overlap=overlap)[1]}


def widest_for_equivalence(seeds: int, tests: int = 1, overlap: float = 0.0) -> float:
    """Standard deviation of paired differences up to which equal means are shown to be equal.

    A mean difference of 0 passes TOST where `REGION` / (s sqrt(1/n + overlap)) exceeds
    t_(1 - `LEVEL` / tests, n - 1), as the first of so many `tests` by Holm. NaN for one seed.

    >>> round(widest_for_equivalence(10), 4), round(widest_for_equivalence(10, tests=36), 4)
    (0.0173, 0.0078)
    """
    error = np.sqrt(1 / seeds + overlap)
    return float(REGION / error / stats.t.ppf(1 - LEVEL / tests, seeds - 1))
