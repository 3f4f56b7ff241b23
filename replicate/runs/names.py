"""How models, embeddings and baselines are called, everywhere alike."""

from itertools import product

from replicate import paper
from replicate.runs.baselines import BASELINES
from replicate.runs.store import Run

#: Model -> the paper's name for it.
LABELS = dict(zip(paper.TABLE_4["model"], paper.TABLE_4["label"], strict=True))
LABELS |= {"audio": "Audio", "text": "Text"}

#: Embedding -> how a title names it; trainable ones are the paper's first case.
EMBEDDINGS = {"trainable": "", "word2vec": "Word2Vec", "glove": "GloVe", "none": ""}

#: Kind of folds -> what is held out.
HELD_OUT = {
    "stratified": "at random",
    "session": "one session",
    "speaker": "one speaker",
    "scenario": "one scenario",
    "dialogue": "a tenth of the dialogues",
}


def title(model: str, embedding: str) -> str:
    """A model and its embedding, or a baseline, as tables call them."""
    if model in BASELINES:
        return BASELINES[model].title
    return ", ".join(part for part in (LABELS[model], EMBEDDINGS[embedding]) if part)


def name_of(run: Run) -> str:
    """`title` of a run."""
    return title(run.experiment.model, run.experiment.embedding)


def listing(text: str) -> str:
    """Findings such as `att_d1-trainable 0.6; text-trainable 0.5`: one a line, models by name."""
    for model, embedding in product(LABELS, EMBEDDINGS):
        text = text.replace(f"{model}-{embedding}", title(model, embedding))
    return text.replace("; ", "\n")
