"""Words against counts by hand, enumerations and scikit-learn; and the lists that are stored."""

import functools
from collections import Counter
from dataclasses import replace
from pathlib import Path

import made_runs
import numpy as np
import pandas as pd
import pytest
import small
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import mutual_info_score
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from replicate import paper
from replicate.corpora import standin
from replicate.corpora.opening import open_corpus
from replicate.corpora.protocol import cohort
from replicate.corpora.table import text_fingerprint
from replicate.corpora.transcriptions import discard_probability, tokens, vocabulary
from replicate.files import InputError
from replicate.paper import EMOTIONS
from replicate.report import sources
from replicate.runs.selection import Selection
from replicate.settings import Fold
from replicate.studies import audit, wordlists
from replicate.studies.words import (
    association,
    described,
    expected_information,
    fewest,
    in_grammar,
    mutual_information,
    on_top,
    survival,
    top_words,
    word_table,
)

DATA = Path(__file__).parents[2] / "shared" / "data"

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


@settings(max_examples=50, deadline=None)
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


@settings(max_examples=25, deadline=None)
@given(corpora)
def test_by_tokens_each_occurrence_stands_by_itself(corpus):
    sentences, classes = map(list, zip(*corpus, strict=True))
    apart = [(word, c) for sentence, c in corpus for word in sentence]
    table = word_table(sentences, classes, "tokens")
    for found in table.to_dict("records"):
        is_word = [word == found["word"] for word, _ in apart]
        inside = [c == found["emotion"] for _, c in apart]
        expected = mutual_info_score(is_word, inside)
        assert found["mutual_information"] == pytest.approx(expected, abs=1e-12)
    same = ["count", "present", "ratio"]
    assert table[same].equals(word_table(sentences, classes)[same])


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


# --- the corrected method ---


def tables_with_margins(n, word, of_class):
    """Every 2 x 2 table of these margins, and its probability under independence."""
    both = np.arange(max(0, word + of_class - n), min(word, of_class) + 1)
    cells = [n - word - of_class + both, of_class - both, word - both, both]
    joint = np.stack(cells, axis=-1).reshape(-1, 2, 2).astype(float)
    return joint, stats.hypergeom(n, of_class, word).pmf(both)


@pytest.mark.parametrize("margins", [(40, 7, 12), (40, 1, 20), (10, 9, 8), (200, 60, 50)])
def test_the_expected_information_is_the_mean_over_all_tables(margins):
    joint, chances = tables_with_margins(*margins)
    mean = (chances * mutual_information(joint)).sum()
    assert expected_information(joint) == pytest.approx(np.full(len(joint), mean), rel=1e-9)


def test_nothing_is_expected_where_a_word_or_a_class_is_everywhere_or_nowhere():
    everywhere, nowhere = [[0, 0], [6, 4]], [[10, 0], [0, 0]]
    assert expected_information(np.array([everywhere, nowhere], dtype=float)).tolist() == [0, 0]


@pytest.mark.parametrize("margins", [(40, 7, 12), (40, 1, 20), (10, 9, 8)])
def test_association_is_twice_fishers_smaller_tail(margins):
    joint, _ = tables_with_margins(*margins)
    for table, p_value in zip(joint, association(joint), strict=True):
        tails = [stats.fisher_exact(table, alternative=side).pvalue for side in ("less", "greater")]
        assert p_value == pytest.approx(min(1, 2 * min(tails)))


@settings(max_examples=30, deadline=None)
@given(corpora)
def test_corrected_has_the_sign_and_never_more_than_the_information(corpus):
    table = word_table(*map(list, zip(*corpus, strict=True)))
    assert (table["corrected"].abs() <= table["mutual_information"]).all()
    assert (table["corrected"] * table["sign"] >= 0).all()
    q_values = multipletests(table["p_value"], method="fdr_bh")[1]
    assert table["q_value"].to_numpy() == pytest.approx(q_values)


def noise(n=400, words=60, seed=0):
    """Sentences of ten random words, and classes that have nothing to do with them."""
    rng = np.random.default_rng(seed)
    said = [[f"w{k:02d}" for k in rng.integers(words, size=10)] for _ in range(n)]
    return said, rng.choice(EMOTIONS, n).tolist()


