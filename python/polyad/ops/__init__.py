"""Native ops for numpy arrays and torch tensors, one module per family."""

from polyad.ops import align, capsule, hypernet, ntm

__all__ = ["align", "capsule", "hypernet", "ntm"]
