"""Kernels of the Python that builds, whatever others a machine knows; none outlives its build.

All that a kernel writes for itself lies in a folder of the build's, so a home need not be writable.
"""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

#: The processes of the kernels that were started.
STARTED: list[subprocess.Popen[bytes]] = []


class Kernel(AsyncKernelManager):
    """A kernel of this Python, with the files of its connection in `$JUPYTER_RUNTIME_DIR`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        place = Path(os.environ["JUPYTER_RUNTIME_DIR"]) / f"kernel-{uuid.uuid4()}.json"
        self.connection_file = str(place)

    @property
    def kernel_spec(self) -> KernelSpec:
        """Of this Python; a machine's own `python3` may be another one, without the package."""
        return KernelSpec(**get_kernel_dict())

    async def start_kernel(self, **kwargs: Any) -> None:  # type: ignore[override]
        """Start it, and remember its process."""
        await super().start_kernel(**kwargs)
        STARTED.append(self.provisioner.process)  # type: ignore[union-attr]


@contextmanager
def kernels_in(folder: Path) -> Iterator[None]:
    """Let kernels keep their files in a folder; at the end none of them runs any more.

    A kernel leads a group of its own, so what it started ends with it. After SIGKILL, kernels find
    by themselves within a second that their build has gone.
    """
    package = str(Path(__file__).resolve().parents[2])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    os.environ["JUPYTER_RUNTIME_DIR"] = os.environ["IPYTHONDIR"] = str(folder)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    try:
        yield
    finally:
        for process in STARTED:
            if process.poll() is None:
                if sys.platform == "win32":
                    process.kill()
                else:
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        STARTED.clear()
