"""Do attention scores follow each utterance's own evidence? By utterance, in the stand-in."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import pandas as pd
from scipy.special import rel_entr

from replicate.corpora import standin
from replicate.paper import EMOTIONS
from replicate.stats.intervals import Estimate, interval_over_clusters, mean_interval
from replicate.studies.importance import (
    ABLATIONS,
    ASTRAY,
    ATTENDING,
    FOLLOWS,
    FUSED,
    UNKNOWN,
    rank_correlation,
)

WEAK_BY_UTTERANCE = 0.1  # rank correlations below are weak, with the truth of many utterances
LEAST_PROBABILITY = 1e-9  # those below count as this, where a logarithm is taken

#: Rank correlations of each run, by name, from positions of utterances.
Statistic: TypeAlias = Callable[[np.ndarray], dict[str, np.ndarray]]


def with_truth(answers: pd.DataFrame, size: str) -> pd.DataFrame:
    """Answers beside what their utterances tell.

    These are `importance.answers` of runs on one random split. A preset in which neither modality
    tells more than the other of any utterance is left out.

    Returns:
        The same columns and `dialogue`; `told`, pointwise information (bits) of the audio less that
        of the text; `gain`, the same of the information gained whatever the class.
    """
    parts = []
    for preset, part in answers.groupby("preset", sort=False):
        known = standin.evidence(size, str(preset))
        told, gain = known["audio"] - known["text"], known["audio_gain"] - known["text_gain"]
        # rounded: ranks know ties, which the last digits of sums would break
        leads = known[["dialogue"]].assign(told=told.round(9), gain=gain.round(9))
        if leads["told"].nunique() > 1:
            parts.append(part.join(leads, on="utterance"))
    columns = [*answers, "dialogue", "told", "gain"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def by_run(rows: pd.DataFrame) -> pd.DataFrame:
    """Spearman's `rho` of the score with `told` in each run with attention, from `with_truth`."""
    own = rows[(rows["treatment"] == "") & rows["model"].isin(ATTENDING)]
    found = [
        (*run, rank_correlation(part["audio_score"].to_numpy(), part["told"].to_numpy()).item())
        for run, part in own.groupby(["model", "preset", "seed"], sort=False)
    ]
    return pd.DataFrame(found, columns=["model", "preset", "seed", "rho"])


def followed(rows: pd.DataFrame) -> pd.DataFrame:
    """Whether scores of single utterances follow the truth, from `with_truth`.

    Returns:
        One row a model: `model`; what `_over_runs` finds of Spearman's `rho` of the score with
        `told`, of the `untrained` score with it, of their `difference`, and of the score with
        `gain`; `verdict`.
    """
    groups = dict(iter(rows.groupby("model")))
    found = [_followed(groups[model]) for model in ATTENDING if model in groups]
    return pd.DataFrame(found)


def _followed(part: pd.DataFrame) -> dict[str, float | str]:
    score, untrained = _matrix(part, "audio_score"), _matrix(part, "audio_score", "untrained")
    told, gain = _matrix(part, "told"), _matrix(part, "gain")
    first, second = np.stack([score, untrained, score]), np.stack([told, told, gain])

    def rhos(at: np.ndarray) -> dict[str, np.ndarray]:
        rho, before, by_gain = rank_correlation(first[..., at], second[..., at])
        return {"rho": rho, "untrained": before, "difference": rho - before, "gain": by_gain}

    found = _over_runs(part, rhos)
    verdict = ASTRAY if found["rho_high"] < WEAK_BY_UTTERANCE else UNKNOWN
    if found["rho_low"] > 0 and found["difference_low"] > 0:
        verdict = FOLLOWS
    return {"model": part["model"].iloc[0], **found, "verdict": verdict}


