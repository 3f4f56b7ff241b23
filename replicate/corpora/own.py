"""A corpus of one's own, described by a table.

A folder with

- `utterances.csv`: a row an utterance. `utterance`, `speaker`, `session`, `dialogue` and `label`
  must be there; of `transcript`, `recording` (a path within the folder, of this utterance alone),
  `start` and `end` (seconds within the dialogue), `gender` and `scenario` what there is. Other
  columns are ignored.
- `labels.yml`: every label of the table -> `anger`, `happiness`, `neutrality`, `sadness`, or `none`
  for what is not in the cohort.
- `features.npy`, `.csv` or `.parquet`, where there are acoustic features: a row an utterance, in
  the table's order if `.npy`, else with a column `utterance`.

In commands it is called `own-NAME`, with a name of one's choice under which its results are stored.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from replicate.corpora.features import Features
from replicate.corpora.table import Corpus, Line, Reading, read_table
from replicate.files import InputError, first_of
from replicate.paper import EMOTIONS

REQUIRED = ("utterance", "speaker", "session", "dialogue", "label")
OPTIONAL = ("transcript", "recording", "start", "end", "gender", "scenario")

_FORM = "write it as the page on a corpus of your own says"

#: In `labels.yml`, of a label that is not in the cohort.
OUTSIDE = "none"

#: Columns whose values name the folders of runs that hold them out.
HELD_OUT = ("speaker", "session", "scenario")

#: Bytes of such a name: file systems take 255 for all of a folder's.
LONGEST = 100

#: From so many bytes on, the size in a WAV file's head means that it was not known.
UNKNOWN_SIZE = 0x7FFF0000


def read(root: Path, name: str) -> Corpus:
    """Read a folder as above; faults of single rows are problems of the corpus, as many as are.

    `InputError` if a file or a column is missing or cannot be read, `labels.yml` names other
    classes, or rows of features cannot be told apart.
    """
    if not root.is_dir():
        raise InputError(root, "is no folder", "give the one that holds utterances.csv")
    emotions = _labels(root / "labels.yml")
    inside = {label: emotion for label, emotion in emotions.items() if emotion in EMOTIONS}
    found = Reading()
    _, lines, found.problems = read_table(root / "utterances.csv", REQUIRED, _FORM)
    if not lines:
        raise InputError(root / "utterances.csv", "holds no utterance", _FORM)
    order = []  # the utterance of each line, empty where there is none or none more
    heard: dict[str, str] = {}  # recording -> the first utterance that it is of
    for line in lines:
        row = {key: line.row[key] for key in (*REQUIRED, *OPTIONAL) if key in line.row}
        utterance = row.get("utterance", "")
        for what, remedy in _faults(root, line, row, emotions):
            found.damaged(line.place, what, remedy, utterance or None)
        wav = str(root / row["recording"]) if row.get("recording") else None
        if wav and (first := heard.setdefault(wav, utterance)) != utterance:
            what = f"has the recording of {first}; none is cut at start and end"
            found.damaged(line.place, what, "cut it into a file an utterance", utterance or None)
        times = {key: pd.to_numeric(row.get(key, ""), errors="coerce") for key in ("start", "end")}
        values: dict[str, object] = {key: value or None for key, value in row.items()}
        said = row.get("transcript", "")
        words = said if any(map(str.isalnum, said)) else None
        values |= times | {"wav": wav, "transcript": words}
        taken = utterance and found.add(values, line.place, "give each utterance an id of its own")
        order.append(utterance if taken else "")
    _require_words(found, dict(zip(order, lines, strict=True)), inside)
    features = _features(root, order, found)
    title = f"{name.removeprefix('own-')} (a corpus of one's own)"
    return found.corpus(name, title, root, inside, any_form=True, features=features)


def _require_words(found: Reading, lines: dict[str, Line], inside: dict[str, str]) -> None:
    """Note who of the cohort says nothing, where others say something."""
    if any(row["transcript"] for row in found.rows.values()):
        for utterance, row in found.rows.items():
            if row["label"] in inside and not row["transcript"]:
                remedy = "fill it in, or take out the column if only sound is meant"
                place = lines[utterance].place
                found.damaged(place, "has no word in its transcript", remedy, utterance)


def _labels(path: Path) -> dict[str, str]:
    """Label -> class, or `OUTSIDE`; both are text as it stands there, also `05`, `no` or `~`."""
    form = f"give a line `label: class` for every label; classes {', '.join(EMOTIONS)}, {OUTSIDE}"
    try:
        found = yaml.compose(path.read_text(encoding="utf-8"), yaml.SafeLoader)
    except PermissionError:
        raise
    except (OSError, UnicodeError, yaml.YAMLError, RecursionError) as error:
        raise InputError(path, f"cannot be read: {error}", form) from error
    if not isinstance(found, yaml.MappingNode):
        raise InputError(path, "holds no labels", form)
    labels: dict[str, str] = {}
    for label, emotion in found.value:
        place = f"{path}:{label.start_mark.line + 1}"
        if not isinstance(label, yaml.ScalarNode) or not isinstance(emotion, yaml.ScalarNode):
            raise InputError(place, "is no label with its class", form)
        if label.value in labels:
            raise InputError(place, f"{label.value} occurs a second time", "keep one of the two")
        if emotion.value not in (*EMOTIONS, OUTSIDE):
            raise InputError(place, f"there is no class {emotion.value}", form)
        labels[label.value] = emotion.value
    return labels


def _faults(
    root: Path, line: Line, row: dict[str, str], emotions: dict[str, str]
) -> Iterator[tuple[str, str]]:
    """What is wrong with a row, and what to do about it."""
    if line.fault:
        yield line.fault, "quote commas, close quotes, break no line within a field"
        return
    for key in REQUIRED:
        if not row[key]:
            yield f"{key} is empty", "fill it in"
    if row["label"] and row["label"] not in emotions:
        what = f"label {row['label']} is not in labels.yml"
        yield what, f"add `{row['label']}: class`, or `{row['label']}: {OUTSIDE}`"
    for key in HELD_OUT:
        if "/" in (value := row.get(key, "")) or len(value.encode()) > LONGEST:
            yield f"{key} {value} cannot name a folder", "write it without /, or shorter"
    if recording := row.get("recording"):
        yield from _faults_of_recording(root, recording)
    try:
        start, end = (float(row.get(key) or "nan") for key in ("start", "end"))
    except ValueError:
        yield "start or end is not a number", "give seconds, or leave both empty"
    else:
        if end <= start or start < 0 or math.isinf(end):
            yield f"ends at {end} and starts at {start}", "give seconds within the dialogue"


def _faults_of_recording(root: Path, recording: str) -> Iterator[tuple[str, str]]:
    path = root / recording
    try:
        inside = path.resolve().is_relative_to(root.resolve())
        if Path(recording).is_absolute() or not inside:
            yield f"recording {recording} is not within the folder", "give a path within it"
        elif not path.is_file():
            yield f"there is no recording {recording}", "restore it, or use --skip-damaged"
        elif _cut_short(path):
            yield f"recording {recording} is shorter than its head says", "copy it again"
    except PermissionError:
        raise
    except (OSError, RuntimeError) as error:  # names that are too long, links that go round
        yield f"recording {recording} cannot be followed ({error})", "give another path"


def _cut_short(path: Path) -> bool:
    """Whether a WAV file has fewer bytes than its head announces, the last one of padding aside."""
    with path.open("rb") as file:
        head = file.read(12)
    if head[:4] + head[8:] != b"RIFFWAVE":
        return False
    announced = 8 + int.from_bytes(head[4:8], "little")
    return path.stat().st_size + 1 < announced < UNKNOWN_SIZE


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
    except PermissionError:
        raise
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
            if path.suffix != ".npy" and numbers.iloc[k].notna().any():  # else said of its line
                found.damaged(place, "has features of no utterance", "name it, or take the row out")
        elif utterance not in found.rows:
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
        what = f"columns that never vary: {first_of(still)} ({len(still)} in all)"
        found.damaged(path, what, "leave them out")
    kept = whole.all(axis="columns") & ~again & table.index.isin([*found.rows])
    numbers = numbers[kept]
    return Features(numbers.to_numpy(), tuple(map(str, numbers)), tuple(numbers.index))


def _table_of(path: Path, order: list[str]) -> pd.DataFrame:
    """Features by utterance, as a column says or, in an array, the order; `ValueError` if odd."""
    if path.suffix == ".npy":
        values = np.load(path)
        if not isinstance(values, np.ndarray) or np.iscomplexobj(values):
            raise ValueError("it is no array of real numbers")
        if values.ndim != 2:
            raise ValueError(f"{values.ndim} dimensions, not two")
        if len(values) != len(order):
            raise ValueError(f"{len(values)} rows for {len(order)} utterances")
        names = [f"feature {k}" for k in range(values.shape[1])]
        table = pd.DataFrame(values, order, names)
    else:
        table = _named(path)
    if table.empty:
        raise ValueError("it has no feature")
    return table


def _named(path: Path) -> pd.DataFrame:
    """Features by what their column `utterance` says."""
    if path.suffix == ".csv":
        table = pd.read_csv(path, converters={"utterance": str.strip}, skip_blank_lines=False)
        if not isinstance(table.index, pd.RangeIndex):
            raise ValueError("its rows have more fields than there are names")
        if nameless := [name for name in table if str(name).startswith("Unnamed: ")]:
            raise ValueError(f"{len(nameless)} of its columns have no name")
    else:
        table = pd.read_parquet(path)
        table = table.reset_index() if table.index.name == "utterance" else table
    if "utterance" not in table:
        raise ValueError("it has no column utterance")
    names = table["utterance"].astype("string").fillna("")  # a blank line has none
    return table.set_index(names.astype(str)).drop(columns="utterance")
