"""The ops of the family align in plain Python and numpy: their oracle, not their equal in speed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from polyad._sentences import Sentences
from polyad.reference import beads, bleualign
from polyad.reference.align_ableu import (
    ableu,
    ableu_pairs,
    corpus_ableu,
    soft_scores,
    word_similarity,
)
from polyad.reference.align_bleu import Words, corpus_bleu, sentence_bleu
from polyad.reference.align_gale_church import gale_church

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
