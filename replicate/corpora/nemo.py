"""nEMO (Christop 2024): acted Polish, nine actors, the same ninety sentences in every emotion.

So the text says nothing about the emotion. As distributed: `data.tsv` and `samples/*.wav` at
24 kHz; recordings of any form and rate that soundfile reads will do.
"""

import csv
from pathlib import Path

from replicate.corpora.table import Corpus, Problem, damaged, read_lines, utterance_table
from replicate.files import InputError

EMOTIONS = {
    "anger": "anger",
    "happiness": "happiness",
    "neutral": "neutrality",
    "sadness": "sadness",
}
#: The six emotions; those of `EMOTIONS` make the paper's four classes.
LABELS = (*EMOTIONS, "fear", "surprised")
_COLUMNS = ("file_id", "emotion", "normalized_text", "speaker_id", "gender")
_REMEDY = "take data.tsv anew from the repository amu-cai/nEMO"


def read(root: Path) -> Corpus:
    """Read the folder that holds `data.tsv` and `samples/`.

    Speakers stand for dialogues and sessions (there are none), sentences for scenarios. A row
    without its recording, or a recording without its row, is damage. `InputError` if the table is
    missing or is no such table.
    """
    path = root / "data.tsv"
    if not path.is_file():
        raise InputError(path, "no such file", "give the folder that holds nEMO's data.tsv")
    lines, problems = read_lines(path)
    table = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    if missing := [column for column in _COLUMNS if column not in (table.fieldnames or ())]:
        raise InputError(path, f"lacks the columns {', '.join(missing)}", _REMEDY)
    recordings = {path.stem.lower(): path for path in sorted((root / "samples").glob("[!.]*"))}
    rows: dict[str, dict[str, object]] = {}
    for given in table:
        place, row = f"{path}:{table.line_num}", _row(given)
        if row is None:
            what = "is no row of nEMO's table: cut short, or of another emotion"
            problems.append(Problem(place, what, _REMEDY, "damaged"))
            continue
        name = str(row["utterance"])
        if name in rows:
            problems += damaged(place, [name], "occurs a second time", _REMEDY)
            continue
        wav = recordings.pop(name.lower(), None)
        rows[name] = row | {"wav": str(wav) if wav else None}
    problems += [
        Problem(str(path), "has no row in data.tsv, so no label", _REMEDY, "damaged")
        for path in recordings.values()
    ]
    return Corpus(
        name="nemo",
        title="nEMO (acted Polish; its text says nothing about the emotion)",
        root=root,
        utterances=utterance_table(list(rows.values())),
        emotions=EMOTIONS,
        problems=tuple(problems),
        any_form=True,
    )


def _row(given: dict[str, str | None]) -> dict[str, object] | None:
    """What a row says; None if it is not whole."""
    if any(not (given.get(column) or "").strip() for column in _COLUMNS):
        return None
    file, emotion, text, speaker, gender = (str(given[column]).strip() for column in _COLUMNS)
    *_, sentence = file.rpartition(".")[0].split("_")
    if emotion not in LABELS or not sentence.isdecimal():
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
