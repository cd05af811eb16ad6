"""Lengths of capsules: `polyad.ops.capsule` gives this name."""

from __future__ import annotations

from polyad._arrays import Array


def squash(s: Array, dim: int = -1) -> Array:
    """Scale vectors to a length below 1 (stand-in)."""
    from polyad.reference import capsule

    return capsule.squash(s, dim)
