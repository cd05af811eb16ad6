"""Parquet: a row for every document to align, a row for every bead; needs pyarrow."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from polyad.align.documents import Alignment, Bead, Document
from polyad.align.formats.base import (
    DocumentReader,
    Format,
    NamedBeads,
    Row,
    Target,
    Writer,
    WriterOptions,
    by_document,
    indices_of,
    label_of,
    wrong,
)
from polyad.align.streams import MAX_LINE, Source, name_of

FORMAT_VERSION = 1
ROWS = 20_000
"""Beads that are held before they are written as a row group."""

DOCUMENTS = 64
"""Documents that are read at a time."""


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ImportError("parquet needs pyarrow: pip install 'polyad[align]'") from None
    return pyarrow, pyarrow.parquet


class ParquetWriter(Writer):
    """Writes columns document, source_ids and target_ids (list<int32>), score, label, texts, meta.

    The schema's metadata has ``format_version``.
    """

    def __init__(self, stream: IO[bytes], options: WriterOptions) -> None:
        super().__init__(stream, options)
        arrow, parquet = _pyarrow()
        indices = arrow.list_(arrow.int32())
        self._schema = arrow.schema(
            [
                ("document", arrow.string()),
                ("source_ids", indices),
                ("target_ids", indices),
                ("score", arrow.float64()),
                ("label", arrow.string()),
                ("source", arrow.string()),
                ("target", arrow.string()),
                ("meta", arrow.map_(arrow.string(), arrow.string())),
            ],
            metadata={"format_version": str(FORMAT_VERSION)},
        )
        self._rows: list[list[Any]] = [[] for _ in self._schema]
        self._table = arrow.table
        self._array = arrow.array
        self._file = parquet.ParquetWriter(stream, self._schema, compression="zstd")

    @classmethod
    @contextmanager
    def opened(cls, target: Target, options: WriterOptions) -> Iterator[Writer]:
        """Open a target; its file appears whole when the block ends without an error."""
        with super().opened(target, options) as writer:
            try:
                yield writer
            except BaseException:
                # Without this, closing when it is collected would write to a file that is closed.
                cls._abandon(writer)
                raise

    @staticmethod
    def _abandon(writer: Any) -> None:
        writer._file.close()

    def write(self, alignment: Alignment) -> None:
        """Take one document's beads; they are written when there are enough."""
        document = alignment.document
        meta = list(document.meta.items())
        for bead in self.beads(alignment):
            source, target = alignment.text(bead)
            row = (
                document.name,
                bead.source,
                bead.target,
                None if math.isnan(bead.score) else bead.score,
                bead.label,
                source,
                target,
                meta,
            )
            for column, value in zip(self._rows, row, strict=True):
                column.append(value)
        if len(self._rows[0]) >= ROWS:
            self._write_group()

    def _write_group(self) -> None:
        arrays = [
            self._array(column, type=field.type)
            for column, field in zip(self._rows, self._schema, strict=True)
        ]
        self._file.write_table(self._table(arrays, schema=self._schema))
        self._rows = [[] for _ in self._schema]

    def flush(self) -> None:
        """Do nothing: a row group is written when it is full."""

    def end(self) -> None:
        """Write the rest and the footer."""
        if self._rows[0]:
            self._write_group()
        self._file.close()


