"""Text alone as single runs: intervals by independent methods, the rule, and what pages say."""

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

from replicate import comparison, metrics, paper, text_alone
from replicate.audit import TESTED
from replicate.baseline_runs import BaselineRun, Setting
from replicate.experiments import GRIDS
from replicate.metrics import Interval
from replicate.protocol import EMOTIONS, Fold
from replicate.report import audio_gain, choices, objections
from replicate.report.layout import ABSENT
from replicate.report.provenance import MARK, Exhibit, Notice
from replicate.report.results import Stored
from replicate.text_alone import TARGET, TextAlone
from replicate.treatments import TREATMENTS

RNG = np.random.default_rng(0)
ACCURACIES = (0.66, 0.71, 0.68, 0.69, 0.7)

numbers = st.floats(-1, 1, allow_nan=False, allow_subnormal=False)


# --- single runs ---


def test_prediction_interval_is_that_of_regression_on_a_constant():
    values = RNG.normal(0.7, 0.02, 7)
    fitted = sm.OLS(values, np.ones(7)).fit().get_prediction(np.ones((1, 1)))
    assert metrics.prediction_interval(values) == pytest.approx(fitted.conf_int(obs=True)[0])
    assert np.isnan(metrics.prediction_interval([0.7])).all()


def test_what_is_left_is_a_two_sample_interval_with_one_sample_of_one():
    values, printed = RNG.normal(0.66, 0.02, 6), 0.703
    is_printed = np.r_[np.zeros(6), 1]
    fitted = sm.OLS(np.r_[values, printed], sm.add_constant(is_printed)).fit()
    left = text_alone.left(printed, metrics.prediction_interval(values))
    assert left == pytest.approx(fitted.conf_int()[1])


def test_the_spread_over_own_splits_holds_the_luck_of_the_test_utterances():
    """One more run on a split of its own, in corpora whose utterances differ in difficulty."""
    trials, n_runs, n, n_test = 600, 6, 1000, 100
    covered = {"own splits": 0, "binomial added": 0, "one split": 0}
    for _ in range(trials):
        chances = RNG.beta(1.4, 0.6, n)  # of each utterance to be answered rightly
        splits = RNG.permuted(np.tile(np.arange(n), (n_runs + 1, 1)), axis=1)[:, :n_test]
        *runs, new = (RNG.random(splits.shape) < chances[splits]).mean(axis=1)
        low, high = metrics.prediction_interval(runs)
        covered["own splits"] += low <= new <= high
        extra = 1.96 * np.sqrt(np.mean(runs) * (1 - np.mean(runs)) / n_test)
        covered["binomial added"] += low - extra <= new <= high + extra
        same = (RNG.random((n_runs, n_test)) < chances[splits[0]]).mean(axis=1)
        low, high = metrics.prediction_interval(same)
        covered["one split"] += low <= new <= high
    shares = {name: count / trials for name, count in covered.items()}
    assert shares["own splits"] == pytest.approx(0.95, abs=0.03)
    assert shares["binomial added"] > 0.98 and shares["one split"] < 0.92


@pytest.mark.parametrize("n", [3, 10, 50])
def test_one_run_against_many_finds_a_difference_of_that_size(n):
    effect = comparison.detectable_between(1, n, 0.02)
    shift = effect / (0.02 * np.sqrt(1 + 1 / n))
    critical = stats.t.ppf(0.975, n - 1)
    power = stats.nct.sf(critical, n - 1, shift) + stats.nct.cdf(-critical, n - 1, shift)
    assert power == pytest.approx(comparison.POWER)


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
    return [f"Ses01F_impro{i % 20:02d}_{fold.name}{i:03d}" for i in range(n)]


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
    return BaselineRun(setting, made.provenance, rows, Path(setting.name))


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
    nested = [
        run(accuracy, seed, synthetic=synthetic, profile="paper-dev", selection="development-best")
        for seed, accuracy in enumerate(ACCURACIES)
    ]
    simple = [
        baseline(model, accuracy, fold)
        for model, accuracy in (("tfidf", 0.69), ("same-text", 0.4))
        for fold in (*folds, *sessions)
    ]
    return TextAlone("iemocap-text", (*runs, *everywhere), tuple(nested), tuple(simple))


