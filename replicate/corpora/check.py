"""`replicate corpus check`: what a corpus holds, what is wrong with it, what it is good for."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from replicate.corpora.distributed import DISTRIBUTED, lacking
from replicate.corpora.opening import read_corpus
from replicate.corpora.protocol import cohort
from replicate.corpora.table import Corpus, Problem, gathered, without_damaged
from replicate.corpora.waveforms import examine, recordings_of
from replicate.files import InputError
from replicate.paper import EMOTIONS
from replicate.settings import SAMPLE_RATE


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
    problems = tuple(sorted(found, key=lambda problem: _SEVERITIES.index(problem.severity)))
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


_SEVERITIES = ("fatal", "damaged", "missing", "note")


def _recordings(corpus: Corpus) -> tuple[pd.Series, list[Problem]]:
    """Seconds of each utterance (NaN without a usable recording), and what is wrong."""
    table = corpus.utterances
    seconds = pd.Series(np.nan, index=table["utterance"], name="seconds")
    if not corpus.has_audio:
        return seconds, []
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
