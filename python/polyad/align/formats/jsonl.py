"""JSON Lines: an object for every document to align, an object for every bead."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from polyad.align.documents import Alignment, Bead, Document
from polyad.align.formats.base import (
    DocumentReader,
    Format,
    NamedBeads,
    Row,
    Writer,
    by_document,
    indices_of,
    label_of,
    wrong,
)
from polyad.align.streams import MAX_LINE, Source, lines, name_of

ENCODE = json.JSONEncoder(ensure_ascii=False).encode


class JsonlWriter(Writer):
    """Writes ``{"doc", "src", "tgt", "score", "label", "src_text", "tgt_text", "meta"}`` a bead.

    A bead without a score has null; "meta" is left out where it is empty. Nothing of a text is
    changed.
    """

    def write(self, alignment: Alignment) -> None:
        """Write one document's beads."""
        document = alignment.document
        rows = []
        for bead in self.beads(alignment):
            source, target = alignment.text(bead)
            row: dict[str, Any] = {
                "doc": document.name,
                "src": bead.source,
                "tgt": bead.target,
                "score": bead.score if math.isfinite(bead.score) else None,
                "label": bead.label,
                "src_text": source,
                "tgt_text": target,
            }
            if document.meta:
                row["meta"] = dict(document.meta)
            rows.append(ENCODE(row) + "\n")
        self.put("".join(rows))


def _objects(source: Source, max_line: int) -> Iterator[tuple[int, dict[str, Any]]]:
    name = name_of(source)
    for number, line in enumerate(lines(source, max_line=max_line), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{name}:{number}:{error.colno}: not JSON: {error.msg}") from error
        except (ValueError, RecursionError) as error:  # numbers of thousands of digits, deep nests
            raise wrong(name, number, f"not JSON that can be read: {str(error)[:80]}") from error
        if not isinstance(value, dict):
            raise wrong(name, number, f"expected an object, got {type(value).__name__}")
        yield number, value


def read_rows(source: Source, *, max_line: int = MAX_LINE) -> Iterator[Row]:
    """Yield the beads of a file, with their texts if it has them.

    Raises:
        OSError: It cannot be read.
        ValueError: A line that is no bead; the message names it.
    """
    name = name_of(source)
    for number, row in _objects(source, max_line):
        score = row.get("score")
        if score is None:
            score = math.nan
        elif isinstance(score, bool) or not isinstance(score, (int, float)):
            raise wrong(name, number, f"score: expected a number, got {str(score)[:40]!r}")
        try:
            score = float(score)
        except OverflowError:
            raise wrong(name, number, "score: a number too large") from None
        for key in ("src", "tgt"):
            if key not in row:
                raise wrong(name, number, f"{key}: missing; expected a list of indices")
        texts = [row.get("src_text", ""), row.get("tgt_text", "")]
        _sentences(texts, name, number, "src_text, tgt_text")
        yield Row(
            str(row.get("doc", "")),
            Bead(
                indices_of(row["src"], name, number, "src"),
                indices_of(row["tgt"], name, number, "tgt"),
                score,
                label_of(str(row.get("label") or "GIVEN"), name, number),
            ),
            texts[0],
            texts[1],
            _meta(row, name, number),
        )


def read_beads(source: Source, *, max_line: int = MAX_LINE) -> Iterator[NamedBeads]:
    """Yield the beads of each document; consecutive lines with the same "doc" are one.

    Raises:
        OSError: It cannot be read.
        ValueError: A line that is no bead; the message names it.
    """
    return by_document(read_rows(source, max_line=max_line))


def read_documents(source: Source, *, max_line: int = MAX_LINE) -> Iterator[Document]:
    """Yield a document for every line.

    ``{"source": [sentences], "target": [sentences]}`` and, where there are any, ``"translations"``
    and ``"back_translations"`` (lists of lists of sentences), ``"doc"`` (a name) and ``"meta"``.

    Raises:
        OSError: It cannot be read.
        ValueError: No line at all, or one that is no document; the message names it and the key.
    """
    name = name_of(source)
    number = 0
    for number, row in _objects(source, max_line):
        for key in ("source", "target"):
            if key not in row:
                raise wrong(name, number, f"{key}: missing; expected a list of sentences")
        meta = _meta(row, name, number)
        try:
            yield Document(
                _sentences(row["source"], name, number, "source"),
                _sentences(row["target"], name, number, "target"),
                _each(row, "translations", name, number),
                _each(row, "back_translations", name, number),
                str(row.get("doc", number)),
                meta,
            )
        except ValueError as error:
            if str(error).startswith(f"{name}:"):
                raise
            raise wrong(name, number, str(error)) from error
    if number == 0:
        raise ValueError(f"{name}: is empty; expected a document a line")


def _meta(row: dict[str, Any], name: str, number: int) -> dict[str, str]:
    meta = row.get("meta") or {}
    if not isinstance(meta, dict):
        raise wrong(name, number, f"meta: expected an object, got {type(meta).__name__}")
    return {str(key): str(value) for key, value in meta.items()}


def _each(row: dict[str, Any], key: str, name: str, number: int) -> tuple[list[str], ...]:
    value = row.get(key) or []
    if not isinstance(value, list):
        raise wrong(name, number, f"{key}: expected a list of lists of sentences")
    return tuple(_sentences(one, name, number, f"{key}[{i}]") for i, one in enumerate(value))


def _sentences(value: Any, name: str, number: int, key: str) -> list[str]:
    if not isinstance(value, list):
        raise wrong(name, number, f"{key}: expected a list of sentences, got {_kind(value)}")
    for place, sentence in enumerate(value):
        if not isinstance(sentence, str):
            raise wrong(name, number, f"{key}[{place}]: expected text, got {_kind(sentence)}")
        if "\0" in sentence:
            raise wrong(name, number, f"{key}[{place}]: a NUL character; expected text")
        if not sentence.isascii():
            try:
                sentence.encode()
            except UnicodeEncodeError as error:
                raise wrong(
                    name, number, f"{key}[{place}]: half a surrogate pair at {error.start + 1}"
                ) from error
    return value


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__


FORMAT = Format(
    "jsonl",
    "an object a bead; nothing is changed",
    ".jsonl",
    DocumentReader(read_documents),
    JsonlWriter,
    read_beads,
    read_rows,
)
