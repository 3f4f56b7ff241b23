"""What an experiment sees of a corpus: parts, word numbers and recordings."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from replicate.corpora.altered import altered_waveforms
from replicate.corpora.protocol import Split, classes, split
from replicate.corpora.transcriptions import Vocabulary, tokens, vocabulary
from replicate.corpora.waveforms import Waveforms
from replicate.files import InputError
from replicate.runs.experiments import Experiment


@dataclass(frozen=True)
class Examples:
    """What an experiment sees of a corpus; every sequence in the cohort's order."""

    utterances: tuple[str, ...]  # ids
    labels: np.ndarray  # positions in `EMOTIONS`, int64 [n]
    parts: Split
    sentences: list[np.ndarray]  # word numbers
    vocab: Vocabulary  # of the training part, or of the corpus where that is the choice
    waveforms: Waveforms | None  # None for the text model
    rows: np.ndarray  # position of each utterance in `waveforms`, int64 [n]


def examples(experiment: Experiment, table: pd.DataFrame, waveforms: Waveforms | None) -> Examples:
    """Split a cohort and number its words; `InputError` if it lacks the audio or text it needs."""
    parts = split(table, experiment.fold, experiment.training.development)
    _require(experiment, table, waveforms)
    kind = experiment.training.tokens
    sentences = [tokens(text, kind) for text in table["transcript"].fillna("")]
    whole = experiment.training.vocabulary == "words of the whole corpus"
    vocab = vocabulary(sentences if whole else [sentences[i] for i in parts.train])
    ids = tuple(table["utterance"])
    heard = waveforms if experiment.model != "text" else None
    if heard is not None and experiment.training.waveform == "loudness normalised per utterance":
        heard = altered_waveforms("rms", heard, heard.rows(ids), np.random.default_rng(0))
    return Examples(
        utterances=ids,
        labels=classes(table),
        parts=parts,
        sentences=[vocab.encode(sentence) for sentence in sentences],
        vocab=vocab,
        waveforms=heard,
        rows=heard.rows(ids) if heard is not None else np.zeros(0, dtype=np.int64),
    )


def _require(experiment: Experiment, table: pd.DataFrame, waveforms: Waveforms | None) -> None:
    """Refuse an experiment whose modality the corpus lacks."""
    if experiment.model != "text" and waveforms is None:
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
