"""Loudness: stored levels, altered recordings, and what follows for the audio model."""

import functools
import tempfile
from dataclasses import replace
from pathlib import Path

import made_runs
import numpy as np
import pandas as pd
import pytest
import small
import torch
import torch.nn.functional as F
from scipy import stats
from statsmodels.stats.multitest import multipletests

from replicate import baseline_runs, comparison, loudness, metrics, treated
from replicate.corpora import open_corpus, open_text
from replicate.corpora.table import text_fingerprint
from replicate.errors import InputError
from replicate.experiments import CHOICES
from replicate.model import AudioFrontEnd, ModelConfig
from replicate.protocol import EMOTIONS, Fold, cohort
from replicate.report import loudness_tables, results, treatment_tables
from replicate.report.provenance import MARK, Notice
from replicate.report.results import Stored
from replicate.treated import UNTREATED
from replicate.treatments import NOMINAL, RECORDINGS
from replicate.waveforms import SAMPLE_RATE, class_averages, open_waveforms, statistics

DATA = Path(__file__).parents[2] / "shared" / "data"
RNG = np.random.default_rng(0)

#: Text may be of either type of pandas.
LOOSELY = {"check_dtype": False, "check_index_type": False, "rtol": 1e-12}


def heard(true, guessed, altered=None, ids=None, **more):
    """A run whose answers under each treatment are our choice; as untreated by default."""
    model = more.pop("model", "audio")
    embedding = "none" if model == "audio" else "trainable"
    made = [
        made_runs.run(true, (altered or {}).get(name, guessed), ids, model, embedding, **more)
        for name in ("", *RECORDINGS)
    ]
    parts = {name: run.predictions for name, run in zip(RECORDINGS, made[1:], strict=True)}
    table = pd.concat(parts, names=["treatment", None]).reset_index("treatment")
    return replace(made[0], treated=table.drop(columns=["selection", "epoch"]))


def noisy(true, chance, rng):
    """Guesses that are right with a chance."""
    other = rng.choice(EMOTIONS, len(true))
    return np.where(rng.random(len(true)) < chance, true, other)


def seeds(n=60, count=4, folds=None):
    """Runs that rms harms and the other treatments leave alone."""
    rng = np.random.default_rng(1)
    runs = []
    for k in range(count):
        true = [EMOTIONS[i % 4] for i in range(n)]
        fold = folds[k] if folds else Fold()
        ids = [f"{fold.name}-{i}" for i in range(n)]
        altered = {"rms": noisy(true, 0.2 + k / 20, rng)}
        where = {"seed": 0, "fold": fold} if folds else {"seed": k}
        runs.append(heard(true, noisy(true, 0.8, rng), altered, ids, **where))
    return runs


