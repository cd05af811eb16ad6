"""content, interpolate, shift, sharpen and their fusion: values, gradients, extremes, bad input."""

import functools
import inspect

import numpy as np
import pytest
import torch
from ntm_cases import (
    EPS,
    INPUTS,
    KINDS,
    TORCH_KINDS,
    draw,
    expect_near,
    expect_reference,
    get,
    leaves,
    native,
    native_options,
    one_thread,  # noqa: F401
    options,
    put,
    random_grad,
    wanted,
    with_gradients,
)

import polyad
from polyad.ops import ntm as ops
from polyad.reference import ntm as reference

pytestmark = pytest.mark.usefixtures("one_thread")
OPS = ["content", "interpolate", "shift", "sharpen", "addressing"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("N", [1, 2, 3, 5, 17, 128, 130])
def test_equals_the_reference(rng, kind, dtype, op, N):
    for M, H, S in ((1, 1, 3), (3, 2, 1), (20, 3, 5), (20, 5, 7), (3, 4, 9), (1, 13, 3)):
        for similarity in ("root", "sum") if options(op) else ("root",):
            inputs = draw(rng, op, 2, N, M, H, S, dtype)
            keywords = options(op, similarity)
            expect_reference(rng, op, kind, inputs, 1000 * EPS[dtype], **keywords)


@pytest.mark.parametrize("kind", TORCH_KINDS)
def test_a_kernel_wider_than_the_memory_goes_around(rng, kind):
    for N, S in ((1, 7), (2, 9), (3, 7), (5, 45)):
        for op in ("shift", "addressing"):
            expect_reference(rng, op, kind, draw(rng, op, 2, N, 3, 2, S), 1000 * EPS["float64"])


@pytest.mark.parametrize("op", OPS)
def test_large_memory(rng, op):
    inputs = draw(rng, op, 1, 4099, 33, 2, 3, "float32")
    expect_reference(rng, op, "torch", inputs, 2000 * EPS["float32"])


def test_addressing_is_its_four_parts(rng):
    memory, previous, key, beta, gate, kernel, gamma = (
        torch.from_numpy(x) for x in draw(rng, "addressing", 3, 30, 8, 2, 5)
    )
    found = ops.content(memory, key, beta)
    parts = ops.sharpen(ops.shift(ops.interpolate(found, previous, gate), kernel), gamma)
    fused = ops.addressing(memory, previous, key, beta, gate, kernel, gamma)
    torch.testing.assert_close(fused, parts)


@pytest.mark.parametrize("op", OPS)
def test_gradcheck(rng, op):
    for similarity in ("root", "sum") if options(op) else ("root",):
        function = functools.partial(getattr(ops, op), **options(op, similarity))
        assert torch.autograd.gradcheck(function, leaves(draw(rng, op, 2, 5, 3, 2, 3)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("op", OPS)
def test_empty_batch(rng, kind, op):
    inputs = [put(x, kind) for x in draw(rng, op, 0, 6, 4, 3, 3)]
    out = getattr(ops, op)(*inputs)
    assert tuple(out.shape) == (0, 3, 6)
    if kind != "numpy":
        inputs = [x.requires_grad_() for x in inputs]
        grads = torch.autograd.grad(getattr(ops, op)(*inputs).sum(), inputs)
        assert [g.shape for g in grads] == [x.shape for x in inputs]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("op", OPS)
def test_non_contiguous_inputs(rng, kind, op):
    inputs = draw(rng, op, 3, 18, 4, 2, 3)
    strided = []
    for x in inputs:
        wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]))
        wide[..., ::2] = x
        strided.append(put(wide, kind)[..., ::2])
    expect_near(
        [getattr(ops, op)(*strided)], [getattr(ops, op)(*(put(x, kind) for x in inputs))], 0
    )
    if kind != "numpy":
        strided = [x.detach().requires_grad_() for x in strided]
        grad = torch.ones(1, 1, 1, dtype=torch.float64, device=strided[0].device)
        got = with_gradients(ops, op, strided, grad.expand(3, 2, 18))  # stride 0
        expect_near(got, wanted(op, inputs, torch.ones(3, 2, 18)), 1000 * EPS["float64"])


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


