"""read and write: values, gradients, several heads, bad input."""

import numpy as np
import pytest
import torch
from ntm_cases import (
    EPS,
    KINDS,
    TORCH_KINDS,
    draw,
    expect_near,
    expect_reference,
    get,
    leaves,
    native,
    one_thread,  # noqa: F401
    put,
    random_grad,
    wanted,
    with_gradients,
)

import polyad
from polyad.ops import ntm as ops

pytestmark = pytest.mark.usefixtures("one_thread")
OPS = ["read", "write"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("N", [1, 2, 3, 5, 17, 128, 130])
def test_equals_the_reference(rng, kind, dtype, op, N):
    for M, H in ((1, 1), (3, 2), (20, 3), (20, 5), (3, 16)):
        inputs = draw(rng, op, 2, N, M, H, 3, dtype)
        expect_reference(rng, op, kind, inputs, 500 * EPS[dtype])


@pytest.mark.parametrize("op", OPS)
def test_large_memory(rng, op):
    inputs = draw(rng, op, 1, 4099, 33, 3, 3, "float32")
    expect_reference(rng, op, "torch", inputs, 2000 * EPS["float32"])


def test_read_takes_any_number_of_heads(rng):
    expect_reference(rng, "read", "torch", draw(rng, "read", 2, 9, 4, 40), 500 * EPS["float64"])


@pytest.mark.parametrize("kind", TORCH_KINDS)
def test_whole_erases_are_exact(rng, kind):
    """Factors 1 - w e of zero, one head's or several heads': no division hides in the gradient."""
    memory, weights, erase, add = draw(rng, "write", 2, 7, 4, 3)
    weights[:, :2, 2], erase[:, :2] = 1, 1
    inputs = (memory, weights, erase, add)
    grad = random_grad(rng, "write", inputs)
    got = with_gradients(ops, "write", leaves(inputs, kind), grad)
    expect_near(got, wanted("write", inputs, grad), 500 * EPS["float64"])
    assert (got[1][:, 2] == 0).all()  # nothing of the old row is left
    written = (weights[:, :, 2, None] * add).sum(1)
    np.testing.assert_allclose(get(got[0])[:, 2], written, rtol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_write_leaves_the_memory_as_it_is(rng, kind):
    inputs = draw(rng, "write", 2, 7, 4, 3)
    before = inputs[0].copy()
    ops.write(*(put(x, kind) for x in inputs))
    np.testing.assert_array_equal(inputs[0], before)


def test_what_is_written_is_read_back():
    memory = np.zeros((1, 4, 2))
    weights, ones = np.array([[[0.0, 0.0, 1.0, 0.0]]]), np.ones((1, 1, 2))
    written = ops.write(memory, weights, ones, np.array([[[7.0, -8.0]]]))
    np.testing.assert_array_equal(ops.read(written, weights), [[[7, -8]]])


@pytest.mark.parametrize("op", OPS)
def test_gradcheck(rng, op):
    for heads in (1, 3):
        assert torch.autograd.gradcheck(getattr(ops, op), leaves(draw(rng, op, 2, 5, 3, heads)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("op", OPS)
def test_empty_batch(rng, kind, op):
    inputs = [put(x, kind) for x in draw(rng, op, 0, 6, 4, 3)]
    out = getattr(ops, op)(*inputs)
    assert tuple(out.shape) == ((0, 3, 4) if op == "read" else (0, 6, 4))
    if kind != "numpy":
        inputs = [x.requires_grad_() for x in inputs]
        grads = torch.autograd.grad(getattr(ops, op)(*inputs).sum(), inputs)
        assert [g.shape for g in grads] == [x.shape for x in inputs]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("op", OPS)
def test_non_contiguous_inputs(rng, kind, op):
    inputs = draw(rng, op, 3, 18, 4, 2)
    turned = [put(x.swapaxes(1, 2).copy(), kind) for x in inputs]
    turned = [x.swapaxes(1, 2) for x in turned]
    expect_near([getattr(ops, op)(*turned)], [getattr(ops, op)(*(put(x, kind) for x in inputs))], 0)
    if kind != "numpy":
        turned = [x.detach().requires_grad_() for x in turned]
        grad = torch.ones(1, 1, 1, dtype=torch.float64, device=turned[0].device)
        grad = grad.expand(3, 2, 4) if op == "read" else grad.expand(3, 18, 4)  # stride 0
        got = with_gradients(ops, op, turned, grad)
        expect_near(got, wanted(op, inputs, grad), 500 * EPS["float64"])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("op", OPS)
def test_numpy_gives_what_torch_gives(rng, op, dtype):
    inputs = draw(rng, op, 2, 33, 7, 3, 3, dtype)
    tensors = [torch.from_numpy(x) for x in inputs]
    assert getattr(ops, op)(*inputs).tobytes() == getattr(ops, op)(*tensors).numpy().tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("op", OPS)
def test_neither_threads_nor_the_batch_change_results(rng, op, dtype):
    inputs = draw(rng, op, 61, 137, 6, 3, 3, dtype)
    grad, results = random_grad(rng, op, inputs), []
    for threads in (1, 2, 3):
        polyad.set_num_threads(threads)
        results.append(with_gradients(ops, op, leaves(inputs), grad))
    polyad.set_num_threads(1)
    single = [
        with_gradients(ops, op, leaves([x[b : b + 1] for x in inputs]), grad[b : b + 1])
        for b in range(61)
    ]
    results.append([torch.cat(each) for each in zip(*single, strict=True)])
    for other in results[1:]:
        for ours, theirs in zip(results[0], other, strict=True):
            assert get(ours).tobytes() == get(theirs).tobytes()


@pytest.mark.parametrize("op", OPS)
def test_opcheck(rng, op):
    inputs = draw(rng, op, 2, 6, 3, 2)
    torch.library.opcheck(native(op), leaves(inputs))
    grad = random_grad(rng, op, inputs)
    torch.library.opcheck(native(op, backward=True), (*(torch.from_numpy(x) for x in inputs), grad))


@pytest.mark.parametrize("kind", TORCH_KINDS)
def test_compile(rng, kind):
    tensors = leaves(draw(rng, "write", 2, 6, 3, 2), kind)

    def loss(memory, weights, erase, add):
        written = ops.write(memory, weights, erase, add)
        return ops.read(written, weights).square().sum()

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    got, want = compiled(*tensors), loss(*tensors)
    torch.testing.assert_close(got, want)
    torch.testing.assert_close(
        torch.autograd.grad(got, tensors), torch.autograd.grad(want, tensors)
    )


@pytest.mark.parametrize("op", OPS)
def test_double_backward_is_refused(rng, op):
    tensors = leaves(draw(rng, op, 1, 5, 3, 1))
    grads = torch.autograd.grad(getattr(ops, op)(*tensors).sum(), tensors, create_graph=True)
    with pytest.raises(NotImplementedError, match=f"{op} has no second derivative"):
        sum(g.sum() for g in grads).backward()


@pytest.mark.parametrize("op", OPS)
def test_vmap(rng, op):
    tensors = [torch.from_numpy(np.stack([x, x * 0.5])) for x in draw(rng, op, 2, 5, 3, 2)]
    got = torch.vmap(getattr(ops, op))(*tensors)
    want = torch.stack([getattr(ops, op)(*(x[i] for x in tensors)) for i in range(2)])
    torch.testing.assert_close(got, want)


@pytest.mark.parametrize("op", OPS)
def test_only_the_wanted_gradients_are_returned(rng, op):
    inputs = draw(rng, op, 2, 5, 3, 2)
    grad = random_grad(rng, op, inputs)
    want = wanted(op, inputs, grad)[1:]
    for chosen in range(len(inputs)):
        tensors = [torch.from_numpy(x) for x in inputs]
        tensors[chosen].requires_grad_()
        getattr(ops, op)(*tensors).backward(grad)
        assert [x.grad is not None for x in tensors] == [i == chosen for i in range(len(inputs))]
        expect_near([tensors[chosen].grad], [want[chosen]], 1e-12)


@pytest.mark.parametrize("kind", TORCH_KINDS)
@pytest.mark.parametrize("op", OPS)
def test_autocast_computes_in_float32(rng, kind, op):
    tensors = leaves(draw(rng, op, 2, 9, 4, 2, 3, "float32"), kind)
    tensors = [tensors[0], *(x.detach().bfloat16().requires_grad_() for x in tensors[1:])]
    want = getattr(ops, op)(*(x.detach().float() for x in tensors))
    with torch.autocast(tensors[0].device.type, dtype=torch.bfloat16):
        got = getattr(ops, op)(*tensors)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, want, rtol=0, atol=0)
    grads = torch.autograd.grad(got.square().sum(), tensors)
    assert [g.dtype for g in grads] == [x.dtype for x in tensors]


@pytest.mark.cuda
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("op", OPS)
def test_half_storage_computes_in_float32(rng, half, op):
    inputs = draw(rng, op, 2, 33, 8, 3, 3, "float32")
    tensors = [put(x, "cuda").to(half).requires_grad_() for x in inputs]
    rounded = [get(x.float()) for x in tensors]
    grad = random_grad(rng, op, inputs).to(half)
    got = with_gradients(ops, op, tensors, grad)
    assert all(x.dtype == half for x in got)
    tolerance = 4 * torch.finfo(half).eps
    expect_near([x.float() for x in got], wanted(op, rounded, grad.double()), tolerance, op)


B, N, M, H = 2, 6, 4, 3
MEMORY, WEIGHTS, VECTORS = np.ones((B, N, M)), np.full((B, H, N), 1 / N), np.full((B, H, M), 0.5)


def spoiled(array, value):
    array = array.copy()
    array[1, 1, 1] = value
    return array


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ops.read(None, WEIGHTS), TypeError, "memory: expected a numpy array or a torch tensor, got NoneType"),
        (lambda: ops.read(MEMORY, torch.from_numpy(WEIGHTS)), TypeError, "weights: expected a numpy array as memory is, got a torch tensor"),
        (lambda: ops.read(torch.ones(B, N, M), torch.empty(B, H, N, device="meta")), ValueError, "weights: expected device cpu as memory is, got meta"),
        (lambda: ops.read(MEMORY.astype("float16"), WEIGHTS.astype("float16")), TypeError, "memory: expected dtype float32 or float64, got float16"),
        (lambda: ops.read(MEMORY, WEIGHTS.astype("float32")), TypeError, "weights: expected dtype float64, got float32"),
        (lambda: ops.read(MEMORY, WEIGHTS[..., 1:]), ValueError, r"weights: expected \[B, H, N\] = \[2, H, 6\], got \[2, 3, 5\]"),
        (lambda: ops.read(MEMORY, WEIGHTS[:1]), ValueError, r"weights: expected \[B, H, N\] = \[2, H, 6\], got \[1, 3, 6\]"),
        (lambda: ops.read(MEMORY, WEIGHTS[0]), ValueError, r"weights: expected \[B, H, N\] = \[2, H, 6\], got \[3, 6\]"),
        (lambda: ops.read(MEMORY[..., :0], WEIGHTS), ValueError, r"memory: expected M of at least 1, got \[2, 6, 0\]"),
        (lambda: ops.read(MEMORY, spoiled(WEIGHTS, np.nan)), ValueError, r"weights: expected finite values, got nan at \[1, 1, 1\]"),
        (lambda: ops.read(spoiled(MEMORY, np.inf), WEIGHTS), ValueError, r"memory: expected finite values, got inf at \[1, 1, 1\]"),
        (lambda: ops.write(MEMORY, WEIGHTS, VECTORS[..., 1:], VECTORS), ValueError, r"erase: expected \[B, H, M\] = \[2, 3, 4\], got \[2, 3, 3\]"),
        (lambda: ops.write(MEMORY, WEIGHTS, VECTORS, VECTORS[:, 1:]), ValueError, r"add: expected \[B, H, M\] = \[2, 3, 4\], got \[2, 2, 4\]"),
        (lambda: ops.write(MEMORY, WEIGHTS, VECTORS.astype(int), VECTORS), TypeError, "erase: expected dtype float64, got int64"),
        (lambda: ops.write(MEMORY, WEIGHTS, VECTORS, spoiled(VECTORS, -np.inf)), ValueError, r"add: expected finite values, got -inf at \[1, 1, 1\]"),
        (lambda: ops.write(MEMORY, np.ones((B, 17, N)), np.ones((B, 17, M)), np.ones((B, 17, M))), ValueError, r"weights: expected at most 16 heads H, got \[2, 17, 6\]"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
