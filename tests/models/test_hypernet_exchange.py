"""Explaining decisions, and hypernets as hypergraphs of another library."""

import sys

import numpy as np
import pytest

import polyad
from polyad.models import Hypernet


def test_explanation_adds_up(patterns):
    x, y = patterns
    net = Hypernet(epochs=3, max_edges=150, random_state=0).fit(x, y)
    for row in x[:10]:
        told = net.explain(row, top=10**6)
        assert told.label == net.predict(row[None])[0]
        assert told.matched == len(told.edges)
        for label in range(3):
            total = sum(e.weight for e in told.edges if e.label == label)
            assert total == pytest.approx(told.votes[label], rel=1e-4, abs=1e-4)
        for edge in told.edges:
            differ = sum(row[j] != v for j, v in zip(edge.variables, edge.values, strict=True))
            assert differ == edge.mismatches <= edge.tolerance
        weights = [abs(edge.weight) for edge in told.edges]
        assert weights == sorted(weights, reverse=True)
    short = net.explain(x[0], top=2)
    assert len(short.edges) == 2
    assert str(short.label) in str(short)


def test_explanation_uses_names(patterns):
    pandas = pytest.importorskip("pandas")
    x, y = patterns
    frame = pandas.DataFrame(x, columns=[f"f{j}" for j in range(24)])
    net = Hypernet(epochs=1, random_state=0).fit(frame, y)
    edge = net.explain(frame[:1]).edges[0]
    assert edge.literals[0] == (f"f{edge.variables[0]}", edge.values[0])
    with pytest.raises(ValueError, match="x: expected one example, got 2"):
        net.explain(frame[:2])


@pytest.mark.parametrize("named", [False, True])
def test_round_trip_through_xgi(patterns, named):
    pytest.importorskip("xgi")
    pandas = pytest.importorskip("pandas")
    x, y = patterns
    data = pandas.DataFrame(x, columns=[f"f{j}" for j in range(24)]) if named else x
    words = np.array(["ant", "bee", "cat"])[y]
    net = Hypernet(epochs=2, max_edges=80, random_state=0).fit(data, words)
    graph = net.to_xgi()
    assert graph.num_nodes == 24
    assert graph.num_edges == len(net.edges_)
    again = Hypernet.from_xgi(graph)
    assert again.edges_ == net.edges_
    np.testing.assert_allclose(again.weights_, net.weights_)
    np.testing.assert_array_equal(again.tolerances_, net.tolerances_)
    assert again.predict(data).tolist() == net.predict(data).tolist()


def test_any_hypergraph_becomes_a_hypernet():
    xgi = pytest.importorskip("xgi")
    pandas = pytest.importorskip("pandas")
    graph = xgi.Hypergraph([["a", "b"], ["b", "c"], ["a"]])
    net = Hypernet.from_xgi(graph)
    assert len(net.edges_) == 3
    data = pandas.DataFrame([[1, 1, 0], [0, 1, 1]], columns=["a", "b", "c"])
    np.testing.assert_allclose(net.votes(data), [[2], [1]], atol=1e-5)


def test_missing_xgi_is_said(patterns, monkeypatch):
    net = Hypernet(epochs=1, random_state=0).fit(*patterns)
    monkeypatch.setitem(sys.modules, "xgi", None)
    with pytest.raises(ImportError, match="pip install xgi"):
        net.to_xgi()


def test_missing_scikit_learn_is_said(monkeypatch):
    for name in [n for n in sys.modules if n.startswith("polyad.models.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    for name in ("Hypernet", "ThermometerEncoder", "ThresholdEncoder"):
        with pytest.raises(ImportError, match=r"pip install 'polyad\[demo\]'"):
            getattr(polyad.models, name)


def test_models_are_named():
    assert "Hypernet" in dir(polyad.models)
    with pytest.raises(AttributeError, match="has no attribute 'Hypernot'"):
        _ = polyad.models.Hypernot


def test_given_edges_in_any_order():
    edges = polyad.Hyperedges.from_lists([[0], [1, 2], [2]], [[1], [1, 0], [1]])
    net = Hypernet.from_edges(edges, [1.0, 2.0, 4.0], ["b", "a", "b"], tolerances=[0, 1, 0])
    x = np.array([[1, 0, 1], [0, 1, 1]])
    np.testing.assert_allclose(net.votes(x), [[0, 5], [2, 4]], atol=1e-5)
    assert net.predict(x).tolist() == ["b", "b"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weights": [1.0]}, r"weights: expected \[E\] = \[2\], got \[1\]"),
        ({"weights": [1.0, np.nan]}, "weights: expected finite values"),
        ({"weights": [1, 1], "labels": [0]}, r"labels: expected \[E\] = \[2\], got \[1\]"),
        ({"weights": [1, 1], "n_features": 2}, "n_features: expected at least 3, got 2"),
        ({"weights": [1, 1], "labels": [0, 3], "classes": [0, 1]}, "expected labels among"),
    ],
)
def test_bad_edges(arguments, message):
    edges = polyad.Hyperedges.from_lists([[0], [1, 2]])
    with pytest.raises(ValueError, match=message):
        Hypernet.from_edges(edges, **arguments)
