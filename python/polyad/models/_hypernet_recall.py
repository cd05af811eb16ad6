"""Recall by voting: edges that fit what is observed say what the rest should be.

score_i = w_i exp(-beta m_i + gamma n_i)
p_j     = sum_{i: v_ij = 1} score_i / sum_{i: j in E_i} score_i

n_i is the number of literals of edge i that are observed, m_i of those that differ. beta and gamma
say how much a mismatch costs and how much an edge gains that was tested on more; they are
calibrated on examples with a random half hidden, leaving out the edges that were drawn from the
example itself.

Source: B.-T. Zhang, hypernetworks (associative recall from a cue); the graded score is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyad.models._hypernet_structure import Bits, Doubles, EdgeSet, Ints

EDGE_BLOCK, SAMPLE_BLOCK = 2048, 512
PRIOR_VOTE = 1e-3
"""Weight of the variable's own mean beside the votes of the edges, which sum to at most 1."""

COSTS = (0.1, 0.15, 0.2, 0.3, 0.45, 0.7, 1.0, 1.25, 1.5, 1.8, 2.2, 3.0, 4.0)
GAINS = (0.0, 0.15, 0.3, 0.6, 1.0)
CALIBRATION_PAIRS, CALIBRATION_VARIABLES = 2**22, 128
"""Examples x edges, and variables, that calibration looks at."""


def vote_shares(
    edge_set: EdgeSet,
    x: Bits,
    observed: NDArray[np.bool_],
    prior: Doubles,
    cost: float,
    gain: float,
    *,
    labels: Ints | None = None,
) -> NDArray[np.float32]:
    """Return the share of votes for value 1 of every variable.

    Args:
        edge_set: The edges; those with weight <= 0 are silent.
        x: uint8 [N, I]; looked at where ``observed``.
        observed: bool [N, I].
        prior: [I], the mean of each variable, which decides where nothing votes.
        cost: beta.
        gain: gamma.
        labels: [N] class numbers whose edges alone vote, or None.

    Returns:
        float32 [N, I].
    """
    shares = np.empty(x.shape, np.float32)
    for begin in range(0, len(x), SAMPLE_BLOCK):
        rows = slice(begin, begin + SAMPLE_BLOCK)
        shares[rows] = _shares(
            edge_set,
            x[rows],
            observed[rows],
            prior,
            cost,
            gain,
            None if labels is None else labels[rows],
        )
    return shares


def _shares(
    edge_set: EdgeSet,
    x: Bits,
    observed: NDArray[np.bool_],
    prior: Doubles,
    cost: float,
    gain: float,
    labels: Ints | None,
) -> NDArray[np.float32]:
    ones = (observed & (x == 1)).astype(np.float32)
    zeros = (observed & (x == 0)).astype(np.float32)
    for_one = np.zeros(x.shape, np.float32)
    votes = np.zeros(x.shape, np.float32)
    top = np.full((len(x), 1), -np.inf, np.float32)
    mass = np.zeros((len(x), 1), np.float32)
    for begin in range(0, len(edge_set), EDGE_BLOCK):
        end = min(begin + EDGE_BLOCK, len(edge_set))
        wants_one, wants_zero = _dense(edge_set, begin, end)
        differ = ones @ wants_zero.T + zeros @ wants_one.T
        tested = differ + ones @ wants_one.T + zeros @ wants_zero.T
        start = _log_weights(edge_set, begin, end, labels, None)
        log_score = start - np.float32(cost) * differ + np.float32(gain) * tested
        higher = np.maximum(top, log_score.max(axis=1, keepdims=True))
        higher = np.where(np.isfinite(higher), higher, np.float32(0))
        shrink = np.where(np.isfinite(top), np.exp(np.minimum(top - higher, 0)), np.float32(0))
        score = np.exp(log_score - higher)
        for_one = for_one * shrink + score @ wants_one
        votes = votes * shrink + score @ (wants_one + wants_zero)
        mass = mass * shrink + score.sum(axis=1, keepdims=True)
        top = higher
    weight = np.float32(PRIOR_VOTE) * np.maximum(mass, np.float32(1e-30))
    return np.asarray((for_one + weight * prior.astype(np.float32)) / (votes + weight))


