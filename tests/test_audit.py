"""The audit against brute force, exact small cases, and other people's code."""

import math
from decimal import ROUND_HALF_DOWN, ROUND_HALF_UP, Decimal

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats
from sklearn import metrics as reference
from sklearn.model_selection import train_test_split

from replicate import paper
from replicate.corpora.protocol import split
from replicate.files import InputError
from replicate.model import FUSIONS
from replicate.paper import EMOTIONS, printed_confusion
from replicate.settings import Fold
from replicate.stats import classification, hypothesis_tests
from replicate.stats.power import (
    TRIALS,
    best_of_epochs,
    disagreement_ceiling,
    equal_models,
    unrelated,
)
from replicate.studies import audit


def expected_maximum(n):
    """Of n independent standard normals, by integration of its density."""
    return integrate.quad(
        lambda x: x * n * stats.norm.pdf(x) * stats.norm.cdf(x) ** (n - 1), -8, 8, limit=200
    )[0]


# --- Table 7 ---


def test_rates_are_scikit_learn_s():
    true, called = classification.labels(printed_confusion())
    precision, recall, f1, _ = reference.precision_recall_fscore_support(true, called)
    rates = audit.rates(printed_confusion())
    assert rates["recall"].to_numpy() == pytest.approx(recall)
    assert rates["precision"].to_numpy() == pytest.approx(precision)
    assert rates["F1"].to_numpy() == pytest.approx(f1)
    for emotion in EMOTIONS:
        one_against_rest = reference.accuracy_score(true == emotion, called == emotion)
        assert rates.loc[emotion, "accuracy"] == pytest.approx(one_against_rest)


def test_measures_and_their_intervals():
    true, called = classification.labels(printed_confusion())
    found = audit.measures(printed_confusion())
    assert found["value"].to_dict() == pytest.approx(
        {
            "accuracy": reference.accuracy_score(true, called),
            "UAR": reference.balanced_accuracy_score(true, called),
            "macro-F1": reference.f1_score(true, called, average="macro"),
            "kappa": reference.cohen_kappa_score(true, called),
        }
    )
    by_scipy = stats.binomtest(397, 555).proportion_ci(method="wilson")
    assert found.loc["accuracy", ["value_low", "value_high"]].tolist() == pytest.approx(
        list(by_scipy)
    )
    variances = [r * (1 - r) / n for r, n in zip(classification.recall(printed_confusion()),
                 printed_confusion().sum(axis="columns"), strict=True)]  # fmt: skip
    half = 1.96 * math.sqrt(sum(variances)) / 4  # delta method
    width = found.loc["UAR", "value_high"] - found.loc["UAR", "value_low"]
    assert width == pytest.approx(2 * half, rel=0.05)


# --- what the test set can resolve ---


def test_right_utterances_round_to_the_printed_accuracies():
    printed = paper.OWN["accuracy"].tolist()
    assert (audit.printed_right() / paper.TESTED).round(3).tolist() == printed


