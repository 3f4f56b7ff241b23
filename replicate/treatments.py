"""What a finished model answers when its input is altered: Sections 4.2 and 5 put to the test.

The model is trained as ever; only the test part is heard or read otherwise. So a treatment shows
what the model's answers rest on, not what another training would find.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from replicate.model import FUSIONS, Attention, Fused
from replicate.waveforms import SAMPLE_RATE, Waveforms

if TYPE_CHECKING:
    from replicate.training import Trainer

#: Ways to alter the recordings -> what is done.
RECORDINGS = {
    "rms": "every recording brought to the same root mean square, 26 dB below full scale",
    "time-shuffled": "the samples of a recording in random order",
    "envelope": "white noise with the recording's loudness, measured every 20 ms",
    "louder": "6 dB louder",
    "softer": "6 dB softer",
}

#: Every treatment -> what is done.
TREATMENTS = {
    "untrained": "the model before its first step",
    "one-by-one": "each test utterance alone in its batch",
    "sorted": "test batches of utterances of like length",
    **RECORDINGS,
    "audio-zero": "the audio features are zero",
    "text-zero": "the text features are zero",
    "audio-shuffled": "the recording of another test utterance, drawn at random",
    "text-shuffled": "the words of another test utterance, drawn at random",
    "half": "both modalities weigh one half, whatever the attention says",
}

FRAME = SAMPLE_RATE // 50  # 20 ms
NOMINAL = 10 ** (-26 / 20)  # root mean square, as usual for telephone speech (ITU-T P.56)
SIX_DB = 10 ** (6 / 20)


def applicable(model: str) -> list[str]:
    """The treatments of a row of Table 4, or of `audio` or `text`, in the order of `TREATMENTS`."""
    fused, attends = model in FUSIONS, model.startswith("att")
    left_out: set[str] = set() if attends else {"half"}
    if not fused:
        left_out |= {"audio-zero", "text-zero", "audio-shuffled", "text-shuffled"}
    if model == "text":
        left_out |= set(RECORDINGS)
    return [name for name in TREATMENTS if name not in left_out]


def altered(name: str, samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One recording under a treatment.

    Args:
        name: a key of `RECORDINGS`.
        samples: int16 [T].
        rng: draws orders and noise.

    Returns:
        int16 [T]; what exceeds full scale is clipped.
    """
    x = samples.astype(np.float64) / 32768
    if name == "rms":
        x *= NOMINAL / max(np.sqrt(np.mean(x**2)), 1e-9)
    elif name == "time-shuffled":
        x = rng.permutation(x)
    elif name == "envelope":
        x = rng.standard_normal(len(x)) * _envelope(x)
    else:
        x *= SIX_DB if name == "louder" else 1 / SIX_DB
    return np.clip(np.rint(x * 32768), -32768, 32767).astype(np.int16)


def _envelope(x: np.ndarray) -> np.ndarray:
    """Root mean square of every 20 ms, joined by straight lines: [T] -> [T]."""
    starts = np.arange(0, len(x), FRAME)
    sizes = np.diff(np.append(starts, len(x)))
    level = np.sqrt(np.add.reduceat(x**2, starts) / sizes)
    found: np.ndarray = np.interp(np.arange(len(x)), starts + sizes / 2, level)
    return found


def altered_waveforms(
    name: str, waveforms: Waveforms, rows: np.ndarray, rng: np.random.Generator
) -> Waveforms:
    """The recordings at positions `rows` of a store under a treatment, in memory."""
    parts = []
    for row in rows:
        start = waveforms.offsets[row]
        parts.append(altered(name, waveforms.samples[start : start + waveforms.lengths[row]], rng))
    lengths = waveforms.lengths[rows]
    return replace(
        waveforms,
        samples=np.concatenate(parts),
        offsets=np.cumsum(lengths) - lengths,
        lengths=lengths,
        utterances=tuple(waveforms.utterances[row] for row in rows),
    )


def answers(finished: "Trainer", fresh: "Trainer") -> pd.DataFrame:
    """What a model says of its test part under every treatment that applies to it.

    Args:
        finished: after its last epoch.
        fresh: the same experiment before its first.

    Returns:
        `treatment` and the columns of `Trainer.answers`.
    """
    parts = []
    for name in applicable(finished.experiment.model):
        trainer = fresh if name == "untrained" else finished
        with treated(trainer, name):
            parts.append(trainer.answers(*trainer.predict(trainer.data.parts.test)))
        parts[-1].insert(0, "treatment", name)
    return pd.concat(parts, ignore_index=True)


@contextmanager
def treated(trainer: "Trainer", name: str) -> Iterator[None]:
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
