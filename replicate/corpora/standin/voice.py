"""A planned utterance becomes sound.

eSpeak NG speaks the words; its licence is GPLv3, so this module alone touches it, and only when it
is called. eSpeak seeds itself from the clock and keeps counters from call to call: the library is
therefore loaded afresh, seeded and unloaded for each piece of speech, and the same utterance gives
the same samples in any order and in any process. Use processes, never threads. (Linux and macOS.)
"""

import _ctypes
import ctypes
import random
import re
from dataclasses import dataclass, replace
from statistics import NormalDist

import espeakng_loader
import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter, resample_poly

from replicate.corpora.standin.planning import Planned
from replicate.settings import SAMPLE_RATE

Samples = NDArray[np.float64]

#: eSpeak variant and pitch offset of each speaker. Variants on the Klatt synthesiser are avoided:
#: their output depends on what was spoken before.
SPEAKERS = {
    "01F": ("steph", 0), "02F": ("linda", -3), "03F": ("f5", 0), "04F": ("Alicia", -2),
    "05F": ("f1", 3), "01M": ("m3", 0), "02M": ("m7", 2), "03M": ("Alex", 5), "04M": ("m1", 0),
    "05M": ("m8", 6),
}  # fmt: skip


@dataclass(frozen=True)
class Prosody:
    """How a voice speaks."""

    rate: float  # words a minute
    pitch: float  # eSpeak's scale, 0 to 99
    range: float  # of the pitch, likewise
    tilt: float  # of the spectrum, dB, positive is brighter
    gap: int  # between words, 10 ms each
    hesitation: float  # probability of a long silence before the first word


#: Of each prosody symbol, in the order of `EMOTIONS`.
PROSODY = (
    Prosody(188, 60, 78, +5, 0, 0.10),
    Prosody(180, 74, 92, +2, 0, 0.12),
    Prosody(165, 48, 46, 0, 0, 0.15),
    Prosody(132, 40, 16, -6, 2, 0.40),
)
#: Standard deviations between utterances of one prosody symbol.
RATE_SPREAD, PITCH_SPREAD, RANGE_SPREAD, TILT_SPREAD = 16, 6, 12, 1.5

#: Standard deviation over mean |x| of a recording (Table 8: 1.8 to 1.9 for every class). One target
#: for all: a target for each class would tell the class.
CREST, CREST_SPREAD = 1.79, 0.10
FLOOR = 2e-4  # mean |noise| of the room

_STANDARD = NormalDist()


def _normal(rng: random.Random) -> float:
    return _STANDARD.inv_cdf(min(max(rng.random(), 1e-4), 1 - 1e-4))


def render(planned: Planned) -> NDArray[np.int16]:
    """Speak an utterance: [samples], 16 kHz, mean |x| at the planned level, nowhere clipped."""
    rng = random.Random(planned.seed)
    prosody = _prosody(planned, rng)
    pieces: list[Samples] = []
    tags_and_words = re.split(r"\s*(\[[A-Z]+\])\s*", planned.transcript)
    for part in filter(None, tags_and_words):
        pieces += [_piece(part, planned.speaker, prosody, rng), _silence(0.1)]
    sound = _tilted(np.concatenate(pieces), prosody.tilt)
    lead = 0.08 + 0.25 * rng.random() + (rng.random() < prosody.hesitation) * (0.3 + rng.random())
    sound = np.concatenate([_silence(lead), sound, _silence(0.08 + 0.3 * rng.random())])
    crest = CREST + CREST_SPREAD * _normal(rng)
    sound = _levelled(sound, planned.level, crest)
    sound = sound + min(FLOOR, 0.12 * planned.level) * _noise(len(sound), rng)
    sound *= planned.level / np.abs(sound).mean()
    return np.rint(sound * 32767).astype(np.int16)


def _prosody(planned: Planned, rng: random.Random) -> Prosody:
    """The utterance's own prosody: its symbol's, its speaker's pitch and some chance."""
    style = PROSODY[planned.prosody_symbol]
    offset = SPEAKERS[planned.speaker][1]
    return replace(
        style,
        rate=min(max(style.rate + RATE_SPREAD * _normal(rng), 90), 300),
        pitch=min(max(style.pitch + offset + PITCH_SPREAD * _normal(rng), 0), 99),
        range=min(max(style.range + RANGE_SPREAD * _normal(rng), 0), 99),
        tilt=style.tilt + TILT_SPREAD * _normal(rng),
    )


def _piece(text: str, speaker: str, prosody: Prosody, rng: random.Random) -> Samples:
    """One tag or stretch of words, 16 kHz."""
    if text == "[BREATHING]":
        return _breath(rng)
    if text == "[LAUGHTER]":
        syllables = " ".join(rng.choice(("h'a", "h'a", "h'V")) for _ in range(rng.randint(3, 6)))
        laugh = Prosody(265, min(prosody.pitch + 12, 99), 60, 0, 0, 0)
        return _spoken(f"[[{syllables}]]", speaker, laugh, rng)
    # "!" and "?" would bend the pitch, and the text symbol would be heard in it.
    return _spoken(re.sub("[!?]", ".", text), speaker, prosody, rng)


def _breath(rng: random.Random) -> Samples:
    """Noise between about 500 and 3,000 Hz that swells and fades."""
    n = int(SAMPLE_RATE * (0.35 + 0.3 * rng.random()))
    noise = lfilter([1, 0, -1], [1, -1.1, 0.45], _noise(n, rng))
    swell = np.hanning(n) * noise
    return np.asarray(0.025 * swell / np.abs(swell).mean())


