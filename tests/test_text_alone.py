"""Text alone as single runs: intervals by independent methods, the rule, and objections."""

import functools
from dataclasses import replace
from pathlib import Path

import made_runs
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from replicate.paper import EMOTIONS, TESTED
from replicate.runs.baselines import Setting
from replicate.runs.experiments import GRIDS
from replicate.runs.selection import Selection
from replicate.settings import TREATMENTS, Fold
from replicate.stats import classification, hypothesis_tests
from replicate.stats.intervals import Interval, prediction_interval
from replicate.stats.power import POWER, detectable_between
from replicate.studies import choices, text_alone
from replicate.studies.text_alone import TARGET, TextAlone

RNG = np.random.default_rng(0)
ACCURACIES = (0.66, 0.71, 0.68, 0.69, 0.7)

numbers = st.floats(-1, 1, allow_nan=False, allow_subnormal=False)


# --- single runs ---


def test_prediction_interval_is_that_of_regression_on_a_constant():
    values = RNG.normal(0.7, 0.02, 7)
    fitted = sm.OLS(values, np.ones(7)).fit().get_prediction(np.ones((1, 1)))
    assert prediction_interval(values) == pytest.approx(fitted.conf_int(obs=True)[0])
    assert np.isnan(prediction_interval([0.7])).all()


def test_what_is_left_is_a_two_sample_interval_with_one_sample_of_one():
    values, printed = RNG.normal(0.66, 0.02, 6), 0.703
    is_printed = np.r_[np.zeros(6), 1]
    fitted = sm.OLS(np.r_[values, printed], sm.add_constant(is_printed)).fit()
    left = text_alone.left(printed, prediction_interval(values))
    assert left == pytest.approx(fitted.conf_int()[1])


def test_the_spread_over_own_splits_holds_the_luck_of_the_test_utterances():
    """One more run on a split of its own, in corpora whose utterances differ in difficulty."""
    trials, n_runs, n, n_test = 600, 6, 1000, 100
    covered = {"own splits": 0, "binomial added": 0, "one split": 0}
    for _ in range(trials):
        chances = RNG.beta(1.4, 0.6, n)  # of each utterance to be answered rightly
        splits = RNG.permuted(np.tile(np.arange(n), (n_runs + 1, 1)), axis=1)[:, :n_test]
        *runs, new = (RNG.random(splits.shape) < chances[splits]).mean(axis=1)
        low, high = prediction_interval(runs)
        covered["own splits"] += low <= new <= high
        extra = 1.96 * np.sqrt(np.mean(runs) * (1 - np.mean(runs)) / n_test)
        covered["binomial added"] += low - extra <= new <= high + extra
        same = (RNG.random((n_runs, n_test)) < chances[splits[0]]).mean(axis=1)
        low, high = prediction_interval(same)
        covered["one split"] += low <= new <= high
    shares = {name: count / trials for name, count in covered.items()}
    assert shares["own splits"] == pytest.approx(0.95, abs=0.03)
    assert shares["binomial added"] > 0.98 and shares["one split"] < 0.92


@pytest.mark.parametrize("n", [3, 10, 50])
def test_one_run_against_many_finds_a_difference_of_that_size(n):
    effect = detectable_between(1, n, 0.02)
    shift = effect / (0.02 * np.sqrt(1 + 1 / n))
    critical = stats.t.ppf(0.975, n - 1)
    power = stats.nct.sf(critical, n - 1, shift) + stats.nct.cdf(-critical, n - 1, shift)
    assert power == pytest.approx(POWER)


def test_p_value_of_one_more_is_that_of_a_two_sample_test_with_one_sample_of_one():
    values, more = RNG.normal(0.66, 0.02, 6), 0.69
    expected = stats.ttest_ind([more], values).pvalue
    assert text_alone.p_value_of_next(values, more) == pytest.approx(expected)
    assert np.isnan(text_alone.p_value_of_next([0.7], more))


def test_pairs_find_a_difference_as_often_as_promised():
    n, overlap, spread = 10, 0.1, 0.02
    shown, reach = text_alone.pairs_can_show(spread, n, overlap)
    error = spread * np.sqrt(1 / n + overlap)
    power = stats.nct.sf(stats.t.ppf(0.975, n - 1), n - 1, shown / error)
    assert power == pytest.approx(POWER)
    assert reach == pytest.approx(stats.t.interval(0.9, n - 1, 0, error)[1])


# --- the rule ---


