"""Reference of `polyad.ops.capsule` in torch; autograd differentiates.

The equations are procedure 1 and equations 1 to 3 of Sabour, Frosst and Hinton, Dynamic Routing
Between Capsules (2017). Votes [B, I, J, D] and logits are stored, as in every public
implementation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def squash(s: Tensor, dim: int = -1) -> Tensor:
    """Scale vectors to length |s|^2 / (1 + |s|^2); zero stays zero, with gradient zero."""
    size: Tensor = torch.linalg.vector_norm(s, dim=dim, keepdim=True)
    return s * (size / (1 + size.square()))


def couplings(logits: Tensor, *, leaky: bool = False) -> Tensor:
    """Softmax over the last dimension; leaky: beside one more logit, which is zero."""
    if leaky:
        beside = torch.cat([torch.zeros_like(logits[..., :1]), logits], dim=-1)
        return torch.softmax(beside, dim=-1)[..., 1:]
    return torch.softmax(logits, dim=-1)


def votes(u: Tensor, weight: Tensor, capsule_type: Tensor | None = None) -> Tensor:
    """[B, I, J, D]: W_ij u_i."""
    of_capsule = weight if capsule_type is None else weight[capsule_type.long()]
    return torch.einsum("ijdk,bik->bijd", of_capsule, u)


def routing(
    u: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    logits: Tensor | None = None,
    *,
    iterations: int = 3,
    method: str = "dynamic",
    leaky: bool = False,
    detach: bool = False,
    capsule_type: Tensor | None = None,
) -> Tensor:
    """[B, J, D]: the output of the last iteration."""
    return routing_votes(
        votes(u, weight, capsule_type),
        bias,
        logits,
        iterations=iterations,
        method=method,
        leaky=leaky,
        detach=detach,
    )


def routing_with_couplings(
    u: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    logits: Tensor | None = None,
    *,
    iterations: int = 3,
    method: str = "dynamic",
    leaky: bool = False,
    detach: bool = False,
    capsule_type: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """[B, J, D] and [B, I, J]: output and couplings of the last iteration."""
    v, c = _routed(
        votes(u, weight, capsule_type), bias, logits, 1 if method == "uniform" else iterations,
        leaky, detach
    )  # fmt: skip
    return v, c.detach()


def routing_votes(
    votes: Tensor,
    bias: Tensor | None = None,
    logits: Tensor | None = None,
    *,
    iterations: int = 3,
    method: str = "dynamic",
    leaky: bool = False,
    detach: bool = False,
) -> Tensor:
    """[B, J, D]: `routing` of given votes."""
    iterations = 1 if method == "uniform" else iterations
    return _routed(votes, bias, logits, iterations, leaky, detach)[0]


def _routed(
    votes: Tensor,
    bias: Tensor | None,
    logits: Tensor | None,
    iterations: int,
    leaky: bool,
    detach: bool,
) -> tuple[Tensor, Tensor]:
    prior = votes.new_zeros(votes.shape[1:3]) if logits is None else logits
    before, beta = (votes.detach(), bias) if detach else (votes, bias)
    total = votes.new_zeros(votes.shape[0], *votes.shape[2:])  # sum of the outputs so far
    for t in range(iterations):
        last = t == iterations - 1
        agreement = torch.einsum("bijd,bjd->bij", before, total)
        c = couplings(prior + agreement, leaky=leaky)
        s = torch.einsum("bij,bijd->bjd", c, votes if last else before)
        v = squash(s if beta is None else s + beta)
        total = total + (v.detach() if detach else v)
    return v, c


def em_routing(
    poses: Tensor,
    activations: Tensor,
    weight: Tensor,
    beta_u: Tensor,
    beta_a: Tensor,
    *,
    iterations: int = 3,
    inverse_temperature: float | Sequence[float] = 1.0,
    epsilon: float = 1e-6,
) -> tuple[Tensor, Tensor]:
    """Poses [B, J, P] and activations [B, J] of the last M-step of EM routing.

    Procedure 1 of Hinton, Sabour and Frosst, Matrix capsules with EM routing (2018).
    """
    side = weight.shape[-1]
    of_input = poses.reshape(*poses.shape[:2], side, side)
    votes = torch.einsum("bipk,ijkq->bijpq", of_input, weight).flatten(-2)
    schedule = (
        [float(inverse_temperature)] * iterations
        if isinstance(inverse_temperature, int | float)
        else list(inverse_temperature)
    )
    outputs = weight.shape[1]
    share = votes.new_full(votes.shape[:3], 1 / outputs)  # R
    mu = variance = score = votes  # of no iteration yet
    for t, scale in enumerate(schedule):
        if t > 0:
            distance = (votes - mu[:, None]).square() / (2 * variance[:, None])
            of_gaussian = 0.5 * (2 * math.pi * variance).log()
            density = -(of_gaussian[:, None] + distance).sum(-1)
            share = torch.softmax(torch.nn.functional.logsigmoid(score)[:, None] + density, dim=2)
        assigned = share * activations[..., None]  # r
        mass = assigned.sum(1)
        whole = mass[..., None] + epsilon
        mu = torch.einsum("bij,bijh->bjh", assigned, votes) / whole
        spread = torch.einsum("bij,bijh->bjh", assigned, (votes - mu[:, None]).square())
        variance = spread / whole + epsilon
        cost = (beta_u[:, None] + 0.5 * variance.log()) * mass[..., None]
        score = scale * (beta_a - cost.sum(-1))
    return mu, torch.sigmoid(score)
