"""EmoDB, the Berlin Database of Emotional Speech (Burkhardt et al. 2005): acted German.

Ten actors speak the same ten sentences in seven emotions, so the text says nothing about the
emotion. Every file name says all there is: `03a01Fa.wav` is speaker 03, sentence a01, emotion F,
version a.
"""

import re
from pathlib import Path

from replicate.corpora.table import Corpus, Problem, utterance_table
from replicate.errors import InputError

#: The letter in the file name (from the German word) -> the label.
LABELS = {
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "T": "sadness",
    "N": "neutral",
}
EMOTIONS = {
    "anger": "anger",
    "happiness": "happiness",
    "neutral": "neutrality",
    "sadness": "sadness",
}
SENTENCES = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}
_MEN = {"03", "10", "11", "12", "15"}
_WOMEN = {"08", "09", "13", "14", "16"}
_NAME = re.compile(r"(?P<speaker>\d\d)(?P<code>[ab]\d\d)(?P<letter>[WLEAFTN])[a-z]")


def read(root: Path) -> Corpus:
    """Read a folder of EmoDB's files, or the folder whose `wav/` holds them.

    Speakers stand for dialogues and sessions (there are none), sentences for scenarios.

    Raises:
        InputError: no file there has a name of EmoDB's.
    """
    folder = root / "wav" if (root / "wav").is_dir() else root
    rows: list[dict[str, object]] = []
    problems: list[Problem] = []
    for path in sorted(folder.glob("[!.]*.wav")):
        match = _NAME.fullmatch(path.stem)
        if match is None or match["speaker"] not in _MEN | _WOMEN or match["code"] not in SENTENCES:
            what = "its name is none of EmoDB's; left out"
            problems.append(Problem(str(path), what, "none needed", "note"))
            continue
        rows.append(_row(path, match))
    if not rows:
        raise InputError(
            root,
            "no file named as EmoDB's (03a01Fa.wav) here or in wav/",
            "give the unpacked database, or its folder wav",
        )
    return Corpus(
        name="emodb",
        title="EmoDB (acted German; its text says nothing about the emotion)",
        root=root,
        utterances=utterance_table(rows),
        emotions=EMOTIONS,
        problems=tuple(problems),
    )


def _row(path: Path, match: re.Match[str]) -> dict[str, object]:
    speaker, code, letter = match.groups()
    return {
        "utterance": path.stem,
        "dialogue": speaker,
        "session": speaker,
        "speaker": speaker,
        "gender": "M" if speaker in _MEN else "F",
        "scripted": True,
        "scenario": code,
        "label": LABELS[letter],
        "transcript": SENTENCES[code],
        "wav": str(path),
    }
