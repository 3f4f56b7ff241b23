"""Text files of unknown origin: any line ending, UTF-8 or the Windows code page."""

from pathlib import Path

from replicate.corpora.table import Problem


def read_lines(path: Path) -> tuple[list[str], list[Problem]]:
    """The lines of a text file without their endings, and what was odd about them.

    A file that cannot be read gives no lines and one `damaged` problem; a line that is not UTF-8
    is read as Windows-1252 (a superset of Latin-1's printable characters) and noted.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
        return [], [Problem(str(path), what, "restore the file from the corpus", "damaged")]
    if b"\0" in content:
        what = "is no text file (it holds zero bytes)"
        return [], [Problem(str(path), what, "restore the file from the corpus", "damaged")]
    lines, problems = [], []
    content = content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    for number, raw in enumerate(content.split(b"\n"), start=1):
        try:
            lines.append(raw.decode("utf-8"))
        except UnicodeDecodeError:
            lines.append(raw.decode("cp1252", errors="replace"))
            problems.append(
                Problem(
                    f"{path}:{number}",
                    "is not UTF-8; read as Windows-1252",
                    "none needed; look at the line if its text matters",
                    "note",
                )
            )
    return lines, problems