NOTHING = TextAlone("iemocap-text", (), (), ())


def test_what_is_drawn_has_its_own_split_and_our_reading():
    own, shared = run(0.7, 3), run(0.7, 3, fold=Fold())
    assert [one.experiment.fold for one in text_alone.own_splits([own, shared])] == [
        Fold("stratified", "3")
    ]
    found = made().drawn("last-epoch")
    assert {one.experiment.choice for one in found} == {""}
    assert {one.experiment.embedding for one in found} == {"trainable"}
    assert text_alone.accuracies(found, "last-epoch").tolist() == pytest.approx(
        ACCURACIES, abs=1e-3
    )
    assert {r.experiment.profile for r in made().drawn("development-best")} == {"paper-dev"}


def test_after_the_last_epoch_stands_the_interval_of_the_last_epochs():
    runs = made().drawn("last-epoch")
    last = text_alone.by_epoch(runs).loc[3]
    assert last["mean"] == pytest.approx(np.mean(ACCURACIES))
    assert last[["low", "high"]].tolist() == pytest.approx(metrics.prediction_interval(ACCURACIES))


def test_answers_to_altered_input_are_another_column_of_the_same_runs():
    first, second = made().drawn("last-epoch")[:2]
    other = second.treated.assign(emotion="sadness", treatment="one-by-one")
    both = [first, replace(second, treated=pd.concat([second.treated, other]))]
    same = text_alone.accuracies(both, "last-epoch")
    assert text_alone.treated(both, "sorted").to_dict() == same.to_dict()
    (share,) = text_alone.treated(both, "one-by-one")
    assert share == (metrics.predicted(other) == "sadness").mean() < same.min()


def test_held_out_groups_are_compared_on_the_same_utterances():
    text = made()
    (row,) = text_alone.elsewhere(text, "session", "last-epoch").to_dict("records")
    random = text.drawn("last-epoch")[0]  # the sessions test just its utterances
    right = random.selected("last-epoch")
    right = metrics.predicted(right) == right["emotion"]
    assert row["difference"] == pytest.approx(336 / 560 - right.mean())
    assert row["n"] == 20, "dialogues"
    assert text_alone.elsewhere(text, "scenario", "last-epoch").empty
    assert text_alone.elsewhere(replace(text, simple=()), "session", "last-epoch").empty


def test_bounds_hold_whichever_utterances_are_left_out():
    one = run(0.64, 0)
    rows = one.selected("last-epoch")
    right = (metrics.predicted(rows) == rows["emotion"]).to_numpy()
    bounds = text_alone.without_surplus([one], "last-epoch")
    changes = [
        right[RNG.permutation(len(right))[:TESTED]].mean() - right.mean() for _ in range(200)
    ]
    assert bounds.low <= min(changes) and max(changes) <= bounds.high
    by_rightness = np.sort(right)
    ends = by_rightness[:TESTED].mean(), by_rightness[-TESTED:].mean()
    assert bounds == pytest.approx(np.array(ends) - right.mean())


def test_what_is_stored_is_read_whole():
    text = text_alone.load("iemocap-text")
    assert all(one.experiment.model == "text" for one in (*text.runs, *text.nested))
    assert len(text_alone.load("no such corpus").runs) == 0
    seen = {one.provenance.text_fingerprint for one in (*text.runs, *text.simple)}
    assert len(seen) <= 1
    assert text_alone.class_sizes(NOTHING).empty


# --- exhibits ---

EXHIBITS = {
    "single runs": audio_gain.single_runs,
    "one run": audio_gain.one_run,
    "epochs": audio_gain.epochs,
    "still possible": audio_gain.still_possible,
    "beside simple": lambda text: audio_gain.beside_simple(text, "last-epoch"),
    "embeddings": lambda text: audio_gain.embeddings(text, "last-epoch"),
    "objections": lambda text: objections.objections(text, "last-epoch"),
}


