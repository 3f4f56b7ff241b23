"""Risks of the protocol: by hand, against transcripts, and against simulated processes."""

from dataclasses import replace
from pathlib import Path

import made_runs
import numpy as np
import pandas as pd
import pytest
import small
from scipy import stats
from scipy.signal import lfilter

from replicate.corpora import iemocap as corpora_iemocap
from replicate.corpora.opening import open_corpus
from replicate.corpora.protocol import cohort, groups, split
from replicate.corpora.transcriptions import tokens
from replicate.paper import EMOTIONS
from replicate.runs.baselines import Setting
from replicate.runs.selection import Selection, dialogues, load_baselines, whole_rounds
from replicate.settings import BATCHES, Fold
from replicate.stats.intervals import mean_interval
from replicate.stats.power import best_of_epochs
from replicate.studies import risks
from replicate.training import baselines

DATA = Path(__file__).parents[2] / "shared" / "data"
SESSION, RANDOM = Fold("session", "1"), Fold()


@pytest.fixture(scope="module")
def iemocap():
    """The stored baselines on IEMOCAP."""
    return load_baselines("iemocap-features")


def selected(tested, profile="paper", **more):
    """Runs or baselines as a page selects them."""
    return Selection("iemocap", profile, tuple(tested), **more)


def equal_texts(table, fold):
    """Utterance -> whether its words occur in training, from the transcripts themselves."""
    parts = split(table, fold)
    words = table["transcript"].fillna("").map(lambda text: " ".join(tokens(text)))
    found = words.iloc[parts.test].isin(set(words.iloc[parts.train]))
    return dict(zip(table["utterance"].iloc[parts.test], found, strict=True))


def looked_up(table, rows, fold):
    """The two baselines that tell repeated texts, computed on the spot."""
    made = made_runs.run(["anger"], ["anger"])
    return [
        replace(
            made,
            experiment=Setting("small", name, fold),
            predictions=baselines.tested(baselines.PREDICT[name], rows, table, fold),
        )
        for name in ("majority", "same-text")
    ]


class TestRepeated:
    def test_answers_tell_what_the_transcripts_would(self):
        corpus = small.corpus(160)
        table = cohort(corpus)
        rows = baselines.features(corpus, table)
        folds = [RANDOM, *(Fold("session", name) for name in groups(table, "session"))]
        stored = [r for fold in folds for r in looked_up(table, rows, fold)]
        flags = risks.repeated(selected(stored).answers())
        for fold in folds:
            assert flags[fold.name].to_dict() == equal_texts(table, fold)
        assert 0 < flags.mean() < 1

    def test_the_stored_ones_tell_what_iemocaps_transcripts_would(self, iemocap):
        if not (DATA / "iemocap-text").exists():
            pytest.skip("needs the transcripts in ../shared/data/iemocap-text")
        table = cohort(open_corpus("iemocap-features", DATA))
        flags = risks.repeated(iemocap.answers())
        for fold in (RANDOM, SESSION, Fold("scenario", "script01")):
            assert flags[fold.name].to_dict() == equal_texts(table, fold)

    def test_a_fold_that_only_one_of_them_has_is_left_out(self):
        corpus = small.corpus()
        table = cohort(corpus)
        rows = baselines.features(corpus, table)
        both, other = looked_up(table, rows, RANDOM), looked_up(table, rows, SESSION)
        flags = risks.repeated(selected([*both, other[1]]).answers())
        assert set(flags.index.get_level_values("fold")) == {RANDOM.name}
        assert risks.repeated(selected(both[:1]).answers()).empty
        assert risks.repeated(selected([]).answers()).empty

    def test_plays_repeat_more_than_improvised_scenes(self, iemocap):
        rows = risks.by_style(risks.repeated(iemocap.answers()).reset_index())
        drawn = rows[rows["fold"].str.startswith("stratified")]
        shares = drawn.groupby("dialogues")["repeated"].mean()
        assert shares.round(3).to_dict() == {"all": 0.256, "scripted": 0.406, "improvised": 0.127}


