"""The runs of a corpus and profile: a finished grid as few files, work in progress a folder a run.

`results/<corpus>/<profile>/` holds `runs-DIGEST.parquet`, which has a row a run: its experiment,
its provenance, and how many rows of each table are its own; its metadata name the files of the
tables. A table, as `predictions-DIGEST.parquet`, has the rows of one run after another, in the
order of `runs`. DIGEST begins the SHA-256 of the file.

Packing writes new ones of all runs, the file of runs last, and only then removes what is in them:
the old file of runs, its tables, the folders of its runs. Whatever a packing that was killed
leaves, files of runs that lie side by side and folders say the same of a run that several of them
hold. So a reader takes all that there is, and the next packing clears up; so it does where git has
merged branches. Weights that were kept stay where they are.
"""

import functools
import hashlib
import json
import os
import shutil
import types
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import Timeout

from replicate.files import InputError, checked, lock_beside, replacing
from replicate.runs import store, versions
from replicate.runs.experiments import Experiment
from replicate.runs.store import (
    AGAIN,
    WEIGHTS,
    Provenance,
    Record,
    Run,
    folder_of,
    kind_of,
    read_run,
    require_place,
    require_whole,
    save_run,
    stored_record,
)
from replicate.runs.versions import Seen
from replicate.settings import RESULTS

RUNS = "runs"

#: The columns by which every file names a row's run.
KEYS = ("corpus", "profile", "run")

#: Fields that are stored as JSON text, of which Parquet keeps each that differs once.
TEXTS = ("code", "packages")
#: Where a file of runs names those of its tables, among its Parquet metadata.
LINKS = b"replicate"
#: How many hexadecimal digits of its SHA-256 a file's name carries.
DIGITS = 16


def files(folder: Path, *names: str) -> list[Path]:
    """The published files of some names, `runs` or tables; of all by default, `runs` first."""
    digest, names = "[0-9a-f]" * DIGITS, names or (RUNS, *Experiment.tables)
    return [path for name in names for path in sorted(folder.glob(f"{name}-{digest}.parquet"))]


def _read_file(path: Path) -> dict[str, Run]:
    """Name -> run, of a file of runs and its tables; `InputError` if one is damaged or lost."""
    found, index = _opened_runs(path)
    frames = dict.fromkeys(Experiment.tables, [pd.DataFrame()] * len(found))
    for name, file in json.loads(index.schema.metadata[LINKS])["tables"].items():
        counts = index[f"{name}_rows"].to_numpy()
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


def _opened_runs(path: Path) -> tuple[dict[str, Record[Any]], pa.Table]:
    """Name -> record, of a file of runs, and the file itself; `InputError` as `_read_file`."""
    kind, index = kind_of(path.parent.name), _opened(path).read()
    own = get_type_hints(kind)
    # what is none of the experiment's belongs to the provenance
    elsewhere = {*own, *KEYS, *(f"{name}_rows" for name in kind.tables)}
    parsed = functools.cache(json.loads)  # few texts differ
    found = {}
    for row in index.to_pylist():
        row |= {name: parsed(row[name]) for name in TEXTS if name in row}
        values = {
            "experiment": {name: value for name, value in row.items() if name in own},
            "provenance": {name: value for name, value in row.items() if name not in elsewhere},
            "files": {},
        }
        record = checked(values, Record[kind], path, remedy(path))  # type: ignore[valid-type]
        require_place(record, path.parent / row["run"], path)
        found[row["run"]] = record
    return found, index


