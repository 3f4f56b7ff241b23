"""The kernels of the audio encoder for a GPU, in Triton: front end and GRU.

The same three ideas as in `replicate.kernels.audio`, but a GPU's memory is fast and its threads are
many, so r = relu(conv1) is stored, [4, N], and the other kernels read it. N counts the positions
that are kept of a batch's utterances, which lie one after the other, each in whole tiles of `TILE`
positions with at least `GAP` zeros behind it: what lies around an utterance is the zero padding of
conv2. No kernel adds in an order that varies: results repeat to the bit.

A program is one tile, one pooling bin, `LANES` winners of a channel, or one utterance; its tensors
are [channels, positions]. `samples` are those of the store, 16-bit; `utterances` is [B, 4]: offset
in the samples, length, kept positions, place of its first position in r; `tiles` is [n, 2]:
utterance, first position. The affine maps are w [4, 25] and d [4]; w2 [8, 4, 5], e [8] of the
shortcut, and f [8]. Of the bins: `begins`, `ends` [B, bins]; `largest`, `winners` [B, bins, 8].
"""

import triton
import triton.language as tl

from replicate.kernels import audio_loops

# Channels, taps and half widths, as constants that kernels may see.
C1, K1, H1 = map(tl.constexpr, (audio_loops.C1, audio_loops.K1, audio_loops.H1))
C2, K2, H2 = map(tl.constexpr, (audio_loops.C2, audio_loops.K2, audio_loops.H2))
FULL_SCALE = tl.constexpr(audio_loops.FULL_SCALE)

#: Positions of a tile, and the least number of zeros behind an utterance.
TILE, GAP = 1024, 8
#: Positions of a pooling bin done at a time; winners done at a time.
CHUNK, LANES = 512, 128


@triton.jit
def waveform(samples, offset, length, at, real: tl.constexpr):
    """The samples at the times `at`, in [-1, 1); zero outside of the recording."""
    inside = (at >= 0) & (at < length)
    found = tl.load(samples + offset + at, mask=inside, other=0)
    return found.to(real) * FULL_SCALE


@triton.jit
def rectified(samples, utterances, tiles, w, d, r, n, real: tl.constexpr, TILE: tl.constexpr):
    """r[c, t] = relu(d[c] + sum_k w[c, k] x[t + k - 12]), one tile; zero behind the kept."""
    tile = tl.program_id(0)
    utterance = utterances + 4 * tl.load(tiles + 2 * tile)
    t = tl.load(tiles + 2 * tile + 1) + tl.arange(0, TILE)
    offset, length = tl.load(utterance), tl.load(utterance + 1)
    c = tl.arange(0, C1)
    y = tl.zeros([C1, TILE], real) + tl.load(d + c)[:, None]
    for k in tl.static_range(K1):
        x = waveform(samples, offset, length, t + (k - H1), real)
        y += tl.load(w + c * K1 + k)[:, None] * x[None, :]
    y = tl.where((y < 0) | (t >= tl.load(utterance + 2))[None, :], 0.0, y)
    tl.store(r + c[:, None] * n + (tl.load(utterance + 3) + t)[None, :], y)


@triton.jit
def lag_sums(utterances, tiles, r, out, n, TILE: tl.constexpr):
    """out[tile, c, 5 c' + l] = sum_t r[c, t] r[c', t + l], out[tile, c, 20] = sum_t r[c, t]."""
    tile, c = tl.program_id(0), tl.program_id(1)
    base = tl.load(utterances + 4 * tl.load(tiles + 2 * tile) + 3)
    t = base + tl.load(tiles + 2 * tile + 1) + tl.arange(0, TILE)
    other = tl.arange(0, C1)
    one = tl.load(r + c * n + t)
    to = out + (tile * C1 + c) * (C1 * K2 + 1)
    for lag in tl.static_range(K2):
        later = tl.load(r + other[:, None] * n + (t + lag)[None, :])
        tl.store(to + other * K2 + lag, tl.sum(one[None, :] * later, 1))
    tl.store(to + C1 * K2, tl.sum(one, 0))


@triton.jit
def lag_sums_gradient(
    samples, utterances, tiles, r, taps, bias, out, n, real: tl.constexpr, TILE: tl.constexpr
):
    """The derivative by r, see `audio_loops.lag_sums_gradient`; taps is [4, 4, 9].

    Pulled back to w and d: out[tile, :, :25] and out[tile, :, 25].
    """
    tile = tl.program_id(0)
    utterance = utterances + 4 * tl.load(tiles + 2 * tile)
    t = tl.load(tiles + 2 * tile + 1) + tl.arange(0, TILE)
    offset, length, base = tl.load(utterance), tl.load(utterance + 1), tl.load(utterance + 3)
    c = tl.arange(0, C1)
    g = tl.zeros([C1, TILE], real) + tl.load(bias + c)[:, None]
    for other in tl.static_range(C1):
        for m in tl.static_range(2 * K2 - 1):
            near = tl.load(r + other * n + base + t + (m - (K2 - 1)))
            g += tl.load(taps + (c * C1 + other) * (2 * K2 - 1) + m)[:, None] * near[None, :]
    active = tl.load(r + c[:, None] * n + (base + t)[None, :]) > 0
    g = tl.where(active, g, 0.0)
    to = out + (tile * C1 + c) * (K1 + 1)
    for k in tl.static_range(K1):
        x = waveform(samples, offset, length, t + (k - H1), real)
        tl.store(to + k, tl.sum(g * x[None, :], 1))
    tl.store(to + K1, tl.sum(g, 1))


