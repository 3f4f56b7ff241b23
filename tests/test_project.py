"""The project's own promises: lock, environment, notebook pairs, and how notebooks are run."""

import ast
import contextlib
import importlib.metadata
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import tomllib
import traceback
from pathlib import Path
from unittest.mock import patch

import click
import jupytext
import numpy as np
import psutil
import pytest
import soundfile
import trees
import yaml
from click.testing import CliRunner
from jupytext.compare import compare_notebooks
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import replicate
from replicate.__main__ import main
from replicate.files import InputError
from replicate.report import execution, halves, sealed, sphinx_ext
from replicate.report.execution import kernels_in
from replicate.runs.store import REPORTS

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.md"))


def requirements(*extras: str) -> list[Requirement]:
    lines = [*PROJECT["dependencies"]]
    for extra in extras or PROJECT["optional-dependencies"]:
        lines += PROJECT["optional-dependencies"][extra]
    return [Requirement(line) for line in lines]


def locked() -> dict[str, list[Requirement]]:
    """Distribution -> its lines in the lock; there may be one for each Python version."""
    found: dict[str, list[Requirement]] = {}
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        if not line.startswith(" "):
            requirement = Requirement(line.rstrip("\\ "))
            found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return found


# --- lock and environments ---


def test_lock_satisfies_every_requirement_of_the_project() -> None:
    lock = locked()
    for requirement in requirements():
        versions = [
            next(iter(line.specifier)).version for line in lock[canonicalize_name(requirement.name)]
        ]
        assert all(requirement.specifier.contains(version) for version in versions), requirement


def test_lock_pins_and_hashes_everything_and_names_no_source() -> None:
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text and "--index" not in text and "--find-links" not in text
    for entry in re.split(r"\n(?=\S)", text.strip()):
        assert re.match(r"[\w.-]+(\[[\w, -]+\])?==[\w.]+ ", entry), entry
        assert "--hash=sha256:" in entry, entry


def test_conda_environment_is_the_lock() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, _, pip = environment["dependencies"]
    supported = Requirement(f"python{PROJECT['requires-python']}").specifier
    assert supported.contains(python.removeprefix("python=")), python
    assert pip == {"pip": ["-r requirements.lock"]}
    assert environment["name"] == PROJECT["name"]


def test_every_import_is_a_declared_dependency() -> None:
    provided = importlib.metadata.packages_distributions()
    declared = {
        canonicalize_name(requirement.name) for requirement in requirements("glove", "cluster")
    }
    # Jupyter Book's own
    declared |= {"docutils", "ipython", "jupyter-client", "myst-nb", "pybtex", "sphinx"}
    for path in (ROOT / "replicate").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in {name.partition(".")[0] for name in names} - {"replicate"}:
                if name not in sys.stdlib_module_names:
                    sources = {canonicalize_name(source) for source in provided.get(name, [name])}
                    assert sources & declared, f"{path.name} imports {name}"


def test_citation_has_the_version_and_the_paper() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"]
    assert citation["references"][0]["doi"] == "10.1145/3297067.3297089"


# --- published in one step ---


def workflow_steps() -> list[dict[str, object]]:
    paths = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
    made = [yaml.safe_load(path.read_text()) for path in paths]
    return [step for one in made for job in one["jobs"].values() for step in job["steps"]]