def test_of_unrelated_words_hardly_any_is_found_and_of_a_related_one_it_is():
    false = [word_table(*noise(seed=seed))["q_value"].min() <= 0.05 for seed in range(20)]
    assert sum(false) <= 3  # one in twenty is allowed
    said, classes = noise()
    for sentence, emotion in zip(said, classes, strict=True):
        sentence += ["gone"] * (emotion == "sadness")
    found = word_table(said, classes)
    assert row(found, "sadness", "gone")["q_value"] < 1e-6
    assert row(found, "sadness", "gone")["corrected"] > 0 > row(found, "anger", "gone")["corrected"]
    assert top_words(word_table(*noise())).groupby("emotion").size().tolist() == [3] * 4


def test_what_decides_a_class_survives_and_what_a_class_avoids_survives_uncorrected_only():
    said, classes = noise()
    for sentence, emotion in zip(said, classes, strict=True):
        sentence += ["gone"] * (emotion == "sadness") + ["fine"] * (emotion != "anger")
    kept = survival(said, classes)
    assert row(kept, "sadness", "gone")["by_information"] == 1
    assert row(kept, "sadness", "gone")["by_corrected"] == 1
    assert row(kept, "anger", "fine")["by_information"] == 1
    assert row(kept, "anger", "fine")["by_corrected"] == 0
    shares = kept.groupby("emotion")[["by_information", "by_corrected"]].sum()
    assert shares.to_numpy() == pytest.approx(np.full((4, 2), 3))
    table = word_table(said, classes)
    pd.testing.assert_frame_equal(kept[["emotion", "word"]], table[["emotion", "word"]])


def test_a_word_of_one_dialogue_survives_as_often_as_its_dialogue_is_drawn():
    """One of ten dialogues is left out of a sample with probability .9^10."""
    said, classes = noise()
    dialogues = np.repeat(range(10), 40)
    for sentence, emotion, dialogue in zip(said, classes, dialogues, strict=True):
        sentence += ["business"] if emotion == "anger" and dialogue == 0 else []
    by_dialogue = row(survival(said, classes, dialogues), "anger", "business")["by_corrected"]
    assert by_dialogue == pytest.approx(1 - 0.9**10, abs=0.08)
    assert row(survival(said, classes), "anger", "business")["by_corrected"] > 0.95


def test_ranks_are_the_order_of_top_words_and_of_what_is_found():
    said, classes = noise()
    for sentence, emotion in zip(said, classes, strict=True):
        sentence += ["fine"] * (emotion != "anger") + ["gone"] * (emotion == "sadness")
    texts = [" ".join(sentence) for sentence in said]
    found = described(
        pd.DataFrame({"transcript": texts, "emotion": classes, "dialogue": range(len(said))})
    )
    top = found[found["rank"] <= 3].sort_values(["emotion", "rank"])
    pairs = ["emotion", "word"]
    assert top[pairs].to_numpy().tolist() == top_words(found)[pairs].to_numpy().tolist()
    ranked = found[found["corrected_rank"].notna()]
    assert (ranked["corrected"] > 0).all() and (ranked["q_value"] <= 0.05).all()
    assert row(found, "anger", "fine")["rank"] == 1
    assert np.isnan(row(found, "anger", "fine")["corrected_rank"])
    assert set(map(tuple, top[pairs].to_numpy())) <= set(
        map(tuple, on_top(found)[pairs].to_numpy())
    )


def test_a_class_that_no_sentence_has_ranks_no_word():
    texts = ["oh fine", "fine then", "oh no", "not at all"]
    classes = ["anger", "anger", "happiness", "happiness"]
    found = described(pd.DataFrame({"transcript": texts, "emotion": classes, "dialogue": texts}))
    assert found[found["emotion"].isin(["neutrality", "sadness"])]["rank"].isna().all()
    assert found[found["emotion"] == "anger"]["rank"].min() == 1
    assert set(on_top(found)["emotion"]) == {"anger", "happiness"}


