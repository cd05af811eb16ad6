"""scan: values and gradients beside the reference, sizes, strides, threads, inside torch."""

import functools
import inspect

import numpy as np
import pytest
import torch
from ntm_cases import KINDS, TORCH_KINDS, put
from ntm_scan_cases import (
    call,
    draw,
    expect_relative,
    expect_same_bits,
    labels,
    on,
    one_thread,
    random_grads,
    wanted,
    with_gradients,
)

import polyad
from polyad.ops import ntm as ops
from polyad.ops.ntm import NTMState
from polyad.reference import ntm as reference

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
SCAN = torch.ops.polyad.ntm_scan.default
BACKWARD = torch.ops.polyad.ntm_scan_backward.default

CASES = {
    "lstm": {},
    "lstm, 2 layers": {"L": 2},
    "lstm, 3 layers, lengths": {"L": 3, "B": 4, "T": 9, "lengths": True},
    "feed-forward": {"lstm": False},
    "feed-forward, 2 layers, lengths": {"lstm": False, "L": 2, "B": 5, "T": 9, "lengths": True},
    "feed-forward, 3 layers": {"lstm": False, "L": 3},
    "2 read heads": {"R": 2},
    "3 write heads": {"W": 3},
    "4 and 4 heads": {"R": 4, "W": 4, "lengths": True},
    "4 and 1 heads, feed-forward": {"R": 4, "lstm": False},
    "width 1 of shifts": {"S": 1},
    "width 5": {"S": 5, "R": 2},
    "width 7, wider than the memory": {"S": 7, "N": 5, "W": 2},
    "read first": {"read_first": True},
    "read first, many heads": {"read_first": True, "R": 3, "W": 2, "lstm": False, "lengths": True},
    "tanh heads": {"head_activation": "tanh", "W": 2},
    "sum": {"similarity": "sum"},
    "sum, read first, tanh": {"similarity": "sum", "read_first": True, "head_activation": "tanh"},
    "one of everything": {"B": 1, "T": 1, "I": 1, "O": 1, "H": 1, "N": 1, "M": 1, "S": 1},
    "one row": {"N": 1, "S": 3},
    "no inputs": {"I": 0},
    "no outputs": {"O": 0},
    "a chunk and one": {"T": 17, "B": 3},
    "several chunks, lengths": {"T": 33, "B": 5, "lengths": True},
    "a group and one": {"B": 9, "T": 3, "lengths": True},
    "two groups and one": {"B": 17, "T": 2},
    "a large batch": {"B": 1500, "T": 1, "lengths": True},
    "a large memory": {"N": 512, "M": 50, "T": 3},
    "wide": {"I": 33, "O": 35, "H": 67, "N": 129, "M": 21, "R": 2, "T": 3, "B": 3},
}


@pytest.fixture(autouse=True)
def _one_thread():
    yield from one_thread()


def options_of(case):
    return {k: v for k, v in case.items() if k in ("read_first", "head_activation", "similarity")}


