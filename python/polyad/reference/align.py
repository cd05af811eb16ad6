"""The ops of the family align in plain Python and numpy: their oracle, not their equal in speed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np

from polyad._sentences import Sentences

__all__ = ["best_path", "ngram_scores"]

Words: TypeAlias = Sequence[int] | np.ndarray[Any, Any]


def _counts(sentence: Iterable[int], order: int) -> Counter[tuple[int, ...]]:
    words = [int(word) for word in sentence]
    return Counter(tuple(words[i : i + order]) for i in range(len(words) - order + 1))


def pair_score(source: Words, target: Words, max_n: int) -> float:
    """Harmonic mean of BLEU(source -> target) and BLEU(target -> source), not smoothed.

    Logarithms are subtracted and added in this order, as Bleualign does: ties between scores are
    decided by their last bits.
    """
    clipped = [
        (_counts(source, order) & _counts(target, order)).total() for order in range(1, max_n + 1)
    ]
    if min(clipped) == 0:
        return 0.0

    def bleu(candidate: int, reference: int) -> float:
        mean = 0.0
        for k, count in enumerate(clipped):
            mean += math.log(count) - math.log(candidate - k)
        return math.exp(mean / max_n + min(0.0, 1 - reference / candidate))

    forward, backward = bleu(len(source), len(target)), bleu(len(target), len(source))
    if forward == 0.0:  # underflow: far too short beside the other
        return 0.0
    return 2 * forward * backward / (forward + backward)


def ngram_scores(
    sources: Sentences, targets: Sentences, *, max_n: int = 2, top_k: int = 3
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """All pairs, the best of each source kept; ties go to the lower target."""
    links: list[tuple[int, int]] = []
    scores: list[float] = []
    for i, source in enumerate(sources):
        row = [(pair_score(source, target, max_n), j) for j, target in enumerate(targets)]
        row = [item for item in row if item[0] > 0]
        row.sort(key=lambda item: -item[0])
        for score, j in row[:top_k]:
            links.append((i, j))
            scores.append(score)
    pairs = np.array(links, np.int32).reshape(-1, 2)
    return pairs[:, 0].copy(), pairs[:, 1].copy(), np.array(scores, np.float64)


def best_path(
    source: np.ndarray[Any, Any], target: np.ndarray[Any, Any], score: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """The chain of links, strictly ascending on both sides, whose scores add up to most."""
    order = np.lexsort((target, source))
    best: list[float] = []
    before: list[int] = []
    for at, link in enumerate(order):
        top, previous = 0.0, -1
        for earlier in range(at):
            other = order[earlier]
            ascends = source[other] < source[link] and target[other] < target[link]
            if ascends and best[earlier] > top:
                top, previous = best[earlier], earlier
        best.append(top + float(score[link]))
        before.append(previous)
    at = int(np.argmax(best)) if best else -1
    chain = []
    while at >= 0:
        chain.append(order[at])
        at = before[at]
    return np.array(chain[::-1], np.int64)
