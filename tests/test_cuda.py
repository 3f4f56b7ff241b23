"""The encoder for a GPU against eager PyTorch.

Without a GPU, Triton interprets the kernels on the CPU: what they compute is tested, but not what a
GPU may do otherwise (order of sums, races, memory of its own).
"""

import copy
import os
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import small
import torch
from test_audio_kernels import (
    KINDS,
    REMOVED,
    assert_agree,
    front_ends,
    gap,
    gradients,
    noise,
    signal,
    store,
)

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
if DEVICE.type == "cpu":
    os.environ["TRITON_INTERPRET"] = "1"  # it counts whenever a part of Triton is imported
pytest.importorskip("triton", reason="Triton is for Linux")

from replicate.corpora.waveforms import Waveforms  # noqa: E402
from replicate.files import InputError  # noqa: E402
from replicate.kernels import cuda  # noqa: E402
from replicate.kernels.audio import FusedFrontEnd  # noqa: E402
from replicate.kernels.audio_batches import FusedAudio  # noqa: E402
from replicate.kernels.audio_loops import TAIL  # noqa: E402
from replicate.kernels.cuda_loops import CHUNK, GAP, TILE  # noqa: E402
from replicate.model import (  # noqa: E402
    AudioFrontEnd,
    RawAudioEncoder,
    TranscriptionEncoder,
)
from replicate.settings import ModelConfig  # noqa: E402
from replicate.training import loop, treatments  # noqa: E402
from replicate.training.train import train  # noqa: E402

BINS = 2  # the interpreter takes its time for each, and for each utterance


class FrontEnd(cuda.CudaFrontEnd):
    device_type = DEVICE.type


class Encoder(cuda.CudaAudioEncoder):
    front_end_class = FrontEnd


#: Recordings, their order in the batch and the number of bins.
CASES = {
    "several, chosen and ordered": (noise(700, 90, 1100), [2, 0, 2], BINS),
    "shorter than the pool": (noise(2, 1), [0, 1], 3),
    "whole tiles": (noise(TILE - TAIL - GAP, TILE - TAIL - GAP + 1, 2 * TILE), [0, 1, 2], 1),
    "bins of several chunks": (noise(3 * CHUNK), [0], 2),
    "silence": (store([signal("silence", 90, 0)]), [0], 1),
    "every kind": (
        store([signal(kind, 90, seed) for seed, kind in enumerate(KINDS) if kind != "noise"]),
        list(range(len(KINDS) - 1)),
        1,
    ),
}


def like(eager: AudioFrontEnd, config: ModelConfig) -> FrontEnd:
    """Ours with the same parameters, type and mode, on the device."""
    ours = FrontEnd(config).to(eager.conv1.weight.dtype)
    ours.load_state_dict(eager.state_dict())
    return ours.to(DEVICE).train(eager.training)


def assert_same(waveforms: Waveforms, rows: list[int], eager: AudioFrontEnd, bins: int) -> None:
    ours = like(eager, ModelConfig(n_pool=bins))
    batch = cuda.CudaAudio(waveforms, DEVICE).batch(rows)
    assert_agree(eager, ours, waveforms.padded(rows), batch)


@pytest.mark.parametrize(
    ("case", "training"), [*product(CASES, [True]), ("several, chosen and ordered", False)]
)
def test_same_as_eager(case: str, training: bool) -> None:
    waveforms, rows, bins = CASES[case]
    assert_same(waveforms, rows, front_ends(training=training, bins=bins)[0], bins)


def test_bins_of_several_programs(monkeypatch) -> None:
    """A program of the gradient does fewer bins here than on a GPU, so that few need several."""
    monkeypatch.setattr(cuda, "LANES", 2)
    assert_same(noise(100), [0], front_ends(bins=3)[0], 3)


def test_without_a_residual_connection() -> None:
    config = ModelConfig(n_pool=BINS, residual="none")
    eager, waveforms = AudioFrontEnd(config).double(), noise(120, 90)
    output = like(eager, config)(cuda.CudaAudio(waveforms, DEVICE).batch([0, 1]))
    assert gap(output, eager(waveforms.padded([0, 1]).double())) < 1e-9


