"""TSV: a header and plain text columns, for documents and for beads."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from polyad.align.documents import Alignment, Bead, Document
from polyad.align.formats.base import (
    DocumentReader,
    Format,
    NamedBeads,
    Row,
    Writer,
    by_document,
    flat,
    indices_in,
    label_of,
    score_of,
    score_text,
    table,
    wrong,
)
from polyad.align.streams import MAX_LINE, Source, name_of

COLUMNS = ("document", "source_ids", "target_ids", "score", "label", "source", "target")
SIDES = ("source", "target")


class TsvWriter(Writer):
    """Writes a row for every bead; tabs and line ends in texts become spaces."""

    def begin(self) -> None:
        """Write the header."""
        self.put("\t".join(COLUMNS) + "\n")

    def write(self, alignment: Alignment) -> None:
        """Write one document's beads."""
        name = flat(alignment.document.name)
        rows = []
        for bead in self.beads(alignment):
            source, target = alignment.text(bead)
            rows.append(
                f"{name}\t{','.join(map(str, bead.source))}\t{','.join(map(str, bead.target))}\t"
                f"{score_text(bead.score)}\t{bead.label}\t{flat(source)}\t{flat(target)}\n"
            )
        self.put("".join(rows))


def read_rows(source: Source, *, max_line: int = MAX_LINE) -> Iterator[Row]:
    """Yield the beads of a table, with their texts if it has them.

    Raises:
        OSError: It cannot be read.
        ValueError: Not a table of beads; the message names the line and the column.
    """
    name = name_of(source)
    for number, row in table(source, ("document", "source_ids", "target_ids"), max_line):
        bead = Bead(
            indices_in(row["source_ids"], name, number, "source_ids"),
            indices_in(row["target_ids"], name, number, "target_ids"),
            score_of(row.get("score", ""), name, number),
            label_of(row.get("label") or "GIVEN", name, number),
        )
        yield Row(row["document"], bead, row.get("source", ""), row.get("target", ""), {})


def read_beads(source: Source, *, max_line: int = MAX_LINE) -> Iterator[NamedBeads]:
    """Yield the beads of each document: consecutive rows with the same name.

    Raises:
        OSError: It cannot be read.
        ValueError: Not a table of beads; the message names the line and the column.
    """
    return by_document(read_rows(source, max_line=max_line))


def read_documents(source: Source, *, max_line: int = MAX_LINE) -> Iterator[Document]:
    """Yield documents whose sentences are rows.

    Columns: ``side`` (source or target) and ``text``; optional ``document`` (consecutive rows with
    the same name are one document; without the column all are) and ``translation``,
    ``translation_2``, ...: the sentence in the language of the other side, for one side or for
    both. The first row's cells of further columns are the document's ``meta``.

    Raises:
        OSError: It cannot be read.
        ValueError: Not such a table; the message names the line and the column.
    """
    name = name_of(source)
    rows = table(source, ("side", "text"), max_line)
    for number, (document, group) in enumerate(
        groupby(rows, key=lambda numbered: numbered[1].get("document")), 1
    ):
        texts: dict[str, list[str]] = {side: [] for side in SIDES}
        translated: dict[str, dict[str, list[str]]] = {side: {} for side in SIDES}
        meta: dict[str, str] | None = None
        for line, row in group:
            side = row["side"]
            if side not in SIDES:
                raise wrong(name, line, f"side: expected source or target, got {side[:40]!r}")
            texts[side].append(row["text"].rstrip())
            for column, cell in row.items():
                if column.startswith("translation"):
                    translated[side].setdefault(column, []).append(cell.rstrip())
            if meta is None:
                meta = {
                    column: cell
                    for column, cell in row.items()
                    if column not in ("document", "side", "text")
                    and not column.startswith("translation")
                }
        forward, backward = (
            tuple(column for column in translated[side].values() if any(column)) for side in SIDES
        )
        yield Document(
            texts["source"],
            texts["target"],
            forward,
            backward,
            document if document is not None else str(number),
            meta or {},
        )


FORMAT = Format(
    "tsv",
    "a table with a header, plain text",
    ".tsv",
    DocumentReader(read_documents),
    TsvWriter,
    read_beads,
    read_rows,
)
