"""Routing by agreement: values and gradients beside the reference, sizes, threads, inside torch."""

import functools
import inspect
import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from capsule_cases import (
    ALL,
    call,
    draw,
    expect_as_eager,
    expect_reference,
    expect_relative,
    expect_same_bits,
    floating,
    on,
    positional,
    random_grad,
    scattered,
    wanted,
    with_gradients,
)
from ntm_cases import KINDS, TORCH_KINDS, get, one_thread  # noqa: F401

import polyad
from polyad.ops import capsule as ops
from polyad.reference import capsule as reference

pytestmark = pytest.mark.usefixtures("one_thread")

GIVEN = [(), ("bias",), ("logits",), ALL]
FORMS = {"own weights": {}, "shared weights": {"types": 3}, "votes": {"votes": True}}
BASE = {"B": 3, "I": 65, "J": 10, "D": 16, "K": 8}
SIZES = {
    "B": [1, 2, 8, 15, 16, 17, 33],
    "I": [1, 2, 63, 64, 66, 129, 130],
    "J": [1, 2, 3, 17, 33, 196],
    "D": [1, 2, 3, 5, 15, 17, 33],
    "K": [1, 2, 3, 7, 12, 16, 17, 20],
}


def choices():
    """leaky, detach, and which of bias and logits are given."""
    return itertools.product((False, True), (False, True), GIVEN)


