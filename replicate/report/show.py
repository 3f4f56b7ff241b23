"""Every table and figure of the book: shown with one caption and a line that says what made it.

A cell defines a function that returns a frame or a figure and decorates it with `exhibit`. Column
names of a tidy frame say what belongs together: `x`, `x_low` and `x_high` are one cell, `0.709
[0.630, 0.787]`, or `[0.630, 0.787]` where there is no `x`; `p`, or a name that begins with it and a
space, holds p values; one that begins with `+` holds differences, which keep their sign. Only seven
columns are shown before a reader asks for all, so what matters stands first.

An `Exhibit` cannot be made without its sources. Where one is the stand-in, the mark is part of the
table or picture itself, and of its data, so that it stays when these leave their page.
"""

import base64
import html
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import soundfile
from IPython.display import display
from matplotlib.figure import Figure
from myst_nb import glue  # type: ignore[import-untyped]

from replicate.corpora.table import Corpus
from replicate.corpora.waveforms import Waveforms
from replicate.paper import EMOTIONS
from replicate.report.layout import DASH, cells, in_html, tabulated
from replicate.report.page import HERE, Notice
from replicate.report.sources import Source, mark, of_corpus, of_runs
from replicate.report.style import STYLE
from replicate.runs.selection import Missing, Selection
from replicate.settings import SAMPLE_RATE

#: What a cell's function may return: a frame, or a figure, or HTML, with its alternative text and,
#: if it has any, its data.
Make = Callable[[], pd.DataFrame | tuple[Any, str] | tuple[Any, str, pd.DataFrame]]


def exhibit(
    caption: str,
    *made_by: Selection | Corpus | Source | Missing,
    links: Mapping[str, str] | None = None,
    name: str = "",
) -> Callable[[Make], Make]:
    """Decorate a cell's function: compute at once what it returns, and show it.

    The function returns a frame, or a figure together with its alternative text and the frame that
    it draws: `return figure, "Recall of sadness .75", recall`. Below the exhibit that frame can be
    had as CSV. The function is called only if every selection has runs and nothing is `Missing`;
    otherwise the page says what makes them. It is given back, to be called again. `links` lead from
    a table's texts to notebooks; another page shows it by `name`.
    """

    def shown(make: Make) -> Make:
        try:
            sources = _sources(made_by)
            with plt.rc_context(STYLE):
                made: Any = make()
                if isinstance(made, pd.DataFrame):
                    found: Any = replace(table(made, caption, sources, links), data=made)
                else:
                    figure, alt, *data = made
                    draw: Any = picture if isinstance(figure, Figure) else written
                    found = draw(figure, alt, caption, sources)
                    found = replace(found, data=next(iter(data), None))
                    plt.close("all")  # else JupyterLab shows them a second time
                found = replace(found, cell=make.__name__)
        except Missing as missing:
            found = Notice("Not here yet", missing.what, missing.remedy)
        display(found)  # type: ignore[no-untyped-call]
        if name:
            glue(name, found, display=False)
        return make

    return shown


def _sources(made_by: Iterable[Selection | Corpus | Source | Missing]) -> list[Source]:
    """The sources in reading order; raises what is `Missing`, as runs of a selection."""
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


@dataclass(frozen=True)
class Bars:
    """A few shares as bars, for a place where a figure would be too large."""

    shares: Mapping[str, float]  # label -> from 0 to 1

    def _repr_html_(self) -> str:
        line = '<div><span>{}</span><i><b style="width:{:.0%}"></b></i>{:.0%}</div>'
        lines = [line.format(in_html(html.escape(k)), s, s) for k, s in self.shares.items()]
        told = html.escape(repr(self))
        return f'<div class="bars" role="img" aria-label="{told}">{"".join(lines) or told}</div>'

    def __repr__(self) -> str:
        told = "; ".join(f"{label} {share:.0%}" for label, share in self.shares.items())
        return told or "(not run yet)"


def bars(name: str, *made_by: object) -> Callable[[Callable[[], Mapping[str, float]]], None]:
    """Decorate a cell's function that gives shares: `Bars`, which another page shows by `name`."""

    def drawn(make: Callable[[], Mapping[str, float]]) -> None:
        glue(name, Bars(make() if all(made_by) else {}))

    return drawn


@dataclass(frozen=True)
class Exhibit:
    """A table, figure or player that names its sources wherever it is shown."""

    body: str  # HTML
    plain: str  # the same as text, for terminals
    caption: str
    sources: tuple[Source, ...]  # at least one
    data: pd.DataFrame | None = None  # what it shows, with all digits
    cell: str = ""  # the function that made it

    def __post_init__(self) -> None:
        if not self.sources:
            raise ValueError(f"an exhibit needs a source: {self.caption!r}")

    def _repr_html_(self) -> str:
        synthetic = any(source.synthetic for source in self.sources)
        kind = "exhibit exhibit-stand-in" if synthetic else "exhibit"
        name = f' id="exhibit-{self.cell}"' if self.cell else ""
        return (
            f'<figure class="{kind}"{name} style="margin:1em 0">'
            f'<div style="overflow-x:auto">{self.body}</div>'
            f'<figcaption style="text-align:left"><div>{in_html(html.escape(self.caption))}</div>'
            f'<div class="foot">{self._made_by()}{self._download()}</div></figcaption>'
            "</figure>"
        )

    def _made_by(self) -> str:
        """The sources by their titles; all that is known of them unfolds."""
        titles = "; ".join(dict.fromkeys(source.title for source in self.sources))
        lines = "".join(f"<div>{source.html}</div>" for source in self.sources)
        cell = f"<div>Cell <code>{self.cell}</code> of {HERE}</div>" if self.cell else ""
        return f"<details><summary>Made by: {html.escape(titles)}</summary>{lines}{cell}</details>"

    def _download(self) -> str:
        """A link that holds the data: it needs no server, no other file and no script."""
        if self.data is None:
            return ""
        marked = mark(self.sources)
        name = f"{'STAND-IN-' * bool(marked)}{self.cell or 'data'}.csv"
        text = quote(csv(self.data, marked), safe=",:")
        return f'<a download="{name}" href="data:text/csv;charset=utf-8,{text}">Data (CSV)</a>'

    def __repr__(self) -> str:
        return "\n".join([self.plain, self.caption, *(source.line for source in self.sources)])


