"""energy and moments, their gradients, and how they behave inside torch."""

import numpy as np
import pytest
import torch
from hypernet_cases import KINDS, get, put, random_edges

import polyad
from polyad.ops import hypernet as ops
from polyad.reference import hypernet as reference

DOMAINS = ["01", "pm1", "real"]
TORCH_KINDS = ["torch", pytest.param("cuda", marks=pytest.mark.cuda)]


def random_x(rng, samples, variables, domain, dtype="float64"):
    if domain == "real":
        x = rng.standard_normal((samples, variables))
        x[rng.random(x.shape) < 0.2] = 0.0  # leave-one-out products must not divide
        return x.astype(dtype)
    bits = rng.integers(0, 2, (samples, variables))
    return (bits * 2 - 1 if domain == "pm1" else bits).astype(dtype)


def edges_for(rng, domain, count=120, variables=30, longest=12):
    return random_edges(rng, count, variables, longest, valued=domain == "01")


def reference_gradients(x, edges, weights, grad):
    x = torch.from_numpy(np.asarray(x, np.float64)).requires_grad_()
    weights = torch.from_numpy(np.asarray(weights, np.float64)).requires_grad_()
    energy = reference.energy(x, edges, weights)
    gradients = torch.autograd.grad(energy, (x, weights), torch.from_numpy(grad.astype(float)))
    return [t.detach().numpy() for t in (energy, *gradients)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("samples", [0, 1, 31, 32, 33, 64, 65, 130, 700])
def test_energy_equals_the_reference(rng, kind, domain, dtype, samples):
    x = random_x(rng, samples, 30, domain, dtype)
    edges = edges_for(rng, domain)
    weights = rng.standard_normal(len(edges)).astype(dtype)
    host = torch.from_numpy(x.astype(np.float64))
    want = reference.energy(host, edges, torch.from_numpy(weights.astype(np.float64))).numpy()
    magnitude = -reference.energy(
        host.abs(), edges, torch.from_numpy(np.abs(weights.astype(float)))
    )
    scale = magnitude.abs().numpy() + 1
    for form in (put(edges, kind), put(edges, kind).plan()):
        got = ops.energy(put(x, kind), form, put(weights, kind))
        assert get(got).dtype == dtype
        assert (np.abs(get(got) - want) <= 300 * np.finfo(dtype).eps * scale).all()


@pytest.mark.parametrize("kind", TORCH_KINDS)
@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("samples", [1, 33, 200, 700])
def test_gradients_equal_the_reference(rng, kind, domain, dtype, samples):
    x = random_x(rng, samples, 30, domain, dtype)
    edges = edges_for(rng, domain)
    weights = rng.standard_normal(len(edges)).astype(dtype)
    grad = rng.standard_normal(samples).astype(dtype)
    _, want_x, want_weights = reference_gradients(x, edges, weights, grad)
    x_leaf = put(x, kind).requires_grad_()
    weights_leaf = put(weights, kind).requires_grad_()
    for form in (put(edges, kind), put(edges, kind).plan()):
        energy = ops.energy(x_leaf, form, weights_leaf)
        got_x, got_weights = torch.autograd.grad(energy, (x_leaf, weights_leaf), put(grad, kind))
        tolerance = 2e-4 if dtype == "float32" else 1e-11
        np.testing.assert_allclose(get(got_x), want_x, rtol=tolerance, atol=tolerance * 10)
        np.testing.assert_allclose(
            get(got_weights), want_weights, rtol=tolerance, atol=tolerance * 10
        )


@pytest.mark.parametrize("domain", DOMAINS)
def test_gradcheck(rng, domain):
    x = torch.from_numpy(random_x(rng, 5, 8, domain)).requires_grad_(domain != "01")
    edges = edges_for(rng, domain, 15, 8, 8).to("cpu")
    weights = torch.from_numpy(rng.standard_normal(15)).requires_grad_()
    assert torch.autograd.gradcheck(lambda w: ops.energy(x.detach(), edges, w), weights)
    if domain != "01":  # finite differences leave {0, 1}
        assert torch.autograd.gradcheck(lambda x: ops.energy(x, edges, weights.detach()), x)
        assert torch.autograd.gradcheck(lambda x: ops.moments(x, edges), x)


@pytest.mark.parametrize("order", [1, 2, 3, 8, 9, 40, 130])
def test_long_edges_and_zeros(rng, order):
    variables = 140
    x = rng.choice([-1.1, 0.9, 1.0], (9, variables))
    x[3:, :] = np.where(rng.random((6, variables)) < 0.02, 0.0, x[3:, :])
    edges = random_edges(rng, 6, variables, order, valued=False, shortest=order)
    weights, grad = rng.standard_normal(6), rng.standard_normal(9)
    want = reference_gradients(x, edges, weights, grad)
    leaves = [torch.from_numpy(a).requires_grad_() for a in (x, weights)]
    energy = ops.energy(leaves[0], edges.to("cpu"), leaves[1])
    got = [energy, *torch.autograd.grad(energy, leaves, torch.from_numpy(grad))]
    for ours, theirs in zip(got, want, strict=True):
        np.testing.assert_allclose(ours.detach(), theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("domain", DOMAINS)
def test_moments(rng, kind, domain):
    x, edges = random_x(rng, 300, 30, domain), edges_for(rng, domain)
    got = ops.moments(put(x, kind), put(edges, kind))
    want = reference.moments(torch.from_numpy(x), edges).numpy()
    np.testing.assert_allclose(get(got), want, rtol=1e-11, atol=1e-12)


def test_moments_gradient(rng):
    x, edges = random_x(rng, 70, 30, "real"), edges_for(rng, "real")
    grad = torch.from_numpy(rng.standard_normal(len(edges)))
    ours, theirs = (torch.from_numpy(x).requires_grad_() for _ in range(2))
    (got,) = torch.autograd.grad(ops.moments(ours, edges.to("cpu")), ours, grad)
    (want,) = torch.autograd.grad(reference.moments(theirs, edges), theirs, grad)
    torch.testing.assert_close(got, want)


def test_threads_do_not_change_results(rng):
    x = random_x(rng, 900, 40, "real", "float32")
    edges = edges_for(rng, "real", 3000, 40, 5).to("cpu")
    weights = rng.standard_normal(3000).astype(np.float32)
    results = []
    for threads in (1, 2):
        polyad.set_num_threads(threads)
        leaves = [torch.from_numpy(a).clone().requires_grad_() for a in (x, weights)]
        energy = ops.energy(leaves[0], edges, leaves[1])
        results.append([energy, *torch.autograd.grad(energy.sum(), leaves)])
    for one, two in zip(*results, strict=True):
        assert one.detach().numpy().tobytes() == two.detach().numpy().tobytes()


def test_only_the_wanted_gradient_is_computed(rng):
    x = torch.from_numpy(random_x(rng, 20, 10, "real")).requires_grad_()
    edges = edges_for(rng, "real", 9, 10, 4).to("cpu")
    weights = torch.ones(9, dtype=torch.float64)
    ops.energy(x, edges, weights).sum().backward()
    assert weights.grad is None
    assert x.grad.shape == x.shape
    backward = torch.ops.polyad.hypernet_energy_backward.default
    plan = edges.plan()
    literals = (plan.literals, plan.offsets, plan.positives, plan.order, None, None, 4)
    grad_x, grad_weights = backward(
        x.detach(), *literals, weights, torch.ones(20, dtype=torch.float64), False, True
    )
    assert grad_x.shape == (0,)
    assert grad_weights.shape == (9,)


def test_non_contiguous_inputs(rng):
    x = torch.from_numpy(random_x(rng, 60, 40, "real"))[::2, 5:35]
    edges = edges_for(rng, "real").to("cpu")
    weights = torch.from_numpy(rng.standard_normal(240))[::2]
    torch.testing.assert_close(ops.energy(x, edges, weights), reference.energy(x, edges, weights))
    x = x.detach().requires_grad_()
    grad = torch.ones(1, dtype=torch.float64).expand(30)  # stride 0
    (got,) = torch.autograd.grad(ops.energy(x, edges, weights), x, grad)
    (want,) = torch.autograd.grad(reference.energy(x, edges, weights), x, grad)
    torch.testing.assert_close(got, want)


@pytest.mark.parametrize("case", range(3))
def test_opcheck(rng, case):
    x = torch.from_numpy(random_x(rng, 33, 12, "real")).requires_grad_()
    plan = edges_for(rng, "real", 20, 12, 5).to("cpu").plan()
    literals = (plan.literals, plan.offsets, plan.positives, plan.order, None, None, 5)
    weights = torch.from_numpy(rng.standard_normal(20)).requires_grad_()
    grad = torch.ones(33, dtype=torch.float64)
    op, arguments = [
        (torch.ops.polyad.hypernet_energy, (x, *literals, weights)),
        (torch.ops.polyad.hypernet_moments, (x, *literals)),
        (
            torch.ops.polyad.hypernet_energy_backward,
            (x.detach(), *literals, weights.detach(), grad, True, True),
        ),
    ][case]
    torch.library.opcheck(op.default, arguments)


@pytest.mark.parametrize("kind", TORCH_KINDS)
@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_compile(rng, kind, backend):
    x = put(random_x(rng, 50, 12, "real"), kind)
    edges = put(edges_for(rng, "real", 30, 12, 5), kind)
    weights = put(rng.standard_normal(30), kind).requires_grad_()

    def loss(x, weights):
        return ops.energy(x * 1.5, edges, weights).tanh().sum() + ops.moments(x, edges).sum()

    compiled = torch.compile(loss, fullgraph=True, backend=backend)
    got, want = compiled(x, weights), loss(x, weights)
    torch.testing.assert_close(got, want)
    (got_grad,) = torch.autograd.grad(got, weights)
    (want_grad,) = torch.autograd.grad(want, weights)
    torch.testing.assert_close(got_grad, want_grad)


def test_double_backward_is_refused(rng):
    x = torch.from_numpy(random_x(rng, 5, 8, "real")).requires_grad_()
    edges = edges_for(rng, "real", 9, 8, 4).to("cpu")
    weights = torch.ones(9, dtype=torch.float64, requires_grad=True)
    (grad,) = torch.autograd.grad(ops.energy(x, edges, weights).sum(), x, create_graph=True)
    with pytest.raises(NotImplementedError, match="second derivative"):
        grad.sum().backward()


def test_func_grad_is_right_or_refused(rng):
    x = torch.from_numpy(random_x(rng, 5, 8, "real"))
    edges = edges_for(rng, "real", 9, 8, 4).to("cpu")
    weights = torch.ones(9, dtype=torch.float64)

    def loss(weights):
        return ops.energy(x, edges, weights).sum()

    want = -reference.products(x, edges).sum(dim=0)
    compiled = torch.compile(torch.func.grad(loss), backend="aot_eager")
    for gradient in (torch.func.grad(loss), compiled):
        try:
            got = gradient(weights)
        except RuntimeError as error:  # torch's: registered gradients do not go into torch.func
            assert "autograd" in str(error)  # noqa: PT017 (raising is one of two right answers)
        else:  # never zeros in silence
            torch.testing.assert_close(got, want)


def test_vmap_over_weights(rng):
    x = torch.from_numpy(random_x(rng, 5, 8, "real"))
    edges = edges_for(rng, "real", 9, 8, 4).to("cpu")
    weights = torch.from_numpy(rng.standard_normal((3, 9)))
    want = torch.stack([ops.energy(x, edges, w) for w in weights])
    got = torch.vmap(lambda w: ops.energy(x, edges, w))(weights)
    torch.testing.assert_close(got, want)


@pytest.mark.cuda
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_inputs_compute_in_float32(rng, dtype):
    x = put(random_x(rng, 100, 30, "real"), "cuda").to(dtype).requires_grad_()
    edges = put(edges_for(rng, "real", longest=4), "cuda")
    weights = put(rng.standard_normal(len(edges)), "cuda").to(dtype).requires_grad_()
    got = ops.energy(x, edges, weights)
    assert got.dtype == dtype
    wide = [t.detach().double().cpu().requires_grad_() for t in (x, weights)]
    want = reference.energy(wide[0], edges.numpy(), wide[1])
    torch.testing.assert_close(got.double().cpu(), want, rtol=2e-2, atol=2e-2)
    for ours, theirs in zip(
        torch.autograd.grad(got.sum(), (x, weights)),
        torch.autograd.grad(want.sum(), wide),
        strict=True,
    ):
        torch.testing.assert_close(ours.double().cpu(), theirs, rtol=3e-2, atol=3e-1)


X = np.zeros((4, 3))
EDGES = polyad.Hyperedges.from_lists([[0, 1], [2]])
NEGATED = polyad.Hyperedges.from_lists([[0, 1], [2]], [[1, 0], [1]])
WEIGHTS = np.ones(2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ops.energy(X.astype(np.uint8), EDGES, WEIGHTS), TypeError, "x: expected dtype float32 or float64, got uint8"),
        (lambda: ops.energy(X.astype(np.float16), EDGES, WEIGHTS), TypeError, "x: expected dtype float32 or float64, got float16"),
        (lambda: ops.energy(X, EDGES, WEIGHTS.astype(np.float32)), TypeError, "weights: expected dtype float64, got float32"),
        (lambda: ops.energy(X, EDGES, np.ones(3)), ValueError, r"weights: expected \[E\] = \[2\], got \[3\]"),
        (lambda: ops.energy(X + np.inf, EDGES, WEIGHTS), ValueError, r"x: expected finite values, got inf at \[0, 0\]"),
        (lambda: ops.energy(X - 1, NEGATED, WEIGHTS), ValueError, "x: expected values 0 and 1, because edges has literals of value 0 .*, got -1"),
        (lambda: ops.energy(X + 0.5, NEGATED, WEIGHTS), ValueError, "x: expected values 0 and 1.*got 0.5"),
        (lambda: ops.energy(X[:, :1], EDGES, WEIGHTS), ValueError, "edges: expected variables below I = 1"),
        (lambda: ops.energy(X, EDGES, torch.ones(2, dtype=torch.float64)), TypeError, "weights: expected a numpy array as x is, got a torch tensor"),
        (lambda: ops.moments(X[:0], EDGES), ValueError, r"x: expected at least one sample, got \[0, 3\]"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
