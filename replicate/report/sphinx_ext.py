"""Sphinx extension: execute missing or stale notebooks, then let Sphinx read them.

Expects `notebooks/NN_name.md` beside the book's folder and writes `book/notebooks/NN_name.ipynb`.
Which corpus a page is about is its notebook's own choice, unless the environment makes one for all
pages: `REPLICATE_CORPUS`, `REPLICATE_PROFILE`, `REPLICATE_DATA`, and `REPLICATE_SKIP_DAMAGED` where
damaged utterances shall be left out. Every page says so.
"""

import ast
import contextlib
import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import yaml
from docutils import nodes
from filelock import Timeout
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util import logging

import replicate
from replicate.files import InputError, first_of, lock_beside, replacing, switch
from replicate.interrupts import exit_code, sigterm_interrupts
from replicate.report import assets, citation, halves, ledger, page, sealed
from replicate.report.sealed import METADATA, Job, NotebookError
from replicate.runs.code import code_version
from replicate.runs.experiments import PROFILES
from replicate.runs.store import REPORTS, WEIGHTS

LOG = logging.getLogger(__name__)
#: Of a notebook in MyST.
PARAMETERS = re.compile(
    r"^```\{code-cell\}.*\n:tags: \[parameters\]\n(.*?)^```", re.MULTILINE | re.DOTALL
)
#: Marks the output of a build that has not ended. Sphinx goes by times and by what it remembers; of
#: a build that was killed both may deceive it.
UNFINISHED = ".unfinished"


def parameters() -> dict[str, str]:
    """The notebooks' parameters, as the environment has them; none where it has nothing to say."""
    corpus, profile, data = (
        os.environ.get(f"REPLICATE_{name}", "") for name in ("CORPUS", "PROFILE", "DATA")
    )
    if not (corpus or profile or data):
        return {}
    if (profile or "quick") not in PROFILES:
        raise InputError(profile, "no such profile", f"choose from {', '.join(PROFILES)}")
    return {
        "corpus": corpus or "standin-quick",
        "profile": profile or "quick",
        "data": str(Path(data).expanduser().resolve()) if data else "",
    }


def jobs(book: Path) -> list[Job]:
    """One job a notebook; its key covers all that its numbers and pictures depend on.

    A notebook whose metadata say `replicate: {needs: audio}` keeps its own parameters where the
    environment's corpus has no recordings. `InputError` if that cannot be opened, there is no such
    profile, a notebook does not know a parameter, or a report of a rerun is none.
    """
    chosen = parameters()
    heard = not chosen or _has_audio(**chosen)
    common = _common(book, chosen.get("data", ""))
    made = []
    for source in _sources(book):
        text = source.read_text(encoding="utf-8")
        metadata, values = own(text)
        if heard or metadata.get("needs") != "audio":
            if unknown := sorted(chosen.keys() - values):  # of which Papermill only warns
                what = f"unknown parameter {', '.join(unknown)}"
                known = f"its cell tagged `parameters` has {', '.join(sorted(values)) or 'none'}"
                raise InputError(source.name, what, known)
            values |= chosen
        key = common.copy()
        key.update(json.dumps([text, values]).encode())
        for corpus in sorted({*_corpora(metadata, values["corpus"]), values["corpus"]}):
            # a run's record holds the digests of its other files; so does a file of many runs
            stored = book.parent / "results" / corpus
            for part in _contents(stored, "**/*.json", "**/runs-*.parquet", f"**/*{WEIGHTS}"):
                key.update(part)
        made.append(
            Job(
                source=source,
                target=book / "notebooks" / f"{source.stem}.ipynb",
                scratch=book / "_build" / "notebooks" / f"{source.stem}.ipynb",
                parameters=values,
                key=key.hexdigest(),
            )
        )
    if not all(job.is_current for job in made):
        from replicate.runs.rerun import reports  # loads SciPy, which an unchanged book need not

        reports(book.parent / "results")  # one that is none is one error here, not one a page
    return made


def _sources(book: Path) -> list[Path]:
    """The MyST halves of the notebooks of a book."""
    return sorted((book.parent / "notebooks").glob("[0-9][0-9]_*.md"))


def own(notebook: str) -> tuple[dict[str, Any], dict[str, str]]:
    """What a notebook in MyST says of itself, and its parameters; Jupytext is far slower."""
    metadata = yaml.safe_load(notebook.split("---\n", 2)[1]).get(METADATA, {})
    cell = PARAMETERS.search(notebook)
    values = {
        ast.unparse(line.targets[0]): ast.literal_eval(line.value)
        for line in ast.parse(cell[1] if cell else "").body
        if isinstance(line, ast.Assign)
    }
    return metadata, values


def _has_audio(corpus: str, data: str, **_: str) -> bool:
    from replicate.corpora.opening import open_corpus

    return open_corpus(corpus, Path(data) if data else None).has_audio


