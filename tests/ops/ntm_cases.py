"""Random heads and memories for the tests of the ntm ops, and comparisons with the reference."""

import numpy as np
import pytest
import torch

import polyad
from polyad.ops import ntm as ops
from polyad.reference import ntm as reference

KINDS = ["numpy", "torch", pytest.param("cuda", marks=pytest.mark.cuda)]
TORCH_KINDS = ["torch", pytest.param("cuda", marks=pytest.mark.cuda)]
INPUTS = {
    "content": ("memory", "key", "beta"),
    "interpolate": ("content", "previous", "gate"),
    "shift": ("weights", "kernel"),
    "sharpen": ("weights", "gamma"),
    "addressing": ("memory", "previous", "key", "beta", "gate", "kernel", "gamma"),
    "read": ("memory", "weights"),
    "write": ("memory", "weights", "erase", "add"),
}
EPS = {"float32": 2.0**-23, "float64": 2.0**-52}


@pytest.fixture
def one_thread():
    """Tiny arrays: threads only wait for each other. What threads do has a test of its own."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    polyad.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def put(array, kind):
    """A numpy array as the kind that the test asks for."""
    if kind == "numpy":
        return array
    return torch.from_numpy(np.ascontiguousarray(array)).to("cuda" if kind == "cuda" else "cpu")


def get(array):
    """A numpy array, whatever the kind."""
    return array if isinstance(array, np.ndarray) else array.detach().cpu().numpy()


def draw(rng, op, B=2, N=17, M=5, H=2, S=3, dtype="float64"):
    """The inputs of an op, in its order. Keys and rows stay away from zero, where errors grow."""

    def softmax(*shape):
        e = np.exp(rng.standard_normal(shape))
        return e / e.sum(-1, keepdims=True)

    def away(*shape):
        return rng.choice([-1.0, 1.0], shape) * (0.3 + np.abs(rng.standard_normal(shape)))

    makers = {
        "memory": lambda: away(B, N, M),
        "content": lambda: softmax(B, H, N),
        "previous": lambda: softmax(B, H, N),
        "weights": lambda: softmax(B, H, N),
        "key": lambda: away(B, H, M),
        "erase": lambda: rng.uniform(0.1, 0.9, (B, H, M)),
        "add": lambda: away(B, H, M),
        "beta": lambda: rng.uniform(0.1, 8, (B, H)),
        "gate": lambda: rng.uniform(0.1, 0.9, (B, H)),
        "gamma": lambda: rng.uniform(1.1, 6, (B, H)),
        "kernel": lambda: softmax(B, H, S),
    }
    return [makers[name]().astype(dtype) for name in INPUTS[op]]


def options(op, similarity="root"):
    """The keyword arguments of an op."""
    return {"similarity": similarity} if op in ("content", "addressing") else {}


def leaves(inputs, kind="torch"):
    return [put(x, kind).clone().requires_grad_() for x in inputs]


def with_gradients(module, op, tensors, grad, **keywords):
    """Output and gradients of all inputs."""
    out = getattr(module, op)(*tensors, **keywords)
    return [out, *torch.autograd.grad(out, tensors, grad.to(out.device, out.dtype))]


def wanted(op, inputs, grad, **keywords):
    """Output and gradients by autograd of the reference, in float64."""
    tensors = leaves([np.asarray(get(x), np.float64) for x in inputs])
    return with_gradients(reference, op, tensors, grad, **keywords)


def output_shape(op, inputs):
    return tuple(getattr(reference, op)(*(torch.from_numpy(x) for x in inputs)).shape)


def expect_near(got, want, tolerance, label=""):
    """Each array within ``tolerance`` of the wanted one, relative to 1 + its largest element."""
    for place, (ours, theirs) in enumerate(zip(got, want, strict=True)):
        ours, theirs = (np.asarray(get(x), np.float64) for x in (ours, theirs))
        assert ours.shape == theirs.shape
        error = np.abs(ours - theirs).max(initial=0)
        bound = tolerance * (1 + np.abs(theirs).max(initial=0))
        assert error <= bound, f"{label} array {place}: off by {error}, allowed {bound}"


def random_grad(rng, op, inputs):
    return torch.from_numpy(rng.standard_normal(output_shape(op, inputs)))


def expect_reference(rng, op, kind, inputs, tolerance, **keywords):
    """Value and, for tensors, gradients equal the reference's."""
    grad, label = random_grad(rng, op, inputs), f"{op} {[x.shape for x in inputs]}"
    want = wanted(op, inputs, grad, **keywords)
    if kind == "numpy":
        got = [getattr(ops, op)(*inputs, **keywords)]
        assert isinstance(got[0], np.ndarray)
        want = want[:1]
    else:
        got = with_gradients(ops, op, leaves(inputs, kind), grad, **keywords)
    assert got[0].dtype == put(inputs[0], kind).dtype
    expect_near(got, want, tolerance, label)


def native(op, backward=False):
    """The op as torch knows it."""
    return getattr(torch.ops.polyad, f"ntm_{op}{'_backward' if backward else ''}").default


def native_options(op):
    return (1e-6, 0) if op in ("content", "addressing") else ()
