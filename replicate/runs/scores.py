"""From stored runs to tidy tables: one row an answer, a run, or a configuration."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from replicate.runs.baselines import Tested
from replicate.runs.store import Run
from replicate.stats import classification
from replicate.stats.classification import (
    bootstrap_confusions,
    expected_calibration_error,
    macro_f1s,
    predicted,
    uars,
)
from replicate.stats.intervals import percentile_interval, share_interval

#: What runs must share to be averaged: all but the seed and the group held out.
CONFIGURATION = ["corpus", "profile", "model", "embedding", "choice", "folds"]


def per_run(runs: Sequence[Tested], selection: str) -> pd.DataFrame:
    """One row a run: what it is, its accuracy and its audio scores.

    `audio_score` is the mean over the test utterances and `audio_score_sd` their standard
    deviation, NaN for models without attention. A run without the selection has no row.
    """
    table = pooled(runs, selection)
    if table.empty:
        return pd.DataFrame()
    single = [part for _, part in table.groupby("run")]
    counts = np.stack([classification.tally(part["emotion"], part["predicted"]) for part in single])
    identity = [*CONFIGURATION, "fold", "seed"]
    return (
        table.drop_duplicates("run")[identity]
        .reset_index(drop=True)
        .assign(
            n_utterances=counts.sum(axis=(1, 2)),
            accuracy=classification.accuracies(counts),
            audio_score=[part["audio_score"].mean() for part in single],
            audio_score_sd=[part["audio_score"].std() for part in single],
        )
    )


def pooled(runs: Sequence[Tested], selection: str) -> pd.DataFrame:
    """The predictions of many runs in one table: `Run.predictions`, and what each run is.

    Added columns: `run` (its position in `runs`), `corpus`, `profile`, `model`, `embedding`,
    `choice`, `folds` (kind), `fold`, `seed`, and `predicted`, the class of highest probability.
    """
    parts = {position: run.selected(selection) for position, run in enumerate(runs)}
    parts = {position: part for position, part in parts.items() if len(part)}
    if not parts:
        return pd.DataFrame()
    table = pd.concat(parts, names=["run", None]).reset_index("run")
    table = table.join(pd.DataFrame(map(_identity, runs)), on="run").reset_index(drop=True)
    return table.assign(predicted=predicted(table))


def summarise(
    runs: Sequence[Tested], selection: str, clusters: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """One row for each corpus, profile, model, embedding, choice and kind of fold, in order.

    Columns: `n_seeds`, `n_utterances` (different ones tested); `accuracy`, `uar`,
    `macro_f1`, `ece` (expected calibration error), `audio_score` (means over seeds; where groups
    are held out in turn, a seed's value is that of its folds pooled) with `_low` and `_high` over
    seeds (`share_interval`); `accuracy`, `uar` and `macro_f1` also with `_boot_low`
    and `_boot_high` over utterances (percentile bootstrap, all seeds of an utterance drawn
    together); `audio_score_sd`, the standard deviation over a run's utterances, mean
    over runs.

    Args:
        runs: the runs; those without the selection are left out.
        selection: which epoch, see `replicate.runs.store.SELECTIONS`.
        clusters: utterance -> what the bootstrap draws as a whole, such as its dialogue; the
            utterance itself by default.
    """
    table = pooled(runs, selection)
    if table.empty:
        return pd.DataFrame()
    rows = []
    for _, group in table.groupby(CONFIGURATION, sort=False):
        single = group.groupby("run")
        rows.append(
            {
                **{name: group[name].iloc[0] for name in CONFIGURATION},
                "n_seeds": group["seed"].nunique(),
                "n_utterances": group["utterance"].nunique(),
                **_over_seeds(group),
                **_over_utterances(group, clusters),
                "audio_score_sd": single["audio_score"].std().mean(),
            }
        )
    return pd.DataFrame(rows)


def _identity(run: Tested) -> dict[str, Any]:
    experiment = run.experiment
    fold, seed = experiment.fold, experiment.seed
    values = [getattr(experiment, name) for name in CONFIGURATION[:-1]] + [fold.kind]
    return {**dict(zip(CONFIGURATION, values, strict=True)), "fold": fold.name, "seed": seed}


def _over_seeds(group: pd.DataFrame) -> dict[str, float]:
    seeds = [part for _, part in group.groupby("seed")]
    counts = np.stack([classification.tally(part["emotion"], part["predicted"]) for part in seeds])
    values = {
        "accuracy": classification.accuracies(counts),
        "uar": uars(counts),
        "macro_f1": macro_f1s(counts),
        "ece": np.array([expected_calibration_error(part) for part in seeds]),
        "audio_score": np.array([part["audio_score"].mean() for part in seeds]),
    }
    row: dict[str, float] = {}
    for name, of_seeds in values.items():
        row[name] = float(of_seeds.mean())
        row[f"{name}_low"], row[f"{name}_high"] = share_interval(of_seeds)
    return row


def _over_utterances(group: pd.DataFrame, clusters: Mapping[str, str] | None) -> dict[str, float]:
    drawn = group["utterance"] if clusters is None else group["utterance"].map(dict(clusters))
    samples = bootstrap_confusions(group["emotion"], group["predicted"], drawn)
    row: dict[str, float] = {}
    for name, measure in (
        ("accuracy", classification.accuracies),
        ("uar", uars),
        ("macro_f1", macro_f1s),
    ):
        row[f"{name}_boot_low"], row[f"{name}_boot_high"] = percentile_interval(measure(samples))
    return row


def answers(runs: Sequence[Run], selection: str) -> pd.DataFrame:
    """Which answers are right, on the test utterances that all models answered.

    Returns:
        Index `fold`, `seed`, `utterance`; a bool column for each `model-embedding`, in the runs'
        order.

    Raises:
        ValueError: if two runs are of the same model, fold and seed.
    """
    table = pooled(runs, selection)
    right = table.assign(
        name=table["model"] + "-" + table["embedding"],
        right=(table["predicted"] == table["emotion"]).astype(float),
    )
    wide = right.pivot(index=["fold", "seed", "utterance"], columns="name", values="right")
    return wide[right["name"].unique()].dropna().astype(bool)


def accuracies(right: pd.DataFrame, by: str) -> pd.DataFrame:
    """Accuracy of each model by `seed` or by `fold`, from `answers`."""
    return right.groupby(level=by).mean()
