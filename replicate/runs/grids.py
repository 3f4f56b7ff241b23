"""The experiments of a named grid on a cohort."""

from dataclasses import replace

import pandas as pd

from replicate.corpora.protocol import groups
from replicate.files import InputError
from replicate.runs.experiments import GRIDS, Experiment, Profile, chosen, random_fold
from replicate.settings import EMB_SIZE, Fold, ModelConfig


def grid(name: str, corpus: str, profile: Profile, cohort: pd.DataFrame) -> list[Experiment]:
    """The experiments of a grid, a key of `GRIDS`, seed by seed; `InputError` if there is none."""
    if name not in GRIDS:
        raise InputError(name, "no such grid", f"choose from {', '.join(GRIDS)}")
    wanted = GRIDS[name]
    made = [
        Experiment(
            corpus=corpus,
            profile=profile.name,
            model=model,  # type: ignore[arg-type]
            embedding=embedding,
            fold=fold,
            seed=seed,
            training=profile.training,
            architecture=replace(ModelConfig(), emb_size=EMB_SIZE[embedding]),
        )
        for seed in profile.seeds[: wanted.seeds]
        for fold in _folds(wanted.folds, seed, cohort)
        for model, embedding in wanted.rows
    ]
    return [chosen(each, choice) if choice else each for each in made for choice in wanted.choices]


def _folds(kind: str, seed: int, cohort: pd.DataFrame) -> list[Fold]:
    if drawn := random_fold(kind, seed):
        return [drawn]
    return [Fold(kind, group) for group in groups(cohort, kind)]  # type: ignore[arg-type]