def ablated(rows: pd.DataFrame) -> pd.DataFrame:
    """Whether what a fusion loses of single utterances follows what these tell: `with_truth`.

    Told the true class, a model loses bits of its probability. Not told, its answer moves by the
    divergence (bits) of the treated from the whole model's. Either is that without the audio less
    that without the text.

    Returns:
        A row a model: `model`, `presets`, and what `_over_runs` finds of Spearman's rho of a loss
        with `told`, by the keys of `ABLATIONS` and, not told the class, with `_blind` after them.
    """
    groups = dict(iter(rows.groupby("model")))
    return pd.DataFrame([_ablated(groups[model]) for model in FUSED if model in groups])


def _ablated(part: pd.DataFrame) -> dict[str, float | str]:
    told, lost = _matrix(part, "told"), _lost(part)
    bits = np.stack(list(lost.values()))  # [losses, runs, utterances]

    def rhos(at: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(lost, rank_correlation(bits[..., at], told[:, at]), strict=True))

    model, presets = part["model"].iloc[0], part["preset"].nunique()
    return {"model": model, "presets": presets, **_over_runs(part, rhos)}


def _over_runs(part: pd.DataFrame, rhos: Statistic) -> dict[str, float]:
    """Means over a model's runs: `utterances` (of each preset); by name the mean and its intervals.

    `_low`, `_high` draw whole dialogues; `_seeds_low`, `_seeds_high` are Student's t over seeds.
    """
    own = part[part["treatment"] == ""]
    runs = own.groupby(["preset", "seed"], as_index=False).size()  # the rows of `_matrix`
    answered = own.groupby("utterance").agg(runs=("model", "size"), dialogue=("dialogue", "first"))
    shared = answered[answered["runs"] == len(runs)]  # the columns of `_matrix`
    table = shared.assign(position=range(len(shared)))

    def means(drawn: pd.DataFrame) -> pd.DataFrame:
        found = rhos(drawn["position"].to_numpy())
        return pd.DataFrame({name: [rho.mean()] for name, rho in found.items()})

    low, high = interval_over_clusters(table, "dialogue", means)
    row: dict[str, float] = {"utterances": len(table)}
    for name, rho in rhos(table["position"].to_numpy()).items():
        row |= Estimate(float(rho.mean()), low[name].item(), high[name].item()).named(name)
        row |= mean_interval(pd.Series(rho).groupby(runs["seed"]).mean()).named(f"{name}_seeds")
    return row


def _lost(part: pd.DataFrame) -> dict[str, np.ndarray]:
    """Bits without the audio less bits without the text, by name: [runs, utterances] each."""
    codes = part.assign(true=part["emotion"].map(EMOTIONS.index))
    true = _matrix(codes, "true").astype(int)[..., None]
    whole, found = _probabilities(part, ""), {}
    for name, treatment in ABLATIONS.items():
        audio, text = (_probabilities(part, f"{m}-{treatment}") for m in ("audio", "text"))
        of_true = [np.log2(np.take_along_axis(p, true, -1)[..., 0]) for p in (audio, text)]
        moved = [rel_entr(whole, p).sum(-1) for p in (audio, text)]
        found[name] = of_true[1] - of_true[0]
        found[f"{name}_blind"] = (moved[0] - moved[1]) / np.log(2)
    return found


def _probabilities(part: pd.DataFrame, treatment: str) -> np.ndarray:
    """Of the classes, above 0 so that they have logarithms: [runs, utterances, 4]."""
    probabilities = np.stack([_matrix(part, name, treatment) for name in EMOTIONS], axis=-1)
    return probabilities.clip(LEAST_PROBABILITY)


def _matrix(part: pd.DataFrame, column: str, treatment: str = "") -> np.ndarray:
    """A column of one model's answers by run and utterance: float64 [runs, utterances].

    Utterances that not all runs answered are left out.
    """
    chosen = part[part["treatment"] == treatment]
    wide = chosen.pivot(index=["preset", "seed"], columns="utterance", values=column)
    return np.asarray(wide.dropna(axis="columns"), dtype=float)
