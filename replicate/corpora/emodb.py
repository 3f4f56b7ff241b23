"""EmoDB, the Berlin Database of Emotional Speech (Burkhardt et al. 2005): acted German.

Ten actors speak the same ten sentences in seven emotions, so the text says nothing about the
emotion. Every file name says all there is: `03a01Fa.wav` is speaker 03, sentence a01, emotion F,
version a. The recordings come without transcripts, and the sentences are not ours to copy: the
sentence's code stands for its words, one token that says which of the ten was spoken.
"""

import re
from pathlib import Path

from replicate.corpora.table import Corpus, Reading, files
from replicate.files import InputError

#: The letter in the file name (from the German word) -> the label.
LABELS = {
    "W": "anger", "L": "boredom", "E": "disgust", "A": "fear", "F": "happiness", "T": "sadness",
    "N": "neutral",
}  # fmt: skip
EMOTIONS = {
    "anger": "anger", "happiness": "happiness", "neutral": "neutrality", "sadness": "sadness"
}  # fmt: skip
#: The ten sentences, by their codes.
SENTENCES = ("a01", "a02", "a04", "a05", "a07", "b01", "b02", "b03", "b09", "b10")
_MEN, _WOMEN = ("03", "10", "11", "12", "15"), ("08", "09", "13", "14", "16")
_NAME = re.compile(
    r"(?P<speaker>\d\d)(?P<code>[ab]\d\d)(?P<letter>[WLEAFTN])(?P<version>[a-z])", re.IGNORECASE
)


def read(root: Path) -> Corpus:
    """Read a folder of EmoDB's files, or the folder whose `wav/` holds them.

    Speakers stand for dialogues and sessions (there are none), sentences for scenarios.
    `InputError` if no file there has a name of EmoDB's.
    """
    folder = root / "wav" if (root / "wav").is_dir() else root
    found = Reading()
    for path in files(folder, "[!.]*", ".wav"):
        if row := _row(path):
            found.add(row, path)
        else:
            found.left_out(path, "its name is none of EmoDB's")
    if not found.rows:
        what = "no file named as EmoDB's (03a01Fa.wav) here or in wav/"
        raise InputError(root, what, "give the unpacked database, or its folder wav")
    title = "EmoDB (acted German; its text says nothing about the emotion)"
    return found.corpus("emodb", title, root, EMOTIONS)


def _row(path: Path) -> dict[str, object] | None:
    """What a file's name says, in whatever case; None if it is none of EmoDB's."""
    match = _NAME.fullmatch(path.stem)
    if match is None:
        return None
    speaker, code, letter, version = match.groups()
    code, letter = code.lower(), letter.upper()
    if speaker not in (*_MEN, *_WOMEN) or code not in SENTENCES:
        return None
    return {
        "utterance": f"{speaker}{code}{letter}{version.lower()}",
        "dialogue": speaker,
        "session": speaker,
        "speaker": speaker,
        "gender": "M" if speaker in _MEN else "F",
        "scripted": True,
        "scenario": code,
        "label": LABELS[letter],
        "transcript": code,
        "wav": str(path),
    }
