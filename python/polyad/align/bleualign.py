"""The mode 'bleualign': the beads that Bleualign finds, by machine translation and BLEU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polyad._sentences import Vocabulary
from polyad.align.documents import LABELS, Alignment, Document
from polyad.ops import align as ops


class BleualignMode:
    """Stand in: 1-1 links only, of the first translation."""

    def __init__(self, *, max_n: int = 2) -> None:
        self.max_n = max_n

    def align(self, documents: Sequence[Document]) -> list[Alignment]:
        """Return the alignment of every document, in their order."""
        return [self._align(document) for document in documents]

    def _align(self, document: Document) -> Alignment:
        vocabulary = Vocabulary()
        hypothesis = document.translations[0] if document.translations else document.source
        source, target, score = ops.ngram_scores(
            vocabulary.encode([s.lower().split() for s in hypothesis]),
            vocabulary.encode([s.lower().split() for s in document.target]),
            max_n=self.max_n,
        )
        path = ops.best_path(source, target, score)
        i, j = source[path], target[path]
        spans = np.stack([i, i + 1, j, j + 1], axis=1).astype(np.int32)
        labels = np.full(len(path), LABELS.index("BLEU"), np.int8)
        return Alignment(document, spans, score[path], labels)
