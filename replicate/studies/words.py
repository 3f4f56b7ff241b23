"""Table 6: which words go with which class, by the paper's method and by a corrected one.

The paper scores a word by "the ratio between how many times that word was in a sentence predicted
to a specific emotion and the total number of times it was present in the testing set", so it counts
occurrences, and ranks words by mutual information, here that of presence in a sentence and class.

Three things are missing. Mutual information has no sign: a word that a class avoids ranks as high
as one that it attracts. It is above zero for any word by chance alone: the expectation under
independence is subtracted here, exactly, as for the adjusted mutual information of Vinh et al.
(2010). And thousands of words compete for three places: each has an exact test, corrected for all
of them, and `survival` tells how often it would take its place with other sentences.
"""

import random
from collections.abc import Hashable, Sequence, Sized
from functools import cache
from typing import Literal

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from scipy.special import xlogy
from scipy.stats import false_discovery_control, hypergeom

from replicate.corpora import standin
from replicate.corpora.standin import grammar
from replicate.corpora.transcriptions import tokens
from replicate.paper import EMOTIONS
from replicate.stats.intervals import wilson

#: Words of Table 6 for each class.
TOP = 3

#: Samples of sentences for `survival`: shares to about .02.
RESAMPLES = 500

#: The share of false discoveries that is accepted among the words that count as found.
FALSE_DISCOVERIES = 0.05

#: What mutual information is counted over: the paper does not say.
Unit = Literal["sentences", "tokens"]


def word_table(
    sentences: Sequence[Sequence[str]], classes: Sequence[str], unit: Unit = "sentences"
) -> pd.DataFrame:
    """Every word with every class, from the tokens and the class of each test sentence.

    The class is the predicted one for Table 6, or the true one. With `unit` `tokens`, mutual
    information and what follows from it take each occurrence by itself.

    Returns:
        One row a class and word, classes in the order of `EMOTIONS`, words in alphabetical order:
        `emotion`, `word`; `count` (occurrences in sentences of that class), `present` (all), their
        `ratio` with Wilson's interval `low`, `high`; `sentences` (or tokens) with the word;
        `mutual_information` (nats) of presence and class; `sign` (+1 where sentences with the word
        have the class more often than those without, -1 less often, else 0); `corrected` (what is
        above the `expected_information`, with the sign; 0 if nothing is); `p_value` (`association`)
        and `q_value` (Benjamini and Hochberg, over all words and classes).
    """
    counts, words = _counts(sentences, classes)
    of_class = _membership(classes)
    inside = (counts.T @ of_class.T).T.ravel().astype(np.int64)  # [4 * words]
    present = np.tile(counts.sum(axis=0), len(EMOTIONS))
    low, high = wilson(inside, present)
    joint = _by_class(counts if unit == "tokens" else counts > 0, of_class, unit)
    information, sign = mutual_information(joint), _sign(joint)
    p_values = association(joint)
    return _each_class(words).assign(
        count=inside,
        present=present,
        ratio=inside / present,
        low=low,
        high=high,
        sentences=joint[:, 1].sum(axis=-1).astype(np.int64),
        mutual_information=information,
        sign=sign,
        corrected=sign * (information - expected_information(joint)).clip(min=0.0),
        p_value=p_values,
        q_value=false_discovery_control(p_values),
    )


def _each_class(words: np.ndarray) -> pd.DataFrame:
    """One row a class and word: `emotion`, `word`."""
    classes = np.repeat(EMOTIONS, len(words))
    return pd.DataFrame({"emotion": classes, "word": np.tile(words, len(EMOTIONS))})


def _counts(sentences: Sequence[Sequence[str]], classes: Sized) -> tuple[csr_array, np.ndarray]:
    """Occurrences of each word in each sentence [sentences, words], and the words."""
    if len(sentences) != len(classes):
        raise ValueError(f"{len(sentences)} sentences, {len(classes)} classes")
    from sklearn.feature_extraction.text import CountVectorizer  # stored words are read without

    vectorizer = CountVectorizer(analyzer=lambda sentence: sentence)
    return csr_array(vectorizer.fit_transform(sentences)), vectorizer.get_feature_names_out()


def _membership(classes: Sequence[str]) -> np.ndarray:
    """1 where a sentence has a class: float64 [4, sentences]."""
    return np.array([np.asarray(classes) == emotion for emotion in EMOTIONS], dtype=float)


