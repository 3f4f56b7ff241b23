"""Do attention scores measure importance? Measures of both, held against what is known to be true.

The stand-in's presets differ in how much text and audio tell about the class, and the generator
knows how much: in all, and for each utterance. So a score can be asked whether it follows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import rel_entr

from replicate import metrics
from replicate.comparison import LEVEL, POWER
from replicate.corpora import standin
from replicate.metrics import Interval
from replicate.model import FUSIONS
from replicate.protocol import EMOTIONS, TEST_SHARE
from replicate.runs import Run

#: The epoch whose model the treatments ask.
SELECTION = "last-epoch"

#: Shares of a loss are unknown where the whole loss of accuracy is smaller: a few utterances.
LEAST_LOSS = 0.05

#: A score that moves by less, where the truth moves by 1, hardly moves.
LEAST_SLOPE = 0.1

#: Rank correlations below are weak: with the truth of a few corpora, and of many utterances.
WEAK, WEAK_BY_UTTERANCE = 0.5, 0.1

FOLLOWS, HARDLY = "follows the truth", "in the right order, but hardly moves"
ASTRAY, UNKNOWN = "does not follow", "cannot be told"

#: Probabilities below count as this, where a logarithm is taken.
LEAST_PROBABILITY = 1e-9

#: Treatments (`replicate.treatments`) that take a modality away; with "audio-" and "text-" before.
ABLATIONS = {"zeroed": "zero", "shuffled": "shuffled"}
_ABLATED = [f"{m}-{treatment}" for m in ("audio", "text") for treatment in ABLATIONS.values()]


# --- the truth ---


@cache
def truth() -> pd.DataFrame:
    """What the presets' channels tell of the class; by rising share of the audio.

    Returns:
        Index `preset`; `text`, `audio`, `both` (bits), and the audio's share of three sums: `share`
        of what each tells alone, `share_added` of what each adds to the other (NaN where neither
        adds anything), `share_accuracy` of how far each alone lifts the best possible accuracy
        above the largest class.
    """
    rows = {}
    for preset in standin.PRESETS:
        known = standin.describe(preset)
        text, audio, both = known.text.bits, known.audio.bits, known.both.bits
        lifts = [part.accuracy - known.majority.accuracy for part in (known.audio, known.text)]
        rows[preset] = {
            "text": text,
            "audio": audio,
            "both": both,
            "share": share(audio, text),
            "share_added": share(both - text, both - audio),
            "share_accuracy": share(*lifts),
        }
    return pd.DataFrame.from_dict(rows, orient="index").sort_values("share").rename_axis("preset")


def share(audio: float, text: float, least: float = 1e-9) -> float:
    """The audio's part of a sum; what is below 0 counts as 0; NaN if the sum is below `least`."""
    audio, text = max(audio, 0.0), max(text, 0.0)
    return audio / (audio + text) if audio + text >= least else np.nan


def corpora(size: str) -> dict[str, str]:
    """Preset -> name of the stand-in of that size and preset, by rising share of the audio."""
    named = {preset: f"standin-{size}-{preset}" for preset in truth().index}
    return named | {"default": f"standin-{size}"}


# --- what trained models say ---


def measures(runs: Sequence[Run]) -> dict[str, float]:
    """What runs of one model and seed say, their test utterances pooled.

    Returns:
        `utterances`, `accuracy`, `majority` (share of the largest class); NaN where the model has
        no attention: `score` (mean of the audio), `score_sd` (over utterances), `spread` (over
        dimensions), `untrained` (mean score before training), `half` (accuracy gained if both
        modalities weigh 1/2) and `flips` (predictions that this changes); NaN where it has one
        modality: the accuracy lost if one is `zeroed` or `shuffled`, as `audio_zeroed` and so on,
        and under `zeroed` and `shuffled` the audio's share of both losses.
    """
    own = pd.concat([run.selected(SELECTION) for run in runs]).set_index("utterance")
    guessed, true = metrics.predicted(own), own["emotion"]
    treated = pd.concat([run.treated for run in runs])
    treated = treated[treated["treatment"].isin(["untrained", "half", *_ABLATED])]
    others = treated.assign(guessed=metrics.predicted(treated)).pivot(
        index="utterance", columns="treatment", values="guessed"
    )
    others = others.loc[own.index]
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


