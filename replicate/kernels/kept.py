"""Machine code that Numba keeps on disk: whole, or compiled anew.

Numba itself fails for ever where a power cut left an empty file, and runs whatever a damaged one
holds. Here every file ends in its digest.
"""

import functools
import hashlib
import sys
from pathlib import Path
from typing import Any

from numba.core import caching, dispatcher


class _Kept(caching.IndexDataCacheFile):
    """The kept code of a function; of a damaged file there is none, which is told."""

    def _dump(self, obj: Any) -> bytes:
        content = super()._dump(obj)  # type: ignore[no-untyped-call]
        return bytes(content + hashlib.sha256(content).digest())

    def _load_data(self, name: str) -> Any:
        content = Path(self._cache_path, name).read_bytes()
        if hashlib.sha256(content[:-32]).digest() != content[-32:]:
            raise ValueError("not the file that was written")
        return super()._load_data(name)  # type: ignore[no-untyped-call]

    def _load_index(self) -> Any:
        try:
            return super()._load_index()  # type: ignore[no-untyped-call]
        except Exception:  # unpickling raises many kinds
            _tell(self._cache_path)
            return {}

    def load(self, key: Any) -> Any:
        try:
            return super().load(key)  # type: ignore[no-untyped-call]
        except Exception:
            _tell(self._cache_path)
            return None

    def save(self, key: Any, data: Any) -> None:
        try:
            super().save(key, data)  # type: ignore[no-untyped-call]
        except OSError as error:  # it runs all the same
            print(f"{self._cache_path} cannot be written: {error.strerror}", file=sys.stderr)


class _Cache(caching.FunctionCache):
    def __init__(self, function: Any) -> None:
        super().__init__(function)  # type: ignore[no-untyped-call]
        whole = self._cache_file
        place = whole._cache_path, whole._index_name.removesuffix(".nbi"), whole._source_stamp
        self._cache_file = _Kept(*place)  # type: ignore[no-untyped-call]


@functools.cache
def _tell(folder: str) -> None:
    """Once a process."""
    print(f"{folder} holds damaged or older kernels; they are compiled anew", file=sys.stderr)


def check_what_is_kept() -> None:
    """From now on, in this process, check kept code before it runs."""
    dispatcher.FunctionCache = _Cache  # type: ignore[attr-defined]
