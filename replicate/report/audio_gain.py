"""Does audio add anything? The paper's single runs with audio against text alone."""

from collections.abc import Iterable, Sequence
from itertools import product

import numpy as np
import pandas as pd
from scipy.stats import t as student

from replicate import audit, comparison, metrics, paper, text_alone
from replicate.baselines import BASELINES
from replicate.experiments import EMB_SIZE, FOUR, GRIDS
from replicate.metrics import Interval, Tested
from replicate.model import FUSIONS
from replicate.report import plots
from replicate.report.layout import (
    ABSENT,
    interval,
    named,
    number,
    signed,
    signed_interval,
    title,
    whole,
)
from replicate.report.provenance import (
    CHOSEN,
    PAPER,
    Exhibit,
    Source,
    of_code,
    of_runs,
    or_notice,
    picture,
    table,
)
from replicate.report.results import Stored
from replicate.report.tables import on_one_split
from replicate.runs import SELECTIONS, Run
from replicate.text_alone import TARGET, TextAlone, accuracies

#: The figures for one modality, which the paper quotes: `Audio`, `Text`.
QUOTED = {
    row.label: row.accuracy
    for row in paper.TABLE_4_QUOTED
    if row.same_as in ("audio", "text")
}  # fmt: skip

#: What single runs are asked to reach: the lowest printed accuracy, the best of Table 4 and of all.
REACH = {
    "lowest": min(row.accuracy for row in paper.OWN),
    "target": TARGET,
    "highest": max(row.accuracy for row in paper.OWN),
}

#: The mean of Table 4, which owes nothing to the choice of the best.
MIDDLE = float(np.mean([row.accuracy for row in paper.TABLE_4]))

#: How far single runs may scatter, as multiples of what chance gives on the paper's test set.
SCATTER = (1.0, 1.5, 2.0)

#: Numbers of runs in tables of power.
RUNS = (3, 5, 10, 20, 50)

#: Shares of test utterances on which one of two models alone is right.
DISAGREEMENTS = (0.1, 0.2, 0.3)

#: Baselines that read the words.
READERS = [name for name, baseline in BASELINES.items() if baseline.needs == ("text",)]

#: Embeddings of the text model, as in the grid `text`.
TEXT_EMBEDDINGS = ("trainable", "glove")

#: The reading whose trained vectors are as wide as GloVe's.
EQUAL = f"emb_size-{EMB_SIZE['glove']}"

#: What the prose calls runs of text alone -> their embedding and the choice of the epoch.
IN_WORDS = {
    "last": ("trainable", "last-epoch"),
    "best_epoch": ("trainable", "test-best"),
    "glove": ("glove", "last-epoch"),
    "glove_best": ("glove", "test-best"),
}

#: What a grid holds out -> what comparing two models on it can tell.
TELLS = {
    "one": "what other seeds would give on these test utterances",
    "own": "what other utterances of these speakers and dialogues would give (Nadeau and Bengio's "
    "correction)",
    "session": "what other speakers would give",
    "speaker": "what other speakers would give",
    "scenario": "what other scenes would give",
}


# --- what is printed, and what it can tell ---


def compared() -> Exhibit:
    """The printed accuracies that the conclusion rests on."""
    best = [max(rows, key=lambda row: row.accuracy) for rows in (paper.TABLE_4, paper.TABLE_5)]
    lowest = min(paper.OWN, key=lambda row: row.accuracy)
    own = {f"audio and text, {title(r.model, r.embedding)}": r.accuracy for r in (*best, lowest)}
    alone = {f"{label.lower()} alone": accuracy for label, accuracy in QUOTED.items()}
    frame = pd.DataFrame(
        [
            (name, number(value), source, signed(value - QUOTED["Text"]))
            for rows, source in ((own, "a run of its own"), (alone, "quoted from Hazarika et al."))
            for name, value in rows.items()
        ],
        columns=["what is classified", "printed", "from", "less text alone"],
    )
    caption = (
        "What the paper sets side by side: the best of Table 4 and of Table 5, the lowest of both, "
        "and its two figures for one modality."
    )
    return table(frame, caption, [PAPER], index=False)


def chance(accuracy: float = TARGET, n: float = audit.TESTED) -> float:
    """Standard deviation of one run's accuracy if only the luck of `n` test utterances varies."""
    return float(np.sqrt(accuracy * (1 - accuracy) / n))


