"""Whole models; each loads when it is asked for, with what it needs."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from polyad.models.capsnet import CapsNet
    from polyad.models.capsnet_cnn import CapsNetCNN
    from polyad.models.encoders import ThermometerEncoder, ThresholdEncoder
    from polyad.models.hypernet import Hypernet
    from polyad.models.ntm import NTM

__all__ = ["NTM", "CapsNet", "CapsNetCNN", "Hypernet", "ThermometerEncoder", "ThresholdEncoder"]

_HOMES = {
    "CapsNet": ("polyad.models.capsnet", "torch"),
    "CapsNetCNN": ("polyad.models.capsnet_cnn", "torch"),
    "NTM": ("polyad.models.ntm", "torch"),
    "Hypernet": ("polyad.models.hypernet", "sklearn"),
    "ThermometerEncoder": ("polyad.models.encoders", "sklearn"),
    "ThresholdEncoder": ("polyad.models.encoders", "sklearn"),
}
_EXTRAS = {"sklearn": ("scikit-learn", "demo"), "torch": ("torch", "torch")}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home, needed = _HOMES[name]
    try:
        import_module(needed)
    except ImportError as error:
        package, extra = _EXTRAS[needed]
        raise ImportError(
            f"polyad.models.{name} needs {package}: pip install 'polyad[{extra}]'"
        ) from error
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