def test_by_style_repeats_the_rows_of_each_kind():
    ids = ["Ses01F_impro01_F000", "Ses01F_script01_1_F000", "Ses01F_script01_1_F001"]
    found = risks.by_style(pd.DataFrame({"utterance": ids, "n": range(3)}))
    parts = {name: part["n"].tolist() for name, part in found.groupby("dialogues", sort=False)}
    assert parts == {"all": [0, 1, 2], "scripted": [1, 2], "improvised": [0]}
    assert set(risks.by_style(pd.DataFrame({"utterance": ["u1"]}))["dialogues"]) == {"all"}


def rows(right, folds="stratified", dialogues=None, **more):
    """Rows of `risks.in_dialogues`, two utterances a dialogue."""
    n = len(right)
    ids = [f"u{i}" for i in range(n)]
    dialogues = dialogues or [f"d{i // 2}" for i in range(n)]
    return pd.DataFrame(
        {
            "run": 0, "utterance": ids, "folds": folds, "fold": f"{folds}-1", "right": right,
            "dialogue": dialogues, **more,
        }
    )  # fmt: skip


class TestKindsOfFolds:
    def test_each_utterance_counts_once_and_only_if_both_tested_it(self):
        answers = pd.concat(
            [
                rows([True, True, True, False, True]),
                rows([False] * 5),  # another seed: halves all shares
                rows([False, True, False, False], "session"),  # the fifth was not tested
            ]
        )
        found = risks.lost(answers).loc["session"]
        assert found["lost"] == pytest.approx(np.mean([0.5, -0.5, 0.5, 0]))
        assert found["utterances"] == 4 and found["lost_low"] <= found["lost"]
        assert (found["groups"], found["over"]) == (1, found["lost"])
        assert np.isnan(found["over_low"])

    def test_dialogues_are_drawn_whole(self):
        """Three dialogues, one of which loses all."""
        right = [True] * 4 + [False] * 8
        dialogues = [f"d{i // 4}" for i in range(12)]
        random = rows(right, dialogues=dialogues)
        session = rows([False] * 12, "session", dialogues)
        found = risks.lost(pd.concat([random, session])).loc["session"]
        assert (found["lost_low"], found["lost_high"]) == (0, 1)
        assert found["lost"] == pytest.approx(1 / 3)

    def test_groups_count_alike_however_large(self):
        random = rows([True] * 9)
        held_out = rows([True] * 6 + [False] * 3, "session")
        held_out["fold"] = ["session-1"] * 6 + ["session-2"] + ["session-3"] * 2
        found = risks.lost(pd.concat([random, held_out])).loc["session"]
        low, high = stats.ttest_1samp([0, 1, 1], 0).confidence_interval()
        overlap = np.mean([6 / 3, 1 / 8, 2 / 7])  # n_test / n_train of each group
        half = (high - low) / 2 * np.sqrt(1 + 3 * overlap)
        assert found["lost"] == pytest.approx(1 / 3) and found["over"] == pytest.approx(2 / 3)
        assert found[["over_low", "over_high"]].tolist() == pytest.approx(
            [2 / 3 - half, 2 / 3 + half]
        )

    def test_each_group_has_its_own_loss(self):
        random = rows([True] * 9)
        held_out = rows([True] * 6 + [False] * 3, "session")
        held_out["fold"] = ["session-1"] * 6 + ["session-2"] + ["session-3"] * 2
        found = risks.lost_in_groups(pd.concat([random[1:], held_out]), "session")
        assert found["lost"].to_dict() == {"session-1": 0, "session-2": 1, "session-3": 1}
        assert found["utterances"].tolist() == [5, 1, 2], "the first has no random test"
        assert found["overlap"].tolist() == pytest.approx([6 / 3, 1 / 8, 2 / 7])

    def test_one_kind_of_fold_tells_nothing(self):
        assert risks.lost(rows([True, False])).empty


