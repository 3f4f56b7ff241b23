"""Acoustic features of utterances, in place of recordings that are not at hand."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from replicate.files import InputError

if TYPE_CHECKING:
    import torch

#: What the columns that follow the level of a recording begin with, in openSMILE's names.
LEVEL = ("loudness", "spectralFlux")


@dataclass(frozen=True)
class Features:
    """A row of numbers for each utterance."""

    values: np.ndarray  # float64 [n, F]
    columns: tuple[str, ...]  # what the F numbers are
    utterances: tuple[str, ...]  # ids, in the order of the rows

    def __post_init__(self) -> None:
        if not np.isfinite(self.values).all():
            row, column = np.argwhere(~np.isfinite(self.values))[0]
            raise InputError(
                self.utterances[row],
                f"feature {self.columns[column]} is not a finite number",
                "mend the file of features, or leave the utterance out of it",
            )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of ids, names of columns and values."""
        names = "\x1f".join((*self.columns, *self.utterances)).encode()
        return hashlib.sha256(names + self.values.astype("<f8").tobytes()).hexdigest()

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {utterance: row for row, utterance in enumerate(self.utterances)}

    def rows(self, ids: Iterable[str]) -> np.ndarray:
        """Positions of the utterances, int64 [len(ids)]; `InputError` if one has no features."""
        ids = list(ids)
        missing = [utterance for utterance in ids if utterance not in self._positions]
        if missing:
            what = f"has no features ({len(missing)} of {len(ids)} utterances have none)"
            raise InputError(missing[0], what, "add its row to the file of features")
        return np.array([self._positions[utterance] for utterance in ids], dtype=np.int64)

    def frame(self) -> pd.DataFrame:
        """Index utterance, a column a feature."""
        index = pd.Index(self.utterances, name="utterance")
        return pd.DataFrame(self.values, index, list(self.columns))

    def without_level(self) -> Features:
        """Without the columns that follow a recording's level, see `LEVEL`."""
        kept = [i for i, name in enumerate(self.columns) if not name.startswith(LEVEL)]
        return replace(
            self, values=self.values[:, kept], columns=tuple(self.columns[i] for i in kept)
        )

    def standardised(self, rows: np.ndarray) -> Features:
        """Every column with mean 0 and standard deviation 1 over some rows, the training part's.

        A column that does not vary among them becomes 0 there.
        """
        known = self.values[rows]
        spread = known.std(axis=0)
        return replace(
            self, values=(self.values - known.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
        )

    def batch(self, rows: np.ndarray, masked: bool = False) -> torch.Tensor:
        """The features of some rows: float32 [B, F]; there is no padding to mask."""
        import torch

        return torch.from_numpy(self.values[rows].astype(np.float32))
