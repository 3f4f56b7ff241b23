"""What a perfect replication would get, against exact chances."""

import numpy as np
import pandas as pd
import pytest
from made_runs import run
from scipy import stats

from replicate import paper
from replicate.runs.selection import Selection
from replicate.verdicts.calibration import (
    OUTCOMES,
    SECOND,
    Scatter,
    chances,
    of_accuracies,
    of_words,
    within_folds,
)
from replicate.verdicts.criteria import CRITERIA
from replicate.verdicts.evidence import gather

LUCK = Scatter(split=0.023, seed=0.0104, rate=0.023)


@pytest.mark.parametrize("tolerance", [0.02, 0.042, 0.08])
def test_the_chance_of_an_accuracy_is_that_of_a_normal_difference(tolerance):
    spread = np.sqrt(2 * LUCK.split**2 + LUCK.seed**2 * (1 + 1 / 10))
    expected = stats.norm.cdf(tolerance / spread) - stats.norm.cdf(-tolerance / spread)
    assert of_accuracies(tolerance, 10, LUCK)["met"] == pytest.approx(expected, abs=0.01)


def test_several_rows_are_missed_more_often_than_one_and_less_than_if_they_shared_no_split():
    one, nine = (of_accuracies(0.042, 10, LUCK, rows)["not met"] for rows in (1, 9))
    assert one < nine < 1 - (1 - one) ** 9


def test_the_chance_of_a_word_is_the_sum_over_both_counts():
    ratio = next(iter(paper.CLAIMS[21].reported.values()))  # 13 of 15
    held = 0.0
    for ours in range(16):
        interval = stats.binomtest(ours, 15).proportion_ci(method="wilson")
        for theirs in range(16):
            both = stats.binom.pmf([ours, theirs], 15, 13 / 15).prod()
            held += both * (interval.low <= theirs / 15 <= interval.high)
    assert of_words({"laughter": ratio})["met"] == pytest.approx(held)


def test_every_criterion_of_runs_and_words_has_chances_but_those_of_what_the_paper_does_not_print():
    known = {claim.id: chances(claim, LUCK) for claim in paper.CLAIMS}
    found = {number for number, chance in known.items() if chance is not None}
    kinds = {"accuracy", "order", "confusion rates", "ranks", "error spread", "words"}
    assert found == {n for n, made in CRITERIA.items() if made.kind in kinds} | {13, 14}
    for number in found:
        assert known[number].index.tolist() == list(OUTCOMES)
        assert known[number].sum() == pytest.approx(1)
        assert known[number].between(0, 1).all()


def test_a_perfect_replication_meets_the_second_rule_nineteen_times_of_twenty():
    for number, rule in SECOND.claims.items():
        reported = paper.CLAIMS[number - 1].numbers
        assert rule.chances(reported, LUCK)["met"] == pytest.approx(0.95, abs=0.02)


def test_the_second_rule_takes_a_difference_of_three_points_for_luck_and_says_if_seeds_lack():
    rule, printed = SECOND.claims[7], paper.CLAIMS[6].numbers  # Concat

    def judged(accuracy, seeds=10):
        right = round(accuracy * 555)
        true = ["anger"] * 555
        guessed = ["anger"] * right + ["sadness"] * (555 - right)
        made = [run(true, guessed, model="concat", seed=seed) for seed in range(seeds)]
        return rule.judge(printed, gather(Selection("iemocap", "paper", tuple(made))))

    assert judged(printed["accuracy"] + 0.03).outcome == "met"
    assert judged(printed["accuracy"] - 0.08).outcome == "not met"
    assert not judged(0.7).shortfall and "seed" in judged(0.7, seeds=1).shortfall


def test_the_luck_of_seeds_is_what_is_left_within_folds():
    rng = np.random.default_rng(0)
    folds = pd.Series(np.repeat(np.arange(400), 3))
    values = pd.DataFrame({"a": rng.normal(folds, 0.5), "b": rng.normal(-folds, 0.5)})
    assert within_folds(values, folds) == pytest.approx(0.5, rel=0.05)