@triton.jit
def max_pool(
    samples, utterances, begins, ends, r, w2, e, f, largest, winners, n, bins,
    real: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """A bin's largest relu(f[o] + e[o] x + (w2 * r)[o]), and where it is first reached."""
    place = tl.program_id(0)
    utterance = utterances + 4 * (place // bins)
    offset, length, base = tl.load(utterance), tl.load(utterance + 1), tl.load(utterance + 3)
    begin, end = tl.load(begins + place), tl.load(ends + place)
    o = tl.arange(0, C2)
    best = tl.full([C2], -1.0, real)
    poison = tl.zeros([C2], real)  # NaN where there is one: no comparison finds it
    at = tl.zeros([C2], tl.int64)
    while begin < end:
        t = begin + tl.arange(0, CHUNK)
        inside = t < end
        x = waveform(samples, offset, length, t, real)
        q = tl.load(f + o)[:, None] + tl.load(e + o)[:, None] * x[None, :]
        for c in tl.static_range(C1):
            for k in tl.static_range(K2):
                near = tl.load(r + c * n + base + t + (k - H2), mask=inside, other=0.0)
                q += tl.load(w2 + (o * C1 + c) * K2 + k)[:, None] * near[None, :]
        q = tl.where(q < 0, 0.0, q)
        poison += tl.sum(q * 0.0, 1)
        q = tl.where(inside[None, :], q, -1.0)
        high, index = tl.max(q, 1, return_indices=True, return_indices_tie_break_left=True)
        at = tl.where(high > best, begin + index, at)
        best = tl.where(high > best, high, best)
        begin += CHUNK
    tl.store(largest + place * C2 + o, best + poison)
    tl.store(winners + place * C2 + o, at)


@triton.jit
def max_pool_gradient(
    samples, utterances, winners, gradient, r, w2, by_conv1, by_conv2, by_shortcut, n, bins, total,
    real: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    """The gradient at the winners of one of the 8 channels, `LANES` bins a program.

    Pulled back to w and d (by_conv1 [items, 8, 4, 26]), w2 (by_conv2 [items, 8, 4, 5]), e and f
    (by_shortcut [items, 8, 2]).
    """
    item, o = tl.program_id(0), tl.program_id(1)
    place = item * LANES + tl.arange(0, LANES)
    there = place < total
    g = tl.load(gradient + place * C2 + o, mask=there, other=0.0)
    at = tl.load(winners + place * C2 + o, mask=there, other=0)
    utterance = utterances + 4 * (place // bins)
    offset = tl.load(utterance, mask=there, other=0)
    length = tl.load(utterance + 1, mask=there, other=0)
    base = tl.load(utterance + 3, mask=there, other=H2)
    c = tl.arange(0, C1)
    # tap by tap, since Triton has no lists of tensors
    near = r + c[:, None] * n + (base + at - H2)[None, :]
    weights = w2 + (o * C1 + c) * K2
    to = item * C2 + o
    to_conv2 = by_conv2 + (to * C1 + c) * K2
    r0, r1, r2 = tl.load(near), tl.load(near + 1), tl.load(near + 2)
    r3, r4 = tl.load(near + 3), tl.load(near + 4)
    tl.store(to_conv2, tl.sum(g[None, :] * r0, 1))
    tl.store(to_conv2 + 1, tl.sum(g[None, :] * r1, 1))
    tl.store(to_conv2 + 2, tl.sum(g[None, :] * r2, 1))
    tl.store(to_conv2 + 3, tl.sum(g[None, :] * r3, 1))
    tl.store(to_conv2 + 4, tl.sum(g[None, :] * r4, 1))
    g0 = tl.where(r0 > 0, g[None, :] * tl.load(weights)[:, None], 0.0)
    g1 = tl.where(r1 > 0, g[None, :] * tl.load(weights + 1)[:, None], 0.0)
    g2 = tl.where(r2 > 0, g[None, :] * tl.load(weights + 2)[:, None], 0.0)
    g3 = tl.where(r3 > 0, g[None, :] * tl.load(weights + 3)[:, None], 0.0)
    g4 = tl.where(r4 > 0, g[None, :] * tl.load(weights + 4)[:, None], 0.0)
    to_conv1 = by_conv1 + (to * C1 + c) * (K1 + 1)
    for k in tl.static_range(K1):
        seen = at + (k - (H1 + H2))
        x0 = waveform(samples, offset, length, seen, real)[None, :]
        x1 = waveform(samples, offset, length, seen + 1, real)[None, :]
        x2 = waveform(samples, offset, length, seen + 2, real)[None, :]
        x3 = waveform(samples, offset, length, seen + 3, real)[None, :]
        x4 = waveform(samples, offset, length, seen + 4, real)[None, :]
        tl.store(to_conv1 + k, tl.sum(g0 * x0 + g1 * x1 + g2 * x2 + g3 * x3 + g4 * x4, 1))
    tl.store(to_conv1 + K1, tl.sum(g0 + g1 + g2 + g3 + g4, 1))
    centre = waveform(samples, offset, length, at, real)
    tl.store(by_shortcut + to * 2, tl.sum(g * centre, 0))
    tl.store(by_shortcut + to * 2 + 1, tl.sum(g, 0))


@triton.jit
def sigmoid(x):
    """1 / (1 + exp(-x))."""
    return 1.0 / (1.0 + tl.exp(-x))


@triton.jit
def tanh(x):
    """Tanh, off by a rounding of 1 at most; never overflows."""
    decayed = tl.exp(-2.0 * tl.abs(x))
    size = (1.0 - decayed) / (1.0 + decayed)
    return tl.where(x < 0, -size, size)


@triton.jit
def gru_forward(by_x, w, bias, states, gates, steps: tl.constexpr, H: tl.constexpr):
    """All steps of an utterance.

    `by_x` [B, T, 3 H], the input's part of r, z and n with its biases; w [3 H, H] and bias [3 H],
    the state's; out: states [B, T, H], and gates [B, T, 4 H]: r, z, n and the state's part of n.
    """
    i = tl.program_id(0).to(tl.int64)
    j, k = tl.arange(0, H), tl.arange(0, H)
    square = j[:, None] * H + k[None, :]
    w_r, w_z = tl.load(w + square), tl.load(w + H * H + square)
    w_n = tl.load(w + 2 * H * H + square)
    b_r, b_z, b_n = tl.load(bias + j), tl.load(bias + H + j), tl.load(bias + 2 * H + j)
    h = tl.zeros_like(b_r)
    for t in range(steps):
        row = i * steps + t
        x = by_x + row * 3 * H + j
        across = h[None, :]
        r = sigmoid(tl.load(x) + b_r + tl.sum(w_r * across, 1))
        z = sigmoid(tl.load(x + H) + b_z + tl.sum(w_z * across, 1))
        b = b_n + tl.sum(w_n * across, 1)
        new = tanh(tl.load(x + 2 * H) + r * b)
        h = new + z * (h - new)
        tl.store(states + row * H + j, h)
        gate = gates + row * 4 * H + j
        tl.store(gate, r)
        tl.store(gate + H, z)
        tl.store(gate + 2 * H, new)
        tl.store(gate + 3 * H, b)


@triton.jit
def gru_backward(w, states, gates, by_states, by_gates, steps: tl.constexpr, H: tl.constexpr):
    """All steps of an utterance backwards.

    out: by_gates [B, T, 4 H], by the arguments of r and z, of n, and by the state's part of n.
    """
    i = tl.program_id(0).to(tl.int64)
    j, k = tl.arange(0, H), tl.arange(0, H)
    square = j[:, None] * H + k[None, :]
    w_r, w_z = tl.load(w + square), tl.load(w + H * H + square)
    w_n = tl.load(w + 2 * H * H + square)
    by_h = tl.zeros_like(tl.load(states + k))  # of their type
    for back in range(steps):
        t = steps - 1 - back
        row = i * steps + t
        gate = gates + row * 4 * H + k
        r, z = tl.load(gate), tl.load(gate + H)
        new, b = tl.load(gate + 2 * H), tl.load(gate + 3 * H)
        before = tl.where(t > 0, tl.load(states + (row - (t > 0)) * H + k), 0.0)
        by_h += tl.load(by_states + row * H + k)
        by_new = by_h * (1.0 - z) * (1.0 - new * new)
        by_r = by_new * b * r * (1.0 - r)
        by_z = by_h * (before - new) * z * (1.0 - z)
        by_b = by_new * r
        out = by_gates + row * 4 * H + k
        tl.store(out, by_r)
        tl.store(out + H, by_z)
        tl.store(out + 2 * H, by_new)
        tl.store(out + 3 * H, by_b)
        down = w_r * by_r[:, None] + w_z * by_z[:, None] + w_n * by_b[:, None]
        by_h = by_h * z + tl.sum(down, 0)
