"""Tables of stored runs: what the paper reports beside what ours give, with intervals.

The paper's numbers come from `replicate.paper`, ours from `replicate.metrics` and
`replicate.waveforms`: here is only how they are laid out.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from replicate import metrics, paper
from replicate.claims import PAPER_CORPUS
from replicate.corpora.iemocap_ids import dialogue
from replicate.corpora.table import Corpus
from replicate.judging import printed_confusion
from replicate.protocol import EMOTIONS, Fold
from replicate.report.layout import (
    ABSENT,
    NBSP,
    interval,
    intervals,
    name_of,
    number,
    title,
    whole,
)
from replicate.report.provenance import (
    CHOSEN,
    PAPER,
    Exhibit,
    Missing,
    Source,
    listed,
    of_judged,
    of_runs,
    or_notice,
    table,
)
from replicate.report.results import Stored
from replicate.runs import SELECTIONS, Run
from replicate.waveforms import class_averages


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
        f"{row.label} (as quoted from Hazarika et al., 2018)",
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


#: Said wherever both intervals of accuracies are shown.
INTERVALS = (
    "Intervals over dialogues draw whole dialogues of the test set, all seeds of an utterance "
    "together. Those over seeds are Student's t intervals of the mean, cut to [0, 1]; without any "
    "spread there is none."
)


def dialogues_of(runs: Sequence[Run]) -> dict[str, str]:
    """Test utterance -> its dialogue, as IEMOCAP's ids tell; other ids stand for themselves."""
    tested = {utterance for run in runs for utterance in run.predictions["utterance"]}
    return {utterance: dialogue(utterance) for utterance in tested}


def heading(corpus: str, synthetic: bool) -> str:
    """Of the column with our numbers: only those on the paper's corpus reproduce anything."""
    if synthetic:
        return "stand-in"
    return "reproduced" if corpus == PAPER_CORPUS else "here"


def ours(runs: Sequence[Run]) -> str:
    """`heading` of what is computed from runs."""
    synthetic = any(run.provenance.synthetic for run in runs)
    corpora = {run.experiment.corpus for run in runs}
    return heading(corpora.pop() if len(corpora) == 1 else "", synthetic)


def reproduced(lines: Sequence[Line], runs: Stored, selection: str) -> pd.DataFrame:
    """Rows of Table 4 or 5 as reported and as reproduced, NaN where a row has no runs.

    Returns:
        Index label; `reported`, `value`, `low`, `high` (over dialogues), `seeds_low`,
        `seeds_high`, `seeds`, `audio_reported`, `audio`.

    Raises:
        Missing: if no row has any, or none that has this choice of the epoch.
    """
    chosen = runs.having(answering(lines, runs), selection)
    found = metrics.summarise(chosen, selection, dialogues_of(chosen))
    values = found.set_index(["model", "embedding"])[list(COLUMNS)].rename(columns=COLUMNS)
    frame = values.reindex([(line.model, line.embedding) for line in lines])
    frame.index = pd.Index([line.label for line in lines])
    accuracies = [line.accuracy for line in lines]
    frame.insert(0, "reported", pd.Series(accuracies, frame.index, dtype=float))
    scores = [line.audio_score for line in lines]
    frame["audio_reported"] = pd.Series(scores, frame.index, dtype=float)
    return frame


def answering(lines: Sequence[Line], runs: Stored) -> list[Run]:
    """The runs that answer to any of the rows, on the one split of the grid `tables`.

    Raises:
        Missing: if there are none.
    """
    wanted = {(line.model, line.embedding) for line in lines}
    return [
        run
        for run in on_one_split(runs.runs)
        if (run.experiment.model, run.experiment.embedding) in wanted
    ] or runs.lack(", ".join(line.label for line in lines))


def on_one_split(runs: Sequence[Run]) -> list[Run]:
    """The runs on the split of Tables 4 and 5; the grid `text` draws others."""
    return [run for run in runs if run.experiment.fold == Fold()]


