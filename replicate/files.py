"""Files whole or absent, records of what was made, and the one error that bad input raises."""

import contextlib
import errno
import fcntl
import functools
import glob
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar, cast

import click
import platformdirs
from filelock import BaseFileLock, FileLock, SoftFileLock
from pydantic import TypeAdapter, ValidationError

from replicate import folder_named

#: How the names of files end that are still being written.
PARTIAL = ".partial"


class InputError(Exception):
    """Input that cannot be used: where (a file, `file:line` or id), what is wrong, what to do."""

    def __init__(self, place: object, what: str, remedy: str) -> None:
        super().__init__(str(place), what, remedy)  # by these it survives a worker process
        self.place, self.what, self.remedy = map(printable, (str(place), what, remedy))

    def __str__(self) -> str:
        return f"{self.place}: {self.what}\n  -> {self.remedy}"


class UnwritableError(InputError):
    """A place that cannot be written. All that would be stored there fails: nothing else begins."""


def printable(text: str) -> str:
    r"""Text that any terminal takes: bytes of a file's name that are not UTF-8 become `\xe9`."""
    return os.fsencode(text).decode("utf-8", errors="backslashreplace")


def usable(path: Path) -> Path:
    """The path, `~` as in a shell; `InputError` if its name is not UTF-8, as Parquet needs it."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise InputError(path, "has a name that is not UTF-8", "rename it") from error
    return Path(os.path.expanduser(path))


def switch(variable: str) -> bool:
    """Whether a variable of the environment says yes; unset is no, other words an `InputError`."""
    said = os.environ.get(variable, "").strip()
    try:
        return bool(said) and click.BOOL.convert(said, None, None)
    except click.BadParameter as error:
        place, what = f"{variable}={said}", "says neither yes nor no"
        raise InputError(place, what, "set it to 1 or 0, yes or no") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path that on success replaces `path`.

    `UnwritableError` if the folder cannot be written or its disk is full; `path` is as it was.
    """
    made(path.parent)
    remove_abandoned(path.parent, glob.escape(path.name))
    try:
        handle, name = tempfile.mkstemp(PARTIAL, f".{path.name}.", path.parent)
    except OSError as error:
        raise unwritable(path.parent, error) from error
    temporary = Path(name)
    try:
        _lock(handle)
        yield temporary
        temporary.chmod(0o644)
        os.replace(temporary, path)
    except Exception as error:
        if (refusal := _refusal_behind(error, temporary)) is not None:
            raise unwritable(path.parent, refusal) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


def remove_abandoned(folder: Path, name: str = "*") -> None:
    """Remove what processes left in a folder that were killed while they were `replacing` a file.

    `name` is a pattern of the files' names. The system frees the lock of a process that has ended;
    where no locks are had, nothing is removed.
    """
    for left in folder.glob(f".{name}.*{PARTIAL}"):
        with contextlib.suppress(OSError), left.open("rb") as file:
            if _lock(file.fileno()):
                left.unlink()


def _lock(handle: int) -> bool:
    """Lock an open file until it is closed; whether nobody else had."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def made(folder: Path) -> Path:
    """The folder, made if it is absent; `UnwritableError` if it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    return folder


def require_writable(folder: Path) -> None:
    """Write and remove a small file in a folder, which is made; `UnwritableError` if refused."""
    try:
        with tempfile.TemporaryFile(dir=made(folder)) as file:
            file.write(bytes(2**16))
    except OSError as error:
        raise unwritable(folder, error) from error


#: What a system says where a disk, or a user's share of it, is full.
FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


def unwritable(folder: Path, error: OSError) -> UnwritableError:
    """What is wrong with a place, in words; of a full disk which one it is."""
    if error.errno not in FULL:
        what = f"cannot be written: {error.strerror or error}"
        return UnwritableError(folder, what, "choose a folder that can be written")
    disk = folder.absolute()
    while not disk.is_mount() and disk != disk.parent:
        disk = disk.parent
    what = f"cannot be written: the disk at {disk} is full ({error.strerror})"
    remedy = "free space there and run the same command again; what is stored is whole, and "
    return UnwritableError(folder, what, remedy + "trainings go on after the last stored epoch")


def _refusal_behind(error: Exception, temporary: Path) -> OSError | None:
    """The full disk behind an error while a file was written, which libraries hide or rename."""
    if isinstance(error, OSError) and error.errno in FULL:
        return error
    try:
        with temporary.open("ab") as file:
            file.write(bytes(2**20))
    except OSError as refusal:
        return refusal if refusal.errno in FULL else None
    return None


