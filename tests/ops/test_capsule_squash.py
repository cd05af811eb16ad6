"""squash: values, gradients, any dimension, lengths at the ends of the range, bad input."""

import numpy as np
import pytest
import torch
from ntm_cases import EPS, KINDS, TORCH_KINDS, expect_near, get, one_thread, put  # noqa: F401

import polyad
from polyad.ops import capsule as ops
from polyad.reference import capsule as reference

pytestmark = pytest.mark.usefixtures("one_thread")

SHAPES = [  # shape, dim
    ((7, 5, 16), -1),
    ((33, 8), 1),
    ((3, 8, 6, 6), 1),
    ((5, 3, 37), 1),
    ((9, 4, 1), 1),
    ((4, 2, 3), 0),
    ((130, 1), 1),
    ((17, 64), -1),
    ((17, 65), -1),
    ((2, 1000), -1),
    ((6,), 0),
]


def with_gradient(module, s, grad, dim):
    s = s.detach().clone().requires_grad_()
    v = module.squash(s, dim)
    return [v, torch.autograd.grad(v, s, grad.to(v.device, v.dtype))[0]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("shape", "dim"), SHAPES)
def test_equals_the_reference(rng, kind, dtype, shape, dim):
    s = rng.standard_normal(shape).astype(dtype) * 1.5
    exact, grad = (
        torch.from_numpy(s.astype("float64")),
        torch.from_numpy(rng.standard_normal(shape)),
    )
    want = with_gradient(reference, exact, grad, dim)
    if kind == "numpy":
        got, want = [ops.squash(s, dim)], want[:1]
        assert isinstance(got[0], np.ndarray)
    else:
        got = with_gradient(ops, put(s, kind), grad, dim)
    assert got[0].dtype == put(s, kind).dtype
    expect_near(got, want, 16 * EPS[dtype])


@pytest.mark.parametrize("kind", TORCH_KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("inner", [1, 3])
def test_lengths_at_the_ends_of_the_range(kind, dtype, inner):
    """v is s / |s| for long vectors, |s| s for short ones, and nothing is NaN in between."""
    device, most = "cuda" if kind == "cuda" else "cpu", torch.finfo(dtype).max
    for size in (1e-15, 1e15, 1e30, most / 2, most):
        s = torch.full((2, 8, inner), size, dtype=dtype, device=device).requires_grad_()
        v = ops.squash(s, 1)
        (grad,) = torch.autograd.grad(v[:, 0].sum(), s)
        want = 8**-0.5 if size > 1 else size * size * 8**0.5
        np.testing.assert_allclose(get(v), want, rtol=1e-5)
        assert torch.isfinite(grad).all()


@pytest.mark.parametrize("kind", TORCH_KINDS)
@pytest.mark.parametrize("size", [8, 100])
def test_zero_is_zero_with_gradient_zero(kind, size):
    s = torch.zeros(3, size, device="cuda" if kind == "cuda" else "cpu")
    s[1] = 2
    s.requires_grad_()
    v = ops.squash(s)
    (grad,) = torch.autograd.grad(v.square().sum() + v.sum(), s)
    for x in (v, grad):
        assert (x[0] == 0).all()
        assert (x[2] == 0).all()
        assert (x[1] != 0).all()


@pytest.mark.parametrize("where", [0, 5, 99])
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("size", [8, 100])
def test_what_is_not_finite_stays_in_its_vector(where, value, size):
    s = torch.ones(20, size)
    s[where % 20, where % size] = value
    native = torch.ops.polyad.capsule_squash.default
    for v in (native(s, 1), native(s.T.contiguous(), 0).T):
        assert v[where % 20].isnan().all()
        assert v.isnan().sum() == size


def test_gradcheck(rng):
    for shape, dim in (((3, 4), -1), ((2, 3, 5), 1), ((2, 70), -1)):
        s = torch.from_numpy(rng.standard_normal(shape)).requires_grad_()
        assert torch.autograd.gradcheck(lambda x, dim=dim: ops.squash(x, dim), s)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(0, 4), (3, 4, 0), (0, 4, 5)])
def test_empty(kind, shape):
    s = put(np.ones(shape, "float32"), kind)
    assert tuple(ops.squash(s, 1).shape) == shape
    if kind != "numpy":
        s.requires_grad_()
        assert torch.autograd.grad(ops.squash(s, 1).sum(), s)[0].shape == s.shape


