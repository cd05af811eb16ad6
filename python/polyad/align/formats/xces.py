"""XCES links as OPUS distributes them: indices and score, without the text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from polyad.align.documents import Alignment, Bead
from polyad.align.formats.base import Format, NamedBeads, Writer, score_of, score_text
from polyad.align.formats.xml import attribute, elements
from polyad.align.streams import MAX_LINE, Source, name_of

IDENTIFIER = re.compile(r"[A-Za-z]*([0-9]{1,9})")


class XcesWriter(Writer):
    """Writes a group of links for every document; sentence 0 is called s1, as OPUS counts.

    Both files of a group have the document's name, or those of its ``meta``: ``source_name`` and
    ``target_name``, else ``src_url`` and ``trg_url``.
    """

    def begin(self) -> None:
        """Write the head."""
        self.put('<?xml version="1.0" encoding="UTF-8"?>\n<cesAlign version="1.0">\n')

    def write(self, alignment: Alignment) -> None:
        """Write one document's beads."""
        document = alignment.document
        source, target = (
            next((document.meta[key] for key in keys if document.meta.get(key)), document.name)
            for keys in (("source_name", "src_url"), ("target_name", "trg_url"))
        )
        rows = [f'<linkGrp targType="s" fromDoc={attribute(source)} toDoc={attribute(target)}>\n']
        for number, bead in enumerate(self.beads(alignment), 1):
            sides = [" ".join(f"s{i + 1}" for i in side) for side in (bead.source, bead.target)]
            score = score_text(bead.score)
            certainty = f' certainty="{score}"' if score else ""
            rows.append(f'<link id="SL{number}" xtargets="{sides[0]};{sides[1]}"{certainty}/>\n')
        rows.append("</linkGrp>\n")
        self.put("".join(rows))

    def end(self) -> None:
        """Write the end."""
        self.put("</cesAlign>\n")


def read_beads(source: Source, *, max_line: int = MAX_LINE) -> Iterator[NamedBeads]:
    """Yield the beads of each group of links; s1 is sentence 0.

    Raises:
        OSError: It cannot be read.
        ValueError: Not XCES, or identifiers of sentences that are not numbered.
    """
    name = name_of(source)
    group, beads = "", list[Bead]()
    for event, element in elements(
        source, ("link", "linkGrp"), "cesAlign", whole="link", max_element=max_line
    ):
        tag = element.tag.rpartition("}")[2]
        if tag == "linkGrp" and event == "start":
            group, beads = element.get("fromDoc", ""), []
        elif tag == "linkGrp":
            yield group, beads
        elif event == "end":
            left, semicolon, right = element.get("xtargets", "").partition(";")
            where = f"{name}: link"
            if not semicolon:
                raise ValueError(f"{where} {len(beads) + 1}: expected xtargets such as 's1 s2;s1'")
            score = score_of(element.get("certainty", ""), where, len(beads) + 1)
            sides = [_indices(side, where, len(beads) + 1) for side in (left, right)]
            beads.append(Bead(sides[0], sides[1], score))


def _indices(text: str, where: str, number: int) -> tuple[int, ...]:
    found = []
    for identifier in text.split():
        match = IDENTIFIER.fullmatch(identifier)
        if match is None or int(match[1]) == 0:
            raise ValueError(
                f"{where} {number}: expected numbered sentences such as s1, got {identifier[:40]!r}"
            )
        found.append(int(match[1]) - 1)
    return tuple(found)


FORMAT = Format(
    "xces", "XCES links as OPUS has them, no text", ".xml", None, XcesWriter, read_beads
)
