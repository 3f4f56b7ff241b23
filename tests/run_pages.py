"""Run pages from top to bottom in one process, and what they suggest to try.

    python tests/run_pages.py OUT.jsonl [--try] [--then STORE] [PAGE ...]

The store is `$REPLICATE_RESULTS`; with `--then` another takes its place, and pages run once more.
Hidden cells that assert something of the committed runs are left out.
OUT.jsonl gets a line a step: each page, and with `--try` each point of its last section.
"""

import argparse
import ast
import functools
import gc
import importlib
import json
import os
import re
import time
import traceback
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import jupytext
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from matplotlib.figure import Figure

from replicate.corpora import protocol, standin, transcriptions, waveforms
from replicate.settings import RESULTS

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
ASSERTION = re.compile(r"^\s*assert ", re.MULTILINE)


@dataclass
class Step:
    """A page, or what one point of its last section makes of it.

    Attributes:
        page: its name.
        store: in which order the stores came.
        tried: the code that the point suggests; none for the page as it is.
        cells: what each cell showed, as text; its value, if it has one, comes last.
        error: the traceback and the cell that raised.
        seconds: of the processor.
    """

    page: str
    store: int = 0
    tried: list[str] = field(default_factory=list)
    cells: list[list[str]] = field(default_factory=list)
    error: str = ""
    seconds: float = 0.0

    def run(self, shell: InteractiveShell, sources: Iterable[str]) -> None:
        """Run cells one after another, up to the first that raises."""
        started = time.process_time()
        for source in sources:
            with capture_output() as captured:
                result = shell.run_cell(source)
            shown = [output.data.get("text/plain", "") for output in captured.outputs]
            shown += [repr(result.result)] * (result.result is not None)
            self.cells.append([text for text in shown if text])
            if error := result.error_before_exec or result.error_in_exec:
                trace = "".join(traceback.format_exception(error))[-3000:]
                self.error = f"{trace}\nin\n{source}"
                break
        self.seconds += time.process_time() - started


def code_cells(path: Path) -> list[str]:
    """The cells that run on any store."""
    return [
        cell.source
        for cell in jupytext.read(path).cells
        if cell.cell_type == "code"
        and not ("remove-cell" in cell.metadata.get("tags", []) and ASSERTION.search(cell.source))
    ]


def points(path: Path) -> list[list[str]]:
    """The spans of code in each point of a page's last section."""
    text = path.read_text().rpartition("## Change and try")[2]
    return [
        [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", point)]
        for point in re.split(r"^- ", text, flags=re.MULTILINE)[1:]
    ]


def is_python(span: str) -> bool:
    """Whether a span does something; names, files and commands do not."""
    try:
        tree = ast.parse(span)
    except SyntaxError:
        return False
    return any(isinstance(node, ast.Assign | ast.Call | ast.ImportFrom) for node in ast.walk(tree))


def assigned(statement: ast.stmt) -> set[str]:
    """The names that a statement assigns to, or to a part of them."""
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    nodes = [node for target in targets for node in ast.walk(target)]
    return {node.id for node in nodes if isinstance(node, ast.Name)}


def below(code: str, cells: list[str]) -> list[str]:
    """What depends on some code, below the first assignment to a name that it assigns to."""
    names = set().union(*map(assigned, ast.parse(code).body))
    for k, source in enumerate(cells):
        body = ast.parse(source).body
        for i, statement in reversed(list(enumerate(body))):
            if names & assigned(statement):
                rest = "\n".join(ast.get_source_segment(source, s) for s in body[i + 1 :])
                return list(dependent(names, [rest, *cells[k + 1 :]]))
    return []


def dependent(names: set[str], cells: list[str]) -> Iterable[str]:
    """The cells that use some names, or what such cells define or change."""
    changed = set(names)
    for source in cells:
        nodes = list(ast.walk(ast.parse(source)))
        if changed & {node.id for node in nodes if isinstance(node, ast.Name)}:
            changed |= {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
            changed |= {node.id for node in nodes if isinstance(getattr(node, "ctx", 0), ast.Store)
                        and isinstance(node, ast.Name)}  # fmt: skip
            changed |= set().union(*map(assigned, nodes))
            yield source


#: Where bootstraps and simulations keep the number of their draws, and how they call it.
DRAWING = (
    "stats.intervals",
    "stats.classification",
    "stats.power",
    "studies.importance",
    "studies.words",
    "verdicts.calibration",
    "verdicts.criteria_of_runs",
    "verdicts.criteria_of_splits",
)
DRAWS = ("RESAMPLES", "TRIALS", "UTTERANCES", "DRAWS", "FEW")


def hasten() -> None:
    """Let pages hear how recordings begin, train on few, draw few samples, sentences and dots.

    What whole ones give is tested elsewhere, and shown by the book.
    """
    whole = waveforms.open_waveforms

    def shortened(*arguments: object, **more: object) -> waveforms.Waveforms:
        found = whole(*arguments, **more)
        return replace(found, lengths=-(-found.lengths // 10))

    waveforms.open_waveforms = shortened
    split = protocol.split
    protocol.split = lambda *a, **k: replace(parts := split(*a, **k), train=parts.train[::8])
    vectors = transcriptions.standin_vectors
    transcriptions.standin_vectors = lambda: vectors(n_sentences=2000)
    standin.plan = functools.cache(standin.plan)
    save = Figure.savefig
    Figure.savefig = lambda figure, *to, **how: save(figure, *to, **how | {"dpi": 30})
    for name in DRAWING:
        module = importlib.import_module(f"replicate.{name}")
        for count in [count for count in vars(module) if count.endswith(DRAWS)]:
            setattr(module, count, getattr(module, count) // 40)


#: Of a page that takes longer, in seconds of processor time, only the suggestion itself is run.
LONG = 3.0


def steps(path: Path, shell: InteractiveShell, store: int, try_points: bool) -> Iterable[Step]:
    """Run a page, then what each point suggests, with the names as the page left them."""
    os.chdir(path.parent)
    shell.reset(new_session=True)
    gc.freeze()  # what lives now lives on: to look for garbage in it takes half a second each time
    cells = code_cells(path)
    page = Step(path.stem, store)
    page.run(shell, cells)
    yield page
    names = dict(shell.user_ns)
    for spans in points(path) if try_points and not page.error else ():
        tried = Step(path.stem, store, [span for span in spans if is_python(span)])
        for code in tried.tried:
            if not tried.error:
                rest = below(code, cells) if page.seconds < LONG else []
                tried.run(shell, [code, *rest])
        yield tried
        shell.user_ns.clear()
        shell.user_ns.update(names)


def main() -> None:
    """Run the pages and write what they showed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("pages", nargs="*")
    parser.add_argument("--try", dest="try_points", action="store_true")
    parser.add_argument("--then", dest="stores", type=Path, action="append", default=[])
    asked = parser.parse_args()
    paths = [
        path
        for path in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.md"))
        if path.stem in (asked.pages or path.stem)
    ]
    hasten()
    stores = [path.resolve() for path in asked.stores]
    with asked.out.open("w") as file:
        shell = InteractiveShell.instance()
        for number in range(len(stores) + 1):
            if number:
                RESULTS.rename(RESULTS.with_name(f"{RESULTS.name}-{number}"))
                stores[number - 1].rename(RESULTS)
            last = number == len(stores)
            for path in paths:
                for step in steps(path, shell, number, asked.try_points and last):
                    print(json.dumps(asdict(step)), file=file, flush=True)


if __name__ == "__main__":
    main()
