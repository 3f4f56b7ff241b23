"""The encoder for a GPU against the eager one; without a GPU, Triton interprets it on the CPU."""

import copy
import os

import numpy as np
import pytest
import torch
from test_audio_kernels import KINDS, REMOVED, front_ends, gap, gradients, noise, signal, store

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
if DEVICE.type == "cpu":
    os.environ["TRITON_INTERPRET"] = "1"  # before Triton is imported
pytest.importorskip("triton", reason="Triton is for Linux")

from replicate import cuda  # noqa: E402
from replicate.audio_kernels import TAIL  # noqa: E402
from replicate.cuda_kernels import GAP, TILE  # noqa: E402
from replicate.model import EmotionModel, ModelConfig, RawAudioEncoder  # noqa: E402

BINS = 12  # the interpreter takes its time for each


class FrontEnd(cuda.CudaFrontEnd):
    device_type = DEVICE.type


class Encoder(cuda.CudaAudioEncoder):
    front_end_class = FrontEnd


CASES = {
    "several": noise(700, 90, 2500),
    "one": noise(1500),
    "single samples": noise(1, 1),
    "shorter than the pool": noise(7, 3),
    "whole tiles": noise(TILE - TAIL - GAP, TILE - TAIL - GAP + 1, 2 * TILE),
    **{kind: store([signal(kind, 900, 0), signal(kind, 400, 1)]) for kind in KINDS},
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_same_as_eager(case: str, training: bool) -> None:
    waveforms = CASES[case]
    rows = list(range(len(waveforms.lengths)))
    eager, _ = front_ends(training=training, bins=BINS)
    ours = FrontEnd(ModelConfig(n_pool=BINS)).double()
    ours.load_state_dict(eager.state_dict())
    ours.to(DEVICE).train(training)
    expected = eager(waveforms.padded(rows).double())
    output = ours(cuda.CudaAudio(waveforms, DEVICE).batch(rows))
    assert gap(output.cpu(), expected) < 1e-9 * (1 + expected.abs().max())

    reference, found = gradients(eager, expected), gradients(ours, output)
    scale = max(float(gradient.abs().max()) for gradient in reference.values())
    for name in reference:
        if training and name in REMOVED:
            assert not found[name].any(), name
        else:
            assert gap(found[name].cpu(), reference[name]) < 1e-8 * (1 + scale), name
    for name, buffer in eager.named_buffers():
        assert gap(ours.get_buffer(name).cpu(), buffer) < 1e-9 * (1 + buffer.abs().max()), name


def test_masked_utterances_are_not_padded() -> None:
    waveforms = noise(700, 90)
    eager, _ = front_ends(training=False, bins=BINS)
    ours = FrontEnd(ModelConfig(n_pool=BINS)).double()
    ours.load_state_dict(eager.state_dict())
    output = ours.to(DEVICE).eval()(cuda.CudaAudio(waveforms, DEVICE).batch([0, 1], masked=True))
    for row in (0, 1):
        assert gap(output[row].cpu(), eager(waveforms.padded([row]).double())[0]) < 1e-9


def test_the_whole_encoder_and_a_repeat() -> None:
    """Also the GRU; and the same bits twice."""
    waveforms = noise(900, 300, 120)
    torch.manual_seed(0)
    eager = RawAudioEncoder(ModelConfig(n_pool=BINS)).double()
    ours = Encoder(ModelConfig(n_pool=BINS)).double()
    ours.load_state_dict(eager.state_dict())
    ours.to(DEVICE)
    expected = eager(waveforms.padded([0, 1, 2]).double())
    reference = gradients(eager, expected)
    found = []
    for _ in range(2):
        encoder = copy.deepcopy(ours)
        output = encoder(cuda.CudaAudio(waveforms, DEVICE).batch([0, 1, 2]))
        found.append((output.detach().cpu(), gradients(encoder, output)))
    assert gap(found[0][0], expected) < 1e-9
    for name, gradient in reference.items():
        if name.removeprefix("front_end.") not in REMOVED:
            assert gap(found[0][1][name].cpu(), gradient) < 1e-8, name
    assert torch.equal(found[0][0], found[1][0])
    assert all(torch.equal(found[0][1][name], found[1][1][name]) for name in reference)


def test_float32_is_near_float64() -> None:
    waveforms = noise(3000, 700)
    eager, _ = front_ends(dtype=torch.float32, bins=BINS)
    ours = FrontEnd(ModelConfig(n_pool=BINS))
    ours.load_state_dict(eager.state_dict())
    exact = copy.deepcopy(eager).double()(waveforms.padded([0, 1]).double())
    output = ours.to(DEVICE)(cuda.CudaAudio(waveforms, DEVICE).batch([0, 1]))
    assert output.dtype == torch.float32 and gap(output.cpu(), exact) < 1e-5


def test_dropout_draws_what_the_cpu_draws() -> None:
    model = EmotionModel(ModelConfig(), "text", 10, 4).double()
    twin = copy.deepcopy(model)
    cuda.draw_on_the_cpu(twin)
    twin.to(DEVICE)
    words = torch.from_numpy(np.arange(10, dtype=np.int64).reshape(2, 5))
    answers = []
    for each in (model, twin):
        torch.manual_seed(3)
        answers.append(each(None, words.to(next(each.parameters()).device)).logits.detach().cpu())
    assert gap(answers[1], answers[0]) < 1e-9
    assert not torch.equal(model.eval()(None, words).logits, answers[0])
