"""The run store: `results/<corpus>/<profile>/<experiment>/` with its provenance.

`run.json` holds the experiment and where it comes from, `epochs.parquet` the learning curves,
`predictions.parquet` one row an utterance and selection of epoch, and `treated.parquet` one row an
utterance and treatment. `run.json` is written last: a folder without it is a run in progress. Ids
and numbers only, never audio or transcripts. A finished grid is packed into few files, see
`replicate.runs.published`.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import ConfigDict, with_config

from replicate.files import InputError, read_record, replacing, sha256, write_record
from replicate.runs import published
from replicate.runs.code import LOADED_CODE, difference
from replicate.runs.experiments import Experiment
from replicate.runs.published_files import Kind, whole
from replicate.settings import RESULTS

#: Which epoch a row of `predictions` comes from. Never compare runs across selections.
SELECTIONS = ("last-epoch", "development-best", "test-best")

#: What a run stores beside its record.
TABLES = ("epochs", "predictions", "treated")


@dataclass(frozen=True)
class Vectors:
    """The word vectors of a run.

    Attributes:
        source: for captions.
        dimension: width.
        out_of_vocabulary_words, out_of_vocabulary_tokens: shares of the vocabulary's words, and of
            their occurrences, that have no vector.
        digest: SHA-256 of what they make of the run's vocabulary.
    """

    source: str
    dimension: int
    out_of_vocabulary_words: float
    out_of_vocabulary_tokens: float
    digest: str = ""


@dataclass(frozen=True)
class Provenance:
    """Where a run comes from.

    Attributes:
        corpus_title: for captions.
        synthetic: whether the corpus is the stand-in.
        text_fingerprint: SHA-256 of ids, labels and transcripts.
        audio_fingerprint: SHA-256 of ids and samples, None without audio.
        n_train, n_development, n_test: utterances in each part.
        vectors: the word vectors, None where embeddings start at random.
        commit: git commit of the code, or `unknown` outside a checkout.
        dirty: whether numerical code that the process ran differed from that commit.
        code: digest of each definition of it; old records have one for each module.
        packages: versions.
        hardware: processor or GPU, in words.
        device: `cpu` or `cuda`.
        threads: threads of one training.
        started: UTC, ISO 8601.
        wall_seconds: time in epochs, over all resumptions.
    """

    corpus_title: str
    synthetic: bool
    text_fingerprint: str
    audio_fingerprint: str | None
    n_train: int
    n_development: int
    n_test: int
    vectors: Vectors | None
    commit: str
    dirty: bool
    code: dict[str, str]
    packages: dict[str, str]
    hardware: str
    device: str
    threads: int
    started: str
    wall_seconds: float

    @property
    def overlap(self) -> float:
        """n_test / n_train, by which Nadeau and Bengio correct differences over random splits."""
        return self.n_test / self.n_train

    @property
    def n_utterances(self) -> int:
        """Size of the cohort."""
        return self.n_train + self.n_development + self.n_test

    def changed(self, now: dict[str, str]) -> tuple[str, ...]:
        """The definitions that are others now than when the run was made."""
        return difference(self.code, now)


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True)
class _Record:
    """The contents of `run.json`."""

    experiment: Experiment
    provenance: Provenance
    files: dict[str, str]


@dataclass(frozen=True)
class Run:
    """A finished training.

    Attributes:
        experiment: what was run.
        provenance: where it comes from.
        epochs: epoch (from 1), learning_rate, loss, train_accuracy, development_accuracy (NaN
            without a development part), test_accuracy, seconds.
        predictions: selection (see `SELECTIONS`), epoch, utterance, emotion, the probability of
            each class, audio_score (mean attention on audio, NaN without attention; the text's is
            1 minus this), audio_spread (its standard deviation over dimensions).
        treated: treatment (see `replicate.training.treatments`), and as in `predictions`; the last
            epoch's model.
        folder: where it is stored, or was before it was published.
    """

    experiment: Experiment
    provenance: Provenance
    epochs: pd.DataFrame
    predictions: pd.DataFrame
    treated: pd.DataFrame
    folder: Path

    def selected(self, selection: str) -> pd.DataFrame:
        """The rows of one selection; empty for `development-best` without a development part."""
        if selection not in SELECTIONS:
            raise ValueError(f"{selection} is none of {SELECTIONS}")
        return self.predictions[self.predictions["selection"] == selection].reset_index(drop=True)

    @property
    def code_now(self) -> dict[str, str]:
        """Digests of the numerical code that would make this run now."""
        heard = self.provenance.audio_fingerprint is not None
        return LOADED_CODE[heard, self.provenance.device]

    @property
    def changed_code(self) -> tuple[str, ...]:
        """The definitions that have changed since this run was made."""
        return self.provenance.changed(self.code_now)


def folder_of(experiment: Experiment, root: Path = RESULTS) -> Path:
    """Where an experiment's run is stored."""
    return root / experiment.corpus / experiment.profile / experiment.name