def power_of_one() -> Exhibit:
    """The difference that one printed run and several of ours can show."""
    rows = {
        f"{times * chance():.3f}, {times:g} times chance": [
            number(comparison.detectable_between(1, n, times * chance())) for n in RUNS
        ]
        for times in SCATTER
    }
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=[f"{n} runs" for n in RUNS])
    caption = (
        "The true difference between one printed run and several runs of ours that a t test at "
        f"{comparison.LEVEL:g} finds with probability {comparison.POWER:g}, by how far single runs "
        f"scatter (standard deviation). Chance is that of {TARGET} on {audit.TESTED} utterances."
    )
    return table(frame.rename_axis("single runs scatter by"), caption, [PAPER])


# --- what text alone reaches ---


def readers(text: TextAlone) -> dict[str, tuple[Sequence[Tested], str]]:
    """Who reads text alone -> its runs on random splits and the choice of the epoch, ours first.

    Raises:
        Missing: if the paper's text encoder has too few runs.
    """
    needed(text, "last-epoch")
    found: dict[str, tuple[Sequence[Tested], str]] = {}
    for cohort, one in {"": text, ", cut cohort": text.smaller}.items():
        for embedding, selection in product(TEXT_EMBEDDINGS, SELECTIONS):
            name = f"{title('text', embedding)}, {epoch(selection)}{cohort}"
            found[name] = (one.drawn(selection, embedding), selection)
    found[BASELINES["tfidf"].title] = (text.baseline("tfidf"), "last-epoch")
    return {name: (runs, selection) for name, (runs, selection) in found.items() if runs}


def needed(text: TextAlone, selection: str, embedding: str = "trainable") -> list[Run]:
    """The runs of text alone by our reading; two, so that they have a spread.

    Raises:
        Missing: if there are fewer.
    """
    runs = text.drawn(selection, embedding)
    return runs if len(runs) > 1 else Stored(text.corpus, "paper", ()).lack("text on two splits")


def epoch(selection: str) -> str:
    """How the epoch was chosen, in short."""
    return CHOSEN[selection].partition(" (")[0]


def sources_of(tested: Iterable[Sequence[Tested]], selection: str = "") -> tuple[Source, ...]:
    """`of_runs` of several lists, each run once."""
    return of_runs(list({run.folder: run for runs in tested for run in runs}.values()), selection)


@or_notice
def single_runs(text: TextAlone) -> Exhibit:
    """Single runs of text alone, with the interval for one more, above the printed accuracies."""
    found = readers(text)
    values = {name: accuracies(*one).to_numpy() for name, one in found.items()}
    reported = {
        "Table 4, audio and text": [row.accuracy for row in paper.TABLE_4],
        "Table 5, audio and text": [row.accuracy for row in paper.TABLE_5],
        "quoted, text": [QUOTED["Text"]],
    }
    ends = {name: metrics.next_share(single) for name, single in values.items()}
    told = "; ".join(
        f"{name}: mean {values[name].mean():.3f}, one run {interval(*ends[name]) or 'unknown'}"
        for name in ends
    )
    caption = (
        "Single runs of text alone (dots), each with a split and a seed of its own; the 95 % "
        "interval for one more run (bars), that of the first row shaded; and the single runs that "
        "the paper prints (diamonds)."
    )
    figure = plots.single_runs(values, ends, reported)
    return picture(figure, told, caption, [*sources_of(runs for runs, _ in found.values()), PAPER])


@or_notice
def one_run(text: TextAlone) -> Exhibit:
    """Mean and scatter of single runs of text alone, and the interval for one more."""
    found = readers(text)
    rows = {}
    for name, (tested, selection) in found.items():
        single = accuracies(tested, selection)
        n_test = float(np.mean([one.provenance.n_test for one in tested]))
        rows[name] = {
            "mean": number(single.mean()),
            "95 % of the mean": interval(*np.clip(metrics.mean_interval(single), 0, 1)),
            "scatter of single runs": number(single.std()),
            "by chance alone": number(chance(single.mean(), n_test)),
            "95 % for one run": interval(*metrics.next_share(single)),
            "runs": whole(len(single)),
        }
    caption = (
        "Text alone on random splits, a new one for each run. Scatter: standard deviation of the "
        "accuracy from run to run, and what the luck of the test utterances would give alone. "
        "Intervals are Student's t, cut to [0, 1]."
    )
    frame = pd.DataFrame.from_dict(rows, orient="index")
    return table(frame, caption, sources_of(runs for runs, _ in found.values()))


