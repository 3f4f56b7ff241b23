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

from replicate import audit, baseline_runs, baselines, metrics, risks
from replicate.comparison import detectable_between
from replicate.corpora import open_corpus
from replicate.protocol import EMOTIONS, Fold, cohort, groups, split
from replicate.report import plots
from replicate.report import risks as exhibits
from replicate.report.layout import ABSENT
from replicate.report.provenance import MARK, Notice
from replicate.report.results import Stored
from replicate.transcriptions import tokens

DATA = Path(__file__).parents[2] / "shared" / "data"
SESSION, RANDOM = Fold("session", "1"), Fold()


@pytest.fixture(scope="module")
def iemocap():
    """The stored baselines on IEMOCAP's transcripts."""
    return baseline_runs.load_all("iemocap-text")


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
        baseline_runs.BaselineRun(
            baseline_runs.Setting("small", name, fold),
            made.provenance,
            baselines.tested(baselines.BASELINES[name], rows, table, fold),
            made.folder,
        )
        for name in ("majority", "same-text")
    ]


class TestRepeated:
    def test_answers_tell_what_the_transcripts_would(self):
        corpus = small.corpus(160)
        table = cohort(corpus)
        rows = baselines.features(corpus, table)
        folds = [RANDOM, *(Fold("session", name) for name in groups(table, "session"))]
        flags = risks.repeated([r for fold in folds for r in looked_up(table, rows, fold)])
        for fold in folds:
            assert flags[fold.name].to_dict() == equal_texts(table, fold)
        assert 0 < flags.mean() < 1

    def test_the_stored_ones_tell_what_iemocaps_transcripts_would(self, iemocap):
        if not (DATA / "iemocap-text").exists():
            pytest.skip("needs the transcripts in ../shared/data/iemocap-text")
        table = cohort(open_corpus("iemocap-text", DATA / "iemocap-text"))
        flags = risks.repeated(iemocap)
        for fold in (RANDOM, SESSION, Fold("scenario", "script01")):
            assert flags[fold.name].to_dict() == equal_texts(table, fold)

    def test_a_fold_that_only_one_of_them_has_is_left_out(self):
        corpus = small.corpus()
        table = cohort(corpus)
        rows = baselines.features(corpus, table)
        both, other = looked_up(table, rows, RANDOM), looked_up(table, rows, SESSION)
        flags = risks.repeated([*both, other[1]])
        assert set(flags.index.get_level_values("fold")) == {RANDOM.name}
        assert risks.repeated([both[0]]).empty

    def test_shares_by_dialogue_and_kind_of_fold(self):
        ids = ["Ses01F_impro01_F000", "Ses01F_script01_1_F000", "Ses01F_script01_1_F001"]
        index = pd.MultiIndex.from_product([["stratified-0", "session-1"], ids])
        flags = pd.Series([True, True, False, False, True, True], index, name="repeated")
        found = risks.shares(flags.rename_axis(["fold", "utterance"]))
        assert found["stratified"].tolist() == pytest.approx([2 / 3, 1 / 2, 1])
        assert found.loc["improvised", "session"] == 0
        assert list(found.index) == ["all", "scripted", "improvised"]


def rows(right, folds="stratified", dialogues=None, **more):
    """Rows of `risks.answered`, two utterances a dialogue."""
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
        interval = stats.ttest_1samp([0, 1, 1], 0).confidence_interval()
        assert found["lost"] == pytest.approx(1 / 3) and found["over"] == pytest.approx(2 / 3)
        assert found[["over_low", "over_high"]].tolist() == pytest.approx(list(interval))

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
        baseline_runs.BaselineRun(
            baseline_runs.Setting("iemocap", "majority", made.experiment.fold),
            made.provenance, made.predictions, made.folder,
        )
        for made in (one("1"), one("2"))
    ]  # fmt: skip
    whole = [one("1"), one("2"), made_runs.run(["anger"], ["anger"])]
    half = [one("1", seed=1), one("2", choice="masked"), one("2", model="text")]

    def names(runs):
        return [made.experiment.name for made in runs]

    assert names(baseline_runs.whole_rounds([*half, *whole], known)) == names(whole)
    assert names(baseline_runs.whole_rounds(half, [])) == names(half), "nobody knows the groups"


