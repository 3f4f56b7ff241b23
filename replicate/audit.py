"""What the paper's printed numbers imply by themselves: no corpus, no training.

Sums on Tables 4-8, on the class sizes, and on what chance alone does to numbers of that kind.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from itertools import pairwise
from math import ceil, floor

import numpy as np
import pandas as pd
import torch
from scipy.signal import lfilter
from scipy.stats import binom, hypergeom, multivariate_hypergeom
from sklearn.model_selection import StratifiedKFold, train_test_split
from torch import Tensor

from replicate import metrics
from replicate.comparison import LEVEL
from replicate.corpora.standin.casting import EXCITED, HAPPY
from replicate.corpora.standin.channels import COUNTS as SIZES
from replicate.errors import InputError
from replicate.judging import printed_confusion
from replicate.model import FUSIONS, Attention
from replicate.paper import CLAIMS, COUNTS, OWN, TABLE_8, criteria
from replicate.protocol import EMOTIONS, TEST_SHARE

#: Utterances of the test set.
TESTED = int(COUNTS["test"])

#: Simulated papers: probabilities to about 0.01.
TRIALS = 4000

#: Occurrences up to which a word's fraction is looked for.
MOST = 200

#: Untrained modules of each kind, and random utterances for each.
MODELS, UTTERANCES = 10, 200

#: The fusions with attention, in the order of Table 4.
ATTENTION = {name: kind for name, kind in FUSIONS.items() if issubclass(kind, Attention)}


# --- Table 7 ---


def rates(counts: pd.DataFrame) -> pd.DataFrame:
    """Four rates of each class (rows) that a confusion matrix gives; columns by their usual names.

    `accuracy` is that of the question "this class or another?".
    """
    right, n = np.diag(counts), counts.to_numpy().sum()
    true, called = counts.sum(axis="columns"), counts.sum(axis="index")
    return pd.DataFrame(
        {
            "recall": metrics.recall(counts),
            "precision": metrics.precision(counts),
            "F1": 2 * right / (true + called),
            "accuracy": 1 - (true + called - 2 * right) / n,
        }
    )


def measures(counts: pd.DataFrame) -> pd.DataFrame:
    """Measures of a confusion matrix: columns `value`, `low`, `high`.

    The interval of the accuracy is Wilson's, the others are bootstraps over utterances.
    """
    matrix = counts.to_numpy()
    draws = metrics.bootstrap_confusions(*metrics.labels(counts))
    found = {"accuracy": metrics.wilson(np.trace(matrix), matrix.sum())}
    kinds = {"UAR": metrics.uars, "macro-F1": metrics.macro_f1s, "kappa": metrics.kappas}
    found |= {name: metrics.percentile_interval(of(draws)) for name, of in kinds.items()}
    values = [float(of(matrix)) for of in (metrics.accuracies, *kinds.values())]
    frame = pd.DataFrame.from_dict(found, orient="index", columns=["low", "high"])
    frame.insert(0, "value", values)
    return frame.astype(float)


# --- what the test set can resolve ---


def printed_right() -> pd.Series:
    """Utterances that each model of Tables 4 and 5 gets right: index `model-embedding`, int64."""
    names = [f"{row.model}-{row.embedding}" for row in OWN]
    return pd.Series([round(row.accuracy * TESTED) for row in OWN], names, name="right")


def disagreement_ceiling(net: int, n: int = TESTED) -> int:
    """The most utterances on which two models may differ for a net difference to be significant.

    They differ on an utterance if one of them alone is right; the test is McNemar's, exact and
    two-sided. The more they differ elsewhere, the less the same net difference says.

    Args:
        net: by how many utterances one is ahead.
        n: utterances of the test set.

    Returns:
        The number; 0 if not even `net` utterances, the fewest possible, make it significant.
    """
    differ = np.arange(abs(net), n + 1, 2)
    p_value = 2 * binom.cdf((differ - abs(net)) // 2, differ, 0.5)
    return int(differ[p_value < LEVEL].max(initial=0))


def smallest_net(share: float, n: int) -> float:
    """The smallest difference of accuracies that McNemar's exact test finds; NaN if there is none.

    Args:
        share: of the answers that turn from right to wrong or back.
        n: utterances.

    >>> round(smallest_net(0.1, 61) * 61)
    6
    """
    turned = round(share * n)
    found = (k for k in range(1, turned + 1) if disagreement_ceiling(k, n) >= turned)
    return next(found, np.nan) / n


def ceilings(right: pd.Series, n: int = TESTED) -> pd.DataFrame:
    """`disagreement_ceiling` of every pair as a share of the test set, NaN on the diagonal."""
    pairs = [[disagreement_ceiling(a - b, n) / n for b in right] for a in right]
    frame = pd.DataFrame(pairs, right.index, right.index)
    return frame.mask(np.eye(len(right), dtype=bool))


def unrelated(first: float, second: float) -> float:
    """Share of utterances on which models of these accuracies differ if their errors are unrelated.

    Real models differ on fewer, since what is hard for one is hard for the other.
    """
    return first * (1 - second) + second * (1 - first)


def comparisons() -> pd.DataFrame:
    """The paper's own comparisons of models in Tables 4 and 5.

    Returns:
        Columns `claim`, `better`, `worse` (as `model-embedding`), `net` (utterances), `ceiling`
        (see `disagreement_ceiling`, as a share).
    """
    right = printed_right()
    rows = [
        (claim.id, pair.better, pair.worse, int(right[pair.better] - right[pair.worse]))
        for claim in CLAIMS
        if isinstance(claim.criterion, criteria.Difference)
        for pair in claim.criterion.pairs
        if {pair.better, pair.worse} <= set(right.index)
    ]
    frame = pd.DataFrame(rows, columns=["claim", "better", "worse", "net"])
    return frame.assign(ceiling=[disagreement_ceiling(net) / TESTED for net in frame["net"]])


# --- what chance does ---


def equal_models(
    accuracy: float, disagreement: float, n_models: int, n: int = TESTED, seed: int = 0
) -> np.ndarray:
    """Utterances that equally good models get right, by chance: int64 [TRIALS, n_models].

    Each utterance has a chance q to be answered right, drawn from a beta distribution; given q the
    models answer independently. So any two of them differ on a share 2 E[q (1 - q)].

    Args:
        accuracy: of all of them, E[q].
        disagreement: share of utterances on which one of two models alone is right.
        n_models: how many models.
        n: utterances of the test set.
        seed: of the draws.

    Raises:
        InputError: if no beta distribution gives such a disagreement.
    """
    most = unrelated(accuracy, accuracy)
    if not 0 < disagreement < most:
        raise InputError(
            "disagreement", f"{disagreement} is impossible", f"choose between 0 and {most:.3f}"
        )
    strength = disagreement / (most - disagreement)  # of the beta distribution, a + b
    rng = np.random.default_rng(seed)
    q = rng.beta(accuracy * strength, (1 - accuracy) * strength, (TRIALS, n))
    answers = [(rng.random((TRIALS, n)) < q).sum(axis=1) for _ in range(n_models)]
    return np.stack(answers, axis=1)


def best_of_models(right: np.ndarray, accuracy: float, n: int = TESTED) -> float:
    """How far the best of equally good models lies above what all of them have, on average.

    Args:
        right: from `equal_models`.
        accuracy: of all of them.
        n: utterances of the test set.
    """
    return float(right.max(axis=1).mean() / n - accuracy)


def best_of_epochs(autocorrelation: float, n_epochs: int, seed: int = 0) -> float:
    """How far the best of many epochs lies above their mean, in standard deviations of an epoch.

    Accuracies fluctuate about a constant as a stationary Gaussian AR(1) process.

    Args:
        autocorrelation: of neighbouring epochs, 0 to below 1.
        n_epochs: how many epochs.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    first, noise = rng.normal(size=(TRIALS, 1)), rng.normal(size=(TRIALS, n_epochs))
    scale = np.sqrt(1 - autocorrelation**2)
    epochs, _ = lfilter([scale], [1, -autocorrelation], noise, zi=autocorrelation * first)
    return float(epochs.max(axis=1).mean())