def _common(book: Path, data: str) -> Any:
    """Digest of what all notebooks depend on: code, packages, benchmarks, a corpus on disk."""
    damaged_left_out = switch("REPLICATE_SKIP_DAMAGED")
    packages = [path.stem for folder in sys.path for path in Path(folder).glob("*.dist-info")]
    uncommitted = code_version("audio")[1]  # which pages say
    state = [damaged_left_out, sys.version, sorted(packages), uncommitted]
    common = hashlib.sha256(json.dumps(state).encode())
    for part in (
        *_contents(Path(replicate.__file__).parent, "**/*.py", "**/*.yml", "**/*.json"),
        *_contents(book.parent / "results", "benchmarks/*.json", f"{REPORTS}/*.json"),
        *_sizes_and_times(data),
    ):
        common.update(part)
    return common


def _contents(root: Path, *patterns: str) -> Iterator[bytes]:
    for path in sorted({path for pattern in patterns for path in root.glob(pattern)}):
        if path.is_file():
            yield f"{path.relative_to(root).as_posix()}\0".encode()
            yield hashlib.sha256(path.read_bytes()).digest()


def _sizes_and_times(data: str) -> Iterator[bytes]:
    """A corpus may have 12 GB: sizes and times stand for its contents, also behind links.

    Which file it is and when it was put there count, too: another may have its size and time.
    """
    known = set()
    for folder, inner, names in os.walk(data, followlinks=True):
        here = os.stat(folder)
        if (here.st_dev, here.st_ino) in known:  # a link to a folder that has been seen
            inner.clear()
            continue
        known.add((here.st_dev, here.st_ino))
        inner.sort()
        for path in (folder, *(os.path.join(folder, name) for name in sorted(names))):
            yield os.fsencode(path) + b"\0"
            try:
                state = os.stat(path)
            except OSError:  # a link to nowhere
                continue
            times = (state.st_mtime_ns, state.st_ctime_ns)
            yield json.dumps([state.st_ino, state.st_size, *times]).encode()


def execute_stale(app: Sphinx, config: Config) -> None:
    """Execute what is missing or stale; drop the pages of notebooks that are gone."""
    book = Path(app.srcdir)
    try:
        with sigterm_interrupts(), _alone(book) as kernels:
            wanted = jobs(book)
            _make_room(book / "notebooks", wanted)
            stale = [job for job in wanted if not job.is_current]
            LOG.info("notebooks: %d to execute, %d unchanged", len(stale), len(wanted) - len(stale))
            if stale:
                from replicate.report.execution import execute_all

                execute_all(stale, kernels)
    except (InputError, NotebookError) as error:
        _stop(error)
    except OSError as error:
        what = f"cannot be read or written: {error.strerror}"
        remedy = "mend that, or free disk space; the same command goes on with what is left to do"
        _stop(InputError(error.filename or book, what, remedy))
    except KeyboardInterrupt as error:
        LOG.error("Interrupted. Pages that are finished are kept; the same command goes on.")
        raise SystemExit(exit_code(error)) from None
    config.replicate_digest = _digest(book, wanted)
    config.html_theme_options["announcement"] = announcement(**parameters())


@contextmanager
def _alone(book: Path) -> Iterator[Path]:
    """Wait for another build of this book to end; an empty folder, which is gone afterwards."""
    folder = book / "_build" / ".kernels"
    lock = lock_beside(folder)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        LOG.info("waiting for another build of this book")
        lock.acquire()
    try:
        shutil.rmtree(folder, ignore_errors=True)  # of a build that was killed
        folder.mkdir()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def _make_room(folder: Path, wanted: list[Job]) -> None:
    """Let only pages that a build made be replaced, and remove those that have no source now.

    Says what is damaged, and where halves differ. `InputError` if a page may be someone's work.
    """
    states = {job.target: sealed.state(job.target) for job in wanted}
    if others := [path.name for path, state in states.items() if state == "another's"]:
        what = f"{len(others)} pages are not as a build made them, or an earlier version did: "
        remedy = "move what is yours to a name of its own, and remove the rest"
        raise InputError(folder, what + first_of(others), remedy)
    for path, state in states.items():
        if state == "damaged":
            kept = sealed.set_aside(path)
            LOG.info("%s: damaged%s; made anew", path, f", and kept as {kept.name}" if kept else "")
    for path in set(folder.glob("*.ipynb")) - states.keys():
        if sealed.state(path) == "sealed":
            path.unlink()
    for found in filter(None, (halves.complaint(job.source) for job in wanted)):
        LOG.warning(found)


def _stop(error: Exception) -> NoReturn:
    """End the build with one message."""
    LOG.error("The book cannot be built.\n%s", error)
    # an exception would end in Jupyter Book's own traceback, far longer than the cell's
    raise SystemExit(1) from None


