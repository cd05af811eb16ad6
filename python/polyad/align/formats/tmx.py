"""TMX 1.4b: translation units with both texts, indices and score in properties."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from polyad._version import __version__
from polyad.align.documents import Alignment, Bead
from polyad.align.formats.base import (
    Format,
    NamedBeads,
    Row,
    Writer,
    by_document,
    indices_in,
    label_of,
    score_of,
    score_text,
)
from polyad.align.formats.xml import attribute, elements, text_of
from polyad.align.streams import MAX_LINE, Source, name_of

LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"


class TmxWriter(Writer):
    """Writes a unit for every bead; the empty side of a null bead is an empty segment."""

    def begin(self) -> None:
        """Write the header."""
        language = attribute(self.options.source_language)
        self.put(
            '<?xml version="1.0" encoding="UTF-8"?>\n<tmx version="1.4">\n'
            f'<header creationtool="polyad" creationtoolversion="{__version__}" '
            f'segtype="sentence" o-tmf="polyad" adminlang="en" srclang={language} '
            'datatype="plaintext"/>\n<body>\n'
        )

    def write(self, alignment: Alignment) -> None:
        """Write one document's beads."""
        name = text_of(alignment.document.name)
        languages = (
            attribute(self.options.source_language),
            attribute(self.options.target_language),
        )
        units = []
        for bead in self.beads(alignment):
            properties = [
                ("document", name),
                ("source-ids", ",".join(map(str, bead.source))),
                ("target-ids", ",".join(map(str, bead.target))),
                ("score", score_text(bead.score)),
                ("label", bead.label),
            ]
            units.append("<tu>\n")
            units.extend(f'<prop type="x-{kind}">{value}</prop>\n' for kind, value in properties)
            units.extend(
                f"<tuv xml:lang={language}><seg>{text_of(text)}</seg></tuv>\n"
                for language, text in zip(languages, alignment.text(bead), strict=True)
            )
            units.append("</tu>\n")
        self.put("".join(units))

    def end(self) -> None:
        """Write the end."""
        self.put("</body>\n</tmx>\n")


def _units(source: Source, max_line: int) -> Iterator[Element]:
    for event, element in elements(source, ("tu",), "tmx", whole="tu", max_element=max_line):
        if event == "end":
            yield element


def _texts(unit: Element, name: str, number: int) -> tuple[str, str]:
    """The texts of the first two languages of a unit."""
    texts = ["".join(segment.itertext()) for segment in unit.iterfind(".//{*}seg")]
    if len(texts) < 2:
        raise ValueError(f"{name}: unit {number}: expected two texts, got {len(texts)}")
    return texts[0], texts[1]


def read_rows(source: Source, *, max_line: int = MAX_LINE) -> Iterator[Row]:
    """Yield the units as beads, from the properties that the writer leaves, with their texts.

    Units without them, as other tools write them, are taken as one document of 1-1 beads in the
    order of the file.

    Raises:
        OSError: It cannot be read.
        ValueError: Not TMX; a unit with fewer than two texts; a property that cannot be read.
    """
    name = name_of(source)
    where = f"{name}: unit"
    for number, unit in enumerate(_units(source, max_line), 1):
        texts = _texts(unit, name, number)
        found = {prop.get("type", ""): prop.text or "" for prop in unit.iterfind("{*}prop")}
        if "x-source-ids" not in found and "x-target-ids" not in found:
            yield Row("", Bead((number - 1,), (number - 1,)), *texts, {})
            continue
        bead = Bead(
            indices_in(found.get("x-source-ids", ""), where, number, "x-source-ids"),
            indices_in(found.get("x-target-ids", ""), where, number, "x-target-ids"),
            score_of(found.get("x-score", "").strip(), where, number),
            label_of(found.get("x-label", "").strip() or "GIVEN", where, number),
        )
        yield Row(found.get("x-document", ""), bead, *texts, {})


def read_beads(source: Source, *, max_line: int = MAX_LINE) -> Iterator[NamedBeads]:
    """Yield the beads of each document: consecutive units of the same one. See `read_rows`.

    Raises:
        OSError: It cannot be read.
        ValueError: Not TMX; a unit with fewer than two texts; a property that cannot be read.
    """
    return by_document(read_rows(source, max_line=max_line))


FORMAT = Format(
    "tmx", "TMX 1.4b, for translation memories", ".tmx", None, TmxWriter, read_beads, read_rows
)
