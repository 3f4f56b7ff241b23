"""What each kind of criterion (`replicate.paper.criteria`) finds in stored runs.

A finding knows nothing of which corpus may decide on the paper's figures: that is `claims`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, singledispatch
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import chisquare, kendalltau

from replicate import comparison, metrics
from replicate.metrics import Interval
from replicate.paper import TABLE_4, TABLE_7, Claim, criteria
from replicate.protocol import EMOTIONS
from replicate.runs import Run

Outcome = Literal["met", "undecided", "not met"]

UNKNOWN = Interval(np.nan, np.nan)

#: Resampled sets of seeds for the interval of Kendall's tau.
TAU_RESAMPLES = 1000


@dataclass(frozen=True)
class Finding:
    """What a criterion finds.

    Attributes:
        outcome: None where there is nothing to judge.
        reproduced: our values.
        interval: of our value, where it is one number.
        evidence: what else to know.
        shortfall: what is missing for a verdict; empty if nothing is.
    """

    outcome: Outcome | None = None
    reproduced: str = ""
    interval: Interval = UNKNOWN
    evidence: str = ""
    shortfall: str = ""


@dataclass(frozen=True)
class Evidence:
    """All that a criterion may look at.

    Attributes:
        runs: runs of one corpus, profile and kind of fold.
        selection: which epoch of each run, see `replicate.runs.SELECTIONS`.
        counts: utterances in `train` (all that is not tested) and `test`, where known.
        table8: from `replicate.waveforms.class_averages`.
        words: from `replicate.words.word_table`.
        loudness: `emotion`, `speaker`, and `average` and `spread` from `replicate.waveforms.levels`
            for each utterance of the cohort.
        by_text_alone: whether `words` has the classes that text alone predicts.
    """

    runs: Sequence[Run]
    selection: str
    counts: dict[str, int]
    table8: pd.DataFrame | None = None
    words: pd.DataFrame | None = None
    loudness: pd.DataFrame | None = None
    by_text_alone: bool = False

    @cached_property
    def summary(self) -> dict[str, dict[str, Any]]:
        """`metrics.summarise`: `model-embedding` -> its row."""
        rows = metrics.summarise(self.runs, self.selection).to_dict("records")
        return {f"{row['model']}-{row['embedding']}": row for row in rows}  # type: ignore[misc]

    @cached_property
    def single(self) -> pd.DataFrame:
        """`metrics.per_run`, with column `name`: `model-embedding`."""
        return _with_name(metrics.per_run(self.runs, self.selection))

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """`metrics.pooled`, with column `name`: `model-embedding`."""
        return _with_name(metrics.pooled(self.runs, self.selection))

    def mean(self, name: str, measure: str) -> tuple[float, Interval]:
        """A configuration's mean over seeds, with its interval."""
        row = self.summary[name]
        return row[measure], Interval(row[f"{measure}_low"], row[f"{measure}_high"])

    def by_seed(self, name: str, measure: str) -> pd.Series:
        """A configuration's values by seed, folds averaged."""
        rows = self.single[self.single["name"] == name]
        return rows.groupby("seed")[measure].mean()

    def confusions(self, name: str) -> list[pd.DataFrame]:
        """A configuration's confusion matrix for each seed, its folds pooled."""
        seeds = self.predictions[self.predictions["name"] == name].groupby("seed")
        return [metrics.confusion(part["emotion"], part["predicted"]) for _, part in seeds]

    def accuracies(self, names: Sequence[str]) -> pd.DataFrame:
        """Accuracy by seed (rows) and configuration (columns), on folds that all of them ran."""
        rows = self.single[self.single["name"].isin(names)]
        rows = rows.assign(right=rows["accuracy"] * rows["n_utterances"])
        shared = rows.groupby(["seed", "fold"])["name"].transform("size") == len(names)
        sums = rows[shared].groupby(["seed", "name"])[["right", "n_utterances"]].sum()
        return (sums["right"] / sums["n_utterances"]).unstack().reindex(columns=list(names))


def _with_name(table: pd.DataFrame) -> pd.DataFrame:
    return table if table.empty else table.assign(name=table["model"] + "-" + table["embedding"])


def all_of(outcomes: Iterable[Outcome]) -> Outcome:
    """A criterion of several parts is met if all are, and not met if one is not."""
    found = set(outcomes)
    return "not met" if "not met" in found else "undecided" if "undecided" in found else "met"


