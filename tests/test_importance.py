"""Attention scores against the truth: the truth itself, the measures, and their verdicts."""

import itertools
from dataclasses import replace
from functools import cache
from pathlib import Path

import made_runs
import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import mutual_info_score

from replicate.corpora import standin
from replicate.paper import EMOTIONS
from replicate.runs.published import load_runs
from replicate.runs.selection import Selection
from replicate.runs.store import Run, save_run
from replicate.settings import Fold
from replicate.stats import classification, intervals
from replicate.studies import importance
from replicate.studies import importance_by_utterance as by_utterance
from replicate.studies.importance import ASTRAY, FOLLOWS, HARDLY, UNKNOWN

#: For intervals that are compared with those of another bootstrap; elsewhere fewer will do.
DRAWS = intervals.CLUSTER_RESAMPLES
evidence = cache(standin.evidence)
plan = cache(standin.plan)
SHARE = importance.truth()["share"]


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "CLUSTER_RESAMPLES", 50)


def cohort(size: str, preset: str) -> list[standin.Planned]:
    return [turn for turn in plan(size, preset) if turn.in_cohort]


# --- the truth ---


def test_what_single_utterances_tell_averages_to_the_channels_bits() -> None:
    told, known = evidence("full", "default"), standin.ceilings("default")
    for modality in ("text", "audio"):
        bits = known.loc[modality, "bits"]
        for name in (modality, f"{modality}_gain"):
            error = told[name].std() / len(told) ** 0.5
            assert told[name].mean() == pytest.approx(bits, abs=4 * error)


def test_text_evidence_is_what_counting_the_plan_gives() -> None:
    said = cohort("full", "default")
    acted, symbol = ([getattr(t, name) for t in said] for name in ("acted", "text_symbol"))
    counts = pd.crosstab(np.array(symbol), np.array(acted))
    posterior = counts.div(counts.sum(axis=1), axis=0)
    prior = counts.sum() / counts.to_numpy().sum()
    counted = [np.log2(posterior.loc[j, c] / prior[c]) for j, c in zip(symbol, acted, strict=True)]
    assert np.abs(evidence("full", "default")["text"] - counted).max() < 0.35
    bits = mutual_info_score(acted, symbol) / np.log(2)
    assert evidence("full", "default")["text"].mean() == pytest.approx(bits, abs=0.02)


def test_audio_evidence_is_bayes_rule_with_densities() -> None:
    """Symbols, tags and the level's density, capped at both ends, multiplied by hand."""
    model = standin.PRESETS["default"]
    prior = np.array([1103, 1636, 1708, 1084]) / 5531
    means, sds = np.array([(-3.864, 1.006), (-4.439, 0.979), (-4.947, 0.688), (-5.546, 0.704)]).T
    low, high = np.log([6e-4, 0.25])
    told = evidence("quick", "default")
    for turn in cohort("quick", "default")[::7]:
        rates = [
            np.array(rate) if heard else 1 - np.array(rate)
            for rate, heard in ((model.laughter, turn.laughter), (model.breath, turn.breath))
        ]
        level = np.log(turn.level)
        density = stats.norm.pdf(level, means, sds)
        if level <= low + 1e-9:
            density = stats.norm.cdf(low, means, sds)
        if level >= high - 1e-9:
            density = stats.norm.sf(high, means, sds)
        joint = (
            prior
            * np.array(model.prosody)[:, turn.prosody_symbol]
            * (np.array(model.text) @ (rates[0] * rates[1]))
            * density
        )
        expected = np.log2(joint[turn.acted] / joint.sum() / prior[turn.acted])
        assert told.loc[turn.utterance, "audio"] == pytest.approx(expected, abs=0.01)


def test_what_a_preset_silences_tells_nothing() -> None:
    for preset, silent in (("text-only", "audio"), ("audio-only", "text")):
        told = evidence("quick", preset)
        assert np.abs(told[[silent, f"{silent}_gain"]]).max(axis=None) < 1e-12
    clean = evidence("quick", "clean")
    assert np.allclose(clean["text"], clean["audio"]) and (clean["text"] > 1.6).all()


def test_shares_of_the_truth() -> None:
    known = importance.truth()
    assert list(known.index) == [
        "text-only", "audio-hard", "clean", "default", "text-hard", "audio-only",
    ]  # fmt: skip
    assert known.loc[["text-only", "clean", "audio-only"], "share"].tolist() == pytest.approx(
        [0, 0.5, 1], abs=1e-9
    )
    assert np.isnan(known.loc["clean", "share_added"])
    assert known["share_added"].dropna().is_monotonic_increasing
    other = list(known["share_accuracy"].sort_values().index)
    assert other[2:4] == ["default", "clean"], "the page says that two neighbours change places"
    assert other[:2] + other[4:] == list(known.index[[0, 1, 4, 5]])
    accuracy = standin.ceilings("default")["accuracy"]
    lifts = [accuracy[part] - accuracy["majority"] for part in ("audio", "text")]
    assert known.loc["default", "share_accuracy"] == pytest.approx(lifts[0] / sum(lifts))