def measured(runs: Mapping[str, Sequence[Run]]) -> pd.DataFrame:
    """`measures` of every model and seed; folds held out in turn are pooled.

    Args:
        runs: preset, or another name of a corpus -> its runs.

    Returns:
        `preset`, `model`, `seed` and the columns of `measures`.
    """
    groups: dict[tuple[str, str, int], list[Run]] = {}
    for preset, some in runs.items():
        for run in some:
            key = preset, run.experiment.model, run.experiment.seed
            groups.setdefault(key, []).append(run)
    rows = [
        {"preset": preset, "model": model, "seed": seed, **measures(group)}
        for (preset, model, seed), group in groups.items()
    ]
    return pd.DataFrame(rows)


def reached(table: pd.DataFrame) -> pd.Series:
    """The audio's share of what networks of one modality learned, from `measured`.

    As `share_accuracy` of `truth`, with the mean accuracies of the models `audio` and `text`: index
    `preset`; NaN where neither beats the largest class.
    """
    lift = table["accuracy"] - table["majority"]
    means = lift.groupby([table["model"], table["preset"]]).mean()
    audio, text = (means.get(model, pd.Series(dtype=float)) for model in ("audio", "text"))
    both = pd.DataFrame({"audio": audio, "text": text}).dropna()
    shares = [share(a, t, LEAST_LOSS) for a, t in zip(both["audio"], both["text"], strict=True)]
    return pd.Series(shares, both.index, dtype=float)


# --- does a measure follow the truth from corpus to corpus? ---


@dataclass(frozen=True)
class Agreement:
    """How a measure goes with the truth over a few corpora.

    Attributes:
        n: corpora.
        rho: Spearman's, of the means over seeds; 0 for a measure that is constant.
        low: of its 95 % interval over seeds: which means other trainings on these corpora give.
        high: the upper end.
        tau: Kendall's.
        p_value: of rho; exact, by all orders of the corpora, two-sided.
        slope: how far the measure moves where the truth moves by 1, by least squares.
        slope_low: of its interval over seeds.
        slope_high: the upper end.
    """

    n: int
    rho: float
    low: float
    high: float
    tau: float
    p_value: float
    slope: float
    slope_low: float
    slope_high: float

    @property
    def verdict(self) -> str:
        """By the constants of this module, fixed before models were trained on the presets."""
        if self.rho > 0 and self.p_value < LEVEL:
            return HARDLY if self.slope_high < LEAST_SLOPE else FOLLOWS
        return ASTRAY if self.high < WEAK else UNKNOWN


def agreement(values: pd.Series, known: pd.Series) -> Agreement:
    """How a measure goes with the truth.

    The corpora are chosen, not drawn, so the interval draws seeds only, within each corpus.

    Args:
        values: index preset, one value a seed; NaN is left out.
        known: the truth; index preset; NaN is left out.

    Returns:
        All NaN but `n` where fewer than three presets have values, or their truth is the same.
    """
    values, known = values.dropna(), known.dropna()
    seeds = [values[values.index == preset].to_numpy() for preset in known.index]
    x = known[[len(part) > 0 for part in seeds]].to_numpy()
    seeds = [part for part in seeds if len(part)]
    if len(x) < 3 or np.ptp(x) == 0:
        return Agreement(len(x), *[np.nan] * 8)
    y = np.array([part.mean() for part in seeds])
    rng = np.random.default_rng(0)
    draws = np.stack(
        [rng.choice(part, (metrics.RESAMPLES, len(part))).mean(1) for part in seeds], 1
    )
    return Agreement(
        len(x),
        float(rank_correlation(y, x)),
        *metrics.percentile_interval(rank_correlation(draws, x)),
        tau=float(np.nan_to_num(stats.kendalltau(y, x).statistic)),
        p_value=_all_orders(y, x)[0],
        slope=float(_slope(y, x)),
        **_named("slope", metrics.percentile_interval(_slope(draws, x))),
    )


