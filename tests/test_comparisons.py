"""What page 07 says of pairs of models is what the tests found, whatever the runs."""

from dataclasses import replace

import made_runs
import numpy as np
import pandas as pd
import pytest

from replicate import comparison
from replicate.claims import CorpusInfo, verdicts
from replicate.model import FUSIONS
from replicate.report import comparisons, plots
from replicate.report.comparisons import Compared
from replicate.report.provenance import Notice
from replicate.report.results import Stored


def compared(chances, seeds=3, n=200):
    """Models of Table 4, each right with its chance on every utterance, anew for each seed."""
    made = [
        made_runs.run(["anger"] * n, np.where(rng.random(n) < chance, "anger", "sadness"),
                      model=model, seed=seed)
        for k, (model, chance) in enumerate(zip(FUSIONS, chances, strict=False))
        for seed in range(seeds)
        for rng in [np.random.default_rng([k, seed])]
    ]  # fmt: skip
    return Compared(Stored("iemocap", "paper", tuple(made)), "last-epoch")


def test_models_far_apart_are_told_apart():
    found = compared([0.95, 0.6, 0.2])
    assert comparisons.single_in_words(found) == {
        "rejected": "3 of 3", "apart": "3", "always": "3", "never": "0"
    }  # fmt: skip
    words = comparisons.seeds_in_words(found)
    assert (words["t_differ"], words["equal"], words["untold"]) == ("3", "0", "0")
    assert words["conclusion"] == "these runs tell all models apart"
    assert words["rank_differ"] == "0"  # three seeds are too few for ranks


def test_equal_models_are_not():
    found = compared([0.7, 0.7, 0.7])
    single, words = comparisons.single_in_words(found), comparisons.seeds_in_words(found)
    assert (single["rejected"], single["never"], words["t_differ"]) == ("0 of 3", "3", "0")
    assert words["conclusion"].endswith("do not show that any two of the models differ")
    assert found.over_seeds["said"].eq("cannot be told").all()


def test_what_is_said_of_a_pair_follows_both_tests():
    """One model ahead by 0.02 and one by 0.0005, both nearly the same with every seed."""
    steps = np.linspace(-1e-4, 1e-4, 10)
    values = pd.DataFrame({"a": 0.7 + 0 * steps, "b": 0.68 + steps, "c": 0.6995 - steps})
    found = compared([0.7, 0.7, 0.7], seeds=1)
    found.__dict__["accuracies"] = values
    said = found.over_seeds.set_index(["first", "second"])["said"]
    assert said.to_dict() == {
        ("a", "b"): "differ", ("a", "c"): "differ, but little", ("b", "c"): "differ"
    }  # fmt: skip
    found = compared([0.7, 0.7], seeds=1)
    found.__dict__["accuracies"] = values.assign(c=0.7 + steps - steps.mean())[["a", "c"]]
    assert found.over_seeds["said"].tolist() == ["equal"]


def test_one_seed_gives_mcnemars_test_and_nothing_over_seeds():
    found = compared([0.9, 0.3], seeds=1)
    notice = comparisons.over_seeds(found)
    assert isinstance(notice, Notice) and "second seed" in notice.text
    assert "1" in repr(comparisons.single_trainings(found)).splitlines()[1].split()[-1]
    assert comparisons.single_in_words(found)["apart"] == "1"
    assert set(comparisons.seeds_in_words(found).values()) == {"(not run yet)"}
    power = comparisons.power_in_words(found)
    assert (power["pairs"], power["rank_can"]) == ("1", "cannot")
    assert power["equal_spread"] == "(no spread is known)"


def test_one_model_is_no_pair():
    found = compared([0.7])
    assert isinstance(comparisons.same_utterances(found), Notice)
    for told in (comparisons.power_in_words, comparisons.single_in_words):
        assert set(told(found).values()) == {"(not run yet)"}


@pytest.mark.parametrize(("seeds", "can"), [(10, "can"), (9, "cannot")])
def test_seven_models_need_ten_seeds_for_ranks(seeds, can):
    words = comparisons.power_in_words(compared([0.7] * 7, seeds, n=20))
    assert words["rank_can"] == can
    assert int(words["rank_seeds"]) == comparison.fewest_seeds(int(words["pairs"]))


def test_the_widest_spread_that_allows_equivalence():
    steps = np.linspace(-1, 1, 10)
    steps *= comparisons.widest_for_equivalence(10) / steps.std(ddof=1)
    assert comparison.equivalence(0.999 * steps, 0 * steps).shown
    assert not comparison.equivalence(1.001 * steps, 0 * steps).shown


def test_chance_alone_spreads_differences_so():
    rng = np.random.default_rng(0)
    gains = rng.choice([-1, 0, 1], (4000, 300), p=[0.05, 0.9, 0.05]).mean(axis=1)
    assert comparisons.chance_spread(300) == pytest.approx(gains.std(), rel=0.05)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.1, 0.9, "resembles the paper's"),
        (-0.9, -0.1, "runs against the paper's"),
        (-0.2, 0.4, "cannot be told"),
        (np.nan, np.nan, "cannot be judged"),
    ],
)
def test_the_order_in_words(low, high, said):
    given = verdicts(CorpusInfo("iemocap", "IEMOCAP", False, "paper"), [])
    given = [replace(v, low=low, high=high) if v.claim.id == 12 else v for v in given]
    assert comparisons.order_in_words(given)["resembles"].startswith(said)


def test_the_grid_has_a_cell_for_each_pair():
    names = list("abcd")
    values = pd.DataFrame(np.arange(16.0).reshape(4, 4) / 16, names, names)
    figure = plots.pairs(values, values.map(str), "share", top=1.0)
    written = [text.get_text() for text in figure.axes[0].texts]
    assert written == [str(values.iat[i, j]) for i in range(4) for j in range(i)]
