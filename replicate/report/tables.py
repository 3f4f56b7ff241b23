"""Tables of stored runs: what the paper reports beside what ours give, with intervals.

The paper's numbers come from `replicate.paper`, ours from `replicate.metrics`, `replicate.words`
and `replicate.waveforms`: here is only how they are laid out.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from replicate import metrics, paper
from replicate.corpora.table import Corpus
from replicate.judging import printed_confusion
from replicate.protocol import EMOTIONS
from replicate.report.layout import (
    LABELS,
    NBSP,
    interval,
    intervals,
    name_of,
    number,
    title,
    whole,
)
from replicate.report.page import Stored, words_of
from replicate.report.provenance import CHOSEN, Exhibit, Source, of_runs, or_notice, table
from replicate.runs import SELECTIONS, Run
from replicate.waveforms import class_averages
from replicate.words import top_words


class Line(NamedTuple):
    """A row of Tables 4 and 5: what the paper prints and which runs answer to it."""

    label: str
    model: str
    embedding: str
    accuracy: float | None
    audio_score: float | None


TABLE_4 = [Line(r.label, r.model, r.embedding, r.accuracy, r.audio_score) for r in paper.TABLE_4]


TABLE_5 = [Line(r.label, r.model, r.embedding, r.accuracy, r.audio_score) for r in paper.TABLE_5]


#: The rows that the paper quotes; those of one modality have runs of ours beside them.
QUOTED = [
    Line(
        f"{row.label} [5], quoted",
        row.same_as if row.same_as in ("audio", "text") else "",
        {"audio": "none", "text": "trainable"}.get(row.same_as, ""),
        row.accuracy,
        None,
    )
    for row in paper.TABLE_4_QUOTED
]


#: The models of one modality; the paper ran none.
UNIMODAL = [Line("Audio alone", "audio", "none", None, None),
            Line("Text alone", "text", "trainable", None, None)]  # fmt: skip


#: Columns of `metrics.summarise` -> their short names here.
COLUMNS = {
    "accuracy": "value",
    "accuracy_boot_low": "low",
    "accuracy_boot_high": "high",
    "accuracy_low": "seeds_low",
    "accuracy_high": "seeds_high",
    "uar": "uar",
    "uar_boot_low": "uar_low",
    "uar_boot_high": "uar_high",
    "audio_score": "audio",
    "n_seeds": "seeds",
}


def reproduced(lines: Sequence[Line], runs: Stored, selection: str) -> pd.DataFrame:
    """Rows of Table 4 or 5 as reported and as reproduced, NaN where a row has no runs.

    Returns:
        Index label; `reported`, `value`, `low`, `high` (over utterances), `seeds_low`,
        `seeds_high`, `seeds`, `audio_reported`, `audio`.

    Raises:
        Missing: if no row has any.
    """
    found = metrics.summarise(answering(lines, runs), selection)
    ours = found.set_index(["model", "embedding"])[list(COLUMNS)].rename(columns=COLUMNS)
    frame = ours.reindex([(line.model, line.embedding) for line in lines])
    frame.index = pd.Index([line.label for line in lines])
    accuracies = [line.accuracy for line in lines]
    frame.insert(0, "reported", pd.Series(accuracies, frame.index, dtype=float))
    scores = [line.audio_score for line in lines]
    frame["audio_reported"] = pd.Series(scores, frame.index, dtype=float)
    return frame


def answering(lines: Sequence[Line], runs: Stored) -> list[Run]:
    """The runs that answer to any of the rows.

    Raises:
        Missing: if there are none.
    """
    wanted = {(line.model, line.embedding) for line in lines}
    return [
        run for run in runs.of() if (run.experiment.model, run.experiment.embedding) in wanted
    ] or runs.lack(", ".join(line.label for line in lines))


def _accuracy_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """Reported and reproduced accuracy with both intervals, as text."""
    return pd.DataFrame(
        {
            "reported": frame["reported"].map(number),
            "reproduced": frame["value"].map(number),
            "95 % over utterances": intervals(frame["low"], frame["high"]),
            "95 % over seeds": intervals(frame["seeds_low"], frame["seeds_high"]),
            "seeds": frame["seeds"].map(whole),
        }
    )


def _side_by_side(frame: pd.DataFrame) -> pd.DataFrame:
    """Accuracy and attention scores under two headings."""
    scores = pd.DataFrame(
        {
            "reported": frame["audio_reported"].map(_scores),
            "reproduced": frame["audio"].map(_scores),
        }
    )
    return pd.concat(
        {"accuracy": _accuracy_columns(frame), "score, audio / text": scores}, axis="columns"
    )


def _scores(audio: float) -> str | None:
    """Both scores as the paper prints them; None without attention."""
    return None if np.isnan(audio) else f"{audio:.3f}{NBSP}/{NBSP}{1 - audio:.3f}"


@or_notice
def table_4(runs: Stored, selection: str = "last-epoch") -> Exhibit:
    """Table 4: the seven fusions with trainable embeddings, and the rows that the paper quotes."""
    lines = [*TABLE_4, *QUOTED]
    caption = "Table 4, reported and reproduced: accuracy, and mean attention scores."
    sources = of_runs(answering(lines, runs), selection)
    return table(_side_by_side(reproduced(lines, runs, selection)), caption, sources)


@or_notice
def table_5(runs: Stored, selection: str = "last-epoch") -> Exhibit:
    """Table 5: two attention models with pretrained embeddings, and which these were."""
    chosen = answering(TABLE_5, runs)
    caption = f"Table 5, reported and reproduced. Word vectors: {vectors_of(chosen)}."
    frame = reproduced(TABLE_5, runs, selection)
    return table(_side_by_side(frame), caption, of_runs(chosen, selection))


def vectors_of(runs: Sequence[Run]) -> str:
    """Which pretrained vectors runs began with, and how many words had none."""
    found = {run.provenance.vectors for run in runs if run.provenance.vectors is not None}
    return (
        "; ".join(
            f"{v.source}, {v.dimension} dimensions, {v.out_of_vocabulary_words:.1%} of the "
            f"vocabulary and {v.out_of_vocabulary_tokens:.1%} of its occurrences without a vector"
            for v in sorted(found, key=lambda v: v.source)
        )
        or "none"
    )


@or_notice
def selections(lines: Sequence[Line], runs: Stored) -> Exhibit:
    """What the choice of the epoch does to accuracy."""
    chosen = answering(lines, runs)
    names = [title(line.model, line.embedding) for line in lines]
    means = {
        s: reproduced(lines, runs, s)["value"].set_axis(names)
        for s in SELECTIONS
        if any(len(run.selected(s)) for run in chosen)
    }
    frame = pd.DataFrame({s.replace("-", " "): values for s, values in means.items()})
    frame["test best - last"] = means["test-best"] - means["last-epoch"]
    shown = frame.map(number)
    shown.insert(0, "reported", [number(line.accuracy) for line in lines])
    caption = (
        "Accuracy by the choice of the epoch, means over seeds. Choosing on the test set adds "
        "what the last column shows without any better model."
    )
    return table(shown, caption, of_runs(chosen))


def text_rows(runs: Stored) -> pd.DataFrame:
    """Text alone on real transcripts, each embedding and choice of the epoch a row.

    Returns:
        Index label; columns as of `reproduced`, and `uar`. The first two rows are the paper's:
        what it quotes for text, and its best model of audio and text.
    """
    best = TABLE_5[0]
    printed = {
        "Text [5], quoted": QUOTED[-1].accuracy,
        f"{best.label} with Word2Vec, audio and text": best.accuracy,
    }
    frames = [pd.DataFrame({"reported": printed})]
    for selection in SELECTIONS:
        found = metrics.summarise(runs.of("text"), selection)
        if len(found):
            epoch = CHOSEN[selection].partition(" (")[0]
            names = [f"{title('text', e)}, alone, {epoch}" for e in found["embedding"]]
            frames.append(found[list(COLUMNS)].rename(columns=COLUMNS).set_axis(names))
    return pd.concat(frames).astype(float)


@or_notice
def text_alone(runs: Stored) -> Exhibit:
    """Text alone on the real transcripts beside what the paper quotes for text, and its best."""
    frame = text_rows(runs)
    shown = _accuracy_columns(frame)
    shown["UAR"] = frame["uar"].map(number)
    chosen = runs.of("text")
    caption = (
        f"Text alone on {chosen[0].provenance.corpus_title}, beside the paper's figures. Word "
        f"vectors: {vectors_of(chosen)}."
    )
    return table(shown, caption, of_runs(chosen))


def text_alone_in_words(runs: Stored) -> dict[str, str]:
    """Numbers for the prose about text alone; `(not run yet)` where there are no runs."""
    printed = [row.accuracy for row in (*paper.TABLE_4, *paper.TABLE_5)]
    words = {
        "quoted": f"{QUOTED[-1].accuracy:.3f}",
        "fused_low": f"{min(printed):.3f}",
        "fused_high": f"{max(printed):.3f}",
    }
    for name, selection in (("text_last", "last-epoch"), ("text_best", "test-best")):
        chosen = [run for run in runs.runs if run.experiment.embedding == "trainable"]
        found = metrics.summarise(chosen, selection)
        words[name] = "(not run yet)" if found.empty else f"{found['accuracy'].iloc[0]:.3f}"
    return words


@or_notice
def speakers_held_out(runs: Stored, selection: str = "last-epoch") -> Exhibit:
    """Accuracy and UAR of each model where each speaker was the test set once."""
    frame = held_out(runs, selection)
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
        "Each speaker held out once, all folds of a seed pooled. The first row is what answering "
        "the largest class always would score. The paper reports nothing on this corpus."
    )
    return table(shown, caption, of_runs(runs.of(kind="speaker"), selection))


def held_out(runs: Stored, selection: str) -> pd.DataFrame:
    """As `reproduced`, with intervals over speakers; the first row is the largest class always."""
    chosen = runs.of(kind="speaker")
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


@or_notice
def table_7(runs: Stored, model: str = "att_d1", embedding: str = "word2vec",
            selection: str = "last-epoch") -> Exhibit:  # fmt: skip
    """Table 7: counts, and the rates of rows and columns with their intervals."""
    chosen = runs.of(model, embedding)
    ours = confusion(chosen, selection)
    printed = printed_confusion()
    samples = metrics.pooled(chosen, selection)
    draws = metrics.bootstrap_confusions(
        samples["emotion"], samples["predicted"], samples["utterance"]
    )
    parts: dict[tuple[str, str], list[str | None]] = {
        ("predicted, reported / reproduced", emotion): [
            f"{reported}{NBSP}/{NBSP}{mean:.1f}"
            for reported, mean in zip(printed[emotion], ours[emotion], strict=True)
        ]
        for emotion in EMOTIONS
    }
    for heading, rate, axis in (
        ("recall (printed as “Accuracy”)", metrics.recall, 2),
        ("precision (printed as “Recall”)", metrics.precision, 1),
    ):
        parts[heading, "reported"] = [number(value) for value in rate(printed)]
        parts[heading, "reproduced"] = [number(value) for value in rate(ours)]
        parts[heading, "95 %"] = [interval(*ends) for ends in _rate_intervals(draws, axis)]
    frame = pd.DataFrame(parts, index=pd.Index(EMOTIONS))
    caption = (
        f"Table 7, reported and reproduced ({name_of(chosen[0])}); counts are means over seeds."
    )
    return table(frame, caption, of_runs(chosen, selection))


def _rate_intervals(draws: np.ndarray, axis: int) -> list[metrics.Interval]:
    """Of each class's recall (`axis` 2) or precision (1) over bootstrap draws [n, 4, 4]."""
    right, totals = np.diagonal(draws, axis1=1, axis2=2), draws.sum(axis=axis)
    rates = np.divide(right, totals, out=np.full_like(right, np.nan), where=totals > 0)
    return [
        metrics.percentile_interval(rates[:, k])
        if (totals[:, k] > 0).any()
        else metrics.Interval(np.nan, np.nan)
        for k in range(len(EMOTIONS))
    ]


