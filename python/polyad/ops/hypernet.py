"""Ops of weighted hyperedges: matching, votes, the learning statistic, energy, moments, sampling.

A hypernet is H = (X, E, W): variables x_1 .. x_I, hyperedges E_i with literals, a weight per edge.
Every function takes numpy arrays or torch tensors (CPU or CUDA) and returns the same kind on the
same device. ``edges`` may be `polyad.Hyperedges` or, faster for repeated use, the result of its
``plan``.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from polyad import _arrays as arrays
from polyad import _backend
from polyad._arrays import Array
from polyad._bit_planes import BitPlanes, pack_op, unpack_op
from polyad._hyperedges import Hyperedges, HyperedgesPlan, as_plan
from polyad._register import Op

__all__ = ["energy", "feedback", "gibbs", "match", "match_counts", "moments", "votes"]

_EDGES = "Tensor literals, Tensor offsets, Tensor positives, Tensor order"
_BATCH = f"Tensor words, int samples, {_EDGES}, Tensor? tolerances, int tolerance"


class _Batch(NamedTuple):
    """The arguments that every op of matching begins with, as ``_BATCH`` declares them."""

    words: Array
    samples: int
    literals: Array
    offsets: Array
    positives: Array
    order: Array
    tolerances: Array | None
    tolerance: int

    def empty(self, shape: tuple[int, ...], dtype: str) -> Array:
        return arrays.empty(self.words, shape, dtype)

    def run(self, kernel: str, *rest: Any) -> None:
        words, samples, literals, offsets, positives, order, tolerances, tolerance = self
        arrays.run(
            kernel,
            words,
            words,
            samples,
            words.shape[1],
            words.shape[2],
            literals,
            offsets,
            positives,
            order,
            len(order),
            tolerances,
            tolerance,
            *rest,
        )


# --- match ---------------------------------------------------------------------------------------


def _match(*arguments: Any) -> Array:
    batch = _Batch(*arguments)
    out = batch.empty((batch.samples, len(batch.order)), "bool")
    batch.run("hypernet_match", out)
    return out


def _match_fake(words: Any, samples: Any, literals: Any, offsets: Any, *rest: Any) -> Any:
    import torch

    return words.new_empty((samples, offsets.shape[0] - 1), dtype=torch.bool)


match_op = Op(f"hypernet_match({_BATCH}) -> Tensor", _match, _match_fake)


def match(
    x: Array | BitPlanes,
    edges: Hyperedges | HyperedgesPlan,
    *,
    tolerance: int | Array = 0,
) -> Array:
    """Say which hyperedges match which samples.

    match[n, e] = 1[ #{literals of edge e that differ from x[n]} <= tolerance_e ]

    Args:
        x: bool or uint8 [N, I] with values 0 and 1, or `polyad.BitPlanes`.
        edges: E hyperedges over variables below I.
        tolerance: Literals that may differ: one int, or int32 [E].

    Returns:
        bool [N, E].

    Raises:
        TypeError: A wrong kind or dtype.
        ValueError: A wrong shape, device or value: x not 0/1, a variable beyond I, tolerance < 0.

    >>> import numpy as np, polyad
    >>> edges = polyad.Hyperedges.from_lists([[0, 1], [2]])
    >>> match(np.array([[1, 1, 0]], np.uint8), edges)
    array([[ True, False]])
    """
    words, samples, plan = _batch(x, edges)
    return match_op(words, samples, *_literals(plan), *_tolerance(tolerance, plan))


# --- votes ---------------------------------------------------------------------------------------


def _votes(*arguments: Any) -> Array:
    *first, class_offsets, weights = arguments
    batch, weights = _Batch(*first), arrays.contiguous(weights)
    edges, classes, dtype = len(batch.order), len(class_offsets) - 1, arrays.dtype_name(weights)
    out = batch.empty((batch.samples, classes), dtype)
    scratch, bits = None, 0
    if not arrays.on_cpu(weights):
        size = _backend.cuda().hypernet_votes_scratch(batch.samples, edges, classes)
        scratch = batch.empty((size,), "int64") if size else None
    elif dtype == "int64" and edges:
        bits = max(abs(int(weights.min())), abs(int(weights.max()))).bit_length()
        size = _backend.cpu.hypernet_votes_scratch(edges, classes, bits)
        scratch = batch.empty((size,), "int64")
    batch.run(f"hypernet_votes_{dtype}", class_offsets, classes, weights, out, scratch, bits)
    return out


def _votes_fake(words: Any, samples: Any, *rest: Any) -> Any:
    class_offsets, weights = rest[-2:]
    return weights.new_empty((samples, class_offsets.shape[0] - 1))


votes_op = Op(
    f"hypernet_votes({_BATCH}, Tensor class_offsets, Tensor weights) -> Tensor",
    _votes,
    _votes_fake,
    no_gradient="votes is a count of matches; use energy for gradients, or weights.detach()",
)


def votes(
    x: Array | BitPlanes,
    edges: Hyperedges | HyperedgesPlan,
    weights: Array,
    labels: Array | None = None,
    num_classes: int | None = None,
    *,
    tolerance: int | Array = 0,
) -> Array:
    """Sum the weights of the matching hyperedges of every class; [N, E] is never stored.

    votes[n, c] = sum over edges e with label c of  w_e match[n, e]

    Args:
        x: bool or uint8 [N, I] with values 0 and 1, or `polyad.BitPlanes`.
        edges: E hyperedges over variables below I.
        weights: [E], an integer dtype, float32 or float64.
        labels: int32 [E], the class of each edge; may be left out if ``edges`` is a plan that was
            made with labels.
        num_classes: C; may be left out likewise.
        tolerance: Literals that may differ: one int, or int32 [E].

    Returns:
        [N, C]: int64 for integer weights (exact), else the dtype of the weights.

    Raises:
        TypeError: A wrong kind or dtype.
        ValueError: A wrong shape, device or value; a label outside 0 .. C - 1; integer weights
            whose sum could leave int64; weights that are not finite.
        NotImplementedError: A gradient is asked for.

    Source: B.-T. Zhang, hypernetworks: classification by weighted votes.
    """
    words, samples, plan = _batch(x, edges)
    arrays.require_array("weights", weights)
    arrays.require_alike("weights", weights, "x", words)
    dtype = arrays.dtype_name(weights)
    integers = ("int8", "int16", "int32", "int64", "uint8")
    arrays.require_dtype("weights", weights, [*integers, "float32", "float64"])
    arrays.require_shape("weights", weights, "E", [len(plan)])
    if dtype in integers:
        weights = arrays.cast(weights, "int64")
        if dtype == "int64" and arrays.checks_values(weights):
            _require_small_sum(arrays.to_numpy(weights))
    else:
        arrays.require_finite("weights", weights)
    if labels is None:
        if plan.class_offsets is None:
            raise ValueError("labels: expected int32 [E], or edges planned with labels; got None")
        if num_classes is not None and num_classes != plan.num_classes:
            raise ValueError(
                f"num_classes: expected {plan.num_classes} as the plan has, got {num_classes}"
            )
    else:
        if num_classes is None:
            raise ValueError("num_classes: expected the number of classes, got None")
        plan = plan.grouped(labels, arrays.require_int("num_classes", num_classes, 1))
    return votes_op(
        words,
        samples,
        *_literals(plan),
        *_tolerance(tolerance, plan),
        plan.class_offsets,
        weights,
    )


# --- match_counts and feedback -------------------------------------------------------------------


def _match_counts(*arguments: Any) -> Array:
    batch = _Batch(*arguments)
    out = batch.empty((len(batch.order),), "int64")
    batch.run("hypernet_match_counts", out)
    return out


def _match_counts_fake(words: Any, samples: Any, literals: Any, offsets: Any, *rest: Any) -> Any:
    return offsets.new_empty((offsets.shape[0] - 1,))


match_counts_op = Op(
    f"hypernet_match_counts({_BATCH}) -> Tensor", _match_counts, _match_counts_fake
)


def match_counts(
    x: Array | BitPlanes,
    edges: Hyperedges | HyperedgesPlan,
    *,
    tolerance: int | Array = 0,
) -> Array:
    """Count the samples that every hyperedge matches.

    match_counts[e] = sum_n match[n, e]

    Args:
        x: bool or uint8 [N, I] with values 0 and 1, or `polyad.BitPlanes`.
        edges: E hyperedges over variables below I.
        tolerance: Literals that may differ: one int, or int32 [E].

    Returns:
        int64 [E].

    Raises:
        TypeError: A wrong kind or dtype.
        ValueError: A wrong shape, device or value.
    """
    words, samples, plan = _batch(x, edges)
    return match_counts_op(words, samples, *_literals(plan), *_tolerance(tolerance, plan))


def _feedback(*arguments: Any) -> tuple[Array, Array]:
    *first, masks = arguments
    batch = _Batch(*first)
    right, wrong = (batch.empty((len(batch.order),), "int64") for _ in range(2))
    batch.run("hypernet_feedback", arrays.contiguous(masks), right, wrong)
    return right, wrong


def _feedback_fake(words: Any, samples: Any, literals: Any, offsets: Any, *rest: Any) -> Any:
    shape = (offsets.shape[0] - 1,)
    return offsets.new_empty(shape), offsets.new_empty(shape)


feedback_op = Op(
    f"hypernet_feedback({_BATCH}, Tensor masks) -> (Tensor, Tensor)", _feedback, _feedback_fake
)


def feedback(
    x: Array | BitPlanes,
    edges: Hyperedges | HyperedgesPlan,
    right: Array,
    wrong: Array,
    *,
    tolerance: int | Array = 0,
) -> tuple[Array, Array]:
    """Count the matches of every hyperedge over two sets of samples: the learning statistic.

    feedback[e] = ( sum_n right[n] match[n, e],  sum_n wrong[n] match[n, e] )

    Args:
        x: bool or uint8 [N, I] with values 0 and 1, or `polyad.BitPlanes`.
        edges: E hyperedges over variables below I.
        right: bool [N].
        wrong: bool [N].
        tolerance: Literals that may differ: one int, or int32 [E].

    Returns:
        int64 [E] and int64 [E].

    Raises:
        TypeError: A wrong kind or dtype.
        ValueError: A wrong shape, device or value.
    """
    words, samples, plan = _batch(x, edges)
    for name, mask in (("right", right), ("wrong", wrong)):
        arrays.require_array(name, mask)
        arrays.require_alike(name, mask, "x", words)
        arrays.require_dtype(name, mask, ["bool"])
        arrays.require_shape(name, mask, "N", [samples])
    masks: Array
    if arrays.is_numpy(words):
        masks = np.stack([right, wrong], axis=1)
    else:
        import torch

        masks = torch.stack([right, wrong], dim=1)
    both: tuple[Array, Array] = feedback_op(
        words, samples, *_literals(plan), *_tolerance(tolerance, plan), pack_op(masks)[0]
    )
    return both


# --- energy and moments --------------------------------------------------------------------------


class _RealBatch(NamedTuple):
    """The arguments that energy and moments begin with, as ``_REAL_BATCH`` declares them."""

    x: Array
    literals: Array
    offsets: Array
    positives: Array
    order: Array
    incidence_offsets: Array | None  # CUDA only, where dE/dx is wanted
    incidence: Array | None
    longest: int

    @property
    def computed(self) -> str:
        """The dtype computed in: that of x, float32 for half types."""
        dtype = arrays.dtype_name(self.x)
        return dtype if dtype in ("float32", "float64") else "float32"

    def run(self, kernel: str, *rest: Any) -> None:
        arrays.run(
            f"{kernel}_{arrays.dtype_name(self.x)}",
            self.x,
            self.x,
            self.x.shape[0],
            self.x.shape[1],
            self.literals,
            self.offsets,
            self.positives,
            self.order,
            len(self.order),
            *rest,
        )


def _energy(x: Array, *arguments: Any) -> Array:
    *first, weights = arguments
    batch, weights = _RealBatch(arrays.contiguous(x), *first), arrays.contiguous(weights)
    samples, variables = x.shape
    is_double = batch.computed == "float64"
    if arrays.on_cpu(x):
        tiles, size, _ = _backend.cpu.hypernet_energy_tiles(samples, is_double)
        elements = tiles * variables * size
    else:
        elements = _backend.cuda().hypernet_energy_scratch(
            samples, variables, len(batch.order), is_double
        )
    out = arrays.empty(x, (samples,), batch.computed)
    batch.run("hypernet_energy", weights, out, arrays.empty(x, (elements,), batch.computed))
    return out


def _energy_fake(x: Any, *rest: Any) -> Any:
    return rest[-1].new_empty((x.shape[0],))


def _energy_backward(x: Array, *arguments: Any) -> tuple[Array, Array]:
    *first, weights, grad, want_x, want_weights = arguments
    batch = _RealBatch(arrays.contiguous(x), *first)
    weights, grad = arrays.contiguous(weights), arrays.contiguous(grad)
    (samples, variables), edges, dtype = x.shape, len(batch.order), batch.computed
    grad_x = arrays.empty(x, (samples, variables) if want_x else (0,), arrays.dtype_name(x))
    grad_weights = arrays.empty(x, (edges,) if want_weights else (0,), dtype)
    outputs = (grad_x if want_x else None, grad_weights if want_weights else None)
    if arrays.on_cpu(x):
        tiles, size, parts = _backend.cpu.hypernet_energy_tiles(samples, dtype == "float64")
        batch.run(
            "hypernet_energy_backward",
            weights,
            grad,
            *outputs,
            arrays.empty(x, (tiles, variables, size), dtype),
            arrays.empty(x, (8 // parts, tiles, variables, size), dtype) if want_x else None,
            arrays.empty(x, (parts, edges), "float64") if want_weights else None,
            arrays.empty(x, (8, batch.longest, size), dtype),
            batch.longest,
        )
    else:
        if want_x and batch.incidence is None:
            raise RuntimeError("polyad::hypernet_energy_backward: expected incidence with want_x")
        elements = _backend.cuda().hypernet_energy_backward_scratch(samples, variables)
        batch.run(
            "hypernet_energy_backward",
            weights,
            grad,
            *outputs,
            arrays.empty(x, (elements,), dtype),
            None,
            None,
            None,
            batch.longest,
            batch.incidence_offsets,
            batch.incidence,
        )
    return grad_x, grad_weights


def _energy_backward_fake(x: Any, *rest: Any) -> Any:
    weights, _, want_x, want_weights = rest[-4:]
    return (
        x.new_empty(x.shape if want_x else (0,)),
        weights.new_empty(weights.shape if want_weights else (0,)),
    )


def _save_for_energy(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    *tensors, ctx.longest, weights = inputs
    ctx.save_for_backward(*tensors, weights)


def _energy_gradient(ctx: Any, grad: Any) -> Any:
    *tensors, weights = ctx.saved_tensors
    want_x, want_weights = ctx.needs_input_grad[0], ctx.needs_input_grad[-1]
    grad_x, grad_weights = energy_backward_op(
        *tensors, ctx.longest, weights, grad, want_x, want_weights
    )
    others = [None] * 7
    return grad_x if want_x else None, *others, grad_weights if want_weights else None


_REAL_BATCH = f"Tensor x, {_EDGES}, Tensor? incidence_offsets, Tensor? incidence, int longest"

energy_op = Op(
    f"hypernet_energy({_REAL_BATCH}, Tensor weights) -> Tensor",
    _energy,
    _energy_fake,
    setup_context=_save_for_energy,
    backward=_energy_gradient,
)
energy_backward_op = Op(
    f"hypernet_energy_backward({_REAL_BATCH}, Tensor weights, Tensor grad, bool want_x, "
    "bool want_weights) -> (Tensor, Tensor)",
    _energy_backward,
    _energy_backward_fake,
    no_gradient="energy has no second derivative here; detach the first",
)


def energy(x: Array, edges: Hyperedges | HyperedgesPlan, weights: Array) -> Array:
    """Compute the energy of samples; differentiable in ``x`` and ``weights``.

    E(x; W) = - sum_i w_i prod_{j in E_i} x_j ,    P(x) proportional to exp(-E(x; W) / T), T = 1

    A literal with value 0 stands for 1 - x_j, which needs x in {0, 1}. An empty edge has product 1.

    dE/dw_i = - prod_{j in E_i} x_j
    dE/dx_j = - sum_{i: j in E_i} w_i prod_{l in E_i, l != j} x_l

    Extra memory is O(N I + E k); products that leave one variable out come without division, so
    zeros are exact.

    Args:
        x: float32 or float64 [N, I]: {0, 1}, {-1, +1} or real. On CUDA also float16 and bfloat16,
            computed in float32.
        edges: E hyperedges over variables below I.
        weights: [E], the dtype of ``x``.

    Returns:
        [N], the dtype of ``x``.

    Raises:
        TypeError: A wrong kind or dtype.
        ValueError: A wrong shape or device; values that are not finite; literals with value 0 and
            an x outside {0, 1}.
        NotImplementedError: A second derivative is asked for.

    Source: higher-order Boltzmann machine, Sejnowski 1986; B.-T. Zhang, hypernetworks.
    """
    batch = _real_batch(x, edges)
    arrays.require_array("weights", weights)
    arrays.require_alike("weights", weights, "x", x)
    arrays.require_dtype("weights", weights, [arrays.dtype_name(x)])
    arrays.require_shape("weights", weights, "E", [len(batch.order)])
    arrays.require_finite("weights", weights)
    out = energy_op(*batch, arrays.cast(weights, batch.computed))
    return arrays.cast(out, arrays.dtype_name(x))


def _moments(x: Array, *arguments: Any) -> Array:
    dtype = _RealBatch(x, *arguments).computed
    grad = arrays.empty(x, (x.shape[0],), dtype)
    grad[:] = -1.0 / max(x.shape[0], 1)
    weights = arrays.empty(x, (0,), dtype)  # the gradient in the weights does not read them
    return _energy_backward(x, *arguments, weights, grad, False, True)[1]


def _moments_fake(x: Any, literals: Any, offsets: Any, *rest: Any) -> Any:
    import torch

    dtype = x.dtype if x.dtype in (torch.float32, torch.float64) else torch.float32
    return x.new_empty((offsets.shape[0] - 1,), dtype=dtype)


def _save_for_moments(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    *tensors, ctx.longest = inputs
    ctx.save_for_backward(*tensors)


def _moments_gradient(ctx: Any, grad: Any) -> Any:
    x, *tensors = ctx.saved_tensors
    # d moments / dx is dE / dx with the weights -grad, averaged over the samples
    each = grad.new_full((x.shape[0],), -1.0 / max(x.shape[0], 1))
    grad_x, _ = energy_backward_op(x, *tensors, ctx.longest, grad, each, True, False)
    others = [None] * 7
    return grad_x, *others


moments_op = Op(
    f"hypernet_moments({_REAL_BATCH}) -> Tensor",
    _moments,
    _moments_fake,
    setup_context=_save_for_moments,
    backward=_moments_gradient,
)


def moments(x: Array, edges: Hyperedges | HyperedgesPlan) -> Array:
    """Average the product of every hyperedge over the samples; differentiable in ``x``.

    moments[i] = (1/N) sum_n prod_{j in E_i} x_nj

    Args:
        x: float32 or float64 [N, I] with N >= 1; on CUDA also float16 and bfloat16.
        edges: E hyperedges over variables below I. A literal with value 0 stands for 1 - x_j.

    Returns:
        [E], the dtype of ``x``.

    Raises:
        TypeError: A wrong kind or dtype.
        ValueError: A wrong shape or device; no sample; values that are not finite; literals with
            value 0 and an x outside {0, 1}.
    """
    batch = _real_batch(x, edges)
    if x.shape[0] == 0:
        raise ValueError(f"x: expected at least one sample, got {list(x.shape)}")
    return arrays.cast(moments_op(*batch), arrays.dtype_name(x))


# --- gibbs ---------------------------------------------------------------------------------------


def _gibbs(
    words: Array,
    clamp: Array | None,
    samples: int,
    literals: Array,
    offsets: Array,
    positives: Array,
    order: Array,
    incidence_offsets: Array,
    incidence: Array,
    weights: Array,
    sweeps: int,
    spins: bool,
    temperature: float,
    seed: int,
) -> Array:
    weights = arrays.contiguous(weights)
    state = arrays.empty(words, words.shape, "int64")
    state[...] = words
    arrays.run(
        f"hypernet_gibbs_{arrays.dtype_name(weights)}",
        words,
        state,
        None if clamp is None else arrays.contiguous(clamp),
        samples,
        words.shape[1],
        words.shape[2],
        literals,
        offsets,
        positives,
        order,
        len(order),
        incidence_offsets,
        incidence,
        weights,
        sweeps,
        spins,
        temperature,
        seed % 2**64,  # a schema's int is signed; the kernel's seed is not
    )
    return state


def _gibbs_fake(words: Any, *rest: Any) -> Any:
    return words.new_empty(words.shape)


gibbs_op = Op(
    f"hypernet_gibbs(Tensor words, Tensor? clamp, int samples, {_EDGES}, Tensor incidence_offsets, "
    "Tensor incidence, Tensor weights, int sweeps, bool spins, float temperature, int seed) -> "
    "Tensor",
    _gibbs,
    _gibbs_fake,
    no_gradient="samples are discrete; use energy and moments for gradients",
)


def gibbs(
    x: Array,
    edges: Hyperedges | HyperedgesPlan,
    weights: Array,
    *,
    sweeps: int,
    domain: Literal["01", "pm1"] = "01",
    clamp: Array | None = None,
    temperature: float = 1.0,
    seed: int = 0,
) -> Array:
    """Sample P(x) proportional to exp(-E(x; W) / T) by Gibbs sweeps, one chain per row of ``x``.

    Variables are visited in order, each drawn from its conditional distribution:

    domain '01':   P(x_j = 1 | rest) = sigma( h_j / T )
    domain 'pm1':  P(x_j = +1 | rest) = sigma( 2 h_j / T )

    with h_j = sum_{i: j in E_i} w_i s_ij prod_{l in E_i, l != j} x_l, where s_ij = -1 for a literal
    with value 0 and else 1. Random numbers are Philox(seed; sample, variable, sweep): the result
    does not depend on the number of threads, nor a chain on the other chains.

    Args:
        x: Where the chains start: bool, uint8 or float [N, I], with values 0 and 1 or, for 'pm1',
            -1 and +1 (then int8 or float).
        edges: E hyperedges over variables below I; for 'pm1' without literals of value 0.
        weights: float32 or float64 [E].
        sweeps: Passes over all variables, at least 0.
        domain: '01' or 'pm1'.
        clamp: bool [N, I], True = fixed at its value in ``x``.
        temperature: T > 0.
        seed: 0 .. 2^64 - 1.

    Returns:
        The final states, [N, I] of the dtype of ``x``.

    Raises:
        TypeError: A wrong kind or dtype.
        ValueError: A wrong shape, device or value.
    """
    arrays.require_array("x", x)
    if domain not in ("01", "pm1"):
        raise ValueError(f"domain: expected '01' or 'pm1', got {domain!r}")
    spins = domain == "pm1"
    dtype = arrays.dtype_name(x)
    floats = ["float32", "float64"]
    arrays.require_dtype("x", x, ["int8", *floats] if spins else ["bool", "uint8", *floats])
    arrays.require_shape("x", x, "N I", [None, None])
    plan = as_plan(edges, x.shape[1])
    arrays.require_alike("edges", plan.offsets, "x", x)
    if spins and not plan.all_positive:
        raise ValueError("edges: expected literals of value 1 only with domain 'pm1', got value 0")
    arrays.require_array("weights", weights)
    arrays.require_alike("weights", weights, "x", x)
    arrays.require_dtype("weights", weights, floats)
    arrays.require_shape("weights", weights, "E", [len(plan)])
    arrays.require_finite("weights", weights)
    sweeps = arrays.require_int("sweeps", sweeps, 0, 2**32 - 1)
    seed = arrays.require_int("seed", seed, 0, 2**64 - 1)
    if not 0 < temperature < float("inf"):
        raise ValueError(f"temperature: expected a finite number above 0, got {temperature}")
    low, high = (-1, 1) if spins else (0, 1)
    if arrays.checks_values(x):
        host = arrays.to_numpy(x)
        wrong = (host != low) & (host != high)
        if wrong.any():
            raise ValueError(f"x: expected values {low} and {high}, got {host[wrong][0]}")
    fixed = None
    if clamp is not None:
        arrays.require_array("clamp", clamp)
        arrays.require_alike("clamp", clamp, "x", x)
        arrays.require_dtype("clamp", clamp, ["bool"])
        arrays.require_shape("clamp", clamp, "N I", x.shape)
        fixed = pack_op(clamp)[0]
    state = gibbs_op(
        pack_op(x == high)[0],
        fixed,
        x.shape[0],
        *_literals(plan),
        *plan.incidence(x.shape[1]),
        weights,
        sweeps,
        spins,
        float(temperature),
        seed if seed < 2**63 else seed - 2**64,
    )
    bits = arrays.cast(unpack_op(state, x.shape[0]), dtype)
    return bits * 2 - 1 if spins else bits


# --- arguments that the ops share ----------------------------------------------------------------


def _literals(plan: HyperedgesPlan) -> tuple[Array, Array, Array, Array]:
    return plan.literals, plan.offsets, plan.positives, plan.order


def _batch(
    x: Array | BitPlanes, edges: Hyperedges | HyperedgesPlan
) -> tuple[Array, int, HyperedgesPlan]:
    """Packed words, N and kernel arrays of a binary batch and its edges."""
    planes = x if isinstance(x, BitPlanes) else BitPlanes.pack(x)
    plan = as_plan(edges, planes.variables)
    arrays.require_alike("edges", plan.offsets, "x", planes.words)
    return arrays.contiguous(planes.words), planes.samples, plan


def _real_batch(x: Array, edges: Hyperedges | HyperedgesPlan) -> _RealBatch:
    arrays.require_array("x", x)
    allowed = ["float32", "float64"]
    if not arrays.is_numpy(x) and x.device.type == "cuda":
        allowed += ["float16", "bfloat16"]
    arrays.require_dtype("x", x, allowed)
    arrays.require_shape("x", x, "N I", [None, None])
    plan = as_plan(edges, x.shape[1])
    arrays.require_alike("edges", plan.offsets, "x", x)
    arrays.require_finite("x", x)
    if not plan.all_positive and arrays.checks_values(x):
        host = arrays.to_numpy(x)
        wrong = (host != 0) & (host != 1)
        if wrong.any():
            raise ValueError(
                "x: expected values 0 and 1, because edges has literals of value 0 "
                f"(they stand for 1 - x), got {host[wrong][0]}"
            )
    gathers = not arrays.on_cpu(x) and x.requires_grad
    starts, members = plan.incidence(x.shape[1]) if gathers else (None, None)
    return _RealBatch(x, *_literals(plan), starts, members, plan.longest)


def _require_small_sum(weights: np.ndarray[Any, Any]) -> None:
    """Raise ValueError unless sum |w| is below 2^62, so that no int64 sum can overflow."""
    if not len(weights):
        return
    largest = max(-int(weights.min()), int(weights.max()))
    if largest * len(weights) >= 2**62:
        total = float(np.abs(weights.astype(np.float64)).sum())
        if total >= 2.0**62:
            raise ValueError(f"weights: expected sum |w| below 2**62, got {total:.3g}")


def _tolerance(tolerance: int | Array, plan: HyperedgesPlan) -> tuple[Array | None, int]:
    """Tolerances as the kernels take them: int32 [E] or None, and one for all."""
    if isinstance(tolerance, int) or getattr(tolerance, "shape", ()) == ():
        return None, arrays.require_int("tolerance", tolerance, 0, 2**31 - 1)
    arrays.require_array("tolerance", tolerance)
    arrays.require_alike("tolerance", tolerance, "edges", plan.offsets)
    arrays.require_dtype("tolerance", tolerance, ["int32"])
    arrays.require_shape("tolerance", tolerance, "E", [len(plan)])
    if arrays.checks_values(tolerance) and len(plan):
        least = int(tolerance.min())
        if least < 0:
            raise ValueError(f"tolerance: expected values >= 0, got {least}")
    return arrays.contiguous(tolerance), 0
