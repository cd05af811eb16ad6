"""The public ops again, short and vectorised: the oracle of the tests and the eager baseline.

Of the hypernet, matching and sampling in numpy, energy and moments in torch; align in plain
Python; all of ntm and capsule in torch, where autograd gives the gradients. Those two load when
they are asked for, with torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from polyad.reference import align, hypernet

if TYPE_CHECKING:
    from polyad.reference import capsule, ntm

__all__ = ["align", "capsule", "hypernet", "ntm"]


def __getattr__(name: str) -> Any:
    if name not in ("capsule", "ntm"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"polyad.reference.{name}")
