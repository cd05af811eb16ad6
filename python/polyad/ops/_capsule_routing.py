"""Routing by agreement: `polyad.ops.capsule` gives these names."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np

from polyad import _arrays as arrays
from polyad import _backend
from polyad._arrays import Array
from polyad._register import Op

METHODS = ("dynamic", "uniform")
Method = Literal["dynamic", "uniform"]


class _Sizes(NamedTuple):
    batch: int
    inputs: int
    input_size: int
    outputs: int
    output_size: int
    iterations: int

    @property
    def above(self) -> tuple[int, int, int]:
        """Shape of v: [B, J, D]."""
        return self.batch, self.outputs, self.output_size

    @property
    def couplings(self) -> tuple[int, int, int]:
        """Shape of c: [B, I, J]."""
        return self.batch, self.inputs, self.outputs


def _sizes(u: Any, weight: Any, votes: Any, iterations: int) -> _Sizes:
    if votes is not None:
        batch, inputs, outputs, output_size = votes.shape
        return _Sizes(batch, inputs, 0, outputs, output_size, iterations)
    batch, inputs, input_size = u.shape
    _, outputs, output_size, _ = weight.shape
    return _Sizes(batch, inputs, input_size, outputs, output_size, iterations)


def _types(weight: Any, sizes: _Sizes) -> int:
    return sizes.inputs if weight is None else int(weight.shape[0])


def _module(x: Array) -> Any:
    return _backend.cpu if arrays.on_cpu(x) else _backend.cuda()


def _contiguous(*given: Array | None) -> list[Array | None]:
    return [None if x is None else arrays.contiguous(x) for x in given]


# --- the registered ops: votes, or u and weight, and nothing else that is optional ----------------


def _run(
    u: Array | None,
    weight: Array | None,
    votes: Array | None,
    bias: Array | None,
    logits: Array | None,
    capsule_type: Array | None,
    iterations: int,
    leaky: bool,
    with_couplings: bool,
) -> tuple[Array, Array, Array]:
    u, weight, votes, bias, logits, kind = _contiguous(u, weight, votes, bias, logits, capsule_type)
    template: Any = u if votes is None else votes
    sizes, dtype = _sizes(u, weight, votes, iterations), arrays.dtype_name(template)
    _require_types(kind, _types(weight, sizes))
    above = sizes.above
    s = arrays.empty(template, (iterations, *above), dtype)
    v = arrays.empty(template, above, dtype)
    couplings = arrays.empty(template, sizes.couplings if with_couplings else (0,), dtype)
    parts, elements = _module(template).capsule_routing_scratch(*sizes, dtype == "float64")
    arrays.run(
        f"capsule_routing_{dtype}",
        template,
        *sizes,
        _types(weight, sizes),
        kind,
        leaky,
        *(u, weight, votes, bias, logits),
        *(s, v, couplings if with_couplings else None),
        parts,
        arrays.empty(template, (elements,), dtype),
    )
    return v, s, couplings


def _run_backward(
    u: Array | None,
    weight: Array | None,
    votes: Array | None,
    bias: Array | None,
    logits: Array | None,
    capsule_type: Array | None,
    s: Array,
    grad: Array,
    leaky: bool,
    detach: bool,
) -> list[Array | None]:
    """Gradients of u, weight, votes, bias and logits; None where one of them is None."""
    u, weight, votes, logits, kind = _contiguous(u, weight, votes, logits, capsule_type)
    s, grad = arrays.contiguous(s), arrays.contiguous(grad)
    dtype, sizes = arrays.dtype_name(grad), _sizes(u, weight, votes, s.shape[0])
    types = _types(weight, sizes)
    _require_types(kind, types)
    order, begin = (None, None) if kind is None else _by_type(kind, types)
    grads = [
        None if x is None else arrays.empty(grad, tuple(x.shape), dtype)
        for x in (u, weight, votes, bias, logits)
    ]
    parts, elements = _module(grad).capsule_routing_backward_scratch(
        *sizes, types, kind is not None, detach, dtype == "float64"
    )
    arrays.run(
        f"capsule_routing_backward_{dtype}",
        grad,
        *sizes,
        types,
        *(kind, order, begin),
        leaky,
        detach,
        *(u, weight, votes, logits, s, grad),
        *grads,
        parts,
        arrays.empty(grad, (elements,), dtype),
    )
    return grads


def _by_type(capsule_type: Array, types: int) -> tuple[Array, Array]:
    """The inputs in ascending order of type, and where each type begins."""
    if arrays.on_cpu(capsule_type):
        host = arrays.to_numpy(capsule_type)
        by_type = np.argsort(host, kind="stable").astype(np.int32)
        first = np.zeros(types + 1, np.int32)
        first[1:] = np.bincount(host, minlength=types).cumsum()
        return arrays.like(capsule_type, by_type), arrays.like(capsule_type, first)
    import torch

    known = capsule_type.clamp(0, types - 1)  # on CUDA values are not looked at
    ordered, order = torch.sort(known, stable=True)
    begin = torch.searchsorted(ordered, torch.arange(types + 1, device=ordered.device))
    return order.int(), begin.int()


def _require_types(capsule_type: Array | None, types: int) -> None:
    """Raise ValueError if a type has no weights; also for compiled calls, on the CPU."""
    if capsule_type is None or not arrays.on_cpu(capsule_type):
        return
    host = arrays.to_numpy(capsule_type)
    wrong = (host < 0) | (host >= types)
    if wrong.any():
        at = int(wrong.argmax())
        raise ValueError(
            f"capsule_type: expected values in 0 .. {types - 1}, since weight has {types} types, "
            f"got {host[at]} at [{at}]"
        )


def _routing(u: Array, weight: Array, bias: Any, logits: Any, kind: Any, *rest: Any) -> Any:
    return _run(u, weight, None, bias, logits, kind, *_but_detach(*rest))


def _but_detach(
    iterations: int, leaky: bool, detach: bool, with_couplings: bool
) -> tuple[int, bool, bool]:
    return iterations, leaky, with_couplings  # detach is about the gradient alone


def _fake(template: Any, sizes: _Sizes, with_couplings: bool) -> Any:
    return (
        template.new_empty(sizes.above),
        template.new_empty((sizes.iterations, *sizes.above)),
        template.new_empty(sizes.couplings if with_couplings else (0,)),
    )


def _routing_fake(
    u: Any, weight: Any, bias: Any, logits: Any, kind: Any,
    iterations: int, leaky: bool, detach: bool, with_couplings: bool,
) -> Any:  # fmt: skip
    return _fake(u, _sizes(u, weight, None, iterations), with_couplings)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    *tensors, _, ctx.leaky, ctx.detach, _ = inputs
    ctx.save_for_backward(*tensors, output[1])
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(*output[1:])


def _routing_gradient(ctx: Any, grad: Any, *unused: Any) -> Any:
    if grad is None:
        return (None,) * 9
    u, weight, bias, logits, kind, s = ctx.saved_tensors
    grads = _routing_backward_op(u, weight, bias, logits, kind, s, grad, ctx.leaky, ctx.detach)
    return (*_wanted(ctx, grads, (u, weight, bias, logits)), None, None, None, None, None)


def _wanted(ctx: Any, grads: Any, inputs: tuple[Any, ...]) -> list[Any]:
    return [
        each if need and x is not None else None
        for each, x, need in zip(grads, inputs, ctx.needs_input_grad, strict=False)
    ]


def _routing_backward(
    u: Array, weight: Array, bias: Any, logits: Any, kind: Any, s: Array, grad: Array,
    leaky: bool, detach: bool,
) -> Any:  # fmt: skip
    grads = _run_backward(u, weight, None, bias, logits, kind, s, grad, leaky, detach)
    return _present(grads[:2] + grads[3:], grad)


def _present(grads: list[Any], template: Array) -> tuple[Array, ...]:
    """Gradients as a schema can say them: empty where there is none."""
    empty = [arrays.empty(template, (0,), arrays.dtype_name(template)) for each in grads]
    return tuple(none if each is None else each for each, none in zip(grads, empty, strict=True))


def _shapes_fake(*inputs: Any, template: Any) -> Any:
    return tuple(template.new_empty((0,) if x is None else x.shape) for x in inputs)


def _routing_backward_fake(
    u: Any, weight: Any, bias: Any, logits: Any, kind: Any, s: Any, grad: Any,
    leaky: bool, detach: bool,
) -> Any:  # fmt: skip
    return _shapes_fake(u, weight, bias, logits, template=grad)


_routing_backward_op = Op(
    "capsule_routing_backward(Tensor u, Tensor weight, Tensor? bias, Tensor? logits, "
    "Tensor? capsule_type, Tensor s, Tensor grad, bool leaky, bool detach) -> "
    "(Tensor, Tensor, Tensor, Tensor)",
    _routing_backward,
    _routing_backward_fake,
    no_gradient="routing has no second derivative here; detach the first",
)
_routing_op = Op(
    "capsule_routing(Tensor u, Tensor weight, Tensor? bias, Tensor? logits, "
    "Tensor? capsule_type, int iterations, bool leaky, bool detach, bool with_couplings) -> "
    "(Tensor, Tensor, Tensor)",
    _routing,
    _routing_fake,
    setup_context=_save,
    backward=_routing_gradient,
)


def _votes(votes: Array, bias: Any, logits: Any, *rest: Any) -> Any:
    return _run(None, None, votes, bias, logits, None, *_but_detach(*rest))


def _votes_fake(
    votes: Any, bias: Any, logits: Any,
    iterations: int, leaky: bool, detach: bool, with_couplings: bool,
) -> Any:  # fmt: skip
    return _fake(votes, _sizes(None, None, votes, iterations), with_couplings)


def _votes_gradient(ctx: Any, grad: Any, *unused: Any) -> Any:
    if grad is None:
        return (None,) * 7
    votes, bias, logits, s = ctx.saved_tensors
    grads = _votes_backward_op(votes, bias, logits, s, grad, ctx.leaky, ctx.detach)
    return (*_wanted(ctx, grads, (votes, bias, logits)), None, None, None, None)


def _votes_backward(
    votes: Array, bias: Any, logits: Any, s: Array, grad: Array, leaky: bool, detach: bool
) -> Any:
    grads = _run_backward(None, None, votes, bias, logits, None, s, grad, leaky, detach)
    return _present(grads[2:], grad)


def _votes_backward_fake(
    votes: Any, bias: Any, logits: Any, s: Any, grad: Any, leaky: bool, detach: bool
) -> Any:
    return _shapes_fake(votes, bias, logits, template=grad)


_votes_backward_op = Op(
    "capsule_routing_votes_backward(Tensor votes, Tensor? bias, Tensor? logits, Tensor s, "
    "Tensor grad, bool leaky, bool detach) -> (Tensor, Tensor, Tensor)",
    _votes_backward,
    _votes_backward_fake,
    no_gradient="routing has no second derivative here; detach the first",
)
_votes_op = Op(
    "capsule_routing_votes(Tensor votes, Tensor? bias, Tensor? logits, int iterations, "
    "bool leaky, bool detach, bool with_couplings) -> (Tensor, Tensor, Tensor)",
    _votes,
    _votes_fake,
    setup_context=_save,
    backward=_votes_gradient,
)


# --- public functions -----------------------------------------------------------------------------


def routing(
    u: Array,
    weight: Array,
    bias: Array | None = None,
    logits: Array | None = None,
    *,
    iterations: int = 3,
    method: Method = "dynamic",
    leaky: bool = False,
    detach: bool = False,
    capsule_type: Array | None = None,
) -> Array:
    """Route capsules to the capsules above that they agree with; differentiable.

    u_hat_ij = W_ij u_i                              votes, which are never stored
    c_i.     = softmax_j( b_ij + u_hat_ij . V_j )    V_j = sum of the v_j so far
    s_j      = beta_j + sum_i c_ij u_hat_ij
    v_j      = s_j |s_j| / (1 + |s_j|^2)             repeated ``iterations`` times

    Votes are computed again in every iteration and in the backward pass, in registers and caches;
    what is kept for the gradient is s of every iteration. Stored votes take J D / K times the
    memory of ``u``, several times over.

    Args:
        u: [B, I, K], capsules below; float32 or float64. Half types are computed, and returned, as
            float32, since sums of votes can pass 65504.
        weight: [I, J, D, K], of every pair; with ``capsule_type`` [types, J, D, K].
        bias: [J, D], beta; None: zero.
        logits: [I, J], prior logits b; None: zero. -inf closes a connection.
        iterations: r, at least 1; in the paper 3.
        method: 'dynamic', or 'uniform' for couplings that no agreement changes: softmax of
            ``logits``, 1 / J without them. It is the control that routing has to beat.
        leaky: Softmax beside one more logit, 0, that stands for none of the capsules above.
        detach: Whether gradients take the agreements for constants: only the last iteration's
            c u_hat is differentiated, which is cheaper, and what many ports do. The paper's authors
            differentiate through all iterations, the default.
        capsule_type: int32 [I], which of the weights an input uses: types of a convolution share
            theirs over positions. None: every input has its own.

    Returns:
        v [B, J, D]; lengths are below 1.

    Raises:
        TypeError: A wrong kind or dtype.
        ValueError: A wrong shape, device or option; values that are not finite, or so large that
            sums are not.
        NotImplementedError: A second derivative is asked for.

    Source: Sabour, Frosst, Hinton, Dynamic Routing Between Capsules, 2017, procedure 1 and
    equations 1 to 3; leaky: the authors' code. The control: Paik, Kwak, Kim, 2019.

    >>> import numpy as np
    >>> u = np.array([[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]])
    >>> weight = np.broadcast_to(np.eye(2), (3, 2, 2, 2))
    >>> routing(u, weight, iterations=1).round(3)
    array([[[0.497, 0.248],
            [0.497, 0.248]]])
    """
    options = (iterations, method, leaky, detach, capsule_type)
    return _route(u, weight, bias, logits, *options, with_couplings=False)[0]


def routing_with_couplings(
    u: Array,
    weight: Array,
    bias: Array | None = None,
    logits: Array | None = None,
    *,
    iterations: int = 3,
    method: Method = "dynamic",
    leaky: bool = False,
    detach: bool = False,
    capsule_type: Array | None = None,
) -> tuple[Array, Array]:
    """Route as `routing` does, and return the couplings of the last iteration too.

    Args:
        u: As for `routing`, like all other arguments.
        weight: As for `routing`.
        bias: As for `routing`.
        logits: As for `routing`.
        iterations: As for `routing`.
        method: As for `routing`.
        leaky: As for `routing`.
        detach: As for `routing`.
        capsule_type: As for `routing`.

    Returns:
        v [B, J, D], differentiable, and c [B, I, J], which is not: rows add up to 1, or with
        ``leaky`` to less.

    Raises:
        TypeError: As for `routing`.
        ValueError: As for `routing`.
    """
    options = (iterations, method, leaky, detach, capsule_type)
    v, _, c = _route(u, weight, bias, logits, *options, with_couplings=True)
    return v, c


def routing_votes(
    votes: Array,
    bias: Array | None = None,
    logits: Array | None = None,
    *,
    iterations: int = 3,
    method: Method = "dynamic",
    leaky: bool = False,
    detach: bool = False,
) -> Array:
    """Route as `routing` does, from votes that were computed elsewhere; differentiable.

    Args:
        votes: u_hat [B, I, J, D], float32 or float64; half types are taken as float32.
        bias: As for `routing`, like all other arguments.
        logits: As for `routing`.
        iterations: As for `routing`.
        method: As for `routing`.
        leaky: As for `routing`.
        detach: As for `routing`.

    Returns:
        v [B, J, D].

    Raises:
        TypeError: As for `routing`.
        ValueError: As for `routing`.
        NotImplementedError: A second derivative is asked for.
    """
    named = {"votes": votes, "bias": bias, "logits": logits}
    given = _checked(named)
    iterations = _iterations(iterations, method)
    leaky, detach = _flag("leaky", leaky), _flag("detach", detach)
    v, _, _ = _votes_op(*given.values(), iterations, leaky, detach, False)
    _require_result(v, given, named, leaky)
    return v


_LETTERS = {"u": "B I K", "votes": "B I J D", "bias": "J D", "logits": "I J"}


def _route(
    u: Array,
    weight: Array,
    bias: Array | None,
    logits: Array | None,
    iterations: int,
    method: Method,
    leaky: bool,
    detach: bool,
    capsule_type: Array | None,
    *,
    with_couplings: bool,
) -> tuple[Array, Array, Array]:
    named = {"u": u, "weight": weight, "bias": bias, "logits": logits}
    given = _checked(named, capsule_type)
    iterations = _iterations(iterations, method)
    leaky, detach = _flag("leaky", leaky), _flag("detach", detach)
    found: tuple[Array, Array, Array] = _routing_op(
        *given.values(), capsule_type, iterations, leaky, detach, with_couplings
    )
    _require_result(found[0], given, named, leaky)
    return found


def _checked(
    given: dict[str, Array | None], capsule_type: Array | None = None
) -> dict[str, Array | None]:
    """The arrays, half types widened; raises by name where one of them does not fit."""
    first, template = next(iter(given.items()))
    for name, x in given.items():
        if x is not None or name in ("u", "weight", "votes"):
            arrays.require_array(name, x)
            arrays.require_alike(name, x, first, template)
            arrays.require_dtype(name, x, ["float32", "float64", "float16", "bfloat16"])
    given = {name: None if x is None else _widened(x) for name, x in given.items()}
    sizes: dict[str, int] = {}
    for name, x in given.items():
        if x is None:
            continue
        if name != first:
            arrays.require_dtype(name, x, [arrays.dtype_name(given[first])])
        own = "I J D K" if capsule_type is None else "types J D K"
        letters = _LETTERS.get(name, own)
        arrays.require_shape(name, x, letters, [sizes.get(each) for each in letters.split()])
        sizes |= zip(letters.split(), x.shape, strict=True)
        for letter, size in zip(letters.split(), x.shape, strict=True):
            if size < 1 and letter != "B":
                raise ValueError(f"{name}: expected {letter} of at least 1, got {list(x.shape)}")
    if capsule_type is not None:
        arrays.require_array("capsule_type", capsule_type)
        arrays.require_alike("capsule_type", capsule_type, first, template)
        arrays.require_dtype("capsule_type", capsule_type, ["int32"])
        arrays.require_shape("capsule_type", capsule_type, "I", [sizes["I"]])
    return given


def _widened(x: Array) -> Array:
    if arrays.dtype_name(x) in ("float16", "bfloat16"):
        return arrays.cast(x, "float32")
    return x


def _iterations(iterations: Any, method: Any) -> int:
    iterations = arrays.require_int("iterations", iterations, 1)
    if method not in METHODS:
        raise ValueError(f"method: expected 'dynamic' or 'uniform', got {method!r}")
    return 1 if method == "uniform" else iterations


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}: expected a bool, got {type(value).__name__}")
    return bool(value)


def _require_result(
    v: Array, given: dict[str, Array | None], named: dict[str, Array | None], leaky: bool
) -> None:
    """Raise ValueError, by name, if the result is not finite: some input is not, or sums are not.

    The result is small, the weights are not: they are looked at only when something is wrong.

    Args:
        v: The result.
        given: The arrays that were computed with.
        named: Those that the caller gave, maybe of half types.
        leaky: Whether an input may have no open connection.
    """
    if not arrays.checks_values(v) or bool(np.isfinite(arrays.to_numpy(v)).all()):
        return
    for name, x in given.items():
        if x is None:
            continue
        host = arrays.to_numpy(x)
        closed = host == -math.inf if name == "logits" else np.zeros_like(host, bool)
        wrong = ~np.isfinite(host) & ~closed
        if wrong.any():
            at = np.argwhere(wrong)[0].tolist()
            expected = "finite values or -inf" if name == "logits" else "finite values"
            dtype = arrays.dtype_name(named[name])
            largest = {"float16": ", as float16, whose largest number is 65504"}.get(dtype, "")
            raise ValueError(f"{name}: expected {expected}, got {host[tuple(at)]} at {at}{largest}")
        if not leaky and name == "logits" and closed.all(-1).any():
            raise ValueError(
                f"{name}: expected an open connection for every input, got -inf for all of input "
                f"{int(closed.all(-1).argmax())}"
            )
    sizes = {name: _largest(arrays.to_numpy(x)) for name, x in given.items() if x is not None}
    found = ", ".join(f"{name} up to {size:.3g}" for name, size in sizes.items())
    raise ValueError(
        f"expected values whose sums stay finite in {arrays.dtype_name(v)}, got {found}"
    )


def _largest(x: np.ndarray[Any, Any]) -> float:
    return float(np.abs(x[np.isfinite(x)]).max(initial=0))
