"""IEMOCAP (Busso et al. 2008) as distributed: the tree `IEMOCAP_full_release`.

    Session1/dialog/EmoEvaluation/Ses01F_impro01.txt    labels and times
    Session1/dialog/transcriptions/Ses01F_impro01.txt   what was said
    Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav

The labels decide which utterances there are: a transcription line without a label (such as the
overlaps `..._FXX0`) is left out; a recording without one has lost it, which is damage. Only files
that begin with `Ses` are read, so stray `._*` files and the folders `Attribute`, `Categorical` and
`Self-evaluation` do no harm. Blanks, and the case of ids, labels and endings, do not matter.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from replicate.corpora.iemocap_ids import EMOTIONS, named, parse, spelt
from replicate.corpora.table import (
    TWICE,
    Corpus,
    Problem,
    damaged,
    files,
    read_lines,
    utterance_table,
)
from replicate.files import InputError
from replicate.paper import CLASS_SIZES

#: The lognormal (mu, sigma) that fits the durations of each of IEMOCAP's classes, in seconds.
DURATIONS = ((1.327, 0.589), (1.327, 0.634), (1.179, 0.596), (1.480, 0.659))

#: IEMOCAP's shortest and longest utterance of these classes, in seconds.
EXTREMES = (0.58, 34.1)


def iemocap_seconds(rng: np.random.Generator) -> np.ndarray:
    """As many durations as IEMOCAP's four classes have, of `DURATIONS`: float64 [5531]."""
    drawn = [rng.lognormal(*fit, n) for fit, n in zip(DURATIONS, CLASS_SIZES, strict=True)]
    return np.concatenate(drawn).clip(*EXTREMES)


#: The labels that IEMOCAP gives; the first five make the paper's four classes.
LABELS = ("neu", "hap", "exc", "ang", "sad", "fru", "sur", "fea", "dis", "oth", "xxx")

#: Happiness is two of them: utterances.
HAPPY, EXCITED = 595, 1041

_LABEL_LINE = re.compile(
    r"\[\s*(?P<start>\d+\.?\d*)\s*-\s*(?P<end>\d+\.?\d*)\s*\]\s*"
    r"(?P<utterance>\S+)\s+(?P<label>[A-Za-z]+)\b.*"
)
_ANNOTATOR = re.compile(r"[CA]-\w+:.*")
_TRANSCRIPT_LINE = re.compile(r"(?P<utterance>[^\s:]+)\s*(?:\[[^]]*\])?\s*:\s*(?P<text>.*)")
#: Where its files lie; their names begin so in any case.
_LABELS = "Session[0-9]/dialog/EmoEvaluation/[Ss][Ee][Ss]*"
_TRANSCRIPTS = "Session[0-9]/dialog/transcriptions/[Ss][Ee][Ss]*"
_WAVS = "Session[0-9]/sentences/wav/*/[Ss][Ee][Ss]*"
_RESTORE = "restore it from the corpus as distributed"

Row = dict[str, object]
Rows = dict[str, Row]


def read(root: Path) -> Corpus:
    """Read the folder `IEMOCAP_full_release`, or the folder that holds it.

    All labels are read; utterances without a transcript or a recording have NA there, and problems
    say so. `InputError` if the folder is no IEMOCAP tree, or holds no label.
    """
    tree = _tree(root)
    problems: list[Problem] = []
    rows = _labels(tree, problems)
    if not rows:
        what = "no labelled utterance in Session*/dialog/EmoEvaluation/Ses*.txt"
        remedy = "point at IEMOCAP_full_release as distributed (dialog/ and sentences/ unpacked)"
        raise InputError(tree, what, remedy)
    problems += _unlabelled(tree, rows)
    _add_transcripts(tree, rows, problems)
    _add_wavs(tree, rows, problems)
    problems += _missing(tree, rows)
    return Corpus(
        name="iemocap",
        title="IEMOCAP",
        root=root,
        utterances=utterance_table([rows[utterance] for utterance in sorted(rows)]),
        emotions=EMOTIONS,
        problems=tuple(problems),
        cut_at_times=True,
    )


def _tree(root: Path) -> Path:
    """The folder that holds Session1 to Session5."""
    if not root.is_dir():
        raise InputError(root, "no such folder", "give the folder IEMOCAP_full_release")
    for folder in (root, root / "IEMOCAP_full_release", root / "IEMOCAP"):
        if any(folder.glob("Session[0-9]/dialog/EmoEvaluation")):
            return folder
    what = "no IEMOCAP here: no Session1/dialog/EmoEvaluation below it"
    remedy = "give the folder IEMOCAP_full_release or the folder that holds it"
    raise InputError(root, what, remedy)


