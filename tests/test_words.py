"""Table 6's word statistics against counts by hand and scikit-learn."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score
from statsmodels.stats.proportion import proportion_confint

from replicate.protocol import EMOTIONS
from replicate.words import mutual_information, top_words, word_table

SENTENCES = [
    ["oh", "oh", "no"],
    ["oh", "[laughter]"],
    ["the", "end"],
    ["the", "the", "she's"],
    ["no"],
]
CLASSES = ["happiness", "happiness", "sadness", "neutrality", "anger"]

corpora = st.lists(
    st.tuples(st.lists(st.sampled_from("abcdef"), max_size=6), st.sampled_from(EMOTIONS)),
    min_size=2,
    max_size=40,
).filter(lambda corpus: any(words for words, _ in corpus))


def row(table, emotion, word):
    (found,) = table[(table["emotion"] == emotion) & (table["word"] == word)].to_dict("records")
    return found


def test_ratios_count_occurrences_not_sentences():
    table = word_table(SENTENCES, CLASSES)
    the = row(table, "neutrality", "the")
    assert (the["count"], the["present"], the["sentences"]) == (2, 3, 2)
    assert the["ratio"] == pytest.approx(2 / 3)
    assert (the["low"], the["high"]) == pytest.approx(proportion_confint(2, 3, method="wilson"))
    assert row(table, "happiness", "oh")["ratio"] == 1
    assert row(table, "anger", "she's")["ratio"] == 0


def test_every_class_has_every_word_in_order():
    table = word_table(SENTENCES, CLASSES)
    words = sorted({word for sentence in SENTENCES for word in sentence})
    assert table["word"].tolist() == words * 4
    assert table["emotion"].tolist() == [e for e in EMOTIONS for _ in words]


@settings(max_examples=50)
@given(corpora)
def test_any_table_agrees_with_counts_by_hand_and_scikit_learn(corpus):
    sentences, classes = map(list, zip(*corpus, strict=True))
    table = word_table(sentences, classes)
    for found in table.to_dict("records"):
        word, inside = found["word"], np.array([c == found["emotion"] for c in classes])
        counts = np.array([Counter(sentence)[word] for sentence in sentences])
        assert found["present"] == counts.sum()
        assert found["count"] == counts[inside].sum()
        expected = mutual_info_score(counts > 0, inside)
        assert found["mutual_information"] == pytest.approx(expected, abs=1e-12)
        # phi has the sign of the association; undefined where either variable is constant
        varied = 0 < inside.sum() < len(inside) and 0 < (counts > 0).sum() < len(inside)
        phi = np.cov(counts > 0, inside)[0, 1] if varied else 0
        assert found["sign"] == np.sign(np.round(phi, 12))
    by_word = table.groupby("word")
    assert (by_word["count"].sum() == by_word["present"].first()).all()
    assert by_word["ratio"].sum().to_numpy() == pytest.approx(1)


def test_mutual_information_of_known_tables():
    independent = np.outer([3, 1], [2, 6]).astype(float)
    decisive = np.diag([5.0, 5.0])
    empty = np.array([[10.0, 0.0], [0.0, 0.0]])
    values = mutual_information(np.stack([independent, decisive, empty]))
    assert values == pytest.approx([0, np.log(2), 0], abs=1e-12)


def test_a_word_that_a_class_avoids_ranks_as_high_as_one_it_attracts_but_has_a_minus():
    sentences = [["they"]] * 40 + [["else"]] * 40
    classes = ["neutrality"] * 40 + ["sadness"] * 40
    table = word_table(sentences, classes)
    they, other = (row(table, "sadness", word) for word in ("they", "else"))
    assert they["mutual_information"] == pytest.approx(other["mutual_information"])
    assert (they["sign"], other["sign"]) == (-1, 1)
    assert they["ratio"] == 0


def test_top_words_follow_mutual_information_and_the_bound():
    sentences = [["rare", "um"], *[["um"]] * 5, *[["um", "the"]] * 2, *[["the"]] * 12]
    classes = ["neutrality"] * 8 + ["anger"] * 12
    table = word_table(sentences, classes)
    best = top_words(table, n=2)
    assert best["emotion"].drop_duplicates().tolist() == list(EMOTIONS)
    neutral = best[best["emotion"] == "neutrality"]
    assert neutral["word"].tolist() == ["um", "the"]
    assert neutral["mutual_information"].is_monotonic_decreasing
    assert "rare" in set(top_words(table, n=3)["word"])
    assert "rare" not in set(top_words(table, n=3, min_count=2)["word"])


def test_ties_are_alphabetical_whatever_the_order_of_sentences():
    sentences, classes = [["b", "a"], ["c"]], ["anger", "sadness"]
    forward = top_words(word_table(sentences, classes))
    backward = top_words(word_table(sentences[::-1], classes[::-1]))
    pd.testing.assert_frame_equal(forward, backward)
    assert forward[forward["emotion"] == "anger"]["word"].tolist() == ["a", "b", "c"]


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="5 sentences, 1 classes"):
        word_table(SENTENCES, ["anger"])