def test_repeats_by_hand():
    flags = [True, True, True, False] * 2
    first = rows([True, False, True, False, True, True, True, True], repeated=flags)
    second = first.assign(run=1, right=[True] * 6 + [False, False])
    found = risks.repeats(pd.concat([first, second])).loc["all"]
    assert found[["share", "accuracy"]].tolist() == pytest.approx([3 / 4, 12 / 16])
    assert found[["repeated", "new"]].tolist() == pytest.approx([10 / 12, 2 / 4])
    assert found["difference"] == pytest.approx(10 / 12 - 2 / 4)
    assert found[["least", "most"]].tolist() == pytest.approx([1 / 3, 1 / 3])
    assert found["difference_low"] < found["difference"] < found["difference_high"]


def test_without_repeats_there_is_nothing_to_compare():
    found = risks.repeats(rows([True, False, True], repeated=[False] * 3)).loc["all"]
    assert found["share"] == 0 and found["new"] == found["accuracy"] == pytest.approx(2 / 3)
    assert found[["repeated", "difference", "difference_low", "least"]].isna().all()


def with_epochs(run, accuracies):
    return replace(run, epochs=pd.DataFrame({"test_accuracy": accuracies}))


def test_a_round_counts_if_it_has_every_group():
    def one(number, **more):
        return made_runs.run(["anger"], ["anger"], fold=Fold("session", number), **more)

    known = [
        replace(made, experiment=Setting("iemocap", "majority", made.experiment.fold))
        for made in (one("1"), one("2"))
    ]
    whole = [one("1"), one("2"), made_runs.run(["anger"], ["anger"])]
    half = [one("1", seed=1), one("2", choice="masked"), one("2", model="text")]

    def names(runs):
        return [made.experiment.name for made in runs]

    assert names(whole_rounds([*half, *whole], known)) == names(whole)
    assert names(whole_rounds(half, [])) == names(half), "nobody knows the groups"


class TestEpochs:
    def test_the_gain_is_the_best_test_epoch_less_the_last(self):
        true = list(EMOTIONS) * 5
        last = made_runs.run(true, ["anger"] * 20)
        best = made_runs.run(true, true, selection="test-best").predictions
        both = replace(last, predictions=pd.concat([last.predictions, best]))
        rows = risks.epochs(selected([with_epochs(both, [0.2, 1.0, 0.5, 0.25])]))
        found = rows.iloc[0]
        assert (found["last-epoch"], found["test-best"]) == (0.25, 1.0)
        assert risks.gain(rows, "test-best").difference == 0.75
        assert np.isnan(risks.gain(rows, "development-best").difference)
        assert np.isnan(found["development-best"])

    def test_fluctuation_finds_the_process_that_made_it(self):
        noise = np.random.default_rng(0).normal(size=8000)
        series = 0.6 + 0.01 * np.sqrt(1 - 0.7**2) * lfilter([1], [1, -0.7], noise)
        found = risks.fluctuation(series)
        assert found["sd"] == pytest.approx(0.01, rel=0.05)
        assert found["autocorrelation"] == pytest.approx(0.7, abs=0.03)

    def test_what_chance_adds_is_the_mean_of_maxima(self):
        """The audit's figure: the best of 150 epochs, sd .01 and correlation .7, adds .025."""
        assert 0.01 * best_of_epochs(0.7, 150) == pytest.approx(0.025, abs=0.0005)
        noise = np.random.default_rng(1).normal(0, 0.01, (100, 100))
        chance = np.mean([risks.fluctuation(series)["by_chance"] for series in noise])
        assert chance == pytest.approx(noise[:, 50:].max(axis=1).mean(), rel=0.1)
        settled = [risks.fluctuation(series)["best_settled"] for series in noise]
        assert np.mean(settled) == pytest.approx(chance, rel=0.1), "nothing but chance is there"
        early = np.mean([risks.fluctuation(series)["early"] for series in noise])
        assert early == (noise.argmax(axis=1) < 50).mean()

    @pytest.mark.parametrize("rise", [0.0, 0.002])
    def test_steady_learning_is_no_fluctuation(self, rise):
        found = risks.fluctuation(0.3 + rise * np.arange(100))
        assert found["sd"] == found["by_chance"] == 0


