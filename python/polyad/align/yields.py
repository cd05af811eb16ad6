"""How much an alignment yields at an accuracy: known from gold beads, or estimated without them.

The *yield* is the share of source sentences that come out in beads whose score is at least a
threshold; the threshold is the lowest at which the accuracy of those beads still is what was asked
for. Known accuracy counts beads against gold ones. Estimated accuracy counts *decoys*: every
document is aligned once more with the order of its target reversed. Its texts are the same, yet a
path through it can hold next to no true pairs, so what scores as high there as the beads do here
measures how many beads score as high by chance (Elias & Gygi 2007 do so with protein sequences):

    accuracy(t) = 1 - (1 + decoys scored t or more) / (beads scored t or more)

A decoy that is no false bead does not count: one that shares a pair of sentences with a bead of the
document, or whose two texts are those of a bead of any document (headings repeat themselves).

The estimate tells pairs that have nothing to do with each other from those that do. It does not see
a bead that is right but for a sentence too many or too few on one side, and it takes a near
duplicate in the document for a mistake; so it is close to the lax accuracy from below. Compare it
with gold beads or with `polyad review` before you rely on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polyad.align.aligner import Aligner
from polyad.align.documents import Alignment, Bead, Document

__all__ = [
    "Judged",
    "Yield",
    "align_with_decoys",
    "counted",
    "highest_yield",
    "judge",
    "known_yield",
    "reversed_target",
    "text_mark",
]


@dataclass(frozen=True)
class Yield:
    """What comes out at and above a threshold.

    Attributes:
        threshold: The lowest score that is let through; inf where no threshold is accurate enough.
        beads: How many beads come out.
        sentences: Source sentences in them.
        share: Of the sentences that could come out, 0 to 1.
        accuracy: Of the beads, 0 to 1; 0 where there are none.
        lax: Share of the beads that are right by the lax rule; NaN where that is not known.
    """

    threshold: float
    beads: int
    sentences: int
    share: float
    accuracy: float
    lax: float = float("nan")


def highest_yield(
    scores: ArrayLike,
    sentences: ArrayLike,
    wrong: ArrayLike,
    *,
    possible: int,
    accuracy: float = 0.95,
    surplus: int = 0,
) -> Yield:
    """Return the yield at the lowest threshold that is accurate enough.

    ``accuracy(t) = 1 - (surplus + #{wrong >= t}) / #{scores >= t}``

    Args:
        scores: float64 [beads]; beads without a score (NaN) never come out.
        sentences: Integers [beads], the source sentences of each.
        wrong: float64 [wrong], the scores of what is wrong: some of the beads, or decoys.
        possible: Sentences that could come out; 0: the share is 0.
        accuracy: What is asked for, 0 to 1.
        surplus: Added to the number of wrong ones: 1 for decoys, which are a sample.

    Raises:
        ValueError: An accuracy outside 0 to 1, arrays of different lengths.
    """
    if not 0 <= accuracy <= 1:
        raise ValueError(f"accuracy: expected 0 to 1, got {accuracy}")
    found = np.asarray(scores, np.float64)
    counts = np.asarray(sentences, np.int64)
    if found.shape != counts.shape or found.ndim != 1:
        raise ValueError(
            f"scores, sentences: expected one of each per bead, got {list(found.shape)} and "
            f"{list(counts.shape)}"
        )
    bad = np.asarray(wrong, np.float64)
    known = ~np.isnan(found)
    order = np.argsort(-found[known], kind="stable")
    ranked = found[known][order]
    if len(ranked) == 0:
        return Yield(float("inf"), 0, 0, 0.0, 0.0)
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))  # of every group of equals
    bad = np.sort(bad[~np.isnan(bad)])
    above = len(bad) - np.searchsorted(bad, ranked[last], side="left")
    kept = last + 1
    right = (kept - np.minimum(surplus + above, kept)) / kept
    enough = np.flatnonzero(right >= accuracy)
    if len(enough) == 0:
        return Yield(float("inf"), 0, 0, 0.0, 0.0)
    at = enough[-1]
    total = int(counts[known][order][: kept[at]].sum())
    return Yield(
        float(ranked[last[at]]),
        int(kept[at]),
        total,
        total / possible if possible else 0.0,
        float(right[at]),
    )


class Judged(NamedTuple):
    """The beads of one document, compared with its gold beads.

    Attributes:
        scores: float64 [beads].
        sentences: int64 [beads], source sentences of each.
        right: bool [beads, 2]: the gold has this bead (strict); it shares a source and a target
            sentence with one gold bead (lax).
        possible: Source sentences in gold beads with two sides: those that can come out.
    """

    scores: NDArray[np.float64]
    sentences: NDArray[np.int64]
    right: NDArray[np.bool_]
    possible: int


def judge(found: Sequence[Bead], gold: Sequence[Bead]) -> Judged:
    """Compare the beads of a document with gold ones; null beads are left out on both sides."""
    both = {(bead.source, bead.target) for bead in gold if bead.source and bead.target}
    pairs = {(i, j) for source, target in both for i in source for j in target}
    beads = [bead for bead in found if bead.source and bead.target]
    right = [
        (
            (bead.source, bead.target) in both,
            any((i, j) in pairs for i in bead.source for j in bead.target),
        )
        for bead in beads
    ]
    return Judged(
        np.array([bead.score for bead in beads], np.float64),
        np.array([len(bead.source) for bead in beads], np.int64),
        np.array(right, bool).reshape(-1, 2),
        sum(len(source) for source, _ in both),
    )


def known_yield(documents: Sequence[Judged], *, accuracy: float = 0.95, lax: bool = False) -> Yield:
    """Return the yield at an accuracy that is counted.

    Args:
        documents: The judged beads of each.
        accuracy: What is asked for.
        lax: By the lax rule; else by the strict one.

    Returns:
        The yield; its ``accuracy`` and ``lax`` are the strict and the lax one, whichever chose the
        threshold.
    """
    values = np.concatenate([np.zeros(0), *(each.scores for each in documents)])
    sentences = np.concatenate([np.zeros(0, np.int64), *(each.sentences for each in documents)])
    right = np.concatenate([np.zeros((0, 2), bool), *(each.right for each in documents)])
    best = highest_yield(
        values,
        sentences,
        values[~right[:, int(lax)]],
        possible=sum(each.possible for each in documents),
        accuracy=accuracy,
    )
    if not best.beads:
        return replace(best, lax=0.0)
    strict_share, lax_share = right[values >= best.threshold].mean(axis=0)
    return replace(best, accuracy=float(strict_share), lax=float(lax_share))


def reversed_target(document: Document) -> Document:
    """Return the document with the order of its target reversed: what decoys come from."""
    return replace(
        document,
        target=list(document.target)[::-1],
        back_translations=tuple(list(side)[::-1] for side in document.back_translations),
    )


def align_with_decoys(
    aligner: Aligner, documents: Iterable[Document]
) -> Iterator[tuple[Alignment, list[tuple[float, bytes]]]]:
    """Yield every document's alignment, and its decoys: the score of each, the mark of its texts.

    A decoy counts unless its mark is among the `text_mark` of the beads of any document.

    Args:
        aligner: Aligns the documents, and their reversals.
        documents: Any number; read as they are needed.
    """

    def both() -> Iterator[Document]:
        for document in documents:
            yield document
            yield reversed_target(document)

    made = aligner.align_all(both())
    for alignment in made:
        yield alignment, _decoys(alignment, next(made))


def _decoys(alignment: Alignment, backwards: Alignment) -> list[tuple[float, bytes]]:
    """The beads of the reversed document that share no pair of sentences with the document's."""
    own = {(i, j) for bead in alignment.beads for i in bead.source for j in bead.target}
    last = len(alignment.document.target) - 1
    return [
        (bead.score, text_mark(*backwards.text(bead)))
        for bead in backwards.beads
        if not any((i, last - j) in own for i in bead.source for j in bead.target)
    ]


def text_mark(source: str, target: str) -> bytes:
    """Return 8 bytes that two pairs of texts have in common only if they are the same."""
    mark = blake2b(source.encode(errors="surrogatepass"), digest_size=8)
    mark.update(b"\n")
    mark.update(target.encode(errors="surrogatepass"))
    return mark.digest()


def counted(decoys: Sequence[tuple[float, bytes]], marks: set[bytes]) -> NDArray[np.float64]:
    """Return the scores of the decoys that count, see `align_with_decoys`, in falling order."""
    scores = [score for score, mark in decoys if mark not in marks]
    return -np.sort(-np.array(scores, np.float64))
