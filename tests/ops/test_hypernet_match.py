"""match, votes, match_counts and feedback against the reference."""

import numpy as np
import pytest
import torch
from hypernet_cases import KINDS, get, put, random_batch, random_edges
from hypothesis import given, settings
from hypothesis import strategies as st

import polyad
from polyad.ops import hypernet as ops
from polyad.reference import hypernet as reference

SAMPLES = [0, 1, 63, 64, 65, 129, 257, 511, 512, 513, 1100]


def edge_forms(edges, labels, classes):
    """The three forms in which an op takes edges."""
    return [edges, edges.plan(), edges.plan(labels=labels, num_classes=classes)]


def batch_forms(x):
    return [x, x.astype(bool) if isinstance(x, np.ndarray) else x.bool(), polyad.BitPlanes.pack(x)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("samples", SAMPLES)
@pytest.mark.parametrize("tolerance", [0, 1, 3, "each"])
def test_all_ops_equal_the_reference(rng, kind, samples, tolerance):
    variables, count, classes = 37, 150, 4
    x = random_batch(rng, samples, variables)
    edges = random_edges(rng, count, variables, 20)
    labels = rng.integers(0, classes, count).astype(np.int32)
    integers = rng.integers(-1000, 1000, count)
    right, wrong = rng.random((2, samples)) < 0.4
    each = rng.integers(0, 9, count).astype(np.int32)
    bound = each if tolerance == "each" else tolerance
    expected = reference.match(x, edges, tolerance=bound)
    expected_votes = reference.votes(x, edges, integers, labels, classes, tolerance=bound)
    expected_feedback = reference.feedback(x, edges, right, wrong, tolerance=bound)

    bound = put(each, kind) if tolerance == "each" else tolerance
    device_edges, device_labels = put(edges, kind), put(labels, kind)
    for form in edge_forms(device_edges, device_labels, classes):
        for batch in batch_forms(put(x, kind)):
            matched = ops.match(batch, form, tolerance=bound)
            assert get(matched).dtype == bool
            np.testing.assert_array_equal(get(matched), expected)
            counts = ops.match_counts(batch, form, tolerance=bound)
            assert get(counts).dtype == np.int64
            np.testing.assert_array_equal(get(counts), expected.sum(axis=0))
            for got, want in zip(
                ops.feedback(batch, form, put(right, kind), put(wrong, kind), tolerance=bound),
                expected_feedback,
                strict=True,
            ):
                np.testing.assert_array_equal(get(got), want)
            totals = ops.votes(
                batch, form, put(integers, kind), device_labels, classes, tolerance=bound
            )
            assert get(totals).dtype == np.int64
            np.testing.assert_array_equal(get(totals), expected_votes)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_float_votes(rng, kind, dtype):
    x = random_batch(rng, 700, 40)
    edges = random_edges(rng, 900, 40, 6)
    labels = rng.integers(0, 3, 900).astype(np.int32)
    weights = rng.standard_normal(900).astype(dtype)
    got = ops.votes(put(x, kind), put(edges, kind), put(weights, kind), put(labels, kind), 3)
    assert get(got).dtype == dtype
    want = reference.votes(x, edges, weights.astype(np.float64), labels, 3)
    scale = np.abs(weights).sum()
    assert np.abs(get(got) - want).max() <= 256 * np.finfo(dtype).eps * scale


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "uint8"])
def test_narrow_integer_weights_give_int64(rng, dtype):
    x, edges = random_batch(rng, 100, 20), random_edges(rng, 50, 20, 4)
    labels = rng.integers(0, 2, 50).astype(np.int32)
    weights = rng.integers(0, 100, 50).astype(dtype)
    got = ops.votes(x, edges, weights, labels, 2)
    assert got.dtype == np.int64
    np.testing.assert_array_equal(got, reference.votes(x, edges, weights, labels, 2))


def test_large_integer_weights_are_exact(rng):
    x = np.ones((5, 3), np.uint8)
    edges = polyad.Hyperedges.from_lists([[0], [1], [2], []])
    weights = np.array([2**60, -(2**60), 2**59 + 1, -3], np.int64)
    got = ops.votes(x, edges, weights, np.array([0, 0, 0, 1], np.int32), 3)
    assert got[0].tolist() == [2**59 + 1, -3, 0]