def test_presets_of_a_corpus() -> None:
    assert importance.corpora("medium")["default"] == "standin-medium"
    assert importance.corpora("tiny")["text-hard"] == "standin-tiny-text-hard"
    assert list(importance.corpora("full")) == list(SHARE.index)


def test_share_of_losses() -> None:
    assert importance.share(0.3, 0.1) == pytest.approx(0.75)
    assert importance.share(0.3, -0.1) == 1
    assert np.isnan(importance.share(0.02, 0.01, importance.LEAST_LOSS))


# --- rank correlations ---


def test_rank_correlation_is_scipys() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 5, (2, 30, 12)).astype(float)
    expected = [stats.spearmanr(a, b).statistic for a, b in zip(x, y, strict=True)]
    assert importance.rank_correlation(x, y) == pytest.approx(np.array(expected))
    assert importance.rank_correlation(np.ones(5), np.arange(5)) == 0


def test_agreement_against_scipy() -> None:
    rng = np.random.default_rng(1)
    values = pd.Series(rng.normal(np.repeat(SHARE.to_numpy(), 3), 0.3), np.repeat(SHARE.index, 3))
    means = values.groupby(level=0).mean()[SHARE.index]
    found = importance.agreement(values, SHARE)
    assert found["rho"] == pytest.approx(stats.spearmanr(means, SHARE).statistic)
    assert found["tau"] == pytest.approx(stats.kendalltau(means, SHARE).statistic)
    assert found["slope"] == pytest.approx(stats.linregress(SHARE, means).slope)
    assert found["rho_low"] <= found["rho"] <= found["rho_high"]
    assert found["slope_low"] < found["slope"] < found["slope_high"]
    null = [stats.spearmanr(order, SHARE).statistic for order in itertools.permutations(means)]
    beyond = np.mean(np.abs(null) >= abs(found["rho"]) - 1e-9)
    assert found["p_value"] == pytest.approx(beyond)


def test_needed_is_the_tables_critical_value() -> None:
    """Two-sided 0.05, as printed in tables of Spearman's rho (Zar 1972)."""
    assert importance.needed(6) == pytest.approx(0.886, abs=5e-4)
    assert importance.needed(5) == pytest.approx(1)
    assert np.isnan(importance.needed(4))


def test_power_falls_with_noise_to_the_level_of_the_test() -> None:
    chances = [importance.power(noise, SHARE, 4000) for noise in (0, 0.1, 0.3, 100)]
    assert chances[0] == 1 and chances == sorted(chances, reverse=True)
    assert chances[-1] == pytest.approx(12 / 720, abs=0.007)  # rho of 0.886 and more, one-sided


def test_detectable_correlation_is_detected_as_often_as_promised() -> None:
    n, rng = 61, np.random.default_rng(0)
    rho = importance.detectable(n)
    normal = 2 * np.sin(np.pi * rho / 6)  # Pearson's of a normal pair with this Spearman's
    pairs = rng.multivariate_normal([0, 0], [[1, normal], [normal, 1]], (1500, n))
    found = importance.rank_correlation(pairs[..., 0], pairs[..., 1])
    t = found * np.sqrt((n - 2) / (1 - found**2))
    power = (2 * stats.t.sf(np.abs(t), n - 2) < 0.05).mean()
    assert power == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize(
    ("mean", "noise", "verdict"),
    [
        (SHARE, 0.005, FOLLOWS),
        (0.5 + 0.01 * SHARE, 0.0001, HARDLY),
        (1 - SHARE, 0.005, ASTRAY),
        (SHARE * 0 + 0.5, 0.0, ASTRAY),
        (SHARE.iloc[[2, 0, 1, 3, 5, 4]].to_numpy(), 0.005, UNKNOWN),
    ],
)
def test_verdicts_from_preset_to_preset(mean: pd.Series, noise: float, verdict: str) -> None:
    rng = np.random.default_rng(0)
    values = np.repeat(np.asarray(mean), 3) + rng.normal(0, noise, 18)
    found = importance.agreement(pd.Series(values, np.repeat(SHARE.index, 3)), SHARE)
    assert found["verdict"] == verdict


