"""What every format is made of: a reader of documents, a writer, a reader of beads."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import IO, Any, BinaryIO, NamedTuple, TypeAlias

from polyad.align.documents import LABELS, Alignment, Bead, Document
from polyad.align.streams import Source, lines, name_of, written

Target: TypeAlias = str | Path | BinaryIO
"""Where beads go: a path, '-' for stdout, or an open binary stream."""

NamedBeads: TypeAlias = tuple[str, list[Bead]]
"""The name of a document and its beads."""


@dataclass(frozen=True)
class ComparedDocument(Document):
    """A document that is aligned by other texts than those that outputs show.

    Args:
        shown: The texts for the outputs, with as many sentences.
    """

    shown: Document = field(default_factory=lambda: Document([], []))


class Row(NamedTuple):
    """A bead of a file that has its texts.

    Attributes:
        document: The name of its document.
        bead: Indices, score and label.
        source: The text of its source sentences, joined.
        target: Of its target sentences.
        meta: What else the file says of the document.
    """

    document: str
    bead: Bead
    source: str
    target: str
    meta: Mapping[str, str]


@dataclass(frozen=True)
class WriterOptions:
    """What writers can be told.

    Args:
        nulls: Write a null bead for every sentence that is in none.
        source_language: Tag (BCP 47) of the source, for the formats that name it.
        target_language: Tag of the target.
        blank_documents: Formats without names write something for a document without beads.
    """

    nulls: bool = False
    source_language: str = "x-source"
    target_language: str = "x-target"
    blank_documents: bool = True


class Writer(ABC):
    """Takes alignments, one after the other, and writes their beads to a stream.

    Args:
        stream: Where the bytes go.
        options: What to write.

    Attributes:
        left_out: Number of beads that the format has no place for.
    """

    def __init__(self, stream: IO[bytes], options: WriterOptions) -> None:
        self.stream = stream
        self.options = options
        self.left_out = 0

    @classmethod
    @contextmanager
    def opened(cls, target: Target, options: WriterOptions) -> Iterator[Writer]:
        """Open a target; its file appears whole when the block ends without an error."""
        with written(target) as stream:
            writer = cls(stream, options)
            writer.begin()
            yield writer
            writer.end()

    def beads(self, alignment: Alignment) -> list[Bead]:
        """Return the beads to write."""
        return alignment.beads_with_nulls() if self.options.nulls else alignment.beads

    def put(self, text: str) -> None:
        """Write text in UTF-8."""
        self.stream.write(text.encode())

    def flush(self) -> None:
        """Hand on what was written, so that a reader of a pipe gets it now."""
        self.stream.flush()

    def begin(self) -> None:  # noqa: B027
        """Write what stands before the first document."""

    @abstractmethod
    def write(self, alignment: Alignment) -> None:
        """Write one document's beads."""

    def end(self) -> None:  # noqa: B027
        """Write what stands behind the last document."""


class DocumentReader(NamedTuple):
    """How documents are read.

    Attributes:
        read: Takes one source and ``max_line``.
        stdin: Whether it can read from a pipe.
    """

    read: Callable[..., Iterator[Document]]
    stdin: bool = True


@dataclass(frozen=True)
class Format:
    """One way to write documents or beads down.

    Args:
        name: On the command line.
        about: What it is, for the help.
        suffix: Usual end of a file's name.
        documents: Reads documents, where the format can hold them.
        writer: Writes alignments.
        beads: Reads beads, where the format says which sentences they are of.
        rows: Reads beads with their texts, where the format has both.
    """

    name: str
    about: str
    suffix: str
    documents: DocumentReader | None = None
    writer: type[Writer] | None = None
    beads: Callable[..., Iterator[NamedBeads]] | None = None
    rows: Callable[..., Iterator[Row]] | None = None


def wrong(name: str, line: int, what: str) -> ValueError:
    """Return the error about a line of an input."""
    return ValueError(f"{name}:{line}: {what}")


def flat(text: str) -> str:
    """Return text for a cell or a line: tabs and line ends become spaces."""
    if "\n" in text or "\t" in text or "\r" in text:
        return text.translate(_FLAT)
    return text


_FLAT = {ord(c): " " for c in "\t\n\r"}


def score_text(score: float) -> str:
    """Return the shortest text that reads as the same number; '' if there is no score."""
    return "" if math.isnan(score) else repr(score)