# --- extremes ------------------------------------------------------------------------------------


def extremes(rng, N=128, M=20, H=2):
    """Inputs of addressing at which naive formulas give NaN, by name."""
    memory, previous, key, beta, gate, kernel, gamma = draw(rng, "addressing", 2, N, M, H, 3)
    one_hot = np.zeros_like(previous)
    one_hot[..., 3] = 1
    stay, uniform = np.zeros_like(kernel), np.full_like(previous, 1 / N)
    stay[..., 1] = 1
    zero, one, big, sharp = gate * 0, gate * 0 + 1, beta * 0 + 1e4, gamma * 0 + 200
    return {
        "zero memory": (memory * 0, previous, key, beta, gate, kernel, gamma),
        "constant memory": (memory * 0 + 1e-6, previous, key, beta, gate, kernel, gamma),
        "zero key": (memory, previous, key * 0, beta, gate, kernel, gamma),
        "zero memory and key": (memory * 0, previous, key * 0, big, gate, kernel, sharp),
        "one-hot": (memory, one_hot, key, beta, zero, stay, gamma),
        "one-hot, gamma 1": (memory, one_hot, key, beta, zero, stay, one),
        "one-hot, gamma 200": (memory, one_hot, key, beta, zero, kernel, sharp),
        "uniform, gamma 200": (memory, uniform, key, beta, zero, kernel, sharp),
        "beta 1e4": (memory, previous, key, big, one, kernel, gamma),
        "beta 1e4, gamma 200": (memory, previous, key, big, gate, kernel, sharp),
        "beta 0": (memory, previous, key, beta * 0, one, kernel, gamma),
        "all at once": (memory * 0, one_hot, key * 0, big, zero, stay, sharp),
    }


