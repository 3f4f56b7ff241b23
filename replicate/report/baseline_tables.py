"""Baselines beside the network's runs, on the same folds."""

import inspect
from collections.abc import Sequence
from typing import NoReturn

import numpy as np
import pandas as pd

from replicate import metrics, paper
from replicate.baseline_runs import FOLDS, BaselineRun, dialogues
from replicate.baselines import BASELINES, Predict
from replicate.comparison import resolvable
from replicate.corpora import at_hand
from replicate.metrics import Tested
from replicate.report import plots
from replicate.report.layout import ABSENT, interval, intervals, number, title, whole
from replicate.report.provenance import (
    PAPER,
    Exhibit,
    Missing,
    of_code,
    of_runs,
    or_notice,
    picture,
    table,
)
from replicate.report.results import Stored
from replicate.runs import Run

#: The paper's best model with each kind of embeddings: what the look-ups have to be held against.
PRINTED = {
    f"{title(row.model, row.embedding)}, reported": row.accuracy
    for row in (max(rows, key=lambda row: row.accuracy) for rows in (paper.TABLE_4, paper.TABLE_5))
}

#: Kind of fold -> how a column calls it.
HELD_OUT = {"stratified": "at random", **{kind: f"one {kind}" for kind in FOLDS[1:]}}

#: Bins of the reliability figure: fewer than for the error, so that single points tell something.
BINS = 5

#: The models whose probabilities the reliability figure compares, one panel each.
PANELS = {
    "baselines": ("tfidf", "loudness", "mfcc", "late-fusion"),
    "the paper's model": ("audio", "text", "concat", "att_d1"),
}


def described() -> Exhibit:
    """Every baseline with what it does."""
    frame = pd.DataFrame(
        {
            "what it does": [_sentences(b.predict) for b in BASELINES.values()],
            "it reads": [" and ".join(b.needs) or "ids and times" for b in BASELINES.values()],
        },
        index=pd.Index([b.title for b in BASELINES.values()], name="baseline"),
    )
    return table(frame, "The baselines.", [of_code()], wordy=True)


def _sentences(predict: Predict) -> str:
    return " ".join((inspect.getdoc(predict) or "").split())


def comparable(results: Sequence[BaselineRun], runs: Stored, kind: str) -> list[Tested]:
    """Baselines, then runs, on those folds of one version of the corpus that all of them have.

    Raises:
        Missing: if there are no baselines, or no such folds.
    """
    trained = [run for run in runs.runs if run.experiment.fold.kind == kind]
    found: list[Tested] = [*of_kind(results, runs.corpus, kind), *trained]
    folds: dict[str, set[tuple[str, str]]] = {}
    for one in found:
        folds.setdefault(titled(one), set()).add(_fold(one))
    shared = set.intersection(*folds.values())
    if not shared:
        lack(runs.corpus, kind, "baselines on the folds of all runs")
    return [one for one in found if _fold(one) in shared]


def _fold(one: Tested) -> tuple[str, str]:
    """The name of a fold, and the version of the corpus that it divides."""
    return one.experiment.fold.name, one.provenance.text_fingerprint


def of_kind(results: Sequence[BaselineRun], corpus: str, kind: str) -> list[BaselineRun]:
    """The baselines on one kind of fold.

    Raises:
        Missing: if there are none.
    """
    chosen = [result for result in results if result.experiment.fold.kind == kind]
    return chosen or lack(corpus, kind, "baselines")


def lack(corpus: str, kind: str, wanted: str) -> NoReturn:
    """Say that there are no such results.

    Raises:
        Missing: always.
    """
    raise Missing(
        f"No {wanted} have been computed on {corpus}, {kind} folds.",
        f"replicate baselines --corpus {at_hand(corpus)} --folds {kind}",
    )


def titled(one: Tested) -> str:
    """A baseline or a model as tables call it."""
    model = one.experiment.model
    return BASELINES[model].title if model in BASELINES else title(model, one.experiment.embedding)


def summary(chosen: Sequence[Tested], results: Sequence[BaselineRun]) -> pd.DataFrame:
    """`metrics.summarise` under the titles of the rows; intervals draw whole dialogues."""
    found = metrics.summarise(chosen, "last-epoch", dialogues(results))
    return found.set_axis(list(dict.fromkeys(map(titled, chosen))))


@or_notice
def beside(results: Sequence[BaselineRun], runs: Stored, kind: str = "stratified") -> Exhibit:
    """Every baseline and every model on the same folds."""
    chosen = comparable(results, runs, kind)
    found = summary(chosen, results)
    shown: dict[str, pd.Series] = {}
    for measure, name in (("accuracy", "accuracy"), ("uar", "UAR"), ("macro_f1", "macro-F1")):
        shown[name] = found[measure].map(number)
        ends = found[f"{measure}_boot_low"], found[f"{measure}_boot_high"]
        shown[f"95 %, {name}"] = intervals(*ends)
    shown["ECE"] = found["ece"].map(number)
    shown["seeds"] = found["n_seeds"].map(whole)
    caption = (
        "Baselines and models on the same test utterances, means over seeds; a baseline has one "
        "seed a random split. Intervals draw whole dialogues. ECE: expected calibration error."
    )
    return table(pd.DataFrame(shown), caption, of_runs(chosen, "last-epoch"))


