"""Documents to align, made from parallel rows: what belongs together is known by construction.

rows = read_rows("en-ko.tsv.gz")
documents = make_documents(rows, seed=0)

A row is one paragraph in two languages under the id that both share. A made document is a stretch
of rows whose sides are then disturbed as real pairs of texts are: neighbours are merged on one
side, a paragraph is split on one side, a side is dropped, a sentence of elsewhere is inserted,
blocks of the target change places. The gold beads follow from the rows, so they are exact, except
that a text which occurs twice in a document has two equally good places.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from polyad.align.documents import Bead, Document
from polyad.data.dataset import DataError

__all__ = [
    "Disturbances",
    "MadeDocument",
    "ParallelRow",
    "make_documents",
    "pieces",
    "read_rows",
    "split_rows",
    "swapped",
]

_STOP = re.compile(r"(?<=[.!?。！？])\s+")  # noqa: RUF001


class ParallelRow(NamedTuple):
    """One paragraph in two languages.

    Attributes:
        document: Which document it stands in; rows of one document follow each other.
        id: Which paragraph of it.
        source: Its text in one language.
        target: Its text in the other.
    """

    document: str
    id: str
    source: str
    target: str


@dataclass(frozen=True)
class Disturbances:
    """How often a document is disturbed. The first four exclude each other in one row.

    Args:
        merge: Share of rows that are joined with the row after them, on one side only.
        split: Share of rows of two sentences or more that become two, on one side only.
        drop: Share of rows that lose one side.
        insert: Share of rows before which one side gets a sentence of another document.
        shuffle: Share of the blocks of ``block`` rows that change places with the block after
            them, on the target side. What has been moved can only be found in part by an aligner
            that keeps the order.
        block: Rows of a block.

    Raises:
        ValueError: A share outside 0 to 1, shares of one row that add up to more than 1, a block
            of less than one row.
    """

    merge: float = 0.10
    split: float = 0.25
    drop: float = 0.08
    insert: float = 0.08
    shuffle: float = 0.05
    block: int = 6

    def __post_init__(self) -> None:
        for name in ("merge", "split", "drop", "insert", "shuffle"):
            share = getattr(self, name)
            if not 0 <= share <= 1:
                raise ValueError(f"{name}: expected a share from 0 to 1, got {share}")
        if self.merge + self.drop + self.insert + self.split > 1:
            raise ValueError(
                "merge, split, drop, insert: expected shares that add up to at most 1, got "
                f"{self.merge + self.split + self.drop + self.insert:g}"
            )
        if self.block < 1:
            raise ValueError(f"block: expected at least 1 row, got {self.block}")


@dataclass(frozen=True)
class MadeDocument:
    """A document with its gold beads.

    Attributes:
        document: Its two sides, not translated.
        parts: For every source sentence the texts of which it was joined, by a space; whoever
            translates these has translated every document that can be made of the rows.
        gold: All beads in the order of the source; null beads, with one empty side, among them.
            Where blocks changed places their targets do not ascend.
        rows: The rows it was made of, without the inserted ones.
    """

    document: Document
    parts: list[tuple[str, ...]]
    gold: list[Bead]
    rows: list[ParallelRow]

    def translated(self, translations: Mapping[str, str]) -> Document:
        """Return the document with the translation of its parts.

        Args:
            translations: Source text -> translation, for all `parts`.

        Raises:
            KeyError: A part that has no translation.
        """
        made = [" ".join(translations[part] for part in parts) for parts in self.parts]
        return replace(self.document, translations=(*self.document.translations, made))


def read_rows(path: str | Path) -> list[ParallelRow]:
    """Read rows: document, id, source, target, separated by tabs; UTF-8, with or without gzip.

    Raises:
        DataError: A line with another number of columns or an empty text, bytes that are not UTF-8
            or not gzip, a file without rows.
        OSError: The file cannot be read.
    """
    path = Path(path)
    open_text = gzip.open if path.suffix == ".gz" else open
    rows = []
    line = 0
    try:
        with open_text(path, "rt", encoding="utf-8", newline="\n") as file:
            for line, text in enumerate(file, 1):
                columns = text.rstrip("\r\n").split("\t")
                if len(columns) != 4:
                    raise DataError(
                        f"{path}:{line}: expected 4 columns (document, id, source, target) "
                        f"separated by tabs, got {len(columns)}"
                    )
                row = ParallelRow(*columns)
                if not (row.source.strip() and row.target.strip()):
                    raise DataError(f"{path}:{line}: expected text in columns 3 and 4")
                rows.append(row)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text, after line {line}") from error
    except (EOFError, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: not a whole gzip file ({error})") from error
    if not rows:
        raise DataError(f"{path}: holds no rows")
    return rows


def swapped(rows: Iterable[ParallelRow]) -> list[ParallelRow]:
    """Return the rows with source and target in each other's place."""
    return [ParallelRow(row.document, row.id, row.target, row.source) for row in rows]


def split_rows(
    rows: Sequence[ParallelRow], share: float, *, seed: int = 0
) -> tuple[list[ParallelRow], list[ParallelRow]]:
    """Split rows into two parts that share no document and, in the second, no text of the first.

    Args:
        rows: In document order.
        share: Of the documents that the first part gets.
        seed: Chooses them.

    Returns:
        The rows of the chosen documents, and those of the others without every row whose source or
        target text occurs in the first part: a help repeats itself.
    """
    names = list(dict.fromkeys(row.document for row in rows))
    order = np.random.default_rng(seed).permutation(len(names))
    chosen = {names[i] for i in order[: round(share * len(names))]}
    first = [row for row in rows if row.document in chosen]
    sources = {row.source for row in first}
    targets = {row.target for row in first}
    second = [
        row
        for row in rows
        if row.document not in chosen and row.source not in sources and row.target not in targets
    ]
    return first, second


