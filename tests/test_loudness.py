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

from replicate.corpora.altered import NOMINAL
from replicate.corpora.opening import open_corpus, open_text
from replicate.corpora.protocol import cohort
from replicate.corpora.table import text_fingerprint
from replicate.corpora.waveforms import class_averages, open_waveforms, statistics
from replicate.files import InputError
from replicate.model import AudioFrontEnd
from replicate.paper import EMOTIONS
from replicate.report import sources
from replicate.runs.experiments import CHOICES
from replicate.runs.selection import Selection, answers, load
from replicate.settings import RECORDINGS, SAMPLE_RATE, UNTREATED, Fold, ModelConfig
from replicate.stats import classification, hypothesis_tests
from replicate.stats.summaries import by_run
from replicate.studies import audit, loudness
from replicate.studies.loudness import Loudness
from replicate.training import baselines
from replicate.verdicts.claims import verdicts

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
        found = loudness.answers(runs, RECORDINGS)
        assert list(found) == [UNTREATED, *RECORDINGS] and len(found) == 240
        second = found.xs(1, level="seed")["rms"].tolist()
        under = runs[1].treated[runs[1].treated["treatment"] == "rms"]
        assert second == classification.predicted(under).tolist()
        rights = loudness.right(found)[UNTREATED].groupby(level="seed").mean()
        assert rights.tolist() == by_run(answers(runs))["accuracy"].tolist()

    def test_over_seeds_are_paired_t_tests_with_holms_correction(self):
        runs = seeds()
        found = loudness.effects(loudness.answers(runs, ["rms", "louder"]), "seed").loc["rms"]
        right = loudness.right(loudness.answers(runs, ["rms"])).groupby(level="seed").mean()
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
        found = loudness.effects(loudness.answers(runs, RECORDINGS), "seed")
        assert found.loc["rms", ["found", "seeds"]].tolist() == [2, 3]

    def test_nothing_changes_where_nothing_is_altered(self):
        found = loudness.effects(loudness.answers(seeds(), RECORDINGS), "seed").loc["softer"]
        assert found[["difference", "low", "high", "found", "changed"]].tolist() == [0] * 5
        assert np.isnan(found["unit_low"]) and found["p_holm"] == 1, "without spread, no evidence"

    def test_changed_answers_count_though_accuracy_stays(self):
        true = ["anger"] * 8
        runs = [
            heard(true, ["sadness"] * 8, {"rms": ["happiness"] * k + ["sadness"] * (8 - k)}, seed=k)
            for k in (2, 4)
        ]
        found = loudness.effects(loudness.answers(runs, ["rms"]), "seed").loc["rms"]
        assert found["difference"] == 0 and found["changed"] == pytest.approx(3 / 8)
        assert (found["changed_low"], found["changed_high"]) == (0, 1)

    def test_groups_held_out_are_drawn_as_a_whole(self):
        runs = seeds(folds=[Fold("speaker", str(k)) for k in range(4)])
        answered = loudness.answers(runs, ["rms"])
        found = loudness.effects(answered, "fold").loc["rms"]
        right = loudness.right(answered)
        by_hand = hypothesis_tests.over_clusters(
            right[["rms", UNTREATED]], right.index.get_level_values(0)
        )
        assert [found["low"], found["high"]] == by_hand[["low", "high"]].iloc[0].tolist()
        assert found["seeds"] == 1

    def test_one_seed_has_no_spread_over_seeds(self):
        found = loudness.effects(loudness.answers(seeds(count=1), ["rms"]), "seed").loc["rms"]
        assert np.isnan([found["unit_low"], found["p_holm"]]).all() and found["low"] < 0


#: Six dialogues of two utterances.
DIALOGUES = {f"Ses01F_impro0{i // 2}_F00{i % 2}": f"Ses01F_impro0{i // 2}" for i in range(12)}


