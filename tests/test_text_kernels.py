"""The fused convolutions over words against the eager ones."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from replicate.kernels.text import FusedTranscriptionEncoder
from replicate.model import TranscriptionEncoder
from replicate.settings import ModelConfig

WORDS = 40


def encoders(dtype: torch.dtype) -> tuple[TranscriptionEncoder, FusedTranscriptionEncoder]:
    torch.manual_seed(0)
    eager = TranscriptionEncoder(ModelConfig(), WORDS).to(dtype)
    fused = FusedTranscriptionEncoder(ModelConfig(), WORDS).to(dtype)
    fused.load_state_dict(eager.state_dict())
    return eager, fused


def sentences(lengths: list[int], seed: int = 0) -> Tensor:
    rng = np.random.default_rng(seed)
    words = torch.zeros(len(lengths), max(5, *lengths, 0), dtype=torch.int64)
    for row, length in zip(words, lengths, strict=True):
        row[:length] = torch.from_numpy(rng.integers(1, WORDS, length))
    return words


def gradients(encoder: TranscriptionEncoder, x_text: Tensor) -> list[Tensor]:
    direction = torch.randn(x_text.shape, generator=torch.Generator().manual_seed(1))
    return list(torch.autograd.grad((x_text * direction.to(x_text)).sum(), encoder.parameters()))


def assert_same(words: Tensor, dtype: torch.dtype, tolerance: float) -> None:
    eager, fused = encoders(dtype)
    expected, found = eager(words), fused(words)
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < tolerance
    for ours, reference in zip(gradients(fused, found), gradients(eager, expected), strict=True):
        assert (ours - reference).abs().max() < tolerance * (1 + reference.abs().max())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=8), st.integers(0, 999))
def test_same_as_eager(lengths: list[int], seed: int) -> None:
    assert_same(sentences(lengths, seed), torch.float64, 1e-11)


def test_same_as_eager_in_float32() -> None:
    assert_same(sentences([3, 60, 12, 1] * 7), torch.float32, 1e-5)


def test_a_repeated_phrase_ties_and_changes_nothing() -> None:
    words = torch.tensor([[7, 8, 9, 7, 8, 9, 7, 8, 9, 7, 8, 9]])
    assert_same(words, torch.float64, 1e-11)


def test_padding_may_be_embedded_as_anything() -> None:
    words = sentences([2, 9, 30])
    eager, fused = encoders(torch.float64)
    for encoder in (eager, fused):
        with torch.no_grad():
            encoder.embedding.weight[0] = torch.linspace(-1, 1, 150)
    assert (fused(words) - eager(words)).abs().max() < 1e-11


def test_gradients_are_the_derivatives() -> None:
    _, fused = encoders(torch.float64)
    names, values = zip(*fused.named_parameters(), strict=True)
    words = sentences([4, 9])

    def x_text(*changed: Tensor) -> Tensor:
        return torch.func.functional_call(fused, dict(zip(names, changed, strict=True)), (words,))

    embedding, *convolutions = values  # padding's embedding has no gradient by definition
    assert torch.autograd.gradcheck(
        lambda *changed: x_text(embedding, *changed), convolutions, fast_mode=True
    )


def test_same_bits_again() -> None:
    words = sentences([3, 60, 12, 1, 25])
    _, fused = encoders(torch.float32)
    found = [[x_text := fused(words), *gradients(fused, x_text)] for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("encoder", [0, 1])
def test_a_diverged_model_shows(encoder: int) -> None:
    words = sentences([3, 6])
    diverged = encoders(torch.float32)[encoder]
    with torch.no_grad():
        diverged.embedding.weight[words[1, 2]] = torch.nan
    assert diverged(words)[1].isnan().all()
