"""What the paper's printed numbers imply by themselves: no corpus, no training.

Sums on Tables 4-8, on the class sizes, and on what chance alone does to numbers of that kind.
"""

from collections.abc import Mapping
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy.stats import binom, hypergeom

from replicate.corpora.iemocap import EXCITED, HAPPY
from replicate.paper import CLASS_SIZES as SIZES
from replicate.paper import EMOTIONS, OWN, ROUNDING, TABLE_8, TESTED, WORDS, printed_confusion
from replicate.stats import classification
from replicate.stats.hypothesis_tests import LEVEL
from replicate.stats.intervals import percentile_interval, wilson
from replicate.stats.power import disagreement_ceiling

#: Utterances of each class in IEMOCAP, and of the two labels that the paper merges into happiness.
CLASS_SIZES = dict(zip(EMOTIONS, SIZES, strict=True))
MERGED = {"happiness": HAPPY, "excitement": EXCITED}

#: Occurrences up to which a word's fraction is looked for.
MOST = 200


# --- Table 7 ---


def rates(counts: pd.DataFrame) -> pd.DataFrame:
    """Four rates of each class that a confusion matrix gives (rows true, columns predicted).

    With k right answers for a class, r in its row, c in its column and n in all: recall k / r,
    precision k / c, F1 2 k / (r + c), and accuracy (n - r - c + 2 k) / n of "this or another?".

    >>> print(rates(pd.DataFrame([[8, 2], [4, 6]])).round(3))
       recall  precision     F1  accuracy
    0     0.8      0.667  0.727       0.7
    1     0.6      0.750  0.667       0.7
    """
    right, n = np.diag(counts), counts.to_numpy().sum()
    true, called = counts.sum(axis="columns"), counts.sum(axis="index")
    return pd.DataFrame(
        {
            "recall": classification.recall(counts),
            "precision": classification.precision(counts),
            "F1": 2 * right / (true + called),
            "accuracy": 1 - (true + called - 2 * right) / n,
        }
    )


def measures(counts: pd.DataFrame) -> pd.DataFrame:
    """Accuracy, UAR, macro-F1 and kappa of a confusion matrix: `value`, `value_low`, `value_high`.

    The interval of the accuracy is Wilson's, the others are bootstraps over utterances.
    """
    kinds = {
        "accuracy": classification.accuracies,
        "UAR": classification.uars,
        "macro-F1": classification.macro_f1s,
        "kappa": classification.kappas,
    }
    matrix = counts.to_numpy()
    draws = classification.bootstrap_confusions(*classification.labels(counts))
    rows = {name: [of(matrix), *percentile_interval(of(draws))] for name, of in kinds.items()}
    rows["accuracy"][1:] = wilson(np.trace(matrix), matrix.sum())
    columns = ["value", "value_low", "value_high"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns, dtype=float)


# --- what the test set can resolve ---


def printed_right() -> pd.Series:
    """Utterances that each model of Tables 4 and 5 gets right: index `model-embedding`, int64."""
    right = (OWN["accuracy"] * TESTED).round().astype(int)
    return right.set_axis(OWN["model"] + "-" + OWN["embedding"]).rename("right")


def smallest_net(share: float, n: int) -> float:
    """The smallest difference of accuracies that McNemar's exact test finds; NaN if there is none.

    Of n answers, a `share` turns from right to wrong or back.

    >>> round(smallest_net(0.1, 61) * 61)
    6
    """
    turned = round(share * n)
    found = (k for k in range(1, turned + 1) if disagreement_ceiling(k, n) >= turned)
    return next(found, np.nan) / n


# --- the split behind Table 7 ---


def shared_out(sizes: Mapping[str, int], n: int) -> pd.Series:
    """A number of utterances shared out among classes in proportion to their sizes.

    Each class gets the whole part of n size / total, and those with the largest remainders one
    more, as in scikit-learn's `train_test_split` with `stratify`.

    >>> shared_out({"anger": 1103, "happiness": 1636}, 273).to_dict()
    {'anger': 110, 'happiness': 163}
    """
    exact = pd.Series(sizes) * n / sum(sizes.values())
    whole = exact.astype(int)
    one_more = (exact - whole).nlargest(n - whole.sum()).index
    return whole.add(pd.Series(1, one_more), fill_value=0).astype(int)[list(sizes)]


# --- Table 6 ---


