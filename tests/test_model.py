"""Each equation and layer of Section 3 against an independent computation in NumPy, float64."""

import numpy as np
import pytest
import torch

from replicate.model import (
    FUSIONS,
    AudioFrontEnd,
    EmotionModel,
    RawAudioEncoder,
    TranscriptionEncoder,
    parameter_counts,
)
from replicate.settings import ModelConfig

N = 12


@pytest.fixture(autouse=True)
def float64():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def relu(x):
    return np.maximum(x, 0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def weights(module):
    return {name: value.detach().numpy() for name, value in module.state_dict().items()}


def batch(rows=5, width=N):
    return torch.randn(rows, width), torch.randn(rows, width)


SCORES = {
    "att_s1": lambda w, x: relu(x @ w["w1.weight"].T),
    "att_d1": lambda w, x: relu(x @ w["w1.weight"].T) @ w["w2.weight"].T,
    "att_sn": lambda w, x: relu(x @ w["w1.weight"].T),
    "att_d1n": lambda w, x: relu(x @ w["w1.weight"].T) @ w["w1.weight"].T,
    "att_d2n": lambda w, x: relu(x @ w["w1.weight"].T) @ w["w2.weight"].T,
}


@pytest.mark.parametrize("name", SCORES)
def test_equations_4_to_10(name):
    fusion = FUSIONS[name](N)
    text, audio = batch()
    fused = fusion(text, audio)
    w = weights(fusion)
    a_text, a_audio = (SCORES[name](w, x.numpy()) for x in (text, audio))
    p_audio = np.exp(a_audio) / (np.exp(a_audio) + np.exp(a_text))  # Equation 9
    y = (1 - p_audio) * text.numpy() + p_audio * audio.numpy()  # Equation 10
    np.testing.assert_allclose(fused.features.detach(), y, rtol=1e-12)
    np.testing.assert_allclose(fused.audio_score.detach(), p_audio.mean(1), rtol=1e-12)
    width = {"att_s1": 1, "att_d1": 1}.get(name, N)
    assert a_audio.shape == (5, width)


def test_equation_2_keeps_text_then_audio():
    text, audio = batch()
    fused = FUSIONS["concat"](N)(text, audio)
    np.testing.assert_array_equal(fused.features, np.hstack([text.numpy(), audio.numpy()]))
    assert fused.audio_score is None


def test_equation_3():
    text, audio = batch()
    fused = FUSIONS["addition"](N)(text, audio)
    np.testing.assert_array_equal(fused.features, text.numpy() + audio.numpy())


@pytest.mark.parametrize("name", SCORES)
def test_swapping_the_modalities_swaps_the_scores(name):
    fusion = FUSIONS[name](N)
    text, audio = batch()
    there, back = fusion(text, audio), fusion(audio, text)
    torch.testing.assert_close(there.audio_score, 1 - back.audio_score)
    torch.testing.assert_close(there.features, back.features)


def convolve(x, weight, bias):
    """X [c_in, T], weight [c_out, c_in, K]: valid cross-correlation, [c_out, T - K + 1]."""
    taps = weight.shape[2]
    windows = np.lib.stride_tricks.sliding_window_view(x, taps, axis=1)  # [c_in, T', K]
    return np.einsum("itk,oik->ot", windows, weight) + bias[:, None]


def normalise(batch_of_maps, w, prefix):
    """Batch normalisation over batch and time in training mode."""
    mean = np.mean(batch_of_maps, axis=(0, 2), keepdims=True)
    variance = np.var(batch_of_maps, axis=(0, 2), keepdims=True)
    scale, shift = (w[f"{prefix}.{part}"][None, :, None] for part in ("weight", "bias"))
    return (batch_of_maps - mean) / np.sqrt(variance + 1e-5) * scale + shift


def front_end(w, waves, bins=200):
    def same(x, layer):
        half = w[f"{layer}.weight"].shape[2] // 2
        padded = np.pad(x, ((0, 0), (half, half)))
        return convolve(padded, w[f"{layer}.weight"], w[f"{layer}.bias"])

    x = waves[:, None]
    h = relu(normalise(np.stack([same(u, "conv1") for u in x]), w, "norm1"))
    y = normalise(np.stack([same(u, "conv2") for u in h]), w, "norm2")
    y = relu(y + normalise(np.stack([same(u, "shortcut") for u in x]), w, "norm_shortcut"))
    length = waves.shape[1]
    edges = [(i * length // bins, -(-(i + 1) * length // bins)) for i in range(bins)]
    return np.stack([y[:, :, a:b].max(2) for a, b in edges], axis=1)  # [B, 200, 8]


@pytest.mark.parametrize("length", [977, 130])
def test_audio_front_end(length):
    module = AudioFrontEnd()
    waves = torch.randn(3, length) * 0.1
    expected = front_end(weights(module), waves.numpy())
    got = module(waves)
    assert got.shape == (3, 200, 8)
    np.testing.assert_allclose(got.detach(), expected, rtol=1e-9, atol=1e-12)


def gru_states(w, sequence):
    """Sequence [T, i] -> states [T, h]; gates in PyTorch's order: reset, update, new."""
    h = np.zeros(w["weight_hh_l0"].shape[1])
    states = []
    for x in sequence:
        a = np.split(w["weight_ih_l0"] @ x + w["bias_ih_l0"], 3)
        b = np.split(w["weight_hh_l0"] @ h + w["bias_hh_l0"], 3)
        reset, update = sigmoid(a[0] + b[0]), sigmoid(a[1] + b[1])
        h = (1 - update) * np.tanh(a[2] + reset * b[2]) + update * h
        states.append(h)
    return np.array(states)


@pytest.mark.parametrize(
    ("output", "read"),
    [
        ("maximum over time", lambda states: states.max(axis=1)),
        ("mean over time", lambda states: states.mean(axis=1)),
        ("last state", lambda states: states[:, -1]),
    ],
)
def test_raw_audio_encoder(output, read):
    encoder = RawAudioEncoder(ModelConfig(gru_output=output))
    waves = torch.randn(2, 500) * 0.1
    w = weights(encoder)
    part = lambda prefix: {  # noqa: E731
        name.removeprefix(prefix): value for name, value in w.items() if name.startswith(prefix)
    }
    pooled = front_end(part("front_end."), waves.numpy())
    states = np.stack([gru_states(part("gru."), sequence) for sequence in pooled])
    expected = read(states) @ w["projection.weight"].T + w["projection.bias"]
    got = encoder(waves)
    assert got.shape == (2, 400)
    np.testing.assert_allclose(got.detach(), expected, rtol=1e-9, atol=1e-12)


def test_transcription_encoder():
    encoder = TranscriptionEncoder(ModelConfig(emb_size=7, n_fms=6), n_words=20)
    words = torch.tensor([[3, 4, 5, 6, 7, 8], [9, 10, 0, 0, 0, 0]])
    w = weights(encoder)
    expected = []
    for sentence in words.numpy():
        x = w["embedding.weight"][sentence].T  # [7, 6]
        maps = [
            relu(convolve(x, w[f"convolutions.{i}.weight"], w[f"convolutions.{i}.bias"]))
            for i in (0, 1)
        ]
        expected.append(np.concatenate([m.max(1) for m in maps]))
    np.testing.assert_allclose(encoder(words).detach(), expected, rtol=1e-10)
    assert not w["embedding.weight"][0].any(), "Section 3.2 pads with zeros"


@pytest.mark.parametrize("model", [*FUSIONS, "audio", "text"])
def test_every_model_gives_four_classes_and_learns_everywhere(model):
    network = EmotionModel(ModelConfig(), model, 30, 4)
    output = network(torch.randn(3, 400) * 0.1, torch.randint(1, 30, (3, 6)))
    assert output.logits.shape == (3, 4)
    assert (output.p_audio is None) == (not model.startswith("att"))
    output.logits.square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_parameter_counts_follow_from_tables_2_and_3():
    counts = parameter_counts(EmotionModel(ModelConfig(), "att_d1", 3000, 4))
    assert counts == {
        "audio.front_end.conv1": 4 * 25 + 4,
        "audio.front_end.norm1": 8,
        "audio.front_end.conv2": 8 * 4 * 5 + 8,
        "audio.front_end.norm2": 16,
        "audio.front_end.shortcut": 8 + 8,
        "audio.front_end.norm_shortcut": 16,
        "audio.gru": 3 * 32 * (8 + 32 + 2),
        "audio.projection": 32 * 400 + 400,
        "text.embedding": 3000 * 150,
        "text.convolutions.0": 150 * 3 * 200 + 200,
        "text.convolutions.1": 150 * 5 * 200 + 200,
        "fusion.w1": 400 * 400,
        "fusion.w2": 400,
        "classifier.0": 400 * 96 + 96,
        "classifier.3": 96 * 4 + 4,
    }


def test_classifier_drops_hidden_units_in_training_only():
    network = EmotionModel(ModelConfig(), "text", 30, 4)
    words = torch.randint(1, 30, (4, 8))
    assert not torch.equal(network(None, words).logits, network(None, words).logits)
    network.eval()
    assert torch.equal(network(None, words).logits, network(None, words).logits)