def test_every_choice_of_the_epoch_has_its_objections_and_pairs():
    for selection in ("test-best", "development-best"):
        assert isinstance(objections.objections(made(), selection), Exhibit)
        assert isinstance(audio_gain.beside_simple(made(), selection), Exhibit)


@pytest.mark.parametrize("name", EXHIBITS)
def test_one_run_has_no_spread(name):
    alone = replace(NOTHING, runs=tuple(made().drawn("last-epoch")[:1]))
    notice = EXHIBITS[name](alone)
    assert isinstance(notice, Notice) and "two splits" in notice.text
    assert audio_gain.in_words(alone)["last_one"] == ABSENT
    assert objections.in_words(alone)["objections"] == ABSENT


@pytest.mark.parametrize("name", EXHIBITS)
def test_exhibits_name_their_sources(name):
    shown = EXHIBITS[name](made())
    assert isinstance(shown, Exhibit)
    assert "iemocap-text" in repr(shown) and "profile paper" in repr(shown)
    assert MARK not in repr(shown) and MARK in repr(EXHIBITS[name](made(synthetic=True)))
    notice = EXHIBITS[name](NOTHING)
    assert isinstance(notice, Notice) and "replicate run --corpus iemocap-text" in notice.command


def rows_of(exhibit):
    """Lines of a table by their first words."""
    return {" ".join(line.split()): line for line in exhibit.plain.splitlines()}


def line(exhibit, *parts):
    (found,) = (row for row in rows_of(exhibit) if all(part in row for part in parts))
    return found


def test_objections_are_answered_as_far_as_there_are_runs():
    text = made()
    given = {answer.reading: answer for answer in objections.answers(text, "last-epoch")}
    assert set(filter(None, GRIDS["text-choices"].choices)) <= set(given)
    assert given["adamw"].difference == pytest.approx(0.004, abs=1e-3)
    assert given["hidden-tanh"].rests_on == ABSENT
    for unmoved in ("best test epoch", TREATMENTS["sorted"]):
        assert given[unmoved].difference == 0 and np.isnan(given[unmoved].change).all()
    assert given[TREATMENTS["one-by-one"]].rests_on == ABSENT
    assert given["a scenario held out"].rests_on == ABSENT
    shown = objections.objections(text, "last-epoch")
    for reading, expected in (
        ("adamw", "no"), ("masked", "yes"), ("hidden-tanh", "cannot be told")
    ):  # fmt: skip
        assert line(shown, f" {objections.plainly(reading)} ").endswith(expected)
    assert objections.protocol(text, "last-epoch").plain == "[picture: a session held out: -0.061]"
    ours_alone = replace(text, runs=tuple(text.drawn("last-epoch")))
    assert isinstance(objections.protocol(ours_alone, "last-epoch"), Notice)
    assert objections.protocol_in_words(ours_alone, "last-epoch") == ABSENT
    p_values = pd.Series([answer.p_value for answer in given.values()], list(given))
    corrected = objections.corrected(list(given.values()))
    assert (corrected.isna() == p_values.isna().to_numpy()).all()
    family = p_values.dropna()
    assert corrected.min() == pytest.approx(min(1, len(family) * family.min()))
    assert p_values[["a session held out", "a scenario held out"]].isna().all()
    words = objections.in_words(text)
    assert words["moving"].endswith(f"of {len(family)}")
    reach = metrics.prediction_interval(
        text_alone.accuracies(text.drawn("last-epoch"), "last-epoch")
    ).high
    fixed = [answer.by_change(reach) for answer in given.values()]
    own = [answer.verdict(reach) for answer in given.values()]
    for name, count in (
        ("fixed_yes", fixed.count("yes")), ("fixed_no", fixed.count("no")),
        ("fixed_untold", fixed.count("cannot be told")), ("elsewhere", 2),
        ("own_yes", own.count("yes")), ("own_no", own.count("no")),
    ):  # fmt: skip
        assert int(words[name]) == count
    assert int(words["fixed_yes"]) == int(words["own_yes"]) == 1
    assert words["changed_by"] == objections.plainly("masked")
    told = ("fixed_yes", "fixed_no", "fixed_untold", "elsewhere")
    assert sum(int(words[k]) for k in told) == len(given)
    assert int(words["objections"]) == len(given) - 2