class TestEffects:
    def test_answers_stand_side_by_side(self):
        runs = seeds()
        found = treated.answers(runs, RECORDINGS)
        assert list(found) == [UNTREATED, *RECORDINGS] and len(found) == 240
        second = found.xs(1, level="seed")["rms"].tolist()
        under = runs[1].treated[runs[1].treated["treatment"] == "rms"]
        assert second == metrics.predicted(under).tolist()
        rights = treated.right(found)[UNTREATED].groupby(level="seed").mean()
        assert rights.tolist() == metrics.per_run(runs, "last-epoch")["accuracy"].tolist()

    def test_over_seeds_are_paired_t_tests_with_holms_correction(self):
        runs = seeds()
        found = treated.effects(treated.answers(runs, ["rms", "louder"]), "seed").loc["rms"]
        right = treated.right(treated.answers(runs, ["rms"])).groupby(level="seed").mean()
        paired = stats.ttest_rel(right["rms"], right[UNTREATED])
        assert found["p_holm"] == pytest.approx(min(1, 2 * paired.pvalue))
        ends = paired.confidence_interval()
        assert found[["unit_low", "unit_high"]].tolist() == pytest.approx([ends.low, ends.high])
        assert found["difference"] == pytest.approx((right["rms"] - right[UNTREATED]).mean())
        assert found["low"] < found["difference"] < found["high"] < 0

    def test_mcnemar_counts_the_seeds_in_which_it_finds_a_difference(self):
        weak = [EMOTIONS[i % 4] for i in range(60)]
        wrong = np.where(np.arange(60) < 5, np.roll(weak, 1), weak)  # 5 of 5 turn: p = 0.0625
        runs = [*seeds(count=2), heard(weak, weak, {"rms": wrong}, seed=2)]
        runs[2].predictions["utterance"] = runs[0].predictions["utterance"]
        runs[2].treated["utterance"] = list(runs[0].predictions["utterance"]) * len(RECORDINGS)
        found = treated.effects(treated.answers(runs, RECORDINGS), "seed")
        assert found.loc["rms", ["found", "seeds"]].tolist() == [2, 3]

    def test_nothing_changes_where_nothing_is_altered(self):
        found = treated.effects(treated.answers(seeds(), RECORDINGS), "seed").loc["softer"]
        assert found[["difference", "low", "high", "found", "changed"]].tolist() == [0] * 5
        assert np.isnan(found["unit_low"]) and found["p_holm"] == 1, "without spread, no evidence"

    def test_changed_answers_count_though_accuracy_stays(self):
        true = ["anger"] * 8
        runs = [
            heard(true, ["sadness"] * 8, {"rms": ["happiness"] * k + ["sadness"] * (8 - k)}, seed=k)
            for k in (2, 4)
        ]
        found = treated.effects(treated.answers(runs, ["rms"]), "seed").loc["rms"]
        assert found["difference"] == 0 and found["changed"] == pytest.approx(3 / 8)
        assert (found["changed_low"], found["changed_high"]) == (0, 1)

    def test_groups_held_out_are_drawn_as_a_whole(self):
        runs = seeds(folds=[Fold("speaker", str(k)) for k in range(4)])
        answered = treated.answers(runs, ["rms"])
        found = treated.effects(answered, "fold").loc["rms"]
        right = treated.right(answered)
        by_hand = comparison.over_clusters(
            right[["rms", UNTREATED]], right.index.get_level_values(0)
        )
        assert [found["low"], found["high"]] == by_hand[["low", "high"]].iloc[0].tolist()
        assert found["seeds"] == 1

    def test_one_seed_has_no_spread_over_seeds(self):
        found = treated.effects(treated.answers(seeds(count=1), ["rms"]), "seed").loc["rms"]
        assert np.isnan([found["unit_low"], found["p_holm"]]).all() and found["low"] < 0


#: Six dialogues of two utterances.
DIALOGUES = {f"u{i}": f"d{i // 2}" for i in range(12)}


class TestContrast:
    def answered(self, rights):
        """Bool answers of 4 seeds to 12 utterances of 6 dialogues."""
        index = pd.MultiIndex.from_product(
            [["f"], range(4), [f"u{i}" for i in range(12)]], names=["fold", "seed", "utterance"]
        )
        return pd.Series(np.asarray(rights, dtype=bool).ravel(), index)

    def test_it_is_a_bootstrap_of_dialogues_and_a_test_over_seeds(self):
        rng = np.random.default_rng(3)
        first, second = (self.answered(rng.random((4, 12)) < share) for share in (0.8, 0.4))
        found = treated.contrast(first, second, DIALOGUES, "seed")
        by_seed = [part.groupby(level="seed").mean() for part in (first, second)]
        assert found.p_value == pytest.approx(stats.ttest_rel(*by_seed).pvalue)
        both = pd.DataFrame({"a": first, "b": second})
        drawn = both.index.get_level_values("utterance").map(DIALOGUES)
        ends = comparison.over_clusters(both, drawn)[["difference", "low", "high"]].iloc[0]
        assert [found.difference, found.low, found.high] == pytest.approx(ends.tolist())
        back = treated.contrast(second, first, DIALOGUES, "seed")
        assert (back.sign, back.difference) == (-found.sign, -found.difference)

    def test_a_sign_takes_both_interval_and_test(self):
        never = self.answered(np.zeros((4, 12)))
        ten, nine, two, none = ([1] * k + [0] * (12 - k) for k in (10, 9, 2, 0))
        both = treated.contrast(self.answered([ten, nine] * 2), never, DIALOGUES, "seed")
        assert both.sign == 1
        one_dialogue = self.answered([two, two, two, [1] + [0] * 11])
        found = treated.contrast(one_dialogue, never, DIALOGUES, "seed")
        assert found.p_value < 0.05 and found.low == 0 and found.sign == 0
        one_seed = self.answered([[1] * 12, none, none, none])
        found = treated.contrast(one_seed, never, DIALOGUES, "seed")
        assert found.low > 0 and found.p_value > 0.05 and found.sign == 0

    def test_one_seed_shows_nothing(self):
        always = self.answered(np.ones((4, 12))).xs(0, level="seed", drop_level=False)
        found = treated.contrast(always, ~always, DIALOGUES, "seed")
        assert found.low == 1 and np.isnan(found.p_value) and found.sign == 0


