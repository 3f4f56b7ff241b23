"""nEMO (Christop 2024): acted Polish, nine actors, the same ninety sentences in every emotion.

So the text says nothing about the emotion. As distributed: `data.tsv` and `samples/*.wav` at
24 kHz; recordings of any form and rate that soundfile reads will do.
"""

from pathlib import Path

from replicate.corpora.emodb import EMOTIONS
from replicate.corpora.table import Corpus, Reading, read_table

#: The six emotions; those of `EMOTIONS` make the paper's four classes.
LABELS = (*EMOTIONS, "fear", "surprised")
_COLUMNS = ("file_id", "emotion", "normalized_text", "speaker_id", "gender")
_REMEDY = "give the folder that holds data.tsv of the repository amu-cai/nEMO"


def read(root: Path) -> Corpus:
    """Read the folder that holds `data.tsv` and `samples/`.

    Speakers stand for dialogues and sessions (there are none), sentences for scenarios. A row
    without its recording, or a recording without its row, is damage. `InputError` if the table is
    missing or is no such table.
    """
    path = root / "data.tsv"
    found = Reading()
    _, lines, found.problems = read_table(path, _COLUMNS, _REMEDY, separator="\t")
    recordings = {path.stem.lower(): path for path in sorted((root / "samples").glob("[!.]*"))}
    for place, given, fault in lines:
        if row := None if fault else _row(given):
            wav = recordings.pop(str(row["utterance"]).lower(), None)
            found.add(row | {"wav": str(wav) if wav else None}, place, _REMEDY)
        else:
            what = fault or "is no row of nEMO's table: cut short, or of another emotion"
            found.damaged(place, what, _REMEDY)
    for path in recordings.values():
        found.damaged(path, "has no row in data.tsv, so no label", _REMEDY)
    title = "nEMO (acted Polish; its text says nothing about the emotion)"
    return found.corpus("nemo", title, root, EMOTIONS, any_form=True)


def _row(given: dict[str, str]) -> dict[str, object] | None:
    """What a row says; None if it is not whole."""
    file, emotion, text, speaker, gender = (given[column] for column in _COLUMNS)
    *_, sentence = file.rpartition(".")[0].split("_")
    if not (text and speaker and gender and emotion in LABELS and sentence.isdecimal()):
        return None
    return {
        "utterance": Path(file).stem,
        "dialogue": speaker,
        "session": speaker,
        "speaker": speaker,
        "gender": gender[0].upper(),
        "scripted": True,
        "scenario": sentence,
        "label": emotion,
        "transcript": text,
    }
