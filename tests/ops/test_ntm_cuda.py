"""The ntm ops on CUDA: where blocks keep their arrays, checkpoints, large batches, bad lengths."""

import numpy as np
import pytest
import torch
from ntm_cases import INPUTS, expect_reference, get, put
from ntm_cases import draw as draw_piece
from ntm_scan_cases import (
    draw,
    expect_relative,
    expect_same_bits,
    labels,
    on,
    random_grads,
    wanted,
    with_gradients,
)

from polyad import _backend

pytestmark = pytest.mark.cuda

SHARED, MEMORY_GLOBAL, ALL_GLOBAL = 0, 1, 2
CASES = {
    "lstm": {"L": 2, "N": 33, "M": 5, "lengths": True},
    "feed-forward": {"lstm": False, "L": 2, "R": 2, "W": 2, "N": 130},
    "read first": {"read_first": True, "R": 5, "W": 3, "S": 5},
}


@pytest.fixture
def place():
    """Says where blocks keep their arrays; undone after the test."""
    set_placement = _backend.cuda().ntm_set_placement
    yield set_placement
    set_placement(SHARED)


@pytest.mark.parametrize("placement", [MEMORY_GLOBAL, ALL_GLOBAL])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_scan_without_shared_memory(rng, place, placement, dtype, name):
    sizes = dict(CASES[name])
    options = {"read_first": sizes.pop("read_first", False)}
    problem = draw(rng, dtype=dtype, B=3, T=6, **sizes)
    grads = random_grads(rng, problem)
    leaves = on(problem, "cuda")
    shared = with_gradients(leaves, grads, **options)
    place(placement)
    got = with_gradients(leaves, grads, **options)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    expect_relative(got, wanted(problem, grads, **options), tolerance, labels(problem))
    expect_relative(got, shared, tolerance, labels(problem))


@pytest.mark.parametrize("op", INPUTS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pieces_without_shared_memory(rng, place, dtype, op):
    place(ALL_GLOBAL)
    tolerance = 1e-5 if dtype == "float32" else 1e-11
    expect_reference(rng, op, "cuda", draw_piece(rng, op, 3, 129, 6, 3, 5, dtype), tolerance)


@pytest.mark.parametrize("op", INPUTS)
def test_pieces_larger_than_shared_memory(rng, op):
    inputs = draw_piece(rng, op, 2, 4099, 21, 2, 3, "float32")
    expect_reference(rng, op, "cuda", inputs, 2e-5)


@pytest.mark.parametrize("lengths", [False, True])
def test_memories_that_are_written_again_from_checkpoints(rng, lengths):
    problem = draw(rng, B=2, T=19, N=1030, M=17, W=2, lengths=lengths)
    if lengths:
        problem = problem._replace(lengths=np.array([9, 16]))
    grads = random_grads(rng, problem)
    got = with_gradients(on(problem, "cuda"), grads)
    expect_relative(got, wanted(problem, grads), 1e-11, labels(problem))


def test_repeated_runs_give_the_same_bits(rng):
    problem = draw(rng, B=37, T=11, H=33, L=2, dtype="float32", lengths=True)
    grads, leaves = random_grads(rng, problem), on(problem, "cuda")
    first = with_gradients(leaves, grads)
    for _ in range(3):
        expect_same_bits(with_gradients(leaves, grads), first, labels(problem))


def test_more_sequences_than_blocks(rng):
    problem = draw(rng, B=1100, T=2, lengths=True)
    grads = random_grads(rng, problem)
    got = with_gradients(on(problem, "cuda"), grads)
    expect_relative(got, wanted(problem, grads), 1e-11, labels(problem))


def test_a_sequence_does_not_depend_on_the_batch(rng):
    problem = draw(rng, B=5, T=7, dtype="float32", lengths=True)
    grads = random_grads(rng, problem)
    all_of = with_gradients(on(problem, "cuda"), grads)[:6]
    for b in range(5):
        one = problem.part(b, b + 1)
        steps = one.inputs.shape[1]
        got = with_gradients(
            on(one, "cuda"),
            [
                grads[0][b : b + 1, :steps],
                *(g[b : b + 1] if i < 3 else g[:, b : b + 1] for i, g in enumerate(grads[1:])),
            ],
        )[:6]
        want = [
            all_of[0][b : b + 1, :steps],
            *(x[b : b + 1] if i < 3 else x[:, b : b + 1] for i, x in enumerate(all_of[1:])),
        ]
        expect_same_bits(got, [x.contiguous() for x in want], labels(problem)[:6])


def test_lengths_out_of_range_stay_in_bounds(rng):
    """Values on a device are not checked; they count as the nearest length there is."""
    problem = draw(rng, B=4, T=5)
    grads = random_grads(rng, problem)
    bad = problem._replace(lengths=np.array([7, 0, -3, 2**40]))
    got = with_gradients(on(bad, "cuda"), grads)
    full = with_gradients(on(problem, "cuda"), grads)
    outputs, want = get(got[0]), get(full[0])
    assert (outputs[[0, 3]] == want[[0, 3]]).all()
    assert (outputs[[1, 2]] == 0).all()
    assert (get(got[1])[[1, 2]] == problem.state.memory[[1, 2]]).all()
    assert all(np.isfinite(get(x)).all() for x in got)


def test_status_names_the_first_bad_step(rng):
    from polyad.ops import ntm as ops

    problem = draw(rng, B=3, T=6, dtype="float32")
    problem.inputs[1, 4, 0] = np.nan
    problem.inputs[2, 2, 0] = np.nan
    leaves = on(problem, "cuda", grad=False)
    *_, trace = ops.scan(leaves.inputs, leaves.state, leaves.parameters, trace=True)
    assert get(trace.status).tolist() == [0, 5, 3]


def test_the_current_stream(rng):
    problem = draw(rng, B=3, T=6)
    grads, leaves = random_grads(rng, problem), on(problem, "cuda")
    want = with_gradients(leaves, grads)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        got = with_gradients(leaves, grads)
    stream.synchronize()
    expect_same_bits(got, want, labels(problem))


def test_a_cuda_graph(rng):
    """Nothing waits and nothing is allocated: a graph can hold a whole sequence."""
    from polyad.ops import ntm as ops

    problem = draw(rng, B=3, T=6, dtype="float32")
    leaves = on(problem, "cuda", grad=False)
    arguments = (leaves.inputs, leaves.state, leaves.parameters)
    ops.scan(*arguments)  # sizes are worked out once
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs, _ = ops.scan(*arguments)
    leaves.inputs.copy_(put(2 * problem.inputs, "cuda"))
    graph.replay()
    want, _ = ops.scan(*arguments)
    expect_same_bits([outputs], [want], ["outputs"])
