"""Every table and figure of the book: never without a line that says what made it.

An `Exhibit` cannot be made without its sources, nor shown without naming them. Where a source is
the stand-in, the mark is part of the table or picture itself, so that it stays when the table or
picture is copied without its page.
"""

import base64
import copy
import hashlib
import html
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, ParamSpec

import pandas as pd
from matplotlib.figure import Figure

from replicate.corpora.table import Corpus
from replicate.report.layout import in_html
from replicate.runs.baselines import Tested
from replicate.runs.code import code_version
from replicate.runs.rerun import change_since, repeats
from replicate.runs.selection import CHOSEN, Missing
from replicate.runs.store import Run
from replicate.settings import MARK

#: Said of a page for which no corpus was read.
NO_CORPUS = (
    "No corpus was read for this page: its numbers are the paper's own, published counts, or "
    "computed from these and from this project's modules."
)

Arguments = ParamSpec("Arguments")


@dataclass(frozen=True)
class Source:
    """What made a table or figure.

    Attributes:
        title: the corpus as pages call it, or the paper.
        synthetic: whether the corpus is the stand-in.
        details: protocol, seeds, commit: what everybody should see.
        corpus: whether it is a corpus at all.
        more: cohort, epochs, folds, word vectors, machines: what a page folds away.
    """

    title: str
    synthetic: bool
    details: tuple[str, ...] = ()
    corpus: bool = True
    more: tuple[str, ...] = ()

    @property
    def brief(self) -> str:
        """One short line for the foot of a table or figure."""
        return " · ".join([*([MARK] if self.synthetic else []), self.title, *self.details])

    @property
    def line(self) -> str:
        """All there is to say, in one line."""
        return " · ".join([self.brief, *self.more])

    @property
    def html(self) -> str:
        """The short line; the rest unfolds."""
        if not self.more:
            return f"<div><small>{html.escape(self.brief)}</small></div>"
        return (
            f"<details><summary><small>{html.escape(self.brief)}</small></summary>"
            f"<small>{html.escape(' · '.join(self.more))}</small></details>"
        )


#: For exhibits that show the paper's own numbers.
PAPER = Source("Lima & Bak (2018), as printed", synthetic=False, corpus=False)


def of_code() -> Source:
    """The source of what shows this project's own modules."""
    details = (f"commit {commit_name(*code_version(heard=True))}",)
    return Source("this project's modules", False, details, corpus=False)


def of_corpus(corpus: Corpus, *details: str) -> Source:
    """The source of what a notebook computes from a corpus on the spot."""
    return Source(
        corpus.title,
        corpus.synthetic,
        (*details, f"commit {commit_name(*code_version(heard=True))}"),
    )


def of_runs(runs: Sequence[Tested], selection: str = "") -> tuple[Source, ...]:
    """The sources of what is computed from stored runs: one for each corpus and profile.

    Args:
        runs: the runs.
        selection: how the epoch was chosen, a key of `CHOSEN`; empty where that plays no part.
    """
    kept = repeats()
    groups: dict[tuple[str, str], list[Tested]] = {}
    for run in runs:
        groups.setdefault((run.experiment.corpus, run.experiment.profile), []).append(run)
    return tuple(
        Source(
            title=group[0].provenance.corpus_title,
            synthetic=any(run.provenance.synthetic for run in group),
            details=(
                f"profile {profile}",
                listed("seed", (run.experiment.seed for run in group)),
                listed(
                    "commit", (commit_name(r.provenance.commit, r.provenance.dirty) for r in group)
                ),
            ),
            more=(
                *_utterances(group),
                *_epochs(group),
                listed("fold", (run.experiment.fold.name for run in group)),
                *([CHOSEN[selection]] if selection else []),
                *_word_vectors(group),
                *_on_gpus(group),
                *filter(None, [change_since(group, kept)]),
            ),
        )
        for (_, profile), group in groups.items()
    )


def _utterances(runs: Sequence[Tested]) -> list[str]:
    """The size of the cohort; the stand-in's title has it."""
    made = runs[0].provenance
    return [] if made.synthetic else [f"{made.n_utterances:,} utterances"]


