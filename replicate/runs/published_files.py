"""The files of published results: what is in them, and how they are written and verified.

`runs-DIGEST.parquet` has a row a run: its experiment, its provenance, and how many rows of each
table are its own. A table, as `predictions-DIGEST.parquet`, has the rows of one run after another,
in the order of `runs`. DIGEST begins the SHA-256 of the file.
"""

import functools
import hashlib
import json
import os
import types
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from replicate.files import InputError, checked, replacing
from replicate.paper import EMOTIONS

Result = TypeVar("Result", bound=Any)

RUNS = "runs"

#: The columns by which every file names a row's run.
KEYS = ("corpus", "profile", "run")

#: Where a file of runs names other files, among its Parquet metadata.
LINKS = b"replicate"

#: How many hexadecimal digits of its SHA-256 a file's name carries.
DIGITS = 16

#: Probabilities are noise but for their exponents; a higher level gains nothing.
COMPRESSION_LEVEL = 15


@dataclass(frozen=True)
class Kind(Generic[Result]):
    """A kind of results: runs of the network, or of baselines.

    Attributes:
        result: a dataclass of experiment, provenance, a frame for each of `tables`, and folder.
        record: a dataclass of experiment, provenance and files, which a folder holds as JSON.
        file: the name of that JSON; a folder without it holds no finished result.
        tables: their names.
        load: reads a folder and verifies it.
        save: writes a folder.
    """

    result: type[Result]
    record: type[Any]
    file: str
    tables: tuple[str, ...]
    load: Callable[[Path], Result]
    save: Callable[[Result], None]

    def folders(self, folder: Path) -> dict[str, Path]:
        """Name -> folder of each finished result that has one of its own."""
        return {path.parent.name: path.parent for path in folder.glob(f"*/{self.file}")}


@dataclass(frozen=True)
class Index:
    """What a file of runs says.

    Attributes:
        path: of the file.
        records: name of each run -> its record.
        counts: table -> rows of each run [n_runs].
        tables: table -> name of its file.
        replaces: names of the files of runs that no longer count.
    """

    path: Path
    records: dict[str, Any]
    counts: dict[str, np.ndarray]
    tables: dict[str, str]
    replaces: list[str]


def files(folder: Path, *names: str) -> list[Path]:
    """The published files of some names, `runs` or tables."""
    digest = "[0-9a-f]" * DIGITS
    return [path for name in names for path in sorted(folder.glob(f"{name}-{digest}.parquet"))]


def read_index(path: Path, kind: Kind[Any]) -> Index:
    """A file of runs; it is read again only where its time or size has changed.

    Raises:
        InputError: it is damaged or missing, or another folder's.
    """
    state = path.stat()
    return _read_index(path, kind, (state.st_mtime_ns, state.st_size))


@functools.lru_cache(maxsize=32)
def _read_index(path: Path, kind: Kind[Any], _: tuple[int, int]) -> Index:
    table = pq.ParquetFile(pa.BufferReader(_verified(path))).read()
    links = json.loads(table.schema.metadata[LINKS])
    counts = {name: table[_rows(name)].to_numpy() for name in kind.tables}
    rows = table.drop_columns([_rows(name) for name in kind.tables]).to_pylist()
    return Index(path, _records(rows, path, kind), counts, links["tables"], links["replaces"])


def _records(rows: list[dict[str, Any]], path: Path, kind: Kind[Any]) -> dict[str, Any]:
    """Name -> record; columns that are none of the experiment's belong to the provenance."""
    experiment, provenance = _fields(kind)
    texts, elsewhere = _mappings(provenance), {*experiment, *KEYS}
    parsed = functools.cache(json.loads)  # few texts differ
    found = {}
    for row in rows:
        row |= {name: parsed(row[name]) for name in texts if name in row}
        values = {
            "experiment": {k: v for k, v in row.items() if k in experiment},
            "provenance": {k: v for k, v in row.items() if k not in elsewhere},
            "files": {},
        }
        one = checked(values, kind.record, path, remedy(path))
        stored_as = (*path.parts[-3:-1], row["run"])
        if place_of(one.experiment) != stored_as:
            raise InputError(path, f"holds {'/'.join(place_of(one.experiment))}", "move it back")
        found[row["run"]] = one
    return found


def read_table(index: Index, table: str) -> list[pd.DataFrame]:
    """A table's rows of each run of an index, numbered from 0, without the columns that name it.

    Raises:
        InputError: the file is damaged or missing; predictions are no whole distributions.
    """
    path, counts = index.path.parent / index.tables[table], index.counts[table]
    data = _verified(path)
    columns = [name for name in pq.read_schema(pa.BufferReader(data)).names if name not in KEYS]
    frame = pd.read_parquet(pa.BufferReader(data), columns=columns)
    if table == "predictions":
        _require_whole(frame, index, path)
    parts = []
    for end, count in zip(np.cumsum(counts).tolist(), counts.tolist(), strict=True):
        part = frame[end - count : end]
        part.index = pd.RangeIndex(count)
        parts.append(part)
    return parts


def _require_whole(predictions: pd.DataFrame, index: Index, path: Path) -> None:
    n_test = np.array([found.provenance.n_test for found in index.records.values()])
    bad = ~whole(predictions, index.counts["predictions"], n_test)
    if bad.any():
        name = list(index.records)[int(bad.argmax())]
        what = f"does not hold one distribution for each test utterance of {name}"
        raise InputError(path, what, remedy(path))