def _labels(tree: Path, problems: list[Problem]) -> Rows:
    """Utterance -> row, from the label lines; the lines below them are annotators'.

    What begins like a label line, or names an utterance, is one.
    """
    rows: Rows = {}
    for place, line in _lines(tree, _LABELS, problems):
        if _ANNOTATOR.fullmatch(line) or not (line.startswith("[") or named(line)):
            continue
        match = _LABEL_LINE.fullmatch(line)
        utterance = match and parse(spelt(match["utterance"]))
        if match is None or utterance is None:
            what = "is no label line `[start - end]<tab>utterance<tab>label<tab>[v, a, d]`"
            problems.append(Problem(place, what, _RESTORE, "damaged"))
        elif (name := utterance.utterance) in rows:
            problems.append(_about(rows[name], place, *TWICE))
        else:
            label = match["label"].lower()
            if label not in LABELS:
                what = f"has the unknown label {label!r}"
                problems.append(damaged(name, place, what, _RESTORE))
            times = {"start": float(match["start"]), "end": float(match["end"])}
            rows[name] = {**vars(utterance), **times, "label": label}
    return rows


def _unlabelled(tree: Path, rows: Rows) -> Iterator[Problem]:
    """Dialogues that have transcripts or recordings, but no label."""
    labelled = {row["dialogue"] for row in rows.values()}
    beside = {spelt(path.stem): path.parents[1] for path in files(tree, _TRANSCRIPTS, ".txt")}
    for path in files(tree, _WAVS, ".wav"):
        beside[spelt(path.parent.name)] = path.parents[3] / "dialog"
    for dialogue in sorted(beside.keys() - labelled):
        labels = beside[dialogue] / "EmoEvaluation" / f"{dialogue}.txt"
        what = f"no labels for {dialogue}, which has transcripts or recordings"
        yield Problem(str(labels), what, _RESTORE, "damaged")


def _add_transcripts(tree: Path, rows: Rows, problems: list[Problem]) -> None:
    """What was said, for the labelled utterances."""
    for place, line in _lines(tree, _TRANSCRIPTS, problems):
        match = _TRANSCRIPT_LINE.fullmatch(line)
        utterance = spelt(match["utterance"]) if match else ""
        if match is None or parse(utterance) is None:
            problems.append(_left_out(place, "no utterance id"))
            continue
        text = " ".join(match["text"].split())
        row = rows.get(utterance)
        if row is None:
            what = f"{utterance} has no label"
            lost = Problem(place, what, _RESTORE, "missing")
            problems.append(lost if _is_turn(utterance) else _left_out(place, what))
        elif row.get("transcript", text) != text:
            problems.append(_about(row, place, *TWICE))
        elif text:
            row["transcript"] = text


def _add_wavs(tree: Path, rows: Rows, problems: list[Problem]) -> None:
    """The recordings of the labelled utterances."""
    dialogues = {row["dialogue"] for row in rows.values()}
    for path in files(tree, _WAVS, ".wav"):
        utterance = spelt(path.stem)
        if spelt(path.parent.name) not in dialogues:
            continue  # all of it is unlabelled, and one problem
        row = rows.get(utterance)
        if row is None:
            lost = Problem(str(path), "has no label: its label line is lost", _RESTORE, "damaged")
            other = _left_out(str(path), "is no recording of a turn")
            problems.append(lost if _is_turn(utterance) else other)
        elif "wav" in row:
            problems.append(_about(row, str(path), *TWICE))
        else:
            row["wav"] = str(path)


def _left_out(place: str, what: str) -> Problem:
    return Problem(place, f"{what}; left out", "none needed", "note")


def _is_turn(utterance: str) -> bool:
    """Whether an id is that of a turn, which has a label; overlaps (`..._FXX0`) have none."""
    return parse(utterance) is not None and "XX" not in utterance


def _lines(tree: Path, pattern: str, problems: list[Problem]) -> Iterator[tuple[str, str]]:
    """Place (`file:number`) and text of each line that has any, of the `.txt` of a pattern."""
    for path in files(tree, pattern, ".txt"):
        lines, odd = read_lines(path)
        problems += odd
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield f"{path}:{number}", line.strip()


def _missing(tree: Path, rows: Rows) -> Iterator[Problem]:
    """What the tree lacks: sessions, or transcripts."""
    absent = sorted(set("12345") - {str(row["session"]) for row in rows.values()})
    if absent:
        what = f"no label of {', '.join(f'Session{number}' for number in absent)}"
        yield Problem(str(tree), what, "unpack all five sessions anew", "damaged")
    lacking = [row for _, row in sorted(rows.items()) if "transcript" not in row]
    if len(lacking) == len(rows):
        what = "no transcript at all: Session*/dialog/transcriptions is missing or empty"
        yield Problem(str(tree), what, "unpack it, or run audio-only experiments", "note")
        return
    for row in lacking:
        dialog = tree / f"Session{row['session']}" / "dialog" / "transcriptions"
        yield _about(row, str(dialog / f"{row['dialogue']}.txt"), "has no transcript", _RESTORE)


def _about(row: Row, place: str, what: str, remedy: str) -> Problem:
    """A problem of one utterance: damage if it belongs to the cohort, else a note."""
    problem = damaged(str(row["utterance"]), place, what, remedy)
    if row["label"] in EMOTIONS:
        return problem
    remedy = f"none needed: its label, {row['label']}, is outside the cohort"
    return replace(problem, remedy=remedy, severity="note")