def test_workflows_take_actions_by_hash() -> None:
    used = [str(step["uses"]) for step in workflow_steps() if "uses" in step]
    assert used and all(re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", name) for name in used)


#: Of an environment: what each is called with is written down, and nothing else is done.
PROGRAMS = ("python", "jupyter-book", "jupyter", "replicate", "ruff", "mypy")
NOTE = '#!/bin/sh\necho "${0##*/} $*" >> "$CALLS"\n'


class Clone:
    """A clean clone of what git has, on a machine whose programs only note their arguments."""

    def __init__(self, folder: Path) -> None:
        self.root, self.calls, machine = folder / "clone", folder / "calls", folder / "machine"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(self.root)], check=True)
        assert not (self.root / ".venv").is_symlink(), "its programs would be overwritten"
        machine.mkdir()
        for name in ("chromium", "chromedriver"):
            self.program(machine / name, NOTE)
        self.program(machine / "note", NOTE)
        copies = "\n".join(f"  cp {machine}/note .venv/bin/{name}" for name in PROGRAMS)
        made = f'if [ "$1 $2" = "-m venv" ]; then\n  mkdir -p "$3/bin"\n{copies}\nfi\n'
        self.program(machine / "python3.11", NOTE + made)
        self.environment = {
            "PATH": f"{machine}:/usr/bin:/bin",
            "HOME": str(folder),
            "CALLS": str(self.calls),
        }

    @staticmethod
    def program(path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o755)

    def run(self, line: str) -> tuple[str, list[list[str]]]:
        """Run a line as a runner of GitHub does; what it prints, and the calls that it made."""
        self.calls.write_text("")
        command = ["bash", "-e", "-o", "pipefail", "-c", line]
        done = subprocess.run(
            command, cwd=self.root, env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
        return done.stdout, [call.split() for call in self.calls.read_text().splitlines()]

    def require_sense(self, calls: list[list[str]]) -> None:
        """Raise unless programs know what they were called with, and the files named are there."""
        from jupyter_book.cli.main import main as jupyter_book  # seconds, for these tests only

        for program, *arguments in calls:
            if command := {"replicate": main, "jupyter-book": jupyter_book}.get(program):
                while isinstance(command, click.Group):
                    name, *arguments = arguments
                    command = command.commands[name]
                command.make_context(name, arguments)
            for named in arguments:
                if "/" in named or named.endswith((".lock", ".py")):
                    assert Path(self.root, named).exists(), f"{program} {arguments}"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    if not (ROOT / ".git").exists():
        pytest.skip("no checkout of git")
    return Clone(tmp_path_factory.mktemp("clean"))


def test_every_line_of_a_workflow_runs_in_a_clean_clone(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Make and the scripts are run; what takes minutes is what CI itself is for."""
    monkeypatch.chdir(clone.root)
    lines = [str(step["run"]) for step in workflow_steps() if "run" in step]
    (nightly,) = {*lines} - {".ci/run", "make book"}
    for line in lines:
        shutil.rmtree(clone.root / ".venv", ignore_errors=True)
        printed, calls = clone.run(line)
        clone.require_sense(calls)
        told = [" ".join(call) for call in calls]
        assert told[1] == "python -m pip install --require-hashes -r requirements.lock"
        if line == "make book":
            assert told[-1] == "jupyter-book build book/"
            (path,) = (s["with"]["path"] for s in workflow_steps() if "path" in s.get("with", {}))
            assert f"file://{clone.root}/{path}/index.html" in printed, "what is published"
        elif line == nightly:
            assert told[-1] == "python benchmarks/kills.py 10 0", "no number of a run here"
        else:
            assert {call[0] for call in calls} >= {"ruff", "mypy", "replicate", "jupyter-book"}
            assert told[-1] == "python -m pytest"


def test_a_development_container_makes_the_environment_and_opens_the_notebooks(
    clone: Clone,
) -> None:
    made = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    shutil.rmtree(clone.root / ".venv", ignore_errors=True)
    clone.run(made["postCreateCommand"])
    _, calls = clone.run(made["postAttachCommand"])
    (opened,) = calls
    assert opened[:2] == ["jupyter", "lab"] and opened[-1] == "notebooks"
    assert str(made["forwardPorts"][0]) in opened


# --- notebooks ---


@pytest.mark.parametrize("text", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_pairs(text: Path) -> None:
    compare_notebooks(jupytext.read(text.with_suffix(".ipynb")), jupytext.read(text), fmt="md:myst")


@pytest.mark.parametrize("text", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_hold_no_outputs(text: Path) -> None:
    for cell in jupytext.read(text.with_suffix(".ipynb")).cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None


@pytest.mark.parametrize("text", NOTEBOOKS, ids=lambda path: path.stem)
def test_numbers_for_the_prose_are_not_shown_themselves(text: Path) -> None:
    for cell in jupytext.read(text).cells:
        said = cell.cell_type == "code" and ast.parse(cell.source).body[-1:]
        if said and ast.unparse(said[0]).startswith("page.say("):
            assert "remove-cell" in cell.metadata.get("tags", []), cell.source


def test_no_notebook_lacks_its_half_or_its_place_in_the_contents() -> None:
    halves = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert halves == {path.stem for path in NOTEBOOKS}
    contents = (ROOT / "book" / "_toc.yml").read_text()
    assert {stem for stem in halves if f"notebooks/{stem}\n" not in contents} == set()


# --- the Makefile ---


TEXTS = [*NOTEBOOKS, *sorted((ROOT / "book").glob("*.md")), *sorted(ROOT.glob("*.md"))]


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.stem)
def test_files_named_in_the_text_are_there(text: Path) -> None:
    named = re.findall(r"`((?:replicate|tests|benchmarks)/[\w./]+\.\w+)`", text.read_text())
    assert [n for n in named if "NAME" not in n and not (ROOT / n).exists()] == []


def test_a_pdf_that_was_not_printed_is_told_and_the_old_one_stays(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for name in ("requirements.lock", "pyproject.toml", ".venv/.ready"):
        (tmp_path / name).touch()
    (tmp_path / ".venv" / "bin" / "jupyter-book").symlink_to("/bin/true")
    report = tmp_path / "book" / "_build" / "report.pdf"
    report.parent.mkdir(parents=True)
    report.write_text("old")
    browser = tmp_path / "browser"
    for script, told in (("exit 0", "nothing"), ("echo no display >&2; exit 3", "no display")):
        browser.write_text(f"#!/bin/sh\n{script}\n")
        browser.chmod(0o755)
        done = subprocess.run(
            ["make", "pdf", f"CHROMIUM={browser}"], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode != 0 and told in done.stdout + done.stderr
        assert report.read_text() == "old"
    browser.write_text(
        "#!/bin/sh\nfor a; do case $a in --print-to-pdf=*) echo %PDF-1 >${a#*=}; esac; done"
    )
    done = subprocess.run(["make", "pdf", f"CHROMIUM={browser}"], cwd=tmp_path, check=True)
    assert report.read_text() == "%PDF-1\n"


# --- the extension, on a small book ---

NOTEBOOK = """\
---
jupytext:
  formats: ipynb,md:myst
  text_representation: {{extension: .md, format_name: myst}}
kernelspec: {{name: python3, display_name: Python 3, language: python}}
---

# Page {name}

```{{code-cell}}
:tags: [parameters]

corpus = "standin-quick"
profile = "quick"
data = ""
```

```{{code-cell}}
{code}
```
"""


class SmallBook:
    """Two notebooks and a corpus of two recordings, outside any git checkout."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.book = root / "book"
        self.corpus = root / "emodb" / "wav"
        for folder in (self.book, root / "notebooks", root / "results", self.corpus):
            folder.mkdir(parents=True)
        for speaker in ("03", "08"):
            noise = np.random.default_rng(0).normal(0, 0.1, 8000)
            soundfile.write(self.corpus / f"{speaker}a01Wa.wav", noise, 16000, subtype="PCM_16")
        (self.book / "_config.yml").write_text(
            yaml.safe_dump(
                {
                    "title": "A small book",
                    "only_build_toc_files": True,
                    "execute": {"execute_notebooks": "off"},
                    "sphinx": {"extra_extensions": ["replicate.report.sphinx_ext"]},
                }
            )
        )
        (self.book / "_toc.yml").write_text(
            "format: jb-book\nroot: intro\n"
            "chapters: [{file: notebooks/01_one}, {file: notebooks/02_two}]\n"
        )
        (self.book / "intro.md").write_text(
            "# Intro\n\nThe number is {glue:text}`notebooks/01_one.ipynb::number:s`.\n"
        )
        self.write("01_one", "from myst_nb import glue\nglue('number', 'seven', display=False)")
        self.write("02_two", "corpus")
        self.environment = {
            **os.environ,
            "REPLICATE_CORPUS": "emodb",
            "REPLICATE_DATA": str(self.corpus.parent),
            "REPLICATE_CACHE": str(root / "cache"),
            "JUPYTER_PATH": str(root / "share"),
        }
        kernel = root / "share" / "kernels" / "python3"  # as a user may have of another Python
        kernel.mkdir(parents=True)
        spec = {"argv": ["false", "{connection_file}"], "display_name": "x", "language": "python"}
        (kernel / "kernel.json").write_text(json.dumps(spec))

    def write(self, name: str, code: str) -> None:
        text = NOTEBOOK.format(name=name, code=textwrap.dedent(code))
        (self.root / "notebooks" / f"{name}.md").write_text(text)

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [Path(sys.executable).parent / "jupyter-book", "build", "-W", "--keep-going", "book"],
            cwd=self.root,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # a shell's background jobs ignore SIGINT, and so would their children
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def build_apart(self) -> tuple[int, str]:
        """In a process of its own, as a user does."""
        process = self.start()
        output, _ = process.communicate(timeout=120)
        return process.returncode, output

    def build(self, folder: str = "book") -> tuple[int, str]:
        """In this process, where Jupyter Book's imports are paid once."""
        from jupyter_book.cli.main import main as jupyter_book  # seconds, for these tests only

        with contextlib.chdir(self.root), patch.dict(os.environ, self.environment, clear=True):
            done = CliRunner().invoke(jupyter_book, ["build", "-W", "--keep-going", folder])
        raised = done.exc_info if not isinstance(done.exception, SystemExit | None) else None
        trace = "".join(traceback.format_exception(*raised)) if raised else ""
        return done.exit_code, done.output + trace

    def page(self, name: str) -> str:
        return (self.book / "_build" / "html" / f"{name}.html").read_text()

    def executed(self) -> set[str]:
        return {path.name for path in (self.book / "notebooks").glob("*")}


@pytest.fixture
def small_book(tmp_path: Path) -> SmallBook:
    return SmallBook(tmp_path)


def test_build_executes_what_is_missing_or_stale_and_no_more(small_book: SmallBook) -> None:
    notebooks = small_book.book / "notebooks"
    mine, gone = notebooks / "99_mine.ipynb", notebooks / "09_has-no-source.ipynb"
    notebooks.mkdir()
    page = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    mine.write_text(json.dumps(page))
    gone.write_text(sealed.sealed(page))
    code, output = small_book.build()
    assert code == 0, output
    assert "2 to execute" in output
    assert small_book.executed() == {"01_one.ipynb", "02_two.ipynb", "99_mine.ipynb"}
    assert "Corpus: EmoDB" in small_book.page("notebooks/02_two")
    assert "'emodb'" in small_book.page("notebooks/02_two").replace("&#39;", "'")
    assert "EmoDB" in small_book.page("intro")
    assert str(small_book.root / "notebooks") not in small_book.page("notebooks/01_one")

    built = small_book.page("intro")
    html = small_book.book / "_build" / "html"
    (html / "intro.html").write_text(built[:100])  # as a kill leaves it, newer than its source
    (html / ".unfinished").touch()
    code, output = small_book.build()
    assert code == 0 and "0 to execute" in output, output
    assert small_book.page("intro")[-1000:] == built[-1000:], "a page that a kill cut short stayed"
    assert not (html / ".unfinished").exists()

    small_book.write("01_one", "from myst_nb import glue\nglue('number', 'eight', display=False)")
    half = (notebooks / "02_two.ipynb").read_text()[:100]
    (notebooks / "02_two.ipynb").write_text(half)
    (small_book.book / "_build" / ".doctrees" / "intro.doctree").write_bytes(b"")
    (html / ".unfinished").touch()
    code, output = small_book.build_apart()  # what is glued is kept for the life of a process
    assert code == 0 and "2 to execute" in output, output
    assert "eight" in small_book.page("intro"), "a number glued on another page went stale"
    assert "02_two.ipynb: damaged" in output and "read anew" in output
    assert (notebooks / "02_two.ipynb.damaged").read_text() == half
    assert json.loads(mine.read_text()) == page

    assert sealed.remove(notebooks) == [notebooks / "01_one.ipynb", notebooks / "02_two.ipynb"]
    assert small_book.executed() == {"02_two.ipynb.damaged", "99_mine.ipynb"}


def test_pages_of_others_stop_the_build_before_anything_is_done(small_book: SmallBook) -> None:
    theirs = small_book.book / "notebooks" / "02_two.ipynb"
    theirs.parent.mkdir()
    made = json.loads(sealed.sealed({"cells": [], "metadata": {}}))
    theirs.write_text(json.dumps({**made, "cells": ["an edit"]}))
    before = theirs.read_text()
    code, output = small_book.build()
    assert code == 1 and "02_two.ipynb" in output and "Traceback" not in output
    assert theirs.read_text() == before and small_book.executed() == {"02_two.ipynb"}


@pytest.mark.parametrize("folder", [".", "notebooks"])
def test_another_folder_than_the_book_s_is_one_error_and_stays_as_it_was(
    small_book: SmallBook, folder: str
) -> None:
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(ROOT / name, small_book.root)
        shutil.copy(ROOT / name, small_book.root / "notebooks")
    (small_book.root / "README.md").write_text("# Read me\n")
    (small_book.root / "notebooks" / "01_one.ipynb").write_text("{}")
    before = sorted(small_book.root.rglob("*"))
    code, output = small_book.build(folder)
    assert code == 1 and "jupyter-book build" in output and "Traceback" not in output
    assert str(small_book.book) in output
    assert sorted(small_book.root.rglob("*")) == before


def test_halves_of_a_notebook_that_differ_are_told(tmp_path: Path) -> None:
    for text in NOTEBOOKS[:2]:
        shutil.copy(text, tmp_path)
    text = tmp_path / NOTEBOOKS[0].name
    half = text.with_suffix(".ipynb")
    assert halves.complaint(text) is None, "the other half is not there"
    for source in NOTEBOOKS:
        assert halves.complaint(source) is None
    notebook = jupytext.read(text)
    kinds = ["edited", "longer", "shorter", "retold"]
    for kind in kinds:
        other = json.loads(json.dumps(notebook))
        if kind == "edited":
            other["cells"][1]["source"] += " + 1"
        elif kind == "longer":
            other["cells"].append({**other["cells"][0], "source": "More."})
        elif kind == "shorter":
            del other["cells"][2]
        else:
            other["cells"].reverse()
        half.write_text(json.dumps(other))
        told = halves.complaint(text)
        assert told is not None and f"made of {text.name}" in told, kind
    half.write_text(half.read_text()[:50])
    assert "damaged" in str(halves.complaint(text))


def test_failing_cell_stops_the_build_with_its_traceback(small_book: SmallBook) -> None:
    small_book.write("02_two", "words = {}\nwords['laughter']")
    code, output = small_book.build()
    assert code != 0
    assert "02_two.md" in output and "KeyError: 'laughter'" in output
    assert "----> 2 words['laughter']" in output
    assert "click" not in output, "the cell's traceback is buried under Jupyter Book's own"
    assert "02_two.ipynb" not in small_book.executed()


def test_missing_corpus_stops_the_build_with_its_remedy(small_book: SmallBook) -> None:
    small_book.environment["REPLICATE_DATA"] = str(small_book.root / "nowhere")
    code, output = small_book.build()
    assert code != 0
    assert "nowhere" in output and "->" in output and "Traceback" not in output


def test_unknown_parameter_is_rejected(small_book: SmallBook) -> None:
    path = small_book.root / "notebooks" / "02_two.md"
    path.write_text(path.read_text().replace("profile =", "profil ="))
    code, output = small_book.build()
    assert code != 0
    assert "02_two.md: unknown parameter profile" in output


def test_a_kernel_that_dies_is_named_with_its_cell(tmp_path: Path) -> None:
    source = tmp_path / "01_one.md"
    dies = "import os\nos.kill(os.getpid(), 9)"  # as the system does for want of memory
    source.write_text(NOTEBOOK.format(name="one", code=dies))
    job = sealed.Job(source, tmp_path / "01_one.ipynb", tmp_path / "scratch" / "01_one.ipynb")
    with kernels_in(tmp_path), pytest.raises(sealed.NotebookError) as refusal:
        execution.execute(job)
    line = source.read_text().splitlines().index("import os") + 1
    assert str(refusal.value).startswith(f"01_one.md:{line}:")
    assert "os.kill" in str(refusal.value) and "memory" in str(refusal.value)


@pytest.mark.parametrize("dead", [1, 9])
def test_a_kernel_that_ends_before_the_first_cell_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dead: int
) -> None:
    starts = tmp_path / "starts"
    (tmp_path / "sitecustomize.py").write_text(
        f"""\
import os, sys
from pathlib import Path
if "ipykernel_launcher" in sys.orig_argv:  # as where a port is taken
    with Path({str(starts)!r}).open("a") as file:
        file.write(".")
    if len(Path({str(starts)!r}).read_text()) <= {dead}:
        os._exit(1)
"""
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    source = tmp_path / "01_one.md"
    source.write_text(NOTEBOOK.format(name="one", code="print(1)"))
    job = sealed.Job(source, tmp_path / "a" / "01_one.ipynb", tmp_path / "b" / "01_one.ipynb")
    with kernels_in(tmp_path):
        if dead == 1:
            execution.execute(job)
            assert job.target.exists() and starts.read_text() == ".."
        else:
            with pytest.raises(sealed.NotebookError, match=r"^01_one.md: .*first cell.*\n  -> "):
                execution.execute(job)
            assert not job.target.exists()


def test_a_page_executed_again_has_the_same_bits(tmp_path: Path) -> None:
    source, pages = tmp_path / "01_one.md", set()
    source.write_text(NOTEBOOK.format(name="one", code="print(1)"))
    with kernels_in(tmp_path):
        for place in ("a", "b"):
            job = sealed.Job(source, tmp_path / place / "01_one.ipynb", tmp_path / "01_one.ipynb")
            execution.execute(job)
            pages.add(job.target.read_bytes())
    assert len(pages) == 1


def test_interrupted_builds_leave_nothing_half_written(small_book: SmallBook) -> None:
    started, goon = small_book.root / "started", small_book.root / "goon"
    small_book.write("01_one", "1")  # nothing glued, whose import takes as long as a kernel
    (small_book.book / "intro.md").write_text("# Intro\n")
    small_book.write(
        "02_two",
        f"""\
        import time
        from pathlib import Path
        Path({str(started)!r}).touch()
        while not Path({str(goon)!r}).exists():
            time.sleep(0.05)
        """,
    )
    for signum in (signal.SIGTERM, signal.SIGKILL):
        process = small_book.start()
        deadline = time.monotonic() + 100
        while not started.exists():
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.05)
        kernels = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signum)
        process.communicate(timeout=30)
        assert process.returncode == (143 if signum == signal.SIGTERM else -9)
        assert kernels and psutil.wait_procs(kernels, timeout=10)[1] == []
        assert small_book.executed() <= {"01_one.ipynb"}
        started.unlink()
    goon.touch()
    code, output = small_book.build()
    assert code == 0, output
    assert small_book.executed() == {"01_one.ipynb", "02_two.ipynb"}
    assert not (small_book.book / "_build" / ".kernels").exists()


