"""What an experiment sees of a corpus: parts, word numbers and recordings."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from replicate.corpora.altered import altered_waveforms
from replicate.corpora.features import Features
from replicate.corpora.protocol import Split, classes, split
from replicate.corpora.transcriptions import Vocabulary, tokens, vocabulary
from replicate.corpora.waveforms import Waveforms
from replicate.files import InputError
from replicate.runs.experiments import Experiment


@dataclass(frozen=True)
class Examples:
    """What an experiment sees of a corpus; every sequence in the cohort's order."""

    utterances: tuple[str, ...]  # ids
    speakers: np.ndarray  # who says each, as text [n]
    labels: np.ndarray  # positions in `EMOTIONS`, int64 [n]
    parts: Split
    sentences: list[np.ndarray]  # word numbers
    vocab: Vocabulary  # of the training part, or of the corpus where that is the choice
    sound: Waveforms | Features | None  # features standardised; None for the text model
    rows: np.ndarray  # position of each utterance in `sound`, int64 [n]


def examples(
    experiment: Experiment, table: pd.DataFrame, sound: Waveforms | Features | None
) -> Examples:
    """Split a cohort, number its words, and standardise features as the training part asks.

    `InputError` if the experiment needs audio or transcripts that the corpus lacks.
    """
    training = experiment.training
    parts = split(table, experiment.fold, training.development)
    if training.share < 1:
        parts = thinned(parts, classes(table), training.share, experiment.seed)
    _require(experiment, table, sound)
    kind = training.tokens
    sentences = [tokens(text, kind) for text in table["transcript"].fillna("")]
    whole = training.vocabulary == "words of the whole corpus"
    vocab = vocabulary(sentences if whole else [sentences[i] for i in parts.train])
    ids = tuple(table["utterance"])
    heard = sound if experiment.model != "text" else None
    rows = heard.rows(ids) if heard is not None else np.zeros(0, dtype=np.int64)
    if isinstance(heard, Features):
        level = training.features == "all"
        heard = (heard if level else heard.without_level()).standardised(rows[parts.train])
    elif heard is not None and training.waveform == "loudness normalised per utterance":
        heard = altered_waveforms("rms", heard, rows, np.random.default_rng(0))
        rows = heard.rows(ids)
    return Examples(
        utterances=ids,
        speakers=table["speaker"].to_numpy(dtype=str),
        labels=classes(table),
        parts=parts,
        sentences=[vocab.encode(sentence) for sentence in sentences],
        vocab=vocab,
        sound=heard,
        rows=rows,
    )


def thinned(parts: Split, labels: np.ndarray, share: float, seed: int) -> Split:
    """A split with a share of each class of its training part, drawn at random.

    The rest is unused. `labels` are the classes of the whole cohort.
    """
    train = pd.Series(parts.train)
    kept = train.groupby(labels[parts.train]).sample(frac=share, random_state=seed)
    return replace(parts, train=np.sort(kept.to_numpy()))


def _require(
    experiment: Experiment, table: pd.DataFrame, sound: Waveforms | Features | None
) -> None:
    """Refuse an experiment whose modality the corpus lacks."""
    if experiment.model != "text" and sound is None:
        raise InputError(
            experiment.corpus,
            f"model {experiment.model} needs audio and this corpus has none",
            "use `--grid text`, or point --data at a copy with its recordings",
        )
    if experiment.model != "audio" and table["transcript"].isna().all():
        raise InputError(
            experiment.corpus,
            f"model {experiment.model} needs transcripts and this corpus has none",
            "point --data at a copy with its transcriptions",
        )
    if experiment.model != "audio" and not table["transcript"].notna().all():
        lacking = table.loc[table["transcript"].isna(), "utterance"].iloc[0]
        raise InputError(
            lacking, "has no transcript", "leave such utterances out with --skip-damaged"
        )
