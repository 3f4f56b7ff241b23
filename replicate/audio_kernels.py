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

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from replicate.compiled import kernel, share_out
from replicate.errors import InputError
from replicate.gru_kernels import states
from replicate.model import AudioFrontEnd, ModelConfig, RawAudioEncoder

if TYPE_CHECKING:
    from replicate.waveforms import Waveforms

Array = npt.NDArray[Any]

C1, K1 = 4, 25  # channels and taps of conv1
C2, K2 = 8, 5  # channels and taps of conv2
H1, H2 = K1 // 2, K2 // 2  # half widths: samples that a tap can lie from the centre
SPAN = K1 + K2 - 1  # samples of the waveform that one output sees
FULL_SCALE = 2.0**-15  # of 16-bit samples

TAIL = 64  # padded positions that are kept: at least 2 (H1 + H2 + K2)
BLOCK = 960  # positions done at a time: all their intermediate values fit in the L1 cache
LANES = 128  # winners done at a time

ROWS, TAPS = 4, 5  # a tile: output channels and taps whose products the registers hold at once
LINE = 64  # bytes of a cache line, which is also what a SIMD register holds at most


class Recordings(NamedTuple):
    """Utterances as kernels take them.

    Attributes:
        samples: int16, all utterances of the store end to end.
        offsets: [B], where each utterance begins in `samples`.
        lengths: [B], samples.
        kept: [B], samples and the padded positions that are kept (idea 3).
    """

    samples: Array
    offsets: Array
    lengths: Array
    kept: Array


# --------------------------------------------------------------------------------------------------
# Building blocks. Each inner loop runs over time (or over winners), and is written such that the
# compiler turns it into SIMD instructions: constant numbers of taps, contiguous slices.


@kernel
def load(x: Array, recordings: Recordings, i: int, start: int, count: int) -> None:
    """x[j] = utterance i at time start + j in [-1, 1), zero outside of the recording."""
    scale = x.dtype.type(FULL_SCALE)
    length = recordings.lengths[i]
    begin = min(max(-start, 0), count)
    end = max(begin, min(count, length - start))
    x[:begin] = 0
    x[end:count] = 0
    origin = recordings.offsets[i] + start
    source, target = recordings.samples[origin + begin : origin + end], x[begin:end]
    for j in range(end - begin):
        target[j] = source[j] * scale


