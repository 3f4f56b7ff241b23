"""IEMOCAP's transcripts and labels as published for text models: no recordings, times or ids.

The file is `iemocap.pkl` of the repository declare-lab/conv-emotion (folder
`COSMIC/feature-extraction/iemocap`): a pickle of six plain objects, of which the first three are
read: speakers, labels and sentences, each a dict from dialogue to a list in time order. Ids come
from elsewhere, see `iemocap_features`.
"""

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field

from replicate.files import InputError, checked

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


def entries(path: Path) -> Iterator[tuple[str, int, str, str, str | None]]:
    """Dialogue, position in it, speaker, label and transcript of each entry of the file.

    An empty transcript is None. `InputError` if the file asks for code, or holds other contents
    than expected.
    """
    speakers, labels, sentences = _parts(path)
    for dialogue in sorted(sentences):
        turns = zip(speakers[dialogue], labels[dialogue], sentences[dialogue], strict=True)
        for position, (letter, label, sentence) in enumerate(turns):
            yield dialogue, position, letter, LABELS[label], " ".join(sentence.split()) or None


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