# --- the split behind Table 7 ---


def splits() -> pd.DataFrame:
    """Test utterances of each class under different ways to hold out a tenth.

    Returns:
        One row a way; a column a class, in the order of `EMOTIONS`.
    """
    sizes = dict(zip(EMOTIONS, SIZES, strict=True))
    apart = {**sizes, "happiness": HAPPY, "excitement": EXCITED}
    ways = {
        "a tenth of each class, rounded up": _rounded(sizes, ceil),
        "a tenth of each class, rounded to the nearest": _rounded(sizes, round),
        "a tenth of each class, rounded down": _rounded(sizes, floor),
        "a tenth of each of five labels, rounded up, then merged": _rounded(apart, ceil),
        "a tenth of all, shared out in proportion": _proportional(sizes, TEST_SHARE),
        f"{TESTED} of all, shared out in proportion": _proportional(sizes, TESTED),
        "the first of ten stratified folds": _folded(sizes),
    }
    return pd.DataFrame.from_dict(ways, orient="index", columns=list(EMOTIONS))


def _rounded(sizes: Mapping[str, int], whole: Callable[[float], int]) -> list[int]:
    counts = {label: whole(TEST_SHARE * size) for label, size in sizes.items()}
    counts["happiness"] += counts.pop("excitement", 0)
    return [counts[emotion] for emotion in EMOTIONS]


