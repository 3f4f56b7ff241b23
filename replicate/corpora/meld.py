"""MELD (Poria et al. 2019): television dialogue with seven emotions; recordings are optional."""

import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from replicate.corpora.table import TWICE, Corpus, Reading, files, read_table

EMOTIONS = {"anger": "anger", "joy": "happiness", "neutral": "neutrality", "sadness": "sadness"}
#: The emotions of MELD; those of `EMOTIONS` make the paper's four classes.
LABELS = ("neutral", "joy", "surprise", "anger", "sadness", "disgust", "fear")
#: Part of the corpus -> where its recordings may lie (MELD's own folder names come second).
PARTS = {
    "train": ("train", "train_splits"),
    "dev": ("dev", "dev_splits_complete"),
    "test": ("test", "output_repeated_splits_test"),
}
_NUMBERS = ("Dialogue_ID", "Utterance_ID", "Season", "Episode")
_COLUMNS = ("Utterance", "Speaker", "Emotion", *_NUMBERS)
_PLAIN = str.maketrans(
    dict.fromkeys("\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}", "'")
    | dict.fromkeys("\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}", '"')
    | dict.fromkeys("\N{EN DASH}\N{EM DASH}", " - ")
    | {"\N{HORIZONTAL ELLIPSIS}": "..."}
)
_REMEDY = "give the folder with the three *_sent_emo.csv of the repository declare-lab/MELD"


def read(root: Path) -> Corpus:
    """Read the folder that holds `train_sent_emo.csv`, `dev_sent_emo.csv`, `test_sent_emo.csv`.

    Ids are `train_dia0_utt3`, as dialogue numbers start anew in each part. Seasons stand for
    sessions, episodes for scenarios. Times are left out: they count within the episode, and some
    are wrong. Recordings, if any, are `<part>/dia0_utt3.wav` (16 kHz mono; MELD distributes mp4:
    `ffmpeg -i dia0_utt3.mp4 -ac 1 -ar 16000 -c:a pcm_s16le dia0_utt3.wav`). A line that is no whole
    row is damage. `InputError` if a file is missing, or is no such table.
    """
    found = Reading()
    for part in sorted(PARTS):
        wavs = _wavs(root, part, found)
        in_time = sorted(
            _turns(root, part, found), key=lambda one: [int(one[1][name]) for name in _NUMBERS[:2]]
        )
        for place, turn in in_time:
            row = _row(part, turn, wavs)
            if found.add(row, place, _REMEDY) and row["transcript"] is None:
                found.damaged(place, "has no transcript", _REMEDY, str(row["utterance"]))
    return found.corpus("meld", "MELD (television dialogue)", root, EMOTIONS)


def plain(text: str) -> str:
    """One spelling for what MELD's releases spell in several ways.

    Curly quotes, dashes and ellipses become ASCII; Windows-1252 bytes that were read as Latin-1,
    and UTF-8 that was read as Windows-1252, are read again.
    """
    text = "".join(
        # a C1 control stands for a character of Windows-1252
        c.encode("latin-1").decode("cp1252", errors="ignore") if "\x80" <= c <= "\x9f" else c
        for c in text
    )
    with suppress(UnicodeError):
        text = text.encode("cp1252").decode("utf-8")
    return " ".join(unicodedata.normalize("NFC", text).translate(_PLAIN).split())


def _turns(root: Path, part: str, found: Reading) -> Iterator[tuple[str, dict[str, str]]]:
    """Place (`file:line`) and values of each whole row of a part's table."""
    name = f"{part}_sent_emo"
    path = next(iter(files(root, f"{name}.*", ".csv")), root / f"{name}.csv")
    _, lines, odd = read_table(path, _COLUMNS, _REMEDY)
    found.problems += odd
    for place, turn, fault in lines:
        if fault := fault or _fault(turn):
            found.damaged(place, fault, _REMEDY)
        else:
            yield place, turn


def _fault(turn: dict[str, str]) -> str:
    """What is wrong with a row; nothing if it is right."""
    if turn["Emotion"].lower() not in LABELS:
        return f"has an emotion that is none of MELD's: {turn['Emotion']!r}"
    if odd := [column for column in _NUMBERS if not turn[column].isdecimal()]:
        return f"has no number as {odd[0]}"
    return ""


def _wavs(root: Path, part: str, found: Reading) -> dict[str, str]:
    """Recording's name -> its file; the first where a part's folders have two."""
    wavs: dict[str, str] = {}
    for path in (path for folder in PARTS[part] for path in files(root / folder, "dia*", ".wav")):
        name = path.stem.lower()
        if name in wavs:
            found.damaged(path, *TWICE, f"{part}_{name}")
        wavs.setdefault(name, str(path))
    return wavs


def _row(part: str, turn: dict[str, str], wavs: dict[str, str]) -> dict[str, object]:
    dialogue, number, season, episode = (int(turn[column]) for column in _NUMBERS)
    return {
        "utterance": f"{part}_dia{dialogue}_utt{number}",
        "dialogue": f"{part}_dia{dialogue}",
        "session": str(season),
        "speaker": plain(turn["Speaker"]),
        "scripted": True,
        "scenario": f"s{season:0>2}e{episode:0>2}",
        "label": turn["Emotion"].lower(),
        "transcript": plain(turn["Utterance"]) or None,
        "wav": wavs.get(f"dia{dialogue}_utt{number}"),
    }