def over_seeds(outcomes: Iterable[Outcome], seeds: int) -> Outcome:
    """As `all_of`; but one seed, which has no interval, decides nothing."""
    return all_of(outcomes) if seeds > 1 else "undecided"


def near(value: float, interval: Interval, target: float, tolerance: float) -> Outcome:
    """Whether a value lies within a tolerance; undecided where only its interval reaches it.

    An unknown interval reaches nothing: then the value alone decides.
    """
    if abs(value - target) <= tolerance:
        return "met"
    reaches = interval.low <= target + tolerance and interval.high >= target - tolerance
    return "undecided" if reaches else "not met"


def bracketed(value: float, interval: Interval, sign: str = "") -> str:
    """As in `0.689 [0.671, 0.707]`; the value alone where the interval is unknown."""
    if np.isnan(interval.low):
        return f"{value:{sign}.3f}"
    return f"{value:{sign}.3f} [{interval.low:{sign}.3f}, {interval.high:{sign}.3f}]"


def missing(names: Sequence[str], evidence: Evidence) -> Finding | None:
    """The finding where some configurations were not run, with what there is of one modality."""
    absent = [name for name in names if name not in evidence.summary]
    if not absent:
        return None
    return Finding(evidence=unimodal(evidence, names), shortfall=f"no runs of {', '.join(absent)}")


def unimodal(evidence: Evidence, names: Sequence[str] = ("text",)) -> str:
    """What the models of one modality reach; empty where no name is of such a model."""
    if not any(name.startswith(("audio", "text")) for name in names):
        return ""
    return "; ".join(
        f"{name} {bracketed(*evidence.mean(name, 'accuracy'))}, "
        f"{row['n_seeds']} seed{'s' * (row['n_seeds'] > 1)}"
        for name, row in evidence.summary.items()
        if row["model"] in ("audio", "text")
    )


def too_few(found: int, wanted: int) -> str:
    """The shortfall in seeds; empty if there is none."""
    return f"{found} of the {wanted} seeds that the criterion asks for" if found < wanted else ""


@singledispatch
def judge(criterion: object, claim: Claim, evidence: Evidence) -> Finding:
    """Apply a criterion."""
    raise TypeError(f"no way to judge {criterion}")


@judge.register
def _(criterion: criteria.Counts, claim: Claim, evidence: Evidence) -> Finding:
    if not evidence.counts:
        return Finding(shortfall="no counts of the cohort")
    same = all(evidence.counts[part] == printed for part, printed in claim.reported.items())
    ours = ", ".join(f"{part} {n:,}" for part, n in evidence.counts.items())
    return Finding("met" if same else "not met", ours)


@judge.register
def _(criterion: criteria.Accuracy, claim: Claim, evidence: Evidence) -> Finding:
    name = f"{criterion.model}-{criterion.embedding}"
    if gap := missing([name], evidence):
        return gap
    value, interval = evidence.mean(name, "accuracy")
    parts = [near(value, interval, float(claim.reported["accuracy"]), criterion.tolerance)]
    notes = []
    if "audio score" in claim.reported:
        score, spread = evidence.mean(name, "audio_score")
        notes.append(f"audio score {bracketed(score, spread)}")
        if criterion.score_tolerance is not None:
            target = float(claim.reported["audio score"])
            parts.append(near(score, spread, target, criterion.score_tolerance))
    if criterion.text_ahead is not None:
        ahead = evidence.by_seed(name, "audio_score") < 0.5
        notes.append(f"text ahead in {ahead.sum()} of {len(ahead)} seeds")
        parts.append("met" if ahead.mean() >= criterion.text_ahead else "not met")
    seeds = evidence.summary[name]["n_seeds"]
    return Finding(
        over_seeds(parts, seeds),
        bracketed(value, interval),
        interval,
        "; ".join(notes),
        too_few(seeds, criterion.seeds),
    )


@judge.register
def _(criterion: criteria.Difference, claim: Claim, evidence: Evidence) -> Finding:
    names = sorted({name for pair in criterion.pairs for name in (pair.better, pair.worse)})
    if gap := missing(names, evidence):
        return gap
    tables = [evidence.accuracies([pair.better, pair.worse]) for pair in criterion.pairs]
    gains = [table.iloc[:, 0] - table.iloc[:, 1] for table in tables]
    seeds = min(map(len, gains))
    if seeds < 2:
        return Finding(shortfall=too_few(seeds, criterion.seeds))
    named = {f"{p.better} - {p.worse}": g for p, g in zip(criterion.pairs, gains, strict=True)}
    finding = _gains(named)
    return replace(
        finding, evidence=unimodal(evidence, names), shortfall=too_few(seeds, criterion.seeds)
    )


