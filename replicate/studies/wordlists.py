"""Single words with their statistics, of texts that may not be shown: `results/<corpus>/words/`.

The licences of IEMOCAP and MELD leave room for facts about their transcripts: words with counts,
each by itself, never a sentence. `replicate words` computes them where the corpus is at hand and
keeps the ones on top and those that the paper names.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from replicate.corpora.protocol import cohort, split
from replicate.corpora.table import Corpus
from replicate.corpora.transcriptions import discard_probability, tokens, vocabulary
from replicate.files import InputError
from replicate.paper import WORDS
from replicate.runs import facts
from replicate.runs.code import PACKAGES
from replicate.runs.selection import Selection, answers
from replicate.runs.store import Run
from replicate.settings import RESULTS, Fold, Training
from replicate.studies.words import FALSE_DISCOVERIES, described, on_top, word_table

#: Words kept of each class by either method, besides those that the paper names.
KEPT = 20

#: Which class of a sentence counts: the true one, or the one that text alone predicts: for each
#: sentence by the first training that did not see it, or on the test set of one training.
Classes = Literal["true", "predicted", "one-test-set"]

#: Of `words.described`.
COLUMNS = (
    "emotion", "word", "count", "present", "ratio", "low", "high", "sentences",
    "mutual_information", "sign", "corrected", "p_value", "q_value", "rank", "corrected_rank",
    "survival", "corrected_survival", "dialogue_survival", "corrected_dialogue_survival",
)  # fmt: skip


@dataclass(frozen=True)
class Thinned:
    """What Equation 1, f a count, leaves of a training part, on average."""

    tokens: int  # of the training part
    most_frequent: int  # occurrences of the most frequent word
    highest: float  # the probability with which that word is discarded
    dropped: float  # share of the tokens that go
    emptied: float  # share of the sentences of which all words would go


def thinned(sentences: Sequence[Sequence[str]], t: float) -> Thinned:
    """Equation 1 on the tokenised sentences of a training part."""
    vocab = vocabulary(sentences)
    gone = discard_probability(vocab.counts, t)
    n = int(vocab.counts.sum())
    return Thinned(
        tokens=n,
        most_frequent=int(vocab.counts.max()),
        highest=float(gone.max()),
        dropped=float(vocab.counts @ gone / n),
        emptied=float(np.mean([np.prod(gone[vocab.encode(said)]) for said in sentences])),
    )


@dataclass(frozen=True, kw_only=True)
class WordList(facts.Facts):
    """What `words.described` finds, cut to the words on top."""

    file = "words/{classes}.json"
    made_by = "words"

    classes: Classes
    sentences: int  # how many there are
    words: int  # how many different ones
    thinned: Thinned  # the training part of the first random split
    #: The words that the paper names in sentences cut at white space: `at_white_space`.
    cut_at_spaces: list[dict[str, facts.Cell]] = field(default_factory=list)
    found: int  # pairs of a word and a class with a `q_value` of `words.FALSE_DISCOVERIES` or less
    runs: tuple[str, ...]  # names of those that predicted; none for true classes
    rows: list[dict[str, facts.Cell]]  # column -> value, for each word

    @property
    def table(self) -> pd.DataFrame:
        """The rows, with the columns of `words.described`; there may be none."""
        frame = pd.DataFrame(self.rows, columns=list(COLUMNS))
        return frame.astype({"rank": float, "corrected_rank": float})


def make(corpus: Corpus, runs: Sequence[Run]) -> Iterator[WordList]:
    """The lists of a corpus by `Classes`, from runs of text alone; without these, of true classes.

    `InputError` if it has no transcripts.
    """
    table = cohort(corpus)
    if table["transcript"].isna().all():
        raise InputError(corpus.root, "has no transcripts", "point --data at a copy that has them")
    said = [tokens(text) for text in table["transcript"].fillna("")]
    taught = [said[i] for i in split(table, Fold()).train]
    thin = thinned(taught, Training().subsampling_t)
    cut: list[Any] = at_white_space(table["transcript"].fillna("").tolist()).to_dict("records")
    yield replace(_list(corpus, "true", table, thin, ()), cut_at_spaces=cut)
    tested = answers(runs)
    parts: dict[Classes, pd.DataFrame] = {
        "predicted": tested.drop_duplicates("utterance"),
        "one-test-set": tested[tested["run"] == tested["run"].min()],
    }
    for classes, part in parts.items() if runs else ():
        guessed = part.set_index("utterance")["predicted"]
        seen = table[table["utterance"].isin(guessed.index)]
        names = tuple(runs[k].experiment.name for k in part["run"].unique())
        seen = seen.assign(emotion=seen["utterance"].map(guessed))
        yield _list(corpus, classes, seen, thin, names)


def at_white_space(texts: Sequence[str]) -> pd.DataFrame:
    """The words that the paper names, if sentences are cut at white space and nowhere else.

    Returns `emotion`, `word`, `present` (occurrences), `sentences` (those with the word).

    >>> at_white_space(["Um, so", "So so."]).query("present > 0").to_dict("records")
    [{'emotion': 'happiness', 'word': 'so', 'present': 2, 'sentences': 2}]
    """
    said = [Counter(text.lower().replace("[", "").replace("]", "").split()) for text in texts]
    rows = [
        (*pair, sum(each[pair[1]] for each in said), sum(pair[1] in each for each in said))
        for pair in WORDS
    ]
    return pd.DataFrame(rows, columns=["emotion", "word", "present", "sentences"])


def _list(
    corpus: Corpus, classes: Classes, table: pd.DataFrame, thin: Thinned, runs: tuple[str, ...]
) -> WordList:
    """The list of a cohort, or part of one, by its column `emotion`."""
    every = described(table)
    named = reported(every).notna()
    kept = every[named | every.index.isin(on_top(every, KEPT).index)].astype(object)
    packages = (*PACKAGES, "scipy", "scikit-learn", "statsmodels")
    return WordList(
        **facts.origin(corpus, heard=False, packages=packages),
        classes=classes,
        sentences=len(table),
        words=every["word"].nunique(),
        thinned=thin,
        found=int((every["q_value"] <= FALSE_DISCOVERIES).sum()),
        runs=runs,
        rows=kept.where(kept.notna(), None).to_dict("records"),  # type: ignore[arg-type]
    )


def words_of(runs: Selection, corpus: Corpus) -> list[pd.DataFrame]:
    """Every word of each run's test set with every predicted class, see `word_table`."""
    said = corpus.utterances.set_index("utterance")["transcript"].fillna("")
    found = []
    for _, part in runs.answers().groupby("run"):
        sentences = [tokens(said[utterance]) for utterance in part["utterance"]]
        found.append(word_table(sentences, part["predicted"].tolist()))
    return found


