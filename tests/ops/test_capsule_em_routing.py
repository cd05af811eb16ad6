"""em_routing: values, gradients through all iterations, extreme inputs, bad input."""

import functools

import numpy as np
import pytest
import torch
from ntm_cases import KINDS, TORCH_KINDS, get, one_thread, put  # noqa: F401

import polyad
from polyad.ops import capsule as ops
from polyad.reference import capsule as reference

pytestmark = pytest.mark.usefixtures("one_thread")

NAMES = ("poses", "activations", "weight", "beta_u", "beta_a")
# relative to the largest number of an array; a coupling is off by eps times its logit
TOLERANCE = {"float32": 3e-5, "float64": 1e-11}
SIZES = [  # B, I, J, p, r
    (2, 5, 3, 2, 3),
    (17, 33, 4, 4, 3),
    (3, 50, 10, 4, 1),
    (20, 7, 1, 4, 2),
    (1, 1, 5, 3, 3),
    (1, 1, 1, 1, 2),
    (5, 130, 2, 1, 4),
    (9, 17, 6, 5, 2),
    (33, 300, 5, 4, 2),
]


def draw(rng, B=3, I=6, J=4, p=2, dtype="float64", size=1.0):  # noqa: E741
    return [
        (size * rng.standard_normal((B, I, p * p))).astype(dtype),
        rng.uniform(0, 1, (B, I)).astype(dtype),
        (rng.standard_normal((I, J, p, p)) / p).astype(dtype),
        rng.standard_normal(J).astype(dtype),
        rng.standard_normal(J).astype(dtype),
    ]


def schedule(iterations):
    """A rising inverse temperature, small enough that activations do not saturate."""
    return [0.01 * (t + 1) for t in range(iterations)]


def leaves(inputs, kind="torch"):
    return [put(x, kind).clone().requires_grad_() for x in inputs]


def random_grads(rng, inputs):
    B, _, P = inputs[0].shape
    J = inputs[2].shape[1]
    return [torch.from_numpy(rng.standard_normal(shape)) for shape in ((B, J, P), (B, J))]


def with_gradients(module, tensors, grads, **options):
    """Poses, activations, and the gradients of all inputs."""
    out = module.em_routing(*tensors, **options)
    grads = [g.to(x.device, x.dtype) for g, x in zip(grads, out, strict=True)]
    return [*out, *torch.autograd.grad(out, tensors, grads)]


def wanted(inputs, grads, **options):
    """The same by autograd of the reference, in float64."""
    return with_gradients(
        reference, leaves([np.asarray(get(x), "float64") for x in inputs]), grads, **options
    )


def expect_relative(got, want, tolerance):
    labels = ("poses", "activations", *(f"gradient of {name}" for name in NAMES))
    for label, ours, theirs in zip(labels, got, want, strict=False):
        ours, theirs = (np.asarray(get(x), "float64") for x in (ours, theirs))
        assert ours.shape == theirs.shape
        error, size = np.abs(ours - theirs).max(initial=0), np.abs(theirs).max(initial=1e-30)
        assert error <= tolerance * size, f"{label}: off by {error / size:.1e} of {size:.1e}"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("B", "I", "J", "p", "r"), SIZES)
def test_equals_the_reference(rng, kind, dtype, B, I, J, p, r):  # noqa: E741
    inputs = draw(rng, B, I, J, p, dtype)
    grads = random_grads(rng, inputs)
    options = {"iterations": r, "inverse_temperature": schedule(r)}
    want = wanted(inputs, grads, **options)
    if kind == "numpy":
        got, want = ops.em_routing(*inputs, **options), want[:2]
        assert all(isinstance(x, np.ndarray) for x in got)
    else:
        got = with_gradients(ops, leaves(inputs, kind), grads, **options)
    assert got[0].dtype == put(inputs[0], kind).dtype
    expect_relative(got, want, TOLERANCE[dtype])