def fractions(ratio: Decimal, most: int = MOST) -> list[tuple[int, int]]:
    """All (k, n) with n up to `most` whose quotient rounds to a printed ratio, n ascending.

    >>> fractions(Decimal("0.867"), most=40)
    [(13, 15), (26, 30)]
    """
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

    `emotion`, `word`, `printed` (Decimal); `base`, the share of test utterances that the model
    calls so (a column of Table 7: a ratio counts predictions too); `fractions` (see there); of the
    first of them `low` and `high` (Wilson's interval), `direction` (`above` or `below` the base
    rate, or `either` if the interval holds it), and `chance`: the probability that a word of so
    many occurrences, which says nothing, lies at least as far on that side.
    """
    rows = [(*pair, printed, fractions(printed)) for pair, printed in WORDS.items()]
    table = pd.DataFrame(rows, columns=["emotion", "word", "printed", "fractions"])
    base = table["emotion"].map(printed_confusion().sum(axis="index") / TESTED)
    k, n = np.array([fitting[0] for fitting in table["fractions"]]).T
    low, high = wilson(k, n)
    side = np.select([low > base, high < base], ["above", "below"], "either")
    as_many, as_few = binom.sf(k - 1, n, base), binom.cdf(k, n, base)
    chance = np.where(k / n > base, as_many, as_few)
    return table.assign(base=base, low=low, high=high, direction=side, chance=chance)


def likely_counts(counted: pd.DataFrame, total: int) -> pd.DataFrame:
    """How often words occur in a test set of the paper's size, drawn at random from a corpus.

    `counted` has a row a word, with `present` (occurrences in the corpus) and `sentences` (those
    with the word), see `words.described`; `total` are the sentences of the corpus. Returned are
    `low_sentences`, `high_sentences`: how many sentences of the test set have the word, by the
    hypergeometric distribution; `low`, `high`: occurrences, at their mean in a sentence with the
    word. All rows hold together with 95 % (Bonferroni).
    """
    level = 1 - LEVEL / max(len(counted), 1)
    low, high = hypergeom.interval(level, total, counted["sentences"], TESTED)
    often = counted["present"] / counted["sentences"]
    likely = pd.DataFrame({"low_sentences": low, "high_sentences": high}, counted.index)
    return likely.assign(low=np.floor(low * often), high=np.ceil(high * often)).astype(int)


#: What a ratio of Table 6 may count -> the columns of `likely_counts` on it.
UNITS = {"occurrences": "", "sentences": "_sentences"}


def fractions_left(counted: pd.DataFrame, total: int) -> pd.DataFrame:
    """What the counts of a corpus leave of the fractions that may stand behind printed ratios.

    The arguments are those of `likely_counts`, with `emotion` and `word` (tags in brackets).
    Returned are the columns of `words` for each printed word that occurs; for either of `UNITS` its
    name with those `fractions` whose denominator is likely, and `UNIT_range`, see `likely_counts`.
    """
    bare = counted.assign(word=counted["word"].str.strip("[]"))
    left = bare.merge(words(), on=["emotion", "word"], validate="one_to_one")
    likely = likely_counts(left, total)
    for unit, suffix in UNITS.items():
        ranges = [*likely[[f"low{suffix}", f"high{suffix}"]].itertuples(index=False, name=None)]
        left[f"{unit}_range"] = pd.Series(ranges)
        left[unit] = pd.Series(
            [(k, n) for k, n in fitting if low <= n <= high]
            for fitting, (low, high) in zip(left["fractions"], ranges, strict=True)
        )
    return left


# --- Table 8 ---


def loudness_gaps() -> pd.DataFrame:
    """Differences of mean loudness between neighbours of Table 8, and from first to last.

    Index (louder, softer); `d`, Cohen's: `WaveAvg` less `WaveAvg` over the quadratic mean of both
    `WaveAvgStd`, as if the classes were equally large; `low` and `high`, the least and the most
    that the rounding of the print allows.
    """
    rows, classes = {}, TABLE_8.to_dict("records")
    for loud, soft in (*pairwise(classes), (classes[0], classes[-1])):
        gap = loud["wave_avg"] - soft["wave_avg"]
        spreads = np.array([loud["wave_avg_std"], soft["wave_avg_std"]])
        rows[loud["emotion"], soft["emotion"]] = {
            name: (gap + 2 * off) / np.sqrt(((spreads - off) ** 2).mean())
            for name, off in {"d": 0.0, "low": -ROUNDING, "high": ROUNDING}.items()
        }
    return pd.DataFrame.from_dict(rows, orient="index")
