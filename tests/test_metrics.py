"""Metrics against scikit-learn, hand computations, and the figures of Table 7 itself."""

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_runs import run
from scipy import stats
from sklearn import metrics as reference
from sklearn.calibration import calibration_curve

from replicate.paper import EMOTIONS, printed_confusion
from replicate.runs.selection import answers
from replicate.settings import Fold
from replicate.stats import classification, hypothesis_tests
from replicate.stats.intervals import (
    interval_over_clusters,
    mean_interval,
    percentile_interval,
    prediction_interval,
    share_interval,
    wilson,
)
from replicate.stats.summaries import by_run, summarise

pairs = st.lists(st.tuples(st.sampled_from(EMOTIONS), st.sampled_from(EMOTIONS)), min_size=1)


@pytest.fixture
def table_7():
    return classification.labels(printed_confusion())


def test_the_figures_of_table_7(table_7):
    true, guessed = table_7
    assert len(true) == 555
    assert classification.accuracies(classification.tally(true, guessed)) == pytest.approx(
        397 / 555
    )
    assert wilson(397, 555) == pytest.approx((0.676, 0.751), abs=5e-4)
    assert classification.uars(classification.tally(true, guessed)) == pytest.approx(
        0.727, abs=5e-4
    )
    assert classification.macro_f1s(classification.tally(true, guessed)) == pytest.approx(
        0.718, abs=5e-4
    )
    assert classification.kappas(classification.tally(true, guessed)) == pytest.approx(
        0.617, abs=5e-4
    )


def test_confusion_and_its_rates_are_those_of_table_7(table_7):
    counts = classification.confusion(*table_7)
    assert counts.equals(printed_confusion().rename_axis("true").rename_axis("predicted", axis=1))
    assert classification.recall(counts).round(3).tolist() == [0.721, 0.713, 0.637, 0.835]
    assert classification.precision(counts).round(3).tolist() == [0.721, 0.801, 0.673, 0.669]


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
@settings(max_examples=30, deadline=None)
@given(pairs)
def test_metrics_of_any_labels_agree_with_scikit_learn(labels):
    true, guessed = map(np.array, zip(*labels, strict=True))
    assert classification.accuracies(classification.tally(true, guessed)) == pytest.approx(
        reference.accuracy_score(true, guessed)
    )
    balanced = reference.balanced_accuracy_score(true, guessed)
    assert classification.uars(classification.tally(true, guessed)) == pytest.approx(balanced)
    f1 = reference.f1_score(true, guessed, average="macro", zero_division=0)
    assert classification.macro_f1s(classification.tally(true, guessed)) == pytest.approx(f1)
    expected = reference.cohen_kappa_score(true, guessed)
    assert classification.kappas(classification.tally(true, guessed)) == pytest.approx(
        expected, nan_ok=True
    )
    counts = classification.confusion(true, guessed)
    assert (counts == reference.confusion_matrix(true, guessed, labels=EMOTIONS)).all(axis=None)
    assert classification.confusion(*classification.labels(counts)).equals(counts)


def test_measures_of_many_confusions_are_those_of_each():
    many = np.random.default_rng(0).integers(0, 20, (5, 4, 4))
    for measure in (
        classification.accuracies,
        classification.uars,
        classification.macro_f1s,
        classification.kappas,
    ):
        assert measure(many) == pytest.approx([float(measure(one)) for one in many])


def test_rates_of_absent_classes_are_unknown_not_zero():
    counts = classification.confusion(["anger", "anger"], ["anger", "sadness"])
    assert classification.recall(counts).isna().tolist() == [False, True, True, True]
    assert classification.precision(counts).isna().tolist() == [False, True, True, False]