@pytest.mark.parametrize("kind", TORCH_KINDS)
@pytest.mark.parametrize("epsilon", [1e-8, 1e-6, 1e-2, 1.0])
def test_epsilon_is_part_of_the_gradient(rng, kind, epsilon):
    inputs = draw(rng, 3, 9, 4, 2)
    grads = random_grads(rng, inputs)
    got = with_gradients(ops, leaves(inputs, kind), grads, epsilon=epsilon)
    expect_relative(got, wanted(inputs, grads, epsilon=epsilon), 1e-9)


def test_gradcheck(rng):
    for (B, I, J, p), r in (((2, 4, 3, 2), 1), ((1, 3, 2, 2), 3), ((2, 5, 2, 1), 2)):  # noqa: E741
        inputs = draw(rng, B, I, J, p)
        inputs[1] = rng.uniform(0.2, 0.8, (B, I))  # a step beyond [0, 1] is refused
        call = functools.partial(ops.em_routing, iterations=r, epsilon=0.1)
        assert torch.autograd.gradcheck(call, leaves(inputs))


@pytest.mark.parametrize("kind", TORCH_KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_activation_anywhere(rng, kind, dtype):
    """Capsules without input: mean 0, variance epsilon, activation sigmoid(lambda beta_a)."""
    inputs = draw(rng, 3, 7, 4, 2, dtype)
    inputs[1][:] = 0
    grads = random_grads(rng, inputs)
    got = with_gradients(ops, leaves(inputs, kind), grads, inverse_temperature=0.5, epsilon=1e-2)
    assert (get(got[0]) == 0).all()
    np.testing.assert_allclose(
        get(got[1]), np.tile(1 / (1 + np.exp(-0.5 * inputs[4])), (3, 1)), rtol=1e-6
    )
    want = wanted(inputs, grads, inverse_temperature=0.5, epsilon=1e-2)
    expect_relative(got, want, TOLERANCE[dtype])


@pytest.mark.parametrize("kind", TORCH_KINDS)
def test_no_activation_with_the_usual_epsilon_is_finite(rng, kind):
    inputs = draw(rng, 3, 7, 4, 4, "float32")
    inputs[1][1:] = 0
    got = with_gradients(ops, leaves(inputs, kind), random_grads(rng, inputs))
    assert all(torch.isfinite(x).all() for x in got)


@pytest.mark.parametrize("kind", TORCH_KINDS)
def test_zero_capsules(rng, kind):
    """Poses that are zero: every vote is the mean."""
    inputs = draw(rng, 2, 7, 4, 2)
    inputs[0][:] = 0
    grads = random_grads(rng, inputs)
    options = {"inverse_temperature": 0.1, "epsilon": 1e-3}
    got = with_gradients(ops, leaves(inputs, kind), grads, **options)
    assert (get(got[0]) == 0).all()
    expect_relative(got, wanted(inputs, grads, **options), 1e-9)


@pytest.mark.parametrize("kind", TORCH_KINDS)
@pytest.mark.parametrize(
    ("dtype", "size"), [("float32", 1e4), ("float32", 1e-3), ("float64", 1e15)]
)
def test_long_and_short_poses(rng, kind, dtype, size):
    inputs = draw(rng, 5, 60, 4, 4, dtype, size)
    grads = random_grads(rng, inputs)
    options = {"inverse_temperature": schedule(3)}
    got = with_gradients(ops, leaves(inputs, kind), grads, **options)
    expect_relative(got, wanted(inputs, grads, **options), 3 * TOLERANCE[dtype])


@pytest.mark.parametrize("kind", TORCH_KINDS)
def test_votes_of_1e15_do_not_overflow_in_float32(rng, kind):
    inputs = draw(rng, 5, 60, 4, 4, "float32", 1e15)
    got = with_gradients(ops, leaves(inputs, kind), random_grads(rng, inputs))
    assert all(torch.isfinite(x).all() for x in got)


@pytest.mark.parametrize("kind", KINDS)
def test_agreement_is_found_among_outliers(rng, kind):
    """30 of 40 votes for capsule 0 agree: its pose is theirs, and it is the active one."""
    pose = np.array([2.0, -1, 1, 2])
    poses = pose + 0.01 * rng.standard_normal((40, 4))
    poses[30:] += 5 * rng.standard_normal((10, 4))
    weight = rng.standard_normal((40, 2, 2, 2))
    weight[:, 0] = np.eye(2)
    inputs = [poses[None], np.ones((1, 40)), weight, np.zeros(2), np.zeros(2)]
    out, activations = ops.em_routing(
        *(put(x, kind) for x in inputs), iterations=8, inverse_temperature=0.01, epsilon=1e-3
    )
    assert np.abs(get(out)[0, 0] - pose).max() < 0.01
    assert np.abs(poses.mean(0) - pose).max() > 0.1
    assert get(activations)[0, 0] > 0.9 > 0.5 > get(activations)[0, 1]


@pytest.mark.parametrize("kind", KINDS)
def test_empty_batch(rng, kind):
    inputs = [put(x, kind) for x in draw(rng, 0, 6, 4, 2)]
    out = ops.em_routing(*inputs)
    assert [tuple(x.shape) for x in out] == [(0, 4, 4), (0, 4)]
    if kind != "numpy":
        tensors = [x.requires_grad_() for x in inputs]
        grads = torch.autograd.grad(sum(x.sum() for x in ops.em_routing(*tensors)), tensors)
        assert [g.shape for g in grads] == [x.shape for x in tensors]
        assert all((g == 0).all() for g in grads)


@pytest.mark.parametrize("kind", KINDS)
def test_non_contiguous_inputs(rng, kind):
    inputs = draw(rng, 4, 6, 3, 2)
    turned = [
        put(np.ascontiguousarray(x.swapaxes(0, -1)), kind).swapaxes(0, -1) if x.ndim > 1
        else put(np.repeat(x, 2), kind)[::2]
        for x in inputs
    ]  # fmt: skip
    for ours, theirs in zip(ops.em_routing(*turned), ops.em_routing(*inputs), strict=True):
        if kind == "cuda":
            np.testing.assert_allclose(get(ours), theirs, rtol=1e-10)
        else:
            np.testing.assert_array_equal(get(ours), theirs)
    if kind != "numpy":
        tensors = [x.detach().requires_grad_() for x in turned]
        grads = [torch.ones(1, 1, 1).expand(4, 3, 4), torch.ones(1, 1).expand(4, 3)]  # stride 0
        expect_relative(with_gradients(ops, tensors, grads), wanted(inputs, grads), 1e-10)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numpy_gives_what_torch_gives(rng, dtype):
    inputs = draw(rng, 5, 20, 3, 4, dtype)
    got = ops.em_routing(*(torch.from_numpy(x) for x in inputs))
    for ours, theirs in zip(ops.em_routing(*inputs), got, strict=True):
        assert ours.tobytes() == theirs.numpy().tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("p", [2, 4])
def test_neither_threads_nor_the_batch_change_results(rng, dtype, p):
    inputs = draw(rng, 21, 70, 3, p, dtype)
    grads, results = random_grads(rng, inputs), []
    for threads in (1, 2, 3):
        polyad.set_num_threads(threads)
        results.append(with_gradients(ops, leaves(inputs), grads))
    polyad.set_num_threads(1)
    for other in results[1:]:
        for ours, theirs in zip(results[0], other, strict=True):
            assert get(ours).tobytes() == get(theirs).tobytes()
    single = [
        with_gradients(
            ops,
            leaves([x[b : b + 1] if x.shape[0] == 21 else x for x in inputs]),
            [g[b : b + 1] for g in grads],
        )
        for b in range(21)
    ]
    for place in range(4):  # outputs and the gradients that belong to a sample
        alone = torch.cat([each[place] for each in single])
        assert get(alone).tobytes() == get(results[0][place]).tobytes()


def test_a_number_is_a_constant_schedule(rng):
    inputs = draw(rng)
    for given in ([0.5, 0.5], (0.5, 0.5)):
        for ours, theirs in zip(
            ops.em_routing(*inputs, iterations=2, inverse_temperature=given),
            ops.em_routing(*inputs, iterations=2, inverse_temperature=0.5),
            strict=True,
        ):
            np.testing.assert_array_equal(ours, theirs)


def native(backward=False):
    return getattr(torch.ops.polyad, f"capsule_em_routing{'_backward' if backward else ''}").default


def test_opcheck(rng):
    inputs = draw(rng)
    torch.library.opcheck(native(), (*leaves(inputs), [0.1, 0.2], 1e-3))
    tensors = [torch.from_numpy(x) for x in inputs]
    kept = native()(*tensors, [0.1, 0.2], 1e-3)[2:]
    grads = random_grads(rng, inputs)
    torch.library.opcheck(native(True), (*tensors[:4], *kept, *grads, [0.1, 0.2], 1e-3))


@pytest.mark.parametrize("kind", TORCH_KINDS)
def test_compile(rng, kind):
    tensors = leaves(draw(rng), kind)

    def loss(*inputs):
        poses, activations = ops.em_routing(*inputs, inverse_temperature=[0.1, 0.2, 0.3])
        return poses.square().sum() + activations.sum()

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    got, want = compiled(*tensors), loss(*tensors)
    torch.testing.assert_close(got, want)
    torch.testing.assert_close(
        torch.autograd.grad(got, tensors), torch.autograd.grad(want, tensors)
    )


def test_double_backward_is_refused(rng):
    tensors = leaves(draw(rng))
    grads = torch.autograd.grad(ops.em_routing(*tensors)[0].sum(), tensors, create_graph=True)
    with pytest.raises(NotImplementedError, match="em_routing has no second derivative"):
        sum(g.sum() for g in grads).backward()


def test_vmap(rng):
    inputs = [torch.from_numpy(np.stack([x, x * 0.5])) for x in draw(rng)]
    got = torch.vmap(ops.em_routing)(*inputs)
    want = [ops.em_routing(*(x[i] for x in inputs)) for i in range(2)]
    for place in range(2):
        torch.testing.assert_close(got[place], torch.stack([each[place] for each in want]))


def test_only_the_wanted_gradients_are_returned(rng):
    inputs = draw(rng)
    grads = random_grads(rng, inputs)
    want = wanted(inputs, grads)[2:]
    for chosen in range(5):
        tensors = [torch.from_numpy(x) for x in inputs]
        tensors[chosen].requires_grad_()
        torch.autograd.backward(ops.em_routing(*tensors), grads)
        assert [x.grad is not None for x in tensors] == [i == chosen for i in range(5)]
        np.testing.assert_allclose(tensors[chosen].grad, want[chosen], rtol=1e-8, atol=1e-12)


def test_one_output_alone_may_have_a_gradient(rng):
    inputs = draw(rng)
    for which in range(2):
        got, want = leaves(inputs), leaves(inputs)
        ops.em_routing(*got)[which].sum().backward()
        reference.em_routing(*want)[which].sum().backward()
        for ours, theirs in zip(got, want, strict=True):
            wanted_grad = torch.zeros_like(theirs) if theirs.grad is None else theirs.grad
            torch.testing.assert_close(ours.grad, wanted_grad, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("kind", TORCH_KINDS)
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_types_are_computed_in_float32(rng, kind, half):
    tensors = [x.detach().to(half).requires_grad_() for x in leaves(draw(rng), kind)]
    got = ops.em_routing(*tensors)
    want = ops.em_routing(*(x.detach().float() for x in tensors))
    assert all(x.dtype == torch.float32 for x in got)
    torch.testing.assert_close(got, want, rtol=0, atol=0)
    grads = torch.autograd.grad(got[0].square().sum(), tensors)
    assert all(g.dtype == half for g in grads)


@pytest.mark.cuda
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_more_than_shared_memory_holds(rng, dtype):
    inputs = draw(rng, 3, 20, 300, 4, dtype)
    grads = random_grads(rng, inputs)
    options = {"iterations": 2, "inverse_temperature": schedule(2)}
    got = with_gradients(ops, leaves(inputs, "cuda"), grads, **options)
    expect_relative(got, wanted(inputs, grads, **options), TOLERANCE[dtype])


POSES, ACTIVATIONS, WEIGHT = np.ones((2, 6, 4)), np.full((2, 6), 0.5), np.ones((6, 3, 2, 2))
BETA = np.zeros(3)


def spoiled(array, value):
    array = array.copy()
    array[1, 1] = value
    return array


def call(*given, **options):
    given = (*given, *(POSES, ACTIVATIONS, WEIGHT, BETA, BETA)[len(given) :])
    return lambda: ops.em_routing(*given, **options)


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (call(None), TypeError, "poses: expected a numpy array or a torch tensor, got NoneType"),
        (call(POSES, torch.ones(2, 6)), TypeError, "activations: expected a numpy array as poses is, got a torch tensor"),
        (call(POSES.astype(int)), TypeError, "poses: expected dtype float32 or float64 or float16 or bfloat16, got int64"),
        (call(POSES, ACTIVATIONS.astype("float32")), TypeError, "activations: expected dtype float64, got float32"),
        (call(POSES[0]), ValueError, r"poses: expected \[B, I, P\] = \[B, I, P\], got \[6, 4\]"),
        (call(POSES[..., :3]), ValueError, r"poses: expected at least one input capsule and a square P, got \[2, 6, 3\]"),
        (call(POSES[:, :0]), ValueError, r"poses: expected at least one input capsule and a square P, got \[2, 0, 4\]"),
        (call(POSES, ACTIVATIONS[:, 1:]), ValueError, r"activations: expected \[B, I\] = \[2, 6\], got \[2, 5\]"),
        (call(POSES, ACTIVATIONS, WEIGHT[1:]), ValueError, r"weight: expected \[I, J, p, p\] = \[6, J, 2, 2\], got \[5, 3, 2, 2\]"),
        (call(POSES, ACTIVATIONS, WEIGHT[..., :1]), ValueError, r"weight: expected \[I, J, p, p\] = \[6, J, 2, 2\], got \[6, 3, 2, 1\]"),
        (call(POSES, ACTIVATIONS, WEIGHT[:, :0]), ValueError, r"weight: expected J of at least 1, got \[6, 0, 2, 2\]"),
        (call(POSES, ACTIVATIONS, WEIGHT, BETA[1:]), ValueError, r"beta_u: expected \[J\] = \[3\], got \[2\]"),
        (call(POSES, ACTIVATIONS, WEIGHT, BETA, BETA[1:]), ValueError, r"beta_a: expected \[J\] = \[3\], got \[2\]"),
        (call(spoiled(POSES, np.nan)), ValueError, r"poses: expected finite values, got nan at \[1, 1, 0\]"),
        (call(POSES, spoiled(ACTIVATIONS, 1.5)), ValueError, r"activations: expected finite values in \[0, 1\], got 1.5 at \[1, 1\]"),
        (call(POSES, spoiled(ACTIVATIONS, -0.5)), ValueError, r"activations: expected finite values in \[0, 1\], got -0.5 at \[1, 1\]"),
        (call(POSES, ACTIVATIONS, spoiled(WEIGHT, np.inf)), ValueError, r"weight: expected finite values, got inf at \[1, 1, 0, 0\]"),
        (call(iterations=0), ValueError, "iterations: expected at least 1, got 0"),
        (call(iterations=2.0), TypeError, "iterations: expected an int, got float"),
        (call(inverse_temperature=0), ValueError, "inverse_temperature: expected a finite number above 0, got 0"),
        (call(inverse_temperature="hot"), TypeError, "inverse_temperature: expected a number, got str"),
        (call(inverse_temperature=[1.0, 2.0]), ValueError, "inverse_temperature: expected a number or a sequence of 3, one for each iteration, got 2"),
        (call(inverse_temperature=[1.0, -2.0, 3.0]), ValueError, r"inverse_temperature\[1\]: expected a finite number above 0, got -2.0"),
        (call(epsilon=0.0), ValueError, "epsilon: expected a finite number above 0, got 0.0"),
        (call(epsilon=1e-30), ValueError, "epsilon: expected at least 1e-20, got 1e-30"),
        (call(epsilon=None), TypeError, "epsilon: expected a number, got NoneType"),
    ],
)  # fmt: skip
def test_bad_input_is_named(action, error, message):
    with pytest.raises(error, match=message):
        action()
