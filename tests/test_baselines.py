"""Baselines: by hand, against plain scikit-learn, without leaks; their store and tables."""

import functools
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import small
from click.testing import CliRunner
from sklearn.calibration import CalibratedClassifierCV
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from replicate.__main__ import main
from replicate.corpora.opening import open_corpus
from replicate.corpora.protocol import classes, cohort, split
from replicate.corpora.transcriptions import tokens
from replicate.files import InputError
from replicate.paper import EMOTIONS
from replicate.runs.baselines import BASELINES
from replicate.runs.published import load_run, load_runs
from replicate.runs.selection import answers, load_baselines
from replicate.runs.versions import Seen, at_hand
from replicate.settings import Fold
from replicate.stats import classification
from replicate.stats.summaries import summarise
from replicate.training import baselines
from replicate.training.baselines import COEFFICIENTS, LOUDNESS, PREDICT

ANGER, HAPPINESS, NEUTRALITY, SADNESS = range(4)

#: Training turns: dialogue, speaker, place, words, class. Sadness is the most frequent.
TURNS = [
    ("d1", "F", 0, "You again!", ANGER),
    ("d1", "F", 4, "Go.", ANGER),
    ("d1", "F", 6, "Well.", SADNESS),
    ("d1", "M", 1, "Fine, fine.", HAPPINESS),
    ("d1", "M", 5, "well", HAPPINESS),
    ("d2", "F", 0, "Okay.", NEUTRALITY),
    ("d2", "F", 2, "I see.", SADNESS),
    ("d3", "M", 0, "It's gone.", SADNESS),
]


def turns(rows, prefix):
    ids = pd.Index([f"{prefix}{k}" for k in range(len(rows))], name="utterance")
    return pd.DataFrame(rows, ids, ["dialogue", "speaker", "place", "transcript"])


def answer(predict, dialogue="d1", speaker="F", place=5.0, words="?"):
    """Probabilities that a look-up gives to one turn."""
    train = turns([turn[:4] for turn in TURNS], "train").astype({"place": float})
    labels = np.array([turn[4] for turn in TURNS])
    return predict(train, labels, turns([(dialogue, speaker, place, words)], "test"))[0]


SHARES = np.array([2, 2, 1, 3]) / 8  # of all training turns


class TestLookUps:
    """Every probability by hand: (counts + shares of all) / (n + 1)."""

    def test_majority(self):
        assert answer(baselines.majority) == pytest.approx(SHARES)

    def test_dialogue(self):
        expected = (np.array([2, 2, 0, 1]) + SHARES) / 6
        assert answer(baselines.dialogue) == pytest.approx(expected)

    def test_dialogue_and_speaker(self):
        found = [answer(baselines.dialogue_speaker, speaker=s).argmax() for s in "FM"]
        assert found == [ANGER, HAPPINESS]

    def test_ties_go_to_what_is_more_frequent_elsewhere(self):
        assert answer(baselines.dialogue, "d2").argmax() == SADNESS

    @pytest.mark.parametrize(
        ("place", "nearest"), [(0.5, ANGER), (4.9, ANGER), (5.0, ANGER), (5.1, SADNESS)]
    )
    def test_nearest_turn_and_of_two_the_earlier(self, place, nearest):
        expected = (np.eye(4)[nearest] + SHARES) / 2
        assert answer(baselines.nearest_turn, place=place) == pytest.approx(expected)

    def test_same_words_whatever_the_punctuation(self):
        expected = (np.array([0, 1, 0, 1]) + SHARES) / 3
        assert answer(baselines.same_text, words="WELL...") == pytest.approx(expected)

    @pytest.mark.parametrize("name", ["dialogue", "dialogue-speaker", "nearest-turn", "same-text"])
    def test_what_training_never_met_gets_the_shares_of_all(self, name):
        found = answer(PREDICT[name], "d9", words="never said")
        assert found == pytest.approx(SHARES)

    def test_order_of_the_rows_does_not_matter(self):
        rows, table = material()
        parts = split(table, Fold("session", "2"))
        labels = classes(table)
        for name in ("dialogue", "nearest-turn", "same-text"):
            predict = PREDICT[name]
            there = predict(rows.iloc[parts.train], labels[parts.train], rows.iloc[parts.test])
            back, turned = parts.train[::-1], rows.iloc[parts.test[::-1]]
            assert np.array_equal(there, predict(rows.iloc[back], labels[back], turned)[::-1])


