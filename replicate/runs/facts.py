"""Facts stored as JSON beside the runs: of a corpus, wherever it is at hand, and of benchmarks."""

import datetime
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import pandas as pd

from replicate.corpora.names import at_hand
from replicate.corpora.table import Corpus, text_fingerprint
from replicate.files import read_record, write_record
from replicate.runs.code import PACKAGES, code_version, package_versions, processor
from replicate.runs.versions import Seen
from replicate.settings import RESULTS

BENCHMARKS = RESULTS / "benchmarks"
Cell = float | int | str | None


@dataclass(frozen=True, kw_only=True)
class Made:
    """What made some facts."""

    commit: str  # of the code in git
    dirty: bool  # whether numerical code differed from it
    packages: dict[str, str]  # versions
    date: str  # UTC, ISO 8601


@dataclass(frozen=True, kw_only=True)
class Facts(Made):
    """What was found in a corpus, and where that comes from."""

    file: ClassVar[str]  # below the corpus's folder in a store; fields in braces
    made_by: ClassVar[str]  # the command of `replicate`

    corpus: str  # name as on the command line
    corpus_title: str  # for captions
    synthetic: bool  # whether the corpus is the stand-in
    text_fingerprint: str  # SHA-256 of ids, labels and transcripts

    @property
    def seen(self) -> Seen:
        """The version of the corpus that these are of."""
        return Seen(self.text_fingerprint)

    def save(self, root: Path = RESULTS) -> Path:
        """Store them."""
        path = root / self.corpus / self.file.format_map(vars(self))
        return write_record(path, self, indent=None)

    @classmethod
    def load(cls, corpus: str, root: Path = RESULTS, **fields: str) -> Self | None:
        """Those stored of a corpus, with these fields of the file's name; None without any."""
        path = root / corpus / cls.file.format_map(fields)
        return read_record(path, cls, f"run `{cls.command(corpus)}`")

    @classmethod
    def command(cls, corpus: str) -> str:
        """What makes those of a corpus."""
        return f"replicate {cls.made_by} --corpus {at_hand(corpus)}"


@dataclass(frozen=True, kw_only=True)
class Measurement(Made):
    """The result of a benchmark."""

    name: str
    hardware: str  # the processor, in words
    workload: str  # what was trained on, in words
    tables: dict[str, list[dict[str, Cell]]]  # name -> rows (column -> value)

    def table(self, name: str) -> pd.DataFrame:
        """One of the tables."""
        return pd.DataFrame(self.tables[name])


def made_now(
    heard: bool, packages: Sequence[str] = PACKAGES, device: str = "cpu"
) -> dict[str, Any]:
    """The fields of `Made`; `heard`: recordings are read; `packages`: whose versions matter."""
    commit, dirty = code_version("audio" if heard else "none", device)
    return {
        "commit": commit,
        "dirty": dirty,
        "packages": package_versions(packages, device),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def origin(corpus: Corpus, heard: bool, packages: Sequence[str] = PACKAGES) -> dict[str, Any]:
    """The fields of `Facts`, of what is found now in a corpus, see `made_now`."""
    return made_now(heard, packages) | {
        "corpus": corpus.name,
        "corpus_title": corpus.title,
        "synthetic": corpus.synthetic,
        "text_fingerprint": text_fingerprint(corpus.utterances),
    }


def save_benchmark(
    name: str,
    workload: str,
    tables: dict[str, pd.DataFrame],
    folder: Path = BENCHMARKS,
    device: str = "cpu",
) -> Path:
    """Store tables that were measured just now on this machine; the index of each is dropped."""
    rows = {key: json.loads(table.to_json(orient="records")) for key, table in tables.items()}
    made = made_now(heard=True, device=device)
    found = Measurement(name=name, hardware=processor(), workload=workload, tables=rows, **made)
    return write_record(folder / f"{name}.json", found)


def load_benchmark(name: str, folder: Path = BENCHMARKS) -> Measurement | None:
    """A stored measurement, None if there is none; `InputError` if it is damaged."""
    again = f"run `python benchmarks/{name}.py --save`"
    return read_record(folder / f"{name}.json", Measurement, again)
