"""One helper that makes a function an op: numpy calls it directly, torch through its dispatcher.

An op is defined once, on flat arrays, by its schema, its implementation (which allocates outputs
and runs a kernel; the same code serves numpy, CPU tensors and CUDA tensors), the shapes of its
outputs (``fake``) and, where it has one, its gradient. torch registers all ops when the first
tensor arrives, or at import if torch was imported before.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from polyad._autograd import register_autograd

_registry: list[Op] = []
_library: Any = None  # keeps the registrations alive


class Op:
    """A function on flat arrays that torch knows as ``torch.ops.polyad.<name>``.

    Args:
        schema: The signature in torch's schema language, beginning with the name.
        implementation: Computes the outputs of numpy arrays or of tensors.
        fake: Computes outputs of the right shape and dtype from fake tensors.
        setup_context: Saves what backward needs; takes (ctx, inputs, output).
        backward: The gradient; takes (ctx, *grads).
        no_gradient: Why there is no gradient; said when one is asked for.
    """

    def __init__(
        self,
        schema: str,
        implementation: Callable[..., Any],
        fake: Callable[..., Any],
        *,
        setup_context: Callable[..., None] | None = None,
        backward: Callable[..., Any] | None = None,
        no_gradient: str | None = None,
    ) -> None:
        self.name = schema.split("(")[0]
        self.schema = schema
        self.implementation = implementation
        self.fake = fake
        self.setup_context = setup_context
        self.backward = backward
        self.no_gradient = no_gradient
        self.overload: Any = None
        _registry.append(self)
        if _library is not None:
            self._register()

    def __call__(self, *arguments: Any) -> Any:
        if isinstance(arguments[0], np.ndarray):
            return self.implementation(*arguments)
        register_ops()
        return self.overload(*arguments)

    def _register(self) -> None:
        import torch

        _library.define(self.schema)
        for key in ("CPU", "CUDA"):
            _library.impl(self.name, self.implementation, key)
        qualified = f"polyad::{self.name}"
        torch.library.register_fake(qualified, self.fake, lib=_library)
        backward, setup_context = self.backward, self.setup_context
        if backward is None:
            message = f"{qualified}: {self.no_gradient or 'this op has no gradient'}"

            def backward(ctx: Any, *grads: Any) -> Any:
                raise NotImplementedError(message)

        self.overload = getattr(torch.ops.polyad, self.name).default
        register_autograd(_library, self.overload, backward, setup_context)


def register_ops() -> None:
    """Register every op with torch, once."""
    global _library
    if _library is not None:
        return
    import torch

    _library = torch.library.Library("polyad", "DEF")  # type: ignore[no-untyped-call]
    for op in _registry:
        op._register()


# What torch.compiler.assume_constant_result sets, without importing torch: a first call inside a
# compiled function registers while it is traced, and leaves nothing in the graph.
register_ops._dynamo_marked_constant = True  # type: ignore[attr-defined]


def register_if_torch_is_imported() -> None:
    """Register the ops now if torch is there, so that no compiled function has to."""
    if "torch" in sys.modules:
        register_ops()