def _dense(
    edge_set: EdgeSet, begin: int, end: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Edges begin .. end - 1 as two 0/1 matrices [edges, I]: literals that ask for 1 and for 0."""
    part = edge_set.part(begin, end)
    assert part.values is not None
    rows = np.repeat(np.arange(end - begin), part.sizes)
    wants = np.zeros((2, end - begin, edge_set.variables), np.float32)
    wants[part.values, rows, part.indices] = 1
    return wants[1], wants[0]


def calibrate(
    edge_set: EdgeSet,
    x: Bits,
    rng: np.random.Generator,
    sources: Ints | None,
) -> tuple[float, float] | None:
    """Choose (cost, gain) with which hidden halves of ``x`` are voted for best.

    Args:
        edge_set: The edges.
        x: uint8 [N, I], the examples to look at.
        rng: Randomness.
        sources: [N], the number by which edges name these examples as their source, or None.

    Returns:
        None if there is nothing to look at.
    """
    count = min(len(x), 256, max(8, CALIBRATION_PAIRS // max(1, len(edge_set))))
    if not len(edge_set) or not count or not x.shape[1]:
        return None
    rows = rng.permutation(len(x))[:count]
    few = max(16, min(CALIBRATION_VARIABLES, 2**24 // len(edge_set)))
    columns = rng.permutation(x.shape[1])[:few]
    x, observed = x[rows], rng.random((count, x.shape[1])) < 0.5
    cue = _Cue(edge_set, x, observed, None if sources is None else sources[rows], columns)
    hidden, target = ~observed[:, columns], x[:, columns]

    def errors(cost: float, gain: float) -> float:
        shares = cue.shares(cost, gain)[hidden]
        right = np.where(target[hidden] == 1, shares, 1 - shares)
        # counted errors are what matters; squared ones steady the choice
        return float((right < 0.5).mean() + np.square(1 - right).mean()) if len(right) else 0.0

    cost = COSTS[_lowest([errors(c, GAINS[0]) for c in COSTS])]
    if len(np.unique(edge_set.orders)) == 1 and 2 * int(edge_set.orders[0]) > x.shape[1]:
        return cost, GAINS[0]  # edges that are tested on about the same
    gain = GAINS[_lowest([errors(cost, g) for g in GAINS])]
    near = [c for c in COSTS if cost / 2 <= c <= 2 * cost]
    return near[_lowest([errors(c, gain) for c in near])], gain


def _lowest(losses: Sequence[float]) -> int:
    """Where ``losses`` are lowest, each averaged with its neighbours against noise."""
    padded = np.concatenate([losses[:1], losses, losses[-1:]])
    return int(np.argmin(padded[:-2] + 2 * padded[1:-1] + padded[2:]))


class _Cue:
    """Counts of one cue, kept, so that several grades can be tried on it."""

    def __init__(
        self,
        edge_set: EdgeSet,
        x: Bits,
        observed: NDArray[np.bool_],
        sources: Ints | None,
        columns: Ints,
    ) -> None:
        count = len(edge_set)
        self.differ = np.empty((len(x), count), np.float32)
        self.tested = np.empty((len(x), count), np.float32)
        self.wants_one = np.empty((count, len(columns)), np.float32)
        self.wants = np.empty((count, len(columns)), np.float32)
        ones = (observed & (x == 1)).astype(np.float32)
        zeros = (observed & (x == 0)).astype(np.float32)
        for begin in range(0, count, EDGE_BLOCK):
            own = slice(begin, min(begin + EDGE_BLOCK, count))
            wants_one, wants_zero = _dense(edge_set, own.start, own.stop)
            differ = ones @ wants_zero.T + zeros @ wants_one.T
            self.differ[:, own] = differ
            self.tested[:, own] = differ + ones @ wants_one.T + zeros @ wants_zero.T
            self.wants_one[own] = wants_one[:, columns]
            self.wants[own] = self.wants_one[own] + wants_zero[:, columns]
        self.start = _log_weights(edge_set, 0, count, None, sources)

    def shares(self, cost: float, gain: float) -> NDArray[np.float32]:
        """The share of votes for 1, 0.5 where nothing votes."""
        score = self.start - np.float32(cost) * self.differ + np.float32(gain) * self.tested
        top = score.max(axis=1, keepdims=True)
        score = np.exp(score - np.where(np.isfinite(top), top, np.float32(0)))
        weight = np.float32(PRIOR_VOTE) * np.maximum(score.sum(axis=1, keepdims=True), 1e-30)
        return np.asarray(
            (score @ self.wants_one + weight / 2) / (score @ self.wants + weight), np.float32
        )


def _log_weights(
    edge_set: EdgeSet, begin: int, end: int, labels: Ints | None, sources: Ints | None
) -> NDArray[np.float32]:
    """Log weights of edges begin .. end - 1, [N or 1, edges]; -inf where an edge must not vote."""
    with np.errstate(divide="ignore"):
        start = np.log(np.maximum(edge_set.weights[begin:end], 0)).astype(np.float32)[None, :]
    if labels is not None:
        start = np.where(edge_set.labels[begin:end] == labels[:, None], start, -np.inf)
    if sources is not None:
        own = (edge_set.sources[begin:end].T[:, None, :] == sources[:, None]).any(axis=0)
        start = np.where(own, -np.inf, start)
    return np.asarray(start, np.float32)


def fill_step_by_step(
    shares_of: Any,
    x: Bits,
    observed: NDArray[np.bool_],
    rounds: int,
    rng: np.random.Generator | None,
) -> Bits:
    """Set the most confident unknowns, then vote again with them observed, until all are set.

    Args:
        shares_of: Function of (x, observed) that returns the shares [N, I].
        x: uint8 [N, I].
        observed: bool [N, I].
        rounds: In how many rounds.
        rng: If given, values are drawn from the shares instead of taken by majority.

    Returns:
        uint8 [N, I].
    """
    x, observed = x.copy(), observed.copy()
    for left in range(rounds, 0, -1):
        shares = shares_of(x, observed)
        unknown = ~observed
        level = 0.5 if rng is None else rng.random(shares.shape, dtype=np.float32)
        chosen = (shares > level).astype(np.uint8)
        sureness = np.where(unknown, np.abs(shares - 0.5), -1.0)
        if rng is not None:
            sureness += 1e-3 * rng.random(shares.shape)
            sureness[~unknown] = -1.0
        count = -(-unknown.sum(axis=1) // left)
        rank = np.argsort(np.argsort(-sureness, axis=1, kind="stable"), axis=1, kind="stable")
        fill = unknown & (rank < count[:, None])
        x[fill] = chosen[fill]
        observed |= fill
    return x
