"""Criteria that look at words, recordings and counts of a corpus, or at print alone."""

from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd

from replicate.corpora.waveforms import class_averages
from replicate.paper import EMOTIONS, ROUNDING, Emotion, printed_confusion
from replicate.stats import classification
from replicate.stats.intervals import Interval, wilson
from replicate.studies import released_levels
from replicate.verdicts.criterion import (
    Criterion,
    Finding,
    Outcome,
    Reported,
    all_of,
    bracketed,
    gains_found,
    unimodal,
)
from replicate.verdicts.evidence import Evidence

#: Seeds that a verdict on words asks for, and the share of them that must agree.
SEEDS, SHARE = 10, 0.9


class Counts(Criterion):
    """Numbers of utterances, exactly."""

    kind: Literal["counts"]

    line = "counts are equal"
    weakness = (
        "our draw by class follows the row sums of Table 7, so that any copy of IEMOCAP meets it; "
        "the same counts do not make the same utterances"
    )
    looks_at = "corpus"

    def judge(self, reported: Reported, evidence: Evidence) -> Finding:
        """The counts of the split."""
        if not evidence.counts:
            return Finding(shortfall="no counts of the cohort")
        same = all(evidence.counts[part] == printed for part, printed in reported.items())
        ours = ", ".join(f"{part} {n:,}" for part, n in evidence.counts.items())
        return Finding("met" if same else "not met", ours)


class Words(Criterion):
    """Each printed ratio lies in the Wilson interval of ours, and the association has its sign."""

    kind: Literal["words"]
    emotion: Emotion
    negative: tuple[str, ...] = ()  # words that are claimed to speak against the class

    line = (
        "printed ratio inside the Wilson interval of ours, same direction of association, in nine "
        "of ten seeds"
    )
    weakness = (
        "a word that occurs a few times has an interval that holds almost any ratio; the error of "
        "the printed ratio is not counted, and several words are judged at once"
    )

    def judge(self, reported: Reported, evidence: Evidence) -> Finding:
        """Each word's occurrences in sentences of the class, out of all."""
        if not evidence.words:
            return Finding(shortfall="no table of words")
        found = [self._of_one(reported, table) for table in evidence.words]
        if found[0].outcome is None:
            return found[0]
        outcomes, few = [one.outcome for one in found], len(found) < SEEDS
        lacking = [f"{len(found)} of the {SEEDS} seeds that the criterion asks for"] * few
        if evidence.by_text_alone:
            lacking.append("the classes are those that text alone predicts")
        sure: tuple[Outcome, ...] = ("met", "not met")
        agreed = [each for each in sure if outcomes.count(each) >= SHARE * len(found)]
        outcome = agreed[0] if agreed and len(found) > 1 else "undecided"
        told = found[0].reproduced
        if len(found) > 1:
            told += f"; (the first of {len(found)} seeds, met in {outcomes.count('met')})"
        return replace(found[0], outcome=outcome, reproduced=told, shortfall="; ".join(lacking))

    def _of_one(self, reported: Reported, table: pd.DataFrame) -> Finding:
        """What one seed's table of words says."""
        mine = table[table["emotion"] == self.emotion]
        if not mine["count"].any():
            return Finding(shortfall=f"no test utterance is predicted as {self.emotion}")
        rows = dict(zip(mine["word"], mine.to_dict("records"), strict=True))
        parts: list[Outcome] = []
        described = []
        for word, printed in reported.items():
            row = rows.get(word) or rows.get(f"[{word}]")
            if row is None:
                parts.append("undecided")
                described.append(f"{word}: not in the test set")
                continue
            interval = Interval(row["low"], row["high"])
            inside = interval.low <= printed <= interval.high
            same_way = row["sign"] == (-1 if word in self.negative else 1)
            parts.append("met" if inside and same_way else "not met")
            ratio = f"{row['count']}/{row['present']} = {bracketed(row['ratio'], interval)}"
            way = {1: "attracted", 0: "neither", -1: "avoided"}[row["sign"]]
            described.append(f"{word} {ratio}, {way}")
        return Finding(all_of(parts), "; ".join(described))