@contextmanager
def _opened(source: Source, required: tuple[str, ...]) -> Iterator[Any]:
    arrow, parquet = _pyarrow()
    name = name_of(source)
    if str(source) == "-":
        raise ValueError("parquet: needs a file to read; its directory stands at the end")
    try:
        file = parquet.ParquetFile(str(source) if isinstance(source, (str, Path)) else source)
    except (arrow.ArrowException, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # else Arrow's word for bad data
            raise
        first = str(error).partition("\n")[0]
        raise ValueError(f"{name}: not a Parquet file: {first[:120]}") from error
    with file:
        columns = file.schema_arrow.names
        missing = [column for column in required if column not in columns]
        if missing:
            raise ValueError(
                f"{name}: no column {', '.join(missing)}; it has {', '.join(columns)[:120]}"
            )
        yield file


def _rows(source: Source, required: tuple[str, ...], batch: int) -> Iterator[dict[str, Any]]:
    arrow, _ = _pyarrow()
    name = name_of(source)
    with _opened(source, required) as file:
        batches = file.iter_batches(batch_size=batch)
        while True:
            try:
                rows = next(batches, None)
                listed = None if rows is None else rows.to_pylist()
            except (arrow.ArrowException, ValueError, OSError) as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise
                first = str(error).partition("\n")[0]
                raise ValueError(f"{name}: cannot be read: {first[:120]}") from error
            if listed is None:
                return
            yield from listed


def read_rows(source: Source, *, max_line: int = MAX_LINE) -> Iterator[Row]:
    """Yield the beads of a file, with their texts if it has them.

    Raises:
        OSError: It cannot be read.
        ValueError: Not Parquet, or without the columns of the writer.
        ImportError: pyarrow is not installed.
    """
    name = name_of(source)
    required = ("document", "source_ids", "target_ids")
    for number, row in enumerate(_rows(source, required, ROWS), 1):
        where = f"{name}: row"
        score = row.get("score")
        if score is not None and not isinstance(score, float):
            raise wrong(where, number, f"score: expected a number, got {str(score)[:40]!r}")
        meta = row.get("meta") or ()
        texts = [row.get(key) or "" for key in ("source", "target")]
        if not all(isinstance(text, str) for text in texts) or not isinstance(meta, (list, tuple)):
            raise wrong(where, number, "source, target, meta: expected two texts and a map")
        yield Row(
            str(row["document"] or ""),
            Bead(
                indices_of(row["source_ids"], where, number, "source_ids"),
                indices_of(row["target_ids"], where, number, "target_ids"),
                math.nan if score is None else score,
                label_of(str(row.get("label") or "GIVEN"), where, number),
            ),
            texts[0],
            texts[1],
            {str(pair[0]): str(pair[1]) for pair in meta if isinstance(pair, tuple)},
        )


def read_beads(source: Source, *, max_line: int = MAX_LINE) -> Iterator[NamedBeads]:
    """Yield the beads of each document: consecutive rows with the same name.

    Raises:
        OSError: It cannot be read.
        ValueError: Not Parquet, or without the columns of the writer.
        ImportError: pyarrow is not installed.
    """
    return by_document(read_rows(source, max_line=max_line))


def read_documents(source: Source, *, max_line: int = MAX_LINE) -> Iterator[Document]:
    """Yield a document for every row.

    Columns ``source`` and ``target`` (list<string>); optional ``translations`` and
    ``back_translations`` (list<list<string>>) and ``document`` (a name); further text columns are
    the document's ``meta``.

    Raises:
        OSError: It cannot be read.
        ValueError: Not Parquet, or without these columns.
        ImportError: pyarrow is not installed.
    """
    name = name_of(source)
    for number, row in enumerate(_rows(source, ("source", "target"), DOCUMENTS), 1):
        where = f"{name}: row"
        known = ("document", "source", "target", "translations", "back_translations")
        try:
            forward, backward = (
                tuple(
                    _sentences(one, where, number, f"{key}[{i}]")
                    for i, one in enumerate(row.get(key) or ())
                )
                for key in ("translations", "back_translations")
            )
            yield Document(
                _sentences(row["source"], where, number, "source"),
                _sentences(row["target"], where, number, "target"),
                forward,
                backward,
                str(row.get("document") or number),
                {k: v for k, v in row.items() if k not in known and isinstance(v, str)},
            )
        except ValueError as error:
            if str(error).startswith(where):
                raise
            raise wrong(where, number, str(error)) from error


def _sentences(value: Any, where: str, number: int, key: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise wrong(where, number, f"{key}: expected a list of sentences, got {str(value)[:60]!r}")
    if any("\0" in one for one in value):
        raise wrong(where, number, f"{key}: a NUL character; expected text")
    return value


FORMAT = Format(
    "parquet",
    "Parquet with list<int32> indices",
    ".parquet",
    DocumentReader(read_documents, stdin=False),
    ParquetWriter,
    read_beads,
    read_rows,
)
