"""Gradients of registered ops: what torch.library.register_autograd does, in a third of the time.

torch's own kernel walks the schema in Python at every call, to fill in defaults and keyword-only
arguments, and flattens lists of tensors with pytree: for an op of twenty tensors that is more than
the op itself takes. Schemas here have neither, so both fall away. The contract of ``setup_context``
and ``backward`` is torch's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

_LISTS = ("List[Tensor]", "List[Optional[Tensor]]")


def register_autograd(
    library: Any,
    overload: Any,
    backward: Callable[..., Any],
    setup_context: Callable[..., None] | None,
) -> None:
    """Give an op its gradient.

    Args:
        library: The torch.library.Library that defined the op.
        overload: The op: ``torch.ops.polyad.<name>.default``.
        backward: Takes (ctx, *grads); returns a gradient, or None, for every argument, and for a
            list of tensors a list of them. ``ctx.needs_input_grad`` is flat: a list of tensors has
            one entry for each.
        setup_context: Takes (ctx, inputs, output) and saves what backward needs.

    Raises:
        ValueError: The schema has a default or a keyword-only argument.
    """
    import torch

    name = overload._schema.name.split("::")[1]
    declared = overload._schema.arguments
    if any(argument.has_default_value() or argument.kwarg_only for argument in declared):
        raise ValueError(f"{name}: expected a schema without defaults or keyword-only arguments")
    lists = [i for i, argument in enumerate(declared) if str(argument.type) in _LISTS]
    below_autograd = torch._C._AutoDispatchBelowAutograd
    any_requires_grad = torch._C._any_requires_grad
    is_grad_enabled = torch.is_grad_enabled
    redispatch = overload.redispatch

    def flat(nested: Sequence[Any]) -> list[Any]:
        result: list[Any] = []
        at = 0
        for i in lists:
            result += nested[at:i]
            result += nested[i]
            at = i + 1
        result += nested[at:]
        return result

    def nested(flattened: Sequence[Any], counts: Sequence[int]) -> list[Any]:
        result: list[Any] = []
        at = 0
        for i, count in zip(lists, counts, strict=True):
            before = i - len(result)
            result += flattened[at : at + before]
            at += before
            result.append(list(flattened[at : at + count]))
            at += count
        result += flattened[at:]
        return result

    class Gradient(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *arguments: Any) -> Any:
            keyset, counts = arguments[-2:]
            inputs = nested(arguments[:-2], counts) if lists else arguments[:-2]
            with below_autograd():
                output = redispatch(keyset, *inputs)
                if setup_context is not None:
                    setup_context(ctx, inputs, output)
            return output

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            wanted = ctx.needs_input_grad
            try:
                ctx.needs_input_grad = wanted[:-2]
                result = backward(ctx, *grads)
            finally:
                ctx.needs_input_grad = wanted
            if not isinstance(result, tuple):
                result = (result,)
            return (*(flat(result) if lists else result), None, None)

    def call(keyset: Any, *arguments: Any) -> Any:
        keyset = keyset & torch._C._after_autograd_keyset
        if is_grad_enabled() and any_requires_grad(*arguments):
            if not lists:
                return Gradient.apply(*arguments, keyset, ())  # type: ignore[no-untyped-call]
            counts = [len(arguments[i]) for i in lists]
            return Gradient.apply(*flat(arguments), keyset, counts)  # type: ignore[no-untyped-call]
        with below_autograd():
            return redispatch(keyset, *arguments)

    library.impl(name, call, "Autograd", with_keyset=True)
