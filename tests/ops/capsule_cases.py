"""Random capsules for the tests of routing, and their runs beside the reference."""

import functools

import numpy as np
import torch
from ntm_cases import get, put

from polyad.ops import capsule as ops
from polyad.reference import capsule as reference

TOLERANCE = {"float32": 1e-5, "float64": 1e-9}
ALL = ("bias", "logits")


def draw(
    rng,
    B=3,
    I=7,  # noqa: E741
    J=4,
    D=5,
    K=3,
    *,
    types=0,
    votes=False,
    given=ALL,
    dtype="float64",
    size=1.0,
):
    """Inputs of routing by name; votes of about unit length, so that agreement moves couplings.

    With ``types`` weights are shared: capsule_type is unsorted and leaves out the last type where
    there are three or more.
    """

    def normal(scale, *shape):
        return (scale * rng.standard_normal(shape)).astype(dtype)

    if votes:
        inputs = {"votes": normal(size, B, I, J, D)}
    else:
        inputs = {"u": normal(1, B, I, K), "weight": normal(size / K**0.5, types or I, J, D, K)}
    if "bias" in given:
        inputs["bias"] = normal(0.3, J, D)
    if "logits" in given:
        inputs["logits"] = normal(0.7, I, J)
    if types:
        inputs["capsule_type"] = rng.integers(0, max(1, types - (types > 2)), I).astype(np.int32)
    return inputs


def floating(inputs):
    """The names of inputs that have a gradient."""
    return [name for name in inputs if name != "capsule_type"]


def on(inputs, kind, grad=True):
    """The inputs as leaves of torch (or as they are, for numpy)."""
    if kind == "numpy":
        return dict(inputs)
    tensors = {name: put(x, kind).clone() for name, x in inputs.items()}
    if grad:
        for name in floating(tensors):
            tensors[name].requires_grad_()
    return tensors


def call(inputs, module=ops, *, couplings=False, **options):
    """What routing, routing_with_couplings or routing_votes gives, as a list."""
    if "votes" in inputs:
        return [module.routing_votes(**inputs, **options)]
    if couplings:
        return list(module.routing_with_couplings(**inputs, **options))
    return [module.routing(**inputs, **options)]


def output_shape(inputs):
    if "votes" in inputs:
        B, _, J, D = inputs["votes"].shape
        return B, J, D
    return (inputs["u"].shape[0], *inputs["weight"].shape[1:3])


def random_grad(rng, inputs):
    return torch.from_numpy(rng.standard_normal(output_shape(inputs)))


def with_gradients(inputs, grad, module=ops, **options):
    """Output, then the gradients of all inputs that are leaves, by name."""
    results = call(inputs, module, **options)
    leaves = {name: x for name, x in inputs.items() if x.requires_grad}
    grads = torch.autograd.grad(
        results[0], list(leaves.values()), grad.to(results[0].device, results[0].dtype)
    )
    named = dict(zip(("v", "c"), results, strict=False))
    return named | {f"grad_{name}": g for name, g in zip(leaves, grads, strict=True)}


def cast(inputs, dtype):
    """The inputs in another dtype."""
    return {name: x if name == "capsule_type" else x.astype(dtype) for name, x in inputs.items()}


def wanted(inputs, grad, **options):
    """The same by autograd of the reference, in float64 of the numbers given."""
    return with_gradients(on(cast(inputs, "float64"), "torch"), grad, reference, **options)


def expect_relative(got, want, tolerance, label=""):
    """Each array within ``tolerance`` of the wanted one, relative to its largest element."""
    assert list(got) == list(want), label
    for name in want:
        ours, theirs = (np.asarray(get(x), np.float64) for x in (got[name], want[name]))
        assert ours.shape == theirs.shape, f"{label} {name}"
        error = np.abs(ours - theirs).max(initial=0)
        largest = np.abs(theirs).max(initial=0)
        # a gradient that cancels (of logits where J is 1) is compared with what cancels in it
        bound = tolerance * max(largest, 1e-3 if name == "grad_logits" else 0)
        assert error <= bound, f"{label} {name}: off by {error:.3g}, allowed {bound:.3g}"