@kernel
def aligned(rows: int, width: int, like: Array) -> Array:
    """[rows, at least width], uninitialised, each row beginning with a cache line."""
    lanes = LINE // like.itemsize
    width = (width + lanes - 1) // lanes * lanes
    room = np.empty(rows * width + lanes, like.dtype)
    start = (lanes - room.ctypes.data // like.itemsize % lanes) % lanes
    return room[start : start + rows * width].reshape(rows, width)


@kernel
def add_convolution(y: Array, x: Array, w: Array, count: int, step: int) -> None:
    """y[c, t] += sum_k w[c, k] x[t + step k] for t < count and the 4 rows c; 5, 10, ... taps k.

    A tile of 4 rows and 5 taps at a time: each sample that is read serves four products, and the
    twenty weights stay in registers.
    """
    y0, y1, y2, y3 = y[0], y[1], y[2], y[3]
    for k in range(0, w.shape[1], TAPS):
        a0, a1, a2, a3, a4 = w[0, k], w[0, k + 1], w[0, k + 2], w[0, k + 3], w[0, k + 4]
        b0, b1, b2, b3, b4 = w[1, k], w[1, k + 1], w[1, k + 2], w[1, k + 3], w[1, k + 4]
        c0, c1, c2, c3, c4 = w[2, k], w[2, k + 1], w[2, k + 2], w[2, k + 3], w[2, k + 4]
        d0, d1, d2, d3, d4 = w[3, k], w[3, k + 1], w[3, k + 2], w[3, k + 3], w[3, k + 4]
        x0, x1, x2 = x[step * k :], x[step * (k + 1) :], x[step * (k + 2) :]
        x3, x4 = x[step * (k + 3) :], x[step * (k + 4) :]
        for t in range(count):
            v0, v1, v2, v3, v4 = x0[t], x1[t], x2[t], x3[t], x4[t]
            y0[t] += a0 * v0 + a1 * v1 + a2 * v2 + a3 * v3 + a4 * v4
            y1[t] += b0 * v0 + b1 * v1 + b2 * v2 + b3 * v3 + b4 * v4
            y2[t] += c0 * v0 + c1 * v1 + c2 * v2 + c3 * v3 + c4 * v4
            y3[t] += d0 * v0 + d1 * v1 + d2 * v2 + d3 * v3 + d4 * v4


@kernel
def add_correlation(out: Array, y: Array, x: Array, count: int, step: int) -> None:
    """out[c, k] += sum_t y[c, t] x[t + step k] for t < count and the 4 rows c; 5, 10, ... taps k.

    A tile at a time, as in `add_convolution`: its twenty sums stay in registers.
    """
    y0, y1, y2, y3 = y[0], y[1], y[2], y[3]
    for k in range(0, out.shape[1], TAPS):
        a0 = a1 = a2 = a3 = a4 = b0 = b1 = b2 = b3 = b4 = x.dtype.type(0)
        c0 = c1 = c2 = c3 = c4 = d0 = d1 = d2 = d3 = d4 = x.dtype.type(0)
        x0, x1, x2 = x[step * k :], x[step * (k + 1) :], x[step * (k + 2) :]
        x3, x4 = x[step * (k + 3) :], x[step * (k + 4) :]
        for t in range(count):
            v0, v1, v2, v3, v4 = x0[t], x1[t], x2[t], x3[t], x4[t]
            a, b, c, d = y0[t], y1[t], y2[t], y3[t]
            a0, a1, a2, a3, a4 = a0 + a * v0, a1 + a * v1, a2 + a * v2, a3 + a * v3, a4 + a * v4
            b0, b1, b2, b3, b4 = b0 + b * v0, b1 + b * v1, b2 + b * v2, b3 + b * v3, b4 + b * v4
            c0, c1, c2, c3, c4 = c0 + c * v0, c1 + c * v1, c2 + c * v2, c3 + c * v3, c4 + c * v4
            d0, d1, d2, d3, d4 = d0 + d * v0, d1 + d * v1, d2 + d * v2, d3 + d * v3, d4 + d * v4
        tile = (
            (a0, a1, a2, a3, a4),
            (b0, b1, b2, b3, b4),
            (c0, c1, c2, c3, c4),
            (d0, d1, d2, d3, d4),
        )
        for row in range(ROWS):
            for tap in range(TAPS):
                out[row, k + tap] += tile[row][tap]


@kernel
def relu(y: Array, count: int) -> None:
    """Zero y[c, t] < 0 for t < count; NaN stays."""
    zero = y.dtype.type(0)
    for c in range(y.shape[0]):
        row = y[c]
        for t in range(count):
            row[t] = zero if zero > row[t] else row[t]


@kernel
def relu_conv1(r: Array, x: Array, w: Array, d: Array, count: int, step: int) -> None:
    """r[c, t] = relu(d[c] + sum_k w[c, k] x[t + step k]) for t < count."""
    for c in range(C1):
        r[c, :count] = d[c]
    add_convolution(r, x, w, count, step)
    relu(r, count)


@kernel
def clear_outside(r: Array, begin: int, end: int, count: int) -> None:
    """Zero r[:, :begin] and r[:, end:count]: conv2 pads with zeros, not with relu(d)."""
    begin = min(max(begin, 0), count)
    end = min(max(end, 0), count)
    r[:, :begin] = 0
    r[:, end:count] = 0


@kernel
def add_sums(out: Array, y: Array, count: int) -> None:
    """out[c] += sum_t y[c, t] for t < count."""
    for c in range(y.shape[0]):
        row, total = y[c], y.dtype.type(0)
        for t in range(count):
            total += row[t]
        out[c] += total


# --------------------------------------------------------------------------------------------------
# Kernels over the audio of a batch. Work items `first` to `last` each write their own part of the
# output, in float64.


@kernel
def waveform_lag_sums(
    first: int, last: int, recordings: Recordings, rows: Array, out: Array
) -> None:
    """out[row, l] = sum_t x[t] x[t + l], l = 0..24, out[row, 25] = sum_t x[t]: exact integers."""
    x = np.empty(BLOCK + K1 - 1)
    for item in range(first, last):
        row = rows[item]
        sums = np.zeros(K1 + 1)
        samples = recordings.samples[recordings.offsets[row] :][: recordings.lengths[row]]
        for start in range(0, len(samples), BLOCK):
            seen = samples[start : start + BLOCK + K1 - 1]
            x[: len(seen)] = seen
            x[len(seen) :] = 0
            for lag in range(K1):
                shifted, total = x[lag : lag + BLOCK], 0.0
                for t in range(BLOCK):
                    total += x[t] * shifted[t]
                sums[lag] += total
            sums[K1] += x[:BLOCK].sum()
        out[row] = sums


@kernel
def lag_sums(
    first: int, last: int, recordings: Recordings, blocks: Array, w: Array, d: Array, out: Array
) -> None:
    """out[block, c, 5 c' + l] = sum_t r[c, t] r[c', t + l], out[block, c, 20] = sum_t r[c, t]."""
    x = aligned(1, BLOCK + SPAN - 1, w)[0]
    r = aligned(C1, BLOCK + K2 - 1, w)
    for block in range(first, last):
        i, start = blocks[block]
        count = min(BLOCK, recordings.kept[i] - start)
        sums = out[block]
        load(x, recordings, i, start - H1, count + SPAN - 1)
        relu_conv1(r, x, w, d, count + K2 - 1, 1)
        clear_outside(r, -start, recordings.kept[i] - start, count + K2 - 1)
        for c in range(C1):
            add_correlation(sums[:, c * K2 : (c + 1) * K2], r, r[c], count, 1)
        add_sums(sums[:, C1 * K2], r, count)


@kernel
def lag_sums_gradient(
    first: int,
    last: int,
    recordings: Recordings,
    blocks: Array,
    w: Array,
    d: Array,
    taps: Array,
    bias: Array,
    out: Array,
) -> None:
    """The derivative of the loss by r, pulled back to w and d.

    The derivative by r[c, t] is bias[c] plus the sum over c' and l = -4..5 of
    taps[c, c', l + 4] r[c', t + l]; the last tap is zero and fills the tile. What becomes of it
    goes to out[block, :, :25] and out[block, :, 25].
    """
    reach = K2 - 1
    halo = 2 * K2 - 1
    x = aligned(1, BLOCK + halo + K1 - 1, w)[0]
    r = aligned(C1, BLOCK + halo, w)
    g = aligned(C1, BLOCK, w)
    zero = w.dtype.type(0)
    for block in range(first, last):
        i, start = blocks[block]
        count = min(BLOCK, recordings.kept[i] - start)
        load(x, recordings, i, start - reach - H1, count + halo + K1 - 1)
        relu_conv1(r, x, w, d, count + halo, 1)
        clear_outside(r, reach - start, recordings.kept[i] - start + reach, count + halo)
        for c in range(C1):
            g[c, :count] = bias[c]
        for c in range(C1):
            add_convolution(g, r[c], taps[:, c], count, 1)
        for c in range(C1):
            row, active = g[c], r[c, reach:]
            for t in range(count):
                row[t] = row[t] if active[t] > 0 else zero
        add_correlation(out[block, :, :K1], g, x[reach:], count, 1)
        add_sums(out[block, :, K1], g, count)


@kernel
def max_pool(
    first: int,
    last: int,
    recordings: Recordings,
    groups: Array,
    begins: Array,
    ends: Array,
    w: Array,
    d: Array,
    w2: Array,
    e: Array,
    f: Array,
    largest: Array,
    winners: Array,
) -> None:
    """Each bin's largest relu(f[o] + e[o] x + (w2 * r)[o]), and where it is first reached.

    Args:
        first: the first group.
        last: one beyond the last group.
        recordings: the batch.
        groups: [n, 3], see `group_bins`.
        begins: [B, bins], the first position of each bin.
        ends: [B, bins], one beyond its last position.
        w: [4, 25], conv1 with its BN folded in.
        d: [4], its bias.
        w2: [8, 4, 5], conv2 with its BN folded in.
        e: [8], the shortcut with its BN folded in.
        f: [8], the biases of both.
        largest: [B, bins, 8], out.
        winners: [B, bins, 8], out, integers as wide as the floats.
    """
    room = BLOCK
    for group in range(first, last):
        i, bin0, bin1 = groups[group]
        room = max(room, ends[i, bin1 - 1] - begins[i, bin0])
    x = aligned(1, room + SPAN - 1, w)[0]
    r = aligned(C1, room + K2 - 1, w)
    q = aligned(ROWS, room, w)
    # Numbers >= 0 are in the order of their bit patterns, and the compiler knows SIMD instructions
    # for the maximum of integers.
    bits = q.view(winners.dtype)
    integer = winners.dtype.type
    for group in range(first, last):
        i, bin0, bin1 = groups[group]
        start = begins[i, bin0]
        count = ends[i, bin1 - 1] - start
        load(x, recordings, i, start - H2 - H1, count + SPAN - 1)
        relu_conv1(r, x, w, d, count + K2 - 1, 1)
        clear_outside(r, H2 - start, recordings.kept[i] - start + H2, count + K2 - 1)
        centre = x[H2 + H1 :]
        for half in range(0, C2, ROWS):
            for c in range(ROWS):
                row, slope, offset = q[c], e[half + c], f[half + c]
                for t in range(count):
                    row[t] = offset + slope * centre[t]
            for c in range(C1):
                add_convolution(q, r[c], w2[half : half + ROWS, c], count, 1)
            relu(q, count)
            for c in range(ROWS):
                row, pattern, o = q[c], bits[c], half + c
                for b in range(bin0, bin1):
                    begin, end = begins[i, b] - start, ends[i, b] - start
                    values = pattern[begin:end]
                    best = values[0]
                    for t in range(len(values)):
                        best = max(best, values[t])
                    at = integer(len(values))
                    for t in range(len(values)):
                        at = min(at, integer(t) if values[t] == best else integer(len(values)))
                    largest[i, b, o] = row[begin + at]
                    winners[i, b, o] = begins[i, b] + at


@kernel
def max_pool_gradient(
    first: int,
    last: int,
    recordings: Recordings,
    winners: Array,
    gradient: Array,
    w: Array,
    d: Array,
    w2: Array,
    out_conv1: Array,
    out_conv2: Array,
    out_shortcut: Array,
) -> None:
    """The gradient at the winners, 128 bins an item, pulled back to (w, d), w2 and (e, f).

    Args:
        first: the first item.
        last: one beyond the last item.
        recordings: the batch.
        winners: [B, bins, 8], positions.
        gradient: [B, bins, 8], zero where the ReLU is not active.
        w: [4, 25], conv1 with its BN folded in.
        d: [4], its bias.
        w2: [8, 4, 5], conv2 with its BN folded in.
        out_conv1: [items, 4, 26], for w and, last, d.
        out_conv2: [items, 8, 4, 5], for w2.
        out_shortcut: [items, 8, 2], for e and f.
    """
    bins = winners.shape[1]
    total = winners.shape[0] * bins
    zero = w.dtype.type(0)
    x = np.empty((SPAN, LANES), w.dtype)  # the samples that each winner sees
    g = np.empty(LANES, w.dtype)
    inside = np.empty((K2, LANES), w.dtype)  # 1 where conv2's tap lies inside the padded utterance
    r = np.empty((C1, K2 * LANES), w.dtype)
    dr = np.empty((C1, K2 * LANES), w.dtype)
    flat, mask = x.reshape(-1), inside.reshape(-1)
    for item in range(first, last):
        for o in range(C2):
            for lane in range(LANES):
                place = item * LANES + lane
                i, b = place // bins, place % bins
                if place >= total or gradient[i, b, o] == 0:
                    x[:, lane] = 0
                    inside[:, lane] = 0
                    g[lane] = 0
                    continue
                time = winners[i, b, o]
                load(x[:, lane], recordings, i, time - H2 - H1, SPAN)
                g[lane] = gradient[i, b, o]
                for k in range(K2):
                    inside[k, lane] = 0 <= time - H2 + k < recordings.kept[i]
            relu_conv1(r, flat, w, d, K2 * LANES, LANES)
            for c in range(C1):
                row, back = r[c], dr[c]
                for t in range(K2 * LANES):
                    row[t] *= mask[t]
                for k in range(K2):
                    now, then = row[k * LANES : (k + 1) * LANES], back[k * LANES : (k + 1) * LANES]
                    weight, total_k = w2[o, c, k], zero
                    for lane in range(LANES):
                        total_k += g[lane] * now[lane]
                        then[lane] = g[lane] * weight if now[lane] > 0 else zero
                    out_conv2[item, o, c, k] = total_k
            add_correlation(out_conv1[item, :, :K1], dr, flat, K2 * LANES, LANES)
            add_sums(out_conv1[item, :, K1], dr, K2 * LANES)
            centre, by_e, by_f = x[H1 + H2], zero, zero
            for lane in range(LANES):
                by_e += g[lane] * centre[lane]
                by_f += g[lane]
            out_shortcut[item, o, 0] = by_e
            out_shortcut[item, o, 1] = by_f


@kernel
def group_bins(begins: Array, ends: Array) -> Array:
    """Neighbouring bins of an utterance that span at most a block: [n, 3], utterance, from, to."""
    groups = []
    for i in range(begins.shape[0]):
        first = 0
        while first < begins.shape[1]:
            last = first + 1
            while last < begins.shape[1] and ends[i, last] - begins[i, first] <= BLOCK:
                last += 1
            groups.append((i, first, last))
            first = last
    return np.array(groups)


# --------------------------------------------------------------------------------------------------
# Data


class FusedAudio:
    """The waveforms of a corpus, for `FusedFrontEnd`.

    Args:
        waveforms: the store; its samples are read where they lie (a memory map), never copied.
    """

    def __init__(self, waveforms: "Waveforms") -> None:
        samples = np.asarray(waveforms.samples).view(np.ndarray)
        samples.flags.writeable = False  # one type of array, so kernels are compiled once
        lengths = np.ascontiguousarray(waveforms.lengths, np.int64)
        offsets = np.ascontiguousarray(waveforms.offsets, np.int64)
        self.recordings = Recordings(samples, offsets, lengths, lengths)
        self._lag_sums = np.full((len(lengths), K1 + 1), np.nan)  # NaN: not yet known

    def of(self, waveforms: "Waveforms") -> "FusedAudio":
        """The same for another store."""
        return FusedAudio(waveforms)

    def lag_sums(self, rows: Array) -> Tensor:
        """[26], float64: lag sums 0..24 and the sum of the utterances `rows`, added up."""
        unknown = np.unique(rows[np.isnan(self._lag_sums[rows, K1])])
        if len(unknown):
            share_out(waveform_lag_sums, len(unknown), self.recordings, unknown, self._lag_sums)
        units = np.append(np.full(K1, FULL_SCALE**2), FULL_SCALE)
        return torch.from_numpy(self._lag_sums[rows].sum(0) * units)

    def batch(self, rows: Sequence[int] | Array, masked: bool = False) -> "FusedBatch":
        """The utterances `rows`, zero-padded to the longest of them (Section 3.1) unless masked."""
        return FusedBatch(self, np.asarray(rows, np.int64), masked)


class FusedBatch:
    """Utterances of a `FusedAudio`, zero-padded to the longest of them; masked, not padded.

    Attributes:
        recordings: the utterances.
        padded: [B], samples to which each utterance is padded: T, or masked its own length.
        dropped: padded positions that are not kept (idea 3), of all utterances together.
        lag_sums: [26], see `FusedAudio.lag_sums`.
        edges: [2, B, 14], the first and the last samples of each padded utterance.
    """

    def __init__(self, audio: FusedAudio, rows: Array, masked: bool = False) -> None:
        store = audio.recordings
        lengths = store.lengths[rows]
        self.padded = lengths if masked else np.full_like(lengths, lengths.max())
        kept = np.minimum(self.padded, lengths + TAIL)
        self.recordings = Recordings(store.samples, store.offsets[rows], lengths, kept)
        self.dropped = int((self.padded - kept).sum())
        self.lag_sums = audio.lag_sums(rows)
        self.edges = self._edges(H1 + H2)

    def __len__(self) -> int:
        return len(self.recordings.lengths)

    @cached_property
    def blocks(self) -> Array:
        """[n, 2], utterance and first position of blocks that cover all that is kept."""
        kept = enumerate(self.recordings.kept)
        return np.array([(i, start) for i, end in kept for start in range(0, end, BLOCK)])

    def _edges(self, count: int) -> Tensor:
        samples, offsets, lengths, kept = self.recordings
        time = np.arange(count) + np.stack([np.zeros_like(kept), kept - count])[..., None]
        inside = (time >= 0) & (time < lengths[:, None])  # [2, B, count]
        found = samples[np.where(inside, offsets[:, None] + time, 0)]
        return torch.from_numpy(np.where(inside, found * FULL_SCALE, 0))

    def bins(self, count: int) -> tuple[Array, Array]:
        """The pooling bins of `adaptive_max_pool1d`, as far as they are kept.

        Returns:
            The first position of each bin, [B, count], and one beyond its last position.
        """
        index, padded = np.arange(count), self.padded[:, None]
        begins = index * padded // count
        ends = -(-(index + 1) * padded // count)
        lengths, kept = self.recordings.lengths[:, None], self.recordings.kept[:, None]

        def kept_position(position: Array) -> Array:
            beyond: Array = np.clip(position - lengths - TAIL // 2, 0, padded - kept)
            return position - beyond

        return kept_position(begins), kept_position(ends - 1) + 1


# --------------------------------------------------------------------------------------------------
# Autograd


def _arrays(dtype: npt.DTypeLike, *tensors: Tensor) -> list[Array]:
    return [np.ascontiguousarray(tensor.detach().numpy(), dtype) for tensor in tensors]


def lag_taps(gradient: Tensor) -> Tensor:
    """The derivative by r as a filter on r, from that by its lag sums.

    Args:
        gradient: [4, 21], by the lag sums and sums of r.

    Returns:
        [4, 4, 9]: what r[c', t + l], l = -4..4, adds to the derivative by r[c, t].
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
        ctx: Any,
        w: Tensor,
        d: Tensor,
        w2: Tensor,
        e: Tensor,
        f: Tensor,
        batch: FusedBatch,
        bins: int,
        dtype: npt.DTypeLike,
    ) -> Tensor:
        """One pass over the audio."""
        small = _arrays(dtype, w, d, w2, e, f)
        begins, ends = batch.bins(bins)
        groups = group_bins(begins, ends)
        shape = len(batch), bins, C2
        largest = np.empty(shape, dtype)
        winners = np.empty(shape, f"i{largest.itemsize}")
        share_out(
            max_pool,
            len(groups),
            batch.recordings,
            groups,
            begins,
            ends,
            *small,
            largest,
            winners,
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
            max_pool_gradient,
            items,
            ctx.batch.recordings,
            ctx.winners,
            at_winners,
            *ctx.folded,
            conv1,
            conv2,
            shortcut,
        )
        by_w, by_w2, by_e = (torch.from_numpy(part.sum(0)) for part in (conv1, conv2, shortcut))
        return by_w[:, :K1], by_w[:, K1], by_w2, by_e[:, 0], by_e[:, 1], None, None, None


def window_moments(
    lag_sums: Tensor, sums: Tensor, left: Tensor, right: Tensor
) -> tuple[Tensor, Tensor]:
    """Moments of the K samples that a convolution sees, over all positions of a batch.

    Args:
        lag_sums: [C, C, K], sum_t x[c, t] x[c', t + l] over the padded utterances, which are zero
            outside.
        sums: [C], sum_t x[c, t].
        left: [B, C, K // 2], the first values of each utterance.
        right: [B, C, K // 2], the last.

    Returns:
        The sum of the outer products of the windows [C K] with themselves, [C K, C K], and the sum
        of the windows, [C K].
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


# --------------------------------------------------------------------------------------------------
# Module


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

    A subclass may do the passes over the audio elsewhere.

    Raises:
        InputError: a configuration that it is not compiled for.
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
        """Pooled features.

        Args:
            batch: B utterances.

        Returns:
            [B, bins, 8].
        """
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

    Args:
        conv: the convolution.
        norm: its BN; in training mode its running statistics move on.
        moments: in training mode, what `window_moments` says of the convolution's input.
        positions: over how many positions (batch times padded time).

    Returns:
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
