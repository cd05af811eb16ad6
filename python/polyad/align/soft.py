"""Two languages compared by word vectors alone: no translation is needed.

Vectors of both languages in one space (`polyad.align.vectors.train_word2vec_pair`) say which words
of one text are like which of the other; rare words say more than frequent ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from polyad._sentences import Sentences, Vocabulary
from polyad.align.vectors import WordVectors
from polyad.ops._align_ableu import Matching, soft_scores
from polyad.ops._align_beads import SparseRows
from polyad.ops._align_similarity import WordSimilarity, word_similarity

__all__ = ["SoftView"]

Array = np.ndarray[Any, Any]


class SoftView:
    """The two sides of a document as word vectors see them.

    Words of the source are compared with words of the target only, so that none of their nearest
    ones are lost to their own language. With N the sentences of the longer side and df_w the
    sentences of the side that has more of them with w,

        w(g) = log((N + 1) / df_g)

    Args:
        source: The sentences of the source, as word numbers.
        target: The sentences of the target.
        words: The words that the numbers stand for.
        vectors: Of the words of both languages.
        neighbours: How many words of the other side a word is like, at least.
        least_cosine: The least cosine of like words, 0 .. 1.
    """

    def __init__(
        self,
        source: Sentences,
        target: Sentences,
        words: Sequence[str],
        vectors: WordVectors,
        *,
        neighbours: int = 8,
        least_cosine: float = 0.35,
    ) -> None:
        self.source = source
        self.target = target
        self.words = list(words)
        rows = vectors.rows(self.words)
        self.similarity: WordSimilarity = word_similarity(
            rows * (self._occurrences(self.source) > 0)[:, None],
            rows * (self._occurrences(self.target) > 0)[:, None],
            neighbours=neighbours,
            least_cosine=least_cosine,
        )

    @classmethod
    def of_words(
        cls,
        source: Sequence[Sequence[str]],
        target: Sequence[Sequence[str]],
        vectors: WordVectors,
        **options: Any,
    ) -> SoftView:
        """Return the view of sentences given as lists of words."""
        vocabulary = Vocabulary()
        left, right = vocabulary.encode(source), vocabulary.encode(target)
        return cls(left, right, vocabulary.words, vectors, **options)

    def _occurrences(self, side: Sentences) -> Array:
        """How many sentences of a side have each word, int64 [V]."""
        rows = np.repeat(np.arange(len(side)), side.lengths())
        pairs = np.unique(np.stack([rows, side.ids]), axis=1)
        return np.bincount(pairs[1], minlength=len(self.words))

    @cached_property
    def weights(self) -> Array:
        """The weight of every word, float64 [V]."""
        most = max(len(self.source), len(self.target))
        df = np.maximum(self._occurrences(self.source), self._occurrences(self.target))
        return np.log((most + 1) / np.maximum(df, 1))

    def links(
        self, *, top_k: int = 3, matching: Matching = "source", candidates: int = 64
    ) -> tuple[Array, Array, Array]:
        """Return the best targets of every source: (source, target, score).

        The score is the harmonic mean of how much of the source's weight the target's words match,
        and the other way round: `polyad.ops.align.soft_scores` with weights.

        Args:
            top_k: How many targets are kept of each source.
            matching: 'source' or 'one_to_one', as in `polyad.ops.align.ableu`.
            candidates: How many targets of each source are scored.
        """
        return soft_scores(
            self.source,
            self.target,
            self.similarity,
            max_n=1,
            top_k=top_k,
            matching=matching,
            weights=self.weights,
            candidates=candidates,
        )

    def rows(self, best: int = 3) -> tuple[SparseRows, SparseRows]:
        """Return both sides as sparse vectors of target words, for `polyad.ops.align.best_beads`.

        A word of the source stands for the ``best`` words of the target that it is most like, by
        the square of the cosine, and for itself by 1 where the target has it. Rows of joined
        sentences are sums of theirs.
        """
        like = self.similarity
        of_word = np.repeat(np.arange(len(like)), np.diff(like.offsets))
        order = np.lexsort((like.words, -like.values, of_word))
        rank = np.arange(len(order)) - like.offsets[:-1][of_word]  # of_word is sorted already
        kept = order[(rank < best) & (like.words[order] != of_word)]
        words = np.arange(len(self.words))
        same = words[(self._occurrences(self.source) > 0) & (self._occurrences(self.target) > 0)]
        # what each word stands for, the words in order
        by = np.concatenate([of_word[kept], same])
        other = np.concatenate([like.words[kept], same])
        value = np.concatenate([like.values[kept].astype(np.float64) ** 2, np.ones(len(same))])
        sort = np.argsort(by, kind="stable")
        other, value = other[sort], value[sort]
        counts = np.bincount(by, minlength=len(words))
        begins = np.cumsum(counts) - counts

        def expanded(side: Sentences, begins: Array, counts: Array) -> tuple[Array, Array]:
            """The row of every entry, and its place in what the words stand for."""
            rows = np.repeat(np.arange(len(side)), side.lengths())
            times = counts[side.ids]
            within = np.arange(times.sum()) - np.repeat(np.cumsum(times) - times, times)
            return np.repeat(rows, times), np.repeat(begins[side.ids], times) + within

        rows, places = expanded(self.source, begins, counts)
        source = _rows(rows, other[places], value[places], len(self.source), len(words))
        rows, places = expanded(self.target, words, np.ones_like(words))
        target = _rows(rows, places, np.ones(len(rows)), len(self.target), len(words))
        return source, target


def _rows(rows: Array, features: Array, values: Array, count: int, width: int) -> SparseRows:
    """Sum entries of one place; features ascend within a row."""
    keys, places = np.unique(rows * max(width, 1) + features, return_inverse=True)
    sums = np.bincount(places.reshape(-1), weights=values, minlength=len(keys))
    lengths = np.bincount(keys // max(width, 1), minlength=count)
    return SparseRows(
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        (keys % max(width, 1)).astype(np.int32),
        sums.astype(np.float32),
        width,
    )
