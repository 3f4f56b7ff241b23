"""The state of an interrupted training, good only for what it was made by."""

import hashlib
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from replicate.files import replacing
from replicate.runs.experiments import Experiment
from replicate.runs.store import Provenance


@dataclass(frozen=True)
class Checkpoint:
    """The state after the last finished epoch, good only for the same experiment, data and code."""

    path: Path
    experiment: Experiment
    provenance: Provenance

    @property
    def _key(self) -> str:
        same = (
            asdict(self.experiment),
            asdict(self.provenance.vectors) if self.provenance.vectors else None,
            self.provenance.code,
            self.provenance.packages,
            self.provenance.text_fingerprint,
            self.provenance.audio_fingerprint,
            self.provenance.device,
        )
        return hashlib.sha256(json.dumps(same).encode()).hexdigest()

    def write(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint; a kill at any moment leaves the old one or the new one."""
        with replacing(self.path) as temporary:
            torch.save({"key": self._key, "state": state}, temporary)

    def read(self) -> dict[str, Any] | None:
        """The state where there is a checkpoint of the same experiment, else None."""
        if not self.path.exists():
            return None
        stored = torch.load(self.path, map_location="cpu", weights_only=True)
        if stored["key"] == self._key:
            state: dict[str, Any] = stored["state"]
            return state
        print(
            f"{self.path}: from other code, data or settings; training starts anew",
            file=sys.stderr,
        )
        return None

    def remove(self) -> None:
        """The run is stored: its checkpoint is no longer needed."""
        self.path.unlink(missing_ok=True)
