"""Why a hypernet decided as it did: the edges that matched, strongest first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyad._hyperedges import Hyperedges


@dataclass(frozen=True)
class ExplainedEdge:
    """One edge that matched the example.

    Attributes:
        edge: Its number in ``edges_``.
        label: What it votes for.
        weight: How much its vote counts.
        mismatches: Literals that differ from the example.
        tolerance: How many may.
        variables: The variables of its literals.
        values: The values it asks for, 0 or 1.
        names: The names of those variables.
    """

    edge: int
    label: Any
    weight: float
    mismatches: int
    tolerance: int
    variables: tuple[int, ...]
    values: tuple[int, ...]
    names: tuple[str, ...]

    @property
    def literals(self) -> tuple[tuple[str, int], ...]:
        """The literals as (name, asked value)."""
        return tuple(zip(self.names, self.values, strict=True))

    def __str__(self) -> str:
        terms = " ".join(f"{name}={value}" for name, value in self.literals)
        return f"{self.weight:+.3f} for {self.label}: {terms} ({self.mismatches} differ)"


@dataclass(frozen=True)
class Explanation:
    """What decided about one example.

    Attributes:
        label: The class with the most votes.
        votes: The votes of every class.
        matched: How many edges matched.
        edges: The matching edges, largest absolute weight first.
    """

    label: Any
    votes: dict[Any, float]
    matched: int
    edges: tuple[ExplainedEdge, ...]

    def __str__(self) -> str:
        ranked = sorted(self.votes.items(), key=lambda item: -item[1])
        head = ", ".join(f"{label}: {vote:.2f}" for label, vote in ranked[:3])
        lines = [f"{self.label} ({head}; {self.matched} edges matched)"]
        return "\n".join(lines + [f"  {edge}" for edge in self.edges])


def explain(
    bits: NDArray[np.uint8],
    hits: NDArray[np.bool_],
    edges: Hyperedges,
    weights: NDArray[Any],
    labels: NDArray[np.int32],
    tolerances: NDArray[np.int32],
    classes: NDArray[Any],
    votes: NDArray[Any],
    names: NDArray[Any] | None,
    top: int,
) -> Explanation:
    """Collect the matching edges of one example.

    Args:
        bits: uint8 [I].
        hits: bool [E].
        edges: E edges.
        weights: [E].
        labels: [E].
        tolerances: [E].
        classes: [C].
        votes: [C].
        names: [I] or None.
        top: At most so many edges are listed.
    """
    matched = np.nonzero(hits & (weights != 0))[0]
    ranked = matched[np.argsort(-np.abs(weights[matched]), kind="stable")][:top]
    assert edges.values is not None
    listed = []
    for edge in ranked.tolist():
        inside = slice(edges.offsets[edge], edges.offsets[edge + 1])
        variables, values = edges.indices[inside], edges.values[inside]
        listed.append(
            ExplainedEdge(
                edge,
                classes[labels[edge]],
                float(weights[edge]),
                int((bits[variables] != values).sum()),
                int(tolerances[edge]),
                tuple(variables.tolist()),
                tuple(values.tolist()),
                tuple(f"x{j}" if names is None else str(names[j]) for j in variables),
            )
        )
    return Explanation(
        classes[int(votes.argmax())],
        {label: float(vote) for label, vote in zip(classes.tolist(), votes, strict=True)},
        len(matched),
        tuple(listed),
    )
