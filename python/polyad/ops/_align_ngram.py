"""Scores of sentence pairs by shared n-grams, and the best chain through them."""

from __future__ import annotations

from typing import Any

import numpy as np

from polyad._sentences import Vocabulary, as_sentences
from polyad.reference import align as reference


def ngram_scores(
    sources: Any, targets: Any, *, max_n: int = 2, top_k: int = 3
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Stand in for the kernel."""
    vocabulary = Vocabulary()
    return reference.ngram_scores(
        as_sentences("sources", sources, vocabulary),
        as_sentences("targets", targets, vocabulary),
        max_n=max_n,
        top_k=top_k,
    )


def best_path(source: Any, target: Any, score: Any) -> np.ndarray[Any, Any]:
    """Stand in for the kernel."""
    return reference.best_path(source, target, score)
