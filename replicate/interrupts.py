"""How a program ends early: by SIGTERM as by Ctrl-C, or by an error that nobody foresaw.

Nothing that it started outlives it.
"""

import importlib.metadata
import os
import platform
import shlex
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import FrameType
from typing import Any

#: Exit codes, as shells have them: 128 and the signal's number.
INTERRUPTED, TERMINATED = 130, 143


class Terminated(KeyboardInterrupt):
    """SIGTERM came."""


def exit_code(error: KeyboardInterrupt) -> int:
    """What a program ends with that was interrupted or terminated."""
    return TERMINATED if isinstance(error, Terminated) else INTERRUPTED


def report(error: Exception) -> str:
    """A line on an error that nobody foresaw, and in a temporary file all for those who mend it.

    Where that cannot be written, it follows the line.
    """
    version = importlib.metadata.version("lima-bak-replication")
    made_by = f"version {version}, Python {platform.python_version()} on {platform.platform()}"
    content = "\n".join([shlex.join(sys.argv), made_by, "", *traceback.format_exception(error)])
    told = f"Error: unexpected {type(error).__name__}: {' '.join(str(error).split())}"
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="replicate-report-", suffix=".txt", errors="backslashreplace", delete=False
        ) as file:
            file.write(content)
    except OSError as problem:
        return f"{told}\n  -> no report could be written ({problem}):\n{content}"
    return f"{told}\n  -> please report it with {file.name}"


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Within, SIGTERM raises `Terminated`, once: a second one does not disturb the clearing up.

    Outside the main thread, which alone may handle signals, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ignore(number: int, frame: FrameType | None) -> None:
        """Unlike SIG_IGN, this is not handed on to the programs that are started meanwhile."""

    def terminate(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, ignore)
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def worker_options() -> dict[str, Any]:
    """Options of `joblib.Parallel` for processes that end with this one.

    No array is shared, so no folder is made in shared memory that a kill would leave there.
    """
    nothing_shared = {"max_nbytes": None, "temp_folder": tempfile.gettempdir()}
    return {"initializer": end_with, "initargs": (os.getpid(),), **nothing_shared}


def end_with(parent: int) -> None:
    """Let this process end when the process `parent` has, even by SIGKILL, of which no one hears.

    Nothing happens in `parent` itself, and in a process that watches already.
    """
    if os.getpid() != parent:
        _watch(parent)


@cache
def _watch(parent: int) -> None:
    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(TERMINATED)

    threading.Thread(target=watch, name="watch the parent", daemon=True).start()
