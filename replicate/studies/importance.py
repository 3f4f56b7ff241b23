"""Do attention scores measure importance? Measures of both, held against what is known to be true.

The stand-in's presets differ in how much text and audio tell about the class, and the generator
knows how much: in all, and for each utterance. So a score can be asked whether it follows, from
preset to preset here, from utterance to utterance in `studies.importance_by_utterance`.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from replicate.corpora import standin
from replicate.corpora.protocol import TEST_SHARE
from replicate.paper import EMOTIONS
from replicate.runs.experiments import GRIDS
from replicate.runs.selection import Selection, answers_under
from replicate.runs.selection import load as load_runs
from replicate.settings import FUSION_NAMES, RESULTS
from replicate.stats import hypothesis_tests
from replicate.stats.hypothesis_tests import LEVEL
from replicate.stats.intervals import RESAMPLES, Estimate, percentile_interval
from replicate.stats.power import POWER

#: Grid of the runs; its models with attention, and those whose modalities can be taken away.
GRID = "attention"
ATTENDING = [model for model, _ in GRIDS[GRID].rows if model.startswith("att")]
FUSED = [model for model, _ in GRIDS[GRID].rows if model in FUSION_NAMES]

#: Measures of `measured` that are held against the truth -> the models that have them.
MEASURES = {"score": ATTENDING, "untrained": ATTENDING, "zeroed": FUSED, "shuffled": FUSED}

LEAST_LOSS = 0.05  # shares of a smaller loss of accuracy, a few utterances, are unknown
LEAST_SLOPE = 0.1  # a score that moves by less, where the truth moves by 1, hardly moves
WEAK = 0.5  # rank correlations below are weak, with the truth of a few corpora

FOLLOWS, HARDLY = "follows the truth", "in the right order, but hardly moves"
ASTRAY, UNKNOWN = "does not follow", "cannot be told"

#: Treatments that take a modality away; with "audio-" and "text-" before.
ABLATIONS = {"zeroed": "zero", "shuffled": "shuffled"}
_TREATED = [f"{m}-{how}" for m in ("audio", "text") for how in ABLATIONS.values()]

#: Columns of `answers`.
COLUMNS = [
    "preset", "model", "seed", "fold", "treatment", "utterance", "emotion", "predicted", *EMOTIONS,
    "audio_score", "audio_spread",
]  # fmt: skip


# --- the truth ---


@cache
def truth() -> pd.DataFrame:
    """What the presets' channels tell of the class; by rising share of the audio.

    Index `preset`; `text`, `audio`, `both` (bits), and the audio's share of three sums: `share` of
    what each tells alone, `share_added` of what each adds to the other (NaN where neither does),
    `share_accuracy` of how far each alone lifts the best accuracy above the largest class.
    """
    rows = {}
    for preset in standin.PRESETS:
        known = standin.ceilings(preset)
        bits, lift = known["bits"], known["accuracy"] - known["accuracy"]["majority"]
        rows[preset] = {
            **bits[["text", "audio", "both"]],
            "share": share(bits["audio"], bits["text"]),
            "share_added": share(bits["both"] - bits["text"], bits["both"] - bits["audio"]),
            "share_accuracy": share(lift["audio"], lift["text"]),
        }
    return pd.DataFrame.from_dict(rows, orient="index").sort_values("share").rename_axis("preset")


def share(audio: float, text: float, least: float = 1e-9) -> float:
    """The audio's part of a sum; what is below 0 counts as 0; NaN if the sum is below `least`."""
    audio, text = max(audio, 0.0), max(text, 0.0)
    return audio / (audio + text) if audio + text >= least else np.nan


def corpora(size: str) -> dict[str, str]:
    """Preset -> name of the stand-in of that size and preset, by rising share of the audio."""
    ending = {preset: f"-{preset}" for preset in truth().index} | {"default": ""}
    return {preset: f"standin-{size}{end}" for preset, end in ending.items()}


# --- what trained models say ---


def load(size: str, *profiles: str, root: Path = RESULTS) -> dict[str, Selection]:
    """Preset -> the grid's runs on it, if any, under the first of some protocols that has any."""
    chosen = [model for model, _ in GRIDS[GRID].rows], ("trainable", "none"), "one"
    for profile in profiles:
        stored = {p: load_runs(name, profile, root=root) for p, name in corpora(size).items()}
        runs = {preset: replace(some.of(*chosen), grid=GRID) for preset, some in stored.items()}
        if any(runs.values()):
            break
    return runs