def test_too_few_presets_tell_nothing() -> None:
    values = pd.Series([0.1, 0.2, np.nan], ["text-only", "clean", "default"])
    found = importance.agreement(values, SHARE)
    assert found["n"] == 2 and np.isnan(found["rho"]) and found["verdict"] == UNKNOWN
    same = pd.Series(0.0, SHARE.index)
    assert np.isnan(importance.agreement(SHARE, same)["rho"])


# --- made runs ---


def made(preset: str, model: str, seed: int, faithful: bool) -> Run:
    """A run that is always right, and whose attention is the truth or has nothing to do with it.

    Without audio half of the audio's true share is lost, without text half of the text's.
    """
    said = cohort("quick", preset)[::10]
    ids, true = [turn.utterance for turn in said], [EMOTIONS[turn.acted] for turn in said]
    n, known, told = len(said), SHARE[preset], evidence("quick", preset)
    rng = np.random.default_rng((seed, list(SHARE.index).index(preset), len(model)))
    ranks = stats.rankdata((told["audio"] - told["text"])[ids]) / n - 0.5
    scores = (known + 0.1 * ranks if faithful else 0.5) + rng.normal(0, 0.01, n)
    run = made_runs.run(
        true, true, ids, model=model, embedding="none" if model == "audio" else "trainable",
        seed=seed, scores=scores if model.startswith("att") else np.nan, profile="quick",
        corpus=importance.corpora("quick")[preset], synthetic=True,
    )  # fmt: skip
    lost = {f"audio-{how}": known / 2 for how in ("zero", "shuffled")}
    lost |= {f"text-{how}": (1 - known) / 2 for how in ("zero", "shuffled")}
    lost = {"audio": {}, "text": {}, "concat": lost}.get(model, lost | {"half": 0.1})
    parts = [run.predictions.assign(treatment="untrained", audio_score=rng.normal(0.5, 0.01, n))]
    for treatment, share in lost.items():
        wrong = np.arange(n) < round(share * n)
        turned = run.predictions.copy()
        turned.loc[wrong, list(EMOTIONS)] = np.roll(turned.loc[wrong, list(EMOTIONS)], 1, axis=1)
        parts.append(turned.assign(treatment=treatment))
    return replace(run, treated=pd.concat(parts, ignore_index=True))


@cache
def world(faithful: bool, *models: str) -> dict[str, list[Run]]:
    return {
        preset: [made(preset, model, seed, faithful) for model in models for seed in range(2)]
        for preset in SHARE.index
    }


def answers(runs: dict[str, list[Run]]) -> pd.DataFrame:
    """The answers of runs by preset."""
    selections = {preset: Selection(preset, "quick", tuple(some)) for preset, some in runs.items()}
    return importance.answers(selections)


def measures(*runs: Run) -> dict[str, float]:
    """What runs of one model and seed say."""
    (row,) = importance.measured(answers({"": list(runs)})).to_dict("records")
    return row


@cache
def single_utterances(faithful: bool) -> pd.DataFrame:
    others = ("concat", "audio", "text") if faithful else ()
    runs = world(faithful, "att_d1", *others)
    return by_utterance.with_truth(answers(runs), "quick")


def test_measures_of_a_made_run() -> None:
    run = made("default", "att_d1", 0, faithful=True)
    found, n = measures(run), len(run.predictions)
    assert (found["utterances"], found["accuracy"], found["spread"]) == (n, 1, 0)
    assert found["half"] == pytest.approx(round(0.9 * n) / n - 1)
    assert found["flips"] == pytest.approx(-found["half"])
    for modality, share in (("audio", SHARE["default"]), ("text", 1 - SHARE["default"])):
        assert found[f"{modality}_zeroed"] == pytest.approx(share / 2, abs=1 / n)
    assert found["zeroed"] == pytest.approx(SHARE["default"], abs=2 / n)
    assert found["score"] == pytest.approx(run.predictions["audio_score"].mean())
    alone = measures(made("default", "audio", 0, faithful=True))
    assert "half" not in alone and "zeroed" not in alone
    assert "half" not in measures(made("default", "concat", 0, faithful=True))


def test_measures_of_a_stored_run() -> None:
    stored = load_runs("standin-quick", "quick")
    runs = [run for run in stored if run.experiment.name.startswith("att_sn-trainable")]
    if not runs:
        pytest.skip("no runs of the stand-in are stored")
    found, own = measures(runs[0]), runs[0].selected("last-epoch")
    assert found["accuracy"] == (classification.predicted(own) == own["emotion"]).mean()
    answers = runs[0].treated.set_index("treatment")
    for name, treatment in (("audio_zeroed", "audio-zero"), ("text_shuffled", "text-shuffled")):
        other = answers.loc[treatment]
        right = (classification.predicted(other) == other["emotion"]).mean()
        assert found[name] == pytest.approx(found["accuracy"] - right)
    assert found["untrained"] == pytest.approx(answers.loc["untrained", "audio_score"].mean())
    assert 0 < found["spread"] < 0.5 and 0 <= found["flips"] <= 1
    assert len(own) == importance.tested("quick")


