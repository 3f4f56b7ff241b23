"""Is the audio model a loudness detector? Levels of utterances, and loudness as a classifier.

`results/<corpus>/loudness.json` holds ids, classes, speakers and levels: `replicate loudness`
writes it where the recordings are, and pages read it where they are not.
"""

import datetime
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from replicate.corpora.altered import NOMINAL, SIX_DB
from replicate.corpora.names import at_hand
from replicate.corpora.protocol import cohort
from replicate.corpora.table import Corpus, text_fingerprint
from replicate.corpora.waveforms import Waveforms, levels, open_waveforms
from replicate.files import read_record, write_record
from replicate.paper import EMOTIONS
from replicate.runs.code import code_version, package_versions
from replicate.runs.selection import Selection
from replicate.settings import QUIETEST, RESULTS, UNTREATED
from replicate.stats import hypothesis_tests

#: Columns of `of_cohort`, and of what is stored.
COLUMNS = ("utterance", "emotion", "speaker", "average", "spread")

#: What is compared: nothing, loudness alone, a textbook's view of the spectrum, the network.
RIVALS = ("majority", "loudness", "mfcc", "audio")

#: The choice that trains on recordings which are all equally loud.
NORMALISED = "loudness-normalised"

#: The control of `rms`: what moves all recordings alike, and how far, in dB.
SHIFTS = {UNTREATED: 0.0, "louder": 20 * np.log10(SIX_DB), "softer": -20 * np.log10(SIX_DB)}


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
        `replicate.corpora.waveforms.levels`.
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
    write_record(path, found, indent=None)
    return path


def load(corpus: str, root: Path = RESULTS) -> Loudness | None:
    """The stored levels of a corpus; None if there are none.

    Raises:
        InputError: if the file is damaged.
    """
    path = _path(corpus, root)
    return read_record(path, Loudness, f"run `{command(corpus)}`") if path.exists() else None


def command(corpus: str) -> str:
    """What makes the levels of a corpus."""
    return f"replicate loudness --corpus {at_hand(corpus)}"


def _path(corpus: str, root: Path) -> Path:
    return root / corpus / "loudness.json"


def shift(level: pd.DataFrame) -> float:
    """How far the treatment `rms` raises a cohort's recordings, in dB, mean.

    >>> shift(pd.DataFrame({"spread": [NOMINAL, NOMINAL / 10]}))
    10.0
    """
    return float((20 * np.log10(NOMINAL / level["spread"].clip(lower=QUIETEST))).mean())


def nearest(moved: float) -> str:
    """Whichever of `SHIFTS` comes nearest to a shift of the mean level, in dB.

    >>> nearest(4.0)
    'louder'
    """
    return min(SHIFTS, key=lambda name: abs(SHIFTS[name] - moved))


def above(level: pd.DataFrame, emotion: str) -> pd.DataFrame:
    """How far speakers raise each other class above one, in dB.

    Args:
        level: from `of_cohort`.
        emotion: the class.

    Returns:
        Index emotion; `difference` (mean over speakers, each by the mean level of its utterances),
        `low`, `high` (Student's t over speakers), `p_holm` (paired t test, Holm's correction),
        `softer` (speakers whose speech of the class is the softer one), `speakers`.
    """
    decibels = level.assign(decibels=20 * np.log10(level["average"].clip(lower=QUIETEST)))
    means = decibels.pivot_table("decibels", "speaker", "emotion").dropna()[list(EMOTIONS)]
    rows = hypothesis_tests.over_seeds(means, emotion).set_index("first").rename_axis(None)
    softer = means.gt(means[emotion], axis="index").sum()
    columns = ["difference", "low", "high", "p_holm"]
    return rows[columns].assign(softer=softer, speakers=len(means))


def rivals(baselines: Selection, network: Selection) -> Selection:
    """`RIVALS` on those folds of one version of the corpus that all of them have.

    Args:
        baselines: on any folds.
        network: the audio model on one kind of folds.

    Returns:
        Baselines, then the network; empty if one of them, or a common fold, is not there.
    """
    simple = baselines.of(RIVALS, folds=network.folds)
    folds: dict[str, set[tuple[str, str]]] = {name: set() for name in RIVALS}
    placed = [
        (one, (one.experiment.fold.name, one.provenance.text_fingerprint))
        for one in (*simple, *network)
    ]
    for one, fold in placed:
        folds[one.experiment.model].add(fold)
    shared = set.intersection(*folds.values())
    runs = tuple(one for one, fold in placed if fold in shared)
    return replace(simple, runs=runs, wanted="loudness alone and the network")


def right_beside(answers: pd.DataFrame) -> pd.DataFrame:
    """Which answers of the network are right, and which of each baseline on the same utterance.

    Args:
        answers: of `rivals`, see `Selection.answers`.

    Returns:
        Index `fold`, `seed` (of the network), `utterance`; a bool column for each of `RIVALS`.
    """
    right = answers.assign(right=answers["predicted"] == answers["emotion"])
    heard = right["model"] == "audio"
    network = right[heard].set_index(["fold", "seed", "utterance"])[["right"]]
    simple = right[~heard].pivot(index=["fold", "utterance"], columns="model", values="right")
    both = network.rename(columns={"right": "audio"}).join(simple, on=["fold", "utterance"])
    return both[list(RIVALS)]