#: As `_opened_runs`, of what was not looked at before.
_looked_at = functools.lru_cache(maxsize=32)(_opened_runs)


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
    """Publish runs of one corpus and profile; `InputError` if one has other columns than the rest.

    Returned are the paths of all files, that of runs first, which is written last.
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
            what = f"its {name} have other columns than those of {runs[0].experiment.name}"
            again = "store it below another profile, or train both by the same code"
            raise InputError(run.folder, what, again)
    places = [tuple(run.experiment.place.split("/")) for run in runs]
    stacked = pd.concat(frames, keys=places, names=list(KEYS)).reset_index(list(KEYS))
    return pa.Table.from_pandas(stacked, preserve_index=False)


def _run_table(runs: Sequence[Run]) -> pa.Table:
    """Place, experiment and provenance of each run, and its numbers of rows."""
    kind = type(runs[0].experiment)
    columns: dict[str, Any] = dict.fromkeys(KEYS, pa.string())
    hints = get_type_hints(kind) | get_type_hints(Provenance)
    columns |= {name: _column_type(hint) for name, hint in hints.items()}
    columns |= {f"{table}_rows": pa.int64() for table in kind.tables}
    rows = []
    for run in runs:
        row = dict(zip(KEYS, run.experiment.place.split("/"), strict=True))
        row |= asdict(run.experiment) | asdict(run.provenance)
        row |= {name: json.dumps(row[name]) for name in TEXTS}
        rows.append(row | {f"{name}_rows": len(getattr(run, name)) for name in kind.tables})
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
        compression_level=15,  # probabilities are noise: a higher one gains nothing
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


def remedy(path: Path) -> str:
    """What to do about a published file that is damaged or missing."""
    return f"restore {path.parent} from git, or remove its .parquet files and run the command again"


def load_runs(
    corpus: str, profile: str, root: Path = RESULTS, seen: Seen | None = None
) -> list[Run]:
    """All finished runs of a corpus and profile, or `baselines`, verified, in order of their names.

    `InputError` if a run is damaged, two of one name differ, or one saw another version of the
    corpus than the rest, or than `seen` where it is at hand.
    """
    published, unpacked = _stored(root / corpus / profile)
    runs = unpacked | published
    if seen is not None:
        versions.require(runs, seen, root / corpus / profile)
    versions.require(runs, None, root / corpus / profile)
    return [run for _, run in sorted(runs.items())]


def stored_records(folder: Path) -> dict[str, Record[Any]]:
    """Name -> record, of what is stored in `results/<corpus>/<profile>`; no table is read."""
    found: dict[str, Record[Any]] = {}
    for path in files(folder, RUNS):
        found |= _looked_at(path)[0]
    for path in sorted(folder.glob(f"*/{kind_of(folder.name).record}")):
        if (record := stored_record(path.parent)) is not None:
            found[path.parent.name] = record
    return found


def load_run(folder: Path) -> Run:
    """A verified run of a folder, or a published one; `InputError` if it is damaged or nowhere."""
    if not (folder / kind_of(folder.parent.name).record).exists():
        published, _ = _stored(folder.parent)
        if folder.name in published:
            return published[folder.name]
    return read_run(folder)


def is_finished(experiment: Experiment, root: Path = RESULTS, seen: Seen | None = None) -> bool:
    """Whether an experiment's run is stored; `InputError` if with other settings or other data."""
    folder = folder_of(experiment, root)
    again = store.remedy(folder)
    found = [stored_record(folder)]
    if found == [None]:
        found = [_looked_at(path)[0].get(folder.name) for path in files(folder.parent, RUNS)]
        again = f"`replicate results unpack`, then {again}"
    known = [record for record in found if record is not None]
    if any(record.experiment != experiment for record in known):
        raise InputError(folder, "holds a run of other settings", again)
    for record in known:  # one, or two that say the same
        versions.require({folder.name: record}, seen, folder.parent)
    return bool(known)


def pack(folder: Path) -> int:
    """Publish what has a folder of its own in `results/<corpus>/<profile>`; how many runs it was.

    `InputError` as `load_runs`, or if a run has other columns than the rest. Nothing is lost.
    """
    there = files(folder)
    if {*folder.glob("*")} - {*folder.glob(f"*{WEIGHTS}")} == {*there} and _of_one_packing(there):
        return 0
    with lock_beside(folder) as lock:
        published, unpacked = _stored(folder)
        every, new = published | unpacked, unpacked.keys() - published.keys()
        versions.require(every, None, folder)
        kept = files(folder)
        if new or not _of_one_packing(kept):
            kept = write(folder, [every[name] for name in sorted(every)])
        _clear(folder, kept, every)
        Path(lock.lock_file).unlink(missing_ok=True)
    return len(new)


