"""Section 4.1: the epochs of one experiment.

Each epoch draws its order, its discarded words and its dropout from a seed of its own, made of the
experiment's seed and the epoch's number. So an interrupted run resumes from its last checkpoint to
the same bits without any stored generator. On CPU one training uses one thread, which fixes the
order of every sum. On CUDA the same random numbers are drawn, and results are a CPU's up to
rounding, which training magnifies from step to step.
"""

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.hooks import RemovableHandle

from replicate.corpora.features import Features
from replicate.corpora.transcriptions import WordVectors, discard_probability, pad, subsample
from replicate.corpora.waveforms import Waveforms
from replicate.files import InputError
from replicate.kernels.audio import FusedAudioEncoder, compiled_for
from replicate.kernels.audio_batches import FusedAudio
from replicate.kernels.text import FusedTranscriptionEncoder
from replicate.model import (
    EmotionModel,
    FeatureEncoder,
    Output,
    RawAudioEncoder,
    TranscriptionEncoder,
)
from replicate.paper import EMOTIONS
from replicate.runs.experiments import Experiment
from replicate.runs.store import SELECTIONS
from replicate.settings import Training
from replicate.training.examples import Examples
from replicate.training.log_mel import LogMelEncoder


class Trainer:
    """One experiment's model, optimiser and epochs so far."""

    def __init__(
        self, experiment: Experiment, data: Examples, vectors: WordVectors | None, device: str
    ) -> None:
        _settle(device)
        self.experiment, self.data, self.device = experiment, data, torch.device(device)
        self.masked = experiment.architecture.padding == "masked"
        if self.masked and not compiled_for(experiment.architecture):
            raise InputError(
                experiment.name,
                "masked padding is for the default front end",
                "change one choice at a time",
            )
        self.fused, audio_encoder, text_encoder = encoders(experiment, data, self.device)
        torch.manual_seed(experiment.seed)
        self.model = EmotionModel(
            experiment.architecture,
            experiment.model,
            len(data.vocab.words),
            len(EMOTIONS),
            audio_encoder,
            text_encoder,
        )
        if vectors is not None and self.model.text is not None:
            matrix = vectors.matrix(data.vocab, experiment.seed)
            with torch.no_grad():
                self.model.text.embedding.weight.copy_(torch.from_numpy(matrix))
            tuned = experiment.training.vectors == "fine-tuned"
            self.model.text.embedding.weight.requires_grad_(tuned)
        self.model.to(self.device)
        if (silenced := experiment.training.silenced) != "none":
            silence(getattr(self.model, silenced))
        self.optimiser = optimiser(self.model, experiment.training)
        self.class_weights = class_weights(data, experiment.training, self.device)
        self.discard = discard(data.vocab.counts, experiment.training)
        self.epochs: list[dict[str, float]] = []
        self.selected: dict[str, dict[str, Any]] = {}

    def run_epoch(self) -> None:
        """Train one epoch, measure it, and keep its predictions where they are the best so far."""
        started = time.perf_counter()
        epoch = len(self.epochs) + 1
        rate = learning_rate(self.experiment.training, epoch)
        loss, accuracy = self._train(epoch, rate)
        development = self._accuracy(self.predict(self.data.parts.development)[0], "development")
        probabilities, attention = self.predict(self.data.parts.test)
        test = self._accuracy(probabilities, "test")
        now = {"epoch": epoch, "probabilities": probabilities, "attention": attention}
        for selection, measure in zip(SELECTIONS, (np.inf, development, test), strict=True):
            best = self.selected.get(selection, {"measure": -np.inf})
            if measure > best["measure"] or selection == "last-epoch":
                self.selected[selection] = {**now, "measure": float(measure)}
        self.epochs.append(
            {
                "epoch": epoch,
                "learning_rate": rate,
                "loss": loss,
                "train_accuracy": accuracy,
                "development_accuracy": development,
                "test_accuracy": test,
                "seconds": time.perf_counter() - started,
            }
        )

    def _train(self, epoch: int, rate: float) -> tuple[float, float]:
        """One pass over the training part: mean loss, and accuracy under dropout."""
        rng = np.random.default_rng((self.experiment.seed, epoch))
        torch.manual_seed(int(rng.integers(2**63)))
        order = rng.permutation(self.data.parts.train)
        chosen = self._thinned(order, rng)
        size = self.experiment.training.batch_size
        self.model.train()
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        total = correct = 0.0
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            output = self._forward(rows, chosen[start : start + size])
            labels = torch.from_numpy(self.data.labels[rows]).to(self.device)
            loss = F.cross_entropy(output.logits, labels, self.class_weights)
            self.optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimiser.step()
            total += loss.item() * len(rows)
            correct += (output.logits.argmax(1) == labels).sum().item()
        if not np.isfinite(total):
            raise InputError(self.experiment.name, f"loss is {total} in epoch {epoch}", "report it")
        return total / len(order), correct / len(order)

    def _thinned(self, order: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
        """The words of training utterances that Equation 1 leaves."""
        if self.experiment.training.subsampling != "drawn once":
            return subsample([self.data.sentences[i] for i in order], self.discard, rng)
        rows = self.data.parts.train
        once = np.random.default_rng(self.experiment.seed)
        kept = subsample([self.data.sentences[i] for i in rows], self.discard, once)
        of_row = dict(zip(rows, kept, strict=True))
        return [of_row[i] for i in order]

    def _forward(self, rows: np.ndarray, sentences: list[np.ndarray]) -> Output:
        """The model on one batch, given as positions in the cohort and their words."""
        waves: object = None
        if self.fused is not None:
            waves = self.fused.batch(self.data.rows[rows], self.masked)
        elif isinstance(self.data.sound, Waveforms):
            waves = self.data.sound.padded(self.data.rows[rows]).to(self.device)
        words = pad(sentences, max(self.experiment.architecture.filters)).to(self.device)
        output: Output = self.model(waves, words)
        return output

    @torch.no_grad()
    def predict(self, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Probabilities [m, 4], and mean and standard deviation of p_audio [m, 2], on the CPU.

        The latter are over the dimensions of Equations 6-8, and NaN without attention.
        """
        self.model.eval()
        alone = self.experiment.training.test_batches == "one utterance at a time"
        size = 1 if alone else self.experiment.training.batch_size
        order = np.arange(len(rows))
        if self.experiment.training.test_batches == "sorted by length":
            order = np.argsort(self._lengths(rows), kind="stable")
        probabilities, attention = [torch.zeros(0, len(EMOTIONS))], [torch.zeros(0, 2)]
        for start in range(0, len(rows), size):
            batch = rows[order[start : start + size]]
            output = self._forward(batch, [self.data.sentences[i] for i in batch])
            probabilities.append(output.logits.softmax(dim=1).cpu())
            attention.append(_mean_and_spread(output.p_audio, len(batch)))
        back = torch.from_numpy(np.argsort(order))
        return torch.cat(probabilities)[back], torch.cat(attention)[back]

    def _lengths(self, rows: np.ndarray) -> np.ndarray:
        """Length of each utterance: samples, or words where there are no recordings."""
        if isinstance(self.data.sound, Waveforms):
            return np.asarray(self.data.sound.lengths[self.data.rows[rows]])
        return np.array([len(self.data.sentences[i]) for i in rows])

    def _accuracy(self, probabilities: torch.Tensor, part: str) -> float:
        rows = getattr(self.data.parts, part)
        if not len(rows):
            return float("nan")
        return float((probabilities.argmax(1).numpy() == self.data.labels[rows]).mean())

    def state(self) -> dict[str, Any]:
        """Everything that the next epoch needs, for a checkpoint."""
        return {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "epochs": self.epochs,
            "selected": self.selected,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.epochs, self.selected = state["epochs"], state["selected"]

    def predictions(self) -> pd.DataFrame:
        """The kept predictions of every selection, see `replicate.runs.store.Run`."""
        parts = []
        for selection, kept in self.selected.items():
            part = self.answers(kept["probabilities"], kept["attention"])
            part.insert(0, "selection", selection)
            part.insert(1, "epoch", kept["epoch"])
            parts.append(part)
        return pd.concat(parts, ignore_index=True)

    def answers(self, probabilities: torch.Tensor, attention: torch.Tensor) -> pd.DataFrame:
        """What `predict` says of the test part, with ids and classes."""
        test = self.data.parts.test
        table = pd.DataFrame(
            {
                "utterance": [self.data.utterances[i] for i in test],
                "emotion": [EMOTIONS[i] for i in self.data.labels[test]],
            }
        )
        table[list(EMOTIONS)] = probabilities.numpy()
        table[["audio_score", "audio_spread"]] = attention.numpy()
        return table


def _mean_and_spread(p_audio: torch.Tensor | None, count: int) -> torch.Tensor:
    """[B, 1 or 400] -> [B, 2] on the CPU; NaN without attention."""
    if p_audio is None:
        return torch.full((count, 2), torch.nan)
    return torch.stack([p_audio.mean(1), p_audio.std(1, correction=0)], 1).cpu()


def encoders(
    experiment: Experiment, data: Examples, device: torch.device
) -> tuple[FusedAudio | Features | None, Callable[..., nn.Module], type[TranscriptionEncoder]]:
    """The audio in batches, None where a front end has no kernels; and the two encoders."""
    text = FusedTranscriptionEncoder if device.type == "cpu" else TranscriptionEncoder
    heard = data.sound
    if isinstance(heard, Features):
        return heard, partial(FeatureEncoder, heard.values.shape[1]), text
    if experiment.architecture.audio_input == "log-mel spectrogram":
        return None, LogMelEncoder, text
    if not compiled_for(experiment.architecture):
        return None, RawAudioEncoder, text
    if device.type == "cpu":
        return FusedAudio(heard) if heard is not None else None, FusedAudioEncoder, text
    # they need Triton, which is for Linux
    from replicate.kernels.cuda import CudaAudio, CudaAudioEncoder

    return CudaAudio(heard, device) if heard is not None else None, CudaAudioEncoder, text


def silence(encoder: nn.Module) -> RemovableHandle:
    """Make the features of an encoder zero, until the handle is removed."""
    return encoder.register_forward_hook(lambda _, inputs, features: torch.zeros_like(features))


def discard(counts: np.ndarray, training: Training) -> np.ndarray:
    """Equation 1 as the training reads it: probability of each word to be left out."""
    if training.subsampling == "off":
        return np.zeros(len(counts))
    relative = training.frequency == "relative frequency"
    return discard_probability(
        counts / counts.sum() if relative else counts, training.subsampling_t
    )


def _settle(device: str) -> None:
    """One thread, a fixed order of sums, products of float32 numbers, and no denormal numbers.

    On CUDA, an operation that has no fixed order is reported by PyTorch and done nevertheless.

    Weight decay drives unused weights, and with them Adam's moments, below float32's smallest
    normal number, where a processor computes ten times slower; they count as zero instead.
    """
    torch.set_num_threads(1)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS needs it for a fixed order
    torch.use_deterministic_algorithms(True, warn_only=device == "cuda")
    torch.backends.cudnn.allow_tf32 = False
    torch.set_flush_denormal(True)


def optimiser(model: nn.Module, training: Training) -> torch.optim.Optimizer:
    """Adam (Section 4.1) with L2 regularisation (Table 1); the rate is set at each epoch."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decay = training.weight_decay
    if training.regularisation == "AdamW":
        return torch.optim.AdamW(parameters, weight_decay=decay, fused=True)
    if training.regularisation == "none on norms and embeddings":
        spared = {
            id(parameter)
            for module in model.modules()
            if isinstance(module, nn.BatchNorm1d | nn.Embedding)
            for parameter in module.parameters()
        }
        groups = [
            {"params": [p for p in parameters if id(p) not in spared], "weight_decay": decay},
            {"params": [p for p in parameters if id(p) in spared], "weight_decay": 0.0},
        ]
        return torch.optim.Adam(groups, fused=True)
    return torch.optim.Adam(parameters, weight_decay=decay, fused=True)


def class_weights(data: Examples, training: Training, device: torch.device) -> torch.Tensor | None:
    """Weights of the loss, [4]: inverse to the class's share of the training part; None: all 1."""
    if training.loss == "cross entropy, unweighted":
        return None
    counts = np.bincount(data.labels[data.parts.train], minlength=len(EMOTIONS))
    weights = counts.sum() / (len(EMOTIONS) * counts)
    return torch.from_numpy(weights.astype(np.float32)).to(device)


def learning_rate(training: Training, epoch: int) -> float:
    """Table 1: .003, times .988 for each epoch after the first."""
    return training.learning_rate * training.decay ** (epoch - 1)