class TestEpochs:
    def test_the_gain_is_the_best_test_epoch_less_the_last(self):
        true = list(EMOTIONS) * 5
        last = made_runs.run(true, ["anger"] * 20)
        best = made_runs.run(true, true, selection="test-best").predictions
        both = replace(last, predictions=pd.concat([last.predictions, best]))
        found = risks.epochs([with_epochs(both, [0.2, 1.0, 0.5, 0.25])]).iloc[0]
        assert (found["last-epoch"], found["test-best"], found["gain"]) == (0.25, 1.0, 0.75)
        assert np.isnan(found["development-best"])

    def test_fluctuation_finds_the_process_that_made_it(self):
        noise = np.random.default_rng(0).normal(size=8000)
        series = 0.6 + 0.01 * np.sqrt(1 - 0.7**2) * lfilter([1], [1, -0.7], noise)
        found = risks.fluctuation(series)
        assert found["sd"] == pytest.approx(0.01, rel=0.05)
        assert found["autocorrelation"] == pytest.approx(0.7, abs=0.03)

    def test_what_chance_adds_is_the_mean_of_maxima(self):
        """The audit's figure: the best of 150 epochs, sd .01 and correlation .7, adds .025."""
        assert 0.01 * audit.best_of_epochs(0.7, 150) == pytest.approx(0.025, abs=0.0005)
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
        found = risks.flips(risks.rebatched([self.run(), self.run(seed=1)], known))
        assert list(found.index) == list(risks.BATCHES)
        assert found["share"].tolist() == pytest.approx([3 / 8, 1 / 8])
        assert found["change"].tolist() == pytest.approx([3 / 8, -1 / 8])
        assert (found["share_low"] <= found["share"]).all()