@pytest.mark.parametrize("kind", KINDS)
def test_non_contiguous_inputs(rng, kind):
    s = rng.standard_normal((6, 5, 7))
    for turned, dim in ((s.swapaxes(0, 2), 1), (s[:, ::2], 2)):
        got = ops.squash(put(np.ascontiguousarray(s), kind).swapaxes(0, 2), dim) if dim == 1 else (
            ops.squash(put(np.ascontiguousarray(s), kind)[:, ::2], dim)
        )  # fmt: skip
        expect_near([got], [reference.squash(torch.from_numpy(turned.copy()), dim)], 1e-14)
    if kind != "numpy":
        x = put(s, kind)
        grad = torch.ones(1, 1, 1, dtype=x.dtype).expand(6, 5, 7)  # stride 0
        got = with_gradient(ops, x, grad, 1)
        expect_near(got, with_gradient(reference, torch.from_numpy(s), grad, 1), 1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_neither_threads_nor_neighbours_nor_numpy_change_results(rng, dtype):
    for shape, dim in (((4099, 8), 1), ((11, 8, 333), 1), ((301, 100), 1)):
        s = rng.standard_normal(shape).astype(dtype)
        results = []
        for threads in (1, 2, 3):
            polyad.set_num_threads(threads)
            results.append(with_gradient(ops, torch.from_numpy(s), torch.ones(shape), dim))
        polyad.set_num_threads(1)
        for other in results[1:]:
            assert all(
                get(a).tobytes() == get(b).tobytes() for a, b in zip(results[0], other, strict=True)
            )
        whole = get(results[0][0])
        assert ops.squash(s, dim).tobytes() == whole.tobytes()
        assert ops.squash(s[3:4], dim).tobytes() == whole[3:4].tobytes()


def test_opcheck(rng):
    s = torch.from_numpy(rng.standard_normal((3, 4, 5)))
    torch.library.opcheck(torch.ops.polyad.capsule_squash.default, (s.clone().requires_grad_(), 1))
    torch.library.opcheck(torch.ops.polyad.capsule_squash_backward.default, (s, s + 1, 2))


@pytest.mark.parametrize("kind", TORCH_KINDS)
def test_compile(rng, kind):
    s = put(rng.standard_normal((3, 4, 5)), kind).requires_grad_()

    def loss(x):
        return ops.squash(x * 2, 1).square().sum()

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(s), loss(s))
    torch.testing.assert_close(torch.autograd.grad(compiled(s), s), torch.autograd.grad(loss(s), s))


def test_double_backward_is_refused(rng):
    s = torch.from_numpy(rng.standard_normal((2, 3))).requires_grad_()
    (grad,) = torch.autograd.grad(ops.squash(s).sum(), s, create_graph=True)
    with pytest.raises(NotImplementedError, match="squash has no second derivative"):
        grad.sum().backward()


def test_vmap(rng):
    s = torch.from_numpy(rng.standard_normal((2, 3, 4)))
    torch.testing.assert_close(torch.vmap(ops.squash)(s), ops.squash(s))


@pytest.mark.parametrize("kind", TORCH_KINDS)
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_autocast_computes_in_float32(rng, kind, half):
    s = put(rng.standard_normal((5, 8)), kind).to(half).requires_grad_()
    with torch.autocast(s.device.type, dtype=torch.bfloat16):
        v = ops.squash(s)
    assert v.dtype == torch.float32
    torch.testing.assert_close(v, ops.squash(s.detach().float()), rtol=0, atol=0)
    assert torch.autograd.grad(v.sum(), s)[0].dtype == half


def test_half_types_on_the_cpu_become_float32(rng):
    s = rng.standard_normal((5, 8)).astype("float16")
    got = ops.squash(s)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, ops.squash(s.astype("float32")))
    assert ops.squash(torch.ones(2, 3, dtype=torch.bfloat16)).dtype == torch.float32


@pytest.mark.cuda
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_storage_computes_in_float32(rng, half):
    s = put(rng.standard_normal((33, 8)) * 300, "cuda").to(half)  # |s|^2 overflows float16
    grad = torch.from_numpy(rng.standard_normal((33, 8))).to("cuda", half)
    got = with_gradient(ops, s, grad, -1)
    assert all(x.dtype == half for x in got)
    want = with_gradient(reference, s.double().cpu(), grad.double().cpu(), -1)
    expect_near([x.float() for x in got], want, 4 * torch.finfo(half).eps)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ops.squash([1.0]), TypeError, "s: expected a numpy array or a torch tensor, got list"),
        (lambda: ops.squash(np.ones((2, 3), int)), TypeError, "s: expected dtype float32 or float64 or float16 or bfloat16, got int64"),
        (lambda: ops.squash(np.ones(())), ValueError, "s: expected at least 1 dimension, got a number"),
        (lambda: ops.squash(np.ones((2, 3)), 2), ValueError, r"dim: expected -2 \.\. 1, got 2"),
        (lambda: ops.squash(np.ones((2, 3)), 1.0), TypeError, "dim: expected an int, got float"),
        (lambda: ops.squash(np.ones((2, 0))), ValueError, r"s: expected vectors of at least 1 number, got \[2, 0\]"),
        (lambda: ops.squash(np.array([[1, np.nan]])), ValueError, r"s: expected finite values, got nan at \[0, 1\]"),
        (lambda: ops.squash(torch.full((1, 2), 7e4).half()), ValueError, r"s: expected finite values, got inf at \[0, 0\]"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
