"""A run, and its folder: `results/<corpus>/<profile>/<experiment>/`.

`epochs.parquet` has the learning curves, `predictions.parquet` one row an utterance and selection
of epoch, `treated.parquet` one row an utterance and treatment; a baseline's result is a run that
has predictions alone. `run.json`, of baselines `baseline.json`, says what was run and where it
comes from. It is written last: a folder without it is a run in progress. Ids and numbers only,
never audio or transcripts. `replicate.runs.published` packs a finished grid into few files.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import pandas as pd
from pydantic import ConfigDict, with_config

from replicate.files import InputError, read_record, replacing, sha256, write_record
from replicate.paper import EMOTIONS
from replicate.runs.baselines import PROFILE, Setting
from replicate.runs.code import BASELINES_CODE, LOADED_CODE, difference, loaded
from replicate.runs.experiments import Experiment
from replicate.settings import RESULTS

#: Which epoch a row of `predictions` comes from, in words. Never compare runs across selections.
SELECTIONS = {
    "last-epoch": "last epoch",
    "development-best": "best development epoch",
    "test-best": "best test epoch (chosen on the test set: optimistic)",
}
#: How the files of weights end, which lie beside the folders of their runs.
WEIGHTS = ".safetensors"
#: Where reports of reruns are kept, beside the corpora.
REPORTS = "reruns"
#: Beside the runs, the folder of repeats that are made for the weights of finished ones.
AGAIN = ".again"


@dataclass(frozen=True)
class Vectors:
    """The word vectors of a run."""

    source: str  # for captions
    dimension: int
    out_of_vocabulary_words: float  # share of the vocabulary that has no vector ...
    out_of_vocabulary_tokens: float  # ... and of its occurrences
    digest: str = ""  # SHA-256 of what they make of the run's vocabulary


@dataclass(frozen=True)
class Provenance:
    """Where a run comes from."""

    corpus_title: str  # for captions
    synthetic: bool  # whether the corpus is the stand-in
    text_fingerprint: str  # SHA-256 of ids, labels and transcripts
    audio_fingerprint: str | None  # SHA-256 of ids and samples, None without audio
    n_train: int  # utterances in each part
    n_development: int
    n_test: int
    vectors: Vectors | None  # None where embeddings start at random
    commit: str  # of the code in git, or `unknown` outside a checkout
    dirty: bool  # whether numerical code that the process ran differed from that commit
    code: dict[str, str]  # digest of each definition of it; old records have one for each module
    packages: dict[str, str]  # versions
    hardware: str  # processor or GPU, in words
    device: str  # `cpu` or `cuda`
    threads: int  # of one training
    started: str  # UTC, ISO 8601
    wall_seconds: float  # in epochs, over all resumptions

    @property
    def overlap(self) -> float:
        """n_test / n_train, by which Nadeau and Bengio correct differences over random splits."""
        return self.n_test / self.n_train

    @property
    def n_utterances(self) -> int:
        """Size of the cohort."""
        return self.n_train + self.n_development + self.n_test


@dataclass(frozen=True)
class Run:
    """A finished training, or a baseline's result, which has no epochs and nothing treated."""

    experiment: Experiment | Setting
    provenance: Provenance
    #: epoch (from 1), learning_rate, loss, train_accuracy, development_accuracy (NaN without a
    #: development part), test_accuracy, seconds.
    epochs: pd.DataFrame
    #: selection (see `SELECTIONS`), epoch, utterance, emotion, the probability of each class,
    #: audio_score (mean attention on audio, NaN without attention; the text's is 1 minus this),
    #: audio_spread (its standard deviation over dimensions). Of a baseline see
    #: `replicate.training.baselines.tested`.
    predictions: pd.DataFrame
    #: treatment (see `replicate.training.treatments`), and as above; the last epoch's model.
    treated: pd.DataFrame
    folder: Path  # where it is stored, or was before it was published

    def selected(self, selection: str) -> pd.DataFrame:
        """The rows of one selection; empty for `development-best` without a development part.

        A baseline has no epochs to choose from: its predictions are those of every selection.
        """
        if selection not in SELECTIONS:
            raise ValueError(f"{selection} is none of {SELECTIONS}")
        if isinstance(self.experiment, Setting):
            return self.predictions
        return self._by_selection.get(selection, self.predictions[:0])

    @cached_property
    def _by_selection(self) -> dict[str, pd.DataFrame]:
        groups = self.predictions.groupby("selection")
        return {str(name): rows.reset_index(drop=True) for name, rows in groups}

    @property
    def code_now(self) -> dict[str, str]:
        """Digests of the numerical code that would make this run now."""
        if isinstance(self.experiment, Setting):
            return loaded(BASELINES_CODE)
        return LOADED_CODE[self.experiment.sound, self.provenance.device]

    @property
    def changed_code(self) -> tuple[str, ...]:
        """The definitions that have changed since this run was made."""
        return difference(self.provenance.code, self.code_now)


