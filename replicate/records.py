"""Records of what was made: dataclasses as JSON, checked against their types when they are read."""

import functools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from replicate.errors import InputError
from replicate.files import replacing

Record = TypeVar("Record")


def write(path: Path, record: Any, indent: int | None = 1) -> None:
    """Store a dataclass; `path` is whole or as it was."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(asdict(record), indent=indent) + "\n")


def read(path: Path, kind: type[Record], remedy: str) -> Record:
    """Read a dataclass.

    Args:
        path: of the file.
        kind: the dataclass.
        remedy: what to do about a damaged file.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: it does not fit; the first place where it does not is named.
    """
    with _naming_what_does_not_fit(path, remedy):
        return cast(Record, _adapter(kind).validate_json(path.read_bytes()))  # type: ignore[arg-type]


def checked(values: Any, kind: type[Record], place: Path, remedy: str) -> Record:
    """A dataclass from what a file held.

    Args:
        values: the fields, nested as in JSON.
        kind: the dataclass.
        place: the file.
        remedy: what to do about a damaged file.

    Raises:
        InputError: as `read`.
    """
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
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        what = f"{where}: {first['msg']}" if where else first["msg"]
        raise InputError(path, what, remedy) from error
