"""The store of baselines' results: `results/<corpus>/baselines/<baseline>-<fold>/`.

It stands beside the runs of the network and is laid out alike: `baseline.json` holds what was done
and where it comes from, and is written last; `predictions.parquet` has a row an utterance. Like
runs, results are published in few files, see `replicate.published`.
"""

import datetime
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from pydantic import ConfigDict, with_config

from replicate import published, records
from replicate.baselines import BASELINES, features, tested
from replicate.code import BASELINES_CODE, loaded, version_of
from replicate.corpora.table import Corpus, text_fingerprint
from replicate.errors import InputError
from replicate.files import replacing, sha256
from replicate.protocol import GROUPS, Fold, cohort, groups
from replicate.published_files import Kind, whole
from replicate.runs import (
    RESULTS,
    Provenance,
    Run,
    package_versions,
    processor,
)
from replicate.waveforms import Waveforms

#: In the store and in tables it stands where runs have their profile.
PROFILE = "baselines"

PACKAGES = ("numpy", "pandas", "scipy", "scikit-learn", "torch", "torchaudio")

RECORD, PREDICTIONS = "baseline.json", "predictions.parquet"

#: What `--folds` can be.
FOLDS = ("stratified", *GROUPS)


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


def wanted(corpus: Corpus, kind: str, splits: int) -> list[Setting]:
    """Every baseline that a corpus allows, on every fold of a kind.

    Args:
        corpus: the corpus; without text or recordings it allows fewer baselines.
        kind: one of `FOLDS`.
        splits: how many random splits, where that is the kind.

    Raises:
        InputError: the corpus has no groups of that kind.
    """
    table = cohort(corpus)
    names = map(str, range(splits)) if kind == "stratified" else groups(table, kind)
    folds = [Fold(kind, name) for name in names]  # type: ignore[arg-type]
    if not folds:
        raise InputError(corpus.name, f"has no {kind}s", "choose other folds")
    offered = _offered(corpus)
    return [
        Setting(corpus.name, name, fold)
        for name, baseline in BASELINES.items()
        if offered.issuperset(baseline.needs)
        for fold in folds
    ]


def _offered(corpus: Corpus) -> set[str]:
    """What can be read of a corpus's utterances."""
    there = {"text": corpus.utterances["transcript"].notna().any(), "audio": corpus.has_audio}
    return {modality for modality, found in there.items() if found}


def compute(
    settings: Sequence[Setting], corpus: Corpus, waveforms: Waveforms | None, root: Path = RESULTS
) -> Iterator[BaselineRun]:
    """Compute and store each result.

    Args:
        settings: what to compute, of `wanted`.
        corpus: the corpus.
        waveforms: its recordings, None where it has none.
        root: the store.
    """
    table = cohort(corpus)
    rows = features(corpus, table, waveforms)
    origin = _origin(corpus)
    for setting in settings:
        baseline = BASELINES[setting.model]
        started, clock = datetime.datetime.now(datetime.UTC), time.perf_counter()
        predictions = tested(baseline, rows, table, setting.fold)
        heard = waveforms if "audio" in baseline.needs else None
        provenance = replace(
            origin,
            audio_fingerprint=heard.fingerprint if heard else None,
            n_train=len(table) - len(predictions),
            n_test=len(predictions),
            started=started.isoformat(timespec="seconds"),
            wall_seconds=time.perf_counter() - clock,
        )
        folder = root / corpus.name / PROFILE / setting.name
        result = BaselineRun(setting, provenance, predictions, folder)
        save(result)
        yield result


def _origin(corpus: Corpus) -> Provenance:
    """What all results of one command share."""
    commit, dirty = version_of(BASELINES_CODE)
    return Provenance(
        corpus_title=corpus.title,
        synthetic=corpus.synthetic,
        text_fingerprint=text_fingerprint(corpus.utterances),
        audio_fingerprint=None,
        n_train=0,
        n_development=0,
        n_test=0,
        vectors=None,
        commit=commit,
        dirty=dirty,
        code=loaded(BASELINES_CODE),
        packages=package_versions(PACKAGES),
        hardware=processor(),
        device="cpu",
        threads=torch.get_num_threads(),
        started="",
        wall_seconds=0.0,
    )


def save(result: BaselineRun) -> None:
    """Write a result; `baseline.json` comes last, so an interrupted write leaves none."""
    path = result.folder / PREDICTIONS
    with replacing(path) as temporary:
        result.predictions.to_parquet(temporary, index=False)
    record = _Record(result.experiment, result.provenance, {PREDICTIONS: sha256(path)})
    records.write(result.folder / RECORD, record)


def load(folder: Path) -> BaselineRun:
    """Read a result and verify that it is whole and what its place says.

    Raises:
        InputError: it is damaged, or another result than the one that its folder names.
    """
    again = f"remove {folder} and run `replicate baselines` again"
    record = records.read(folder / RECORD, _Record, again)
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
