"""Recordings: checked, decoded once into one memory map, and described (Table 8).

PyTorch and soundfile are imported by what needs them: stored levels are read without.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from replicate.corpora.table import Corpus, Problem, damage
from replicate.files import InputError, build_once, cache_folder
from replicate.settings import SAMPLE_RATE

if TYPE_CHECKING:
    import soundfile
    import torch

#: Seconds by which a recording may be longer or shorter than its times say. IEMOCAP's are within
#: 0.2 ms.
TOLERANCE = 0.05

_SAMPLES, _INDEX, _STATE = "samples.int16", "index.json", "recordings.sha256"
_RESTORE = "restore it from the corpus as distributed, or leave it out with --skip-damaged"


@dataclass(frozen=True)
class Waveforms:
    """The recordings of a corpus's cohort, end to end."""

    samples: np.ndarray  # int16 memory map, one utterance after the other, 16 kHz mono
    offsets: np.ndarray  # first sample of each utterance: int64 [n]
    lengths: np.ndarray  # samples of each utterance: int64 [n]
    utterances: tuple[str, ...]  # ids, in the order of the utterance table
    fingerprint: str  # SHA-256 of ids and samples
    problems: tuple[Problem, ...] = field(default=())  # of the utterances that were left out

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {utterance: row for row, utterance in enumerate(self.utterances)}

    def rows(self, ids: Iterable[str]) -> np.ndarray:
        """Positions of the utterances, int64 [len(ids)]; `InputError` if one has no recording."""
        ids = list(ids)
        try:
            return np.array([self._positions[utterance] for utterance in ids], dtype=np.int64)
        except KeyError:
            missing = [utterance for utterance in ids if utterance not in self._positions]
            raise InputError(
                missing[0],
                f"no recording ({len(missing)} of {len(ids)} utterances have none)",
                "run `replicate corpus check`; text-only experiments need no recordings",
            ) from None

    def waveform(self, utterance: str) -> np.ndarray:
        """One utterance in [-1, 1), 16 kHz: float32 [T]."""
        return self._scaled(self.rows([utterance])[0])

    def padded(self, rows: Sequence[int] | np.ndarray) -> torch.Tensor:
        """Utterances in [-1, 1), zero-padded to the longest (Section 3.1): float32 [B, T]."""
        import torch

        batch = torch.zeros(len(rows), int(self.lengths[rows].max()))
        for line, row in zip(batch, rows, strict=True):
            line[: self.lengths[row]] = torch.from_numpy(self._scaled(row))
        return batch

    def _scaled(self, row: int) -> np.ndarray:
        start = self.offsets[row]
        samples: np.ndarray = self.samples[start : start + self.lengths[row]]
        return samples.astype(np.float32) / np.float32(32768)


def decode(path: Path) -> np.ndarray:
    """The samples of a 16 kHz, mono, 16-bit PCM wav file: int16 [T].

    `InputError` if it is anything else, cut short or empty, or cannot be read. Nothing is converted
    on the fly: the error names the command that does.
    """
    import soundfile

    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror}", _RESTORE) from error
    try:
        with _sound(content) as sound:
            announced, known = _announced(sound), sound.format in ("WAV", "WAVEX", "RF64")
            form = (sound.samplerate, sound.channels, sound.subtype)
            if form != (SAMPLE_RATE, 1, "PCM_16") or not known:
                raise _wrong_form(path, sound)
            samples: np.ndarray = sound.read(dtype="int16")
    except soundfile.SoundFileError as error:
        what = f"is no wav file that can be read ({len(content):,} bytes)"
        raise InputError(path, what, _RESTORE) from error
    if announced > len(samples):
        what = f"is cut short: {len(samples):,} of the {announced:,} samples it announces"
        raise InputError(path, what, _RESTORE)
    if len(samples) == 0:
        raise InputError(path, "holds no sample (zero length)", _RESTORE)
    return samples


#: From so many bytes on a size means that it was not known when the head was written.
_UNKNOWN_SIZE = 0x7FFF0000


def _sound(content: bytes) -> soundfile.SoundFile:
    """A file's sound; to the end of the file if the head, never finished, gives no size."""
    import soundfile

    sound = soundfile.SoundFile(io.BytesIO(content))
    if len(sound) or not content.startswith(b"RIFF"):
        return sound
    # by these sizes libsndfile knows a file that was not closed, and mends them
    unclosed = soundfile.SoundFile(io.BytesIO(content[:4] + b"\x08\0\0\0" + content[8:]))
    rest = content[len(content) - 2 * len(unclosed) :]
    return sound if _is_chunk(rest) else unclosed