def test_the_grammar_knows_what_its_words_are_worth():
    """A word of one symbol's clauses alone has the shares of the classes given that symbol."""
    joint = standin.prior()[:, None] * np.array(standin.PRESETS["default"].text)
    given_symbol = joint / joint.sum(axis=0)
    found = in_grammar("default", n=1500)
    for symbol, word in enumerate(("hell", "congratulations", None, "hurts")):
        if word:
            shares = found[found["word"] == word]["true_share"].to_numpy()
            assert shares == pytest.approx(given_symbol[:, symbol])
    assert found.groupby("word")["true_share"].sum().to_numpy() == pytest.approx(1)
    silent = in_grammar("audio-only", n=300).groupby("word")["true_share"]
    assert all(shares.to_numpy() == pytest.approx(standin.prior()) for _, shares in silent)


# --- stored lists ---


@functools.cache
def lists():
    """Those of the small corpus, with two trainings: one predicts anger, one is right."""
    corpus = replace(small.corpus(), name="iemocap-features")
    table = cohort(corpus)
    halves = table.iloc[:40], table.iloc[20:]
    answers = (["anger"] * 40, halves[1]["emotion"].tolist())
    runs = [
        made_runs.run(
            part["emotion"], guessed, part["utterance"].tolist(), "text", seed=seed,
            fold=Fold("stratified", str(seed)),
        )
        for seed, (part, guessed) in enumerate(zip(halves, answers, strict=True))
    ]  # fmt: skip
    return corpus, {found.classes: found for found in wordlists.make(corpus, runs)}


def test_a_sentence_counts_once_with_the_class_that_the_first_training_predicts():
    corpus, found = lists()
    assert list(found) == ["true", "predicted", "one-test-set"]
    assert [one.sentences for one in found.values()] == [64, 64, 40]
    assert [len(one.runs) for one in found.values()] == [0, 2, 1]
    said = cohort(corpus)["transcript"].map(tokens)
    first = sum("never" in words for words in said[:40])
    never = row(found["predicted"].table, "anger", "never")
    assert (never["count"], never["present"]) == (16, 16)
    assert first == 10  # the other six are those that the second training gets right
    assert row(found["predicted"].table, "happiness", "great")["count"] == 6


def test_words_of_runs_are_those_that_the_paper_names_run_by_run(tmp_path):
    corpus, _ = lists()
    said = corpus.utterances["transcript"] + " so not they"
    corpus = replace(corpus, utterances=corpus.utterances.assign(transcript=said))
    table = cohort(corpus)
    runs = [
        made_runs.run(
            part["emotion"], part["emotion"].tolist(), part["utterance"].tolist(), "att_d1",
            embedding="glove", seed=seed, fold=Fold("stratified", str(seed)),
        )
        for seed, part in enumerate((table.iloc[:40], table.iloc[20:]))
    ]  # fmt: skip
    chosen = Selection("iemocap-features", "paper", tuple(runs))
    found = wordlists.of_runs(corpus, chosen)
    found.save(tmp_path)
    assert wordlists.WordsOfRuns.load(corpus.name, tmp_path) == found
    for table, whole in zip(found.tables, wordlists.words_of(chosen, corpus), strict=True):
        named = whole[wordlists.reported(whole).notna()].reset_index(drop=True)
        same = table[list(named)].reset_index(drop=True).astype(named.dtypes)
        pd.testing.assert_frame_equal(same, named)
        assert set(table["word"]) == {"so", "not", "they"}


def test_lists_read_back_and_hold_single_words(tmp_path):
    corpus, found = lists()
    for one in found.values():
        one.save(tmp_path)
    assert wordlists.load(corpus.name, tmp_path) == found
    for one in found.values():
        assert all(tokens(str(word)) == [word] for word in one.table["word"])
        sizes = one.table.groupby("emotion").size()
        assert (sizes <= 2 * wordlists.KEPT + len(paper.WORDS)).all()
    assert tuple(described(cohort(corpus)).columns) == wordlists.COLUMNS
    assert found["one-test-set"].table.empty, "it has one class alone"


