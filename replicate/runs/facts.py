"""Facts about a corpus, stored in JSON where it is at hand, and read where it is not."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from replicate.corpora.table import Corpus, text_fingerprint
from replicate.files import read_record, write_record
from replicate.runs.code import PACKAGES, code_version, package_versions


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Where facts come from.

    Attributes:
        corpus: name as on the command line.
        corpus_title: for captions.
        synthetic: whether the corpus is the stand-in.
        text_fingerprint: SHA-256 of ids, labels and transcripts of the corpus.
        commit: git commit of the code.
        dirty: whether numerical code differed from that commit.
        packages: versions.
        date: UTC, ISO 8601.
    """

    corpus: str
    corpus_title: str
    synthetic: bool
    text_fingerprint: str
    commit: str
    dirty: bool
    packages: dict[str, str]
    date: str


Known = TypeVar("Known", bound=Facts)


def origin(corpus: Corpus, heard: bool, packages: Sequence[str] = PACKAGES) -> dict[str, Any]:
    """The fields of `Facts`, of what is found now.

    Args:
        corpus: the corpus.
        heard: whether its recordings are read.
        packages: whose versions matter.
    """
    commit, dirty = code_version("audio" if heard else "none")
    return {
        "corpus": corpus.name,
        "corpus_title": corpus.title,
        "synthetic": corpus.synthetic,
        "text_fingerprint": text_fingerprint(corpus.utterances),
        "commit": commit,
        "dirty": dirty,
        "packages": package_versions(packages),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def save(found: Facts, name: str, root: Path) -> Path:
    """Store facts as `root/<corpus>/<name>.json`."""
    path = root / found.corpus / f"{name}.json"
    write_record(path, found, indent=None)
    return path


def load(kind: type[Known], corpus: str, name: str, command: str, root: Path) -> Known | None:
    """Stored facts; None if there are none.

    Raises:
        InputError: if the file is damaged; `command` makes it anew.
    """
    path = root / corpus / f"{name}.json"
    return read_record(path, kind, f"run `{command}`") if path.exists() else None