@pytest.mark.parametrize("k", [1, 2, 7, 8, 9, 15, 16, 17, 33, 64, 97])
@pytest.mark.parametrize("tolerance", [0, 1, 2, 3, 4, 7, 8, 20, 97, 1000])
def test_every_order_and_tolerance(rng, k, tolerance):
    x = random_batch(rng, 200, 100)
    edges = random_edges(rng, 40, 100, k, shortest=k)
    np.testing.assert_array_equal(
        ops.match(x, edges, tolerance=tolerance), reference.match(x, edges, tolerance=tolerance)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_empty_sizes(kind):
    none = put(polyad.Hyperedges.from_lists([]), kind)
    empty_edge = put(polyad.Hyperedges.from_lists([[]]), kind)
    x = put(np.ones((3, 2), np.uint8), kind)
    no_variables = put(np.ones((3, 0), np.uint8), kind)
    assert tuple(ops.match(x, none).shape) == (3, 0)
    assert tuple(ops.match_counts(x, none).shape) == (0,)
    assert get(ops.match(no_variables, empty_edge)).tolist() == [[True]] * 3
    weights, labels = put(np.zeros(0), kind), put(np.zeros(0, np.int32), kind)
    assert get(ops.votes(x, none, weights, labels, 2)).tolist() == [[0, 0]] * 3
    nobody = put(np.ones((0, 2), np.uint8), kind)
    assert get(ops.match_counts(nobody, empty_edge)).tolist() == [0]


@pytest.mark.parametrize("kind", KINDS)
def test_non_contiguous_inputs(rng, kind):
    wide = put(random_batch(rng, 90, 60), kind)
    x = wide[::3, 10:40]
    edges = put(random_edges(rng, 30, 30, 5), kind)
    weights = put(rng.integers(0, 9, 60), kind)[::2]
    labels = put(rng.integers(0, 2, 60).astype(np.int32), kind)[::2]
    right = put(rng.random(60) < 0.5, kind)[::2]
    host = get(x)
    np.testing.assert_array_equal(get(ops.match(x, edges)), reference.match(host, edges.numpy()))
    np.testing.assert_array_equal(
        get(ops.votes(x, edges, weights, labels, 2)),
        reference.votes(host, edges.numpy(), get(weights), get(labels), 2),
    )
    np.testing.assert_array_equal(
        get(ops.feedback(x, edges, right, right)[0]),
        reference.feedback(host, edges.numpy(), get(right), get(right))[0],
    )
    reversed_rows = get(wide)[::-1]  # negative strides, numpy only
    np.testing.assert_array_equal(
        ops.match(reversed_rows, edges.numpy()), reference.match(reversed_rows, edges.numpy())
    )


def test_threads_do_not_change_results(rng):
    x = random_batch(rng, 3000, 64)
    edges = random_edges(rng, 3000, 64, 8)
    labels = rng.integers(0, 5, 3000).astype(np.int32)
    weights = rng.standard_normal(3000).astype(np.float32)
    right = rng.random(3000) < 0.5
    results = []
    for threads in (1, 2):
        polyad.set_num_threads(threads)
        results.append(
            [
                ops.match(x, edges, tolerance=1),
                ops.votes(x, edges, weights, labels, 5),
                ops.match_counts(x, edges),
                *ops.feedback(x, edges, right, ~right),
            ]
        )
    for one, two in zip(*results, strict=True):
        assert one.tobytes() == two.tobytes()


def test_numpy_gives_what_torch_gives(rng):
    x, edges = random_batch(rng, 600, 50), random_edges(rng, 500, 50, 7)
    labels = rng.integers(0, 5, 500).astype(np.int32)
    weights = rng.standard_normal(500).astype(np.float32)
    ours = ops.votes(x, edges, weights, labels, 5)
    theirs = ops.votes(
        put(x, "torch"), put(edges, "torch"), *map(torch.from_numpy, (weights, labels)), 5
    )
    assert ours.tobytes() == theirs.numpy().tobytes()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_random_structures(data):
    variables = data.draw(st.integers(1, 12))
    edge = st.lists(
        st.tuples(st.integers(0, variables - 1), st.integers(0, 1)),
        unique_by=lambda literal: literal[0],
        max_size=variables,
    )
    lists = data.draw(st.lists(edge, max_size=12))
    edges = polyad.Hyperedges.from_lists(
        [[j for j, _ in e] for e in lists], [[v for _, v in e] for e in lists]
    )
    rows = data.draw(st.lists(st.integers(0, 2**variables - 1), max_size=70))
    x = np.array([[row >> j & 1 for j in range(variables)] for row in rows], np.uint8)
    x = x.reshape(len(rows), variables)
    tolerance = data.draw(st.integers(0, 4))
    np.testing.assert_array_equal(
        ops.match(x, edges.plan(), tolerance=tolerance),
        reference.match(x, edges, tolerance=tolerance),
    )


def opcheck_cases(rng):
    edges = random_edges(rng, 20, 10, 4).to("cpu")
    labels = torch.from_numpy(rng.integers(0, 3, 20).astype(np.int32))
    plan = edges.plan(labels=labels, num_classes=3)
    planes = polyad.BitPlanes.pack(torch.from_numpy(random_batch(rng, 70, 10)))
    masks = polyad.BitPlanes.pack(torch.rand(70, 2) < 0.5)
    literals = (plan.literals, plan.offsets, plan.positives, plan.order)
    batch = (planes.words, 70, *literals, None, 1)
    each = (planes.words, 70, *literals, torch.ones(20, dtype=torch.int32), 0)
    op = torch.ops.polyad
    return [
        (op.hypernet_pack, (torch.ones(70, 10, dtype=torch.uint8),)),
        (op.hypernet_unpack, (planes.words, 70)),
        (op.hypernet_match, batch),
        (op.hypernet_match, each),
        (op.hypernet_match_counts, batch),
        (op.hypernet_feedback, (*batch, masks.words)),
        (op.hypernet_votes, (*batch, plan.class_offsets, torch.arange(20))),
        (op.hypernet_votes, (*batch, plan.class_offsets, torch.rand(20))),
        (op.hypernet_group, (*literals, labels, 3)),
        (op.hypernet_incidence, (plan.literals, plan.offsets, 10)),
    ]


@pytest.mark.parametrize("case", range(10))
def test_opcheck(rng, case):
    op, arguments = opcheck_cases(rng)[case]
    torch.library.opcheck(op.default, arguments)


@pytest.mark.parametrize("kind", ["torch", pytest.param("cuda", marks=pytest.mark.cuda)])
@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_compile(rng, kind, backend):
    x = put(random_batch(rng, 200, 30), kind)
    edges = put(random_edges(rng, 80, 30, 5), kind)
    labels = put(rng.integers(0, 3, 80).astype(np.int32), kind)
    weights = put(rng.standard_normal(80).astype(np.float32), kind)
    right = put(rng.random(200) < 0.5, kind)
    plan = edges.plan(labels=labels, num_classes=3)

    def everything(x, weights, right):
        packed = polyad.BitPlanes.pack(x)
        return (
            ops.match(x, edges),
            ops.match_counts(packed, plan, tolerance=1),
            ops.votes(packed, plan, weights * 2),
            ops.votes(x, edges, weights, labels, 3),
            *ops.feedback(packed, plan, right, ~right),
        )

    compiled = torch.compile(everything, fullgraph=True, backend=backend)
    for got, want in zip(compiled(x, weights, right), everything(x, weights, right), strict=True):
        assert torch.equal(got, want)


def test_a_gradient_of_votes_is_refused(rng):
    x, edges = put(random_batch(rng, 9, 8), "torch"), random_edges(rng, 5, 8, 3).to("cpu")
    weights = torch.rand(5, requires_grad=True)
    labels = torch.zeros(5, dtype=torch.int32)
    total = ops.votes(x, edges, weights, labels, 1).sum()
    with pytest.raises(NotImplementedError, match=r"votes.*weights.detach"):
        total.backward()


X = np.zeros((4, 3), np.uint8)
EDGES = polyad.Hyperedges.from_lists([[0, 1], [2]])
WEIGHTS = np.ones(2)
LABELS = np.array([0, 1], np.int32)
MASK = np.ones(4, bool)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ops.match([[0, 1]], EDGES), TypeError, "x: expected a numpy array or a torch tensor, got list"),
        (lambda: ops.match(X.astype(float), EDGES), TypeError, "x: expected dtype bool or uint8, got float64"),
        (lambda: ops.match(X[0], EDGES), ValueError, r"x: expected \[N, I\] = \[N, I\], got \[3\]"),
        (lambda: ops.match(X + np.uint8(2), EDGES), ValueError, "x: expected values 0 and 1, got 2 in row 0"),
        (lambda: ops.match(X[:, :2], EDGES), ValueError, r"edges: expected variables below I = 2 .*, got 2"),
        (lambda: ops.match(X, [[0, 1]]), TypeError, "edges: expected Hyperedges or HyperedgesPlan, got list"),
        (lambda: ops.match(torch.from_numpy(X), EDGES), TypeError, "edges: expected a torch tensor as x is, got a numpy array"),
        (lambda: ops.match(X, EDGES, tolerance=-1), ValueError, "tolerance: expected 0 .. 2147483647, got -1"),
        (lambda: ops.match(X, EDGES, tolerance=0.5), TypeError, "tolerance: expected an int, got float"),
        (lambda: ops.match(X, EDGES, tolerance=np.array([0, -2], np.int32)), ValueError, "tolerance: expected values >= 0, got -2"),
        (lambda: ops.match(X, EDGES, tolerance=np.zeros(3, np.int32)), ValueError, r"tolerance: expected \[E\] = \[2\], got \[3\]"),
        (lambda: ops.match(X, EDGES, tolerance=np.zeros(2)), TypeError, "tolerance: expected dtype int32, got float64"),
        (lambda: ops.votes(X, EDGES, WEIGHTS[:1], LABELS, 2), ValueError, r"weights: expected \[E\] = \[2\], got \[1\]"),
        (lambda: ops.votes(X, EDGES, WEIGHTS * np.nan, LABELS, 2), ValueError, r"weights: expected finite values, got nan at \[0\]"),
        (lambda: ops.votes(X, EDGES, WEIGHTS.astype(np.float16), LABELS, 2), TypeError, "weights: expected dtype .*, got float16"),
        (lambda: ops.votes(X, EDGES, np.full(2, 2**62), LABELS, 2), ValueError, r"weights: expected sum \|w\| below 2\*\*62"),
        (lambda: ops.votes(X, EDGES, WEIGHTS, LABELS, 1), ValueError, r"labels: expected values 0 .. num_classes - 1 = 0, got 1"),
        (lambda: ops.votes(X, EDGES, WEIGHTS, LABELS - 1, 2), ValueError, "labels: expected values .*, got -1"),
        (lambda: ops.votes(X, EDGES, WEIGHTS, LABELS), ValueError, "num_classes: expected the number of classes, got None"),
        (lambda: ops.votes(X, EDGES, WEIGHTS), ValueError, r"labels: expected int32 \[E\], or edges planned with labels; got None"),
        (lambda: ops.votes(X, EDGES, WEIGHTS, LABELS, 0), ValueError, "num_classes: expected at least 1, got 0"),
        (lambda: ops.votes(X, EDGES, WEIGHTS, LABELS.astype(float), 2), TypeError, "labels: expected dtype int32 or int64, got float64"),
        (lambda: ops.votes(X, EDGES.plan(labels=LABELS), WEIGHTS, num_classes=3), ValueError, "num_classes: expected 2 as the plan has, got 3"),
        (lambda: ops.feedback(X, EDGES, MASK[:2], MASK), ValueError, r"right: expected \[N\] = \[4\], got \[2\]"),
        (lambda: ops.feedback(X, EDGES, MASK, MASK.astype(int)), TypeError, "wrong: expected dtype bool, got int64"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