def confusion(runs: Sequence[Run], selection: str) -> pd.DataFrame:
    """Mean counts over runs."""
    samples = metrics.pooled(runs, selection)
    counts = metrics.confusion(samples["emotion"], samples["predicted"])
    return counts / samples["seed"].nunique()


@or_notice
def table_6(runs: Stored, corpus: Corpus, selection: str = "last-epoch") -> Exhibit:
    """Table 6's words: printed ratio and ours, with its interval and what it rests on."""
    run = runs.of("att_d1", "word2vec")[0]
    rows = printed_words(words_of(run, corpus, selection))
    shown = pd.DataFrame(
        {
            "reported ratio": rows["reported"].map(number),
            "reproduced": rows["ratio"].map(number),
            "95 % (Wilson)": intervals(rows["low"], rows["high"]),
            "in sentences of the class / all": [
                None if np.isnan(n) else f"{k:.0f} / {n:.0f}"
                for k, n in zip(rows["count"], rows["present"], strict=True)
            ],
            "the class": rows["sign"].map(SIGNS),
            "rank by mutual information": rows["rank"].map(whole),
        }
    )
    shown.index = pd.MultiIndex.from_frame(rows[["emotion", "word"]])
    caption = f"Table 6, reported and reproduced ({name_of(run)}, one run as in the paper)."
    return table(shown, caption, of_runs([run], selection))


