"""Random Neural Turing Machines for the tests of scan, and their runs beside the reference."""

from typing import Any, NamedTuple

import numpy as np
import torch
from ntm_cases import get, put

import polyad
from polyad._register import register_ops
from polyad.ops import ntm as ops
from polyad.ops.ntm import NTMParameters, NTMState
from polyad.reference import ntm as reference

register_ops()  # before a test asks torch for an op by name


def one_thread():
    """The body of a fixture: what threads do has a test of its own."""
    polyad.set_num_threads(1)
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # the reference: many small operations
    yield
    torch.set_num_threads(before)


class Problem(NamedTuple):
    """Arguments of scan as numpy arrays."""

    inputs: Any
    state: NTMState
    parameters: NTMParameters
    lengths: Any = None

    def flat(self):
        """The arrays that have a gradient: inputs, state, parameters in the order of the op."""
        return flattened(self.inputs, self.state, self.parameters)

    def rebuilt(self, flat):
        """The same structure around other arrays."""
        flat = list(flat)
        inputs, state = flat.pop(0), NTMState(*(flat.pop(0) for _ in NTMState._fields))
        layered = [tuple(flat.pop(0) for _ in group) for group in self.parameters[:4]]
        return Problem(inputs, state, NTMParameters(*layered, *flat), self.lengths)

    def part(self, first, end):
        """Sequences first .. end - 1, each cut at the longest length among them."""
        lengths = None if self.lengths is None else self.lengths[first:end]
        steps = self.inputs.shape[1] if lengths is None else int(lengths.max())
        state = NTMState(
            *(x[first:end] for x in self.state[:3]), *(x[:, first:end] for x in self.state[3:])
        )
        return Problem(self.inputs[first:end, :steps], state, self.parameters, lengths)


def flattened(inputs, state, parameters):
    return [inputs, *state, *(x for group in parameters[:4] for x in group), *parameters[4:]]


SIZES = {
    "B": 2, "T": 5, "I": 3, "O": 2, "H": 5, "L": 1, "N": 7, "M": 4, "R": 1, "W": 1, "S": 3,
}  # fmt: skip


def draw(rng, lstm=True, dtype="float64", lengths=False, **sizes):
    """A problem with weights at which every part of the machine moves."""
    B, T, features, outputs, H, L, N, M, R, W, S = (sizes.get(k, SIZES[k]) for k in SIZES)
    G, P = (4 if lstm else 1) * H, (R + W) * (M + 3 + S) + 2 * W * M

    def normal(scale, *shape):
        return (scale * rng.standard_normal(shape)).astype(dtype)

    def softmax(*shape):
        e = np.exp(rng.standard_normal(shape))
        return (e / e.sum(-1, keepdims=True)).astype(dtype)

    recurrent = L if lstm else 0
    parameters = NTMParameters(
        tuple(normal(0.4, G, H if layer else features + R * M) for layer in range(L)),
        tuple(normal(0.4, G, H) for _ in range(recurrent)),
        tuple(normal(0.4, G) for _ in range(L)),
        tuple(normal(0.4, G) for _ in range(recurrent)),
        normal(0.5, P, H),
        normal(0.5, P),
        normal(0.5, outputs, H + R * M),
        normal(0.5, outputs),
    )
    state = NTMState(
        normal(1, B, N, M),
        normal(1, B, R, M),
        softmax(B, R + W, N),
        normal(0.5, recurrent, B, H),
        normal(0.5, recurrent, B, H),
    )
    steps = rng.integers(1, T + 1, B) if lengths else None
    return Problem(normal(1, B, T, features), state, parameters, steps)


def on(problem, kind, grad=True):
    """The problem as leaves of torch (or as it is, for numpy)."""
    if kind == "numpy":
        return problem
    leaves = [put(x, kind).clone() for x in problem.flat()]
    if grad:
        leaves = [x.requires_grad_() for x in leaves]
    lengths = None if problem.lengths is None else put(problem.lengths, kind)
    return problem.rebuilt(leaves)._replace(lengths=lengths)


def call(problem, module=ops, **options):
    """(outputs, *state)."""
    outputs, state = module.scan(
        problem.inputs, problem.state, problem.parameters, lengths=problem.lengths, **options
    )
    return [outputs, *state]


def random_grads(rng, problem):
    """Gradients of outputs and state."""
    B, T = problem.inputs.shape[:2]
    shapes = [(B, T, len(problem.parameters.output_bias)), *(x.shape for x in problem.state)]
    return [torch.from_numpy(rng.standard_normal(shape)) for shape in shapes]


def with_gradients(problem, grads, module=ops, **options):
    """Outputs, state, then the gradients of inputs, state and parameters; ``problem`` has leaves."""
    results = call(problem, module, **options)
    grads = [g.to(x.device, x.dtype) for g, x in zip(grads, results, strict=True)]
    return [*results, *torch.autograd.grad(results, problem.flat(), grads)]


def wanted(problem, grads, **options):
    """The same by autograd of the reference, in float64."""
    double = problem.rebuilt([np.asarray(x, np.float64) for x in problem.flat()])
    return with_gradients(on(double, "torch"), grads, reference, **options)


def labels(problem):
    """Names of what `with_gradients` returns."""
    layered = [
        f"{name}[{layer}]"
        for name, group in zip(NTMParameters._fields[:4], problem.parameters[:4], strict=True)
        for layer in range(len(group))
    ]
    leaves = ["inputs", *NTMState._fields, *layered, *NTMParameters._fields[4:]]
    return ["outputs", *NTMState._fields, *(f"gradient of {name}" for name in leaves)]


def expect_relative(got, want, tolerance, names):
    """Each array within ``tolerance`` of the wanted one, relative to its largest element."""
    for name, ours, theirs in zip(names, got, want, strict=True):
        ours, theirs = (np.asarray(get(x), np.float64) for x in (ours, theirs))
        assert ours.shape == theirs.shape, name
        error = np.abs(ours - theirs).max(initial=0)
        bound = tolerance * np.abs(theirs).max(initial=0)
        assert error <= bound, f"{name}: off by {error:.3g}, allowed {bound:.3g}"


def expect_same_bits(got, want, names):
    for name, ours, theirs in zip(names, got, want, strict=True):
        assert get(ours).tobytes() == get(theirs).tobytes(), name


def spoiled(problem, field, value=np.nan, at=0):
    """The problem with one number of one array changed."""
    flat = [x.copy() for x in problem.flat()]
    names = [label.removeprefix("gradient of ") for label in labels(problem)[6:]]
    flat[names.index(field)].flat[at] = value
    return problem.rebuilt(flat)
