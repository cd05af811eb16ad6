"""How well beads agree with a gold alignment: strict and lax precision, recall and F1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from polyad.align.documents import Bead


@dataclass(frozen=True)
class Agreement:
    """Counts of beads that are right, and what follows from them.

    Args:
        found: Beads of the alignment.
        gold: Beads of the gold alignment.
        right: Beads of the alignment that are right.
        recalled: Gold beads that were found.
    """

    found: int
    gold: int
    right: int
    recalled: int

    @property
    def precision(self) -> float:
        """``right / found``; 0 where nothing was found."""
        return self.right / self.found if self.found else 0.0

    @property
    def recall(self) -> float:
        """``recalled / gold``; 0 where there is no gold."""
        return self.recalled / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """``2 precision recall / (precision + recall)``; 0 where both are 0."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


@dataclass(frozen=True)
class Evaluation:
    """Both ways to count a bead as right.

    Args:
        strict: A bead is right if the gold alignment has it, sentence by sentence.
        lax: A bead is right if it shares a source and a target sentence with one gold bead; a gold
            bead is recalled if it does with one bead.
    """

    strict: Agreement
    lax: Agreement


def evaluate(found: Sequence[Sequence[Bead]], gold: Sequence[Sequence[Bead]]) -> Evaluation:
    """Compare alignments with gold ones, as Text+Berg is evaluated (Sennrich & Volk 2010).

    Null beads count on neither side. Counts are summed over the documents.

    Args:
        found: The beads of each document.
        gold: The gold beads of each document, in the same order.

    Raises:
        ValueError: Different numbers of documents.
    """
    if len(found) != len(gold):
        raise ValueError(f"found: expected {len(gold)} documents as gold has, got {len(found)}")
    strict, lax = [0, 0], [0, 0]
    sizes = [0, 0]
    for ours, theirs in zip(found, gold, strict=True):
        mine, truth = _sides(ours), _sides(theirs)
        for side, (beads, others) in enumerate(((mine, truth), (truth, mine))):
            known = set(others)
            sizes[side] += len(beads)
            strict[side] += sum(bead in known for bead in beads)
            lax[side] += _overlapping(beads, others)
    return Evaluation(Agreement(*sizes, *strict), Agreement(*sizes, *lax))


_Sides = tuple[tuple[int, ...], tuple[int, ...]]


def _sides(beads: Sequence[Bead]) -> list[_Sides]:
    return [
        (tuple(sorted(bead.source)), tuple(sorted(bead.target)))
        for bead in beads
        if bead.source and bead.target
    ]


def _overlapping(beads: Sequence[_Sides], others: Sequence[_Sides]) -> int:
    """How many beads share a source and a target sentence with one of the others."""
    places: dict[int, list[int]] = {}
    for place, (source, _) in enumerate(others):
        for i in source:
            places.setdefault(i, []).append(place)
    count = 0
    for source, target in beads:
        near = {place for i in source for place in places.get(i, ())}
        count += any(not set(target).isdisjoint(others[place][1]) for place in near)
    return count