@dataclass(frozen=True, kw_only=True)
class WordsOfRuns(facts.Facts):
    """The words that the paper names, by the classes that runs of its best model predict."""

    file = "words/of-runs.json"
    made_by = "words"

    runs: tuple[str, ...]  # their names, each with a test set
    rows: list[dict[str, facts.Cell]]  # of `words.word_table`, and the `run`

    @property
    def tables(self) -> list[pd.DataFrame]:
        """The rows of each run."""
        rows = pd.DataFrame(self.rows, columns=["run", *COLUMNS])
        return [rows[rows["run"] == name] for name in self.runs]


def of_runs(corpus: Corpus, runs: Selection) -> WordsOfRuns:
    """What `words_of` finds of the words that the paper names."""
    names = tuple(run.experiment.name for run in runs)
    parts = [table[reported(table).notna()] for table in words_of(runs, corpus)]
    rows = pd.concat(parts, keys=names, names=["run"]).reset_index("run").astype(object)
    made = facts.origin(corpus, heard=False, packages=(*PACKAGES, "scikit-learn"))
    kept: list[Any] = rows.to_dict("records")
    return WordsOfRuns(**made, runs=names, rows=kept)


def reported(table: pd.DataFrame) -> pd.Series:
    """The ratio that the paper gives a row's `word` (tags in brackets) and `emotion`, else NaN."""
    pairs = zip(table["emotion"], table["word"].str.strip("[]"), strict=True)
    return pd.Series([WORDS.get(pair, np.nan) for pair in pairs], table.index, dtype=float)


def load(corpus: str, root: Path = RESULTS) -> dict[Classes, WordList]:
    """The stored lists of a corpus; there may be none."""
    lists = {name: WordList.load(corpus, root, classes=name) for name in get_args(Classes)}
    return {name: found for name, found in lists.items() if found}
