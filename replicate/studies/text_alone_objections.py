"""Objections to what text alone shows, each answered by runs as far as there are any."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import pandas as pd

from replicate import paper
from replicate.runs.experiments import CHOICES, GRIDS
from replicate.runs.selection import Selection, under
from replicate.runs.store import SELECTIONS
from replicate.settings import BATCHES, TREATMENTS
from replicate.stats import hypothesis_tests
from replicate.stats.intervals import Interval, prediction_interval
from replicate.studies.text_alone import TESTED, TextAlone, Verdict, accuracies, paired, verdict

#: Field of the configuration -> the objection that another reading of it answers.
OBJECTIONS = {
    "training.tokens": "tokenisation",
    "training.vocabulary": "tokenisation",
    "training.subsampling": "Equation 1",
    "training.frequency": "Equation 1",
    "architecture.padding": "padding",
}

#: Objections to the protocol -> the open choice of the paper that they are about.
PROTOCOL = {"split": "split", "epoch": "model selection", "test batches": "test batches"}

#: How the cohort's objection is answered by runs.
CUT = "trained and tested on the paper's numbers of each class"

#: What an answer lacks where there are no runs.
_UNKNOWN = {
    "difference": np.nan, "low": np.nan, "high": np.nan, "p": np.nan, "one_run_high": np.nan,
    "n": 0, "of": "",
}  # fmt: skip

#: Columns with a verdict, by the rule fixed first and by an objection's own runs.
RULES = ("by_change", "by_own_runs")

Answer: TypeAlias = dict[str, float | int | str]


def answered(text: TextAlone, cut: TextAlone, epoch: str) -> pd.DataFrame:
    """Every objection, answered as far as there are runs.

    Args:
        text: on the published transcripts.
        cut: on as many utterances of each class as the paper has.
        epoch: how it was chosen, see `replicate.runs.store.SELECTIONS`.

    Returns:
        One row an objection and reading, by objection: `objection`, `reading` (a key of `CHOICES`,
        or words); what it changes in text alone, `difference` with `low` and `high`; `p` of the
        paired t test and `p_holm`, NaN where nothing is paired; `one_run_high`, the upper end of
        the interval for one run under the objection, NaN with fewer runs than ours; `n` and `of`,
        what the interval is over; `by_change` and `by_own_runs`, by either rule of
        `text_alone.verdict` whether the conclusion changes. No rows without runs by our reading.
    """
    ours = text.drawn(epoch, "trainable")
    if not ours:
        return pd.DataFrame(columns=["objection", "reading", *_UNKNOWN, "p_holm", *RULES])
    single = accuracies(ours)
    others: list[Answer] = [
        {"objection": objection, "reading": reading, **_paired(accuracies(runs), single, ours)}
        for objection, reading, runs in _otherwise(text, ours)
    ]
    others += [*_other_folds(text, epoch), *_other_cohort(cut, single, ours)]
    rows = pd.DataFrame([{**_UNKNOWN, **answer} for answer in others])
    rows = rows.sort_values("objection", kind="stable", ignore_index=True)
    known = rows["p"].notna()
    rows.loc[known, "p_holm"] = (
        hypothesis_tests.holm(rows.loc[known, "p"]) if known.any() else np.nan
    )
    reach, no_runs = _one_run_high(single), pd.Series(np.nan, rows.index)
    return rows.assign(
        by_change=_verdicts(rows, reach, no_runs),
        by_own_runs=_verdicts(rows, reach, rows["one_run_high"]),
    )


def _verdicts(rows: pd.DataFrame, reach: float, own: pd.Series) -> list[Verdict]:
    """Of each row; the paper has no number for groups held out, so that is another question."""
    ends = rows[["low", "high"]].to_numpy(dtype=float)
    return [
        "another question"
        if objection == "split"
        else verdict(reach, Interval(*change), one_run_high)
        for objection, change, one_run_high in zip(rows["objection"], ends, own, strict=True)
    ]


def _one_run_high(single: pd.Series) -> float:
    """Upper end of the interval for one more run."""
    return prediction_interval(single).high


def _otherwise(text: TextAlone, ours: Selection) -> Iterator[tuple[str, str, Selection]]:
    """Objection, reading and runs of the same seeds and splits that do otherwise, if any."""
    for epoch in SELECTIONS:
        if epoch != ours.epoch:
            yield "epoch", epoch, text.drawn(epoch, "trainable")
    for treatment in BATCHES:  # only the last epoch's model was asked again in other batches
        asked = [under(run, treatment) for run in ours]
        again = replace(ours, runs=tuple(asked) if ours.epoch == "last-epoch" else ())
        yield "test batches", TREATMENTS[treatment], again
    for choice in filter(None, GRIDS["text-choices"].choices):
        objection = OBJECTIONS.get(next(iter(CHOICES[choice])), "hyperparameters")
        yield objection, choice, text.drawn(ours.epoch, "trainable", choice)


def _paired(other: pd.Series, single: pd.Series, ours: Selection) -> Answer:
    """What accuracies under an objection differ by from ours, on the same splits."""
    mean = paired(other, single, ours.runs[0].provenance.overlap)
    if not mean.n:
        return {}
    return {
        "difference": mean.difference, "low": mean.low, "high": mean.high, "p": mean.p_value,
        "one_run_high": _own(other, single), "n": mean.n, "of": "seeds",
    }  # fmt: skip


def _own(other: pd.Series, single: pd.Series) -> float:
    """The upper end of an objection's own interval, if it has as many runs as ours."""
    return _one_run_high(other) if len(other) == len(single) else np.nan


