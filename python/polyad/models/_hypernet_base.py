"""What every part of the hypernet stands on: parameters, input as bits, the edges as learned."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from polyad import _arrays as arrays
from polyad._hyperedges import Hyperedges, HyperedgesPlan
from polyad.models import _hypernet_structure as structure
from polyad.models._hypernet_structure import EdgeSet, Variation

OBJECTIVES = ("votes", "likelihood")
ROW_BLOCK = 8192


class HypernetBase(BaseEstimator):  # type: ignore[misc]
    """Parameters and state of a hypernet; `polyad.models.Hypernet` documents them."""

    classes_: NDArray[Any]
    n_features_in_: int
    n_iter_: int
    edges_: Hyperedges
    weights_: NDArray[Any]
    labels_: NDArray[np.int32]
    tolerances_: NDArray[np.int32]
    _edge_set: EdgeSet
    _variation: Variation
    _rng: np.random.Generator
    _plan: HyperedgesPlan
    _recall_grade: tuple[float, float]
    _log_partition: float | None

    def __init__(
        self,
        *,
        binarize: float | None = 0.0,
        objective: str = "votes",
        draw: str = "parts",
        orders: Any = None,
        tolerance: float = 0.15,
        edges_per_example: int = 20,
        max_edges: int = 4000,
        epochs: int = 30,
        learning_rate: float = 0.02,
        batch_size: int = 512,
        replace: float = 0.05,
        noise: float = 0.03,
        random_edges: float = 0.0,
        cd_sweeps: int = 1,
        random_state: Any = None,
    ) -> None:
        self.binarize = binarize
        self.objective = objective
        self.draw = draw
        self.orders = orders
        self.tolerance = tolerance
        self.edges_per_example = edges_per_example
        self.max_edges = max_edges
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.replace = replace
        self.noise = noise
        self.random_edges = random_edges
        self.cd_sweeps = cd_sweeps
        self.random_state = random_state

    def _varies(self) -> NDArray[np.bool_]:
        return np.asarray(self._variation.chances() > 0)

    def _prior(self) -> structure.Doubles:
        return np.asarray((self._variation.ones + 0.5) / (self._variation.classes.sum() + 1))

    def _prepare(self, variables: int) -> None:
        """Forget everything."""
        seed = self.random_state
        if isinstance(seed, np.random.RandomState):
            seed = int(seed.randint(2**31 - 1))
        elif seed is not None and not isinstance(seed, np.random.Generator):
            seed = int(seed)
        self._rng = np.random.default_rng(seed)
        self._variation = Variation.none(variables, len(self.classes_))
        self._edge_set = EdgeSet.empty(variables, len(self.classes_))
        self._recall_grade = (1.5, 0.0)
        self.n_iter_ = 0

    def _publish(self) -> None:
        """Show what was learned."""
        edge_set = self._edge_set
        kind = np.float32 if self.objective == "votes" else np.float64
        self.edges_ = edge_set.edges
        self.weights_ = edge_set.weights.astype(kind)
        self.labels_ = edge_set.labels
        self.tolerances_ = edge_set.tolerances
        self._plan = edge_set.edges.plan(labels=edge_set.labels, num_classes=edge_set.classes)
        self._log_partition = None

    @property
    def order_distribution_(self) -> dict[int, float]:
        """The share of the edges that has each order."""
        found, counts = np.unique(self.edges_.sizes, return_counts=True)
        return {int(k): float(n / counts.sum()) for k, n in zip(found, counts, strict=True)}

    def _label_numbers(self, y: Any, count: int) -> structure.Ints:
        labels = np.asarray(y)
        labels = np.full(count, labels) if labels.ndim == 0 else labels
        arrays.require_shape("y", labels, "N", [count])
        number = np.searchsorted(self.classes_, labels)
        number = np.minimum(number, len(self.classes_) - 1)
        wrong = self.classes_[number] != labels
        if wrong.any():
            raise ValueError(
                f"y: expected labels among {self.classes_.tolist()}, got {labels[wrong][0]}"
            )
        return number.astype(np.int64)

    def _input(self, X: Any) -> structure.Bits:
        return self._bits(validate_data(self, X, accept_sparse="csr", dtype="numeric", reset=False))

    def _bits(self, X: Any) -> structure.Bits:
        """``X`` as 0 and 1, uint8 [N, I]; a part at a time, so that sparse input stays small."""
        bits = np.empty(X.shape, np.uint8)
        for begin in range(0, X.shape[0], ROW_BLOCK):
            rows = X[begin : begin + ROW_BLOCK]
            dense = rows.toarray() if hasattr(rows, "toarray") else rows
            if self.binarize is not None:
                bits[begin : begin + ROW_BLOCK] = dense > self.binarize
                continue
            wrong = (dense != 0) & (dense != 1)
            if wrong.any():
                raise ValueError(
                    f"X: expected 0 and 1 with binarize=None, got {dense[wrong].flat[0]}"
                )
            bits[begin : begin + ROW_BLOCK] = dense
        return bits

    def _check_parameters(self) -> None:
        if self.objective not in OBJECTIVES:
            raise ValueError(f"objective: expected 'votes' or 'likelihood', got {self.objective!r}")
        for name, low in (
            ("edges_per_example", 1), ("max_edges", 1), ("epochs", 0), ("batch_size", 1),
            ("cd_sweeps", 1),
        ):  # fmt: skip
            arrays.require_int(name, getattr(self, name), low)
        for name, high in (("replace", 1.0), ("noise", 0.5), ("random_edges", 1.0)):
            if not 0 <= getattr(self, name) <= high:
                raise ValueError(f"{name}: expected 0 .. {high}, got {getattr(self, name)}")
        if not 0 < self.learning_rate < float("inf"):
            raise ValueError(f"learning_rate: expected a number above 0, got {self.learning_rate}")
        share = isinstance(self.tolerance, float | np.floating)
        if self.tolerance < 0 or (share and self.tolerance >= 1):
            raise ValueError(
                f"tolerance: expected an int >= 0 or a share in [0, 1), got {self.tolerance}"
            )
        if self.draw not in ("parts", "common"):
            raise ValueError(f"draw: expected 'parts' or 'common', got {self.draw!r}")
        if isinstance(self.orders, str):
            if self.orders != "all":
                raise ValueError(f"orders: expected ints, 'all' or None, got {self.orders!r}")
        elif self.orders is not None:
            orders = np.atleast_1d(np.asarray(self.orders))
            if orders.dtype.kind not in "iu" or not len(orders) or orders.min() < 1:
                raise ValueError(f"orders: expected ints of at least 1, got {self.orders!r}")
