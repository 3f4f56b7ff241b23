"""Figures of stored runs, drawn by `plots`: with caption, alternative text and sources."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from replicate import metrics, paper
from replicate.corpora.table import Corpus
from replicate.judging import printed_confusion
from replicate.report import plots
from replicate.report.layout import name_of, title
from replicate.report.provenance import (
    CHOSEN,
    PAPER,
    Exhibit,
    Missing,
    Source,
    interactive,
    of_judged,
    of_runs,
    or_notice,
    picture,
)
from replicate.report.results import Stored, words_of
from replicate.report.tables import (
    TABLE_4,
    TABLE_5,
    UNIMODAL,
    answering,
    confusion,
    on_one_split,
    ours,
    reproduced,
    text_rows,
)
from replicate.report.word_tables import printed_words
from replicate.runs import Run


@or_notice
def accuracy(
    runs: Stored, selection: str = "last-epoch", lines: Mapping[str, float] | None = None
) -> Exhibit:
    """Tables 4 and 5 and the models of one modality: intervals against the reported points.

    Args:
        runs: the runs.
        selection: which epoch.
        lines: name -> accuracy to mark, such as what the stand-in allows at best.
    """
    rows = [*TABLE_4, *TABLE_5, *UNIMODAL]
    frame = reproduced(rows, runs, selection)
    frame.index = pd.Index([title(line.model, line.embedding) for line in rows])
    caption = (
        "Accuracy with its 95 % interval over dialogues, against the reported points "
        f"({CHOSEN[selection]})."
    )
    chosen = answering(rows, runs)
    figure = plots.accuracies(frame, lines, _label(chosen))
    return picture(figure, _told(frame), caption, of_judged(chosen, selection))


def _label(runs: Sequence[Run]) -> str:
    """Of our points in `plots.accuracies`."""
    return f"{ours(runs)}, 95 % interval"


def _told(frame: pd.DataFrame) -> str:
    """Accuracies in words, for alternative text."""
    return "; ".join(
        f"{name} {row['value']:.3f}"
        + ("" if np.isnan(row["reported"]) else f", reported {row['reported']:.3f}")
        for name, row in frame.iterrows()
        if not np.isnan(row["value"])
    )


@or_notice
def text_alone(runs: Stored) -> Exhibit:
    """Text alone on real transcripts against the paper's figures."""
    frame = text_rows(runs)
    chosen = runs.of("text")
    caption = (
        f"Text alone on {chosen[0].provenance.corpus_title}, with 95 % intervals over dialogues, "
        "against what the paper quotes for text and its best model of audio and text."
    )
    figure = plots.accuracies(frame, label=_label(chosen))
    return picture(figure, _told(frame), caption, [*of_runs(chosen), PAPER])


@or_notice
def attention(runs: Stored, kind: str = "stratified", selection: str = "last-epoch") -> Exhibit:
    """Distribution of the audio's score over test utterances, all seeds, by model."""
    chosen = runs.attending(kind, selection)
    samples = metrics.pooled(chosen, selection)
    samples = samples.assign(
        name=[title(m, e) for m, e in zip(samples["model"], samples["embedding"], strict=True)]
    )
    scores = {
        str(name): part["audio_score"].to_numpy()
        for name, part in samples.groupby("name", sort=False)
    }
    alt = "; ".join(f"{name}: median {np.median(values):.2f}" for name, values in scores.items())
    caption = "Audio scores of the test utterances after training, all seeds."
    figure = plots.attention_scores(scores, printed_scores())
    return picture(figure, f"Audio scores by model. {alt}", caption, of_judged(chosen, selection))


def printed_scores() -> dict[str, float]:
    """The paper's mean audio scores by the names of models in figures."""
    return {
        title(row.model, row.embedding): row.audio_score
        for row in paper.OWN
        if row.audio_score is not None
    }


def untrained(scores: Mapping[str, np.ndarray], source: Source) -> Exhibit:
    """Audio scores of models that have learned nothing, from `anatomy.untrained_scores`."""
    named = {title(model, "trainable"): values for model, values in scores.items()}
    told = "; ".join(f"{name}: mean {values.mean():.3f}" for name, values in named.items())
    caption = (
        "Audio scores of utterances under untrained models, and the means that the paper reports "
        "for trained ones."
    )
    figure = plots.attention_scores(named, printed_scores())
    return picture(figure, f"Audio scores before training. {told}", caption, [source])


