"""How loud each utterance is, stored for recordings that may not be at hand.

`results/<corpus>/loudness.json` holds ids, classes, speakers and levels: `replicate loudness`
writes it where the recordings are, and pages read it where they are not.
"""

import datetime
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from replicate import records
from replicate.code import code_version
from replicate.corpora import at_hand
from replicate.corpora.table import Corpus, text_fingerprint
from replicate.protocol import cohort
from replicate.runs import RESULTS, package_versions
from replicate.waveforms import Waveforms, levels, open_waveforms

#: Columns of `of_cohort`, and of what is stored.
COLUMNS = ("utterance", "emotion", "speaker", "average", "spread")


@dataclass(frozen=True)
class Loudness:
    """The levels of a corpus's cohort.

    Attributes:
        corpus: name as on the command line.
        corpus_title: for captions.
        synthetic: whether the corpus is the stand-in.
        text_fingerprint: SHA-256 of ids, labels and transcripts of the corpus.
        audio_fingerprint: SHA-256 of ids and samples.
        commit: git commit of the code.
        dirty: whether numerical code differed from that commit.
        packages: versions.
        date: UTC, ISO 8601.
        rows: the values of `COLUMNS` for each utterance.
    """

    corpus: str
    corpus_title: str
    synthetic: bool
    text_fingerprint: str
    audio_fingerprint: str
    commit: str
    dirty: bool
    packages: dict[str, str]
    date: str
    rows: list[tuple[str, str, str, float, float]]

    @property
    def table(self) -> pd.DataFrame:
        """As `of_cohort`."""
        return pd.DataFrame(self.rows, columns=list(COLUMNS)).set_index("utterance")


def of_cohort(corpus: Corpus, waveforms: Waveforms | None = None) -> pd.DataFrame:
    """Loudness of each utterance of a corpus's cohort.

    Args:
        corpus: the corpus.
        waveforms: its recordings; opened by default.

    Returns:
        Index utterance; `emotion`, `speaker`, and `average` and `spread` of
        `replicate.waveforms.levels`.
    """
    table = cohort(corpus).set_index("utterance")
    level = levels(waveforms or open_waveforms(corpus), table.index.tolist())
    return table[["emotion", "speaker"]].join(level)


def make(corpus: Corpus) -> Loudness:
    """What is stored of a corpus.

    Raises:
        InputError: the corpus has no recordings, or some are damaged.
    """
    waveforms = open_waveforms(corpus)
    level = of_cohort(corpus, waveforms)
    commit, dirty = code_version(heard=True)
    return Loudness(
        corpus=corpus.name,
        corpus_title=corpus.title,
        synthetic=corpus.synthetic,
        text_fingerprint=text_fingerprint(corpus.utterances),
        audio_fingerprint=waveforms.fingerprint,
        commit=commit,
        dirty=dirty,
        packages=package_versions(),
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        rows=list(level.itertuples(name=None)),
    )


def save(found: Loudness, root: Path = RESULTS) -> Path:
    """Store the levels of a corpus."""
    path = _path(found.corpus, root)
    records.write(path, found, indent=None)
    return path


def load(corpus: str, root: Path = RESULTS) -> Loudness | None:
    """The stored levels of a corpus; None if there are none.

    Raises:
        InputError: if the file is damaged.
    """
    path = _path(corpus, root)
    return records.read(path, Loudness, f"run `{command(corpus)}`") if path.exists() else None


def command(corpus: str) -> str:
    """What makes the levels of a corpus."""
    return f"replicate loudness --corpus {at_hand(corpus)}"


def _path(corpus: str, root: Path) -> Path:
    return root / corpus / "loudness.json"
