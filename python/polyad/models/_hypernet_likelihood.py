"""The hypernet as a probability model: P(x, y) proportional to exp(sum_i w_i phi_i(x) 1[y = y_i]).

phi_i(x) = 1 if x agrees with every literal of edge i. The label is one more variable: as C one-hot
columns behind the I variables of x it turns every labelled edge into a plain product, so that the
native energy model samples x given y, and softmax(s(x)) is P(y | x) exactly.

(1/N) d log P(D | w) / dw_i = <phi_i 1[y = y_i]>_data - <phi_i 1[y = y_i]>_model

is computed exactly by enumeration where there are few states, and by contrastive divergence (the
model's mean over states a few Gibbs sweeps away from the data) elsewhere.

Sources: Sejnowski 1986 (higher-order Boltzmann machine); Hinton 2002 (contrastive divergence); Neal
2001 (annealed importance sampling); B.-T. Zhang, hypernetworks.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyad._bit_planes import BitPlanes
from polyad._hyperedges import Hyperedges
from polyad.models._hypernet_structure import (
    Bits,
    Doubles,
    EdgeSet,
    Ints,
    sources_of,
)
from polyad.ops.hypernet import gibbs, match, match_counts, votes

EXACT_VARIABLES = 20
"""Z is summed over all states up to so many variables of x."""

EXACT_GRADIENT_VARIABLES = 12
"""The gradient is exact up to so many."""


def joint_edges(edge_set: EdgeSet) -> Hyperedges:
    """Return the edges over I + C variables: each with its label's column as one more literal."""
    offsets = edge_set.edges.offsets
    ends = offsets[1:]
    assert edge_set.edges.values is not None
    column = (edge_set.variables + edge_set.labels).astype(np.int32)
    return Hyperedges(
        np.insert(edge_set.edges.indices, ends, column),
        offsets + np.arange(len(offsets)),
        np.insert(edge_set.edges.values, ends, np.uint8(1)),
    )


def joint_states(x: Bits, y: Ints, classes: int) -> Bits:
    """Return [N, I + C]: ``x`` beside the one-hot ``y``."""
    return np.concatenate([x, np.eye(classes, dtype=np.uint8)[y]], axis=1)


def log_weights(x: Any, edge_set: EdgeSet) -> Doubles:
    """Return s [N, C], s_c(x) = -E(x, c) = sum of the weights of matching edges of class c."""
    plan = edge_set.edges.plan(labels=edge_set.labels, num_classes=edge_set.classes)
    return np.asarray(votes(x, plan, edge_set.weights))


def log_sum(a: Doubles, axis: int | None = None) -> Any:
    """Return log sum exp(a), safely."""
    top = a.max(axis=axis, keepdims=True)
    total = np.log(np.exp(a - top).sum(axis=axis, keepdims=True)) + top
    return total.item() if axis is None else total.squeeze(axis)


def all_states(variables: int) -> Bits:
    """Return every x in {0, 1}^I, [2^I, I]."""
    numbers = np.arange(2**variables, dtype=np.int64)[:, None]
    return ((numbers >> np.arange(variables)) & 1).astype(np.uint8)


def exact_log_partition(edge_set: EdgeSet) -> float:
    """Return log Z, summed over all 2^I x C states."""
    return float(log_sum(log_weights(all_states(edge_set.variables), edge_set)))


def exact_moments(edge_set: EdgeSet) -> Doubles:
    """Return <phi_i 1[y = y_i]> of the model, [E], by enumeration."""
    states = BitPlanes.pack(all_states(edge_set.variables))
    scores = log_weights(states, edge_set)
    chance = np.exp(scores - log_sum(scores))
    hits = np.asarray(match(states, edge_set.edges))
    return np.asarray((hits * chance[:, edge_set.labels]).sum(axis=0))


def data_moments(edge_set: EdgeSet, x: Bits, y: Ints) -> Doubles:
    """Return <phi_i 1[y = y_i]> of the data, [E]."""
    states = joint_states(x, y, edge_set.classes)
    counts = np.asarray(match_counts(states, joint_edges(edge_set)))
    return np.asarray(counts / max(1, len(x)))


def exact_gradient(edge_set: EdgeSet, x: Bits, y: Ints) -> Doubles:
    """Return (1/N) d log P(x, y) / dw, [E]: data minus model moments."""
    return data_moments(edge_set, x, y) - exact_moments(edge_set)


