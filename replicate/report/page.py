"""What notebooks begin with: a notice, a corpus, and numbers for the prose."""

import inspect
from pathlib import Path
from typing import Any

import pandas as pd
from IPython.display import Markdown

from replicate.corpora.opening import open_corpus
from replicate.corpora.table import Corpus
from replicate.corpora.waveforms import Waveforms
from replicate.paper import EMOTIONS
from replicate.report.exhibits import Notice
from replicate.settings import MARK

#: Said of a page for which no corpus was read.
NO_CORPUS = (
    "No corpus was read for this page: its numbers are the paper's own, published counts, or "
    "computed from these and from this project's modules."
)

#: Corpora that are not generated -> what pages call them.
REAL_CORPORA = {
    "iemocap": "IEMOCAP",
    "iemocap-text": "IEMOCAP (transcripts only)",
    "iemocap-text-cut": "IEMOCAP (transcripts only, cut to the paper's cohort)",
    "emodb": "EmoDB",
    "meld": "MELD",
}

#: What they are, for the box at the top of a page.
ABOUT = {
    "iemocap": "the paper's corpus",
    "iemocap-text": "the words of the paper's corpus, without its sound",
    "iemocap-text-cut": "the same without the few utterances more than the paper has",
    "emodb": "recordings of German actors, whose text is but a code of the sentence",
    "meld": "the words of a television series",
}


def notice(*corpora: str) -> Notice:
    """Which corpora a page's numbers come from.

    It stands at the top of a notebook in JupyterLab; the book has it below the title.
    """
    if not corpora:
        return Notice("Corpus: none", NO_CORPUS, kind="note")
    standins = [name for name in corpora if name not in REAL_CORPORA]
    real = {REAL_CORPORA[name]: ABOUT[name] for name in corpora if name in REAL_CORPORA}
    title = f"Corpus: {'; '.join([MARK] * bool(standins) + list(real))}"
    told = [f"{name}: {what}." for name, what in real.items()]
    if not standins:
        return Notice(title, " ".join(told), kind="note")
    made = (
        f"{', '.join(standins)}: speech and text made by a program. Its numbers, pictures and "
        "sounds show what the model does there; they are no results on IEMOCAP."
    )
    return Notice(title, " ".join([made, *told, "Each table and figure says what made it."]))


def called(corpus: str) -> str:
    """A corpus in the prose: `the quick synthetic stand-in`."""
    preset = corpus.removeprefix("standin-")
    return REAL_CORPORA.get(corpus, f"the {preset} synthetic stand-in")


def source(thing: Any) -> Markdown:
    """The code of a class or function, as it runs."""
    return Markdown(f"```python\n{inspect.getsource(thing)}```")  # type: ignore[no-untyped-call]


def corpus_with_audio(name: str, data: str) -> Corpus:
    """The corpus if it has recordings; else the quick stand-in, whose exhibits say so."""
    corpus = open_corpus(name, Path(data) if data else None)
    return corpus if corpus.has_audio else open_corpus("standin-quick")


def typical(table: pd.DataFrame, waveforms: Waveforms) -> dict[str, str]:
    """An utterance of median length for each class: emotion -> id."""
    lengths = pd.Series(waveforms.lengths, list(waveforms.utterances))
    chosen = {}
    for emotion in EMOTIONS:
        ids = table.loc[table["emotion"] == emotion, "utterance"]
        ranked = lengths[ids].sort_values(kind="stable")
        chosen[emotion] = str(ranked.index[len(ranked) // 2])
    return chosen