def _digest(book: Path, wanted: list[Job]) -> str:
    """What a build shows apart from the text of its pages, which Sphinx watches by itself."""
    digest = hashlib.sha256("".join(job.key for job in wanted).encode())
    for path in sorted([*book.glob("*"), *book.glob("_static/**/*")]):
        if path.is_file() and path.suffix != ".md":
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def announcement(corpus: str = "", profile: str = "", **_: str) -> str:
    """The line at the head of every page."""
    if not corpus:
        return (
            "<strong>No recordings of IEMOCAP:</strong> every table names its corpus, and the "
            "stand-in is synthetic speech"
        )
    if corpus.startswith("standin-"):
        return (
            "<strong>Stand-in corpus, not IEMOCAP:</strong> unless a page says otherwise, its "
            f"numbers come from synthetic speech (<code>{corpus}</code>, profile "
            f"<code>{profile}</code>)"
        )
    made_by = f"{page.called(corpus)}, profile {profile}"
    return f"Corpus of these pages, unless a page says otherwise: {made_by}"


def add_notice(app: Sphinx, doctree: nodes.document) -> None:
    """Below the title of a page made by a notebook: which corpora made its numbers."""
    made = sealed.read(Path(app.srcdir) / f"{app.env.docname}.ipynb") or {"metadata": {}}
    title = next(iter(doctree.findall(nodes.title)), None)
    made = made["metadata"].get(METADATA, {})
    if title is None or "parameters" not in made:
        return
    found = page.notice(*_corpora(made, made["parameters"]["corpus"]))
    parts = nodes.title(text=found.title), nodes.paragraph(text=found.text)
    box = nodes.admonition("", *parts, classes=[found.kind, "corpus-notice"])
    title.parent.insert(title.parent.index(title) + 1, box)


def _corpora(metadata: dict[str, Any], corpus: str) -> list[str]:
    """The corpora whose numbers a notebook shows: its own or its parameter, and what it adds."""
    return list(dict.fromkeys([*metadata.get("corpora", [corpus]), *metadata.get("also", [])]))


def write_citation(app: Sphinx) -> None:
    """Write `_build/citation.bib` for the front page, which has it in a box."""
    cite, said = Path(app.srcdir) / "_build" / "citation.bib", citation.bibtex()
    if not cite.exists() or cite.read_text(encoding="utf-8") != said:  # else read anew each time
        cite.parent.mkdir(exist_ok=True)
        cite.write_text(said, encoding="utf-8")


def begin(app: Sphinx, config: Config) -> None:
    """Mark the output as unfinished; if it is, let Sphinx read and write every page anew."""
    mark = Path(app.outdir) / UNFINISHED
    if mark.exists():
        LOG.info("the last build has not ended, so all pages are read anew")
        (Path(app.doctreedir) / "environment.pickle").unlink(missing_ok=True)
    mark.touch()


def finish(app: Sphinx, exception: Exception | None) -> None:
    """Take the mark away, unless the build has failed."""
    if exception is None:
        (Path(app.outdir) / UNFINISHED).unlink(missing_ok=True)


def publish_claims(app: Sphinx, exception: Exception | None) -> None:
    """Write the verdicts as data, as their page has them, beside the front page."""
    made = sealed.read(Path(app.srcdir) / "notebooks" / f"{ledger.PAGE}.ipynb")
    if exception is not None or app.builder.format != "html" or made is None:
        return
    outputs = (output for cell in made["cells"] for output in cell.get("outputs", []))
    for claims in filter(None, (output.get("data", {}).get(ledger.MIME) for output in outputs)):
        known = {ledger.NAME: claims, ledger.SCHEMA: ledger.LEDGER.json_schema()}
        for name, data in known.items():
            with replacing(Path(app.outdir) / name) as temporary:
                temporary.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def require_book(app: Sphinx) -> None:
    """End a build of another folder, in which the book's names may mean something else."""
    folder = Path(app.srcdir)
    if folder != folder.parent / "notebooks" and _sources(folder):
        return
    for made_by_sphinx in (Path(app.outdir), Path(app.outdir).parent):
        with contextlib.suppress(OSError):
            made_by_sphinx.rmdir()  # if it is empty
    place = next((p for p in (folder / "book", folder.parent / "book") if p.is_dir()), "BOOK")
    what = "is not the folder of the book: it has no folder of notebooks beside it"
    _stop(InputError(folder, what, f"jupyter-book build {place}"))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension; called by Sphinx."""
    require_book(app)
    # if another than in the last build that finished, all pages are written: numbers cross pages
    app.add_config_value("replicate_digest", "", "html")
    app.connect("config-inited", execute_stale, priority=100)  # the contents are parsed at 900
    app.connect("config-inited", begin)
    app.connect("builder-inited", assets.add)
    app.connect("builder-inited", write_citation)
    app.connect("doctree-read", add_notice)
    app.connect("html-page-context", assets.lighten)
    app.connect("build-finished", publish_claims)
    app.connect("build-finished", assets.drop_second_icons)
    app.connect("build-finished", finish)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
