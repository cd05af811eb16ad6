"""Bitextor's TSV, as bleualign-cpp takes it: a header, documents in base64, beads as plain text."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator

from polyad.align.documents import Alignment, Bead, Document
from polyad.align.formats.base import (
    ComparedDocument,
    DocumentReader,
    Format,
    NamedBeads,
    Row,
    Writer,
    by_document,
    flat,
    indices_in,
    score_of,
    score_text,
    table,
    wrong,
)
from polyad.align.streams import MAX_LINE, Source, name_of

TEXTS = ("src_text", "trg_text")
TRANSLATIONS = ("src_translated", "trg_translated")
COLUMNS = ("src_url", "trg_url", "src_text", "trg_text", "aligner_score", "src_ids", "trg_ids")


class BitextorWriter(Writer):
    """Writes a row for every bead; tabs and line ends in texts become spaces.

    The first five columns are Bitextor's; indices follow, so that every bead has them.
    """

    def begin(self) -> None:
        """Write the header."""
        self.put("\t".join(COLUMNS) + "\n")

    def write(self, alignment: Alignment) -> None:
        """Write one document's beads."""
        document = alignment.document
        addresses = "\t".join(
            flat(document.meta.get(key) or document.name) for key in ("src_url", "trg_url")
        )
        rows = []
        for bead in self.beads(alignment):
            source, target = alignment.text(bead)
            rows.append(
                f"{addresses}\t{flat(source)}\t{flat(target)}\t{score_text(bead.score)}\t"
                f"{','.join(map(str, bead.source))}\t{','.join(map(str, bead.target))}\n"
            )
        self.put("".join(rows))


def read_documents(source: Source, *, max_line: int = MAX_LINE) -> Iterator[Document]:
    """Yield a document for every row.

    Columns: ``src_text``, ``trg_text`` and, where there is a translation, ``src_translated``:
    base64 of UTF-8, a sentence a line. Where there is ``trg_translated`` too, the two translations
    are compared, for a third language between both, as bleualign-cpp does; the document is a
    `ComparedDocument`. Further columns (``src_url``, ``trg_url``, ...) are its ``meta``.

    Raises:
        OSError: It cannot be read.
        ValueError: A missing column, a row of another length, a cell that is no base64 of UTF-8, a
            translation with another number of lines; the message names line and column.
    """
    name = name_of(source)
    for number, row in table(source, TEXTS, max_line):
        texts = {
            column: _sentences(row[column], name, number, column)
            for column in (*TEXTS, *TRANSLATIONS)
            if column in row
        }
        for column, of in zip(TRANSLATIONS, TEXTS, strict=True):
            if row.get(column) and len(texts[column]) != len(texts[of]):
                raise wrong(
                    name,
                    number,
                    f"{column}: expected {len(texts[of])} lines as in {of}, got "
                    f"{len(texts[column])}",
                )
        there, same = (texts[column] if row.get(column) else None for column in TRANSLATIONS)
        meta = {key: cell for key, cell in row.items() if key not in texts}
        translations = () if there is None else (there,)
        plain = Document(
            texts["src_text"], texts["trg_text"], translations, (), str(number - 1), meta
        )
        if same is None:
            yield plain
        else:
            yield ComparedDocument(
                plain.source, same, translations, (), plain.name, meta, shown=plain
            )


def _sentences(cell: str, name: str, line: int, column: str) -> list[str]:
    """The lines of a document in base64."""
    try:
        data = base64.b64decode(cell, validate=True)
    except (binascii.Error, ValueError) as error:
        raise wrong(name, line, f"{column}: not base64: {error}") from error
    data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = data.count(b"\n", 0, error.start) + 1
        raise wrong(
            name,
            line,
            f"{column}: not UTF-8 in line {place} of the document (byte 0x{data[error.start]:02x})",
        ) from error
    if "\0" in text:
        place = text[: text.index("\0")].count("\n") + 1
        raise wrong(name, line, f"{column}: a NUL byte in line {place} of the document")
    if not text:
        return []
    return [sentence.rstrip() for sentence in text.removesuffix("\n").split("\n")]


def read_rows(source: Source, *, max_line: int = MAX_LINE) -> Iterator[Row]:
    """Yield the beads of the writer's table, with their texts.

    Raises:
        OSError: It cannot be read.
        ValueError: Not the writer's table; the message names line and column.
    """
    name = name_of(source)
    required = ("src_url", "trg_url", "src_ids", "trg_ids")
    for number, row in table(source, required, max_line):
        bead = Bead(
            indices_in(row["src_ids"], name, number, "src_ids"),
            indices_in(row["trg_ids"], name, number, "trg_ids"),
            score_of(row.get("aligner_score") or row.get("bleualign_score", ""), name, number),
        )
        meta = {key: row[key] for key in ("src_url", "trg_url")}
        document = " ".join(dict.fromkeys(meta.values()))
        yield Row(document, bead, row.get("src_text", ""), row.get("trg_text", ""), meta)


def read_beads(source: Source, *, max_line: int = MAX_LINE) -> Iterator[NamedBeads]:
    """Yield the beads of each document: consecutive rows with the same addresses.

    Raises:
        OSError: It cannot be read.
        ValueError: Not the writer's table; the message names line and column.
    """
    return by_document(read_rows(source, max_line=max_line))


FORMAT = Format(
    "bitextor",
    "Bitextor's table; documents in base64",
    ".tsv",
    DocumentReader(read_documents),
    BitextorWriter,
    read_beads,
    read_rows,
)