def answers(runs: Mapping[str, Selection]) -> pd.DataFrame:
    """Every answer of the last epochs' models, to the test part as it is and treated.

    From runs by preset, or another name, `COLUMNS`; `treatment` is empty where nothing was done,
    else `untrained`, `half` (both modalities weigh 1/2) or one of `ABLATIONS`, as `audio-zero`.
    """
    parts = [pd.DataFrame(columns=COLUMNS)] if not any(runs.values()) else []
    for preset, some in runs.items():
        if some:
            treated = answers_under(some.runs, ["untrained", "half", *_TREATED])
            both = pd.concat([some.answers().assign(treatment=""), treated])
            parts.append(both.assign(preset=preset)[COLUMNS])
    return pd.concat(parts, ignore_index=True)


def measured(rows: pd.DataFrame) -> pd.DataFrame:
    """What the runs of one model and seed say, from `answers`; folds held out in turn are pooled.

    `preset`, `model`, `seed`; `utterances`, `accuracy`, `majority` (share of the largest class);
    NaN where the model has no attention: `score` (mean of the audio), `score_sd` (over utterances),
    `spread` (over dimensions), `untrained` (mean score before training), `half` (accuracy gained if
    both modalities weigh 1/2) and `flips` (predictions that this changes); NaN where it has one
    modality: the accuracy lost if one is `zeroed` or `shuffled`, as `audio_zeroed` and so on, and
    under `zeroed` and `shuffled` the audio's share of both.
    """
    by = ["preset", "model", "seed"]
    groups = rows.groupby(by, sort=False)
    return pd.DataFrame([part.iloc[0][by].to_dict() | _measures(part) for _, part in groups])


def _measures(part: pd.DataFrame) -> dict[str, float]:
    own = part[part["treatment"] == ""].set_index("utterance")
    treated = part[part["treatment"] != ""]
    others = treated.pivot(index="utterance", columns="treatment", values="predicted")
    others = others.loc[own.index]
    guessed, true = own["predicted"], own["emotion"]
    accuracy, accuracies = (guessed == true).mean(), others.eq(true, axis="index").mean()
    found = {
        "utterances": len(own),
        "accuracy": accuracy,
        "majority": true.value_counts(normalize=True).max(),
        "score": own["audio_score"].mean(),
        "score_sd": own["audio_score"].std(),
        "spread": own["audio_spread"].mean(),
        "untrained": treated.loc[treated["treatment"] == "untrained", "audio_score"].mean(),
    }
    if "half" in others:
        found["half"] = accuracies["half"] - accuracy
        found["flips"] = (others["half"] != guessed).mean()
    for name, treatment in ABLATIONS.items():
        if f"audio-{treatment}" in others:
            audio, text = (accuracy - accuracies[f"{m}-{treatment}"] for m in ("audio", "text"))
            found |= {f"audio_{name}": audio, f"text_{name}": text}
            found[name] = share(audio, text, LEAST_LOSS)
    return found


def reached(table: pd.DataFrame) -> pd.Series:
    """The audio's share of what networks of one modality learned, from `measured`.

    As `share_accuracy` of `truth`, with the mean accuracies of the models `audio` and `text`: index
    `preset`; NaN where neither beats the largest class.
    """
    lift = table.assign(lift=table["accuracy"] - table["majority"])
    means = lift.pivot_table("lift", "preset", "model").reindex(columns=["audio", "text"]).dropna()
    shares = [share(audio, text, LEAST_LOSS) for audio, text in means.to_numpy()]
    return pd.Series(shares, means.index, dtype=float)


# --- does a measure follow the truth from corpus to corpus? ---


def agreement(values: pd.Series, known: pd.Series) -> dict[str, float | str]:
    """How a measure, one value a seed, goes with the known truth over a few corpora.

    Both have the index preset, and NaN is left out. The corpora are chosen, not drawn, so the
    intervals draw seeds only: they tell which means other trainings on these corpora give.

    Returns:
        `n` (corpora); of the means over seeds Spearman's `rho` (0 for a measure that is constant)
        with `rho_low`, `rho_high`, Kendall's `tau`, `p_value` (of rho: exact, by all orders of the
        corpora, two-sided), and `slope`, by least squares, with `slope_low`, `slope_high`: how far
        the measure moves where the truth moves by 1. All NaN where fewer than three presets have
        values, or their truth is the same. The `verdict` is by the constants of this module, fixed
        before models were trained on the presets.
    """
    values, known = values.dropna(), known.dropna()
    seeds = {name: values[values.index == name].to_numpy() for name in known.index}
    seeds = {name: part for name, part in seeds.items() if len(part)}
    x = known[list(seeds)].to_numpy()
    if len(x) < 3 or np.ptp(x) == 0:
        return {"n": len(x), **dict.fromkeys(_AGREEMENT, np.nan), "verdict": UNKNOWN}
    y = np.array([part.mean() for part in seeds.values()])
    rng = np.random.default_rng(0)
    draws = [rng.choice(part, (RESAMPLES, len(part))).mean(axis=1) for part in seeds.values()]
    drawn = np.stack(draws, axis=1)
    rho, ends = float(rank_correlation(y, x)), percentile_interval(rank_correlation(drawn, x))
    slope_ends, p_value = percentile_interval(_slope(drawn, x)), _all_orders(y, x)[0]
    verdict = ASTRAY if ends.high < WEAK else UNKNOWN
    if rho > 0 and p_value < LEVEL:
        verdict = HARDLY if slope_ends.high < LEAST_SLOPE else FOLLOWS
    return {
        "n": len(x),
        **Estimate(rho, *ends).named("rho"),
        "tau": float(np.nan_to_num(stats.kendalltau(y, x).statistic)),
        "p_value": p_value,
        **Estimate(float(_slope(y, x)), *slope_ends).named("slope"),
        "verdict": verdict,
    }


