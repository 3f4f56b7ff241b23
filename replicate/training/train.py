"""From an experiment to its stored run, by way of checkpoints."""

import datetime
import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from replicate.corpora.features import Features
from replicate.corpora.protocol import cohort
from replicate.corpora.table import Corpus, text_fingerprint
from replicate.corpora.transcriptions import WordVectors
from replicate.corpora.waveforms import Waveforms
from replicate.files import replacing
from replicate.runs.code import LOADED_CODE, code_version, package_versions, processor
from replicate.runs.experiments import Experiment
from replicate.runs.store import Provenance, Run, Vectors, save_run, weights_of
from replicate.training import weights
from replicate.training.examples import Examples, examples
from replicate.training.loop import Trainer
from replicate.training.treatments import answers

#: Called after every epoch with the experiment, the epochs so far, and utterances per second.
Report = Callable[[Experiment, pd.DataFrame, float], None]


def train(
    experiment: Experiment,
    corpus: Corpus,
    folder: Path,
    *,
    sound: Waveforms | Features | None = None,
    vectors: WordVectors | None = None,
    device: str = "cpu",
    report: Report | None = None,
    keep: bool = False,
) -> Run:
    """Train an experiment, or go on where it was interrupted, and store its run.

    `folder` holds the checkpoint meanwhile; with `keep`, the weights of the last epoch lie beside
    it, else none. The text model needs no sound; `word2vec` and `glove` need vectors.
    """
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    data = examples(experiment, cohort(corpus), sound)
    trainer = Trainer(experiment, data, vectors, device)
    heard = sound if experiment.sound != "none" else None
    provenance = _provenance(experiment, corpus, data, heard, vectors, device, started)
    checkpoint, key = folder / "checkpoint.pt", _checkpoint_key(experiment, provenance)
    if (state := _checkpoint_state(checkpoint, key)) is not None:
        trainer.restore(state)
    for _ in range(len(trainer.epochs), experiment.training.epochs):
        trainer.run_epoch()
        with replacing(checkpoint) as temporary:  # a kill leaves the old one or the new one
            torch.save({"key": key, "state": trainer.state()}, temporary)
        if report is not None:
            seen = len(data.labels)
            report(experiment, pd.DataFrame(trainer.epochs), seen / trainer.epochs[-1]["seconds"])
    epochs = pd.DataFrame(trainer.epochs).astype({"epoch": int})
    provenance = replace(provenance, wall_seconds=float(epochs["seconds"].sum()))
    fresh = Trainer(experiment, data, vectors, device)
    run = Run(
        experiment, provenance, epochs, trainer.predictions(), answers(trainer, fresh), folder
    )
    if keep:
        weights.save(weights_of(folder), experiment, provenance, data.vocab, trainer.model)
    else:
        weights_of(folder).unlink(missing_ok=True)  # of an earlier run of this name
    save_run(run)
    checkpoint.unlink(missing_ok=True)
    return run


def _checkpoint_key(experiment: Experiment, provenance: Provenance) -> str:
    """What a checkpoint is good for: the same experiment, data and code."""
    same = (
        asdict(experiment),
        asdict(provenance.vectors) if provenance.vectors else None,
        provenance.code,
        provenance.packages,
        provenance.text_fingerprint,
        provenance.audio_fingerprint,
        provenance.device,
    )
    return hashlib.sha256(json.dumps(same).encode()).hexdigest()


def _checkpoint_state(checkpoint: Path, key: str) -> dict[str, Any] | None:
    """The state after the last finished epoch; None where there is none that is whole and fits."""
    if not checkpoint.exists():
        return None
    fault = "from other code, data or settings"
    try:
        stored: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
        if stored["key"] == key:
            return dict(stored["state"])
    except Exception:  # torch raises many kinds
        fault = "damaged"
    print(f"{checkpoint}: {fault}; training starts anew", file=sys.stderr)
    return None


def _provenance(
    experiment: Experiment, corpus: Corpus, data: Examples, heard: Waveforms | Features | None,
    vectors: WordVectors | None, device: str, started: str,
) -> Provenance:  # fmt: skip
    commit, dirty = code_version(experiment.sound, device)
    described = None
    if vectors is not None:
        words, occurrences = vectors.out_of_vocabulary(data.vocab)
        matrix = vectors.matrix(data.vocab, seed=0)
        digest = hashlib.sha256(matrix.tobytes()).hexdigest()
        described = Vectors(vectors.source, vectors.vectors.vector_size, words, occurrences, digest)
    return Provenance(
        corpus_title=corpus.title,
        synthetic=corpus.synthetic,
        text_fingerprint=text_fingerprint(corpus.utterances),
        audio_fingerprint=heard.fingerprint if heard is not None else None,
        n_train=len(data.parts.train),
        n_development=len(data.parts.development),
        n_test=len(data.parts.test),
        vectors=described,
        commit=commit,
        dirty=dirty,
        code=LOADED_CODE[experiment.sound, device],
        packages=package_versions(device=device),
        hardware=processor() if device == "cpu" else torch.cuda.get_device_name(),
        device=device,
        threads=1,
        started=started,
        wall_seconds=0.0,
    )
