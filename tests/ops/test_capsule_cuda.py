"""Routing on CUDA: beside the CPU, tiles and slices, same bits, memory, streams and graphs."""

import itertools

import numpy as np
import pytest
import torch
from capsule_cases import (
    ALL,
    call,
    draw,
    expect_reference,
    expect_relative,
    expect_same_bits,
    on,
    random_grad,
    with_gradients,
)
from ntm_cases import get, put

from polyad.ops import capsule as ops

pytestmark = pytest.mark.cuda

FORMS = {"own weights": {}, "shared weights": {"types": 3}, "votes": {"votes": True}}
# B, I, J, D, K
TILES = {
    "one block holds all capsules": (5, 9, 32, 4, 8),
    "as many as one block can hold": (3, 5, 25, 16, 8),
    "tiles of capsules": (18, 5, 60, 16, 4),
    "the last tile not full, odd components": (3, 6, 37, 17, 3),
    "many capsules of one number": (2, 6, 600, 1, 3),
    "a capsule wider than a tile": (2, 3, 3, 300, 2),
    "components of u in several stages": (2, 6, 5, 7, 19),
    "many samples, few capsules": (70, 5, 2, 3, 3),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("tile", TILES)
def test_tiles(rng, tile, form, dtype):
    size = 0.1 if TILES[tile][3] > 100 else 1.0  # long votes would leave one coupling of 1
    for detach, leaky in ((False, True), (True, False)):
        inputs = draw(rng, *TILES[tile], **FORMS[form], dtype=dtype, size=size)
        couplings = form != "votes"
        expect_reference(rng, inputs, "cuda", detach=detach, leaky=leaky, couplings=couplings)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("form", FORMS)
def test_the_same_as_on_the_cpu(rng, form, dtype):
    options = itertools.product((1, 3), (False, True), (False, True), ((), ALL))
    for iterations, leaky, detach, given in options:
        inputs = draw(rng, 9, 70, 10, 16, 8, **FORMS[form], given=given, dtype=dtype)
        grad = random_grad(rng, inputs)
        kwargs = {"iterations": iterations, "leaky": leaky, "detach": detach}
        want = with_gradients(on(inputs, "torch"), grad, **kwargs)
        got = with_gradients(on(inputs, "cuda"), grad, **kwargs)
        expect_relative(got, want, 1e-5 if dtype == "float32" else 1e-12, str(kwargs))


def test_more_inputs_than_are_summed_in_registers(rng):
    inputs = draw(rng, 2, 17000, 2, 2, 1, dtype="float32", given=(), size=0.02)
    expect_reference(rng, inputs, "cuda", iterations=2)


def test_more_samples_than_a_slice(rng):
    """The batch goes through scratch in slices; sums over samples go on from one to the next."""
    inputs = draw(rng, 66000, 3, 2, 2, 1, types=2, dtype="float32")
    grad = random_grad(rng, inputs)
    want = with_gradients(on(inputs, "torch"), grad)
    got = with_gradients(on(inputs, "cuda"), grad)
    expect_relative(got, want, 1e-4)


@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_repeated_runs_give_the_same_bits(rng, form, detach):
    inputs = on(draw(rng, 37, 130, 10, 16, 8, **FORMS[form], dtype="float32"), "cuda")
    grad = torch.randn(37, 10, 16)
    first = with_gradients(inputs, grad, detach=detach)
    for _ in range(3):
        expect_same_bits(with_gradients(inputs, grad, detach=detach), first)


@pytest.mark.parametrize("sizes", [(37, 66, 10, 16, 8), (6, 8, 60, 20, 4), (70, 5, 2, 3, 3)])
def test_a_sample_does_not_depend_on_the_batch(rng, sizes):
    inputs = draw(rng, *sizes, dtype="float32")
    grad = random_grad(rng, inputs)
    every = with_gradients(on(inputs, "cuda"), grad, couplings=True)
    for b in (0, sizes[0] // 2, sizes[0] - 1):
        one = inputs | {"u": inputs["u"][b : b + 1]}
        got = with_gradients(on(one, "cuda"), grad[b : b + 1], couplings=True)
        for name in ("v", "c", "grad_u"):
            assert get(got[name]).tobytes() == get(every[name][b : b + 1]).tobytes(), name


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("form", FORMS)
def test_half_types_are_computed_in_float32(rng, form, dtype):
    inputs = on(draw(rng, 3, 20, **FORMS[form], dtype="float32"), "cuda", grad=False)
    half = {name: x.to(dtype) if x.is_floating_point() else x for name, x in inputs.items()}
    wide = {name: x.float() if x.is_floating_point() else x for name, x in half.items()}
    for ours, theirs in zip(call(half), call(wide), strict=True):
        assert ours.dtype == torch.float32
        assert get(ours).tobytes() == get(theirs).tobytes()


def test_types_out_of_range_stay_in_bounds(rng):
    """Values on a device are not checked; they count as the nearest type there is."""
    inputs = draw(rng, 3, 10, types=2)
    wrong = [0, 1, 2, -1, 2**31 - 1, -(2**31), 1, 0, 1, 7]
    right = inputs | {"capsule_type": np.clip(wrong, 0, 1).astype(np.int32)}
    inputs["capsule_type"] = np.array(wrong, np.int32)
    grad = random_grad(rng, inputs)
    want = with_gradients(on(right, "cuda"), grad)
    expect_same_bits(with_gradients(on(inputs, "cuda"), grad), want)


@pytest.mark.parametrize("iterations", [1, 3])
def test_closed_connections(rng, iterations):
    inputs = draw(rng, 3, 9)
    inputs["logits"][:, 1] = -np.inf
    inputs["logits"][4, :3] = -np.inf
    expect_reference(rng, inputs, "cuda", iterations=iterations, couplings=True)


@pytest.mark.parametrize("J", [4, 200])
def test_couplings_add_up(rng, J):
    inputs = on(draw(rng, 5, 20, J), "cuda")
    _, c = ops.routing_with_couplings(**inputs)
    assert not c.requires_grad
    np.testing.assert_allclose(get(c).sum(-1), np.ones((5, 20)), rtol=1e-13)
    _, c = ops.routing_with_couplings(**inputs, leaky=True)
    assert (get(c).sum(-1) < 1).all()


def test_a_sample_that_is_not_a_number_spoils_no_other(rng):
    inputs = draw(rng, 6, 20, dtype="float32")
    clean = call(on(inputs, "cuda", grad=False))[0]
    inputs["u"][2, 3, 0] = np.nan
    v = call(on(inputs, "cuda", grad=False))[0]
    others = [0, 1, 3, 4, 5]
    assert get(v[others]).tobytes() == get(clean[others]).tobytes()
    assert bool(v[2].isnan().all())


@pytest.mark.parametrize("detach", [False, True])
def test_votes_are_not_stored(rng, detach):
    B, I, J, D = 64, 1152, 10, 16  # noqa: E741
    inputs = on(draw(rng, B, I, J, D, 8, given=(), dtype="float32"), "cuda")
    grad = torch.randn(B, J, D, device="cuda")
    results = inputs["u"].nbytes + inputs["weight"].nbytes
    with_gradients(inputs, grad, detach=detach)
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    with_gradients(inputs, grad, detach=detach)
    extra = torch.cuda.max_memory_allocated() - before - results
    assert extra < 0.5 * B * I * J * D * 4


def test_the_current_stream(rng):
    inputs = on(draw(rng, 5, 70, dtype="float32"), "cuda")
    grad = torch.randn(5, 4, 5)
    want = with_gradients(inputs, grad)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        got = with_gradients(inputs, grad)
    stream.synchronize()
    expect_same_bits(got, want)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("J", [4, 300])
def test_a_cuda_graph(rng, J, form):
    """Nothing waits and nothing is allocated by kernels: a graph holds forward and backward."""
    numbers = draw(rng, 5, 20, J, **FORMS[form], dtype="float32")
    inputs = on(numbers, "cuda")
    grad = torch.randn(5, J, 5, device="cuda")
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        with_gradients(inputs, grad)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        got = with_gradients(inputs, grad)
    first = "votes" if form == "votes" else "u"
    with torch.no_grad():
        inputs[first].copy_(put(2 * numbers[first], "cuda"))
    graph.replay()
    expect_same_bits(got, with_gradients(inputs, grad))
