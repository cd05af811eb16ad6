"""ABLEU and what is made of it in plain Python, for `polyad.reference.align`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from polyad.reference.align_bleu import Words, closest, counts_of

__all__ = ["ableu", "ableu_pairs", "corpus_ableu", "soft_scores", "word_similarity"]


def word_similarity(
    source_vectors: np.ndarray[Any, Any],
    target_vectors: np.ndarray[Any, Any] | None = None,
    *,
    neighbours: int = 8,
    least_cosine: float = 0.35,
) -> np.ndarray[Any, Any]:
    """Cosines [V, T] of the pairs of which one is among the best of the other; others are 0."""
    same = target_vectors is None
    units = []
    for vectors in (source_vectors, source_vectors if target_vectors is None else target_vectors):
        rows = vectors.astype(np.float64)
        lengths = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
        units.append(rows / np.where(lengths > 0, lengths, 1))
    cosines = units[0] @ units[1].T
    kept = np.zeros_like(cosines)
    for table, out in ((cosines, kept), (cosines.T, kept.T)):
        for i, row in enumerate(table):
            best = sorted((-value, j) for j, value in enumerate(row) if not (same and i == j))
            for value, j in best[:neighbours]:
                if -value >= least_cosine and value != 0:
                    out[i, j] = min(-value, 1.0)
    return kept


def _similarity(table: np.ndarray[Any, Any] | None, a: int, b: int) -> float:
    if a == b:
        return 1.0
    if table is None or a >= table.shape[0] or b >= table.shape[1]:
        return 0.0
    return float(min(max(table[a, b], 0.0), 1.0))


def _soft_matches(
    candidate: Words,
    references: Sequence[Words],
    order: int,
    table: np.ndarray[Any, Any] | None,
    matching: str,
    weights: np.ndarray[Any, Any] | None = None,
) -> float:
    """The clipped count of BLEU, soft: every n-gram beside every other one."""
    own = counts_of(candidate, order)
    other: dict[tuple[int, ...], int] = {}
    for reference in references:
        for gram, count in counts_of(reference, order).items():
            other[gram] = max(other.get(gram, 0), count)

    def like(g: tuple[int, ...], h: tuple[int, ...]) -> float:
        product = 1.0
        for a, b in zip(g, h, strict=True):
            product *= _similarity(table, a, b)
        if order in (1, 2, 4):  # roots whose last bit is sure
            return [product, math.sqrt(product), 0.0, math.sqrt(math.sqrt(product))][order - 1]
        return float(product ** (1 / order))

    def weight(g: tuple[int, ...]) -> float:
        return 1.0 if weights is None else float(weights[g[0]])

    if matching == "source":
        return sum(
            weight(g) * max((like(g, h) * min(c, r) for h, r in other.items()), default=0.0)
            for g, c in own.items()
        )
    pairs = [
        (-like(g, h), g != h, i, j, g, h)
        for i, g in enumerate(own)
        for j, h in enumerate(other)
        if like(g, h) > 0
    ]
    total = 0.0
    for negative, _, _, _, g, h in sorted(pairs):
        taken = min(own[g], other[h])
        total += weight(g) * -negative * taken
        own[g] -= taken
        other[h] -= taken
    return total


def _bleu(matches: Sequence[float], first: int, candidate: int, reference: int) -> float:
    mean = 0.0
    for order, count in enumerate(matches, first):
        if count <= 0 or candidate < order:
            return 0.0
        mean += math.log(count) - math.log(candidate - order + 1)
    return math.exp(mean / len(matches) + min(0.0, 1 - reference / candidate))


def _harmonic(a: float, b: float) -> float:
    return 2 * a * b / (a + b) if a > 0 and b > 0 else 0.0


def ableu(
    candidates: Sequence[Words],
    references: Sequence[Sequence[Words]],
    similarity: np.ndarray[Any, Any] | None = None,
    *,
    matching: str = "source",
    max_n: int = 2,
    orders_last_only: bool = False,
    both_directions: bool = False,
) -> np.ndarray[Any, Any]:
    """ABLEU of every candidate against its references; similarity as a table [V, V]."""
    first = max_n if orders_last_only else 1

    def one(candidate: Words, against: Sequence[Words], table: Any) -> float:
        matches = [
            _soft_matches(candidate, against, order, table, matching)
            for order in range(first, max_n + 1)
        ]
        return _bleu(matches, first, len(candidate), closest(len(candidate), against))

    scores = []
    for candidate, against in zip(candidates, references, strict=True):
        score = one(candidate, against, similarity)
        if both_directions:
            back = None if similarity is None else similarity.T
            score = _harmonic(score, one(against[0], [candidate], back))
        scores.append(score)
    return np.array(scores, np.float64)


def ableu_pairs(
    sources: Sequence[Words],
    targets: Sequence[Words],
    source: Sequence[int],
    target: Sequence[int],
    similarity: np.ndarray[Any, Any] | None = None,
    *,
    both_directions: bool = True,
    **options: Any,
) -> np.ndarray[Any, Any]:
    """ABLEU of pairs out of two lists."""
    candidates, references = [sources[i] for i in source], [[targets[j]] for j in target]
    return ableu(candidates, references, similarity, both_directions=both_directions, **options)


def corpus_ableu(
    candidates: Sequence[Words],
    references: Sequence[Sequence[Words]],
    similarity: np.ndarray[Any, Any] | None = None,
    *,
    matching: str = "source",
    max_n: int = 2,
    orders_last_only: bool = False,
) -> float:
    """ABLEU of the sums of matches, n-grams and lengths."""
    logs = []
    for order in range(max_n if orders_last_only else 1, max_n + 1):
        matches = sum(
            _soft_matches(candidate, against, order, similarity, matching)
            for candidate, against in zip(candidates, references, strict=True)
        )
        if matches <= 0:
            return 0.0
        grams = sum(max(len(candidate) - order + 1, 0) for candidate in candidates)
        logs.append(math.log(matches / grams))
    length = sum(len(candidate) for candidate in candidates)
    pairs = zip(candidates, references, strict=True)
    reference = sum(closest(len(candidate), against) for candidate, against in pairs)
    return math.exp(sum(logs) / len(logs) + min(0.0, 1 - reference / length))


def soft_scores(
    sources: Sequence[Words],
    targets: Sequence[Words],
    similarity: np.ndarray[Any, Any] | None = None,
    *,
    max_n: int = 2,
    top_k: int = 3,
    matching: str = "source",
    weights: np.ndarray[Any, Any] | None = None,
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """All pairs, the best of each source kept; ties go to the lower target."""
    back = None if similarity is None else similarity.T

    def weighted(one: Words, other: Words, table: Any) -> float:
        assert weights is not None
        total = float(sum(weights[int(word)] for word in one))
        matches = _soft_matches(one, [other], 1, table, matching, weights)
        return matches / total if total > 0 else 0.0

    links: list[tuple[int, int]] = []
    scores: list[float] = []
    for i, source in enumerate(sources):
        row = []
        for j, target in enumerate(targets):
            if weights is None:
                options: Any = {"matching": matching, "max_n": max_n, "both_directions": True}
                score = float(ableu([source], [[target]], similarity, **options)[0])
            else:
                score = _harmonic(
                    weighted(source, target, similarity), weighted(target, source, back)
                )
            if score > 0:
                row.append((-score, j))
        for negative, j in sorted(row)[:top_k]:
            links.append((i, j))
            scores.append(-negative)
    pairs = np.array(links, np.int32).reshape(-1, 2)
    return pairs[:, 0].copy(), pairs[:, 1].copy(), np.array(scores, np.float64)
