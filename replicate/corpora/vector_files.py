"""Files of word vectors, in the forms that are handed around: read, or refused with a reason.

What is read decides numbers; runs keep a digest of it.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from replicate.corpora.table import decoded
from replicate.files import MOST_NAMED, InputError

if TYPE_CHECKING:
    from gensim.models import KeyedVectors

_FORMS = "pass word2vec's .bin or .bin.gz, a .txt or .vec (or .gz of one), or what gensim saved"

#: Lines from which the width of vectors is told where no first line says it.
_FIRST = 100


def read(path: Path) -> tuple[KeyedVectors, tuple[str, ...]]:
    """Vectors in word2vec's binary or text form, or as gensim saves them; and what was odd.

    `InputError` if there are none, they are damaged, hold what is no number, or have another form.
    """
    if not path.exists():
        raise InputError(path, "no such file", "pass the path of the word vectors to --word2vec")
    if path.stat().st_size == 0:
        raise InputError(path, "is empty", "download it again")
    try:
        vectors, notes = _read(path)
    except InputError:
        raise
    except Exception as error:  # damaged files raise many kinds
        what = f"not readable as word vectors ({type(error).__name__}: {error})"
        raise InputError(path, what, _FORMS) from error
    numbers = np.isfinite(vectors.vectors.sum(axis=1, dtype=np.float64))
    if not numbers.all():
        odd = [vectors.index_to_key[row] for row in np.flatnonzero(~numbers)[:MOST_NAMED]]
        what = f"{(~numbers).sum():,} of {len(numbers):,} vectors hold what is no number"
        raise InputError(path, f"{what} (of {', '.join(odd)})", "leave them out, or restore it")
    return vectors, notes


def _read(path: Path) -> tuple[KeyedVectors, tuple[str, ...]]:
    """As a file's name says."""
    from gensim.models import KeyedVectors

    name = path.name.removesuffix(".gz")
    if name.endswith((".txt", ".vec")):
        rows, notes = _read_text(path)
        vectors = KeyedVectors(vector_size=len(next(iter(rows.values()))), count=0)
        vectors.add_vectors(list(rows), np.stack(list(rows.values())))
        return vectors, notes
    if name.endswith(".bin"):  # word2vec cuts long words, if need be within a letter
        how = {"binary": True, "unicode_errors": "replace"}
        return KeyedVectors.load_word2vec_format(str(path), **how), ()
    found = KeyedVectors.load(str(path))
    vectors = getattr(found, "wv", found)
    if not isinstance(vectors, KeyedVectors) or not len(vectors):
        raise InputError(path, "holds no word vectors", _FORMS)
    return vectors, ()


def _read_text(path: Path) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """A line a word and its numbers; words may hold blanks, as in GloVe's largest file."""
    announced, size = _head(path)
    rows: dict[str, np.ndarray] = {}
    twice, other = 0, 0
    with _opened(path) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip() or (number == 1 and announced is not None):
                continue
            parts = line.removeprefix(b"\xef\xbb\xbf").rstrip().rsplit(None, size)
            try:
                if len(parts) != size + 1:
                    raise ValueError(f"{len(parts) - 1} numbers where {size} belong")
                row = np.array([float(part) for part in parts[1:]], dtype=np.float32)
            except ValueError as error:
                what = f"is no word with {size} numbers ({error})"
                raise InputError(f"{path}:{number}", what, _FORMS) from error
            word, odd = decoded(parts[0])
            other += odd
            twice += word in rows
            rows.setdefault(word, row)
    if announced not in (None, len(rows) + twice):
        what = f"announces {announced:,} vectors and holds {len(rows) + twice:,}"
        raise InputError(path, what, "it is cut short: download it again")
    notes = [f"{twice:,} words stand in it twice: the first counts"] if twice else []
    notes += [f"{other:,} words are not UTF-8: read as Windows-1252"] if other else []
    return rows, tuple(notes)


def _head(path: Path) -> tuple[int | None, int]:
    """How many vectors the first line announces, None without such a line; and their width."""
    with _opened(path) as lines:
        first = [line.split() for _, line in zip(range(_FIRST), lines, strict=False)]
    if first and b"\0" in b"".join(map(b"".join, first)):
        raise InputError(path, "is no text file in UTF-8 (it holds zero bytes)", "convert it")
    widths = [len(parts) - 1 for parts in first if len(parts) > 1]
    if not widths:
        raise InputError(path, "holds no word vectors", _FORMS)
    head = [part.removeprefix(b"\xef\xbb\xbf") for part in first[0]]
    if len(head) == 2 and all(part.isdigit() for part in head):
        return int(head[0]), int(head[1])
    return None, min(widths)


def _opened(path: Path) -> BinaryIO | gzip.GzipFile:
    """A file's bytes, of a compressed one those that were compressed."""
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if compressed else path.open("rb")
