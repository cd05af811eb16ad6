"""The edge set of a hypernet: drawing, adding and removing edges, and the orders that survive.

Parts   an example x of class y, an order k, k variables with chance proportional to
        sqrt(p_j (1 - p_j)), and their values in x: the edge ((j, x_j) for those j; y).
Common  an example x of class y and OTHERS of the NEAR examples of its class that are closest to it:
        the edge of all variables on which they agree. Orders follow from the data.
Swap    every edge may keep a score u_ij per variable; its k largest |u_ij| are its literals, and
        the sign says which value each asks for. Learning moves scores, so single literals leave
        an edge and others enter (add and remove inside an edge).
Adapt   orders of new edges follow the weight that edges of each order have earned.

Source: B.-T. Zhang, hypernetworks (add, reweight, remove; orders found by what survives). Scores
per literal are ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyad._hyperedges import Hyperedges

DEFAULT_ORDERS = (12, 16, 24, 32, 48)
"""Orders that ``orders=None`` chooses from; those above a third of the variables that vary are
left out, for such an edge would describe nearly one whole example."""

NEAR, OTHERS = 10, 2
ROW_BLOCK, COMPANIONS = 1024, 4096
"""Neighbours are looked for among so many examples of a class."""

FIRM, LOOSE = 0.1, 0.02
"""Scores of a new edge: about FIRM at its own literals, within a few LOOSE elsewhere. Their
distance, in units of the learning rate, is how many consistent steps it takes to swap a literal."""

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]
Bits = NDArray[np.uint8]


@dataclass
class Variation:
    """How often each variable was 1, over all examples seen: where edges are worth drawing.

    Attributes:
        ones: [I] counts of ones.
        classes: [C] counts of examples.
    """

    ones: Doubles
    classes: Doubles

    @classmethod
    def none(cls, variables: int, classes: int) -> Variation:
        """Return the counts before the first example."""
        return cls(np.zeros(variables), np.zeros(classes))

    def see(self, x: Bits, y: Ints) -> None:
        """Count the examples ``x`` [N, I] of classes ``y`` [N]."""
        self.ones += x.sum(axis=0, dtype=np.float64)
        self.classes += np.bincount(y, minlength=len(self.classes))

    def chances(self) -> Doubles:
        """Return sqrt(p (1 - p)) of every variable, [I]; 0 for one that never changes."""
        share = self.ones / max(1.0, self.classes.sum())
        return np.asarray(np.sqrt(np.clip(share * (1 - share), 0, None)))


@dataclass
class EdgeSet:
    """Labelled, weighted edges in the order of their labels, and what learning knows of them.

    Attributes:
        edges: The hyperedges, over variables 0 .. I - 1.
        labels: int32 [E], ascending.
        tolerances: int32 [E].
        weights: float64 [E].
        variables: I.
        classes: C.
        scores: float32 [E, I] or None as long as no literal may change.
        first: float64 [E], running mean of the weights' gradient.
        second: float64 [E], running mean of its square.
        spread: float64 [E], running mean of the squared gradient of an edge's scores.
        age: int64 [E], learning steps that an edge has had.
        copies: int64 [E], how many drawn edges each one stands for.
        sources: int64 [E, 1 + OTHERS], the rows of the examples an edge was drawn from in the last
            `fit`, filled up with -1.
    """

    edges: Hyperedges
    labels: NDArray[np.int32]
    tolerances: NDArray[np.int32]
    weights: Doubles
    variables: int
    classes: int
    copies: Ints
    sources: Ints
    scores: Floats | None = None
    first: Doubles = field(default_factory=lambda: np.zeros(0))
    second: Doubles = field(default_factory=lambda: np.zeros(0))
    spread: Doubles = field(default_factory=lambda: np.zeros(0))
    age: Ints = field(default_factory=lambda: np.zeros(0, np.int64))

    PER_EDGE = (
        "labels", "tolerances", "weights", "copies", "sources", "first", "second", "spread", "age",
    )  # fmt: skip

    def __post_init__(self) -> None:
        for name in ("first", "second", "spread", "age"):
            if len(getattr(self, name)) != len(self.labels):
                dtype = np.int64 if name == "age" else np.float64
                setattr(self, name, np.zeros(len(self.labels), dtype))

    @classmethod
    def empty(cls, variables: int, classes: int) -> EdgeSet:
        """Return a set without edges."""
        return cls(
            Hyperedges(np.zeros(0, np.int32), np.zeros(1, np.int64), np.zeros(0, np.uint8)),
            np.zeros(0, np.int32),
            np.zeros(0, np.int32),
            np.zeros(0),
            variables,
            classes,
            np.zeros(0, np.int64),
            np.zeros((0, 1 + OTHERS), np.int64),
        )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def orders(self) -> Ints:
        """int64 [E]: the number of literals of every edge."""
        return np.asarray(np.diff(self.edges.offsets))

    def bounds(self) -> Ints:
        """Return int64 [C + 1]: the edges of class c are bounds[c] .. bounds[c + 1] - 1."""
        return np.searchsorted(self.labels, np.arange(self.classes + 1)).astype(np.int64)

    def part(self, begin: int, end: int) -> Hyperedges:
        """Return the edges begin .. end - 1."""
        offsets = self.edges.offsets[begin : end + 1]
        inside = slice(offsets[0], offsets[-1])
        assert self.edges.values is not None
        return Hyperedges(
            self.edges.indices[inside], offsets - offsets[0], self.edges.values[inside]
        )

    def take(self, ids: Ints) -> EdgeSet:
        """Return the edges with the given ids, which must keep labels ascending."""
        sizes = self.orders[ids]
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        source = np.repeat(self.edges.offsets[:-1][ids] - offsets[:-1], sizes)
        source = source + np.arange(offsets[-1])
        assert self.edges.values is not None
        taken = Hyperedges(self.edges.indices[source], offsets, self.edges.values[source])
        fields = {name: getattr(self, name)[ids] for name in self.PER_EDGE}
        scores = None if self.scores is None else self.scores[ids]
        return EdgeSet(
            taken, variables=self.variables, classes=self.classes, scores=scores, **fields
        )

    def merged(self, other: EdgeSet) -> EdgeSet:
        """Return the union in the order of labels: own edges before those of ``other``."""
        if not len(self):
            return other
        if not len(other):
            return self
        fields = {
            name: np.concatenate([getattr(self, name), getattr(other, name)])
            for name in self.PER_EDGE
        }
        scores = None
        if self.scores is not None and other.scores is not None:
            scores = np.concatenate([self.scores, other.scores])
        assert self.edges.values is not None
        assert other.edges.values is not None
        both = Hyperedges(
            np.concatenate([self.edges.indices, other.edges.indices]),
            np.concatenate([self.edges.offsets, self.edges.offsets[-1] + other.edges.offsets[1:]]),
            np.concatenate([self.edges.values, other.edges.values]),
        )
        union = EdgeSet(
            both, variables=self.variables, classes=self.classes, scores=scores, **fields
        )
        return union.take(np.argsort(union.labels, kind="stable"))

    def balanced_copies(self) -> Doubles:
        """Return the copies of every edge, scaled so that all classes have the same total."""
        totals = np.bincount(self.labels, weights=self.copies, minlength=self.classes)
        share = totals.sum() / max(1, np.count_nonzero(totals))
        return np.asarray(self.copies * (share / np.maximum(totals, 1))[self.labels])

    def open_scores(self, rng: np.random.Generator) -> None:
        """Give every edge scores that stand for its present literals, so that they may change."""
        if self.scores is not None:
            return
        scores = rng.standard_normal((len(self), self.variables), dtype=np.float32) * LOOSE
        assert self.edges.values is not None
        size = FIRM + LOOSE * rng.random(len(self.edges.indices), dtype=np.float32)
        rows = np.repeat(np.arange(len(self)), self.orders)
        scores[rows, self.edges.indices] = np.where(self.edges.values == 1, size, -size)
        self.scores = scores

    def follow_scores(self) -> None:
        """Make the literals of every edge those that its scores hold highest."""
        assert self.scores is not None
        if not len(self) or not self.variables:
            return
        orders = self.orders
        longest = int(orders.max())
        size = np.abs(self.scores)
        if longest < self.variables:
            best = np.argpartition(-size, longest - 1, axis=1)[:, :longest] if longest else None
        else:
            best = np.tile(np.arange(self.variables), (len(self), 1))
        if best is None:
            return
        if (orders != longest).any():
            place = np.argsort(-np.take_along_axis(size, best, axis=1), axis=1, kind="stable")
            best = np.take_along_axis(best, place, axis=1)
            best = np.where(np.arange(longest) < orders[:, None], best, self.variables)
        best.sort(axis=1)
        kept = best < self.variables
        sign = np.take_along_axis(self.scores, np.minimum(best, self.variables - 1), axis=1) > 0
        self.edges = Hyperedges(
            best[kept].astype(np.int32), self.edges.offsets, sign[kept].astype(np.uint8)
        )


def orders_for(orders: Any, varying: int) -> Ints:
    """Return the orders to draw from, given the parameter ``orders`` and how many variables vary.

    Args:
        orders: None (a default mixture), 'all' (whole examples), an int, or several ints.
        varying: Variables that are not constant.
    """
    if orders is None:
        usable = [k for k in DEFAULT_ORDERS if k <= varying // 3]
        return np.array(usable or [max(1, min(12, -(-varying // 2)))], np.int64)
    if isinstance(orders, str):
        return np.array([varying], np.int64)
    return np.minimum(np.atleast_1d(np.asarray(orders, np.int64)), max(varying, 0))


def tolerances_for(tolerance: Any, orders: Ints) -> NDArray[np.int32]:
    """Return how many literals may differ: the parameter ``tolerance``, a count or a share of k."""
    if isinstance(tolerance, float | np.floating):
        allowed = np.floor(orders * float(tolerance) + 0.5).astype(np.int64)
    else:
        allowed = np.full(len(orders), int(tolerance), np.int64)
    return np.asarray(np.minimum(allowed, np.maximum(orders - 1, 0)), np.int32)


def draw(
    x: Bits,
    y: Ints,
    anchors: Ints,
    orders: Ints,
    chances: Doubles,
    tolerance: Any,
    classes: int,
    rng: np.random.Generator,
    *,
    random_values: bool = False,
) -> EdgeSet:
    """Draw one edge from each of the examples ``anchors``.

    Args:
        x: uint8 [N, I].
        y: [N], class numbers.
        anchors: [E], rows of ``x``.
        orders: [E], the order of each edge; cut to the variables that have a chance.
        chances: [I], how likely each variable is taken.
        tolerance: See `tolerances_for`.
        classes: C.
        rng: Randomness.
        random_values: Ask for random values instead of those of the example.

    Returns:
        The edges, weight 1 each, identical ones merged and counted in ``copies``.
    """
    by_label = np.argsort(y[anchors], kind="stable")
    anchors, orders = anchors[by_label], orders[by_label]
    varying = np.nonzero(chances > 0)[0]
    orders = np.minimum(orders, len(varying))
    offsets = np.concatenate([[0], np.cumsum(orders)]).astype(np.int64)
    indices = np.empty(offsets[-1], np.int32)
    log_chances = np.log(chances[varying])
    block = max(1, 2**22 // max(1, len(varying)))
    for begin in range(0, len(anchors), block):
        k = orders[begin : begin + block]
        longest = int(k.max())
        if not longest:
            continue
        # the k largest of log p + Gumbel noise are k draws without replacement with chance p
        keys = rng.gumbel(size=(len(k), len(varying))) + log_chances
        if longest < len(varying):
            best = np.argpartition(-keys, longest - 1, axis=1)[:, :longest]
            place = np.argsort(-np.take_along_axis(keys, best, axis=1), axis=1)
            best = np.take_along_axis(best, place, axis=1)
        else:
            best = np.argsort(-keys, axis=1)
        best = np.where(np.arange(longest) < k[:, None], best, len(varying))
        best.sort(axis=1)
        indices[offsets[begin] : offsets[min(begin + block, len(anchors))]] = varying[
            best[best < len(varying)]
        ]
    if random_values:
        values = rng.integers(0, 2, len(indices)).astype(np.uint8)
    else:
        values = x[np.repeat(anchors, orders), indices]
    edge_set = EdgeSet(
        Hyperedges(indices, offsets, np.ascontiguousarray(values, np.uint8)),
        y[anchors].astype(np.int32),
        tolerances_for(tolerance, orders),
        np.ones(len(anchors)),
        x.shape[1],
        classes,
        np.ones(len(anchors), np.int64),
        sources_of(anchors),
    )
    return without_copies(edge_set)


def draw_common(
    x: Bits,
    y: Ints,
    anchors: Ints,
    varies: NDArray[np.bool_],
    tolerance: Any,
    classes: int,
    rng: np.random.Generator,
) -> EdgeSet:
    """Draw one edge from each of the examples ``anchors``: what it shares with others near it.

    Args:
        x: uint8 [N, I].
        y: [N], class numbers.
        anchors: [E], rows of ``x``.
        varies: bool [I], variables that may be literals.
        tolerance: See `tolerances_for`.
        classes: C.
        rng: Randomness.

    Returns:
        The edges, weight 1 each, identical ones merged and counted in ``copies``.
    """
    anchors = anchors[np.argsort(y[anchors], kind="stable")]
    members = np.tile(anchors[:, None], (1, 1 + OTHERS))
    for label in np.unique(y[anchors]):
        rows = np.nonzero(y == label)[0]
        pool = rng.permutation(rows)[:COMPANIONS]
        mine = np.nonzero(y[anchors] == label)[0]
        near = _nearest(x, np.unique(anchors[mine]), pool)
        if near.shape[1] >= OTHERS:
            of_anchor = near[np.searchsorted(np.unique(anchors[mine]), anchors[mine])]
            picked = np.argsort(rng.random(of_anchor.shape), axis=1)[:, :OTHERS]
            members[mine, 1:] = np.take_along_axis(of_anchor, picked, axis=1)
    shared = np.empty((len(anchors), x.shape[1]), bool)
    for begin in range(0, len(anchors), ROW_BLOCK):
        of_block = x[members[begin : begin + ROW_BLOCK]]
        shared[begin : begin + ROW_BLOCK] = varies & (of_block == of_block[:, :1]).all(axis=1)
    rows, indices = np.nonzero(shared)
    orders = shared.sum(axis=1)
    return without_copies(
        EdgeSet(
            Hyperedges(
                indices.astype(np.int32),
                np.concatenate([[0], np.cumsum(orders)]).astype(np.int64),
                x[anchors[rows], indices],
            ),
            y[anchors].astype(np.int32),
            tolerances_for(tolerance, orders),
            np.ones(len(anchors)),
            x.shape[1],
            classes,
            np.ones(len(anchors), np.int64),
            members.astype(np.int64),
        )
    )


def _nearest(x: Bits, rows: Ints, pool: Ints) -> Ints:
    """The NEAR examples of ``pool`` closest to each of ``rows``, itself left out; [rows, NEAR]."""
    count = min(NEAR, len(pool) - 1)
    near = np.empty((len(rows), max(count, 0)), np.int64)
    if count < 1:
        return near
    others = 2 * x[pool].astype(np.float32) - 1
    for begin in range(0, len(rows), ROW_BLOCK):
        mine = rows[begin : begin + ROW_BLOCK]
        likeness = (2 * x[mine].astype(np.float32) - 1) @ others.T
        likeness[mine[:, None] == pool] = -np.inf
        best = np.argpartition(-likeness, count - 1, axis=1)[:, :count]
        near[begin : begin + ROW_BLOCK] = pool[np.sort(best, axis=1)]
    return near


def sources_of(anchors: Ints) -> Ints:
    """Return the ``sources`` of edges that come from one example each, or from none (-1)."""
    rows = np.full((len(anchors), 1 + OTHERS), -1, np.int64)
    rows[:, 0] = anchors
    return rows


def without_copies(edge_set: EdgeSet) -> EdgeSet:
    """Keep the first of identical edges and add up their copies."""
    if not len(edge_set):
        return edge_set
    orders, longest = edge_set.orders, int(edge_set.orders.max())
    assert edge_set.edges.values is not None
    rows = np.repeat(np.arange(len(edge_set)), orders)
    place = np.arange(len(edge_set.edges.indices)) - np.repeat(edge_set.edges.offsets[:-1], orders)
    padded = np.full((len(edge_set), longest + 2), -1, np.int32)
    padded[:, 0], padded[:, 1] = edge_set.labels, edge_set.tolerances
    padded[rows, 2 + place] = 2 * edge_set.edges.indices + edge_set.edges.values
    keys = padded.view(np.dtype((np.void, padded.itemsize * padded.shape[1]))).ravel()
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    if len(first) == len(edge_set):
        return edge_set
    copies = np.bincount(group, weights=edge_set.copies).astype(np.int64)
    kept = np.argsort(first, kind="stable")
    merged = edge_set.take(first[kept])
    merged.copies = copies[kept]
    return merged


def order_shares(edge_set: EdgeSet, orders: Ints) -> Doubles:
    """Return how likely a new edge has each of ``orders``: by the weight such edges have earned.

    share(k) proportional to (mean weight of edges of order k) + a floor of a tenth of the overall
    mean, so that no order dies out for good.
    """
    earned = np.zeros(len(orders))
    for place, k in enumerate(orders):
        mine = edge_set.orders == k
        earned[place] = np.abs(edge_set.weights[mine]).mean() if mine.any() else 0.0
    floor = 0.1 * max(np.abs(edge_set.weights).mean() if len(edge_set) else 0.0, 1e-12)
    shares = earned + floor
    return np.asarray(shares / shares.sum())


def balanced_anchors(
    y: Ints, classes: int, count: int, per_example: int, rng: np.random.Generator
) -> Ints:
    """Choose the examples to draw edges from: as many for every class, as far as it reaches.

    Every class gets an equal share of ``count``, but never more than ``per_example`` edges for
    each of its examples; examples of a class take turns in random order.
    """
    seen = [np.nonzero(y == c)[0] for c in range(classes)]
    limits = np.array([len(rows) * per_example for rows in seen])
    shares = np.zeros(classes, np.int64)
    for _ in range(classes):  # what one class cannot use is shared out among the others
        open_ = np.nonzero(shares < limits)[0]
        left = count - int(shares.sum())
        if not left or not len(open_):
            break
        extra = np.full(len(open_), left // len(open_))
        extra[: left % len(open_)] += 1
        shares[open_] = np.minimum(limits[open_], shares[open_] + extra)
    picked = [
        np.resize(rng.permutation(rows), share)
        for rows, share in zip(seen, shares, strict=True)
        if share
    ]
    return np.concatenate(picked) if picked else np.zeros(0, np.int64)
