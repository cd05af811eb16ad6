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
        ValueError: The schema has a default or a keyword-only argument, or returns a list alone.
    """
    import torch

    name = overload._schema.name.split("::")[1]
    declared = overload._schema.arguments
    if any(argument.has_default_value() or argument.kwarg_only for argument in declared):
        raise ValueError(f"{name}: expected a schema without defaults or keyword-only arguments")
    lists = _lists_among(declared)
    # autograd sees tensors in a tuple only: those in a list would lose their gradient in silence
    returned_lists = _lists_among(overload._schema.returns)
    if returned_lists and len(overload._schema.returns) == 1:
        raise ValueError(f"{name}: expected a schema that returns more than a list of tensors")
    below_autograd = torch._C._AutoDispatchBelowAutograd
    any_requires_grad = torch._C._any_requires_grad
    is_grad_enabled = torch.is_grad_enabled
    redispatch = overload.redispatch

    class Gradient(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *arguments: Any) -> Any:
            keyset, counts, returned_counts = arguments[-3:]
            inputs = _nested(arguments[:-3], lists, counts) if lists else arguments[:-3]
            with below_autograd():
                output = redispatch(keyset, *inputs)
                if setup_context is not None:
                    setup_context(ctx, inputs, output)
            if not returned_lists:
                return output
            returned_counts += [len(output[i]) for i in returned_lists]
            ctx.returned_counts = returned_counts
            return tuple(_flat(output, returned_lists))

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            if returned_lists:
                grads = tuple(_nested(grads, returned_lists, ctx.returned_counts))
            wanted = ctx.needs_input_grad
            try:
                ctx.needs_input_grad = wanted[:-3]
                result = backward(ctx, *grads)
            finally:
                ctx.needs_input_grad = wanted
            if not isinstance(result, tuple):
                result = (result,)
            return (*(_flat(result, lists) if lists else result), None, None, None)

    apply: Callable[..., Any] = Gradient.apply

    def call(keyset: Any, *arguments: Any) -> Any:
        keyset = keyset & torch._C._after_autograd_keyset
        if not (is_grad_enabled() and any_requires_grad(*arguments)):
            with below_autograd():
                return redispatch(keyset, *arguments)
        counts = [len(arguments[i]) for i in lists]
        returned_counts: list[int] = []
        flat = _flat(arguments, lists) if lists else arguments
        output = apply(*flat, keyset, counts, returned_counts)
        if not returned_lists:
            return output
        return tuple(_nested(output, returned_lists, returned_counts))

    library.impl(name, call, "Autograd", with_keyset=True)


def _lists_among(declared: Sequence[Any]) -> list[int]:
    return [i for i, each in enumerate(declared) if str(each.type) in _LISTS]


def _flat(nested: Sequence[Any], lists: Sequence[int]) -> list[Any]:
    """All in one list, where ``nested`` has lists at the given places."""
    result: list[Any] = []
    at = 0
    for i in lists:
        result += nested[at:i]
        result += nested[i]
        at = i + 1
    result += nested[at:]
    return result


def _nested(flat: Sequence[Any], lists: Sequence[int], counts: Sequence[int]) -> list[Any]:
    """Back again, where those lists have so many elements."""
    result: list[Any] = []
    at = 0
    for i, count in zip(lists, counts, strict=True):
        before = i - len(result)
        result += flat[at : at + before]
        at += before
        result.append(list(flat[at : at + count]))
        at += count
    result += flat[at:]
    return result
