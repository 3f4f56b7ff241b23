"""The experiments of a named grid on a cohort."""

import pandas as pd

from replicate.corpora.protocol import groups
from replicate.runs.experiments import GRIDS, Experiment, Profile, chosen, random_fold
from replicate.settings import EMB_SIZE, AudioInput, Fold, ModelConfig


def grid(
    name: str,
    corpus: str,
    profile: Profile,
    cohort: pd.DataFrame,
    audio_input: AudioInput = "raw waveforms",
) -> list[Experiment]:
    """The experiments of a named grid (a key of `GRIDS`), seed by seed; `InputError` if none is.

    `audio_input` is what the corpus has, see `Corpus.audio_input`.
    """
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
            architecture=ModelConfig(emb_size=EMB_SIZE[embedding], audio_input=audio_input),
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
