"""A corpus of one's own, described by a table.

A folder with

- `utterances.csv`: a row an utterance. `utterance`, `speaker`, `session`, `dialogue` and `label`
  must be there; of `transcript`, `recording` (a path within the folder), `start` and `end` (seconds
  within the dialogue), `gender` and `scenario` what there is. Other columns are ignored.
- `labels.yml`: every label of the table -> `anger`, `happiness`, `neutrality`, `sadness`, or `none`
  for what is not in the cohort.
- `features.npy`, `.csv` or `.parquet`, where there are acoustic features: a row an utterance, in
  the table's order, or with a column `utterance`.

In commands it is called `own-NAME`, with a name of one's choice under which its results are stored.
"""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from replicate.corpora.features import Features
from replicate.corpora.table import Corpus, Line, Problem, Reading, read_table
from replicate.files import InputError
from replicate.paper import EMOTIONS

REQUIRED = ("utterance", "speaker", "session", "dialogue", "label")
OPTIONAL = ("transcript", "recording", "start", "end", "gender", "scenario")

_FORM = "write it as the page on a corpus of your own says"

#: In `labels.yml`, of a label that is not in the cohort.
OUTSIDE = "none"


def read(root: Path, name: str) -> Corpus:
    """Read a folder as above; faults of single rows are problems of the corpus.

    `InputError` if a file or a column is missing or cannot be read, ids occur twice, `labels.yml`
    names other classes, or features and utterances do not fit.
    """
    path = root / "utterances.csv"
    emotions = _labels(root / "labels.yml")
    found = Reading()
    _, lines, found.problems = read_table(path, REQUIRED, _FORM)
    rows = [(line.place, _row(line)) for line in lines]
    counts = Counter(row["utterance"] for _, row in rows)
    for place, row in rows:
        if (utterance := row["utterance"]) in found.rows:
            several = sum(n > 1 for n in counts.values())
            what = f"{utterance} occurs again; {several} ids occur twice or more"
            raise InputError(place, what, "give each utterance an id of its own")
        if fault := _fault(root, row, emotions):
            found.problems.append(Problem(place, *fault, "damaged", utterance))
        wav = str(root / row["recording"]) if row.get("recording") else None
        times = {key: pd.to_numeric(row.get(key, ""), errors="coerce") for key in ("start", "end")}
        values = {key: value or None for key, value in row.items()}
        found.rows[utterance] = {**values, **times, "wav": wav}
    title = f"{name.removeprefix('own-')} (a corpus of one's own)"
    inside = {label: emotion for label, emotion in emotions.items() if emotion in EMOTIONS}
    features = _features(root, list(found.rows))
    return found.corpus(name, title, root, inside, any_form=True, features=features)


def _labels(path: Path) -> dict[str, str]:
    """Label -> class, or `OUTSIDE`."""
    form = f"give a line `label: class` for every label; classes {', '.join(EMOTIONS)}, {OUTSIDE}"
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise InputError(path, f"cannot be read: {error}", form) from error
    if not isinstance(found, dict):
        raise InputError(path, "holds no labels", form)
    labels = {str(label): str(emotion) for label, emotion in found.items()}
    odd = {emotion for emotion in labels.values() if emotion not in (*EMOTIONS, OUTSIDE)}
    if odd:
        raise InputError(path, f"names classes that there are not: {sorted(odd)}", form)
    return labels


def _row(line: Line) -> dict[str, str]:
    """The known columns of a line."""
    if line.fault:
        raise InputError(line.place, line.fault, "mend it: quote commas, close quotes")
    if empty := [key for key in REQUIRED if not line.row[key]]:
        raise InputError(line.place, f"{empty[0]} is empty", "fill it in")
    return {key: line.row[key] for key in (*REQUIRED, *OPTIONAL) if key in line.row}


def _fault(root: Path, row: dict[str, str], emotions: dict[str, str]) -> tuple[str, str] | None:
    """What is wrong with a row and what to do, if anything is."""
    if row["label"] not in emotions:
        what = f"label {row['label']} is not in labels.yml"
        return what, f"add `{row['label']}: class`, or `{row['label']}: {OUTSIDE}`"
    if recording := row.get("recording"):
        inside = (root / recording).resolve().is_relative_to(root.resolve())
        if Path(recording).is_absolute() or not inside:
            return f"recording {recording} is not within the folder", "give a path within it"
        if not (root / recording).is_file():
            return f"there is no recording {recording}", "restore it, or leave the field empty"
    try:
        start, end = (float(row.get(key) or "nan") for key in ("start", "end"))
    except ValueError:
        return "start or end is not a number", "give seconds, or leave both empty"
    if end <= start or start < 0:
        return f"ends at {end} and starts at {start}", "give seconds within the dialogue"
    return None


def _features(root: Path, utterances: list[str]) -> Features | None:
    """The features that lie in the folder, of every utterance; None if there are none."""
    paths = [root / f"features.{ending}" for ending in ("npy", "csv", "parquet")]
    found = [path for path in paths if path.is_file()]
    if not found:
        return None
    path, *others = found
    if others:
        raise InputError(root, f"holds {path.name} and {others[0].name}", "keep one of them")
    try:
        table = _table_of(path, utterances)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(path, f"cannot be read: {error}", "write it anew") from error
    if table.index.has_duplicates:
        name = table.index[table.index.duplicated()][0]
        raise InputError(path, f"has several rows of {name}", "keep one of each")
    lacking = [name for name in utterances if name not in table.index]
    if lacking or len(table) > len(utterances):
        extra = table.index.difference(utterances)
        what = f"{len(lacking)} utterances without features, {len(extra)} rows without utterance"
        first = [*lacking, *extra][:3]
        raise InputError(path, f"{what}: {', '.join(map(str, first))}", "make the two agree")
    if still := [str(name) for name in table if table[name].nunique() < 2]:
        raise InputError(path, f"columns that never vary: {', '.join(still)}", "leave them out")
    return Features(table.to_numpy(float), tuple(map(str, table.columns)), tuple(table.index))


def _table_of(path: Path, utterances: list[str]) -> pd.DataFrame:
    """Features by utterance; those without a column `utterance` are in the table's order."""
    if path.suffix == ".npy":
        values = np.load(path)
        if values.ndim != 2:
            raise ValueError(f"{values.ndim} dimensions, not two")
        table = pd.DataFrame(values, columns=[f"feature {k}" for k in range(values.shape[1])])
    elif path.suffix == ".csv":
        table = pd.read_csv(path, dtype={"utterance": str})
    else:
        table = pd.read_parquet(path)
    if "utterance" in table:
        return table.set_index(table["utterance"].astype(str)).drop(columns="utterance")
    if len(table) != len(utterances):
        raise ValueError(f"{len(table)} rows for {len(utterances)} utterances")
    return table.set_axis(utterances)