def _is_chunk(content: bytes) -> bool:
    """Whether some bytes are a named part of a wav file, no samples."""
    size = int.from_bytes(content[4:8], "little")
    return content[:4].decode("latin-1").isprintable() and size <= len(content) - 8


def _announced(sound: soundfile.SoundFile) -> int:
    """The samples that a file's head announces, as libsndfile reports it; 0 if it does not know."""
    line = r"^\s*data(?: size)?\s*: (\d+)\b"
    found = re.search(line, sound.extra_info, re.IGNORECASE | re.MULTILINE)
    size = int(found[1]) if found else 0
    return size // 2 if size < _UNKNOWN_SIZE else 0


def open_waveforms(corpus: Corpus, skip_damaged: bool = False) -> Waveforms:
    """The recordings of every utterance that has one of the paper's classes.

    They are decoded once, into the cache folder; this copy is made anew, in place of the old one,
    when a file's size or time of change differs. With `skip_damaged`, damaged ones are left out and
    listed; else all are named in an `InputError`, which is raised without any recordings, too.
    """
    wanted = corpus.utterances[corpus.utterances["label"].isin(list(corpus.emotions))]
    if not wanted["wav"].notna().any():
        raise InputError(
            corpus.root,
            "has no recordings",
            "unpack the recordings, or run text-only experiments",
        )
    recordings = recordings_of(corpus, wanted)
    state = _state(recordings)

    def build(new: Path) -> None:
        _build(new, recordings)
        (new / _STATE).write_text(state)

    def whole(folder: Path) -> bool:
        mark = folder / _STATE
        return mark.is_file() and mark.read_text() == state and _whole(folder)

    folder = build_once(cache_folder() / "waveforms" / _key(recordings), build, whole)
    index = json.loads((folder / _INDEX).read_text())
    problems = tuple(Problem(**problem) for problem in index["problems"])
    if problems and (not skip_damaged or not index["utterances"]):
        raise damage(corpus, "recordings", problems)
    lengths = np.array(index["lengths"], dtype=np.int64)
    return Waveforms(
        samples=np.memmap(folder / _SAMPLES, dtype="<i2", mode="r"),
        offsets=np.cumsum(lengths) - lengths,
        lengths=lengths,
        utterances=tuple(index["utterances"]),
        fingerprint=index["fingerprint"],
        problems=problems,
    )


class Recording(NamedTuple):
    """Where an utterance's recording lies, if there is one, and how long it must last."""

    utterance: str
    path: Path | None
    seconds: float  # NaN where nothing says so
    any_form: bool  # see `Corpus.any_form`


def recordings_of(corpus: Corpus, utterances: pd.DataFrame) -> list[Recording]:
    """The recordings of some utterances of a corpus."""
    seconds = utterances["end"] - utterances["start"]
    if not corpus.cut_at_times:
        seconds[:] = np.nan
    rows = zip(utterances["utterance"], utterances["wav"].fillna(""), seconds, strict=True)
    return [
        Recording(name, Path(wav) if wav else None, lasts, corpus.any_form)
        for name, wav, lasts in rows
    ]


def examine(recordings: list[Recording]) -> Iterator[tuple[str, np.ndarray | Problem]]:
    """Each utterance with its samples or with what is wrong with its recording."""
    for utterance, path, seconds, any_form in recordings:
        if path is None:
            what, remedy = f"{utterance} has no recording", _RESTORE
            yield utterance, Problem(utterance, what, remedy, "damaged", utterance)
            continue
        try:
            samples = _converted(path) if any_form else decode(path)
            _require_length(path, len(samples) / SAMPLE_RATE, seconds)
            yield utterance, samples
        except InputError as error:
            problem = Problem(error.place, error.what, error.remedy, "damaged", utterance)
            yield utterance, problem


def _converted(path: Path) -> np.ndarray:
    from replicate.corpora.recordings import read_sound  # with torchaudio, which no other reads by

    return read_sound(path)[0]


def _require_length(path: Path, found: float, expected: float) -> None:
    if abs(found - expected) > TOLERANCE:
        what = f"lasts {found:.2f} s, where its label line's times give {expected:.2f} s"
        raise InputError(path, what, _RESTORE)


