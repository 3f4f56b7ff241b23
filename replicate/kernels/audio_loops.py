"""The compiled loops of the audio front end."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from replicate.kernels.compiled import kernel

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
    """Utterances as kernels take them."""

    samples: Array  # int16, all utterances of the store end to end
    offsets: Array  # [B], where each utterance begins in `samples`
    lengths: Array  # [B], samples
    kept: Array  # [B], samples and the padded positions that are kept (idea 3)


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
# Kernels over the audio of a batch. Work items `first` to `last` (exclusive) each write their own
# part of the output, in float64. w [4, 25] and d [4] are conv1 with its BN folded in, w2 [8, 4, 5]
# conv2 likewise, e [8] the shortcut, f [8] the biases of both.


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
    first: int, last: int, recordings: Recordings, blocks: Array,
    w: Array, d: Array, taps: Array, bias: Array, out: Array,
) -> None:  # fmt: skip
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
    first: int, last: int, recordings: Recordings, groups: Array, begins: Array, ends: Array,
    w: Array, d: Array, w2: Array, e: Array, f: Array, largest: Array, winners: Array,
) -> None:  # fmt: skip
    """Each bin's largest relu(f[o] + e[o] x + (w2 * r)[o]), and where it is first reached.

    An item is one of the groups [n, 3] of `group_bins`. Of each bin, begins and ends [B, bins] are
    the first position and one beyond the last. Out: largest [B, bins, 8], and winners, their
    positions, integers as wide as the floats.
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
    first: int, last: int, recordings: Recordings, winners: Array, gradient: Array,
    w: Array, d: Array, w2: Array, out_conv1: Array, out_conv2: Array, out_shortcut: Array,
) -> None:  # fmt: skip
    """The gradient at the winners, 128 bins an item, pulled back to (w, d), w2 and (e, f).

    Winners and gradient are [B, bins, 8]; the gradient is zero where the ReLU is not active. Out:
    [items, 4, 26] for w and, last, d; [items, 8, 4, 5] for w2; [items, 8, 2] for e and f.
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