class TestContrast:
    def answered(self, rights):
        """Bool answers of 4 seeds to 12 utterances of 6 dialogues."""
        index = pd.MultiIndex.from_product(
            [["f"], range(4), list(DIALOGUES)], names=["fold", "seed", "utterance"]
        )
        return pd.Series(np.asarray(rights, dtype=bool).ravel(), index)

    def test_it_is_a_bootstrap_of_dialogues_and_a_test_over_seeds(self):
        rng = np.random.default_rng(3)
        first, second = (self.answered(rng.random((4, 12)) < share) for share in (0.8, 0.4))
        found = loudness.contrast(first, second, "seed")
        by_seed = [part.groupby(level="seed").mean() for part in (first, second)]
        assert found.p_value == pytest.approx(stats.ttest_rel(*by_seed).pvalue)
        both = pd.DataFrame({"a": first, "b": second})
        drawn = both.index.get_level_values("utterance").map(DIALOGUES)
        ends = hypothesis_tests.over_clusters(both, drawn)[["difference", "low", "high"]].iloc[0]
        assert [found.difference, found.low, found.high] == pytest.approx(ends.tolist())
        back = loudness.contrast(second, first, "seed")
        assert (back.sign, back.difference) == (-found.sign, -found.difference)

    def test_a_sign_takes_both_interval_and_test(self):
        never = self.answered(np.zeros((4, 12)))
        ten, nine, two, none = ([1] * k + [0] * (12 - k) for k in (10, 9, 2, 0))
        both = loudness.contrast(self.answered([ten, nine] * 2), never, "seed")
        assert both.sign == 1
        one_dialogue = self.answered([two, two, two, [1] + [0] * 11])
        found = loudness.contrast(one_dialogue, never, "seed")
        assert found.p_value < 0.05 and found.low == 0 and found.sign == 0
        one_seed = self.answered([[1] * 12, none, none, none])
        found = loudness.contrast(one_seed, never, "seed")
        assert found.low > 0 and found.p_value > 0.05 and found.sign == 0

    def test_one_seed_shows_nothing(self):
        always = self.answered(np.ones((4, 12))).xs(0, level="seed", drop_level=False)
        found = loudness.contrast(always, ~always, "seed")
        assert found.low == 1 and np.isnan(found.p_value) and found.sign == 0


@pytest.mark.parametrize("test", [hypothesis_tests.over_seeds, hypothesis_tests.over_utterances])
def test_with_a_reference_the_pairs_are_those_with_it(test):
    table = pd.DataFrame(RNG.random((12, 4)), columns=list("abcd"))
    if test is hypothesis_tests.over_utterances:
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
    field = loudness.receptive_field(ModelConfig())
    assert len(places) == field == int(places[-1] - places[0]) + 1


