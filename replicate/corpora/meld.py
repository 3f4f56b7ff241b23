"""MELD (Poria et al. 2019): television dialogue with seven emotions; recordings are optional."""

import unicodedata
from contextlib import suppress
from pathlib import Path

import pandas as pd

from replicate.corpora.table import Corpus, damaged, utterance_table
from replicate.files import InputError

EMOTIONS = {
    "anger": "anger",
    "joy": "happiness",
    "neutral": "neutrality",
    "sadness": "sadness",
}
#: Part of the corpus -> where its recordings may lie (MELD's own folder names come second).
PARTS = {
    "train": ("train", "train_splits"),
    "dev": ("dev", "dev_splits_complete"),
    "test": ("test", "output_repeated_splits_test"),
}
_COLUMNS = ["Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID", "Season", "Episode"]
_PLAIN = str.maketrans(
    dict.fromkeys("\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}", "'")
    | dict.fromkeys("\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}", '"')
    | dict.fromkeys("\N{EN DASH}\N{EM DASH}", " - ")
    | {"\N{HORIZONTAL ELLIPSIS}": "..."}
)
_REMEDY = "take the three *_sent_emo.csv anew from the repository declare-lab/MELD"


def read(root: Path) -> Corpus:
    """Read the folder that holds `train_sent_emo.csv`, `dev_sent_emo.csv`, `test_sent_emo.csv`.

    Ids are `train_dia0_utt3`, as dialogue numbers start anew in each part. Seasons stand for
    sessions, episodes for scenarios. Times are left out: they count within the episode, and some
    are wrong. Recordings, if any, are `<part>/dia0_utt3.wav` (16 kHz mono; MELD distributes mp4:
    `ffmpeg -i dia0_utt3.mp4 -ac 1 -ar 16000 -c:a pcm_s16le dia0_utt3.wav`). `InputError` if a file
    is missing, or is no such table.
    """
    rows: list[dict[str, object]] = []
    for part in sorted(PARTS):
        table = _table(root / f"{part}_sent_emo.csv")
        wavs = _wavs(root, part)
        for turn in table.itertuples(index=False):
            name = f"dia{turn.Dialogue_ID}_utt{turn.Utterance_ID}"
            rows.append(_row(part, turn, wavs.get(name)))
    table = utterance_table(rows)
    silent = table["utterance"][table["transcript"].isna()]
    twice = table["utterance"][table["utterance"].duplicated()]
    return Corpus(
        name="meld",
        title="MELD (television dialogue)",
        root=root,
        utterances=table.drop_duplicates("utterance", ignore_index=True),
        emotions=EMOTIONS,
        problems=(
            *damaged(root, silent, "has no transcript", _REMEDY),
            *damaged(root, twice, "occurs a second time", _REMEDY),
        ),
    )


def plain(text: str) -> str:
    """One spelling for what MELD's releases spell in several ways.

    Curly quotes, dashes and ellipses become ASCII; Windows-1252 bytes that were read as Latin-1,
    and UTF-8 that was read as Windows-1252, are read again.
    """
    text = "".join(_windows(character) for character in text)
    with suppress(UnicodeError):
        text = text.encode("cp1252").decode("utf-8")
    return " ".join(unicodedata.normalize("NFC", text).translate(_PLAIN).split())


def _windows(character: str) -> str:
    """The character that a C1 control stands for in Windows-1252."""
    if not "\x80" <= character <= "\x9f":
        return character
    return character.encode("latin-1").decode("cp1252", errors="ignore")


def _table(path: Path) -> pd.DataFrame:
    """One of the three tables, in order of dialogue and turn."""
    if not path.is_file():
        raise InputError(path, "no such file", "give the folder with MELD's three *_sent_emo.csv")
    try:
        table = _csv(path)
    except (OSError, ValueError) as error:
        raise InputError(path, f"cannot be read as a table: {error}", _REMEDY) from error
    missing = set(_COLUMNS) - set(table.columns)
    if missing:
        raise InputError(path, f"lacks the columns {sorted(missing)}", _REMEDY)
    return table[_COLUMNS].sort_values(["Dialogue_ID", "Utterance_ID"], kind="stable")


def _csv(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, encoding="utf-8-sig", keep_default_na=False)
    except UnicodeDecodeError:
        return pd.read_csv(path, encoding="cp1252", keep_default_na=False)


def _wavs(root: Path, part: str) -> dict[str, str]:
    paths = (path for folder in PARTS[part] for path in sorted((root / folder).glob("dia*.wav")))
    return {path.stem: str(path) for path in paths}


def _row(part: str, turn: tuple[object, ...], wav: str | None) -> dict[str, object]:
    text, speaker, emotion, dialogue, number, season, episode = turn
    return {
        "utterance": f"{part}_dia{dialogue}_utt{number}",
        "dialogue": f"{part}_dia{dialogue}",
        "session": str(season),
        "speaker": plain(str(speaker)),
        "scripted": True,
        "scenario": f"s{season:0>2}e{episode:0>2}",
        "label": emotion,
        "transcript": plain(str(text)) or None,
        "wav": wav,
    }