def whole(predictions: pd.DataFrame, counts: np.ndarray, n_test: np.ndarray) -> np.ndarray:
    """Whether a run has, in every selection, one distribution for each test utterance.

    Args:
        predictions: of one run after another.
        counts: rows of each run [n_runs].
        n_test: test utterances of each run [n_runs].

    Returns:
        [n_runs], bool.
    """
    run = np.repeat(np.arange(len(counts)), counts)
    selection, names = pd.factorize(predictions.get("selection", np.zeros(len(run))))
    utterance, ids = pd.factorize(predictions["utterance"])
    part = run * len(names) + selection
    sizes = np.bincount(part, minlength=len(counts) * len(names)).reshape(len(counts), len(names))
    complete = ((sizes == 0) | (sizes == n_test[:, None])).all(axis=1) & sizes.any(axis=1)
    rows = np.sort(part * len(ids) + utterance)
    twice = rows[1:][rows[1:] == rows[:-1]]
    complete[twice // max(len(ids) * len(names), 1)] = False
    sums = predictions[list(EMOTIONS)].sum(axis=1).to_numpy()
    complete[run[~np.isclose(sums, 1, atol=1e-5)]] = False
    return np.asarray(complete)


def write(
    folder: Path, results: Sequence[Result], kind: Kind[Result], replaces: Sequence[str]
) -> None:
    """Publish results, the file of runs last.

    Args:
        folder: `results/<corpus>/<profile>`.
        results: in the order of their names.
        kind: what they are.
        replaces: names of the files of runs that then no longer count.

    Raises:
        InputError: a result has other columns than the rest; nothing can be written there.
    """
    tables = {name: _stacked(results, name) for name in kind.tables}
    written = {name: _write(folder, name, table) for name, table in tables.items()}
    links = json.dumps({"tables": written, "replaces": list(replaces)})
    _write(folder, RUNS, _run_table(results, kind).replace_schema_metadata({LINKS: links}))


def _stacked(results: Sequence[Result], name: str) -> pa.Table:
    """A table's rows of all results, below each other."""
    frames = [getattr(result, name) for result in results]
    for result, frame in zip(results, frames, strict=True):
        if not frame.dtypes.equals(frames[0].dtypes):
            raise InputError(
                result.folder,
                f"its {name} have other columns than those of {results[0].experiment.name}",
                "store it below another profile, or train both by the same code",
            )
    stacked = pd.concat(frames, ignore_index=True)
    counts = [len(frame) for frame in frames]
    places = np.array([place_of(result.experiment) for result in results], dtype=object)
    for i, key in enumerate(KEYS):
        stacked.insert(i, key, np.repeat(places[:, i], counts))
    return pa.Table.from_pandas(stacked, preserve_index=False)


def _run_table(results: Sequence[Result], kind: Kind[Result]) -> pa.Table:
    """Place, experiment and provenance of each result, and its numbers of rows."""
    experiment, provenance = _fields(kind)
    columns: dict[str, Any] = {key: pa.string() for key in KEYS}
    columns |= {name: _column_type(hint) for name, hint in (experiment | provenance).items()}
    columns |= {_rows(table): pa.int64() for table in kind.tables}
    rows = []
    for result in results:
        row = dict(zip(KEYS, place_of(result.experiment), strict=True))
        row |= asdict(result.experiment) | asdict(result.provenance)
        row |= {name: json.dumps(row[name]) for name in _mappings(provenance)}
        rows.append(row | {_rows(name): len(getattr(result, name)) for name in kind.tables})
    return pa.Table.from_pylist(rows, schema=pa.schema(columns))


def _write(folder: Path, name: str, table: pa.Table) -> str:
    """Write a file; its name."""
    data = _encoded(table)
    path = folder / f"{name}-{_digest(data)}.parquet"
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())  # what it was made from will be removed
    return path.name


def _encoded(table: pa.Table) -> bytes:
    """A table as Parquet: ids by number, the bytes of probabilities apart by significance."""
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
    return bytes(sink.getvalue().to_pybytes())


def _verified(path: Path) -> bytes:
    """The contents of a file, whose digest its name must carry."""
    data = path.read_bytes() if path.exists() else b""
    if _digest(data) != path.stem.rpartition("-")[2]:
        raise InputError(path, "missing, or not the file that was published", remedy(path))
    return data


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:DIGITS]


def place_of(experiment: Any) -> tuple[str, str, str]:
    """Corpus, profile and name, which `KEYS` hold."""
    return experiment.corpus, experiment.profile, experiment.name


def _fields(kind: Kind[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Field -> type of an experiment, and of a provenance."""
    parts = get_type_hints(kind.record)
    return get_type_hints(parts["experiment"]), get_type_hints(parts["provenance"])


def _mappings(fields: dict[str, Any]) -> list[str]:
    """The fields that are stored as JSON text, of which Parquet keeps each that differs once."""
    return [name for name, hint in fields.items() if get_origin(hint) is dict]


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


def _rows(table: str) -> str:
    """The column of `runs` that counts a table's rows."""
    return f"{table}_rows"


def remedy(path: Path) -> str:
    """What to do about a published file that is damaged or missing."""
    return f"restore {path.parent} from git, or remove its .parquet files and run the command again"
