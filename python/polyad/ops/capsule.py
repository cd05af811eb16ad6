"""Ops of capsule networks: squash, routing by agreement, routing by expectation maximisation.

Every function takes numpy arrays or torch tensors (CPU or CUDA) and returns the same kind on the
same device; tensors are differentiable. Input capsules are u [B, I, K], output capsules
v [B, J, D]; those of EM routing have poses [B, I, P] and activations [B, I].
"""

from __future__ import annotations

from polyad.ops._capsule_em_routing import em_routing
from polyad.ops._capsule_routing import routing, routing_votes, routing_with_couplings
from polyad.ops._capsule_squash import squash

__all__ = ["em_routing", "routing", "routing_votes", "routing_with_couplings", "squash"]
