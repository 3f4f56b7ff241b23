"""What a benchmark measured, with what made it: `results/benchmarks/<name>.json`."""

import datetime
import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from replicate.files import read_record, write_record
from replicate.runs.code import code_version, package_versions, processor
from replicate.settings import RESULTS

FOLDER = RESULTS / "benchmarks"

Cell = float | int | str | None


@dataclass(frozen=True)
class Measurement:
    """The result of a benchmark."""

    name: str
    commit: str  # of the code in git
    dirty: bool  # whether numerical code differed from it
    hardware: str  # the processor, in words
    packages: dict[str, str]  # versions
    date: str  # UTC, ISO 8601
    workload: str  # what was trained on, in words
    tables: dict[str, list[dict[str, Cell]]]  # name -> rows (column -> value)

    def table(self, name: str) -> pd.DataFrame:
        """One of the tables."""
        return pd.DataFrame(self.tables[name])


def save(
    name: str,
    workload: str,
    tables: dict[str, pd.DataFrame],
    folder: Path = FOLDER,
    device: str = "cpu",
) -> Path:
    """Store tables that were measured just now on this machine; the index of each is dropped."""
    commit, dirty = code_version("audio", device)
    measured = Measurement(
        name=name,
        commit=commit,
        dirty=dirty,
        hardware=processor(),
        packages=package_versions(device=device),
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        workload=workload,
        tables={key: json.loads(table.to_json(orient="records")) for key, table in tables.items()},
    )
    path = folder / f"{name}.json"
    write_record(path, measured)
    return path


def load(name: str, folder: Path = FOLDER) -> Measurement | None:
    """A stored measurement, None if there is none.

    Raises:
        InputError: if the file is damaged.
    """
    path = folder / f"{name}.json"
    again = f"run `python benchmarks/{name}.py --save`"
    return read_record(path, Measurement, again) if path.exists() else None
