"""Comparisons against published worked examples, the plain definitions, and simulated coverage."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from made_runs import run
from scipy import stats
from sklearn.datasets import make_moons
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
from sklearn.svm import SVC
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from replicate.runs.selection import answers
from replicate.settings import Fold
from replicate.stats import equivalence, hypothesis_tests
from replicate.stats.intervals import (
    difference_over_clusters,
    interval_over_clusters,
    mean_over_clusters,
    prediction_interval,
)
from replicate.stats.power import (
    POWER,
    detectable,
    detectable_between,
    mcnemar_power,
    resolvable,
)
from replicate.stats.summaries import by_run, right_answers

RNG = np.random.default_rng(0)

#: Hollander & Wolfe, Table 3.1: depression before and after a tranquilizer, nine patients.
BEFORE = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]
AFTER = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]


def some_runs(model, chances, folds=None, n=60):
    """A run for each chance given, which is that of being right, on one fold or on its own."""
    runs = []
    for seed, chance in enumerate(chances):
        right = np.random.default_rng([seed, len(model)]).random(n) < chance
        guessed = np.where(right, "anger", "sadness")
        fold = folds[seed] if folds else Fold()
        ids = [f"{fold.name}-{i}" for i in range(n)]
        runs.append(run(["anger"] * n, guessed, ids, model, seed=seed, fold=fold))
    return runs


# --- from runs ---


def test_answers_keep_the_utterances_that_all_models_answered():
    both = [*some_runs("concat", [0.7, 0.6]), *some_runs("addition", [0.5])]
    right = right_answers(answers(both))
    assert right.columns.tolist() == ["Concat", "Addition"]
    assert right.index.get_level_values("seed").unique().tolist() == [0]
    first = by_run(answers(both[:1]))["accuracy"]
    assert right.groupby("seed").mean()["Concat"].tolist() == first.tolist()


def test_a_run_may_not_come_twice():
    with pytest.raises(ValueError, match="duplicate"):
        right_answers(answers(some_runs("concat", [0.7]) * 2))


# --- one test set ---


def test_cochran_by_its_definition_and_as_mcnemar_for_two():
    right = pd.DataFrame(RNG.random((40, 3)) < [0.5, 0.7, 0.9], columns=list("abc"))
    columns, rows = right.sum(), right.sum(axis=1)
    k, total = 3, rows.sum()
    q = (k - 1) * (k * (columns**2).sum() - total**2) / (k * total - (rows**2).sum())
    found = hypothesis_tests.cochran(right)
    assert (found["n"], found["degrees"]) == (40, 2)
    assert (found["statistic"], found["p_value"]) == pytest.approx((q, stats.chi2.sf(q, 2)))
    b, c = (right["a"] & ~right["b"]).sum(), (right["b"] & ~right["a"]).sum()
    assert hypothesis_tests.cochran(right[["a", "b"]])["statistic"] == pytest.approx(
        (b - c) ** 2 / (b + c)
    )


def test_models_right_on_the_same_utterances_have_no_q():
    same = pd.DataFrame({"a": [True, False], "b": [True, False]})
    assert np.isnan(hypothesis_tests.cochran(same)["p_value"])
    assert hypothesis_tests.over_utterances(same)["p_holm"].tolist() == [1.0]


def test_mcnemar_of_all_pairs_with_holms_steps():
    right = pd.DataFrame(RNG.random((200, 3)) < [0.5, 0.6, 0.75], columns=list("abc"))
    found = hypothesis_tests.over_utterances(right)
    assert (found["first"] + found["second"]).tolist() == ["ab", "ac", "bc"]
    for pair in found.to_dict("records"):
        first, second = right[pair["first"]], right[pair["second"]]
        only = int((first & ~second).sum())
        differ = int((first != second).sum())
        assert pair["p_value"] == pytest.approx(stats.binomtest(only, differ).pvalue)
    ranked = found["p_value"].sort_values()
    stepped = np.maximum.accumulate(ranked.to_numpy() * [3, 2, 1]).clip(max=1)
    assert found["p_holm"][ranked.index].to_numpy() == pytest.approx(stepped)


def test_every_training_is_tested_by_itself():
    runs = [*some_runs("concat", [0.9, 0.5]), *some_runs("text", [0.4, 0.5]),
            *some_runs("audio", [0.4, 0.6])]  # fmt: skip
    right = right_answers(answers(runs))
    tests, pairs = hypothesis_tests.each_training(right)
    assert tests.index.tolist() == [("stratified-0", 0), ("stratified-0", 1)]
    for training, row in tests.iterrows():
        part = right.loc[training]
        assert row["p_value"] == hypothesis_tests.cochran(part)["p_value"]
        expected = hypothesis_tests.over_utterances(part)
        assert pairs.loc[training].reset_index(drop=True).equals(expected)
        assert row["apart"] == (expected["p_holm"] < 0.05).sum()
    assert tests["apart"].tolist() == [2, 0]
    corrected = multipletests(tests["p_value"], method="holm")[1]
    assert tests["p_holm"].tolist() == pytest.approx(corrected.tolist())


# --- seeds ---


def test_a_pair_over_seeds_is_the_paired_t_test():
    values = pd.DataFrame({"after": AFTER, "before": BEFORE})
    found = hypothesis_tests.over_seeds(values).iloc[0]
    theirs = stats.ttest_rel(AFTER, BEFORE)
    assert found["p_value"] == pytest.approx(theirs.pvalue)
    assert (found["low"], found["high"]) == pytest.approx(theirs.confidence_interval(0.95))


def test_ties_of_accuracies_are_ties():
    """Differences of 10/555 twice, once from 390 - 380 and once from 395 - 385."""
    first, second = np.array([390, 395]) / 555, np.array([380, 385]) / 555
    assert len(set(first - second)) == 2
    assert hypothesis_tests.mean_difference(first - second).spread == 0


def test_no_difference_at_all_is_no_evidence():
    alike = pd.DataFrame({"a": [0.7] * 8, "b": [0.7] * 8})
    tests = hypothesis_tests.over_seeds(alike)
    assert tests[["p_value", "p_holm"]].eq(1).all(axis=None) and np.isnan(tests["low"]).all()


def test_differences_that_are_all_alike_are_no_evidence():
    """One utterance of 61 with each of three seeds, in numbers that differ by rounding."""
    shares = np.array([33, 34, 38]) / 61 - np.array([32, 33, 37]) / 61
    assert len(set(shares)) > 1
    found = hypothesis_tests.mean_difference(shares)
    assert found.p_value == 1 and np.isnan(found.low)
    assert equivalence.size_tests(shares, 0.001) == (1, 1)


def test_a_single_difference_has_no_interval():
    found = hypothesis_tests.mean_difference([0.02])
    assert (found.n, found.difference) == (1, 0.02)
    assert np.isnan([found.spread, found.low, found.high]).all() and found.p_value == 1


def test_one_pair_of_values_is_refused():
    with pytest.raises(ValueError, match="1 paired values"):
        hypothesis_tests.over_seeds(pd.DataFrame({"a": [0.7], "b": [0.6]}))


def test_holm_counts_every_pair():
    values = pd.DataFrame(RNG.normal([0.70, 0.71, 0.73], 0.01, (10, 3)), columns=list("abc"))
    found = hypothesis_tests.over_seeds(values)
    corrected = multipletests(found["p_value"], method="holm")[1]
    assert found["p_holm"].tolist() == pytest.approx(corrected.tolist())


# --- resplits ---


def test_the_corrected_resampled_t_test_of_scikit_learns_example():
    """Its page on comparing models by grid search prints t = 0.750 and a one-sided p of 0.227."""
    x, y = make_moons(noise=0.352, random_state=1, n_samples=100)
    folds = RepeatedStratifiedKFold(n_splits=10, n_repeats=10, random_state=0)
    values = pd.DataFrame(
        {
            kernel: cross_val_score(SVC(kernel=kernel), x, y, scoring="roc_auc", cv=folds)
            for kernel in ("rbf", "linear")
        }
    )
    found = hypothesis_tests.mean_difference(values["rbf"] - values["linear"], overlap=10 / 90)
    error = (found.high - found.low) / 2 / stats.t.ppf(0.975, 99)
    assert found.difference / error == pytest.approx(0.750, abs=5e-4)
    assert found.p_value / 2 == pytest.approx(0.227, abs=5e-4)


# --- clusters ---


def test_clusters_are_drawn_whole():
    """Three dialogues, in one of which the first model gains all: 0, 1/3, 2/3 or 1 of it."""
    right = pd.DataFrame({"a": [True] * 10 + [False] * 20, "b": [False] * 30})
    found = hypothesis_tests.over_clusters(right, np.repeat(["x", "y", "z"], 10)).iloc[0]
    assert (found["n"], found["low"], found["high"]) == (3, 0, 1)
    assert found["difference"] == pytest.approx(1 / 3)


def test_clusters_of_one_utterance_give_the_plain_interval():
    right = pd.DataFrame(RNG.random((400, 2)) < [0.8, 0.6], columns=["a", "b"])
    found = hypothesis_tests.over_clusters(right, np.arange(400)).iloc[0]
    gains = right["a"].astype(int) - right["b"].astype(int)
    plain = stats.norm.interval(0.95, gains.mean(), stats.sem(gains))
    assert (found["low"], found["high"]) == pytest.approx(plain, abs=0.01)


def test_clustered_interval_agrees_with_that_of_any_statistic():
    right = pd.DataFrame(RNG.random((300, 2)) < [0.7, 0.6], columns=["a", "b"])
    right["who"] = RNG.integers(25, size=300)
    found = hypothesis_tests.over_clusters(right[["a", "b"]], right["who"]).iloc[0]
    ends = interval_over_clusters(
        right, "who", lambda part: pd.DataFrame([{"gain": part["a"].mean() - part["b"].mean()}])
    )
    assert (found["low"], found["high"]) == pytest.approx([e.iloc[0, 0] for e in ends], abs=0.02)


def test_a_mean_over_clusters_is_scipys_bootstrap_of_a_ratio():
    values, who = RNG.normal(size=200), RNG.integers(20, size=200)
    sums, sizes = np.bincount(who, values), np.bincount(who)
    reference = stats.bootstrap(
        (sums, sizes), lambda a, n, axis: a.sum(axis) / n.sum(axis), paired=True,
        vectorized=True, method="percentile", n_resamples=20_000,
    ).confidence_interval  # fmt: skip
    found = mean_over_clusters(values, who)
    assert found.value == pytest.approx(values.mean())
    assert found[1:] == pytest.approx(reference, abs=0.02)


def test_the_difference_of_two_groups_covers_the_truth_though_clusters_resemble_each_other():
    """Chosen or not is a matter of the row, and each cluster has a level of its own."""
    rng, hits = np.random.default_rng(3), 0
    for _ in range(200):
        who, chosen = np.repeat(np.arange(40), 10), rng.random(400) < 0.3
        values = rng.normal(size=40)[who] + 0.5 * chosen + rng.normal(size=400)
        found = difference_over_clusters(values, chosen, who)
        assert found.value == pytest.approx(values[chosen].mean() - values[~chosen].mean())
        hits += found.low < 0.5 < found.high
    assert 0.9 < hits / 200 < 0.99


def test_too_little_to_compare_gives_no_interval():
    one_cluster = mean_over_clusters([0.0, 1.0], ["x", "x"])
    assert one_cluster.value == 0.5 and np.isnan(one_cluster[1:]).all()
    assert np.isnan(mean_over_clusters([], [])).all()
    one_kind = difference_over_clusters([0, 1, 1], [True] * 3, ["x", "y", "z"])
    assert np.isnan(one_kind).all()
    sometimes = difference_over_clusters([0, 1, 1, 0], [True, False] * 2, list("xxyz"))
    assert np.isfinite(sometimes).all()


# --- equivalence and power ---


def test_two_groups_of_64_detect_half_a_standard_deviation():
    """Cohen (1988), Table 2.4.1: two-sided at .05, power .80."""
    assert detectable_between(64, 64, spread=1) == pytest.approx(0.5, abs=0.005)


@pytest.mark.parametrize("shift", [0.0, 0.004, 0.008, 0.02])
def test_equivalence_is_two_one_sided_tests(shift):
    """As statsmodels has them, and by the 90 % interval."""
    values = pd.DataFrame(RNG.normal([0.7, 0.7, 0.7 + shift], 0.004, (12, 3)), columns=list("abc"))
    found = equivalence.differ_or_equal(values)
    assert (found["first"] + found["second"]).tolist() == ["ab", "ac", "bc"]
    for pair in found.to_dict("records"):
        one, other = values[pair["first"]], values[pair["second"]]
        p_value = ttost_paired(one, other, -0.01, 0.01)[0]
        assert pair["equal_p_value"] == pytest.approx(p_value)
        ends = stats.ttest_rel(one, other).confidence_interval(0.9)
        assert (pair["equal_low"], pair["equal_high"]) == pytest.approx(ends)
        assert (p_value < 0.05) == (ends.low > -0.01 and ends.high < 0.01)
    corrected = multipletests(found["equal_p_value"], method="holm")[1]
    assert found["equal_p_holm"].tolist() == pytest.approx(corrected.tolist())


def test_models_that_never_differ_are_not_shown_to_be_equal():
    found = equivalence.differ_or_equal(pd.DataFrame({"a": [0.7, 0.6, 0.5], "b": [0.7, 0.6, 0.5]}))
    assert np.isnan(found[["equal_low", "equal_high"]].to_numpy()).all()
    assert found["equal_p_value"].item() == 1 and found["outcome"].item() == "undecided"


def test_the_outcome_of_a_pair_follows_both_tests():
    """One model ahead by 0.02 and one by 0.0005, both nearly the same with every seed."""
    steps = np.linspace(-1e-4, 1e-4, 10)
    values = pd.DataFrame({"a": 0.7 + 0 * steps, "b": 0.68 + steps, "c": 0.6995 - steps})
    found = equivalence.differ_or_equal(values).set_index(["first", "second"])["outcome"]
    assert found.to_dict() == {
        ("a", "b"): "differ", ("a", "c"): "differ, but little", ("b", "c"): "differ"
    }  # fmt: skip
    same = values.assign(c=0.7 + steps - steps.mean())[["a", "c"]]
    assert equivalence.differ_or_equal(same)["outcome"].tolist() == ["equal"]


@pytest.mark.parametrize(
    ("chances", "outcome", "apart"),
    [([0.95, 0.6, 0.2], "differ", 3), ([0.7, 0.7, 0.7], "undecided", 0)],
)
def test_models_are_told_apart_where_they_differ_and_only_there(chances, outcome, apart):
    made = [run for name, chance in zip(("concat", "att_d1n", "addition"), chances, strict=True)
            for run in some_runs(name, [chance] * 3, n=200)]  # fmt: skip
    right = right_answers(answers(made))
    tests, pairs = hypothesis_tests.each_training(right)
    assert tests["apart"].tolist() == [apart] * 3
    assert (pairs["p_holm"] < 0.05).sum() == 3 * apart
    assert (tests["p_holm"] < 0.05).tolist() == [bool(apart)] * 3
    found = equivalence.differ_or_equal(right.groupby("seed").mean())
    assert found["outcome"].tolist() == [outcome] * 3


@pytest.mark.parametrize("overlap", [0.0, 0.11])
def test_the_widest_spread_that_allows_equivalence(overlap):
    steps = np.linspace(-1, 1, 10)
    steps *= equivalence.widest_for_equivalence(10, overlap=overlap) / steps.std(ddof=1)
    below, above = (equivalence.size_tests(k * steps, overlap=overlap)[1] for k in (0.999, 1.001))
    assert below < 0.05 < above


def test_chance_alone_spreads_differences_so():
    rng = np.random.default_rng(0)
    gains = rng.choice([-1, 0, 1], (4000, 300), p=[0.05, 0.9, 0.05]).mean(axis=1)
    assert hypothesis_tests.chance_spread(300) == pytest.approx(gains.std(), rel=0.05)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_mean_is_larger_or_smaller_than_a_region(sign):
    gains = sign * RNG.normal(0.02, 0.01, 8)
    larger, smaller = equivalence.size_tests(gains, 0.015)
    outside = stats.ttest_1samp(sign * gains, 0.015, alternative="greater").pvalue
    assert larger == pytest.approx(outside)
    assert smaller == pytest.approx(ttost_paired(gains, 0 * gains, -0.015, 0.015)[0])
    assert equivalence.size_tests([0.02, 0.02], 0.01) == (1, 1)


def test_what_ten_seeds_can_detect():
    assert detectable([0.017], [10]).loc[0.017, 10] == pytest.approx(0.017, abs=5e-4)


@pytest.mark.parametrize(("level", "overlap"), [(0.05, 0.0), (0.05 / 36, 0.0), (0.05, 0.11)])
def test_power_over_seeds_is_that_of_the_noncentral_t_distribution(level, overlap):
    found = detectable([0.01, 0.02], [2, 3, 5, 10, 20], level, overlap)
    assert found.loc[0.02].tolist() == pytest.approx((2 * found.loc[0.01]).tolist())
    for n in found.columns:
        critical = stats.t.isf(level / 2, n - 1)
        shift = found.loc[0.01, n] / 0.01 / np.sqrt(1 / n + overlap)
        assert stats.nct.sf(critical, n - 1, shift) == pytest.approx(0.8, abs=1e-5)


@pytest.mark.parametrize("level", [0.05, 0.3])
def test_power_of_mcnemars_test_by_counting_every_outcome(level):
    n, disagreement, difference = 14, 0.6, 0.35
    first, second = (disagreement + difference) / 2, (disagreement - difference) / 2
    power = sum(
        stats.multinomial.pmf([b, c, n - b - c], n, [first, second, 1 - disagreement])
        for b in range(n + 1)
        for c in range(min(b, n - b + 1))
        if stats.binomtest(b, b + c).pvalue < level
    )
    assert mcnemar_power(n, disagreement, difference, level) == pytest.approx(power)


def test_what_a_test_set_can_resolve():
    found = resolvable(555, 0.2)
    assert mcnemar_power(555, 0.2, found) == pytest.approx(0.8)
    z = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)  # Connor (1987), without continuity
    assert found == pytest.approx(z * np.sqrt(0.2 / 555), rel=0.05)
    assert resolvable(555, 0.2, 0.05 / 36) > found > resolvable(5531, 0.2)
    assert np.isnan(resolvable(61, 0.05))  # three utterances decide nothing


# --- one more run ---


def test_prediction_interval_is_that_of_regression_on_a_constant():
    values = RNG.normal(0.7, 0.02, 7)
    fitted = sm.OLS(values, np.ones(7)).fit().get_prediction(np.ones((1, 1)))
    assert prediction_interval(values) == pytest.approx(fitted.conf_int(obs=True)[0])
    assert np.isnan(prediction_interval([0.7])).all()


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