def sha256(path: Path) -> str:
    """Digest of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def lock_beside(folder: Path, timeout: float = -1) -> BaseFileLock:
    """The lock of a folder, which need not exist; it lies beside it, so that it outlives it.

    After `timeout` seconds taking it raises `filelock.Timeout`; -1 waits for ever. Where a file
    system has no locks of its own, as some network folders, the file's presence is the lock.
    """
    kind: type[BaseFileLock] = FileLock if _has_locks(made(folder.parent)) else SoftFileLock
    return kind(folder.parent / f".{folder.name}.lock", timeout=timeout)


def _has_locks(folder: Path) -> bool:
    """Whether the file system of a folder has locks that the system frees."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in (errno.EACCES, errno.EAGAIN)  # held by another
    finally:
        os.close(handle)
    return True


def cache_folder() -> Path:
    """Where decoded audio and the stand-in live: `$REPLICATE_CACHE`, or the user's cache folder.

    `InputError` if a user has neither.
    """
    try:
        chosen = folder_named("REPLICATE_CACHE")
        return chosen or platformdirs.user_cache_path("lima-bak-replication")
    except RuntimeError as error:
        what = "there is no home folder to keep decoded recordings in"
        remedy = "set it to a folder that can be written"
        raise InputError("REPLICATE_CACHE", what, remedy) from error


def build_once(folder: Path, build: Callable[[Path], None], whole: Callable[[Path], bool]) -> Path:
    """`folder`, built if it is absent or no longer whole.

    Callers in other processes wait for the one that builds. The folder appears complete or not at
    all: `build` fills a new, empty one beside its place, which is then moved there; `whole` tells
    whether a folder holds what `build` makes; one that does not is told of and built anew.
    `InputError` if the disk is full, or the place cannot be written.
    """
    if whole(folder) and not _half_built(folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with lock_beside(folder):
            for left in _half_built(folder):  # of a process that was killed: it had the lock
                shutil.rmtree(left)
            if not whole(folder):
                if folder.exists():
                    told = "is not what it would be made of now, and is built anew"
                    print(printable(f"{folder} {told}"), file=sys.stderr)
                prefix = f".building-{folder.name}."
                with tempfile.TemporaryDirectory(prefix=prefix, dir=folder.parent) as beside:
                    new = Path(beside) / folder.name
                    new.mkdir()
                    build(new)
                    shutil.rmtree(folder, ignore_errors=True)
                    new.rename(folder)
    except OSError as error:
        what = f"cannot be built: {unwritable(folder.parent, error).what}"
        remedy = "free disk space, or set REPLICATE_CACHE to a folder that can be written"
        raise UnwritableError(folder, what, remedy) from error
    return folder


def _half_built(folder: Path) -> list[Path]:
    """The places beside a folder in which one is being built, or was until a process was killed."""
    return [*folder.parent.glob(f".building-{glob.escape(folder.name)}.*")]


Record = TypeVar("Record")

#: What only a newer version's record has, by pydantic's names: other fields, other choices.
NEWER = {"unexpected_keyword_argument", "extra_forbidden", "literal_error"}

#: How many of many alike things an error names.
MOST_NAMED = 5


def first_of(names: Sequence[str]) -> str:
    """The first few of some names in a line, and whether there are more."""
    return ", ".join(names[:MOST_NAMED]) + ", ..." * (len(names) > MOST_NAMED)


def write_record(path: Path, record: Any, indent: int | None = 1) -> Path:
    """Store a dataclass; `path` is whole or as it was."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(asdict(record), indent=indent) + "\n")
    return path


def read_record(path: Path, kind: type[Record], remedy: str) -> Record | None:
    """Read a dataclass, None if there is no such file; `InputError` as `checked`."""
    try:
        return checked(path.read_bytes(), kind, path, remedy)
    except (FileNotFoundError, NotADirectoryError):
        return None


def checked(values: Any, kind: type[Record], place: Path, remedy: str) -> Record:
    """JSON's bytes, or values nested as in JSON, as a dataclass; `remedy` if they do not fit.

    `InputError` names the places where they do not; a record with fields or values that only a
    newer version of this software knows is said to be one.
    """
    adapter = _adapter(kind)  # type: ignore[arg-type]
    read = adapter.validate_json if isinstance(values, bytes) else adapter.validate_python
    try:
        return cast(Record, read(values))
    except ValidationError as error:
        wrong = [
            f"{'.'.join(map(str, one['loc'])) or 'the whole file'}: {one['msg']}"
            for one in error.errors()[:MOST_NAMED]
        ]
        if {one["type"] for one in error.errors()} <= NEWER:
            wrong.insert(0, "was written by a newer version of this software")
            remedy = "nothing is wrong with it: update this software (`git pull`) to read it"
        raise InputError(place, "; ".join(wrong), remedy) from error


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
