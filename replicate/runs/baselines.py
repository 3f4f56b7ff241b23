"""The store of baselines' results: `results/<corpus>/baselines/<baseline>-<fold>/`.

It stands beside the runs of the network and is laid out alike: `baseline.json` holds what was done
and where it comes from, and is written last; `predictions.parquet` has a row an utterance. Like
runs, results are published in few files, see `replicate.runs.published`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from pydantic import ConfigDict, with_config

from replicate.files import InputError, read_record, replacing, sha256, write_record
from replicate.runs import published, store
from replicate.runs.code import BASELINES_CODE, loaded
from replicate.runs.published_files import Kind, whole
from replicate.runs.store import Provenance, Run
from replicate.settings import RESULTS, Fold

#: In the store and in tables it stands where runs have their profile.
PROFILE = "baselines"

PACKAGES = ("numpy", "pandas", "scipy", "scikit-learn", "torch", "torchaudio")

RECORD, PREDICTIONS = "baseline.json", "predictions.parquet"


@dataclass(frozen=True)
class Baseline:
    """A baseline as tables and commands know it.

    Attributes:
        title: how tables call it.
        needs: what it reads of an utterance.
    """

    title: str
    needs: tuple[Literal["text", "audio"], ...] = ()


#: Name, as in folder names -> baseline, in the order of the tables.
BASELINES = {
    "majority": Baseline("Largest class"),
    "dialogue": Baseline("Same dialogue"),
    "dialogue-speaker": Baseline("Same dialogue and speaker"),
    "nearest-turn": Baseline("Speaker's nearest turn"),
    "same-text": Baseline("Same words", ("text",)),
    "tfidf": Baseline("TF-IDF, logistic regression", ("text",)),
    "loudness": Baseline("Duration and loudness, logistic regression", ("audio",)),
    "mfcc": Baseline("MFCC statistics, SVM", ("audio",)),
    "late-fusion": Baseline("TF-IDF and MFCC, late fusion", ("text", "audio")),
}


@dataclass(frozen=True)
class Setting:
    """All of what determines a baseline's result; its attributes are named as `Experiment`'s.

    Attributes:
        corpus: name as on the command line.
        model: a key of `BASELINES`.
        fold: what is held out.
    """

    corpus: str
    model: str
    fold: Fold

    profile = PROFILE
    embedding = "none"
    choice = ""

    @property
    def seed(self) -> int:
        """The number of the random split. A baseline itself draws nothing."""
        return int(self.fold.held_out) if self.fold.kind == "stratified" else 0

    @property
    def name(self) -> str:
        """As in folder names."""
        return f"{self.model}-{self.fold.name}"


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True)
class _Record:
    """The contents of `baseline.json`."""

    experiment: Setting
    provenance: Provenance
    files: dict[str, str]


@dataclass(frozen=True)
class BaselineRun:
    """A baseline's result, which `metrics` and the tables treat as a run.

    Attributes:
        experiment: what was done.
        provenance: where it comes from.
        predictions: see `baselines.tested`.
        folder: where it is stored, or was before it was published.
    """

    experiment: Setting
    provenance: Provenance
    predictions: pd.DataFrame
    folder: Path

    def selected(self, _: str) -> pd.DataFrame:
        """The predictions, whichever epoch is asked for: a baseline has none to choose."""
        return self.predictions

    @property
    def code_now(self) -> dict[str, str]:
        """Digests of the code that would make this result now."""
        return loaded(BASELINES_CODE)

    @property
    def changed_code(self) -> tuple[str, ...]:
        """The definitions that have changed since this result was made."""
        return self.provenance.changed(self.code_now)


def save(result: BaselineRun) -> None:
    """Write a result; `baseline.json` comes last, so an interrupted write leaves none."""
    path = result.folder / PREDICTIONS
    with replacing(path) as temporary:
        result.predictions.to_parquet(temporary, index=False)
    record = _Record(result.experiment, result.provenance, {PREDICTIONS: sha256(path)})
    write_record(result.folder / RECORD, record)


def load(folder: Path) -> BaselineRun:
    """Read a result and verify that it is whole and what its place says.

    Raises:
        InputError: it is damaged, or another result than the one that its folder names.
    """
    again = f"remove {folder} and run `replicate baselines` again"
    record = read_record(folder / RECORD, _Record, again)
    path, setting = folder / PREDICTIONS, record.experiment
    if not path.exists() or record.files != {PREDICTIONS: sha256(path)}:
        raise InputError(path, "missing, or not the file that was written", again)
    if folder.parts[-3:] != (setting.corpus, PROFILE, setting.name):
        raise InputError(folder, f"holds {setting.name} on {setting.corpus}", "move it back")
    predictions = pd.read_parquet(path)
    counts, n_test = np.array([len(predictions)]), np.array([record.provenance.n_test])
    if not whole(predictions, counts, n_test).all():
        raise InputError(path, "does not hold one distribution for each test utterance", again)
    return BaselineRun(setting, record.provenance, predictions, folder)


#: How results are stored and published.
KIND = Kind(BaselineRun, _Record, RECORD, ("predictions",), load, save)


def kind_of(profile: str) -> Kind[Any]:
    """What is stored below a profile's name."""
    return KIND if profile == PROFILE else store.KIND


def load_all(
    corpus: str, root: Path = RESULTS, text_fingerprint: str | None = None
) -> list[BaselineRun]:
    """All stored results on a corpus, verified, in the order of the tables.

    Args:
        corpus: name as on the command line.
        root: the store.
        text_fingerprint: where the corpus is at hand, what the results must have seen.

    Raises:
        InputError: a result is damaged, or rests on another version of the corpus.
    """
    found = published.load(root / corpus / PROFILE, KIND)
    for result in found:
        if (model := result.experiment.model) not in BASELINES:
            raise InputError(result.folder, f"holds {model}, which is no baseline", "remove it")
        if text_fingerprint not in (None, result.provenance.text_fingerprint):
            raise InputError(
                result.folder,
                f"rests on another version of {corpus} than the one at hand",
                "remove it and run the command again, or use the corpus that it rests on",
            )
    return sorted(found, key=lambda result: list(BASELINES).index(result.experiment.model))


def dialogues(results: Iterable[BaselineRun]) -> dict[str, str]:
    """Utterance -> its dialogue, of every tested utterance."""
    pairs = [result.predictions[["utterance", "dialogue"]] for result in results]
    return dict(pd.concat(pairs).drop_duplicates().itertuples(index=False)) if pairs else {}


def whole_rounds(runs: Sequence[Run], results: Iterable[BaselineRun]) -> list[Run]:
    """The runs without unfinished rounds, which test some of a kind's groups only.

    Some groups are easier than others, so a part of them may not stand beside all.

    Args:
        runs: runs of a corpus.
        results: baselines on it; they have every group of a kind.
    """
    groups: dict[str, set[str]] = {}
    for result in results:
        fold = result.experiment.fold
        groups.setdefault(fold.kind, set()).add(fold.held_out)
    tested: dict[tuple[object, ...], set[str]] = {}
    for run in runs:
        tested.setdefault(_round(run), set()).add(run.experiment.fold.held_out)
    return [
        run
        for run in runs
        if run.experiment.fold.kind == "stratified"
        or tested[_round(run)] >= groups.get(run.experiment.fold.kind, set())
    ]


def _round(run: Run) -> tuple[object, ...]:
    """What the runs share that hold out the groups of a kind in turn."""
    made = run.experiment
    return made.model, made.embedding, made.choice, made.seed, made.fold.kind


#: A network's run or a baseline's result.
Tested: TypeAlias = "Run | BaselineRun"