def with_batches(run, alone, by_length):
    """The run with other answers in other batches."""
    parts = [
        made_runs.run(run.predictions["emotion"], guessed).predictions.assign(treatment=name)
        for name, guessed in (("one-by-one", alone), ("sorted", by_length), ("half", alone))
    ]
    return replace(run, treated=pd.concat(parts).drop(columns=["selection", "epoch"]))


TRUE = list(EMOTIONS) * 2
GUESSED = [*EMOTIONS, "anger", "anger", "anger", "anger"]  # 5 of 8 right


class TestFlips:
    def run(self, **more):
        run = made_runs.run(TRUE, GUESSED, **more)
        return with_batches(run, TRUE, ["sadness", *GUESSED[1:]])

    def test_by_hand(self):
        known = {u: f"d{k // 2}" for k, u in enumerate(self.run().predictions["utterance"])}
        rows = risks.rebatched(selected([self.run(), self.run(seed=1)]))
        treatments = risks.in_dialogues(rows, known).groupby("treatment")
        found = pd.DataFrame({name: risks.flips(part) for name, part in treatments}).T
        assert list(found.index) == list(BATCHES)
        assert found["share"].tolist() == pytest.approx([3 / 8, 1 / 8])
        assert found["change"].tolist() == pytest.approx([3 / 8, -1 / 8])
        assert (found["share_low"] <= found["share"]).all()

    def test_runs_that_were_not_asked_again_have_no_rows(self):
        plain = made_runs.run(TRUE, GUESSED)
        rows = risks.rebatched(selected([plain, self.run(seed=1)]))
        assert set(rows["run"]) == {1} and risks.rebatched(selected([plain])).empty
        assert risks.rebatched(selected([])).empty


def result(model, guessed, fold=RANDOM, **more):
    """A baseline's result, two utterances a dialogue."""
    made = made_runs.run(TRUE, guessed, fold=fold, **more)
    predictions = made.predictions.assign(dialogue=[f"d{k // 2}" for k in range(len(TRUE))])
    return replace(made, experiment=Setting("iemocap", model, fold), predictions=predictions)


class TestSideBySide:
    def beside(self, runs, *more):
        stored = [
            result("majority", ["anger"] * 8),
            result("same-text", ["anger"] * 4 + TRUE[4:]),
            result("same-text", ["anger"] * 8, SESSION),
            *more,
        ]
        both = risks.side_by_side(selected(stored, "baselines"), selected(runs))
        return risks.in_dialogues(both.answers(), dialogues(stored))

    def runs(self):
        held_out = made_runs.run(TRUE, ["anger"] * 8, model="text", fold=SESSION)
        return [made_runs.run(TRUE, GUESSED, model="text"), held_out]

    def test_each_model_is_compared_with_itself(self):
        names = self.beside(self.runs()).groupby("name")
        lost = pd.concat({name: risks.lost(rows) for name, rows in names})["lost"]
        assert lost.to_dict() == {("Same words", "session"): 0.375, ("Text", "session"): 0.375}

    def test_a_split_that_no_run_has_is_not_set_beside_runs(self):
        other = result("majority", TRUE, Fold("stratified", "7"))
        on_theirs = TRUE.count("anger") / len(TRUE)
        for runs, expected in ((self.runs(), on_theirs), ([], (on_theirs + 1) / 2)):
            rows = self.beside(runs, other)
            assert rows.loc[rows["model"] == "majority", "right"].mean() == expected

    def test_repeats_are_those_of_the_look_up(self):
        rows = self.beside(self.runs()).query("folds == 'stratified'")
        flagged = rows.merge(risks.repeated(rows).reset_index(), on=["fold", "utterance"])
        assert flagged.query("model == 'same-text'")["repeated"].sum() == 3
        text = risks.repeats(flagged[flagged["name"] == "Text"]).loc["all"]
        assert text[["share", "repeated", "new", "difference"]].tolist() == [0.375, 0, 1, -1]

    def test_runs_on_another_version_of_the_corpus_are_left_out(self):
        text = made_runs.run(TRUE, GUESSED, model="text")
        other = replace(text, provenance=replace(text.provenance, text_fingerprint="another"))
        assert "text" not in set(self.beside([other])["model"])

    def test_without_baselines_nothing_is_known_of_dialogues(self):
        alone = risks.side_by_side(selected([], "baselines"), selected(self.runs()))
        assert not alone and "replicate baselines --corpus iemocap" in alone.missing().remedy
        assert risks.in_dialogues(alone.answers(), {}).empty

    def test_on_iemocaps_text_a_scenario_costs_more_than_a_session(self, iemocap):
        answers = iemocap.answers()
        known = dialogues(iemocap)
        lost = risks.lost(risks.in_dialogues(answers[answers["model"] == "tfidf"], known))
        assert 0 < lost.loc["session", "lost_low"] < lost.loc["session", "lost_high"]
        assert lost.loc["session", "lost_high"] < lost.loc["scenario", "lost_low"]


