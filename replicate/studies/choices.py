"""What another reading of the paper's open choices changes."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import combinations
from typing import NamedTuple, get_args

import numpy as np
import pandas as pd

from replicate import paper
from replicate.runs.experiments import CHOICES, GRIDS, random_fold
from replicate.runs.selection import Selection
from replicate.runs.store import Run
from replicate.settings import FUSION_NAMES
from replicate.stats.equivalence import size_tests
from replicate.stats.hypothesis_tests import LEVEL, holm, mean_difference
from replicate.stats.summaries import by_run

#: What a choice is compared on: the same experiment in all but the choice.
SAME = ["model", "embedding", "fold", "seed"]

#: How far apart the models are that the paper compares: best less worst of Table 4.
PRINTED = paper.TABLE_4["accuracy"].max() - paper.TABLE_4["accuracy"].min()

#: Stands for the expected impact where the paper prints what is changed: no open choice.
SETTING = "printed setting"

IMPACTS = (*reversed(get_args(paper.Impact)), SETTING)

#: What is computed for `effects`.
P_VALUES = ["p_holm", "p_larger", "p_smaller"]
EFFECTS = ["difference", "difference_low", "difference_high", "n", *P_VALUES]


class Reading(NamedTuple):
    """Another reading of what is open, the `subject`, or another setting of what is printed."""

    subject: str
    ours: str
    other: str
    reason: str  # of ours
    impact: str  # of `IMPACTS`, as expected before the runs


def reading(name: str) -> Reading:
    """The words for a key of `CHOICES`, from the paper as data."""
    ((field, value),) = CHOICES[name].items()
    for choice in paper.OPEN_CHOICES:
        other = choice.readings.get(name, str(value) if choice.field == field else None)
        if other in choice.alternatives:
            return Reading(choice.choice, choice.default, other, choice.reason, choice.impact)
    settings = pd.concat([paper.TABLE_1, paper.TABLE_2, paper.TABLE_3])
    printed = settings[settings["field"] == field].iloc[0]
    return Reading(printed["name"], printed["printed"], str(value), "As printed.", SETTING)


def studied(runs: Iterable[Run]) -> list[Run]:
    """The runs of other choices and those of ours that can be compared with each other."""
    runs = list(runs)
    other = {_without_choice(run) for run in runs if run.experiment.choice}
    ours = {_without_choice(run) for run in runs if not run.experiment.choice}
    return [run for run in runs if _without_choice(run) in other & ours]


def _without_choice(run: Run) -> tuple[str, str, str, int]:
    made = run.experiment
    return made.model, made.embedding, made.fold.name, made.seed


def compared(stored: Selection, *grids: str) -> Selection:
    """The runs of some grids that read a choice otherwise, and those of ours beside them.

    The grids share their kind of folds; the first is named where nothing can be compared.
    """
    runs = studied(run for run in stored if any(_belongs(run, name) for name in grids))
    folds, wanted = GRIDS[grids[0]].folds, "other readings of the open choices"
    return replace(stored, runs=tuple(runs), folds=folds, wanted=wanted, grid=grids[0])


def _belongs(run: Run, name: str) -> bool:
    """Whether a run is one of a grid's."""
    grid, made = GRIDS[name], run.experiment
    drawn = random_fold(grid.folds, made.seed)
    return (
        (made.model, made.embedding) in grid.rows
        and made.choice in grid.choices
        and (made.fold == drawn if drawn else made.fold.kind == grid.folds)
    )


def differences(answers: pd.DataFrame) -> pd.DataFrame:
    """Accuracy of every other choice less that of ours: `choice`, `difference`, and `SAME`.

    A seed counts once all models that have the choice have been trained with it.
    """
    single = by_run(answers)
    ours = single.loc[single["choice"] == "", [*SAME, "accuracy"]]
    other = single[single["choice"] != ""].merge(ours, on=SAME, suffixes=("", "_ours"))
    models = other.groupby("choice")["model"].transform("nunique")
    here = other.groupby(["choice", "fold", "seed"])["model"].transform("nunique")
    other = other[here == models]
    gaps = other.assign(difference=other["accuracy"] - other["accuracy_ours"])
    return gaps[["choice", "difference", *SAME]]


def effects(answers: pd.DataFrame, overlap: float = 0.0) -> pd.DataFrame:
    """Mean difference of each choice, the largest first, from answers on one kind of folds.

    A seed's difference is the mean over its models; where groups are held out, a group's is the
    mean over models and seeds. `overlap`, n_test / n_train, widens the intervals where training
    parts of several folds overlap, see `mean_difference`.

    Returns:
        Index `choice`; `difference` with `_low` and `_high` (t interval); `n` (seeds or groups);
        `p_holm` of the t test, `p_larger` and `p_smaller` of `equivalence.size_tests`, each with
        Holm's correction for the choices; `size`: `more` or `less` than `PRINTED`, or `cannot be
        told`; `impact`, as expected. No rows if nothing can be compared.
    """
    by = "seed" if (answers["folds"] == "stratified").all() else "fold"
    overlap = overlap if answers["fold"].nunique() > 1 else 0.0
    gaps = differences(answers).groupby(["choice", by])["difference"].mean()
    rows = {}
    for choice, values in gaps.groupby("choice"):
        mean = mean_difference(values, overlap)
        sizes = size_tests(values, PRINTED, overlap)
        rows[str(choice)] = [mean.difference, mean.low, mean.high, mean.n, mean.p_value, *sizes]
    found = pd.DataFrame.from_dict(rows, orient="index", columns=EFFECTS).rename_axis("choice")
    for p_value in P_VALUES:
        found[p_value] = holm(found[p_value])
    sure = [found["p_larger"] < LEVEL, found["p_smaller"] < LEVEL]
    found["size"] = np.select(sure, ["more", "less"], "cannot be told")
    found["impact"] = [reading(str(name)).impact for name in found.index]
    return found.sort_values("difference", key=abs, ascending=False)


def flips(answers: pd.DataFrame) -> pd.Series:
    """Share of test utterances whose predicted class another choice changes, mean over runs."""
    key = [*SAME, "utterance"]
    ours = answers.loc[answers["choice"] == "", [*key, "predicted"]]
    other = answers[answers["choice"] != ""].merge(ours, on=key, suffixes=("", "_ours"))
    flipped = other.assign(flipped=other["predicted"] != other["predicted_ours"])
    by_training = flipped.groupby(["choice", *SAME])["flipped"].mean()
    return by_training.groupby("choice").mean()


def flips_of_seeds(answers: pd.DataFrame) -> float:
    """The same for two seeds of our reading, mean over pairs; NaN if they share no utterance."""
    ours = answers[answers["choice"] == ""]
    index = ["model", "embedding", "fold", "utterance"]
    by_seed = ours.pivot(index=index, columns="seed", values="predicted")
    both = (by_seed[[a, b]].dropna() for a, b in combinations(by_seed, 2))
    return float(pd.Series([pair.nunique(axis=1).eq(2).mean() for pair in both]).mean())


def spread_of_fusions(answers: pd.DataFrame) -> float:
    """Best less worst mean accuracy of the seven fusions; NaN unless all have the same seeds."""
    runs = by_run(answers)
    seeds = runs.groupby("model")["seed"].agg(frozenset)
    if set(seeds.index) != set(FUSION_NAMES) or seeds.nunique() > 1:
        return np.nan
    return float(np.ptp(runs.groupby("model")["accuracy"].mean()))
