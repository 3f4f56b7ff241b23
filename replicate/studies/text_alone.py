"""What one run of text alone would print, and whether an objection changes what follows from it.

The paper prints single runs with audio and none without. So text alone has to be described as it
would be printed: as a single run, on a split and with a seed of its own. Of runs that each draw
both, `intervals.prediction_interval` says where the next one would lie.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from replicate.paper import TABLE_4, TESTED
from replicate.runs.experiments import CHOICES, GRIDS, random_fold
from replicate.runs.selection import Selection, load_baselines, under, whole_rounds
from replicate.runs.selection import load as load_runs
from replicate.runs.store import SELECTIONS
from replicate.settings import BATCHES, RESULTS, TREATMENTS
from replicate.stats.hypothesis_tests import LEVEL, between, holm, mean_difference
from replicate.stats.intervals import (
    Interval,
    mean_over_clusters,
    prediction_interval,
    without_spread,
)
from replicate.stats.power import detectable
from replicate.stats.summaries import by_run, less_held_out

#: The printed accuracy that text alone is held against: the best whose embeddings are trained, too.
TARGET = float(TABLE_4["accuracy"].max())

#: Field of the configuration -> the objection that another reading of it answers.
OBJECTIONS = {
    "training.tokens": "tokenisation",
    "training.vocabulary": "tokenisation",
    "training.subsampling": "Equation 1",
    "training.frequency": "Equation 1",
    "architecture.padding": "padding",
}

Verdict = Literal["no", "yes", "cannot be told", "another question"]


# --- what is stored ---


@dataclass(frozen=True)
class TextAlone:
    """All that is stored of text alone on one corpus; each selection may be empty."""

    runs: Selection  # by the paper's protocol, with every reading of what it leaves open
    development: Selection  # the same with a tenth of the training part kept to choose the epoch
    baselines: Selection  # results of simple classifiers

    def by(self, epoch: str) -> Selection:
        """All runs that have this choice of the epoch, see `replicate.runs.store.SELECTIONS`."""
        return (self.development if epoch == "development-best" else self.runs).at(epoch)

    def drawn(self, epoch: str, embedding: str = "", choice: str = "") -> Selection:
        """The runs on random splits of their own; by default our reading with either embedding."""
        return self.by(epoch).of("text", embedding or (), "own", choice)

    def held_out(self, kind: str, epoch: str) -> Selection:
        """The runs of our reading with groups of one kind held out, whole rounds of them."""
        chosen = self.by(epoch).of("text", folds=kind)
        return replace(chosen, runs=tuple(whole_rounds(chosen.runs, self.baselines)))


def load(corpus: str, root: Path = RESULTS) -> TextAlone:
    """What is stored; baselines of another version of the corpus than the runs' are left out."""
    runs, development = (
        load_runs(corpus, profile, choices=True, root=root) for profile in ("paper", "paper-dev")
    )
    baselines = load_baselines(corpus, root)
    seen = {run.provenance.text_fingerprint for run in (*runs, *development)}
    same = tuple(b for b in baselines if not seen or b.provenance.text_fingerprint in seen)
    return TextAlone(runs, development, replace(baselines, runs=same))


def single_runs(selections: Iterable[Selection]) -> pd.DataFrame:
    """`summaries.by_run` of each run on a random split of its own, with its `name` and `epoch`."""
    parts = []
    for some in selections:
        own = tuple(r for r in some if r.experiment.fold == random_fold("own", r.experiment.seed))
        answers = replace(some, runs=own).answers()
        names = answers.groupby("run")["name"].first()
        parts.append(by_run(answers).assign(name=names.to_numpy(), epoch=some.epoch))
    return pd.concat(parts, ignore_index=True)


def accuracies(runs: Selection) -> pd.Series:
    """Accuracy of each run of one model on a split of its own: index the fold's name."""
    return single_runs([runs]).set_index("fold")["accuracy"]


# --- one more run ---


def chance(accuracy: float, n: float) -> float:
    """Standard deviation of accuracy by the luck of n test utterances alone: sqrt(p (1 - p) / n).

    >>> round(chance(0.5, 100), 3)
    0.05
    """
    return float(np.sqrt(accuracy * (1 - accuracy) / n))


def p_value_of_next(values: ArrayLike, value: float) -> float:
    """P value of a value as one more of the same kind: Student's t, two-sided.

    t = (value - mean) / (s sqrt(1 + 1/n)) with n - 1 degrees of freedom. It is below 0.05 just
    where the value lies outside `intervals.prediction_interval`; NaN where that has no ends.

    >>> low, high = prediction_interval([0.60, 0.64, 0.66])
    >>> round(p_value_of_next([0.60, 0.64, 0.66], high), 3)
    0.05
    """
    gap = mean_difference(np.asarray(values) - value, overlap=1)  # as of one more value
    return gap.p_value if gap.spread > 0 else np.nan


