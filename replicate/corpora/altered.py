"""Recordings altered as a treatment says, in memory."""

from dataclasses import replace

import numpy as np

from replicate.corpora.waveforms import Waveforms
from replicate.settings import SAMPLE_RATE

FRAME = SAMPLE_RATE // 50  # 20 ms
NOMINAL = 10 ** (-26 / 20)  # root mean square, as usual for telephone speech (ITU-T P.56)
SIX_DB = 10 ** (6 / 20)


def altered(name: str, samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One recording under a treatment, a key of `RECORDINGS`: int16 [T] -> int16 [T].

    `rng` draws orders and noise. What exceeds full scale is clipped.
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
