"""Stored benchmarks as pages read them: with their source, or what would measure them."""

from dataclasses import dataclass

import pandas as pd

from replicate.report.sources import Source, commit_name
from replicate.runs import measurements
from replicate.runs.measurements import Measurement
from replicate.runs.selection import Missing

#: Packages whose versions move times.
PACKAGES = ("torch", "numba", "triton")


@dataclass(frozen=True)
class Benchmark:
    """A benchmark that a page shows; it may not have been run.

    Attributes:
        name: of `benchmarks/NAME.py`.
        measured: what it stored.
    """

    name: str
    measured: Measurement | None

    def __bool__(self) -> bool:
        return self.measured is not None

    def table(self, name: str) -> pd.DataFrame:
        """One of its tables.

        Raises:
            Missing: it has not been run.
        """
        if self.measured is None:
            command = f"python benchmarks/{self.name}.py --save"
            raise Missing("This benchmark has not been run.", command)
        return self.measured.table(name)

    @property
    def source(self) -> Source:
        """What was timed, on which machine, with which versions, when, by which commit."""
        place = f"benchmarks/{self.name}.py"
        if self.measured is None:
            return Source(place, False, corpus=False)
        made = self.measured
        versions = [f"{name} {made.packages[name]}" for name in PACKAGES if name in made.packages]
        commit = f"commit {commit_name(made.commit, made.dirty)}"
        details = (made.hardware, *versions, made.date[:10], commit)
        return Source(f"{place}, {made.workload}", False, details, corpus=False)


def benchmark(name: str) -> Benchmark:
    """The stored benchmark of a name, run or not.

    Raises:
        InputError: if its file is damaged.
    """
    return Benchmark(name, measurements.load(name))
