"""What scan refuses: every check by the text of its message."""

import numpy as np
import pytest
import torch
from ntm_scan_cases import draw, on

from polyad.ops import ntm as ops

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


def test_a_compiled_call_is_checked_while_it_is_traced(rng):
    torch.compiler.reset()
    problem = on(GOOD, "torch", grad=False)
    wrong = problem.parameters._replace(head_bias=problem.parameters.head_bias[1:])
    compiled = torch.compile(ops.scan, backend="aot_eager")
    with pytest.raises(ValueError, match=rf"head_bias: expected \[P\] = \[{P}\], got \[27\]"):
        compiled(problem.inputs, problem.state, wrong)