def _accuracy_columns(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Reported accuracy and ours with both intervals, as text; `name` heads ours."""
    return pd.DataFrame(
        {
            "reported": frame["reported"].map(number),
            name: frame["value"].map(number),
            "95 % over dialogues": intervals(frame["low"], frame["high"]),
            "95 % over seeds": intervals(frame["seeds_low"], frame["seeds_high"]),
            "seeds": frame["seeds"].map(whole),
        }
    )


def _side_by_side(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Accuracy and attention scores under two headings."""
    scores = pd.DataFrame(
        {
            "reported": frame["audio_reported"].map(_scores),
            name: frame["audio"].map(_scores),
        }
    )
    return pd.concat(
        {"accuracy": _accuracy_columns(frame, name), "score, audio / text": scores}, axis="columns"
    )


def _scores(audio: float) -> str | None:
    """Both scores as the paper prints them; None without attention."""
    return None if np.isnan(audio) else f"{audio:.3f}{NBSP}/{NBSP}{1 - audio:.3f}"


@or_notice
def table_4(runs: Stored, selection: str = "last-epoch") -> Exhibit:
    """Table 4: the seven fusions with trainable embeddings, and the rows that the paper quotes."""
    lines = [*TABLE_4, *QUOTED]
    chosen = answering(lines, runs)
    caption = f"Table 4, as reported and ours: accuracy, and mean attention scores. {INTERVALS}"
    frame = reproduced(lines, runs, selection)
    return table(_side_by_side(frame, ours(chosen)), caption, of_judged(chosen, selection))


@or_notice
def table_5(runs: Stored, selection: str = "last-epoch") -> Exhibit:
    """Table 5: two attention models with pretrained embeddings."""
    chosen = answering(TABLE_5, runs)
    caption = f"Table 5, as reported and ours. {INTERVALS}"
    frame = reproduced(TABLE_5, runs, selection)
    return table(_side_by_side(frame, ours(chosen)), caption, of_judged(chosen, selection))


def constant_answers(runs: Stored, selection: str = "last-epoch") -> pd.DataFrame:
    """Which trainings give one and the same answer to every test utterance, and tell nothing.

    Returns:
        Index title of the model; `constant` and `trainings`, how many, on the one split.
    """
    samples = metrics.pooled(on_one_split(runs.runs), selection)
    if samples.empty:
        return pd.DataFrame({"constant": [], "trainings": []}, dtype=int)
    answers = samples.groupby(["model", "embedding", "run"], sort=False)["predicted"].nunique()
    found = answers.eq(1).groupby(level=["model", "embedding"], sort=False).agg(["sum", "size"])
    names = [title(model, embedding) for model, embedding in found.index]
    return found.set_axis(names).set_axis(["constant", "trainings"], axis="columns")


def constant_in_words(runs: Stored, selection: str = "last-epoch") -> str:
    """`constant_answers` for the prose: `Audio 3 of 3`, or `none of 33`."""
    found = constant_answers(runs, selection)
    if found.empty:
        return ABSENT
    told = [f"{name} {r.constant} of {r.trainings}" for name, r in found.iterrows() if r.constant]
    return ", ".join(told) or f"none of {found['trainings'].sum()}"


def dead_scores_in_words(runs: Stored) -> str:
    """Of how many test utterances Att_s^1's ReLU cuts both scores to 0, for the prose, by seed.

    Only then is the weight of each modality exactly one half.
    """
    try:
        chosen = runs.of("att_s1", "trainable")
    except Missing:
        return ABSENT
    told = []
    for run in chosen:
        dead = run.selected("last-epoch")["audio_score"] == 0.5
        told.append(f"{dead.sum()} of {len(dead)} (seed {run.experiment.seed})")
    return ", ".join(told)


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
    return table(shown, caption, [*of_runs(chosen), PAPER])


def text_rows(runs: Stored) -> pd.DataFrame:
    """Text alone on real transcripts, each embedding and choice of the epoch a row.

    Returns:
        Index label; columns as of `reproduced`, `uar`, and `one_low` and `one_high`, between which
        one more run would lie. The first two rows are the paper's: what it quotes for text, and its
        best model of audio and text.
    """
    best = TABLE_5[0]
    printed = {
        QUOTED[-1].label: QUOTED[-1].accuracy,
        f"{best.label} with Word2Vec, audio and text": best.accuracy,
    }
    frames, chosen = [pd.DataFrame({"reported": printed})], runs.of("text")
    for selection in SELECTIONS:
        found = metrics.summarise(chosen, selection, dialogues_of(chosen))
        if len(found):
            epoch = CHOSEN[selection].partition(" (")[0]
            names = [f"{title('text', e)}, alone, {epoch}" for e in found["embedding"]]
            rows = found[list(COLUMNS)].rename(columns=COLUMNS).set_axis(names)
            frames.append(rows.assign(**_one_run(chosen, selection, found["embedding"])))
    return pd.concat(frames).astype(float)


def _one_run(runs: Sequence[Run], selection: str, embeddings: pd.Series) -> dict[str, list[float]]:
    """`metrics.next_share` of the runs with each embedding."""
    single = metrics.per_run(runs, selection).groupby("embedding")["accuracy"]
    ends = [metrics.next_share(single.get_group(name)) for name in embeddings]
    return {"one_low": [one.low for one in ends], "one_high": [one.high for one in ends]}


@or_notice
def text_alone(runs: Stored) -> Exhibit:
    """Text alone on the real transcripts beside what the paper quotes for text, and its best."""
    frame = text_rows(runs)
    chosen = runs.of("text")
    shown = _accuracy_columns(frame, ours(chosen))
    shown["95 % for one run"] = intervals(frame["one_low"], frame["one_high"])
    shown["UAR"] = frame["uar"].map(number)
    caption = (
        f"Text alone on {chosen[0].provenance.corpus_title}, beside the paper's figures. "
        f"{INTERVALS} Each seed has a test set of its own. One run: where one more would lie."
    )
    return table(shown, caption, [*of_runs(chosen), PAPER])


def text_alone_in_words(runs: Stored) -> dict[str, str]:
    """Numbers for the prose about text alone; `(not run yet)` where there are no runs."""
    printed = [row.accuracy for row in paper.OWN]
    try:
        chosen = runs.of("text", "trainable")
    except Missing:
        chosen = []
    words = {
        "quoted": f"{QUOTED[-1].accuracy:.3f}",
        "fused_low": f"{min(printed):.3f}",
        "fused_high": f"{max(printed):.3f}",
        "paper_utterances": f"{sum(map(float, paper.COUNTS.values())):,.0f}",
        "text_utterances": f"{chosen[0].provenance.n_utterances:,}" if chosen else ABSENT,
        "text_seeds": listed("seed", (r.experiment.seed for r in chosen)) if chosen else ABSENT,
    }
    for name, selection in (("text_last", "last-epoch"), ("text_best", "test-best")):
        found = metrics.summarise(chosen, selection)
        words[name] = ABSENT if found.empty else f"{found['accuracy'].iloc[0]:.3f}"
        ends = None if found.empty else intervals(found["accuracy_low"], found["accuracy_high"])
        words[f"{name}_interval"] = (ends is not None and ends.iloc[0]) or "no interval"
        one = metrics.next_share(metrics.per_run(chosen, selection).get("accuracy", []))
        words[f"{name}_one"] = interval(*one) or "no interval"
    return words


@or_notice
def table_7(runs: Stored, model: str = "att_d1", embedding: str = "word2vec",
            selection: str = "last-epoch") -> Exhibit:  # fmt: skip
    """Table 7: counts, and the rates of rows and columns with their intervals."""
    chosen = runs.having(runs.of(model, embedding), selection)
    name = ours(chosen)
    found = confusion(chosen, selection)
    printed = printed_confusion()
    samples = metrics.pooled(chosen, selection)
    drawn = samples["utterance"].map(dialogues_of(chosen))
    draws = metrics.bootstrap_confusions(samples["emotion"], samples["predicted"], drawn)
    parts: dict[tuple[str, str], list[str | None]] = {
        (f"predicted, reported / {name}", emotion): [
            f"{reported}{NBSP}/{NBSP}{mean:.1f}"
            for reported, mean in zip(printed[emotion], found[emotion], strict=True)
        ]
        for emotion in EMOTIONS
    }
    for column, rate, axis in (
        ("recall (printed as “Accuracy”)", metrics.recall, 2),
        ("precision (printed as “Recall”)", metrics.precision, 1),
    ):
        parts[column, "reported"] = [number(value) for value in rate(printed)]
        parts[column, name] = [number(value) for value in rate(found)]
        parts[column, "95 %"] = [interval(*ends) for ends in _rate_intervals(draws, axis)]
    frame = pd.DataFrame(parts, index=pd.Index(EMOTIONS))
    caption = (
        f"Table 7, as reported and ours ({name_of(chosen[0])}); counts are means over seeds, "
        "rates those of the counts of all seeds, with 95 % intervals that draw whole dialogues."
    )
    return table(frame, caption, of_judged(chosen, selection))


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
    """Mean counts over seeds."""
    samples = metrics.pooled(runs, selection)
    counts = metrics.confusion(samples["emotion"], samples["predicted"])
    return counts / samples["seed"].nunique()


def table_8(level: pd.DataFrame, corpus: str, source: Source) -> Exhibit:
    """Table 8: loudness of each class, with intervals that draw whole speakers.

    Args:
        level: from `replicate.loudness.of_cohort`.
        corpus: name of where they come from.
        source: the same in full.
    """
    found = class_averages(level)
    low, high = metrics.interval_over_clusters(level, "speaker", class_averages)
    printed = _printed_waves()
    columns = {}
    for name in printed:
        columns[name, "reported"] = printed[name].map(number)
        columns[name, heading(corpus, source.synthetic)] = found[name].map(number)
        columns[name, "95 %"] = intervals(low[name], high[name])
    frame = pd.DataFrame(columns).loc[list(EMOTIONS)]
    caption = (
        "Table 8, as reported and ours; full scale is 1. Intervals draw whole speakers, since "
        "utterances of one speaker may resemble each other."
    )
    return table(frame, caption, [source, PAPER])


def _printed_waves() -> pd.DataFrame:
    """Table 8 as printed, with the columns of `waveforms.class_averages`."""
    return pd.DataFrame(
        [(row.wave_avg, row.wave_avg_std, row.wave_std_avg) for row in paper.TABLE_8],
        index=pd.Index([row.emotion for row in paper.TABLE_8]),
        columns=["WaveAvg", "WaveAvgStd", "WaveStdAvg"],
    )


def shape_of_waves(averages: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """How peaked waveforms are, and how far the loudest class is from the softest, for the prose.

    `peaks`: WaveStdAvg over WaveAvg, least to most of the classes; `decibels`: of WaveAvg, anger
    over sadness; both after the prefix of a corpus, and as `printed_`. `sine` and `noise`: the
    ratio for a sine and for Gaussian noise, which have standard deviations of 1 / sqrt(2) and 1 and
    mean magnitudes of 2 / pi and sqrt(2 / pi).

    Args:
        averages: prefix of a corpus -> what `waveforms.class_averages` gives for it.
    """
    told = {"sine": f"{np.pi / 8**0.5:.2f}", "noise": f"{(np.pi / 2) ** 0.5:.2f}"}
    for of, one in {**averages, "printed_": _printed_waves()}.items():
        peaks = one["WaveStdAvg"] / one["WaveAvg"]
        told[f"{of}peaks"] = f"{peaks.min():.2f} to {peaks.max():.2f}"
        gap = 20 * np.log10(one["WaveAvg"]["anger"] / one["WaveAvg"]["sadness"])
        told[f"{of}decibels"] = f"{gap:.1f}"
    return told


def table_8_by_part(
    level: pd.DataFrame, parts: Mapping[str, Sequence[str]], source: Source
) -> Exhibit:
    """Table 8 from parts of the cohort: the paper does not say which it took.

    Args:
        level: from `replicate.loudness.of_cohort`.
        parts: name -> ids.
        source: where they come from.
    """
    found = {name: class_averages(level.loc[list(ids)]) for name, ids in parts.items()}
    columns = {
        (measure, name): values[measure].map(number)
        for measure in ("WaveAvg", "WaveAvgStd", "WaveStdAvg")
        for name, values in found.items()
    }
    sizes = ", ".join(f"{name} {len(ids):,}" for name, ids in parts.items())
    caption = f"Table 8's three columns from parts of the cohort ({sizes} utterances)."
    return table(pd.DataFrame(columns).loc[list(EMOTIONS)].rename_axis(None), caption, [source])


@or_notice
def score_spread(runs: Stored, kind: str = "stratified", selection: str = "last-epoch") -> Exhibit:
    """Mean of the audio score and its spread over utterances, reported and ours."""
    chosen = runs.attending(kind, selection)
    name = ours(chosen)
    found = metrics.summarise(chosen, selection)
    names = found["model"] + "-" + found["embedding"]
    means = {f"{row.model}-{row.embedding}": row.audio_score for row in paper.OWN}
    shown = pd.DataFrame(
        {
            ("mean audio score", "reported"): names.map(means).map(number),
            ("mean audio score", name): found["audio_score"].map(number),
            ("mean audio score", "95 % over seeds"): intervals(
                found["audio_score_low"], found["audio_score_high"]
            ),
            ("standard deviation over utterances", "reported"): names.map(paper.SCORE_SPREADS).map(
                number
            ),
            ("standard deviation over utterances", name): found["audio_score_sd"].map(number),
        }
    )
    shown.index = pd.Index(
        [title(m, e) for m, e in zip(found["model"], found["embedding"], strict=True)]
    )
    caption = (
        "The audio's attention score, as reported and ours; the text's is 1 minus this. "
        "Interval: Student's t over seeds, of the mean, cut to [0, 1]."
    )
    return table(shown, caption, of_judged(chosen, selection))


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
            "seconds": run.epochs["seconds"].median(),
            "minutes": run.epochs["seconds"].median() * len(run.epochs) / 60,
        }
        for run in runs.of()
    ]
    grouped = pd.DataFrame(rows).groupby(["model", "machine"], sort=False)
    shown = pd.DataFrame(
        {
            "runs": grouped.size(),
            "seconds an epoch": grouped["seconds"].mean().map("{:.2f}".format),
            "minutes at that rate": grouped["minutes"].mean().map("{:.1f}".format),
        }
    )
    caption = (
        "What training cost: a run's median epoch, and all its epochs at that rate, means over "
        "runs. One thread each; other trainings shared the machine or the GPU."
    )
    return table(shown, caption, of_runs(runs.of()))
