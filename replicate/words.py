"""Table 6: which words go with which predicted class.

The paper scores a word by "the ratio between how many times that word was in a sentence predicted
to a specific emotion and the total number of times it was present in the testing set", and ranks
words by mutual information. Ratios count occurrences (tokens); mutual information is that of the
word's presence in a sentence and the sentence's class against the rest. It has no sign: a word
that a class avoids ranks as high as one that it attracts, so the sign is given beside it.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import xlogy
from sklearn.feature_extraction.text import CountVectorizer

from replicate.metrics import wilson
from replicate.protocol import EMOTIONS

#: Words of Table 6 for each class.
TOP = 3

#: Fewest occurrences for a place among the top words. The paper names no such bound; 1 is none.
#: Below about ten occurrences the interval of a ratio is wider than half the unit interval.
MIN_COUNT = 1


def word_table(sentences: Sequence[Sequence[str]], classes: Sequence[str]) -> pd.DataFrame:
    """Every word with every class.

    Args:
        sentences: the tokens of each test sentence.
        classes: class of each sentence: the predicted one for Table 6, or the true one.

    Returns:
        One row a class and word, classes in the order of `EMOTIONS`, words in alphabetical order:
        `emotion`, `word`; `count` (occurrences in sentences of that class), `present` (all
        occurrences), their `ratio` with Wilson's interval `low`, `high`; `sentences` (sentences
        with the word); `mutual_information` (nats) of presence and class; `sign` (+1 where
        sentences with the word have the class more often than sentences without, -1 less often, 0
        equally or where one of the two groups is empty).
    """
    if len(sentences) != len(classes):
        raise ValueError(f"{len(sentences)} sentences, {len(classes)} classes")
    vectorizer = CountVectorizer(analyzer=lambda sentence: sentence)
    counts = vectorizer.fit_transform(sentences).toarray()  # [sentences, words]
    words = vectorizer.get_feature_names_out()
    of_class = np.asarray(classes)[None, :] == np.array(EMOTIONS)[:, None]  # [4, sentences]
    inside = (of_class @ counts).ravel()  # [4 * words]
    present = np.tile(counts.sum(axis=0), len(EMOTIONS))
    low, high = wilson(inside, present)
    joint = _presence_by_class(counts > 0, of_class)
    return pd.DataFrame(
        {
            "emotion": np.repeat(EMOTIONS, len(words)),
            "word": np.tile(words, len(EMOTIONS)),
            "count": inside,
            "present": present,
            "ratio": inside / present,
            "low": low,
            "high": high,
            "sentences": joint[:, 1].sum(axis=-1).astype(np.int64),
            "mutual_information": mutual_information(joint),
            "sign": _sign(joint),
        }
    )


def _presence_by_class(present: np.ndarray, of_class: np.ndarray) -> np.ndarray:
    """Sentences by word absent / present and by rest / class: float64 [4 * words, 2, 2]."""
    both = of_class.astype(float) @ present  # [4, words]
    with_word = np.broadcast_to(present.sum(axis=0), both.shape)
    with_class = np.broadcast_to(of_class.sum(axis=1)[:, None], both.shape)
    n = present.shape[0]
    cells = [n - with_word - with_class + both, with_class - both, with_word - both, both]
    return np.stack(cells, axis=-1).reshape(-1, 2, 2)


def mutual_information(joint: np.ndarray) -> np.ndarray:
    """Mutual information of two variables from their counts, in nats: [..., A, B] -> [...]."""
    p = joint / joint.sum(axis=(-2, -1), keepdims=True)
    rows, columns = p.sum(axis=-1, keepdims=True), p.sum(axis=-2, keepdims=True)
    terms = xlogy(p, p) - xlogy(p, rows) - xlogy(p, columns)
    nats: np.ndarray = terms.sum(axis=(-2, -1)).clip(min=0.0)
    return nats


def _sign(joint: np.ndarray) -> np.ndarray:
    """Sign of the association, from the determinant of the 2 x 2 counts: int64 [...]."""
    signs: np.ndarray = np.sign(np.linalg.det(joint).round()).astype(np.int64)
    return signs


def top_words(table: pd.DataFrame, n: int = TOP, min_count: int = MIN_COUNT) -> pd.DataFrame:
    """The `n` words of highest mutual information for each class (Table 6); ties alphabetically.

    Args:
        table: from `word_table`.
        n: words for each class.
        min_count: fewest occurrences of a word.
    """
    often = table[table["present"] >= min_count]
    ranked = often.sort_values(["mutual_information", "word"], ascending=[False, True])
    order = pd.Categorical(ranked["emotion"], categories=EMOTIONS, ordered=True)
    best = ranked.assign(emotion=order).groupby("emotion", observed=True).head(n)
    best = best.sort_values("emotion", kind="stable", ignore_index=True)
    return best.assign(emotion=best["emotion"].astype("str"))