def left(printed: float, one_run: Interval) -> Interval:
    """The difference between a printed single run and the mean of text alone: its 95 % interval.

    Both runs are taken to scatter alike: then it is the interval for one run, seen from the print.

    >>> difference = left(0.75, Interval(0.5, 0.625))
    >>> difference.low, difference.high
    (0.125, 0.25)
    """
    return Interval(printed - one_run.high, printed - one_run.low)


def passes_again(single: pd.Series) -> float:
    """How often the interval for one run of as many other runs would reach `TARGET`.

    The upper end of such an interval is uncertain itself. If runs are normal with the mean and the
    standard deviation of these, the distance of `TARGET` from a new mean, in new standard
    deviations, has a noncentral t distribution. NaN for runs `without_spread`.
    """
    if without_spread(single):
        return np.nan
    n = len(single)
    reach = stats.t.ppf(1 - LEVEL / 2, n - 1) * np.sqrt(n + 1)
    shift = np.sqrt(n) * (TARGET - single.mean()) / single.std()
    return float(stats.nct.cdf(reach, n - 1, shift))


def by_epoch(runs: Selection) -> pd.DataFrame:
    """Test accuracy after each epoch: index epoch; `mean`, and `low` and `high` of one run."""
    curves = [run.epochs.set_index("epoch")["test_accuracy"] for run in runs]
    table = pd.concat(curves, axis="columns").dropna()
    ends = [prediction_interval(row) for row in table.to_numpy()]
    return pd.DataFrame(ends, table.index).assign(mean=table.mean(axis="columns"))


def pairs_can_show(spread: float, n: int, overlap: float) -> tuple[float, float]:
    """What pairs of runs on random splits can show, by Nadeau and Bengio's correction.

    The standard error of the mean of n differences is `spread` * sqrt(1/n + n_test/n_train).

    Returns:
        The true difference that is found with probability `power.POWER`, and how far the 90 %
        interval, by which two models are shown to be alike, reaches to either side.

    >>> [round(value, 3) for value in pairs_can_show(0.02, 10, 0.1)]
    [0.028, 0.016]
    """
    error = spread * np.sqrt(1 / n + overlap)
    seen = detectable([error * np.sqrt(n)], [n]).to_numpy()[0, 0]
    return float(seen), float(stats.t.ppf(1 - LEVEL, n - 1) * error)


# --- objections, each answered by runs as far as there are any ---


def verdict(reach: float, change: Interval, own: float = np.nan) -> Verdict:
    """Whether an objection would change what follows about `TARGET`.

    What follows is whether the interval for one run of text alone reaches `TARGET`.

    Where an objection has as many runs of its own as our reading, theirs decides. (This rule is
    younger than the runs of other epochs and batches; at first their intervals were moved, too.)

    Elsewhere, fixed before any run by another reading was made, the objection moves our interval
    as a whole by a difference that is known within an interval itself: if the answer is another one
    at both of its ends, the objection would change it, if at neither, not.

    Args:
        reach: upper end of the interval for one run by our reading.
        change: 95 % interval of the difference; NaN where there is none.
        own: as `reach`, under the objection; NaN with fewer runs.
    """
    ends = {bool(reach + end >= TARGET) for end in change} if np.isnan(own) else {own >= TARGET}
    known = not np.isnan([reach, *change]).any() if np.isnan(own) else not np.isnan(reach)
    if not known or len(ends) > 1:
        return "cannot be told"
    return "no" if ends == {bool(reach >= TARGET)} else "yes"


class Answer(NamedTuple):
    """What an objection changes in text alone, as far as there are runs."""

    objection: str
    reading: str  # a key of `CHOICES`, or words
    difference: float = np.nan
    low: float = np.nan  # its 95 % interval
    high: float = np.nan
    n: int = 0
    of: str = ""  # what the interval is over
    p: float = np.nan  # of the paired t test; NaN where nothing is paired
    one_run_high: float = np.nan  # of the interval for one run; NaN with fewer runs than ours


def answered(text: TextAlone, cut: TextAlone, epoch: str) -> pd.DataFrame:
    """Every objection, answered as far as there are runs.

    Args:
        text: on the published transcripts.
        cut: on as many utterances of each class as the paper has.
        epoch: one of `SELECTIONS`.

    Returns:
        One row an `Answer`, by objection; `p_holm`; `by_change` and `by_own_runs`, by either rule
        of `verdict` whether the conclusion changes. No rows without runs by our reading.
    """
    ours = text.drawn(epoch, "trainable")
    if not ours:
        return pd.DataFrame(columns=[*Answer._fields, "p_holm", "by_change", "by_own_runs"])
    answers = [*_otherwise(text, ours), *_other_folds(text, ours), *_other_cohort(cut, ours)]
    rows = pd.DataFrame(answers).sort_values("objection", kind="stable", ignore_index=True)
    known = rows["p"].notna()
    rows.loc[known, "p_holm"] = holm(rows.loc[known, "p"]) if known.any() else np.nan
    reach, nothing = prediction_interval(accuracies(ours)).high, pd.Series(np.nan, rows.index)
    return rows.assign(
        by_change=_verdicts(rows, reach, nothing),
        by_own_runs=_verdicts(rows, reach, rows["one_run_high"]),
    )


