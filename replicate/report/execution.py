"""Run notebooks with papermill: each in a kernel of its own, whole or not at all."""

import ast
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

#: An executed notebook keeps what made it under this key of its metadata.
METADATA = "replicate"
#: Papermill changes the working directory, so notebooks side by side need processes; to import it
#: takes seconds, so each serves many.
PROCESSES = 2
#: Stands in the prose for a number whose runs are not there.
ABSENT = "(not run yet)"
GLUED = re.compile(r"\{glue:text\}`([^`:]+)")
TERMINAL_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class NotebookError(Exception):
    """A notebook that cannot be executed; the message says which, where and why."""


@dataclass(frozen=True)
class Job:
    """One notebook to execute.

    Attributes:
        source: the MyST half of a notebook pair.
        target: the executed `.ipynb`, replaced only by a run that succeeded.
        scratch: where a run writes while it is under way; a failed one stays there.
        parameters: values for the notebook's cell tagged `parameters`.
        key: digest of everything the result depends on.
    """

    source: Path
    target: Path
    scratch: Path
    parameters: dict[str, str] = field(default_factory=dict)
    key: str = ""

    @property
    def is_current(self) -> bool:
        """Whether the target was made by exactly this job."""
        if not self.target.exists():
            return False
        metadata = json.loads(self.target.read_text(encoding="utf-8"))["metadata"]
        return bool(metadata.get(METADATA, {}).get("key") == self.key)


JOBS = TypeAdapter(Job)


def own_parameters(notebook: Any) -> dict[str, str]:
    """The values that a notebook gives its parameters, in the cell tagged `parameters`."""
    return {
        target.id: ast.literal_eval(node.value)
        for cell in notebook.cells
        if "parameters" in cell.metadata.get("tags", [])
        for node in ast.parse(cell.source).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def execute(job: Job) -> None:
    """Execute one notebook in this process.

    Raises:
        NotebookError: a cell failed, or the notebook does not know one of the parameters.
    """
    import jupytext
    import papermill

    notebook = jupytext.read(job.source)
    _reject_unknown_parameters(job, notebook)
    job.scratch.parent.mkdir(parents=True, exist_ok=True)
    try:
        executed = papermill.execute_notebook(
            notebook,
            str(job.scratch),
            parameters=job.parameters,
            kernel_name="python3",
            language="python",
            progress_bar=False,
            cwd=str(job.source.parent),
            extra_arguments=["--log-level=50"],
        )
    except papermill.PapermillExecutionError as error:
        trace = TERMINAL_COLOURS.sub("", "\n".join(error.traceback))
        raise NotebookError(
            f"{job.source.name}: {error.ename}: {error.evalue}\n{trace}\nSo far: {job.scratch}"
        ) from None
    presentable = json.dumps(_presentable(executed, job), indent=1)
    if data := job.parameters.get("data"):
        presentable = presentable.replace(json.dumps(data)[1:-1], "PATH")
    job.scratch.write_text(presentable, encoding="utf-8")
    job.target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(job.scratch, job.target)


def execute_all(jobs: Iterable[Job], report: Callable[[Job, float], None]) -> None:
    """Execute notebooks side by side; the first that fails stops the others.

    Args:
        jobs: what to execute.
        report: told each job that succeeded, and its seconds.

    Raises:
        NotebookError: with the failed notebook's own message.
    """
    waiting = deque(jobs)
    workers = [_Worker(waiting, report) for _ in range(min(PROCESSES, len(waiting)))]
    try:
        with ThreadPoolExecutor(PROCESSES) as threads:
            for ended in as_completed([threads.submit(worker.work) for worker in workers]):
                if ended.exception():
                    _stop(workers)  # else the other threads go on
                ended.result()
    finally:
        _stop(workers)


class _Worker:
    """A process that executes one notebook after another; each has a kernel of its own."""

    def __init__(self, waiting: deque[Job], report: Callable[[Job, float], None]) -> None:
        self.waiting = waiting
        self.report = report
        self.log = tempfile.TemporaryFile()  # noqa: SIM115, closed by `stop`
        self.process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            env=_environment(),
        )

    def work(self) -> None:
        """Execute what waits until nothing does.

        Raises:
            NotebookError: a notebook failed.
        """
        while self.waiting:
            job, started = self.waiting.popleft(), time.monotonic()
            answer = self._asked(job)
            if not answer:
                raise NotebookError(self._last_words(job))
            if error := json.loads(answer):
                raise NotebookError(error)
            self.report(job, time.monotonic() - started)

    def _asked(self, job: Job) -> bytes:
        """The process's answer; none if it has ended."""
        assert self.process.stdin and self.process.stdout
        try:
            self.process.stdin.write(JOBS.dump_json(job) + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return b""
        return self.process.stdout.readline()

    def _last_words(self, job: Job) -> str:
        """Of a process that ended without an answer."""
        code = self.process.wait()
        self.log.seek(0)
        said = self.log.read().decode(errors="replace").strip()
        return f"{job.source.name}: its process ended with {code}\n{said}".strip()

    def stop(self) -> None:
        """End the process, if it is still there; its kernel follows by itself."""
        self.waiting.clear()
        self.process.terminate()
        self.process.wait()
        self.log.close()


def _stop(workers: Iterable[_Worker]) -> None:
    for worker in workers:
        worker.stop()


def _environment() -> dict[str, str]:
    """This process's environment, with the package importable and one thread a notebook."""
    package = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    return {
        "OMP_NUM_THREADS": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        **os.environ,
        "PYTHONPATH": path,
    }


def _reject_unknown_parameters(job: Job, notebook: Any) -> None:
    """Papermill only warns; a misspelt parameter would silently give the default's numbers."""
    known = own_parameters(notebook)
    unknown = sorted(set(job.parameters) - set(known))
    if unknown:
        raise NotebookError(
            f"{job.source.name}: unknown parameter {', '.join(unknown)}; its cell tagged "
            f"`parameters` has {', '.join(sorted(known)) or 'none'}"
        )


def _presentable(notebook: Any, job: Job) -> Any:
    """An executed notebook without machine paths, times and forms that the web cannot show."""
    notebook.metadata.pop("papermill", None)
    notebook.metadata[METADATA] = {
        **notebook.metadata.get(METADATA, {}),
        "key": job.key,
        "parameters": job.parameters,
    }
    _fill_in(notebook)
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        tags = cell.metadata.get("tags", [])
        if {"parameters", "injected-parameters"} & set(tags):
            cell.metadata["tags"] = [*tags, "remove-cell"]
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "text/html" in data:  # JupyterLab's form of the same figure
                data.pop("application/vnd.plotly.v1+json", None)
                page = "".join(data["text/html"])
                data["text/html"] = re.sub(r'(<a href="\d\d_\w+)\.ipynb"', r'\1.html"', page)
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
        prefix = "application/papermill.record/"
        metadata = {"scrapbook": {"mime_prefix": prefix, "name": name}}
        data = {f"{prefix}text/plain": repr(ABSENT)}
        output = {"output_type": "display_data", "data": data, "metadata": metadata}
        code[0].outputs.append(output)


def main() -> None:
    """Execute the jobs that come as lines of JSON, and answer each with its error or null."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no answer
    for line in sys.stdin:
        try:
            execute(JOBS.validate_json(line))
            answer = None
        except NotebookError as error:
            answer = str(error)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
