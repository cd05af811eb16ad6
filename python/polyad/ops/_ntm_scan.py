"""Whole sequences of a Neural Turing Machine in one call."""

from __future__ import annotations

import math
import threading
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from polyad import _arrays as arrays
from polyad import _backend
from polyad._arrays import Array
from polyad._register import Op
from polyad.ops._ntm_piece import (
    MAX_WRITE_HEADS,
    SIMILARITIES,
    require_epsilon,
    require_similarity,
)

FLOATS = ("float32", "float64")
HEAD_ACTIVATIONS = ("linear", "tanh")
MOST_LAYERS = 8


class NTMState(NamedTuple):
    """What a Neural Turing Machine carries from one step to the next.

    With B sequences, a memory of N rows of width M, R read and W write heads, and an LSTM of L
    layers of H units; a feed-forward controller has L = 0 here.

    Attributes:
        memory: [B, N, M].
        reads: [B, R, M], what the read heads found at the last step.
        weights: [B, R + W, N], the weightings of the last step, read heads first.
        h: [L, B, H], hidden states.
        c: [L, B, H], cells.
    """

    memory: Array
    reads: Array
    weights: Array
    h: Array
    c: Array


class NTMParameters(NamedTuple):
    """The weights of controller, heads and output.

    G is 4 H for an LSTM (gates i, f, g, o, as torch.nn.LSTM orders them) and H for a feed-forward
    controller, P = (R + W)(M + 3 + S) + 2 W M. A row of head parameters holds, for every head, read
    heads first: key [M], beta, gate, kernel [S], gamma, and for a write head also erase [M] and add
    [M].

    Attributes:
        weight_ih: One a layer: [G, I + R M], whose columns are the input and then the reads; [G, H]
            for further layers.
        weight_hh: One a layer of an LSTM: [G, H]; none for a feed-forward controller.
        bias_ih: One a layer: [G].
        bias_hh: One a layer of an LSTM: [G]; none for a feed-forward controller.
        head_weight: [P, H].
        head_bias: [P].
        output_weight: [O, H + R M].
        output_bias: [O].
    """

    weight_ih: tuple[Array, ...]
    weight_hh: tuple[Array, ...]
    bias_ih: tuple[Array, ...]
    bias_hh: tuple[Array, ...]
    head_weight: Array
    head_bias: Array
    output_weight: Array
    output_bias: Array


class NTMTrace(NamedTuple):
    """What the heads did at every step; zeros after a sequence's end, not differentiable.

    Attributes:
        weights: [B, T, R + W, N], weightings, read heads first.
        reads: [B, T, R, M].
        heads: [B, T, P], the parameters of the heads after their activations, ordered as
            `NTMParameters` says.
        status: int32 [B]: 0, or 1 + the first step at which inputs, state, controller, reads or
            outputs are not finite.
    """

    weights: Array
    reads: Array
    heads: Array
    status: Array


class _Sizes(NamedTuple):
    """The sizes of a call, in the order in which the kernels take them, and what is kept."""

    batch: int
    steps: int
    inputs: int
    outputs: int
    hidden: int
    layers: int
    rows: int
    width: int
    reads: int
    writes: int
    shifts: int
    lstm: bool
    read_first: bool
    tanh_heads: bool
    similarity: int

    @property
    def heads(self) -> int:
        return self.reads + self.writes

    @property
    def head_outputs(self) -> int:
        return self.heads * (self.width + 3 + self.shifts) + 2 * self.writes * self.width

    @property
    def gates(self) -> int:
        return 4 * self.hidden if self.lstm else self.hidden

    def state_shapes(self, batch: int) -> list[tuple[int, ...]]:
        layers = self.layers if self.lstm else 0
        return [
            (batch, self.rows, self.width),
            (batch, self.reads, self.width),
            (batch, self.heads, self.rows),
            (layers, batch, self.hidden),
            (layers, batch, self.hidden),
        ]

    def parameter_shapes(self) -> list[tuple[int, ...]]:
        G, H, L, read = self.gates, self.hidden, self.layers, self.reads * self.width
        recurrent = L if self.lstm else 0
        return [
            (G, self.inputs + read),
            *[(G, H)] * (L - 1),
            *[(G, H)] * recurrent,
            *[(G,)] * L,
            *[(G,)] * recurrent,
            (self.head_outputs, H),
            (self.head_outputs,),
            (self.outputs, H + read),
            (self.outputs,),
        ]

    def tape(self, row_stride: int, checkpoints: int) -> list[tuple[int, ...]]:
        """The shapes of what forward keeps, in the order in which the kernels take it."""
        B, T, L, read = self.batch, self.steps, self.layers, self.reads * self.width
        return [
            (L, B, T, self.gates) if self.lstm else (0,),
            (L, B, T + 1, self.hidden) if self.lstm else (0,),
            (L, B, T + 1, self.hidden),
            (B, T, self.head_outputs),
            (B, T + 1, self.heads, self.rows),
            (B, T + 1, read),
            (B, checkpoints, self.width, row_stride),
        ]