@functools.cache
def material():
    """What baselines know of the small corpus, of recordings and of features, and its cohort."""
    table = cohort(small.corpus())
    rows = baselines.features(small.corpus(), table, small.waveforms())
    acoustic = small.features().frame().add_prefix(baselines.ACOUSTIC)
    return rows.join(acoustic), table


def parts_of(fold):
    rows, table = material()
    parts, labels = split(table, fold), classes(table)
    return rows.iloc[parts.train], labels[parts.train], rows.iloc[parts.test]


class TestPipelines:
    """Against the steps one by one."""

    def test_tfidf(self):
        train, labels, test = parts_of(Fold())
        weights = TfidfVectorizer(tokenizer=tokens, token_pattern=None, ngram_range=(1, 2))
        model = LogisticRegression(max_iter=1000)
        model.fit(weights.fit_transform(train["transcript"]), labels)
        expected = model.predict_proba(weights.transform(test["transcript"]))
        assert np.array_equal(baselines.tfidf(train, labels, test), expected)

    def test_loudness(self):
        train, labels, test = parts_of(Fold())
        x, asked = np.log(train[LOUDNESS].to_numpy()), np.log(test[LOUDNESS].to_numpy())
        mean, deviation = x.mean(0), x.std(0)
        model = LogisticRegression(max_iter=1000).fit((x - mean) / deviation, labels)
        expected = model.predict_proba((asked - mean) / deviation)
        assert baselines.loudness(train, labels, test) == pytest.approx(expected)

    def test_mfcc_and_late_fusion(self):
        train, labels, test = parts_of(Fold())
        scaler = StandardScaler().fit(train[COEFFICIENTS])
        model = CalibratedClassifierCV(SVC(), ensemble=False, cv=5)
        model.fit(scaler.transform(train[COEFFICIENTS]), labels)
        expected = model.predict_proba(scaler.transform(test[COEFFICIENTS]))
        assert np.array_equal(baselines.mfcc(train, labels, test), expected)
        fused = (expected + baselines.tfidf(train, labels, test)) / 2
        assert np.array_equal(baselines.late_fusion(train, labels, test), fused)

    def test_features_and_their_fusion_with_words(self):
        train, labels, test = parts_of(Fold())
        names = [baselines.ACOUSTIC + name for name in small.features().columns]
        scaler = StandardScaler().fit(train[names])
        model = LogisticRegression(max_iter=1000).fit(scaler.transform(train[names]), labels)
        sound = model.predict_proba(scaler.transform(test[names]))
        assert np.array_equal(baselines.features_linear(train, labels, test), sound)
        words = baselines.tfidf(train, labels, test)
        odds = np.log(words) + np.log(sound) - np.log(np.bincount(labels))
        expected = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
        assert baselines.features_product(train, labels, test) == pytest.approx(expected)
        level = StandardScaler().fit(train[[names[0], names[2]]])
        model = LogisticRegression(max_iter=1000)
        model.fit(level.transform(train[[names[0], names[2]]]), labels)
        expected = model.predict_proba(level.transform(test[[names[0], names[2]]]))
        assert np.array_equal(baselines.features_level(train, labels, test), expected)

    def test_a_level_less_its_speakers_mean_knows_no_loud_speakers(self):
        train, labels, test = parts_of(Fold())
        acoustic = train.filter(like=baselines.ACOUSTIC).columns
        known = baselines.features_level_speaker(train, labels, test)
        speakers = sorted({*train["speaker"], *test["speaker"]})
        gain = pd.Series(np.arange(len(speakers), dtype=float), speakers)
        louder = [
            part.assign(**{c: part[c] + part["speaker"].map(gain) for c in acoustic})
            for part in (train, test)
        ]
        found = baselines.features_level_speaker(louder[0], labels, louder[1])
        assert found == pytest.approx(known)
        by_level = baselines.features_level(louder[0], labels, louder[1])
        assert by_level != pytest.approx(baselines.features_level(train, labels, test))

    def test_a_stacked_fusion_weighs_what_cross_validation_shows(self):
        train, labels, test = parts_of(Fold())
        acoustic = train.filter(like=baselines.ACOUSTIC).columns
        noise = np.random.default_rng(0).normal(size=(len(train) + len(test), len(acoustic)))
        deaf = train.assign(**dict(zip(acoustic, noise[: len(train)].T, strict=True)))
        asked = test.assign(**dict(zip(acoustic, noise[len(train) :].T, strict=True)))
        found = baselines.features_stacked(deaf, labels, asked).argmax(axis=1)
        words = baselines.tfidf(train, labels, test).argmax(axis=1)
        assert (found == words).mean() > 0.9, "words decide where sound is noise"

    def test_silence_has_a_loudness(self):
        train, labels, test = parts_of(Fold())
        silent = test.assign(average=0.0, spread=0.0)
        assert np.isfinite(baselines.loudness(train, labels, silent)).all()