def _by_class(times: csr_array, of_class: np.ndarray, unit: Unit = "sentences") -> np.ndarray:
    """Sentences, or tokens, by other / this word and by rest / class: float64 [4 * words, 2, 2].

    From how often a sentence has a word [sentences, words], and counts for a class [4, sentences].
    """
    both = (times.T @ of_class.T).T  # [4, words]
    sizes = both.sum(axis=1) if unit == "tokens" else of_class.sum(axis=1)  # [4]
    with_word = np.broadcast_to(both.sum(axis=0), both.shape)
    with_class = np.broadcast_to(sizes[:, None], both.shape)
    n = sizes.sum()
    cells = [n - with_word - with_class + both, with_class - both, with_word - both, both]
    return np.stack(cells, axis=-1).reshape(-1, 2, 2)


def mutual_information(joint: np.ndarray) -> np.ndarray:
    """Mutual information of two variables from their counts, in nats: [..., A, B] -> [...]."""
    p = joint / joint.sum(axis=(-2, -1), keepdims=True)
    rows, columns = p.sum(axis=-1, keepdims=True), p.sum(axis=-2, keepdims=True)
    terms = xlogy(p, p) - xlogy(p, rows) - xlogy(p, columns)
    return np.asarray(terms.sum(axis=(-2, -1)).clip(min=0.0))


def expected_information(joint: np.ndarray) -> np.ndarray:
    """Mean mutual information of independent variables with the same margins: [n, 2, 2] -> [n].

    For all but the rarest words that is about 1 / (2 sentences), the bias of Miller (1955).
    """
    margins = np.column_stack([joint[:, 1].sum(axis=-1), joint[:, :, 1].sum(axis=-1)])
    n = int(joint[0].sum())
    kinds, which = np.unique(margins.astype(np.int64), axis=0, return_inverse=True)
    from sklearn.metrics.cluster import expected_mutual_information  # as above

    expected = np.zeros(len(kinds))
    for k, (word, of_class) in enumerate(kinds.tolist()):
        if 0 < word < n and 0 < of_class < n:
            same_margins = np.array([[n - word - of_class, of_class], [word, 0]])
            expected[k] = expected_mutual_information(same_margins, n)
    return np.asarray(expected[which])


def association(joint: np.ndarray) -> np.ndarray:
    """Fisher's exact test, two-sided as twice the smaller tail: [n, 2, 2] -> [n].

    Half of it is the p value of the sign alone. Sentences count as independent, which those of one
    dialogue are not quite.
    """
    kinds, which = np.unique(joint.astype(np.int64), axis=0, return_inverse=True)
    both, rows, columns = kinds[:, 1, 1], kinds[:, 1].sum(axis=-1), kinds[:, :, 1].sum(axis=-1)
    known = kinds.sum(axis=(1, 2)), columns, rows
    tails = hypergeom.cdf(both, *known), hypergeom.sf(both - 1, *known)
    return np.asarray((2 * np.minimum(*tails)).clip(max=1.0)[which])


