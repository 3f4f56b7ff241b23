"""The fused front end against the eager one: the same function, gradients and statistics."""

import copy
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from torch import Tensor

import replicate
from replicate.corpora.waveforms import Waveforms
from replicate.files import InputError
from replicate.kernels.audio import FusedFrontEnd
from replicate.kernels.audio_batches import FusedAudio, FusedBatch
from replicate.kernels.audio_loops import BLOCK, TAIL
from replicate.model import AudioFrontEnd
from replicate.settings import ModelConfig

#: Biases that the normalisation after them removes: their gradient is zero in training mode, where
#: eager PyTorch leaves the rounding errors of a sum over all positions.
REMOVED = ("conv1.bias", "conv2.bias", "shortcut.bias")

KINDS = ("noise", "quiet noise", "silence", "constant", "square wave", "full scale")


def signal(kind: str, length: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return {
        "noise": rng.normal(0, 3000, length).clip(-32768, 32767),
        "quiet noise": rng.integers(-1, 2, length),
        "silence": np.zeros(length),
        "constant": np.full(length, rng.integers(-32768, 32768)),
        "square wave": np.where(np.arange(length) // (1 + seed % 40) % 2, 5000, -5000),
        "full scale": rng.choice([-32768, 32767], length),
    }[kind].astype(np.int16)


def store(signals: list[np.ndarray]) -> Waveforms:
    lengths = np.array([len(samples) for samples in signals])
    return Waveforms(
        samples=np.concatenate(signals),
        offsets=np.cumsum(lengths) - lengths,
        lengths=lengths,
        utterances=tuple(f"utterance {i}" for i in range(len(signals))),
        fingerprint="",
    )


def noise(*lengths: int) -> Waveforms:
    return store([signal("noise", length, seed) for seed, length in enumerate(lengths)])


def front_ends(
    seed: int = 0, dtype: torch.dtype = torch.float64, training: bool = True, bins: int = 200
) -> tuple[AudioFrontEnd, FusedFrontEnd]:
    """The eager and the fused front end with the same, random, parameters and buffers."""
    generator = torch.Generator().manual_seed(seed)
    config = ModelConfig(n_pool=bins)
    eager, fused = AudioFrontEnd(config).to(dtype), FusedFrontEnd(config).to(dtype)
    with torch.no_grad():
        for name, tensor in eager.state_dict().items():
            if tensor.is_floating_point():
                tensor.uniform_(-0.5, 0.5, generator=generator)
            if "norm" in name and (name.endswith(("weight", "var"))):
                tensor.add_(1)
    fused.load_state_dict(eager.state_dict())
    return eager.train(training), fused.train(training)


def gradients(module: torch.nn.Module, output: Tensor) -> dict[str, Tensor]:
    """Gradients of a random linear function of the output."""
    direction = torch.randn(output.shape, generator=torch.Generator().manual_seed(1))
    module.zero_grad()
    (output * direction.to(output)).sum().backward()
    return {name: parameter.grad.clone() for name, parameter in module.named_parameters()}


def gap(ours: Tensor, reference: Tensor) -> float:
    return float((ours.detach().cpu().double() - reference.detach().cpu().double()).abs().max())


def assert_same(waveforms: Waveforms, rows: list[int], seed: int, training: bool) -> None:
    eager, fused = front_ends(seed, training=training)
    assert_agree(eager, fused, waveforms.padded(rows), FusedAudio(waveforms).batch(rows))


def assert_agree(
    eager: AudioFrontEnd, fused: FusedFrontEnd, waves: Tensor, batch: FusedBatch
) -> None:
    """Outputs, gradients and running statistics of both, given the same batch."""
    expected, output = eager(waves.double()), fused(batch)
    assert output.shape == expected.shape == (len(waves), eager.bins, 8)
    assert gap(output, expected) < 1e-9 * (1 + expected.abs().max())

    reference, ours = gradients(eager, expected), gradients(fused, output)
    scale = max(float(gradient.abs().max()) for gradient in reference.values())
    for name in reference:
        if eager.training and name in REMOVED:
            assert not ours[name].any(), name
        else:
            assert gap(ours[name], reference[name]) < 1e-8 * (1 + scale), name
    for name, buffer in eager.named_buffers():
        assert gap(fused.get_buffer(name), buffer) < 1e-9 * (1 + buffer.abs().max()), name


lengths = st.one_of(
    st.integers(1, 40),
    st.integers(1, 500),
    st.integers(1, 4 * BLOCK),
    st.sampled_from([BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, BLOCK - TAIL]),
)
signals = st.builds(signal, st.sampled_from(KINDS), lengths, st.integers(0, 1000))


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(signals, min_size=1, max_size=5), st.integers(0, 100), st.booleans())
@example([signal("silence", 3000, 0), signal("silence", 200, 0)], 0, True)
@example([signal("constant", 2500, 0)], 1, True)
@example([signal("noise", 1, 0), signal("noise", 1, 1)], 2, True)
@example([signal("noise", 1, 0)], 3, False)
@example([signal("noise", 2, 0)], 4, True)
@example([signal("noise", 27, 0), signal("noise", 3, 0)], 5, True)
def test_same_as_eager(samples: list[np.ndarray], seed: int, training: bool) -> None:
    rows = list(range(len(samples)))
    if training and sum(map(len, samples)) == 1:
        return  # see test_one_value_has_no_variance
    assert_same(store(samples), rows, seed, training)


@pytest.mark.parametrize("training", [True, False])
def test_same_as_eager_for_half_a_minute_beside_one_sample(training: bool) -> None:
    assert_same(noise(34 * 16_000, 1), [0, 1], 0, training)


def test_rows_choose_and_order_utterances() -> None:
    assert_same(noise(700, 90, 1500, 300), [3, 0, 3], 0, True)


def test_any_number_of_bins() -> None:
    waveforms = noise(700, 90)
    for bins in (1, 7, 1000):
        fused = FusedFrontEnd(ModelConfig(n_pool=bins)).eval()
        eager = AudioFrontEnd(ModelConfig(n_pool=bins)).eval()
        eager.load_state_dict(fused.state_dict())
        expected = eager(waveforms.padded([0, 1]))
        assert gap(fused(FusedAudio(waveforms).batch([0, 1])), expected) < 1e-5


def test_gradients_are_the_derivatives() -> None:
    _, fused = front_ends()
    batch = FusedAudio(noise(150, 400)).batch([0, 1])
    names, values = zip(*fused.named_parameters(), strict=True)

    def output(*parameters: Tensor) -> Tensor:
        replaced = dict(zip(names, parameters, strict=True))
        return torch.func.functional_call(copy.deepcopy(fused), replaced, (batch,))

    assert torch.autograd.gradcheck(output, values, eps=1e-7, atol=1e-4, fast_mode=True)


def test_one_value_has_no_variance() -> None:
    waveforms = noise(1)
    eager, fused = front_ends()
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        eager(waveforms.padded([0]).double())
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        fused(FusedAudio(waveforms).batch([0]))


def test_float32_is_as_near_to_float64_as_eager_float32_is() -> None:
    waveforms = noise(9000, 30_000, 4000)
    eager, fused = front_ends(dtype=torch.float32)
    exact = copy.deepcopy(eager).double()
    expected = exact(waveforms.padded([0, 1, 2]).double())
    reference = eager(waveforms.padded([0, 1, 2]))
    output = fused(FusedAudio(waveforms).batch([0, 1, 2]))
    assert output.dtype == torch.float32
    assert gap(output, expected) < 4 * gap(reference, expected) + 1e-6

    true, ours = gradients(exact, expected), gradients(fused, output)
    scale = max(float(gradient.abs().max()) for gradient in true.values())
    for name in true:
        assert gap(ours[name], true[name]) < 1e-5 * scale, name
    for name, buffer in exact.named_buffers():
        assert gap(fused.get_buffer(name), buffer) < 1e-5, name


def test_checkpoints_are_exchanged() -> None:
    eager, fused = front_ends()
    batch = FusedAudio(noise(500, 900)).batch([0, 1])
    fused(batch)  # moves the running statistics
    trained = AudioFrontEnd().double()
    trained.load_state_dict(fused.state_dict())
    assert list(trained.state_dict()) == list(fused.state_dict())
    back = FusedFrontEnd().double()
    back.load_state_dict(trained.state_dict())
    assert torch.equal(back.eval()(batch), fused.eval()(batch))
    assert gap(fused(batch), trained.eval()(noise(500, 900).padded([0, 1]).double())) < 1e-9
    assert trained.norm1.num_batches_tracked == eager.norm1.num_batches_tracked + 1


@pytest.fixture
def set_threads() -> Iterator[object]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def bits(waveforms: Waveforms) -> list[bytes]:
    """Output, gradients and running statistics of a training step, to the bit."""
    torch.manual_seed(0)
    _, fused = front_ends(dtype=torch.float32)
    output = fused(FusedAudio(waveforms).batch(range(len(waveforms.lengths))))
    values = [output, *gradients(fused, output).values(), *fused.buffers()]
    return [value.detach().numpy().tobytes() for value in values]


def test_same_bits_again_and_for_every_number_of_threads(set_threads) -> None:
    waveforms = noise(9000, 100, 30_000, 4000)
    results = []
    for threads in (1, 1, 2, 3):
        set_threads(threads)
        results.append(bits(waveforms))
    assert results[0] == results[1] == results[2] == results[3]


def bits_of_file(path: Path, length: int) -> list[bytes]:
    torch.set_num_threads(1)
    samples = np.memmap(path, np.int16, "r")
    offsets = np.arange(0, len(samples), length)
    lengths = np.full(len(offsets), length)
    return bits(Waveforms(samples, offsets, lengths, ("",) * len(offsets), ""))


def test_same_bits_in_another_process_from_a_memory_map(tmp_path: Path, set_threads) -> None:
    path = tmp_path / "samples.int16"
    signal("noise", 12_000, 0).tofile(path)
    set_threads(1)
    here = bits_of_file(path, 3000)
    with ProcessPoolExecutor(1, get_context("spawn")) as other:
        assert other.submit(bits_of_file, path, 3000).result() == here


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_a_forked_child_has_threads_of_its_own(set_threads) -> None:
    set_threads(2)
    waveforms = noise(9000, 4000)
    audio = FusedAudio(waveforms)
    expected = audio.lag_sums(np.arange(2))
    child = os.fork()
    if child == 0:
        same = torch.equal(FusedAudio(waveforms).lag_sums(np.arange(2)), expected)
        os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_diverged_model_shows() -> None:
    _, fused = front_ends(dtype=torch.float32)
    with torch.no_grad():
        fused.conv1.weight[0, 0, 0] = torch.nan
    batch = FusedAudio(noise(500)).batch([0])
    assert fused(batch).isnan().all()
    assert fused.eval()(batch).isnan().all()


def test_what_it_cannot_do_it_refuses() -> None:
    with pytest.raises(InputError, match=r"Table 2(.|\n)*AudioFrontEnd"):
        FusedFrontEnd(ModelConfig(channels=(4, 16)))
    with pytest.raises(InputError, match=r"stride 2(.|\n)*AudioFrontEnd"):
        FusedFrontEnd(ModelConfig(convolution="stride 2, same padding, bias"))
    batch = FusedAudio(noise(500)).batch([0])
    with pytest.raises(InputError, match="AudioFrontEnd"):
        FusedFrontEnd().to("meta")(batch)


TINY = """
from replicate.kernels.compiled import kernel

@kernel
def twice(x: int) -> int:
    return 2 * x

print(twice(21))
"""


@pytest.mark.parametrize("writable", [True, False])
def test_kernels_are_kept_where_a_folder_can_be_written(tmp_path: Path, writable: bool) -> None:
    package = tmp_path / "replicate" / "kernels"
    package.mkdir(parents=True)
    for name in ("__init__.py", "kernels/__init__.py", "kernels/compiled.py", "kernels/kept.py"):
        shutil.copy(Path(replicate.__file__).parent / name, tmp_path / "replicate" / name)
    (package / "tiny.py").write_text(TINY)
    (tmp_path / "torch.py").touch()  # which compiling does not need, and takes seconds to import
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "HOME": os.devnull}
    environment.pop("NUMBA_CACHE_DIR", None)
    environment["XDG_CACHE_HOME"] = os.devnull
    if not writable:
        (package / "__pycache__").write_text("a file, so that no folder can be made here")

    said = []
    for _ in range(2):
        command = [sys.executable, "-c", "import replicate.kernels.tiny"]
        done = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert done.stdout == "42\n"
        said.append(done.stderr)
    if writable:
        assert "Compiling" in said[0] and str(package / "__pycache__") in said[0]
        assert said[1] == ""
    else:
        assert said[0] == said[1]
        assert "set NUMBA_CACHE_DIR" in said[0]
