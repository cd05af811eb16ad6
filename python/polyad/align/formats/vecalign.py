"""Index lines as vecalign writes them: ``[0, 1]:[2]:0.123``."""

from __future__ import annotations

import re
from collections.abc import Iterator

from polyad.align.documents import Alignment, Bead
from polyad.align.formats.base import (
    Format,
    NamedBeads,
    Writer,
    indices_in,
    score_of,
    score_text,
    wrong,
)
from polyad.align.streams import MAX_LINE, Source, lines, name_of

LINE = re.compile(r"\s*\[([^\]]*)\]\s*:\s*\[([^\]]*)\]\s*(?::\s*([^\s:]*)\s*)?")


class VecalignWriter(Writer):
    """Writes a line for every bead, a blank line between documents.

    The third field is the bead's score, where the larger is the better (vecalign's own is a cost,
    SentAlign's a similarity); it is left out where a bead has none.
    """

    _first = True

    def write(self, alignment: Alignment) -> None:
        """Write one document's beads."""
        rows = [] if self._first else ["\n"]
        self._first = False
        for bead in self.beads(alignment):
            score = score_text(bead.score)
            rows.append(f"{list(bead.source)}:{list(bead.target)}{':' + score if score else ''}\n")
        self.put("".join(rows))


def read_beads(source: Source, *, max_line: int = MAX_LINE) -> Iterator[NamedBeads]:
    """Yield the beads of each document; a blank line divides documents.

    Raises:
        OSError: It cannot be read.
        ValueError: A line that is no bead; the message names it.
    """
    name = name_of(source)
    document: list[Bead] = []
    documents = 1
    for number, line in enumerate(lines(source, max_line=max_line), 1):
        if not line.strip():
            yield str(documents), document
            document = []
            documents += 1
            continue
        match = LINE.fullmatch(line)
        if match is None:
            raise wrong(name, number, f"expected [0, 1]:[2]:0.5, got {line[:60]!r}")
        document.append(
            Bead(
                indices_in(match[1], name, number, "source"),
                indices_in(match[2], name, number, "target"),
                score_of(match[3] or "", name, number),
            )
        )
    yield str(documents), document


FORMAT = Format(
    "vecalign", "index lines, [0, 1]:[2]:0.123", ".txt", None, VecalignWriter, read_beads
)
