"""The public ops again, short and vectorised: the oracle of the tests and the eager baseline.

Of the hypernet, matching and sampling in numpy, energy and moments in torch; all of ntm in torch,
where autograd gives the gradients. `polyad.reference.ntm` loads when it is asked for, with torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from polyad.reference import hypernet

if TYPE_CHECKING:
    from polyad.reference import ntm

__all__ = ["hypernet", "ntm"]


def __getattr__(name: str) -> Any:
    if name != "ntm":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module("polyad.reference.ntm")
