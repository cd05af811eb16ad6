"""Formats of documents and of beads: one table of them, and what reads and writes them.

=============== ========= ===== ===== =================================================
name            documents beads write what it is
=============== ========= ===== ===== =================================================
moses           yes             yes   two files, a sentence (out: a bead) a line
tsv             yes       yes   yes   a table with a header, plain text
bitextor        yes       yes   yes   Bitextor's table; documents in base64
jsonl           yes       yes   yes   an object a line; nothing of a text is changed
parquet         yes       yes   yes   list<string> and list<int32>; needs pyarrow
vecalign                  yes   yes   index lines, ``[0, 1]:[2]:0.123``
hunalign                  yes   yes   a ladder
hunalign-text                   yes   source, target and score
tmx                       yes   yes   TMX 1.4b
xces                      yes   yes   links as OPUS distributes them
=============== ========= ===== ===== =================================================

Everything streams: a document at a time is in memory, and documents keep their order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from polyad.align.documents import Alignment, Bead, Document
from polyad.align.formats import (
    bitextor,
    hunalign,
    jsonl,
    moses,
    parquet,
    tmx,
    tsv,
    vecalign,
    xces,
)
from polyad.align.formats.base import (
    Format,
    NamedBeads,
    Row,
    Target,
    Writer,
    WriterOptions,
    rows_by_document,
)
from polyad.align.given import alignment_of
from polyad.align.streams import (
    MAX_LINE,
    STANDARD,
    Source,
    compression_of,
    lines,
    name_of,
)

FORMATS: dict[str, Format] = {
    made.name: made
    for made in (
        moses.FORMAT,
        tsv.FORMAT,
        bitextor.FORMAT,
        jsonl.FORMAT,
        parquet.FORMAT,
        vecalign.FORMAT,
        hunalign.LADDER,
        hunalign.TEXT,
        tmx.FORMAT,
        xces.FORMAT,
    )
}
"""Every format by its name."""

DOCUMENT_FORMATS = ("moses", *(f.name for f in FORMATS.values() if f.documents is not None))
"""Formats that documents are read from."""

BEAD_FORMATS = tuple(f.name for f in FORMATS.values() if f.beads is not None)
"""Formats that beads are read from."""


def format_named(name: str) -> Format:
    """Return a format.

    Raises:
        ValueError: There is none with this name.
    """
    if name not in FORMATS:
        raise ValueError(f"format: expected one of {', '.join(FORMATS)}, got {name!r}")
    return FORMATS[name]


def read(
    format: str,
    *sources: Source,
    translations: Sequence[Source] = (),
    back_translations: Sequence[Source] = (),
    factored: bool = False,
    max_line: int = MAX_LINE,
) -> Iterator[Document]:
    """Yield documents to align, one at a time.

    Args:
        format: One of `DOCUMENT_FORMATS`.
        *sources: Paths, '-' for stdin, or binary streams; of moses two, the source and the target
            text, of the others any number, read one after the other, stdin where there is none.
        translations: Of moses: translations of the source into the target's language.
        back_translations: Of moses: translations of the target into the source's language.
        factored: Of moses: words are ``word|factor|...``.
        max_line: Longest line that is read, bytes.

    Raises:
        OSError: A source cannot be read.
        ValueError: Another format or number of sources; a source that does not hold what the format
            says: the message names file, line and column.
        ImportError: A package that the format needs is not installed.
    """
    chosen = format_named(format)
    if format == "moses":
        if len(sources) != 2:
            raise ValueError(f"moses: expected a source and a target text, got {len(sources)}")
        return moses.read_documents(
            *sources,
            translations=translations,
            back_translations=back_translations,
            factored=factored,
            max_line=max_line,
        )
    if chosen.documents is None:
        raise ValueError(
            f"format: documents are read from {', '.join(DOCUMENT_FORMATS)}, not from {format}"
        )
    if translations or back_translations or factored:
        raise ValueError(f"{format}: translations stand in the documents; only moses takes files")
    reader = chosen.documents.read
    return (
        document
        for source in sources or (STANDARD,)
        for document in reader(source, max_line=max_line)
    )


def open_writer(format: str, target: Target, **options: Any) -> AbstractContextManager[Writer]:
    """Return a context that gives a `Writer`: ``write(alignment)`` for one after the other.

    Files appear whole when the context ends without an error.

    Args:
        format: One of `FORMATS`.
        target: A path, '-' for stdout, or a binary stream. Of moses a path X: X-s and X-t are made.
        **options: Of `polyad.align.formats.base.WriterOptions`.

    Raises:
        OSError: It cannot be written.
        ValueError: An unknown format, or moses without a path.
        ImportError: A package that the format needs is not installed.
    """
    writer = format_named(format).writer
    assert writer is not None
    return writer.opened(target, WriterOptions(**options))


def write(format: str, target: Target, alignments: Iterable[Alignment], **options: Any) -> int:
    """Write alignments as they come; return the number of beads the format has no place for.

    Args:
        format: One of `FORMATS`.
        target: See `open_writer`.
        alignments: The alignment of each document.
        **options: See `open_writer`: ``nulls=True`` writes null beads.

    Raises:
        OSError: It cannot be written.
        ValueError: An unknown format, or moses without a path.
        ImportError: A package that the format needs is not installed.
    """
    with open_writer(format, target, **options) as writer:
        for alignment in alignments:
            writer.write(alignment)
    return writer.left_out


def read_named_beads(
    source: Source, format: str, *, max_line: int = MAX_LINE
) -> Iterator[NamedBeads]:
    """Yield the name and the beads of every document of a file.

    Args:
        source: A path, '-' for stdin, or a binary stream.
        format: One of `BEAD_FORMATS`.
        max_line: Longest line that is read, bytes.

    Raises:
        OSError: It cannot be read.
        ValueError: Another format, or not what it says: the message names file and line.
        ImportError: A package that the format needs is not installed.
    """
    reader = format_named(format).beads
    if reader is None:
        raise ValueError(
            f"format: beads are read from {', '.join(BEAD_FORMATS)}, not from {format}"
        )
    return reader(source, max_line=max_line)


def read_beads(source: Source, format: str, *, max_line: int = MAX_LINE) -> list[list[Bead]]:
    """Return the beads of every document of a file, as `polyad.align.evaluate` takes them.

    Args:
        source: A path, '-' for stdin, or a binary stream.
        format: One of `BEAD_FORMATS`.
        max_line: Longest line that is read, bytes.

    Raises:
        OSError: It cannot be read.
        ValueError: Another format, or not what it says: the message names file and line.
        ImportError: A package that the format needs is not installed.
    """
    return [beads for _, beads in read_named_beads(source, format, max_line=max_line)]


SUFFIXES = {
    ".jsonl": "jsonl",
    ".parquet": "parquet",
    ".tsv": "tsv",
    ".tmx": "tmx",
    ".xml": "xces",
    ".ladder": "hunalign",
}
"""Formats by the ends of files' names; compressions come behind."""


