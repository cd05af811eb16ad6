"""Weighted hyperedges: the container, its kernel order, and its conversions."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from polyad import _arrays as arrays
from polyad._arrays import Array
from polyad._files import written_whole
from polyad._register import Op

FORMAT_VERSION = 1


def _partition(
    indices: np.ndarray[Any, Any],
    offsets: np.ndarray[Any, Any],
    values: np.ndarray[Any, Any] | None,
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Literals with the positive ones of each edge first, and how many those are."""
    sizes = np.diff(offsets)
    if values is None:
        return indices, sizes.astype(np.int32)
    positive = values.astype(bool)
    running = np.concatenate([[0], np.cumsum(positive)])
    positives = running[offsets[1:]] - running[offsets[:-1]]
    start = np.repeat(offsets[:-1], sizes)
    before = running[:-1] - np.repeat(running[offsets[:-1]], sizes)  # positives before, in the edge
    place = np.arange(len(indices)) - start
    target = start + np.where(positive, before, np.repeat(positives, sizes) + place - before)
    literals = np.empty_like(indices)
    literals[target] = indices
    return literals, positives.astype(np.int32)


def _take(
    literals: np.ndarray[Any, Any], offsets: np.ndarray[Any, Any], edges: np.ndarray[Any, Any]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The entries of the given edges, in that order, and their offsets."""
    sizes = np.diff(offsets)[edges]
    taken = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    source = np.repeat(offsets[:-1][edges] - taken[:-1], sizes) + np.arange(taken[-1])
    return literals[source], taken


def _stable_order(keys: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Stable argsort of small non-negative integers; numpy sorts 16-bit ones by radix."""
    if len(keys) and keys.max() <= 0xFFFF:
        keys = keys.astype(np.uint16)
    return np.argsort(keys, kind="stable")


def _group(
    literals: Array, offsets: Array, positives: Array, order: Array, labels: Array, classes: int
) -> tuple[Array, Array, Array, Array, Array]:
    host = [arrays.to_numpy(a) for a in (literals, offsets, positives, order, labels)]
    label = np.clip(host[4][host[3]], 0, classes - 1)  # compiled calls must stay within bounds
    by_class = _stable_order(label)
    taken, taken_offsets = _take(host[0], host[1], by_class)
    class_offsets = np.searchsorted(label[by_class], np.arange(classes + 1)).astype(np.int64)
    grouped = (taken, taken_offsets, host[2][by_class], host[3][by_class], class_offsets)
    return tuple(arrays.like(literals, a) for a in grouped)


def _group_fake(
    literals: Any, offsets: Any, positives: Any, order: Any, labels: Any, classes: Any
) -> tuple[Any, ...]:
    copies = [a.new_empty(a.shape) for a in (literals, offsets, positives, order)]
    return (*copies, offsets.new_empty((classes + 1,)))


def _incidence(literals: Array, offsets: Array, variables: int) -> tuple[Array, Array]:
    host, host_offsets = arrays.to_numpy(literals), arrays.to_numpy(offsets)
    edge = np.repeat(np.arange(len(host_offsets) - 1, dtype=np.int32), np.diff(host_offsets))
    counts = np.bincount(host, minlength=variables)
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    members = edge[_stable_order(host)]
    return arrays.like(literals, starts), arrays.like(literals, members)


def _incidence_fake(literals: Any, offsets: Any, variables: Any) -> tuple[Any, Any]:
    return offsets.new_empty((variables + 1,)), literals.new_empty(literals.shape)


# Both sort on the host: they run when a structure changes, not in a loop.
group_op = Op(
    "hypernet_group(Tensor literals, Tensor offsets, Tensor positives, Tensor order, "
    "Tensor labels, int classes) -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
    _group,
    _group_fake,
)
incidence_op = Op(
    "hypernet_incidence(Tensor literals, Tensor offsets, int variables) -> (Tensor, Tensor)",
    _incidence,
    _incidence_fake,
)


def require_labels(labels: Any, classes: int, edges: Hyperedges | HyperedgesPlan) -> Array:
    """Check ``labels``: integers [E] within 0 .. classes - 1, of the kind of ``edges``."""
    arrays.require_array("labels", labels)
    arrays.require_alike("labels", labels, "edges", edges.offsets)
    arrays.require_dtype("labels", labels, ["int32", "int64"])
    arrays.require_shape("labels", labels, "E", [len(edges)])
    if arrays.checks_values(labels) and len(edges):
        host = arrays.to_numpy(labels)
        low, high = int(host.min()), int(host.max())
        if low < 0 or high >= classes:
            raise ValueError(
                f"labels: expected values 0 .. num_classes - 1 = {classes - 1}, "
                f"got {low if low < 0 else high}"
            )
    return arrays.cast(labels, "int32")


class HyperedgesPlan:
    """Hyperedges in the order that kernels like; `Hyperedges.plan` makes it.

    Edges of one class stand together (if labels were given), within it edges of one shape, within
    those edges that begin with the same variables. Results are in the caller's order all the same.

    Attributes:
        literals: int32 [L], the variables of each edge, those with value 1 first.
        offsets: int64 [E + 1].
        positives: int32 [E], how many literals of an edge have value 1.
        order: int32 [E], the position of each edge in the caller's arrays.
        class_offsets: int64 [C + 1] or None, where each class begins.
        num_variables: 1 + the largest variable of any edge.
        longest: The literals of the longest edge.
        all_positive: Whether every literal has value 1.
    """

    __slots__ = (
        "_incidence",
        "all_positive",
        "class_offsets",
        "literals",
        "longest",
        "num_variables",
        "offsets",
        "order",
        "positives",
    )

    def __init__(
        self,
        literals: Array,
        offsets: Array,
        positives: Array,
        order: Array,
        class_offsets: Array | None,
        num_variables: int,
        longest: int,
        all_positive: bool,
    ) -> None:
        self.literals = literals
        self.offsets = offsets
        self.positives = positives
        self.order = order
        self.class_offsets = class_offsets
        self.num_variables = num_variables
        self.longest = longest
        self.all_positive = all_positive
        self._incidence: tuple[int, Array, Array] | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __repr__(self) -> str:
        classes = None if self.class_offsets is None else len(self.class_offsets) - 1
        return f"HyperedgesPlan(edges={len(self)}, classes={classes})"

    @property
    def num_classes(self) -> int | None:
        """The number of classes that the edges are grouped by, or None."""
        return None if self.class_offsets is None else len(self.class_offsets) - 1

    def grouped(self, labels: Array, num_classes: int) -> HyperedgesPlan:
        """Return the plan with the edges of each class together."""
        labels = require_labels(labels, num_classes, self)
        literals, offsets, positives, order, class_offsets = group_op(
            self.literals, self.offsets, self.positives, self.order, labels, num_classes
        )
        return HyperedgesPlan(
            literals,
            offsets,
            positives,
            order,
            class_offsets,
            self.num_variables,
            self.longest,
            self.all_positive,
        )

    def incidence(self, variables: int) -> tuple[Array, Array]:
        """Return, per variable, the edges that hold it: offsets [I + 1] and edges int32 [L]."""
        if self._incidence is not None and self._incidence[0] == variables:
            return self._incidence[1:]
        starts, members = incidence_op(self.literals, self.offsets, variables)
        if not arrays.is_compiling():
            self._incidence = (variables, starts, members)
        return starts, members


class Hyperedges:
    """Immutable hyperedges over variables 0 .. I - 1.

    Edge i is the set of variables ``indices[offsets[i]:offsets[i + 1]]``. With ``values``, each
    member is a literal: a variable and the value (0 or 1) it is asked to have; without, all values
    are 1. The order of the edges is the caller's and never changes, so weights and labels live in
    arrays of their own.

    Attributes:
        indices: int32 [L], ascending inside an edge.
        offsets: int64 [E + 1], from 0 to L.
        values: uint8 [L] or None.
        num_variables: 1 + the largest variable of any edge; 0 without literals.
    """

    __slots__ = ("_plan", "indices", "num_variables", "offsets", "values")

    indices: Array
    offsets: Array
    values: Array | None
    num_variables: int
    _plan: HyperedgesPlan | None

    def __init__(self, indices: Array, offsets: Array, values: Array | None = None) -> None:
        """Wrap and check arrays; all numpy, or all torch on one device.

        Raises:
            TypeError: A field is no array, has another dtype, or kinds are mixed.
            ValueError: Shapes or devices do not fit; offsets do not ascend from 0 to L; indices are
                negative, repeat, or do not ascend inside an edge; a value is neither 0 nor 1.
        """
        arrays.require_array("indices", indices)
        arrays.require_dtype("indices", indices, ["int32"])
        arrays.require_shape("indices", indices, "L", [None])
        arrays.require_array("offsets", offsets)
        arrays.require_alike("offsets", offsets, "indices", indices)
        arrays.require_dtype("offsets", offsets, ["int64"])
        arrays.require_shape("offsets", offsets, "E+1", [None])
        if values is not None:
            arrays.require_array("values", values)
            arrays.require_alike("values", values, "indices", indices)
            arrays.require_dtype("values", values, ["uint8"])
            arrays.require_shape("values", values, "L", [len(indices)])

        host = arrays.to_numpy(indices)
        host_offsets = arrays.to_numpy(offsets)
        host_values = None if values is None else arrays.to_numpy(values)
        _require_sorted(host, host_offsets)
        if host_values is not None and len(host_values) and host_values.max() > 1:
            raise ValueError(f"values: expected 0 or 1, got {host_values.max()}")

        for name, field in (
            ("indices", arrays.contiguous(indices)),
            ("offsets", arrays.contiguous(offsets)),
            ("values", None if values is None else arrays.contiguous(values)),
            ("num_variables", int(host.max()) + 1 if len(host) else 0),
            ("_plan", None),
        ):
            object.__setattr__(self, name, field)
        if not arrays.is_numpy(indices):
            self.unsorted_plan()  # now, as a compiled function could not keep it

    def unsorted_plan(self) -> HyperedgesPlan:
        """Return the kernel arrays with the edges in the caller's order; made once."""
        if self._plan is None:
            offsets = arrays.to_numpy(self.offsets)
            values = None if self.values is None else arrays.to_numpy(self.values)
            literals, positives = _partition(arrays.to_numpy(self.indices), offsets, values)
            sizes = np.diff(offsets)
            plan = HyperedgesPlan(
                arrays.like(self.indices, literals),
                self.offsets,
                arrays.like(self.indices, positives),
                arrays.like(self.indices, np.arange(len(sizes), dtype=np.int32)),
                None,
                self.num_variables,
                int(sizes.max()) if len(sizes) else 0,
                bool(positives.sum() == len(literals)),
            )
            object.__setattr__(self, "_plan", plan)
        assert self._plan is not None
        return self._plan

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"Hyperedges is immutable: cannot set {name}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"Hyperedges is immutable: cannot delete {name}")

    def __reduce__(self) -> tuple[Any, ...]:
        return Hyperedges, (self.indices, self.offsets, self.values)

    @classmethod
    def from_lists(
        cls, edges: Iterable[Iterable[int]], values: Iterable[Iterable[int]] | None = None
    ) -> Hyperedges:
        """Build from one list of variables per edge, in any order.

        Args:
            edges: The variables of each edge.
            values: The asked value of each of them, 0 or 1; None for all 1.

        Raises:
            ValueError: A variable repeats inside an edge or is negative; ``values`` has another
                shape than ``edges`` or holds something else than 0 and 1.

        >>> len(Hyperedges.from_lists([[2, 0], [1]]))
        2
        """
        lists = [[int(j) for j in edge] for edge in edges]
        asked = None if values is None else [[int(v) for v in edge] for edge in values]
        if asked is not None and [len(e) for e in asked] != [len(e) for e in lists]:
            raise ValueError("values: expected one value per variable of every edge of edges")
        if asked is not None and any(v not in (0, 1) for edge in asked for v in edge):
            wrong = next(v for edge in asked for v in edge if v not in (0, 1))
            raise ValueError(f"values: expected 0 or 1, got {wrong}")
        offsets = np.concatenate([[0], np.cumsum([len(edge) for edge in lists])]).astype(np.int64)
        flat = np.array([j for edge in lists for j in edge], dtype=np.int64)
        if len(flat) and not 0 <= flat.min() <= flat.max() < 2**31 - 1:
            wrong = flat.min() if flat.min() < 0 else flat.max()
            raise ValueError(f"edges: expected variables 0 .. 2**31 - 2, got {wrong}")
        edge_of = np.repeat(np.arange(len(lists)), np.diff(offsets))
        order = np.lexsort((flat, edge_of))
        bits = None
        if asked is not None:
            bits = np.array([v for edge in asked for v in edge], dtype=np.uint8)[order]
        return cls(flat[order].astype(np.int32), offsets, bits)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Hyperedges):
            return NotImplemented
        a, b = self.numpy(), other.numpy()
        a_values, b_values = (
            np.ones(len(e.indices)) if e.values is None else e.values for e in (a, b)
        )
        return (
            np.array_equal(a.offsets, b.offsets)
            and np.array_equal(a.indices, b.indices)
            and np.array_equal(a_values, b_values)
        )

    __hash__ = None  # type: ignore[assignment]  # immutable, but its arrays are not hashable

    def __repr__(self) -> str:
        kind = "numpy" if arrays.is_numpy(self.indices) else str(self.indices.device)
        valued = "" if self.values is None else ", valued"
        return f"Hyperedges(edges={len(self)}, literals={len(self.indices)}{valued}, {kind})"

    @property
    def sizes(self) -> Array:
        """int64 [E]: the order of every edge, that is its number of literals."""
        return self.offsets[1:] - self.offsets[:-1]

    def numpy(self) -> Hyperedges:
        """Return the same edges with numpy arrays; shares memory with CPU tensors."""
        if arrays.is_numpy(self.indices):
            return self
        values = None if self.values is None else arrays.to_numpy(self.values)
        return Hyperedges(arrays.to_numpy(self.indices), arrays.to_numpy(self.offsets), values)

    def to(self, device: Any) -> Hyperedges:
        """Return the same edges as torch tensors on ``device``."""
        import torch

        moved = [
            None if field is None else torch.as_tensor(field).to(device)
            for field in (self.indices, self.offsets, self.values)
        ]
        return Hyperedges(*moved)

    def append(self, other: Hyperedges) -> Hyperedges:
        """Return these edges followed by those of ``other``.

        Raises:
            TypeError: ``other`` is no Hyperedges, or of another kind.
            ValueError: It lies on another device.
        """
        if not isinstance(other, Hyperedges):
            raise TypeError(f"other: expected Hyperedges, got {type(other).__name__}")
        arrays.require_alike("other", other.indices, "these edges", self.indices)
        a, b = self.numpy(), other.numpy()
        values = None
        if a.values is not None or b.values is not None:
            values = np.concatenate(
                [
                    e.values if e.values is not None else np.ones(len(e.indices), np.uint8)
                    for e in (a, b)
                ]
            )
        return self._like(
            np.concatenate([a.indices, b.indices]),
            np.concatenate([a.offsets, a.offsets[-1] + b.offsets[1:]]),
            values,
        )

    def remove(self, keep: Array) -> tuple[Hyperedges, Array]:
        """Return the edges to keep, in their order, and their ids here.

        Args:
            keep: bool [E], True for the edges to keep.

        Returns:
            The edges, and int64 ids of the kept ones.

        Raises:
            TypeError: ``keep`` is no bool array or of another kind.
            ValueError: It is not [E] or lies on another device.
        """
        arrays.require_array("keep", keep)
        arrays.require_alike("keep", keep, "edges", self.indices)
        arrays.require_dtype("keep", keep, ["bool"])
        arrays.require_shape("keep", keep, "E", [len(self)])
        here = self.numpy()
        ids = np.flatnonzero(arrays.to_numpy(keep))
        indices, offsets = _take(here.indices, here.offsets, ids)
        values = None
        if here.values is not None:
            values, _ = _take(here.values, here.offsets, ids)
        return self._like(indices, offsets, values), arrays.like(self.indices, ids)

    def _like(
        self,
        indices: np.ndarray[Any, Any],
        offsets: np.ndarray[Any, Any],
        values: np.ndarray[Any, Any] | None,
    ) -> Hyperedges:
        moved = [
            None if field is None else arrays.like(self.indices, field)
            for field in (indices, offsets, values)
        ]
        return Hyperedges(*moved)

    def plan(
        self, *, labels: Array | None = None, num_classes: int | None = None
    ) -> HyperedgesPlan:
        """Return a copy in kernel order, for edges that are used more than once.

        Ops take a plan wherever they take edges. Sorting happens on the host.

        Args:
            labels: int32 [E], the class of each edge, if the plan is to serve `votes`.
            num_classes: C; defaults to 1 + the largest label.

        Raises:
            TypeError: ``labels`` has another dtype or kind.
            ValueError: ``labels`` is not [E] or holds a value outside 0 .. C - 1.
        """
        plan = self.unsorted_plan()
        literals, offsets, positives = (
            arrays.to_numpy(a) for a in (plan.literals, plan.offsets, plan.positives)
        )
        sizes = np.diff(offsets)
        # A heuristic key, so clipping to its fields only costs speed: shape, then first variables.
        key = np.minimum(sizes, 0xFFF) << 12 | np.minimum(positives, 0xFFF)
        for place in range(2):
            has = sizes > place
            variable = np.zeros(len(sizes), np.int64)
            variable[has] = np.minimum(literals[offsets[:-1][has] + place], 0x3FFFF)
            key = key << 18 | variable
        order = np.argsort(key, kind="stable")
        taken, taken_offsets = _take(literals, offsets, order)
        planned = HyperedgesPlan(
            arrays.like(self.indices, taken),
            arrays.like(self.indices, taken_offsets),
            arrays.like(self.indices, positives[order]),
            arrays.like(self.indices, order.astype(np.int32)),
            None,
            plan.num_variables,
            plan.longest,
            plan.all_positive,
        )
        if labels is None:
            return planned
        if num_classes is None:
            arrays.require_array("labels", labels)
            num_classes = int(labels.max()) + 1 if len(labels) else 1
        return planned.grouped(labels, num_classes)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write to an npz file; the file appears whole or not at all."""
        here = self.numpy()
        fields: dict[str, Any] = {
            "format_version": np.int64(FORMAT_VERSION),
            "indices": here.indices,
            "offsets": here.offsets,
        }
        if here.values is not None:
            fields["values"] = here.values
        with written_whole(Path(path)) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **fields)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Hyperedges:
        """Read what `save` wrote, as numpy arrays.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: The file is no hyperedges file, or of a newer format.
        """
        unreadable = f"{path}: expected a file that Hyperedges.save wrote"
        with open(path, "rb") as handle:
            try:
                file = np.load(handle, allow_pickle=False)
                version = int(file["format_version"])
                fields = {name: file[name] for name in file.files if name != "format_version"}
            except (ValueError, KeyError, EOFError, OSError, AttributeError, BadZipFile) as error:
                raise ValueError(f"{unreadable}: {error}") from error
        if version > FORMAT_VERSION:
            raise ValueError(
                f"{path}: expected format_version at most {FORMAT_VERSION}, got {version}"
            )
        try:
            return cls(**fields)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{unreadable}: {error}") from error


def _require_sorted(indices: np.ndarray[Any, Any], offsets: np.ndarray[Any, Any]) -> None:
    if len(offsets) == 0:
        raise ValueError("offsets: expected [E+1] with at least one entry, got [0]")
    if offsets[0] != 0 or offsets[-1] != len(indices):
        raise ValueError(
            f"offsets: expected to run from 0 to L = {len(indices)}, "
            f"got {offsets[0]} .. {offsets[-1]}"
        )
    steps = np.diff(offsets)
    if (steps < 0).any():
        edge = int(np.argmax(steps < 0))
        raise ValueError(
            f"offsets: expected ascending values, got {offsets[edge + 1]} after {offsets[edge]}"
        )
    if len(indices) == 0:
        return
    if indices.min() < 0:
        raise ValueError(f"indices: expected variables >= 0, got {indices.min()}")
    inside = np.ones(len(indices), bool)
    inside[offsets[:-1][steps > 0]] = False  # the first literal of an edge follows nothing
    wrong = inside[1:] & (np.diff(indices) <= 0)
    if wrong.any():
        at = int(np.argmax(wrong))
        edge = int(np.searchsorted(offsets, at, side="right")) - 1
        raise ValueError(
            "indices: expected strictly ascending variables inside an edge, got "
            f"{indices[at]}, {indices[at + 1]} in edge {edge}"
        )


def to_incidence(
    edges: Hyperedges,
    weights: Array,
    *,
    num_variables: int | None = None,
    sparse: bool = False,
) -> Any:
    """Return the incidence matrix A, |E| x (I + 1), of a weighted hypergraph.

    a_j0 = w_j and a_ji = 1 if variable x_i (i = 1 .. I) belongs to edge E_j, else 0; so variable 0
    of ``edges`` is column 1. A literal that asks for 0 is entered as -1.

    Args:
        edges: E hyperedges.
        weights: float or int [E].
        num_variables: I; defaults to ``edges.num_variables``.
        sparse: Return a ``scipy.sparse.csr_array`` (needs scipy) instead of a dense array.

    Returns:
        float64 [E, I + 1], numpy or scipy.sparse.

    Raises:
        ValueError: ``weights`` is not [E], or I is less than the edges need.

    Source: B.-T. Zhang, deep hypernetworks, equation of the incidence matrix.
    """
    arrays.require_array("weights", weights)
    arrays.require_shape("weights", weights, "E", [len(edges)])
    here = edges.numpy()
    variables = here.num_variables if num_variables is None else num_variables
    arrays.require_int("num_variables", variables, here.num_variables)
    rows = np.concatenate(
        [np.arange(len(here)), np.repeat(np.arange(len(here)), np.diff(here.offsets))]
    )
    columns = np.concatenate([np.zeros(len(here), np.int64), here.indices + np.int64(1)])
    signs = np.ones(len(here.indices)) if here.values is None else here.values * 2.0 - 1.0
    entries = np.concatenate([arrays.to_numpy(weights).astype(np.float64), signs])
    shape = (len(here), variables + 1)
    if sparse:
        from scipy.sparse import csr_array

        return csr_array((entries, (rows, columns)), shape=shape)
    matrix = np.zeros(shape)
    matrix[rows, columns] = entries
    return matrix


def from_incidence(matrix: Any) -> tuple[Hyperedges, np.ndarray[Any, Any]]:
    """Read hyperedges and weights from an incidence matrix; the inverse of `to_incidence`.

    Args:
        matrix: [E, I + 1], dense or scipy.sparse: weights in column 0, then 1 for a member, -1 for
            a literal that asks for 0, and 0.

    Returns:
        The edges, and float64 weights [E].

    Raises:
        ValueError: ``matrix`` has no column, or an entry other than -1, 0 and 1 after column 0.
    """
    if hasattr(matrix, "tocsr"):
        coo = matrix.tocoo()
        rows, columns, entries = coo.row.astype(np.int64), coo.col.astype(np.int64), coo.data
        shape = matrix.shape
    else:
        dense = np.asarray(matrix)
        if dense.ndim != 2:
            raise ValueError(f"matrix: expected [E, I + 1], got {list(dense.shape)}")
        rows, columns = np.nonzero(dense)
        entries, shape = dense[rows, columns], dense.shape
    if shape[1] < 1:
        raise ValueError(f"matrix: expected at least the column of weights, got {list(shape)}")
    weights = np.zeros(shape[0])
    is_weight = columns == 0
    weights[rows[is_weight]] = entries[is_weight]
    member = ~is_weight & (entries != 0)
    rows, columns, entries = rows[member], columns[member] - 1, entries[member]
    if not np.isin(entries, (-1, 1)).all():
        wrong = entries[~np.isin(entries, (-1, 1))][0]
        raise ValueError(f"matrix: expected -1, 0 or 1 after column 0, got {wrong}")
    order = np.lexsort((columns, rows))
    offsets = np.searchsorted(rows[order], np.arange(shape[0] + 1)).astype(np.int64)
    values = None if (entries > 0).all() else (entries[order] > 0).astype(np.uint8)
    return Hyperedges(columns[order].astype(np.int32), offsets, values), weights


def as_plan(edges: Any, variables: int) -> HyperedgesPlan:
    """The kernel arrays of ``edges``, which may be planned or not; checks the variables of x."""
    if not isinstance(edges, Hyperedges | HyperedgesPlan):
        raise TypeError(f"edges: expected Hyperedges or HyperedgesPlan, got {type(edges).__name__}")
    if edges.num_variables > variables:
        raise ValueError(
            f"edges: expected variables below I = {variables} (the columns of x), "
            f"got {edges.num_variables - 1}"
        )
    return edges if isinstance(edges, HyperedgesPlan) else edges.unsorted_plan()