def _epochs(runs: Sequence[Tested]) -> list[str]:
    """For how many epochs the runs trained; none for baselines."""
    trained = {run.experiment.training.epochs for run in runs if isinstance(run, Run)}
    return [f"{' or '.join(map(str, sorted(trained)))} epochs"] if trained else []


def _word_vectors(runs: Sequence[Tested]) -> list[str]:
    """Where pretrained word vectors come from and what they lack, if any of the runs has them."""
    lacking: dict[str, list[float]] = {}
    for run in runs:
        if (vectors := run.provenance.vectors) is not None:
            lacking.setdefault(vectors.source, []).append(vectors.out_of_vocabulary_tokens)
    return [
        f"word vectors: {source} (none for {sum(shares) / len(shares):.1%} of the words said)"
        for source, shares in sorted(lacking.items())
    ]


def _on_gpus(runs: Sequence[Tested]) -> list[str]:
    """How many of the runs were made on which GPU, if any: their bits are not a CPU's."""
    found: dict[str, list[int]] = {}
    for run in runs:
        if run.provenance.device == "cuda":
            found.setdefault(run.provenance.hardware, []).append(run.experiment.seed)
    return [
        f"{len(seeds)} of {len(runs)} runs ({listed('seed', seeds)}) on {gpu}"
        for gpu, seeds in sorted(found.items())
    ]


def of_judged(runs: Sequence[Run], selection: str = "last-epoch") -> tuple[Source, ...]:
    """The sources of what holds runs against the paper's own numbers, verdicts among them."""
    return (*of_runs(runs, selection), PAPER)


def mark(sources: Iterable[Source]) -> str:
    """What stands in a table or picture that the stand-in made, alone or with real corpora."""
    kinds = {source.synthetic for source in sources if source.corpus}
    if True not in kinds:
        return ""
    return MARK if len(kinds) == 1 else f"{MARK}, where it says standin"


def commit_name(commit: str, dirty: bool) -> str:
    """A commit, short, and whether the code differed from it."""
    return commit[:7] + (" + uncommitted changes" if dirty else "")


def listed(noun: str, values: Iterable[object]) -> str:
    """`seed 0`, `folds session-1, session-2`, `10 seeds (0 … 9)`."""
    names = sorted({str(value) for value in values}, key=lambda name: (len(name), name))
    if len(names) > 3:
        return f"{len(names)} {noun}s ({names[0]} … {names[-1]})"
    return f"{noun}{'s' * (len(names) > 1)} {', '.join(names)}"


@dataclass(frozen=True)
class Exhibit:
    """A table, figure or player that names its sources wherever it is shown.

    Attributes:
        body: HTML of the table, picture or player.
        plain: the same as text, for terminals.
        caption: what it shows, one or two sentences.
        sources: what made it; at least one.
        bundle: other forms of the body for front ends that prefer them (MIME type -> data).
    """

    body: str
    plain: str
    caption: str
    sources: tuple[Source, ...]
    bundle: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.sources:
            raise ValueError(f"an exhibit needs a source: {self.caption!r}")

    @property
    def synthetic(self) -> bool:
        """Whether any number or sound in it comes from the stand-in."""
        return any(source.synthetic for source in self.sources)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        kind = "exhibit exhibit-stand-in" if self.synthetic else "exhibit"
        lines = "".join(source.html for source in self.sources)
        caption = in_html(html.escape(self.caption)) + lines
        figure = (
            f'<figure class="{kind}" style="margin:1em 0">'
            f'<div style="overflow-x:auto">{self.body}</div>'
            f'<figcaption style="text-align:left">{caption}</figcaption>'
            "</figure>"
        )
        return {**self.bundle, "text/html": figure, "text/plain": repr(self)}

    def __repr__(self) -> str:
        return "\n".join([self.plain, self.caption, *(source.line for source in self.sources)])


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
    index: bool = True,
    wordy: bool = False,
    links: Mapping[str, str] | None = None,
    filterable: bool = False,
) -> Exhibit:
    """A table of finished text or numbers; empty cells show a dash.

    Args:
        frame: the cells.
        caption: the caption.
        sources: what made it.
        index: whether to show the index; one with a name becomes a column.
        wordy: whether cells hold sentences, which then share the width of the page, or lines.
        links: text of a cell -> the notebook that it leads to.
        filterable: whether a field above the table hides rows that lack what is typed.
    """
    if index and all(frame.index.names) and frame.columns.nlevels == 1:
        frame, index = frame.reset_index(), False
    shown = frame.astype(object).where(frame.notna(), "\N{EN DASH}")
    body = in_html(shown.to_html(border=0, index=index, justify="left"))
    if marked := mark(sources):
        body = body.replace("<thead>", f"<caption>{marked}</caption><thead>", 1)
    if wordy:
        body = body.replace("<table", '<table style="width:100%;min-width:40rem"', 1)
        body = body.replace(r"\n", "<br>")  # pandas writes a line's end as \n
    for text, notebook in (links or {}).items():
        body = body.replace(f"<td>{text}</td>", f'<td><a href="{notebook}.ipynb">{text}</a></td>')
    if filterable:
        body = FILTER + body
    return Exhibit(body, shown.to_string(index=index), caption, tuple(sources))


