"""Section 4.1: the cohort and the folds, against the published metadata of the real corpus."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from replicate.corpora.protocol import classes, cohort, groups, split
from replicate.corpora.table import Corpus, utterance_table
from replicate.files import InputError
from replicate.paper import EMOTIONS
from replicate.settings import Fold

SHARED = Path(__file__).parents[2] / "shared" / "data"
METADATA = SHARED / "iemocap-metadata" / "utterances.csv"

needs_metadata = pytest.mark.skipif(
    not METADATA.exists(), reason="the published IEMOCAP metadata are not beside this checkout"
)

#: Label -> class, in IEMOCAP.
MERGED = {
    "ang": "anger", "hap": "happiness", "exc": "happiness", "neu": "neutrality", "sad": "sadness",
}  # fmt: skip


def corpus_of(rows):
    return Corpus("test", "test", Path("nowhere"), utterance_table(rows), MERGED)


@pytest.fixture(scope="module")
def real():
    rows = []
    for utterance, label in pd.read_csv(METADATA)[["utterance", "label"]].itertuples(index=False):
        dialogue, _, turn = utterance.rpartition("_")
        rows.append(
            {
                "utterance": utterance,
                "dialogue": dialogue,
                "session": utterance[4],
                "speaker": f"{utterance[:5]}_{turn[0]}",
                "label": label,
            }
        )
    return cohort(corpus_of(rows))


def synthetic(n=200):
    rng = np.random.default_rng(0)
    labels = ["ang", "hap", "exc", "neu", "sad", "fru", "xxx"]
    return corpus_of(
        [
            {
                "utterance": f"u{i:03d}",
                "dialogue": f"d{i // 20}",
                "session": str(1 + i // 40),
                "speaker": f"s{i // 20}",
                "label": labels[rng.integers(len(labels))],
                "start": float(i),
            }
            for i in range(n)
        ]
    )


@needs_metadata
def test_the_real_cohort_and_split_have_the_papers_counts(real):
    counts = real["emotion"].value_counts()
    assert [counts[e] for e in EMOTIONS] == [1103, 1636, 1708, 1084]
    parts = split(real, Fold())
    assert (len(parts.train), len(parts.test)) == (4976, 555)
    # the row sums of Table 7: 80+9+14+8, 16+117+25+6, 13+18+109+31, 2+2+14+91
    assert np.bincount(classes(real)[parts.test]).tolist() == [111, 164, 171, 109]


@needs_metadata
def test_session_folds_hold_out_two_speakers(real):
    assert groups(real, "session") == ["1", "2", "3", "4", "5"]
    for session in groups(real, "session"):
        parts = split(real, Fold("session", session))
        speakers = real["speaker"].to_numpy()
        held, seen = set(speakers[parts.test]), set(speakers[parts.train])
        assert len(held) == 2 and len(seen) == 8 and not held & seen


@needs_metadata
def test_dialogue_folds_hold_out_a_tenth_of_the_dialogues_whole(real):
    tested = []
    for tenth in groups(real, "dialogue"):
        parts = split(real, Fold("dialogue", tenth))
        held, seen = (set(real["dialogue"].iloc[rows]) for rows in (parts.test, parts.train))
        assert not held & seen
        assert len(held) in (len(held | seen) // 10, len(held | seen) // 10 + 1)
        tested.extend(parts.test)
    assert sorted(tested) == list(range(len(real)))


@pytest.mark.parametrize("development", [0.0, 0.1])
@pytest.mark.parametrize("fold", [Fold("stratified", "3"), Fold("session", "2")])
def test_parts_are_disjoint_and_whole(fold, development):
    table = cohort(synthetic())
    parts = split(table, fold, development)
    every = np.concatenate([parts.train, parts.development, parts.test])
    assert sorted(every) == list(range(len(table)))
    assert bool(len(parts.development)) == bool(development)


def test_a_split_is_the_same_each_time_and_another_for_another_number():
    table = cohort(synthetic())
    again = [split(table, Fold("stratified", number), 0.1) for number in ("0", "0", "1")]
    assert np.array_equal(again[0].test, again[1].test)
    assert np.array_equal(again[0].development, again[1].development)
    assert not np.array_equal(again[0].test, again[2].test)


def test_the_cohort_leaves_other_labels_out_and_keeps_the_order():
    corpus = synthetic()
    table = cohort(corpus)
    assert set(table["label"]) == set(MERGED)
    assert table["utterance"].is_monotonic_increasing
    assert set(corpus.utterances["label"]) > set(table["label"])


def test_a_corpus_without_one_of_the_classes_is_refused():
    rows = [{"utterance": "u", "dialogue": "d", "label": "ang"}]
    with pytest.raises(InputError, match="happiness, neutrality, sadness"):
        cohort(corpus_of(rows))


def test_an_unknown_group_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="'1', '2'"):
        split(cohort(synthetic()), Fold("session", "9"))