Made = TypeVar("Made", bound=Experiment | Setting)


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True)
class Record(Generic[Made]):
    """What a run's folder says of it; `files` has the SHA-256 of each table."""

    experiment: Made
    provenance: Provenance
    files: dict[str, str]


def kind_of(profile: str) -> type[Experiment] | type[Setting]:
    """What is stored below a profile's name."""
    return Setting if profile == PROFILE else Experiment


def folder_of(experiment: Experiment | Setting, root: Path = RESULTS) -> Path:
    """Where an experiment's run is stored."""
    return root / experiment.place


def weights_of(folder: Path) -> Path:
    """Where the weights of a run lie if they were kept, see `replicate.training.weights`."""
    return folder.parent / f"{folder.name}{WEIGHTS}"


def save_run(run: Run) -> None:
    """Write a run; its record comes last, so an interrupted write leaves no finished run."""
    digests = {}
    for name in run.experiment.tables:
        path = run.folder / f"{name}.parquet"
        with replacing(path) as temporary:
            getattr(run, name).to_parquet(temporary, index=False)
            digests[path.name] = sha256(temporary)
    record = Record(run.experiment, run.provenance, digests)
    write_record(run.folder / run.experiment.record, record)


def stored_record(folder: Path) -> Record[Any] | None:
    """What a run's folder says of it, None without a finished run; `InputError` if damaged."""
    kind = kind_of(folder.parent.name)
    return read_record(folder / kind.record, Record[kind], remedy(folder))  # type: ignore[valid-type]


def read_run(folder: Path) -> Run:
    """Read a run's folder; `InputError` unless its files are whole and what its place says."""
    if (record := stored_record(folder)) is None:
        raise InputError(folder, "no finished run here", "run the same command again")
    tables = dict.fromkeys(Experiment.tables, pd.DataFrame())
    for name in record.experiment.tables:
        path = folder / f"{name}.parquet"
        if not path.exists() or sha256(path) != record.files.get(path.name):
            raise InputError(path, "missing, or not the file that the run wrote", remedy(folder))
        tables[name] = pd.read_parquet(path)
    require_place(record, folder, folder)
    predictions, path = tables["predictions"], folder / "predictions.parquet"
    require_whole(predictions, np.array([len(predictions)]), [record], path, remedy(folder))
    return Run(record.experiment, record.provenance, **tables, folder=folder)


def remedy(folder: Path) -> str:
    """What to do about a run that is damaged."""
    return f"remove {folder} and run the same command again"


def require_place(record: Record[Any], folder: Path, source: Path) -> None:
    """Raise an `InputError` unless a run is that of its folder; `source` is where that is said."""
    if record.experiment.place != "/".join(folder.parts[-3:]):
        raise InputError(source, f"holds {record.experiment.place}", "move it back")


def require_whole(
    predictions: pd.DataFrame, counts: np.ndarray, records: Sequence[Record[Any]],
    source: Path, remedy: str,
) -> None:  # fmt: skip
    """Raise an `InputError` unless `whole` holds of every run in a file, `source`."""
    bad = ~whole(predictions, counts, np.array([one.provenance.n_test for one in records]))
    if bad.any():
        name = records[int(bad.argmax())].experiment.name
        what = f"does not hold one distribution for each test utterance of {name}"
        raise InputError(source, what, remedy)


def whole(predictions: pd.DataFrame, counts: np.ndarray, n_test: np.ndarray) -> np.ndarray:
    """Whether a run has, in every selection, one distribution for each test utterance.

    Of runs one after another, with `counts` rows and `n_test` test utterances each: bool [n_runs].
    """
    run = np.repeat(np.arange(len(counts)), counts)
    selection, names = pd.factorize(predictions.get("selection", np.zeros(len(run))))
    utterance, ids = pd.factorize(predictions["utterance"])
    part = run * len(names) + selection
    sizes = np.bincount(part, minlength=len(counts) * len(names)).reshape(len(counts), len(names))
    complete = ((sizes == 0) | (sizes == n_test[:, None])).all(axis=1) & sizes.any(axis=1)
    rows = np.sort(part * len(ids) + utterance)
    twice = rows[1:][rows[1:] == rows[:-1]]
    complete[twice // max(len(ids) * len(names), 1)] = False
    sums = predictions[list(EMOTIONS)].sum(axis=1).to_numpy()
    complete[run[~np.isclose(sums, 1, atol=1e-5)]] = False
    return np.asarray(complete)