def test_folds_held_out_in_turn_are_pooled() -> None:
    whole = made("default", "att_d1", 0, faithful=True)
    ids = sorted(whole.predictions["utterance"])
    parts = []
    for chosen in (ids[:20], ids[20:]):
        predictions, treated = (
            table[table["utterance"].isin(chosen)] for table in (whole.predictions, whole.treated)
        )
        parts.append(replace(whole, predictions=predictions, treated=treated))
    assert measures(*parts) == pytest.approx(measures(whole))


def test_reached_share_is_that_of_the_accuracies_above_the_largest_class() -> None:
    table = pd.DataFrame(
        [
            ("default", "audio", 0.5), ("default", "audio", 0.6), ("default", "text", 0.45),
            ("clean", "audio", 0.3), ("clean", "text", 0.9), ("audio-hard", "audio", 0.9),
            ("text-only", "audio", 0.31), ("text-only", "text", 0.3),
        ],
        columns=["preset", "model", "accuracy"],
    ).assign(majority=0.3)  # fmt: skip
    found = importance.reached(table)
    assert found["default"] == pytest.approx(0.25 / 0.4) and found["clean"] == 0
    assert np.isnan(found["text-only"]) and "audio-hard" not in found


def rhos(rows: pd.DataFrame) -> pd.Series:
    """Of the score with what the audio tells more, in each run of Att_d^1."""
    own = rows[(rows["treatment"] == "") & (rows["model"] == "att_d1")]
    pairs = own.groupby(["preset", "seed"])[["audio_score", "told"]]
    return pairs.apply(lambda pair: stats.spearmanr(*pair.to_numpy(float).T).statistic)


@pytest.mark.parametrize("faithful", [True, False])
def test_verdicts_from_utterance_to_utterance(faithful: bool) -> None:
    rows = single_utterances(faithful)
    assert "clean" not in set(rows["preset"]), "there all utterances tell the same"
    (found,) = by_utterance.followed(rows).to_dict("records")
    runs = rhos(rows)
    assert found["model"] == "att_d1"
    assert found["rho"] == pytest.approx(runs.mean())
    assert found["difference"] == pytest.approx(found["rho"] - found["untrained"])
    assert found["rho_low"] <= found["rho"] <= found["rho_high"]
    if faithful:
        assert found["verdict"] == FOLLOWS and found["rho"] > 0.8
    else:
        error = 1 / (found["utterances"] * len(runs)) ** 0.5
        assert found["verdict"] in (ASTRAY, UNKNOWN) and abs(found["rho"]) < 4 * error


def test_score_of_an_utterance_is_held_against_its_own_truth() -> None:
    runs = rhos(single_utterances(True))
    run = made("default", "att_d1", 1, faithful=True)
    own = run.predictions.set_index("utterance")["audio_score"]
    told = evidence("quick", "default").loc[own.index]
    expected = stats.spearmanr(own, told["audio"] - told["text"]).statistic
    assert runs["default", 1] == pytest.approx(expected)


def test_intervals_over_dialogues_of_one_utterance_are_those_of_the_plain_bootstrap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(intervals, "CLUSTER_RESAMPLES", DRAWS)
    rows = single_utterances(True).query("preset == 'default' and seed == 0 and model == 'att_d1'")
    rows = rows.assign(dialogue=rows["utterance"])
    by = rows.set_index("utterance").groupby("treatment")["audio_score"]
    own, untrained = by.get_group("").sort_index(), by.get_group("untrained").sort_index()
    told = rows[rows["treatment"] == ""].set_index("utterance")["told"].sort_index()
    again = stats.bootstrap(
        (untrained + own, told),
        lambda a, b: stats.spearmanr(a, b).statistic, paired=True, vectorized=False,
        method="percentile", n_resamples=1000, rng=0,
    ).confidence_interval  # fmt: skip
    noisy = rows["utterance"].map(untrained + own).where(rows["treatment"] == "")
    noisy = rows.assign(audio_score=noisy.fillna(rows["audio_score"]))
    (found,) = by_utterance.followed(noisy).to_dict("records")
    ends = found["rho_low"], found["rho_high"]
    assert ends == pytest.approx((again.low, again.high), abs=0.03)