@or_notice
def reliability(results: Sequence[BaselineRun], runs: Stored, kind: str = "stratified") -> Exhibit:
    """Accuracy against confidence, of baselines and of models."""
    chosen = comparable(results, runs, kind)
    shown = [
        one for one in chosen
        if one.experiment.model in PANELS["baselines"] or one.experiment.embedding == "trainable"
        or one.experiment.model == "audio"
    ]  # fmt: skip
    samples = metrics.pooled(shown, "last-epoch")
    panels = {
        panel: {
            titled(shown[part["run"].iloc[0]]): metrics.reliability(part, BINS)
            for model in models
            if len(part := samples[samples["model"] == model])
        }
        for panel, models in PANELS.items()
    }
    told = "; ".join(
        f"{name}: confidence {np.average(curve['confidence'], weights=curve['n']):.2f}, "
        f"accuracy {np.average(curve['accuracy'], weights=curve['n']):.2f}"
        for curves in panels.values()
        for name, curve in curves.items()
    )
    caption = (
        "How often the predicted class is right, against the probability given to it, in bins of "
        "equal numbers of test utterances, all seeds. On the diagonal the probabilities are right."
    )
    return picture(plots.reliability(panels), told, caption, of_runs(shown, "last-epoch"))


def over_folds(
    results: Sequence[BaselineRun], corpus: str, runs: Sequence[Run] = ()
) -> dict[str, pd.DataFrame]:
    """Kind of fold -> every baseline's and every model's row of `metrics.summarise`, by title.

    Raises:
        Missing: if there are no baselines on random splits.
    """
    of_kind(results, corpus, "stratified")
    tested: list[Tested] = [*results, *runs]
    parts = {kind: [one for one in tested if one.experiment.fold.kind == kind] for kind in FOLDS}
    return {kind: summary(part, results) for kind, part in parts.items() if part}


@or_notice
def by_folds(results: Sequence[BaselineRun], corpus: str) -> Exhibit:
    """Accuracy of every baseline on each kind of fold, beside the paper's best."""
    columns: dict[tuple[str, str], pd.Series] = {}
    for kind, found in over_folds(results, corpus).items():
        columns[HELD_OUT[kind], "accuracy"] = found["accuracy"].map(number)
        ends = found["accuracy_boot_low"], found["accuracy_boot_high"]
        columns[HELD_OUT[kind], "95 %"] = intervals(*ends)
    printed = pd.Series(PRINTED).map(number).to_frame((HELD_OUT["stratified"], "accuracy"))
    caption = (
        "Accuracy of the baselines by what is held out, and the paper's best models, which have "
        "audio and text. Random splits: means over splits; groups held out in turn are pooled. "
        "Intervals draw whole dialogues."
    )
    frame = pd.concat([pd.DataFrame(columns), printed])
    return table(frame, caption, [*of_runs(results), PAPER])


@or_notice
def look_ups(results: Sequence[BaselineRun], corpus: str) -> Exhibit:
    """Baselines on random splits against the paper's best models."""
    chosen = of_kind(results, corpus, "stratified")
    found = summary(chosen, results)
    rows = pd.DataFrame(
        {
            "reported": np.nan,
            "value": found["accuracy"],
            "low": found["accuracy_boot_low"],
            "high": found["accuracy_boot_high"],
        }
    )
    told = "; ".join(f"{name} {value:.3f}" for name, value in rows["value"].items())
    caption = (
        "Accuracy of the baselines on random splits, with 95 % intervals that draw whole "
        "dialogues, against the paper's best models of audio and text."
    )
    figure = plots.accuracies(rows, PRINTED)
    return picture(figure, told, caption, [*of_runs(chosen), PAPER])


def power_in_words(results: Sequence[BaselineRun], kind: str, prefix: str = "") -> dict[str, str]:
    """For the prose: utterances that one seed tests, and which difference these can show.

    `least` supposes that one of two alone is right on a fifth, see `comparison.resolvable`.
    """
    tested = {
        utterance
        for result in results
        if result.experiment.fold.kind == kind and result.experiment.seed == 0
        for utterance in result.predictions["utterance"]
    }
    names = (f"{prefix}tested", f"{prefix}least")
    if not tested:
        return dict.fromkeys(names, ABSENT)
    least = resolvable(len(tested), 1 / 5)
    return dict(zip(names, (f"{len(tested):,}", f"{least:.3f}"), strict=True))


def elsewhere_in_words() -> dict[str, str]:
    """What other works print, `KEY_name` of `paper.ELSEWHERE`, for the prose."""
    return {
        f"{key}_{name.replace(' ', '_')}": f"{value:.3f}"
        for key, reported in paper.ELSEWHERE.items()
        for name, value in reported.items()
    }


def in_words(results: Sequence[BaselineRun]) -> dict[str, str]:
    """Numbers for the prose about real transcripts; `(not run yet)` where there are none.

    A baseline's name and a kind of fold, as in `nearest_turn_session`: its accuracy; with
    `_interval` on random splits.
    """
    words = {f"printed_{k}": f"{value:.3f}" for k, value in enumerate(PRINTED.values())}
    for name in ("dialogue", "dialogue-speaker", "nearest-turn", "tfidf"):
        key = name.replace("-", "_")
        for kind in ("stratified", "session", "scenario"):
            chosen = [
                result for result in results
                if result.experiment.model == name and result.experiment.fold.kind == kind
            ]  # fmt: skip
            words[f"{key}_{kind}"] = words[f"{key}_{kind}_interval"] = ABSENT
            if chosen:
                row = summary(chosen, results).iloc[0]
                words[f"{key}_{kind}"] = f"{row['accuracy']:.3f}"
                ends = interval(row["accuracy_boot_low"], row["accuracy_boot_high"])
                words[f"{key}_{kind}_interval"] = ends or "no interval"
    return words
