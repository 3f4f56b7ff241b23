"""What a page selects from the store."""

import made_runs
import pytest

from replicate.paper import EMOTIONS
from replicate.runs.experiments import GRIDS
from replicate.runs.selection import Selection
from replicate.settings import Fold

SPEAKERS = [Fold("speaker", name) for name in ("03", "08")]


def run(model, fold, seed=0):
    return made_runs.run(EMOTIONS, EMOTIONS, model=model, fold=fold, seed=seed, corpus="emodb")


def selected(*runs):
    return Selection("emodb", "paper", runs, folds="speaker")


class TestShared:
    def test_models_stand_on_the_folds_that_all_of_them_have(self):
        audio, text = [run("audio", fold) for fold in SPEAKERS], run("text", SPEAKERS[0])
        chosen = selected(*audio, text).shared("fold")
        assert chosen.runs == (audio[0], text)

    def test_a_seed_that_one_model_has_alone_counts_only_where_seeds_are_shared(self):
        first, second = (run("audio", SPEAKERS[0], seed) for seed in (0, 1))
        both = selected(first, second, run("text", SPEAKERS[0]))
        assert len(both.shared("fold")) == 3
        assert second not in both.shared("fold", "seed").runs

    def test_without_a_common_fold_it_says_so(self):
        chosen = selected(run("audio", SPEAKERS[0]), run("text", SPEAKERS[1])).shared("fold")
        assert not chosen and "all models on the same fold" in chosen.missing().what
        assert "--grid speakers" in chosen.missing().remedy

    def test_nothing_shares_nothing(self):
        assert not selected().shared("fold") and "any model" in selected().missing().what


@pytest.mark.parametrize(
    ("corpus", "folds", "ending"),
    [
        ("standin-quick", "one", "--profile paper"),
        ("standin-quick", "own", "--grid splits"),
        ("standin-quick", "session", "--grid sessions"),
        ("iemocap-features", "one", "--grid fusions-one"),
        ("iemocap-features", "own", "--grid fusions"),
        ("iemocap-features", "scenario", "--grid text-scenarios"),
        ("meld", "own", "--grid text"),
    ],
)
def test_a_notice_names_the_grid_of_these_folds(corpus, folds, ending):
    assert Selection(corpus, "paper", ()).of(folds=folds).command().endswith(ending)
    name = ending.removeprefix("--grid ")
    assert ending.startswith("--profile") or GRIDS[name].folds == folds


def test_a_notice_names_the_folds_of_baselines():
    baselines = Selection("standin-quick", "baselines", ()).of(folds="session")
    assert baselines.command() == "replicate baselines --corpus standin-quick --folds session"
