"""All states of a GRU on the CPU, 16 utterances side by side.

PyTorch runs 200 steps of some ten small operations each, and as many backward: their overhead is
many times their arithmetic. Here one kernel walks through all steps. What makes it fast is the
layout: the last axis of every array is 16 utterances, the lanes of a SIMD instruction.

With `u = [x; h]`, the input and the state stacked, and weights stacked to match, a step is

    (r, z, a, b) = W u + bias,   r, z = sigmoid(r), sigmoid(z),   n = tanh(a + r b)
    h <- n + z (h - n)

which is `torch.nn.GRU`'s, up to rounding.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from replicate.kernels.compiled import kernel, share_out

Array = npt.NDArray[Any]

LANES = 16  # utterances side by side: the floats of a SIMD register
UNROLLED = 8  # terms of a product that are added up in registers

# tanh(x) = x P(x^2) / Q(x^2) for |x| <= 9, lowest power first: a least-squares fit to the relative
# error (2e-8, iterated towards the least maximum); at 9 tanh is 1 to the rounding of float32.
P = (
    0.999999979,
    0.133810242,
    0.00349558645,
    2.06090559e-05,
    1.33546272e-08,
)
Q = (
    1.0,
    0.467143398,
    0.0258769758,
    0.000328563212,
    7.77654376e-07,
)


@kernel
def tanh(x: Array) -> None:
    """Tanh of x [n, LANES], in place; within a few units of the last place of float32."""
    if x.itemsize == 8:
        for i in range(x.shape[0]):
            for lane in range(LANES):
                x[i, lane] = math.tanh(x[i, lane])
        return
    real = x.dtype.type
    for i in range(x.shape[0]):
        for lane in range(LANES):
            v = x[i, lane]
            v = real(-9) if v < real(-9) else v
            v = real(9) if v > real(9) else v
            u = v * v
            p = real(P[0]) + u * (real(P[1]) + u * (real(P[2]) + u * (real(P[3]) + u * real(P[4]))))
            q = real(Q[0]) + u * (real(Q[1]) + u * (real(Q[2]) + u * (real(Q[3]) + u * real(Q[4]))))
            x[i, lane] = v * p / q


@kernel
def product(y: Array, w: Array, u: Array) -> None:
    """y[j, lane] += sum_k w[j, k] u[k, lane]; the number of terms is a multiple of UNROLLED."""
    flat = u.reshape(-1)
    for j in range(w.shape[0]):
        row = y[j]
        for first in range(0, w.shape[1], UNROLLED):
            weights, inputs = w[j, first : first + UNROLLED], flat[first * LANES :]
            for lane in range(LANES):
                total = row[lane]
                for k in range(UNROLLED):
                    total += weights[k] * inputs[k * LANES + lane]
                row[lane] = total


@kernel
def gru_forward(first: int, last: int, inputs: Array, w: Array, bias: Array, gates: Array) -> None:
    """All steps of the groups of LANES utterances `first` to `last` (exclusive).

    Inputs are [groups, T + 1, I + H, LANES], x and h before each step; x and the first h are given,
    the other h are results. w is [4 H, I + H], bias [4 H]. Out: gates [groups, T, 4 H, LANES], that
    is r, z, n and b of each step.
    """
    hidden = w.shape[0] // 4
    half = w.dtype.type(0.5)
    for group in range(first, last):
        for t in range(gates.shape[1]):
            gate = gates[group, t]
            before = inputs[group, t, -hidden:]
            after = inputs[group, t + 1, -hidden:]
            for j in range(4 * hidden):
                gate[j] = bias[j]
            product(gate, w, inputs[group, t])
            sigmoids, n, b = gate[: 2 * hidden], gate[2 * hidden : 3 * hidden], gate[3 * hidden :]
            for j in range(2 * hidden):  # sigmoid(x) = (1 + tanh(x / 2)) / 2
                for lane in range(LANES):
                    sigmoids[j, lane] *= half
            tanh(sigmoids)
            for j in range(2 * hidden):
                for lane in range(LANES):
                    sigmoids[j, lane] = half + half * sigmoids[j, lane]
            r, z = sigmoids[:hidden], sigmoids[hidden:]
            for j in range(hidden):
                for lane in range(LANES):
                    n[j, lane] += r[j, lane] * b[j, lane]
            tanh(n)
            for j in range(hidden):
                for lane in range(LANES):
                    after[j, lane] = n[j, lane] + z[j, lane] * (before[j, lane] - n[j, lane])


@kernel
def gru_backward(
    first: int, last: int, inputs: Array, transposed: Array, gates: Array,
    by_states: Array, by_gates: Array, by_x: Array,
) -> None:  # fmt: skip
    """The derivatives of the loss, all steps backwards; see `gru_forward`, whose arrays these are.

    `transposed` is w [I + H, 4 H]; by_states [groups, T, H, LANES] by the state after each step.
    Out: by_gates [groups, T, 4 H, LANES] by W u + bias, and by_x [groups, T, I, LANES].
    """
    hidden, size = transposed.shape[1] // 4, transposed.shape[0]
    one = transposed.dtype.type(1)
    by_input = np.empty((size, LANES), transposed.dtype)
    by_h = np.empty((hidden, LANES), transposed.dtype)
    for group in range(first, last):
        by_h[:] = 0
        for t in range(gates.shape[1] - 1, -1, -1):
            gate, out, before = gates[group, t], by_gates[group, t], inputs[group, t, -hidden:]
            by_h += by_states[group, t]
            for j in range(hidden):
                for lane in range(LANES):
                    r, z = gate[j, lane], gate[hidden + j, lane]
                    n, b = gate[2 * hidden + j, lane], gate[3 * hidden + j, lane]
                    by_n = by_h[j, lane] * (one - z) * (one - n * n)
                    by_z = by_h[j, lane] * (before[j, lane] - n)
                    out[j, lane] = by_n * b * r * (one - r)
                    out[hidden + j, lane] = by_z * z * (one - z)
                    out[2 * hidden + j, lane] = by_n
                    out[3 * hidden + j, lane] = by_n * r
                    by_h[j, lane] *= z
            by_input[:] = 0
            product(by_input, transposed, out)
            by_x[group, t] = by_input[:-hidden]
            by_h += by_input[-hidden:]


class States(torch.autograd.Function):
    """(x [B, T, I], w [4 H, I + H], bias [4 H]) -> the states from zero, [B, T, H]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, bias: Tensor) -> Tensor:
        """All steps in one kernel."""
        (batch, steps, size), hidden = x.shape, len(bias) // 4
        groups = -(-batch // LANES)
        inputs = x.new_zeros(groups, steps + 1, size + hidden, LANES)
        inputs[:, :-1, :size] = _side_by_side(x, groups)
        gates = x.new_empty(groups, steps, 4 * hidden, LANES)
        arrays = (tensor.detach().numpy() for tensor in (inputs, w, bias, gates))
        share_out(gru_forward, groups, *arrays)
        ctx.save_for_backward(inputs, w, gates)
        ctx.batch = batch
        return _one_by_one(inputs[:, 1:, size:], batch)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        """All steps in one kernel."""
        inputs, w, gates = ctx.saved_tensors
        (groups, steps, _, _), size = gates.shape, inputs.shape[2] - gates.shape[2] // 4
        by_states = _side_by_side(gradient, groups).contiguous()  # [groups, T, H, LANES]
        by_gates = torch.empty_like(gates)
        by_x = gradient.new_empty(groups, steps, size, LANES)
        given = (inputs, w.t().contiguous(), gates, by_states, by_gates, by_x)
        share_out(gru_backward, groups, *(tensor.detach().numpy() for tensor in given))
        seen = inputs[:, :-1].flatten(0, 1).transpose(1, 2)  # [groups T, LANES, I + H]
        by_w = (by_gates.flatten(0, 1) @ seen).sum(0)
        return _one_by_one(by_x, ctx.batch), by_w, by_gates.sum((0, 1)).sum(1)


def _side_by_side(x: Tensor, groups: int) -> Tensor:
    """[B, T, I] -> [groups, T, I, LANES], zeros beyond B."""
    padded = x.new_zeros(groups * LANES, *x.shape[1:])
    padded[: len(x)] = x
    return padded.view(groups, LANES, *x.shape[1:]).permute(0, 2, 3, 1)


def _one_by_one(x: Tensor, batch: int) -> Tensor:
    """[groups, T, I, LANES] -> [B, T, I]."""
    return x.permute(0, 3, 1, 2).flatten(0, 1)[:batch]


def states(gru: nn.GRU, x: Tensor) -> Tensor:
    """What `gru(x)[0]` is, faster: [B, T, I] -> [B, T, H].

    `ValueError` unless the GRU has one layer, one direction, biases, batch first, and sizes of
    input and state that are multiples of 8.
    """
    if (
        gru.num_layers != 1
        or gru.bidirectional
        or not gru.batch_first
        or not gru.bias
        or gru.input_size % UNROLLED
        or gru.hidden_size % UNROLLED
    ):
        raise ValueError(
            f"{gru}: not a layer with biases, batch first, sizes that are multiples of {UNROLLED}"
        )
    parameter = gru.get_parameter
    wx_r, wx_z, wx_n = parameter("weight_ih_l0").chunk(3)  # 3 of [H, I]
    wh_r, wh_z, wh_n = parameter("weight_hh_l0").chunk(3)  # 3 of [H, H]
    bx_r, bx_z, bx_n = parameter("bias_ih_l0").chunk(3)  # 3 of [H]
    bh_r, bh_z, bh_n = parameter("bias_hh_l0").chunk(3)
    by_x = torch.cat([wx_r, wx_z, wx_n, torch.zeros_like(wx_n)])  # [4 H, I]
    by_h = torch.cat([wh_r, wh_z, torch.zeros_like(wh_n), wh_n])  # [4 H, H]
    w, bias = torch.cat([by_x, by_h], 1), torch.cat([bx_r + bh_r, bx_z + bh_z, bx_n, bh_n])
    found: Tensor = States.apply(x, w, bias)  # type: ignore[no-untyped-call]
    return found