class Chains:
    """Gibbs chains over (x, y) of one edge set.

    A round draws y ~ P(y | x) and then sweeps through x given y.
    """

    def __init__(self, edge_set: EdgeSet, seed: int) -> None:
        self.edge_set = edge_set
        self._joint = joint_edges(edge_set).plan()
        self._votes = edge_set.edges.plan(labels=edge_set.labels, num_classes=edge_set.classes)
        self._rng = np.random.default_rng(seed)

    def labels(self, x: Bits, temperature: float = 1.0) -> Ints:
        """Draw y ~ P(y | x) at a temperature."""
        scores = np.asarray(votes(x, self._votes, self.edge_set.weights)) / temperature
        return np.asarray((scores + self._rng.gumbel(size=scores.shape)).argmax(axis=1))

    def run(
        self,
        x: Bits,
        rounds: int,
        *,
        y: Ints | None = None,
        observed: NDArray[np.bool_] | None = None,
        temperature: float = 1.0,
    ) -> tuple[Bits, Ints]:
        """Return x and y after some rounds.

        Args:
            x: uint8 [N, I], where the chains start.
            rounds: How many.
            y: [N], fixed labels; None: drawn in every round.
            observed: bool [N, I], True = fixed.
            temperature: T.
        """
        classes, variables = self.edge_set.classes, self.edge_set.variables
        clamp = np.ones((len(x), variables + classes), bool)
        clamp[:, :variables] = False if observed is None else observed
        label = y
        for _ in range(rounds):
            if y is None:
                label = self.labels(x, temperature)
            assert label is not None
            states = gibbs(
                joint_states(x, label, classes),
                self._joint,
                self.edge_set.weights,
                sweeps=1,
                clamp=clamp,
                temperature=temperature,
                seed=int(self._rng.integers(2**63)),
            )
            x = np.ascontiguousarray(np.asarray(states)[:, :variables])
        return x, self.labels(x, temperature) if y is None else y


def contrastive_gradient(
    edge_set: EdgeSet, x: Bits, y: Ints, sweeps: int, seed: int
) -> tuple[Doubles, Bits]:
    """Return the contrastive divergence estimate of the gradient [E], and the reconstructions."""
    x_hat, y_hat = Chains(edge_set, seed).run(x, sweeps)
    return data_moments(edge_set, x, y) - data_moments(edge_set, x_hat, y_hat), x_hat


def annealed_log_partition(edge_set: EdgeSet, chains: int, steps: int, seed: int) -> float:
    """Estimate log Z by annealed importance sampling from the uniform distribution.

    log Z = I log 2 + log C + log mean exp( sum_t (b_{t+1} - b_t) s(x_t, y_t) ), where (x_t, y_t) is
    a chain that follows exp(b s(x, y)) while b grows from 0 to 1.

    Args:
        edge_set: The model.
        chains: How many chains.
        steps: In how many steps b grows.
        seed: Randomness.
    """
    rng = np.random.default_rng(seed)
    walk = Chains(edge_set, int(rng.integers(2**63)))
    x = rng.integers(0, 2, (chains, edge_set.variables)).astype(np.uint8)
    y = rng.integers(0, edge_set.classes, chains)
    log_ratio, level = np.zeros(chains), np.linspace(0, 1, steps + 1)
    for now, after in pairwise(level):
        log_ratio += (after - now) * log_weights(x, edge_set)[np.arange(chains), y]
        x, y = walk.run(x, 1, temperature=1 / after)
    free = edge_set.variables * np.log(2) + np.log(edge_set.classes)
    return float(free + log_sum(log_ratio) - np.log(chains))


def base_edges(variables: int, classes: int, x: Bits, y: Ints) -> EdgeSet:
    """Return one empty edge per class and one edge per class and variable, at their best weights.

    Alone they are naive Bayes, fitted in closed form (counts smoothed by 1): all that edges of
    higher order have to learn is what it misses.
    """
    singles = [np.arange(variables)[:, None]] * classes
    sizes = np.tile(np.concatenate([[0], np.ones(variables, np.int64)]), classes)
    indices = np.concatenate([s.ravel() for s in singles]).astype(np.int32)
    labels = np.repeat(np.arange(classes, dtype=np.int32), 1 + variables)
    weights = np.empty((classes, 1 + variables))
    seen = np.bincount(y, minlength=classes)
    for c in range(classes):
        share = (x[y == c].sum(axis=0, dtype=np.float64) + 1) / (seen[c] + 2)
        weights[c, 1:] = np.log(share / (1 - share))
        weights[c, 0] = np.log((seen[c] + 1) / (len(y) + classes)) + np.log(1 - share).sum()
    count = len(labels)
    return EdgeSet(
        Hyperedges(
            indices,
            np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
            np.ones(len(indices), np.uint8),
        ),
        labels,
        np.zeros(count, np.int32),
        weights.ravel(),
        variables,
        classes,
        np.ones(count, np.int64),
        sources_of(np.full(count, -1)),
    )
