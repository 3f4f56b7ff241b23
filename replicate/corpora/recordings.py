"""A recording of any form that `soundfile` reads, as the model hears it: 16 kHz, mono, 16 bits."""

from math import gcd
from pathlib import Path

import numpy as np
import soundfile
import torch
from torchaudio.functional import resample

from replicate.files import InputError
from replicate.settings import SAMPLE_RATE

#: Lower rates hold no speech.
LOWEST_RATE = 4_000

#: Seconds; no utterance is as long, and all of it is held in memory.
LONGEST = 300

#: Numbers in the filters that change a rate by a fraction; 44.1 kHz needs 70,560.
MOST_FILTERED = 20_000_000


def read_sound(path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Samples, int16 [T], and what was done to have them; nothing to what has that form already.

    `InputError` if the file is missing, empty, no sound, or too long; it holds no sample, or one
    that is no number; or its rate cannot be changed to 16 kHz.
    """
    samples, rate, subtype = _read(path.expanduser())
    _require_usable(path, samples, rate)
    done = []
    if (channels := samples.shape[1]) > 1:
        done.append(f"{channels} channels mixed down to one")
    if rate != SAMPLE_RATE:
        done.append(f"resampled from {rate:,} to {SAMPLE_RATE:,} Hz")
    mono = torch.from_numpy(samples.mean(axis=1))
    scaled = np.rint(resample(mono, rate, SAMPLE_RATE).numpy() * 32768)
    if subtype != "PCM_16":
        done.append(f"from {subtype} to 16 bits")
    if beyond := int(((scaled < -32768) | (scaled > 32767)).sum()):
        done.append(f"{beyond:,} samples beyond full scale cut off")
    return np.clip(scaled, -32768, 32767).astype(np.int16), tuple(done)


def _read(path: Path) -> tuple[np.ndarray, int, str]:
    """Samples in [-1, 1), float64 [T, channels], their rate, and how they were stored."""
    try:
        if path.stat().st_size == 0:
            raise InputError(path, "is empty (0 bytes)", "record or copy it again")
        # an open file, since soundfile takes no name that is not UTF-8
        with path.open("rb") as file, soundfile.SoundFile(file) as sound:
            if sound.frames > LONGEST * sound.samplerate:
                what = f"lasts more than {LONGEST} seconds, and models hear single utterances"
                raise InputError(path, what, "cut it into utterances")
            return sound.read(always_2d=True), sound.samplerate, sound.subtype
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror}", "name another file") from error
    except (soundfile.SoundFileError, TypeError) as error:  # the latter of headless formats
        remedy = "convert it: ffmpeg -i FILE -ar 16000 -ac 1 NEW.wav"
        raise InputError(path, "is no sound that can be read here", remedy) from error


def _require_usable(path: Path, samples: np.ndarray, rate: int) -> None:
    if not len(samples):
        raise InputError(path, "holds no sample (zero length)", "record or copy it again")
    if odd := int(np.count_nonzero(~np.isfinite(samples))):
        what = f"{odd:,} of {samples.size:,} samples are no number (NaN or infinite)"
        raise InputError(path, what, "record or export it again")
    filtered = rate * SAMPLE_RATE // gcd(rate, SAMPLE_RATE) ** 2
    if rate < LOWEST_RATE or filtered > MOST_FILTERED:
        what = f"has an unusual rate, {rate:,} Hz, that is not changed to {SAMPLE_RATE:,} Hz here"
        raise InputError(path, what, f"convert it: ffmpeg -i FILE -ar {SAMPLE_RATE} NEW.wav")
