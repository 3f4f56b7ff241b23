"""What a criterion may look at, and what it finds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd

from replicate.runs.selection import answers
from replicate.runs.store import Run
from replicate.stats import classification
from replicate.stats.intervals import UNKNOWN, Interval
from replicate.stats.summaries import by_run, summarise

Outcome = Literal["met", "undecided", "not met"]


@dataclass(frozen=True)
class Finding:
    """What a criterion finds.

    Attributes:
        outcome: None where there is nothing to judge.
        reproduced: our values.
        interval: of our value, where it is one number.
        evidence: what else to know.
        shortfall: what is missing for a verdict; empty if nothing is.
    """

    outcome: Outcome | None = None
    reproduced: str = ""
    interval: Interval = UNKNOWN
    evidence: str = ""
    shortfall: str = ""


@dataclass(frozen=True)
class Evidence:
    """All that a criterion may look at.

    Attributes:
        runs: runs of one corpus, profile and kind of fold.
        selection: which epoch of each run, see `replicate.runs.store.SELECTIONS`.
        counts: utterances in `train` (all that is not tested) and `test`, where known.
        table8: from `replicate.corpora.waveforms.class_averages`.
        words: from `replicate.studies.words.word_table`.
        loudness: `emotion`, `speaker`, and `average` and `spread` from
            `replicate.corpora.waveforms.levels` for each utterance of the cohort.
        by_text_alone: whether `words` has the classes that text alone predicts.
    """

    runs: Sequence[Run]
    selection: str
    counts: dict[str, int]
    table8: pd.DataFrame | None = None
    words: pd.DataFrame | None = None
    loudness: pd.DataFrame | None = None
    by_text_alone: bool = False

    @cached_property
    def summary(self) -> dict[str, dict[str, Any]]:
        """`summarise`: `model-embedding` -> its row."""
        rows = summarise(self.predictions.drop(columns="name")).to_dict("records")
        return {f"{row['model']}-{row['embedding']}": row for row in rows}  # type: ignore[misc]

    @cached_property
    def single(self) -> pd.DataFrame:
        """`by_run`, with column `name`: `model-embedding`."""
        return _with_name(by_run(self.predictions))

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """`answers`, with column `name`: `model-embedding`."""
        return _with_name(answers(self.runs, self.selection))

    def mean(self, name: str, measure: str) -> tuple[float, Interval]:
        """A configuration's mean over seeds, with its interval."""
        row = self.summary[name]
        return row[measure], Interval(row[f"{measure}_low"], row[f"{measure}_high"])

    def by_seed(self, name: str, measure: str) -> pd.Series:
        """A configuration's values by seed, folds averaged."""
        rows = self.single[self.single["name"] == name]
        return rows.groupby("seed")[measure].mean()

    def confusions(self, name: str) -> list[pd.DataFrame]:
        """A configuration's confusion matrix for each seed, its folds pooled."""
        seeds = self.predictions[self.predictions["name"] == name].groupby("seed")
        return [classification.confusion(part["emotion"], part["predicted"]) for _, part in seeds]

    def accuracies(self, names: Sequence[str]) -> pd.DataFrame:
        """Accuracy by seed (rows) and configuration (columns), on folds that all of them ran."""
        rows = self.single[self.single["name"].isin(names)]
        rows = rows.assign(right=rows["accuracy"] * rows["n_utterances"])
        shared = rows.groupby(["seed", "fold"])["name"].transform("size") == len(names)
        sums = rows[shared].groupby(["seed", "name"])[["right", "n_utterances"]].sum()
        return (sums["right"] / sums["n_utterances"]).unstack().reindex(columns=list(names))


def _with_name(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(name=table["model"] + "-" + table["embedding"])


def all_of(outcomes: Iterable[Outcome]) -> Outcome:
    """A criterion of several parts is met if all are, and not met if one is not."""
    found = set(outcomes)
    return "not met" if "not met" in found else "undecided" if "undecided" in found else "met"


def over_seeds(outcomes: Iterable[Outcome], seeds: int) -> Outcome:
    """As `all_of`; but one seed, which has no interval, decides nothing."""
    return all_of(outcomes) if seeds > 1 else "undecided"


def near(value: float, interval: Interval, target: float, tolerance: float) -> Outcome:
    """Whether a value lies within a tolerance; undecided where only its interval reaches it.

    An unknown interval reaches nothing: then the value alone decides.
    """
    if abs(value - target) <= tolerance:
        return "met"
    reaches = interval.low <= target + tolerance and interval.high >= target - tolerance
    return "undecided" if reaches else "not met"


def bracketed(value: float, interval: Interval, sign: str = "") -> str:
    """As in `0.689 [0.671, 0.707]`; the value alone where the interval is unknown."""
    if np.isnan(interval.low):
        return f"{value:{sign}.3f}"
    return f"{value:{sign}.3f} [{interval.low:{sign}.3f}, {interval.high:{sign}.3f}]"


def missing(names: Sequence[str], evidence: Evidence) -> Finding | None:
    """The finding where some configurations were not run, with what there is of one modality."""
    absent = [name for name in names if name not in evidence.summary]
    if not absent:
        return None
    return Finding(evidence=unimodal(evidence, names), shortfall=f"no runs of {', '.join(absent)}")


def unimodal(evidence: Evidence, names: Sequence[str] = ("text",)) -> str:
    """What the models of one modality reach; empty where no name is of such a model."""
    if not any(name.startswith(("audio", "text")) for name in names):
        return ""
    return "; ".join(
        f"{name} {bracketed(*evidence.mean(name, 'accuracy'))}, "
        f"{row['n_seeds']} seed{'s' * (row['n_seeds'] > 1)}"
        for name, row in evidence.summary.items()
        if row["model"] in ("audio", "text")
    )


def too_few(found: int, wanted: int) -> str:
    """The shortfall in seeds; empty if there is none."""
    return f"{found} of the {wanted} seeds that the criterion asks for" if found < wanted else ""