@pytest.mark.parametrize(
    ("reach", "low", "high", "expected"),
    [
        (0.72, -0.01, 0.03, "no"),
        (0.72, -0.04, -0.03, "yes"),
        (0.72, -0.03, 0.01, "cannot be told"),
        (0.69, 0.02, 0.05, "yes"),
        (0.69, -0.05, 0.0, "no"),
        (0.69, np.nan, np.nan, "cannot be told"),
        (np.nan, 0.0, 0.0, "cannot be told"),
    ],
)
def test_verdict(reach, low, high, expected):
    assert TARGET == 0.703
    assert text_alone.verdict(reach, Interval(low, high)) == expected


@pytest.mark.parametrize(
    ("reach", "own", "expected"),
    [
        (0.69, 0.70, "no"),
        (0.69, 0.71, "yes"),
        (0.71, 0.70, "yes"),
        (np.nan, 0.71, "cannot be told"),
    ],
)
def test_runs_of_an_objection_decide_for_themselves(reach, own, expected):
    assert text_alone.verdict(reach, Interval(np.nan, np.nan), own) == expected


@given(reach=numbers, ends=st.tuples(numbers, numbers))
def test_no_change_at_all_is_never_a_change_of_the_conclusion(reach, ends):
    low, high = min(0.0, *ends), max(0.0, *ends)
    assert text_alone.verdict(reach, Interval(low, high)) != "yes"


# --- made runs ---


def ids(fold, n):
    session = 1 + int(fold.held_out) % 5
    return [f"Ses0{session}F_impro{i % 20:02d}_F{i:03d}" for i in range(n)]


def answered(accuracy, n):
    """True and predicted classes with so many right ones."""
    true = [EMOTIONS[i % 4] for i in range(n)]
    wrong = round((1 - accuracy) * n)
    return true, [EMOTIONS[(i + (i < wrong)) % 4] for i in range(n)]


def run(accuracy, seed, n=560, **more):
    """A run of text alone on a split of its own, with both epochs and curves."""
    fold = more.pop("fold", Fold("stratified", str(seed)))
    more = {"model": "text", "corpus": "iemocap-text", "selection": "last-epoch", **more}
    made = made_runs.run(*answered(accuracy, n), ids(fold, n), seed=seed, fold=fold, **more)
    best = made.predictions.assign(selection="test-best")
    predictions = pd.concat([made.predictions, best], ignore_index=True)
    curve = {"epoch": [1, 2, 3], "test_accuracy": [0.4, accuracy - 0.01, accuracy]}
    treated = made.predictions.assign(treatment="sorted")
    folder = Path(made.experiment.profile) / made.experiment.name
    tables = {"predictions": predictions, "epochs": pd.DataFrame(curve), "treated": treated}
    return replace(made, **tables, folder=folder)


def baseline(model, accuracy, fold, n=560):
    made = run(accuracy, 0, n, fold=fold)
    rows = made.selected("last-epoch")
    rows = rows.assign(dialogue=rows["utterance"].str.rpartition("_")[0])
    setting = Setting("iemocap-text", model, fold)
    return replace(made, experiment=setting, predictions=rows, folder=Path(setting.name))


@functools.cache
def made(synthetic=False):
    """Every kind of run that the page knows."""
    folds = [Fold("stratified", str(seed)) for seed in range(len(ACCURACIES))]
    sessions = [Fold("session", str(k)) for k in (1, 2)]
    runs = [
        run(accuracy + shift, seed, synthetic=synthetic, embedding=embedding, choice=choice)
        for seed, accuracy in enumerate(ACCURACIES)
        for embedding, choice, shift in (
            ("trainable", "", 0.0),
            ("glove", "", 0.01 * (seed - 3)),
            ("trainable", "adamw", 0.01 * (seed % 2)),
            ("trainable", "masked", -0.2 + 0.01 * seed),
        )
    ]
    everywhere = [
        replace(one, predictions=one.predictions.assign(utterance=ids(folds[0], 560) * 2))
        for one in (run(0.6, 0, fold=fold, synthetic=synthetic) for fold in sessions)
    ]
    development = [
        run(accuracy, seed, synthetic=synthetic, profile="paper-dev", selection="development-best")
        for seed, accuracy in enumerate(ACCURACIES)
    ]
    baselines = [
        baseline(model, accuracy, fold)
        for model, accuracy in (("tfidf", 0.69), ("same-text", 0.4))
        for fold in (*folds, *sessions)
    ]
    return of_runs([*runs, *everywhere], development, baselines)


def of_runs(runs, development=(), baselines=()):
    """What is stored of text alone."""
    parts = {"paper": runs, "paper-dev": development, "baselines": baselines}
    return TextAlone(*(Selection("iemocap-text", p, tuple(some)) for p, some in parts.items()))


