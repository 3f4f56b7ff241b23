"""Section 3.2: tokens, vocabulary, Equation 1, padding and word vectors."""

import gzip
import math

import numpy as np
import pytest
from gensim.models import KeyedVectors
from hypothesis import given, settings
from hypothesis import strategies as st

from replicate.corpora.transcriptions import (
    WordVectors,
    discard_probability,
    load_vectors,
    pad,
    subsample,
    tokens,
    vocabulary,
)
from replicate.files import InputError
from replicate.settings import UNKNOWN


@pytest.mark.parametrize(
    ("transcript", "expected"),
    [
        ("She's here. [LAUGHTER] Oh!", ["she's", "here", "[laughter]", "oh"]),
        ("Don\u2019t -- um, 3 o'clock?", ["don't", "um", "3", "o'clock"]),
        ("Heute abend k\u00f6nnte ich", ["heute", "abend", "k\u00f6nnte", "ich"]),
        ("... --", []),
    ],
)
def test_tokens(transcript, expected):
    assert tokens(transcript) == expected


def test_other_tokens():
    said = "She's GONE. [LAUGHTER] \u2019cause I'd've"
    split = ["she", "'s", "gone", "[laughter]", "cause", "i", "'d", "'ve"]
    assert tokens(said, "contractions split") == split
    signs = ["she's", "gone", ".", "[laughter]", "cause", "i'd've", "?", "!"]
    assert tokens(f"{said}?!", "punctuation kept") == signs
    assert tokens(said, "case kept") == ["She's", "GONE", "[LAUGHTER]", "cause", "I'd've"]


def test_vocabulary_ranks_by_count_and_knows_only_what_it_saw():
    vocab = vocabulary([["b", "a", "c"], ["c", "a", "c"]])
    assert vocab.words == ("[padding]", "[unknown]", "c", "a", "b")
    assert vocab.counts.tolist() == [0, 0, 3, 2, 1]
    assert vocab.encode(["a", "new", "c"]).tolist() == [3, UNKNOWN, 2]


@given(st.lists(st.integers(0, 20_000), min_size=1))
def test_equation_1_against_scalar_arithmetic(counts):
    expected = [min(1.0, math.sqrt(count / 8000)) for count in counts]
    np.testing.assert_allclose(discard_probability(np.array(counts), 8000), expected)


@settings(deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 9), max_size=8), min_size=1, max_size=20), st.integers(0, 99)
)
def test_subsampling_keeps_order_and_never_empties_a_sentence(sentences, seed):
    encoded = [np.array(sentence, dtype=np.int64) for sentence in sentences]
    probability = np.linspace(0, 1, 10)
    thinned = subsample(encoded, probability, np.random.default_rng(seed))
    for before, after in zip(encoded, thinned, strict=True):
        assert bool(len(before)) == bool(len(after))
        remaining = iter(before.tolist())
        assert all(word in remaining for word in after.tolist()), "a subsequence"
        assert set(before[before == 0]) == set(after[after == 0]), "P = 0 is always kept"


def test_subsampling_discards_at_the_rate_of_equation_1():
    counts = np.array([0, 0, 2000])
    sentences = [np.array([2] * 50)] * 400
    thinned = subsample(sentences, discard_probability(counts, 8000), np.random.default_rng(0))
    kept = sum(map(len, thinned)) / 20_000
    assert abs(kept - 0.5) < 4 * 0.5 / math.sqrt(20_000)


def test_padding_reaches_the_widest_filter():
    padded = pad([np.array([4, 5]), np.array([], dtype=np.int64)], shortest=5)
    assert padded.tolist() == [[4, 5, 0, 0, 0], [0, 0, 0, 0, 0]]
    assert pad([np.arange(1, 8)], shortest=5).shape == (1, 7)


@pytest.fixture
def vectors():
    keyed = KeyedVectors(vector_size=3)
    keyed.add_vectors(["oh", "so"], np.array([[1, 2, 3], [4, 5, 6]], dtype=np.float32))
    return keyed


def saved(vectors, folder, name):
    path = folder / name
    plain = name.removesuffix(".gz")
    if plain.endswith(".bin"):
        vectors.save_word2vec_format(str(folder / plain), binary=True)
    elif plain == "glove.txt":
        vectors.save_word2vec_format(str(folder / plain), write_header=False)
    elif plain.endswith((".txt", ".vec")):
        vectors.save_word2vec_format(str(folder / plain))
    else:
        vectors.save(str(folder / plain))
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress((folder / plain).read_bytes()))
    return path


@pytest.mark.parametrize("name", ["v.bin", "v.bin.gz", "v.txt", "v.vec", "glove.txt", "v.kv"])
def test_vectors_are_read_in_every_common_form(vectors, tmp_path, name):
    loaded = load_vectors(saved(vectors, tmp_path, name))
    assert loaded.source == name
    np.testing.assert_allclose(loaded.vectors["so"], [4, 5, 6])


def test_vectors_that_cannot_be_read_say_what_to_do(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_vectors(tmp_path / "absent.bin")
    path = tmp_path / "broken.bin"
    path.write_bytes(b"not vectors at all")
    with pytest.raises(InputError, match="not readable as word vectors"):
        load_vectors(path)


def test_words_without_a_vector_are_drawn_with_the_same_spread(vectors):
    vocab = vocabulary([["oh", "oh", "oh", *(f"rare{i}" for i in range(3000))]])
    source = WordVectors("test", vectors)
    matrix = source.matrix(vocab, seed=0)
    assert matrix.shape == (3003, 3) and not matrix[0].any()
    np.testing.assert_array_equal(matrix[2], [1, 2, 3])
    assert abs(matrix[3:].std() - vectors.vectors.std()) < 0.05
    words, occurrences = source.out_of_vocabulary(vocab)
    assert words == pytest.approx(3000 / 3001) and occurrences == pytest.approx(3000 / 3003)


def test_a_tag_takes_the_vector_of_its_bare_word():
    vectors = KeyedVectors(vector_size=2)
    vectors.add_vectors(["laughter", "[breathing]", "breathing"], np.eye(3, 2, dtype=np.float32))
    vocab = vocabulary([["[laughter]", "[breathing]", "[lipsmack]"]])
    source = WordVectors("test", vectors)
    matrix = dict(zip(vocab.words, source.matrix(vocab, seed=0), strict=True))
    np.testing.assert_array_equal(matrix["[laughter]"], [1, 0])
    np.testing.assert_array_equal(matrix["[breathing]"], [0, 1])  # a vector of its own comes first
    assert source.out_of_vocabulary(vocab) == (pytest.approx(1 / 3), pytest.approx(1 / 3))