#: What `agreement` says in numbers.
_AGREEMENT = ("rho", "rho_low", "rho_high", "tau", "p_value", "slope", "slope_low", "slope_high")


def orders(table: pd.DataFrame, known: pd.Series | None = None) -> pd.DataFrame:
    """How `MEASURES` of each model, from `measured`, go with the truth from preset to preset.

    `known` is the `share` of `truth` by default. One row a measure and model: `measure`, `model`,
    what `agreement` finds, `p_holm` (for the models).
    """
    known = truth()["share"] if known is None else known
    rows = []
    for measure, models in MEASURES.items():
        for model in models:
            values = table[table["model"] == model].set_index("preset")[measure]
            if len(values):
                rows.append({"measure": measure, "model": model, **agreement(values, known)})
    frame = pd.DataFrame(rows)
    return frame.assign(p_holm=frame.groupby("measure")["p_value"].transform(hypothesis_tests.holm))


def rank_correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Spearman's rho of rows, [..., n] with [..., n] -> [...]; 0 where a row is constant.

    >>> rank_correlation(np.array([0.1, 0.4, 0.9]), np.array([1.0, 2.0, 3.0])).item()
    1.0
    """
    ranks = [stats.rankdata(values, axis=-1) for values in (first, second)]
    a, b = (r - r.mean(axis=-1, keepdims=True) for r in ranks)
    size = np.sqrt((a**2).sum(-1) * (b**2).sum(-1))
    return np.asarray(np.divide((a * b).sum(-1), size, out=np.zeros(size.shape), where=size > 0))


def _slope(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Of the least-squares line through each row, [..., n] on [n] -> [...]."""
    centred = x - x.mean()
    return np.asarray(y @ centred / (centred**2).sum())


def _all_orders(y: np.ndarray, x: np.ndarray) -> tuple[float, np.ndarray]:
    """Exact p value of rho, and rho under every order of `y`."""

    def rho(values: np.ndarray, axis: int) -> np.ndarray:
        return rank_correlation(np.moveaxis(values, axis, -1), x)

    found = stats.permutation_test((y,), rho, permutation_type="pairings", vectorized=True)
    return float(found.pvalue), found.null_distribution


def needed(n: int) -> float:
    """The least rank correlation of `n` corpora that is significant; NaN if none is."""
    order = np.arange(n, dtype=float)
    null = np.sort(_all_orders(order, order)[1])
    as_large = 1 - np.searchsorted(null, null - 1e-9) / len(null)
    significant = null[2 * as_large < LEVEL]
    return float(significant[0]) if len(significant) else np.nan


def power(noise: float, known: pd.Series, trials: int = 10_000) -> float:
    """The chance that a measure which is the truth and noise is found to be in order.

    The standard deviation of a corpus's mean, `noise`, is a share of the measure's own range.
    """
    x = known.to_numpy()
    errors = np.random.default_rng(0).normal(0, noise * np.ptp(x), (trials, len(x)))
    return float((rank_correlation(x + errors, x) >= needed(len(x)) - 1e-9).mean())


def detectable(n: int) -> float:
    """The true rank correlation that a test over `n` utterances finds with probability `POWER`.

    Two-sided, by Fisher's transformation; its variance is 1.06 / (n - 3) (Fieller et al. 1957).
    """
    sizes = stats.norm.ppf([1 - LEVEL / 2, POWER]).sum()
    return float(np.tanh(sizes * np.sqrt(1.06 / (n - 3))))


def tested(size: str) -> int:
    """Utterances of the test part of a stand-in."""
    return sum(int(np.ceil(TEST_SHARE * count)) for count in standin.SIZES[size].counts)
