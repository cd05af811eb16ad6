"""Scores of sentence pairs by the n-grams they share, and the best chain through such links."""

from __future__ import annotations

from typing import Any

import numpy as np

from polyad import _arrays as arrays
from polyad import _backend
from polyad._sentences import Vocabulary, as_sentences, require_one_numbering

MAX_ORDER: int = _backend.cpu.ALIGN_MAX_ORDER


def ngram_scores(
    sources: Any, targets: Any, *, max_n: int = 2, top_k: int = 3
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Find the targets that every source shares most n-grams with.

        a = 1/N sum_k (log c_k - log(L_h - k + 1)) + min(0, 1 - L_r / L_h)
        b = 1/N sum_k (log c_k - log(L_r - k + 1)) + min(0, 1 - L_h / L_r)
        score = 2 e^a e^b / (e^a + e^b)

    for a source h and a target r of L_h and L_r words, with c_k = sum_g min(count of g in h, count
    of g in r) over the n-grams g of order k = 1 .. N = ``max_n``: the harmonic mean of both BLEU
    scores, not smoothed. Pairs without a common n-gram of order N have no score. Of targets with
    equal sets of n-grams (orders 1 .. N, repetition aside) all have the score of the first, as in
    Bleualign (Sennrich & Volk, MT-based sentence alignment for OCR-generated parallel texts, 2010).

    All pairs are looked at through an inverted index of the n-grams of order N; what cannot be
    among the best is not scored. Memory grows with the number of words.

    Args:
        sources: `polyad.Sentences`, or a list of sentences, each a str (words between white space)
            or a list of words. `Sentences` of both sides number the same vocabulary.
        targets: Likewise.
        max_n: N, 1 to 10.
        top_k: How many targets are kept of every source.

    Returns:
        Links: source int32 [links], target int32 [links], score float64 [links], ordered by source,
        then by decreasing score, then by target.

    Raises:
        TypeError: A wrong kind of an argument; `Sentences` on one side alone.
        ValueError: ``max_n`` or ``top_k`` out of range.

    >>> ngram_scores(["the old house", "a dog"], ["a cat", "an old house", "a dog"])
    (array([0, 1], dtype=int32), array([1, 2], dtype=int32), array([0.57735027, 1.        ]))
    """
    max_n = arrays.require_int("max_n", max_n, 1, MAX_ORDER)
    top_k = arrays.require_int("top_k", top_k, 1)
    require_one_numbering("sources", sources, "targets", targets, None)
    vocabulary = Vocabulary()
    h = as_sentences("sources", sources, vocabulary)
    r = as_sentences("targets", targets, vocabulary)
    top_k = max(1, min(top_k, len(r)))
    target = np.empty((len(h), top_k), np.int32)
    score = np.empty((len(h), top_k), np.float64)
    found = np.empty(len(h), np.int32)
    address = _backend.cpu.address
    _backend.cpu.align_ngram_scores(
        address(h.ids),
        address(h.offsets),
        len(h),
        address(r.ids),
        address(r.offsets),
        len(r),
        max_n,
        top_k,
        address(target),
        address(score),
        address(found),
    )
    holds = np.arange(top_k) < found[:, None]
    source = np.repeat(np.arange(len(h), dtype=np.int32), found)
    return source, target[holds], score[holds]


def best_path(source: Any, target: Any, score: Any) -> np.ndarray[Any, Any]:
    """Find the chain of links whose scores add up to most, ascending on both sides.

        max sum_k score_k   with   source_1 < source_2 < ...  and  target_1 < target_2 < ...

    Links of a score of 0 or less are in no chain. Of chains with equal sums (added up from the
    start, in double) the one is taken whose last link has the smallest source, then the smallest
    target, and so on before that link: that of Bleualign's dense search. A Fenwick tree over the
    targets makes it O(links log targets) in time and O(links + targets) in memory.

    Args:
        source: int32 [links], at least 0, in any order.
        target: int32 [links], at least 0.
        score: float64 [links], finite.

    Returns:
        int64 [chain]: places of the chain's links in the arguments, in the order of the chain.

    Raises:
        TypeError: A wrong kind or dtype.
        ValueError: A wrong shape or value.

    >>> import numpy as np
    >>> source, target = np.array([0, 1, 2], np.int32), np.array([0, 5, 1], np.int32)
    >>> best_path(source, target, np.array([0.5, 0.6, 0.4]))
    array([0, 1])
    """
    for name, value, dtype in (
        ("source", source, "int32"),
        ("target", target, "int32"),
        ("score", score, "float64"),
    ):
        arrays.require_array(name, value)
        if not arrays.is_numpy(value):
            raise TypeError(f"{name}: expected a numpy array, got a torch tensor")
        arrays.require_dtype(name, value, (dtype,))
        arrays.require_shape(name, value, "L", [None if name == "source" else len(source)])
    if not len(source):
        return np.zeros(0, np.int64)
    arrays.require_finite("score", score)
    for name, value in (("source", source), ("target", target)):
        if value.min() < 0:
            raise ValueError(f"{name}: expected numbers of at least 0, got {value.min()}")
    order = np.lexsort((target, source))
    # targets that occur, numbered: memory does not depend on their size
    places, numbered = np.unique(target, return_inverse=True)
    i = np.ascontiguousarray(source[order])
    j = np.ascontiguousarray(numbered.astype(np.int32)[order])
    w = np.ascontiguousarray(score[order])
    address = _backend.cpu.address
    path: np.ndarray[Any, Any] = order[
        _backend.cpu.align_best_path(address(i), address(j), address(w), len(i), len(places))
    ]
    return path
