"""What each modality knows about the emotion: the channels of the stand-in, and what follows.

An utterance of class C draws a text symbol J from row C of `text` and a prosody symbol K from row
C of `prosody`, independently. The words follow J, the voice follows K, the loudness L follows C
(Table 8), and a tag T (laughter, a breath: written and heard) follows J. Nothing else depends on
C, so what an observer of one utterance can know about C is a finite sum, computed here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from replicate.paper import CLASS_SIZES

#: Mean and standard deviation of log mean |x| by class: with `LEVEL_RANGE`, Table 8's WaveAvg and
#: WaveAvgStd.
LOG_LEVEL = ((-3.864, 1.006), (-4.439, 0.979), (-4.947, 0.688), (-5.546, 0.704))
LEVEL_RANGE = (6e-4, 0.25)

#: Steps of log level, fine enough for sums over them to stand for integrals; where they part.
STEPS = 4000
_EDGES = np.linspace(np.log(LEVEL_RANGE[0]), np.log(LEVEL_RANGE[1]), STEPS + 1)[1:-1]

Matrix = tuple[tuple[float, ...], ...]

_TEXT: Matrix = (
    (0.60, 0.04, 0.25, 0.11),
    (0.04, 0.67, 0.25, 0.04),
    (0.08, 0.08, 0.76, 0.08),
    (0.11, 0.04, 0.25, 0.60),
)
_TEXT_HARD: Matrix = (
    (0.39, 0.06, 0.40, 0.15),
    (0.06, 0.48, 0.40, 0.06),
    (0.12, 0.12, 0.64, 0.12),
    (0.15, 0.06, 0.40, 0.39),
)
_PROSODY: Matrix = (
    (0.6025, 0.160, 0.210, 0.0275),
    (0.160, 0.575, 0.210, 0.055),
    (0.055, 0.112, 0.673, 0.160),
    (0.0275, 0.055, 0.290, 0.6275),
)
_PROSODY_HARD: Matrix = (
    (0.40, 0.250, 0.300, 0.05),
    (0.25, 0.350, 0.300, 0.10),
    (0.10, 0.175, 0.475, 0.25),
    (0.05, 0.100, 0.425, 0.425),
)
_IDENTITY: Matrix = tuple(tuple(row) for row in np.eye(4).tolist())

# The probability of a tag given the text symbol.
_LAUGHTER = (0.005, 0.12, 0.01, 0.005)
_BREATH = (0.02, 0.02, 0.02, 0.12)


def prior() -> NDArray[np.float64]:
    """P(C): [4]."""
    return np.array(CLASS_SIZES) / sum(CLASS_SIZES)


def _uninformative(channel: Matrix) -> Matrix:
    """The channel whose symbols are as frequent as before and tell nothing."""
    row = prior() @ np.array(channel)
    return (tuple(row.tolist()),) * 4


def _pooled(rates: Sequence[float], text: Matrix) -> tuple[float, ...]:
    """Tag rates that do not depend on the symbol, with the same tags in all."""
    return (float(prior() @ np.array(text) @ np.array(rates)),) * 4


@dataclass(frozen=True)
class Channels:
    """How an utterance's class reaches its text and its sound."""

    text: Matrix = _TEXT  # row C, column J: P(J | C)
    prosody: Matrix = _PROSODY  # row C, column K: P(K | C)
    loudness: bool = True  # whether the level follows the class; else one distribution serves all
    laughter: tuple[float, ...] = _LAUGHTER  # P(a laugh | J)
    breath: tuple[float, ...] = _BREATH  # P(a breath | J), independent of laughter given J


PRESETS = {
    "default": Channels(),
    "text-only": Channels(
        prosody=_uninformative(_PROSODY),
        loudness=False,
        laughter=_pooled(_LAUGHTER, _TEXT),
        breath=_pooled(_BREATH, _TEXT),
    ),
    "audio-only": Channels(text=_uninformative(_TEXT)),
    "text-hard": Channels(text=_TEXT_HARD),
    "audio-hard": Channels(prosody=_PROSODY_HARD),
    "clean": Channels(text=_IDENTITY, prosody=_IDENTITY),
}


