"""Native ops for numpy arrays and torch tensors, one module per family."""

from polyad.ops import hypernet, ntm

__all__ = ["hypernet", "ntm"]
