"""`replicate corpus check`: what a corpus holds, what is wrong with it, what it is good for."""

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd

from replicate.corpora.opening import read_corpus
from replicate.corpora.protocol import cohort
from replicate.corpora.table import Corpus, Problem, Severity, gathered, without_damaged
from replicate.corpora.waveforms import examine, recordings_of
from replicate.files import InputError
from replicate.paper import EMOTIONS
from replicate.settings import SAMPLE_RATE

#: Every severity is worse than those before it.
WORSE = get_args(Severity)


@dataclass(frozen=True)
class Report:
    """What a check found."""

    title: str
    root: str
    tables: dict[str, pd.DataFrame]  # heading -> counts or durations
    problems: tuple[Problem, ...]  # fatal first, notes last
    usable: bool  # by any experiment, as it is
    verdict: str  # for which experiments, and what would make it better


def check(name: str, path: Path | None, skip_damaged: bool = False) -> Report:
    """Read a corpus, look at every recording, and judge, or judge what is left without damage."""
    try:
        corpus = read_corpus(name, path)
    except InputError as error:
        fatal = Problem(error.place, error.what, error.remedy, "fatal")
        return Report(name, str(path or name), {}, (fatal,), False, f"unusable: {error.what}")
    seconds, recordings = _recordings(corpus)
    found = (*lacking(corpus), *corpus.problems, *recordings)
    problems = tuple(sorted(found, key=lambda problem: -WORSE.index(problem.severity)))
    verdict = _verdict(corpus, recordings, skip_damaged)
    return Report(corpus.title, str(corpus.root), _tables(corpus, seconds), problems, *verdict)


def render(report: Report, every: bool = False) -> str:
    """The report as text; of many problems that are alike the first few, or `every` one."""
    parts = [f"{report.title}\n{report.root}"]
    parts += [f"{heading}\n{table.to_string()}" for heading, table in report.tables.items()]
    counts = Counter(problem.severity for problem in report.problems)  # in the order of severity
    summary = ", ".join(f"{count} {severity}" for severity, count in counts.items())
    parts.append(f"Problems: {summary or 'none'}")
    shown = report.problems if every else gathered(report.problems)
    parts += [f"{p.severity}  {p.place}: {p.what}\n  -> {p.remedy}" for p in shown]
    if len(shown) < len(report.problems):
        parts.append("--all prints each problem.")
    parts.append(f"Verdict: {report.verdict}.")
    return "\n\n".join(parts) + "\n"


def _recordings(corpus: Corpus) -> tuple[pd.Series, list[Problem]]:
    """Seconds of each utterance (NaN without a usable recording), and what is wrong."""
    table = corpus.utterances
    seconds = pd.Series(np.nan, index=table["utterance"], name="seconds")
    if not corpus.has_audio:
        return seconds, []
    told = {problem.utterance for problem in corpus.problems if problem.severity == "damaged"}
    table = table[~table["utterance"].isin(told)]
    inside = dict(zip(table["utterance"], table["label"].isin(list(corpus.emotions)), strict=True))
    problems = []
    for utterance, found in examine(recordings_of(corpus, table)):
        if not isinstance(found, Problem):
            seconds[utterance] = len(found) / SAMPLE_RATE
        elif inside[utterance]:
            problems.append(found)
        else:
            remedy = "none needed: its label is outside the cohort"
            problems.append(replace(found, remedy=remedy, severity="note"))
    return seconds, problems


def _verdict(corpus: Corpus, recordings: list[Problem], skip_damaged: bool) -> tuple[bool, str]:
    """Whether the corpus is usable, and for what."""
    try:
        chosen = cohort(without_damaged(corpus, skip_damaged))
    except InputError as error:
        return False, f"unusable as it is: {error.what.splitlines()[0]}; {error.remedy}"
    audible, remark = _audible(chosen, recordings, skip_damaged)
    text, audio = bool(chosen["transcript"].notna().any()), len(audible) > 0
    if corpus.features is not None and not audio:
        words = " and text" if text else ""
        purpose = f"with acoustic features in place of raw audio{words}"
        return True, f"usable {purpose}: {len(chosen):,} utterances of the four classes"
    if not text and not audio:
        return False, f"unusable as it is: no transcripts, and {remark}"
    only = f"for {'text' if text else 'audio'}-only experiments"
    purpose = "with audio and text" if text and audio else only
    count = len(audible) if audio else len(chosen)
    parts = [f"usable {purpose}: {count:,} utterances of the four classes"]
    if remark:
        parts.append(remark)
    known = DISTRIBUTED.get(corpus.name)
    if known and len(corpus.utterances) < known.utterances:
        lost = known.utterances - len(corpus.utterances)
        parts.append(f"{lost:,} of the {known.utterances:,} utterances as distributed are missing")
    outside = corpus.utterances["label"][~corpus.utterances["label"].isin(list(corpus.emotions))]
    if len(outside):
        parts.append(f"{len(outside):,} of {', '.join(sorted(outside.unique()))} are outside")
    return True, "; ".join(parts)