@pytest.mark.parametrize("training", [True, False])
def test_masked_utterances_are_not_padded(training: bool) -> None:
    waveforms, config = noise(120, 90), ModelConfig(n_pool=BINS)
    _, fused = front_ends(training=training, bins=BINS)
    ours = like(fused, config)
    expected = fused(FusedAudio(waveforms).batch([0, 1], masked=True))
    output = ours(cuda.CudaAudio(waveforms, DEVICE).batch([0, 1], masked=True))
    assert gap(output, expected) < 1e-9
    reference, found = gradients(fused, expected), gradients(ours, output)
    assert max(gap(found[name], reference[name]) for name in reference) < 1e-8


def test_the_whole_encoder_and_a_repeat() -> None:
    """Also the GRU; and the same bits twice, which on a GPU is no matter of course."""
    waveforms, config = noise(120, 90), ModelConfig(n_pool=3)
    torch.manual_seed(0)
    eager, ours = RawAudioEncoder(config).double(), Encoder(config).double()
    ours.load_state_dict(eager.state_dict())
    ours.to(DEVICE)
    expected = eager(waveforms.padded([0, 1]).double())
    reference = gradients(eager, expected)
    found = []
    for _ in range(2):
        encoder = copy.deepcopy(ours)
        output = encoder(cuda.CudaAudio(waveforms, DEVICE).batch([0, 1]))
        found.append((output.detach(), gradients(encoder, output)))
    assert gap(found[0][0], expected) < 1e-9
    for name, gradient in reference.items():
        if name.removeprefix("front_end.") not in REMOVED:
            assert gap(found[0][1][name], gradient) < 1e-8, name
    assert torch.equal(found[0][0], found[1][0])
    assert all(torch.equal(found[0][1][name], found[1][1][name]) for name in reference)


def test_float32_is_near_float64() -> None:
    waveforms, config = noise(120, 90), ModelConfig(n_pool=BINS)
    eager, _ = front_ends(dtype=torch.float32, bins=BINS)
    ours, exact = like(eager, config), copy.deepcopy(eager).double()
    expected = exact(waveforms.padded([0, 1]).double())
    output = ours(cuda.CudaAudio(waveforms, DEVICE).batch([0, 1]))
    assert output.dtype == torch.float32 and gap(output, expected) < 1e-5
    reference, found = gradients(exact, expected), gradients(ours, output)
    scale = max(float(gradient.abs().max()) for gradient in reference.values())
    assert all(gap(found[name], reference[name]) < 1e-5 * scale for name in reference)


def test_a_diverged_model_shows() -> None:
    ours = like(front_ends(training=False)[0], ModelConfig(n_pool=BINS))
    with torch.no_grad():
        ours.conv1.weight[0, 0, 0] = torch.nan
    assert ours(cuda.CudaAudio(noise(90), DEVICE).batch([0])).isnan().all()


def test_a_gru_that_the_kernel_cannot_do_is_refused() -> None:
    with pytest.raises(InputError, match="48 units on a GPU"):
        Encoder(ModelConfig(n_gru=48))


def test_a_training_gives_what_it_gives_on_the_cpu(tmp_path, monkeypatch) -> None:
    """From the first batch to the treatments: the same batches, words and dropout."""
    asked = small.experiment(epochs=1, batch_size=16, development=0.0)
    asked = replace(asked, architecture=ModelConfig(n_pool=1))
    each_kind = ["untrained", "one-by-one", "rms", "audio-zero", "audio-shuffled", "half"]
    monkeypatch.setattr(treatments, "applicable", lambda *_: each_kind)
    runs = []
    for where in ("cpu", DEVICE.type):
        corpus, waveforms = small.corpus(8), small.waveforms(8)
        waveforms = replace(waveforms, lengths=waveforms.lengths // 20)
        runs.append(train(asked, corpus, tmp_path / f"{len(runs)}", sound=waveforms,
                                   device=where))  # fmt: skip
        monkeypatch.setattr(loop, "encoders", on_the_device)
    assert set(runs[0].treated["treatment"]) == set(each_kind)
    for table in ("predictions", "treated"):
        expected, found = (getattr(run, table) for run in runs)
        numbers = expected.select_dtypes("number").columns
        np.testing.assert_allclose(found[numbers], expected[numbers], atol=2e-4)


def on_the_device(experiment, data, device):
    """What `loop.encoders` gives for a GPU."""
    return cuda.CudaAudio(data.sound, DEVICE), Encoder, TranscriptionEncoder


def test_the_front_end_wants_its_own_device() -> None:
    assert cuda.CudaFrontEnd.device_type == "cuda" != FusedFrontEnd.device_type
    with pytest.raises(InputError, match="CudaFrontEnd"):
        cuda.CudaFrontEnd()(FusedAudio(noise(300)).batch([0]))