def _proportional(sizes: Mapping[str, int], test: float | int) -> list[int]:
    """As `train_test_split` of scikit-learn does."""
    labels = np.repeat(list(sizes), list(sizes.values()))
    _, held_out = train_test_split(labels, test_size=test, stratify=labels, random_state=0)
    return [int((held_out == emotion).sum()) for emotion in EMOTIONS]


def _folded(sizes: Mapping[str, int]) -> list[int]:
    """As `StratifiedKFold` of scikit-learn does."""
    labels = np.repeat(list(sizes), list(sizes.values()))
    _, held_out = next(StratifiedKFold(round(1 / TEST_SHARE)).split(labels, labels))
    return [int((labels[held_out] == emotion).sum()) for emotion in EMOTIONS]


def chance_of_rows() -> float:
    """Probability that a draw that ignores the classes has just the row sums of Table 7."""
    rows = printed_confusion().sum(axis="columns").to_numpy()
    return float(multivariate_hypergeom.pmf(rows, SIZES, TESTED))


# --- Table 6 ---


def fractions(ratio: Decimal, most: int = MOST) -> list[tuple[int, int]]:
    """All (k, n) with n up to `most` whose quotient rounds to a printed ratio, n ascending."""
    places = -int(ratio.as_tuple().exponent)
    scale, printed = 10**places, int(ratio.scaleb(places))
    return [
        (k, n)
        for n in range(1, most + 1)
        for k in range(n + 1)
        if abs(2 * scale * k - 2 * printed * n) <= n  # within half a unit of the last place
    ]


def words() -> pd.DataFrame:
    """The words of Table 6 and its text, with the fractions that may stand behind their ratios.

    The base rate of a class is the share of test utterances that the model calls so (a column of
    Table 7), since a ratio counts predictions too.

    Returns:
        `emotion`, `word`, `printed` (Decimal), `base`; `fractions` (see there); of the first of
        them `low` and `high` (Wilson's interval), `direction` (`above` or `below` the base rate, or
        `either` if the interval holds it), and `chance`: the probability that a word of so many
        occurrences, which says nothing, lies at least as far on that side.
    """
    called = printed_confusion().sum(axis="index") / TESTED
    rows = []
    for claim in CLAIMS:
        if not isinstance(claim.criterion, criteria.Words):
            continue
        base = float(called[claim.criterion.emotion])
        for word, printed in claim.reported.items():
            fitting = fractions(printed)
            rows.append(
                {
                    "emotion": claim.criterion.emotion,
                    "word": word,
                    "printed": printed,
                    "base": base,
                    "fractions": fitting,
                    **_against(base, *fitting[0]),
                }
            )
    return pd.DataFrame(rows)


def _against(base: float, k: int, n: int) -> dict[str, float | str]:
    low, high = map(float, metrics.wilson(k, n))
    direction = "above" if low > base else "below" if high < base else "either"
    chance = binom.sf(k - 1, n, base) if k / n > base else binom.cdf(k, n, base)
    return {"low": low, "high": high, "direction": direction, "chance": float(chance)}


def likely_counts(counted: pd.DataFrame, total: int) -> pd.DataFrame:
    """How often words occur in a test set of the paper's size, drawn at random from a corpus.

    Args:
        counted: a row a word, with `present` (occurrences in the corpus) and `sentences` (those
            with the word), see `words.described`.
        total: sentences of the corpus.

    Returns:
        `low_sentences`, `high_sentences`: how many sentences of the test set have the word, by the
        hypergeometric distribution; `low`, `high`: occurrences, as if all these sentences had the
        word as often as it is in one on average. All rows hold together with 95 % (Bonferroni).
    """
    level = 1 - LEVEL / max(len(counted), 1)
    low, high = hypergeom.interval(level, total, counted["sentences"], TESTED)
    often = counted["present"] / counted["sentences"]
    return pd.DataFrame(
        {
            "low_sentences": low,
            "high_sentences": high,
            "low": np.floor(low * often),
            "high": np.ceil(high * often),
        },
        counted.index,
    ).astype(int)


