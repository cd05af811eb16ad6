"""Online error correction: the learning of a hypernet that votes.

For a batch of examples x of classes y, with votes s_c(x) = sum_i w_i phi_i(x) 1[y_i = c]:

1.  draw a rival class r ~ P(r | x) = softmax(s(x)); only examples with r != y are corrected;
2.  reweight:   g_i = #{matches with y = y_i} - #{matches with r = y_i},  w_i += step(g_i),
    w_i >= 0; on average this is the gradient of log P(y | x), that is <phi_i>_data - <phi_i>_model
    over the label;
3.  swap:   for examples that edge i nearly matches or nearly misses, every variable's score moves
    towards the value it has in examples with y = y_i and away from the one it has in those with
    r = y_i. The edge then takes its k best scores as literals.

Counts are whole numbers that float32 holds exactly, so results do not depend on threads.

Source of 1 and 2: B.-T. Zhang, hypernetworks (error correction of matching edges), here with a
drawn instead of the best wrong class. Step sizes: Adam (Kingma and Ba 2015). 3 is ours: a
straight-through gradient of the match in its literals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyad._bit_planes import BitPlanes
from polyad.models._hypernet_structure import Bits, Doubles, EdgeSet, Ints
from polyad.ops.hypernet import match, votes

MEAN_DECAY, SQUARE_DECAY, TINY = 0.9, 0.99, 1e-6
WINDOW = 0.15
"""An edge of order k learns its literals from examples within WINDOW * k mismatches of its
tolerance, on either side: elsewhere one literal more or less changes nothing."""


@dataclass(frozen=True)
class Correction:
    """Settings of one batch.

    Attributes:
        rate: Step size of weights and scores.
        noise: Chance that a bit of an example is flipped before it is looked at.
        swaps: Whether literals may change.
        varies: bool [I], variables that may become literals.
    """

    rate: float
    noise: float
    swaps: bool
    varies: NDArray[np.bool_]


def class_votes(x: Any, edge_set: EdgeSet) -> NDArray[np.float32]:
    """Return the votes [N, C] of ``x``, uint8 [N, I] or BitPlanes."""
    plan = edge_set.edges.plan(labels=edge_set.labels, num_classes=edge_set.classes)
    weights = edge_set.weights.astype(np.float32)
    return np.asarray(votes(x, plan, weights, tolerance=edge_set.tolerances))


def vote_scale(counts: NDArray[Any]) -> float:
    """Return the factor that makes the median lead of the best class over the next one 2.

    With it, votes read as logits say exp(2) : 1 for a typical example; learning starts there.
    """
    if counts.shape[1] < 2 or not len(counts):
        return 1.0
    best = np.sort(counts, axis=1)
    lead = best[:, -1] - best[:, -2]
    middle = float(np.median(lead)) or float(lead.mean())
    return 2.0 / middle if middle > 0 else 1.0


def correct(
    edge_set: EdgeSet, x: Bits, y: Ints, settings: Correction, rng: np.random.Generator
) -> int:
    """Learn from one batch, in place.

    Args:
        edge_set: What learns.
        x: uint8 [N, I].
        y: [N], class numbers.
        settings: See `Correction`.
        rng: Randomness.

    Returns:
        How many examples were corrected.
    """
    if settings.noise:
        x = x ^ (rng.random(x.shape, dtype=np.float32) < settings.noise)
    planes = BitPlanes.pack(x)
    scores = class_votes(planes, edge_set).astype(np.float64)
    rival = (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)
    corrected = np.nonzero(rival != y)[0]
    if not len(corrected):
        return 0
    gain = np.zeros(len(edge_set))
    moved: list[tuple[slice, NDArray[np.float32]]] = []
    bounds = edge_set.bounds()
    for label in range(edge_set.classes):
        own = slice(int(bounds[label]), int(bounds[label + 1]))
        rows = corrected[(y[corrected] == label) | (rival[corrected] == label)]
        if own.start == own.stop or not len(rows):
            continue
        sign = np.where(y[rows] == label, 1, -1).astype(np.float32)
        seen, part = BitPlanes.pack(x[rows]), edge_set.part(own.start, own.stop)
        allowed = edge_set.tolerances[own]
        hits = np.asarray(match(seen, part, tolerance=allowed))
        gain[own] = sign @ hits.astype(np.float32)
        if settings.swaps:
            near = _near(seen, part, allowed)
            moved.append((own, (near * sign[:, None]).T @ (2 * x[rows].astype(np.float32) - 1)))
    _reweight(edge_set, gain / len(x), settings.rate)
    if settings.swaps:
        _swap(edge_set, moved, len(x), settings)
    return len(corrected)


def _near(seen: BitPlanes, part: Any, allowed: NDArray[np.int32]) -> NDArray[np.float32]:
    """Which examples are within the window around the tolerance of which edges, as 0 and 1."""
    reach = np.maximum(1, np.floor(WINDOW * part.sizes + 0.5)).astype(np.int32)
    inner = allowed - reach - 1
    near = np.asarray(match(seen, part, tolerance=allowed + reach))
    far_inside = np.asarray(match(seen, part, tolerance=np.maximum(inner, 0)))
    return np.asarray(near & ~(far_inside & (inner >= 0)), np.float32)


def _reweight(edge_set: EdgeSet, gain: Doubles, rate: float) -> None:
    edge_set.age += 1
    edge_set.first += (1 - MEAN_DECAY) * (gain - edge_set.first)
    edge_set.second += (1 - SQUARE_DECAY) * (gain * gain - edge_set.second)
    mean = edge_set.first / (1 - MEAN_DECAY**edge_set.age)
    square = edge_set.second / (1 - SQUARE_DECAY**edge_set.age)
    step = rate * mean / (np.sqrt(square) + TINY)
    edge_set.weights = np.maximum(edge_set.weights + step, 0.0)


def _swap(
    edge_set: EdgeSet,
    moved: list[tuple[slice, NDArray[np.float32]]],
    samples: int,
    settings: Correction,
) -> None:
    scores = edge_set.scores
    assert scores is not None
    edge_set.spread *= SQUARE_DECAY
    for own, gradient in moved:
        gradient /= samples
        gradient[:, ~settings.varies] = 0
        edge_set.spread[own] += (1 - SQUARE_DECAY) * np.square(gradient).mean(
            axis=1, dtype=np.float64
        )
        square = edge_set.spread[own] / (1 - SQUARE_DECAY ** edge_set.age[own])
        step = settings.rate / (np.sqrt(square) + TINY)
        scores[own] += gradient * step[:, None].astype(np.float32)
        np.clip(scores[own], -1, 1, out=scores[own])
    edge_set.follow_scores()
