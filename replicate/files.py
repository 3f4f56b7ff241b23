"""Files whole or absent, records of what was made, and the one error that bad input raises."""

import contextlib
import functools
import glob
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar, cast

import platformdirs
from filelock import FileLock
from pydantic import TypeAdapter, ValidationError

if sys.platform != "win32":
    import fcntl

#: How the names of files end that are still being written.
PARTIAL = ".partial"


class InputError(Exception):
    """Input that cannot be used: where (a file, `file:line` or id), what is wrong, what to do."""

    def __init__(self, place: object, what: str, remedy: str) -> None:
        super().__init__(str(place), what, remedy)  # by these it survives a worker process
        self.place, self.what, self.remedy = str(place), what, remedy

    def __str__(self) -> str:
        return f"{self.place}: {self.what}\n  -> {self.remedy}"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path that on success replaces `path`; `InputError` if it is unwritable."""
    made(path.parent)
    _remove_abandoned(path)
    try:
        handle, name = tempfile.mkstemp(PARTIAL, f".{path.name}.", path.parent)
    except OSError as error:
        raise _unwritable(path.parent, error) from error
    temporary = Path(name)
    try:
        if sys.platform == "win32":  # where an open file cannot be replaced
            os.close(handle)
        else:
            _lock(handle)
        yield temporary
        temporary.chmod(0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
        if sys.platform != "win32":
            os.close(handle)


def _remove_abandoned(path: Path) -> None:
    """Remove what processes left that were killed while they were `replacing` a file.

    A process holds a lock on what it writes, and the system frees that of one that has ended; where
    no locks are had, nothing is removed.
    """
    for left in path.parent.glob(f".{glob.escape(path.name)}.*{PARTIAL}"):
        with contextlib.suppress(OSError), left.open("rb") as file:
            if _lock(file.fileno()):
                left.unlink()


def _lock(handle: int) -> bool:
    """Lock an open file until it is closed; whether nobody else had."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def made(folder: Path) -> Path:
    """The folder, made if it is absent; `InputError` if it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error
    return folder


def _unwritable(folder: Path, error: OSError) -> InputError:
    return InputError(
        folder, f"cannot be written: {error.strerror}", "choose a folder that can be written"
    )


def sha256(path: Path) -> str:
    """Digest of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def lock_beside(folder: Path, timeout: float = -1) -> FileLock:
    """The lock of a folder, which need not exist; it lies beside it, so that it outlives it.

    After `timeout` seconds taking it raises `filelock.Timeout`; -1 waits for ever.
    """
    return FileLock(made(folder.parent) / f".{folder.name}.lock", timeout=timeout)


def cache_folder() -> Path:
    """Where decoded audio and the stand-in live: `$REPLICATE_CACHE`, or the user's cache folder."""
    chosen = os.environ.get("REPLICATE_CACHE")
    return Path(chosen) if chosen else platformdirs.user_cache_path("lima-bak-replication")


def build_once(folder: Path, build: Callable[[Path], None], whole: Callable[[Path], bool]) -> Path:
    """`folder`, built if it is absent or no longer whole.

    Callers in other processes wait for the one that builds. The folder appears complete or not at
    all: `build` fills a new, empty one beside its place, which is then moved there; `whole` tells
    whether a folder holds what `build` makes. `InputError` if the disk is full, or the place cannot
    be written.
    """
    if whole(folder) and not _half_built(folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with lock_beside(folder):
            for left in _half_built(folder):  # of a process that was killed: it had the lock
                shutil.rmtree(left)
            if not whole(folder):
                prefix = f".building-{folder.name}."
                with tempfile.TemporaryDirectory(prefix=prefix, dir=folder.parent) as beside:
                    new = Path(beside) / folder.name
                    new.mkdir()
                    build(new)
                    shutil.rmtree(folder, ignore_errors=True)
                    new.rename(folder)
    except OSError as error:
        raise InputError(
            folder,
            f"cannot be built: {error}",
            "free disk space, or set REPLICATE_CACHE to a folder that can be written",
        ) from error
    return folder


def _half_built(folder: Path) -> list[Path]:
    """The places beside a folder in which one is being built, or was until a process was killed."""
    name = glob.escape(folder.name)
    without_name = [path.parent for path in folder.parent.glob(f".building-*/{name}")]  # once
    return sorted({*folder.parent.glob(f".building-{name}.*"), *without_name})


Record = TypeVar("Record")

#: Places that are named where a file does not fit; the same is often wrong with all rows.
MOST_NAMED = 5


def write_record(path: Path, record: Any, indent: int | None = 1) -> Path:
    """Store a dataclass; `path` is whole or as it was."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(asdict(record), indent=indent) + "\n")
    return path


def read_record(path: Path, kind: type[Record], remedy: str) -> Record | None:
    """Read a dataclass, None if there is no such file; `remedy`: what to do about a damaged one.

    `InputError` if it does not fit; places where it does not are named.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    with _naming_what_does_not_fit(path, remedy):
        return cast(Record, _adapter(kind).validate_json(content))  # type: ignore[arg-type]


def checked(values: Any, kind: type[Record], place: Path, remedy: str) -> Record:
    """As `read_record`, from values nested as in JSON that a file of another kind held."""
    with _naming_what_does_not_fit(place, remedy):
        return cast(Record, _adapter(kind).validate_python(values))  # type: ignore[arg-type]


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


@contextmanager
def _naming_what_does_not_fit(path: Path, remedy: str) -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        wrong = [
            f"{'.'.join(map(str, one['loc'])) or 'the whole file'}: {one['msg']}"
            for one in error.errors()[:MOST_NAMED]
        ]
        raise InputError(path, "; ".join(wrong), remedy) from error
