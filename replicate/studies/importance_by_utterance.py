"""Do attention scores follow each utterance's own evidence? By utterance, in the stand-in."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.special import rel_entr

from replicate.corpora import standin
from replicate.paper import EMOTIONS
from replicate.stats.intervals import (
    Estimate,
    mean_interval,
    percentile_interval,
    times_drawn,
)
from replicate.studies.importance import (
    ABLATIONS,
    ASTRAY,
    ATTENDING,
    FOLLOWS,
    FUSED,
    UNKNOWN,
)

WEAK_BY_UTTERANCE = 0.1  # rank correlations below are weak, with the truth of many utterances
LEAST_PROBABILITY = 1e-9  # those below count as this, where a logarithm is taken


def with_truth(answers: pd.DataFrame, size: str) -> pd.DataFrame:
    """Answers beside what their utterances tell.

    These are `importance.answers` of runs on one random split. A preset in which neither modality
    tells more than the other of any utterance is left out.

    The same columns and `dialogue`; `told`, pointwise information (bits) of the audio less that of
    the text; `gain`, the same of the information gained whatever the class.
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


def followed(rows: pd.DataFrame) -> pd.DataFrame:
    """Whether scores of single utterances follow the truth, from `with_truth`.

    A row a model: `model`; what `_over_runs` finds of Spearman's `rho` of the score with `told`, of
    the `untrained` score with it, of their `difference`, and of the score with `gain`; `verdict`.
    """
    groups = dict(iter(rows.groupby("model")))
    found = [_followed(groups[model]) for model in ATTENDING if model in groups]
    return pd.DataFrame(found)


def _followed(part: pd.DataFrame) -> dict[str, float | str]:
    score, told, times = _matrix(part, "audio_score"), _matrix(part, "told"), _times(part)
    rho = _rhos(score, told, times)
    before = _rhos(_matrix(part, "audio_score", "untrained"), told, times)
    by_gain = _rhos(score, _matrix(part, "gain"), times)
    rhos = {"rho": rho, "untrained": before, "difference": rho - before, "gain": by_gain}
    found = _over_runs(part, rhos, times)
    verdict = ASTRAY if found["rho_high"] < WEAK_BY_UTTERANCE else UNKNOWN
    if found["rho_low"] > 0 and found["difference_low"] > 0:
        verdict = FOLLOWS
    return {"model": part["model"].iloc[0], **found, "verdict": verdict}


def ablated(rows: pd.DataFrame) -> pd.DataFrame:
    """Whether what a fusion loses of single utterances follows what these tell: `with_truth`.

    Told the true class, a model loses bits of its probability. Not told, its answer moves by the
    divergence (bits) of the treated from the whole model's. Either is that without the audio less
    that without the text. A row a model: `model`, `presets`, and what `_over_runs` finds of the rho
    of a loss with `told`, by the keys of `ABLATIONS` and, not told, with `_blind` after them.
    """
    groups = dict(iter(rows.groupby("model")))
    return pd.DataFrame([_ablated(groups[model]) for model in FUSED if model in groups])


def _ablated(part: pd.DataFrame) -> dict[str, float | str]:
    told, times = _matrix(part, "told"), _times(part)
    rhos = {name: _rhos(bits, told, times) for name, bits in _lost(part).items()}
    model, presets = part["model"].iloc[0], part["preset"].nunique()
    return {"model": model, "presets": presets, **_over_runs(part, rhos, times)}


def _times(part: pd.DataFrame) -> np.ndarray:
    """How often each utterance counts: once, and in draws of whole dialogues [1 + draws, n]."""
    own = part[part["treatment"] == ""]
    answered = own.groupby("utterance")["dialogue"].agg(["size", "first"])
    shared = answered["size"] == own.groupby(["preset", "seed"]).ngroups  # the columns of `_matrix`
    return np.vstack([np.ones(shared.sum()), times_drawn(answered.loc[shared, "first"])])


def _rhos(first: np.ndarray, second: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Spearman's rho of each run, [runs, n] with [runs, n], by `times`, [k, n]: [k, runs]."""
    found = np.zeros((len(times), len(first)))
    for run, pair in enumerate(zip(first, second, strict=True)):
        a, b = (_ranks(values, times) for values in pair)
        size = np.sqrt((times * a**2).sum(1) * (times * b**2).sum(1))
        np.divide((times * a * b).sum(1), size, out=found[:, run], where=size != 0)
    return found


def _ranks(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Ranks, less their mean, of values [n] that occur so often [k, n]: [k, n]."""
    distinct, which = np.unique(values, return_inverse=True)
    each = times @ (which[:, None] == range(len(distinct)))
    ranks = each.cumsum(1) - (each - 1) / 2
    return np.asarray(ranks[:, which] - (times.sum(1, keepdims=True) + 1) / 2)


def _over_runs(
    part: pd.DataFrame, rhos: Mapping[str, np.ndarray], times: np.ndarray
) -> dict[str, float]:
    """Means over a model's runs: `utterances` (of each preset); by name the mean and its intervals.

    `_low`, `_high` draw whole dialogues; `_seeds_low`, `_seeds_high` are Student's t over seeds.
    """
    seeds = part.groupby(["preset", "seed"]).size().index.get_level_values("seed")
    row: dict[str, float] = {"utterances": times.shape[1]}
    for name, (own, *drawn) in rhos.items():
        ends = percentile_interval(np.mean(drawn, axis=1))
        row |= Estimate(float(own.mean()), *ends).named(name)
        row |= mean_interval(pd.Series(own).groupby(seeds).mean()).named(f"{name}_seeds")
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