def rank_correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Spearman's rho of rows, [..., n] with [..., n] -> [...]; 0 where a row is constant."""
    ranks = [stats.rankdata(values, axis=-1) for values in (first, second)]
    a, b = (r - r.mean(axis=-1, keepdims=True) for r in ranks)
    size = np.sqrt((a**2).sum(-1) * (b**2).sum(-1))
    rho: np.ndarray = np.divide((a * b).sum(-1), size, out=np.zeros(size.shape), where=size > 0)
    return rho


def _slope(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Of the least-squares line through each row, [..., n] on [n] -> [...]."""
    centred = x - x.mean()
    slope: np.ndarray = y @ centred / (centred**2).sum()
    return slope


def _named(name: str, ends: Interval) -> dict[str, float]:
    return {f"{name}_low": ends.low, f"{name}_high": ends.high}


def _all_orders(y: np.ndarray, x: np.ndarray) -> tuple[float, np.ndarray]:
    """Exact p value of rho, and rho under every order of `y`."""
    found = stats.permutation_test(
        (y,),
        lambda values, axis: rank_correlation(np.moveaxis(values, axis, -1), x),
        permutation_type="pairings",
        vectorized=True,
    )
    return float(found.pvalue), found.null_distribution


# --- does the score follow from utterance to utterance? ---


@dataclass(frozen=True)
class Scores:
    """Scores of the test utterances that all runs of a model answered, and the truth of each.

    Attributes:
        model: a row of Table 4.
        runs: `preset` and `seed` of each run.
        dialogues: of each utterance.
        score: of the audio, after training: [runs, utterances].
        untrained: before: [runs, utterances].
        told: pointwise information of audio less that of text, bits: [runs, utterances].
        gain: information gain of audio less that of text, bits: [runs, utterances].
    """

    model: str
    runs: pd.DataFrame
    dialogues: np.ndarray
    score: np.ndarray
    untrained: np.ndarray
    told: np.ndarray
    gain: np.ndarray


def scores(runs: Mapping[str, Sequence[Run]], size: str) -> dict[str, Scores]:
    """The scores of every model with attention.

    A preset in which neither modality tells more than the other of any utterance is left out.

    Args:
        runs: preset -> its runs on one random split.
        size: of the stand-in.
    """
    leads = {preset: _leads(size, preset) for preset in runs}
    return {
        model: _scores(model, some, leads)
        for model, some in _by_model(runs, leads).items()
        if model.startswith("att")
    }


def _by_model(
    runs: Mapping[str, Sequence[Run]], leads: Mapping[str, pd.DataFrame]
) -> dict[str, list[tuple[str, Run]]]:
    """Model -> preset and run of each; without presets in which no modality leads anywhere."""
    found: dict[str, list[tuple[str, Run]]] = {}
    for preset, some in runs.items():
        for run in some:
            if leads[preset]["told"].nunique() > 1:
                found.setdefault(run.experiment.model, []).append((preset, run))
    return found


@cache
def _leads(size: str, preset: str) -> pd.DataFrame:
    """What the audio of each utterance tells more than its text: `dialogue`, `told`, `gain`."""
    known = standin.evidence(size, preset)
    more = {
        "told": known["audio"] - known["text"],
        "gain": known["audio_gain"] - known["text_gain"],
    }
    # rounded: ranks know ties, which the last digits of sums would break
    return known[["dialogue"]].assign(**more).round(9)


def _scores(model: str, runs: list[tuple[str, Run]], leads: dict[str, pd.DataFrame]) -> Scores:
    answers = [run.selected(SELECTION).set_index("utterance") for _, run in runs]
    before = [_under(run, "untrained") for _, run in runs]
    utterances = _shared(runs)
    known = [leads[preset].loc[utterances] for preset, _ in runs]
    return Scores(
        model,
        pd.DataFrame([{"preset": p, "seed": run.experiment.seed} for p, run in runs]),
        dialogues=known[0]["dialogue"].to_numpy(),  # presets share them
        score=np.stack([part.loc[utterances, "audio_score"] for part in answers]),
        untrained=np.stack([part.loc[utterances, "audio_score"] for part in before]),
        told=np.stack([part["told"] for part in known]),
        gain=np.stack([part["gain"] for part in known]),
    )


def _shared(runs: list[tuple[str, Run]]) -> list[str]:
    """The test utterances that all of the runs answered."""
    return sorted(set.intersection(*(set(run.selected(SELECTION)["utterance"]) for _, run in runs)))


def _under(run: Run, treatment: str) -> pd.DataFrame:
    """The answers under a treatment, by utterance."""
    return run.treated[run.treated["treatment"] == treatment].set_index("utterance")


def followed(found: Scores) -> dict[str, float | str]:
    """Whether a model's scores of single utterances follow the truth, the mean over its runs.

    Returns:
        `model`, `utterances`; Spearman's rho of the score with `told`, as `rho`, with `low` and
        `high` over utterances (bootstrap of whole dialogues) and `seeds_low`, `seeds_high`
        (Student's t over seeds); of the untrained score, as `untrained`; their `difference` with
        `_low` and `_high` over utterances; of the score with `gain`, as `gain`; `verdict`.
    """
    first = np.stack([found.score, found.untrained, found.score])
    second = np.stack([found.told, found.told, found.gain])  # [3, runs, utterances]

    def statistic(at: np.ndarray) -> dict[str, float]:
        rho, before, by_gain = rank_correlation(first[..., at], second[..., at]).mean(axis=-1)
        return {"rho": rho, "untrained": before, "difference": rho - before, "gain": by_gain}

    whole, low, high = _over_dialogues(statistic, found.dialogues)
    by_seed = by_run(found).groupby("seed")["rho"].mean()
    verdict = UNKNOWN
    if low["rho"] > 0 and low["difference"] > 0:
        verdict = FOLLOWS
    elif high["rho"] < WEAK_BY_UTTERANCE:
        verdict = ASTRAY
    return {
        "model": found.model,
        "utterances": len(found.dialogues),
        **whole,
        "low": low["rho"],
        "high": high["rho"],
        **_named("seeds", metrics.mean_interval(by_seed)),
        **_named("difference", Interval(low["difference"], high["difference"])),
        "verdict": verdict,
    }


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

    low, high = metrics.interval_over_clusters(table, "dialogue", row)
    return row(table).iloc[0], low.iloc[0], high.iloc[0]


def ablated(runs: Mapping[str, Sequence[Run]], size: str) -> pd.DataFrame:
    """Whether what a fusion loses of single utterances follows what these tell.

    Told the true class, a model loses bits of its probability. Not told, its answer moves by the
    divergence (bits) of the treated from the whole model's. Either is that without the audio less
    that without the text.

    Args:
        runs: preset -> its runs on one random split.
        size: of the stand-in.

    Returns:
        A row a model: `model`, `presets`, `utterances` (of each preset); for each of `ABLATIONS`,
        and with `_blind` for the divergence, Spearman's rho with `Scores.told`, the mean over runs,
        with `_low` and `_high` over utterances (bootstrap of whole dialogues) and `_seeds_low`,
        `_seeds_high` (Student's t over seeds).
    """
    leads = {preset: _leads(size, preset) for preset in runs}
    rows = [
        {"model": model, **_ablated(some, leads)}
        for model, some in _by_model(runs, leads).items()
        if model in FUSIONS
    ]
    return pd.DataFrame(rows)


def _ablated(
    runs: list[tuple[str, Run]], leads: Mapping[str, pd.DataFrame]
) -> dict[str, float | int]:
    utterances = _shared(runs)
    told = np.stack([leads[preset].loc[utterances, "told"] for preset, _ in runs])
    lost = {
        f"{name}{suffix}": np.stack([bits(run, treatment, utterances) for _, run in runs])
        for name, treatment in ABLATIONS.items()
        for suffix, bits in (("", _lost), ("_blind", _moved))
    }  # [runs, utterances] each

    def statistic(at: np.ndarray) -> dict[str, float]:
        return {
            name: rank_correlation(bits[:, at], told[:, at]).mean() for name, bits in lost.items()
        }

    dialogues = leads[runs[0][0]].loc[utterances, "dialogue"].to_numpy()  # presets share them
    whole, low, high = _over_dialogues(statistic, dialogues)
    seeds = pd.Series([run.experiment.seed for _, run in runs])
    presets = len({preset for preset, _ in runs})
    found: dict[str, float | int] = {"presets": presets, "utterances": len(utterances), **whole}
    for name, bits in lost.items():
        by_seed = pd.Series(rank_correlation(bits, told)).groupby(seeds).mean()
        found |= _named(name, Interval(low[name], high[name]))
        found |= _named(f"{name}_seeds", metrics.mean_interval(by_seed))
    return found


def _lost(run: Run, treatment: str, utterances: list[str]) -> np.ndarray:
    """Bits lost of the true class's probability without the audio less without the text."""
    true = run.selected(SELECTION).set_index("utterance").loc[utterances, "emotion"]
    at = np.arange(len(true)), np.array([EMOTIONS.index(emotion) for emotion in true])
    audio, text = (
        np.log2(_answers(_under(run, f"{modality}-{treatment}"), utterances)[at])
        for modality in ("audio", "text")
    )
    bits: np.ndarray = text - audio
    return bits


def _moved(run: Run, treatment: str, utterances: list[str]) -> np.ndarray:
    """Divergence (bits) of the answers without the audio less that of those without the text."""
    whole = _answers(run.selected(SELECTION).set_index("utterance"), utterances)
    audio, text = (
        rel_entr(whole, _answers(_under(run, f"{modality}-{treatment}"), utterances)).sum(axis=1)
        for modality in ("audio", "text")
    )
    bits: np.ndarray = (audio - text) / np.log(2)
    return bits


def _answers(by_utterance: pd.DataFrame, utterances: list[str]) -> np.ndarray:
    """Probabilities of the classes, above 0 so that they have logarithms: [utterances, 4]."""
    chosen: np.ndarray = by_utterance.loc[utterances, list(EMOTIONS)].to_numpy(dtype=float)
    return chosen.clip(LEAST_PROBABILITY)


def by_run(found: Scores) -> pd.DataFrame:
    """Spearman's rho of the score with `told` in each run: `preset`, `seed`, `rho`."""
    return found.runs.assign(rho=rank_correlation(found.score, found.told))


# --- what could be found at all ---


def needed(n: int) -> float:
    """The least rank correlation of `n` corpora that is significant; NaN if none is."""
    order = np.arange(n, dtype=float)
    null = np.sort(_all_orders(order, order)[1])
    as_large = 1 - np.searchsorted(null, null - 1e-9) / len(null)
    significant = null[2 * as_large < LEVEL]
    return float(significant[0]) if len(significant) else np.nan


def power(noise: float, known: pd.Series, trials: int = 10_000) -> float:
    """The chance that a measure which is the truth and noise is found to be in order.

    Args:
        noise: standard deviation of a corpus's mean, as a share of the measure's own range.
        known: the truth.
        trials: simulations.
    """
    x = known.to_numpy()
    errors = np.random.default_rng(0).normal(0, noise * np.ptp(x), (trials, len(x)))
    return float((rank_correlation(x + errors, x) >= needed(len(x)) - 1e-9).mean())


def detectable(n: int) -> float:
    """The true rank correlation that a test over `n` utterances finds with probability `POWER`.

    By Fisher's transformation, whose variance for Spearman's rho is 1.06 / (n - 3) (Fieller et al.
    1957); two-sided.
    """
    sizes = stats.norm.ppf([1 - LEVEL / 2, POWER]).sum()
    return float(np.tanh(sizes * np.sqrt(1.06 / (n - 3))))


def tested(size: str) -> int:
    """Utterances of the test part of a stand-in."""
    return sum(int(np.ceil(TEST_SHARE * count)) for count in standin.SIZES[size].counts)