def test_what_single_utterances_lose_is_counted_in_bits() -> None:
    some = {"default": world(True, "att_d1", "concat", "audio", "text")["default"]}
    rows = by_utterance.with_truth(answers(some), "quick")
    found = by_utterance.ablated(rows).set_index("model").loc["att_d1"]
    told_class, not_told = [], []
    for seed in range(2):
        run = made("default", "att_d1", seed, faithful=True)
        treated = run.treated.set_index(["treatment", "utterance"])[list(EMOTIONS)]
        own = run.predictions.set_index("utterance")
        lost, moved = [], []
        for utterance, row in own.iterrows():
            whole = row[list(EMOTIONS)].to_numpy(dtype=float)
            without = [treated.loc[(f"{m}-zero", utterance)] for m in ("audio", "text")]
            bits = [np.log2(0.7 / part[row["emotion"]]) for part in without]
            lost.append(bits[0] - bits[1])
            moved.append(np.subtract(*[stats.entropy(whole, part, base=2) for part in without]))
        told = evidence("quick", "default").loc[own.index]
        told = (told["audio"] - told["text"]).round(9)
        told_class.append(stats.spearmanr(lost, told).statistic)
        not_told.append(stats.spearmanr(moved, told).statistic)
    assert found["zeroed"] == pytest.approx(np.mean(told_class))
    assert found["zeroed_blind"] == pytest.approx(np.mean(not_told), abs=0.02)
    assert found["zeroed_low"] < np.mean(told_class) < found["zeroed_high"]
    assert found["shuffled"] == pytest.approx(found["zeroed"]), "made alike"
    assert (found["presets"], found["utterances"]) == (1, len(own))


# --- the page ---


def store(runs: dict[str, list[Run]], root: Path) -> None:
    for run in itertools.chain(*runs.values()):
        experiment = run.experiment
        folder = root / experiment.corpus / experiment.profile / experiment.name
        save_run(replace(run, folder=folder))


def test_stored_runs_are_measured_and_ordered(tmp_path) -> None:
    store(world(True, "att_d1", "concat", "audio", "text"), tmp_path)
    runs = importance.load("quick", "paper", "quick", root=tmp_path)
    assert list(runs) == list(SHARE.index) and all(len(some) == 8 for some in runs.values())
    table = importance.measured(importance.answers(runs))
    orders = importance.orders(table)
    assert set(orders["verdict"][orders["measure"] != "untrained"]) == {FOLLOWS}
    scores = table[table["model"] == "att_d1"].set_index("preset")["score"]
    again = importance.agreement(scores, SHARE)
    row = orders.query("measure == 'score'").iloc[0]
    assert (row["rho"], row["slope"], row["p_holm"]) == tuple(
        again[name] for name in ("rho", "slope", "p_value")
    )


def test_a_preset_without_runs_is_left_out(tmp_path) -> None:
    store({"clean": world(True, "att_d1", "concat", "audio", "text")["clean"]}, tmp_path)
    runs = importance.load("quick", "quick", root=tmp_path)
    assert [preset for preset, some in runs.items() if some] == ["clean"]
    rows = importance.answers(runs)
    orders = importance.orders(importance.measured(rows))
    assert set(orders["verdict"]) == {UNKNOWN} and (orders["n"] <= 1).all()
    assert by_utterance.with_truth(rows, "quick").empty
    assert "--grid attention" in runs["default"].missing().remedy


def test_nothing_stored_has_no_answers(tmp_path) -> None:
    rows = importance.answers(importance.load("quick", "quick", root=tmp_path))
    assert rows.empty and importance.measured(rows).empty
    rows = by_utterance.with_truth(rows, "quick")
    assert by_utterance.followed(rows).empty and by_utterance.ablated(rows).empty


def test_speakers_held_out_are_pooled_as_one_test_set() -> None:
    """Two speakers held out in turn; the made audio is lost as in the preset without text."""
    whole = made("audio-only", "att_d1", 0, True)
    runs = []
    for speaker, theirs in (("a", "M"), ("b", "F")):
        predictions, treated = (
            part[part["utterance"].str[-4] == theirs] for part in (whole.predictions, whole.treated)
        )
        experiment = replace(whole.experiment, corpus="emodb", fold=Fold("speaker", speaker))
        held_out = {"experiment": experiment, "predictions": predictions, "treated": treated}
        runs.append(replace(whole, **held_out))
    found, expected = measures(*runs), measures(whole)
    for measure in ("score", "audio_zeroed", "text_zeroed"):
        assert found[measure] == pytest.approx(expected[measure])
