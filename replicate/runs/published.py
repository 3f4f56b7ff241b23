"""The runs of a corpus and profile: a finished grid as few files, work in progress a folder a run.

`results/<corpus>/<profile>/` holds a file of runs and one of each table, see
`replicate.runs.published_files`. Packing writes new ones of all runs, the file of runs last, and
only then removes what is in them: the old file of runs, its tables, the folders of its runs.
Whatever a packing that was killed leaves, files of runs that lie side by side and folders say the
same of a run that several of them hold. So a reader takes all that there is, and the next packing
clears up; so it does where git has merged branches. Weights that were kept stay where they are.
"""

import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

from filelock import Timeout

from replicate.files import InputError, lock_beside
from replicate.runs import store, versions
from replicate.runs.experiments import Experiment
from replicate.runs.published_files import RUNS, files, read, records, remedy, write
from replicate.runs.store import (
    WEIGHTS,
    Record,
    Run,
    folder_of,
    kind_of,
    read_run,
    save_run,
    stored_record,
)
from replicate.runs.versions import Seen
from replicate.settings import RESULTS


def load_runs(
    corpus: str, profile: str, root: Path = RESULTS, seen: Seen | None = None
) -> list[Run]:
    """All finished runs of a corpus and profile, or `baselines`, verified, in order of their names.

    Where the corpus is at hand, `seen` is what they must have seen of it. `InputError` if a run is
    damaged, two of one name differ, or one saw another version of the corpus than `seen` or the
    rest.
    """
    published, unpacked = _stored(root / corpus / profile)
    runs = unpacked | published
    if seen is not None:
        versions.require(runs, seen, root / corpus / profile)
    versions.require(runs, None, root / corpus / profile)
    return [run for _, run in sorted(runs.items())]


def stored_records(folder: Path) -> dict[str, Record[Any]]:
    """Name -> record, of what is stored in `results/<corpus>/<profile>`; no table is read."""
    found = {name: one for path in files(folder, RUNS) for name, one in records(path).items()}
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
    """Whether an experiment's run is stored.

    `InputError` if one of other settings has its name, or it saw other data than `seen`.
    """
    folder = folder_of(experiment, root)
    again = store.remedy(folder)
    found = [stored_record(folder)]
    if found == [None]:
        found = [records(path).get(folder.name) for path in files(folder.parent, RUNS)]
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
        for name, run in read(path).items():
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
        raise InputError(
            place,
            f"holds another run than the published one: {one.experiment.name}",
            "remove one of them; to replace a published run, see `replicate results unpack`",
        )


def _of_one_packing(published: list[Path]) -> bool:
    """Whether files are one of runs and its tables, or none at all."""
    names = [path.name.partition("-")[0] for path in published]
    return len(set(names)) == len(names)


def _clear(folder: Path, kept: Collection[Path], published: Collection[str]) -> None:
    """Remove other and half-written files, then the folders of what is published."""
    for path in (*files(folder), *folder.glob(".*.parquet.*")):
        if path not in kept:
            path.unlink()
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
