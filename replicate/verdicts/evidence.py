"""What the claims are judged by: stored runs, words and loudness of one corpus."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import pandas as pd

from replicate.corpora.table import Corpus
from replicate.paper import PAPER_FEATURES
from replicate.runs.facts import Facts
from replicate.runs.selection import Selection
from replicate.runs.store import Provenance, Run
from replicate.runs.versions import differing
from replicate.stats.classification import confusion, precision, recall
from replicate.stats.intervals import Interval
from replicate.stats.summaries import by_run, means_over_seeds
from replicate.studies import loudness, wordlists
from replicate.studies.loudness import Loudness
from replicate.studies.released_levels import Levels
from replicate.studies.wordlists import WordsOfRuns, words_of
from replicate.verdicts.fitness import fit


@dataclass(frozen=True)
class Evidence:
    """All that a criterion may look at; a model is named with its embedding: `att_d1-word2vec`."""

    runs: Selection  # of one corpus, protocol and kind of held-out part; there may be none
    title: str  # of the corpus
    synthetic: bool  # whether the corpus is the stand-in
    words: Sequence[pd.DataFrame] = ()  # `replicate.studies.words.word_table` of each seed
    by_text_alone: bool = False  # whether they are of text alone, and not of Att_d^1 with Word2Vec
    levels: pd.DataFrame | None = None  # `replicate.studies.loudness.of_cohort`
    words_from: Sequence[Run | Facts] = ()  # what the words were counted in: runs, or a stored list
    levels_from: Sequence[Facts] = ()  # where the levels are stored; none if measured just now
    left_out: str = ""  # which runs play no part
    sessions: "Evidence | None" = None  # each held out, where criteria of splits ask for it

    @property
    def counts(self) -> dict[str, int]:
        """Utterances in `train` (all that is not tested) and `test`; empty without runs."""
        for run in self.runs:
            made = run.provenance
            return {"train": made.n_train + made.n_development, "test": made.n_test}
        return {}

    @cached_property
    def answers(self) -> pd.DataFrame:
        """All predictions, see `Selection.answers`."""
        return _named(self.runs.answers())

    @cached_property
    def by_run(self) -> pd.DataFrame:
        """`replicate.stats.summaries.by_run`."""
        return _named(by_run(self.answers))

    @cached_property
    def summary(self) -> dict[Hashable, dict[Hashable, Any]]:
        """`replicate.stats.summaries.means_over_seeds`: name of a model -> its row."""
        return means_over_seeds(self.answers).set_index("name").to_dict("index")

    def mean(self, name: str, measure: str) -> tuple[float, Interval]:
        """A model's mean over seeds, with its interval."""
        row = self.summary[name]
        return row[measure], Interval(row[f"{measure}_low"], row[f"{measure}_high"])

    def by_seed(self, name: str, measure: str) -> pd.Series:
        """A model's values by seed, folds averaged."""
        rows = self.by_run[self.by_run["name"] == name]
        return rows.groupby("seed")[measure].mean()

    def answers_of(self, name: str) -> pd.DataFrame:
        """The predictions of one model."""
        return self.answers[self.answers["name"] == name]

    def confusions(self, name: str) -> list[pd.DataFrame]:
        """A model's confusion matrix for each seed, its folds pooled."""
        seeds = self.answers_of(name).groupby("seed")
        return [confusion(part["emotion"], part["predicted"]) for _, part in seeds]

    def rates(self, name: str) -> pd.DataFrame:
        """A model's rates as Table 7 has them: a row a seed, columns such as `anger recall`."""
        rows = [
            pd.concat([of(one).add_suffix(f" {of.__name__}") for of in (recall, precision)])
            for one in self.confusions(name)
        ]
        return pd.DataFrame(rows)

    def accuracies(self, names: Sequence[str]) -> pd.DataFrame:
        """Accuracy by seed (rows) and model (columns), on folds that all of them ran."""
        rows = self.by_run[self.by_run["name"].isin(names)]
        rows = rows.assign(right=rows["accuracy"] * rows["n_utterances"])
        shared = rows.groupby(["seed", "fold"])["name"].transform("size") == len(names)
        sums = rows[shared].groupby(["seed", "name"])[["right", "n_utterances"]].sum()
        return (sums["right"] / sums["n_utterances"]).unstack().reindex(columns=list(names))


