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

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from replicate.corpora.features import Features
from replicate.corpora.table import Corpus, Line, Reading, read_table
from replicate.files import InputError
from replicate.paper import EMOTIONS

REQUIRED = ("utterance", "speaker", "session", "dialogue", "label")
OPTIONAL = ("transcript", "recording", "start", "end", "gender", "scenario")

_FORM = "write it as the page on a corpus of your own says"

#: In `labels.yml`, of a label that is not in the cohort.
OUTSIDE = "none"


def read(root: Path, name: str) -> Corpus:
    """Read a folder as above; faults of single rows are problems of the corpus, as many as are.

    `InputError` if a file or a column is missing or cannot be read, `labels.yml` names other
    classes, or rows of features cannot be told apart.
    """
    emotions = _labels(root / "labels.yml")
    found = Reading()
    _, lines, found.problems = read_table(root / "utterances.csv", REQUIRED, _FORM)
    order = []  # the utterance of each line, empty where there is none or none more
    for line in lines:
        row = {key: line.row[key] for key in (*REQUIRED, *OPTIONAL) if key in line.row}
        utterance = row.get("utterance", "")
        for what, remedy in _faults(root, line, row, emotions):
            found.damaged(line.place, what, remedy, utterance or None)
        wav = str(root / row["recording"]) if row.get("recording") else None
        times = {key: pd.to_numeric(row.get(key, ""), errors="coerce") for key in ("start", "end")}
        values: dict[str, object] = {key: value or None for key, value in row.items()}
        values |= times | {"wav": wav}
        taken = utterance and found.add(values, line.place, "give each utterance an id of its own")
        order.append(utterance if taken else "")
    features = _features(root, order, found)
    title = f"{name.removeprefix('own-')} (a corpus of one's own)"
    inside = {label: emotion for label, emotion in emotions.items() if emotion in EMOTIONS}
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


def _faults(
    root: Path, line: Line, row: dict[str, str], emotions: dict[str, str]
) -> Iterator[tuple[str, str]]:
    """What is wrong with a row, and what to do about it."""
    if line.fault:
        yield line.fault, "mend it: quote commas, close quotes"
        return
    for key in REQUIRED:
        if not row[key]:
            yield f"{key} is empty", "fill it in"
    if row["label"] and row["label"] not in emotions:
        what = f"label {row['label']} is not in labels.yml"
        yield what, f"add `{row['label']}: class`, or `{row['label']}: {OUTSIDE}`"
    if recording := row.get("recording"):
        inside = (root / recording).resolve().is_relative_to(root.resolve())
        if Path(recording).is_absolute() or not inside:
            yield f"recording {recording} is not within the folder", "give a path within it"
        elif not (root / recording).is_file():
            yield f"there is no recording {recording}", "restore it, or leave the field empty"
    try:
        start, end = (float(row.get(key) or "nan") for key in ("start", "end"))
    except ValueError:
        yield "start or end is not a number", "give seconds, or leave both empty"
    else:
        if end <= start or start < 0:
            yield f"ends at {end} and starts at {start}", "give seconds within the dialogue"


def _features(root: Path, order: list[str], found: Reading) -> Features | None:
    """The features that lie in the folder; None if there are none.

    `order` has the id of each line of `utterances.csv`.
    """
    paths = [root / f"features.{ending}" for ending in ("npy", "csv", "parquet")]
    there = [path for path in paths if path.is_file()]
    if not there:
        return None
    path, *others = there
    if others:
        raise InputError(root, f"holds {path.name} and {others[0].name}", "keep one of them")
    try:
        table = _table_of(path, order)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(path, f"cannot be read: {error}", "write it anew") from error
    return _whole(path, table, found)


def _whole(path: Path, table: pd.DataFrame, found: Reading) -> Features:
    """The whole rows of a table of features; what is wrong with others joins what was `found`."""
    numbers = table.apply(pd.to_numeric, errors="coerce").astype(float)
    whole = np.isfinite(numbers)
    again = table.index.duplicated()
    for k, utterance in enumerate(table.index):
        place = f"{path}:{k + 2}" if path.suffix == ".csv" else f"{path}, row {k + 1}"
        if not utterance:
            continue  # said of its line
        if utterance not in found.rows:
            what = f"has features of {utterance}, which utterances.csv lacks"
            found.damaged(place, what, "add the utterance, or take the row out")
        elif again[k]:
            found.damaged(place, "has features twice", "keep one row of it", utterance)
        elif not whole.iloc[k].all():
            what = f"has no finite number as feature {whole.columns[~whole.iloc[k]][0]}"
            found.damaged(place, what, "mend it", utterance)
    for utterance in found.rows:
        if utterance not in table.index:
            found.damaged(path, "has no features", "add a row of it", utterance)
    if still := [str(name) for name in numbers if numbers[name].nunique() == 1]:
        found.damaged(path, f"columns that never vary: {', '.join(still)}", "leave them out")
    kept = whole.all(axis="columns") & ~again & table.index.isin([*found.rows])
    numbers = numbers[kept]
    return Features(numbers.to_numpy(), tuple(map(str, numbers)), tuple(numbers.index))


def _table_of(path: Path, order: list[str]) -> pd.DataFrame:
    """Features by utterance; those without a column `utterance` are in the table's order."""
    if path.suffix == ".npy":
        values = np.load(path)
        if values.ndim != 2:
            raise ValueError(f"{values.ndim} dimensions, not two")
        table = pd.DataFrame(values, columns=[f"feature {k}" for k in range(values.shape[1])])
    elif path.suffix == ".csv":
        table = pd.read_csv(path, dtype={"utterance": str}, skip_blank_lines=False)
    else:
        table = pd.read_parquet(path)
    if "utterance" in table:
        return table.set_index(table["utterance"].astype(str)).drop(columns="utterance")
    if len(table) != len(order):
        raise ValueError(f"{len(table)} rows for {len(order)} utterances")
    return table.set_axis(order)
