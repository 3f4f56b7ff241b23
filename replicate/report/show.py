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
from replicate.report.exhibits import Exhibit, interactive, picture, table
from replicate.report.layout import NBSP
from replicate.report.page import Notice
from replicate.report.sources import Source, of_corpus, of_runs
from replicate.report.style import STYLE
from replicate.runs.selection import Missing, Selection

#: Cells longer than this hold sentences.
WORDY = 60
#: Tables longer than this can be filtered by typing.
LONG = 20

#: What a cell's function may return.
Shown = pd.DataFrame | Figure | Exhibit | tuple[Any, str]
Make = Callable[[], Shown]


def exhibit(
    caption: str, *made_by: Selection | Corpus | Source, links: Mapping[str, str] | None = None
) -> Callable[[Make], Make]:
    """Decorate a cell's function: compute at once what it returns, and show it.

    The function returns a frame, or a figure of matplotlib or plotly together with its alternative
    text: `return figure, "Recall of sadness .75"`. It is called only if every selection has runs;
    otherwise the page says what makes them. The function itself is given back, to be called again.

    Args:
        caption: one sentence.
        made_by: the selections of runs, the corpora and other sources that made it.
        links: text of a table's cell -> the notebook that it leads to.
    """

    def shown(make: Make) -> Make:
        display(_made(make, caption, made_by, links))  # type: ignore[no-untyped-call]
        return make

    return shown


def _made(
    make: Make,
    caption: str,
    made_by: Iterable[Selection | Corpus | Source],
    links: Mapping[str, str] | None = None,
) -> Exhibit | Notice:
    try:
        sources = _sources(made_by)
        with plt.rc_context(STYLE):
            return _rendered(make(), caption, sources, links)
    except Missing as missing:
        return Notice("Not here yet", missing.what, missing.remedy)


def _sources(made_by: Iterable[Selection | Corpus | Source]) -> list[Source]:
    """The sources in reading order.

    Raises:
        Missing: a selection has no runs.
    """
    found: list[Source] = []
    for thing in made_by:
        if isinstance(thing, Source):
            found.append(thing)
        elif isinstance(thing, Corpus):
            found.append(of_corpus(thing))
        elif not thing:
            raise thing.missing()
        else:
            found.extend(of_runs(thing.runs, thing.epoch))
    return list(dict.fromkeys(found))


def _rendered(
    found: Shown, caption: str, sources: list[Source], links: Mapping[str, str] | None
) -> Exhibit:
    if isinstance(found, Exhibit):
        return found
    if isinstance(found, pd.DataFrame):
        return _table(found, caption, sources, links)
    figure, alt = found if isinstance(found, tuple) else (found, caption)
    if isinstance(figure, Figure):
        shown = picture(figure, alt, caption, sources)
        plt.close(figure)  # else JupyterLab shows it a second time
        return shown
    return interactive(figure, alt, caption, sources)


def _table(
    frame: pd.DataFrame, caption: str, sources: list[Source], links: Mapping[str, str] | None
) -> Exhibit:
    shown = cells(frame)
    texts = [str(cell) for cell in shown.to_numpy().ravel()]
    return table(
        shown,
        caption,
        sources,
        index=not isinstance(frame.index, pd.RangeIndex),
        wordy=any(len(text) > WORDY for text in texts),
        links=links,
        filterable=len(shown) > LONG,
    )


def cells(frame: pd.DataFrame) -> pd.DataFrame:
    """A tidy frame as text, numbers beside their intervals.

    >>> tidy = pd.DataFrame({"accuracy": [0.7091], "accuracy_low": [0.63], "accuracy_high": [0.787],
    ...                      "+gain": [0.0321], "p": [0.0004], "seeds": [3]})
    >>> print(cells(tidy).to_string(index=False).replace(NBSP, " "))
                accuracy   gain       p seeds
    0.709 [0.630, 0.787] +0.032 < 0.001     3
    """
    shown: dict[Any, list[str | None]] = {}
    for column in frame.columns:
        above, name = (column[:-1], column[-1]) if isinstance(column, tuple) else ((), column)
        name = str(name)

        def at(label: str, above: tuple[str, ...] = above) -> Any:
            return (*above, label) if above else label

        base = name.removesuffix("_low")
        low, high = at(f"{base}_low"), at(f"{base}_high")
        ends: list[str | None] = [None] * len(frame)
        if low in frame:
            ends = _intervals(frame[low], frame[high], base)
        if name.endswith("_low") and at(base) not in frame:
            shown[at(base.lstrip("+"))] = ends
        elif not name.endswith(("_low", "_high")):
            values = [_text(value, name) for value in frame[column]]
            pairs = zip(values, ends, strict=True)
            shown[at(base.lstrip("+"))] = [" ".join(filter(None, pair)) or None for pair in pairs]
    return pd.DataFrame(shown, index=frame.index)


def _intervals(low: pd.Series, high: pd.Series, name: str) -> list[str | None]:
    """`[0.681, 0.725]`, kept on one line; None where there is too little to tell."""
    return [
        None if pd.isna(a) or pd.isna(b) else f"[{_text(a, name)},{NBSP}{_text(b, name)}]"
        for a, b in zip(low, high, strict=True)
    ]


def _text(value: object, name: str) -> str | None:
    """One value as the column's name asks; None for what is not known."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if value is None or pd.isna(value):  # type: ignore[call-overload]
        return None
    number = float(value)  # type: ignore[arg-type]
    if name.startswith("+"):
        return f"{round(number, 3) + 0.0:+.3f}"
    if name == "p" or name.startswith("p "):
        return "< 0.001" if number < 0.001 else f"{number:.3f}"
    if not isinstance(value, float) or (number.is_integer() and abs(number) > 1):
        return f"{number:,.0f}"
    return f"{number:.3f}"


def say(*made_by: Selection) -> Callable[[Callable[[], Mapping[str, object]]], None]:
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
