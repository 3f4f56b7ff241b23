"""Files whole or absent, records of what was made, and the one error that bad input raises."""

import functools
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar, cast

import platformdirs
from filelock import FileLock
from pydantic import TypeAdapter, ValidationError


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
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise _unwritable(path.parent, error) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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
    if whole(folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with lock_beside(folder):
            if not whole(folder):
                with tempfile.TemporaryDirectory(prefix=".building-", dir=folder.parent) as beside:
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
