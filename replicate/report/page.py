"""What notebooks begin with: a notice. Nothing here imports a corpus or a plot."""

import html
import inspect
from dataclasses import dataclass
from typing import Any

from IPython.display import Markdown

from replicate.settings import MARK

#: How an exhibit calls the notebook that it is in; the book has its name instead.
HERE = "this notebook"
#: Said of a page for which no corpus was read.
NO_CORPUS = (
    "No corpus was read for this page: its numbers are the paper's own, published counts, or "
    "computed from these and from this project's modules."
)

#: Corpora that are not generated -> what pages call them, and what they are.
REAL_CORPORA = {
    "iemocap": ("IEMOCAP", "the paper's corpus"),
    "iemocap-features": (
        "IEMOCAP (transcripts and acoustic features)",
        "the paper's corpus, acoustic features in place of raw audio",
    ),
    "emodb": ("EmoDB", "recordings of German actors, whose text is only a code of the sentence"),
    "nemo": ("nEMO", "recordings of Polish actors, who say the same sentences in every emotion"),
    "meld": ("MELD", "the words of a television series"),
}


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


def notice(*corpora: str) -> Notice:
    """Which corpora a page's numbers come from; the book has it below the title."""
    if not corpora:
        return Notice("Corpus: none", NO_CORPUS, kind="note")
    standins = [name for name in corpora if name.startswith("standin-")]
    real = dict(_real(name) for name in corpora if name not in standins)
    title = f"Corpus: {'; '.join([MARK] * bool(standins) + list(real))}"
    told = [f"{name}: {what}." for name, what in real.items()]
    if standins:
        made = f"{', '.join(standins)}: made by a program. Its numbers show how the model behaves"
        told.insert(0, f"{made} there. They are no results on IEMOCAP.")
    return Notice(title, " ".join(told), kind="warning" if standins else "note")


def called(corpus: str) -> str:
    """A corpus in the prose: `the quick synthetic stand-in`."""
    if corpus.startswith("standin-"):
        return f"the {corpus.removeprefix('standin-')} synthetic stand-in"
    return _real(corpus)[0]


def _real(corpus: str) -> tuple[str, str]:
    """What pages call a corpus that is not generated, and what it is."""
    return REAL_CORPORA.get(corpus, (corpus.removeprefix("own-"), "a corpus of one's own"))


def source(thing: Any) -> Markdown:
    """The code of a class or function, as it runs."""
    return Markdown(f"```python\n{inspect.getsource(thing)}```")  # type: ignore[no-untyped-call]