@pytest.mark.parametrize("kind", TORCH_KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("similarity", ["root", "sum"])
def test_extremes_are_finite_and_right(rng, kind, dtype, similarity):
    for name, inputs in extremes(rng).items():
        inputs = [x.astype(dtype) for x in inputs]
        # exponents gamma log w and beta c carry their rounding into the weights
        tolerance = 300 * EPS[dtype] * max(20, inputs[-1].max() * 5, inputs[3].max() / 5)
        grad = torch.from_numpy(rng.standard_normal(inputs[1].shape))
        want = wanted("addressing", inputs, grad, similarity=similarity)
        got = with_gradients(ops, "addressing", leaves(inputs, kind), grad, similarity=similarity)
        for ours in got:
            assert torch.isfinite(ours).all(), name
        sums = got[0].double().sum(-1)
        torch.testing.assert_close(sums, torch.ones_like(sums), rtol=0, atol=1e-5)
        expect_near(got, want, tolerance, name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sharpen_at_zero_has_the_limit_from_the_right(dtype):
    weights = torch.tensor([[[0.0, 1.0, 0.0]]], dtype=getattr(torch, dtype), requires_grad=True)
    grad = torch.tensor([[[3.0, 5.0, 7.0]]], dtype=weights.dtype)
    for gamma, want in ((1.0, [-2.0, 0.0, 2.0]), (2.0, [0.0, 0.0, 0.0])):
        out = ops.sharpen(weights, torch.full((1, 1), gamma, dtype=weights.dtype))
        (got,) = torch.autograd.grad(out, weights, grad)
        torch.testing.assert_close(got[0, 0], torch.tensor(want, dtype=weights.dtype))


@pytest.mark.parametrize("gamma", [1.0, 20.0, 200.0])
def test_sharpen_of_equal_weights_is_even(gamma):
    out = ops.sharpen(np.full((1, 1, 128), 1 / 128, np.float32), np.full((1, 1), gamma, np.float32))
    np.testing.assert_allclose(out, 1 / 128, rtol=1e-6)


# --- inside torch --------------------------------------------------------------------------------


@pytest.mark.parametrize("op", OPS)
def test_opcheck(rng, op):
    inputs = draw(rng, op, 2, 6, 3, 2, 3)
    torch.library.opcheck(native(op), (*leaves(inputs), *native_options(op)))
    grad = random_grad(rng, op, inputs)
    tensors = [torch.from_numpy(x) for x in inputs]
    torch.library.opcheck(native(op, backward=True), (*tensors, grad, *native_options(op)))


@pytest.mark.parametrize("kind", TORCH_KINDS)
@pytest.mark.parametrize("op", OPS)
def test_compile(rng, kind, op):
    tensors = leaves(draw(rng, op, 2, 6, 3, 2, 3), kind)

    def loss(*tensors):
        return getattr(ops, op)(*tensors).square().sum()

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    got, want = compiled(*tensors), loss(*tensors)
    torch.testing.assert_close(got, want)
    torch.testing.assert_close(
        torch.autograd.grad(got, tensors), torch.autograd.grad(want, tensors)
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", TORCH_KINDS)
def test_compile_inductor(rng, kind):
    tensors = leaves(draw(rng, "addressing", 2, 6, 3, 2, 3), kind)

    def loss(memory, *rest):
        return (ops.addressing(memory * 1.5, *rest).tanh() * 2).sum()

    compiled = torch.compile(loss, fullgraph=True, backend="inductor")
    got, want = compiled(*tensors), loss(*tensors)
    torch.testing.assert_close(got, want)
    torch.testing.assert_close(
        torch.autograd.grad(got, tensors), torch.autograd.grad(want, tensors)
    )


@pytest.mark.parametrize("op", OPS)
def test_double_backward_is_refused(rng, op):
    tensors = leaves(draw(rng, op, 1, 5, 3, 1, 3))
    grads = torch.autograd.grad(getattr(ops, op)(*tensors).sum(), tensors, create_graph=True)
    with pytest.raises(NotImplementedError, match=f"{op} has no second derivative"):
        sum(g.sum() for g in grads).backward()


def test_func_grad_is_right_or_refused(rng):
    weights, gamma = (torch.from_numpy(x) for x in draw(rng, "sharpen", 1, 5))

    def loss(module):
        return lambda weights: module.sharpen(weights, gamma).square().sum()

    want = torch.func.grad(loss(reference))(weights)
    compiled = torch.compile(torch.func.grad(loss(ops)), backend="aot_eager")
    for gradient in (torch.func.grad(loss(ops)), compiled):
        try:
            got = gradient(weights)
        except RuntimeError as error:  # torch's: registered gradients do not go into torch.func
            assert "autograd" in str(error)  # noqa: PT017 (raising is one of two right answers)
        else:  # never zeros in silence
            torch.testing.assert_close(got, want)


def test_sizes_may_change_in_a_compiled_function(rng):
    compiled = torch.compile(ops.addressing, fullgraph=True, dynamic=True, backend="aot_eager")
    for batch, heads in ((2, 3), (3, 2), (5, 4)):
        tensors = leaves(draw(rng, "addressing", batch, 7, 4, heads, 3))
        torch.testing.assert_close(compiled(*tensors), ops.addressing(*tensors))


@pytest.mark.parametrize("op", OPS)
def test_vmap(rng, op):
    tensors = [torch.from_numpy(np.stack([x, x * 0.5 + 0.5])) for x in draw(rng, op, 2, 5, 3, 2, 3)]
    got = torch.vmap(getattr(ops, op))(*tensors)
    want = torch.stack([getattr(ops, op)(*(x[i] for x in tensors)) for i in range(2)])
    torch.testing.assert_close(got, want)


@pytest.mark.parametrize("op", OPS)
def test_only_the_wanted_gradients_are_returned(rng, op):
    inputs = draw(rng, op, 2, 5, 3, 2, 3)
    grad = random_grad(rng, op, inputs)
    want = wanted(op, inputs, grad)[1:]
    for chosen in range(len(inputs)):
        tensors = [torch.from_numpy(x) for x in inputs]
        tensors[chosen].requires_grad_()
        getattr(ops, op)(*tensors).backward(grad)
        assert [x.grad is not None for x in tensors] == [i == chosen for i in range(len(inputs))]
        expect_near([tensors[chosen].grad], [want[chosen]], 1e-12)


@pytest.mark.parametrize("kind", TORCH_KINDS)
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("op", OPS)
def test_autocast_computes_in_float32(rng, kind, half, op):
    inputs = draw(rng, op, 2, 9, 4, 2, 3, "float32")
    tensors = [x.to(half) if i else x for i, x in enumerate(put(x, kind) for x in inputs)]
    tensors = [x.requires_grad_() for x in tensors]
    want = getattr(ops, op)(*(x.detach().float() for x in tensors))
    with torch.autocast(tensors[0].device.type, dtype=half):
        got = getattr(ops, op)(*tensors)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, want, rtol=0, atol=0)
    grads = torch.autograd.grad(got.square().sum(), tensors)
    assert [g.dtype for g in grads] == [x.dtype for x in tensors]


@pytest.mark.cuda
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("op", OPS)
def test_half_storage_computes_in_float32(rng, half, op):
    tensors = [
        put(x, "cuda").to(half).requires_grad_() for x in draw(rng, op, 2, 33, 8, 3, 3, "float32")
    ]
    rounded = [get(x.float()) for x in tensors]
    grad = torch.from_numpy(rng.standard_normal((2, 3, 33))).to(half)
    got = with_gradients(ops, op, tensors, grad)
    assert all(x.dtype == half for x in got)
    tolerance = 4 * torch.finfo(half).eps
    expect_near([x.float() for x in got], wanted(op, rounded, grad.double()), tolerance, op)


# --- bad input -----------------------------------------------------------------------------------

B, N, M, H, S = 2, 6, 4, 3, 3
MEMORY, KEY, BETA = np.ones((B, N, M)), np.ones((B, H, M)), np.ones((B, H))
WEIGHTS, GATE, GAMMA = np.full((B, H, N), 1 / N), np.full((B, H), 0.5), np.ones((B, H))
KERNEL = np.full((B, H, S), 1 / S)


def spoiled(array, value):
    array = array.copy()
    array[(1,) * array.ndim] = value
    return array


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ops.content([[1.0]], KEY, BETA), TypeError, "memory: expected a numpy array or a torch tensor, got list"),
        (lambda: ops.content(MEMORY, torch.from_numpy(KEY), BETA), TypeError, "key: expected a numpy array as memory is, got a torch tensor"),
        (lambda: ops.content(torch.from_numpy(MEMORY), torch.empty(B, H, M, device="meta"), BETA), ValueError, "key: expected device cpu as memory is, got meta"),
        (lambda: ops.content(MEMORY.astype(int), KEY, BETA), TypeError, "memory: expected dtype float32 or float64, got int64"),
        (lambda: ops.content(MEMORY.astype("float16"), KEY, BETA), TypeError, "memory: expected dtype float32 or float64, got float16"),
        (lambda: ops.content(torch.ones(B, N, M, dtype=torch.bfloat16), *(torch.ones(s, dtype=torch.bfloat16) for s in ((B, H, M), (B, H)))), TypeError, "memory: expected dtype float32 or float64, got bfloat16"),
        (lambda: ops.content(MEMORY, KEY.astype("float32"), BETA), TypeError, "key: expected dtype float64, got float32"),
        (lambda: ops.content(MEMORY[0], KEY, BETA), ValueError, r"memory: expected \[B, N, M\] = \[B, N, M\], got \[6, 4\]"),
        (lambda: ops.content(MEMORY, KEY[..., :3], BETA), ValueError, r"key: expected \[B, H, M\] = \[2, H, 4\], got \[2, 3, 3\]"),
        (lambda: ops.content(MEMORY, KEY[:1], BETA), ValueError, r"key: expected \[B, H, M\] = \[2, H, 4\], got \[1, 3, 4\]"),
        (lambda: ops.content(MEMORY, KEY, BETA[:, :2]), ValueError, r"beta: expected \[B, H\] = \[2, 3\], got \[2, 2\]"),
        (lambda: ops.content(MEMORY[:, :0], KEY, BETA), ValueError, r"memory: expected N of at least 1, got \[2, 0, 4\]"),
        (lambda: ops.content(MEMORY, KEY[:, :0], BETA[:, :0]), ValueError, r"key: expected H of at least 1, got \[2, 0, 4\]"),
        (lambda: ops.content(MEMORY, KEY, -BETA), ValueError, r"beta: expected finite values of at least 0, got -1.0 at \[0, 0\]"),
        (lambda: ops.content(MEMORY, KEY, spoiled(BETA, np.inf)), ValueError, r"beta: expected finite values of at least 0, got inf at \[1, 1\]"),
        (lambda: ops.content(MEMORY, spoiled(KEY, np.nan), BETA), ValueError, r"key: expected finite values, got nan at \[1, 1, 1\]"),
        (lambda: ops.content(spoiled(MEMORY, -np.inf), KEY, BETA), ValueError, r"memory: expected finite values, got -inf at \[1, 1, 1\]"),
        (lambda: ops.content(MEMORY, KEY, BETA, epsilon=0.0), ValueError, "epsilon: expected a finite number above 0, got 0.0"),
        (lambda: ops.content(MEMORY, KEY, BETA, epsilon=float("nan")), ValueError, "epsilon: expected a finite number above 0, got nan"),
        (lambda: ops.content(MEMORY, KEY, BETA, epsilon="1e-6"), TypeError, "epsilon: expected a number, got str"),
        (lambda: ops.content(MEMORY, KEY, BETA, similarity="cosine"), ValueError, "similarity: expected 'root' or 'sum', got 'cosine'"),
        (lambda: ops.interpolate(WEIGHTS, WEIGHTS[..., 1:], GATE), ValueError, r"previous: expected \[B, H, N\] = \[2, 3, 6\], got \[2, 3, 5\]"),
        (lambda: ops.interpolate(WEIGHTS, WEIGHTS, GATE + 1), ValueError, r"gate: expected finite values in \[0, 1\], got 1.5 at \[0, 0\]"),
        (lambda: ops.interpolate(WEIGHTS, WEIGHTS, spoiled(GATE, -0.25)), ValueError, r"gate: expected finite values in \[0, 1\], got -0.25 at \[1, 1\]"),
        (lambda: ops.interpolate(WEIGHTS, WEIGHTS, spoiled(GATE, np.nan)), ValueError, r"gate: expected finite values in \[0, 1\], got nan at \[1, 1\]"),
        (lambda: ops.shift(WEIGHTS, KERNEL[..., :2]), ValueError, r"kernel: expected an odd width S, got \[2, 3, 2\]"),
        (lambda: ops.shift(WEIGHTS, KERNEL[..., :0]), ValueError, r"kernel: expected S of at least 1, got \[2, 3, 0\]"),
        (lambda: ops.shift(WEIGHTS, spoiled(KERNEL, np.nan)), ValueError, r"kernel: expected finite values, got nan at \[1, 1, 1\]"),
        (lambda: ops.sharpen(WEIGHTS, GAMMA - 2), ValueError, r"gamma: expected finite values of at least 1, got -1.0 at \[0, 0\]"),
        (lambda: ops.sharpen(WEIGHTS, spoiled(GAMMA, 0.5)), ValueError, r"gamma: expected finite values of at least 1, got 0.5 at \[1, 1\]"),
        (lambda: ops.sharpen(spoiled(WEIGHTS, np.nan), GAMMA), ValueError, r"weights: expected finite values, got nan at \[1, 1, 1\]"),
        (lambda: ops.addressing(MEMORY, WEIGHTS[..., 1:], KEY, BETA, GATE, KERNEL, GAMMA), ValueError, r"previous: expected \[B, H, N\] = \[2, H, 6\], got \[2, 3, 5\]"),
        (lambda: ops.addressing(MEMORY, WEIGHTS, KEY, BETA, GATE, KERNEL[..., 1:], GAMMA), ValueError, r"kernel: expected an odd width S, got \[2, 3, 2\]"),
        (lambda: ops.addressing(MEMORY, WEIGHTS, KEY, BETA, GATE, KERNEL, -GAMMA), ValueError, r"gamma: expected finite values of at least 1, got -1.0 at \[0, 0\]"),
        (lambda: ops.addressing(MEMORY, WEIGHTS, KEY, BETA, GATE, KERNEL, GAMMA, similarity=1), ValueError, "similarity: expected 'root' or 'sum', got 1"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_ops_and_reference_have_the_same_arguments():
    for op, names in INPUTS.items():
        for module in (ops, reference):
            parameters = inspect.signature(getattr(module, op)).parameters.values()
            assert tuple(p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD) == names
