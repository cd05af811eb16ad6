"""What is aligned and what comes out: documents, beads, alignments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

LABELS = ("BLEU", "GAPFILLER", "GALECHURCH", "PATH", "NULL", "GIVEN")
"""How a bead was found: by its score, beside an anchor, by length, by a path of beads; null beads
have one empty side; GIVEN ones were read from a file."""


class Bead(NamedTuple):
    """One aligned group of sentences.

    Attributes:
        source: Indices of its source sentences, ascending from 0; empty in a null bead.
        target: Indices of its target sentences.
        score: The score of the mode that found it, 0 to 1; NaN where there is none.
        label: One of `LABELS`.
    """

    source: tuple[int, ...]
    target: tuple[int, ...]
    score: float = float("nan")
    label: str = "GIVEN"


@dataclass(frozen=True)
class Document:
    """A pair of texts to align, each a sequence of sentences.

    Args:
        source: The sentences of the source.
        target: The sentences of the target.
        translations: Translations of the source into the target's language, each with a sentence
            for every one of ``source``.
        back_translations: Translations of the target into the source's language, likewise.
        name: What messages and outputs call it.
        meta: Further columns (addresses of the pages ...), carried through to the writers.

    Raises:
        TypeError: A string where sentences are expected.
        ValueError: A translation with another number of sentences.
    """

    source: Sequence[str]
    target: Sequence[str]
    translations: tuple[Sequence[str], ...] = ()
    back_translations: tuple[Sequence[str], ...] = ()
    name: str = ""
    meta: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in (
            ("source", self.source),
            ("target", self.target),
            ("translations", self.translations),
            ("back_translations", self.back_translations),
            *((f"translations[{k}]", text) for k, text in enumerate(self.translations)),
            *((f"back_translations[{k}]", text) for k, text in enumerate(self.back_translations)),
        ):
            if isinstance(value, (str, bytes)):
                what = (
                    "a tuple of texts" if name.endswith("translations") else "a list of sentences"
                )
                raise TypeError(f"{name}: expected {what}, got {value[:40]!r}")
        for name, side, of in (
            ("translations", self.source, self.translations),
            ("back_translations", self.target, self.back_translations),
        ):
            for place, sentences in enumerate(of):
                if len(sentences) != len(side):
                    where = f" of document {self.name}" if self.name else ""
                    raise ValueError(
                        f"{name}[{place}]{where}: expected {len(side)} sentences, one for each "
                        f"that it translates, got {len(sentences)}"
                    )


class Alignment:
    """The beads of one document, in document order.

    Args:
        document: What was aligned.
        spans: int32 [beads, 4]: the first source sentence of each bead and the one after its last,
            the first target sentence and the one after its last.
        scores: float64 [beads].
        labels: int8 [beads], places in `LABELS`.
        scattered: The sides of those beads, by place, whose sentences do not all follow each other;
            their spans reach from the first sentence to the last.
    """

    def __init__(
        self,
        document: Document,
        spans: np.ndarray[Any, Any],
        scores: np.ndarray[Any, Any],
        labels: np.ndarray[Any, Any],
        scattered: Mapping[int, tuple[tuple[int, ...], tuple[int, ...]]] | None = None,
    ) -> None:
        self.document = document
        self.spans = spans
        self.scores = scores
        self.labels = labels
        self.scattered = scattered or {}

    @cached_property
    def beads(self) -> list[Bead]:
        """The beads with both sides."""
        beads = [
            Bead(tuple(range(a, b)), tuple(range(c, d)), score, LABELS[label])
            for (a, b, c, d), score, label in zip(
                self.spans.tolist(), self.scores.tolist(), self.labels.tolist(), strict=True
            )
        ]
        for place, (source, target) in self.scattered.items():
            beads[place] = beads[place]._replace(source=source, target=target)
        return beads

    def beads_with_nulls(self) -> list[Bead]:
        """All sentences: the beads, and a null bead for every sentence that is in none.

        A null bead stands before the first bead that begins after it, source ones first.
        """
        beads: list[Bead] = []
        at_source = at_target = 0
        used_target = {j for bead in self.beads for j in bead.target}
        used_source = {i for bead in self.beads for i in bead.source}

        def nulls_until(source: int, target: int) -> None:
            nonlocal at_source, at_target
            for i in range(at_source, source):
                if i not in used_source:
                    beads.append(Bead((i,), (), float("nan"), "NULL"))
            for j in range(at_target, target):
                if j not in used_target:
                    beads.append(Bead((), (j,), float("nan"), "NULL"))
            at_source, at_target = max(at_source, source), max(at_target, target)

        for bead in self.beads:
            nulls_until(bead.source[0], bead.target[0])
            beads.append(bead)
        nulls_until(len(self.document.source), len(self.document.target))
        return beads

    def text(self, bead: Bead) -> tuple[str, str]:
        """Return the source and the target text of a bead, sentences joined by a space."""
        return (
            " ".join(self.document.source[i] for i in bead.source),
            " ".join(self.document.target[j] for j in bead.target),
        )
