"""A notebook is a pair, and the book is made of its MyST half: what the other says is compared."""

import json
import re
from pathlib import Path
from typing import Any

#: Lines of a notebook in MyST that belong to no cell's source.
MARKUP = re.compile(r"\s*|```(\{code-cell\}.*)?|:[\w-]+:.*|\+\+\+.*")


def complaint(source: Path) -> str | None:
    """What is wrong with the `.ipynb` half of a notebook in MyST; None if it says the same."""
    half = source.with_suffix(".ipynb")
    if not half.exists():
        return None
    read = f"The book is made of {source.name}"
    update = f"`jupytext --to ipynb --update notebooks/{source.name}` makes the .ipynb half anew"
    try:
        cells = [
            (cell["cell_type"], _text(cell)) for cell in json.loads(half.read_bytes())["cells"]
        ]
    except (ValueError, KeyError, TypeError):
        return f"{half.name} is damaged. {read}; {update}."
    text = source.read_text(encoding="utf-8")
    if _same_at_a_glance(text, [each for _, each in cells]) or _same(text, cells):
        return None
    take = f"`jupytext --to md:myst notebooks/{half.name}` takes what the .ipynb half says over"
    return f"{half.name} differs from {source.name}. {read}; {take}, {update}."


def _text(cell: dict[str, Any]) -> str:
    return "".join(cell["source"]).strip()


def _same_at_a_glance(text: str, cells: list[str]) -> bool:
    """Whether a text in MyST is made of some cells in order and markup; may err towards no."""
    left = text.split("---\n", 2)[-1]
    for cell in filter(None, cells):
        before, found, left = left.partition(cell)
        if not (found and _is_markup(before)):
            return False
    return _is_markup(left)


def _is_markup(text: str) -> bool:
    return all(MARKUP.fullmatch(line) for line in text.splitlines())


def _same(text: str, cells: list[tuple[str, str]]) -> bool:
    """As Jupytext reads it, which takes it a tenth of a second."""
    import jupytext

    read = jupytext.reads(text, fmt="md:myst")["cells"]
    return [(cell["cell_type"], _text(cell)) for cell in read] == cells