def test_a_notebook_that_needs_audio_shows_the_stand_in_where_there_is_none(
    small_book: SmallBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small_book.root / "notebooks" / "02_two.md"
    path.write_text(path.read_text().replace("---\n\n#", "replicate: {needs: audio}\n---\n\n#"))
    silent = trees.write_iemocap(small_book.root / "silent")
    for recordings in silent.glob("Session*/sentences"):
        shutil.rmtree(recordings)
    for corpus, data, shown in (
        ("emodb", small_book.corpus.parent, ["emodb", "emodb"]),
        ("iemocap", silent, ["iemocap", "standin-quick"]),
    ):
        monkeypatch.setenv("REPLICATE_CORPUS", corpus)
        monkeypatch.setenv("REPLICATE_DATA", str(data))
        parameters = [job.parameters for job in sphinx_ext.jobs(small_book.book)]
        assert [values["corpus"] for values in parameters] == shown
        assert parameters[1]["data"] == ("" if corpus == "iemocap" else parameters[0]["data"])


def test_each_notebook_has_its_own_corpus_unless_the_environment_chooses_for_all(
    small_book: SmallBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small_book.root / "notebooks" / "02_two.md"
    own = path.read_text().replace("standin-quick", "standin-full").replace('"quick"', '"paper"')
    path.write_text(own)

    def shown() -> list[tuple[str, str]]:
        made = [job.parameters for job in sphinx_ext.jobs(small_book.book)]
        return [(values["corpus"], values["profile"]) for values in made]

    for name in ("CORPUS", "PROFILE", "DATA"):
        monkeypatch.setenv(f"REPLICATE_{name}", "")  # as make sets what it was not given
    assert shown() == [("standin-quick", "quick"), ("standin-full", "paper")]
    assert "<code>" not in sphinx_ext.announcement(**sphinx_ext.parameters())
    monkeypatch.setenv("REPLICATE_PROFILE", "smoke")
    assert shown() == [("standin-quick", "smoke")] * 2
    monkeypatch.setenv("REPLICATE_CORPUS", "standin-tiny")
    assert shown() == [("standin-tiny", "smoke")] * 2
    assert "standin-tiny" in sphinx_ext.announcement(**sphinx_ext.parameters())
    monkeypatch.setenv("REPLICATE_CORPUS", "own-tapes")
    assert "tapes" in sphinx_ext.announcement(**sphinx_ext.parameters())
    assert "synthetic" not in sphinx_ext.announcement(**sphinx_ext.parameters())


def test_what_lies_behind_links_makes_pages_stale(tmp_path: Path) -> None:
    real, links = tmp_path / "real", tmp_path / "links"
    for folder in (real, links):
        folder.mkdir()
    (real / "labels.txt").write_text("neu")
    (links / "Session1").symlink_to(real)
    (links / "alone.txt").symlink_to(real / "labels.txt")
    (real / "back").symlink_to(real)
    (real / "nowhere").symlink_to(tmp_path / "nowhere")

    def keys() -> list[bytes]:
        return [b"".join(sphinx_ext._sizes_and_times(str(place))) for place in (real, links)]

    before = keys()
    assert keys() == before
    (real / "labels.txt").write_text("sadness")
    edited = keys()
    assert all(a != b for a, b in zip(before, edited, strict=True))
    times = (real / "labels.txt").stat()
    other = tmp_path / "other.txt"
    other.write_text("neutral")
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.rename(real / "labels.txt")  # of the same size and time
    assert all(a != b for a, b in zip(edited, keys(), strict=True))


def test_no_such_profile_is_one_clear_error(small_book: SmallBook) -> None:
    small_book.environment["REPLICATE_PROFILE"] = "typo"
    code, output = small_book.build()
    assert code == 1 and "no such profile" in output and "Traceback" not in output


def test_key_covers_what_numbers_depend_on(
    small_book: SmallBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLICATE_CORPUS", "emodb")
    monkeypatch.setenv("REPLICATE_DATA", str(small_book.corpus.parent))

    def keys() -> list[str]:
        return [job.key for job in sphinx_ext.jobs(small_book.book)]

    monkeypatch.delenv("REPLICATE_SKIP_DAMAGED", raising=False)
    seen = [keys()]
    assert keys() == seen[0]
    monkeypatch.setenv("REPLICATE_SKIP_DAMAGED", "")
    assert keys() == seen[0], "make sets what it was not given to nothing"

    for corpus in ("meld", "emodb"):
        run = small_book.root / "results" / corpus / "quick" / "a-run"
        run.mkdir(parents=True)
        (run / "run.json").write_text("{}")
        if corpus == "meld":
            assert keys() == seen[0], "runs of a corpus that no notebook shows"
    seen.append(keys())
    for digest in ("0" * 16, "1" * 16):  # the name of a file of runs is that of its contents
        for old in run.parent.glob("runs-*"):
            old.unlink()
        (run.parent / f"runs-{digest}.parquet").write_bytes(b"")
        seen.append(keys())
    reports = small_book.root / "results" / REPORTS
    reports.mkdir()
    shutil.copy(next((ROOT / "results" / REPORTS).glob("*.json")), reports)
    seen.append(keys())
    result = small_book.root / "results" / "emodb" / "baselines" / "a-result"
    result.mkdir(parents=True)
    (result / "baseline.json").write_text("{}")
    seen.append(keys())
    (small_book.corpus / "03a02Wa.wav").write_bytes(b"")
    seen.append(keys())
    monkeypatch.setenv("REPLICATE_PROFILE", "paper")
    seen.append(keys())
    package = small_book.root / "replicate"
    package.mkdir()
    (package / "model.py").write_text("width = 96")
    monkeypatch.setattr(replicate, "__file__", str(package / "__init__.py"))
    seen.append(keys())
    (package / "model.py").write_text("width = 97")
    seen.append(keys())
    for notebook in zip(*seen, strict=True):
        assert len(set(notebook)) == len(seen)


def test_a_report_that_is_none_is_one_error_before_any_page(small_book: SmallBook) -> None:
    reports = small_book.root / "results" / REPORTS
    reports.mkdir()
    (reports / "mine.json").write_text('{"signed": "me"}')
    with pytest.raises(InputError, match=r"mine\.json: date: Field required"):
        sphinx_ext.jobs(small_book.book)
