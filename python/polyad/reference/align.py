"""The ops of the family align in plain Python and numpy: their oracle, not their equal in speed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np

from polyad._sentences import Sentences
from polyad.reference import beads, bleualign

__all__ = [
    "ableu",
    "ableu_pairs",
    "bead_features",
    "bead_probabilities",
    "best_beads",
    "best_path",
    "corpus_ableu",
    "corpus_bleu",
    "gale_church",
    "ngram_scores",
    "sentence_bleu",
    "sentence_vectors",
    "soft_scores",
    "word_similarity",
]

Words: TypeAlias = Sequence[int] | np.ndarray[Any, Any]


def _counts(sentence: Iterable[int], order: int) -> Counter[tuple[int, ...]]:
    words = [int(word) for word in sentence]
    return Counter(tuple(words[i : i + order]) for i in range(len(words) - order + 1))


def pair_score(source: Words, target: Words, max_n: int) -> float:
    """Harmonic mean of BLEU(source -> target) and BLEU(target -> source), not smoothed."""
    score = ngram_scores([source], [target], max_n=max_n)[2]
    return float(score[0]) if len(score) else 0.0


def ngram_scores(
    sources: Sequence[Words], targets: Sequence[Words], *, max_n: int = 2, top_k: int = 3
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """All pairs, the best of each source kept; ties go to the lower target."""
    words = [[[str(word) for word in text] for text in side] for side in (sources, targets)]
    ranked = bleualign.candidates(*words, max_n=max_n, top_k=top_k)
    links = [(i, found.reference) for i, row in enumerate(ranked) for found in row]
    pairs = np.array(links, np.int32).reshape(-1, 2)
    scores = np.array([found.score for row in ranked for found in row], np.float64)
    return pairs[:, 0].copy(), pairs[:, 1].copy(), scores


def best_path(
    source: np.ndarray[Any, Any], target: np.ndarray[Any, Any], score: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """The chain of links with the highest sum, by a table of all sources and targets that occur.

    Of links between the same two sentences the best one counts, of equal ones the first.
    """
    rows, columns = np.unique(source), np.unique(target)
    links: dict[tuple[int, int], int] = {}
    for link, pair in enumerate(zip(source.tolist(), target.tolist(), strict=True)):
        if pair not in links or score[link] > score[links[pair]]:
            links[pair] = link
    ranked = [
        [
            bleualign.Candidate(float(score[links[i, j]]), column, ())
            for column, j in enumerate(columns.tolist())
            if (i, j) in links
        ]
        for i in rows.tolist()
    ]
    chain = bleualign.anchors(ranked, len(columns))
    return np.array([links[int(rows[i]), int(columns[j])] for i, j in chain], np.int64)


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


def word_similarity(
    source_vectors: np.ndarray[Any, Any],
    target_vectors: np.ndarray[Any, Any] | None = None,
    *,
    top_k: int = 8,
    threshold: float = 0.35,
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
            for value, j in best[:top_k]:
                if -value >= threshold and value != 0:
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
    own = _counts(candidate, order)
    other: dict[tuple[int, ...], int] = {}
    for reference in references:
        for gram, count in _counts(reference, order).items():
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


def _closest(length: int, references: Sequence[Words]) -> int:
    return min((abs(len(r) - length), len(r)) for r in references)[1]


def _counts_of_bleu(
    candidate: Words, references: Sequence[Words], max_n: int
) -> tuple[list[int], list[int], int, int]:
    """Matches and n-grams of every order, words of the candidate and of the closest reference."""
    matches = []
    for order in range(1, max_n + 1):
        most: Counter[tuple[int, ...]] = Counter()
        for reference in references:
            most |= _counts(reference, order)
        matches.append((_counts(candidate, order) & most).total())
    totals = [max(len(candidate) - order, 0) for order in range(max_n)]
    return matches, totals, len(candidate), _closest(len(candidate), references)


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
        return _bleu(matches, first, len(candidate), _closest(len(candidate), against))

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
    reference = sum(_closest(len(candidate), against) for candidate, against in pairs)
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


def sentence_vectors(
    texts: Sequence[Sentences], words: Sequence[str], *, by: str
) -> list[list[Counter[Any]]]:
    """Counts of the n-grams of every sentence, under the n-grams themselves."""
    return beads.counted(texts, words, by)


def bead_features(
    source: Any, target: Any, views: Sequence[Any], *, groups: int, max_sentences: int = 6
) -> beads.Table:
    """Features of all beads, without a band, by (i, j) of their ends and their type (a, b)."""
    return beads.Model(source, target, views, groups).table(max_sentences)


def bead_probabilities(
    scores: dict[tuple[int, int], dict[tuple[int, int], float]], n: int, m: int
) -> tuple[dict[tuple[int, int], dict[tuple[int, int], float]], float]:
    """Probabilities of all beads by (i, j) and (a, b), and the logarithm of the sum over paths."""
    return beads.probabilities(scores, n, m)


def best_beads(
    source: Any,
    target: Any,
    views: Sequence[Any],
    weights: np.ndarray[Any, Any],
    *,
    max_sentences: int = 6,
    threshold: float = 0.2,
    moved_cost: float | None = None,
) -> list[tuple[tuple[int, int, int, int], float]]:
    """Spans and probabilities of the beads, without a band."""
    model = beads.Model(source, target, views, (len(weights) - 19) // 2)
    if not model.n or not model.m:
        return []
    scores = {
        cell: {kind: float(weights @ f) for kind, f in row.items()}
        for cell, row in model.table(max_sentences).items()
    }
    p, _ = beads.probabilities(scores, model.n, model.m)
    found = beads.decoded(p, model.n, model.m, threshold)
    if moved_cost is not None:
        found = beads.moved(model, weights, found, max_sentences, moved_cost)
    return found
