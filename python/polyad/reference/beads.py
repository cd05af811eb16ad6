"""The path of beads of `polyad.ops.align.best_beads` in plain Python and numpy: whole tables."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from polyad._sentences import Sentences

Array = np.ndarray[Any, Any]
Table = dict[tuple[int, int], dict[tuple[int, int], Array]]

_RARE = 64  # pairs of sentences that share a feature of anchors, at most
_KEPT = 3
_REACH = 50
_LEAST = 0.3
_TRIED = 8


def counted(texts: Sequence[Sentences], words: Sequence[str], by: str) -> list[list[Counter[Any]]]:
    """The n-grams of each sentence of each text, by what they are."""
    out = []
    for text in texts:
        sentences = []
        for sentence in text:
            if by == "words":
                numbers = [int(number) for number in sentence]
                count: Counter[Any] = Counter((number,) for number in numbers)
                count.update(itertools.pairwise(numbers))
            else:
                count = Counter()
                for number in sentence:
                    word = [None, *words[number], None]
                    count.update(
                        tuple(word[at : at + order])
                        for order in (3, 4, 5)
                        for at in range(len(word) - order + 1)
                    )
            sentences.append(count)
        out.append(sentences)
    return out


def dense(rows: Any) -> Array:
    """SparseRows as float64 [N, width]."""
    out = np.zeros((len(rows), rows.width))
    for i in range(len(rows)):
        at = slice(rows.offsets[i], rows.offsets[i + 1])
        out[i, rows.features[at]] = rows.values[at]
    return out


def types(max_sentences: int) -> list[tuple[int, int]]:
    """(a, b) of the types of beads."""
    sizes = range(1, max_sentences)
    return [(1, 0), (0, 1)] + [(a, b) for a in sizes for b in sizes if a + b <= max_sentences]


class Model:
    """Everything that the features of beads are made of."""

    def __init__(self, source: Any, target: Any, views: Sequence[Any], groups: int) -> None:
        self.n, self.m = len(source.lengths), len(target.lengths)
        self.marks = [source.marks, target.marks]
        totals = [source.lengths.sum(), target.lengths.sum()]
        ratio = totals[1] / totals[0] if min(totals) > 0 else 1.0
        self.lengths = [source.lengths * ratio, target.lengths]
        self.groups: list[list[tuple[Array, Array, float]]] = [[] for _ in range(groups)]
        weighted = []
        for view in views:
            sides = [dense(view.source), dense(view.target)]
            seen = np.concatenate(sides) > 0
            with np.errstate(divide="ignore"):
                logs = np.log((self.n + self.m + 1) / seen.sum(axis=0))
            # what occurs in no sentence has no weight
            weights = np.sqrt(np.where(np.isinf(logs), 0, logs)).astype(np.float32)
            weighted.append([side * weights for side in sides])
        anchors = self._anchors(weighted)
        for view, (x, y) in zip(views, weighted, strict=True):
            cosines = [c for c in (_cosine(x[i], y[j]) for i, j in anchors) if c > 0]
            scale = sorted(cosines)[len(cosines) // 2] if cosines else 1.0
            self.groups[view.group].append((x, y, scale))

    def _anchors(self, weighted: Sequence[Sequence[Array]]) -> list[tuple[int, int]]:
        from polyad.reference.align import best_path

        total = np.zeros((self.n, self.m))
        for x, y in weighted:
            rare = (x > 0).sum(axis=0) * (y > 0).sum(axis=0) <= _RARE
            norms = np.outer(np.linalg.norm(x, axis=1), np.linalg.norm(y, axis=1))
            shared = x[:, rare] @ y[:, rare].T
            total += np.divide(shared, norms, out=np.zeros_like(shared), where=shared > 0)
        links = []
        for i in range(self.n):
            best = sorted((j for j in range(self.m) if total[i, j] > 0), key=lambda j: -total[i, j])
            links += [(i, j, place == 0) for place, j in enumerate(best[:_KEPT])]
        if not links:
            return []
        source, target, first = (np.array(part) for part in zip(*links, strict=True))
        score = total[source, target]
        path = best_path(source, target, score)
        least = 0.5 * sorted(score[path])[len(path) // 2]
        kept: dict[int, float] = {}
        for j, value in zip(target, score, strict=True):
            kept[j] = max(kept.get(j, 0.0), value)
        return [
            (int(source[k]), int(target[k]))
            for k in path
            if first[k] and score[k] >= least and score[k] == kept[target[k]]
        ]

    def similarity(self, group: int, i: int, k: int, j: int, l: int) -> float:  # noqa: E741
        """S of source sentences i .. k - 1 and target sentences j .. l - 1."""
        views = self.groups[group]
        return sum(
            _cosine(x[i:k].sum(axis=0), y[j:l].sum(axis=0)) / scale for x, y, scale in views
        ) / len(views)

    def features(self, i: int, k: int, j: int, l: int) -> Array:  # noqa: E741
        """The features of the bead i .. k - 1 : j .. l - 1."""
        f = np.zeros(19 + 2 * len(self.groups))
        a, b = k - i, l - j
        s, t = self.lengths[0][i:k].sum(), self.lengths[1][j:l].sum()
        if a == 0 or b == 0:
            f[7:9] = 1, math.log(s + t + 10) - 4.5
            return f
        shapes = {(1, 1): 0, (1, 2): 1, (2, 2): 2, (1, 3): 3, (2, 3): 4, (1, 4): 5}
        f[shapes.get((min(a, b), max(a, b)), 6)] = 1
        r = math.log((s + 8) / (t + 8))
        apart = abs(s - t) / math.sqrt(s + t + 1)
        f[9:13] = abs(r), min(r * r, 4), apart, min(apart**2, 60) / 10
        ends = self.marks[0][k - 1] & 7, self.marks[1][l - 1] & 7
        begins = self.marks[0][i] >> 3, self.marks[1][j] >> 3
        f[13:16] = ends[0] == ends[1], begins[0] == begins[1], int(begins[0]) + int(begins[1])
        here = self.similarity(0, i, k, j, l)
        drops = []
        if a > 1:
            ways = self.similarity(0, i + 1, k, j, l), self.similarity(0, i, k - 1, j, l)
            drops.append(here - max(ways))
        if b > 1:
            ways = self.similarity(0, i, k, j + 1, l), self.similarity(0, i, k, j, l - 1)
            drops.append(here - max(ways))
        more = [
            self.similarity(0, *span) - here
            for span in ((i - 1, k, j, l), (i, k + 1, j, l), (i, k, j - 1, l), (i, k, j, l + 1))
            if span[0] >= 0 and span[1] <= self.n and span[2] >= 0 and span[3] <= self.m
        ]
        f[16] = min(drops, default=0)
        f[17:19] = sum(max(x, 0.0) for x in more), sum(min(x, 0.0) for x in more)
        for group in range(len(self.groups)):
            value = self.similarity(group, i, k, j, l)
            f[19 + 2 * group : 21 + 2 * group] = value, value * ((a + b) / 2 - 1)
        return f

    def table(self, max_sentences: int) -> Table:
        """The features of all beads by (i, j) of their ends and (a, b)."""
        return {
            (i, j): {
                (a, b): self.features(i - a, i, j - b, j)
                for a, b in types(max_sentences)
                if a <= i and b <= j
            }
            for i in range(self.n + 1)
            for j in range(self.m + 1)
        }


def probabilities(
    scores: dict[tuple[int, int], dict[tuple[int, int], float]], n: int, m: int
) -> tuple[dict[tuple[int, int], dict[tuple[int, int], float]], float]:
    """The probability of every bead and the logarithm of the sum over all paths."""
    forward = {(0, 0): 0.0}
    for i in range(n + 1):
        for j in range(m + 1):
            terms = [
                forward[i - a, j - b] + score for (a, b), score in scores.get((i, j), {}).items()
            ]
            if terms:
                forward[i, j] = float(np.logaddexp.reduce(terms))
    share = dict.fromkeys(forward, 0.0)
    share[n, m] = 1.0
    out: dict[tuple[int, int], dict[tuple[int, int], float]] = {}
    for i, j in reversed(list(scores)):
        out[i, j] = {}
        for (a, b), score in scores[i, j].items():
            p = share[i, j] * math.exp(forward[i - a, j - b] + score - forward[i, j])
            out[i, j][a, b] = p
            share[i - a, j - b] += p
    return out, forward[n, m]


def decoded(
    p: dict[tuple[int, int], dict[tuple[int, int], float]], n: int, m: int, threshold: float
) -> list[tuple[tuple[int, int, int, int], float]]:
    """The path with the largest sum of p - threshold."""
    best, move = {(0, 0): 0.0}, {}
    for i, j in sorted(p):
        for (a, b), value in p[i, j].items():
            total = best[i - a, j - b] + (value - threshold if a and b else 0.0)
            if total > best.get((i, j), -math.inf):
                best[i, j], move[i, j] = total, (a, b)
    beads = []
    i, j = n, m
    while i or j:
        a, b = move[i, j]
        if a and b:
            beads.append(((i - a, i, j - b, j), p[i, j][a, b]))
        i, j = i - a, j - b
    return beads[::-1]


def moved(
    model: Model,
    weights: Array,
    beads: list[tuple[tuple[int, int, int, int], float]],
    max_sentences: int,
    cost: float,
) -> list[tuple[tuple[int, int, int, int], float]]:
    """The beads, and those of sentences left over that stand elsewhere."""
    free = [set(range(model.n)), set(range(model.m))]
    for i, k, j, l in (span for span, _ in beads):  # noqa: E741
        free[0] -= set(range(i, k))
        free[1] -= set(range(j, l))

    def place(sentence: int) -> int:
        return next((s[3] for s, _ in reversed(beads) if s[1] <= sentence), 0)

    gains = {}
    for x in sorted(free[0]):
        near = range(max(0, place(x) - _REACH), min(model.m, place(x) + _REACH))
        like = {y: model.similarity(0, x, x + 1, y, y + 1) for y in near if y in free[1]}
        tried = sorted((y for y in like if like[y] >= _LEAST), key=lambda y: (-like[y], y))
        for y in sorted(tried[:_TRIED]):
            for a, b in types(max_sentences)[2:]:
                for i, j in itertools.product(range(x - a + 1, x + 1), range(y - b + 1, y + 1)):
                    sides = set(range(i, i + a)), set(range(j, j + b))
                    if not (sides[0] <= free[0] and sides[1] <= free[1]):
                        continue
                    gain = float(weights @ model.features(i, i + a, j, j + b)) - cost
                    nulls = [model.features(k, k + 1, j, j) for k in sides[0]]
                    nulls += [model.features(i, i, k, k + 1) for k in sides[1]]
                    gain -= float(sum(nulls) @ weights)
                    if gain > 0:
                        gains[i, i + a, j, j + b] = gain
    for span, gain in sorted(gains.items(), key=lambda item: -item[1]):
        sides = set(range(*span[:2])), set(range(*span[2:]))
        if sides[0] <= free[0] and sides[1] <= free[1]:
            free[0] -= sides[0]
            free[1] -= sides[1]
            beads = [*beads, (span, 1 / (1 + math.exp(-gain)))]
    return sorted(beads)


def _cosine(x: Array, y: Array) -> float:
    norm = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(x @ y) / norm if norm > 0 else 0.0
