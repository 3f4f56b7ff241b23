"""The weights of a trained model as one file beside its run, `RUN.safetensors`.

Safetensors holds arrays and text and runs no code when it is read, as a pickle can. The text says
what the arrays belong to, and has a digest of all.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as in_bytes
from torch import Tensor, nn

from replicate.corpora.transcriptions import Vocabulary
from replicate.files import InputError, checked, replacing
from replicate.runs.experiments import Experiment
from replicate.runs.store import Provenance, Run, weights_of

#: What the text in a file is called: the model, and the digest.
MODEL, DIGEST = "model", "sha256"
AGAIN = "make it again with `replicate run --keep-weights`"


@dataclass(frozen=True)
class Trained:
    """What weights belong to."""

    experiment: Experiment
    provenance: Provenance
    words: tuple[str, ...]  # the vocabulary, and how often each word occurs
    counts: tuple[int, ...]

    @property
    def vocab(self) -> Vocabulary:
        """The vocabulary as the model's training had it."""
        return Vocabulary(self.words, np.array(self.counts, dtype=np.int64))


def save(
    path: Path, experiment: Experiment, provenance: Provenance, vocab: Vocabulary, model: nn.Module
) -> None:
    """Write weights; `path` is whole or as it was."""
    counts = tuple(map(int, vocab.counts))
    said = json.dumps(asdict(Trained(experiment, provenance, vocab.words, counts)))
    tensors = {name: each.detach().cpu().contiguous() for name, each in model.state_dict().items()}
    content = in_bytes(tensors, {MODEL: said, DIGEST: _digest(said, tensors)})
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def load(path: Path) -> tuple[Trained, dict[str, Tensor]]:
    """Read weights and what they belong to; `InputError` unless the file is as it was written."""
    try:
        with safe_open(path, "pt") as file:
            text = file.metadata() or {}
            # copies, lest a change of the file reach the model
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(path, f"is no whole file of weights ({error})", AGAIN) from error
    said = text.get(MODEL, "")
    if text.get(DIGEST) != _digest(said, tensors):
        what = "is damaged, or from another program: its contents do not have its digest"
        raise InputError(path, what, AGAIN)
    return checked(json.loads(said), Trained, path, AGAIN), tensors


def are_kept(run: Run) -> bool:
    """Whether there are whole weights of a run, perhaps from a repeat on the same data."""
    try:
        found, _ = load(weights_of(run.folder))
    except InputError:
        return False
    of_each = [
        (one.experiment, made.text_fingerprint, made.audio_fingerprint, made.vectors)
        for one in (found, run)
        for made in [one.provenance]
    ]
    return of_each[0] == of_each[1]


def _digest(said: str, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(said.encode())
    for name in sorted(tensors):
        values = tensors[name].numpy()
        digest.update(f"\0{name} {values.dtype} {values.shape}\0".encode() + values.tobytes())
    return digest.hexdigest()