@or_notice
def epochs(text: TextAlone) -> Exhibit:
    """Text alone after each epoch, against the printed accuracies."""
    runs = needed(text, "last-epoch")
    found = text_alone.by_epoch(runs)
    marks = {
        f"best of Table 5: {max(row.accuracy for row in paper.TABLE_5):.3f}": max(
            row.accuracy for row in paper.TABLE_5
        ),
        f"best of Table 4: {TARGET:.3f}": TARGET,
        f"quoted, text: {QUOTED['Text']:.3f}": QUOTED["Text"],
    }
    lines = {"one run, upper end": found["high"], "mean": found["mean"],
             "one run, lower end": found["low"]}  # fmt: skip
    figure = plots.curves(
        {name: values.to_numpy() for name, values in lines.items()},
        found.index.to_numpy(), "epoch", "accuracy", marks,
    )  # fmt: skip
    best = found["mean"].idxmax()
    alt = f"The mean is highest after epoch {best}: {found['mean'].max():.3f}."
    caption = (
        "Test accuracy of text alone after each epoch: mean over runs, and the 95 % interval for "
        "one run."
    )
    return picture(figure, alt, caption, [*of_runs(runs), PAPER])


@or_notice
def still_possible(text: TextAlone) -> Exhibit:
    """Every printed accuracy less text alone, with what the difference could still be."""
    needed(text, "last-epoch")
    rows = [
        (row, embedding)
        for row in paper.OWN
        for embedding in TEXT_EMBEDDINGS
        if embedding == "trainable" or row.embedding == "word2vec"
    ]
    names = [
        (f"{title(row.model, row.embedding)}: {row.accuracy:.3f}", title("text", embedding))
        for row, embedding in rows
    ]
    index = pd.MultiIndex.from_tuples(names, names=["printed, audio and text", "less"])
    blocks = {}
    for selection in SELECTIONS:
        single = {e: accuracies(text.drawn(selection, e), selection) for e in TEXT_EMBEDDINGS}
        if len(single["trainable"]):
            cells = [_against(row.accuracy, single[embedding]) for row, embedding in rows]
            blocks[epoch(selection)] = pd.DataFrame(cells, index)
    caption = (
        "Every printed accuracy less the mean of text alone, with the 95 % interval of the true "
        "difference, if runs with audio scatter as those of text do; and how many of our single "
        "runs of text alone reach the printed accuracy."
    )
    used = [text.drawn(selection, e) for selection in SELECTIONS for e in TEXT_EMBEDDINGS]
    return table(pd.concat(blocks, axis="columns"), caption, [*sources_of(used), PAPER])


def _against(printed: float, single: pd.Series) -> dict[str, str | None]:
    """A printed accuracy and single runs of text alone, for a table; there may be none."""
    if single.empty:
        return {}
    return {
        "difference": signed(printed - single.mean()),
        "95 %": signed_interval(*text_alone.left(printed, metrics.prediction_interval(single))),
        "runs that reach it": f"{reach(single, printed)} of {len(single)}",
    }


def reach(single: pd.Series, printed: float) -> int:
    """How many single runs would print at least as much."""
    return int((single.round(3) >= printed).sum())


@or_notice
def beside_simple(text: TextAlone, selection: str) -> Exhibit:
    """The paper's text encoder against simple readers of the same words, on the same splits."""
    ours = needed(text, selection)
    rows = {}
    for name in READERS:
        theirs = accuracies(text.baseline(name), selection)
        rows[BASELINES[name].title] = paired(accuracies(ours, selection), theirs, ours[0])
    caption = (
        f"{title('text', 'trainable')} ({epoch(selection)}) less simple readers of the same "
        "transcripts, on the same random splits; intervals by Nadeau and Bengio's correction."
    )
    results: list[Sequence[Tested]] = [ours, *map(text.baseline, READERS)]
    frame = pd.DataFrame.from_dict(rows, orient="index")
    return table(frame.rename_axis("less"), caption, sources_of(results, selection))


def paired(first: pd.Series, second: pd.Series, run: Run) -> dict[str, str | None]:
    """The difference of two models on the random splits that both have, for a table.

    Args:
        first: of `text_alone.accuracies`.
        second: the same of the other model.
        run: one of the runs, for the sizes of its parts.
    """
    both = pd.DataFrame({"first": first, "second": second}).dropna()
    if len(both) < 2:
        return {"difference": ABSENT, "95 %": None, "splits": None}
    made = run.provenance
    (row,) = comparison.over_resplits(both, made.n_train, made.n_test).to_dict("records")
    return {
        "difference": signed(row["difference"]),
        "95 %": signed_interval(row["low"], row["high"]),
        "splits": f"{row['n']}",
    }


