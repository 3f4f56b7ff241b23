"""What differences could be seen at all, what chance alone does, and what a search is worth."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.signal import lfilter
from scipy.stats import binom
from statsmodels.stats.power import TTestIndPower, TTestPower

from replicate.files import InputError
from replicate.paper import TESTED
from replicate.stats.hypothesis_tests import LEVEL

#: Chance of finding a difference that is there, for `detectable`.
POWER = 0.8


def detectable(
    spreads: Sequence[float], seeds: Sequence[int], level: float = LEVEL, overlap: float = 0.0
) -> pd.DataFrame:
    """The true difference that a paired t test finds, in its direction, with probability `POWER`.

    `overlap` is n_test / n_train where each seed has a random split, as in `mean_difference`. A row
    for each standard deviation of the paired differences, a column for each number of seeds.
    """
    # statsmodels' own two-sided solution does not converge for few seeds and a low level
    test = {"alpha": level / 2, "alternative": "larger", "power": POWER}
    effects = [TTestPower().solve_power(nobs=n, **test) * np.sqrt(1 + n * overlap) for n in seeds]
    return pd.DataFrame(
        np.outer(spreads, effects),
        pd.Index(spreads, name="sd of differences"),
        pd.Index(seeds, name="seeds"),
    )


def mcnemar_power(n: int, disagreement: float, difference: float, level: float = LEVEL) -> float:
    """Probability that McNemar's exact test finds a true difference, in its direction.

    Of n test utterances, `disagreement` is the share on which one of the two models alone is right;
    the difference of their accuracies is from 0 to that. The level is two-sided.
    """
    differ = np.arange(n + 1)
    most = binom.ppf(level / 2, differ, 0.5) - 1  # that the worse model alone may get right
    found = binom.cdf(most, differ, (1 - difference / disagreement) / 2)
    return float(binom.pmf(differ, n, disagreement) @ found)


def resolvable(n: int, disagreement: float, level: float = LEVEL) -> float:
    """The true difference that McNemar's exact test finds with probability `POWER`.

    See `mcnemar_power`; NaN where not even the largest possible difference is found.
    """

    def lacking(difference: float) -> float:
        return mcnemar_power(n, disagreement, difference, level) - POWER

    return float(brentq(lacking, 0, disagreement)) if lacking(disagreement) > 0 else np.nan


def detectable_between(n_first: int, n_second: int, spread: float) -> float:
    """The true difference between two groups that a t test finds with probability `POWER`.

    One may be a single printed run; `spread` is the standard deviation within each.
    """
    test = TTestIndPower()
    effect = test.solve_power(nobs1=n_first, ratio=n_second / n_first, alpha=LEVEL, power=POWER)
    return float(effect * spread)


#: Simulated papers: probabilities to about 0.01.
TRIALS = 4000


def disagreement_ceiling(net: int, n: int = TESTED) -> int:
    """The most utterances on which two models may differ for a net difference to be significant.

    One is ahead by `net` of `n` utterances. They differ on one if either alone is right; the test
    is McNemar's, exact and two-sided: if they differ on d, the worse one alone is right on
    (d - net) / 2, and p = 2 P(X <= (d - net) / 2) with X binomial (d, 1/2). It grows with d. Given
    is the largest d with p < 0.05; 0 if not even d = net, the fewest possible, is significant.

    >>> disagreement_ceiling(5), disagreement_ceiling(6), disagreement_ceiling(17)
    (0, 6, 67)
    """
    differ = np.arange(abs(net), n + 1, 2)
    p_value = 2 * binom.cdf((differ - abs(net)) // 2, differ, 0.5)
    return int(differ[p_value < LEVEL].max(initial=0))


def unrelated(first: float, second: float) -> float:
    """Share of utterances on which models of these accuracies differ if their errors are unrelated.

    a (1 - b) + b (1 - a). Real models differ on fewer: what is hard for one is hard for another.

    >>> unrelated(0.5, 0.9)
    0.5
    """
    return first * (1 - second) + second * (1 - first)


def equal_models(
    accuracy: float, disagreement: float, n_models: int, n: int = TESTED
) -> np.ndarray:
    """Utterances, of n, that equally good models get right, by chance: int64 [TRIALS, n_models].

    Each utterance has a chance q to be answered right, drawn from a beta distribution; given q the
    models answer independently. Their accuracy is E[q], and any two of them differ on a share, the
    `disagreement` D = 2 E[q (1 - q)], which fixes the beta distribution's strength:
    a + b = D / (2 E[q] (1 - E[q]) - D). `InputError` if no beta distribution gives such a D.

    >>> right = equal_models(0.69, 0.18, n_models=7)
    >>> right.shape, round(float(right.mean()) / TESTED, 2)
    ((4000, 7), 0.69)
    """
    most = unrelated(accuracy, accuracy)
    if not 0 < disagreement < most:
        raise InputError(
            "disagreement", f"{disagreement} is impossible", f"choose between 0 and {most:.3f}"
        )
    strength = disagreement / (most - disagreement)  # of the beta distribution, a + b
    rng = np.random.default_rng(0)
    q = rng.beta(accuracy * strength, (1 - accuracy) * strength, (TRIALS, n))
    answers = [(rng.random((TRIALS, n)) < q).sum(axis=1) for _ in range(n_models)]
    return np.stack(answers, axis=1)


def best_of_epochs(autocorrelation: float, n_epochs: int) -> float:
    """How far the best of many epochs lies above their mean, in standard deviations of an epoch.

    Accuracies fluctuate about a constant as a stationary Gaussian AR(1) process: with z the
    deviation in standard deviations, z[t] = phi z[t - 1] + sqrt(1 - phi^2) e[t]; phi, the
    autocorrelation of neighbouring epochs, is 0 to below 1.

    >>> round(best_of_epochs(0.0, 150), 1), round(best_of_epochs(0.7, 150), 1)
    (2.7, 2.5)
    """
    rng = np.random.default_rng(0)
    first, noise = rng.normal(size=(TRIALS, 1)), rng.normal(size=(TRIALS, n_epochs))
    scale = np.sqrt(1 - autocorrelation**2)
    epochs, _ = lfilter([scale], [1, -autocorrelation], noise, zi=autocorrelation * first)
    return float(epochs.max(axis=1).mean())


def searched(accuracies: pd.DataFrame, ours: str) -> pd.DataFrame:
    """The accuracy of one run on each split (row), by how its setting (column) was chosen.

    `fixed` is `ours`, the setting that was fixed before any run; `on the test set` the best of all
    settings there; `on the other splits` the one that is best in the mean over the other rows.

    >>> table = pd.DataFrame({"a": [0.6, 0.6, 0.6], "b": [0.7, 0.7, 0.4]})
    >>> searched(table, "a").mean().round(3).to_dict()
    {'fixed': 0.6, 'on the test set': 0.667, 'on the other splits': 0.533}
    """
    others = (accuracies.sum() - accuracies) / (len(accuracies) - 1)  # without the row itself
    chosen = others.idxmax(axis="columns")
    honest = [accuracies.at[split, setting] for split, setting in chosen.items()]
    return pd.DataFrame(
        {
            "fixed": accuracies[ours],
            "on the test set": accuracies.max(axis="columns"),
            "on the other splits": pd.Series(honest, accuracies.index),
        }
    )