@or_notice
def learning_curves(runs: Stored, column: str, label: str) -> Exhibit:
    """A column of `Run.epochs` against the epoch, by model.

    Args:
        runs: the runs.
        column: the column.
        label: what it is.
    """
    chosen = on_one_split(runs.of()) or runs.lack("any model")
    parts: dict[str, list[pd.DataFrame]] = {}
    for run in chosen:
        curve = run.epochs[["epoch", column]].assign(seed=run.experiment.seed)
        parts.setdefault(name_of(run), []).append(curve)
    curves = {name: pd.concat(frames) for name, frames in parts.items()}
    ends = {
        name: c.loc[c["epoch"] == c["epoch"].max(), column].mean() for name, c in curves.items()
    }
    alt = f"{label} by epoch; at the end " + "; ".join(f"{n} {v:.3f}" for n, v in ends.items())
    caption = f"{label[0].upper()}{label[1:]} by epoch: mean over seeds and their range."
    figure = plots.learning_curves(curves, column, label)
    return interactive(figure, alt, caption, of_runs(chosen))


@or_notice
def durations(seconds: pd.DataFrame, source: Source) -> Exhibit:
    """Durations by class with their lognormal fits; columns `emotion`, `seconds`."""
    if seconds.empty:
        raise Missing("This corpus gives no durations.", "use a corpus with recordings or times")
    medians = seconds.groupby("emotion")["seconds"].median()
    alt = "Skewed histograms of durations; medians: " + "; ".join(
        f"{emotion} {value:.1f} s" for emotion, value in medians.items()
    )
    caption = "Durations by class and the lognormal that fits each."
    return interactive(plots.durations(seconds), alt, caption, [source])


@or_notice
def confusions(
    runs: Stored,
    model: str = "att_d1",
    embedding: str = "word2vec",
    kind: str = "stratified",
    selection: str = "last-epoch",
) -> Exhibit:
    """Table 7 and our matrix, rows normalised; counts are means over seeds."""
    chosen = runs.having(runs.of(model, embedding, kind), selection)
    printed, found = printed_confusion(), confusion(chosen, selection)
    name = title(model, embedding)
    figure = plots.confusions(
        {"reported (Table 7)": printed.to_numpy(), f"here: {name}": found.to_numpy()}
    )
    alt = "Share of each class called right: " + "; ".join(
        f"{e} reported {a:.2f}, here {b:.2f}"
        for e, a, b in zip(
            printed.index, metrics.recall(printed), metrics.recall(found), strict=True
        )
    )
    caption = (
        "Rows: true class, each normalised to 1; columns: predicted class; counts in brackets, "
        "means over seeds."
    )
    return picture(figure, alt, caption, of_judged(chosen, selection))


@or_notice
def words(runs: Stored, corpus: Corpus, selection: str = "last-epoch") -> Exhibit:
    """Table 6's ratios against ours."""
    run: Run = runs.of("att_d1", "word2vec")[0]
    rows = printed_words(words_of(run, corpus, selection))
    alt = "; ".join(
        f"{row['word']} reported {row['reported']:.3f}, here "
        + ("absent" if np.isnan(row["ratio"]) else f"{row['ratio']:.3f}")
        for row in rows.to_dict("records")
    )
    caption = "Ratios of Table 6's words with Wilson 95 % intervals; n occurrences in our test set."
    return picture(plots.word_ratios(rows), alt, caption, of_judged([run], selection))


def loudness(level: pd.DataFrame, source: Source) -> Exhibit:
    """Loudness of single utterances by class; columns `emotion`, `average`."""
    values = {e: level.loc[level["emotion"] == e, "average"].to_numpy() for e in plots.COLOURS}
    alt = "Overlapping histograms; medians: " + "; ".join(
        f"{emotion} {np.median(sample):.4f}" for emotion, sample in values.items()
    )
    caption = "Mean |x| of single utterances by class, full scale is 1, on a logarithmic axis."
    figure = plots.histograms(values, "mean |x| of an utterance", plots.COLOURS, log=True)
    return picture(figure, alt, caption, [source])