def format_by_suffix(name: str | Path) -> str | None:
    """Return the format that the end of a file's name says, if it says one; nothing is opened."""
    text = str(name)
    return SUFFIXES.get(Path(text.removesuffix(compression_of(text))).suffix.lower())


def format_by_name(name: str | Path) -> str | None:
    """Return the format that the end of a file's name says, if it says one.

    A table that begins with Bitextor's columns is bitextor; to know that, it is opened.

    Raises:
        OSError: A .tsv cannot be read.
        ValueError: Its first line cannot be read.
    """
    format = format_by_suffix(name)
    if format == "tsv" and next(lines(name), "").startswith(("src_url\t", "src_text\t")):
        return "bitextor"
    return format


def read_alignments(
    source: Source, format: str | None = None, *, max_line: int = MAX_LINE
) -> Iterator[Alignment]:
    """Yield the alignments of a file whose beads have their texts, as the writers leave them.

    A document has as many sentences as the largest index says. The text of a bead of several
    sentences stands at the first of them, the others are empty; so are sentences that no bead of
    the file has. Null beads give the texts of their sentences.

    Args:
        source: A path, '-' for stdin, or a binary stream.
        format: jsonl, tsv, bitextor, parquet or tmx; None: by the file's name.
        max_line: Longest line that is read, bytes.

    Raises:
        OSError: It cannot be read.
        ValueError: Another format, or not what it says: the message names file and line.
        ImportError: A package that the format needs is not installed.
    """
    chosen = format
    if chosen is None and isinstance(source, (str, Path)):
        chosen = format_by_name(source)
    if chosen is None:
        if isinstance(source, (str, Path)) and str(source) != STANDARD:
            Path(source).stat()  # no such file is the better reason
        raise ValueError(f"{name_of(source)}: give the format; its name does not say which")
    reader = format_named(chosen).rows
    if reader is None:
        known = ", ".join(f.name for f in FORMATS.values() if f.rows is not None)
        raise ValueError(f"format: beads with texts are read from {known}, not from {chosen}")
    rows = reader(source, max_line=max_line)
    return (_alignment(name, group, name_of(source)) for name, group in rows_by_document(rows))


def _alignment(name: str, rows: list[Row], where: str) -> Alignment:
    source = _sentences([(row.bead.source, row.source) for row in rows], where)
    target = _sentences([(row.bead.target, row.target) for row in rows], where)
    try:
        return alignment_of(
            Document(source, target, name=name, meta=rows[0].meta), [row.bead for row in rows]
        )
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _sentences(sides: list[tuple[tuple[int, ...], str]], where: str) -> list[str]:
    count = max((i + 1 for indices, _ in sides for i in indices), default=0)
    if count > MAX_SENTENCES:
        raise ValueError(f"{where}: expected indices below {MAX_SENTENCES:,}, got {count - 1:,}")
    texts = [""] * count
    for indices, text in sides:
        if indices:
            texts[indices[0]] = text
    return texts


MAX_SENTENCES = 50_000_000
"""Larger indices are a broken file, and would fill the memory."""

__all__ = [
    "BEAD_FORMATS",
    "DOCUMENT_FORMATS",
    "FORMATS",
    "MAX_LINE",
    "SUFFIXES",
    "Format",
    "Source",
    "Target",
    "Writer",
    "WriterOptions",
    "format_by_name",
    "format_by_suffix",
    "format_named",
    "name_of",
    "open_writer",
    "read",
    "read_alignments",
    "read_beads",
    "read_named_beads",
    "write",
]