SUMMARY = (
    "A synthetic corpus in IEMOCAP's layout: a small grammar writes the dialogues, the eSpeak NG "
    "synthesiser speaks them. Nobody felt, acted or annotated anything. Its class counts, dialogue "
    "structure and levels follow published figures of IEMOCAP; its words, voices and the ease "
    "with which an emotion is recognised do not come from data. It shows that every step of the "
    "replication works and, because its channels are known, it can ask whether attention follows "
    "informativeness. It says nothing about how well any model recognises human emotion, and no "
    "number obtained on it is a result on IEMOCAP. The ceilings are those of an observer of one "
    "utterance: emotions persist within a dialogue, so who recognises the dialogue knows more. The "
    "ceiling of the audio is that of voice, laughs, breaths and loudness: who also recognises the "
    "spoken words can reach that of both."
)


def level_step(level: float) -> int:
    """The step of `observables` that a level (mean |x|) falls into."""
    return int(np.searchsorted(_EDGES, np.log(level)))


class Observables(NamedTuple):
    """P(value | C) of all that can be observed of an utterance, a row for each class.

    Given the class they are independent, but for the tags, which follow J.
    """

    text: NDArray[np.float64]  # J: [4, 4]
    prosody: NDArray[np.float64]  # K: [4, 4]
    loudness: NDArray[np.float64]  # the step of L, see `level_step`: [4, STEPS]
    tags: NDArray[np.float64]  # T, none, a breath, a laugh, both: [4, 4]


def observables(model: Channels) -> Observables:
    """What follows from the channels for each observable by itself."""
    # capped log-normals over equal steps of log level, the ends included
    cdf = np.array([[NormalDist(*c).cdf(edge) for edge in _EDGES] for c in LOG_LEVEL])
    level = np.diff(cdf, prepend=0.0, append=1.0)
    if not model.loudness:
        level = np.tile(prior() @ level, (4, 1))
    text, laugh, breath = np.array(model.text), np.array(model.laughter), np.array(model.breath)
    quiet = 1 - laugh
    tags = np.stack([quiet * (1 - breath), quiet * breath, laugh * (1 - breath), laugh * breath], 1)
    return Observables(text, np.array(model.prosody), level, text @ tags)


def ceiling(*observations: NDArray[np.float64]) -> tuple[float, float]:
    """What the best possible observer of things that are independent given the class reaches.

    Each observation is P(value | C), a row for each class. Returned are the Bayes accuracy, the
    highest expected share of right answers, and the mutual information with the class in bits.
    """
    joint = prior()[:, None]  # [4, values seen so far]
    for seen in observations:
        joint = (joint[:, :, None] * seen[:, None, :]).reshape(4, -1)
    independent = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    possible = joint > 0
    bits = (joint[possible] * np.log2(joint[possible] / independent[possible])).sum()
    return float(joint.max(0).sum()), max(0.0, float(bits))


def ceilings(preset: str) -> pd.DataFrame:
    """What the parts of an utterance tell about its class, from a preset's channels alone.

    `accuracy` and `bits`, see `ceiling`, of an observer of: `majority`, nothing, who names the
    largest class; `text`, the transcript (J; the tags in it follow J, so add nothing); `prosody`,
    rate, pitch, range and tilt of the voice (K); `loudness`, the level (L); `tags`, a laugh or a
    breath heard (T); `audio`, K, L and T together, that is the recording to a listener who does not
    recognise words (who recognises every word hears J, too, and can reach `both`); `symbols`, J and
    K; `both`, transcript and recording: J, K and L.
    """
    text, prosody, level, tags = observables(PRESETS[preset])
    seen = {
        "majority": (), "text": (text,), "prosody": (prosody,), "loudness": (level,),
        "tags": (tags,), "audio": (prosody, tags, level), "symbols": (text, prosody),
        "both": (text, prosody, level),
    }  # fmt: skip
    rows = [ceiling(*observations) for observations in seen.values()]
    return pd.DataFrame(rows, pd.Index(seen, name="observer"), ["accuracy", "bits"])
