"""Objections to what text alone shows, each answered by runs as far as there are any."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from replicate import comparison, metrics, paper, text_alone
from replicate.audit import TESTED
from replicate.comparison import LEVEL
from replicate.corpora import at_hand
from replicate.corpora.standin.channels import COUNTS as SIZES
from replicate.experiments import CHOICES, GRIDS
from replicate.judging import UNKNOWN
from replicate.metrics import Interval
from replicate.protocol import EMOTIONS
from replicate.report import plots
from replicate.report.audio_gain import epoch, needed, sources_of
from replicate.report.layout import ABSENT, number, signed, signed_interval, small
from replicate.report.provenance import (
    PAPER,
    Exhibit,
    Missing,
    Source,
    of_judged,
    of_runs,
    or_notice,
    picture,
    table,
)
from replicate.risks import BATCHES
from replicate.runs import SELECTIONS, Run
from replicate.studies import choices
from replicate.text_alone import TARGET, TextAlone, Verdict, accuracies
from replicate.treatments import TREATMENTS

#: Of what rests on the class sizes too.
LABELS = Source("numbers of IEMOCAP's labels", synthetic=False, corpus=False)

#: Field of the configuration -> the objection that another reading of it answers.
OBJECTIONS = {
    "training.tokens": "tokenisation",
    "training.vocabulary": "tokenisation",
    "training.subsampling": "Equation 1",
    "training.frequency": "Equation 1",
    "architecture.padding": "padding",
}


#: How the cohort's objection is answered by runs.
CUT = "trained and tested on the paper's numbers of each class"


#: What `in_words` tells.
IN_WORDS = (
    "objections", "elsewhere", "fixed_yes", "fixed_no", "fixed_untold", "own_yes", "own_no",
    "changed_by", "again", "moving", "moving_yes", "lifting",
)  # fmt: skip


class Answer(NamedTuple):
    """What an objection changes: text alone under it, less text alone by our reading.

    `own` is the upper end of the interval for one run under it, NaN with fewer runs than ours;
    `p_value` that of a paired t test of the difference, NaN where nothing is paired.
    """

    objection: str
    reading: str
    difference: float
    change: Interval
    rests_on: str
    own: float = np.nan
    p_value: float = np.nan

    def verdict(self, reach: float) -> Verdict:
        """Whether it changes the conclusion; `reach` as of `text_alone.verdict`."""
        return self._judged(reach, self.own)

    def by_change(self, reach: float) -> Verdict:
        """The same by the rule that was fixed first, which knows no runs of its own."""
        return self._judged(reach, np.nan)

    def _judged(self, reach: float, own: float) -> Verdict:
        if self.objection == "split":  # the paper has no number for groups held out
            return "another question"
        return text_alone.verdict(reach, self.change, own)


def answers(text: TextAlone, selection: str) -> list[Answer]:
    """Every objection, answered as far as there are runs."""
    return [
        *_other_epochs(text, selection),
        *_other_batches(text, selection),
        *_other_folds(text, selection),
        *_other_cohort(text, selection),
        *_other_readings(text, selection),
    ]


def _other_epochs(text: TextAlone, selection: str) -> Iterator[Answer]:
    runs = text.drawn(selection)
    for other in SELECTIONS:
        if other != selection:
            found = accuracies(text.drawn(other), other)
            yield _over_seeds("epoch", epoch(other), found, runs, selection)


def _other_batches(text: TextAlone, selection: str) -> Iterator[Answer]:
    """Only the last epoch's model was asked again in other batches."""
    runs = text.drawn(selection)
    asked = runs if selection == "last-epoch" else []
    for treatment in BATCHES:
        found = text_alone.treated(asked, treatment)
        yield _over_seeds("padding", TREATMENTS[treatment], found, runs, selection)


def _over_seeds(
    objection: str, reading: str, found: pd.Series, runs: Sequence[Run], selection: str
) -> Answer:
    """An answer by differences over runs of the same seed and split."""
    differences = (found - accuracies(runs, selection)).dropna()
    if differences.empty:
        return Answer(objection, reading, np.nan, UNKNOWN, ABSENT)
    mean = comparison.mean_difference(differences, runs[0].provenance.overlap)
    ends = Interval(mean.low, mean.high)
    own = _own(found, runs)
    rests_on = f"{mean.n} seeds"
    return Answer(objection, reading, mean.difference, ends, rests_on, own, mean.p_value)


def _own(found: pd.Series, ours: Sequence[Run]) -> float:
    """`Answer.own` of the accuracies under an objection."""
    return _reach(found) if len(found) == len(ours) else np.nan


def _reach(single: pd.Series) -> float:
    """Upper end of the interval for one more run."""
    return metrics.prediction_interval(single).high


def _other_folds(text: TextAlone, selection: str) -> Iterator[Answer]:
    for kind in ("session", "scenario"):
        found = text_alone.elsewhere(text, kind, selection)
        reading = f"a {kind} held out"
        if found.empty:
            yield Answer("split", reading, np.nan, UNKNOWN, ABSENT)
        for row in found.to_dict("records"):
            ends = Interval(row["low"], row["high"])
            yield Answer("split", reading, row["difference"], ends, f"{row['n']} dialogues")