@pytest.mark.parametrize("kind", TORCH_KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_equals_the_reference(rng, kind, dtype, name):
    problem = draw(rng, dtype=dtype, **CASES[name])
    grads, options = random_grads(rng, problem), options_of(CASES[name])
    got = with_gradients(on(problem, kind), grads, **options)
    assert {str(x.dtype) for x in got} == {f"torch.{dtype}"}
    expect_relative(got, wanted(problem, grads, **options), TOLERANCE[dtype], labels(problem))


@pytest.mark.parametrize("kind", TORCH_KINDS)
def test_the_size_of_the_paper_in_single_precision(rng, kind):
    case = {"B": 2, "T": 20, "I": 9, "O": 8, "H": 100, "N": 128, "M": 20, "lengths": True}
    problem = draw(rng, dtype="float32", **case)
    grads = random_grads(rng, problem)
    got = with_gradients(on(problem, kind), grads)
    # 0.4 times normal is large for 100 units: rounding grows from step to step
    expect_relative(got, wanted(problem, grads), 1e-4, labels(problem))


@pytest.mark.parametrize("name", CASES)
def test_numpy_gives_what_torch_gives(rng, name):
    for dtype in ("float32", "float64"):
        problem = draw(rng, dtype=dtype, **CASES[name])
        ours, theirs = (
            call(on(problem, kind), **options_of(CASES[name])) for kind in ("numpy", "torch")
        )
        assert all(isinstance(x, np.ndarray) for x in ours)
        expect_same_bits(ours, theirs, labels(problem)[:6])


@pytest.mark.parametrize("lstm", [True, False])
def test_gradcheck(rng, lstm):
    for read_first, similarity, W in ((False, "root", 1), (True, "sum", 2)):
        problem = draw(
            rng, B=2, T=3, I=2, O=2, H=2, L=2, N=4, M=2, R=1, W=W, lstm=lstm, lengths=True
        )
        leaves = on(problem, "torch")
        options = {"read_first": read_first, "similarity": similarity}

        def function(*some, like=leaves, options=options):  # gradcheck takes no empty arrays
            some = list(some)
            flat = [some.pop(0) if x.numel() else x for x in like.flat()]
            return tuple(x for x in call(like.rebuilt(flat), **options) if x.numel())

        assert torch.autograd.gradcheck(function, [x for x in leaves.flat() if x.numel()])


def strided(array, kind):
    """The same numbers with a gap after each, or one after the other in reverse order of axes."""
    wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    wide[..., ::2] = array
    return put(wide, kind)[..., ::2]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lstm", [True, False])
def test_non_contiguous_arrays(rng, kind, lstm):
    problem = draw(rng, B=3, T=4, L=2, W=2, lstm=lstm, lengths=True)
    gaps = problem.rebuilt([strided(x, kind) for x in problem.flat()])
    gaps = gaps._replace(lengths=strided(problem.lengths, kind))
    plain = on(problem, kind, grad=False)
    expect_same_bits(call(gaps), call(plain), labels(problem)[:6])
    turned = problem._replace(
        inputs=problem.inputs.transpose(1, 0, 2).copy().transpose(1, 0, 2),
        parameters=problem.parameters._replace(
            head_weight=np.asfortranarray(problem.parameters.head_weight)
        ),
    )
    expect_same_bits(call(turned), call(problem), labels(problem)[:6])
    if kind == "numpy":
        return
    gaps = gaps.rebuilt([x.detach().requires_grad_() for x in gaps.flat()])
    grads = random_grads(rng, problem)
    grads[0] = torch.ones(1, 1, 1, dtype=torch.float64).expand(grads[0].shape)  # stride 0
    grads[1] = grads[1].transpose(1, 2).contiguous().transpose(1, 2)
    got = with_gradients(gaps, grads)
    expect_same_bits(got, with_gradients(on(problem, kind), grads), labels(problem))


def expanded(state, batch):
    """A state of one sequence for many, in no more memory."""
    return NTMState(
        *(
            x.expand(*(batch if d == axis else -1 for d in range(x.dim())))
            for x, axis in zip(state, (0, 0, 0, 1, 1), strict=True)
        )
    )


@pytest.mark.parametrize("kind", TORCH_KINDS)
@pytest.mark.parametrize("lstm", [True, False])
def test_one_state_for_all_sequences(rng, kind, lstm):
    """Of batch size 1, or expanded; its gradients add up."""
    problem = draw(rng, B=4, lstm=lstm)
    inputs, grads = put(problem.inputs, kind), random_grads(rng, problem)
    one = problem.part(0, 1)
    state, parameters = on(one, "torch")[1:3]
    start = expanded(state, 4)
    results = call(one._replace(inputs=inputs.cpu(), state=start, parameters=parameters), reference)
    want = [*results, *torch.autograd.grad(results, state, grads)]
    for share in (lambda state: state, lambda state: expanded(state, 4)):
        state, parameters = on(one, kind)[1:3]
        results = call(one._replace(inputs=inputs, state=share(state), parameters=parameters))
        found = torch.autograd.grad(results, state, [g.to(inputs.device) for g in grads])
        names = [*labels(problem)[:6], *NTMState._fields]
        expect_relative([*results, *found], want, 1e-12, names)


def test_numpy_takes_one_state_for_all_sequences(rng):
    problem = draw(rng, B=4)
    one = problem.part(0, 1)
    got = call(problem._replace(state=one.state))
    want = call(on(problem._replace(state=one.state), "torch"))
    expect_same_bits(got, want, labels(problem)[:6])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lstm", [True, False])
def test_empty_batch(rng, kind, lstm):
    problem = draw(rng, B=0, lstm=lstm)
    problem = problem._replace(lengths=np.empty(0, np.int64))
    results = call(on(problem, kind))
    assert [tuple(x.shape) for x in results] == [(0, 5, 2), *(x.shape for x in problem.state)]
    if kind == "numpy":
        return
    got = with_gradients(on(problem, kind), random_grads(rng, problem))[6:]
    assert [tuple(x.shape) for x in got] == [x.shape for x in problem.flat()]
    assert all((x == 0).all() for x in got)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", [{}, {"lstm": False, "L": 2, "R": 2, "W": 2}])
def test_threads_do_not_change_results(rng, dtype, case):
    problem = draw(rng, B=21, T=6, H=33, I=40, dtype=dtype, lengths=True, **case)
    grads, results = random_grads(rng, problem), []
    for threads in (1, 2, 3, 7):
        polyad.set_num_threads(threads)
        results.append(with_gradients(on(problem, "torch"), grads))
    for other in results[1:]:
        expect_same_bits(other, results[0], labels(problem))


def test_a_change_of_threads_between_forward_and_backward(rng):
    problem = draw(rng, B=11, T=4)
    grads = random_grads(rng, problem)
    want = with_gradients(on(problem, "torch"), grads)
    leaves = on(problem, "torch")
    results = call(leaves)
    polyad.set_num_threads(3)
    got = torch.autograd.grad(results, leaves.flat(), grads)
    expect_same_bits(got, want[6:], labels(problem)[6:])


# --- inside torch --------------------------------------------------------------------------------


def op_arguments(problem, keep, options=(False, False, 0, 1e-6)):
    layers = len(problem.parameters.weight_ih)
    flat = problem.flat()
    return (flat[0], flat[1:6], flat[6:], problem.lengths, layers, *options, keep)


@pytest.mark.parametrize("kind", TORCH_KINDS)
@pytest.mark.parametrize("case", [{"lengths": True}, {"lstm": False, "L": 2, "R": 2}])
def test_opcheck(rng, kind, case):
    # 16 sequences fill the lines of the tape; what would lie between its arrays is undefined
    case = {"B": 16, "T": 2, **case}
    problem = on(draw(rng, **case), kind)
    torch.library.opcheck(SCAN, op_arguments(problem, True))
    still = on(draw(rng, **case), kind, grad=False)
    torch.library.opcheck(SCAN, op_arguments(still, False))
    *results, status, tape = SCAN(*op_arguments(still, True))
    assert not status.any()
    grads = [torch.ones_like(x) for x in results]
    grads[2:4] = [None, None]
    want = [False, True, True, "R" in case, True, True]
    arguments = (*op_arguments(still, True)[:-1], tape, grads[0], grads[1:], want)
    torch.library.opcheck(BACKWARD, arguments)


def compiled_beside_eager(problem, backend, **options):
    def loss(inputs, state, parameters, lengths):
        outputs, last = ops.scan(inputs * 1.5, state, parameters, lengths=lengths, **options)
        return (outputs.tanh().square().sum(), last.memory.sum() + last.reads.square().sum())

    compiled = torch.compile(loss, fullgraph=True, backend=backend)
    arguments = (problem.inputs, problem.state, problem.parameters, problem.lengths)
    got, want = compiled(*arguments), loss(*arguments)
    torch.testing.assert_close(got, want)
    leaves = [x for x in problem.flat() if x.numel()]
    torch.testing.assert_close(
        torch.autograd.grad(sum(got), leaves), torch.autograd.grad(sum(want), leaves)
    )


@pytest.mark.parametrize("kind", TORCH_KINDS)
@pytest.mark.parametrize("case", [{"lengths": True, "L": 2}, {"lstm": False, "read_first": True}])
def test_compile(rng, kind, case):
    torch.compiler.reset()
    problem = on(draw(rng, **case), kind)
    compiled_beside_eager(problem, "aot_eager", **options_of(case))


def test_compile_with_other_sizes_afterwards(rng):
    """A second batch size makes torch try symbolic sizes."""
    torch.compiler.reset()

    @functools.partial(torch.compile, fullgraph=True, backend="aot_eager")
    def outputs(inputs, state, parameters):
        return ops.scan(inputs, state, parameters)[0] * 2

    for B, T in ((2, 4), (3, 7), (5, 2)):
        problem = on(draw(rng, B=B, T=T), "torch")
        got = outputs(problem.inputs, problem.state, problem.parameters)
        want = call(problem)[0] * 2
        torch.testing.assert_close(got, want, rtol=0, atol=0)
        torch.testing.assert_close(
            torch.autograd.grad(got.sum(), problem.flat()[:4]),
            torch.autograd.grad(want.sum(), problem.flat()[:4]),
        )


@pytest.mark.slow
@pytest.mark.parametrize("kind", TORCH_KINDS)
def test_compile_inductor(rng, kind):
    torch.compiler.reset()
    compiled_beside_eager(on(draw(rng, lengths=True), kind), "inductor")


def test_trace_of_a_compiled_call(rng):
    torch.compiler.reset()
    problem = on(draw(rng, T=9, lengths=True, R=2), "torch")

    def traced(inputs, state, parameters, lengths):
        return ops.scan(inputs, state, parameters, lengths=lengths, trace=True)[2]

    arguments = (problem.inputs, problem.state, problem.parameters, problem.lengths)
    compiled = torch.compile(traced, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(tuple(compiled(*arguments)), tuple(traced(*arguments)))


def test_double_backward_is_refused(rng):
    problem = on(draw(rng, L=2, B=1), "torch")
    leaves = [x for x in problem.flat() if x.numel()]
    grads = torch.autograd.grad(call(problem)[0].sum(), leaves, create_graph=True)
    for grad in grads:  # of each argument: none may pass for a constant
        with pytest.raises(NotImplementedError, match="scan has no second derivative here"):
            grad.sum().backward(retain_graph=True)


def test_vmap_and_func_grad_are_refused(rng):
    problem = on(draw(rng), "torch", grad=False)

    def loss(inputs):
        return ops.scan(inputs, problem.state, problem.parameters)[0].sum()

    with pytest.raises(RuntimeError, match="Batching rule not implemented for polyad::ntm_scan"):
        torch.vmap(loss)(torch.stack([problem.inputs] * 2))
    with pytest.raises(RuntimeError, match="setup_context"):
        torch.func.grad(loss)(problem.inputs)


def test_only_the_wanted_gradients_are_returned(rng):
    problem = draw(rng, L=2, lengths=True)
    grads = random_grads(rng, problem)
    want = dict(zip(labels(problem)[6:], wanted(problem, grads)[6:], strict=True))
    for chosen, name in enumerate(want):
        leaves = on(problem, "torch", grad=False)
        leaves.flat()[chosen].requires_grad_()
        results = call(leaves)
        torch.autograd.backward(results, grads)
        assert [x.grad is not None for x in leaves.flat()] == [
            i == chosen for i in range(len(want))
        ]
        expect_relative([leaves.flat()[chosen].grad], [want[name]], 1e-12, [name])


def test_each_result_alone_has_its_gradients(rng):
    problem = draw(rng, L=2, W=2, lengths=True)
    grads = random_grads(rng, problem)
    for place, name in enumerate(labels(problem)[:6]):
        ours, theirs = on(problem, "torch"), on(problem, "torch")
        results = []
        for leaves, module in ((ours, ops), (theirs, reference)):
            out = call(leaves, module)[place]
            flat = leaves.flat()
            found = torch.autograd.grad(out, flat, grads[place], allow_unused=True)
            results.append(
                [torch.zeros_like(x) if g is None else g for g, x in zip(found, flat, strict=True)]
            )
        expect_relative(*results, 1e-12, [f"{name}: {each}" for each in labels(problem)[6:]])


def test_without_gradients_nothing_is_kept(rng):
    still = on(draw(rng), "torch", grad=False)
    assert SCAN(*op_arguments(still, False))[-1].numel() == 0
    with torch.no_grad():
        outputs, state = ops.scan(*on(draw(rng), "torch")[:3])
    assert not outputs.requires_grad
    assert not any(x.requires_grad for x in state)
    *results, _, tape = SCAN(*op_arguments(still, False))
    with pytest.raises(RuntimeError, match="expected a forward pass with keep"):
        BACKWARD(*op_arguments(still, False)[:-1], tape, results[0], [None] * 5, [True] * 6)


def test_scan_and_reference_have_the_same_arguments():
    ours = inspect.signature(ops.scan).parameters
    theirs = inspect.signature(reference.scan).parameters
    assert list(theirs)[:4] == list(ours)[:4] == ["inputs", "state", "parameters", "lengths"]
    of_step = inspect.signature(reference.step).parameters
    for name in ("read_first", "head_activation", "similarity", "epsilon"):
        assert of_step[name].default == ours[name].default
