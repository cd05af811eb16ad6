"""BLEU of candidates and of corpora in plain Python, for `polyad.reference.align`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np

__all__ = ["Words", "closest", "corpus_bleu", "counts_of", "sentence_bleu"]

Words: TypeAlias = Sequence[int] | np.ndarray[Any, Any]


def counts_of(sentence: Iterable[int], order: int) -> Counter[tuple[int, ...]]:
    """How often each n-gram of an order occurs."""
    words = [int(word) for word in sentence]
    return Counter(tuple(words[i : i + order]) for i in range(len(words) - order + 1))


def closest(length: int, references: Sequence[Words]) -> int:
    """The length of the reference that the brevity penalty compares with."""
    return min((abs(len(r) - length), len(r)) for r in references)[1]


def _counts_of_bleu(
    candidate: Words, references: Sequence[Words], max_n: int
) -> tuple[list[int], list[int], int, int]:
    """Matches and n-grams of every order, words of the candidate and of the closest reference."""
    matches = []
    for order in range(1, max_n + 1):
        most: Counter[tuple[int, ...]] = Counter()
        for reference in references:
            most |= counts_of(reference, order)
        matches.append((counts_of(candidate, order) & most).total())
    totals = [max(len(candidate) - order, 0) for order in range(max_n)]
    return matches, totals, len(candidate), closest(len(candidate), references)


def _smoothed_bleu(
    counts: tuple[list[int], list[int], int, int],
    smoothing: str,
    value: float | None,
    effective_order: bool,
) -> float:
    matches, totals, length, reference = counts
    if not any(matches):
        return 0.0
    amount = {"none": 0.0, "floor": 0.1, "add-k": 1.0, "exp": 1.0}[smoothing]
    amount = amount if value is None else value
    precisions: list[float] = []
    for order, (match, total) in enumerate(zip(matches, totals, strict=True), 1):
        more = amount if smoothing == "add-k" and order > 1 else 0.0
        if total + more == 0:
            break
        if match + more == 0 and smoothing == "exp":
            amount /= 2
        missed = amount if match + more == 0 and smoothing in ("exp", "floor") else 0.0
        precisions.append((match + more + missed) / (total + more))
    orders = len(precisions) if effective_order else len(totals)
    if len(precisions) < orders or min(precisions) == 0:
        return 0.0
    mean = sum(math.log(precision) for precision in precisions) / orders
    return 100 * math.exp(mean + min(0.0, 1 - reference / length))


def sentence_bleu(
    candidates: Sequence[Words],
    references: Sequence[Sequence[Words]],
    *,
    max_n: int = 4,
    smoothing: str = "exp",
    smoothing_value: float | None = None,
    effective_order: bool = True,
) -> np.ndarray[Any, Any]:
    """BLEU of every candidate, in words."""
    return np.array(
        [
            _smoothed_bleu(
                _counts_of_bleu(candidate, against, max_n),
                smoothing,
                smoothing_value,
                effective_order,
            )
            for candidate, against in zip(candidates, references, strict=True)
        ],
        np.float64,
    )


def corpus_bleu(
    candidates: Sequence[Words],
    references: Sequence[Sequence[Words]],
    *,
    max_n: int = 4,
    smoothing: str = "exp",
    smoothing_value: float | None = None,
    effective_order: bool = False,
) -> float:
    """BLEU of all candidates together, in words: the score of their summed counts."""
    matches, totals, length, closest = [0] * max_n, [0] * max_n, 0, 0
    for candidate, against in zip(candidates, references, strict=True):
        more = _counts_of_bleu(candidate, against, max_n)
        matches = [a + b for a, b in zip(matches, more[0], strict=True)]
        totals = [a + b for a, b in zip(totals, more[1], strict=True)]
        length, closest = length + more[2], closest + more[3]
    return _smoothed_bleu(
        (matches, totals, length, closest), smoothing, smoothing_value, effective_order
    )