def levels(waveforms: Waveforms, ids: Sequence[str]) -> pd.DataFrame:
    """Loudness: index utterance, `average` (mean |x|) and `spread` (std of x), x in [-1, 1)."""
    rows = []
    for utterance in ids:
        samples = waveforms.waveform(utterance).astype(np.float64)
        rows.append((np.abs(samples).mean(), samples.std()))
    return pd.DataFrame(
        rows, index=pd.Index(ids, name="utterance"), columns=["average", "spread"], dtype=float
    )


def statistics(waveforms: Waveforms, cohort: pd.DataFrame) -> pd.DataFrame:
    """Table 8, over a whole cohort.

    Of each emotion's utterances `WaveAvg` (mean of mean |x|), `WaveAvgStd` (standard deviation of
    mean |x|), `WaveStdAvg` (mean of the standard deviation of x) and `n`.
    """
    level = levels(waveforms, cohort["utterance"].tolist())
    return class_averages(level.assign(emotion=cohort["emotion"].to_numpy()))


def class_averages(level: pd.DataFrame) -> pd.DataFrame:
    """`statistics` from the columns `emotion`, `average` and `spread` of utterances."""
    grouped = level.groupby("emotion")
    return pd.DataFrame(
        {
            "WaveAvg": grouped["average"].mean(),
            "WaveAvgStd": grouped["average"].std(ddof=0),
            "WaveStdAvg": grouped["spread"].mean(),
            "n": grouped.size(),
        }
    )


def _key(recordings: list[Recording]) -> str:
    """Which recordings: a digest of ids and paths."""
    named = [(r.utterance, r.path and str(r.path.absolute())) for r in recordings]
    return hashlib.sha256(json.dumps(named).encode()).hexdigest()[:32]


def _state(recordings: list[Recording]) -> str:
    """What they are like now: a digest of sizes, times of change and the seconds they must last."""
    found: list[tuple[int, int, float] | None] = []
    for _, path, seconds, _ in recordings:
        try:
            status = path.stat() if path else None
        except OSError:
            status = None
        found.append((status.st_size, status.st_mtime_ns, seconds) if status else None)
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()


def _build(folder: Path, recordings: list[Recording]) -> None:
    """Decode all recordings into `folder`; damaged ones go to the index only."""
    digest = hashlib.sha256()
    lengths: dict[str, int] = {}
    problems = []
    with (folder / _SAMPLES).open("wb") as file:
        for utterance, found in examine(recordings):
            if isinstance(found, Problem):
                problems.append(asdict(found))
                continue
            content = found.astype("<i2").tobytes()
            file.write(content)
            digest.update(f"{utterance} {len(found)}\n".encode() + content)
            lengths[utterance] = len(found)
    index = {
        "utterances": list(lengths),
        "lengths": list(lengths.values()),
        "fingerprint": digest.hexdigest(),
        "problems": problems,
        "written": (folder / _SAMPLES).stat().st_mtime_ns,
    }
    (folder / _INDEX).write_text(json.dumps(index))


def _whole(folder: Path) -> bool:
    """Whether a cached folder holds as many samples as its index says, written when it was."""
    try:
        index = json.loads((folder / _INDEX).read_text())
        found = (folder / _SAMPLES).stat()
        size, written = 2 * sum(index["lengths"]), index["written"]
        return bool((found.st_size, found.st_mtime_ns) == (size, written))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _wrong_form(path: Path, sound: soundfile.SoundFile) -> InputError:
    """A readable recording in another form, and the command that converts it."""
    if sound.subtype in ("FLOAT", "DOUBLE"):
        samples = sound.read(always_2d=True)
        odd = int(np.count_nonzero(~np.isfinite(samples)))
        if odd:
            what = f"{odd:,} of {samples.size:,} samples are no number (NaN or infinite)"
            return InputError(path, what, _RESTORE)
    channels = _channels(sound.channels)
    found = f"{sound.format} {sound.subtype}, {sound.samplerate} Hz, {channels}"
    old = shlex.quote(str(path))
    new = shlex.quote(str(path.with_name(f"{path.stem}.16k.wav")))
    return InputError(
        path,
        f"is {found}; 16000 Hz, mono, 16-bit PCM is needed",
        f"ffmpeg -i {old} -ar {SAMPLE_RATE} -ac 1 -c:a pcm_s16le {new} && mv {new} {old}\n"
        f"     or: sox {old} -r {SAMPLE_RATE} -c 1 -b 16 -e signed-integer {new} && mv {new} {old}",
    )


def _channels(number: int) -> str:
    return {1: "mono", 2: "stereo"}.get(number, f"{number} channels")