def _noise(n: int, rng: random.Random) -> Samples:
    """Noise of mean |x| 1 that falls towards high frequencies."""
    # RandomState's stream is frozen; a Generator's may change with the version of NumPy.
    white = np.random.RandomState(rng.getrandbits(32)).standard_normal(n)
    noise = lfilter([1], [1, -0.85], white)
    return np.asarray(noise / np.abs(noise).mean())


def _silence(seconds: float) -> Samples:
    return np.zeros(int(SAMPLE_RATE * seconds))


def _tilted(sound: Samples, tilt: float) -> Samples:
    """Brighten (a zero) or darken (a pole) by about `tilt` dB."""
    a = 0.45 * min(max(tilt / 6, -1.2), 1.2)
    return np.asarray(lfilter([1, -a], [1], sound) if a > 0 else lfilter([1 + a], [1, a], sound))


# Level and crest ----------------------------------------------------------------------------------

_HOP = 160  # samples between points of the envelope, 10 ms


def _levelled(sound: Samples, level: float, crest: float) -> Samples:
    """Give a sound mean |x| `level` and standard deviation over mean |x| `crest`.

    The envelope is raised to a power: above 1 loud moments stand out more, below 1 less. The power
    is found by bisection on every fifth sample.
    """
    envelope = _envelope(sound)
    low, high = 0.2, 3.0
    for _ in range(8):
        power = (low + high) / 2
        trial = _limited(_expanded(sound, envelope, power, step=5), level)
        if trial.std() / np.abs(trial).mean() < crest:
            low = power
        else:
            high = power
    return _limited(_expanded(sound, envelope, (low + high) / 2), level)


def _envelope(sound: Samples) -> Samples:
    """Smoothed mean |x| every 10 ms, of its maximum."""
    hops = len(sound) // _HOP + 1
    padded = np.pad(np.abs(sound), (0, hops * _HOP - len(sound)))
    envelope = np.convolve(padded.reshape(hops, _HOP).mean(1), [0.25, 0.5, 0.25], "same")
    return np.asarray(envelope / envelope.max() + 1e-4)


def _expanded(sound: Samples, envelope: Samples, power: float, step: int = 1) -> Samples:
    """Every `step`-th sample, its envelope raised to `power`."""
    centres = np.arange(len(envelope)) * _HOP + _HOP / 2
    gain = np.interp(np.arange(0, len(sound), step), centres, envelope ** (power - 1))
    return np.asarray(sound[::step] * gain)


def _limited(sound: Samples, level: float) -> Samples:
    """Scale to mean |x| `level`, bending peaks above .6 so that none passes .95."""
    gain = level / np.abs(sound).mean()
    for _ in range(25):
        limited = _bent(gain * sound)
        reached = np.abs(limited).mean()
        if abs(reached / level - 1) < 2e-4:
            break
        gain *= (level / reached) ** 1.2
    return limited


def _bent(sound: Samples, knee: float = 0.6, top: float = 0.95) -> Samples:
    size = np.abs(sound)
    if size.max() < knee:
        return sound
    bent = knee + (top - knee) * np.tanh((size - knee) / (top - knee))
    return np.where(size < knee, sound, np.sign(sound) * bent)


# eSpeak NG ----------------------------------------------------------------------------------------

_SYNCHRONOUS, _DO_NOT_EXIT = 2, 0x8000
_UTF8, _PHONEMES = 1, 0x100
_PARAMETERS = (1, 2, 3, 4, 7)  # rate, volume, pitch, range, gap
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


def _spoken(text: str, speaker: str, prosody: Prosody, rng: random.Random) -> Samples:
    """Speech of one speaker, 16 kHz, of full scale. `[[...]]` holds phonemes."""
    data, variant = espeakng_loader.get_data_path(), SPEAKERS[speaker][0]
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    try:
        samples = _synthesised(library, data, text, variant, prosody, rng.getrandbits(31))
    finally:
        library.espeak_Terminate()
        _ctypes.dlclose(library._handle)
    return np.asarray(resample_poly(samples / 32768, 320, 441))  # 22,050 Hz -> 16,000 Hz


def _synthesised(
    library: ctypes.CDLL, data_path: str, text: str, variant: str, prosody: Prosody, seed: int
) -> NDArray[np.int16]:
    """[samples] at 22,050 Hz."""
    rate = library.espeak_Initialize(_SYNCHRONOUS, 0, data_path.encode(), _DO_NOT_EXIT)
    if rate != 22_050:
        raise RuntimeError(f"eSpeak NG did not start: it returned {rate}")
    library.espeak_ng_SetRandSeed(ctypes.c_long(seed))
    heard: list[bytes] = []

    def collect(samples: int | None, n: int, _events: int | None) -> int:
        if samples and n > 0:
            heard.append(ctypes.string_at(samples, 2 * n))
        return 0

    callback = _CALLBACK(collect)
    library.espeak_SetSynthCallback(callback)
    failed = library.espeak_SetVoiceByName(f"gmw/en-US+{variant}".encode())
    volume = 60  # some voices clip above
    values = (prosody.rate, volume, prosody.pitch, prosody.range, prosody.gap)
    for parameter, value in zip(_PARAMETERS, values, strict=True):
        failed |= library.espeak_SetParameter(parameter, int(value), 0)
    written = text.encode() + b"\0"
    size, flags = ctypes.c_size_t(len(written)), _UTF8 | (_PHONEMES * text.startswith("[["))
    failed |= library.espeak_Synth(written, size, 0, 1, 0, flags, None, None)
    failed |= library.espeak_Synchronize()
    if failed:
        raise RuntimeError(f"eSpeak NG cannot speak {text!r} as {variant}")
    return np.frombuffer(b"".join(heard), dtype="<i2")