def _gains(gains: dict[str, pd.Series]) -> Finding:
    """Paired differences that are claimed to be positive: t tests with Holm's correction."""
    means = [comparison.mean_difference(gain) for gain in gains.values()]
    intervals = [Interval(mean.low, mean.high) for mean in means]
    p_values = comparison.holm([mean.p_value for mean in means])
    parts: list[Outcome] = []
    described = []
    for name, mean, interval, p in zip(gains, means, intervals, p_values, strict=True):
        parts.append(
            "undecided" if p >= comparison.LEVEL else "met" if mean.difference > 0 else "not met"
        )
        significance = f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"
        described.append(f"{name}: {bracketed(mean.difference, interval, '+')}, {significance}")
    interval = intervals[0] if len(intervals) == 1 else UNKNOWN
    return Finding(all_of(parts), "; ".join(described), interval)


@judge.register
def _(criterion: criteria.Order, claim: Claim, evidence: Evidence) -> Finding:
    names = [f"{row.model}-{criterion.embedding}" for row in TABLE_4]
    if gap := missing(names, evidence):
        return gap
    printed = [row.accuracy for row in TABLE_4]
    ours = evidence.accuracies(names).to_numpy()  # [seeds, 7]
    if len(ours) < 2:
        return Finding(shortfall=too_few(len(ours), criterion.seeds))
    draws = np.random.default_rng(0).integers(len(ours), size=(TAU_RESAMPLES, len(ours)))
    taus = np.array([kendalltau(printed, one).statistic for one in ours[draws].mean(axis=1)])
    tau = float(kendalltau(printed, ours.mean(axis=0)).statistic)
    interval = metrics.percentile_interval(taus)
    outcome: Outcome = (
        "met" if interval.low > 0 else "not met" if interval.high < 0 else "undecided"
    )
    ranking = pd.Series(ours.mean(axis=0), [row.label for row in TABLE_4]).sort_values()[::-1]
    order = ", ".join(f"{label} {value:.3f}" for label, value in ranking.items())
    shortfall = too_few(len(ours), criterion.seeds)
    return Finding(outcome, f"tau {bracketed(tau, interval, '+')}", interval, order, shortfall)


@judge.register
def _(criterion: criteria.ScoreSpread, claim: Claim, evidence: Evidence) -> Finding:
    if gap := missing(list(claim.reported), evidence):
        return gap
    parts, described = [], []
    for name, printed in claim.reported.items():
        logs = np.log(evidence.by_seed(name, "audio_score_sd"))
        interval, tolerance = metrics.mean_interval(logs), np.log(criterion.factor)
        parts.append(near(logs.mean(), interval, np.log(float(printed)), tolerance))
        described.append(f"{name} {bracketed(np.exp(logs.mean()), Interval(*np.exp(interval)))}")
    seeds = min(evidence.summary[name]["n_seeds"] for name in claim.reported)
    shortfall = too_few(seeds, criterion.seeds)
    return Finding(over_seeds(parts, seeds), ", ".join(described), shortfall=shortfall)


@judge.register
def _(criterion: criteria.ConfusionRates, claim: Claim, evidence: Evidence) -> Finding:
    name = f"{criterion.model}-{criterion.embedding}"
    if gap := missing([name], evidence):
        return gap
    counts, printed = evidence.confusions(name), printed_confusion()
    sizes = {"recall": printed.sum(axis=1), "precision": printed.sum(axis=0)}
    rates = {rate: pd.DataFrame([getattr(metrics, rate)(c) for c in counts]) for rate in sizes}
    parts, described = [], []
    for key, value in claim.reported.items():
        emotion, rate = key.split()
        p, ours = float(value), rates[rate][emotion]
        error = np.sqrt(p * (1 - p) / sizes[rate][emotion])
        interval = metrics.share_interval(ours)
        parts.append(near(ours.mean(), interval, p, criterion.standard_errors * error))
        described.append(f"{key} {bracketed(ours.mean(), interval)} ({parts[-1]})")
    shortfall = too_few(len(counts), criterion.seeds)
    return Finding(over_seeds(parts, len(counts)), "; ".join(described), shortfall=shortfall)


