"""What somebody names to be listened to or read: files, folders of files, and tables of both."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import soundfile

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
    found = [one for path in paths for one in _one_or_more(path)]
    if text is None:
        return found
    if len(found) > 1 or any(one.text is not None for one in found):
        what = f"is one text for {len(found)} recordings"
        raise InputError("--text", what, f"give a table (.csv) with columns {FILE} and {TEXT}")
    file = found[0].file if found else None
    return [Given(file, text, str(file or "--text"))]


def _one_or_more(path: Path) -> Iterator[Given]:
    if path.is_dir():
        yield from _in_folder(path)
    elif path.suffix.lower() == ".csv":
        yield from _in_table(path)
    else:
        yield Given(path, None, str(path))


def _in_folder(folder: Path) -> Iterator[Given]:
    """Recordings in a folder and below, by their endings; hidden files are other programs'."""
    endings = {f".{name.lower()}" for name in soundfile.available_formats()} | {".aif", ".oga"}
    found = [
        path
        for path in sorted(folder.rglob("[!.]*"))
        if path.suffix.lower() in endings and path.is_file()
    ]
    if not found:
        raise InputError(folder, "has no recording in it", "name files, or another folder")
    yield from (Given(path, None, str(path)) for path in found)


def _in_table(path: Path) -> Iterator[Given]:
    """The rows of a table; paths in it are relative to its own folder."""
    remedy = f"a table has a first line with {FILE}, {TEXT} or both, and a recording a line"
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            rows = csv.reader(lines, strict=True)
            names = next(rows, [])
            if not {FILE, TEXT} & set(names) or len(set(names)) < len(names):
                raise InputError(f"{path}:1", f"has columns {', '.join(names) or 'none'}", remedy)
            for row in rows:
                place = f"{path}:{rows.line_num}"
                if any("\n" in cell or "\r" in cell for cell in row):
                    what = "a quotation mark runs over the end of a line"
                    raise InputError(place, what, 'write " within a text as ""')
                if row and len(row) != len(names):
                    what = f"has {len(row)} cells where the first line has {len(names)}"
                    raise InputError(place, what, "put texts with commas into quotation marks")
                if any(row):
                    yield _of_row(dict(zip(names, row, strict=True)), path.parent, place)
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror}", "name another file") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(path, f"is no table of text in UTF-8 ({error})", remedy) from error


def _of_row(row: dict[str, str], folder: Path, place: str) -> Given:
    file = row.get(FILE, "").strip()
    return Given(folder / file if file else None, row.get(TEXT), place)
