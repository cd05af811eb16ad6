"""Layers of torch built on `polyad.ops`; importing this imports torch."""

from polyad.nn.capsule import ConvCapsule, DenseCapsule, MarginLoss, PrimaryCapsule
from polyad.nn.ntm import NTM

__all__ = ["NTM", "ConvCapsule", "DenseCapsule", "MarginLoss", "PrimaryCapsule"]