def _sizes(
    inputs: Any,
    state: Any,
    parameters: Any,
    layers: int,
    read_first: bool,
    tanh_heads: bool,
    similarity: int,
) -> _Sizes:
    memory, reads, weights = state[0], state[1], state[2]
    head_weight, output_weight = parameters[-4], parameters[-2]
    R, K, M = reads.shape[1], weights.shape[1], memory.shape[2]
    return _Sizes(
        inputs.shape[0],
        inputs.shape[1],
        inputs.shape[2],
        output_weight.shape[0],
        head_weight.shape[1],
        layers,
        memory.shape[1],
        M,
        R,
        K - R,
        (head_weight.shape[0] - 2 * (K - R) * M) // K - M - 3,
        len(parameters) == 4 * layers + 4,
        read_first,
        tanh_heads,
        similarity,
    )


class _Call(NamedTuple):
    """What a call of given sizes needs; worked out once, as models call with the same sizes."""

    sizes: _Sizes
    numbers: list[int]  # the sizes as the kernels take them
    state: list[tuple[int, ...]]  # shapes
    shared_state: list[tuple[int, ...]]  # of one that all sequences begin with
    parameters: list[tuple[int, ...]]
    tape: list[tuple[int, ...]]
    starts: list[int]  # where the arrays of the tape begin
    tape_size: int
    stride: int  # steps between two checkpoints of the memory
    scratch: int
    backward_scratch: int
    threads: int


_LINE = 16
"""Arrays of a tape begin at multiples of this many elements, which are whole cache lines."""


