"""What a finished model answers when its input is altered: Sections 4.2 and 5 put to the test.

The model is trained as ever; only the test part is heard or read otherwise. So a treatment shows
what the model's answers rest on, not what another training would find.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from replicate.corpora.altered import altered_waveforms
from replicate.model import FUSIONS, Attention, Fused
from replicate.settings import RECORDINGS, TREATMENTS
from replicate.training.loop import Trainer


def applicable(model: str) -> list[str]:
    """The treatments of a row of Table 4, or of `audio` or `text`, in the order of `TREATMENTS`."""
    fused, attends = model in FUSIONS, model.startswith("att")
    left_out: set[str] = set() if attends else {"half"}
    if not fused:
        left_out |= {"audio-zero", "text-zero", "audio-shuffled", "text-shuffled"}
    if model == "text":
        left_out |= set(RECORDINGS)
    return [name for name in TREATMENTS if name not in left_out]


def answers(finished: Trainer, fresh: Trainer) -> pd.DataFrame:
    """What a model says of its test part under every treatment that applies to it.

    `fresh` is the same experiment before its first epoch. Columns: `treatment` and those of
    `Trainer.answers`.
    """
    parts = []
    for name in applicable(finished.experiment.model):
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
        elif name in RECORDINGS and data.waveforms is not None:
            heard = altered_waveforms(name, data.waveforms, data.rows[test], rng)
            rows = np.full_like(data.rows, -1)
            rows[test] = np.arange(len(test))
            trainer.data = replace(data, waveforms=heard, rows=rows)
            trainer.fused = fused.of(heard) if fused is not None else None
        elif name == "audio-shuffled":
            rows = data.rows.copy()
            rows[test] = data.rows[rng.permutation(test)]
            trainer.data = replace(data, rows=rows)
        elif name == "text-shuffled":
            sentences = list(data.sentences)
            for i, j in zip(test, rng.permutation(test), strict=True):
                sentences[i] = data.sentences[j]
            trainer.data = replace(data, sentences=sentences)
        elif name in ("audio-zero", "text-zero"):
            encoder = getattr(trainer.model, name.removesuffix("-zero"))
            undo.callback(encoder.register_forward_hook(_zeros).remove)
        elif name == "half":
            assert isinstance(trainer.model.fusion, Attention)
            undo.callback(trainer.model.fusion.register_forward_hook(_halves).remove)
        yield
    trainer.data, trainer.experiment, trainer.fused = data, experiment, fused


def _zeros(module: torch.nn.Module, inputs: Any, features: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(features)


def _halves(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], out: Fused) -> Fused:
    """Equation 10 with p = 1/2."""
    text, audio = inputs
    return Fused((text + audio) / 2, torch.full_like(text[:, :1], 0.5))