NOTHING = of_runs([])


def test_what_is_drawn_has_its_own_split_and_our_reading():
    own, shared = run(0.7, 3), run(0.7, 3, fold=Fold())
    rows = text_alone.single_runs([of_runs([own, shared]).runs])
    assert rows["fold"].tolist() == ["stratified-3"]
    found = made().drawn("last-epoch", "trainable")
    assert {one.experiment.choice for one in found} == {""}
    assert {one.experiment.embedding for one in found} == {"trainable"}
    assert text_alone.accuracies(found).tolist() == pytest.approx(ACCURACIES, abs=1e-3)
    assert {r.experiment.profile for r in made().drawn("development-best")} == {"paper-dev"}


def test_single_runs_of_several_readers_stand_in_one_table():
    text = made()
    rows = text_alone.single_runs([text.drawn("test-best"), text.baselines.of("tfidf")])
    assert set(rows["name"]) == {"Text", "Text, GloVe", "TF-IDF, logistic regression"}
    assert rows["epoch"].tolist() == ["test-best"] * 10 + ["last-epoch"] * 5
    assert rows["accuracy"].iloc[-5:].tolist() == pytest.approx([0.69] * 5, abs=1e-3)
    assert text_alone.single_runs([NOTHING.runs, NOTHING.baselines]).empty


def test_after_the_last_epoch_stands_the_interval_of_the_last_epochs():
    last = text_alone.by_epoch(made().drawn("last-epoch", "trainable")).loc[3]
    assert last["mean"] == pytest.approx(np.mean(ACCURACIES))
    assert last[["low", "high"]].tolist() == pytest.approx(prediction_interval(ACCURACIES))


def test_bounds_hold_whichever_utterances_are_left_out():
    one = run(0.64, 0)
    rows = one.selected("last-epoch")
    right = (classification.predicted(rows) == rows["emotion"]).to_numpy()
    bounds = text_alone.without_surplus(of_runs([one]).runs)
    changes = [
        right[RNG.permutation(len(right))[:TESTED]].mean() - right.mean() for _ in range(200)
    ]
    assert bounds.low <= min(changes) and max(changes) <= bounds.high
    by_rightness = np.sort(right)
    ends = by_rightness[:TESTED].mean(), by_rightness[-TESTED:].mean()
    assert bounds == pytest.approx(np.array(ends) - right.mean())


def test_what_is_stored_is_read_whole():
    text = text_alone.load("iemocap-text")
    assert all(one.experiment.model == "text" for one in (*text.runs, *text.development))
    assert len(text_alone.load("no such corpus").runs) == 0
    seen = {one.provenance.text_fingerprint for one in (*text.runs, *text.baselines)}
    assert len(seen) <= 1


# --- objections ---


def objections_to(text, cut=NOTHING, epoch="last-epoch"):
    return text_alone.answered(text, cut, epoch).set_index("reading")


def test_held_out_groups_are_compared_on_the_same_utterances():
    text = made()
    row = objections_to(text).loc["a session held out"]
    random = text.drawn("last-epoch", "trainable").runs[0]  # the sessions test just its utterances
    right = random.selected("last-epoch")
    right = classification.predicted(right) == right["emotion"]
    assert row["difference"] == pytest.approx(336 / 560 - right.mean())
    assert row["n"] == 20, "dialogues"
    assert objections_to(text).loc["a scenario held out", "n"] == 0
    without = replace(text, baselines=NOTHING.baselines)
    assert objections_to(without).loc["a session held out", "n"] == 0


@pytest.mark.parametrize("epoch", ["last-epoch", "test-best", "development-best"])
def test_every_choice_of_the_epoch_has_its_objections(epoch):
    answers = objections_to(made(), epoch=epoch)
    assert set(filter(None, GRIDS["text-choices"].choices)) <= set(answers.index)
    assert epoch not in answers.index
    asked = answers.loc[list(map(TREATMENTS.get, ("sorted", "one-by-one"))), "n"]
    assert asked.tolist() == [5 * (epoch == "last-epoch"), 0], "made runs lack one treatment"


def test_nothing_stored_answers_nothing():
    assert objections_to(NOTHING).empty


def test_one_run_leaves_all_undecided():
    answers = objections_to(of_runs([run(0.7, 0)]))
    assert set(answers["by_change"]) == {"cannot be told", "another question"}


