"""Routing of matrix capsules by expectation maximisation: `polyad.ops.capsule` gives this name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from polyad import _arrays as arrays
from polyad import _backend
from polyad._arrays import Array
from polyad._register import Op

_INPUTS = ("poses", "activations", "weight", "beta_u", "beta_a")
_LEAST_EPSILON = 1e-20


def em_routing(
    poses: Array,
    activations: Array,
    weight: Array,
    beta_u: Array,
    beta_a: Array,
    *,
    iterations: int = 3,
    inverse_temperature: float | Sequence[float] = 1.0,
    epsilon: float = 1e-6,
) -> tuple[Array, Array]:
    """Route matrix capsules by expectation maximisation; differentiable in all arrays.

    V_ij = M_i W_ij; then, r times, a Gaussian for every output capsule (M-step) and the share of
    every input capsule in it (E-step), R_ij = 1 / J at first:

    r_ij   = R_ij a_i,   S_j = sum_i r_ij
    mu_jh  = sum_i r_ij V_ijh / (S_j + epsilon)
    var_jh = sum_i r_ij (V_ijh - mu_jh)^2 / (S_j + epsilon) + epsilon
    a_j    = sigmoid(lambda_t (beta_a_j - S_j sum_h (beta_u_j + log(var_jh) / 2)))
    R_ij   = softmax_j(log a_j - sum_h (log(2 pi var_jh) / 2 + (V_ijh - mu_jh)^2 / (2 var_jh)))

    Votes and shares are never stored: a backward pass computes them again from the Gaussians of
    every iteration. Gradients go through all iterations. Results depend on neither threads nor
    batch.

    Args:
        poses: [B, I, P] of the input capsules, a matrix [p, p] row by row each; float32 or float64.
            Half types are taken as float32.
        activations: [B, I] in [0, 1].
        weight: [I, J, p, p] with p p = P.
        beta_u: [J], the cost of describing a number of a pose.
        beta_a: [J], the cost that a capsule may have.
        iterations: r, at least 1.
        inverse_temperature: lambda, above 0, or a sequence of one for every iteration.
        epsilon: Keeps capsules without input, and variances, away from zero; at least 1e-20.

    Returns:
        Poses [B, J, P] and activations [B, J] of the last iteration.

    Raises:
        TypeError: A wrong kind or dtype.
        ValueError: A wrong shape or device; P is no square, or not that of ``weight``; values that
            are not finite, activations outside [0, 1]; ``iterations`` below 1; a schedule of
            another length; an inverse temperature or ``epsilon`` that is not above 0.
        NotImplementedError: A second derivative is asked for.

    Source: Hinton, Sabour, Frosst, Matrix Capsules with EM Routing, 2018, procedure 1.

    >>> import numpy as np
    >>> poses = np.array([[[1.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 1.0], [9.0, 9.0, 9.0, 9.0]]])
    >>> same = np.broadcast_to(np.eye(2), (3, 2, 2, 2))
    >>> zeros = np.zeros(2)
    >>> out, a = em_routing(poses, np.array([[1.0, 1.0, 0.0]]), same, zeros, zeros)
    >>> out.round(3)
    array([[[1., 0., 0., 1.],
            [1., 0., 0., 1.]]])
    """
    inputs = _checked(poses, activations, weight, beta_u, beta_a)
    schedule = _schedule(iterations, inverse_temperature)
    results = _em_routing_op(*inputs, schedule, _required_epsilon(epsilon))
    return results[0], results[1]


def _checked(*inputs: Array) -> list[Array]:
    for name, x in zip(_INPUTS, inputs, strict=True):
        arrays.require_array(name, x)
        arrays.require_alike(name, x, "poses", inputs[0])
        arrays.require_dtype(name, x, ["float32", "float64", "float16", "bfloat16"])
    cast = [
        arrays.cast(x, "float32") if arrays.dtype_name(x) in ("float16", "bfloat16") else x
        for x in inputs
    ]
    for name, x in zip(_INPUTS, cast, strict=True):
        arrays.require_dtype(name, x, [arrays.dtype_name(cast[0])])
    poses, activations, weight, beta_u, beta_a = cast
    arrays.require_shape("poses", poses, "B I P", [None, None, None])
    B, I, P = poses.shape  # noqa: E741
    p = math.isqrt(P)
    if I < 1 or P < 1 or p * p != P:
        raise ValueError(
            f"poses: expected at least one input capsule and a square P, got {[B, I, P]}"
        )
    arrays.require_shape("activations", activations, "B I", [B, I])
    arrays.require_shape("weight", weight, "I J p p", [I, None, p, p])
    J = weight.shape[1]
    if J < 1:
        raise ValueError(f"weight: expected J of at least 1, got {list(weight.shape)}")
    for name, x in (("beta_u", beta_u), ("beta_a", beta_a)):
        arrays.require_shape(name, x, "J", [J])
    for name, x in zip(_INPUTS, cast, strict=True):
        if name == "activations":
            arrays.require_within(name, x, 0.0, 1.0)
        else:
            arrays.require_finite(name, x)
    return cast


def _positive(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name}: expected a number, got {type(value).__name__}")
    if not 0 < value < math.inf:
        raise ValueError(f"{name}: expected a finite number above 0, got {value}")
    return float(value)


def _schedule(iterations: int, inverse_temperature: Any) -> list[float]:
    iterations = arrays.require_int("iterations", iterations, 1)
    name = "inverse_temperature"
    if isinstance(inverse_temperature, str) or not isinstance(inverse_temperature, Sequence):
        return [_positive(name, inverse_temperature)] * iterations
    if len(inverse_temperature) != iterations:
        raise ValueError(
            f"{name}: expected a number or a sequence of {iterations}, one for each iteration, "
            f"got {len(inverse_temperature)}"
        )
    return [_positive(f"{name}[{t}]", value) for t, value in enumerate(inverse_temperature)]


def _required_epsilon(epsilon: Any) -> float:
    value = _positive("epsilon", epsilon)
    if value < _LEAST_EPSILON:
        raise ValueError(f"epsilon: expected at least {_LEAST_EPSILON:g}, got {value}")
    return value


def _sizes(poses: Array, weight: Array) -> tuple[int, int, int, int]:
    """B, I, J and p."""
    return poses.shape[0], poses.shape[1], weight.shape[1], weight.shape[3]


def _run(suffix: str, like: Array, weight: Array, schedule: list[float], *rest: Any) -> None:
    dtype, sizes = arrays.dtype_name(like), _sizes(like, weight)
    module: Any = _backend.cpu if arrays.on_cpu(like) else _backend.cuda()
    parts, elements = module.capsule_em_routing_scratch(
        *sizes, len(schedule), suffix != "", dtype == "float64"
    )
    scratch = arrays.empty(like, (elements,), dtype)
    name = f"capsule_em_routing{suffix}_{dtype}"
    arrays.run(name, like, *sizes, schedule, *rest, parts, scratch)


def _shapes(poses: Any, weight: Any, iterations: int) -> list[tuple[int, ...]]:
    B, _, J, _ = _sizes(poses, weight)
    P, r = poses.shape[2], iterations
    return [(B, J, P), (B, J), (r, B, J, P), (r, B, J, P), (r, B, J), (r, B, J)]


def _em_routing(
    poses: Array,
    activations: Array,
    weight: Array,
    beta_u: Array,
    beta_a: Array,
    inverse_temperature: Sequence[float],
    epsilon: float,
) -> tuple[Array, ...]:
    inputs = [arrays.contiguous(x) for x in (poses, activations, weight, beta_u, beta_a)]
    schedule = [float(value) for value in inverse_temperature]
    dtype = arrays.dtype_name(poses)
    outputs = [arrays.empty(poses, each, dtype) for each in _shapes(poses, weight, len(schedule))]
    _run("", inputs[0], inputs[2], schedule, epsilon, *inputs, *outputs)
    return tuple(outputs)


def _em_routing_fake(
    poses: Any,
    activations: Any,
    weight: Any,
    beta_u: Any,
    beta_a: Any,
    inverse_temperature: Sequence[float],
    epsilon: float,
) -> Any:
    return tuple(poses.new_empty(x) for x in _shapes(poses, weight, len(inverse_temperature)))


def _em_routing_backward(
    poses: Array,
    activations: Array,
    weight: Array,
    beta_u: Array,
    mu: Array,
    variance: Array,
    score: Array,
    mass: Array,
    grad_poses: Array,
    grad_activations: Array,
    inverse_temperature: Sequence[float],
    epsilon: float,
) -> tuple[Array, ...]:
    given = (poses, activations, weight, beta_u, mu, variance, score, mass)
    inputs = [arrays.contiguous(x) for x in (*given, grad_poses, grad_activations)]
    schedule = [float(value) for value in inverse_temperature]
    grads = tuple(arrays.empty(x, x.shape, arrays.dtype_name(x)) for x in (*inputs[:4], inputs[3]))
    _run("_backward", inputs[0], inputs[2], schedule, epsilon, *inputs, *grads)
    return grads


def _em_routing_backward_fake(
    poses: Any, activations: Any, weight: Any, beta_u: Any, *rest: Any
) -> Any:
    return tuple(x.new_empty(x.shape) for x in (poses, activations, weight, beta_u, beta_u))


def _save(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    *arguments, ctx.schedule, ctx.epsilon = inputs
    kept = output[2:]
    ctx.save_for_backward(*arguments[:4], *kept)
    ctx.mark_non_differentiable(*kept)


def _gradient(ctx: Any, grad_poses: Any, grad_activations: Any, *rest: Any) -> Any:
    grads = _em_routing_backward_op(
        *ctx.saved_tensors, grad_poses, grad_activations, ctx.schedule, ctx.epsilon
    )
    wanted = [
        each if need else None for each, need in zip(grads, ctx.needs_input_grad, strict=False)
    ]
    return (*wanted, None, None)


_em_routing_op = Op(
    "capsule_em_routing(Tensor poses, Tensor activations, Tensor weight, Tensor beta_u,"
    " Tensor beta_a, float[] inverse_temperature, float epsilon)"
    " -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
    _em_routing,
    _em_routing_fake,
    setup_context=_save,
    backward=_gradient,
)
_em_routing_backward_op = Op(
    "capsule_em_routing_backward(Tensor poses, Tensor activations, Tensor weight, Tensor beta_u,"
    " Tensor mu, Tensor variance, Tensor score, Tensor mass, Tensor grad_poses,"
    " Tensor grad_activations, float[] inverse_temperature, float epsilon)"
    " -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
    _em_routing_backward,
    _em_routing_backward_fake,
    no_gradient="em_routing has no second derivative here; detach the first",
)
