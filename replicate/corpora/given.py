"""What somebody names to be listened to or read: files, folders of files, and tables of both."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import soundfile

from replicate.corpora.table import read_table
from replicate.files import InputError

#: The columns of a table; it may lack one of them.
FILE, TEXT = "file", "text"


@dataclass(frozen=True)
class Given:
    """A recording, what is said in it, or both."""

    file: Path | None
    text: str | None
    place: str  # what an error names: the file, or the table's line


def gathered(paths: Sequence[Path], text: str | None = None) -> list[Given]:
    """The recordings that paths stand for: files, all in folders, all in tables (`.csv`).

    `text` is what is said in the one recording, or is all there is. `InputError` if it would be
    that of several, a folder has no recording, or a table cannot be read.
    """
    found = [one for path in paths for one in _gathered(path)]
    if text is None:
        return found
    if len(found) > 1 or any(one.text is not None for one in found):
        what = f"is one text for {len(found)} recordings"
        raise InputError("--text", what, f"give a table (.csv) with columns {FILE} and {TEXT}")
    file = found[0].file if found else None
    return [Given(file, text, str(file or "--text"))]


def _gathered(path: Path) -> Iterator[Given]:
    if path.suffix.lower() == ".csv" and not path.is_dir():
        yield from _in_table(path)
    else:
        recordings = _in_folder(path) if path.is_dir() else [path]
        yield from (Given(recording, None, str(recording)) for recording in recordings)


def _in_folder(folder: Path) -> list[Path]:
    """Recordings in a folder and below, by their endings; hidden files are other programs'."""
    endings = {f".{name.lower()}" for name in soundfile.available_formats()} | {".aif", ".oga"}
    inside = (path for path in folder.rglob("[!.]*") if path.suffix.lower() in endings)
    if not (found := sorted(path for path in inside if path.is_file())):
        raise InputError(folder, "has no recording in it", "name files, or another folder")
    return found


def _in_table(path: Path) -> Iterator[Given]:
    """The rows of a table; paths in it are relative to its own folder."""
    form = f"give a table in UTF-8: a first line with {FILE}, {TEXT} or both, a recording a line"
    columns, lines, odd = read_table(path, (), form)
    if not {FILE, TEXT} & set(columns):
        raise InputError(f"{path}:1", f"has columns {', '.join(columns) or 'none'}", form)
    if odd:
        raise InputError(odd[0].place, "is not UTF-8", form)
    for place, row, fault in lines:
        if fault:
            remedy = 'put texts with commas into quotation marks, and write " within them as ""'
            raise InputError(place, fault, remedy)
        if any(row.values()):
            file = row.get(FILE)
            yield Given(path.parent / file if file else None, row.get(TEXT), place)
