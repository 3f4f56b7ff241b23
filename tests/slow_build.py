"""A build that takes its time, in a module that worker processes import in no time."""

from pathlib import Path

from replicate.files import build_once


def build_slowly(folder: Path) -> None:
    """Fifty files, and an `x` in a log beside the cache."""
    with (folder.parents[1] / "builds.log").open("a") as log:
        log.write("x")
    for number in range(50):
        (folder / f"{number}.txt").write_text("x" * number)


def is_whole(folder: Path) -> bool:
    """Whether the last file is there to its end."""
    return (folder / "49.txt").is_file() and (folder / "49.txt").stat().st_size == 49


def files_seen(folder: Path) -> int:
    """How many files a process finds in the folder, built before or by itself."""
    return len(list(build_once(folder, build_slowly, is_whole).iterdir()))
