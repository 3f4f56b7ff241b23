"""Text files of unknown origin: any line ending, UTF-8 or the Windows code page."""

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pandas as pd

from replicate.files import InputError


@dataclass(frozen=True)
class Problem:
    """Something odd in a corpus.

    Attributes:
        place: `file:line`, file or utterance id.
        what: what is wrong.
        remedy: what to do about it.
        severity: `note` (harmless), `damaged` (an utterance that cannot be used as it is) or
            `fatal` (the corpus cannot be used).
        utterance: the id of the damaged utterance, where there is one.
    """

    place: str
    what: str
    remedy: str
    severity: Literal["note", "damaged", "fatal"]
    utterance: str | None = None


def read_lines(path: Path) -> tuple[list[str], list[Problem]]:
    """The lines of a text file without their endings, and what was odd about them.

    A file that cannot be read gives no lines and one `damaged` problem; a line that is not UTF-8
    is read as Windows-1252 (a superset of Latin-1's printable characters) and noted.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
        return [], [Problem(str(path), what, "restore the file from the corpus", "damaged")]
    if b"\0" in content:
        what = "is no text file (it holds zero bytes)"
        return [], [Problem(str(path), what, "restore the file from the corpus", "damaged")]
    lines, problems = [], []
    content = content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    for number, raw in enumerate(content.split(b"\n"), start=1):
        try:
            lines.append(raw.decode("utf-8"))
        except UnicodeDecodeError:
            lines.append(raw.decode("cp1252", errors="replace"))
            problems.append(
                Problem(
                    f"{path}:{number}",
                    "is not UTF-8; read as Windows-1252",
                    "none needed; look at the line if its text matters",
                    "note",
                )
            )
    return lines, problems


#: Column -> dtype. One row an utterance, sorted by (dialogue, start): time order within a dialogue.
#: `start` and `end` are seconds within the dialogue (NaN where the corpus has none);
#: `label` is the corpus's own label; `transcript` and `wav` are NA where missing.
COLUMNS = {
    "utterance": "string",
    "dialogue": "string",
    "session": "string",
    "speaker": "string",
    "gender": "string",
    "scripted": "boolean",
    "scenario": "string",
    "start": "float64",
    "end": "float64",
    "label": "string",
    "transcript": "string",
    "wav": "string",
}


@dataclass(frozen=True)
class Corpus:
    """A corpus on disk, read.

    Attributes:
        name: as on the command line, for example `standin-quick` or `iemocap`.
        title: how pages call it.
        root: the folder it was read from.
        utterances: the utterance table (see `COLUMNS`), index 0..n-1.
        emotions: the corpus's own labels -> the paper's four classes; every other label is
            outside the cohort.
        synthetic: true for the stand-in, whose numbers must never pass for IEMOCAP's.
        problems: what was odd.
    """

    name: str
    title: str
    root: Path
    utterances: pd.DataFrame
    emotions: dict[str, str]
    synthetic: bool = False
    problems: tuple[Problem, ...] = field(default=())

    def __post_init__(self) -> None:
        missing = set(COLUMNS) - set(self.utterances.columns)
        if missing:
            raise ValueError(f"{self.name}: the utterance table lacks {sorted(missing)}")

    @property
    def has_audio(self) -> bool:
        """Whether any utterance has a recording."""
        return bool(self.utterances["wav"].notna().any())


def utterance_table(rows: list[dict[str, object]]) -> pd.DataFrame:
    """Rows (one dict an utterance) -> the utterance table, typed and sorted.

    Rows of equal or unknown start keep the order in which they are given.
    """
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    return table.sort_values(["dialogue", "start"], kind="stable", ignore_index=True)


def damage(place: object, damaged: str, problems: Sequence[Problem]) -> InputError:
    """One error for everything that is damaged: the first ten in full, and how many there are."""
    lines = [f"{problem.place}: {problem.what}\n     {problem.remedy}" for problem in problems[:10]]
    if len(problems) > 10:
        lines.append(f"and {len(problems) - 10} more")
    return InputError(
        place,
        "\n   - ".join([f"{len(problems)} damaged {damaged}", *lines]),
        "repair them (`replicate corpus check` lists all), or leave them out with --skip-damaged",
    )


def without_damaged(corpus: Corpus, skip_damaged: bool) -> Corpus:
    """The corpus as it may be used: damaged utterances are refused or, if asked for, left out.

    Raises:
        InputError: there is damage, and `skip_damaged` is false.
    """
    damaged = [problem for problem in corpus.problems if problem.severity == "damaged"]
    if damaged and not skip_damaged:
        raise damage(corpus.root, "label or transcription lines", damaged)
    out = {problem.utterance for problem in damaged}
    kept = corpus.utterances[~corpus.utterances["utterance"].isin(out)].reset_index(drop=True)
    return dataclasses.replace(corpus, utterances=kept)


def text_fingerprint(table: pd.DataFrame) -> str:
    """SHA-256 of ids, labels and transcripts: which text a run saw (no recording enters)."""
    digest = hashlib.sha256()
    for row in table[["utterance", "label", "transcript"]].fillna("").itertuples(index=False):
        digest.update("\x1f".join(row).encode() + b"\x1e")
    return digest.hexdigest()