# --- pretrained embeddings ---


@or_notice
def embeddings(text: TextAlone, selection: str) -> Exhibit:
    """Pretrained against trained embeddings (claim 14), in print and on the transcripts."""
    glove, trained = needed(text, selection, "glove"), needed(text, selection)
    equal = text.drawn(selection, choice=EQUAL)
    right = audit.printed_right()
    rows: dict[str, dict[str, str | None]] = {}
    for row in paper.TABLE_5:
        net = right[f"{row.model}-word2vec"] - right[f"{row.model}-trainable"]
        name = f"{row.label}, printed: Word2Vec less trained"
        rows[name] = {
            "difference": signed(net / audit.TESTED), f"of {audit.TESTED}": f"{net:+d}"
        }  # fmt: skip
    sizes = EMB_SIZE["glove"], EMB_SIZE["trainable"]
    for name, first, second in (
        (f"text: GloVe ({sizes[0]}) less trained ({sizes[1]})", glove, trained),
        (f"text: GloVe ({sizes[0]}) less trained ({sizes[0]})", glove, equal),
        (f"text: trained ({sizes[0]}) less trained ({sizes[1]})", equal, trained),
    ):
        pair = accuracies(first, selection), accuracies(second, selection)
        rows[name] = {**paired(*pair, trained[0]), **_alike(*pair, trained[0])}
    caption = (
        f"Pretrained vectors, fine-tuned, less trained ones ({epoch(selection)}): in print on one "
        "test set, and of text alone on the same random splits. Alike: two one-sided t tests show "
        f"that the difference is smaller than {comparison.REGION}. Tests and intervals have Nadeau "
        "and Bengio's correction."
    )
    frame = pd.DataFrame.from_dict(rows, orient="index")
    return table(frame, caption, [*sources_of([glove, trained, equal], selection), PAPER])


def _alike(first: pd.Series, second: pd.Series, run: Run) -> dict[str, str | None]:
    """What a paired difference over random splits comes to, see `paired`."""
    both = pd.DataFrame({"first": first, "second": second}).dropna()
    if len(both) < 2:
        return {}
    gains = both["first"] - both["second"]
    p_value = comparison.size_tests(gains, comparison.REGION, run.provenance.overlap)[1]
    return {
        f"of {audit.TESTED}": f"{gains.mean() * audit.TESTED:+.1f}",
        "alike": f"{'yes' if p_value < comparison.LEVEL else 'not shown'}, p = {p_value:.3f}",
    }


def pairs_in_words() -> dict[str, str]:
    """What pairs of runs on random splits of the paper's size can show, before any result."""
    share = DISAGREEMENTS[1]
    spread, overlap = np.sqrt(share / audit.TESTED), audit.TESTED / float(paper.COUNTS["train"])
    three, (ten, reaches) = shown_by(spread, 3, overlap)[0], shown_by(spread, 10, overlap)
    return {
        "region": f"{comparison.REGION:g}",
        "disagree": f"{share:.0%}",
        "three": f"{three:.3f}",
        "ten_pairs": f"{ten:.3f}",
        "reach": f"{reaches:.3f}",
        "likeness": "two equal readers could be shown to be alike"
        if reaches < comparison.REGION
        else "not even two equal readers could be shown to be alike",
    }


def shown_by(spread: float, n: int, overlap: float) -> tuple[float, float]:
    """What pairs of runs on random splits can show, by Nadeau and Bengio's correction.

    Args:
        spread: standard deviation of their differences.
        n: how many pairs.
        overlap: n_test / n_train.

    Returns:
        The true difference that is found with probability `comparison.POWER`, and how far the 90 %
        interval, by which two models are shown to be alike, reaches to either side.
    """
    error = spread * np.sqrt(1 / n + overlap)
    found = comparison.detectable([error * np.sqrt(n)], [n]).to_numpy()[0, 0]
    return float(found), float(student.ppf(1 - comparison.LEVEL, n - 1) * error)


# --- with audio at hand ---


