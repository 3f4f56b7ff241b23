"""The utterance table that every corpus is read into, what was odd, and text of any encoding."""

import csv
import dataclasses
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd

from replicate.corpora.features import Features
from replicate.files import InputError, first_of
from replicate.settings import AudioInput

Severity = Literal["note", "missing", "damaged", "fatal"]


@dataclass(frozen=True)
class Problem:
    """Something odd.

    It is harmless (`note`), something that the corpus has as distributed is not here (`missing`),
    utterances are lost or spoilt (`damaged`), or it is `fatal` for the whole corpus.
    """

    place: str  # `file:line`, file or utterance id
    what: str
    remedy: str
    severity: Severity
    utterance: str | None = None  # the damaged one, where it is known


#: What is wrong with the second of two, and what to do.
TWICE = ("occurs a second time", "delete the wrong one of the two")

#: Of problems that are alike so many are named.
FEW = 3


def gathered(problems: Iterable[Problem]) -> list[Problem]:
    """Problems of which many alike have become one, with a count and the first few."""
    kinds: dict[tuple[str, str], list[Problem]] = defaultdict(list)
    for problem in problems:
        # ids, places and counts are the words that hold a digit
        kinds[problem.severity, re.sub(r"\S*\d\S*", "", problem.what)].append(problem)
    found = []
    for first, *others in kinds.values():
        if (more := len(others) + 1 - FEW) > 0:
            also = ", ".join(
                other.place if other.utterance in (None, first.utterance) else str(other.utterance)
                for other in others[: FEW - 1]
            )
            what = f"{first.what} (also {also} and {more:,} more)"
            place = f"{len(others) + 1:,} alike, as {first.place}"
            found.append(dataclasses.replace(first, place=place, what=what))
        else:
            found += [first, *others]
    return found


def files(folder: Path, pattern: str, ending: str) -> list[Path]:
    """The files that a pattern of names without endings finds, of an ending in any case: sorted."""
    return sorted(path for path in folder.glob(pattern) if path.suffix.lower() == ending)


def read_lines(path: Path) -> tuple[list[str], list[Problem]]:
    """The lines of a text file without their endings, and what was odd about them.

    A file that cannot be read gives no lines and one `damaged` problem; a line that is not UTF-8
    is read as Windows-1252 (a superset of Latin-1's printable characters) and noted.
    """
    try:
        content, fault = path.read_bytes(), ""
    except OSError as error:
        content, fault = b"", f"cannot be read: {error.strerror}"
    if b"\0" in content:
        fault = "is no text file (it holds zero bytes)"
    if fault:
        return [], [Problem(str(path), fault, "restore the file from the corpus", "damaged")]
    lines, problems = [], []
    content = content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    for number, raw in enumerate(content.split(b"\n"), start=1):
        line, odd = decoded(raw)
        lines.append(line)
        if odd:
            what = "is not UTF-8; read as Windows-1252"
            remedy = "none needed; look at the line if its text matters"
            problems.append(Problem(f"{path}:{number}", what, remedy, "note"))
    return lines, problems


def decoded(raw: bytes) -> tuple[str, bool]:
    """Text, and whether it had to be read as Windows-1252."""
    try:
        return raw.decode(), False
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace"), True


class Line(NamedTuple):
    """A row of a table, or why a line is none."""

    place: str  # `file:line`
    row: dict[str, str]  # column -> value; empty if the line is no whole row
    fault: str


def read_table(
    path: Path, required: Sequence[str], remedy: str, separator: str = ","
) -> tuple[list[str], list[Line], list[Problem]]:
    """The columns of a file of fields, its rows, each of which is a line, and what was odd.

    Between commas a field may be quoted. A quote that is out of place or not closed is that line's
    fault, and swallows no rows. `InputError` if the file cannot be read, lacks a required column or
    has two of one name.
    """
    lines, problems = read_lines(path)
    if not lines:
        raise InputError(path, problems[0].what, remedy)
    columns = _fields(lines[0], separator)
    if twice := sorted({name for name in columns if name and columns.count(name) > 1}):
        what = f"has more than one column {first_of(twice)}"
        raise InputError(f"{path}:1", what, "give every column a name of its own")
    if missing := [name for name in required if name not in columns]:
        what = f"lacks the columns {', '.join(missing)}; it has {first_of(columns) or 'none'}"
        raise InputError(f"{path}:1", what, remedy)
    rows = [
        _line(f"{path}:{number}", columns, _fields(line, separator))
        for number, line in enumerate(lines[1:], start=2)
        if line.strip()
    ]
    return columns, rows, problems


def _fields(line: str, separator: str) -> list[str]:
    """None if quotes are not in order."""
    try:
        row = next(csv.reader([line], strict=True)) if separator == "," else line.split(separator)
        return [field.strip() for field in row]
    except csv.Error:
        return []


def _line(place: str, columns: list[str], found: list[str]) -> Line:
    if not found:
        return Line(place, {}, "is no whole row: a quote is not closed, or closed too early")
    if len(found) != len(columns):
        what = f"is no whole row, but {len(found)} of {len(columns)} fields"
        return Line(place, {}, f"{what}: cut short, or with a stray quote or comma")
    return Line(place, dict(zip(columns, found, strict=True)), "")


