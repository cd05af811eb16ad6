"""scan over time: steps one by one, ends of sequences, the trace, torch.nn.LSTM."""

import numpy as np
import pytest
import torch
from ntm_cases import KINDS, TORCH_KINDS, get
from ntm_scan_cases import (
    call,
    draw,
    expect_relative,
    expect_same_bits,
    labels,
    on,
    one_thread,
    random_grads,
    with_gradients,
)

from polyad.ops import ntm as ops
from polyad.ops.ntm import NTMParameters, NTMState

KINDS_OF_CONTROLLER = [{"L": 2}, {"lstm": False, "L": 2, "R": 2, "W": 2, "S": 5}]


@pytest.fixture(autouse=True)
def _one_thread():
    yield from one_thread()


def in_parts(problem, sizes, **options):
    """(outputs, *state) of calls on that many steps, each from the state that the last one left."""
    outputs, state, first = [], problem.state, 0
    for size in sizes:
        inputs = problem.inputs[:, first : first + size]
        result, state = ops.scan(inputs, state, problem.parameters, **options)
        outputs.append(result)
        first += size
    together = np.concatenate if isinstance(outputs[0], np.ndarray) else torch.cat
    return [together(outputs, 1), *state]


# --- steps ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", KINDS_OF_CONTROLLER)
def test_steps_one_by_one_are_a_sequence(rng, kind, case):
    for dtype, B in (("float32", 1), ("float32", 11), ("float64", 3)):
        problem = on(draw(rng, B=B, T=19, N=21, H=9, dtype=dtype, **case), kind, grad=False)
        for options in ({}, {"read_first": True}):
            whole = call(problem, **options)
            for sizes in ((1,) * 19, (3, 16), (16, 3), (8, 8, 3)):
                parts = in_parts(problem, sizes, **options)
                expect_same_bits(parts, whole, labels(problem)[:6])


@pytest.mark.parametrize("case", KINDS_OF_CONTROLLER)
def test_gradients_pass_through_the_state_between_calls(rng, case):
    problem = draw(rng, B=3, T=11, **case)
    grads = random_grads(rng, problem)
    want = with_gradients(on(problem, "torch"), grads)
    for sizes in ((1,) * 11, (3, 8)):
        leaves = on(problem, "torch")
        results = in_parts(leaves, sizes)
        got = [*results, *torch.autograd.grad(results, leaves.flat(), grads)]
        expect_relative(got, want, 1e-12, labels(problem))


# --- ends of sequences ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", KINDS_OF_CONTROLLER)
def test_a_batch_is_its_sequences_one_by_one(rng, kind, dtype, case):
    problem = draw(rng, B=13, T=20, dtype=dtype, lengths=True, **case)
    problem.lengths[:3] = 20, 1, 17
    whole = call(on(problem, kind, grad=False))
    for b in range(13):
        alone = call(on(problem.part(b, b + 1)._replace(lengths=None), kind, grad=False))
        steps = problem.lengths[b]
        outputs, *state = (get(x) for x in whole)
        mine = [outputs[b : b + 1, :steps], *(x[b : b + 1] for x in state[:3])]
        mine += [x[:, b : b + 1] for x in state[3:]]
        expect_same_bits(mine, alone, labels(problem)[:6])
        assert not outputs[b, steps:].any()


def test_gradients_of_a_batch_are_those_of_its_sequences(rng):
    problem = draw(rng, B=10, T=18, L=2, lengths=True)
    grads = random_grads(rng, problem)
    got = with_gradients(on(problem, "torch"), grads)[6:]
    sums = [torch.zeros_like(x) for x in got]
    for b in range(10):
        part = problem.part(b, b + 1)
        of_part = [grads[0][b : b + 1, : part.inputs.shape[1]], *(g[b : b + 1] for g in grads[1:4])]
        of_part += [g[:, b : b + 1] for g in grads[4:]]
        alone = with_gradients(on(part._replace(lengths=None), "torch"), of_part)[6:]
        sums[0][b, : part.inputs.shape[1]] = alone[0][0]
        for place in (1, 2, 3):
            sums[place][b] = alone[place][0]
        for place in (4, 5):
            sums[place][:, b] = alone[place][:, 0]
        for place in range(6, len(sums)):
            sums[place] += alone[place]
    expect_relative(got, sums, 1e-13, labels(problem)[6:])