@judge.register
def _(criterion: criteria.Ranks, claim: Claim, evidence: Evidence) -> Finding:
    name = f"{criterion.model}-{criterion.embedding}"
    if gap := missing([name], evidence):
        return gap
    table = evidence.predictions[evidence.predictions["name"] == name]
    ours = _ranks(table["emotion"], table["predicted"], table["utterance"])
    printed = _ranks(*metrics.labels(printed_confusion()), None)
    lowest, highest = ours.min(), 1 - criterion.probability
    outcome: Outcome = "undecided"
    if lowest >= criterion.probability:
        outcome = "met"
    elif lowest <= highest:
        outcome = "not met"
    seeds = table["seed"].nunique()
    return Finding(
        outcome,
        _listed(ours),
        evidence=f"the printed Table 7 by itself: {_listed(printed)}",
        shortfall=too_few(seeds, criterion.seeds),
    )


def _ranks(true: ArrayLike, guessed: ArrayLike, utterances: pd.Series | None) -> pd.Series:
    """Bootstrap probability of each rank that claim 18 states."""
    samples = metrics.bootstrap_confusions(true, guessed, utterances)
    right = np.diagonal(samples, axis1=1, axis2=2)
    recall = right / np.maximum(samples.sum(axis=2), 1)
    precision = right / np.maximum(samples.sum(axis=1), 1)
    return pd.Series(
        {
            "sadness best recall": np.mean(recall.argmax(axis=1) == EMOTIONS.index("sadness")),
            "neutrality worst recall": np.mean(
                recall.argmin(axis=1) == EMOTIONS.index("neutrality")
            ),
            "happiness best precision": np.mean(
                precision.argmax(axis=1) == EMOTIONS.index("happiness")
            ),
        }
    )


def _listed(values: pd.Series) -> str:
    return ", ".join(f"P({name}) = {value:.3f}" for name, value in values.items())


@judge.register
def _(criterion: criteria.ErrorSpread, claim: Claim, evidence: Evidence) -> Finding:
    name = f"{criterion.model}-{criterion.embedding}"
    by_itself = error_spread(printed_confusion(), criterion)
    printed = f"the printed Table 7 by itself: criterion {': '.join(by_itself)}"
    if gap := missing([name], evidence):
        return replace(gap, evidence=printed)
    counts = evidence.confusions(name)
    outcome, described = error_spread(sum(counts[1:], counts[0]) / len(counts), criterion)
    return Finding(
        outcome, described, evidence=printed, shortfall=too_few(len(counts), criterion.seeds)
    )


def error_spread(
    counts: pd.DataFrame, criterion: criteria.ErrorSpread
) -> tuple[Literal["met", "not met"], str]:
    """Whether a confusion matrix meets the criterion, and its errors in words."""
    errors = counts.astype(float) - np.diag(np.diag(counts))
    others = errors.drop(index="neutrality")
    into = others["neutrality"]
    own = errors.loc["neutrality"].drop("neutrality")
    p_value = float(chisquare(own).pvalue) if own.any() else np.nan
    parts = [f"{e} {into[e]:.3g} of {others.loc[e].sum():.3g}" for e in others.index]
    spread = ", ".join(f"{e} {n:.3g}" for e, n in own.items())
    commonest = bool((into >= others.max(axis=1)).all())
    return (
        "met" if commonest and not p_value < criterion.significance else "not met",
        f"errors to neutrality: {', '.join(parts)}; of neutrality: {spread} (p = {p_value:.3f})",
    )


@judge.register
def _(criterion: criteria.Words, claim: Claim, evidence: Evidence) -> Finding:
    if evidence.words is None:
        return Finding(shortfall="no table of words")
    mine = evidence.words[evidence.words["emotion"] == criterion.emotion]
    if not mine["count"].any():
        return Finding(shortfall=f"no test utterance is predicted as {criterion.emotion}")
    rows = dict(zip(mine["word"], mine.to_dict("records"), strict=True))
    parts: list[Outcome] = []
    described = []
    for word, printed in claim.reported.items():
        row = rows.get(word) or rows.get(f"[{word}]")
        if row is None:
            parts.append("undecided")
            described.append(f"{word}: not in the test set")
            continue
        inside = row["low"] <= float(printed) <= row["high"]
        same_way = row["sign"] == (-1 if word in criterion.negative else 1)
        parts.append("met" if inside and same_way else "not met")
        interval = Interval(row["low"], row["high"])
        way = {1: "attracted", 0: "neither", -1: "avoided"}[row["sign"]]
        described.append(
            f"{word} {row['count']}/{row['present']} = {bracketed(row['ratio'], interval)}, {way}"
        )
    alone = "the classes are those that text alone predicts" if evidence.by_text_alone else ""
    return Finding(all_of(parts), "; ".join(described), shortfall=alone)


