"""Section 3.1, Table 2 on a GPU: what `replicate.kernels.audio` does on a CPU, by Triton's kernels.

Parameters, function and checkpoints are those of `RawAudioEncoder`: the same experiment differs
between devices by rounding, which training magnifies.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from replicate.corpora.waveforms import Waveforms
from replicate.files import InputError
from replicate.kernels import cuda_loops as kernels
from replicate.kernels.audio import FusedFrontEnd, lag_taps
from replicate.kernels.audio_batches import FusedAudio, FusedBatch
from replicate.kernels.audio_loops import C1, C2, K1, K2
from replicate.kernels.cuda_loops import CHUNK, GAP, LANES, TILE
from replicate.model import RawAudioEncoder
from replicate.settings import ModelConfig

Array = npt.NDArray[Any]


class CudaAudio(FusedAudio):
    """The waveforms of a corpus, copied to a GPU, 16-bit."""

    def __init__(self, waveforms: "Waveforms", device: torch.device) -> None:
        super().__init__(waveforms)
        self.samples = torch.tensor(self.recordings.samples, device=device)

    def of(self, waveforms: "Waveforms") -> "CudaAudio":
        """As `FusedAudio.of`, on the same GPU."""
        return CudaAudio(waveforms, self.samples.device)

    def batch(self, rows: Sequence[int] | Array, masked: bool = False) -> "CudaBatch":
        """As `FusedAudio.batch`."""
        return CudaBatch(self, np.asarray(rows, np.int64), masked)


class CudaBatch(FusedBatch):
    """Utterances of a `CudaAudio`, and `utterances` and `tiles` as `cuda_loops` explains them."""

    def __init__(self, audio: CudaAudio, rows: Array, masked: bool = False) -> None:
        super().__init__(audio, rows, masked)
        self.samples, device = audio.samples, audio.samples.device
        _, offsets, lengths, kept = self.recordings
        counts = -(-(kept + GAP) // TILE)
        firsts = np.cumsum(counts) - counts  # the first tile of each utterance
        owner = np.repeat(np.arange(len(rows)), counts)
        begins = (np.arange(len(owner)) - firsts[owner]) * TILE
        bases = GAP + firsts * TILE
        self.size = int(GAP + len(owner) * TILE + GAP)
        self.utterances = _to(device, np.stack([offsets, lengths, kept, bases], 1))
        self.tiles = _to(device, np.stack([owner, begins], 1))
        self.lag_sums, self.edges = self.lag_sums.to(device), self.edges.to(device)

    def rectified(self, w: Tensor, d: Tensor) -> Tensor:
        """What is relu(w * x + d) at all that is kept: [4, size]."""
        r = w.new_zeros(C1, self.size)
        kernels.rectified[(len(self.tiles),)](
            self.samples, self.utterances, self.tiles, w, d, r, self.size,
            real=_real(w), TILE=TILE,
        )  # fmt: skip
        return r


def _to(device: torch.device, array: Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.int64)).to(device)


def _real(like: Tensor) -> object:
    return tl.float64 if like.dtype == torch.float64 else tl.float32


def _small(dtype: npt.DTypeLike, *tensors: Tensor) -> list[Tensor]:
    wanted = torch.float64 if dtype == np.float64 else torch.float32
    return [tensor.detach().to(wanted).contiguous() for tensor in tensors]


class LagSums(torch.autograd.Function):
    """As `replicate.kernels.audio.LagSums`."""

    @staticmethod
    def forward(ctx: Any, w: Tensor, d: Tensor, batch: CudaBatch, dtype: npt.DTypeLike) -> Tensor:
        """Two passes over the audio."""
        small = _small(dtype, w, d)
        r = batch.rectified(*small)
        out = r.new_empty(len(batch.tiles), C1, C1 * K2 + 1)
        kernels.lag_sums[(len(out), C1)](
            batch.utterances, batch.tiles, r, out, batch.size, TILE=TILE
        )
        ctx.save_for_backward(r)
        ctx.batch, ctx.dtype = batch, dtype
        return out.double().sum(0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """One pass over the audio."""
        (r,), batch = ctx.saved_tensors, ctx.batch
        small = _small(ctx.dtype, lag_taps(gradient), gradient[:, -1])
        out = r.new_empty(len(batch.tiles), C1, K1 + 1)
        kernels.lag_sums_gradient[(len(out),)](
            batch.samples, batch.utterances, batch.tiles, r, *small, out, batch.size,
            real=_real(r), TILE=TILE,
        )  # fmt: skip
        total = out.double().sum(0)
        return total[:, :-1], total[:, -1], None, None


class MaxPool(torch.autograd.Function):
    """As `replicate.kernels.audio.MaxPool`."""

    @staticmethod
    def forward(
        ctx: Any, w: Tensor, d: Tensor, w2: Tensor, e: Tensor, f: Tensor,
        batch: CudaBatch, bins: int, dtype: npt.DTypeLike,
    ) -> Tensor:  # fmt: skip
        """Two passes over the audio."""
        small = _small(dtype, w, d, w2, e, f)
        r = batch.rectified(*small[:2])
        begins, ends = (_to(r.device, array) for array in batch.bins(bins))  # [B, bins]
        largest = r.new_empty(len(batch), bins, C2)
        winners = torch.empty_like(largest, dtype=torch.int64)
        kernels.max_pool[(len(batch) * bins,)](
            batch.samples, batch.utterances, begins, ends, r, *small[2:], largest, winners,
            batch.size, bins, real=_real(r), CHUNK=CHUNK,
        )  # fmt: skip
        ctx.save_for_backward(r, small[2], winners, largest > 0)
        ctx.batch = batch
        return largest

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Visits the winners only."""
        batch, (r, w2, winners, active) = ctx.batch, ctx.saved_tensors
        at_winners = torch.where(active, gradient, 0).to(r.dtype).contiguous()
        bins, total = winners.shape[1], winners.shape[0] * winners.shape[1]
        items = -(-total // LANES)
        conv1, conv2 = r.new_empty(items, C2, C1, K1 + 1), r.new_empty(items, C2, C1, K2)
        shortcut = r.new_empty(items, C2, 2)
        kernels.max_pool_gradient[(items, C2)](
            batch.samples, batch.utterances, winners, at_winners, r, w2, conv1, conv2, shortcut,
            batch.size, bins, total, real=_real(r), LANES=LANES,
        )  # fmt: skip
        by_w, by_w2, by_e = (
            conv1.double().sum((0, 1)),
            conv2.double().sum(0),
            shortcut.double().sum(0),
        )
        return by_w[:, :K1], by_w[:, K1], by_w2, by_e[:, 0], by_e[:, 1], None, None, None


class CudaFrontEnd(FusedFrontEnd):
    """`AudioFrontEnd` on a GPU: the same parameters, buffers and function; takes a `CudaBatch`."""

    device_type = "cuda"
    r_sums = LagSums
    pool = MaxPool


class States(torch.autograd.Function):
    """All states of a GRU.

    (input's part of r, z, n [B, T, 3 H], weights [3 H, H] and biases [3 H] of the state's part) ->
    states from zero, [B, T, H]; H is a power of two.
    """

    @staticmethod
    def forward(ctx: Any, by_x: Tensor, w: Tensor, bias: Tensor) -> Tensor:
        """All steps in one kernel."""
        (batch, steps, _), hidden = by_x.shape, w.shape[1]
        states = by_x.new_empty(batch, steps, hidden)
        gates = by_x.new_empty(batch, steps, 4 * hidden)
        kernels.gru_forward[(batch,)](
            by_x.contiguous(), w, bias, states, gates, steps, H=hidden, num_warps=1
        )
        ctx.save_for_backward(w, states, gates)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        """All steps in one kernel."""
        w, states, gates = ctx.saved_tensors
        (batch, steps, hidden), by_gates = states.shape, torch.empty_like(gates)
        kernels.gru_backward[(batch,)](
            w, states, gates, gradient.contiguous(), by_gates, steps, H=hidden, num_warps=1
        )
        r, z, new, own = by_gates.chunk(4, dim=2)  # 4 of [B, T, H]
        by_state = torch.cat([r, z, own], 2)  # [B, T, 3 H]
        before = F.pad(states[:, :-1], (0, 0, 1, 0))
        by_w = by_state.flatten(0, 1).T @ before.flatten(0, 1)
        return torch.cat([r, z, new], 2), by_w, by_state.sum((0, 1))


class CudaAudioEncoder(RawAudioEncoder):
    """`RawAudioEncoder` on a GPU, of a `CudaBatch`; `InputError` if `n_gru` is no power of two."""

    front_end_class = CudaFrontEnd

    def __init__(self, config: ModelConfig, n_features: int | None = None) -> None:
        if config.n_gru & (config.n_gru - 1):
            raise InputError(
                "n_gru", f"{config.n_gru} units on a GPU", "choose a power of two, or use the CPU"
            )
        super().__init__(config, n_features)

    def states(self, pooled: Tensor) -> Tensor:
        """[B, 200, 8] -> [B, 200, 32], by one kernel."""
        parameter = self.gru.get_parameter
        by_x = F.linear(pooled, parameter("weight_ih_l0"), parameter("bias_ih_l0"))  # [B, 200, 96]
        states: Tensor = States.apply(  # type: ignore[no-untyped-call]
            by_x, parameter("weight_hh_l0"), parameter("bias_hh_l0")
        )
        return states
