"""Alignment by length in plain Python, for `polyad.reference.align`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["gale_church"]

_GALE_CHURCH = {
    (0, 1): 0.0099,
    (1, 0): 0.0099,
    (1, 1): 0.89,
    (1, 2): 0.089,
    (2, 1): 0.089,
    (2, 2): 0.011,
}


def _erfc_parts(distance: float) -> tuple[float, float]:
    """Return t and e of ``erfc(distance / sqrt(2)) = t exp(e)``, the fit of Numerical Recipes."""
    z = distance / math.sqrt(2.0)
    t = 1 / (1 + 0.5 * z)
    sum_ = 0.17087277
    for factor in (
        -0.82215223,
        1.48851587,
        -1.13520398,
        0.27886807,
        -0.18628806,
        0.09678418,
        0.37409196,
        1.00002368,
    ):
        sum_ = factor + t * sum_
    return t, ((-z * z) - 1.26551223) + t * sum_


def gale_church(
    source_lengths: Sequence[float],
    target_lengths: Sequence[float],
    *,
    log_space: bool = True,
    ratio: float = 1.0,
    variance: float = 6.8,
) -> np.ndarray[Any, Any]:
    """Beads by lengths alone, the whole table; the product form is Bleualign's (0-based there)."""
    lengths = [[ratio * float(x) for x in source_lengths], [float(x) for x in target_lengths]]
    n, m = len(lengths[0]), len(lengths[1])

    def gain(i: int, j: int, a: int, b: int) -> float:
        s, t = sum(lengths[0][i - a : i]), sum(lengths[1][j - b : j])
        mean, prior = (s + t) / 2, _GALE_CHURCH[a, b]
        if log_space:
            if mean == 0:
                return math.log(prior)
            factor, power = _erfc_parts(abs((t - s) / math.sqrt(mean * variance)))
            return math.log(prior) + (math.log(factor) + power)
        if mean == 0:
            return 0.0
        factor, power = _erfc_parts(abs((t - s) / math.sqrt(mean * variance)))
        return (2 * (1 - (1 - 0.5 * (factor * math.exp(power))))) * prior

    # (i, j): the best of the first i and the first j sentences
    table: dict[tuple[int, int], float] = {(0, 0): 0.0 if log_space else 1.0}
    if not log_space:
        table[0, 1] = table[1, 0] = 1.0
    moves: dict[tuple[int, int], tuple[int, int]] = {}
    first = 0 if log_space else 1
    for i in range(first, n + 1):
        for j in range(first, m + 1):
            if (i, j) == (0, 0):
                continue
            best, move = (-math.inf if log_space else 0.0), (1, 1)
            for a, b in _GALE_CHURCH:  # in ascending order: the last of equals wins
                before = table.get((i - a, j - b), -math.inf)
                if before == -math.inf or (not log_space and before <= 0):
                    continue
                step = gain(i, j, a, b)
                value = before + step if log_space else before * step
                if value >= best:
                    best, move = value, (a, b)
            table[i, j], moves[i, j] = best, move
    spans = []
    i, j = n, m
    while (i > 0 and j > 0) or (log_space and (i > 0 or j > 0)):
        a, b = moves[i, j]
        spans.append((i - a, i, j - b, j))
        i, j = i - a, j - b
    spans += [(i, i, k, k + 1) for k in reversed(range(j))]
    spans += [(k, k + 1, 0, 0) for k in reversed(range(i))]
    return np.array(spans[::-1], np.int32).reshape(-1, 4)
