"""The files of published runs: what is in them, and how they are written and verified.

`runs-DIGEST.parquet` has a row a run: its experiment, its provenance, and how many rows of each
table are its own; its metadata name the files of the tables. A table, as
`predictions-DIGEST.parquet`, has the rows of one run after another, in the order of `runs`. DIGEST
begins the SHA-256 of the file.
"""

import functools
import hashlib
import json
import os
import types
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from replicate.files import InputError, checked, replacing
from replicate.runs.experiments import Experiment
from replicate.runs.store import Provenance, Record, Run, kind_of, require_place, require_whole

RUNS = "runs"

#: The columns by which every file names a row's run.
KEYS = ("corpus", "profile", "run")

#: Fields that are stored as JSON text, of which Parquet keeps each that differs once.
TEXTS = ("code", "packages")

#: Where a file of runs names those of its tables, among its Parquet metadata.
LINKS = b"replicate"

#: How many hexadecimal digits of its SHA-256 a file's name carries.
DIGITS = 16

#: Probabilities are noise but for their exponents; a higher level gains nothing.
COMPRESSION_LEVEL = 15


def files(folder: Path, *names: str) -> list[Path]:
    """The published files of some names, `runs` or tables; of all by default, `runs` first."""
    digest, names = "[0-9a-f]" * DIGITS, names or (RUNS, *Experiment.tables)
    return [path for name in names for path in sorted(folder.glob(f"{name}-{digest}.parquet"))]


def read(path: Path) -> dict[str, Run]:
    """Name -> run, of a file of runs and its tables.

    `InputError` if one is damaged, missing or another folder's, or lacks whole distributions.
    """
    table = _opened(path).read()
    found = _records(table, path)
    frames = dict.fromkeys(Experiment.tables, [pd.DataFrame()] * len(found))
    for name, file in json.loads(table.schema.metadata[LINKS])["tables"].items():
        counts = table[_rows(name)].to_numpy()
        frames[name] = _parts(path.with_name(file), counts, list(found.values()))
    return {
        name: Run(
            record.experiment,
            record.provenance,
            **{table: parts[i] for table, parts in frames.items()},
            folder=path.parent / name,
        )
        for i, (name, record) in enumerate(found.items())
    }


@functools.lru_cache(maxsize=32)
def records(path: Path) -> dict[str, Record[Any]]:
    """Name -> record, of a file of runs; `InputError` as `read`."""
    return _records(_opened(path).read(), path)


def _records(table: pa.Table, path: Path) -> dict[str, Record[Any]]:
    """Name -> record; columns that are none of the experiment's belong to the provenance."""
    kind = kind_of(path.parent.name)
    own = get_type_hints(kind)
    elsewhere = {*own, *KEYS, *map(_rows, kind.tables)}
    parsed = functools.cache(json.loads)  # few texts differ
    found = {}
    for row in table.to_pylist():
        row |= {name: parsed(row[name]) for name in TEXTS if name in row}
        values = {
            "experiment": {name: value for name, value in row.items() if name in own},
            "provenance": {name: value for name, value in row.items() if name not in elsewhere},
            "files": {},
        }
        record = checked(values, Record[kind], path, remedy(path))  # type: ignore[valid-type]
        require_place(record, path.parent / row["run"], path)
        found[row["run"]] = record
    return found


def _parts(path: Path, counts: np.ndarray, of: Sequence[Record[Any]]) -> list[pd.DataFrame]:
    """A table's rows of each run, numbered from 0, without the columns that name it."""
    file = _opened(path)
    columns = [name for name in file.schema_arrow.names if name not in KEYS]
    frame = file.read(columns).to_pandas()
    if path.name.startswith("predictions"):
        require_whole(frame, counts, of, path, remedy(path))
    parts = []
    for end, count in zip(np.cumsum(counts).tolist(), counts.tolist(), strict=True):
        part = frame[end - count : end]
        part.index = pd.RangeIndex(count)
        parts.append(part)
    return parts


