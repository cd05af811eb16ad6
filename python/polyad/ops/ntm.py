"""Ops of the Neural Turing Machine: addressing, reading, writing, and whole sequences."""

from __future__ import annotations

from typing import Any, NamedTuple

from polyad._arrays import Array

__all__ = ["NTMParameters", "NTMState", "NTMTrace", "scan"]


class NTMState(NamedTuple):
    """What a Neural Turing Machine carries from one step to the next."""

    memory: Array
    reads: Array
    weights: Array
    h: Array
    c: Array


class NTMParameters(NamedTuple):
    """The weights of controller, heads and output."""

    weight_ih: tuple[Array, ...]
    weight_hh: tuple[Array, ...]
    bias_ih: tuple[Array, ...]
    bias_hh: tuple[Array, ...]
    head_weight: Array
    head_bias: Array
    output_weight: Array
    output_bias: Array


class NTMTrace(NamedTuple):
    """What the heads did at every step; not differentiable."""

    weights: Array  # [B, T, R + W, N]
    reads: Array  # [B, T, R, M]
    heads: Array  # [B, T, P]


def scan(
    inputs: Array,
    state: NTMState,
    parameters: NTMParameters,
    *,
    lengths: Array | None = None,
    trace: bool = False,
    **options: Any,
) -> Any:
    """Stand-in until the kernel is there."""
    from polyad.reference import ntm

    if not trace:
        return ntm.scan(inputs, state, parameters, lengths=lengths, **options)
    import torch

    weights, reads = [], []
    outputs, after = [], state
    for t in range(inputs.shape[1]):
        run = None if lengths is None else (lengths - t).clamp(0, 1)
        out, after = ntm.scan(inputs[:, t : t + 1], after, parameters, lengths=run, **options)
        outputs.append(out)
        weights.append(after.weights.detach())
        reads.append(after.reads.detach())
    P = parameters.head_bias.shape[0]
    heads = torch.zeros(inputs.shape[0], inputs.shape[1], P)
    record = NTMTrace(torch.stack(weights, 1), torch.stack(reads, 1), heads)
    return torch.cat(outputs, 1), after, record