class TestExhibits:
    """On predictions of our choice, and on the stored baselines."""

    def result(self, model, guessed, fold=RANDOM, **more):
        made = made_runs.run(TRUE, guessed, fold=fold, **more)
        dialogues = [f"d{k // 2}" for k in range(len(TRUE))]
        setting = baseline_runs.Setting("iemocap", model, fold)
        predictions = made.predictions.assign(dialogue=dialogues)
        return baseline_runs.BaselineRun(setting, made.provenance, predictions, made.folder)

    def results(self, **more):
        return [
            self.result("majority", ["anger"] * 8, **more),
            self.result("same-text", ["anger"] * 4 + TRUE[4:], **more),
            self.result("same-text", ["anger"] * 8, SESSION, **more),
        ]

    def runs(self):
        text = made_runs.run(TRUE, GUESSED, model="text")
        held_out = made_runs.run(TRUE, ["anger"] * 8, model="text", fold=SESSION)
        return Stored("iemocap", "paper", (text, held_out))

    def test_each_model_is_compared_with_itself(self):
        shown = exhibits.losses(self.results(), self.runs()).plain
        (text,) = (line.split() for line in shown.splitlines() if line.startswith("Text"))
        assert "+0.375" in text
        assert "one session" in shown and "Largest class" not in shown
        assert "one session: " in exhibits.folds(self.results(), self.runs()).plain

    def test_a_split_that_no_run_has_is_not_set_beside_runs(self):
        other = Fold("stratified", "7")
        results = [*self.results(), self.result("majority", TRUE, other)]
        on_theirs = TRUE.count("anger") / len(TRUE)
        nothing = Stored("iemocap", "paper", ())
        for runs, expected in ((self.runs(), on_theirs), (nothing, (on_theirs + 1) / 2)):
            assert f"Largest class {expected:.3f}" in exhibits.folds(results, runs).plain

    def test_scripted_and_improvised_utterances_are_counted_before_they_are_compared(self):
        ids = [f"Ses01F_{'script01_1' if k < 3 else 'impro01'}_F{k:03d}" for k in range(8)]
        words = exhibits.styles_in_words(
            [self.result("majority", TRUE, utterances=ids)], Stored("iemocap", "paper", ())
        )
        assert (words["scripted"], words["improvised"]) == ("3", "5")
        assert words["style_least"] == f"{detectable_between(3, 5, 0.5):.3f}"
        no_scripts = exhibits.styles_in_words(self.results(), self.runs())
        assert no_scripts == dict.fromkeys(words, ABSENT)

    def test_accuracies_on_random_splits_for_the_prose(self):
        words = exhibits.at_random_in_words(self.results(), self.runs(), "x_")
        right = np.mean(np.array(TRUE) == np.array(GUESSED))
        assert words["x_text"] == f"{right:.3f}" and words["x_tfidf"] == ABSENT
        assert words["x_majority"] == f"{TRUE.count('anger') / len(TRUE):.3f}"
        guessed = {e for e in EMOTIONS if e not in set(GUESSED)}
        assert words["x_never"] == (", ".join(e for e in EMOTIONS if e in guessed) or "none")
        nothing = exhibits.at_random_in_words([], Stored("iemocap", "none", ()), "x_")
        assert nothing == dict.fromkeys(words, ABSENT)

    def test_repeats_are_those_of_the_look_up(self):
        shown = exhibits.repeats_table(self.results(), self.runs()).plain
        (text,) = (line.split() for line in shown.splitlines() if "  Text  " in line)
        assert text[2] == "37.5%" and text[4:6] == ["0.000", "1.000"]
        assert "-1.000" in text
        words = exhibits.repeats_in_words(self.results(), self.runs())
        assert (words["repeat_old"], words["repeat_new"]) == ("3", "5")
        assert words["text_repeats"].startswith("-1.000 [") and words["text_added"] == "-0.375"

    def test_runs_on_another_version_of_the_corpus_have_no_known_repeats(self):
        text = made_runs.run(TRUE, GUESSED, model="text")
        other = replace(text, provenance=replace(text.provenance, text_fingerprint="another"))
        shown = exhibits.repeats_table(self.results(), Stored("iemocap", "paper", (other,)))
        assert "Same words" in shown.plain and "Text" not in shown.plain

    def test_masked_runs_stand_beside_ours(self, monkeypatch):
        masked = replace(made_runs.run(TRUE, GUESSED, choice="masked"))
        ours = with_batches(made_runs.run(TRUE, GUESSED), TRUE, GUESSED)
        other = made_runs.run(TRUE, GUESSED, choice="adamw")
        stored = [with_batches(masked, GUESSED, GUESSED), ours, other]
        monkeypatch.setattr(exhibits, "load_runs", lambda *_: stored)
        shown = exhibits.flips_table(exhibits.Rebatched("iemocap", "paper", self.results())).plain
        lines = {line.split("  ")[0]: line for line in shown.splitlines()}
        assert "0.375" in lines["Att_d^1"] and "0.375" not in lines["Att_d^1, masked"]
        assert not any("adamw" in line for line in lines)
        for kind in (RANDOM, SESSION):
            text = made_runs.run(TRUE, GUESSED, model="text", fold=kind)
            stored.append(with_batches(text, GUESSED, TRUE if kind == RANDOM else GUESSED))
        both = exhibits.Rebatched("iemocap", "paper", self.results())
        assert "Text, one session" in exhibits.flips_table(both).plain
        told = exhibits.text_flips_in_words(both)
        assert (told["flip_text_low"], told["flip_text_high"]) == ("0.0%", "37.5%")
        assert told["flip_text_single"].startswith("0.000 [")
        assert told["flip_text_sorted"].startswith("0.375 [")
        del stored[-2:]
        words = exhibits.flips_in_words(exhibits.Rebatched("iemocap", "paper", self.results()))
        assert (words["flip_high"], words["flip_masked"]) == ("37.5%", "0.0%")
        assert words["flip_seen"] == f"at random 8, {metrics.wilson(0, 8).high:.1%}"

    def test_the_stand_in_is_marked(self):
        for make in (exhibits.folds, exhibits.losses, exhibits.repeats_picture):
            assert MARK in repr(make(self.results(synthetic=True), self.runs()))
        assert MARK not in repr(exhibits.losses(self.results(), self.runs()))

    def test_without_results_the_command_is_shown(self):
        nothing = Stored("iemocap", "none", ())
        for make in (exhibits.folds, exhibits.losses, exhibits.repeats_table, exhibits.styles):
            for runs in (nothing, self.runs()):
                assert isinstance(make([], runs), Notice)
                assert "replicate baselines --corpus iemocap --data" in repr(make([], runs))
        assert "replicate baselines" in repr(exhibits.shares({"iemocap": []}))
        for notice in (
            exhibits.epochs([nothing]),
            exhibits.flips_table(exhibits.Rebatched("iemocap", "none", [])),
            exhibits.flips_picture(exhibits.Rebatched("iemocap", "none", [])),
        ):
            assert "replicate run --corpus iemocap --data PATH" in repr(notice)

    def test_words_are_the_same_with_and_without_results(self):
        nothing = Stored("iemocap", "none", ())
        unasked = exhibits.text_flips_in_words(exhibits.Rebatched("iemocap", "none", []))
        assert set(unasked.values()) == {ABSENT}
        for make in (exhibits.folds_in_words, exhibits.repeats_in_words):
            full, empty = make(self.results(), self.runs()), make([], nothing)
            assert full.keys() == empty.keys() and full != empty
            assert make([], self.runs()).keys() == empty.keys()
        run = with_epochs(self.runs().runs[0], [0.2, 0.3, 0.4, 0.3])
        full = exhibits.epochs_in_words(Stored("iemocap", "paper", (run,)))
        assert full.keys() == exhibits.epochs_in_words(nothing).keys()

    def test_on_iemocaps_text_a_scenario_costs_more_than_a_session(self, iemocap):
        chosen = [r for r in iemocap if r.experiment.model in ("majority", "same-text", "tfidf")]
        nothing = Stored("iemocap-text", "none", ())
        lost = exhibits.lost(chosen, nothing).loc["TF-IDF, logistic regression"]
        assert 0 < lost.loc["session", "lost_low"] < lost.loc["session", "lost_high"]
        assert lost.loc["session", "lost_high"] < lost.loc["scenario", "lost_low"]
        assert "one scenario" in exhibits.styles(chosen, nothing).plain
        shares = exhibits.shares({"iemocap-text": chosen}).plain  # the audit's figures
        assert "24.5%" in shares and "39.6%" in shares

    def test_a_figure_has_a_row_for_each_name_and_a_point_for_each_group(self):
        frame = pd.DataFrame({"value": [1, 2], "low": [0, 1], "high": [2, 3]}, ["a", "b"])
        axes = plots.grouped({"one": frame[:1], "two": frame}, "x", percent=True).axes[0]
        assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
        assert len(axes.containers) == 2


