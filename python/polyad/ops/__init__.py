"""Native ops for numpy arrays and torch tensors, one module per family."""

from polyad.ops import capsule, hypernet, ntm

__all__ = ["capsule", "hypernet", "ntm"]
