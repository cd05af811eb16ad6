"""Lengths of capsules: `polyad.ops.capsule` gives this name."""

from __future__ import annotations

import math
from typing import Any

from polyad import _arrays as arrays
from polyad._arrays import Array
from polyad._register import Op


def squash(s: Array, dim: int = -1) -> Array:
    """Scale vectors to a length below 1 that grows with theirs; differentiable.

    v = s |s| / (1 + |s|^2)

    Zero stays zero, with gradient zero, and no finite s overflows.

    Args:
        s: Vectors along ``dim``, float32 or float64; on CUDA also float16 and bfloat16, computed
            in float32. On the CPU, and under autocast, half types are taken as float32.
        dim: The dimension of the vectors.

    Returns:
        The shape of ``s``.

    Raises:
        TypeError: A wrong kind or dtype; ``dim`` is not an int.
        ValueError: ``dim`` out of range, or of size 0; values that are not finite.
        NotImplementedError: A second derivative is asked for.

    Source: Sabour, Frosst, Hinton, Dynamic Routing Between Capsules, 2017, equation 1.

    >>> import numpy as np
    >>> squash(np.array([[3.0, 4.0], [0.0, 0.0]]))
    array([[0.57692308, 0.76923077],
           [0.        , 0.        ]])
    """
    arrays.require_array("s", s)
    arrays.require_dtype("s", s, ["float32", "float64", "float16", "bfloat16"])
    count = len(s.shape)
    if count == 0:
        raise ValueError("s: expected at least 1 dimension, got a number")
    dim = arrays.require_int("dim", dim, -count, count - 1) % count
    if s.shape[dim] < 1:
        raise ValueError(f"s: expected vectors of at least 1 number, got {list(s.shape)}")
    s = arrays.widened(s, on_cpu_too=True)
    arrays.require_finite("s", s)
    return _squash_op(s, dim)


def _sizes(s: Array, dim: int) -> tuple[int, int, int]:
    shape = tuple(s.shape)
    return math.prod(shape[:dim]), shape[dim], math.prod(shape[dim + 1 :])


def _squash(s: Array, dim: int) -> Array:
    s = arrays.contiguous(s)
    v = arrays.empty(s, s.shape, arrays.dtype_name(s))
    arrays.run(f"capsule_squash_{arrays.dtype_name(s)}", s, *_sizes(s, dim), s, v)
    return v


def _squash_fake(s: Any, dim: int) -> Any:
    return s.new_empty(s.shape)


def _squash_backward(s: Array, grad: Array, dim: int) -> Array:
    s, grad = arrays.contiguous(s), arrays.contiguous(grad)
    to = arrays.empty(s, s.shape, arrays.dtype_name(s))
    arrays.run(f"capsule_squash_backward_{arrays.dtype_name(s)}", s, *_sizes(s, dim), s, grad, to)
    return to


def _squash_backward_fake(s: Any, grad: Any, dim: int) -> Any:
    return s.new_empty(s.shape)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    s, ctx.dim = inputs
    ctx.save_for_backward(s)


def _gradient(ctx: Any, grad: Any) -> Any:
    (s,) = ctx.saved_tensors
    return _squash_backward_op(s, grad, ctx.dim), None


_squash_op = Op(
    "capsule_squash(Tensor s, int dim) -> Tensor",
    _squash,
    _squash_fake,
    setup_context=_save,
    backward=_gradient,
)
_squash_backward_op = Op(
    "capsule_squash_backward(Tensor s, Tensor grad, int dim) -> Tensor",
    _squash_backward,
    _squash_backward_fake,
    no_gradient="squash has no second derivative here; detach the first",
)