#: Column -> dtype. One row an utterance, sorted by (dialogue, start): time order within a dialogue.
#: `start` and `end` are seconds within the dialogue (NaN where the corpus has none);
#: `label` is the corpus's own label; `transcript` and `wav` are NA where missing.
COLUMNS = {
    "utterance": "string", "dialogue": "string", "session": "string", "speaker": "string",
    "gender": "string", "scripted": "boolean", "scenario": "string", "start": "float64",
    "end": "float64", "label": "string", "transcript": "string", "wav": "string",
}  # fmt: skip


@dataclass(frozen=True)
class Corpus:
    """A corpus on disk, read."""

    name: str  # as on the command line
    title: str  # as on pages
    root: Path
    utterances: pd.DataFrame  # see `COLUMNS`; index 0..n-1
    emotions: dict[str, str]  # its own labels -> the paper's classes; others are not in the cohort
    synthetic: bool = False  # True for the stand-in, whose numbers must never pass for IEMOCAP's
    problems: tuple[Problem, ...] = ()
    cut_at_times: bool = False  # its recordings last from `start` to `end`, to the millisecond
    any_form: bool = False  # recordings are converted as they are read; others must be 16 kHz mono
    features: Features | None = None
    """Acoustic features, for the encoder that takes them in place of recordings."""

    @property
    def has_audio(self) -> bool:
        """Whether any utterance has a recording."""
        return bool(self.utterances["wav"].notna().any())

    @property
    def has_sound(self) -> bool:
        """Whether there are recordings, or features in their place."""
        return self.has_audio or self.features is not None

    @property
    def audio_input(self) -> AudioInput:
        """What the audio encoder takes: recordings where there are any."""
        if self.features is None or self.has_audio:
            return "raw waveforms"
        return "acoustic features, linear map"

    def without(self, problems: Iterable[Problem]) -> "Corpus":
        """The corpus without the utterances that problems concern."""
        out = {problem.utterance for problem in problems}
        kept = self.utterances[~self.utterances["utterance"].isin(out)].reset_index(drop=True)
        return dataclasses.replace(self, utterances=kept)


class Reading:
    """What a reader finds: a row for each utterance, and what is odd."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, object]] = {}
        self.problems: list[Problem] = []

    def damaged(self, place: object, what: str, remedy: str, utterance: str | None = None) -> None:
        """Utterances are lost or spoilt, or one that is named."""
        what = f"{utterance} {what}" if utterance else what
        self.problems.append(Problem(str(place), what, remedy, "damaged", utterance))

    def left_out(self, place: object, what: str) -> None:
        """Something that is no utterance, and need not be."""
        self.problems.append(Problem(str(place), f"{what}; left out", "none needed", "note"))

    def add(self, row: dict[str, object], place: object, remedy: str = TWICE[1]) -> bool:
        """Take a row, or note damage if its utterance has one already; whether it was taken."""
        name = str(row["utterance"])
        if name in self.rows:
            self.damaged(place, TWICE[0], remedy, name)
            return False
        self.rows[name] = row
        return True

    def corpus(
        self, name: str, title: str, root: Path, emotions: dict[str, str], **more: Any
    ) -> Corpus:
        """All of it; `more` are further fields of `Corpus`."""
        table, problems = utterance_table(list(self.rows.values())), tuple(self.problems)
        return Corpus(name, title, root, table, emotions, problems=problems, **more)


def utterance_table(rows: list[dict[str, object]]) -> pd.DataFrame:
    """Rows (one dict an utterance) -> the utterance table, typed and sorted.

    Rows of equal or unknown start keep the order in which they are given.
    """
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    return table.sort_values(["dialogue", "start"], kind="stable", ignore_index=True)


def damage(corpus: Corpus, kind: str, problems: Sequence[Problem]) -> InputError:
    """One error for everything that is damaged: at most ten kinds, and how many there are."""
    kinds = gathered(problems)
    lines = [f"{problem.place}: {problem.what}\n     {problem.remedy}" for problem in kinds[:10]]
    if len(kinds) > 10:
        lines.append(f"and {len(kinds) - 10} more kinds")
    remedy = "repair them (`replicate corpus check --all` lists all), or leave them out with "
    remedy += "--skip-damaged"
    if corpus.synthetic:
        lines = [line.partition("\n")[0] for line in lines]
        again = f"`replicate corpus build {corpus.name}`"
        remedy = f"remove this folder, and it is generated anew: {again}"
    what = "\n   - ".join([f"{len(problems)} damaged {kind}", *lines])
    return InputError(corpus.root, what, remedy)


def without_damaged(corpus: Corpus, skip_damaged: bool) -> Corpus:
    """The corpus as it may be used: damaged utterances left out if asked for, else `InputError`."""
    found = [problem for problem in corpus.problems if problem.severity == "damaged"]
    if found and not skip_damaged:
        raise damage(corpus, "places in labels, transcripts or features", found)
    return corpus.without(found)


def text_fingerprint(table: pd.DataFrame) -> str:
    """SHA-256 of ids, labels and transcripts: which text a run saw (no recording enters)."""
    digest = hashlib.sha256()
    for row in table[["utterance", "label", "transcript"]].fillna("").itertuples(index=False):
        digest.update("\x1f".join(row).encode() + b"\x1e")
    return digest.hexdigest()
