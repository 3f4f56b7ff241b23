"""Speakers held out in turn: tables of what each model reaches there, and numbers for the prose."""

from collections.abc import Sequence

import pandas as pd

from replicate import comparison, metrics
from replicate.experiments import FOUR
from replicate.model import FUSIONS
from replicate.protocol import Fold
from replicate.report.layout import (
    ABSENT,
    LABELS,
    interval,
    intervals,
    name_of,
    number,
    signed,
    signed_interval,
    whole,
)
from replicate.report.provenance import Exhibit, Missing, listed, of_runs, or_notice, table
from replicate.report.results import Stored
from replicate.report.tables import COLUMNS
from replicate.runs import Run

#: The models of the grid `speakers`.
SPEAKER_MODELS = [model for model, _ in FOUR]


@or_notice
def accuracies(runs: Stored, selection: str = "last-epoch") -> Exhibit:
    """Accuracy and UAR of each model where speakers were the test set in turn."""
    chosen = runs_of(runs)
    frame = rows(runs, selection)
    shown = pd.DataFrame(
        {
            "accuracy": frame["value"].map(number),
            "95 % over speakers": intervals(frame["low"], frame["high"]),
            "UAR": frame["uar"].map(number),
            "95 % over speakers ": intervals(frame["uar_low"], frame["uar_high"]),
            "seeds": frame["seeds"].map(whole),
        },
        index=frame.index,
    )
    caption = (
        f"Held out in turn: {_speakers(chosen)}; the folds of a seed are pooled. The first row is "
        "what answering the largest class always would score. The paper reports nothing on this "
        "corpus."
    )
    return table(shown, caption, of_runs(chosen, selection))


def _speakers(runs: Sequence[Run]) -> str:
    return listed("speaker", (run.experiment.fold.held_out for run in runs))


def runs_of(runs: Stored) -> list[Run]:
    """The runs with a speaker held out, on those speakers and seeds that every model has.

    Raises:
        Missing: if there are none.
    """
    parts: dict[str, set[tuple[Fold, int]]] = {}
    for run in (found := runs.of(kind="speaker")):
        parts.setdefault(name_of(run), set()).add((run.experiment.fold, run.experiment.seed))
    shared = set.intersection(*parts.values())
    return [
        run for run in found if (run.experiment.fold, run.experiment.seed) in shared
    ] or runs.lack("all models on the same speakers", "speaker")


def rows(runs: Stored, selection: str) -> pd.DataFrame:
    """As `tables.reproduced`, over speakers; the first row is the largest class always."""
    chosen = runs.having(runs_of(runs), selection)
    clusters = {
        utterance: run.experiment.fold.held_out
        for run in chosen
        for utterance in run.predictions["utterance"]
    }
    found = metrics.summarise(chosen, selection, clusters)
    true = metrics.pooled(chosen, selection).drop_duplicates("utterance")["emotion"]
    largest = [true.mode()[0]] * len(true)
    frame = found[list(COLUMNS)].rename(columns=COLUMNS)
    frame.index = pd.Index([LABELS[model] for model in found["model"]])
    chance = {"value": metrics.accuracy(true, largest), "uar": metrics.uar(true, largest)}
    return pd.concat([pd.DataFrame([chance], index=["largest class"]), frame])


def in_words(runs: Stored, selection: str = "last-epoch") -> dict[str, str]:
    """Numbers for the prose about speakers held out; `(not run yet)` where there are no runs.

    `less_audio_` a fusion is its accuracy less that of audio alone, with an interval that draws
    whole speakers and compares the two on each; `beside_audio_` says which of them is ahead.
    `least` is the difference that can be seen if one of two models alone is right on a fifth.
    """
    labels = {"largest": "largest class", **{model: LABELS[model] for model in SPEAKER_MODELS}}
    fusions = [
        f"{name}_audio_{model}"
        for name in ("less", "beside")
        for model in SPEAKER_MODELS
        if model in FUSIONS
    ]
    try:
        chosen = runs_of(runs)
    except Missing:
        chosen = []
    if not set(SPEAKER_MODELS) <= {run.experiment.model for run in chosen}:
        names = ("speakers", "seeds", "utterances", "least", "audio_interval", *labels, *fusions)
        return dict.fromkeys(names, ABSENT)
    frame = rows(runs, selection)
    value, low, high = (frame[column] for column in ("value", "low", "high"))
    samples = metrics.pooled(chosen, selection)
    n = samples["utterance"].nunique()
    return {
        "speakers": _speakers(chosen),
        "seeds": listed("seed", (run.experiment.seed for run in chosen)),
        "utterances": f"{n:,}",
        "least": f"{comparison.resolvable(n, 1 / 5):.3f}",
        "audio_interval": interval(low[labels["audio"]], high[labels["audio"]]) or "no interval",
        **{name: f"{value[row]:.3f}" for name, row in labels.items()},
        **_less_audio(chosen, selection),
    }


def _less_audio(chosen: Sequence[Run], selection: str) -> dict[str, str]:
    """Every fusion beside audio alone, as text."""
    right = comparison.answers(chosen, selection).rename(columns=lambda name: name.split("-")[0])
    clusters = right.index.get_level_values("fold")
    found = comparison.over_clusters(right, clusters, "audio").set_index("first")
    words = {}
    for model, row in found.loc[found.index.isin(FUSIONS)].iterrows():
        ends = signed_interval(row["low"], row["high"]) or "no interval"
        words[f"less_audio_{model}"] = f"{signed(row['difference'])} {ends}"
        words[f"beside_audio_{model}"] = (
            "it is ahead of audio alone" if row["low"] > 0
            else "it is behind audio alone" if row["high"] < 0
            else "neither is shown to be ahead"
        )  # fmt: skip
    return words


def mean_score(runs: Sequence[Run]) -> comparison.Estimate:
    """The mean audio score at the last epoch, with an interval that draws whole speakers."""
    samples = metrics.pooled(runs, "last-epoch")
    return comparison.mean_over_clusters(samples["audio_score"], samples["fold"])


def attention_in_words(runs: Stored) -> dict[str, str]:
    """Whether attention turns to audio where speakers are held out, for the prose.

    `score` is the mean audio score of Att_d^1, with an interval that draws whole
    speakers; `leaning` says to which side of one half it lies, `lacking` how much it lacks to 1.
    """
    try:
        chosen = [run for run in runs_of(runs) if run.experiment.model == "att_d1"]
    except Missing:
        chosen = []
    if not chosen:
        return dict.fromkeys(("score", "leaning", "lacking"), ABSENT)
    mean, low, high = mean_score(chosen)
    leaning = "to audio" if low > 0.5 else "to text" if high < 0.5 else "to neither side for sure"
    return {
        "score": f"{mean:.3f} {interval(low, high) or '(no interval)'}",
        "leaning": leaning,
        "lacking": f"{1 - mean:.3f}",
    }
