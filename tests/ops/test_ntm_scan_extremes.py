"""scan at the edge of what numbers hold: extremes that stay finite, and errors that name the rest."""

import numpy as np
import pytest
import torch
from ntm_cases import TORCH_KINDS
from ntm_scan_cases import (
    call,
    draw,
    expect_relative,
    expect_same_bits,
    labels,
    on,
    one_thread,
    random_grads,
    spoiled,
    wanted,
    with_gradients,
)

from polyad.ops import ntm as ops


@pytest.fixture(autouse=True)
def _one_thread():
    yield from one_thread()


def extremes(rng, **sizes):
    """Problems at which naive formulas give NaN, by name."""
    plain = draw(rng, B=2, T=6, N=9, M=4, W=2, **sizes)
    parameters, state = plain.parameters, plain.state
    K, basic = 3, 4 + 3 + 3
    starts = [0, basic, 2 * basic + 8]  # of the heads in a row of head parameters

    def biased(name, value, parameters=parameters):
        place = {"beta": 4, "gamma": 9, "gate": 5}[name]
        bias = parameters.head_bias.copy()
        bias[[start + place for start in starts]] = value
        return parameters._replace(head_bias=bias)

    still = parameters._replace(
        head_weight=parameters.head_weight * 0, head_bias=parameters.head_bias * 0
    )
    one_hot = np.zeros_like(state.weights)
    one_hot[..., 2] = 1
    blank = state._replace(memory=state.memory * 0, weights=one_hot, reads=state.reads * 0)
    sharp = biased("gamma", 200)
    assert len(starts) == K
    return {
        "zero memory": plain._replace(state=state._replace(memory=state.memory * 0)),
        "constant memory": plain._replace(state=state._replace(memory=state.memory * 0 + 1e-6)),
        "zero keys": plain._replace(parameters=still),
        "zero memory and keys, one-hot": plain._replace(parameters=still, state=blank),
        "one-hot": plain._replace(state=state._replace(weights=one_hot)),
        "one-hot, gate shut": plain._replace(parameters=biased("gate", -200), state=blank),
        "gamma 200": plain._replace(parameters=sharp),
        "gamma 200, one-hot": plain._replace(parameters=sharp, state=blank),
        "gamma 1e4": plain._replace(parameters=biased("gamma", 1e4)),
        "beta 200": plain._replace(parameters=biased("beta", 200)),
        "beta 1e4": plain._replace(parameters=biased("beta", 1e4)),
        "beta 1e4, gamma 200": plain._replace(parameters=biased("beta", 1e4, sharp)),
        "beta and gamma as small as they go": plain._replace(
            parameters=biased("beta", -1e4, biased("gamma", -1e4))
        ),
    }  # fmt: skip


@pytest.mark.parametrize("kind", TORCH_KINDS)
@pytest.mark.parametrize("similarity", ["root", "sum"])
def test_extremes_are_finite(rng, kind, similarity):
    for lstm in (True, False):
        for name, problem in extremes(rng, lstm=lstm).items():
            grads = random_grads(rng, problem)
            want = wanted(problem, grads, similarity=similarity)
            for dtype in ("float32", "float64"):
                cast = problem.rebuilt([x.astype(dtype) for x in problem.flat()])
                got = with_gradients(on(cast, kind), grads, similarity=similarity)
                assert all(torch.isfinite(x).all() for x in got), name
                sums = got[3].sum(-1)
                torch.testing.assert_close(sums, torch.ones_like(sums), rtol=0, atol=1e-5)
            if "1e4" not in name and "200" not in name:
                # elsewhere rounding grows by beta and gamma from step to step
                expect_relative(got, want, 1e-9, [f"{name}: {x}" for x in labels(problem)])


# --- not finite ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["numpy", "torch"])
@pytest.mark.parametrize("case", [{"L": 2}, {"lstm": False, "L": 2}])
def test_the_quantity_that_is_not_finite_is_named(rng, kind, case):
    problem = draw(rng, B=3, T=6, **case)
    names = ["state.memory", "state.reads", "weight_ih[0]", "weight_ih[1]", "bias_ih[1]"]
    names += ["state.weights", "head_weight", "head_bias", "output_weight", "output_bias"]
    if "lstm" not in case:
        names += ["state.h", "state.c", "weight_hh[1]", "bias_hh[0]"]
    for name in names:
        message = (
            rf"^scan: sequence 0, step 0: not finite: {name.replace('[', '.').replace(']', '.')}$"
        )
        with pytest.raises(ops.NotFiniteError, match=message):
            call(on(spoiled(problem, name.removeprefix("state.")), kind))


@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("name", ["memory", "reads", "weights", "h", "c", "output_weight"])
def test_infinity_is_named_where_it_would_saturate(rng, name, value):
    bad = spoiled(draw(rng, B=3, T=6, L=2), name, value)
    with pytest.raises(ops.NotFiniteError, match=rf"sequence 0, step 0: not finite: .*{name}$"):
        call(on(bad, "torch"))


@pytest.mark.parametrize("kind", ["numpy", "torch"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_the_sequence_and_step_are_named(rng, kind, value):
    problem = draw(rng, B=12, T=20, I=3)
    bad = spoiled(problem, "inputs", value, at=(7 * 20 + 18) * 3 + 1)
    message = r"^scan: sequence 7, step 18: not finite: inputs\[7, 18\]$"
    with pytest.raises(ops.NotFiniteError, match=message):
        call(on(bad, kind))
    assert issubclass(ops.NotFiniteError, FloatingPointError)


@pytest.mark.parametrize("lstm", [True, False])
def test_overflow_is_named(rng, lstm):
    problem = draw(rng, B=2, T=30, dtype="float32", lstm=lstm)
    huge = problem._replace(
        parameters=problem.parameters._replace(head_weight=problem.parameters.head_weight * 1e38)
    )
    with pytest.raises(
        ops.NotFiniteError, match=r"not finite: controller, memory or outputs \(they overflowed"
    ):
        call(on(huge, "torch"))


def test_outputs_that_overflow_are_named(rng):
    problem = draw(rng, B=2, T=3, H=40, dtype="float32")
    weights = np.full_like(problem.parameters.output_weight, 3e38)
    huge = problem._replace(
        parameters=problem.parameters._replace(
            output_weight=weights, weight_ih=(problem.parameters.weight_ih[0] * 0 + 9,)
        )
    )
    with pytest.raises(ops.NotFiniteError, match="not finite: controller, memory or outputs"):
        call(on(huge, "torch"))


def test_the_other_sequences_are_not_touched_by_a_bad_one(rng):
    problem = draw(rng, B=11, T=5, L=2)
    flat = [torch.from_numpy(x) for x in spoiled(problem, "inputs", at=4 * 5 * 3 + 6).flat()]
    arguments = (flat[0], flat[1:6], flat[6:], None, 2, False, False, 0, 1e-6, False)
    outputs, *state, status, _ = torch.ops.polyad.ntm_scan.default(*arguments)
    assert status.tolist() == [0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0]
    want = call(on(problem, "torch"))
    rest = torch.arange(11) != 4
    expect_same_bits([outputs[rest]], [want[0][rest]], ["outputs"])
    expect_same_bits([state[0][rest]], [want[1][rest]], ["memory"])
    assert torch.isfinite(outputs[4, :2]).all()
