"""The best chain of links, against the table over all pairs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyad.ops.align import best_path
from polyad.reference import align as reference

# Few scores, so that sums tie.
LINKS = st.lists(
    st.tuples(
        st.integers(0, 7),
        st.integers(0, 7),
        st.sampled_from([-0.5, 0.0, 0.1, 0.2, 0.25, 0.3, 0.5, 1.0]),
    ),
    max_size=40,
    unique_by=lambda link: link[:2],
)


def links(rows):
    table = np.array(rows, np.float64).reshape(-1, 3)
    return table[:, 0].astype(np.int32), table[:, 1].astype(np.int32), table[:, 2].copy()


@given(LINKS)
def test_the_path_is_that_of_the_reference(rows):
    path = best_path(*links(rows))
    assert path.dtype == np.int64
    assert path.tolist() == reference.best_path(*links(rows)).tolist()


@given(LINKS)
def test_the_path_ascends_and_no_chain_has_more(rows):
    source, target, score = links(rows)
    path = best_path(source, target, score)
    assert (np.diff(source[path]) > 0).all()
    assert (np.diff(target[path]) > 0).all()
    most = {}
    for i, j, w in sorted(rows):
        before = (m for (a, b), m in most.items() if a < i and b < j)
        most[i, j] = max(0.0, *before, 0.0) + w
    assert score[path].sum() == pytest.approx(max(0.0, 0.0, *most.values()))
    assert (score[path] > 0).all()


def test_many_links_are_those_of_the_reference(rng):
    pairs = rng.permutation(300 * 200)[:3000]
    source, target = (pairs // 200).astype(np.int32), (pairs % 200).astype(np.int32)
    score = rng.random(3000)
    path = best_path(source, target, score)
    assert path.tolist() == reference.best_path(source, target, score).tolist()
    assert len(path) > 20


def test_ties_take_the_chain_whose_last_link_has_the_smallest_source():
    rows = [(0, 1, 0.5), (1, 0, 0.5), (2, 2, 0.5), (3, 2, 0.5), (2, 3, 0.5)]
    assert best_path(*links(rows)).tolist() == [0, 2]


def test_sums_are_added_up_from_the_start():
    rows = [(0, 1, 0.1), (1, 2, 0.2), (2, 3, 0.3), (3, 0, 0.1 + 0.2 + 0.3)]
    assert best_path(*links(rows)).tolist() == [0, 1, 2]


def test_links_may_come_in_any_order_and_from_anywhere():
    rows = [(2_000_000_000, 9, 0.5), (5, 2_000_000_000, 0.5), (0, 3, 0.5)]
    assert best_path(*links(rows)).tolist() == [2, 1]


@pytest.mark.parametrize("rows", [[], [(0, 0, 0.0)], [(0, 0, -1.0), (1, 1, 0.0)]])
def test_without_links_that_count_there_is_no_path(rows):
    assert best_path(*links(rows)).tolist() == []


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ((0, [0, 1]), TypeError, "source: expected a numpy array"),
        ((0, np.zeros(2, np.int64)), TypeError, "source: expected dtype int32, got int64"),
        ((1, np.zeros(3, np.int32)), ValueError, r"target: expected \[L\] = \[2\], got \[3\]"),
        ((2, np.zeros(2, np.float32)), TypeError, "score: expected dtype float64, got float32"),
        ((2, np.array([0, np.nan])), ValueError, "score: expected finite values, got nan at"),
        ((1, np.array([0, -1], np.int32)), ValueError, "target: expected numbers of at least 0"),
    ],
)
def test_wrong_arguments_are_named(change, error, message):
    arguments = list(links([(0, 0, 0.5), (1, 1, 0.5)]))
    arguments[change[0]] = change[1]
    with pytest.raises(error, match=message):
        best_path(*arguments)