def _other_cohort(cut: TextAlone, single: pd.Series, ours: Selection) -> Iterator[Answer]:
    """By bounds on what is tested; and by runs on fewer utterances, whose splits are others."""
    fewer, bounds = ours.runs[0].provenance.n_test - TESTED, without_surplus(ours)
    yield {
        "objection": "cohort", "reading": f"{fewer} test utterances fewer, any", "low": bounds.low,
        "high": bounds.high, "n": len(ours), "of": "seeds, bounds",
    }  # fmt: skip
    other = accuracies(cut.drawn(ours.epoch, "trainable"))
    answer: Answer = {"objection": "cohort", "reading": CUT}
    if len(other):
        apart = hypothesis_tests.between(other, single, ours.runs[0].provenance.overlap)
        answer |= {
            "difference": apart.value, "low": apart.low, "high": apart.high,
            "one_run_high": _own(other, single), "n": len(other), "of": "seeds, other splits",
        }  # fmt: skip
    yield answer


def without_surplus(runs: Selection) -> Interval:
    """Bounds on what leaving out a test part's surplus over the paper's could do to accuracy.

    The lower one if every utterance left out was answered rightly, the upper one if none was:
    (k - (n - N)) / N - k / n and k / N - k / n for k right answers to n utterances, of which N
    stay; means over runs.
    """
    answers = runs.answers()
    answers["right"] = answers["predicted"] == answers["emotion"]
    right = answers.groupby("run")["right"].sum()
    n = answers.groupby("run").size()
    low, high = (
        (end - right / n).mean() for end in ((right - (n - TESTED)) / TESTED, right / TESTED)
    )
    return Interval(float(low), float(high))


def _other_folds(text: TextAlone, epoch: str) -> Iterator[Answer]:
    for kind in ("session", "scenario"):
        found = elsewhere(text, kind, epoch)
        answer: Answer = {"objection": "split", "reading": f"a {kind} held out"}
        for row in found.to_dict("records"):
            answer |= {name: row[name] for name in ("difference", "low", "high", "n")}
            answer["of"] = "dialogues"
        yield answer


def elsewhere(text: TextAlone, kind: str, epoch: str) -> pd.DataFrame:
    """Accuracy with groups held out less that on random splits, of the same utterances.

    An utterance counts by how often it is answered rightly under either kind of fold.

    Returns:
        As of `hypothesis_tests.over_clusters`, which draws whole dialogues; empty without such
        runs, or without the baselines, which know all groups of a kind.
    """
    groups, random = text.held_out(kind, epoch), text.drawn(epoch, "trainable")
    if not (groups and random and text.baselines):
        return pd.DataFrame()
    answers = {kind: groups.answers(), "random": random.answers()}
    both = pd.DataFrame({name: _share_right(some) for name, some in answers.items()}).dropna()
    dialogues = answers[kind].drop_duplicates("utterance").set_index("utterance")["dialogue"]
    return hypothesis_tests.over_clusters(both, dialogues[both.index])


def _share_right(answers: pd.DataFrame) -> pd.Series:
    """How often each utterance was answered rightly, of the runs that tested it."""
    return (answers["predicted"] == answers["emotion"]).groupby(answers["utterance"]).mean()


def protocol(answers: pd.DataFrame) -> pd.DataFrame:
    """What another split, epoch or test batch changes, as far as there are runs.

    Args:
        answers: from `answered`.

    Returns:
        Index `reading`; `value`, `low`, `high`, `choice` (the open choice of the paper) and
        `impact` (which was expected of it), the largest change first.
    """
    expected = {choice.choice: choice.impact for choice in paper.OPEN_CHOICES}
    rows = answers[answers["objection"].isin(list(PROTOCOL))].dropna(subset="low")
    rows = rows.rename(columns={"difference": "value"}).set_index("reading")
    choices = rows["objection"].map(PROTOCOL)
    rows = rows.assign(choice=choices, impact=choices.map(expected))
    rows = rows.sort_values("value", key=abs, ascending=False)
    return rows[["value", "low", "high", "choice", "impact"]]