#: What a ratio of Table 6 may count -> the columns of `likely_counts` on it.
UNITS = {"occurrences": "", "sentences": "_sentences"}


def fractions_left(counted: pd.DataFrame, total: int) -> pd.DataFrame:
    """What the counts of a corpus leave of the fractions that may stand behind printed ratios.

    Args:
        counted: a row a word and class, with `emotion`, `word` (tags in brackets), `present`
            (occurrences in the corpus) and `sentences` (those with the word).
        total: sentences of the corpus.

    Returns:
        The columns of `words` for each printed word that occurs; for either of `UNITS` its name
        with those `fractions` whose denominator is likely, and `UNIT_range`, see `likely_counts`.
    """
    bare = counted.assign(word=counted["word"].str.strip("[]"))
    left = bare.merge(words(), on=["emotion", "word"], validate="one_to_one")
    likely = likely_counts(left, total)
    for unit, suffix in UNITS.items():
        ranges = list(zip(likely[f"low{suffix}"], likely[f"high{suffix}"], strict=True))
        within = [
            [(k, n) for k, n in fitting if low <= n <= high]
            for fitting, (low, high) in zip(left["fractions"], ranges, strict=True)
        ]
        left[f"{unit}_range"] = pd.Series(ranges)
        left[unit] = pd.Series(within)
    return left


# --- Table 8 ---


def loudness_gaps() -> pd.DataFrame:
    """Differences of mean loudness between neighbours of Table 8, and from first to last.

    Returns:
        Index (louder, softer); `d`, Cohen's: `WaveAvg` less `WaveAvg`, in units of the square root
        of the mean of both variances (`WaveAvgStd` squared), as if the classes were equally large;
        `low` and `high`, the least and the most that the rounding of the print allows.
    """
    half = criteria.Loudness.rounding
    rows = {}
    for loud, soft in (*pairwise(TABLE_8), (TABLE_8[0], TABLE_8[-1])):
        gap = loud.wave_avg - soft.wave_avg
        spreads = np.array([loud.wave_avg_std, soft.wave_avg_std])
        rows[loud.emotion, soft.emotion] = {
            "d": gap / _quadratic_mean(spreads),
            "low": (gap - 2 * half) / _quadratic_mean(spreads + half),
            "high": (gap + 2 * half) / _quadratic_mean(spreads - half),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _quadratic_mean(values: np.ndarray) -> float:
    return float(np.sqrt((values**2).mean()))


# --- Equation 1 ---


def mikolov(counts: np.ndarray, t: float) -> np.ndarray:
    """The usual probability of discarding a word, 1 - sqrt(t / f), 0 up to t."""
    probability: np.ndarray = (1 - np.sqrt(t / counts)).clip(0)
    return probability


def most_kept(t: float) -> tuple[float, float]:
    """How often a word occurs of which Equation 1 keeps the most, and how many of these it keeps.

    The derivative of f (1 - sqrt(f / t)) is 0 at f = 4t/9, where a third is kept.
    """
    return 4 * t / 9, 4 * t / 27


# --- attention ---


def strengthened(
    attention: Attention, text: Tensor, audio: Tensor, sd: float
) -> tuple[Tensor, Tensor]:
    """Features scaled so that their scores have this standard deviation.

    Equations 4-8 have no bias: scores grow in proportion to the features.
    """
    scale = sd / torch.cat([attention.score(text), attention.score(audio)]).std()
    return text * scale, audio * scale


@torch.no_grad()
def untrained_gates(
    model: str, n: int, rectify_text: bool = False, sd: float | None = None
) -> np.ndarray:
    """Gates of untrained attention modules on random features.

    Args:
        model: a key of `ATTENTION`.
        n: features.
        rectify_text: whether negative text features are 0, as after a ReLU; else features of both
            modalities are drawn alike, standard normal.
        sd: of the scores; by default what the untrained weights give.

    Returns:
        [MODELS, UTTERANCES, 1 or n]; an utterance's score is the mean over the last axis.
    """
    found = []
    for seed in range(MODELS):
        torch.manual_seed(seed)
        attention = ATTENTION[model](n)
        text, audio = torch.randn(2, UTTERANCES, n)
        if rectify_text:
            text = text.relu()
        if sd is not None:
            text, audio = strengthened(attention, text, audio, sd)
        found.append(attention(text, audio).p_audio)
    return torch.stack(found).numpy()
