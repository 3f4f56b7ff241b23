"""The audio front end of Section 3.1, exact and many times faster than eager PyTorch.

`FusedFrontEnd` computes what `replicate.model.AudioFrontEnd` computes, outputs, gradients and
running statistics, up to rounding:

    conv 1x25 to 4 channels - BN - ReLU - conv 1x5 to 8 channels - BN
    + shortcut (conv 1x1 to 8 channels - BN), then ReLU and max pooling to 200 bins

but stores nothing of the size [batch, channel, time]. A batch of 30 utterances of which one
lasts 15 s is 7 million padded samples, and eager PyTorch writes and reads some twenty tensors
of 4 or 8 channels of that length: it waits for memory. Three ideas avoid that.

1. **Batch statistics of a linear map need only lag sums.** With `q = w * x` (a convolution),
   the mean and variance of `q` over batch and time are a linear and a quadratic form in `w`,
   whose coefficients are the sums of `x[t]` and of `x[t] x[t + l]` over t. The first BN and the
   shortcut's see linear maps of the waveform: its 25 lag sums are known before training. The
   second BN sees a linear map of `r = relu(...)`, 4 channels: 84 lag sums, one pass over the
   audio (`LagSums`), whose derivative is the only dense backward pass. Everything in between
   (folding BN into the convolution before it, means, variances) acts on tiny tensors: ordinary
   autograd in float64 does it, forward and backward.

2. **Max pooling needs the gradient at its winners only.** One pass finds the position of the
   maximum in each of 200 bins and 8 channels (`MaxPool`); the backward pass visits these 1,600
   positions of an utterance, each of which saw 29 samples, and nothing else.

3. **Padding is constant.** All padded positions that are further than 14 samples from the
   recording and from the end of the padding see the same: zeros. Of an utterance of L samples
   padded to T only `kept = min(T, L + 64)` positions are visited; the T - kept positions that are
   dropped from the middle of the padding have the outputs of their neighbours. The cost follows
   the length of the recordings, not of the padding.

What is left is arithmetic, and the inner loops keep it in the registers: a tile of 4 channels and
5 taps at a time, so that each sample that is read serves four products (`add_convolution`,
`add_correlation`).

The audio stays 16-bit, as in the waveform store, and is converted block by block in the cache of
the processor. The kernels are compiled for the paper's sizes (Table 2) and for the CPU, for
float32 and float64 parameters. Results are the same to the bit for every number of threads.
"""

from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from replicate.files import InputError
from replicate.kernels.audio_batches import FusedBatch
from replicate.kernels.audio_loops import (
    C1,
    C2,
    H1,
    K1,
    K2,
    LANES,
    Array,
    group_bins,
    lag_sums,
    lag_sums_gradient,
    max_pool,
    max_pool_gradient,
)
from replicate.kernels.compiled import share_out
from replicate.kernels.gru import states
from replicate.model import AudioFrontEnd, RawAudioEncoder
from replicate.settings import ModelConfig


def _arrays(dtype: npt.DTypeLike, *tensors: Tensor) -> list[Array]:
    return [np.ascontiguousarray(tensor.detach().numpy(), dtype) for tensor in tensors]


def lag_taps(gradient: Tensor) -> Tensor:
    """The derivative by r as a filter on r, from that by its lag sums and sums, [4, 21].

    It is [4, 4, 9]: what r[c', t + l], l = -4..4, adds to the derivative by r[c, t].
    """
    by_lag = gradient[:, :-1].reshape(C1, C1, K2)
    taps = gradient.new_zeros(C1, C1, 2 * K2 - 1)
    taps[..., K2 - 1 :] += by_lag  # r[c, t] as the first factor of r[c, t] r[c', t + l] ...
    taps[..., :K2] += by_lag.transpose(0, 1).flip(2)  # ... and as the second
    return taps


class LagSums(torch.autograd.Function):
    """(w [4, 25], d [4]) -> lag sums and sums of r = relu(w * x + d), [4, 21] (see `lag_sums`)."""

    @staticmethod
    def forward(ctx: Any, w: Tensor, d: Tensor, batch: FusedBatch, dtype: npt.DTypeLike) -> Tensor:
        """One pass over the audio."""
        ctx.batch, ctx.dtype, ctx.folded = batch, dtype, _arrays(dtype, w, d)
        out = np.zeros((len(batch.blocks), C1, C1 * K2 + 1))
        share_out(lag_sums, len(out), batch.recordings, batch.blocks, *ctx.folded, out)
        return torch.from_numpy(out.sum(0))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """One pass over the audio."""
        taps = F.pad(lag_taps(gradient), (0, 1))
        batch, small = ctx.batch, _arrays(ctx.dtype, taps, gradient[:, -1])
        out = np.zeros((len(batch.blocks), C1, K1 + 1))
        share_out(
            lag_sums_gradient, len(out), batch.recordings, batch.blocks, *ctx.folded, *small, out
        )
        total = torch.from_numpy(out.sum(0))
        return total[:, :-1], total[:, -1], None, None


