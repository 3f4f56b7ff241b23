"""What a finished model answers when its input is altered: Sections 4.2 and 5 put to the test.

The model is trained as ever; only the test part is heard or read otherwise. So a treatment shows
what the model's answers rest on, not what another training would find.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from replicate.corpora.altered import altered_waveforms
from replicate.corpora.waveforms import Waveforms
from replicate.kernels.audio_batches import FusedAudio
from replicate.model import FUSIONS, Attention, Fused
from replicate.settings import RECORDINGS, TREATMENTS, Sound
from replicate.training.examples import Examples
from replicate.training.loop import Trainer, silence

#: Treatments that exchange a modality among test utterances -> the field of `Examples` in which
#: the two must agree; empty: any two.
EXCHANGES = {
    "audio-shuffled": "",
    "text-shuffled": "",
    "audio-same-class": "labels",
    "audio-same-speaker": "speakers",
    "text-same-class": "labels",
}


def applicable(model: str, sound: Sound) -> list[str]:
    """The treatments of a row of Table 4, or of `audio` or `text`, in the order of `TREATMENTS`."""
    left_out: set[str] = set() if model.startswith("att") else {"half"}
    if model not in FUSIONS:
        left_out |= {"audio-zero", "text-zero", *EXCHANGES}
    if sound != "audio":
        left_out |= set(RECORDINGS)
    return [name for name in TREATMENTS if name not in left_out]


def answers(finished: Trainer, fresh: Trainer) -> pd.DataFrame:
    """What a model says of its test part under every treatment that applies to it.

    `fresh` is the same experiment before its first epoch. Columns: `treatment` and those of
    `Trainer.answers`.
    """
    parts = []
    for name in applicable(finished.experiment.model, finished.experiment.sound):
        trainer = fresh if name == "untrained" else finished
        with treated(trainer, name):
            parts.append(trainer.answers(*trainer.predict(trainer.data.parts.test)))
        parts[-1].insert(0, "treatment", name)
    return pd.concat(parts, ignore_index=True)


@contextmanager
def treated(trainer: Trainer, name: str) -> Iterator[None]:
    """The trainer with one treatment of its test part."""
    data, experiment, fused = trainer.data, trainer.experiment, trainer.fused
    rng = np.random.default_rng((experiment.seed, list(TREATMENTS).index(name)))
    test = data.parts.test
    with ExitStack() as undo:
        if name in ("one-by-one", "sorted"):
            order = {"one-by-one": "one utterance at a time", "sorted": "sorted by length"}[name]
            training = replace(experiment.training, test_batches=order)  # type: ignore[arg-type]
            trainer.experiment = replace(experiment, training=training)
        elif name in RECORDINGS and isinstance(data.sound, Waveforms):
            heard = altered_waveforms(name, data.sound, data.rows[test], rng)
            rows = np.full_like(data.rows, -1)
            rows[test] = np.arange(len(test))
            trainer.data = replace(data, sound=heard, rows=rows)
            trainer.fused = fused.of(heard) if isinstance(fused, FusedAudio) else None
        elif name in EXCHANGES:
            others = _exchanged(data, EXCHANGES[name], rng)
            if name.startswith("audio"):
                rows = data.rows.copy()
                rows[test] = data.rows[others]
                trainer.data = replace(data, rows=rows)
            else:
                sentences = list(data.sentences)
                for i, j in zip(test, others, strict=True):
                    sentences[i] = data.sentences[j]
                trainer.data = replace(data, sentences=sentences)
        elif name in ("audio-zero", "text-zero"):
            encoder = getattr(trainer.model, name.removesuffix("-zero"))
            undo.callback(silence(encoder).remove)
        elif name == "half":
            assert isinstance(trainer.model.fusion, Attention)
            undo.callback(trainer.model.fusion.register_forward_hook(_halves).remove)
        yield
    trainer.data, trainer.experiment, trainer.fused = data, experiment, fused


def _exchanged(data: Examples, within: str, rng: np.random.Generator) -> np.ndarray:
    """For each test utterance another one, at random among those that share something: [n_test]."""
    test = data.parts.test
    if not within:
        return rng.permutation(test)
    shared = getattr(data, within)[test]
    others = test.copy()
    for value in np.unique(shared):
        members = np.flatnonzero(shared == value)
        others[members] = rng.permutation(test[members])
    return others


def _halves(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], out: Fused) -> Fused:
    """Equation 10 with p = 1/2."""
    text, audio = inputs
    return Fused((text + audio) / 2, torch.full_like(text[:, :1], 0.5))