def picture(figure: Figure, alt: str, caption: str, sources: Sequence[Source]) -> Exhibit:
    """A matplotlib figure as a PNG, sharper than most screens.

    Args:
        figure: of matplotlib.
        alt: what is to be seen, for those who cannot see it.
        caption: the caption.
        sources: what made it.
    """
    if marked := mark(sources):
        figure.suptitle(marked, x=0.995, ha="right", fontsize=8, color="#B00000")
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=150, metadata={"Software": None})
    image = base64.b64encode(file.getvalue()).decode()
    width = round(figure.get_figwidth() * 96)
    body = (
        f'<img alt="{html.escape(alt)}" style="width:{width}px;max-width:100%;height:auto" '
        f'src="data:image/png;base64,{image}">'
    )
    return Exhibit(body, f"[picture: {alt}]", caption, tuple(sources))


def interactive(figure: Any, alt: str, caption: str, sources: Sequence[Source]) -> Exhibit:
    """A plotly figure. The page must load plotly.js once; JupyterLab brings its own."""
    if marked := mark(sources):
        figure.add_annotation(
            text=marked, x=0, y=1, xref="paper", yref="paper", yshift=42,
            xanchor="left", showarrow=False, font={"size": 11, "color": "#B00000"},
        )  # fmt: skip
    described = copy.deepcopy(figure)  # JupyterLab shows this form, without the HTML around it
    lines = "<br>".join(source.brief for source in sources)
    described.update_layout(
        title={"text": caption, "font": {"size": 13}, "subtitle": {"text": lines}},
        margin={"t": 130},
    )
    name = "plot-" + hashlib.sha256(caption.encode()).hexdigest()[:12]
    body = figure.to_html(
        full_html=False, include_plotlyjs=False, div_id=name, config={"displaylogo": False}
    )
    return Exhibit(
        f'<div role="img" aria-label="{html.escape(alt)}">{body}</div>',
        f"[picture: {alt}]",
        caption,
        tuple(sources),
        {"application/vnd.plotly.v1+json": described.to_plotly_json()},
    )


@dataclass(frozen=True)
class Notice:
    """A message that stands where a table or figure would."""

    title: str
    text: str
    command: str = ""
    kind: str = "warning"

    def _repr_html_(self) -> str:
        command = f"<pre>{html.escape(self.command)}</pre>" if self.command else ""
        return (
            f'<div class="admonition {self.kind}"><p class="admonition-title">'
            f"<strong>{html.escape(self.title)}</strong></p>"
            f"<p>{html.escape(self.text)}</p>{command}</div>"
        )

    def __repr__(self) -> str:
        return "\n".join(part for part in (self.title, self.text, self.command) if part)


def or_notice(
    make: Callable[Arguments, Exhibit],
) -> Callable[Arguments, Exhibit | Notice]:
    """Where a table or figure lacks what it needs, show what provides it instead."""

    @wraps(make)
    def made(*arguments: Arguments.args, **named: Arguments.kwargs) -> Exhibit | Notice:
        try:
            return make(*arguments, **named)
        except Missing as missing:
            return Notice("Not here yet", missing.what, missing.remedy)

    return made
