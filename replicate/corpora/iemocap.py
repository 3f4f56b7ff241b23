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
from pathlib import Path

import numpy as np

from replicate.corpora.iemocap_ids import EMOTIONS, named, parse, spelt
from replicate.corpora.table import TWICE, Corpus, Problem, Reading, files, read_lines
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


def read(root: Path) -> Corpus:
    """Read the folder `IEMOCAP_full_release`, or the folder that holds it.

    All labels are read; utterances without a transcript or a recording have NA there, and problems
    say so. `InputError` if the folder is no IEMOCAP tree, or holds no label.
    """
    tree = _tree(root)
    found = Reading()
    _read_labels(tree, found)
    if not found.rows:
        what = "no labelled utterance in Session*/dialog/EmoEvaluation/Ses*.txt"
        remedy = "point at IEMOCAP_full_release as distributed (dialog/ and sentences/ unpacked)"
        raise InputError(tree, what, remedy)
    _look_for_labels(tree, found)
    _read_transcripts(tree, found)
    _find_wavs(tree, found)
    _look_for_the_rest(tree, found)
    return found.corpus("iemocap", "IEMOCAP", root, EMOTIONS, cut_at_times=True)


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


def _read_labels(tree: Path, found: Reading) -> None:
    """A row for each label line; the lines below them are annotators'.

    What begins like a label line, or names an utterance, is one.
    """
    for place, line in _lines(tree, _LABELS, found):
        if _ANNOTATOR.fullmatch(line) or not (line.startswith("[") or named(line)):
            continue
        match = _LABEL_LINE.fullmatch(line)
        utterance = match and parse(spelt(match["utterance"]))
        if match is None or utterance is None:
            what = "is no label line `[start - end]<tab>utterance<tab>label<tab>[v, a, d]`"
            found.damaged(place, what, _RESTORE)
        elif (name := utterance.utterance) in found.rows:
            _note(found, name, place, *TWICE)
        else:
            label = match["label"].lower()
            if label not in LABELS:
                found.damaged(place, f"has the unknown label {label!r}", _RESTORE, name)
            times = {"start": float(match["start"]), "end": float(match["end"])}
            found.rows[name] = {**vars(utterance), **times, "label": label}


def _look_for_labels(tree: Path, found: Reading) -> None:
    """Dialogues that have transcripts or recordings, but no label, are damage."""
    labelled = {row["dialogue"] for row in found.rows.values()}
    beside = {spelt(path.stem): path.parents[1] for path in files(tree, _TRANSCRIPTS, ".txt")}
    for path in files(tree, _WAVS, ".wav"):
        beside[spelt(path.parent.name)] = path.parents[3] / "dialog"
    for dialogue in sorted(beside.keys() - labelled):
        labels = beside[dialogue] / "EmoEvaluation" / f"{dialogue}.txt"
        what = f"no labels for {dialogue}, which has transcripts or recordings"
        found.damaged(labels, what, _RESTORE)


def _read_transcripts(tree: Path, found: Reading) -> None:
    """What was said, for the labelled utterances."""
    for place, line in _lines(tree, _TRANSCRIPTS, found):
        match = _TRANSCRIPT_LINE.fullmatch(line)
        utterance = spelt(match["utterance"]) if match else ""
        if match is None or parse(utterance) is None:
            found.left_out(place, "no utterance id")
            continue
        text = " ".join(match["text"].split())
        row = found.rows.get(utterance, {})
        if not row and _is_turn(utterance):
            found.problems.append(Problem(place, f"{utterance} has no label", _RESTORE, "missing"))
        elif not row:
            found.left_out(place, f"{utterance} has no label")
        elif row.get("transcript", text) != text:
            _note(found, utterance, place, *TWICE)
        elif text:
            row["transcript"] = text


def _find_wavs(tree: Path, found: Reading) -> None:
    """The recordings of the labelled utterances."""
    dialogues = {row["dialogue"] for row in found.rows.values()}
    for path in files(tree, _WAVS, ".wav"):
        utterance = spelt(path.stem)
        row = found.rows.get(utterance, {})
        if spelt(path.parent.name) not in dialogues:
            continue  # all of it is unlabelled, and one problem
        if not row and _is_turn(utterance):
            found.damaged(path, "has no label: its label line is lost", _RESTORE)
        elif not row:
            found.left_out(path, "is no recording of a turn")
        elif "wav" in row:
            _note(found, utterance, str(path), *TWICE)
        else:
            row["wav"] = str(path)


def _is_turn(utterance: str) -> bool:
    """Whether an id is that of a turn, which has a label; overlaps (`..._FXX0`) have none."""
    return parse(utterance) is not None and "XX" not in utterance


def _lines(tree: Path, pattern: str, found: Reading) -> Iterator[tuple[str, str]]:
    """Place (`file:number`) and text of each line that has any, of the `.txt` of a pattern."""
    for path in files(tree, pattern, ".txt"):
        lines, odd = read_lines(path)
        found.problems += odd
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield f"{path}:{number}", line.strip()


def _look_for_the_rest(tree: Path, found: Reading) -> None:
    """Sessions without labels, and utterances without transcripts, are damage."""
    absent = sorted(set("12345") - {str(row["session"]) for row in found.rows.values()})
    if absent:
        what = f"no label of {', '.join(f'Session{number}' for number in absent)}"
        found.damaged(tree, what, "unpack all five sessions anew")
    found.rows = dict(sorted(found.rows.items()))
    lacking = [name for name, row in found.rows.items() if "transcript" not in row]
    if len(lacking) == len(found.rows):
        what = "no transcript at all: Session*/dialog/transcriptions is missing or empty"
        remedy = "unpack it, or run audio-only experiments"
        found.problems.append(Problem(str(tree), what, remedy, "note"))
        return
    for name in lacking:
        session, dialogue = (found.rows[name][column] for column in ("session", "dialogue"))
        path = tree / f"Session{session}" / "dialog" / "transcriptions" / f"{dialogue}.txt"
        _note(found, name, str(path), "has no transcript", _RESTORE)


def _note(found: Reading, utterance: str, place: str, what: str, remedy: str) -> None:
    """A problem of one utterance: damage if it belongs to the cohort, else a note."""
    label = found.rows[utterance]["label"]
    if label in EMOTIONS:
        found.damaged(place, what, remedy, utterance)
    else:
        remedy = f"none needed: its label, {label}, is outside the cohort"
        found.problems.append(Problem(place, f"{utterance} {what}", remedy, "note", utterance))
