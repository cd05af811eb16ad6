"""A text in Korean and English to align: about polyad, written for it, with its gold beads."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from polyad.align import Bead, Document

FOLDER = files("polyad.data") / "samples"
"""``readme.ko``, ``readme.en`` and ``readme.mt.en``, a sentence a line, and ``readme.beads``."""


class AlignSample(NamedTuple):
    """A document and what an aligner should find in it.

    Attributes:
        document: Source, target and one translation of the source.
        gold: The right beads, null beads among them, in document order.
    """

    document: Document
    gold: list[Bead]


def korean_readme() -> AlignSample:
    """Return the sample: what polyad is, in Korean and in English, and which sentence is which.

    The translation is as rough as a machine's that goes word by word: Korean order, no articles,
    wrong senses. Between the two texts there are merges, splits and omissions. All of it was
    written by polyad's developers for this purpose.
    """
    from polyad.align import Bead, Document

    def lines(name: str) -> list[str]:
        return (FOLDER / name).read_text(encoding="utf-8").splitlines()

    document = Document(
        lines("readme.ko"), lines("readme.en"), (lines("readme.mt.en"),), name="readme ko-en"
    )
    gold = []
    for line in lines("readme.beads"):
        source, _, target = line.partition(":")
        gold.append(Bead(tuple(json.loads(source)), tuple(json.loads(target))))
    return AlignSample(document, gold)
