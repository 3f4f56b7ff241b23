"""Run pages from top to bottom in this process, and what they suggest to try.

    python tests/run_pages.py OUT.json [PARAMETER=VALUE ...]

The store is `$REPLICATE_RESULTS`. Cells that assert something of the committed runs are left out.
OUT.json maps each page to its outputs as text, or to `{"error": ...}`; a suggestion's name is the
page's and its code.
"""

import ast
import json
import os
import re
import sys
import traceback
from pathlib import Path
from typing import Any

import jupytext
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
ASSERTION = re.compile(r"^\s*assert ", re.MULTILINE)


class Failed(Exception):
    """A cell that raised, with its traceback."""


def run_cell(shell: InteractiveShell, source: str) -> list[str]:
    """What a cell shows, as text."""
    with capture_output() as captured:
        result = shell.run_cell(source)
    if error := result.error_before_exec or result.error_in_exec:
        raise Failed("".join(traceback.format_exception(error))[-3000:] + f"\nin\n{source}")
    shown = [output.data.get("text/plain", "") for output in captured.outputs]
    return [text for text in shown if text]


def code_cells(path: Path) -> list[Any]:
    """The cells that run on any store."""
    cells = [cell for cell in jupytext.read(path).cells if cell.cell_type == "code"]
    return [cell for cell in cells if not ASSERTION.search(cell.source)]


def run(shell: InteractiveShell, path: Path, parameters: dict[str, str]) -> list[str]:
    """Run a page; its outputs."""
    os.chdir(path.parent)
    shell.reset(new_session=True)
    outputs = []
    for cell in code_cells(path):
        outputs += run_cell(shell, cell.source)
        if "parameters" in cell.metadata.get("tags", []):
            shell.push(parameters)
    return outputs


def suggestions(path: Path) -> list[str]:
    """The code of a page's last section that is Python; commands have a test of their own."""
    text = path.read_text().rpartition("## Change and try")[2]
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", text)]
    return [
        span for span in spans if re.search(r"[=(]", span) and not span.startswith("replicate ")
    ]


def tried(shell: InteractiveShell, path: Path, code: str) -> list[str]:
    """Run a suggestion at the end of a page; after an assignment, the cells below that one."""
    outputs = run_cell(shell, code)
    targets = {
        target.id
        for node in ast.parse(code).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    cells = code_cells(path)
    assigned = re.compile(rf"^({'|'.join(targets) or '$^'})\b[^=\n]* = ", re.MULTILINE)
    first = next((k for k, cell in enumerate(cells) if assigned.search(cell.source)), len(cells))
    for cell in cells[first + 1 :]:
        outputs += run_cell(shell, cell.source)
    return outputs


def main() -> None:
    """Run every page, then each of its suggestions, on the page's own names."""
    out, *pairs = sys.argv[1:]
    parameters = dict(pair.split("=", 1) for pair in pairs)
    shell = InteractiveShell.instance()
    found: dict[str, Any] = {}
    for path in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.md")):
        steps = {path.stem: lambda path=path: run(shell, path, parameters)}
        for code in suggestions(path):
            steps[f"{path.stem}: {code}"] = lambda path=path, code=code: tried(shell, path, code)
        for name, step in steps.items():
            try:
                found[name] = step()
            except Failed as error:
                found[name] = {"error": str(error)}
    Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
