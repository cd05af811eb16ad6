"""Routing at the edge of what numbers hold: zeros, tiny and huge capsules, saturated couplings."""

import numpy as np
import pytest
import torch
from capsule_cases import (
    ALL,
    call,
    cast,
    draw,
    expect_as_eager,
    expect_as_eager_on_average,
    expect_reference,
    expect_relative,
    expect_same_bits,
    floating,
    on,
    random_grad,
    wanted,
    with_gradients,
)
from ntm_cases import TORCH_KINDS, get, one_thread  # noqa: F401

pytestmark = pytest.mark.usefixtures("one_thread")

DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])
KIND = pytest.mark.parametrize("kind", TORCH_KINDS)
FORMS = {"own weights": {}, "shared weights": {"types": 3}, "votes": {"votes": True}}


@KIND
@DTYPES
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("detach", [False, True])
def test_zero_capsules_have_zero_outputs_and_gradients(rng, kind, dtype, form, detach):
    for given in ((), ("logits",)):
        inputs = draw(rng, 5, 66, **FORMS[form], given=given, dtype=dtype)
        first = next(iter(inputs))
        inputs[first] = np.zeros_like(inputs[first])
        grad = random_grad(rng, inputs)
        for name, x in with_gradients(on(inputs, kind), grad, detach=detach).items():
            assert (get(x) == 0).all(), name


@KIND
@DTYPES
def test_zero_weights_have_zero_outputs_and_gradients(rng, kind, dtype):
    inputs = draw(rng, 5, 66, given=(), dtype=dtype)
    inputs["weight"] = np.zeros_like(inputs["weight"])
    for name, x in with_gradients(on(inputs, kind), random_grad(rng, inputs)).items():
        assert (get(x) == 0).all(), name


@KIND
@DTYPES
def test_one_zero_sample_among_others(rng, kind, dtype):
    inputs = draw(rng, 17, 66, given=(), dtype=dtype)
    inputs["u"][9] = 0
    got = with_gradients(on(inputs, kind), random_grad(rng, inputs))
    assert (get(got["v"])[9] == 0).all()
    assert (get(got["grad_u"])[9] == 0).all()
    expect_reference(rng, inputs, kind)


@KIND
@DTYPES
def test_zero_inputs_among_others(rng, kind, dtype):
    for types in (0, 3):
        inputs = draw(rng, 5, 66, types=types, dtype=dtype)
        inputs["u"][:, 11] = 0
        if not types:
            got = with_gradients(on(inputs, kind), random_grad(rng, inputs))
            assert (get(got["grad_weight"])[11] == 0).all()
        expect_reference(rng, inputs, kind, couplings=True)


@KIND
@DTYPES
def test_zero_weight_columns(rng, kind, dtype):
    inputs = draw(rng, 3, 9, given=(), dtype=dtype)
    inputs["weight"][:, 1] = 0  # an output without votes
    inputs["weight"][4] = 0  # an input without votes
    inputs["weight"][:, :, 2] = 0  # a coordinate
    inputs["weight"][..., 1] = 0  # an input coordinate that nobody looks at
    for leaky in (False, True):
        expect_reference(rng, inputs, kind, leaky=leaky, couplings=True)
        got = with_gradients(on(inputs, kind), random_grad(rng, inputs), leaky=leaky)
        assert (get(got["v"])[:, 1] == 0).all()
        assert (get(got["grad_u"])[..., 1] == 0).all()
        assert (get(got["grad_u"])[:, 4] == 0).all()


@KIND
@DTYPES
def test_votes_that_cancel(rng, kind, dtype):
    """The sum is zero, or what rounding leaves of it, without any vote being zero."""
    inputs = draw(rng, 2, 2, 3, 4, 2, given=(), dtype=dtype)
    inputs["weight"][1] = inputs["weight"][0]
    inputs["u"][:, 1] = -inputs["u"][:, 0]
    left = 1e-6 if dtype == "float32" else 1e-15
    for name, x in with_gradients(on(inputs, kind), random_grad(rng, inputs)).items():
        assert np.abs(get(x)).max() <= left, name


@KIND
@DTYPES
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [1e-20, 1e-10, 1e-3, 1e3, 1e4, 1e10, 1e15])
def test_tiny_and_huge_votes(rng, kind, dtype, form, size):
    def scaled():
        inputs = draw(rng, 5, 20, **FORMS[form], given=(), dtype=dtype)
        first = next(iter(inputs))
        inputs[first] = (inputs[first] * size).astype(dtype)
        return inputs

    inputs = scaled()
    grad = random_grad(rng, inputs)
    got = with_gradients(on(inputs, kind), grad)
    assert all(np.isfinite(get(x)).all() for x in got.values())
    if dtype == "float64":
        # agreements carry their rounding, in units of their size, into the couplings
        expect_relative(got, wanted(inputs, grad), 1e-9 if size <= 1e4 else 1e-4)
    elif 1e-10 <= size <= 1:
        expect_as_eager(rng, inputs, kind)
    elif 1 < size <= 1e4:
        expect_as_eager_on_average(rng, scaled, kind)
    else:  # one iteration has no agreements
        got = with_gradients(on(inputs, kind), grad, iterations=1)
        lost = 1e-43  # below the normal numbers
        for name, x in wanted(inputs, grad, iterations=1).items():
            error = np.abs(get(got[name]).astype(np.float64) - get(x)).max()
            assert error <= 1e-5 * np.abs(get(x)).max() + lost, name


