"""Hashes of a generated corpus, and those that were published: the same everywhere, or not."""

import csv
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path

from replicate.corpora.standin.planning import Planned
from replicate.files import sha256
from replicate.paper import EMOTIONS

RELEASE = "IEMOCAP_full_release"
TRUTH = "truth.csv"
_HEADER = (
    "utterance", "label", "acted", "text_symbol", "prosody_symbol", "laughter", "breath", "level",
)  # fmt: skip

#: SHA-256 of a corpus: `text`, of the truth (ids, labels, symbols, levels) and the transcripts, and
#: `audio`, of ids and recordings.
Fingerprint = dict[str, str]


@cache
def published() -> dict[str, Fingerprint]:
    """The fingerprints that this package was published with, by `<size>-<preset>`."""
    text = (resources.files(__package__) / "manifest.json").read_text(encoding="utf-8")
    found: dict[str, Fingerprint] = json.loads(text)
    return found


def fingerprint(root: Path) -> Fingerprint:
    """The fingerprint of the corpus in `root`, from its files."""
    with (root / TRUTH).open(encoding="ascii", newline="") as file:
        rows = list(csv.reader(file))
    transcripts = {}
    for path in (root / RELEASE).glob("Session*/dialog/transcriptions/*.txt"):
        for line in path.read_text(encoding="ascii").splitlines():
            utterance, rest = line.split(" ", 1)
            transcripts[utterance] = rest.split("]: ", 1)[1]
    audio = hashlib.sha256()
    for path in sorted((root / RELEASE).glob("Session*/sentences/wav/*/*.wav")):
        audio.update(path.stem.encode() + hashlib.sha256(path.read_bytes()).digest())
    return {"text": text_hash(rows, transcripts), "audio": audio.hexdigest()}


#: In a generated folder: its generator, and of each file its size, time of change and SHA-256.
_FILES = "files.json"


def note_files(root: Path, generator: str) -> None:
    """Note, in a folder just filled, what fills it; `generator` says what made it."""
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    files = {path.relative_to(root).as_posix(): [*_state(path), sha256(path)] for path in paths}
    (root / _FILES).write_text(json.dumps({"generator": generator, "files": files}))


def is_as_noted(root: Path, generator: str) -> bool:
    """Whether a folder still holds all that was noted; only files of another time are read."""
    try:
        noted = json.loads((root / _FILES).read_text())
        return noted["generator"] == generator and all(
            _state(root / name) == state or sha256(root / name) == digest
            for name, (*state, digest) in noted["files"].items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _state(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def text_hash(rows: Iterable[Sequence[str]], transcripts: Mapping[str, str]) -> str:
    """SHA-256 of the rows of the truth and each row's transcript: no sound enters."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update("\x1f".join([*row, transcripts.get(row[0], "")]).encode() + b"\x1e")
    return digest.hexdigest()


def truth(utterances: Iterable[Planned]) -> list[Sequence[str]]:
    """The rows of `truth.csv`, header first: what each utterance was made from."""
    rows: list[Sequence[str]] = [_HEADER]
    for u in utterances:
        symbols = (EMOTIONS[c] for c in (u.acted, u.text_symbol, u.prosody_symbol))
        tags = (str(int(tag)) for tag in (u.laughter, u.breath))
        rows.append([u.utterance, u.label, *symbols, *tags, f"{u.level:.6f}"])
    return rows
