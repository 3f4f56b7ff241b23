"""How numbers, intervals and models are written, everywhere alike."""

import re
from itertools import product

import numpy as np
import pandas as pd

from replicate import paper
from replicate.runs import Run

#: Stands in the prose for the numbers of runs that are not there.
ABSENT = "(not run yet)"

NBSP = "\N{NO-BREAK SPACE}"

#: Model -> the paper's name for it.
LABELS = {row.model: row.label for row in paper.TABLE_4} | {"audio": "Audio", "text": "Text"}

#: Embedding -> how a title names it; trainable ones are the paper's first case.
EMBEDDINGS = {
    "trainable": "",
    "word2vec": "Word2Vec",
    "glove": "GloVe",
    "none": "",
}


def signed_interval(low: float, high: float) -> str | None:
    """`[-0.010, +0.031]`, for differences; None where there is too little to tell."""
    known = not (np.isnan(low) or np.isnan(high))
    return f"[{signed(low)},{NBSP}{signed(high)}]" if known else None


def number(value: float | None) -> str | None:
    """Three decimals, as the paper prints; None stays an empty cell."""
    return None if value is None or np.isnan(value) else f"{value:.3f}"


def signed(value: float) -> str | None:
    """Three decimals with their sign, a plus for zero; NaN stays an empty cell."""
    return None if np.isnan(value) else f"{round(value, 3) + 0.0:+.3f}"


def small(p_value: float) -> str | None:
    """Three decimals, or that it is less than the last of them; NaN stays an empty cell."""
    return "< 0.001" if p_value < 0.001 else number(p_value)


def interval(low: float, high: float) -> str | None:
    """`[0.681, 0.725]`, kept on one line; None where there is too little to tell."""
    return None if np.isnan(low) or np.isnan(high) else f"[{low:.3f},{NBSP}{high:.3f}]"


def title(model: str, embedding: str) -> str:
    """A model and its embedding as captions call them."""
    return ", ".join(part for part in (LABELS[model], EMBEDDINGS[embedding]) if part)


def named(configuration: str) -> str:
    """`title` of `att_d1-word2vec`."""
    model, _, embedding = configuration.partition("-")
    return title(model, embedding)


def name_of(run: Run) -> str:
    """`title` of a run."""
    return title(run.experiment.model, run.experiment.embedding)


def intervals(low: pd.Series, high: pd.Series) -> pd.Series:
    """`interval` for columns."""
    shown = [interval(a, b) for a, b in zip(low, high, strict=True)]
    return pd.Series(shown, low.index, dtype=object)


def whole(value: float) -> str | None:
    """A count as text; NaN stays an empty cell."""
    return None if np.isnan(value) else f"{value:,.0f}"


def listing(text: str) -> str:
    """Findings such as `att_d1-trainable 0.6; text-trainable 0.5`: one a line, models by name."""
    for model, embedding in product(LABELS, EMBEDDINGS):
        text = text.replace(f"{model}-{embedding}", title(model, embedding))
    return text.replace("; ", "\n")


def in_html(text: str) -> str:
    """Names such as Att_s^1 with their indices, in HTML."""
    return re.sub(r"Att_(\w+)\^(\w+)", r"Att<sub>\1</sub><sup>\2</sup>", text)


def in_mathtext(text: str) -> str:
    """Names such as Att_s^1 with their indices, in matplotlib's notation."""
    return re.sub(r"Att_(\w+)\^(\w+)", r"$\\mathrm{Att}_{\1}^{\2}$", text)