def pieces(text: str) -> list[str]:
    """Return the sentences of a paragraph, cut at white space after a stop, ! or ?."""
    return _STOP.split(text.strip())


class _Group(NamedTuple):
    """Rows that became one bead: the parts of every sentence, on either side."""

    source: list[tuple[str, ...]]
    target: list[tuple[str, ...]]


def make_documents(
    rows: Sequence[ParallelRow],
    *,
    rows_per_document: int = 60,
    documents: int | None = None,
    disturbances: Disturbances | None = None,
    seed: int = 0,
    name: str = "made",
) -> Iterator[MadeDocument]:
    """Yield documents made of consecutive rows.

    Document k is a function of the rows, the seed and k alone. Inserted sentences come from rows
    outside the document, from the side that gets them.

    Args:
        rows: In document order. Rows of several documents follow each other in one made document
            if they are short.
        rows_per_document: Rows of each.
        documents: How many at most; None: as many as the rows give. What is left over at the end,
            less than half a document, is left out.
        disturbances: How often a document is disturbed; None: `Disturbances` as it stands.
        seed: Of all draws.
        name: Documents are called NAME-0, NAME-1 ...

    Raises:
        ValueError: Less than one row per document.
    """
    if rows_per_document < 1:
        raise ValueError(f"rows_per_document: expected at least 1, got {rows_per_document}")
    how = disturbances or Disturbances()
    starts = range(0, len(rows), rows_per_document)
    for number, start in enumerate(starts[:documents]):
        stretch = list(rows[start : start + rows_per_document])
        if number and 2 * len(stretch) < rows_per_document:
            break
        random = np.random.default_rng([seed, number])
        outside = len(rows) - len(stretch)

        def foreign(
            random: np.random.Generator = random,
            end: int = start + len(stretch),
            outside: int = outside,
        ) -> ParallelRow:
            return rows[(end + int(random.integers(outside))) % len(rows)]

        groups = _disturbed(stretch, how, random, foreign if outside else None)
        yield _assembled(f"{name}-{number}", stretch, groups, how, random)


def _disturbed(
    rows: Sequence[ParallelRow],
    how: Disturbances,
    random: np.random.Generator,
    foreign: Callable[[], ParallelRow] | None,
) -> list[_Group]:
    """Merge, split, drop and insert, row by row."""
    edges = np.cumsum([how.merge, how.drop, how.insert, how.split])
    groups: list[_Group] = []
    at = 0
    while at < len(rows):
        source = tuple(pieces(rows[at].source))
        target = tuple(pieces(rows[at].target))
        draw, on_source = random.random(), random.random() < 0.5
        at += 1
        if draw < edges[0]:
            if at == len(rows):
                groups.append(_Group([source], [target]))
                continue
            second = tuple(pieces(rows[at].source)), tuple(pieces(rows[at].target))
            at += 1
            if on_source:
                groups.append(_Group([source + second[0]], [target, second[1]]))
            else:
                groups.append(_Group([source, second[0]], [target + second[1]]))
        elif draw < edges[1]:
            groups.append(_Group([], [target]) if on_source else _Group([source], []))
        elif draw < edges[2] and foreign is not None:
            row = foreign()
            if on_source:
                groups.append(_Group([tuple(pieces(row.source))], []))
            else:
                groups.append(_Group([], [tuple(pieces(row.target))]))
            groups.append(_Group([source], [target]))
        elif edges[2] <= draw < edges[3] and len(source if on_source else target) > 1:
            if on_source:
                groups.append(_Group(_cut(source, random), [target]))
            else:
                groups.append(_Group([source], _cut(target, random)))
        else:
            groups.append(_Group([source], [target]))
    return groups


def _cut(parts: tuple[str, ...], random: np.random.Generator) -> list[tuple[str, ...]]:
    """Cut a paragraph of several sentences into two."""
    place = 1 + int(random.integers(len(parts) - 1))
    return [parts[:place], parts[place:]]


def _assembled(
    name: str,
    rows: list[ParallelRow],
    groups: Sequence[_Group],
    how: Disturbances,
    random: np.random.Generator,
) -> MadeDocument:
    """Lay the groups out on both sides, blocks of the target perhaps in another order."""
    order = []
    blocks = [range(i, min(i + how.block, len(groups))) for i in range(0, len(groups), how.block)]
    while blocks:
        block = blocks.pop(0)
        if blocks and random.random() < how.shuffle:
            order += [*blocks.pop(0), *block]
        else:
            order += block
    target: list[str] = []
    places: dict[int, tuple[int, ...]] = {}
    for group in order:
        begin = len(target)
        target += [" ".join(parts) for parts in groups[group].target]
        places[group] = tuple(range(begin, len(target)))
    parts: list[tuple[str, ...]] = []
    gold = []
    for number, made in enumerate(groups):
        begin = len(parts)
        parts += made.source
        gold.append(Bead(tuple(range(begin, len(parts))), places[number]))
    source = [" ".join(each) for each in parts]
    return MadeDocument(Document(source, target, name=name), parts, gold, rows)