@pytest.mark.parametrize("kind", TORCH_KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("iterations", [1, 2, 3, 4, 5])
def test_every_option_equals_the_reference(rng, kind, dtype, form, iterations):
    for leaky, detach, given in choices():
        inputs = draw(rng, **FORMS[form], given=given, dtype=dtype)
        options = {"iterations": iterations, "leaky": leaky, "detach": detach}
        expect_reference(rng, inputs, kind, couplings=form != "votes", **options)


@pytest.mark.parametrize("kind", TORCH_KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("form", FORMS)
def test_uniform_equals_the_reference(rng, kind, dtype, form):
    for leaky, detach, given in choices():
        inputs = draw(rng, **FORMS[form], given=given, dtype=dtype)
        options = {"method": "uniform", "leaky": leaky, "detach": detach}
        expect_reference(rng, inputs, kind, couplings=form != "votes", **options)


@pytest.mark.parametrize("form", FORMS)
def test_uniform_is_one_iteration(rng, form):
    inputs = draw(rng, **FORMS[form])
    want = call(inputs, method="dynamic", iterations=1)
    for iterations in (1, 3, 8):
        got = call(inputs, method="uniform", iterations=iterations)
        np.testing.assert_array_equal(got[0], want[0])


def test_uniform_couplings(rng):
    inputs = draw(rng, given=())
    c = call(inputs, couplings=True, method="uniform")[1]
    np.testing.assert_allclose(c, np.full(c.shape, 1 / 4), rtol=1e-15)
    c = call(inputs, couplings=True, method="uniform", leaky=True)[1]
    np.testing.assert_allclose(c, np.full(c.shape, 1 / 5), rtol=1e-15)
    inputs = draw(rng, given=("logits",))
    c = call(inputs, couplings=True, method="uniform")[1]
    want = np.exp(inputs["logits"]) / np.exp(inputs["logits"]).sum(-1, keepdims=True)
    np.testing.assert_allclose(c, np.broadcast_to(want, c.shape), rtol=1e-14)


@pytest.mark.parametrize("kind", TORCH_KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("letter", SIZES)
def test_sizes_off_every_block(rng, kind, dtype, letter):
    for size in SIZES[letter]:
        for form in FORMS.values():
            given = GIVEN[size % 4]
            inputs = draw(rng, **(BASE | {letter: size}), **form, given=given, dtype=dtype)
            couplings = "votes" not in inputs
            expect_reference(rng, inputs, kind, couplings=couplings, leaky=size % 3 == 0)


@pytest.mark.parametrize("kind", TORCH_KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sizes_together(rng, kind, dtype):
    for trial in range(40):
        B = int(rng.choice([1, 2, 4, 5, 9, 16, 17]))
        sizes = [int(rng.choice([1, 2, 3, 5, 8, 11, 16, 20, 31])) for _ in range(4)]
        form = list(FORMS.values())[trial % 3]
        inputs = draw(rng, B, *sizes, **form, given=GIVEN[trial % 4], dtype=dtype)
        options = {"iterations": trial % 4 + 1, "leaky": trial % 5 < 2, "detach": trial % 7 < 3}
        expect_reference(rng, inputs, kind, **options)


@pytest.mark.parametrize("kind", TORCH_KINDS)
@pytest.mark.parametrize("form", FORMS)
def test_many_inputs(rng, kind, form):
    """More than one piece in each of 32 chunks of inputs."""
    for detach in (False, True):
        inputs = draw(rng, 2, 2100, 10, 16, 8, **FORMS[form], dtype="float32")
        expect_reference(rng, inputs, kind, detach=detach, couplings=form != "votes")


@pytest.mark.parametrize("kind", TORCH_KINDS)
@pytest.mark.parametrize("form", FORMS)
def test_one_of_everything(rng, kind, form):
    for leaky, detach, given in choices():
        inputs = draw(rng, 1, 1, 1, 1, 1, **FORMS[form], given=given)
        expect_reference(rng, inputs, kind, leaky=leaky, detach=detach)


@pytest.mark.parametrize("kind", TORCH_KINDS)
@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_single_precision_is_as_accurate_as_eager(rng, kind, form, detach):
    for sizes in ((16, 300, 10, 16, 8), (5, 130, 33, 5, 12), (33, 64, 3, 17, 16)):
        inputs = draw(rng, *sizes, **FORMS[form], dtype="float32")
        expect_as_eager(rng, inputs, kind, detach=detach)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("form", FORMS)
def test_numpy_gives_what_torch_gives(rng, form, dtype):
    for (leaky, detach, given), iterations in zip(choices(), itertools.cycle((1, 2, 3))):
        inputs = draw(rng, 5, 70, 3, 17, 5, **FORMS[form], given=given, dtype=dtype)
        options = {"iterations": iterations, "leaky": leaky, "detach": detach}
        options["couplings"] = form != "votes"
        for ours, theirs in zip(
            call(inputs, **options), call(on(inputs, "torch"), **options), strict=True
        ):
            assert isinstance(ours, np.ndarray)
            assert ours.tobytes() == get(theirs).tobytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("types", [0, 3])
def test_couplings_come_with_the_same_outputs(rng, kind, types):
    for iterations in (1, 2, 3):
        inputs = on(draw(rng, 17, 66, types=types), kind)
        (v,) = call(inputs, iterations=iterations)
        both, c = call(inputs, couplings=True, iterations=iterations)
        assert get(v).tobytes() == get(both).tobytes()
        assert tuple(c.shape) == (17, 66, 4)
        if kind != "numpy":
            assert both.requires_grad
            assert not c.requires_grad


def test_own_votes_are_the_products(rng):
    inputs = draw(rng, 3, 20, types=3)
    votes = reference.votes(*(torch.from_numpy(inputs[x]) for x in ("u", "weight", "capsule_type")))
    rest = {name: inputs[name] for name in ALL}
    np.testing.assert_allclose(
        ops.routing_votes(votes.numpy(), **rest), ops.routing(**inputs), rtol=0, atol=1e-13
    )


# --- gradients -----------------------------------------------------------------------------------


@pytest.mark.parametrize("leaky", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_gradcheck(rng, form, leaky):
    for iterations, given in ((1, ALL), (2, ()), (3, ALL)):
        inputs = on(draw(rng, 2, 4, 3, 2, 3, **FORMS[form], given=given), "torch")
        op = ops.routing_votes if form == "votes" else ops.routing
        function, leaves = positional(op, inputs, iterations=iterations, leaky=leaky)
        assert torch.autograd.gradcheck(function, leaves)


@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_only_the_wanted_gradients_are_returned(rng, form, detach):
    inputs = draw(rng, 5, 9, **FORMS[form])
    grad = random_grad(rng, inputs)
    want = wanted(inputs, grad, detach=detach)
    names = floating(inputs)
    for count in (1, 2, len(names)):
        for chosen in itertools.combinations(names, count):
            tensors = on(inputs, "torch", grad=False)
            for name in chosen:
                tensors[name].requires_grad_()
            call(tensors, detach=detach)[0].backward(grad)
            assert [name for name in names if tensors[name].grad is not None] == list(chosen)
            for name in chosen:
                expect_relative({"": tensors[name].grad}, {"": want[f"grad_{name}"]}, 1e-12, name)


def test_gradients_accumulate_and_graphs_can_be_kept(rng):
    inputs = on(draw(rng), "torch")
    loss = call(inputs)[0].square().sum()
    loss.backward(retain_graph=True)
    once = inputs["weight"].grad.clone()
    loss.backward()
    torch.testing.assert_close(inputs["weight"].grad, 2 * once, rtol=0, atol=0)


def test_detach_takes_agreements_as_constants(rng):
    """The gradient is that of one iteration whose logits are what agreement made of them."""
    inputs = on(draw(rng, 1, given=()), "torch")
    grad = random_grad(rng, inputs)
    got = with_gradients(inputs, grad, detach=True)
    votes = reference.votes(inputs["u"], inputs["weight"]).detach()
    first = ops.routing_votes(votes, iterations=1)
    second = ops.routing_votes(votes, iterations=2)
    agreements = torch.einsum("bijd,bjd->ij", votes, first + second)
    fixed = {**inputs, "logits": agreements}
    want = with_gradients(on({k: get(x) for k, x in fixed.items()}, "torch"), grad, iterations=1)
    del want["grad_logits"]
    expect_relative(got, want, 1e-12)


@pytest.mark.parametrize("kind", TORCH_KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_shared_weights_have_the_sum_of_the_gradients(rng, kind, dtype):
    for types, sizes in ((1, (3, 70)), (3, (17, 130)), (5, (2, 4)), (40, (1, 90)), (2, (4, 1))):
        inputs = draw(rng, *sizes, types=types, dtype=dtype)
        order = inputs.pop("capsule_type")
        own = inputs | {"weight": inputs["weight"][order]}
        grad = random_grad(rng, inputs)
        want = with_gradients(on(own, kind), grad)
        sums = np.zeros(inputs["weight"].shape)
        np.add.at(sums, order, get(want["grad_weight"]).astype(np.float64))
        want["grad_weight"] = sums
        got = with_gradients(on(inputs | {"capsule_type": order}, kind), grad)
        # the same terms, summed in another order
        expect_relative(got, want, 3e-6 if dtype == "float32" else 1e-13, f"{types} types")
        unused = np.setdiff1d(np.arange(types), order)
        assert (get(got["grad_weight"])[unused] == 0).all()


def test_all_inputs_of_one_type(rng):
    inputs = draw(rng, 3, 130, types=4)
    for only in (0, 3):
        inputs["capsule_type"] = np.full(130, only, np.int32)
        expect_reference(rng, inputs)


# --- layouts, order, threads ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", FORMS)
def test_non_contiguous_inputs(rng, kind, form):
    inputs = draw(rng, 5, 18, **FORMS[form])
    plain, couplings = on(inputs, kind), form != "votes"
    gaps = {name: scattered(x, kind) for name, x in inputs.items()}
    turned = {name: put_turned(x, kind) for name, x in inputs.items()}
    want = call(plain, couplings=couplings)
    for other in (gaps, turned):
        for ours, theirs in zip(call(other, couplings=couplings), want, strict=True):
            assert get(ours).tobytes() == get(theirs).tobytes()
    if kind == "numpy":
        return
    grad = torch.ones(1, 1, 1, dtype=torch.float64).expand(5, 4, 5)  # stride 0
    want = with_gradients(plain, grad)
    for other in (gaps, turned):
        for name in floating(other):
            other[name] = other[name].detach().requires_grad_()
        expect_same_bits(with_gradients(other, grad), want)
        backwards = grad.contiguous().transpose(0, 2).contiguous().transpose(0, 2)
        expect_same_bits(with_gradients(other, backwards), want)


def put_turned(x, kind):
    """The same numbers, the first axis running fastest."""
    turned = np.asfortranarray(x)
    if kind == "numpy":
        return turned
    device = "cuda" if kind == "cuda" else "cpu"
    return (
        torch.from_numpy(np.ascontiguousarray(turned.T))
        .to(device)
        .permute(*reversed(range(x.ndim)))
    )


@pytest.mark.parametrize("offset", [1, 3])
def test_arrays_that_begin_off_a_register(rng, offset):
    inputs = draw(rng, 3, 70, dtype="float32")
    moved = dict(inputs)
    for name in floating(inputs):
        x = inputs[name]
        memory = np.empty(x.size + offset, x.dtype)
        memory[offset:] = x.ravel()
        moved[name] = memory[offset:].reshape(x.shape)
    grad = random_grad(rng, inputs)
    ours, theirs = (
        {name: torch.from_numpy(x).requires_grad_() for name, x in each.items()}
        for each in (moved, inputs)
    )
    expect_same_bits(with_gradients(ours, grad), with_gradients(theirs, grad))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", FORMS)
def test_empty_batch(rng, kind, form):
    inputs = on(draw(rng, 0, **FORMS[form]), kind)
    results = call(inputs, couplings=form != "votes")
    assert [tuple(x.shape) for x in results] == [(0, 4, 5), (0, 7, 4)][: len(results)]
    if kind == "numpy":
        return
    for detach in (False, True):
        found = with_gradients(inputs, torch.empty(0, 4, 5), detach=detach)
        for name in floating(inputs):
            assert found[f"grad_{name}"].shape == inputs[name].shape
            assert (found[f"grad_{name}"] == 0).all()


@pytest.mark.parametrize("kind", TORCH_KINDS)
def test_order_of_inputs_and_outputs_does_not_matter(rng, kind):
    inputs = draw(rng, 4, 70, 5)
    grad = random_grad(rng, inputs)
    want = with_gradients(on(inputs, kind), grad, couplings=True)
    i, j = rng.permutation(70), rng.permutation(5)
    moved = {
        "u": inputs["u"][:, i],
        "weight": inputs["weight"][i][:, j],
        "bias": inputs["bias"][j],
        "logits": inputs["logits"][i][:, j],
    }
    got = with_gradients(on(moved, kind), grad[:, j], couplings=True)
    want = {name: get(x) for name, x in want.items()}
    want["v"] = want["v"][:, j]
    want["c"] = want["c"][:, i][:, :, j]
    want["grad_u"] = want["grad_u"][:, i]
    want["grad_weight"] = want["grad_weight"][i][:, j]
    want["grad_bias"] = want["grad_bias"][j]
    want["grad_logits"] = want["grad_logits"][i][:, j]
    expect_relative(got, want, 1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("form", FORMS)
def test_threads_do_not_change_results(rng, form, dtype):
    for sizes, detach in (((5, 300, 4, 7, 3), False), ((1, 700), False), ((37, 70), True)):
        inputs = draw(rng, *sizes, **FORMS[form], dtype=dtype)
        grad, results = random_grad(rng, inputs), []
        for threads in (1, 2, 5):
            polyad.set_num_threads(threads)
            couplings = form != "votes"
            results.append(
                with_gradients(on(inputs, "torch"), grad, couplings=couplings, detach=detach)
            )
        for other in results[1:]:
            expect_same_bits(other, results[0], str(sizes))


def test_a_change_of_threads_between_forward_and_backward(rng):
    inputs = on(draw(rng, 11, 300), "torch")
    grad = random_grad(rng, inputs)
    want = with_gradients(inputs, grad)
    (v,) = call(inputs)
    polyad.set_num_threads(3)
    got = torch.autograd.grad(v, list(inputs.values()), grad)
    for ours, theirs in zip(got, list(want.values())[1:], strict=True):
        assert get(ours).tobytes() == get(theirs).tobytes()


def test_threads_of_python_do_not_disturb_each_other(rng):
    inputs = draw(rng, 9, 130, types=3, dtype="float32")
    grad = random_grad(rng, inputs)
    want = with_gradients(on(inputs, "torch"), grad)
    polyad.set_num_threads(2)
    start = threading.Barrier(4)

    def work(_):
        start.wait()
        return [with_gradients(on(inputs, "torch"), grad) for _ in range(5)]

    with ThreadPoolExecutor(4) as pool:
        for results in pool.map(work, range(4)):
            for got in results:
                expect_same_bits(got, want)


def test_a_long_call_releases_the_gil(rng):
    inputs = on(draw(rng, 64, 1152, 10, 16, 8, dtype="float32"), "torch")
    grad, ticks, done = random_grad(rng, inputs), [], threading.Event()
    v = call(inputs)[0]

    def tick():
        while not done.wait(0.001):
            ticks.append(time.monotonic())

    ticker = threading.Thread(target=tick)
    ticker.start()
    try:
        begin = time.monotonic()
        call(inputs)
        between = time.monotonic()
        v.backward(grad.float())
        end = time.monotonic()
    finally:
        done.set()
        ticker.join()
    for first, last in ((begin, between), (between, end)):
        inside = sum(first < t < last for t in ticks)
        assert inside >= 3, f"{inside} ticks in {last - first:.3f} s"


@pytest.mark.parametrize("kind", TORCH_KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("form", FORMS)
def test_a_sample_does_not_depend_on_the_batch(rng, kind, form, dtype):
    inputs = draw(rng, 37, 130, 3, 5, 4, **FORMS[form], dtype=dtype)
    grad = random_grad(rng, inputs)
    batched = "votes" if form == "votes" else "u"
    own = ["v", "c", f"grad_{batched}"] if batched == "u" else ["v", "grad_votes"]
    whole = with_gradients(on(inputs, kind), grad, couplings=batched == "u")
    for first, end in ((0, 1), (36, 37), (5, 22), (16, 32), (1, 34)):
        part = inputs | {batched: inputs[batched][first:end]}
        some = with_gradients(on(part, kind), grad[first:end], couplings=batched == "u")
        expect_same_bits(
            {name: some[name] for name in own},
            {name: whole[name][first:end].contiguous() for name in own},
            f"samples {first} .. {end}",
        )


# --- inside torch --------------------------------------------------------------------------------


def op_arguments(inputs, iterations=3, leaky=True, detach=False, couplings=True):
    names = ["votes"] if "votes" in inputs else ["u", "weight"]
    names += ["bias", "logits"] + (["capsule_type"] if "votes" not in inputs else [])
    return (*(inputs.get(name) for name in names), iterations, leaky, detach, couplings)


@pytest.mark.parametrize("kind", TORCH_KINDS)
@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_opcheck(rng, kind, form, detach):
    name = "capsule_routing_votes" if form == "votes" else "capsule_routing"
    forward = getattr(torch.ops.polyad, name).default
    backward = getattr(torch.ops.polyad, f"{name}_backward").default
    for given, couplings in ((ALL, True), ((), False)):
        problem = draw(rng, **FORMS[form], given=given)
        inputs = on(problem, kind)
        torch.library.opcheck(forward, op_arguments(inputs, detach=detach, couplings=couplings))
        still = on(problem, kind, grad=False)
        *tensors, _, leaky, _, _ = op_arguments(still)
        v, s, _ = forward(*op_arguments(still))
        torch.library.opcheck(backward, (*tensors, s, torch.ones_like(v), leaky, detach))


def loss_of(**options):
    def loss(inputs):
        scaled = {name: x * 1.5 if name in ("u", "votes") else x for name, x in inputs.items()}
        return call(scaled, **options)[0].tanh().square().sum()

    return loss


def expect_compiled(inputs, backend, **options):
    torch.compiler.reset()
    loss = loss_of(**options)
    compiled = torch.compile(loss, fullgraph=True, backend=backend)
    got, want = compiled(inputs), loss(inputs)
    torch.testing.assert_close(got, want)
    leaves = [inputs[name] for name in floating(inputs)]
    torch.testing.assert_close(torch.autograd.grad(got, leaves), torch.autograd.grad(want, leaves))


@pytest.mark.parametrize("kind", TORCH_KINDS)
@pytest.mark.parametrize("form", FORMS)
def test_compile(rng, kind, form):
    inputs = on(draw(rng, **FORMS[form]), kind)
    expect_compiled(inputs, "aot_eager", couplings=form == "own weights", leaky=True)


def test_compile_without_what_may_be_left_out(rng):
    expect_compiled(on(draw(rng, given=()), "torch"), "aot_eager", method="uniform")


@pytest.mark.slow
@pytest.mark.parametrize("kind", TORCH_KINDS)
@pytest.mark.parametrize("form", FORMS)
def test_compile_inductor(rng, kind, form):
    expect_compiled(on(draw(rng, **FORMS[form]), kind), "inductor")


def test_compile_with_other_sizes_afterwards(rng):
    """A second batch size makes torch try symbolic sizes."""
    torch.compiler.reset()
    loss = loss_of()
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    weights = on(draw(rng), "torch")
    for B in (2, 3, 5):
        inputs = weights | {"u": torch.randn(B, 7, 3, dtype=torch.float64, requires_grad=True)}
        got, want = compiled(inputs), loss(inputs)
        torch.testing.assert_close(got, want, rtol=0, atol=0)
        leaves = list(inputs.values())
        torch.testing.assert_close(
            torch.autograd.grad(got, leaves), torch.autograd.grad(want, leaves)
        )


@pytest.mark.parametrize("form", FORMS)
def test_double_backward_is_refused(rng, form):
    inputs = on(draw(rng, **FORMS[form]), "torch")
    leaves = [inputs[name] for name in floating(inputs)]
    for detach in (False, True):
        v = call(inputs, detach=detach)[0]
        grads = torch.autograd.grad(v.square().sum(), leaves, create_graph=True)
        for grad in grads:  # of each argument: none may pass for a constant
            with pytest.raises(NotImplementedError, match="has no second derivative here"):
                grad.sum().backward(retain_graph=True)


def test_func_grad_is_right_or_refused(rng):
    inputs = on(draw(rng), "torch", grad=False)

    def loss(module):
        return lambda u: call(inputs | {"u": u}, module)[0].square().sum()

    want = torch.func.grad(loss(reference))(inputs["u"])
    try:
        got = torch.func.grad(loss(ops))(inputs["u"])
    except RuntimeError as error:  # torch's: registered gradients do not go into torch.func
        assert "setup_context" in str(error)  # noqa: PT017 (raising is one of two right answers)
    else:  # never zeros in silence
        torch.testing.assert_close(got, want)


def test_vmap_is_right_or_refused(rng):
    inputs = on(draw(rng), "torch", grad=False)
    function = functools.partial(ops.routing, weight=inputs["weight"])
    many = torch.stack([inputs["u"], 2 * inputs["u"]])
    want = torch.stack([function(u) for u in many])
    try:
        got = torch.vmap(lambda u: function(u))(many)
    except RuntimeError as error:
        assert "Batching rule not implemented for polyad::" in str(error)  # noqa: PT017
    else:
        torch.testing.assert_close(got, want)


@pytest.mark.parametrize("kind", TORCH_KINDS)
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("form", FORMS)
def test_autocast_computes_in_float32(rng, kind, half, form):
    inputs = on(draw(rng, **FORMS[form], dtype="float32"), kind, grad=False)
    for name in floating(inputs):
        if name != "weight":  # parameters stay as they are
            inputs[name] = inputs[name].to(half)
        inputs[name].requires_grad_()
    plain = {name: x.detach().float() if x.is_floating_point() else x for name, x in inputs.items()}
    couplings = form != "votes"
    with torch.autocast(inputs["bias"].device.type, dtype=half):
        got = call(inputs, couplings=couplings)
    for ours, theirs in zip(got, call(plain, couplings=couplings), strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    leaves = [inputs[name] for name in floating(inputs)]
    grads = torch.autograd.grad(got[0].square().sum(), leaves)
    assert [g.dtype for g in grads] == [x.dtype for x in leaves]


def test_ops_and_reference_have_the_same_arguments():
    for op in ("routing", "routing_with_couplings", "routing_votes"):
        ours, theirs = (
            [(p.name, p.kind, p.default) for p in inspect.signature(f).parameters.values()]
            for f in (getattr(ops, op), getattr(reference, op))
        )
        assert ours == theirs