def gather(runs: Selection, corpus: Corpus | None = None) -> Evidence:
    """What there is to judge the claims by.

    Without recordings, the corpus's stored loudness counts, and without runs that read as those of
    the paper's Table 6, its stored words by text alone. Of acoustic features it is runs on splits
    of their own, sessions, stored levels and words.
    """
    if runs.corpus == PAPER_FEATURES:
        return _gather_splits(runs)
    made = next((run.provenance for run in runs), None)
    decide, told = fit(deciding(runs))
    readers, words = decide.of("att_d1", "word2vec", decide.folds), []
    listed = None if len(readers) else wordlists.load(runs.corpus).get("one-test-set")
    audible = corpus if corpus and corpus.has_audio else None
    listed, of_words = _fitting(listed, "words", made)
    kept, of_levels = _fitting(None if audible else Loudness.load(runs.corpus), "levels", made)
    words_from: Sequence[Run | Facts] = ()
    if listed and runs.epoch == "last-epoch":
        words, words_from = [listed.table], [listed]
    elif corpus and len(readers):
        words, words_from = words_of(readers, corpus), readers.runs
    levels = loudness.of_cohort(audible) if audible else kept.table if kept else None
    return Evidence(
        decide,
        title=made.corpus_title if made else corpus.title if corpus else runs.corpus,
        synthetic=bool(made.synthetic if made else corpus and corpus.synthetic),
        words=words,
        by_text_alone=bool(listed),
        levels=levels,
        words_from=words_from,
        levels_from=[kept] if kept else [],
        left_out="; ".join(filter(None, (told, of_words, of_levels))),
    )


Stored = TypeVar("Stored", bound=Facts)


def _fitting(
    stored: Stored | None, called: str, made: Provenance | None
) -> tuple[Stored | None, str]:
    """Stored facts, if of the version of the corpus that runs saw; else none, and why."""
    if stored and made and differing(made, stored.seen):
        return None, f"stored {called} are of another version of the corpus"
    return stored, ""


def _gather_splits(runs: Selection) -> Evidence:
    runs, told = fit(runs)
    made = next((run.provenance for run in runs), None)
    kept, of_levels = _fitting(Levels.load(runs.corpus), "levels", made)
    listed, of_words = _fitting(WordsOfRuns.load(runs.corpus), "words", made)
    title = made.corpus_title if made else runs.corpus
    own, sessions = (
        Evidence(runs.of(folds=folds), title, synthetic=False) for folds in ("own", "session")
    )
    if kept:
        own = replace(own, levels=kept.table, levels_from=[kept])
    if listed and runs.epoch == "last-epoch":
        own = replace(own, words=listed.tables, words_from=[listed])
    left_out = "; ".join(filter(None, (told, of_levels, of_words)))
    return replace(own, left_out=left_out, sessions=sessions)


def deciding(runs: Selection) -> Selection:
    """The runs that verdicts rest on, all of one kind of folds.

    Those on the split that all seeds share; where only one seed has it, those that each have a
    split of their own; without random splits, those with groups held out.
    """
    kinds = {run.experiment.fold.kind for run in runs} or {"stratified"}
    if "stratified" not in kinds:
        return runs.of(folds=min(kinds))
    one, own = runs.of(folds="one"), runs.of(folds="own")
    seeds = [len({run.experiment.seed for run in chosen}) for chosen in (one, own)]
    return own if seeds[1] > 1 >= seeds[0] else one


def _named(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(name=table["model"] + "-" + table["embedding"])
