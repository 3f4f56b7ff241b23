"""Scores of each model and of each run, from the table of all answers.

`answers` are a row for each run and test utterance: `run`, `corpus`, `profile`,
`model`, `embedding`, `choice`, `folds` (kind), `fold`, `seed`, `utterance`, `dialogue`, `emotion`,
`predicted`, the probability of each class, `audio_score` (NaN without attention).
"""

import numpy as np
import pandas as pd

from replicate.stats.classification import (
    accuracies,
    bootstrap_confusions,
    macro_f1s,
    tally,
    uars,
)
from replicate.stats.intervals import Estimate, percentile_interval, share_interval

#: What runs must share to be averaged: all but the seed and the group held out.
CONFIGURATION = ["corpus", "profile", "model", "embedding", "choice", "folds"]

#: Of `summarise`: accuracy with its interval over utterances.
ACCURACY = ["accuracy", "accuracy_boot_low", "accuracy_boot_high"]

#: What is the same in all rows of a run.
RUN = ["run", *CONFIGURATION, "fold", "seed"]


def by_run(answers: pd.DataFrame) -> pd.DataFrame:
    """One row a run: `RUN`, `n_utterances`, `accuracy`, and of its audio scores mean and spread.

    `audio_score` and `audio_score_sd` are over the test utterances; NaN without attention.
    """
    right = answers.assign(right=answers["predicted"] == answers["emotion"])
    runs = right.groupby("run")
    found = runs[RUN[1:]].first().reset_index() if len(answers) else answers[RUN]
    return found.assign(
        n_utterances=runs.size().to_numpy(),
        accuracy=runs["right"].mean().to_numpy(),
        audio_score=runs["audio_score"].mean().to_numpy(dtype=float),
        audio_score_sd=runs["audio_score"].std().to_numpy(dtype=float),
    )


def by_fold(answers: pd.DataFrame) -> pd.Series:
    """Accuracy on each fold, mean over its runs."""
    return by_run(answers).groupby("fold")["accuracy"].mean()


def means_over_seeds(answers: pd.DataFrame) -> pd.DataFrame:
    """One row for each corpus, protocol, model, embedding, choice and kind of folds, in order.

    Returns:
        `CONFIGURATION`, `name` where `answers` has it, `n_seeds`, `n_utterances` (different ones
        tested); `accuracy`, `uar`, `macro_f1` and `audio_score` (means over seeds; where groups are
        held out in turn, a seed's value is that of its folds pooled), each with `_low` and `_high`
        over seeds (`share_interval`); `audio_score_sd`, the standard deviation over a run's
        utterances, mean over runs.
    """
    identity = [*CONFIGURATION, *(["name"] if "name" in answers else [])]
    rows = [
        {
            **group.iloc[0][identity].to_dict(),
            "n_seeds": group["seed"].nunique(),
            "n_utterances": group["utterance"].nunique(),
            **_over_seeds(group),
            "audio_score_sd": group.groupby("run")["audio_score"].std().mean(),
        }
        for _, group in answers.groupby(CONFIGURATION, sort=False)
    ]
    return pd.DataFrame(rows, columns=None if rows else [*identity, *_SCORES])


def summarise(answers: pd.DataFrame, drawn: str = "utterance") -> pd.DataFrame:
    """`means_over_seeds`, and for the scores of counts intervals over utterances.

    These are `accuracy`, `uar` and `macro_f1` with `_boot_low` and `_boot_high`: a percentile
    bootstrap, all seeds of an utterance drawn together. It draws the values of the column `drawn`
    as a whole, such as `dialogue`.
    """
    groups = answers.groupby(CONFIGURATION, sort=False)
    rows = [_over_utterances(group, drawn) for _, group in groups]
    return means_over_seeds(answers).join(
        pd.DataFrame(rows, columns=None if rows else _BOOTSTRAPPED)
    )


#: Measures of counts, and all columns that `means_over_seeds` and the bootstrap compute.
_OF_COUNTS = {"accuracy": accuracies, "uar": uars, "macro_f1": macro_f1s}
_ENDS = ("", "_low", "_high")
_SCORES = [
    "n_seeds", "n_utterances", "audio_score_sd",
    *(f"{name}{end}" for name in (*_OF_COUNTS, "audio_score") for end in _ENDS),
]  # fmt: skip
_BOOTSTRAPPED = [f"{name}_boot{end}" for name in _OF_COUNTS for end in _ENDS[1:]]


def bootstrapped(scores: pd.DataFrame) -> pd.DataFrame:
    """`summarise` with the intervals over utterances in place of those over seeds."""
    boot = [name for name in map(str, scores) if "_boot_" in name]
    names = {name: name.replace("_boot", "") for name in boot}
    return scores.drop(columns=list(names.values())).rename(columns=names)


def _over_seeds(group: pd.DataFrame) -> dict[str, float]:
    seeds = [part for _, part in group.groupby("seed")]
    counts = np.stack([tally(part["emotion"], part["predicted"]) for part in seeds])
    values = {name: of_counts(counts) for name, of_counts in _OF_COUNTS.items()}
    values["audio_score"] = np.array([part["audio_score"].mean() for part in seeds])
    row: dict[str, float] = {}
    for name, of_seeds in values.items():
        row |= Estimate(float(of_seeds.mean()), *share_interval(of_seeds)).named(name)
    return row


def _over_utterances(group: pd.DataFrame, drawn: str) -> dict[str, float]:
    samples = bootstrap_confusions(group["emotion"], group["predicted"], group[drawn])
    row: dict[str, float] = {}
    for name, of_counts in _OF_COUNTS.items():
        row |= percentile_interval(of_counts(samples)).named(f"{name}_boot")
    return row


def run_more_than_once(table: pd.DataFrame, runs: str) -> pd.DataFrame:
    """The rows whose count of `runs` is above 1, for one run may be lucky; all where none is.

    >>> table = pd.DataFrame({"accuracy": [0.7, 0.9], "n": [10, 1]})
    >>> run_more_than_once(table, "n")["accuracy"].tolist()
    [0.7]
    """
    several = table[runs] > 1
    return table[several] if several.any() else table


def right_answers(answers: pd.DataFrame) -> pd.DataFrame:
    """Which answers are right, on the test utterances that all models answered.

    Index `fold`, `seed`, `utterance`; a bool column a `name`. `ValueError` if two runs share these.

    >>> answers = pd.DataFrame({"name": [*"AAB"], "fold": "all", "seed": 0, "utterance": [*"uvu"],
    ...                         "emotion": "anger", "predicted": ["anger", "anger", "sadness"]})
    >>> print(right_answers(answers).reset_index(drop=True))
    name     A      B
    0     True  False
    """
    right = answers.assign(right=(answers["predicted"] == answers["emotion"]).astype(float))
    wide = right.pivot(index=["fold", "seed", "utterance"], columns="name", values="right")
    return wide[right["name"].unique()].dropna().astype(bool)
