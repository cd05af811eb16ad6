"""Ops of capsule networks: squash and routing by agreement.

Every function takes numpy arrays or torch tensors (CPU or CUDA) and returns the same kind on the
same device; tensors are differentiable. Input capsules are u [B, I, K], output capsules v [B, J, D].
"""

from __future__ import annotations

from polyad.ops._capsule_routing import routing, routing_votes, routing_with_couplings
from polyad.ops._capsule_squash import squash

__all__ = ["routing", "routing_votes", "routing_with_couplings", "squash"]