def _other_cohort(text: TextAlone, selection: str) -> Iterator[Answer]:
    """By bounds on what is tested; and by runs on fewer utterances, whose splits are others."""
    runs, single = text.drawn(selection), accuracies(text.drawn(selection), selection)
    reading = f"{runs[0].provenance.n_test - TESTED} test utterances fewer, any"
    bounds = text_alone.without_surplus(runs, selection)
    yield Answer("cohort", reading, np.nan, bounds, f"bounds, {len(runs)} seeds")
    cut = accuracies(text.smaller.drawn(selection), selection)
    if cut.empty:
        yield Answer("cohort", CUT, np.nan, UNKNOWN, ABSENT)
    else:
        found = comparison.between(cut, single, runs[0].provenance.overlap)
        ends, rests = Interval(found.low, found.high), f"{len(cut)} seeds, other splits"
        yield Answer("cohort", CUT, found.value, ends, rests, _own(cut, runs))


def _other_readings(text: TextAlone, selection: str) -> Iterator[Answer]:
    runs = text.drawn(selection)
    for choice in filter(None, GRIDS["text-choices"].choices):
        objection = OBJECTIONS.get(next(iter(CHOICES[choice])), "hyperparameters")
        found = accuracies(text.drawn(selection, choice=choice), selection)
        yield _over_seeds(objection, choice, found, runs, selection)


def _protocol(text: TextAlone, selection: str) -> pd.DataFrame:
    """What another split, epoch or test batch changes, as far as there are runs: a row each."""
    expected = {choice.choice: choice.impact for choice in paper.OPEN_CHOICES}
    given = {
        "split": _other_folds(text, selection),
        "model selection": _other_epochs(text, selection),
        "test batches": _other_batches(text, selection),
    }
    rows = {
        answer.reading: {
            "value": answer.difference,
            "low": answer.change.low,
            "high": answer.change.high,
            "impact": f"{choice} ({expected[choice]})",
        }
        for choice, answers_of in given.items()
        for answer in answers_of
    }
    found = pd.DataFrame.from_dict(rows, orient="index").dropna()
    return found.sort_values("value", key=abs, ascending=False)


@or_notice
def protocol(text: TextAlone, selection: str) -> Exhibit:
    """What another split, epoch or test batch changes, beside what the paper compares."""
    runs = needed(text, selection)
    found = _protocol(text, selection)
    if found.empty:
        command = f"replicate run --corpus {at_hand(text.corpus)} --profile paper"
        raise Missing(
            f"Text alone has no runs by another protocol on {text.corpus}.",
            f"{command} --grid text-sessions",
        )
    used = [*runs, *(run for other in SELECTIONS for run in text.drawn(other))]
    used += [run for kind in ("session", "scenario") for run in text.held_out(kind, selection)]
    alt = "; ".join(f"{name}: {signed(row.value)}" for name, row in found.iterrows())
    caption = (
        f"Accuracy of text alone ({epoch(selection)}) under another protocol less that under ours. "
        f"Epochs and batches: {len(runs)} seeds with a split each, t intervals with Nadeau and "
        "Bengio's correction. Groups held out: the same utterances, whole dialogues drawn. In "
        "brackets stands the impact that was expected. Band: "
        "how far the best and the worst of Table 4 lie apart in print."
    )
    bands = {"best less worst of Table 4, in print": choices.PRINTED}
    figure = plots.effects(found, bands, "difference in accuracy")
    return picture(figure, alt, caption, of_judged(used, selection))


def protocol_in_words(text: TextAlone, selection: str) -> str:
    """What of the protocol surely moves accuracy more than Table 4's models differ, for prose."""
    found = _protocol(text, selection) if text.drawn(selection) else pd.DataFrame()
    if found.empty:
        return ABSENT
    sure = (found["low"] > choices.PRINTED) | (found["high"] < -choices.PRINTED)
    told = [f"{name} ({signed(row.value)})" for name, row in found[sure].iterrows()]
    return ", ".join(told) or "nothing"


def corrected(given: Sequence[Answer]) -> pd.Series:
    """P values of the answers with Holm's correction, NaN where nothing is paired."""
    p_values = pd.Series([answer.p_value for answer in given], dtype=float)
    if p_values.notna().any():
        p_values[p_values.notna()] = comparison.holm(p_values.dropna())
    return p_values