@KIND
@DTYPES
@pytest.mark.parametrize("detach", [False, True])
def test_inputs_of_norm_1e4(rng, kind, dtype, detach):
    def long():
        inputs = draw(rng, 5, 66, 10, 16, 8, dtype=dtype)
        inputs["u"] *= 1e4 / np.linalg.norm(inputs["u"], axis=-1, keepdims=True)
        return cast(inputs, dtype)

    inputs = long()
    got = with_gradients(on(inputs, kind), random_grad(rng, inputs), detach=detach)
    assert all(np.isfinite(get(x)).all() for x in got.values())
    assert (np.linalg.norm(get(got["v"]), axis=-1) <= 1 + 1e-6).all()
    if dtype == "float64":
        expect_reference(rng, inputs, kind, detach=detach, couplings=True)
    else:
        expect_as_eager_on_average(rng, long, kind, detach=detach)


@KIND
def test_squares_of_lengths_do_not_overflow(rng, kind):
    """|s|^2 is beyond float32, as is the norm that the reference takes there."""
    inputs = draw(rng, 3, 5, given=(), dtype="float32")
    inputs["u"] *= np.float32(1e25)
    grad = random_grad(rng, inputs)
    got = with_gradients(on(inputs, kind), grad, iterations=1)
    expect_relative(got, wanted(inputs, grad, iterations=1), 1e-5)


@KIND
@DTYPES
@pytest.mark.parametrize("leaky", [False, True])
def test_logits_that_saturate(rng, kind, dtype, leaky):
    for size in (50, 1e4, 1e30):
        inputs = draw(rng, 5, 66, dtype=dtype)
        inputs["logits"] = np.sign(inputs["logits"]) * np.asarray(size, dtype)
        inputs["logits"][3] = size
        inputs["logits"][4] = -size
        inputs["logits"][5] = 0
        for iterations in (1, 3):
            options = {"leaky": leaky, "iterations": iterations, "couplings": True}
            got = with_gradients(on(inputs, kind), random_grad(rng, inputs), **options)
            assert all(np.isfinite(get(x)).all() for x in got.values())
            if size < 1e30 or dtype == "float64":
                tolerance = None if size == 50 else 1e-3 if dtype == "float32" else 1e-9
                expect_reference(rng, inputs, kind, tolerance, **options)


@KIND
@DTYPES
@pytest.mark.parametrize("form", FORMS)
def test_a_logit_of_minus_infinity_closes_a_connection(rng, kind, dtype, form):
    for leaky in (False, True):
        inputs = draw(rng, 5, 66, **FORMS[form], dtype=dtype)
        closed = rng.random(inputs["logits"].shape) < 0.4
        closed[:, 1] = False
        if leaky:
            closed[7] = True  # an input that goes nowhere
        inputs["logits"][closed] = -np.inf
        expect_reference(rng, inputs, kind, leaky=leaky, couplings=form != "votes")
        couplings = form != "votes"
        got = with_gradients(
            on(inputs, kind), random_grad(rng, inputs), leaky=leaky, couplings=couplings
        )
        assert (get(got["grad_logits"])[closed] == 0).all()
        if couplings:
            assert (get(got["c"])[:, closed] == 0).all()


@KIND
@DTYPES
def test_couplings_are_distributions(rng, kind, dtype):
    eps = 2.0**-23 if dtype == "float32" else 2.0**-52
    for size in (0.01, 1, 30, 1e4):
        for form in ({}, {"types": 3}):
            for J in (1, 3, 10, 33):
                inputs = draw(rng, 3, 66, J, **form, dtype=dtype, size=size)
                for iterations in (1, 3):
                    c = get(call(on(inputs, kind), couplings=True, iterations=iterations)[1])
                    assert c.min() >= 0
                    np.testing.assert_allclose(c.sum(-1), 1, rtol=0, atol=8 * eps)
                    c = get(
                        call(on(inputs, kind), couplings=True, iterations=iterations, leaky=True)[1]
                    )
                    assert c.min() >= 0
                    assert c.sum(-1).max() <= 1 + 8 * eps
                    if size < 1:
                        assert c.sum(-1).max() < 1


@KIND
@DTYPES
def test_one_output_takes_everything(rng, kind, dtype):
    inputs = draw(rng, 5, 66, 1, dtype=dtype)
    got = with_gradients(on(inputs, kind), random_grad(rng, inputs), couplings=True)
    assert (get(got["c"]) == 1).all()
    assert (get(got["grad_logits"]) == 0).all()
    c = get(call(on(inputs, kind), couplings=True, leaky=True)[1])
    assert (c < 1).all()


@KIND
def test_lengths_stay_below_one(rng, kind):
    for size in (1, 1e3, 1e6):
        v = get(call(on(draw(rng, 5, 66, dtype="float32", size=size), kind))[0])
        assert (np.linalg.norm(v.astype(np.float64), axis=-1) <= 1 + 1e-6).all()


@KIND
@pytest.mark.parametrize("form", FORMS)
def test_a_gradient_of_zeros_gives_zeros(rng, kind, form):
    inputs = draw(rng, 5, 66, **FORMS[form], given=ALL)
    for detach in (False, True):
        got = with_gradients(on(inputs, kind), torch.zeros(5, 4, 5), detach=detach)
        for name in floating(inputs):
            assert (get(got[f"grad_{name}"]) == 0).all()


@KIND
def test_inputs_are_not_changed(rng, kind):
    for form in FORMS.values():
        inputs = on(draw(rng, 5, 66, **form), kind)
        before = {name: get(x).copy() for name, x in inputs.items()}
        with_gradients(inputs, random_grad(rng, inputs))
        expect_same_bits(inputs, before)
