"""Alignments that were found before: beads from files, with the texts they belong to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from polyad.align.documents import LABELS, Alignment, Bead, Document

NamedBeads = tuple[str, Sequence[Bead]]
"""The name of a document and its beads."""


def alignment_of(document: Document, beads: Iterable[Bead]) -> Alignment:
    """Return an alignment of given beads; null beads are left out.

    Args:
        document: What they align.
        beads: In any order; the sentences of a side ascend, and mostly follow each other.

    Raises:
        ValueError: A bead of other sentences than those of the document, or of sentences that do
            not ascend; the message names the document and the bead.
    """
    spans: list[tuple[int, int, int, int]] = []
    scores, labels = [], []
    scattered = {}
    for bead in sorted((b for b in beads if b.source and b.target), key=lambda b: b[:2]):
        for name, at, sentences in (
            ("source", bead.source, document.source),
            ("target", bead.target, document.target),
        ):
            which = f"document {document.name}: bead {list(bead.source)}:{list(bead.target)}"
            if min(at) < 0 or max(at) >= len(sentences):
                raise ValueError(
                    f"{which}: expected sentences 0 to {len(sentences) - 1} of the {name}"
                )
            if any(j <= i for i, j in pairwise(at)):
                raise ValueError(f"{which}: expected {name} sentences in ascending order")
            if at[-1] - at[0] >= len(at):
                scattered[len(spans)] = (bead.source, bead.target)
        spans.append((bead.source[0], bead.source[-1] + 1, bead.target[0], bead.target[-1] + 1))
        scores.append(bead.score)
        labels.append(LABELS.index(bead.label))
    return Alignment(
        document,
        np.array(spans, np.int32).reshape(-1, 4),
        np.array(scores, np.float64),
        np.array(labels, np.int8),
        scattered,
    )


def with_texts(documents: Iterable[Document], beads: Iterable[NamedBeads]) -> Iterator[Alignment]:
    """Yield the alignments of documents whose beads were written down by indices.

    Args:
        documents: The texts.
        beads: Of each document, in their order.

    Documents without beads after the last text are those of blank lines at the end of a file.

    Raises:
        ValueError: More of one than of the other, or beads that do not fit their document.
    """
    waiting = iter(beads)
    count = 0
    for document in documents:
        found = next(waiting, None)
        if found is None:
            raise ValueError(f"beads: expected those of another document after {count}, got none")
        yield alignment_of(document, found[1])
        count += 1
    if any(found for _, found in waiting):
        raise ValueError(f"beads: expected those of {count} documents, as the texts have, got more")


def line_by_line(documents: Iterable[Document]) -> Iterator[Alignment]:
    """Yield alignments of texts that were written bead by bead, a line each.

    Raises:
        ValueError: A document whose sides have different numbers of lines.
    """
    for document in documents:
        n, m = len(document.source), len(document.target)
        if n != m:
            raise ValueError(
                f"document {document.name}: expected as many target as source lines, got {n} "
                f"and {m}"
            )
        yield alignment_of(
            document,
            (Bead((k,), (k,), math.nan, "GIVEN") for k in range(n)),
        )