def test_intervals_of_the_gain_are_over_what_is_new():
    """Seeds that share a held-out group are one value; folds that differ share training parts."""

    def gained(gain, fold, seed):
        true = list(EMOTIONS) * 25
        last = made_runs.run(true, ["anger"] * 100, fold=fold, seed=seed)
        right = [*true[: round(100 * gain)], *["anger"] * (100 - round(100 * gain))]
        best = made_runs.run(true, right, selection="test-best").predictions
        both = replace(last, predictions=pd.concat([last.predictions, best]))
        return with_epochs(both, [0.2, 0.3, 0.25, 0.25])

    def gain(runs):
        return risks.gain(risks.epochs(selected(runs)), "test-best")

    sessions = [gained(0.2 * k, Fold("session", str(k)), s) for k in (1, 2, 3) for s in (0, 1, 2)]
    found = gain(sessions)
    assert found.n == 3
    alone = np.array(mean_interval(0.75 * 0.2 * np.arange(1, 4)))  # a quarter was right before
    widened = np.sqrt(1 + 3 * sessions[0].provenance.overlap)
    expected = alone.mean() + (alone - alone.mean()) * widened
    assert (found.low, found.high) == pytest.approx(tuple(expected))
    drawn = gain([gained(0.2 * k, Fold("stratified", str(k)), k) for k in (1, 2, 3)])
    shared = gain([gained(0.2 * k, Fold(), k) for k in (1, 2, 3)])
    assert drawn.difference == shared.difference
    assert drawn.high - drawn.low > shared.high - shared.low


class TestPadding:
    def test_equal_durations_need_none(self):
        found = risks.padding(np.full(90, 4.0), 30, np.random.default_rng(0))
        assert found == {"longest": 4, "padding": 0, "silent": 0}

    def test_one_batch_by_hand(self):
        seconds = np.array([1.0, 2.0, 3.0, 10.0])
        found = risks.padding(seconds, 4, np.random.default_rng(0))
        assert found["longest"] == 10
        assert found["padding"] == pytest.approx(1 - 16 / 40)
        assert found["silent"] == pytest.approx(1 - 2.5 / 10)

    def test_the_fits_pad_as_iemocap_s_durations_do(self):
        published = DATA / "iemocap-metadata" / "utterances.csv"
        if not published.exists():
            pytest.skip("needs the published lengths in ../shared/data/iemocap-metadata")
        table = pd.read_csv(published)
        rng = np.random.default_rng(0)
        real = risks.padding(table["num_samples"].to_numpy() / 16000, 30, rng)
        fitted = risks.padding(corpora_iemocap.iemocap_seconds(rng), 30, rng)
        assert fitted["longest"] == pytest.approx(real["longest"], rel=0.05)
        assert fitted["padding"] == pytest.approx(real["padding"], abs=0.02)
        assert fitted["silent"] == pytest.approx(real["silent"], abs=0.03)