def _audible(
    chosen: pd.DataFrame, recordings: list[Problem], skip_damaged: bool
) -> tuple[pd.DataFrame, str]:
    """The part of the cohort that can be heard, and a remark on the rest."""
    broken = {problem.utterance for problem in recordings if problem.severity == "damaged"}
    left = chosen[chosen["wav"].notna() & ~chosen["utterance"].isin(broken)]
    if not chosen["wav"].notna().any():
        return left, "it has no recordings"
    if broken and not skip_damaged:
        remark = f"{len(broken)} damaged recordings: repair them, or pass --skip-damaged"
        return left[:0], remark
    if set(left["emotion"]) != set(EMOTIONS):
        return left[:0], "not every class has a recording that can be used"
    return left, f"{len(broken)} damaged recordings left out" if broken else ""


def _tables(corpus: Corpus, seconds: pd.Series) -> dict[str, pd.DataFrame]:
    """Counts by label, session and speaker, and durations by class."""
    table = corpus.utterances.join(seconds, on="utterance")
    table["class"] = table["label"].map(corpus.emotions).fillna("(outside)")
    labels = table.groupby(["class", "label"]).agg(
        utterances=("utterance", "size"), transcripts=("transcript", "count"), wavs=("wav", "count")
    )
    inside = table[table["class"] != "(outside)"]
    tables = {"By label": labels}
    for column in ("session", "speaker"):
        tables[f"By {column} and class"] = pd.crosstab(
            inside[column], inside["class"], margins=True, margins_name="(all)"
        )
    if seconds.notna().any():
        by_class = inside.groupby("class")["seconds"]
        lengths = by_class.agg(["count", "mean", "std", "min", "median", "max"]).round(2)
        tables["Durations in seconds"] = lengths.assign(hours=(by_class.sum() / 3600).round(2))
    return tables


# What each corpus has as distributed --------------------------------------------------------------


@dataclass(frozen=True)
class Distribution:
    """Counts of a corpus as its authors, or those who publish the file, distribute it."""

    labels: dict[str, int]  # label -> utterances
    columns: dict[str, int]  # column of the utterance table -> how many values it has
    parts: dict[str, int] = field(default_factory=dict)  # how its ids begin -> its utterances

    @property
    def utterances(self) -> int:
        """How many there are."""
        return sum(self.labels.values())


_IEMOCAP = {
    "ang": 1103, "hap": 595, "exc": 1041, "neu": 1708, "sad": 1084, "fru": 1849, "xxx": 2507,
    "sur": 107, "fea": 40, "oth": 3, "dis": 2,
}  # fmt: skip
_WHOLE = {"session": 5, "dialogue": 151, "speaker": 10}
#: The labels whose transcripts are published.
_TEXT = {label: _IEMOCAP[label] for label in ("ang", "hap", "exc", "neu", "sad", "fru")}
#: Busso et al. 2008; Burkhardt et al. 2005; Christop 2024; Poria et al. 2019; from their files.
DISTRIBUTED = {
    "iemocap": Distribution(
        labels=_IEMOCAP,
        columns=_WHOLE,
        parts={"Ses01": 1819, "Ses02": 1811, "Ses03": 2136, "Ses04": 2103, "Ses05": 2170},
    ),
    "iemocap-features": Distribution(labels=_TEXT | {"xxx": 53}, columns=_WHOLE),
    "emodb": Distribution(
        labels={
            "anger": 127, "boredom": 81, "disgust": 46, "fear": 69, "happiness": 71,
            "neutral": 79, "sadness": 62,
        },
        columns={"speaker": 10},
    ),
    "nemo": Distribution(
        labels={
            "anger": 749, "fear": 736, "happiness": 749, "neutral": 809, "sadness": 769,
            "surprised": 669,
        },
        columns={"speaker": 9},
    ),
    "meld": Distribution(
        labels={
            "neutral": 6436, "joy": 2308, "surprise": 1636, "anger": 1607, "sadness": 1002,
            "disgust": 361, "fear": 358,
        },
        columns={"dialogue": 1432},
        parts={"train": 9989, "dev": 1109, "test": 2610},
    ),
}  # fmt: skip


def lacking(corpus: Corpus) -> list[Problem]:
    """In what a copy differs from the corpus as distributed: one problem, or none."""
    known, table = DISTRIBUTED.get(corpus.name), corpus.utterances
    if known is None:
        return []
    counts = [(f"{column}s", table[column].nunique(), n) for column, n in known.columns.items()]
    counts.append(("utterances", len(table), known.utterances))
    found = [f"{has:,} of {n:,} {name}" for name, has, n in counts if has != n]
    ids = table["utterance"].str
    counts = [(part, ids.startswith(part).sum(), n) for part, n in known.parts.items()]
    counts += [(label, (table["label"] == label).sum(), n) for label, n in known.labels.items()]
    found += [f"{name} {has:,} of {n:,}" for name, has, n in counts if has != n]
    if not found:
        return []
    what = f"has, of the corpus as distributed, {', '.join(found)}"
    remedy = "unpack or download it anew, unless you mean to use a part"
    return [Problem(str(corpus.root), what, remedy, "missing")]
