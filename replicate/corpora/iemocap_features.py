"""IEMOCAP's transcripts and acoustic features, published by others, joined by utterance.

Four files, in one folder or in folders of it (`book/rerun.md` says where a reader gets them):

- `iemocap.pkl`: transcripts and labels in time order, without ids, see `iemocap_text`.
- `levels.csv`: `utterance`, `label`, `start`, `end` of all 10,039 utterances, as released.
- `egemaps47.npy`: float64 [10039, 47], statistics of eGeMAPS (Eyben et al. 2016) over time.
- `ids.txt`: the utterance of each of its rows.

The transcripts are those of the labels `hap`, `exc`, `neu`, `ang`, `sad` and `fru`, so the k-th of
a speaker in a dialogue is that speaker's k-th utterance of these labels, once 53 are set aside that
the file calls `hap` although the annotators did not agree. They are listed beside this module.
Without them the cohort is the paper's: 1,103 / 1,636 / 1,708 / 1,084.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from replicate.corpora import iemocap_text
from replicate.corpora.features import Features
from replicate.corpora.iemocap_ids import EMOTIONS, parse
from replicate.corpora.table import Corpus, Reading
from replicate.files import InputError
from replicate.settings import SAMPLE_RATE

_REMEDY = "take the file anew, see the table of corpora in book/rerun.md"

#: Low-level descriptors of eGeMAPS in openSMILE's order: means over time, then deviations.
DESCRIPTORS = (
    "loudness", "alphaRatio", "hammarbergIndex", "slope0-500", "slope500-1500", "spectralFlux",
    "mfcc1", "mfcc2", "mfcc3", "mfcc4", "F0semitone", "jitter", "shimmer", "HNR", "logRelF0-H1-H2",
    "logRelF0-H1-A3", "F1frequency", "F1bandwidth", "F1amplitude", "F2frequency", "F2amplitude",
    "F3frequency", "F3amplitude",
)  # fmt: skip
COLUMNS = (
    *(f"{name} mean" for name in DESCRIPTORS),
    *(f"{name} deviation" for name in DESCRIPTORS),
    "quiet frames",
)

#: Positive and skewed: their logarithm is taken.
LOGARITHMS = ("loudness mean", "spectralFlux mean", "loudness deviation", "spectralFlux deviation")

#: `quiet frames` is a share of frames this many samples apart, at 16 kHz.
HOP = 512

#: The dialogue whose levels may be another's.
DOUBTFUL = "Ses05M_script01_1b"

#: Share of the utterances that must show that rows and ids belong together; 3 % do by chance.
ALIGNED = 0.9


def read(root: Path) -> Corpus:
    """Read the four files below a folder.

    `InputError` if one is missing or is not what it should be, or rows do not fit their ids.
    """
    released, path = _released(_find(root, "levels.csv")), _find(root, "iemocap.pkl")
    found = Reading()
    for row in _rows(path, released):
        if found.add(row, path) and row["transcript"] is None:
            found.damaged(path, "has no transcript", _REMEDY, str(row["utterance"]))
    title = "IEMOCAP transcripts and acoustic features (in place of raw audio)"
    features = _features(root, released)
    return found.corpus("iemocap-features", title, root, EMOTIONS, features=features)


def _find(root: Path, name: str) -> Path:
    """A file in a folder or in one of its folders."""
    found = [path for path in (root / name, *sorted(root.glob(f"*/{name}"))) if path.is_file()]
    if not found:
        raise InputError(root, f"holds no {name}", _REMEDY)
    return found[0]


def _columns(path: Path, names: Iterable[str]) -> pd.DataFrame:
    """Index utterance; some columns of `levels.csv`."""
    try:
        return pd.read_csv(path, usecols=["utterance", *names], index_col="utterance")
    except (ValueError, OSError) as error:
        raise InputError(path, f"cannot be read: {error}", _REMEDY) from error


def _released(path: Path) -> pd.DataFrame:
    """Index utterance, in order of ids; `label`, `start`, `end` as released."""
    table = _columns(path, ("label", "start", "end")).sort_index()
    odd = [name for name in table.index if parse(name) is None]
    if odd or table.index.has_duplicates or table.isna().any(axis=None):
        raise InputError(path, "has odd or repeated ids, or empty fields", _REMEDY)
    return table


def levels(root: Path) -> pd.DataFrame:
    """Levels of the utterances that have them, as parts of full scale; `InputError` without any.

    Index utterance; `average` (mean of |x|) and `spread` (standard deviation of x) in the recording
    of the dialogue, `rms` (mean of the frames) in the sentence file. Those of one dialogue, which
    may have been cut from another's recording, are left out.
    """
    names = {"dialogue_mean_abs": "average", "dialogue_sd": "spread", "sentence_mean_rms": "rms"}
    table = _columns(_find(root, "levels.csv"), names)
    doubtful = table.index.str.startswith(DOUBTFUL)
    return table[~doubtful].rename(columns=names).dropna(subset=["average", "spread"])


@cache
def surplus() -> dict[str, dict[int, str]]:
    """Dialogue -> position in `iemocap.pkl` -> id, of the 53 without agreement."""
    listed = yaml.safe_load(Path(__file__).with_name("iemocap_surplus.yml").read_text())
    return {
        dialogue: {place: f"{dialogue}_{number}" for place, number in entries.items()}
        for dialogue, entries in listed.items()
    }


def _rows(path: Path, released: pd.DataFrame) -> Iterator[dict[str, object]]:
    """A row for each transcript, with the id, label and times of the release."""
    waiting: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name in released.index[released["label"].isin(iemocap_text.LABELS)][::-1]:
        known = parse(name)
        assert known is not None
        waiting[known.dialogue, known.gender].append(name)
    for dialogue, position, letter, label, text in iemocap_text.entries(path):
        aside = surplus().get(dialogue, {}).get(position)
        left = waiting[dialogue, letter]
        utterance = aside or (left.pop() if left else "")
        if utterance not in released.index:
            raise InputError(path, f"{dialogue}: more transcripts than the release has", _REMEDY)
        true = released.loc[utterance]
        if not aside and true["label"] != label:
            what = f"entry {position} of {dialogue} is {label}, {utterance} is {true['label']}"
            raise InputError(path, what, _REMEDY)
        yield {**vars(parse(utterance)), **true, "transcript": text}
    if left_over := [name for names in waiting.values() for name in names]:
        what = f"{len(left_over)} utterances have no transcript, {left_over[0]} is one"
        raise InputError(path, what, _REMEDY)


def _features(root: Path, released: pd.DataFrame) -> Features:
    path = _find(root, "egemaps47.npy")
    ids = _find(root, "ids.txt").read_text().split()
    try:
        values = np.load(path).astype(float)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(path, f"cannot be read: {error}", _REMEDY) from error
    if values.shape != (len(ids), len(COLUMNS)) or not set(ids) <= set(released.index):
        what = f"is {values.shape}, not a row of {len(COLUMNS)} numbers for each line of ids.txt"
        raise InputError(path, what, _REMEDY)
    if (share := aligned(values[:, -1], released.loc[ids])) < ALIGNED:
        what = f"rows do not fit their ids: only {share:.0%} of the counts of frames are whole"
        raise InputError(path, what, _REMEDY)
    logs = [COLUMNS.index(name) for name in LOGARITHMS]
    # NumPy's own differs in the last bit from processor to processor, and so would the fingerprint
    logarithm = np.vectorize(lambda x: math.log(x) if x > 0 else math.nan)
    values[:, logs] = logarithm(values[:, logs])
    return Features(values, COLUMNS, tuple(ids))


def aligned(quiet: np.ndarray, times: pd.DataFrame) -> float:
    """Share of utterances whose number of quiet frames is whole, of those that have any.

    `quiet` is each one's share of quiet frames, [n]. Times the number of frames it is whole only
    where `start` and `end`, in seconds, are the same utterance's. They are rounded: a few miss.
    """
    samples = (times["end"] - times["start"]).to_numpy() * SAMPLE_RATE
    counts = quiet * (1 + samples // HOP)
    counts = counts[quiet > 0]
    return float(np.mean(np.abs(counts - counts.round()) < 1e-6))
