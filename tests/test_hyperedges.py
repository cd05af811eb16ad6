"""Hyperedges: checks, edits, conversions, files."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import given
from hypothesis import strategies as st

import polyad
from polyad import Hyperedges

FIXTURES = Path(__file__).parent / "data"


def arrays(indices, offsets, values=None):
    return (
        np.array(indices, np.int32),
        np.array(offsets, np.int64),
        None if values is None else np.array(values, np.uint8),
    )


EDGES = Hyperedges.from_lists([[3, 0, 2], [], [1, 4]], [[1, 0, 1], [], [0, 1]])

literal_lists = st.lists(
    st.lists(
        st.tuples(st.integers(0, 30), st.integers(0, 1)),
        unique_by=lambda literal: literal[0],
        max_size=8,
    ),
    max_size=10,
)


def from_literals(lists):
    return Hyperedges.from_lists(
        [[j for j, _ in e] for e in lists], [[v for _, v in e] for e in lists]
    )


def test_from_lists_sorts_inside_edges_and_keeps_their_order():
    assert EDGES.indices.tolist() == [0, 2, 3, 1, 4]
    assert EDGES.values.tolist() == [0, 1, 1, 0, 1]
    assert EDGES.offsets.tolist() == [0, 3, 3, 5]
    assert EDGES.sizes.tolist() == [3, 0, 2]
    assert EDGES.num_variables == 5
    assert len(EDGES) == 3
    assert repr(EDGES) == "Hyperedges(edges=3, literals=5, valued, numpy)"


def test_immutable():
    with pytest.raises(AttributeError, match="immutable"):
        EDGES.indices = np.zeros(5, np.int32)
    with pytest.raises(AttributeError, match="immutable"):
        del EDGES.values


def test_equality_ignores_how_values_are_stored():
    ones = Hyperedges.from_lists([[1, 2]], [[1, 1]])
    assert Hyperedges.from_lists([[1, 2]]) == ones
    assert Hyperedges.from_lists([[1, 3]]) != ones
    assert ones != "edges"


@given(literal_lists, literal_lists)
def test_append_then_remove_gives_both_back(first, second):
    a, b = from_literals(first), from_literals(second)
    both = a.append(b)
    assert len(both) == len(a) + len(b)
    keep = np.arange(len(both)) < len(a)
    front, front_ids = both.remove(keep)
    back, back_ids = both.remove(~keep)
    assert front == a
    assert back == b
    assert [*front_ids, *back_ids] == list(range(len(both)))


def test_append_mixes_valued_and_plain():
    both = Hyperedges.from_lists([[0]]).append(Hyperedges.from_lists([[1]], [[0]]))
    assert both.values.tolist() == [1, 0]


@given(literal_lists)
def test_plan_is_a_permutation_in_kernel_order(lists):
    edges = from_literals(lists)
    labels = np.arange(len(edges), dtype=np.int32) % 3
    for plan in (edges.plan(), edges.plan(labels=labels, num_classes=4)):
        assert sorted(plan.order) == list(range(len(edges)))
        for place, edge in enumerate(plan.order):
            literals = plan.literals[plan.offsets[place] : plan.offsets[place + 1]]
            mine = slice(edges.offsets[edge], edges.offsets[edge + 1])
            values = edges.values[mine]
            assert plan.positives[place] == values.sum()
            assert literals.tolist() == [
                *edges.indices[mine][values == 1],
                *edges.indices[mine][values == 0],
            ]
    assert plan.num_classes == 4
    for label in range(4):
        members = plan.order[plan.class_offsets[label] : plan.class_offsets[label + 1]]
        assert (labels[members] == label).all()


def test_plan_puts_equal_shapes_together(rng):
    edges = Hyperedges.from_lists([rng.choice(20, 1 + i % 3, replace=False) for i in range(30)])
    sizes = np.diff(edges.plan().offsets)
    assert (np.diff(sizes) >= 0).all()


@given(literal_lists, st.integers(0, 3), st.booleans())
def test_incidence_round_trip(lists, more, sparse):
    edges = from_literals(lists)
    weights = np.arange(len(edges)) - 1.5
    matrix = polyad.to_incidence(
        edges, weights, num_variables=edges.num_variables + more, sparse=sparse
    )
    assert matrix.shape == (len(edges), edges.num_variables + more + 1)
    assert scipy.sparse.issparse(matrix) == sparse
    back, back_weights = polyad.from_incidence(matrix)
    assert back == edges
    np.testing.assert_array_equal(back_weights, weights)


def test_incidence_has_weights_in_column_0():
    matrix = polyad.to_incidence(EDGES, np.array([2.0, 3.0, 4.0]))
    assert matrix.tolist() == [[2, -1, 0, 1, 1, 0], [3, 0, 0, 0, 0, 0], [4, 0, -1, 0, 0, 1]]


def test_torch_and_back():
    moved = EDGES.to("cpu")
    assert isinstance(moved.indices, torch.Tensor)
    assert moved == EDGES
    assert moved.numpy().indices.dtype == np.int32
    kept, ids = moved.remove(torch.tensor([True, False, True]))
    assert ids.tolist() == [0, 2]
    assert isinstance(kept.offsets, torch.Tensor)
    assert isinstance(moved.plan().literals, torch.Tensor)


def test_pickle():
    assert pickle.loads(pickle.dumps(EDGES)) == EDGES
    assert pickle.loads(pickle.dumps(EDGES.to("cpu"))) == EDGES


def test_save_and_load(tmp_path):
    for edges in (EDGES, Hyperedges.from_lists([[1], [2, 3]]), Hyperedges.from_lists([])):
        edges.save(tmp_path / "edges.npz")
        assert Hyperedges.load(tmp_path / "edges.npz") == edges
    assert [path.name for path in tmp_path.iterdir()] == ["edges.npz"]


def test_the_first_format_is_read():
    assert Hyperedges.load(FIXTURES / "hyperedges-1.npz") == EDGES


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "edges.npz"
    EDGES.save(path)

    def fail(file, **fields):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(OSError, match="disk full"):
        Hyperedges.from_lists([[7]]).save(path)
    assert Hyperedges.load(path) == EDGES
    assert len(list(tmp_path.iterdir())) == 1


def test_load_refuses_other_files(tmp_path):
    with pytest.raises(FileNotFoundError):
        Hyperedges.load(tmp_path / "missing.npz")
    for name, content in (("text.npz", b"not a zip"), ("empty.npz", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(
            ValueError, match=rf"{name}: expected a file that Hyperedges.save wrote"
        ):
            Hyperedges.load(tmp_path / name)
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match=r"other.npz: expected a file that"):
        Hyperedges.load(tmp_path / "other.npz")
    np.savez(tmp_path / "pickled.npz", format_version=np.array([None]))
    with pytest.raises(ValueError, match=r"pickled.npz: expected a file that"):
        Hyperedges.load(tmp_path / "pickled.npz")
    np.savez(tmp_path / "new.npz", format_version=99)
    with pytest.raises(ValueError, match=r"new.npz: expected format_version at most 1, got 99"):
        Hyperedges.load(tmp_path / "new.npz")
    whole = (FIXTURES / "hyperedges-1.npz").read_bytes()
    (tmp_path / "half.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"half.npz: expected a file that"):
        Hyperedges.load(tmp_path / "half.npz")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Hyperedges(*arrays([0, 2, 1], [0, 3])), ValueError, "indices: expected strictly ascending variables inside an edge, got 2, 1 in edge 0"),
        (lambda: Hyperedges(*arrays([0, 1, 1], [0, 1, 3])), ValueError, "got 1, 1 in edge 1"),
        (lambda: Hyperedges(*arrays([-1], [0, 1])), ValueError, "indices: expected variables >= 0, got -1"),
        (lambda: Hyperedges(*arrays([0], [0, 2])), ValueError, "offsets: expected to run from 0 to L = 1, got 0 .. 2"),
        (lambda: Hyperedges(*arrays([0, 1], [0, 2, 1, 2])), ValueError, "offsets: expected ascending values, got 1 after 2"),
        (lambda: Hyperedges(*arrays([], [])), ValueError, "offsets: expected .* at least one entry"),
        (lambda: Hyperedges(*arrays([0], [0, 1], [2])), ValueError, "values: expected 0 or 1, got 2"),
        (lambda: Hyperedges(*arrays([0], [0, 1], [1, 1])), ValueError, r"values: expected \[L\] = \[1\], got \[2\]"),
        (lambda: Hyperedges(np.zeros(1, np.int64), np.array([0, 1])), TypeError, "indices: expected dtype int32, got int64"),
        (lambda: Hyperedges(np.zeros(1, np.int32), torch.tensor([0, 1])), TypeError, "offsets: expected a numpy array as indices is, got a torch tensor"),
        (lambda: Hyperedges([0], [0, 1]), TypeError, "indices: expected a numpy array or a torch tensor, got list"),
        (lambda: Hyperedges.from_lists([[0, 0]]), ValueError, "got 0, 0 in edge 0"),
        (lambda: Hyperedges.from_lists([[-3]]), ValueError, "edges: expected variables 0 .. .*, got -3"),
        (lambda: Hyperedges.from_lists([[0]], [[0, 1]]), ValueError, "values: expected one value per variable"),
        (lambda: Hyperedges.from_lists([[0]], [[5]]), ValueError, "values: expected 0 or 1, got 5"),
        (lambda: EDGES.append([[0]]), TypeError, "other: expected Hyperedges, got list"),
        (lambda: EDGES.append(EDGES.to("cpu")), TypeError, "other: expected a numpy array as these edges is"),
        (lambda: EDGES.remove(np.ones(2, bool)), ValueError, r"keep: expected \[E\] = \[3\], got \[2\]"),
        (lambda: EDGES.remove(np.ones(3)), TypeError, "keep: expected dtype bool, got float64"),
        (lambda: EDGES.plan(labels=np.array([0, 9, 0], np.int32), num_classes=2), ValueError, "labels: expected values .*, got 9"),
        (lambda: polyad.to_incidence(EDGES, np.ones(2)), ValueError, r"weights: expected \[E\] = \[3\], got \[2\]"),
        (lambda: polyad.to_incidence(EDGES, np.ones(3), num_variables=2), ValueError, "num_variables: expected at least 5, got 2"),
        (lambda: polyad.from_incidence(np.full((2, 3), 7.0)), ValueError, "matrix: expected -1, 0 or 1 after column 0, got 7"),
        (lambda: polyad.from_incidence(np.ones(3)), ValueError, r"matrix: expected \[E, I \+ 1\], got \[3\]"),
        (lambda: polyad.from_incidence(np.ones((3, 0))), ValueError, "matrix: expected at least the column of weights"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