def power_paired() -> Exhibit:
    """The difference between two models that runs on the same test utterances can show."""
    spreads = [np.sqrt(share / audit.TESTED) for share in DISAGREEMENTS]
    found = comparison.detectable(spreads, RUNS)
    grown = np.sqrt(1 + np.array(RUNS) * float(paper.COUNTS["test"] / paper.COUNTS["train"]))
    questions = {
        "other splits of this corpus": found,
        "other utterances of its dialogues (Nadeau and Bengio)": found * grown,
    }
    blocks = {
        question: values.set_axis([f"{n} runs" for n in RUNS], axis="columns").map(number)
        for question, values in questions.items()
    }
    frame = pd.concat(blocks, axis="columns")
    frame.index = pd.Index([f"disagree on {share:.0%}" for share in DISAGREEMENTS])
    caption = (
        "The true difference between two models, run side by side on random splits, that a paired "
        f"t test at {comparison.LEVEL:g} finds with probability {comparison.POWER:g}, by the share "
        f"of the {audit.TESTED} test utterances on which one of them alone is right."
    )
    return table(frame, caption, [PAPER])


def commands() -> Exhibit:
    """The grids that run text alone and models of both modalities side by side."""
    rows = [
        {
            "command": f"replicate run --corpus iemocap --data PATH --profile paper --grid {name}",
            "trains": made.about,
            "can tell": TELLS[made.folds],
        }
        for name, made in GRIDS.items()
        if made.choices == ("",)
        and ("text", "trainable") in made.rows
        and any(model in FUSIONS for model, _ in made.rows)
    ]
    caption = "What to run with a licensed copy of IEMOCAP, and what each answer would be about."
    return table(pd.DataFrame(rows), caption, [of_code()], index=False, wordy=True)


@or_notice
def fused_less_alone(runs: Stored, kind: str = "stratified") -> Exhibit:
    """Models of both modalities less each modality alone, on the same test utterances."""
    speakers = kind == "speaker"
    pool = runs.of(kind=kind) if speakers else on_one_split(runs.runs)
    chosen = [run for run in pool if (run.experiment.model, run.experiment.embedding) in FOUR]
    if {run.experiment.model for run in chosen} != {model for model, _ in FOUR}:
        runs.lack("audio, text and both", kind)
    right = comparison.answers(chosen, "last-epoch")
    if not speakers and right.index.get_level_values("seed").nunique() < 2:
        runs.lack("two seeds of audio, text and both", kind)
    found = (
        comparison.over_clusters(right, right.index.get_level_values("fold"))
        if speakers
        else comparison.over_seeds(comparison.accuracies(right, "seed"))
    )
    found = found[found["first"].map(_hears_both) & ~found["second"].map(_hears_both)]
    shown = pd.DataFrame(
        {
            "model": found["first"].map(named),
            "accuracy": found["first"].map(right.mean()).map(number),
            "less": found["second"].map(named),
            "accuracy ": found["second"].map(right.mean()).map(number),
            "difference": found["difference"].map(signed),
            "95 %": [signed_interval(*ends) for ends in found[["low", "high"]].to_numpy()],
        }
    )
    drawn = f"{found['n'].iloc[0]} {'speakers' if speakers else 'seeds'}"
    caption = (
        f"Audio and text together less each alone, on the same test utterances (over {drawn}): "
        f"{TELLS['speaker' if speakers else 'one']}."
    )
    if speakers:
        caption += (
            " Intervals draw whole speakers (percentile bootstrap), of whom there are few: such "
            "intervals hold the truth somewhat less often than 95 times in 100, and the folds "
            "share most of their training parts."
        )
    return table(shown, caption, of_runs(chosen, "last-epoch"), index=False)


def _hears_both(name: str) -> bool:
    return name.partition("-")[0] in FUSIONS


# --- for the prose ---


def in_words(text: TextAlone) -> dict[str, str]:
    """Numbers and words for the prose; `(not run yet)` where there are no runs."""
    words = {
        "target": f"{TARGET:.3f}",
        "quoted": f"{QUOTED['Text']:.3f}",
        "printed": f"{len(paper.OWN)}",
        "tested": f"{audit.TESTED}",
        "highest": f"{max(row.accuracy for row in paper.OWN):.3f}",
        "middle": f"{MIDDLE:.3f}",
    }
    readers_of = {
        f"{cohort}{key}": accuracies(one.drawn(selection, embedding), selection)
        for cohort, one in {"": text, "cut_": text.smaller}.items()
        for key, (embedding, selection) in IN_WORDS.items()
    }
    readers_of["tfidf"] = accuracies(text.baseline("tfidf"), "last-epoch")
    last, best = readers_of["last"], readers_of["best_epoch"]
    for key, single in readers_of.items():
        words |= {f"{key}_{name}": value for name, value in _told(single).items()}
    one = metrics.prediction_interval(last)
    words |= {
        f"{key}_p": _unlikely(single) for key, single in (("last", last), ("best_epoch", best))
    }
    words["left"] = signed_interval(*text_alone.left(TARGET, one)) or ABSENT
    words["detects"] = ABSENT
    if len(last) > 1:
        words["detects"] = f"{comparison.detectable_between(1, len(last), last.std()):.3f}"
    words |= _pairs_of_glove(text)
    where = {words["last_where"], words["best_epoch_where"]}
    return words | {
        "answer": _answer(where, [metrics.next_share(single) for single in (last, best)])
    }