class Loudness(Criterion):
    """Each value of Table 8 lies within `tolerance` (relative) of print, classes in its order.

    The rounding of print is allowed for as well: 12 % of the smallest printed value.
    """

    kind: Literal["loudness"]
    tolerance: float

    line = "each value within {tolerance:.0%} of print and its rounding, same order"
    weakness = "it checks the recordings, not a model"
    looks_at = "corpus"

    def judge(self, reported: Reported, evidence: Evidence) -> Finding:
        """The averages of each class."""
        if evidence.levels is None:
            return Finding(shortfall="no statistics of the recordings")
        printed = pd.Series({tuple(k.split()): value for k, value in reported.items()}).unstack()
        printed = printed.loc[list(EMOTIONS)]
        by_speaker = "n" in evidence.levels
        averages = released_levels.class_averages if by_speaker else class_averages
        ours = averages(evidence.levels).loc[list(EMOTIONS), printed.columns]
        inside = (ours - printed).abs() <= self.tolerance * printed + ROUNDING
        ordered = bool((ours.diff().dropna() < 0).all(axis=None))
        rows = ours.map("{:.4f}".format).agg(" / ".join, axis="columns")
        described = "; ".join(f"{emotion} {row}" for emotion, row in rows.items())
        within = f"{inside.to_numpy().sum()} of {inside.size} within tolerance"
        ratios = (ours / printed).stack()
        of_print = f"{ratios.min():.2f} to {ratios.max():.2f} of print"
        return Finding(
            "met" if ordered and inside.all(axis=None) else "not met",
            described,
            evidence=f"{' / '.join(ours.columns)}; {within}; {of_print}",
            shortfall="levels of the dialogues' recordings, not of the paper's files" * by_speaker,
        )


class Extremes(Criterion):
    """Criterion D for loudness, with speakers as units.

    One class lies below, another above every other class, in mean |x| and in standard deviation.
    """

    kind: Literal["extremes"]
    softest: Emotion
    loudest: Emotion

    line = "paired t test over speakers for each class and measure, Holm's correction"
    weakness = "loudness depends on the session's recording level as well as on the speaker"
    looks_at = "corpus"

    def judge(self, reported: Reported, evidence: Evidence) -> Finding:
        """Differences of the classes' means, speaker by speaker."""
        if evidence.levels is None:
            return Finding(shortfall="no loudness of each utterance")
        gains = self.gains(evidence.levels)
        speakers = len(next(iter(gains.values())))
        if speakers < 2:
            return Finding(shortfall="fewer than two speakers with all four classes")
        return replace(gains_found(gains), evidence=f"{speakers} speakers")

    def gains(self, levels: pd.DataFrame) -> dict[str, pd.Series]:
        """Louder class less softer, by name of the pair; a value for each `speaker` of `levels`."""
        others = [e for e in EMOTIONS if e not in (self.softest, self.loudest)]
        pairs: list[tuple[str, str]] = [(self.loudest, e) for e in (self.softest, *others)]
        pairs += [(e, self.softest) for e in others]
        gains: dict[str, pd.Series] = {}
        for measure in ("average", "spread"):
            means = levels.pivot_table(measure, "speaker", "emotion").dropna()
            for high, low in pairs:
                gains[f"{measure}, {high} - {low}"] = means[high] - means[low]
        return gains


class PrintedTable7(Criterion):
    """A statement about Table 7 that the printed table itself decides."""

    kind: Literal["printed table 7"]

    line = "the statement against the printed table"
    looks_at = "print"

    def judge(self, reported: Reported, evidence: Evidence) -> Finding:
        """Which class is the lowest, and by how much neutrality lies below the best."""
        counts = printed_confusion()
        holds, described = True, []
        for rates in (classification.recall(counts), classification.precision(counts)):
            gap = rates.max() - rates["neutrality"]
            holds &= rates.idxmin() == "neutrality" and round(gap, 3) <= reported["margin"]
            described.append(
                f"{rates.name}: lowest is {rates.idxmin()} {rates.min():.3f}, "
                f"neutrality {rates['neutrality']:.3f} lies {gap:.3f} below the best"
            )
        return Finding("met" if holds else "not met", "; ".join(described))


class PrintedInterval(Criterion):
    """Two printed accuracies: does the interval of the one hold the other?"""

    kind: Literal["printed interval"]

    line = "the other figure inside the Wilson interval of the printed one"
    weakness = (
        "a wide interval: one run on 555 utterances is close to anything within four points; "
        "unpaired: other features, perhaps another split"
    )
    looks_at = "print"

    def judge(self, reported: Reported, evidence: Evidence) -> Finding:
        """The interval of Table 7's accuracy."""
        counts = printed_confusion()
        right, n = int(np.trace(counts)), int(counts.to_numpy().sum())
        interval = Interval(*map(float, wilson(right, n)))
        inside = interval.low <= reported["state of the art"] <= interval.high
        ours = f"{right} of {n} = {bracketed(right / n, interval)}"
        return Finding("met" if inside else "not met", ours, interval)


class Quoted(Criterion):
    """Figures of another paper, which can only be checked there."""

    kind: Literal["quoted"]

    line = "none: quoted from another paper"

    def judge(self, reported: Reported, evidence: Evidence) -> Finding:
        """Our own models of one modality, for comparison."""
        own = unimodal(evidence)
        told = f"our own models of one modality: {own}" if own else ""
        reason = (
            "the figures are another paper's, from other features; they can be checked only there"
        )
        return Finding(evidence=told, shortfall=reason)


class NoCriterion(Criterion):
    """No run of ours can settle the claim, and why."""

    kind: Literal["none"]
    reason: str

    line = "none"

    def judge(self, reported: Reported, evidence: Evidence) -> Finding:
        """The reason."""
        return Finding(shortfall=self.reason)
