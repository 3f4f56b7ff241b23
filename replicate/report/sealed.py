"""Pages that a build is to make, and those it wrote, told by a seal: a digest of themselves.

Only what carries it, and nobody has changed since, is replaced or removed. Beside the pages nothing
has to be kept, so a kill between two files and `jupyter-book clean` leave no doubt.

    python -m replicate.report.sealed book/notebooks

removes the sealed pages of a folder, and the folder if nothing else is in it.
"""

import contextlib
import hashlib
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

#: An executed notebook keeps what made it under this key of its metadata.
METADATA = "replicate"
SEAL = "seal"

State = Literal["absent", "sealed", "damaged", "another's"]


class NotebookError(Exception):
    """A notebook that cannot be executed; the message says which, where and why."""


@dataclass(frozen=True)
class Job:
    """One notebook to execute."""

    source: Path  # the MyST half of a notebook pair
    target: Path  # the executed `.ipynb`, replaced only by a run that succeeded
    scratch: Path  # where a run that failed is left
    parameters: dict[str, str] = field(default_factory=dict)  # for its cell tagged `parameters`
    key: str = ""  # digest of everything the result depends on

    @property
    def is_current(self) -> bool:
        """Whether the target was made by exactly this job."""
        page = read(self.target)
        return page is not None and page["metadata"].get(METADATA, {}).get("key") == self.key


def sealed(page: dict[str, Any]) -> str:
    """The text of a notebook, with its seal."""
    made = {**page["metadata"].get(METADATA, {}), SEAL: _digest(page)}
    return json.dumps({**page, "metadata": {**page["metadata"], METADATA: made}}, indent=1)


def read(path: Path) -> dict[str, Any] | None:
    """A notebook, None where there is no file or it holds none."""
    try:
        page = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    whole = isinstance(page, dict) and isinstance(page.get("metadata"), dict) and "cells" in page
    return page if whole else None


def state(path: Path) -> State:
    """What a page is; `damaged` if it is no notebook, `another's` if it has no seal of its own."""
    page = read(path)
    if page is None:
        return "damaged" if path.exists() else "absent"
    made = page["metadata"].get(METADATA)
    own = isinstance(made, dict) and made.get(SEAL) == _digest(page)
    return "sealed" if own else "another's"


def set_aside(path: Path) -> Path | None:
    """Make room for a page where a damaged file lies; its new place, None if it was empty."""
    if not path.stat().st_size:
        path.unlink()
        return None
    places = (path.with_name(f"{path.name}.damaged{n or ''}") for n in range(10**6))
    return path.rename(next(place for place in places if not place.exists()))


def remove(folder: Path) -> list[Path]:
    """Remove the sealed pages of a folder, and the folder if it is empty then; what was removed."""
    gone = [path for path in sorted(folder.glob("*.ipynb")) if state(path) == "sealed"]
    for path in gone:
        path.unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()
    return gone


def _digest(page: dict[str, Any]) -> str:
    """Of everything but the seal, however the file is laid out."""
    metadata = dict(page["metadata"])
    metadata[METADATA] = {k: v for k, v in metadata.get(METADATA, {}).items() if k != SEAL}
    whole = json.dumps({**page, "metadata": metadata}, sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()


if __name__ == "__main__":
    for name in sys.argv[1:]:
        remove(Path(name))
