r"""hunalign's ladder, ``i\tj\tscore``, and its ``-text`` form."""

from __future__ import annotations

import math
from collections.abc import Iterator

from polyad.align.documents import Alignment, Bead
from polyad.align.formats.base import (
    Format,
    NamedBeads,
    Writer,
    flat,
    score_of,
    score_text,
    wrong,
)
from polyad.align.streams import MAX_LINE, Source, lines, name_of

JOINT = " ~~~ "


def monotone(alignment: Alignment) -> tuple[list[Bead], int]:
    """Return all sentences as beads that only go forward, and the number of beads left out.

    A ladder has no place for beads that overlap or cross earlier ones or skip sentences inside;
    their sentences are in null beads unless another bead has them.
    """
    beads: list[Bead] = []
    at_source = at_target = left_out = 0

    def go_to(source: int, target: int) -> None:
        nonlocal at_source, at_target
        beads.extend(Bead((i,), (), math.nan, "NULL") for i in range(at_source, source))
        beads.extend(Bead((), (j,), math.nan, "NULL") for j in range(at_target, target))
        at_source, at_target = source, target

    for bead in alignment.beads:
        whole = all(
            list(side) == list(range(side[0], side[-1] + 1)) for side in (bead.source, bead.target)
        )
        if not whole or bead.source[0] < at_source or bead.target[0] < at_target:
            left_out += 1
            continue
        go_to(bead.source[0], bead.target[0])
        beads.append(bead)
        at_source, at_target = bead.source[-1] + 1, bead.target[-1] + 1
    go_to(len(alignment.document.source), len(alignment.document.target))
    return beads, left_out


class HunalignWriter(Writer):
    """Writes a rung where each bead begins, and one where the document ends.

    A ladder names every sentence, so null beads always have their rungs; a bead without a score
    has 0. A blank line divides documents.
    """

    _first = True

    def write(self, alignment: Alignment) -> None:
        """Write one document's beads."""
        rows = [] if self._first else ["\n"]
        self._first = False
        beads, left_out = monotone(alignment)
        self.left_out += left_out
        source = target = 0
        for bead in beads:
            rows.append(f"{source}\t{target}\t{score_text(bead.score) or 0}\n")
            source += len(bead.source)
            target += len(bead.target)
        rows.append(f"{source}\t{target}\t0\n")
        self.put("".join(rows))


class HunalignTextWriter(Writer):
    """Writes source, target and score of every bead, its sentences joined by `` ~~~ ``."""

    _first = True

    def write(self, alignment: Alignment) -> None:
        """Write one document's beads."""
        rows = [] if self._first else ["\n"]
        self._first = False
        beads, left_out = monotone(alignment)
        self.left_out += left_out
        for bead in beads:
            source = JOINT.join([alignment.document.source[i] for i in bead.source])
            target = JOINT.join([alignment.document.target[j] for j in bead.target])
            rows.append(f"{flat(source)}\t{flat(target)}\t{score_text(bead.score) or 0}\n")
        self.put("".join(rows))


def read_beads(source: Source, *, max_line: int = MAX_LINE) -> Iterator[NamedBeads]:
    """Yield the beads of each document: what lies between two rungs, null beads among them.

    Raises:
        OSError: It cannot be read.
        ValueError: A line that is no rung, or one that goes back; the message names it.
    """
    name = name_of(source)
    document: list[Bead] = []
    documents = 1
    last: tuple[int, int, float] | None = None
    for number, line in enumerate(lines(source, max_line=max_line), 1):
        if not line.strip():
            yield str(documents), document
            document, last = [], None
            documents += 1
            continue
        cells = line.split("\t")
        if len(cells) not in (2, 3) or not all(
            cell.isascii() and cell.isdecimal() and len(cell) < 10 for cell in cells[:2]
        ):
            raise wrong(name, number, f"expected i<tab>j<tab>score, got {line[:60]!r}")
        i, j = int(cells[0]), int(cells[1])
        if last is not None:
            before_i, before_j, score = last
            if i < before_i or j < before_j:
                raise wrong(
                    name, number, f"expected a rung from {before_i}, {before_j} on, got {i}, {j}"
                )
            if (i - before_i) + (j - before_j) > MAX_RUNG:
                raise wrong(name, number, f"a bead of more than {MAX_RUNG:,} sentences")
            if i > before_i or j > before_j:
                null = i == before_i or j == before_j
                document.append(
                    Bead(
                        tuple(range(before_i, i)),
                        tuple(range(before_j, j)),
                        score,
                        "NULL" if null else "GIVEN",
                    )
                )
        last = i, j, score_of(cells[2] if len(cells) == 3 else "", name, number)
    yield str(documents), document


MAX_RUNG = 1_000_000
"""Sentences between two rungs: more is a broken file, and would fill the memory."""

LADDER = Format(
    "hunalign", "a ladder: where each bead begins", ".ladder", None, HunalignWriter, read_beads
)
TEXT = Format(
    "hunalign-text", "hunalign -text: source, target, score", ".txt", None, HunalignTextWriter
)
