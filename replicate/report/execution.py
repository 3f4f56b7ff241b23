"""Run notebooks with papermill: each in a kernel of its own, whole or not at all.

Kernels are of the Python that builds, whatever others a machine knows; none outlives its build. All
that a kernel writes for itself lies in a folder of the build's, so a home need not be writable.
"""

import contextlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import jupytext
import papermill
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from sphinx.util import logging

from replicate.report.page import HERE
from replicate.report.sealed import METADATA, Job, NotebookError, sealed

LOG = logging.getLogger(__name__)
#: How many notebooks run side by side.
KERNELS = 2
#: How often a kernel is started for a notebook before it is given up.
STARTS = 3
#: Stands in the prose for a number whose runs are not there.
ABSENT = "(not run yet)"
GLUED = re.compile(r"\{glue:text\}`([^`:]+)")
#: Before the kinds of what is glued.
GLUE = "application/papermill.record/"
LINK = re.compile(r'<a href="(\d\d_\w+)\.ipynb"')
CELL = re.compile(rf"(Cell <code>(\w+)</code> of ){HERE}")
TERMINAL_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
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
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        STARTED.clear()


def execute(job: Job) -> str:
    """Execute one notebook in the working directory, and say how long it took.

    `NotebookError` if a cell fails, or the kernel ends.
    """
    started = time.monotonic()
    job.scratch.parent.mkdir(parents=True, exist_ok=True)
    presentable = json.dumps(_presentable(_executed(job), job))
    if data := job.parameters.get("data"):
        presentable = presentable.replace(json.dumps(data)[1:-1], "PATH")
    job.scratch.write_text(sealed(json.loads(presentable)), encoding="utf-8")
    job.target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(job.scratch, job.target)
    return f"  {job.source.stem}: {time.monotonic() - started:.1f} s"


def _executed(job: Job) -> Any:
    """The notebook after its run, which begins anew where a kernel ends before the first cell.

    It does where another program takes one of its ports between their choice and their use.
    """
    begun: list[str] = []  # the sources of cells
    for start in itertools.count(1):
        try:
            return papermill.execute_notebook(
                jupytext.read(job.source),
                str(job.scratch),
                parameters=job.parameters,
                kernel_name="python3",
                language="python",
                progress_bar=False,
                request_save_on_cell_execute=False,  # saved at the end, and where a cell fails
                extra_arguments=["--log-level=50"],
                kernel_manager_class=Kernel,
                on_cell_start=lambda cell, cell_index: begun.append(cell.source),
            )
        except papermill.PapermillExecutionError as error:
            trace = TERMINAL_COLOURS.sub("", "\n".join(error.traceback))
            raise NotebookError(
                f"{_place(job, error.source)}: {error.ename}: {error.evalue}\n{trace}\n"
                f"So far: {job.scratch}"
            ) from None
        except RuntimeError as error:  # of nbclient: the kernel died
            if begun:
                raise NotebookError(
                    f"{_place(job, begun[-1])}: {error}, in this cell:\n{begun[-1]}\n"
                    "  -> the system ends a kernel for want of memory: close other programs, then "
                    "build again; pages that are finished are kept"
                ) from None
            if start == STARTS:
                raise NotebookError(
                    f"{job.source.name}: {error}, before the first cell, {STARTS} times\n"
                    f"  -> `{sys.executable} -m ipykernel_launcher` says why no kernel starts"
                ) from None


def _place(job: Job, cell: str) -> str:
    """`NN_name.md:LINE`, the line on which a cell's source begins, where it is in the file."""
    before, found, _ = job.source.read_text(encoding="utf-8").partition(cell)
    return f"{job.source.name}:{before.count(chr(10)) + 1}" if found else job.source.name


def execute_all(jobs: Sequence[Job], folder: Path) -> None:
    """Execute the notebooks of a folder side by side; the first that fails ends it all.

    Kernels keep their files in `folder`.
    """
    # threads suffice, since a kernel is a process; but papermill must not change their folder
    with (
        kernels_in(folder),
        contextlib.chdir(jobs[0].source.parent),
        ThreadPool(KERNELS) as pool,
    ):
        for told in pool.imap_unordered(execute, jobs):
            LOG.info(told)


def _presentable(notebook: Any, job: Job) -> Any:
    """An executed notebook without machine paths, times and forms that the web cannot show."""
    notebook.metadata.pop("papermill", None)
    notebook.metadata[METADATA] = {
        **notebook.metadata.get(METADATA, {}),
        "key": job.key,
        "parameters": job.parameters,
    }
    _fill_in(notebook)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"  # Jupytext draws them, and the same page has the same bits
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        tags = cell.metadata.get("tags", [])
        if {"parameters", "injected-parameters"} & set(tags):
            cell.metadata["tags"] = [*tags, "remove-cell"]
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            # what is glued is shown by a page that lies beside the folder of notebooks
            for kind, folder in (("text/html", ""), (f"{GLUE}text/html", "notebooks/")):
                if kind in data:
                    text = LINK.sub(rf'<a href="{folder}\1.html"', "".join(data[kind]))
                    page = job.source.stem
                    link = rf'\1<a href="{folder}{page}.html#exhibit-\2">{page}.ipynb</a>'
                    data[kind] = CELL.sub(link, text)
    return notebook


def _fill_in(notebook: Any) -> None:
    """Give every number that the prose names and no cell made the text `ABSENT`."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    made = {
        output.metadata["scrapbook"]["name"]
        for cell in code
        for output in cell.outputs
        if "scrapbook" in output.get("metadata", {})
    }
    for name in sorted(set(GLUED.findall(text)) - made):
        metadata = {"scrapbook": {"mime_prefix": GLUE, "name": name}}
        data = {f"{GLUE}text/plain": repr(ABSENT)}
        output = {"output_type": "display_data", "data": data, "metadata": metadata}
        code[0].outputs.append(output)