def unpack(folder: Path) -> int:
    """Give every published run in `results/<corpus>/<profile>` a folder again; how many it was."""
    if not files(folder, RUNS):
        return 0
    with lock_beside(folder) as lock:
        published, unpacked = _stored(folder)
        for name in published.keys() - unpacked.keys():
            save_run(published[name])
        for path in files(folder):
            path.unlink()
        Path(lock.lock_file).unlink(missing_ok=True)
    return len(published)


def _stored(folder: Path) -> tuple[dict[str, Run], dict[str, Run]]:
    """Name -> run, of the published runs and of those that have a folder; none contradict."""
    while True:
        before, places = _listed(folder)
        problem: Exception | None = None
        try:
            found = _read(before, places)
        except (InputError, FileNotFoundError) as error:
            problem = error
        after, still_there = _listed(folder)
        if after != before or not places <= still_there:
            continue  # another process has packed meanwhile
        if problem is not None:
            raise problem
        if not any(found) and (tables := files(folder)):
            raise InputError(tables[0], "has no file of runs beside it", remedy(tables[0]))
        return found


def _listed(folder: Path) -> tuple[set[Path], set[Path]]:
    """The files of runs, and the folders of finished runs."""
    finished = folder.glob(f"*/{kind_of(folder.name).record}")
    return set(files(folder, RUNS)), {path.parent for path in finished}


def _read(packed: set[Path], places: set[Path]) -> tuple[dict[str, Run], dict[str, Run]]:
    published: dict[str, Run] = {}
    for path in sorted(packed):
        for name, run in _read_file(path).items():
            _require_same(published.setdefault(name, run), run, path)
    unpacked = {place.name: read_run(place) for place in sorted(places)}
    for name in published.keys() & unpacked.keys():
        _require_same(published[name], unpacked[name], unpacked[name].folder)
    return published, unpacked


def _require_same(one: Run, other: Run, place: Path) -> None:
    """Raise an `InputError` unless two runs are the same in all that is stored."""
    same = (one.experiment, one.provenance) == (other.experiment, other.provenance)
    if not same or not all(
        getattr(one, name).equals(getattr(other, name)) for name in one.experiment.tables
    ):
        what = f"holds another run than the published one: {one.experiment.name}"
        told = "remove one of them; to replace a published run, see `replicate results unpack`"
        raise InputError(place, what, told)


def _of_one_packing(published: list[Path]) -> bool:
    """Whether files are one of runs and its tables, or none at all."""
    names = [path.name.partition("-")[0] for path in published]
    return len(set(names)) == len(names)


def _clear(folder: Path, kept: Collection[Path], published: Collection[str]) -> None:
    """Remove other and half-written files, then the folders of what is published."""
    for path in (*files(folder), *folder.glob(".*.parquet.*")):
        if path not in kept:
            path.unlink()
    with suppress(OSError):
        (folder / AGAIN).rmdir()  # of a process that was killed, unless a repeat is there
    there = {path.name for path in folder.glob("*")}
    for name in sorted(published):
        if there & {name, f".{name}.lock"}:
            _remove(folder / name)


def _remove(place: Path) -> None:
    """Remove a run's folder that nobody is at work in, with its lock; the record first."""
    try:
        with lock_beside(place, timeout=0) as lock:
            (place / kind_of(place.parent.name).record).unlink(missing_ok=True)
            if place.exists():
                shutil.rmtree(place)
            Path(lock.lock_file).unlink(missing_ok=True)
    except Timeout:
        pass  # the scheduler that trained it is about to leave it; the next packing has it
