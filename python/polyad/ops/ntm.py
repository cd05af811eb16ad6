"""Ops of the Neural Turing Machine: addressing, reading, writing, and whole sequences.

Every function takes numpy arrays or torch tensors (CPU or CUDA) and returns the same kind on the
same device; tensors are differentiable. A memory is [B, N, M]: N rows of width M; the parameters
of H heads are [B, H, ...].
"""

from __future__ import annotations

from polyad.ops._ntm_addressing import addressing, content, interpolate, sharpen, shift
from polyad.ops._ntm_memory import read, write
from polyad.ops._ntm_scan import NotFiniteError, NTMParameters, NTMState, NTMTrace, scan

__all__ = [
    "NTMParameters",
    "NTMState",
    "NTMTrace",
    "NotFiniteError",
    "addressing",
    "content",
    "interpolate",
    "read",
    "scan",
    "sharpen",
    "shift",
    "write",
]