def expect_same_bits(got, want, label=""):
    assert list(got) == list(want), label
    for name in want:
        ours, theirs = get(got[name]), get(want[name])
        assert ours.dtype == theirs.dtype, f"{label} {name}"
        assert ours.tobytes() == theirs.tobytes(), f"{label} {name}"


def expect_reference(rng, inputs, kind="torch", tolerance=None, **options):
    """Value and, for tensors, gradients equal the reference's."""
    grad = random_grad(rng, inputs)
    dtype = str(next(iter(inputs.values())).dtype)
    tolerance = tolerance or TOLERANCE[dtype]
    label = f"{ {name: x.shape for name, x in inputs.items()} } {options}"
    want = wanted(inputs, grad, **options)
    if kind == "numpy":
        got = dict(zip(("v", "c"), call(inputs, **options), strict=False))
        assert all(isinstance(x, np.ndarray) and x.dtype == dtype for x in got.values()), label
        want = {name: want[name] for name in got}
    else:
        got = with_gradients(on(inputs, kind), grad, **options)
        assert {str(x.dtype) for x in got.values()} == {f"torch.{dtype}"}, label
    expect_relative(got, want, tolerance, label)


def errors_beside_eager(rng, inputs, kind, **options):
    """By name: our errors, those of the reference in float32, and the unit of rounding."""
    grad = random_grad(rng, inputs)
    ours = with_gradients(on(inputs, kind), grad, **options)
    eager = with_gradients(on(inputs, "torch"), grad, reference, **options)
    for name, right in wanted(inputs, grad, **options).items():
        right = get(right)
        mine, theirs = (np.abs(get(x[name]).astype(np.float64) - right) for x in (ours, eager))
        yield name, mine, theirs, 2.0**-23 * np.abs(right).max()


def expect_as_eager(rng, inputs, kind="torch", **options):
    """No error in float32 is above 4 times the largest, or on average 2 times those, of eager."""
    label = f"{ {name: x.shape for name, x in inputs.items()} } {options}"
    for name, mine, theirs, unit in errors_beside_eager(rng, inputs, kind, **options):
        assert mine.max() <= 4 * theirs.max() + 2 * unit, f"{label} {name}"
        mean, of_eager = (np.sqrt(np.square(x).mean()) for x in (mine, theirs))
        assert mean <= 2 * of_eager + unit / 4, f"{label} {name}: {mean:.3g}, eager {of_eager:.3g}"


def expect_as_eager_on_average(rng, make, kind="torch", trials=12, **options):
    """The same where rounding decides between outputs: over several draws, up to a factor 2."""
    logs = {}
    for _ in range(trials):
        for name, mine, theirs, unit in errors_beside_eager(rng, make(), kind, **options):
            mean, of_eager = (np.sqrt(np.square(x).mean()) for x in (mine, theirs))
            least = unit / 4 + 1e-38  # below the normal numbers everything is lost
            logs.setdefault(name, []).append(np.log((mean + least) / (of_eager + least)))
    for name, ratios in logs.items():
        assert np.mean(ratios) <= np.log(2), f"{name}: {np.exp(ratios)} times eager's"


def scattered(array, kind):
    """The same numbers with a gap after each."""
    wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    wide[..., ::2] = array
    return put(wide, kind)[..., ::2]


def spoiled(inputs, name, value, at=1):
    """The inputs with one number of one array changed, and where it stands."""
    changed = dict(inputs)
    changed[name] = inputs[name].copy()
    where = tuple(min(at, n - 1) for n in changed[name].shape)
    changed[name][where] = value
    return changed


def positional(function, inputs, **options):
    """``function`` of the floating inputs in order, and these; for gradcheck."""
    names = floating(inputs)
    rest = {name: x for name, x in inputs.items() if name not in names}

    @functools.wraps(function)
    def of(*tensors):
        return function(**dict(zip(names, tensors, strict=True)), **rest, **options)

    return of, [inputs[name] for name in names]
