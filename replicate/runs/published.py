"""Published results: a finished grid as few files; work in progress keeps a folder a result.

`results/<corpus>/<profile>/` holds one file of runs and one of each table, see
`replicate.runs.published_files`. The file of runs names its tables, and the earlier files of runs
that it replaces. It is written last, and only then are old files and the folders of its runs
removed: a packing that is killed loses nothing, and the next one clears up.
"""

import shutil
from pathlib import Path
from typing import Any

from filelock import Timeout

from replicate.files import InputError, lock_beside, read_record
from replicate.runs.published_files import (
    RUNS,
    Index,
    Kind,
    Result,
    files,
    read_index,
    read_table,
    remedy,
    write,
)


def load(folder: Path, kind: Kind[Result]) -> list[Result]:
    """All finished results of a corpus and profile, verified, in the order of their names.

    A published result that still has a folder, as a packing that was killed leaves it, is given
    once, as published.

    Args:
        folder: `results/<corpus>/<profile>`.
        kind: what it holds.

    Raises:
        InputError: a file is damaged or missing, or a folder holds another run than the published
            one of its name.
    """
    while True:
        before = files(folder, RUNS)
        try:
            found = _merged(folder, kind)
        except (InputError, FileNotFoundError):
            if files(folder, RUNS) == before:
                raise
        else:
            if files(folder, RUNS) == before:
                return found
        # another process has packed meanwhile


def _merged(folder: Path, kind: Kind[Result]) -> list[Result]:
    found = _published(folder, kind)
    for name, place in kind.folders(folder).items():
        if name not in found:
            found[name] = kind.load(place)
        elif not _has_record_of(found[name], place, kind):
            raise _another(place)
    tables = files(folder, *kind.tables)
    if tables and not found:
        raise InputError(tables[0], "has no file of runs beside it", remedy(tables[0]))
    return [found[name] for name in sorted(found)]


def load_one(place: Path, kind: Kind[Result]) -> Result | None:
    """The published result whose folder would be `place`, None if there is none."""
    return _published(place.parent, kind).get(place.name)


def record(place: Path, kind: Kind[Any]) -> Any | None:
    """The record of the published result whose folder would be `place`, None if there is none."""
    found = (index.records.get(place.name) for index in _live(place.parent, kind))
    return next(filter(None, found), None)


def pack(folder: Path, kind: Kind[Any]) -> int:
    """Publish the finished results that have folders of their own; how many they were.

    Args:
        folder: `results/<corpus>/<profile>`.
        kind: what it holds.

    Raises:
        InputError: as `load`, or a result has other columns than the rest. Nothing is lost.
    """
    if not (kind.folders(folder) or len(_live(folder, kind)) > 1 or _leftovers(folder, kind)):
        return 0
    with lock_beside(folder) as lock:
        published, unpacked = _both(folder, kind)
        new = unpacked.keys() - published.keys()
        if new or len(_live(folder, kind)) > 1:
            together = unpacked | published
            ordered = [together[name] for name in sorted(together)]
            write(folder, ordered, kind, replaces=[path.name for path in files(folder, RUNS)])
        for path in _leftovers(folder, kind):
            _remove(path, kind)
        Path(lock.lock_file).unlink()
    return len(new)


def unpack(folder: Path, kind: Kind[Any]) -> int:
    """Give every published result a folder of its own again; how many they were.

    Args:
        folder: `results/<corpus>/<profile>`.
        kind: what it holds.

    Raises:
        InputError: as `load`.
    """
    if not files(folder, RUNS):
        return 0
    with lock_beside(folder) as lock:
        published, unpacked = _both(folder, kind)
        for name in published.keys() - unpacked.keys():
            kind.save(published[name])
        for path in files(folder, RUNS, *kind.tables):
            path.unlink()
        Path(lock.lock_file).unlink()
    return len(published)


def _both(folder: Path, kind: Kind[Result]) -> tuple[dict[str, Result], dict[str, Result]]:
    """The published results, and those in folders of their own, by name; none contradict."""
    published = _published(folder, kind)
    unpacked = {name: kind.load(place) for name, place in kind.folders(folder).items()}
    for name in published.keys() & unpacked.keys():
        if not _same(published[name], unpacked[name], kind):
            raise _another(folder / name)
    return published, unpacked


def _published(folder: Path, kind: Kind[Result]) -> dict[str, Result]:
    """Name -> published result."""
    found: dict[str, Result] = {}
    for index in _live(folder, kind):
        results = _results(index, kind)
        for name in found.keys() & results.keys():
            if not _same(found[name], results[name], kind):
                what = f"holds another run {name} than a file beside it"
                raise InputError(index.path, what, "remove one of them")
        found |= results
    return found


def _results(index: Index, kind: Kind[Result]) -> dict[str, Result]:
    """Name -> result of one file of runs and its tables."""
    tables = {table: read_table(index, table) for table in kind.tables}
    return {
        name: kind.result(
            experiment=found.experiment,
            provenance=found.provenance,
            folder=index.path.parent / name,
            **{table: frames[i] for table, frames in tables.items()},
        )
        for i, (name, found) in enumerate(index.records.items())
    }


def _live(folder: Path, kind: Kind[Any]) -> list[Index]:
    """The files of runs that no other one replaces: several where git has merged branches."""
    found = [read_index(path, kind) for path in files(folder, RUNS)]
    replaced = {name for index in found for name in index.replaces}
    return [index for index in found if index.path.name not in replaced]


def _leftovers(folder: Path, kind: Kind[Any]) -> list[Path]:
    """What counts no longer: replaced and half-written files, folders of what is published."""
    live = _live(folder, kind)
    kept = {name for index in live for name in (index.path.name, *index.tables.values())}
    replaced = [path for path in files(folder, RUNS, *kind.tables) if path.name not in kept]
    there = {path.name for path in folder.glob("*")}
    names = sorted({name for index in live for name in index.records})
    places = [folder / name for name in names if there & {name, f".{name}.lock"}]
    return replaced + list(folder.glob(".*.parquet.*")) + places


def _remove(path: Path, kind: Kind[Any]) -> None:
    """Remove a file, or a folder that nobody is at work in, with its lock; the record first."""
    if path.is_file():
        path.unlink()
        return
    try:
        with lock_beside(path, timeout=0) as lock:
            (path / kind.file).unlink(missing_ok=True)
            if path.exists():
                shutil.rmtree(path)
            Path(lock.lock_file).unlink()
    except Timeout:
        pass  # the scheduler that trained it is about to leave it; the next packing has it


def _same(one: Any, other: Any, kind: Kind[Any]) -> bool:
    """Whether two results are the same in all that is stored."""
    return (one.experiment, one.provenance) == (other.experiment, other.provenance) and all(
        getattr(one, table).equals(getattr(other, table)) for table in kind.tables
    )


def _has_record_of(published: Any, place: Path, kind: Kind[Any]) -> bool:
    """Whether a folder holds the record of a published result, or none any more."""
    try:
        found = read_record(place / kind.file, kind.record, f"remove {place}")
    except FileNotFoundError:  # another process has just removed it
        return True
    pair = published.experiment, published.provenance
    return bool((found.experiment, found.provenance) == pair)


def _another(place: Path) -> InputError:
    return InputError(
        place,
        "holds another run than the published one of its name",
        "remove it; or, to keep it, move it away, run `replicate results unpack`, and put it back",
    )
