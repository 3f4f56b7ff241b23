"""Section 4.1: which utterances enter the experiments, and which of them are held out."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from replicate.corpora.table import Corpus
from replicate.files import InputError
from replicate.paper import EMOTIONS
from replicate.settings import GROUPS, Fold

#: Section 4.1: "We separated 10% of the dataset for testing".
TEST_SHARE = 0.1

#: Groups of dialogues, each held out once: as much is tested on as at random.
TENTHS = 10


@dataclass(frozen=True)
class Split:
    """Positions in the cohort: disjoint, sorted, together the whole cohort."""

    train: np.ndarray
    development: np.ndarray
    test: np.ndarray


def cohort(corpus: Corpus) -> pd.DataFrame:
    """Section 4.1: utterances of the four classes, with `emotion`; `InputError` if one has none."""
    emotion = corpus.utterances["label"].map(corpus.emotions)
    chosen = corpus.utterances.assign(emotion=emotion)[emotion.notna()].reset_index(drop=True)
    empty = set(EMOTIONS) - set(chosen["emotion"])
    if empty:
        raise InputError(
            corpus.root,
            f"no utterance of class {', '.join(sorted(empty))}",
            f"run `replicate corpus check {corpus.name} {corpus.root}` to see what was read",
        )
    return chosen


def classes(table: pd.DataFrame) -> np.ndarray:
    """Class of each utterance as its position in `EMOTIONS`: int64 [n]."""
    return table["emotion"].map(EMOTIONS.index).to_numpy(dtype=np.int64)


def groups(table: pd.DataFrame, kind: str) -> list[str]:
    """The values that can be held out for a kind of fold, sorted."""
    return sorted(_group_of(table, kind).dropna().unique())


def _group_of(table: pd.DataFrame, kind: str) -> pd.Series:
    """The group that each utterance belongs to; of dialogues, one of ten drawn at random."""
    named = table[GROUPS[kind]]
    if kind != "dialogue":
        return named
    drawn = np.random.default_rng(0).permutation(sorted(named.dropna().unique()))
    return named.map({name: str(place % TENTHS) for place, name in enumerate(drawn)})


def split(table: pd.DataFrame, fold: Fold, development: float = 0.0) -> Split:
    """Training, development and test positions of a cohort; the fold is held out for the test.

    `development` is the share of each class of the training part that is held out again to choose
    an epoch; the paper has none. `InputError` if there is no such group, or a class is left empty.
    """
    labels = classes(table)
    if fold.kind == "stratified":
        test = _draw(labels, np.arange(len(labels)), TEST_SHARE, int(fold.held_out))
    else:
        known = groups(table, fold.kind)
        if fold.held_out not in known:
            raise InputError(fold.name, "no such group in the corpus", f"choose from {known}")
        test = np.flatnonzero(_group_of(table, fold.kind) == fold.held_out)
    rest = np.setdiff1d(np.arange(len(labels)), test)
    number = int.from_bytes(fold.name.encode()[-8:])
    held = _draw(labels, rest, development, number) if development else rest[:0]
    train = np.setdiff1d(rest, held)
    if len(set(labels[train])) < len(EMOTIONS):
        raise InputError(fold.name, "leaves a class without training utterances", "use more data")
    return Split(train, held, test)


def _draw(labels: np.ndarray, among: np.ndarray, share: float, seed: int) -> np.ndarray:
    """`ceil(share * n_c)` positions of each class c, sorted: 111/164/171/109 on IEMOCAP."""
    rng = np.random.default_rng(seed)
    drawn = []
    for label in range(len(EMOTIONS)):
        members = among[labels[among] == label]
        count = math.ceil(round(share * len(members), 9))
        drawn.append(rng.permutation(members)[:count])
    return np.sort(np.concatenate(drawn))