@pytest.mark.parametrize("test", [comparison.over_seeds, comparison.over_utterances])
def test_with_a_reference_the_pairs_are_those_with_it(test):
    table = pd.DataFrame(RNG.random((12, 4)), columns=list("abcd"))
    if test is comparison.over_utterances:
        table = table > 0.5
    every = test(table).set_index(["first", "second"])
    found = test(table, "d").set_index(["first", "second"])
    assert found.index.tolist() == [("a", "d"), ("b", "d"), ("c", "d")]
    same = ["difference", "p_value"]
    pd.testing.assert_frame_equal(found[same], every.loc[found.index, same])
    holm = multipletests(found["p_value"], method="holm")[1]
    assert found["p_holm"].tolist() == pytest.approx(holm.tolist())


def test_the_receptive_field_is_what_gradients_reach():
    torch.manual_seed(0)
    front_end = AudioFrontEnd().double().eval()
    reached = torch.zeros(101, dtype=torch.double)
    for _ in range(20):  # a ReLU blocks some paths of each
        x = torch.randn(1, 1, 101, dtype=torch.double, requires_grad=True)
        front_end.conv2(F.relu(front_end.conv1(x)))[0, :, 50].sum().backward()
        reached += x.grad[0, 0].abs()
    places = reached.nonzero().flatten()
    field = treatment_tables.receptive_field(ModelConfig())
    assert len(places) == field == int(places[-1] - places[0]) + 1


