"""Reference of `polyad.ops.ntm` in torch, vectorised over batch and heads; autograd differentiates.

The equations are those of Graves, Wayne and Danihelka (2014), section 3, in the forms that stay
finite: row norms under a root with epsilon, softmax with its maximum subtracted, and sharpening as
a softmax of logarithms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from polyad.ops.ntm import NTMParameters, NTMState

SMALLEST = 1e-30
"""Weights are taken as at least this before their logarithm."""


def cosine(memory: Tensor, key: Tensor, *, epsilon: float, similarity: str) -> Tensor:
    """[B, H, N]: cosine similarity of every key and every row."""
    dots: Tensor = key @ memory.transpose(1, 2)
    if similarity == "root":
        rows = torch.rsqrt(memory.square().sum(-1) + epsilon)
        keys = torch.rsqrt(key.square().sum(-1) + epsilon)
        return dots * rows[:, None, :] * keys[:, :, None]
    rows = torch.linalg.vector_norm(memory, dim=-1)
    keys = torch.linalg.vector_norm(key, dim=-1)
    sizes: Tensor = rows[:, None, :] * keys[:, :, None]
    return dots / (sizes + epsilon)


def content(
    memory: Tensor, key: Tensor, beta: Tensor, *, epsilon: float = 1e-6, similarity: str = "root"
) -> Tensor:
    """[B, H, N]: softmax over rows of beta times the cosine similarity."""
    similar = cosine(memory, key, epsilon=epsilon, similarity=similarity)
    return torch.softmax(beta[..., None] * similar, dim=-1)


def interpolate(content: Tensor, previous: Tensor, gate: Tensor) -> Tensor:
    """[B, H, N]: gate content + (1 - gate) previous."""
    return gate[..., None] * content + (1 - gate[..., None]) * previous


def shift(weights: Tensor, kernel: Tensor) -> Tensor:
    """[B, H, N]: circular convolution; kernel[..., j] moves weights j - S // 2 rows up."""
    width = kernel.shape[-1]
    moved = torch.stack([weights.roll(j - width // 2, dims=-1) for j in range(width)], dim=-1)
    return (moved * kernel[..., None, :]).sum(-1)


def sharpen(weights: Tensor, gamma: Tensor) -> Tensor:
    """[B, H, N]: weights ** gamma, normalised."""
    # Bounded from below with the gradient of the bound's place, which is the right limit at zero.
    bounded = weights + (weights.clamp(min=SMALLEST) - weights).detach()
    return torch.softmax(gamma[..., None] * bounded.log(), dim=-1)


def addressing(
    memory: Tensor,
    previous: Tensor,
    key: Tensor,
    beta: Tensor,
    gate: Tensor,
    kernel: Tensor,
    gamma: Tensor,
    *,
    epsilon: float = 1e-6,
    similarity: str = "root",
) -> Tensor:
    """[B, H, N]: content, interpolate, shift and sharpen, one after the other."""
    found = content(memory, key, beta, epsilon=epsilon, similarity=similarity)
    return sharpen(shift(interpolate(found, previous, gate), kernel), gamma)


def read(memory: Tensor, weights: Tensor) -> Tensor:
    """[B, H, M]: the weighted sum of rows."""
    return weights @ memory


def write(memory: Tensor, weights: Tensor, erase: Tensor, add: Tensor) -> Tensor:
    """[B, N, M]: all erases, then all adds."""
    kept = (1 - weights[..., None] * erase[:, :, None, :]).prod(dim=1)
    return memory * kept + torch.einsum("bhn,bhm->bnm", weights, add)


def _lstm_cell(
    x: Tensor, h: Tensor, c: Tensor, parameters: NTMParameters, layer: int
) -> tuple[Tensor, Tensor]:
    gates = functional.linear(x, parameters.weight_ih[layer], parameters.bias_ih[layer])
    gates = gates + functional.linear(h, parameters.weight_hh[layer], parameters.bias_hh[layer])
    i, f, g, o = gates.chunk(4, dim=-1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def step(
    x: Tensor,
    state: NTMState,
    parameters: NTMParameters,
    *,
    read_first: bool = False,
    head_activation: str = "linear",
    similarity: str = "root",
    epsilon: float = 1e-6,
) -> tuple[Tensor, NTMState]:
    """One time step: x [B, I] to outputs [B, O] and the next state."""
    memory, reads, previous, h, c = state
    batch, R, M = reads.shape
    K = previous.shape[1]
    W = K - R
    value = torch.tanh if head_activation == "tanh" else lambda z: z

    layer_input = torch.cat([x, reads.flatten(1)], dim=-1)
    hs, cs = [], []
    for layer in range(len(parameters.weight_ih)):
        if parameters.weight_hh:
            layer_input, cell = _lstm_cell(layer_input, h[layer], c[layer], parameters, layer)
            hs.append(layer_input)
            cs.append(cell)
        else:
            layer_input = torch.tanh(
                functional.linear(
                    layer_input, parameters.weight_ih[layer], parameters.bias_ih[layer]
                )
            )

    heads = functional.linear(layer_input, parameters.head_weight, parameters.head_bias)
    S = (heads.shape[-1] - 2 * W * M) // K - M - 3
    basic = M + 3 + S
    of_reads, of_writes = torch.split(heads, [R * basic, W * (basic + 2 * M)], dim=-1)
    of_writes = of_writes.reshape(batch, W, basic + 2 * M)
    each = torch.cat([of_reads.reshape(batch, R, basic), of_writes[..., :basic]], dim=1)
    key, beta, gate, kernel, gamma = torch.split(each, [M, 1, 1, S, 1], dim=-1)
    erase, add = of_writes[..., basic:].chunk(2, dim=-1)

    weights = addressing(
        memory,
        previous,
        value(key),
        functional.softplus(beta[..., 0]),
        torch.sigmoid(gate[..., 0]),
        torch.softmax(kernel, dim=-1),
        1 + functional.softplus(gamma[..., 0]),
        epsilon=epsilon,
        similarity=similarity,
    )
    written = write(memory, weights[:, R:], torch.sigmoid(erase), value(add))
    reads = read(memory if read_first else written, weights[:, :R])
    outputs = functional.linear(
        torch.cat([layer_input, reads.flatten(1)], dim=-1),
        parameters.output_weight,
        parameters.output_bias,
    )
    if hs:
        h, c = torch.stack(hs), torch.stack(cs)
    return outputs, type(state)(written, reads, weights, h, c)


def scan(
    inputs: Tensor,
    state: NTMState,
    parameters: NTMParameters,
    *,
    lengths: Tensor | None = None,
    **options: Any,
) -> tuple[Tensor, NTMState]:
    """A whole sequence, inputs [B, T, I], step by step; zeros and a resting state after its end."""
    outputs = []
    for t in range(inputs.shape[1]):
        out, after = step(inputs[:, t], state, parameters, **options)
        if lengths is None:
            state = after
        else:
            runs = t < lengths
            out = torch.where(runs[:, None], out, torch.zeros_like(out))
            state = type(state)(
                *(
                    _where(runs, b, a, d)
                    for b, a, d in zip(after, state, (0, 0, 0, 1, 1), strict=True)
                )
            )
        outputs.append(out)
    return torch.stack(outputs, dim=1), state


def _where(runs: Tensor, new: Tensor, old: Tensor, batch_dimension: int) -> Tensor:
    shape = [1] * new.dim()
    shape[batch_dimension] = -1
    return torch.where(runs.reshape(shape), new, old)
