"""The convolutions over words of Section 3.2 on the CPU, without the work that maxima discard.

`FusedTranscriptionEncoder` computes what `replicate.model.TranscriptionEncoder` computes, up to
rounding. Of each filter only the largest response in an utterance goes on, hence, as in
`replicate.kernels.audio`:

1. Padding is constant: of the windows that see nothing but padding one is kept. A batch is padded
   to its longest sentence, which leaves about two thirds of the windows to skip.
2. The gradient is needed at the winners only: one window of an utterance for each filter.

Repeats are the same to the bit for a given number of threads; the matrix product of another number
adds in another order.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from replicate.kernels.compiled import kernel, share_out
from replicate.model import TranscriptionEncoder, lengths

Array = npt.NDArray[Any]


@kernel
def largest_rows(
    first: int, last: int, y: Array, bounds: Array, largest: Array, winners: Array
) -> None:
    """Each column's maximum over rows bounds[b] to bounds[b + 1], and where it is first reached.

    Of the utterances `first` to `last` (exclusive); y [windows, filters] are the responses, bounds
    [B + 1] where the windows of each utterance begin in them. Out: largest [B, filters], and
    winners, windows of the utterance, integers as wide as the floats.
    """
    for b in range(first, last):
        begin = bounds[b]
        best, at = largest[b], winners[b]
        best[:] = y[begin]
        at[:] = 0
        for window in range(1, bounds[b + 1] - begin):
            row = y[begin + window]
            for f in range(len(best)):
                better = row[f] > best[f] or row[f] != row[f]  # NaN stays
                best[f] = row[f] if better else best[f]
                at[f] = window if better else at[f]


@kernel
def weight_gradient(
    first: int, last: int, x: Array, winners: Array, gradient: Array, out: Array
) -> None:
    """out[f, k] = sum_b gradient[b, f] times what filter f saw at its winner, in x [B, n, E].

    Of the filters `first` to `last` (exclusive); out is [filters, taps E]: a window is `taps`
    words, read as one row. Winners [B, filters] are the first word of each winning window.
    """
    width = out.shape[1]
    for f in range(first, last):
        total = out[f]
        for b in range(len(x)):
            scale, seen = gradient[b, f], x[b, winners[b, f] :].reshape(-1)
            for k in range(width):
                total[k] += scale * seen[k]


@kernel
def input_gradient(
    first: int, last: int, w: Array, winners: Array, gradient: Array, out: Array
) -> None:
    """The derivative by x of utterances `first` to `last`; arguments as in `weight_gradient`."""
    for b in range(first, last):
        for f in range(len(w)):
            scale, taps, seen = gradient[b, f], w[f], out[b, winners[b, f] :].reshape(-1)
            for k in range(len(taps)):
                seen[k] += scale * taps[k]


class LargestResponse(torch.autograd.Function):
    """A convolution over words, and the largest response of each of its filters.

    (x [B, n, E], ends [B], masked, weight [filters, E, taps], bias [filters]) -> [B, filters].
    Words from `ends` on are padding and embedded alike; what the derivative by them is does not
    count.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, ends: Array, masked: bool, weight: Tensor, bias: Tensor
    ) -> Tensor:
        """One matrix product over the windows that differ."""
        (batch, words, size), (filters, _, taps) = x.shape, weight.shape
        x = x.contiguous()
        windows = np.minimum(ends + 1, words - taps + 1)
        if masked:
            windows = np.maximum(ends - taps + 1, 1)
        bounds = np.concatenate([[0], windows.cumsum()])
        starts = np.concatenate([b * words + np.arange(m) for b, m in enumerate(windows)])
        every = x.view(-1).as_strided((batch * words - taps + 1, taps * size), (size, 1))
        w = weight.transpose(1, 2).reshape(filters, -1)  # [filters, taps E]
        y = torch.addmm(bias, every[torch.from_numpy(starts)], w.T)  # [windows, filters]
        largest = np.empty((batch, filters), y.numpy().dtype)
        winners = np.empty((batch, filters), f"i{largest.itemsize}")
        share_out(largest_rows, batch, y.numpy(), bounds, largest, winners)
        ctx.x, ctx.w, ctx.winners = x.numpy(), w.numpy(), winners
        return torch.from_numpy(largest)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Visits the winners only."""
        by_largest = gradient.contiguous().numpy()
        (filters, width), size = ctx.w.shape, ctx.x.shape[2]
        by_w, by_x = np.zeros_like(ctx.w), np.zeros_like(ctx.x)
        share_out(weight_gradient, filters, ctx.x, ctx.winners, by_largest, by_w)
        share_out(input_gradient, len(by_x), ctx.w, ctx.winners, by_largest, by_x)
        by_weight = torch.from_numpy(by_w).view(filters, width // size, size).transpose(1, 2)
        return torch.from_numpy(by_x), None, None, by_weight, gradient.sum(0)


class FusedTranscriptionEncoder(TranscriptionEncoder):
    """`TranscriptionEncoder` on the CPU: the same parameters and function."""

    def forward(self, words: Tensor) -> Tensor:
        """Word numbers [B, n], n >= 5, zero-padded -> x_text [B, 400]."""
        x = self.embedding(words)  # [B, n, 150]
        ends = lengths(words).numpy()
        maxima = [
            LargestResponse.apply(  # type: ignore[no-untyped-call]
                x, ends, self.masked, conv.weight, conv.bias
            )
            for conv in self.convolutions
        ]
        return F.relu(torch.cat(maxima, dim=1))  # [B, 400]
