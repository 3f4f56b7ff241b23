"""SIGTERM ends a program as Ctrl-C does, and nothing that it started outlives it."""

import os
import signal
import tempfile
import threading
import time
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
