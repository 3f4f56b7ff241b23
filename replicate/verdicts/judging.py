"""What each kind of criterion (`replicate.paper.criteria`) finds in stored runs.

A finding knows nothing of which corpus may decide on the paper's figures: that is `claims`.
"""

from dataclasses import replace
from functools import singledispatch
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import chisquare, kendalltau

from replicate.paper import EMOTIONS, TABLE_4, Claim, criteria, printed_confusion
from replicate.stats import classification, hypothesis_tests
from replicate.stats.intervals import (
    UNKNOWN,
    Interval,
    mean_interval,
    percentile_interval,
    share_interval,
    wilson,
)
from replicate.verdicts.evidence import (
    Evidence,
    Finding,
    Outcome,
    all_of,
    bracketed,
    missing,
    near,
    over_seeds,
    too_few,
    unimodal,
)

#: Resampled sets of seeds for the interval of Kendall's tau.
TAU_RESAMPLES = 1000


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
    means = [hypothesis_tests.mean_difference(gain) for gain in gains.values()]
    intervals = [Interval(mean.low, mean.high) for mean in means]
    p_values = hypothesis_tests.holm([mean.p_value for mean in means])
    parts: list[Outcome] = []
    described = []
    for name, mean, interval, p in zip(gains, means, intervals, p_values, strict=True):
        parts.append(
            "undecided"
            if p >= hypothesis_tests.LEVEL
            else "met"
            if mean.difference > 0
            else "not met"
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
    interval = percentile_interval(taus)
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
        interval, tolerance = mean_interval(logs), np.log(criterion.factor)
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
    measures = {"recall": classification.recall, "precision": classification.precision}
    rates = {rate: pd.DataFrame([of(c) for c in counts]) for rate, of in measures.items()}
    parts, described = [], []
    for key, value in claim.reported.items():
        emotion, rate = key.split()
        p, ours = float(value), rates[rate][emotion]
        error = np.sqrt(p * (1 - p) / sizes[rate][emotion])
        interval = share_interval(ours)
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
    printed = _ranks(*classification.labels(printed_confusion()), None)
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
    samples = classification.bootstrap_confusions(true, guessed, utterances)
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
    for rates in (classification.recall(counts), classification.precision(counts)):
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
    low, high = map(float, wilson(right, n))
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
