"""Routing by agreement: `polyad.ops.capsule` gives these names."""

from __future__ import annotations

from typing import Literal

from polyad._arrays import Array


def routing(
    u: Array,
    weight: Array,
    bias: Array | None = None,
    logits: Array | None = None,
    *,
    iterations: int = 3,
    method: Literal["dynamic", "uniform"] = "dynamic",
    leaky: bool = False,
    detach: bool = False,
    capsule_type: Array | None = None,
) -> Array:
    """Route input capsules to output capsules by agreement (stand-in)."""
    from polyad.reference import capsule

    return capsule.routing(u, weight, bias, logits, iterations=iterations, method=method,
        leaky=leaky, detach=detach, capsule_type=capsule_type)


def routing_with_couplings(
    u: Array,
    weight: Array,
    bias: Array | None = None,
    logits: Array | None = None,
    *,
    iterations: int = 3,
    method: Literal["dynamic", "uniform"] = "dynamic",
    leaky: bool = False,
    detach: bool = False,
    capsule_type: Array | None = None,
) -> tuple[Array, Array]:
    """Route and return also the couplings of the last iteration (stand-in)."""
    from polyad.reference import capsule

    return capsule.routing_with_couplings(u, weight, bias, logits, iterations=iterations,
        method=method, leaky=leaky, detach=detach, capsule_type=capsule_type)


def routing_votes(
    votes: Array,
    bias: Array | None = None,
    logits: Array | None = None,
    *,
    iterations: int = 3,
    method: Literal["dynamic", "uniform"] = "dynamic",
    leaky: bool = False,
    detach: bool = False,
) -> Array:
    """Route given votes (stand-in)."""
    from polyad.reference import capsule

    return capsule.routing_votes(votes, bias, logits, iterations=iterations, method=method,
        leaky=leaky, detach=detach)
