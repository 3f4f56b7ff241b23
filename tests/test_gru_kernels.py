"""The fast GRU against PyTorch's, and the fused audio encoder against the eager one."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from replicate.corpora.waveforms import Waveforms
from replicate.kernels.audio import FusedAudioEncoder
from replicate.kernels.audio_batches import FusedAudio
from replicate.kernels.gru import LANES, states
from replicate.model import RawAudioEncoder
from replicate.settings import ModelConfig


def gru_and_input(
    batch: int, steps: int, scale: float, dtype: torch.dtype, sizes: tuple[int, int] = (8, 32)
) -> tuple[nn.GRU, Tensor]:
    torch.manual_seed(batch + steps)
    gru = nn.GRU(*sizes, batch_first=True).to(dtype)
    with torch.no_grad():
        for parameter in gru.parameters():
            parameter *= scale
    x = (scale * torch.randn(batch, steps, sizes[0])).to(dtype)
    return gru, x.requires_grad_()


def gradients(gru: nn.GRU, x: Tensor, found: Tensor) -> list[Tensor]:
    direction = torch.randn(found.shape, generator=torch.Generator().manual_seed(0))
    total = (found * direction.to(found)).sum()
    return list(torch.autograd.grad(total, [x, *gru.parameters()]))


def assert_same(gru: nn.GRU, x: Tensor, tolerance: float) -> None:
    expected, found = gru(x)[0], states(gru, x)
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < tolerance
    pairs = zip(gradients(gru, x, found), gradients(gru, x, expected), strict=True)
    for ours, reference in pairs:
        assert (ours - reference).abs().max() < tolerance * (1 + reference.abs().max())


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 2 * LANES + 1), st.integers(1, 30), st.floats(0.1, 20))
def test_same_as_torch(batch: int, steps: int, scale: float) -> None:
    assert_same(*gru_and_input(batch, steps, scale, torch.float64), 1e-11)


@pytest.mark.parametrize("sizes", [(8, 8), (16, 40)])
def test_other_sizes(sizes: tuple[int, int]) -> None:
    assert_same(*gru_and_input(5, 7, 1, torch.float64, sizes), 1e-11)


@pytest.mark.parametrize("scale", [0.5, 1, 4])
def test_float32(scale: float) -> None:
    assert_same(*gru_and_input(30, 200, scale, torch.float32), 5e-6)


def test_gradients_are_the_derivatives() -> None:
    gru, x = gru_and_input(2, 5, 1, torch.float64)

    class States(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gru = gru

        def forward(self, x: Tensor) -> Tensor:
            return states(self.gru, x)

    names, values = zip(*States().named_parameters(), strict=True)

    def found(x: Tensor, *changed: Tensor) -> Tensor:
        parameters = dict(zip(names, changed, strict=True))
        return torch.func.functional_call(States(), parameters, (x,))

    assert torch.autograd.gradcheck(found, (x, *values), fast_mode=True)


def test_same_bits_again() -> None:
    gru, x = gru_and_input(30, 50, 1, torch.float32)
    first, second = (gradients(gru, x, states(gru, x)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_diverged_model_shows() -> None:
    gru, x = gru_and_input(3, 5, 1, torch.float32)
    with torch.no_grad():
        x[1, 2, 3] = torch.nan
    found = states(gru, x)
    assert found[1].isnan().any()
    assert not found[[0, 2]].isnan().any()


@pytest.mark.parametrize(
    "gru",
    [
        nn.GRU(8, 30, batch_first=True),
        nn.GRU(7, 32, batch_first=True),
        nn.GRU(8, 32),
        nn.GRU(8, 32, num_layers=2, batch_first=True),
        nn.GRU(8, 32, bidirectional=True, batch_first=True),
        nn.GRU(8, 32, bias=False, batch_first=True),
    ],
)
def test_other_kinds_are_refused(gru: nn.GRU) -> None:
    with pytest.raises(ValueError, match="multiples of 8"):
        states(gru, torch.zeros(2, 3, gru.input_size))


def test_fused_encoder_is_the_eager_encoder() -> None:
    rng = np.random.default_rng(0)
    lengths = np.array([5000, 900])
    samples = rng.normal(0, 3000, lengths.sum()).astype(np.int16)
    waveforms = Waveforms(samples, np.array([0, 5000]), lengths, ("a", "b"), "")
    torch.manual_seed(0)
    eager, fused = (kind(ModelConfig()).double() for kind in (RawAudioEncoder, FusedAudioEncoder))
    fused.load_state_dict(eager.state_dict())
    expected = eager(waveforms.padded([0, 1]).double())
    x_audio = fused(FusedAudio(waveforms).batch([0, 1]))
    assert (x_audio - expected).abs().max() < 1e-10
    expected.sum().backward()
    x_audio.sum().backward()
    for (name, ours), reference in zip(fused.named_parameters(), eager.parameters(), strict=True):
        assert (ours.grad - reference.grad).abs().max() < 1e-7, name
