"""scan over time: steps one by one, ends of sequences, extremes, what it raises."""

import numpy as np
import pytest
import torch
from ntm_cases import KINDS, TORCH_KINDS, get, put
from ntm_scan_cases import (
    call,
    draw,
    expect_relative,
    expect_same_bits,
    labels,
    on,
    random_grads,
    wanted,
    with_gradients,
)

import polyad
from polyad.ops import ntm as ops
from polyad.ops.ntm import NTMParameters, NTMState

KINDS_OF_CONTROLLER = [{"L": 2}, {"lstm": False, "L": 2, "R": 2, "W": 2, "S": 5}]


@pytest.fixture(autouse=True)
def _one_thread():
    polyad.set_num_threads(1)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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


# --- extremes ------------------------------------------------------------------------------------


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


def spoiled(problem, field, value=np.nan, at=0):
    """The problem with one number of one array changed."""
    flat = [x.copy() for x in problem.flat()]
    names = [label.removeprefix("gradient of ") for label in labels(problem)[6:]]
    flat[names.index(field)].flat[at] = value
    return problem.rebuilt(flat)


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


# --- bad input -----------------------------------------------------------------------------------

GOOD = draw(np.random.default_rng(1), B=2, T=5, I=3, O=2, H=5, L=2, N=7, M=4, R=1, W=1, S=3)
FEEDFORWARD = draw(np.random.default_rng(1), lstm=False)
STATE, WEIGHTS = GOOD.state, GOOD.parameters
P = 28  # 2 (4 + 3 + 3) + 2 * 4


def scanned(inputs=GOOD.inputs, state=STATE, parameters=WEIGHTS, **options):
    return ops.scan(inputs, state, parameters, **options)


def with_state(**changes):
    return lambda: scanned(state=STATE._replace(**changes))


def with_parameters(**changes):
    return lambda: scanned(parameters=WEIGHTS._replace(**changes))


def lengths(*values, dtype=np.int64):
    return lambda: scanned(lengths=np.array(values, dtype))


def single(x):
    return x.astype(np.float32)


