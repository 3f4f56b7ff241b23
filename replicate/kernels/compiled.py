"""Kernels compiled by Numba: how they are compiled, kept on disk, and shared among threads.

A kernel is a Python function over NumPy arrays that Numba turns into machine code when it is
first called. Kernels here are plain sequential loops that release the interpreter's lock; those
that do bulk work take the range `first, last` of work items that they shall do, and `share_out`
calls them from several threads. Each item writes its own place in the output, so the result is
the same to the bit for every number of threads. With one thread no thread is ever started, so
that processes may be forked freely.
"""

import functools
import itertools
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch
from numba import config, njit
from numba.core import event
from numba.core.codegen import get_host_cpu_features

Function = TypeVar("Function", bound=Callable[..., Any])

# Sums may be reordered and fused, which is what lets them use SIMD lanes. NaN and infinity keep
# their meaning, so that a diverged model shows. Numba does not notice a change of these options:
# after changing them, empty the cache.
_OPTIONS: dict[str, Any] = {
    "fastmath": {"reassoc", "contract", "arcp", "nsz"},
    "error_model": "numpy",
    "nogil": True,
}

_PIECES_PER_THREAD = 4


def kernel(function: Function) -> Function:
    """Compile `function` on its first call, and keep the machine code on disk if possible.

    Numba keeps it in `$NUMBA_CACHE_DIR`, or in `__pycache__` beside the module, or in the
    user's cache folder. Where none of them can be written to, each process compiles anew.
    """
    try:
        return njit(cache=True, **_OPTIONS)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # no folder to keep it in
        return njit(**_OPTIONS)(function)  # type: ignore[no-any-return]


def share_out(compiled: Callable[..., None], items: int, *arguments: object) -> None:
    """Do `compiled(0, items, *arguments)` in `torch.get_num_threads()` threads.

    Threads take pieces of the range as they become free, so that a core which is busy with
    something else does less of the work. PyTorch's own OpenMP threads are busy, too: by default
    they spin for milliseconds after each of their operations. Where several threads are wanted,
    start Python with OMP_WAIT_POLICY=PASSIVE.

    A kernel's first two arguments are the range of items that it shall do.
    """
    threads = torch.get_num_threads()
    if threads == 1:
        compiled(0, items, *arguments)
        return
    pieces = min(items, threads * _PIECES_PER_THREAD)
    bounds = [items * piece // pieces for piece in range(pieces + 1)]
    pool = _pool(threads, os.getpid())
    work = [
        pool.submit(compiled, first, last, *arguments) for first, last in itertools.pairwise(bounds)
    ]
    for piece in work:
        piece.result()


@functools.cache
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """The threads of this process: a forked child does not inherit its parent's."""
    return ThreadPoolExecutor(threads)


class _Announcement(event.Listener):
    """One line on stderr when the first of our kernels has to be compiled."""

    made = False

    def on_start(self, event: Any) -> None:
        dispatcher = event.data["dispatcher"]
        if self.made or not dispatcher.py_func.__module__.startswith("replicate."):
            return
        self.made = True
        folder = dispatcher.stats.cache_path
        kept = (
            f"once, then kept in {folder}"
            if folder
            else "in each process: no cache folder can be written to (set NUMBA_CACHE_DIR to one)"
        )
        print(f"Compiling the CPU kernels, about 15 seconds ({kept}) ...", file=sys.stderr)

    def on_end(self, event: Any) -> None:
        pass


def leave_announcement() -> None:
    """Let another process say that kernels are compiled."""
    _Announcement.made = True


def _use_whole_registers() -> None:
    """Use 512-bit registers whole where the CPU has them.

    On Intel's CPUs the compiler by default uses half of each; the kernels gain a sixth by this.
    """
    features = get_host_cpu_features()  # type: ignore[no-untyped-call]
    if config.CPU_FEATURES is None and "+avx512f" in features.split(","):  # type: ignore[attr-defined]
        config.CPU_FEATURES = f"{features},-prefer-256-bit"  # type: ignore[attr-defined]


_use_whole_registers()
event.register("numba:compile", _Announcement())  # type: ignore[no-untyped-call]