class TestFeatures:
    def test_of_features_replace_those_of_recordings(self):
        corpus = replace(small.corpus(), features=small.features())
        ends = corpus.utterances.assign(end=corpus.utterances["start"] + 0.5)
        corpus = replace(corpus, utterances=ends.assign(wav=pd.NA))
        found = baselines.features(corpus, cohort(corpus), corpus.features)
        acoustic = found.filter(like=baselines.ACOUSTIC)
        assert np.array_equal(acoustic.to_numpy(), small.features().values)
        assert set(found["seconds"]) == {0.5} and "average" not in found
        allowed = {setting.model for setting in baselines.wanted(corpus, "stratified", 1)}
        assert {"features-stacked", "duration"} <= allowed and "mfcc" not in allowed

    def test_know_no_class(self):
        corpus, table = small.corpus(), cohort(small.corpus())
        other = table.assign(emotion="anger", label="anger")
        found = baselines.features(corpus, table, small.waveforms())
        assert found.equals(baselines.features(corpus, other, small.waveforms()))
        assert {"label", "emotion"}.isdisjoint(found)

    def test_place_is_the_start_or_where_unknown_the_turn(self):
        corpus = small.corpus()
        table = cohort(corpus)
        assert baselines.features(corpus, table)["place"].tolist() == [float(i) for i in range(64)]
        untimed = replace(corpus, utterances=corpus.utterances.assign(start=np.nan))
        places = baselines.features(untimed, cohort(untimed))["place"]
        assert places.tolist() == [float(i % 8) for i in range(64)]

    def test_turns_outside_the_cohort_count_as_turns(self):
        corpus = small.corpus()
        labels = corpus.utterances["label"].where(corpus.utterances.index != 1, "surprise")
        untimed = corpus.utterances.assign(start=np.nan, label=labels)
        corpus = replace(corpus, utterances=untimed)
        assert baselines.features(corpus, cohort(corpus))["place"].iloc[:3].tolist() == [0, 2, 3]

    def test_loudness_moves_the_first_coefficient_alone(self):
        quiet = small.waveforms()
        quiet = replace(quiet, samples=(quiet.samples // 4).astype(np.int16))
        loud = replace(quiet, samples=(quiet.samples * 4).astype(np.int16))
        ids = list(quiet.utterances[:12])
        moved = baselines.mfccs(loud, ids) - baselines.mfccs(quiet, ids)
        # 20 log10(4) dB in each of 40 bands, through an orthonormal cosine transform
        assert moved["mfcc_0"].to_numpy() == pytest.approx(20 * np.log10(4) * 40**0.5, rel=1e-4)
        assert np.abs(moved.drop(columns="mfcc_0")).to_numpy().max() < 1e-2


@pytest.mark.parametrize("name", PREDICT)
class TestEveryBaseline:
    fold = Fold("session", "2")  # which, unlike a stratified one, does not depend on the classes

    def probabilities(self, name, table=None):
        rows, own = material()
        found = baselines.tested(PREDICT[name], rows, own if table is None else table, self.fold)
        return found[list(EMOTIONS)].to_numpy()

    def test_gives_a_distribution_to_each_test_utterance(self, name):
        rows, table = material()
        found = baselines.tested(PREDICT[name], rows, table, Fold())
        assert found["utterance"].tolist() == rows.index[split(table, Fold()).test].tolist()
        assert found[list(EMOTIONS)].sum(axis=1).to_numpy() == pytest.approx(1)
        assert found["emotion"].equals(table.set_index("utterance")["emotion"].loc[
            found["utterance"]].reset_index(drop=True))  # fmt: skip

    def test_never_sees_the_classes_of_the_test_part(self, name):
        _, table = material()
        test = split(table, self.fold).test
        emotion = table["emotion"].to_numpy().copy()
        emotion[test] = np.random.default_rng(0).permutation(emotion[test])
        other = self.probabilities(name, table.assign(emotion=emotion))
        assert np.array_equal(self.probabilities(name), other)
        emotion[:] = np.roll(emotion, 16)[::-1]  # while those of the training part matter
        emotion[:6] = "anger"
        other = self.probabilities(name, table.assign(emotion=emotion))
        assert not np.array_equal(self.probabilities(name), other)

    def test_repeats_itself_to_the_bit(self, name):
        assert np.array_equal(self.probabilities(name), self.probabilities(name))

    def test_says_what_it_does(self, name):
        assert len(PREDICT[name].__doc__.splitlines()[0]) > 20


def stored(root, splits=2, corpus=None):
    corpus = corpus or small.corpus()
    settings = baselines.wanted(corpus, "stratified", splits)
    heard = small.waveforms() if corpus.has_audio else None
    return list(baselines.compute(settings, corpus, heard, root))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with every baseline on two splits, and what was put into it."""
    root = tmp_path_factory.mktemp("results")
    return root, stored(root)


class TestStore:
    def test_reads_back_what_was_computed(self, store):
        tmp_path, made = store
        seen = at_hand(small.corpus())
        assert load_runs("small", "baselines", tmp_path, seen)
        found = load_baselines("small", tmp_path).runs
        assert [f.experiment for f in found] == [m.experiment for m in made]
        for one, other in zip(made, found, strict=True):
            assert one.provenance == other.provenance and one.folder == other.folder
            assert one.predictions.equals(other.predictions.astype(one.predictions.dtypes))
        origin = found[0].provenance
        assert origin.synthetic and origin.n_train + origin.n_test == 64
        assert found[0].changed_code == () and {"mfcc", "cohort"} <= set(origin.code)

    def test_only_what_hears_audio_has_its_fingerprint(self, store):
        for result in store[1]:
            heard = result.provenance.audio_fingerprint is not None
            needs = BASELINES[result.experiment.model].needs
            assert heard == bool({"audio", "times"} & set(needs)), "recordings say how long, too"

    def test_holds_no_transcript(self, store):
        content = [path.read_text() for path in store[0].rglob("*.json")]
        content += [pd.read_parquet(path).to_csv() for path in store[0].rglob("*.parquet")]
        assert not [word for word in small.WORDS if word in "\n".join(content)]

    @pytest.fixture
    def folder(self, store, tmp_path):
        """One result in a store of its own."""
        made = store[1][0].folder
        return Path(shutil.copytree(made, tmp_path.joinpath(*made.parts[-3:])))

    def test_damage_is_named(self, folder):
        predictions, record = folder / "predictions.parquet", folder / "baseline.json"
        whole, said = predictions.read_bytes(), record.read_text()
        predictions.write_bytes(whole[:-1])
        with pytest.raises(InputError, match=r"predictions\.parquet: missing, or not the file"):
            load_run(folder)
        predictions.write_bytes(whole)
        record.write_text(said.replace('"n_test"', '"tests"'))
        with pytest.raises(InputError, match=r"provenance\.n_test"):
            load_run(folder)
        record.write_text(said.replace('"majority"', '"dialogue"'))
        with pytest.raises(InputError, match="holds small/baselines/dialogue-stratified-0"):
            load_run(folder)
        changed = json.loads(said)
        changed["provenance"]["n_test"] += 1
        record.write_text(json.dumps(changed))
        with pytest.raises(InputError, match="one distribution for each test utterance"):
            load_run(folder)

    def test_another_version_of_the_corpus_is_refused(self, store):
        with pytest.raises(InputError, match="another version of small"):
            load_runs("small", "baselines", store[0], Seen("0" * 64))

    def test_a_write_that_was_cut_short_leaves_no_result(self, folder, tmp_path):
        assert len(load_runs("small", "baselines", tmp_path)) == 1
        (folder / "baseline.json").unlink()
        assert load_runs("small", "baselines", tmp_path) == []

    def test_metrics_treat_results_as_runs(self, store):
        _, results = store
        found = summarise(answers(results), "dialogue")
        offered = {"text", "audio", "times"}
        assert found["model"].tolist() == [
            name for name, baseline in BASELINES.items() if offered.issuperset(baseline.needs)
        ]
        assert set(found["n_seeds"]) == {2} and set(found["profile"]) == {"baselines"}
        first = [
            (classification.predicted(r.predictions) == r.predictions["emotion"]).mean()
            for r in results[:2]
        ]
        assert found["accuracy"].iloc[0] == pytest.approx(np.mean(first))


class TestWhatACorpusAllows:
    @pytest.mark.parametrize(
        ("lacking", "allowed"),
        [
            ("wav", {name for name, b in BASELINES.items() if {"text"}.issuperset(b.needs)}),
            (
                "transcript",
                {n for n, b in BASELINES.items() if {"audio", "times"}.issuperset(b.needs)},
            ),
        ],
    )
    def test_without_text_or_audio(self, lacking, allowed):
        corpus = small.corpus()
        corpus = replace(corpus, utterances=corpus.utterances.assign(**{lacking: pd.NA}))
        wanted = baselines.wanted(corpus, "session", 2)
        assert {setting.model for setting in wanted} == allowed

    def test_text_without_recordings_is_computed(self, tmp_path):
        corpus = small.corpus()
        corpus = replace(corpus, utterances=corpus.utterances.assign(wav=pd.NA))
        assert len(stored(tmp_path, splits=1, corpus=corpus)) == 6

    def test_folds(self):
        corpus = small.corpus()
        sessions = {s.fold for s in baselines.wanted(corpus, "session", 2)}
        assert sessions == {Fold("session", str(k)) for k in range(1, 5)}
        splits = {s.fold for s in baselines.wanted(corpus, "stratified", 2)}
        assert splits == {Fold(), Fold("stratified", "1")}
        with pytest.raises(InputError, match="has no scenarios"):
            baselines.wanted(corpus, "scenario", 2)


class TestCommand:
    def run(self, *arguments):
        done = CliRunner().invoke(main, ["baselines", *map(str, arguments)])
        assert done.exit_code == 0, done.output
        return done

    def test_twice_does_the_work_once(self, tmp_path):
        arguments = ("--corpus", "standin-tiny", "--seeds", 1, "--results", tmp_path)
        first = self.run(*arguments).output
        times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
        second = self.run(*arguments).output
        assert "10 results, 0 already there" in first
        assert "10 results, 10 already there" in second
        assert times == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
        assert len(list(tmp_path.glob("*/*/*"))) == 2, "few files, and no folders"
        overview = first[first.index("           model") :]
        assert second.endswith(overview) and overview.count("stratified") == 10

    def test_says_what_a_corpus_without_recordings_leaves_out(self, tmp_path):
        tree, standin = tmp_path / "IEMOCAP_full_release", open_corpus("standin-tiny")
        no_audio = shutil.ignore_patterns("sentences")
        shutil.copytree(standin.root / tree.name, tree, ignore=no_audio)
        where = ("--corpus", "iemocap", "--data", tree, "--results", tmp_path / "results")
        done = self.run(*where, "--seeds", 1)
        assert "mfcc is left out: it needs audio" in done.stderr and "tfidf" in done.stdout