#: Signs of `words.word_table` in words: what the class does.
SIGNS = {1: "attracts it", 0: "neither", -1: "avoids it"}


def printed_words(words: pd.DataFrame) -> pd.DataFrame:
    """The words of Table 6 with their rows in ours; NaN where the test set lacks them.

    Args:
        words: from `replicate.words.word_table`. Its tags stand in brackets, the paper's do not.
    """
    ranked = words.assign(
        rank=words.groupby("emotion")["mutual_information"].rank(ascending=False, method="min"),
        word=words["word"].str.strip("[]"),
    )
    printed = pd.DataFrame(
        [(row.emotion, row.word, row.ratio) for row in paper.TABLE_6],
        columns=["emotion", "word", "reported"],
    )
    return printed.merge(ranked, how="left", on=["emotion", "word"])


@or_notice
def own_words(
    runs: Stored, corpus: Corpus, min_count: int, selection: str = "last-epoch"
) -> Exhibit:
    """The words of highest mutual information with each class, and in how many seeds."""
    chosen = runs.of("att_d1", "word2vec")
    best = [top_words(words_of(run, corpus, selection), min_count=min_count) for run in chosen]
    best = [words[words["mutual_information"] > 0] for words in best]
    seeds = pd.concat(best).groupby(["emotion", "word"]).size()
    first = best[0].set_index(["emotion", "word"])
    shown = pd.DataFrame(
        {
            "ratio": first["ratio"].map(number),
            "95 % (Wilson)": intervals(first["low"], first["high"]),
            "in sentences of the class / all": [
                f"{k} / {n}" for k, n in zip(first["count"], first["present"], strict=True)
            ],
            "mutual information, nats": first["mutual_information"].map(number),
            "the class": first["sign"].map(SIGNS),
            "on top in": [f"{seeds[word]} of {len(chosen)} runs" for word in first.index],
        },
        index=first.index,
    )
    told = "; ".join(
        f"{emotion}: {', '.join(row.word for row in paper.TABLE_6 if row.emotion == emotion)}"
        for emotion in EMOTIONS
    )
    caption = (
        f"The words of highest mutual information with each predicted class, of those with at "
        f"least {min_count} occurrences, in the first of the runs. The paper reports {told}."
    )
    return table(shown, caption, of_runs(chosen, selection))