def test_how_often_another_ten_runs_would_pass_by_drawing_them():
    single = pd.Series(np.linspace(0.60, 0.68, 10))
    drawn = np.random.default_rng(0).normal(single.mean(), single.std(), (3000, 10))
    ends = [metrics.prediction_interval(pd.Series(ten)).high for ten in drawn]
    expected = np.mean(np.array(ends) >= TARGET)
    assert text_alone.passes_again(single) == pytest.approx(expected, abs=0.03)
    assert 0.1 < expected < 0.9


def test_a_smaller_cohort_is_answered_by_its_runs():
    text = made()
    smaller = [run(a - 0.01, k) for k, a in enumerate(ACCURACIES)]
    smaller += [run(a - 0.1, k, embedding="glove") for k, a in enumerate(ACCURACIES)]
    text = replace(text, cut=tuple(smaller))
    bounds, cut = (a for a in objections.answers(text, "last-epoch") if a.objection == "cohort")
    assert bounds.rests_on.startswith("bounds") and cut.rests_on.startswith(
        f"{len(ACCURACIES)} seeds"
    )
    assert cut.difference == pytest.approx(-0.01, abs=1e-3)
    assert cut.change.low < -0.01 < cut.change.high and not np.isnan(cut.own)


def test_the_protocol_is_held_against_what_the_paper_compares():
    text = text_alone.load("iemocap-text")
    shown = objections.protocol(text, "last-epoch")
    given = {a.reading: a for a in objections.answers(text, "last-epoch")}
    alone = given[TREATMENTS["one-by-one"]]
    assert f"{TREATMENTS['one-by-one']}: {alone.difference:+.3f}" in shown.plain
    assert ("a session held out" in objections.protocol_in_words(text, "last-epoch")) == (
        given["a session held out"].change.high < -choices.PRINTED
    )


def of_both(last, best):
    """One run: of one its last epoch, of the other its best test epoch."""
    parts = [last.selected("last-epoch"), best.selected("test-best")]
    return replace(last, predictions=pd.concat(parts, ignore_index=True))


def test_differences_over_splits_are_corrected_for_what_these_share():
    runs = tuple(
        of_both(run(accuracy, seed), run(accuracy + 0.01 * seed, seed))
        for seed, accuracy in enumerate(ACCURACIES)
    )
    text = replace(NOTHING, runs=runs)
    single = [text_alone.accuracies(runs, one) for one in ("last-epoch", "test-best")]
    (row,) = comparison.over_resplits(
        pd.DataFrame({"best": single[1], "last": single[0]}),
        runs[0].provenance.n_train,
        runs[0].provenance.n_test,
    ).to_dict("records")
    given = {answer.reading: answer for answer in objections.answers(text, "last-epoch")}
    assert given["best test epoch"].change == pytest.approx((row["low"], row["high"]))


def test_print_says_seven_utterances_more_and_eight_fewer():
    shown = audio_gain.embeddings(made(), "last-epoch")
    assert "+7" in line(shown, "Att_d^1, printed") and "-8" in line(shown, "Att_s^n, printed")
    gain = line(shown, "GloVe (50) less trained (150)")
    assert "-0.010" in gain and "not shown" in gain
    assert ABSENT in line(shown, "GloVe (50) less trained (50)")


def test_equal_readers_are_alike():
    runs = tuple(
        run(accuracy + shift, seed, embedding=embedding)
        for seed, accuracy in enumerate(ACCURACIES)
        for embedding, shift in (("trainable", 0.0), ("glove", 0.002 * (seed % 2)))
    )
    shown = audio_gain.embeddings(replace(NOTHING, runs=runs), "last-epoch")
    assert "yes, p = 0.0" in line(shown, "GloVe (50) less trained (150)")