@judge.register
def _(criterion: criteria.Loudness, claim: Claim, evidence: Evidence) -> Finding:
    if evidence.table8 is None:
        return Finding(shortfall="no statistics of the recordings")
    printed = pd.Series({tuple(k.split()): float(v) for k, v in claim.reported.items()}).unstack()
    printed = printed.loc[list(EMOTIONS)]
    ours = evidence.table8.loc[list(EMOTIONS), printed.columns]
    allowed = criterion.tolerance * printed + criterion.rounding
    inside = (ours - printed).abs() <= allowed
    ordered = bool((ours.diff().dropna() < 0).all(axis=None))
    described = "; ".join(
        f"{emotion} {' / '.join(f'{value:.4f}' for value in row)}"
        for emotion, row in zip(ours.index, ours.to_numpy(), strict=True)
    )
    note = (
        f"{' / '.join(ours.columns)}; {inside.to_numpy().sum()} of {inside.size} within tolerance"
    )
    return Finding(
        "met" if ordered and inside.all(axis=None) else "not met", described, evidence=note
    )


@judge.register
def _(criterion: criteria.Extremes, claim: Claim, evidence: Evidence) -> Finding:
    if evidence.loudness is None:
        return Finding(shortfall="no loudness of each utterance")
    softest, loudest = criterion.softest, criterion.loudest
    others = [e for e in EMOTIONS if e not in (softest, loudest)]
    pairs = [(loudest, softest), *((loudest, e) for e in others), *((e, softest) for e in others)]
    gains: dict[str, pd.Series] = {}
    for measure in ("average", "spread"):
        means = evidence.loudness.pivot_table(measure, "speaker", "emotion").dropna()
        for high, low in pairs:
            gains[f"{measure}, {high} - {low}"] = means[high] - means[low]
    speakers = len(next(iter(gains.values())))
    if speakers < 2:
        return Finding(shortfall="fewer than two speakers with all four classes")
    return replace(_gains(gains), evidence=f"{speakers} speakers")


@judge.register
def _(criterion: criteria.PrintedTable7, claim: Claim, evidence: Evidence) -> Finding:
    counts = printed_confusion()
    margin = float(claim.reported["margin"])
    holds, described = True, []
    for rates in (metrics.recall(counts), metrics.precision(counts)):
        gap = rates.max() - rates["neutrality"]
        holds &= rates.idxmin() == "neutrality" and round(gap, 3) <= margin
        described.append(
            f"{rates.name}: lowest is {rates.idxmin()} {rates.min():.3f}, "
            f"neutrality {rates['neutrality']:.3f} lies {gap:.3f} below the best"
        )
    return Finding("met" if holds else "not met", "; ".join(described))


@judge.register
def _(criterion: criteria.PrintedInterval, claim: Claim, evidence: Evidence) -> Finding:
    counts = printed_confusion()
    n = int(counts.to_numpy().sum())
    right = int(np.trace(counts))
    low, high = map(float, metrics.wilson(right, n))
    inside = low <= float(claim.reported["state of the art"]) <= high
    ours = f"{right} of {n} = {bracketed(right / n, Interval(low, high))}"
    return Finding("met" if inside else "not met", ours, Interval(low, high))


@judge.register
def _(criterion: criteria.Quoted, claim: Claim, evidence: Evidence) -> Finding:
    reason = "the figures are another paper's, from other features; they can be checked only there"
    own = unimodal(evidence)
    return Finding(
        evidence=f"our own models of one modality: {own}" if own else "", shortfall=reason
    )


@judge.register
def _(criterion: criteria.NoCriterion, claim: Claim, evidence: Evidence) -> Finding:
    return Finding(shortfall=criterion.reason)


def printed_confusion() -> pd.DataFrame:
    """Table 7 as a confusion matrix."""
    rows = {row.emotion: row.predictions for row in TABLE_7}
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(EMOTIONS))