def write(folder: Path, runs: Sequence[Run]) -> list[Path]:
    """Publish runs of one corpus and profile, the file of runs last; the paths of all.

    `InputError` if a run has other columns than the rest, or nothing can be written there.
    """
    tables = {name: _stacked(runs, name) for name in runs[0].experiment.tables}
    written = {name: _write(folder, name, table) for name, table in tables.items()}
    links = json.dumps({"tables": {name: path.name for name, path in written.items()}})
    index = _run_table(runs).replace_schema_metadata({LINKS: links})
    return [_write(folder, RUNS, index), *written.values()]


def _stacked(runs: Sequence[Run], name: str) -> pa.Table:
    """A table's rows of all runs, below each other."""
    frames = [getattr(run, name) for run in runs]
    for run, frame in zip(runs, frames, strict=True):
        if not frame.dtypes.equals(frames[0].dtypes):
            raise InputError(
                run.folder,
                f"its {name} have other columns than those of {runs[0].experiment.name}",
                "store it below another profile, or train both by the same code",
            )
    places = [tuple(run.experiment.place.split("/")) for run in runs]
    stacked = pd.concat(frames, keys=places, names=list(KEYS)).reset_index(list(KEYS))
    return pa.Table.from_pandas(stacked, preserve_index=False)


def _run_table(runs: Sequence[Run]) -> pa.Table:
    """Place, experiment and provenance of each run, and its numbers of rows."""
    kind = type(runs[0].experiment)
    columns: dict[str, Any] = dict.fromkeys(KEYS, pa.string())
    hints = get_type_hints(kind) | get_type_hints(Provenance)
    columns |= {name: _column_type(hint) for name, hint in hints.items()}
    columns |= {_rows(table): pa.int64() for table in kind.tables}
    rows = []
    for run in runs:
        row = dict(zip(KEYS, run.experiment.place.split("/"), strict=True))
        row |= asdict(run.experiment) | asdict(run.provenance)
        row |= {name: json.dumps(row[name]) for name in TEXTS}
        rows.append(row | {_rows(table): len(getattr(run, table)) for table in kind.tables})
    return pa.Table.from_pylist(rows, schema=pa.schema(columns))


def _column_type(hint: Any) -> pa.DataType:
    """The column type of a field."""
    if is_dataclass(hint):
        return pa.struct([(k, _column_type(v)) for k, v in get_type_hints(hint).items()])
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Literal, dict):
        return pa.string()
    if origin is tuple:
        return pa.list_(_column_type(arguments[0]))
    if origin in (Union, types.UnionType):  # X | None
        return _column_type(arguments[0])
    return {str: pa.string(), bool: pa.bool_(), int: pa.int64(), float: pa.float64()}[hint]


def _write(folder: Path, name: str, table: pa.Table) -> Path:
    """Write a table: ids by number, the bytes of probabilities apart by significance."""
    floats = [field.name for field in table.schema if pa.types.is_floating(field.type)]
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        compression="zstd",
        compression_level=COMPRESSION_LEVEL,
        use_dictionary=[name for name in table.schema.names if name not in floats],
        use_byte_stream_split=[n for n in floats if table.schema.field(n).type == pa.float32()],
    )
    data = sink.getvalue().to_pybytes()
    path = folder / f"{name}-{_digest(data)}.parquet"
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())  # what it was made from will be removed
    return path


def _opened(path: Path) -> pq.ParquetFile:
    """A file, whose digest its name must carry."""
    data = path.read_bytes() if path.exists() else b""
    if _digest(data) != path.stem.rpartition("-")[2]:
        raise InputError(path, "missing, or not the file that was published", remedy(path))
    return pq.ParquetFile(pa.BufferReader(data))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:DIGITS]


def _rows(table: str) -> str:
    """The column of `runs` that counts a table's rows."""
    return f"{table}_rows"


def remedy(path: Path) -> str:
    """What to do about a published file that is damaged or missing."""
    return f"restore {path.parent} from git, or remove its .parquet files and run the command again"