@pytest.mark.parametrize(
    ("run", "error", "message"),
    [
        (lambda: scanned(GOOD.inputs.tolist()), TypeError, "inputs: expected a numpy array or a torch tensor, got list"),
        (lambda: scanned(GOOD.inputs.astype(int)), TypeError, "inputs: expected dtype float32 or float64, got int64"),
        (lambda: scanned(GOOD.inputs.astype(np.float16)), TypeError, "inputs: expected dtype float32 or float64, got float16"),
        (lambda: scanned(GOOD.inputs[0]), ValueError, r"inputs: expected \[B, T, I\] = \[B, T, I\], got \[5, 3\]"),
        (lambda: scanned(GOOD.inputs[:, :0]), ValueError, r"inputs: expected at least one step, got \[B, T, I\] = \[2, 0, 3\]"),
        (lambda: scanned(GOOD.inputs[..., :2]), ValueError, r"weight_ih\[0\]: expected \[G, I\+RM\] = \[20, 6\], got \[20, 7\]"),
        (lambda: scanned(single(GOOD.inputs)), TypeError, "state.memory: expected dtype float32, got float64"),
        (lambda: scanned(torch.from_numpy(GOOD.inputs)), TypeError, "state.memory: expected a torch tensor as inputs is, got a numpy array"),
        (with_parameters(weight_ih=()), ValueError, r"weight_ih: expected 1 .. 8 layers, got 0"),
        (with_parameters(weight_ih=WEIGHTS.weight_ih[:1]), ValueError, "weight_hh: expected 1 tensors for 1 layers, got 2"),
        (with_parameters(bias_ih=WEIGHTS.bias_ih[:1]), ValueError, "bias_ih: expected 2 tensors for 2 layers, got 1"),
        (with_parameters(bias_hh=()), ValueError, "bias_hh: expected 2 tensors for 2 layers, got 0"),
        (with_parameters(weight_hh=()), ValueError, "bias_hh: expected 0 tensors for 2 layers, got 2"),
        (with_parameters(weight_ih=WEIGHTS.weight_ih * 5, weight_hh=WEIGHTS.weight_hh * 5, bias_ih=WEIGHTS.bias_ih * 5, bias_hh=WEIGHTS.bias_hh * 5), ValueError, "weight_ih: expected 1 .. 8 layers, got 10"),
        (with_parameters(weight_ih=(WEIGHTS.weight_ih[0][:, :5], WEIGHTS.weight_ih[1])), ValueError, r"weight_ih\[0\]: expected \[G, I\+RM\] = \[20, 7\], got \[20, 5\]"),
        (with_parameters(weight_ih=(WEIGHTS.weight_ih[0], WEIGHTS.weight_ih[1][:19])), ValueError, r"weight_ih\[1\]: expected \[G, H\] = \[20, 5\], got \[19, 5\]"),
        (with_parameters(weight_hh=(WEIGHTS.weight_hh[0], WEIGHTS.weight_hh[1][:, 1:])), ValueError, r"weight_hh\[1\]: expected \[G, H\] = \[20, 5\], got \[20, 4\]"),
        (with_parameters(bias_ih=(WEIGHTS.bias_ih[0], WEIGHTS.bias_ih[1][:5])), ValueError, r"bias_ih\[1\]: expected \[G\] = \[20\], got \[5\]"),
        (with_parameters(bias_hh=(WEIGHTS.bias_hh[0][:5], WEIGHTS.bias_hh[1])), ValueError, r"bias_hh\[0\]: expected \[G\] = \[20\], got \[5\]"),
        (with_parameters(bias_hh=(None, WEIGHTS.bias_hh[1])), TypeError, r"bias_hh\[0\]: expected a numpy array or a torch tensor, got NoneType"),
        (with_parameters(bias_hh=(single(WEIGHTS.bias_hh[0]), WEIGHTS.bias_hh[1])), TypeError, r"bias_hh\[0\]: expected dtype float64, got float32"),
        (with_parameters(head_weight=WEIGHTS.head_weight[0]), ValueError, r"head_weight: expected \[P, H\] = \[P, H\], got \[5\]"),
        (with_parameters(head_weight=WEIGHTS.head_weight[:-1]), ValueError, r"head_weight: expected P = \(R \+ W\)\(M \+ 3 \+ S\) \+ 2 W M rows for R = 1, W = 1, M = 4 and an odd width S of shifts, got 27"),
        (with_parameters(head_weight=WEIGHTS.head_weight[:-2]), ValueError, "an odd width S of shifts, got 26"),  # S = 2
        (with_parameters(head_weight=WEIGHTS.head_weight[:-6]), ValueError, "an odd width S of shifts, got 22"),  # S = 0
        (with_parameters(head_weight=WEIGHTS.head_weight[:, :0]), ValueError, "head_weight: expected at least one hidden unit"),
        (with_parameters(head_weight=WEIGHTS.head_weight[:, :4]), ValueError, r"output_weight: expected \[O, H\+RM\] = \[O, 8\], got \[2, 9\]"),
        (with_parameters(head_bias=WEIGHTS.head_bias[1:]), ValueError, rf"head_bias: expected \[P\] = \[{P}\], got \[27\]"),
        (with_parameters(output_weight=WEIGHTS.output_weight[:, 1:]), ValueError, r"output_weight: expected \[O, H\+RM\] = \[O, 9\], got \[2, 8\]"),
        (with_parameters(output_bias=WEIGHTS.output_bias[:1]), ValueError, r"output_bias: expected \[O\] = \[2\], got \[1\]"),
        (with_state(memory=STATE.memory[0]), ValueError, r"state.memory: expected \[B, N, M\] = \[B, N, M\], got \[7, 4\]"),
        (with_state(memory=np.concatenate([STATE.memory] * 2)), ValueError, r"state.memory: expected \[B, N, M\] with B = 2 as inputs has, or 1 for a state that all sequences share, got \[4, 7, 4\]"),
        (with_state(memory=STATE.memory[:, :0], weights=STATE.weights[..., :0]), ValueError, r"state.memory: expected at least one row and one column, got \[N, M\] = \[0, 4\]"),
        (with_state(memory=STATE.memory[..., :0], reads=STATE.reads[..., :0]), ValueError, r"state.memory: expected at least one row and one column, got \[N, M\] = \[7, 0\]"),
        (with_state(reads=STATE.reads[:1]), ValueError, r"state.reads: expected \[B, R, M\] = \[2, R, 4\], got \[1, 1, 4\]"),
        (with_state(reads=STATE.reads[..., :3]), ValueError, r"state.reads: expected \[B, R, M\] = \[2, R, 4\], got \[2, 1, 3\]"),
        (with_state(reads=STATE.reads[:, :0]), ValueError, "state.weights: expected at least one read head and 1 .. 16 write heads, got 0 and 2"),
        (with_state(weights=STATE.weights[:, :1]), ValueError, "state.weights: expected at least one read head and 1 .. 16 write heads, got 1 and 0"),
        (with_state(weights=np.repeat(STATE.weights, 9, axis=1)), ValueError, "state.weights: expected at least one read head and 1 .. 16 write heads, got 1 and 17"),
        (with_state(weights=STATE.weights[..., 1:]), ValueError, r"state.weights: expected \[B, R\+W, N\] = \[2, R\+W, 7\], got \[2, 2, 6\]"),
        (with_state(h=STATE.h[:1]), ValueError, r"state.h: expected \[L, B, H\] = \[2, 2, 5\], got \[1, 2, 5\]"),
        (with_state(c=STATE.c[..., 1:]), ValueError, r"state.c: expected \[L, B, H\] = \[2, 2, 5\], got \[2, 2, 4\]"),
        (with_state(c=single(STATE.c)), TypeError, "state.c: expected dtype float64, got float32"),
        (with_state(h=None), TypeError, "state.h: expected a numpy array or a torch tensor, got NoneType"),
        (lambda: scanned(FEEDFORWARD.inputs, FEEDFORWARD.state._replace(h=STATE.h), FEEDFORWARD.parameters), ValueError, r"state.h: expected \[L, B, H\] = \[0, 2, 5\], got \[2, 2, 5\]"),
        (lengths(0, 5), ValueError, r"lengths: expected 1 .. T = 5, got 0 for sequence 0"),
        (lengths(5, 6), ValueError, r"lengths: expected 1 .. T = 5, got 6 for sequence 1"),
        (lengths(5, -3), ValueError, r"lengths: expected 1 .. T = 5, got -3 for sequence 1"),
        (lengths(5), ValueError, r"lengths: expected \[B\] = \[2\], got \[1\]"),
        (lengths(5, 5, dtype=np.int32), TypeError, "lengths: expected dtype int64, got int32"),
        (lengths(5, 5, dtype=np.float64), TypeError, "lengths: expected dtype int64, got float64"),
        (lambda: scanned(lengths=[5, 5]), TypeError, "lengths: expected a numpy array or a torch tensor, got list"),
        (lambda: scanned(lengths=torch.tensor([5, 5])), TypeError, "lengths: expected a numpy array as inputs is, got a torch tensor"),
        (lambda: scanned(epsilon=0.0), ValueError, "epsilon: expected a finite number above 0, got 0.0"),
        (lambda: scanned(epsilon=-1e-6), ValueError, "epsilon: expected a finite number above 0, got -1e-06"),
        (lambda: scanned(epsilon=float("nan")), ValueError, "epsilon: expected a finite number above 0, got nan"),
        (lambda: scanned(epsilon="1e-6"), TypeError, "epsilon: expected a number, got str"),
        (lambda: scanned(similarity="cosine"), ValueError, "similarity: expected 'root' or 'sum', got 'cosine'"),
        (lambda: scanned(head_activation="relu"), ValueError, "head_activation: expected 'linear' or 'tanh', got 'relu'"),
    ],
)  # fmt: skip
def test_bad_input_is_named(run, error, message):
    with pytest.raises(error, match=message):
        run()


def test_another_device_is_named():
    problem = on(GOOD, "torch", grad=False)
    elsewhere = problem.parameters._replace(head_bias=torch.empty(P, device="meta").double())
    with pytest.raises(ValueError, match="head_bias: expected device cpu as inputs is, got meta"):
        ops.scan(problem.inputs, problem.state, elsewhere)
    with pytest.raises(ValueError, match="lengths: expected device cpu as inputs is, got meta"):
        ops.scan(*problem[:3], lengths=torch.empty(2, dtype=torch.int64, device="meta"))
    assert put(GOOD.inputs, "numpy") is GOOD.inputs


def test_a_compiled_call_is_checked_while_it_is_traced(rng):
    torch.compiler.reset()
    problem = on(GOOD, "torch", grad=False)
    wrong = problem.parameters._replace(head_bias=problem.parameters.head_bias[1:])
    compiled = torch.compile(ops.scan, backend="aot_eager")
    with pytest.raises(ValueError, match=rf"head_bias: expected \[P\] = \[{P}\], got \[27\]"):
        compiled(problem.inputs, problem.state, wrong)
