"""IEMOCAP's transcripts and labels as published for text models: no recordings, no times.

The file is `iemocap.pkl` of the repository declare-lab/conv-emotion (folder
`COSMIC/feature-extraction/iemocap`): a pickle of six plain objects, of which the first three are
read: speakers, labels and sentences, each a dict from dialogue to a list in time order.

Utterance numbers are not in it. The ids made here number the utterances of each speaker of a
dialogue from 000 in order (`Ses01F_impro01_F000`), so they look like IEMOCAP's own, but need not
be the same utterance's: IEMOCAP's numbers also count utterances without a clear label.

A class may have a few utterances more than in the paper's cohort; which ones cannot be read off.
"""

import pickle
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field

from replicate.corpora.iemocap_ids import EMOTIONS, parse
from replicate.corpora.table import Corpus, Reading
from replicate.files import InputError, checked

_FILE = "iemocap.pkl"
LABELS = ("hap", "sad", "neu", "ang", "exc", "fru")


class _Parts(NamedTuple):
    """What of the file is read, by dialogue."""

    speakers: dict[str, list[Annotated[str, Field(pattern="^[FM]$")]]]
    labels: dict[str, list[Annotated[int, Field(ge=0, lt=len(LABELS), strict=True)]]]
    sentences: dict[str, list[Annotated[str, Field(strict=True)]]]


_REMEDY = (
    "take iemocap.pkl anew from the repository declare-lab/conv-emotion, "
    "folder COSMIC/feature-extraction/iemocap"
)


class PlainUnpickler(pickle.Unpickler):
    """Reads dicts, lists, strings and numbers; refuses every class and function."""

    def find_class(self, module: str, name: str) -> object:
        """Refuse: a pickle that names code could run anything."""
        raise pickle.UnpicklingError(f"it asks for {module}.{name}; plain containers only")


def read(root: Path) -> Corpus:
    """Read `iemocap.pkl`, or the folder that holds it.

    `InputError` if there is none, it asks for code, or holds other contents than expected.
    """
    path = root / _FILE if root.is_dir() else root
    if not path.is_file():
        raise InputError(path, "no such file", f"give the folder that holds {_FILE}, or the file")
    found = Reading()
    for row in _rows(path):
        if found.add(row, path) and row["transcript"] is None:
            found.damaged(path, "has no transcript", _REMEDY, str(row["utterance"]))
    return found.corpus("iemocap-text", "IEMOCAP transcripts (text only)", root, EMOTIONS)


def entries(path: Path) -> Iterator[tuple[str, int, str, str, str | None]]:
    """Dialogue, position in it, speaker, label and transcript of each entry of the file."""
    speakers, labels, sentences = _parts(path)
    for dialogue in sorted(sentences):
        turns = zip(speakers[dialogue], labels[dialogue], sentences[dialogue], strict=True)
        for position, (letter, label, sentence) in enumerate(turns):
            yield dialogue, position, letter, LABELS[label], " ".join(sentence.split()) or None


def _rows(path: Path) -> Iterator[dict[str, object]]:
    counts: Counter[tuple[str, str]] = Counter()
    for dialogue, _, letter, label, transcript in entries(path):
        utterance = parse(f"{dialogue}_{letter}{counts[dialogue, letter]:03d}")
        if utterance is None:
            raise InputError(path, f"{dialogue} is no dialogue of IEMOCAP", _REMEDY)
        counts[dialogue, letter] += 1
        yield {**vars(utterance), "label": label, "transcript": transcript}


def _parts(path: Path) -> _Parts:
    try:
        with path.open("rb") as file:
            content = PlainUnpickler(file).load()
    # A damaged pickle raises almost anything: EOFError, IndexError, KeyError, MemoryError ...
    except Exception as error:
        raise InputError(path, f"cannot be read as a plain pickle: {error}", _REMEDY) from error
    if isinstance(content, list | tuple):
        content = dict(zip(_Parts._fields, content, strict=False))
    parts = checked(content, _Parts, path, _REMEDY)
    lengths = [{dialogue: len(row) for dialogue, row in part.items()} for part in parts]
    if lengths != [lengths[0]] * 3:
        raise InputError(path, "speakers, labels and sentences do not match", _REMEDY)
    return parts