def table_8(level: pd.DataFrame, source: Source) -> Exhibit:
    """Table 8: loudness of each class, with intervals that draw whole speakers.

    Args:
        level: `emotion`, `speaker`, `average` and `spread` of each utterance, the last two from
            `replicate.waveforms.levels`.
        source: the corpus.
    """
    ours = class_averages(level)
    low, high = metrics.interval_over_clusters(level, "speaker", class_averages)
    printed = pd.DataFrame(
        [(row.wave_avg, row.wave_avg_std, row.wave_std_avg) for row in paper.TABLE_8],
        index=pd.Index([row.emotion for row in paper.TABLE_8]),
        columns=["WaveAvg", "WaveAvgStd", "WaveStdAvg"],
    )
    columns = {}
    for name in printed:
        columns[name, "reported"] = printed[name].map(number)
        columns[name, "reproduced"] = ours[name].map(number)
        columns[name, "95 %"] = intervals(low[name], high[name])
    frame = pd.DataFrame(columns).loc[list(EMOTIONS)]
    caption = (
        "Table 8, reported and reproduced; full scale is 1. Intervals draw whole speakers, since "
        "the utterances of one speaker resemble each other."
    )
    return table(frame, caption, [source])


@or_notice
def score_spread(runs: Stored, kind: str = "stratified", selection: str = "last-epoch") -> Exhibit:
    """Mean of the audio score and its spread over utterances, reported and reproduced."""
    chosen = runs.attending(kind, selection)
    found = metrics.summarise(chosen, selection)
    names = found["model"] + "-" + found["embedding"]
    means = {
        f"{row.model}-{row.embedding}": row.audio_score for row in (*paper.TABLE_4, *paper.TABLE_5)
    }
    (told,) = (c.reported for c in paper.CLAIMS if c.criterion.kind == "score spread")
    spreads = {name: float(value) for name, value in told.items()}
    shown = pd.DataFrame(
        {
            ("mean audio score", "reported"): names.map(means).map(number),
            ("mean audio score", "reproduced"): found["audio_score"].map(number),
            ("mean audio score", "95 % over seeds"): intervals(
                found["audio_score_low"], found["audio_score_high"]
            ),
            ("standard deviation over utterances", "reported"): names.map(spreads).map(number),
            ("standard deviation over utterances", "reproduced"): found["audio_score_sd"].map(
                number
            ),
        }
    )
    shown.index = pd.Index(
        [title(m, e) for m, e in zip(found["model"], found["embedding"], strict=True)]
    )
    caption = "The audio's attention score, reported and reproduced; the text's is 1 minus this."
    return table(shown, caption, of_runs(chosen, selection))


