"""Word vectors that a grid needs, looked at before anything is trained."""

import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from replicate.corpora.protocol import cohort
from replicate.corpora.transcriptions import STANDIN_VECTORS, Vocabulary, WordVectors
from replicate.files import InputError
from replicate.runs import versions
from replicate.runs.experiments import Experiment
from replicate.runs.store import Vectors
from replicate.runs.versions import Made
from replicate.settings import ModelConfig
from replicate.training import worker
from replicate.training.examples import examples
from replicate.training.worker import Source


def check(
    experiments: Sequence[Experiment], source: Source, known: Mapping[str, Made], place: Path
) -> str:
    """What a file of vectors holds for a grid, in words; empty if none is needed.

    `known` are the runs, by name, that are stored at `place`. `InputError` if the file cannot be
    read, its vectors have another width than the models take, it has no word of the corpus, or runs
    of these experiments are stored that began with other vectors.
    """
    needing = [experiment for experiment in experiments if experiment.embedding == "word2vec"]
    stored = [
        (experiment, made)
        for experiment in needing
        if experiment.name in known and (made := known[experiment.name].provenance.vectors)
    ]
    if source.word2vec is None:
        others = [one.name for one, made in stored if made.source != STANDIN_VECTORS]
        told = ""
    elif not needing:
        return ""
    else:
        vectors = worker.vectors_of(needing[0], source)
        assert vectors is not None
        table = cohort(worker.open_source(source)[0])
        vocabulary = functools.cache(lambda reader: examples(reader, table, None).vocab)
        told = _told(vectors, vocabulary(_reader(needing[0])), source.word2vec)
        others = [
            one.name for one, made in stored if not _same(made, vectors, vocabulary(_reader(one)))
        ]
        worker.forget_vectors()
    if others:
        versions.refuse(place, others, len(known), "other word vectors than those at hand")
    return told


def _reader(experiment: Experiment) -> Experiment:
    """The text model whose vocabulary is that of an experiment."""
    return replace(experiment, model="text", seed=0, choice="", architecture=ModelConfig())


def _told(vectors: WordVectors, vocabulary: Vocabulary, path: Path) -> str:
    """How many words have a vector, and what was odd; `InputError` if no word has one."""
    words, occurrences = (1 - share for share in vectors.out_of_vocabulary(vocabulary))
    if not words:
        what = "has a vector for no word of the corpus"
        raise InputError(path, what, "pass vectors of the corpus's language, in its lower case")
    found = f"{words:.1%} of the training part's words and {occurrences:.1%} of their occurrences"
    return "; ".join([f"{path.name} has vectors for {found}", *vectors.notes])


def _same(made: Vectors, vectors: WordVectors, vocabulary: Vocabulary) -> bool:
    """Whether a run began with these vectors; the digest is that of its provenance."""
    if not made.digest:  # an old record
        return made.source == vectors.source
    matrix = vectors.matrix(vocabulary, seed=0)
    return made.digest == hashlib.sha256(matrix.tobytes()).hexdigest()