@pytest.mark.parametrize("kind", TORCH_KINDS)
@pytest.mark.parametrize("case", KINDS_OF_CONTROLLER)
def test_what_lies_behind_the_end_reaches_nothing(rng, kind, case):
    problem = draw(rng, B=9, T=19, lengths=True, **case)
    grads = random_grads(rng, problem)
    behind = np.arange(19)[None] >= problem.lengths[:, None]
    assert behind.any()
    want = with_gradients(on(problem, kind), grads)
    for value in (np.nan, np.inf, 1e300):
        inputs = np.where(behind[..., None], value, problem.inputs)
        spoiled = [torch.where(torch.from_numpy(behind)[..., None], value, grads[0]), *grads[1:]]
        got = with_gradients(on(problem._replace(inputs=inputs), kind), spoiled)
        expect_same_bits(got, want, labels(problem))
    assert not got[0][torch.from_numpy(behind)].any()
    assert not got[6][torch.from_numpy(behind)].any()


# --- the trace -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", KINDS_OF_CONTROLLER)
def test_the_trace_holds_every_step(rng, kind, case):
    problem = on(draw(rng, B=4, T=18, lengths=True, **case), kind)
    outputs, state, trace = ops.scan(*problem[:3], lengths=problem.lengths, trace=True)
    plain = call(problem)
    expect_same_bits([outputs, *state], plain, labels(problem)[:6])
    R, M = problem.state.reads.shape[1:]
    K, S = problem.state.weights.shape[1], case.get("S", 3)
    before, heads = problem.state, get(trace.heads)
    lengths = get(problem.lengths)
    assert get(trace.status).tolist() == [0] * 4
    for t in range(18):
        _, after = ops.scan(problem.inputs[:, t : t + 1], before, problem.parameters)
        runs = t < lengths
        for ours, theirs in ((trace.weights, after.weights), (trace.reads, after.reads)):
            assert get(ours)[runs, t].tobytes() == get(theirs)[runs].tobytes()
            assert not get(ours)[~runs, t].any()
        assert not heads[~runs, t].any()
        np.testing.assert_allclose(get(trace.weights)[runs, t].sum(-1), 1, rtol=1e-12)
        basic = M + 3 + S
        starts = [k * basic if k < R else R * basic + (k - R) * (basic + 2 * M) for k in range(K)]
        for k, start in enumerate(starts):
            beta, gate = heads[runs, t, start + M], heads[runs, t, start + M + 1]
            gamma = heads[runs, t, start + M + 2 + S]
            kernel = heads[runs, t, start + M + 2 : start + M + 2 + S]
            assert (beta >= 0).all()
            assert ((gate > 0) & (gate < 1)).all()
            assert (gamma >= 1).all()
            np.testing.assert_allclose(kernel.sum(-1), 1)
            if k >= R:
                erase = heads[runs, t, start + basic : start + basic + M]
                assert ((erase > 0) & (erase < 1)).all()
        before = after
    if kind != "numpy":
        assert not any(x.requires_grad for x in trace)


# --- beside torch --------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_weights_load_across_from_an_lstm(rng, layers):
    """A machine that does not look at its reads is torch.nn.LSTM."""
    T, B, features, H = 21, 5, 6, 7
    problem = draw(rng, B=B, T=T, I=features, H=H, O=H, L=layers, R=1, M=4)
    lstm = torch.nn.LSTM(features, H, layers, batch_first=True).double()
    first = torch.cat([lstm.weight_ih_l0, torch.zeros(4 * H, 4, dtype=torch.float64)], 1)
    own = dict(lstm.named_parameters())
    parameters = NTMParameters(
        (first.detach(), *(own[f"weight_ih_l{layer}"].detach() for layer in range(1, layers))),
        *(
            tuple(own[f"{name}_l{layer}"].detach() for layer in range(layers))
            for name in ("weight_hh", "bias_ih", "bias_hh")
        ),
        *(torch.from_numpy(x) for x in problem.parameters[4:6]),
        torch.eye(H, H + 4, dtype=torch.float64),
        torch.zeros(H, dtype=torch.float64),
    )
    state = NTMState(*(torch.from_numpy(x) for x in problem.state))
    inputs = torch.from_numpy(problem.inputs)
    outputs, last = ops.scan(inputs, state, parameters)
    want, (h, c) = lstm(inputs, (state.h, state.c))
    torch.testing.assert_close(outputs, want)
    torch.testing.assert_close((last.h, last.c), (h, c))