def score_of(text: str, name: str, line: int) -> float:
    """Read a score; '' is none.

    Raises:
        ValueError: It is no number.
    """
    if not text:
        return math.nan
    try:
        return float(text)
    except ValueError:
        raise wrong(name, line, f"score: expected a number, got {text[:40]!r}") from None


def label_of(text: str, name: str, line: int) -> str:
    """Check a label.

    Raises:
        ValueError: It is none of `polyad.align.LABELS`.
    """
    if text not in LABELS:
        raise wrong(name, line, f"label: expected one of {', '.join(LABELS)}, got {text[:40]!r}")
    return text


def indices_of(value: Any, name: str, line: int, what: str) -> tuple[int, ...]:
    """Check indices of sentences that were read.

    Raises:
        ValueError: Not a list of whole numbers of at least 0.
    """
    if not isinstance(value, (list, tuple)) or not all(
        type(i) is int and 0 <= i < 2**31 for i in value
    ):
        raise wrong(name, line, f"{what}: expected a list of indices, got {str(value)[:60]!r}")
    return tuple(value)


def indices_in(text: str, name: str, line: int, what: str, separator: str = ",") -> tuple[int, ...]:
    """Read indices from text such as '3,4'.

    Raises:
        ValueError: Something else stands there.
    """
    parts = [part.strip() for part in text.split(separator)] if text.strip() else []
    if not all(part.isascii() and part.isdecimal() and len(part) < 10 for part in parts):
        raise wrong(
            name, line, f"{what}: expected indices such as 3{separator}4, got {text[:60]!r}"
        )
    return tuple(int(part) for part in parts)


def by_document(rows: Iterable[Row]) -> Iterator[NamedBeads]:
    """Gather the beads of consecutive rows of a document."""
    for name, group in rows_by_document(rows):
        yield name, [row.bead for row in group]


def rows_by_document(rows: Iterable[Row]) -> Iterator[tuple[str, list[Row]]]:
    """Gather consecutive rows of a document.

    A document ends where the name changes. Names may recur: where a sentence has two texts, rows of
    one name are several documents, and each begins where a row cannot follow the one before. For
    all writers go up by source sentences, and a sentence that is in no bead is in none.
    """
    for name, group in groupby(rows, key=lambda row: row.document):
        listed = list(group)
        if _has_two_texts(listed):
            yield from ((name, part) for part in _ascending(listed))
        else:
            yield name, listed


def _has_two_texts(rows: list[Row]) -> bool:
    sources: dict[int, str] = {}
    targets: dict[int, str] = {}
    for row in rows:
        for known, indices, text in (
            (sources, row.bead.source, row.source),
            (targets, row.bead.target, row.target),
        ):
            if not indices:
                continue
            # of beads that begin together, one's text begins with the other's
            other = known.setdefault(indices[0], text)
            if not (text.startswith(other) or other.startswith(text)):
                return True
    return False


def _ascending(rows: list[Row]) -> Iterator[list[Row]]:
    part: list[Row] = []
    targets: set[int] = set()
    last: Row | None = None
    for row in rows:
        source, target = row.bead.source, row.bead.target
        if not source:
            begins = not targets.isdisjoint(target)
        elif last is None:
            begins = False
        else:
            before = last.bead.source
            begins = source[0] < before[0] or (source == before and row.source != last.source)
        if begins:
            yield part
            part, targets, last = [], set(), None
        part.append(row)
        targets.update(target)
        last = row if source else last
    yield part


def table(
    source: Source, required: Sequence[str], max_line: int
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the line number and the cells by column of every row under a header.

    Raises:
        OSError: It cannot be read.
        ValueError: Empty, a required column is missing, a column stands twice, a row with another
            number of cells than the header.
    """
    name = name_of(source)
    rows = lines(source, max_line=max_line)
    first = next(rows, None)
    if first is None:
        raise ValueError(f"{name}: is empty; expected a header with {', '.join(required)}")
    columns = [cell.strip() for cell in first.split("\t")]
    missing = [column for column in required if column not in columns]
    if missing:
        shown = ", ".join(columns)
        shown = shown if len(shown) <= 120 else shown[:117] + "..."
        raise wrong(name, 1, f"no column {', '.join(missing)}; the header has {shown}")
    if len(set(columns)) != len(columns):
        raise wrong(name, 1, "a column stands twice in the header")
    for number, row in enumerate(rows, 2):
        cells = row.split("\t")
        if len(cells) != len(columns):
            raise wrong(
                name, number, f"expected {len(columns)} columns as in the header, got {len(cells)}"
            )
        yield number, dict(zip(columns, cells, strict=True))
