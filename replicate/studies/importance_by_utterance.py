"""Do attention scores follow each utterance's own evidence? By utterance, in the stand-in."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd
from scipy.special import rel_entr

from replicate.corpora import standin
from replicate.paper import EMOTIONS
from replicate.stats.intervals import interval_over_clusters, mean_interval
from replicate.studies.importance import (
    ABLATIONS,
    ASTRAY,
    ATTENDING,
    FOLLOWS,
    FUSED,
    UNKNOWN,
    rank_correlation,
)

#: ... and of many utterances.
WEAK_BY_UTTERANCE = 0.1


#: Probabilities below count as this, where a logarithm is taken.
LEAST_PROBABILITY = 1e-9

#: Columns of `ablated` with a rank correlation; `_blind` ones do not know the class.
LOSSES = [f"{name}{suffix}" for name in ABLATIONS for suffix in ("", "_blind")]


def with_truth(answers: pd.DataFrame, size: str) -> pd.DataFrame:
    """Answers beside what their utterances tell.

    A preset in which neither modality tells more than the other of any utterance is left out.

    Args:
        answers: from `importance.answers`, of runs on one random split.
        size: of the stand-in.

    Returns:
        The same columns and `dialogue`; `told`, pointwise information (bits) of the audio less that
        of the text; `gain`, the same of the information gained whatever the class.
    """
    parts = [
        part.join(leads(size, str(preset)), on="utterance")
        for preset, part in answers.groupby("preset", sort=False)
        if leads(size, str(preset))["told"].nunique() > 1
    ]
    columns = [*answers, "dialogue", "told", "gain"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


@cache
def leads(size: str, preset: str) -> pd.DataFrame:
    """What the audio of each utterance tells more than its text: `dialogue`, `told`, `gain`."""
    known = standin.evidence(size, preset)
    more = {
        "told": known["audio"] - known["text"],
        "gain": known["audio_gain"] - known["text_gain"],
    }
    # rounded: ranks know ties, which the last digits of sums would break
    return known[["dialogue"]].assign(**more).round(9)


def by_run(rows: pd.DataFrame) -> pd.DataFrame:
    """Spearman's rho of the score with `told` in each run with attention.

    Args:
        rows: from `with_truth`.

    Returns:
        `model`, `preset`, `seed`, `rho`; of the utterances that all runs of the model answered.
    """
    found = [
        _runs(part).assign(
            model=model, rho=rank_correlation(_matrix(part, "audio_score"), _matrix(part, "told"))
        )
        for model, part in rows.groupby("model", sort=False)
        if model in ATTENDING
    ]
    columns = ["model", "preset", "seed", "rho"]
    return pd.concat(found, ignore_index=True)[columns] if found else pd.DataFrame(columns=columns)


def followed(rows: pd.DataFrame) -> pd.DataFrame:
    """Whether scores of single utterances follow the truth, the mean over a model's runs.

    Args:
        rows: from `with_truth`.

    Returns:
        One row a model: `model`, `utterances`; Spearman's rho of the score with `told`, as `rho`,
        with `rho_low` and `rho_high` over utterances (bootstrap of whole dialogues) and
        `seeds_low`, `seeds_high` (Student's t over seeds); of the untrained score, as `untrained`;
        their `difference` with `_low` and `_high` over utterances; of the score with `gain`, as
        `gain`; `verdict`.
    """
    groups = dict(iter(rows.groupby("model")))
    return pd.DataFrame(
        [{"model": model, **_followed(groups[model])} for model in ATTENDING if model in groups]
    )


def _followed(part: pd.DataFrame) -> dict[str, float | str]:
    score, untrained = _matrix(part, "audio_score"), _matrix(part, "audio_score", "untrained")
    told, gain = _matrix(part, "told"), _matrix(part, "gain")
    first = np.stack([score, untrained, score])
    second = np.stack([told, told, gain])  # [3, runs, utterances]

    def statistic(at: np.ndarray) -> dict[str, float]:
        rho, before, by_gain = rank_correlation(first[..., at], second[..., at]).mean(axis=-1)
        return {"rho": rho, "untrained": before, "difference": rho - before, "gain": by_gain}

    whole, low, high = _over_dialogues(statistic, _dialogues(part))
    seeds = mean_interval(by_run(part).groupby("seed")["rho"].mean())
    verdict = UNKNOWN
    if low["rho"] > 0 and low["difference"] > 0:
        verdict = FOLLOWS
    elif high["rho"] < WEAK_BY_UTTERANCE:
        verdict = ASTRAY
    return {
        "utterances": score.shape[1], **whole,
        "rho_low": low["rho"], "rho_high": high["rho"],
        "seeds_low": seeds.low, "seeds_high": seeds.high,
        "difference_low": low["difference"], "difference_high": high["difference"],
        "verdict": verdict,
    }  # fmt: skip


def ablated(rows: pd.DataFrame) -> pd.DataFrame:
    """Whether what a fusion loses of single utterances follows what these tell.

    Told the true class, a model loses bits of its probability. Not told, its answer moves by the
    divergence (bits) of the treated from the whole model's. Either is that without the audio less
    that without the text.

    Args:
        rows: from `with_truth`.

    Returns:
        A row a model: `model`, `presets`, `utterances` (of each preset); for each of `LOSSES`
        Spearman's rho with `told`, the mean over runs, with `_low` and `_high` over utterances
        (bootstrap of whole dialogues) and `_seeds_low`, `_seeds_high` (Student's t over seeds).
    """
    groups = dict(iter(rows.groupby("model")))
    return pd.DataFrame(
        [{"model": model, **_ablated(groups[model])} for model in FUSED if model in groups]
    )


def _ablated(part: pd.DataFrame) -> dict[str, float | int]:
    told, lost, runs = _matrix(part, "told"), _lost(part), _runs(part)

    def statistic(at: np.ndarray) -> dict[str, float]:
        return {
            name: rank_correlation(bits[:, at], told[:, at]).mean() for name, bits in lost.items()
        }

    whole, low, high = _over_dialogues(statistic, _dialogues(part))
    found: dict[str, float | int] = {
        "presets": runs["preset"].nunique(), "utterances": told.shape[1], **whole
    }  # fmt: skip
    for name, bits in lost.items():
        by_seed = pd.Series(rank_correlation(bits, told)).groupby(runs["seed"]).mean()
        seeds = mean_interval(by_seed)
        found |= {f"{name}_low": low[name], f"{name}_high": high[name]}
        found |= {f"{name}_seeds_low": seeds.low, f"{name}_seeds_high": seeds.high}
    return found


def _lost(part: pd.DataFrame) -> dict[str, np.ndarray]:
    """Bits without the audio less bits without the text, by `LOSSES`: [runs, utterances] each."""
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
    matrix: np.ndarray = wide.dropna(axis="columns").to_numpy(dtype=float)
    return matrix


def _runs(part: pd.DataFrame) -> pd.DataFrame:
    """`preset` and `seed` of the rows of `_matrix`."""
    runs = part[["preset", "seed"]].drop_duplicates()
    return runs.sort_values(["preset", "seed"], ignore_index=True)


def _dialogues(part: pd.DataFrame) -> np.ndarray:
    """Of the columns of `_matrix`."""
    own = part[part["treatment"] == ""]
    runs = own.groupby("utterance").size()
    shared = runs.index[runs == len(_runs(part))]
    dialogues: np.ndarray = (
        own.drop_duplicates("utterance").set_index("utterance")["dialogue"][shared].to_numpy()
    )
    return dialogues


def _over_dialogues(
    statistic: Callable[[np.ndarray], dict[str, float]], dialogues: np.ndarray
) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Statistics of all utterances, and their intervals, which draw whole dialogues.

    Args:
        statistic: positions of utterances -> name -> value.
        dialogues: of each utterance.
    """
    table = pd.DataFrame({"utterance": range(len(dialogues)), "dialogue": dialogues})

    def row(part: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame([statistic(part["utterance"].to_numpy())])

    low, high = interval_over_clusters(table, "dialogue", row)
    return row(table).iloc[0], low.iloc[0], high.iloc[0]
