"""Show what a cell computes: a tidy frame or a figure, with one caption and what made it.

A cell defines a function that returns a frame or a figure and decorates it with `exhibit`. The
frame stays tidy until here. Its column names say what belongs together: `x`, `x_low` and `x_high`
are one cell, `0.709 [0.630, 0.787]`, or `[0.630, 0.787]` where there is no `x`; a name that begins
with `p` and a space, or is `p`, holds p values; one that begins with `+` holds differences, which
keep their sign.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import display
from matplotlib.figure import Figure
from myst_nb import glue  # type: ignore[import-untyped]

from replicate.corpora.table import Corpus
from replicate.report.exhibits import interactive, picture, table
from replicate.report.page import Notice
from replicate.report.sources import Source, of_corpus, of_runs
from replicate.report.style import STYLE
from replicate.runs.selection import Missing, Selection

#: What a cell's function may return: a frame, or a figure with its alternative text.
Make = Callable[[], pd.DataFrame | tuple[Any, str]]


def exhibit(
    caption: str,
    *made_by: Selection | Corpus | Source | Missing,
    links: Mapping[str, str] | None = None,
) -> Callable[[Make], Make]:
    """Decorate a cell's function: compute at once what it returns, and show it.

    The function returns a frame, or a figure of matplotlib or plotly together with its alternative
    text: `return figure, "Recall of sadness .75"`. It is called only if every selection has runs
    and nothing is `Missing`; otherwise the page says what makes them. The function itself is given
    back, to be called again.

    Args:
        caption: one sentence.
        made_by: the selections of runs, the corpora and other sources that made it.
        links: text of a table's cell -> the notebook that it leads to.
    """

    def shown(make: Make) -> Make:
        try:
            sources = _sources(made_by)
            with plt.rc_context(STYLE):
                made: Any = make()
                if isinstance(made, pd.DataFrame):
                    found: Any = table(made, caption, sources, links)
                else:
                    figure, alt = made
                    draw = picture if isinstance(figure, Figure) else interactive
                    found = draw(figure, alt, caption, sources)
                    plt.close("all")  # else JupyterLab shows them a second time
        except Missing as missing:
            found = Notice("Not here yet", missing.what, missing.remedy)
        display(found)  # type: ignore[no-untyped-call]
        return make

    return shown


def _sources(made_by: Iterable[Selection | Corpus | Source | Missing]) -> list[Source]:
    """The sources in reading order.

    Raises:
        Missing: a selection has no runs, or something else is not there.
    """
    found: list[Source] = []
    for thing in made_by:
        if isinstance(thing, Missing):
            raise thing
        if isinstance(thing, Source):
            found.append(thing)
        elif isinstance(thing, Corpus):
            found.append(of_corpus(thing))
        elif not thing:
            raise thing.missing()
        else:
            found.extend(of_runs(thing.runs, thing.epoch))
    return list(dict.fromkeys(found))


def say(*made_by: object) -> Callable[[Callable[[], Mapping[str, object]]], None]:
    """Decorate a cell's function that gives numbers for the prose, by the names used there.

    Floats show three decimals, other values their own text. Where a selection has no runs, the
    function is not called and the book says `(not run yet)`.
    """

    def said(make: Callable[[], Mapping[str, object]]) -> None:
        if not all(made_by):
            return
        values = {k: f"{v:.3f}" if isinstance(v, float) else f"{v}" for k, v in make().items()}
        for name, text in values.items():
            glue(name, text, display=False)
        shown = pd.Series(values, name="in the text", dtype=object)
        display(shown)  # type: ignore[no-untyped-call]

    return said