def _verdicts(rows: pd.DataFrame, reach: float, own: pd.Series) -> list[Verdict]:
    """Of each row; the paper has no number for groups held out, so that is another question."""
    changes = map(Interval, rows["low"], rows["high"])
    return [
        "another question" if objection == "split" else verdict(reach, change, one_run)
        for objection, change, one_run in zip(rows["objection"], changes, own, strict=True)
    ]


def _otherwise(text: TextAlone, ours: Selection) -> Iterator[Answer]:
    """By runs of the same seeds and splits that do otherwise, if any."""
    for epoch in SELECTIONS:
        if epoch != ours.epoch:
            yield _paired("epoch", epoch, text.drawn(epoch, "trainable"), ours)
    for treatment in BATCHES:  # only the last epoch's model was asked again in other batches
        asked = [under(run, treatment) for run in ours]
        again = replace(ours, runs=tuple(asked) if ours.epoch == "last-epoch" else ())
        yield _paired("test batches", TREATMENTS[treatment], again, ours)
    for choice in filter(None, GRIDS["text-choices"].choices):
        objection = OBJECTIONS.get(next(iter(CHOICES[choice])), "hyperparameters")
        yield _paired(objection, choice, text.drawn(ours.epoch, "trainable", choice), ours)


def _paired(objection: str, reading: str, runs: Selection, ours: Selection) -> Answer:
    """What runs under an objection differ by from ours on the same splits."""
    other, single = accuracies(runs), accuracies(ours)
    mean = mean_difference((other - single).dropna(), ours.runs[0].provenance.overlap)
    if not mean.n:
        return Answer(objection, reading)
    gap, own = (mean.difference, mean.low, mean.high), _own(other, single)
    return Answer(objection, reading, *gap, mean.n, "seeds", mean.p_value, own)


def _own(other: pd.Series, single: pd.Series) -> float:
    """The upper end of an objection's own interval, if it has as many runs as ours."""
    return prediction_interval(other).high if len(other) == len(single) else np.nan


def _other_folds(text: TextAlone, ours: Selection) -> Iterator[Answer]:
    """By runs with groups held out: of the same utterances; the interval draws whole dialogues."""
    for kind in ("session", "scenario"):
        answer, groups = Answer("split", f"a {kind} held out"), text.held_out(kind, ours.epoch)
        if groups and text.baselines:  # which know all groups of a kind
            answers = pd.concat([ours.answers(), groups.answers()])
            right = answers["predicted"] == answers["emotion"]
            lost = less_held_out(answers.assign(right=right), kind)
            dialogues = lost.index.get_level_values("dialogue")
            gained = mean_over_clusters(-lost, dialogues)
            answer = Answer(*answer[:2], *gained, dialogues.nunique(), "dialogues")
        yield answer


def _other_cohort(cut: TextAlone, ours: Selection) -> Iterator[Answer]:
    """By bounds on what is tested; and by runs on fewer utterances, whose splits are others."""
    made_by, bounds = ours.runs[0].provenance, without_surplus(ours)
    fewer = f"{made_by.n_test - TESTED} test utterances fewer, any"
    yield Answer("cohort", fewer, np.nan, *bounds, len(ours), "seeds, bounds")
    other, single = accuracies(cut.drawn(ours.epoch, "trainable")), accuracies(ours)
    answer = Answer("cohort", "trained and tested on the paper's numbers of each class")
    if len(other):
        apart = between(other, single, made_by.overlap)
        answer = Answer(*answer[:2], *apart, len(other), "seeds, other splits")
        answer = answer._replace(one_run_high=_own(other, single))
    yield answer


def without_surplus(runs: Selection) -> Interval:
    """Bounds on what leaving out a test part's surplus over the paper's could do to accuracy.

    The lower one if every utterance left out was answered rightly, the upper one if none was:
    (k - (n - N)) / N - k / n and k / N - k / n for k right answers to n utterances, of which N
    stay; means over runs.
    """
    rows = by_run(runs.answers())
    n, p = rows["n_utterances"], rows["accuracy"]
    low, high = (((p * n - left_out) / TESTED - p).mean() for left_out in (n - TESTED, 0))
    return Interval(float(low), float(high))