@pytest.mark.parametrize(("share", "n"), [(0.1, 61), (0.2, 555), (0.05, 339)])
def test_the_smallest_difference_is_where_mcnemar_begins_to_find(share, n):
    turned = round(share * n)
    net = round(treatment_tables.smallest_net(share, n) * n)

    def p_value(ahead):
        true, first = np.ones(n), np.ones(n)
        second = np.ones(n)
        second[: (turned + ahead) // 2] = 0
        first[(turned + ahead) // 2 : turned] = 0
        return metrics.mcnemar(true, first, second).p_value

    net += (turned - net) % 2  # as many turn as the share says: only every other net is possible
    assert p_value(net) < 0.05 <= p_value(net - 2)


def test_few_turned_answers_show_nothing():
    assert np.isnan(treatment_tables.smallest_net(0.05, 61))


class TestRecordings:
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE

    def recording(self, level):
        wave = level * (1 + np.sin(8 * np.pi * self.time)) * np.sin(2000 * np.pi * self.time)
        return np.rint(32768 * wave).astype(np.int16)

    def test_what_each_treatment_keeps(self):
        found = treatment_tables.kept([self.recording(0.01), self.recording(0.1)], 50)
        assert found.loc[UNTREATED].tolist() == pytest.approx([0, 20, 1, 1], abs=0.05)
        assert found.loc["louder"].tolist() == pytest.approx([6, 20, 1, 1], abs=0.05)
        assert found.loc["softer"].tolist() == pytest.approx([-6, 20, 1, 1], abs=0.05)
        assert found.loc["rms", "range"] == pytest.approx(0, abs=0.01)
        assert found.loc["envelope", "envelope"] > 0.7 > abs(found.loc["envelope", "spectrum"])
        shuffled = found.loc["time-shuffled"]
        assert shuffled["level"] == pytest.approx(0, abs=1e-9)
        assert max(abs(shuffled["envelope"]), abs(shuffled["spectrum"])) < 0.5

    def test_they_are_shown_and_marked(self):
        here = treatment_tables.Source("small", synthetic=True)
        recordings = [self.recording(0.1)]
        shown = treatment_tables.described(recordings, 50, here)
        assert all(done in shown.body for done in RECORDINGS.values()) and MARK in shown.body
        assert MARK in repr(treatment_tables.drawn(recordings[0], "a tone", here))


# --- levels ---


def test_levels_are_stored_and_read_back(tmp_path):
    corpus = small.corpus()
    level = loudness.of_cohort(corpus, small.waveforms())
    expected = statistics(small.waveforms(), cohort(corpus))
    assert class_averages(level)["WaveAvg"].equals(expected["WaveAvg"])
    kept = replace(loudness.load("emodb"), rows=list(level.itertuples(name=None)), corpus="small")
    path = loudness.save(kept, tmp_path)
    assert loudness.load("small", tmp_path) == kept
    pd.testing.assert_frame_equal(kept.table, level, **LOOSELY)
    path.write_text(path.read_text().replace("anger", "7", 1).replace('"u000"', "0"))
    with pytest.raises(InputError, match="replicate loudness --corpus small"):
        loudness.load("small", tmp_path)
    assert loudness.load("iemocap", tmp_path) is None


@pytest.mark.parametrize("name", ["emodb", "standin-quick"])
def test_stored_levels_are_those_of_the_recordings(name):
    if name == "emodb" and not (DATA / name).is_dir():
        pytest.skip(f"no recordings at {DATA / name}")
    corpus = open_corpus(name, DATA / name if name == "emodb" else None)
    kept = loudness.load(name)
    assert kept.audio_fingerprint == open_waveforms(corpus).fingerprint
    pd.testing.assert_frame_equal(kept.table, loudness.of_cohort(corpus), **LOOSELY)


def test_sad_speech_of_emodb_is_not_the_softest():
    level = loudness.load("emodb").table
    rows = loudness_tables.above_softest(level)
    decibels = (20 * np.log10(level["average"])).groupby([level["speaker"], level["emotion"]])
    means = decibels.mean().unstack()
    paired = [stats.ttest_rel(means[emotion], means["sadness"]) for emotion in rows.index]
    expected = multipletests([found.pvalue for found in paired], method="holm")[1]
    assert rows["p_holm"].tolist() == pytest.approx(expected.tolist())
    low = [found.confidence_interval().low for found in paired]
    assert rows["low"].tolist() == pytest.approx(low)
    told = loudness_tables.softest_in_words("emodb")
    assert told["emodb_softer_than"] == "no class" and told["emodb_speakers"] == "10"
    louder = [e for e, found in zip(rows.index, paired, strict=True) if found.statistic < 0]
    shown = [e for e in louder if rows["p_holm"][e] < 0.05]
    assert told["emodb_louder_than"] == ", ".join(shown) == "anger, happiness"
    assert told["emodb_unclear"] == "neutrality"
    assert "10 speakers" not in repr(loudness_tables.is_softest("meld"))
    assert isinstance(loudness_tables.table_8("meld"), Notice)


def test_levels_decide_where_no_recordings_are_at_hand():
    given = {verdict.claim.id: verdict for verdict in results.judged(Stored("emodb", "paper", ()))}
    for claim in (25, 26):
        assert given[claim].verdict == "not testable here"
        assert given[claim].check == "criterion not met" and given[claim].reproduced


@pytest.mark.parametrize("name", ["standin-quick", "standin-full"])
def test_the_stand_ins_levels_decide_without_its_recordings(name, monkeypatch, tmp_path):
    monkeypatch.setenv("REPLICATE_CACHE", str(tmp_path))
    done = results.load(name, "quick", opened := open_text(name))
    kept = loudness.load(name)
    assert kept.text_fingerprint == text_fingerprint(opened.utterances)
    known = {run.provenance.audio_fingerprint for run in done.runs} - {None}
    assert known <= {kept.audio_fingerprint}
    given = {verdict.claim.id: verdict for verdict in results.judged(done, opened)}
    assert given[25].check and given[26].check and not list(tmp_path.iterdir())


def test_the_shift_is_what_equal_loudness_does_to_the_mean_level():
    level = pd.DataFrame({"spread": [NOMINAL, NOMINAL / 10]})
    assert loudness_tables.shift(level) == pytest.approx(10)


# --- the page ---


@functools.cache
def of_baselines():
    """Baselines on one split of the small corpus, whose loudness says the class."""
    with tempfile.TemporaryDirectory() as root:
        settings = baseline_runs.wanted(small.corpus(), "stratified", 1)
        chosen = [s for s in settings if s.model in loudness_tables.RIVALS]
        made = baseline_runs.compute(chosen, small.corpus(), small.waveforms(), Path(root))
        return tuple(made)


def network(chance, model="audio", choice=""):
    """Two seeds of a network on the same split."""
    tested = of_baselines()[0]
    true = tested.predictions["emotion"].tolist()
    ids = tested.predictions["utterance"].tolist()
    rng = np.random.default_rng(2)
    runs = []
    for seed in range(2):
        run = heard(
            true, noisy(true, chance, rng), ids=ids, model=model, seed=seed, corpus="small",
            profile="quick", synthetic=True, choice=choice,
        )  # fmt: skip
        runs.append(replace(run, provenance=replace(
            run.provenance, text_fingerprint=tested.provenance.text_fingerprint)))  # fmt: skip
    return runs


def kept(*runs):
    return Stored("small", "quick", tuple(runs))


EXHIBITS = {
    "precision": lambda runs: treatment_tables.precision({"small": (runs, "stratified")}),
    "beside": lambda runs: loudness_tables.beside(of_baselines(), runs, "stratified"),
    "picture": lambda runs: treatment_tables.accuracies(
        runs, "stratified", loudness_tables.landmarks(of_baselines(), runs, "stratified")
    ),
    "one model": lambda runs: treatment_tables.effect_table(runs, "stratified", "audio"),
    "every model": lambda runs: treatment_tables.effect_table(runs, "stratified"),
    "extremes": lambda runs: treatment_tables.extremes(runs, "stratified"),
}


def test_what_can_be_seen_is_that_of_one_kind_of_fold():
    at_random, apart = network(0.7), seeds(folds=[Fold("session", str(k)) for k in range(4)])
    both = Stored("small", "quick", (*at_random, *apart))
    shown, alone = (EXHIBITS["precision"](runs) for runs in (both, kept(*at_random)))
    assert shown.plain == alone.plain and shown.sources == alone.sources


@pytest.mark.parametrize("name", EXHIBITS)
def test_every_exhibit_is_marked_or_says_what_is_missing(name):
    shown = EXHIBITS[name](kept(*network(0.7), *network(0.6, model="concat")))
    assert MARK in repr(shown) and "profile quick" in repr(shown)
    assert ("Concat" in shown.plain) == (name == "every model")
    missing = EXHIBITS[name](kept())
    assert isinstance(missing, Notice) and "replicate" in missing.command


def mistaken(wrong, altered=None):
    """A seed of the network for each number of wrong answers, as recorded and under treatments.

    Args:
        wrong: how many of the first utterances each seed gets wrong.
        altered: treatment -> the same of the altered recordings.
    """
    tested = of_baselines()[0]
    true = tested.predictions["emotion"].to_numpy()
    ids = tested.predictions["utterance"].tolist()
    others = np.array([EMOTIONS[EMOTIONS.index(emotion) - 1] for emotion in true])

    def guessed(k):
        return np.where(np.arange(len(true)) < k, others, true)

    print_of = tested.provenance.text_fingerprint
    for seed, k in enumerate(wrong):
        under = {name: guessed(counts[seed]) for name, counts in (altered or {}).items()}
        under = {name: under.get(name, guessed(k)) for name in RECORDINGS}
        run = heard(true, guessed(k), under, ids, seed=seed, corpus="small", profile="quick")
        yield replace(run, provenance=replace(run.provenance, text_fingerprint=print_of))


def moved(decibels):
    """Levels that `rms` moves by so many dB."""
    return pd.DataFrame({"spread": [NOMINAL / 10 ** (decibels / 20)]})


def test_the_network_is_ahead_where_it_is_better():
    wrong = [0, 1, 0, 1]
    chosen = loudness_tables.rivals(of_baselines(), kept(*mistaken(wrong)), "stratified")
    found = loudness_tables.ahead(chosen, baseline_runs.dialogues(of_baselines()), "seed")
    (tested,) = (one for one in of_baselines() if one.experiment.model == "majority")
    n = len(tested.predictions)
    right = metrics.accuracy(tested.predictions["emotion"], metrics.predicted(tested.predictions))
    leads = 1 - np.array(wrong) / n - right
    assert found["majority"].difference == pytest.approx(leads.mean())
    assert found["majority"].p_value == pytest.approx(stats.ttest_1samp(leads, 0).pvalue)
    assert found["majority"].sign == 1 and found["loudness"].sign == 0


GOOD, BAD = [0, 1, 0, 1], [6, 7, 7, 6]


@pytest.mark.parametrize(
    ("wrong", "altered", "shift", "control", "conclusion"),
    [
        (GOOD, {"rms": BAD}, 5, "louder", (False, True)),
        (GOOD, {"rms": BAD, "louder": BAD}, 5, "louder", (False, False)),
        (GOOD, {"rms": BAD, "louder": BAD}, -5, "softer", (False, True)),
        (GOOD, {"rms": BAD, "louder": BAD, "softer": BAD}, 2, UNTREATED, (False, True)),
        (GOOD, {}, 2, UNTREATED, (False, False)),
        (BAD, {"rms": [8] * 4}, 5, "louder", None),
    ],
)
def test_conclusions_follow_from_rms_beside_its_control(wrong, altered, shift, control, conclusion):
    runs = kept(*mistaken(wrong, altered))
    told = loudness_tables.in_words(of_baselines(), runs, "stratified", "here", moved(shift))
    assert told["here_loudness"] == "1.000", "the small corpus's loudness says the class"
    expected = loudness_tables.CONCLUSIONS[conclusion] if conclusion else loudness_tables.DEAF
    assert told["here_conclusion"] == expected and told["here_control"] == control
    assert told["here_shift"] == f"{shift:+.1f}" and told["here_constant"] == "0 of 4"
    empty = loudness_tables.in_words((), kept(), "stratified", "here", moved(shift))
    assert empty.keys() == told.keys() and set(empty.values()) == {"(not run yet)"}


def test_without_levels_there_is_no_control_and_no_conclusion():
    told = loudness_tables.in_words(of_baselines(), kept(*mistaken(GOOD)), "stratified", "here")
    assert told["here_conclusion"] == told["here_control"] == "(not run yet)"


def test_a_model_that_hears_more_than_loudness_is_seen_ahead():
    flat = [one for one in of_baselines() if one.experiment.model != "loudness"]
    (majority,) = (one for one in flat if one.experiment.model == "majority")
    deaf = replace(majority, experiment=replace(majority.experiment, model="loudness"))
    runs = kept(*mistaken(GOOD))
    told = loudness_tables.in_words([*flat, deaf], runs, "stratified", "here", moved(5))
    assert told["here_conclusion"].startswith("the network hears more than loudness")
    assert told["here_soft_found"] == "not for sure"


def test_louder_speech_is_called_angry_more_often():
    true = of_baselines()[0].predictions["emotion"].tolist()
    ids = of_baselines()[0].predictions["utterance"].tolist()
    runs = []
    for seed, run in enumerate(mistaken(GOOD)):
        angry = ["anger"] * (len(true) - seed % 2) + ["neutrality"] * (seed % 2)
        altered = {"louder": angry, "softer": ["neutrality"] * len(true)}
        runs.append(replace(run, treated=heard(true, true, altered, ids).treated))
    told = loudness_tables.in_words(of_baselines(), kept(*runs), "stratified", "here", moved(5))
    share = 1 - 0.5 / len(true)
    assert told["here_loud_louder"] == f"{share:.3f}" and told["here_loud_softer"] == "0.000"
    assert told["here_loud_change"].startswith(f"+{share:.3f} [")
    assert told["here_loud_found"] == "yes" and told["here_soft_softer"] == "0.000"
    assert "never" in told["here_soft_found"]


def test_trainings_on_equally_loud_recordings_are_held_against_ours():
    assert CHOICES[loudness_tables.NORMALISED] == {
        "training.waveform": "loudness normalised per utterance"
    }
    ours, other = network(1.0), network(0.0, choice=loudness_tables.NORMALISED)
    found = loudness_tables.normalised([*ours, *other])
    assert found.index.tolist() == ["Audio"] and found.loc["Audio", "ours"] == 1
    assert found.loc["Audio", "accuracy"] == 1 + found.loc["Audio", "difference"] < 0.7
    missing = loudness_tables.trained_normalised("standin-tiny", "quick", "stratified")
    assert isinstance(missing, Notice) and "--grid choices" in missing.command
    assert loudness_tables.normalised_in_words("emodb", "smoke", "speaker") == "(not run yet)"