def test_objections_are_answered_as_far_as_there_are_runs():
    text = made()
    answers = objections_to(text)
    assert answers.loc["adamw", "difference"] == pytest.approx(0.004, abs=1e-3)
    for unmoved in ("test-best", TREATMENTS["sorted"]):
        assert answers.loc[unmoved, "difference"] == 0
        assert answers.loc[unmoved, ["low", "high"]].isna().all()
    unanswered = ["hidden-tanh", TREATMENTS["one-by-one"], "a scenario held out"]
    assert (answers.loc[unanswered, "n"] == 0).all()
    assert answers["by_own_runs"][["adamw", "masked", "hidden-tanh"]].tolist() == [
        "no", "yes", "cannot be told"
    ]  # fmt: skip
    assert (answers["by_change"] == "yes").sum() == (answers["by_own_runs"] == "yes").sum() == 1
    assert (answers["by_change"] == "another question").sum() == 2
    family = answers["p"].dropna()
    assert answers["p_holm"].min() == pytest.approx(min(1, len(family) * family.min()))
    assert answers.loc[["a session held out", "a scenario held out"], "p_holm"].isna().all()


def test_answers_to_altered_input_are_another_column_of_the_same_runs():
    first, second = made().drawn("last-epoch", "trainable").runs[:2]
    other = second.treated.assign(emotion="sadness", treatment="one-by-one")
    answers = objections_to(
        of_runs([first, replace(second, treated=pd.concat([second.treated, other]))])
    )
    assert answers.loc[TREATMENTS["sorted"], ["difference", "n"]].tolist() == [0, 2]
    alone = answers.loc[TREATMENTS["one-by-one"]]
    right = second.selected("last-epoch")
    expected = (classification.predicted(other) == "sadness").mean() - (
        classification.predicted(right) == right["emotion"]
    ).mean()
    assert alone["n"] == 1 and alone["difference"] == pytest.approx(expected)


def test_how_often_another_ten_runs_would_pass_by_drawing_them():
    single = pd.Series(np.linspace(0.60, 0.68, 10))
    drawn = np.random.default_rng(0).normal(single.mean(), single.std(), (3000, 10))
    ends = [prediction_interval(pd.Series(ten)).high for ten in drawn]
    expected = np.mean(np.array(ends) >= TARGET)
    assert text_alone.passes_again(single) == pytest.approx(expected, abs=0.03)
    assert 0.1 < expected < 0.9


def test_a_smaller_cohort_is_answered_by_its_runs():
    smaller = [run(a - 0.01, k) for k, a in enumerate(ACCURACIES)]
    smaller += [run(a - 0.1, k, embedding="glove") for k, a in enumerate(ACCURACIES)]
    answers = objections_to(made(), of_runs(smaller)).query("objection == 'cohort'")
    bounds, cut = (row for _, row in answers.iterrows())
    assert (bounds["of"], cut["of"]) == ("seeds, bounds", "seeds, other splits")
    assert bounds["n"] == cut["n"] == len(ACCURACIES)
    assert cut["difference"] == pytest.approx(-0.01, abs=1e-3)
    assert cut["low"] < -0.01 < cut["high"] and not np.isnan(cut["one_run_high"])


def test_stored_runs_answer_what_the_protocol_changes():
    texts = [text_alone.load(name) for name in ("iemocap-text", "iemocap-text-cut")]
    found = text_alone.answered(*texts, "last-epoch").set_index("reading")
    own, alone = texts[0].drawn("last-epoch", "trainable"), TREATMENTS["one-by-one"]
    rights = []
    for one in own:
        treated = one.treated[one.treated["treatment"] == "one-by-one"]
        rights.append((classification.predicted(treated) == treated["emotion"]).mean())
    differences = np.array(rights) - text_alone.accuracies(own).to_numpy()
    assert found.loc[alone, "difference"] == pytest.approx(differences.mean())
    assert found.loc["a session held out", "high"] < -choices.PRINTED / 4


def of_both(last, best):
    """One run: of one its last epoch, of the other its best test epoch."""
    parts = [last.selected("last-epoch"), best.selected("test-best")]
    return replace(last, predictions=pd.concat(parts, ignore_index=True))


def test_differences_over_splits_are_corrected_for_what_these_share():
    runs = [
        of_both(run(accuracy, seed), run(accuracy + 0.01 * seed, seed))
        for seed, accuracy in enumerate(ACCURACIES)
    ]
    text = of_runs(runs)
    single = {e: text_alone.accuracies(text.drawn(e)) for e in ("test-best", "last-epoch")}
    made_by = runs[0].provenance
    gains = single["test-best"] - single["last-epoch"]
    mean = hypothesis_tests.mean_difference(gains, made_by.n_test / made_by.n_train)
    change = objections_to(text).loc["test-best", ["low", "high"]]
    assert change.tolist() == pytest.approx([mean.low, mean.high])