def probabilities(n, seed=0):
    """Predictions whose true class is drawn from their own probabilities."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.dirichlet([1] * 4, n), columns=list(EMOTIONS))
    return table.assign(emotion=[rng.choice(EMOTIONS, p=row) for row in table.to_numpy()])


def test_reliability_is_scikit_learns_curve():
    table = probabilities(503)
    curve = classification.reliability(table)
    right = classification.predicted(table) == table["emotion"]
    confidence = table[list(EMOTIONS)].max(axis=1)
    accuracy, mean = calibration_curve(right, confidence, n_bins=10, strategy="quantile")
    assert curve["accuracy"].to_numpy() == pytest.approx(accuracy)
    assert curve["confidence"].to_numpy() == pytest.approx(mean)
    assert curve["n"].sum() == 503 and set(curve["n"]) <= {50, 51}


def test_calibration_error_by_sorting():
    table = probabilities(500)
    order = np.argsort(table[list(EMOTIONS)].max(axis=1).to_numpy())
    distances = []
    for part in np.split(order, 10):
        rows = table.iloc[part]
        right = rows[list(EMOTIONS)].to_numpy().argmax(1) == rows["emotion"].map(EMOTIONS.index)
        distances.append(abs(right.mean() - rows[list(EMOTIONS)].to_numpy().max(1).mean()))
    assert classification.expected_calibration_error(table) == pytest.approx(np.mean(distances))


def test_calibration_error_of_right_and_of_wrong_probabilities():
    assert classification.expected_calibration_error(probabilities(20_000)) < 0.02
    sure = pd.DataFrame(np.eye(4)[[0, 0, 0, 1]], columns=list(EMOTIONS))
    assert classification.expected_calibration_error(sure.assign(emotion="anger")) == 0.25


def test_an_unknown_class_is_refused():
    with pytest.raises(ValueError, match="anger"):
        classification.bootstrap_confusions(["joy"], ["anger"])


def test_wilson_by_hand_and_for_arrays():
    n, p, z = 10, 0.8, stats.norm.ppf(0.975)
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    low, high = wilson([8, 0, 0], [10, 10, 0])
    assert (low[0], high[0]) == pytest.approx((centre - half, centre + half))
    assert low[1] == pytest.approx(0) and 0 < high[1] < 1
    assert np.isnan(low[2]) and np.isnan(high[2])


def test_mean_interval_by_hand():
    values = np.array([0.68, 0.70, 0.71, 0.69])
    half = stats.t.ppf(0.975, 3) * values.std(ddof=1) / 2
    assert mean_interval(values) == pytest.approx((0.695 - half, 0.695 + half))
    assert np.isnan(mean_interval([0.7]).low)


def test_values_that_are_all_alike_have_no_interval():
    """Three seeds that get the same number of 61 utterances right are not known without error."""
    alike = [[0.7], [32 / 61] * 3, [0.1 + 0.2, 0.3]]
    for values in alike:
        for of in (mean_interval, share_interval, prediction_interval):
            assert np.isnan(of(values)).all()
    runs = [run(["anger"] * 4, ["anger", "sadness"] * 2, scores=0.5, seed=k) for k in range(3)]
    (row,) = summarise(answers(runs)).to_dict("records")
    assert row["accuracy"] == 0.5 and np.isnan([row["accuracy_low"], row["accuracy_high"]]).all()


def test_intervals_of_shares_stay_where_shares_can_lie():
    assert share_interval([0.0, 1.0]) == (0, 1)
    inside = [0.68, 0.70, 0.71]
    assert share_interval(inside) == mean_interval(inside)
    assert np.isnan(share_interval([0.7])).all()
    true = ["anger"] * 10
    runs = [run(true, [e] * 10, scores=k, seed=k) for k, e in enumerate(["anger", "sadness"])]
    (row,) = summarise(answers(runs)).to_dict("records")
    for measure in ("accuracy", "uar", "macro_f1", "audio_score"):
        assert 0 <= row[f"{measure}_low"] < row[f"{measure}_high"] <= 1


def test_bootstrap_agrees_with_scipy(table_7):
    true, guessed = table_7
    ours = percentile_interval(
        classification.accuracies(classification.bootstrap_confusions(true, guessed))
    )
    theirs = stats.bootstrap(
        [(true == guessed).astype(float)], np.mean, method="percentile", rng=1, n_resamples=2000
    ).confidence_interval
    assert ours == pytest.approx(theirs, abs=4e-3)
    uar = percentile_interval(
        classification.uars(classification.bootstrap_confusions(true, guessed))
    )
    assert uar == pytest.approx((0.690, 0.763), abs=4e-3)  # the audit's, by another method


def test_clusters_are_drawn_whole():
    """Two clusters, one all right and one all wrong: accuracies can only be 0, 1/2 or 1."""
    true = ["anger"] * 10
    guessed = ["anger"] * 5 + ["sadness"] * 5
    samples = classification.bootstrap_confusions(true, guessed, ["a"] * 5 + ["b"] * 5)
    values, counts = np.unique(classification.accuracies(samples), return_counts=True)
    assert values.tolist() == [0, 0.5, 1]
    assert counts / len(samples) == pytest.approx([0.25, 0.5, 0.25], abs=0.05)
    single = classification.accuracies(classification.bootstrap_confusions(true, guessed))
    assert len(np.unique(single)) > 3


def test_the_bootstrap_repeats_itself(table_7):
    assert np.array_equal(*(classification.bootstrap_confusions(*table_7) for _ in range(2)))


@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_is_the_binomial_test_and_its_interval_agrees(only_first, only_second):
    true = np.array(["anger"] * (only_first + only_second + 20), dtype=object)
    first, second = true.copy(), true.copy()
    second[:only_first] = "sadness"
    first[only_first : only_first + only_second] = "sadness"
    right, other = first == true, second == true
    found = hypothesis_tests.mcnemar(right, other)
    assert (found.only_first, found.only_second, found.n) == (only_first, only_second, len(true))
    assert found.difference == pytest.approx(right.mean() - other.mean())
    if only_first + only_second == 0:
        assert found.p_value == 1 and np.isnan(found.low)
        return
    expected = stats.binomtest(only_first, only_first + only_second).pvalue
    assert found.p_value == pytest.approx(expected)
    assert found.low <= found.difference <= found.high
    assert (found.low > 0 or found.high < 0) == (found.p_value < 0.05)


@pytest.mark.parametrize(("net", "most"), [(17, 67), (15, 51), (8, 12), (7, 9), (24, 138)])
def test_what_the_paper_s_differences_could_show(net, most):
    """On 555 utterances, a net gain is significant if the models disagree on at most this many."""

    def p_value(disagree):
        first, second = (disagree + net) // 2, (disagree - net) // 2
        true = np.array(["anger"] * 555, dtype=object)
        guesses = [true.copy(), true.copy()]
        guesses[1][:first] = "sadness"
        guesses[0][first : first + second] = "sadness"
        return hypothesis_tests.mcnemar(*(guessed == true for guessed in guesses)).p_value

    assert p_value(most) < 0.05 <= p_value(most + 2)


@pytest.fixture
def ten_seeds():
    rng = np.random.default_rng(0)
    true = rng.choice(EMOTIONS, 200)
    runs = []
    for seed in range(10):
        guessed = np.where(rng.random(200) < 0.7, true, rng.choice(EMOTIONS, 200))
        runs.append(run(true, guessed, seed=seed, scores=rng.normal(0.5, 0.09, 200)))
    return runs


def test_summary_of_ten_seeds(ten_seeds):
    (row,) = summarise(answers(ten_seeds)).to_dict("records")
    single = by_run(answers(ten_seeds))
    assert (row["corpus"], row["profile"], row["folds"]) == ("iemocap", "paper", "stratified")
    assert (row["n_seeds"], row["n_utterances"]) == (10, 200)
    for measure in ("accuracy", "audio_score"):
        assert row[measure] == pytest.approx(single[measure].mean())
        interval = mean_interval(single[measure])
        assert (row[f"{measure}_low"], row[f"{measure}_high"]) == pytest.approx(interval)
    by_hand = [
        np.mean(r.predictions["emotion"] == classification.predicted(r.predictions))
        for r in ten_seeds
    ]
    assert single["accuracy"].tolist() == pytest.approx(by_hand)
    assert row["audio_score_sd"] == pytest.approx(0.09, abs=0.01)
    assert row["accuracy_boot_low"] < row["accuracy"] < row["accuracy_boot_high"]


def test_seeds_of_one_utterance_are_no_new_utterances(ten_seeds):
    """Ten copies of one run must not make the interval over utterances any narrower."""
    first = ten_seeds[0]
    copies = [replace(first, experiment=replace(first.experiment, seed=seed)) for seed in range(10)]
    one = summarise(answers([first])).iloc[0]
    ten = summarise(answers(copies)).iloc[0]
    bounds = ["accuracy_boot_low", "accuracy_boot_high"]
    assert ten[bounds].tolist() == pytest.approx(one[bounds].tolist())
    assert np.isnan(one["accuracy_low"])


def test_held_out_groups_are_pooled_within_a_seed():
    """A speaker with one class only must not count as a test set with a UAR of its own."""
    true, guessed = ["anger"] * 8 + ["sadness"] * 2, ["anger"] * 10
    runs = [
        run(true[part], guessed[part], seed=seed, fold=Fold("speaker", name), utterances=ids)
        for seed, (part, name, ids) in product(
            range(2), [(slice(0, 8), "a", list("abcdefgh")), (slice(8, 10), "b", list("ij"))]
        )
    ]
    (row,) = summarise(answers(runs)).to_dict("records")
    assert (row["n_seeds"], row["n_utterances"]) == (2, 10)
    assert row["accuracy"] == pytest.approx(0.8)
    assert row["uar"] == pytest.approx(0.5)


def test_configurations_corpora_and_selections_stay_apart(ten_seeds):
    other = run(["anger"], ["anger"], corpus="standin-quick", profile="quick")
    text = run(["anger"], ["sadness"], model="text")
    best = run(["anger"], ["anger"], selection="test-best", seed=99)
    table = summarise(answers([*ten_seeds, other, text, best]))
    assert len(table) == 3
    assert table.set_index(["corpus", "model"])["accuracy"].loc[("iemocap", "text")] == 0
    assert len(summarise(answers([best]))) == 0
    assert len(by_run(answers([best]))) == 0


def test_clusters_widen_the_interval_where_utterances_of_one_resemble_each_other():
    blocks = [f"d{i // 20}" for i in range(200)]
    right = np.array([i // 20 % 2 == 0 for i in range(200)])
    true = np.array(["anger"] * 200)
    one = run(true, np.where(right, "anger", "sadness"), utterances=[f"u{i}" for i in range(200)])
    table = answers([one])
    widths = [
        (found["accuracy_boot_high"] - found["accuracy_boot_low"]).item()
        for found in (
            summarise(table),
            summarise(table.assign(block=blocks), "block"),
        )
    ]
    assert widths[1] > 3 * widths[0]


def test_predicted_is_the_class_of_highest_probability(ten_seeds):
    table = ten_seeds[0].predictions
    expected = np.array(EMOTIONS)[table[list(EMOTIONS)].to_numpy().argmax(axis=1)]
    assert classification.predicted(table).tolist() == expected.tolist()


def test_statistics_over_clusters_are_those_of_whole_clusters():
    """Two speakers, one loud and one soft: means are those of one of them, or between."""
    table = pd.DataFrame({"speaker": list("aabb"), "level": [1.0, 1.0, 3.0, 3.0]})
    low, high = interval_over_clusters(
        table, "speaker", lambda part: part[["level"]].mean().to_frame("mean")
    )
    assert (low.loc["level", "mean"], high.loc["level", "mean"]) == (1, 3)