def _unlikely(single: pd.Series) -> str:
    """Two-sided p value of `MIDDLE` as one more run, for the prose: Student's t."""
    if metrics.without_spread(single):
        return ABSENT
    error = single.std() * np.sqrt(1 + 1 / len(single))
    return f"{2 * student.sf(abs(MIDDLE - single.mean()) / error, len(single) - 1):.3f}"


def _pairs_of_glove(text: TextAlone) -> dict[str, str]:
    """How far GloVe less trained vectors varies over pairs, and what pairs that do can show.

    `pairs_sd`, `pairs_detect`, `pairs_reach` against the paper's width, `equal_` against GloVe's.
    """
    glove = accuracies(text.drawn("last-epoch", "glove"), "last-epoch")
    names = ("sd", "detect", "reach")
    told: dict[str, str] = {}
    for key, choice in (("pairs", ""), ("equal", EQUAL)):
        trained = text.drawn("last-epoch", choice=choice)
        gains = (glove - accuracies(trained, "last-epoch")).dropna()
        values = [ABSENT] * len(names)
        if len(gains) > 1:
            shown = shown_by(float(gains.std()), len(gains), trained[0].provenance.overlap)
            values = [f"{value:.3f}" for value in (gains.std(), *shown)]
        told |= {f"{key}_{name}": value for name, value in zip(names, values, strict=True)}
    return told


def _answer(where: set[str], ends: Sequence[Interval]) -> str:
    """What follows from where `TARGET` lies at either choice of the epoch, whose ends these are."""
    if ABSENT in where:
        return ABSENT
    if len(where) > 1:
        return (
            "Whether the best of Table 4 is more than one run of text alone would print depends on "
            "how its epoch was chosen."
        )
    return {
        "above": _above(ends),
        "below": "The best of Table 4 lies below both: text alone does better.",
        "within": "So the printed runs do not show that audio adds anything to this text encoder, "
        "nor that it adds nothing.",
    }[where.pop()]


def _above(ends: Sequence[Interval]) -> str:
    """`TARGET` is more than one run would print; but it is the best of several."""
    excess = " and ".join(f"{TARGET - one.high:.3f}" for one in ends)
    models = len(paper.TABLE_4)
    luck = [
        audit.best_of_models(audit.equal_models(MIDDLE, share, models), MIDDLE)
        for share in DISAGREEMENTS
    ]
    return (
        f"The best of Table 4 lies above both, by {excess}. But it is the best of {models} on one "
        f"test set: if any two of them disagree on {min(DISAGREEMENTS):.0%} to "
        f"{max(DISAGREEMENTS):.0%} of the utterances, the best of {models} equal models lies "
        f"{min(luck):.3f} to {max(luck):.3f} above what each of them has, by luck alone "
        "(less where they agree more)."
    )


def _told(single: pd.Series) -> dict[str, str]:
    """One reader of text in words: its mean, one run of it, and where the printed ones lie."""
    if len(single) < 2:
        names = (
            "mean", "one", "sd", "runs", "inside", "above", "where", *(f"reach_{k}" for k in REACH)
        )  # fmt: skip
        return dict.fromkeys(names, ABSENT)
    one = metrics.next_share(single)
    reached = {f"reach_{k}": f"{reach(single, printed)}" for k, printed in REACH.items()}
    return reached | {
        "mean": f"{single.mean():.3f}",
        "one": interval(*one) or ABSENT,
        "sd": f"{single.std():.3f}",
        "runs": f"{len(single)}",
        "inside": f"{sum(one.low <= row.accuracy <= one.high for row in paper.OWN)}",
        "above": f"{sum(row.accuracy > one.high for row in paper.OWN)}",
        "where": "above" if one.high < TARGET else "below" if one.low > TARGET else "within",
    }
