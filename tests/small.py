"""A corpus of noise and class-bound words, small enough to train on within a test."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from replicate.corpora.features import Features
from replicate.corpora.table import Corpus, utterance_table
from replicate.corpora.waveforms import Waveforms
from replicate.paper import EMOTIONS
from replicate.runs.experiments import Experiment
from replicate.settings import Fold, Training

WORDS = ("never", "great", "okay", "gone")


def corpus(n=64, name="small"):
    """`n` utterances: the text says the class, and so does the loudness."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(n):
        label = i % 4
        filler = [f"word{k}" for k in rng.integers(40, size=rng.integers(1, 7))]
        rows.append(
            {
                "utterance": f"u{i:03d}",
                "dialogue": f"d{i // 8}",
                "session": str(1 + i // 16),
                "speaker": f"s{i // 8}",
                "start": float(i),
                "label": EMOTIONS[label],
                "transcript": f"{' '.join([*filler, WORDS[label]])}!",
                "wav": f"{i}.wav",
            }
        )
    classes = {emotion: emotion for emotion in EMOTIONS}
    return Corpus(
        name, "small test corpus", Path("nowhere"), utterance_table(rows), classes, synthetic=True
    )


def waveforms(n=64):
    rng = np.random.default_rng(1)
    lengths = rng.integers(300, 4000, size=n)
    loud = np.repeat(np.array([8000, 3000, 1000, 300])[np.arange(n) % 4], lengths)
    samples = (rng.uniform(-1, 1, lengths.sum()) * loud).astype(np.int16)
    ids = tuple(f"u{i:03d}" for i in range(n))
    return Waveforms(samples, np.cumsum(lengths) - lengths, lengths, ids, "noise")


def features(n=64):
    """Four numbers an utterance: two follow the level, which says the class, two are noise."""
    rng = np.random.default_rng(2)
    level = np.array([3.0, 2.0, 1.0, 0.0])[np.arange(n) % 4] + rng.normal(0, 0.3, n)
    values = np.column_stack([level, rng.normal(0, 5, n), 2 * level, rng.uniform(90, 300, n)])
    columns = ("loudness mean", "mfcc1 mean", "spectralFlux mean", "F0 mean")
    return Features(values, columns, tuple(f"u{i:03d}" for i in range(n)))


def experiment(model="att_d1", seed=0, **training):
    settings = replace(Training(), epochs=4, batch_size=8, development=0.2)
    return Experiment(
        corpus="small",
        profile="test",
        model=model,
        embedding="none" if model == "audio" else "trainable",
        fold=Fold(),
        seed=seed,
        training=replace(settings, **training),
    )