def test_what_equation_1_leaves_is_what_discarding_at_random_leaves():
    said = [["a"] * 9 + ["b"], ["b", "b"], ["a", "c"], ["c"]]
    left = wordlists.thinned(said, t=20)
    assert (left.tokens, left.most_frequent) == (15, 10)
    assert left.highest == pytest.approx(0.5**0.5)
    vocab, rng = vocabulary(said), np.random.default_rng(0)
    gone = discard_probability(vocab.counts, 20)
    kept = [[rng.random(len(s)) >= gone[vocab.encode(s)] for s in said] for _ in range(20_000)]
    dropped = 1 - np.mean([sum(k.sum() for k in each) for each in kept]) / 15
    assert left.dropped == pytest.approx(dropped, abs=0.005)
    emptied = np.mean([[not k.any() for k in each] for each in kept])
    assert left.emptied == pytest.approx(emptied, abs=0.005)


def test_a_damaged_list_names_its_remedy(tmp_path):
    _, found = lists()
    found["true"].save(tmp_path).write_text("{}")
    with pytest.raises(InputError, match="replicate words --corpus iemocap-features"):
        wordlists.load("iemocap-features", tmp_path)


def test_the_source_of_a_list_or_what_would_make_it(monkeypatch):
    _, found = lists()
    monkeypatch.setattr(wordlists, "load", lambda corpus: found if corpus == "small" else {})
    source = sources.of_words("small", "predicted")
    assert source.synthetic and "64 sentences" in source.brief and "text-trainable" in source.brief
    absent = sources.of_words("meld", "true")
    assert not absent and "replicate words" in absent.remedy


@pytest.mark.parametrize(("sentences", "words"), [(560, 1071), (80, 20)])
def test_the_fewest_sentences_of_a_word_that_can_count(sentences, words):
    of_class = sentences // 4

    def corrected(k):  # a word in k sentences, all of one class
        table = [[k, of_class - k], [0, sentences - of_class]]
        return 4 * words * 2 * stats.fisher_exact(table, "greater").pvalue

    least = fewest(sentences, words)
    assert corrected(least) <= 0.05 < corrected(least - 1)


def test_the_paper_names_fourteen_words():
    assert len(paper.WORDS) == 14
    assert float(paper.WORDS["happiness", "laughter"]) == 0.867


class TestFractionsLeft:
    def test_counts_of_the_corpus_decide(self):
        """A word in a tenth of all sentences, twice in each: only one unit fits its ratio."""
        made = wordlists.load("iemocap-features")["true"]
        row = {"emotion": "sadness", "word": "they", "present": 440, "sentences": 220}
        made = replace(made, sentences=5550, rows=[row])
        (left,) = audit.fractions_left(made.table, made.sentences).itertuples()
        assert left.occurrences == [(1, 43), (1, 44)] and left.sentences == []

    def test_every_fraction_lies_in_its_range_and_rounds_to_the_print(self):
        kept = wordlists.load("iemocap-features")["true"]
        for row in audit.fractions_left(kept.table, kept.sentences).itertuples():
            for unit in audit.UNITS:
                low, high = getattr(row, f"{unit}_range")
                for k, n in getattr(row, unit):
                    assert low <= n <= high
                    assert abs(k / n - float(row.printed)) <= 0.0005 + 1e-12


@pytest.mark.parametrize(("name", "folder"), [("iemocap-features", "."), ("meld", "meld")])
def test_stored_lists_are_what_the_transcripts_give(name, folder):
    if not (DATA / folder).is_dir():
        pytest.skip(f"no real data at {DATA / folder}")
    stored = wordlists.load(name)["true"]
    corpus = open_corpus(name, DATA / folder)
    assert stored.text_fingerprint == text_fingerprint(corpus.utterances)
    sentences = cohort(corpus)
    said = [tokens(text) for text in sentences["transcript"]]
    every = word_table(said, sentences["emotion"].tolist())
    assert stored.sentences == len(said)
    cut = wordlists.at_white_space(sentences["transcript"])
    assert stored.cut_at_spaces == cut.to_dict("records")
    assert stored.found == (every["q_value"] <= 0.05).sum()
    pairs = ["emotion", "word"]
    now = stored.table[pairs].merge(every, how="left", on=pairs)
    pd.testing.assert_frame_equal(now, stored.table[every.columns], check_exact=False, rtol=1e-9)