def csv(frame: pd.DataFrame, marked: str = "") -> str:
    """A frame as CSV, under its own names; the mark of the stand-in is a column of it.

    >>> print(csv(pd.DataFrame({("ours", "+gain"): [1 / 3]}, ["a"]), "STAND-IN"), end="")
    row,ours: +gain,mark
    a,0.3333333333333333,STAND-IN
    """
    names = [": ".join(filter(None, n)) if isinstance(n, tuple) else n for n in frame.columns]
    flat = frame.set_axis(names, axis="columns")
    flat = flat.assign(mark=marked) if marked else flat
    labels = ["row" if name is None else str(name) for name in frame.index.names]
    return flat.to_csv(index=not isinstance(frame.index, pd.RangeIndex), index_label=labels)


#: Cells longer than the first hold sentences; tables longer than the second can be filtered.
WORDY, LONG = 60, 20
#: A field that hides the rows of the table below it which lack the text typed; it needs no server.
FILTER = (
    '<label>Show rows with <input type="search" placeholder="a word" oninput="'
    "const wanted = this.value.toLowerCase();"
    "for (const row of this.closest('figure').querySelectorAll('tbody tr'))"
    " row.hidden = !row.textContent.toLowerCase().includes(wanted)"
    '"></label>'
)


def table(
    frame: pd.DataFrame,
    caption: str,
    sources: Sequence[Source],
    links: Mapping[str, str] | None = None,
) -> Exhibit:
    """A tidy frame as `cells`; empty ones show a dash, `links` lead from texts to notebooks.

    An index is shown unless it only counts; one with a name becomes a column.
    """
    shown = cells(frame)
    wordy = any(len(str(cell)) > WORDY for cell in shown.to_numpy().ravel())
    index = not isinstance(frame.index, pd.RangeIndex)
    if index and all(shown.index.names) and shown.columns.nlevels == 1:
        shown, index = shown.reset_index(), False
    shown = shown.astype(object).where(shown.notna(), DASH)
    body = tabulated(shown, index, links or {})
    if marked := mark(sources):
        body = body.replace("<thead>", f"<caption>{marked}</caption><thead>", 1)
    if wordy:
        body = body.replace("<table", '<table style="width:100%;min-width:40rem"', 1)
        body = body.replace(r"\n", "<br>")  # pandas writes a line's end as \n
    if len(shown) > LONG:
        body = FILTER + body
    return Exhibit(body, shown.to_string(index=index), caption, tuple(sources))


def written(body: str, alt: str, caption: str, sources: Sequence[Source]) -> Exhibit:
    """HTML that a page has made."""
    marked = mark(sources)
    return Exhibit(f"<p>{marked}</p>{body}" if marked else body, alt, caption, tuple(sources))


def picture(figure: Figure, alt: str, caption: str, sources: Sequence[Source]) -> Exhibit:
    """A matplotlib figure, sharper than most screens; `alt` says what is to be seen.

    As WebP without loss it has a third of the bytes of a PNG.
    """
    if marked := mark(sources):
        figure.suptitle(marked, x=0.995, ha="right", fontsize=8, color="#B00000")
    file = io.BytesIO()
    figure.savefig(file, format="webp", dpi=150, pil_kwargs={"lossless": True})
    image = base64.b64encode(file.getvalue()).decode()
    width = round(figure.get_figwidth() * 96)
    body = (
        f'<img alt="{html.escape(alt)}" style="width:{width}px;max-width:100%;height:auto" '
        f'src="data:image/webp;base64,{image}">'
    )
    return Exhibit(body, f"[picture: {alt}]", caption, tuple(sources))


def player(wave: np.ndarray, caption: str, corpus: Corpus) -> Exhibit | Notice:
    """An element that plays samples in [-1, 1) of the stand-in: other recordings are not ours."""
    if not corpus.synthetic:
        return Notice(
            "Not on this page",
            f"Recordings of {corpus.title} are not put into pages ({caption}).",
            "IPython.display.Audio(waveforms.waveform(utterance), rate=16_000)",
        )
    file = io.BytesIO()
    soundfile.write(file, wave, SAMPLE_RATE, format="OGG", subtype="VORBIS")
    sound = base64.b64encode(file.getvalue()).decode()
    body = f'<audio controls preload="none" src="data:audio/ogg;base64,{sound}"></audio>'
    return Exhibit(body, f"[sound: {len(wave) / SAMPLE_RATE:.1f} s]", caption, (of_corpus(corpus),))


def typical(table: pd.DataFrame, waveforms: Waveforms) -> dict[str, str]:
    """An utterance of median length for each class: emotion -> id."""
    lengths = pd.Series(waveforms.lengths, list(waveforms.utterances))
    of_class = table.groupby("emotion")["utterance"]
    ranked = {e: lengths[of_class.get_group(e)].sort_values(kind="stable") for e in EMOTIONS}
    return {emotion: str(part.index[len(part) // 2]) for emotion, part in ranked.items()}