def _laid_out(shapes: list[tuple[int, ...]]) -> tuple[list[int], int]:
    """Where the arrays of a tape begin, and its size; of symbolic sizes too."""
    starts, used = [], 0
    for shape in shapes:
        starts.append(used)
        used += -(-math.prod(shape) // _LINE) * _LINE
    return starts, used


@lru_cache(maxsize=256)
def _call(sizes: _Sizes, is_double: bool, on_cpu: bool, threads: int) -> _Call:
    module = _backend.cpu if on_cpu else _backend.cuda()
    numbers = [int(n) for n in sizes]
    row_stride, stride, scratch, backward_scratch = module.ntm_scan_sizes(
        numbers, threads, is_double
    )
    tape = sizes.tape(row_stride, -(-sizes.steps // stride))
    starts, used = _laid_out(tape)
    return _Call(
        sizes,
        numbers,
        sizes.state_shapes(sizes.batch),
        sizes.state_shapes(1),
        sizes.parameter_shapes(),
        tape,
        starts,
        used,
        stride,
        scratch,
        backward_scratch,
        threads,
    )


def _call_of(inputs: Any, state: Any, parameters: Any, *options: Any) -> _Call:
    sizes = _sizes(inputs, state, parameters, *options)
    is_double = arrays.dtype_name(inputs) == "float64"
    return _call(sizes, is_double, arrays.on_cpu(inputs), _backend.cpu.get_num_threads())


def _addresses(tape: Any, call: _Call) -> list[int]:
    """Of the arrays of a tape; 0 for those that a feed-forward controller lacks."""
    base, size = arrays.address(tape), 8 if arrays.dtype_name(tape) == "float64" else 4
    return [
        base + size * start if shape[0] else 0
        for start, shape in zip(call.starts, call.tape, strict=True)
    ]


class _Scratch(threading.local):
    """What kernels work in on the CPU, kept for the next call of the same thread.

    Fresh memory of this size comes from the system page by page, which took a fifth of the time of
    a batch of 16.
    """

    kept: Any = None  # uint8

    def of(self, template: Any, elements: int, dtype: str) -> Array:
        size = elements * (8 if dtype == "float64" else 4)
        if not arrays.on_cpu(template) or size > MOST_KEPT:
            return arrays.empty(template, (elements,), dtype)
        if self.kept is None or len(self.kept) < size:
            self.kept = arrays.empty(np.empty(0), (size,), "uint8")
        return self.kept


MOST_KEPT = 64 << 20
"""Bytes of scratch that a thread keeps at the most."""

_scratch = _Scratch()


def _allocator(template: Any, dtype: str) -> Any:
    """What makes uninitialised arrays of one dtype: torch's own method where it serves."""
    if arrays.is_numpy(template):
        return lambda shape: arrays.empty(template, shape, dtype)
    return template.new_empty


def _scan(
    inputs: Array,
    state: list[Array],
    parameters: list[Array],
    lengths: Array | None,
    layers: int,
    read_first: bool,
    tanh_heads: bool,
    similarity: int,
    epsilon: float,
    keep: bool,
) -> tuple[Array, ...]:
    call = _call_of(inputs, state, parameters, layers, read_first, tanh_heads, similarity)
    sizes, dtype = call.sizes, arrays.dtype_name(inputs)
    new = _allocator(inputs, dtype)
    outputs = new((sizes.batch, sizes.steps, sizes.outputs))
    last = [new(shape) for shape in call.state]
    status = arrays.empty(inputs, (sizes.batch,), "int32")
    tape = new((call.tape_size if keep else 0,))
    if sizes.batch:
        arrays.run(
            f"ntm_scan_{dtype}",
            inputs,
            call.numbers,
            epsilon,
            arrays.contiguous(inputs),
            lengths,
            [arrays.contiguous(p) for p in parameters],
            [arrays.broadcast(s, shape) for s, shape in zip(state, call.state, strict=True)],
            outputs,
            last,
            status,
            _addresses(tape, call) if keep else [0] * len(call.tape),
            call.stride,
            _scratch.of(inputs, call.scratch, dtype),
            call.threads,
        )
    return (outputs, *last, status, tape)


def _fake_tape_size(inputs: Any, sizes: _Sizes) -> int:
    """The size of the tape, where sizes may be symbolic.

    The numbers that its layout needs hold for all batches and lengths, so that one compiled
    function serves them.
    """
    is_double, on_cpu = arrays.dtype_name(inputs) == "float64", inputs.device.type != "cuda"
    known = sizes._replace(batch=1, steps=1)
    call = _call(_Sizes._make(int(n) for n in known), is_double, on_cpu, 1)
    row_stride = call.tape[-1][-1]
    return _laid_out(sizes.tape(row_stride, -(-sizes.steps // call.stride)))[1]


def _scan_fake(
    inputs: Any,
    state: Any,
    parameters: Any,
    lengths: Any,
    layers: int,
    read_first: bool,
    tanh_heads: bool,
    similarity: int,
    epsilon: float,
    keep: bool,
) -> Any:
    import torch

    sizes = _sizes(inputs, state, parameters, layers, read_first, tanh_heads, similarity)
    kept = _fake_tape_size(inputs, sizes) if keep else 0
    return (
        inputs.new_empty((sizes.batch, sizes.steps, sizes.outputs)),
        *(inputs.new_empty(shape) for shape in sizes.state_shapes(sizes.batch)),
        inputs.new_empty((sizes.batch,), dtype=torch.int32),
        inputs.new_empty((kept,)),
    )


def _scan_backward(
    inputs: Array,
    state: list[Array],
    parameters: list[Array],
    lengths: Array | None,
    layers: int,
    read_first: bool,
    tanh_heads: bool,
    similarity: int,
    epsilon: float,
    tape: Array,
    grad_outputs: Array,
    grad_last: list[Array | None],
    wanted: list[bool],
) -> tuple[Array, list[Array], list[Array]]:
    call = _call_of(inputs, state, parameters, layers, read_first, tanh_heads, similarity)
    dtype = arrays.dtype_name(inputs)
    if tape.shape[0] != call.tape_size:
        raise RuntimeError("polyad::ntm_scan_backward: expected a forward pass with keep")
    new = _allocator(inputs, dtype)
    grad_inputs = new(inputs.shape if wanted[0] else (0,))
    grad_state = [
        new(shape) if want else None for shape, want in zip(call.state, wanted[1:], strict=True)
    ]
    grad_parameters = [new(shape) for shape in call.parameters]
    if call.sizes.batch == 0:
        for grad in grad_parameters:
            grad[:] = 0
        return grad_inputs, _wanted_of(grad_state, state), grad_parameters
    arrays.run(
        f"ntm_scan_backward_{dtype}",
        inputs,
        call.numbers,
        epsilon,
        arrays.contiguous(inputs),
        lengths,
        [arrays.contiguous(p) for p in parameters],
        _addresses(tape, call),
        call.stride,
        arrays.contiguous(grad_outputs),
        [None if grad is None else arrays.contiguous(grad) for grad in grad_last],
        grad_inputs if wanted[0] else None,
        grad_state,
        grad_parameters,
        _scratch.of(inputs, call.backward_scratch, dtype),
        call.threads,
    )
    return grad_inputs, _wanted_of(grad_state, state), grad_parameters


def _wanted_of(grads: list[Array | None], state: list[Array]) -> list[Array]:
    """The wanted gradients of a state, summed over the batch if all sequences share it."""
    result = []
    for grad, x, axis in zip(grads, state, (0, 0, 0, 1, 1), strict=True):
        if grad is None:
            continue
        if grad.shape != x.shape:
            grad = grad.sum(axis)[None] if axis == 0 else grad.sum(axis)[:, None]
        result.append(grad)
    return result


def _scan_backward_fake(inputs: Any, state: Any, parameters: Any, *rest: Any) -> Any:
    sizes, wanted = _sizes(inputs, state, parameters, *rest[1:5]), rest[-1]
    return (
        inputs.new_empty(inputs.shape if wanted[0] else (0,)),
        [inputs.new_empty(x.shape) for x, want in zip(state, wanted[1:], strict=True) if want],
        [inputs.new_empty(shape) for shape in sizes.parameter_shapes()],
    )


def _save_for_scan(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    x, state, parameters, lengths, *options = inputs
    tape, status = output[7], output[6]
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(status, tape)
    ctx.options, ctx.counts = options[:-1], (len(state), len(parameters))
    ctx.save_for_backward(x, tape, lengths, *state, *parameters)


def _scan_gradient(ctx: Any, grad_outputs: Any, *grad_rest: Any) -> Any:
    x, tape, lengths, *rest = ctx.saved_tensors
    state, parameters = rest[: ctx.counts[0]], rest[ctx.counts[0] :]
    if grad_outputs is None:
        grad_outputs = x.new_zeros((*x.shape[:2], parameters[-2].shape[0]))
    wanted = list(ctx.needs_input_grad[:6])
    grad_inputs, grad_state, grad_parameters = scan_backward_op(
        x,
        state,
        parameters,
        lengths,
        *ctx.options,
        tape,
        grad_outputs,
        list(grad_rest[:5]),
        wanted,
    )
    of_state = iter(grad_state)  # the wanted ones
    return (
        grad_inputs if wanted[0] else None,
        [next(of_state) if want else None for want in wanted[1:]],
        grad_parameters,
        *[None] * 7,
    )


_CALL = (
    "Tensor inputs, Tensor[] state, Tensor[] parameters, Tensor? lengths, int layers, "
    "bool read_first, bool tanh_heads, int similarity, float epsilon"
)
scan_op = Op(
    f"ntm_scan({_CALL}, bool keep) -> "
    "(Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
    _scan,
    _scan_fake,
    setup_context=_save_for_scan,
    backward=_scan_gradient,
)
scan_backward_op = Op(
    f"ntm_scan_backward({_CALL}, Tensor tape, Tensor grad_outputs, Tensor?[] grad_last, "
    "bool[] wanted) -> (Tensor, Tensor[], Tensor[])",
    _scan_backward,
    _scan_backward_fake,
    no_gradient="scan has no second derivative here; detach the first",
)


def check_options(similarity: Any, head_activation: Any, epsilon: Any) -> None:
    """Raise for an option of `scan` that it does not know."""
    require_similarity(similarity)
    require_epsilon(epsilon)
    if head_activation not in HEAD_ACTIVATIONS:
        raise ValueError(f"head_activation: expected 'linear' or 'tanh', got {head_activation!r}")


def _check(inputs: Any, state: NTMState, parameters: NTMParameters, layers: int) -> None:
    """Raise for the first array that is not as `scan` says."""
    arrays.require_array("inputs", inputs)
    arrays.require_dtype("inputs", inputs, FLOATS)
    arrays.require_shape("inputs", inputs, "B T I", (None, None, None))
    if inputs.shape[1] < 1:
        raise ValueError(
            f"inputs: expected at least one step, got [B, T, I] = {list(inputs.shape)}"
        )
    if not 1 <= layers <= MOST_LAYERS:
        raise ValueError(f"weight_ih: expected 1 .. {MOST_LAYERS} layers, got {layers}")
    lstm = len(parameters.weight_hh) > 0
    for name, expected in (
        ("weight_hh", layers if lstm else 0),
        ("bias_ih", layers),
        ("bias_hh", layers if lstm else 0),
    ):
        if len(getattr(parameters, name)) != expected:
            raise ValueError(
                f"{name}: expected {expected} tensors for {layers} layers, "
                f"got {len(getattr(parameters, name))}"
            )
    named = [
        *(("state." + name, getattr(state, name)) for name in NTMState._fields),
        *_named_parameters(parameters),
    ]
    for name, x in named:
        arrays.require_array(name, x)
        arrays.require_dtype(name, x, (arrays.dtype_name(inputs),))
        arrays.require_alike(name, x, "inputs", inputs)
    B, features = inputs.shape[0], inputs.shape[2]
    arrays.require_shape("state.memory", state.memory, "B N M", (None, None, None))
    if state.memory.shape[0] not in (1, B):
        raise ValueError(
            f"state.memory: expected [B, N, M] with B = {B} as inputs has, or 1 for a state that "
            f"all sequences share, got {list(state.memory.shape)}"
        )
    of_state = state.memory.shape[0]
    N, M = state.memory.shape[1:]
    arrays.require_shape("state.reads", state.reads, "B R M", (of_state, None, M))
    R = state.reads.shape[1]
    arrays.require_shape("state.weights", state.weights, "B R+W N", (of_state, None, N))
    K = state.weights.shape[1]
    if N < 1 or M < 1:
        raise ValueError(
            f"state.memory: expected at least one row and one column, got [N, M] = [{N}, {M}]"
        )
    if R < 1 or not 1 <= K - R <= MAX_WRITE_HEADS:
        raise ValueError(
            f"state.weights: expected at least one read head and 1 .. {MAX_WRITE_HEADS} write "
            f"heads, got {R} and {K - R}"
        )
    arrays.require_shape("head_weight", parameters.head_weight, "P H", (None, None))
    P, H = parameters.head_weight.shape
    width, left = divmod(P - 2 * (K - R) * M, K)
    S = width - M - 3
    if left or S < 1 or S % 2 == 0:
        raise ValueError(
            f"head_weight: expected P = (R + W)(M + 3 + S) + 2 W M rows for R = {R}, W = {K - R}, "
            f"M = {M} and an odd width S of shifts, got {P}"
        )
    if H < 1:
        raise ValueError("head_weight: expected at least one hidden unit, got [P, H] = [P, 0]")
    arrays.require_shape("output_weight", parameters.output_weight, "O H+RM", (None, H + R * M))
    outputs = parameters.output_weight.shape[0]
    sizes = _Sizes(
        B, inputs.shape[1], features, outputs, H, layers, N, M, R, K - R, S, lstm, False, False, 0
    )
    letters = {1: "G", 2: "G H", 3: "L B H"}
    own_letters = {"weight_ih[0]": "G I+RM", "head_bias": "P", "output_bias": "O"}
    for (name, x), shape in zip(
        named, [*sizes.state_shapes(of_state), *sizes.parameter_shapes()], strict=True
    ):
        arrays.require_shape(name, x, own_letters.get(name, letters[len(shape)]), shape)


def _is_right(inputs: Any, state: Any, parameters: list[Any], layers: int) -> bool:
    """Whether all arrays are as `scan` says: the checks of `_check` in a tenth of the time."""
    if arrays.is_compiling():
        return False  # a cache and native calls, which cannot be traced
    try:
        sizes = _sizes(inputs, state, parameters, layers, False, False, 0)
        if not (
            len(inputs.shape) == 3
            and sizes.steps >= 1
            and 1 <= layers <= MOST_LAYERS
            and min(sizes.rows, sizes.width, sizes.reads, sizes.hidden, sizes.shifts) >= 1
            and 1 <= sizes.writes <= MAX_WRITE_HEADS
            and sizes.shifts % 2 == 1
            and arrays.dtype_name(inputs) in FLOATS
        ):
            return False
        call = _call_of(inputs, state, parameters, layers, False, False, 0)
        dtype, numpy = inputs.dtype, arrays.is_numpy(inputs)
        shared = state[0].shape[0] == 1
        shapes = call.shared_state if shared else call.state
        for x, shape in zip((*state, *parameters), (*shapes, *call.parameters), strict=True):
            if x.shape != shape or x.dtype != dtype or arrays.is_numpy(x) != numpy:
                return False
            if not numpy and x.device != inputs.device:
                return False
    except (AttributeError, IndexError, TypeError, ValueError, ZeroDivisionError, RuntimeError):
        return False  # a RuntimeError: for a device without kernels
    return True


def _named_parameters(parameters: NTMParameters) -> list[tuple[str, Array]]:
    named = []
    for name, value in zip(NTMParameters._fields, parameters, strict=True):
        if isinstance(value, tuple | list):
            named += [(f"{name}[{layer}]", x) for layer, x in enumerate(value)]
        else:
            named.append((name, value))
    return named


def _check_lengths(lengths: Any, inputs: Any) -> None:
    arrays.require_array("lengths", lengths)
    arrays.require_alike("lengths", lengths, "inputs", inputs)
    arrays.require_dtype("lengths", lengths, ("int64",))
    arrays.require_shape("lengths", lengths, "B", (inputs.shape[0],))
    if not arrays.checks_values(lengths) or not len(lengths):
        return
    low, high, steps = int(lengths.min()), int(lengths.max()), inputs.shape[1]
    if low < 1 or high > steps:
        bad = low if low < 1 else high
        where = int((arrays.to_numpy(lengths) == bad).argmax())
        raise ValueError(f"lengths: expected 1 .. T = {steps}, got {bad} for sequence {where}")


class NotFiniteError(FloatingPointError):
    """A sequence ran into infinity or NaN; the message names the quantity, sequence and step."""


def _raise_not_finite(
    status: Any, inputs: Any, state: NTMState, parameters: NTMParameters, lengths: Any
) -> None:
    each = arrays.to_numpy(status)
    sequence = int(np.flatnonzero(each)[0])
    step = int(each[sequence]) - 1
    quantity = "controller, memory or outputs (they overflowed: weights or inputs are too large)"
    named = [
        (f"inputs[{sequence}, {step}]", inputs[sequence, step]),
        *((f"state.{name}", x) for name, x in zip(NTMState._fields, state, strict=True)),
        *_named_parameters(parameters),
    ]
    for name, x in named:
        if not np.isfinite(arrays.to_numpy(x)).all():
            quantity = name
            break
    raise NotFiniteError(f"scan: sequence {sequence}, step {step}: not finite: {quantity}")


def scan(
    inputs: Array,
    state: NTMState,
    parameters: NTMParameters,
    *,
    lengths: Array | None = None,
    read_first: bool = False,
    head_activation: str = "linear",
    similarity: str = "root",
    epsilon: float = 1e-6,
    trace: bool = False,
) -> Any:
    """Run whole sequences through a Neural Turing Machine; differentiable.

    a_t = controller(W_ih [x_t, r_(t-1)] + b_ih, state),  p_t = W_head h_t + b_head,
    w_t = addressing(M_(t-1), w_(t-1), p_t),
    M_t = M_(t-1) prod_h (1 - w_h e_h^T) + sum_h w_h a_h^T,  r_t = w_t M_t,
    y_t = W_out [h_t, r_t] + b_out

    The controller is an LSTM, or tanh layers where ``parameters.weight_hh`` is empty. Of the head
    parameters p, beta = softplus, gate = sigmoid, kernel = softmax, gamma = 1 + softplus and erase
    = sigmoid. All heads address the memory before the step. Gradients reach inputs, state and
    parameters, also through the returned state.

    Args:
        inputs: float32 or float64 [B, T, I], T >= 1.
        state: Where to begin; of batch size 1 if all sequences begin alike.
        parameters: The weights; sizes of heads and layers follow from their shapes.
        lengths: int64 [B] in 1 .. T: steps of each sequence; None: T. Afterwards outputs are zero
            and the state rests.
        read_first: Read from M_(t-1), not from M_t.
        head_activation: Of keys and adds: 'linear' or 'tanh'.
        similarity: 'root' or 'sum', as for `content`.
        epsilon: As for `content`; positive.
        trace: Also return what the heads did.

    Returns:
        (outputs [B, T, O], state), and an `NTMTrace` if ``trace``.

    Raises:
        TypeError: A wrong kind or dtype.
        ValueError: A wrong shape, device or value; a length below 1 or beyond T.
        NotFiniteError: On the CPU, if a sequence runs into infinity or NaN; on CUDA ``status`` of
            the trace says so.

    Source: Graves, Wayne and Danihelka (2014), Neural Turing Machines, equations 1 to 9.
    """
    layers = len(parameters.weight_ih)
    check_options(similarity, head_activation, epsilon)
    flat = [
        *(x for group in parameters[:4] for x in group),
        *parameters[4:],
    ]
    if not _is_right(inputs, state, flat, layers):
        _check(inputs, state, parameters, layers)
    if lengths is not None:
        _check_lengths(lengths, inputs)
        lengths = arrays.contiguous(lengths)
    keep = trace or _wants_gradient(inputs, state, flat)
    outputs, memory, reads, weights, h, c, status, tape = scan_op(
        inputs,
        list(state),
        flat,
        lengths,
        layers,
        read_first,
        head_activation == "tanh",
        SIMILARITIES.index(similarity),
        float(epsilon),
        keep,
    )
    if arrays.checks_values(status) and any(status.tolist()):
        _raise_not_finite(status, inputs, state, parameters, lengths)
    after = NTMState(memory, reads, weights, h, c)
    if not trace:
        return outputs, after
    return outputs, after, _trace(inputs, state, flat, layers, status, tape)


def _wants_gradient(inputs: Any, state: NTMState, parameters: list[Any]) -> bool:
    if arrays.is_numpy(inputs):
        return False
    import torch

    return torch.is_grad_enabled() and any(x.requires_grad for x in (inputs, *state, *parameters))


def _trace(
    inputs: Any, state: NTMState, parameters: list[Any], layers: int, status: Any, tape: Any
) -> NTMTrace:
    sizes = _sizes(inputs, state, parameters, layers, False, False, 0)
    shapes = sizes.tape(0, 0)  # the checkpoints of the memory come last
    starts, _ = _laid_out(shapes)

    def piece(index: int) -> Any:
        shape, start = shapes[index], starts[index]
        return tape[start : start + math.prod(shape)].reshape(shape)

    reads = piece(5)[:, 1:]
    reads = reads.reshape(sizes.batch, sizes.steps, sizes.reads, sizes.width)
    return NTMTrace(piece(4)[:, 1:], reads, piece(3), status)