def test_intervals_of_the_gain_are_over_what_is_new():
    """Seeds that share a held-out group are one value; random splits share training parts."""

    def gained(gain, fold, seed):
        true = list(EMOTIONS) * 25
        last = made_runs.run(true, ["anger"] * 100, fold=fold, seed=seed)
        right = [*true[: round(100 * gain)], *["anger"] * (100 - round(100 * gain))]
        best = made_runs.run(true, right, selection="test-best").predictions
        both = replace(last, predictions=pd.concat([last.predictions, best]))
        return with_epochs(both, [0.2, 0.3, 0.25, 0.25])

    def row(runs):
        return exhibits.epoch_rows([Stored("iemocap", "paper", tuple(runs))]).iloc[0]

    sessions = [gained(0.2 * k, Fold("session", str(k)), s) for k in (1, 2, 3) for s in (0, 1, 2)]
    found = row(sessions)
    assert (found["runs"], found["of"]) == (9, 3)
    gains = pd.Series([run.experiment.fold.held_out for run in sessions[::3]]).map(
        lambda k: risks.epochs([sessions[3 * int(k) - 3]])["gain"].item()
    )
    assert (found["gain_low"], found["gain_high"]) == pytest.approx(metrics.mean_interval(gains))
    drawn = row([gained(0.2 * k, Fold("stratified", str(k)), k) for k in (1, 2, 3)])
    shared = row([gained(0.2 * k, Fold(), k) for k in (1, 2, 3)])
    assert drawn["gain"] == shared["gain"]
    assert drawn["gain_high"] - drawn["gain_low"] > shared["gain_high"] - shared["gain_low"]


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
        fitted = risks.padding(risks.iemocap_seconds(rng), 30, rng)
        assert fitted["longest"] == pytest.approx(real["longest"], rel=0.05)
        assert fitted["padding"] == pytest.approx(real["padding"], abs=0.02)
        assert fitted["silent"] == pytest.approx(real["silent"], abs=0.03)