class MaxPool(torch.autograd.Function):
    """(w [4, 25], d [4], w2 [8, 4, 5], e [8], f [8]) -> pooled features, [B, bins, 8]."""

    @staticmethod
    def forward(
        ctx: Any, w: Tensor, d: Tensor, w2: Tensor, e: Tensor, f: Tensor,
        batch: FusedBatch, bins: int, dtype: npt.DTypeLike,
    ) -> Tensor:  # fmt: skip
        """One pass over the audio."""
        small = _arrays(dtype, w, d, w2, e, f)
        begins, ends = batch.bins(bins)
        groups = group_bins(begins, ends)
        shape = len(batch), bins, C2
        largest = np.empty(shape, dtype)
        winners = np.empty(shape, f"i{largest.itemsize}")
        share_out(
            max_pool, len(groups), batch.recordings, groups, begins, ends, *small, largest, winners
        )
        ctx.batch, ctx.folded, ctx.winners, ctx.active = batch, small[:3], winners, largest > 0
        return torch.from_numpy(largest)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Visits the winners only."""
        at_winners = np.where(ctx.active, gradient.numpy(), 0).astype(ctx.folded[0].dtype)
        items = -(-ctx.winners[..., 0].size // LANES)
        conv1, conv2 = np.zeros((items, C1, K1 + 1)), np.zeros((items, C2, C1, K2))
        shortcut = np.zeros((items, C2, 2))
        share_out(
            max_pool_gradient, items, ctx.batch.recordings, ctx.winners, at_winners, *ctx.folded,
            conv1, conv2, shortcut,
        )  # fmt: skip
        by_w, by_w2, by_e = (torch.from_numpy(part.sum(0)) for part in (conv1, conv2, shortcut))
        return by_w[:, :K1], by_w[:, K1], by_w2, by_e[:, 0], by_e[:, 1], None, None, None


def window_moments(
    lag_sums: Tensor, sums: Tensor, left: Tensor, right: Tensor
) -> tuple[Tensor, Tensor]:
    """Moments of the K samples that a convolution sees, over all positions of a batch.

    Of `lag_sums` [C, C, K], sum_t x[c, t] x[c', t + l] over the padded utterances, which are zero
    outside, and `sums` [C], sum_t x[c, t]; `left` and `right` [B, C, K // 2] are the first and last
    values of each utterance. Returned are the sum of the outer products of the windows [C K] with
    themselves, [C K, C K], and the sum of the windows, [C K].
    """
    channels, _, taps = lag_sums.shape
    half = taps // 2
    tap = torch.arange(taps, device=sums.device)
    lag = tap - tap[:, None]  # [K, K], second tap less first
    forward, backward = lag_sums[..., lag.abs()], lag_sums.transpose(0, 1)[..., lag.abs()]
    products = torch.where(lag >= 0, forward, backward)  # [C, C, K, K]
    products = products.permute(0, 2, 1, 3).reshape(channels * taps, channels * taps)
    # These count windows centred at every integer: take off those centred beyond the ends.
    beyond = torch.cat([F.pad(left, (2 * half, 0)), F.pad(right, (0, 2 * half))])
    beyond = beyond.unfold(2, taps, 1).permute(0, 2, 1, 3).reshape(-1, channels * taps)
    return products - beyond.T @ beyond, sums.repeat_interleave(taps) - beyond.sum(0)


def compiled_for(config: ModelConfig) -> bool:
    """Whether the kernels compute this front end."""
    ours = ModelConfig()
    return (
        (config.channels, config.kernels) == ((C1, C2), (K1, K2))
        and config.convolution == ours.convolution
        and config.residual in (ours.residual, "none")
        and config.normalisation == ours.normalisation
    )


class FusedFrontEnd(AudioFrontEnd):
    """`AudioFrontEnd` on the CPU: the same parameters, buffers and function.

    A subclass may do the passes over the audio elsewhere. `InputError` for a configuration that it
    is not compiled for.
    """

    device_type = "cpu"
    r_sums: type[torch.autograd.Function] = LagSums
    pool: type[torch.autograd.Function] = MaxPool

    def __init__(self, config: ModelConfig | None = None) -> None:
        config = config or ModelConfig()
        if not compiled_for(config):
            raise InputError(
                type(self).__name__,
                f"channels {config.channels}, kernels {config.kernels}, {config.convolution}, "
                f"residual {config.residual}, {config.normalisation}: compiled for Table 2 and our "
                "reading of Section 3.1 only",
                "use AudioFrontEnd, which takes any",
            )
        super().__init__(config)

    def forward(self, batch: FusedBatch) -> Tensor:  # type: ignore[override]
        """B utterances -> pooled features [B, bins, 8]."""
        weight = self.conv1.weight
        if weight.device.type != self.device_type:
            name = type(self).__name__
            raise InputError(name, f"parameters on {weight.device}", "use AudioFrontEnd")
        positions = int(batch.padded.sum())
        if self.training and positions == 1:
            raise ValueError("Expected more than 1 value per channel when training")
        dtype = np.float64 if weight.dtype == torch.float64 else np.float32

        x_moments = None
        if self.training:
            x_moments = window_moments(
                batch.lag_sums[None, None, :K1],
                batch.lag_sums[K1:],
                batch.edges[0, :, None, :H1],
                batch.edges[1, :, None, -H1:],
            )
        w, d = _fold(self.conv1, self.norm1, x_moments, positions)

        r_moments = shortcut_moments = None
        if x_moments is not None:
            sums: Tensor = self.r_sums.apply(w, d, batch, dtype)  # type: ignore[no-untyped-call]
            ends = _r_at_edges(batch, w, d)  # [2, B, 4, 2]
            constant = torch.relu(d)  # r at the dropped positions
            pairs = torch.outer(constant, constant.repeat_interleave(K2))
            sums = sums + batch.dropped * torch.cat([pairs, constant[:, None]], 1)
            lags = sums[:, :-1].reshape(C1, C1, K2)
            r_moments = window_moments(lags, sums[:, -1], ends[0], ends[1])
            centre = slice(H1, H1 + 1)  # the shortcut sees the middle tap
            shortcut_moments = x_moments[0][centre, centre], x_moments[1][centre]
        w2, f = _fold(self.conv2, self.norm2, r_moments, positions)
        e = w2.new_zeros(C2, 1)
        if self.around:
            e, g = _fold(self.shortcut, self.norm_shortcut, shortcut_moments, positions)
            f = f + g
        pooled: Tensor = self.pool.apply(  # type: ignore[no-untyped-call]
            w, d, w2.view(C2, C1, K2), e[:, 0], f, batch, self.bins, dtype
        )
        return pooled


def _fold(
    conv: nn.Conv1d, norm: nn.BatchNorm1d, moments: tuple[Tensor, Tensor] | None, positions: int
) -> tuple[Tensor, Tensor]:
    """A convolution and the BN after it as one affine map, in float64 (idea 1).

    In training mode `window_moments` of the convolution's input, over so many positions (batch
    times padded time), take the place of the running statistics, which move on. Returned are
    weights, [out, in * K], and biases, [out].
    """
    weight, bias = (conv.get_parameter(name).double() for name in ("weight", "bias"))
    weight = weight.flatten(1)
    running_mean, running_var = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
    if moments is None:
        mean, variance = running_mean.double(), running_var.double()
    else:
        second, first = moments[0] / positions, moments[1] / positions
        mean = weight @ first + bias
        variance = ((weight @ (second - torch.outer(first, first))) * weight).sum(1)
        with torch.no_grad():
            unbiased = variance * positions / (positions - 1)
            running_mean.lerp_(mean.to(running_mean), cast(float, norm.momentum))
            running_var.lerp_(unbiased.to(running_var), cast(float, norm.momentum))
            norm.get_buffer("num_batches_tracked").add_(1)
    scale = norm.weight.double() / (variance + norm.eps).sqrt()
    return weight * scale[:, None], norm.bias.double() + scale * (bias - mean)


def _r_at_edges(batch: FusedBatch, w: Tensor, d: Tensor) -> Tensor:
    """What r = relu(w * x + d) is at the first two and at the last two positions, [2, B, 4, 2]."""
    x = F.pad(batch.edges, (H1, H1))  # [2, B, 38]
    windows = torch.stack([x[0, :, : K1 + 1], x[1, :, -K1 - 1 :]]).unfold(2, K1, 1)  # [2, B, 2, 25]
    r = torch.relu(windows @ w.T + d).transpose(2, 3)
    single = torch.from_numpy(batch.padded == 1)[:, None, None]
    if not single.any():  # as nearly always: it would cost a copy to a GPU
        return r
    outside = torch.tensor([[False, True], [True, False]])[:, None, None]  # of a single position
    return r.masked_fill((single & outside).to(r.device), 0)


class FusedAudioEncoder(RawAudioEncoder):
    """`RawAudioEncoder` on the CPU: the same parameters and function; takes a `FusedBatch`."""

    front_end_class = FusedFrontEnd

    def states(self, pooled: Tensor) -> Tensor:
        """[B, 200, 8] -> [B, 200, 32], by the fast kernel."""
        return states(self.gru, pooled)