@or_notice
def objections(text: TextAlone, selection: str) -> Exhibit:
    """Each objection with what it changes, and whether that would change the conclusion."""
    ours = needed(text, selection)
    reach = _reach(accuracies(ours, selection))
    given = sorted(answers(text, selection), key=lambda answer: answer.objection)
    frame = pd.DataFrame(
        {
            "objection": [answer.objection for answer in given],
            "instead": [plainly(answer.reading) for answer in given],
            "changes text alone by": [signed(answer.difference) for answer in given],
            "95 %": [signed_interval(*answer.change) for answer in given],
            "p, corrected": corrected(given).map(small),
            "rests on": [answer.rests_on for answer in given],
            "one run ends at": [number(answer.own) for answer in given],
            "changes the conclusion": [answer.by_change(reach) for answer in given],
            "by its own runs": [answer.verdict(reach) for answer in given],
        }
    )
    caption = (
        f"What each objection changes in text alone ({epoch(selection)}), and whether the "
        f"interval for one run, which ends at {reach:.3f}, would then reach {TARGET} where it does "
        "not, or no longer where it does. Seeds: paired over them, with Nadeau and Bengio's "
        "correction; p of the t test, with Holm's correction, too. Dialogues: the same "
        "utterances, whole dialogues drawn; the paper holds none out, so that is another question. "
        "By its own runs: with as many as ours, by the end of its own interval for one run, as if "
        "that end were known."
    )
    used = [run for run in text.chosen(selection) if run.experiment.embedding == "trainable"]
    others = [text.smaller.drawn(selection), *(text.drawn(other) for other in SELECTIONS)]
    sources = sources_of([used, *others])
    return table(frame, caption, [*sources, PAPER], index=False)


@or_notice
def cohort(text: TextAlone) -> Exhibit:
    """Utterances of each class, in the paper's cohort and here."""
    here = text_alone.class_sizes(text)
    if here.empty:
        raise Missing(
            f"The classes of {text.corpus} have not been counted.",
            f"replicate baselines --corpus {at_hand(text.corpus)} --folds session",
        )
    frame = pd.DataFrame({"the paper's cohort": pd.Series(SIZES, EMOTIONS), "here": here}).loc[
        list(EMOTIONS)
    ]
    frame.loc["all"] = frame.sum()
    frame["more"] = frame["here"] - frame["the paper's cohort"]
    shown = frame.map("{:,}".format)
    simple = [r for r in text.simple if r.experiment.fold.kind == "session"]
    caption = (
        "Utterances of each class. The paper's cohort: IEMOCAP's own labels, excitement merged "
        "into happiness, which add up to the paper's total."
    )
    return table(shown, caption, [*of_runs(simple), LABELS])


def in_words(text: TextAlone) -> dict[str, str]:
    """How many objections would change the conclusion, for the prose.

    `fixed_yes`, `fixed_no`, `fixed_untold` count by the rule that was fixed first, `own_yes` and
    `own_no` by the ends of their own intervals, and `changed_by` names the former of these;
    `again`: how often that of as many other runs of our own reading would reach `TARGET`;
    `moving` and `moving_yes`: how many changes, of all and of the former, differ from zero.
    """
    ours = text.drawn("last-epoch")
    if len(ours) < 2:
        return dict.fromkeys(IN_WORDS, ABSENT)
    single = accuracies(ours, "last-epoch")
    given, reach = answers(text, "last-epoch"), _reach(single)
    fixed, own = ([rule(a, reach) for a in given] for rule in (Answer.by_change, Answer.verdict))
    yes = [k for k, verdict in enumerate(own) if verdict == "yes"]
    p_values = corrected(given)
    values = (
        len(given) - own.count("another question"), own.count("another question"),
        *(fixed.count(verdict) for verdict in ("yes", "no", "cannot be told")),
        len(yes), own.count("no"),
        "; ".join(plainly(given[k].reading) for k in yes) or "none",
        ABSENT if metrics.without_spread(single) else f"{text_alone.passes_again(single):.0%}",
        f"{(p_values < LEVEL).sum()} of {p_values.notna().sum()}",
        f"{(p_values.iloc[yes] < LEVEL).sum()}",
        _lifting(given, reach),
    )  # fmt: skip
    return dict(zip(IN_WORDS, map(str, values), strict=True))


def _lifting(given: Sequence[Answer], reach: float) -> str:
    """What it takes to change the conclusion, in a sentence."""
    lacking = TARGET - reach
    if lacking <= 0:
        return (
            "Here the printed accuracy lies within the interval or below it, so an objection could "
            "change that by lowering text alone, or if its runs scatter less. A “no” is cheap "
            "where the interval for one run is wide: then the size of the change says more than "
            "the word."
        )
    paired = [a for a in given if not np.isnan(a.change.high) and a.objection != "split"]
    able = sum(answer.change.high >= lacking for answer in paired)
    return (
        "Here the printed accuracy lies above the interval, so an objection could change that by "
        f"lifting text alone by {lacking:.3f}, as {able} of the {len(paired)} may that are "
        "answered, or if its runs scatter more."
    )


def plainly(reading: str) -> str:
    """A reading in words, where it is a key of `CHOICES`."""
    if reading not in CHOICES:
        return reading
    words = choices.reading(reading)
    against = " (against the print)" if words.impact == choices.SETTING else ""
    return f"{words.subject}: {words.other}{against}"
