"""What is stored of corpora that no clone has: where it comes from, or what would store it."""

from dataclasses import dataclass
from typing import Literal

from replicate.report.sources import Source, commit_name, listed
from replicate.runs.selection import Missing
from replicate.studies import loudness, wordlists
from replicate.studies.wordlists import Classes


@dataclass(frozen=True)
class Absent:
    """Stands for a source that is not stored, and is false: its exhibits say what stores it.

    Attributes:
        what: what is missing, a sentence.
        remedy: the command that stores it.
    """

    what: str
    remedy: str

    def __bool__(self) -> Literal[False]:
        return False

    def missing(self) -> Missing:
        """The same as an error."""
        return Missing(self.what, self.remedy)


def of_levels(corpus: str) -> Source | Absent:
    """The source of a corpus's stored levels, see `loudness.load`."""
    kept = loudness.load(corpus)
    if kept is None:
        what = f"The levels of {corpus} have not been stored."
        return Absent(what, loudness.command(corpus))
    commit = f"commit {commit_name(kept.commit, kept.dirty)}"
    return Source(kept.corpus_title, kept.synthetic, (f"levels of {len(kept.rows)}", commit))


def of_words(corpus: str, classes: Classes) -> Source | Absent:
    """The source of a corpus's stored words, see `wordlists.load`."""
    kept = wordlists.load(corpus).get(classes)
    if kept is None:
        what = f"The words of {corpus} have not been counted ({classes})."
        return Absent(what, wordlists.command(corpus))
    return Source(
        kept.corpus_title,
        kept.synthetic,
        (
            f"{kept.sentences:,} sentences, {kept.words:,} words",
            *([listed("run", kept.runs)] if kept.runs else []),
            f"commit {commit_name(kept.commit, kept.dirty)}",
        ),
    )