@pytest.mark.parametrize("net", range(13))
def test_disagreement_ceiling_by_brute_force(net):
    n = 61
    significant = [
        2 * worse + net
        for worse in range((n - net) // 2 + 1)
        if 2 * worse + net and stats.binomtest(worse, 2 * worse + net).pvalue < 0.05
    ]
    assert disagreement_ceiling(net, n) == max(significant, default=0)
    assert disagreement_ceiling(-net, n) == disagreement_ceiling(net, n)


@pytest.mark.parametrize("net", [6, 7, 13, 17, 24])
def test_a_difference_is_significant_up_to_the_ceiling_and_no_further(net):
    ceiling = disagreement_ceiling(net)
    for differ in (net, ceiling, ceiling + 2):
        first, second = np.zeros(paper.TESTED), np.zeros(paper.TESTED)
        second[: (differ + net) // 2] = 1
        first[(differ + net) // 2 : differ] = 1
        found = hypothesis_tests.mcnemar(first == 0, second == 0)
        assert found.only_first - found.only_second == net
        assert (found.p_value < hypothesis_tests.LEVEL) == (differ <= ceiling)


def test_unrelated_errors():
    assert unrelated(1, 1) == unrelated(0, 0) == 0
    assert unrelated(1, 0) == unrelated(0.5, 0.9) * 2 == 1


# --- what chance does ---


@pytest.mark.parametrize("disagreement", [0.05, 0.2, 0.4])
def test_two_equal_models_differ_as_an_exact_sum_says(disagreement):
    """On each utterance the first leads by 1, 0 or -1; the sum over them by convolution."""
    n, one = 20, [disagreement / 2, 1 - disagreement, disagreement / 2]
    exact = np.array([1.0])
    for _ in range(n):
        exact = np.convolve(exact, one)
    right = equal_models(0.69, disagreement, 2, n)
    lead = right[:, 0] - right[:, 1]
    found = np.bincount(lead + n, minlength=2 * n + 1) / TRIALS
    errors = np.sqrt(exact * (1 - exact) / TRIALS)
    assert (np.abs(found - exact) < 4.5 * errors + 1e-3).all()
    assert right.mean() / n == pytest.approx(0.69, abs=0.01)


@pytest.mark.parametrize("disagreement", [0.1, 0.18, 0.35])
def test_seven_equal_models_against_the_range_and_maximum_of_normals(disagreement):
    """Models differ from their mean by about sqrt(n D / 2), whatever the utterances' difficulty."""
    right = equal_models(0.689, disagreement, 7)
    scale = math.sqrt(paper.TESTED * disagreement / 2)
    expected = stats.studentized_range.sf(16.5 / scale, 7, 10**6)
    assert (np.ptp(right, axis=1) >= 17).mean() == pytest.approx(expected, abs=0.03)
    gain = (right.max(axis=1) - right.mean(axis=1)).mean()
    assert gain == pytest.approx(scale * expected_maximum(7), rel=0.03)


@pytest.mark.parametrize("disagreement", [0, 0.43, 0.9])
def test_an_impossible_disagreement_is_refused(disagreement):
    with pytest.raises(InputError, match=r"choose between 0 and 0\.428"):
        equal_models(0.69, disagreement, 7)


def test_best_epoch_against_known_expectations():
    assert best_of_epochs(0, 150) == pytest.approx(expected_maximum(150), abs=0.03)
    for phi in (0.3, 0.7, 0.95):  # the larger of two standard normals with this correlation
        exact = math.sqrt((1 - phi) / math.pi)
        assert best_of_epochs(phi, 2) == pytest.approx(exact, abs=0.04)
    falling = [best_of_epochs(phi, 150) for phi in (0, 0.5, 0.9, 0.99)]
    assert falling == sorted(falling, reverse=True)


# --- the split behind Table 7 ---


@pytest.mark.parametrize("n", [273, 554, 555, 2765])
def test_utterances_are_shared_out_as_scikit_learn_does(n):
    labels = np.repeat(EMOTIONS, list(audit.CLASS_SIZES.values()))
    _, held_out = train_test_split(labels, test_size=n, stratify=labels)
    found = audit.shared_out(audit.CLASS_SIZES, n)
    assert list(found.index) == list(EMOTIONS)
    assert found.to_dict() == pd.Series(held_out).value_counts().to_dict()


def test_the_split_holds_out_a_tenth_of_each_class_rounded_up():
    """The row sums of Table 7, from the class sizes alone."""
    printed = printed_confusion().sum(axis="columns").to_dict()
    assert printed == {emotion: -(-size // 10) for emotion, size in audit.CLASS_SIZES.items()}
    table = pd.DataFrame({"emotion": np.repeat(EMOTIONS, list(audit.CLASS_SIZES.values()))})
    assert table["emotion"].iloc[split(table, Fold()).test].value_counts().to_dict() == printed
    assert sum(audit.MERGED.values()) == audit.CLASS_SIZES["happiness"]


# --- Table 6 ---


@settings(max_examples=30, deadline=None)
@given(st.decimals(0, 1, places=3), st.integers(1, 60))
def test_fractions_against_decimal_rounding(ratio, most):
    def rounds(k, n, how):
        return (Decimal(k) / n).quantize(Decimal("0.001"), how) == ratio

    exhaustive = [
        (k, n)
        for n in range(1, most + 1)
        for k in range(n + 1)
        if rounds(k, n, ROUND_HALF_UP) or rounds(k, n, ROUND_HALF_DOWN)
    ]
    assert audit.fractions(ratio, most) == exhaustive


def test_fewer_places_leave_more_fractions():
    assert set(audit.fractions(Decimal("0.800"))) < set(audit.fractions(Decimal("0.80")))


def test_words_of_table_6():
    words = audit.words().set_index("word")
    assert set(words.index) > set(paper.TABLE_6["word"])
    assert words.loc["they", "direction"] == "below"
    assert words.loc["laughter", "direction"] == "above"
    predicted = printed_confusion().sum(axis="index") / 555
    for row in words.itertuples():
        k, n = row.fractions[0]
        assert row.base == predicted[row.emotion]
        side = "greater" if k / n > row.base else "less"
        assert row.chance == pytest.approx(stats.binomtest(k, n, row.base, side).pvalue)
        low, high = stats.binomtest(k, n).proportion_ci(method="wilson")
        assert (row.low, row.high) == pytest.approx((low, high))
        holds = {"above": low > row.base, "below": high < row.base}
        assert holds.get(row.direction, low <= row.base <= high)


# --- attention ---


@torch.no_grad()
@pytest.mark.parametrize("model", [name for name in FUSIONS if name.startswith("att")])
def test_gates_exchange_with_the_modalities(model):
    torch.manual_seed(0)
    attention = FUSIONS[model](12)
    text, audio = torch.randn(2, 9, 12)
    gates = attention(text, audio).p_audio
    assert torch.allclose(attention(audio, text).p_audio, 1 - gates)


def test_the_sign_of_the_last_weights_turns_equation_8_s_gates_over():
    attention = FUSIONS["att_d2n"](12)
    text, audio = torch.randn(9, 12).relu(), 3 * torch.randn(9, 12)
    gates = attention(text, audio).p_audio
    attention.w2.weight.data.neg_()
    assert torch.allclose(attention(text, audio).p_audio, 1 - gates)


# --- Table 8 ---


def test_the_gaps_of_table_8_by_hand():
    gaps = audit.loudness_gaps()
    by_hand = 0.004 / math.sqrt((49 + 16) / 2e6)
    assert gaps["d"]["neutrality", "sadness"] == pytest.approx(by_hand)
    assert gaps["d"]["anger", "sadness"] == pytest.approx(0.029 / math.sqrt((39**2 + 4**2) / 2e6))
    least = 0.003 / math.sqrt((7.5**2 + 4.5**2) / 2e6)
    assert gaps["low"]["neutrality", "sadness"] == pytest.approx(least)
    most = 0.005 / math.sqrt((6.5**2 + 3.5**2) / 2e6)
    assert gaps["high"]["neutrality", "sadness"] == pytest.approx(most)
    assert len(gaps) == 4


def test_likely_counts_hold_the_draws_of_a_tenth():
    rng = np.random.default_rng(0)
    often = {"rare": [1] * 12, "common": [2] * 200 + [1] * 200}
    counted = pd.DataFrame(
        [(sum(times), len(times)) for times in often.values()],
        pd.Index(often),
        columns=["present", "sentences"],
    )
    likely = audit.likely_counts(counted, 5550)
    for word, times in often.items():
        said = np.array(times + [0] * (5550 - len(times)))
        drawn = [said[rng.choice(len(said), paper.TESTED, replace=False)] for _ in range(2000)]
        row = likely.loc[word]
        with_it = np.array([(part > 0).sum() for part in drawn])
        occurrences = np.array([part.sum() for part in drawn])
        inside = (row["low_sentences"] <= with_it) & (with_it <= row["high_sentences"])
        assert 0.97 <= inside.mean() < 1  # 1 - 0.05 / 2, give or take
        assert ((row["low"] <= occurrences) & (occurrences <= row["high"])).mean() > 0.95