@or_notice
def extreme_scores(runs: Stored, corpus: Corpus, n: int = 4) -> Exhibit:
    """Test utterances on which one trained Att_d^1 leans most on text, and most on audio.

    What was said is shown only where the text may be shown: on the stand-in.
    """
    run = runs.of("att_d1", "trainable")[0]
    ranked = run.selected("last-epoch").sort_values("audio_score", ignore_index=True)
    rows = pd.concat([ranked.head(n), ranked.tail(n)])
    shown = pd.DataFrame(
        {
            "utterance": rows["utterance"],
            "true": rows["emotion"],
            "predicted": metrics.predicted(rows),
            "audio / text": rows["audio_score"].map(_scores),
        }
    )
    if corpus.synthetic:
        said = corpus.utterances.set_index("utterance")["transcript"]
        shown.insert(1, "said", rows["utterance"].map(said))
    caption = f"The {n} test utterances at either end of the audio score ({name_of(run)}, one run)."
    return table(shown, caption, of_runs([run], "last-epoch"), index=False, wordy=True)


@or_notice
def cost(runs: Stored) -> Exhibit:
    """Time of training, by model and machine."""
    rows = [
        {
            "model": name_of(run),
            "machine": f"{run.provenance.hardware}, {run.provenance.device}, "
            f"{run.provenance.threads} thread{'s' * (run.provenance.threads > 1)}",
            "seconds": run.provenance.wall_seconds,
            "epochs": len(run.epochs),
        }
        for run in runs.of()
    ]
    grouped = pd.DataFrame(rows).groupby(["model", "machine"], sort=False)
    seconds, epochs = grouped["seconds"].sum(), grouped["epochs"].sum()
    shown = pd.DataFrame(
        {
            "runs": grouped.size(),
            "seconds an epoch": (seconds / epochs).map("{:.2f}".format),
            "minutes a run": (seconds / grouped.size() / 60).map("{:.1f}".format),
        }
    )
    return table(shown, "What training cost, means over runs.", of_runs(runs.of()))
