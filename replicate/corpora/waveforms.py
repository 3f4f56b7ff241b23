"""Recordings: checked, decoded once into one memory map, and described (Table 8).

PyTorch and soundfile are imported by what needs them: stored levels are read without.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import wave
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from replicate.corpora.table import Corpus, Problem, damage
from replicate.files import InputError, build_once, cache_folder

if TYPE_CHECKING:
    import torch

SAMPLE_RATE = 16_000

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
    try:
        with path.open("rb") as file, wave.open(file) as sound:
            form = (sound.getframerate(), sound.getnchannels(), 8 * sound.getsampwidth())
            announced = sound.getnframes()
            content = sound.readframes(announced)
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror}", _RESTORE) from error
    except (wave.Error, EOFError) as error:
        raise _not_plain(path) from error
    if form != (SAMPLE_RATE, 1, 16):
        raise _wrong_form(path, f"{form[0]} Hz, {_channels(form[1])}, {form[2]}-bit")
    if announced == 0:
        raise InputError(path, "holds no sample (zero length)", _RESTORE)
    if len(content) < 2 * announced:
        what = f"is cut short: {len(content) // 2:,} of the {announced:,} samples it announces"
        raise InputError(path, what, _RESTORE)
    return np.frombuffer(content, dtype="<i2")


def open_waveforms(corpus: Corpus, skip_damaged: bool = False) -> Waveforms:
    """The recordings of every utterance that has one of the paper's classes.

    They are decoded once, into the cache folder; this copy is made anew, in place of the old one,
    when a file's size or time of change differs. With `skip_damaged`, damaged ones are left out and
    listed; else all are named in an `InputError`. There is one, too, if the corpus has no
    recordings.
    """
    wanted = corpus.utterances[corpus.utterances["label"].isin(list(corpus.emotions))]
    wavs = zip(wanted["utterance"], wanted["wav"].fillna(""), strict=True)
    paths = {utterance: Path(wav) if wav else None for utterance, wav in wavs}
    if not any(paths.values()):
        raise InputError(
            corpus.root,
            "has no recordings",
            "unpack the recordings, or run text-only experiments",
        )
    state = _state(paths)

    def build(new: Path) -> None:
        _build(new, paths)
        (new / _STATE).write_text(state)

    def whole(folder: Path) -> bool:
        mark = folder / _STATE
        return mark.is_file() and mark.read_text() == state and _whole(folder)

    folder = build_once(cache_folder() / "waveforms" / _key(paths), build, whole)
    index = json.loads((folder / _INDEX).read_text())
    problems = tuple(Problem(**problem) for problem in index["problems"])
    if problems and (not skip_damaged or not index["utterances"]):
        raise damage(corpus.root, "recordings", problems)
    lengths = np.array(index["lengths"], dtype=np.int64)
    return Waveforms(
        samples=np.memmap(folder / _SAMPLES, dtype="<i2", mode="r"),
        offsets=np.cumsum(lengths) - lengths,
        lengths=lengths,
        utterances=tuple(index["utterances"]),
        fingerprint=index["fingerprint"],
        problems=problems,
    )


def examine(paths: dict[str, Path | None]) -> Iterator[tuple[str, np.ndarray | Problem]]:
    """Each utterance with its samples or with what is wrong with its recording."""
    for utterance, path in paths.items():
        if path is None:
            what, remedy = f"{utterance} has no recording", _RESTORE
            yield utterance, Problem(utterance, what, remedy, "damaged", utterance)
            continue
        try:
            yield utterance, decode(path)
        except InputError as error:
            problem = Problem(error.place, error.what, error.remedy, "damaged", utterance)
            yield utterance, problem


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


def _key(paths: dict[str, Path | None]) -> str:
    """Which recordings: a digest of ids and paths."""
    named = [(utterance, path and str(path.absolute())) for utterance, path in paths.items()]
    return hashlib.sha256(json.dumps(named).encode()).hexdigest()[:32]


def _state(paths: dict[str, Path | None]) -> str:
    """What the recordings are like now: a digest of sizes and times of change."""
    found: list[tuple[int, int] | None] = []
    for path in paths.values():
        try:
            status = path.stat() if path else None
        except OSError:
            status = None
        found.append((status.st_size, status.st_mtime_ns) if status else None)
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()


def _build(folder: Path, paths: dict[str, Path | None]) -> None:
    """Decode all recordings into `folder`; damaged ones go to the index only."""
    digest = hashlib.sha256()
    lengths: dict[str, int] = {}
    problems = []
    with (folder / _SAMPLES).open("wb") as file:
        for utterance, found in examine(paths):
            if isinstance(found, Problem):
                problems.append(asdict(found))
                continue
            content = found.tobytes()
            file.write(content)
            digest.update(f"{utterance} {len(found)}\n".encode() + content)
            lengths[utterance] = len(found)
    index = {
        "utterances": list(lengths),
        "lengths": list(lengths.values()),
        "fingerprint": digest.hexdigest(),
        "problems": problems,
    }
    (folder / _INDEX).write_text(json.dumps(index))


def _whole(folder: Path) -> bool:
    """Whether a cached folder holds as many samples as its index says."""
    try:
        index = json.loads((folder / _INDEX).read_text())
        return bool((folder / _SAMPLES).stat().st_size == 2 * sum(index["lengths"]))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _not_plain(path: Path) -> InputError:
    """What is wrong with a file that is no plain PCM wav."""
    import soundfile

    try:
        found = soundfile.info(path)
    except soundfile.SoundFileError:
        size = f"{path.stat().st_size:,} bytes"
        return InputError(path, f"is no wav file that can be read ({size})", _RESTORE)
    if found.subtype in ("FLOAT", "DOUBLE"):
        samples = soundfile.read(path, always_2d=True)[0]
        odd = int(np.count_nonzero(~np.isfinite(samples)))
        if odd:
            what = f"{odd:,} of {samples.size:,} samples are no number (NaN or infinite)"
            return InputError(path, what, _RESTORE)
    channels = _channels(found.channels)
    return _wrong_form(path, f"{found.format} {found.subtype}, {found.samplerate} Hz, {channels}")


def _wrong_form(path: Path, found: str) -> InputError:
    """A readable recording in another form, and the command that converts it."""
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
