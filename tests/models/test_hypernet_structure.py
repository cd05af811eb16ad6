"""Drawing, merging and changing edges."""

import numpy as np
import pytest

from polyad.models import _hypernet_structure as structure
from polyad.ops.hypernet import match


def drawn(x, y, anchors, orders, rng, **options):
    chances = np.sqrt(x.mean(axis=0) * (1 - x.mean(axis=0)))
    return structure.draw(
        x, y, np.asarray(anchors), np.asarray(orders), chances, 0, int(y.max()) + 1, rng, **options
    )


def test_an_edge_is_a_part_of_its_example(patterns, rng):
    x, y = patterns
    anchors = rng.integers(0, len(x), 100)
    edges = drawn(x, y, anchors, rng.integers(1, 9, 100), rng)
    rows = edges.sources[:, 0]
    assert match(x, edges.edges)[rows, np.arange(len(edges))].all()
    np.testing.assert_array_equal(edges.labels, y[rows])
    assert edges.copies.sum() == 100
    assert (np.diff(edges.labels) >= 0).all()


def test_constant_variables_are_left_out(rng):
    x = np.zeros((20, 10), np.uint8)
    x[::2, 3] = x[::3, 7] = 1
    edges = drawn(x, np.zeros(20, int), np.arange(20), np.full(20, 5), rng)
    assert set(edges.edges.indices.tolist()) == {3, 7}
    assert (edges.orders == 2).all()


def test_identical_edges_become_one_with_copies(rng):
    x = np.tile(np.array([[0, 1], [1, 0]], np.uint8), (10, 1))
    edges = drawn(x, np.tile([0, 1], 10), np.arange(20), np.full(20, 2), rng)
    assert len(edges) == 2
    assert edges.copies.tolist() == [10, 10]


def test_equal_literals_of_different_labels_stay_apart(rng):
    x = np.tile(np.array([[0, 1], [1, 0]], np.uint8), (2, 1))
    edges = drawn(x, np.array([0, 0, 1, 1]), np.arange(4), np.full(4, 2), rng)
    assert len(edges) == 4


def test_variables_are_drawn_by_chance(rng):
    chances = np.array([0.0, 0.1, 0.4])
    x = rng.integers(0, 2, (4000, 3)).astype(np.uint8)
    edges = structure.draw(
        x, np.zeros(4000, int), np.arange(4000), np.ones(4000, int), chances, 0, 1, rng
    )
    counts = np.bincount(edges.edges.indices, weights=edges.copies, minlength=3)
    np.testing.assert_allclose(counts / 4000, [0, 0.2, 0.8], atol=0.03)


def test_common_edges_hold_for_all_they_come_from(patterns, rng):
    x, y = patterns
    edges = structure.draw_common(x, y, np.arange(60), np.ones(24, bool), 0, 3, rng)
    hits = match(x, edges.edges)
    for rows in edges.sources.T:
        assert hits[rows, np.arange(len(edges))].all()
        np.testing.assert_array_equal(y[rows], edges.labels)
    assert len(np.unique(edges.sources[0])) == 1 + structure.OTHERS
    assert edges.orders.mean() > 12  # near examples of a class agree on most of it


def test_common_edges_of_a_lonely_example_are_the_example(rng):
    x = np.array([[0, 1, 1], [1, 0, 0], [1, 1, 0], [1, 0, 1]], np.uint8)
    edges = structure.draw_common(
        x, np.array([0, 1, 1, 1]), np.array([0]), np.ones(3, bool), 0, 2, rng
    )
    assert edges.orders.tolist() == [3]


def test_balanced_anchors_give_every_class_its_share(rng):
    y = np.repeat([0, 1, 2], [100, 10, 3])
    anchors = structure.balanced_anchors(y, 3, 60, 4, rng)
    counts = np.bincount(y[anchors], minlength=3)
    assert counts.tolist() == [24, 24, 12]  # class 2 gives all it can, the rest is shared
    assert np.bincount(anchors).max() <= 4
    assert len(structure.balanced_anchors(y, 3, 10**6, 2, rng)) == 2 * len(y)


@pytest.mark.parametrize(
    ("orders", "varying", "expected"),
    [
        (None, 784, [12, 16, 24, 32, 48]),
        (None, 52, [12, 16]),
        (None, 4, [2]),
        (None, 0, [1]),
        ("all", 9, [9]),
        (5, 100, [5]),
        ((3, 50), 20, [3, 20]),
    ],
)
def test_orders(orders, varying, expected):
    assert structure.orders_for(orders, varying).tolist() == expected


@pytest.mark.parametrize(
    ("tolerance", "orders", "expected"),
    [(0.15, [4, 12, 32], [1, 2, 5]), (3, [2, 8], [1, 3]), (0, [0, 5], [0, 0])],
)
def test_tolerances(tolerance, orders, expected):
    found = structure.tolerances_for(tolerance, np.array(orders))
    assert found.tolist() == expected
    assert found.dtype == np.int32


def test_orders_are_shared_by_what_they_earned(patterns, rng):
    x, y = patterns
    edges = drawn(x, y, np.arange(200), np.tile([2, 6], 100), rng)
    edges.weights = np.where(edges.orders == 6, 3.0, 1.0)
    low, high = structure.order_shares(edges, np.array([2, 6]))
    assert 2 < high / low < 3
    assert low + high == pytest.approx(1)


def test_scores_stand_for_the_literals(patterns, rng):
    x, y = patterns
    edges = drawn(x, y, np.arange(50), np.tile([3, 7], 25), rng)
    before = edges.edges
    edges.open_scores(rng)
    edges.follow_scores()
    assert edges.edges == before
    j = next(j for j in range(24) if j not in before.indices[: before.offsets[1]])
    edges.scores[0, j] = -0.9
    edges.follow_scores()
    literals = dict(
        zip(
            edges.edges.indices[: edges.edges.offsets[1]],
            edges.edges.values[: edges.edges.offsets[1]],
            strict=True,
        )
    )
    assert literals[j] == 0
    assert len(literals) == before.sizes[0]


def test_take_and_merge_keep_edges_whole(patterns, rng):
    x, y = patterns
    edges = drawn(x, y, np.arange(40), np.full(40, 5), rng)
    edges.open_scores(rng)
    ids = np.arange(len(edges))
    apart = edges.take(ids[::2]).merged(edges.take(ids[1::2]))
    assert len(apart) == len(edges)
    assert (np.diff(apart.labels) >= 0).all()
    hits = match(x, edges.edges).sum(axis=0)
    again = match(x, apart.edges).sum(axis=0)
    assert sorted(hits) == sorted(again)
    np.testing.assert_allclose(apart.scores.sum(), edges.scores.sum(), rtol=1e-4)