def fewest(sentences: int, words: int) -> int:
    """In how many sentences a word must be to count, if it goes with one class alone.

    For one of four equally large classes, and if no other word counts: then Benjamini and
    Hochberg's correction asks as much as Bonferroni's.
    """
    present = np.arange(1, sentences // len(EMOTIONS) + 1)
    of_class = np.full(len(present), len(present))
    joint = np.stack(
        [sentences - of_class, of_class - present, np.zeros_like(present), present], axis=-1
    ).reshape(-1, 2, 2)
    counts = association(joint) <= FALSE_DISCOVERIES / (len(EMOTIONS) * words)
    return int(present[counts].min(initial=sentences))


def _sign(joint: np.ndarray) -> np.ndarray:
    """Sign of the association, from the determinant of the 2 x 2 counts: int64 [...]."""
    both, either = joint[..., 0, 0] * joint[..., 1, 1], joint[..., 0, 1] * joint[..., 1, 0]
    return np.asarray(np.sign(both - either), dtype=np.int64)


def survival(
    sentences: Sequence[Sequence[str]],
    classes: Sequence[str],
    clusters: Sequence[Hashable] | None = None,
) -> pd.DataFrame:
    """How often each word is among the top three of its class when sentences are drawn anew.

    Drawn as a whole are `clusters`, such as dialogues; single sentences by default. One row a class
    and word, in the order of `word_table`: `emotion`, `word`, and the shares of `RESAMPLES` samples
    in which it is, `by_information` (the paper's order) and `by_corrected` (what is subtracted is
    the expectation in the sentences as given).
    """
    counts, words = _counts(sentences, classes)
    present, of_class = counts > 0, _membership(classes)
    expected = expected_information(_by_class(present, of_class))
    units = np.arange(len(sentences)) if clusters is None else pd.factorize(np.asarray(clusters))[0]
    n = int(units.max()) + 1
    rng = np.random.default_rng(0)
    taken = np.zeros((2, len(EMOTIONS), len(words)))
    for _ in range(RESAMPLES):
        times = np.bincount(rng.integers(n, size=n), minlength=n)[units]
        joint = _by_class(present, of_class * times)
        information = mutual_information(joint)
        scores = np.stack([information, _sign(joint) * (information - expected)])
        ranked = np.argsort(-scores.reshape(taken.shape), axis=-1, kind="stable")[..., :TOP]
        np.put_along_axis(taken, ranked, np.take_along_axis(taken, ranked, -1) + 1, -1)
    by_information, by_corrected = (taken / RESAMPLES).reshape(2, -1)
    return _each_class(words).assign(by_information=by_information, by_corrected=by_corrected)


def top_words(table: pd.DataFrame, n: int = TOP, min_count: int = 1) -> pd.DataFrame:
    """The `n` words of highest mutual information for each class (Table 6); ties alphabetically.

    They have at least so many occurrences; the paper names no bound. Below about ten the interval
    of a ratio is wider than half the unit interval.
    """
    often = table[table["present"] >= min_count]
    ranked = often.sort_values(["mutual_information", "word"], ascending=[False, True])
    order = pd.Categorical(ranked["emotion"], categories=EMOTIONS, ordered=True)
    best = ranked.assign(emotion=order).groupby("emotion", observed=True).head(n)
    best = best.sort_values("emotion", kind="stable", ignore_index=True)
    return best.assign(emotion=best["emotion"].astype("str"))


def described(utterances: pd.DataFrame) -> pd.DataFrame:
    """`word_table` of a cohort, or part of one, with each word's place, and how well it keeps it.

    The class is that of the column `emotion`, the true one or a predicted one. Added columns:
    `rank` (in its class, by mutual information; NaN without a sign) and `corrected_rank` (by
    `corrected`; NaN unless the class attracts it and `q_value` is at most `FALSE_DISCOVERIES`);
    `survival` in the two orders, as `survival` and `corrected_survival`, and where whole dialogues
    are drawn, `dialogue_survival` and `corrected_dialogue_survival`.
    """
    sentences = [tokens(text) for text in utterances["transcript"].fillna("")]
    classes = utterances["emotion"].tolist()
    table = word_table(sentences, classes)
    found = (table["sign"] > 0) & (table["q_value"] <= FALSE_DISCOVERIES)
    places = {
        "rank": table["mutual_information"].where(table["sign"] != 0),
        "corrected_rank": table["corrected"].where(found),
    }
    for name, scores in places.items():
        # words are in alphabetical order, and so are ties
        table[name] = scores.groupby(table["emotion"]).rank(method="first", ascending=False)
    for unit, clusters in (("", None), ("dialogue_", utterances["dialogue"].tolist())):
        kept = survival(sentences, classes, clusters)
        table[f"{unit}survival"] = kept["by_information"]
        table[f"corrected_{unit}survival"] = kept["by_corrected"]
    return table


def on_top(table: pd.DataFrame, n: int = TOP) -> pd.DataFrame:
    """The rows of `described` that are among the first `n` of their class by either method."""
    return table[(table["rank"] <= n) | (table["corrected_rank"] <= n)]


@cache  # a page asks three times
def in_grammar(preset: str, n: int = 4000) -> pd.DataFrame:
    """What is true of each word of the stand-in, from n fresh sentences of each symbol.

    A sentence's words depend on its class through the text symbol alone, whose probabilities are
    known; so each counts for every class as much as its symbol does. What a corpus shows beyond
    these shares is chance: its dialogues keep to topics and its scripts repeat lines. `emotion`,
    `word`, `true_share` (of the sentences with the word, those of the class) and `true_sign` (of
    the association, as in `word_table`).
    """
    channels = standin.PRESETS[preset]
    weights = standin.prior()[:, None] * np.array(channels.text) / n  # [4, 4]
    symbols = np.repeat(range(len(EMOTIONS)), n)
    rng = random.Random("words")
    sentences = [tokens(grammar.sentence(symbol, channels, rng)) for symbol in symbols.tolist()]
    counts, words = _counts(sentences, symbols)
    joint = _by_class(counts > 0, weights[:, symbols])
    shares = joint[:, 1, 1] / joint[:, 1].sum(axis=-1)
    return _each_class(words).assign(true_share=shares, true_sign=_sign(joint))