def save_run(run: Run) -> None:
    """Write a run; `run.json` comes last, so an interrupted write leaves no finished run."""
    digests = {}
    for name in TABLES:
        table = getattr(run, name)
        with replacing(run.folder / f"{name}.parquet") as temporary:
            table.to_parquet(temporary, index=False)
            digests[f"{name}.parquet"] = sha256(temporary)
    write_record(run.folder / "run.json", _Record(run.experiment, run.provenance, digests))


def store_files(folder: Path, files: dict[str, bytes]) -> None:
    """Store the files of a run that was made elsewhere; `run.json` comes last, as in `save_run`."""
    for name in sorted(files, key=lambda name: name == "run.json"):
        with replacing(folder / name) as temporary:
            temporary.write_bytes(files[name])


def load_run(folder: Path) -> Run:
    """Read a run and verify that its files are whole and what its name says.

    Args:
        folder: of the run; if there is none, it is looked for among the published ones.

    Raises:
        InputError: if a file is missing or damaged, or the configuration is not the one that the
            folder's name and place promise.
    """
    unpacked = (folder / "run.json").exists()
    if not unpacked and (found := published.load_one(folder, KIND)):
        return found
    record = _load_record(folder)
    for name in TABLES:
        path = folder / f"{name}.parquet"
        if not path.exists() or sha256(path) != record.files.get(path.name):
            raise InputError(path, "missing, or not the file that the run wrote", _again(folder))
    if folder.parts[-3:] != folder_of(record.experiment).parts[-3:]:
        raise InputError(folder, f"holds the run {record.experiment.name}", "move it back")
    epochs, predictions, treated = (pd.read_parquet(folder / f"{name}.parquet") for name in TABLES)
    _verify_predictions(predictions, record, folder)
    return Run(record.experiment, record.provenance, epochs, predictions, treated, folder)


def _load_record(folder: Path) -> _Record:
    try:
        return read_record(folder / "run.json", _Record, _again(folder))
    except FileNotFoundError as error:
        raise InputError(folder, "no finished run here", "run the same command again") from error


def _again(folder: Path) -> str:
    return f"remove {folder} and train it again"


def _verify_predictions(predictions: pd.DataFrame, record: _Record, folder: Path) -> None:
    """Every selection must cover the test part once, with probabilities that sum to one."""
    counts, n_test = np.array([len(predictions)]), np.array([record.provenance.n_test])
    if not whole(predictions, counts, n_test).all():
        raise InputError(
            folder / "predictions.parquet",
            "does not hold one distribution for each test utterance",
            _again(folder),
        )


#: How runs are stored and published.
KIND = Kind(Run, _Record, "run.json", TABLES, load_run, save_run)


def is_finished(experiment: Experiment, root: Path = RESULTS) -> bool:
    """Whether an experiment's run is stored.

    Raises:
        InputError: if a run of that name is stored whose settings are others.
    """
    folder = folder_of(experiment, root)
    remedy = _again(folder)
    try:
        found: _Record | None = read_record(folder / "run.json", _Record, remedy)
    except FileNotFoundError:
        found, remedy = published.record(folder, KIND), f"`replicate results unpack`, then {remedy}"
    if found is not None and found.experiment != experiment:
        raise InputError(folder, "holds a run of other settings", remedy)
    return found is not None


def load_runs(
    corpus: str,
    profile: str,
    root: Path = RESULTS,
    text_fingerprint: str | None = None,
) -> list[Run]:
    """All finished runs of a corpus and profile, verified, in the order of their names.

    Args:
        corpus: name as on the command line.
        profile: name of the protocol.
        root: the store.
        text_fingerprint: where the corpus is at hand, what the runs must have seen.

    Raises:
        InputError: if a run is damaged, or saw another version of the corpus.
    """
    runs = published.load(root / corpus / profile, KIND)
    for run in runs:
        if text_fingerprint not in (None, run.provenance.text_fingerprint):
            raise InputError(
                run.folder,
                f"was made from another version of {corpus} than the one at hand",
                "train it again, or use the corpus it was made from",
            )
    return runs
