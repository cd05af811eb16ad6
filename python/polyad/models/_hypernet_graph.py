"""A hypernet as an `xgi.Hypergraph`, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from polyad._hyperedges import Hyperedges

if TYPE_CHECKING:
    import xgi

    from polyad.models.hypernet import Hypernet


def _import_xgi() -> Any:
    try:
        import xgi
    except ImportError as error:
        raise ImportError("hypergraphs need xgi: pip install xgi") from error
    return xgi


def to_xgi(net: Hypernet) -> xgi.Hypergraph:
    """Return the edges of ``net`` as a hypergraph over its features."""
    library = _import_xgi()
    names = getattr(net, "feature_names_in_", None)
    nodes = list(range(net.n_features_in_)) if names is None else [str(name) for name in names]
    graph: Any = library.Hypergraph()
    graph.add_nodes_from(nodes)
    graph["n_features"] = net.n_features_in_
    classes = net.classes_.tolist()
    graph["classes"] = classes
    edges = net.edges_
    assert edges.values is not None
    for edge in range(len(edges)):
        inside = slice(edges.offsets[edge], edges.offsets[edge + 1])
        members = [nodes[j] for j in edges.indices[inside]]
        graph.add_edge(
            members,
            idx=edge,
            weight=float(net.weights_[edge]),
            label=classes[net.labels_[edge]],
            tolerance=int(net.tolerances_[edge]),
            values=dict(zip(members, edges.values[inside].tolist(), strict=True)),
        )
    return graph  # type: ignore[no-any-return]


def from_xgi(graph: xgi.Hypergraph, **parameters: Any) -> Hypernet:
    """Return a model with the edges of ``graph``; nodes become variables in their order."""
    _import_xgi()
    from polyad.models.hypernet import Hypernet

    nodes = list(graph.nodes)
    number = {node: j for j, node in enumerate(nodes)}
    variables, values, weights, labels, tolerances = [], [], [], [], []
    for edge in graph.edges:
        attributes = graph.edges[edge]
        members = sorted(graph.edges.members(edge), key=number.__getitem__)
        asked = attributes.get("values", {})
        variables.append([number[node] for node in members])
        values.append([int(asked.get(node, 1)) for node in members])
        weights.append(float(attributes.get("weight", 1.0)))
        labels.append(attributes.get("label", 0))
        tolerances.append(int(attributes.get("tolerance", 0)))
    try:
        classes = graph["classes"]
    except Exception:  # the error of a missing attribute is xgi's own and differs by version
        classes = None
    named = any(node != j for node, j in number.items())
    return Hypernet.from_edges(
        Hyperedges.from_lists(variables, values),
        np.array(weights),
        np.array(labels) if labels else None,
        n_features=len(nodes),
        classes=classes,
        tolerances=np.array(tolerances, np.int32),
        feature_names=[str(node) for node in nodes] if named else None,
        **parameters,
    )