@pytest.mark.parametrize(("share", "n"), [(0.1, 61), (0.2, 555), (0.05, 339)])
def test_the_smallest_difference_is_where_mcnemar_begins_to_find(share, n):
    turned = round(share * n)
    net = round(audit.smallest_net(share, n) * n)

    def p_value(ahead):
        first, second = np.ones(n), np.ones(n)
        second[: (turned + ahead) // 2] = 0
        first[(turned + ahead) // 2 : turned] = 0
        return hypothesis_tests.mcnemar(first, second).p_value

    net += (turned - net) % 2  # as many turn as the share says: only every other net is possible
    assert p_value(net) < 0.05 <= p_value(net - 2)


def test_few_turned_answers_show_nothing():
    assert np.isnan(audit.smallest_net(0.05, 61))


class TestRecordings:
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE

    def recording(self, level):
        wave = level * (1 + np.sin(8 * np.pi * self.time)) * np.sin(2000 * np.pi * self.time)
        return np.rint(32768 * wave).astype(np.int16)

    def test_what_each_treatment_keeps(self):
        found = loudness.remains([self.recording(0.01), self.recording(0.1)], 50)
        assert found.loc[UNTREATED].tolist() == pytest.approx([0, 20, 1, 1], abs=0.05)
        assert found.loc["louder"].tolist() == pytest.approx([6, 20, 1, 1], abs=0.05)
        assert found.loc["softer"].tolist() == pytest.approx([-6, 20, 1, 1], abs=0.05)
        assert found.loc["rms", "range"] == pytest.approx(0, abs=0.01)
        assert found.loc["envelope", "envelope"] > 0.7 > abs(found.loc["envelope", "spectrum"])
        shuffled = found.loc["time-shuffled"]
        assert shuffled["level"] == pytest.approx(0, abs=1e-9)
        assert max(abs(shuffled["envelope"]), abs(shuffled["spectrum"])) < 0.5


# --- levels ---


def test_levels_are_stored_and_read_back(tmp_path):
    corpus = small.corpus()
    level = loudness.of_cohort(corpus, small.waveforms())
    expected = statistics(small.waveforms(), cohort(corpus))
    assert class_averages(level)["WaveAvg"].equals(expected["WaveAvg"])
    kept = replace(Loudness.load("emodb"), rows=list(level.itertuples(name=None)), corpus="small")
    path = kept.save(tmp_path)
    assert Loudness.load("small", tmp_path) == kept
    pd.testing.assert_frame_equal(kept.table, level, **LOOSELY)
    path.write_text(path.read_text().replace("anger", "7", 1).replace('"u000"', "0"))
    with pytest.raises(InputError, match="replicate loudness --corpus small"):
        Loudness.load("small", tmp_path)
    assert Loudness.load("iemocap", tmp_path) is None


@pytest.mark.parametrize("name", ["emodb", "standin-quick"])
def test_stored_levels_are_those_of_the_recordings(name):
    if name == "emodb" and not (DATA / name).is_dir():
        pytest.skip(f"no recordings at {DATA / name}")
    corpus = open_corpus(name, DATA / name if name == "emodb" else None)
    kept = Loudness.load(name)
    assert kept.audio_fingerprint == open_waveforms(corpus).fingerprint
    pd.testing.assert_frame_equal(kept.table, loudness.of_cohort(corpus), **LOOSELY)


def test_sad_speech_of_emodb_is_not_the_softest():
    level = Loudness.load("emodb").table
    rows = loudness.above(level, "sadness")
    decibels = (20 * np.log10(level["average"])).groupby([level["speaker"], level["emotion"]])
    means = decibels.mean().unstack()
    paired = [stats.ttest_rel(means[emotion], means["sadness"]) for emotion in rows.index]
    expected = multipletests([found.pvalue for found in paired], method="holm")[1]
    assert rows["p_holm"].tolist() == pytest.approx(expected.tolist())
    low = [found.confidence_interval().low for found in paired]
    assert rows["low"].tolist() == pytest.approx(low)
    assert rows["speakers"].tolist() == [10, 10, 10]
    below = [(means[emotion] > means["sadness"]).sum() for emotion in rows.index]
    assert rows["softer"].tolist() == below


def test_the_source_of_levels_or_what_would_make_them():
    source = sources.of_levels("emodb")
    assert "levels of 339" in source.brief and not source.synthetic
    absent = sources.of_levels("meld")
    assert not absent and "replicate loudness --corpus meld" in absent.remedy


def test_levels_decide_where_no_recordings_are_at_hand():
    given = verdicts(Selection("emodb", "paper", ())).loc[[25, 26]]
    assert set(given["verdict"]) == {"not testable here"}
    # how loud another corpus is checks nothing; the order of its classes may be compared
    assert given["check"].tolist() == ["", "criterion not met"] and given["reproduced"].all()


@pytest.mark.parametrize("name", ["standin-quick", "standin-full"])
def test_the_stand_ins_levels_decide_without_its_recordings(name, monkeypatch, tmp_path):
    monkeypatch.setenv("REPLICATE_CACHE", str(tmp_path))
    opened = open_text(name)
    done = load(name, "quick", seen=opened)
    kept = Loudness.load(name)
    assert kept.text_fingerprint == text_fingerprint(opened.utterances)
    known = {run.provenance.audio_fingerprint for run in done.runs} - {None}
    assert known <= {kept.audio_fingerprint}
    given = verdicts(done, opened)
    assert given.loc[[25, 26], "check"].all() and not list(tmp_path.iterdir())


def test_the_shift_is_what_equal_loudness_does_to_the_mean_level():
    level = pd.DataFrame({"spread": [NOMINAL, NOMINAL / 10]})
    assert loudness.shift(level) == pytest.approx(10)


# --- the page ---


@functools.cache
def of_baselines():
    """Baselines on one split of the small corpus, whose loudness says the class."""
    with tempfile.TemporaryDirectory() as root:
        settings = baselines.wanted(small.corpus(), "stratified", 1)
        chosen = [s for s in settings if s.model in loudness.RIVALS]
        made = baselines.compute(chosen, small.corpus(), small.waveforms(), Path(root))
        return tuple(made)


def mistaken(wrong):
    """A seed of the network for each number of wrong answers, to the first utterances."""
    tested = of_baselines()[0]
    true = tested.predictions["emotion"].to_numpy()
    ids = tested.predictions["utterance"].tolist()
    others = np.array([EMOTIONS[EMOTIONS.index(emotion) - 1] for emotion in true])
    print_of = tested.provenance.text_fingerprint
    for seed, k in enumerate(wrong):
        guessed = np.where(np.arange(len(true)) < k, others, true)
        run = heard(true, guessed, ids=ids, seed=seed, corpus="small", profile="quick")
        yield replace(run, provenance=replace(run.provenance, text_fingerprint=print_of))


def compared(wrong):
    """Baselines and seeds of the network with so many wrong answers."""
    baselines = Selection("small", "baselines", of_baselines())
    network = Selection("small", "quick", tuple(mistaken(wrong)))
    return loudness.rivals(baselines, network.of("audio"))


def test_the_network_stands_beside_baselines_on_the_same_utterances():
    wrong = [0, 1, 0, 1]
    answers = compared(wrong).answers()
    right = loudness.right_beside(answers)
    found = {
        name: loudness.contrast(right["audio"], right[name], "seed")
        for name in loudness.RIVALS[:-1]
    }
    (tested,) = (one for one in of_baselines() if one.experiment.model == "majority")
    n = len(tested.predictions)
    share = (classification.predicted(tested.predictions) == tested.predictions["emotion"]).mean()
    leads = 1 - np.array(wrong) / n - share
    assert found["majority"].difference == pytest.approx(leads.mean())
    assert found["majority"].p_value == pytest.approx(stats.ttest_1samp(leads, 0).pvalue)
    assert found["majority"].sign == 1 and found["loudness"].sign == 0
    assert right["loudness"].all(), "the small corpus's loudness says the class"


def test_rivals_are_on_the_folds_that_all_have_or_none():
    chosen = compared([0, 1])
    assert [run.experiment.model for run in chosen] == [*loudness.RIVALS, "audio"]
    simple = Selection("small", "baselines", of_baselines())
    network = Selection("small", "quick", tuple(mistaken([0, 1])))
    elsewhere = replace(network.runs[1], experiment=replace(
        network.runs[1].experiment, fold=Fold("stratified", "1")))  # fmt: skip
    some = loudness.rivals(simple, replace(network, runs=(network.runs[0], elsewhere)))
    assert [run.experiment.seed for run in some if run.experiment.model == "audio"] == [0]
    assert not loudness.rivals(simple, network.of("audio", folds="speaker"))
    other = replace(network.runs[0], provenance=replace(
        network.runs[0].provenance, text_fingerprint="other"))  # fmt: skip
    assert not loudness.rivals(simple, replace(network, runs=(other,)))
    assert "replicate baselines" in loudness.rivals(simple.of("mfcc"), network).missing().remedy


@pytest.mark.parametrize(
    ("decibels", "control"), [(5, "louder"), (-5, "softer"), (2, UNTREATED), (-2, UNTREATED)]
)
def test_the_control_of_rms_moves_the_mean_level_alike(decibels, control):
    level = pd.DataFrame({"spread": [NOMINAL / 10 ** (decibels / 20)]})
    assert loudness.shift(level) == pytest.approx(decibels)
    assert loudness.nearest(loudness.shift(level)) == control


def test_trainings_on_equally_loud_recordings_are_a_choice():
    assert CHOICES[loudness.NORMALISED] == {
        "training.waveform": "loudness normalised per utterance"
    }
