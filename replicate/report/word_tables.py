"""Table 6 as printed and ours, and by the paper's method and the corrected one, side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import get_args

import numpy as np
import pandas as pd

from replicate import audit, paper, wordlists
from replicate.corpora import standin
from replicate.corpora.table import Corpus
from replicate.metrics import predicted
from replicate.protocol import EMOTIONS, cohort
from replicate.report.layout import NBSP, intervals, name_of, number, small, whole
from replicate.report.provenance import (
    PAPER,
    Exhibit,
    Missing,
    Source,
    commit_name,
    listed,
    of_corpus,
    of_judged,
    of_runs,
    or_notice,
    table,
)
from replicate.report.results import Stored, words_of
from replicate.report.tables import ours
from replicate.transcriptions import tokens
from replicate.wordlists import Classes, Thinned, WordList, reported
from replicate.words import (
    FALSE_DISCOVERIES,
    TOP,
    Unit,
    described,
    fewest,
    in_grammar,
    on_top,
    top_words,
    word_table,
)

#: What the sentences of a list are and where their classes come from, in words.
CLASSES: dict[Classes, str] = {
    "true": "the true classes",
    "predicted": "the classes that text alone predicts, each sentence once, by the first training "
    "that did not see it",
    "one-test-set": "the classes that text alone predicts on one test set, as in the paper",
}

#: What a ratio may count -> the columns of `audit.likely_counts` on it.
UNITS = {"occurrences": "", "sentences": "_sentences"}

#: How to read the columns of every table here.
COLUMNS = (
    "On top again: in what share of resampled sets, of sentences / of whole dialogues, the word is "
    "among the first three of its class."
)


@or_notice
def table_6(runs: Stored, corpus: Corpus, selection: str = "last-epoch") -> Exhibit:
    """Table 6's words: printed ratio and ours, with its interval and what it rests on."""
    run = runs.of("att_d1", "word2vec")[0]
    rows = printed_words(words_of(run, corpus, selection))
    shown = pd.DataFrame(
        {
            "reported ratio": rows["reported"].map(number),
            ours([run]): rows["ratio"].map(number),
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
    caption = f"Table 6, as reported and ours ({name_of(run)}, one run as in the paper)."
    return table(shown, caption, of_judged([run], selection))


#: Signs of `words.word_table` in words: what the class does.
SIGNS = {1: "attracts it", 0: "neither", -1: "avoids it"}


def printed_words(words: pd.DataFrame) -> pd.DataFrame:
    """The words of Table 6 with their rows in ours; NaN where the test set lacks them.

    Args:
        words: from `replicate.words.word_table`. Its tags stand in brackets, the paper's do not;
            where there are both, the bare word counts.
    """
    ranked = words.assign(
        rank=words.groupby("emotion")["mutual_information"].rank(ascending=False, method="min"),
        word=words["word"].str.strip("[]"),
        tag=words["word"].str.startswith("["),
    )
    ranked = ranked.sort_values("tag", kind="stable").drop_duplicates(["emotion", "word"])
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
    return table(shown, caption, of_judged(chosen, selection))


@or_notice
def by_unit(runs: Stored, corpus: Corpus, min_count: int) -> Exhibit:
    """The words on top where mutual information counts sentences, and where it counts tokens."""
    chosen = runs.of("att_d1", "word2vec")
    best = {
        unit: [
            top_words(words_of(run, corpus, unit=unit), min_count=min_count)
            .groupby("emotion", sort=False)["word"]
            .agg(list)
            for run in chosen
        ]
        for unit in get_args(Unit)
    }
    shared = pd.concat(
        [
            pd.Series({e: len(set(one[e]) & set(other[e])) for e in one.index})
            for one, other in zip(*best.values(), strict=True)
        ],
        axis="columns",
    ).mean(axis="columns")
    shown = pd.DataFrame(
        {f"by {unit}": words[0].map(", ".join) for unit, words in best.items()}
        | {"in common": shared.map(f"{{:.1f}} of {TOP}".format)}
    )
    caption = (
        "The words on top with each predicted class by what mutual information counts, of those "
        f"with at least {min_count} occurrences: in the first of the runs, and how many are the "
        f"same, mean over {len(chosen)} runs."
    )
    return table(shown.loc[list(EMOTIONS)], caption, of_runs(chosen, "last-epoch"))


@or_notice
def by_true_class(corpus: Corpus) -> Exhibit:
    """The words on top by either method with the true classes of a corpus's cohort."""
    sentences = cohort(corpus)
    if sentences["transcript"].isna().all():
        raise Missing(f"{corpus.title} has no transcripts.", "point --data at a copy that has them")
    found = described(sentences)
    caption = f"Words with the true classes of all {len(sentences):,} sentences. {COLUMNS}"
    return _beside(found, corpus, caption, [of_corpus(corpus)])


@or_notice
def by_predicted_class(runs: Stored, corpus: Corpus, selection: str = "last-epoch") -> Exhibit:
    """The same with the classes that the first run of Att_d^1 with Word2Vec predicts."""
    run = runs.of("att_d1", "word2vec")[0]
    chosen = run.selected(selection)
    guessed = predicted(chosen).set_axis(chosen["utterance"])
    tested = corpus.utterances[corpus.utterances["utterance"].isin(guessed.index)]
    found = described(tested.assign(emotion=tested["utterance"].map(guessed)))
    caption = (
        f"Words with the predicted classes of the {len(tested):,} test sentences ({name_of(run)}, "
        f"one run as in the paper). {COLUMNS}"
    )
    return _beside(found, corpus, caption, of_runs([run], selection))


def _beside(
    found: pd.DataFrame, corpus: Corpus, caption: str, sources: Sequence[Source]
) -> Exhibit:
    """The rows on top; on the stand-in also what its grammar knows of them."""
    best = on_top(found)
    shown = _columns(best)
    if corpus.synthetic:
        known = in_grammar(standin.size_and_preset(corpus.name)[1])
        truth = best.merge(known, how="left", on=["emotion", "word"]).set_index(shown.index)
        shown["the grammar", "true share"] = truth["true_share"].map(number)
        shown["the grammar", "the class"] = truth["true_sign"].map(SIGNS)
    return table(shown, caption, sources)


@or_notice
def on_top_of(lists: Mapping[Classes, WordList], corpus: str, classes: Classes) -> Exhibit:
    """The words on top by either method in a stored list."""
    stored = _stored(lists, corpus, classes)
    caption = (
        f"The first {TOP} words of each class by either method, with {CLASSES[classes]}. {COLUMNS}"
    )
    return table(_columns(on_top(stored.table)), caption, [of_list(stored)])


@or_notice
def printed(lists: Mapping[Classes, WordList], corpus: str, classes: Classes) -> Exhibit:
    """The words that the paper names, in a stored list, with their printed ratio."""
    stored = _stored(lists, corpus, classes)
    named = stored.table[reported(stored.table).notna()]
    shown = _columns(named)
    shown.insert(0, ("counts", "reported ratio"), reported(named).map(number).to_numpy())
    caption = f"The words that the paper names, with {CLASSES[classes]}. {COLUMNS}"
    return table(shown, caption, [of_list(stored), PAPER])


@or_notice
def behind_the_print(lists: Mapping[Classes, WordList], corpus: str) -> Exhibit:
    """The fractions that may stand behind the ratios of Table 6, by how often the words occur."""
    counted = _stored(lists, corpus, "true")
    left = fractions_left(counted)
    ranges = {unit: [f"{a} to {b}" for a, b in left[f"{unit}_range"]] for unit in UNITS}
    shown = pd.DataFrame(
        {
            ("", "reported ratio"): left["printed"].map(str),
            **{
                (f"if {unit} are counted", name): column
                for unit in UNITS
                for name, column in {
                    "in a test set": ranges[unit],
                    "fractions left": [first_of(fitting) or "none" for fitting in left[unit]],
                }.items()
            },
        }
    )
    shown.index = pd.MultiIndex.from_frame(left[["emotion", "word"]], names=[None, None])
    caption = (
        f"How often the paper's words occur in {audit.TESTED} sentences drawn at random from "
        "the corpus (all ranges together hold with about 95 %), and which fractions of so many "
        "round to the printed ratio."
    )
    return table(shown, caption, [of_list(counted), PAPER])


def first_of(fitting: list[tuple[int, int]]) -> str:
    """The first four fractions, `4/5, 8/10, …`."""
    return ", ".join(f"{k}/{m}" for k, m in fitting[:4]) + (f",{NBSP}…" if fitting[4:] else "")


def fractions_left(stored: WordList) -> pd.DataFrame:
    """What the counts of a corpus leave of the fractions behind the printed ratios.

    Returns:
        The columns of `audit.words` for each printed word that occurs, and for either of `UNITS`
        its name with the fractions that are left, and `UNIT_range`, see `audit.likely_counts`.
    """
    named = stored.table[reported(stored.table).notna()]
    named = named.assign(word=named["word"].str.strip("[]"))
    left = named.merge(audit.words(), on=["emotion", "word"], validate="one_to_one")
    likely = audit.likely_counts(left, stored.sentences)
    for unit, suffix in UNITS.items():
        ranges = list(zip(likely[f"low{suffix}"], likely[f"high{suffix}"], strict=True))
        within = [
            [(k, n) for k, n in of_word if low <= n <= high]
            for of_word, (low, high) in zip(left["fractions"], ranges, strict=True)
        ]
        left[f"{unit}_range"] = pd.Series(ranges)
        left[unit] = pd.Series(within)
    return left


def _stored(lists: Mapping[Classes, WordList], corpus: str, classes: Classes) -> WordList:
    if classes not in lists:
        what = f"The words of {corpus} have not been counted, with {CLASSES[classes]}."
        raise Missing(what, wordlists.command(corpus))
    return lists[classes]


def of_list(stored: WordList) -> Source:
    """The source of what is shown of a stored list."""
    return Source(
        stored.corpus_title,
        stored.synthetic,
        (
            f"{stored.sentences:,} sentences, {stored.words:,} words",
            *([listed("run", stored.runs)] if stored.runs else []),
            f"commit {commit_name(stored.commit, stored.dirty)}",
        ),
    )


def sources(corpus: str) -> list[Source]:
    """The source of what is judged of a corpus's words; empty where nothing is stored."""
    kept = wordlists.load(corpus).get("one-test-set")
    return [of_list(kept)] if kept else []


def _columns(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of `words.described` as text under three headings."""
    counts = zip(rows["count"], rows["present"], strict=True)
    shown = pd.DataFrame(
        {
            ("counts", "of the class / all"): [f"{k}{NBSP}/{NBSP}{n}" for k, n in counts],
            ("counts", "ratio"): rows["ratio"].map(number).to_numpy(),
            ("counts", "95 % (Wilson)"): intervals(rows["low"], rows["high"]).to_numpy(),
            ("the paper's method", "10\u207b\u00b3 nats"): _milli(rows["mutual_information"]),
            ("the paper's method", "rank"): rows["rank"].map(whole).to_numpy(),
            ("the paper's method", "on top again"): _kept(rows, ""),
            ("corrected", "10\u207b\u00b3 nats, signed"): _milli(rows["corrected"], "+"),
            ("corrected", "q"): rows["q_value"].map(small).to_numpy(),
            ("corrected", "rank"): rows["corrected_rank"].map(whole).to_numpy(),
            ("corrected", "on top again"): _kept(rows, "corrected_"),
        }
    )
    shown.index = pd.MultiIndex.from_frame(rows[["emotion", "word"]], names=[None, None])
    return shown


def _milli(nats: pd.Series, sign: str = "") -> list[str]:
    return [f"{1000 * value:{sign}.2f}" for value in nats]


def _kept(rows: pd.DataFrame, order: str) -> list[str]:
    shares = zip(rows[f"{order}survival"], rows[f"{order}dialogue_survival"], strict=True)
    return [f"{sentences:.2f}{NBSP}/{NBSP}{dialogues:.2f}" for sentences, dialogues in shares]


def in_words(lists: Mapping[Classes, WordList], classes: Classes) -> dict[str, str]:
    """Numbers for the prose about a stored list; `(not counted yet)` without it.

    `CLASSES_sentences`, `_fewest` (see `words.fewest`), `_found` (pairs of a word and a class that
    pass), `_attracted` (how many of the paper's words pass with a plus, by name), and `_kept` and
    `_kept_corrected`: in what share of resampled sets of dialogues the words on top by either
    method are on top again, mean.
    """
    prefix = classes.replace("-", "_")
    if classes not in lists:
        names = ("sentences", "fewest", "found", "attracted", "kept", "kept_corrected")
        return {f"{prefix}_{name}": "(not counted yet)" for name in names}
    stored = lists[classes]
    named = stored.table[reported(stored.table).notna()]
    passing = named[named["corrected_rank"].notna()]
    words = ", ".join(f"{r.word} ({r.emotion})" for r in passing.itertuples())
    top = {order: stored.table[stored.table[f"{order}rank"] <= TOP] for order in ("", "corrected_")}
    kept = {order: rows[f"{order}dialogue_survival"].mean() for order, rows in top.items()}
    return {
        f"{prefix}_sentences": f"{stored.sentences:,}",
        f"{prefix}_fewest": f"{fewest(stored.sentences, stored.words)}",
        f"{prefix}_found": f"{stored.found:,}",
        f"{prefix}_attracted": f"{len(passing)} of the {len(named)} that occur"
        + f", {words}" * bool(words),
        f"{prefix}_kept": number(kept[""]) or "(no word)",
        f"{prefix}_kept_corrected": number(kept["corrected_"]) or "(no word)",
    }


def left_in_words(lists: Mapping[Classes, WordList]) -> dict[str, str]:
    """What the counts leave of the printed fractions, for the prose.

    `left_none`: words without a fraction if sentences are counted; `left_few`, `left_more`: those
    of which a single-digit number of occurrences may, and may no longer, be behind the print.
    """
    if "true" not in lists:
        return dict.fromkeys(("left_none", "left_few", "left_more"), "(not counted yet)")
    left = fractions_left(lists["true"])
    few = [any(n < 10 for _, n in fitting) for fitting in left["occurrences"]]
    once = [any(n < 10 for _, n in fitting) for fitting in left["fractions"]]
    chosen = {
        "left_none": left["word"][left["sentences"].map(len) == 0],
        "left_few": left["word"][few],
        "left_more": left["word"][[a and not b for a, b in zip(once, few, strict=True)]],
    }
    return {name: ", ".join(words) or "none" for name, words in chosen.items()}


def unpredicted(lists: Mapping[Classes, WordList]) -> str:
    """Classes that text alone never predicts, for the prose."""
    if "predicted" not in lists:
        return "(not counted yet)"
    counts = lists["predicted"].table.groupby("emotion")["count"].sum()
    return ", ".join(e for e in EMOTIONS if not counts.get(e, 0)) or "none"


def thinned_in_words(lists: Mapping[Classes, WordList]) -> dict[str, str]:
    """What Equation 1 does to a corpus, `real_tokens` and so on; `(not counted yet)` without it."""
    if "true" not in lists:
        names = [f"real_{field.name}" for field in fields(Thinned)]
        return dict.fromkeys(names, "(not counted yet)")
    left = lists["true"].thinned
    return {
        "real_tokens": f"{left.tokens:,}",
        "real_most_frequent": f"{left.most_frequent:,}",
        "real_highest": f"{left.highest:.2f}",
        "real_dropped": f"{left.dropped:.0%}",
        "real_emptied": f"{left.emptied:.1%}",
    }


def borne_out(corpus: Corpus) -> dict[str, str]:
    """How many words on top with the true classes the stand-in's grammar bears out.

    `by_rank` and `by_corrected`, as in `9 of 12`; known of the stand-in alone.
    """
    if not corpus.synthetic:
        return dict.fromkeys(("by_rank", "by_corrected"), "(known of the stand-in alone)")
    sentences = cohort(corpus)
    said = [tokens(text) for text in sentences["transcript"].fillna("")]
    every = word_table(said, sentences["emotion"].tolist())
    passing = every[(every["sign"] > 0) & (every["q_value"] <= FALSE_DISCOVERIES)]
    chosen = {
        "by_rank": top_words(every),
        "by_corrected": passing.sort_values("corrected").groupby("emotion").tail(TOP),
    }
    known = in_grammar(standin.size_and_preset(corpus.name)[1])
    return {
        name: f"{(rows.merge(known, on=['emotion', 'word'])['true_sign'] > 0).sum()} of {len(rows)}"
        for name, rows in chosen.items()
    }