@pytest.mark.parametrize(
    ("shift", "where", "says"),
    [(0.0, "within", "nor that it adds nothing"), (-0.2, "above", "the best of 7 equal models"),
     (0.2, "below", "text alone does better")],
)  # fmt: skip
def test_the_answer_follows_the_runs(shift, where, says):
    runs = tuple(run(accuracy + shift, seed) for seed, accuracy in enumerate(ACCURACIES))
    text = replace(NOTHING, runs=runs)
    words = audio_gain.in_words(text)
    assert words["last_where"] == words["best_epoch_where"] == where
    assert says in words["answer"]
    one = metrics.prediction_interval(text_alone.accuracies(runs, "last-epoch"))
    inside = [row for row in paper.OWN if one.low <= row.accuracy <= one.high]
    assert words["last_inside"] == f"{len(inside)}"
    reached = sum(accuracy + shift >= 0.715 for accuracy in ACCURACIES)
    assert f"{reached} of 5" in line(audio_gain.still_possible(text), "0.715", "Text")[:200]


def test_the_answer_may_hang_on_the_epoch():
    runs = tuple(
        of_both(run(accuracy - 0.2, seed), run(accuracy, seed))
        for seed, accuracy in enumerate(ACCURACIES)
    )
    assert "depends on how its epoch" in audio_gain.in_words(replace(NOTHING, runs=runs))["answer"]


def test_prose_has_all_its_words_without_any_run():
    for words in (audio_gain.in_words, objections.in_words):
        assert words(NOTHING).keys() == words(made()).keys()
    assert audio_gain.in_words(NOTHING)["answer"] == ABSENT
    assert audio_gain.in_words(NOTHING)["target"] == f"{max(r.accuracy for r in paper.TABLE_4)}"


def both(model, embedding, accuracies, folds=None, synthetic=True):
    return [
        run(accuracy, seed, 60, model=model, embedding=embedding, corpus="standin-quick",
            profile="quick", fold=folds[seed] if folds else Fold(), synthetic=synthetic)
        for seed, accuracy in enumerate(accuracies)
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["stratified", "speaker"])
def test_audio_and_text_less_each_alone(kind):
    folds = [Fold("speaker", str(k)) for k in range(3)] if kind == "speaker" else None
    runs = [
        *both("att_d1", "trainable", (0.8, 0.9, 0.7), folds),
        *both("concat", "trainable", (0.7, 0.8, 0.7), folds),
        *both("text", "trainable", (0.6, 0.6, 0.6), folds),
        *both("audio", "none", (0.5, 0.6, 0.5), folds),
    ]
    found = audio_gain.fused_less_alone(Stored("standin-quick", "quick", tuple(runs)), kind)
    assert "+0.200" in line(found, "Att_d^1 0.800 Text") and MARK in repr(found)
    assert len(found.plain.splitlines()) == 1 + 4
    without_text = Stored("standin-quick", "quick", tuple(runs[:6] + runs[9:]))
    assert isinstance(audio_gain.fused_less_alone(without_text, kind), Notice)


def test_one_seed_compares_nothing():
    runs = [
        *both("att_d1", "trainable", (0.8,)), *both("concat", "trainable", (0.7,)),
        *both("text", "trainable", (0.6,)), *both("audio", "none", (0.5,)),
    ]  # fmt: skip
    shown = audio_gain.fused_less_alone(Stored("standin-quick", "quick", tuple(runs)))
    assert isinstance(shown, Notice) and "two seeds" in shown.text


def test_a_licensed_copy_gets_grids_that_exist():
    shown = audio_gain.commands().plain
    named = [name for name in GRIDS if f"--grid {name} " in shown]
    assert {"tables", "sessions"} <= set(named) and "text" not in named
    assert shown.count("replicate run") == len(named)


def test_more_runs_show_smaller_differences_down_to_a_floor():
    shown = audio_gain.power_paired().plain.splitlines()
    values = np.array([row.split()[-10:] for row in shown if "disagree on" in row], dtype=float)
    here, kind = values[:, :5], values[:, 5:]
    assert (np.diff(here) < 0).all() and (kind > here).all()
    assert (kind[:, -1] > 2 * here[:, -1]).all(), "one corpus has a floor"
