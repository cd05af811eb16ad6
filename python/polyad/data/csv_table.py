"""Comma-separated tables as data: one example a line, one column the label."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyad.data.dataset import DataError, Dataset, checked, compact

LABEL_NAMES = ("label", "class", "target", "y")
"""A header with one of these names, in any case, says which column is the label."""

_BLOCK = 1024  # lines turned into an array at a time: text takes far more memory than numbers


def read_csv(
    path: Path,
    *,
    label_column: str | None = None,
    image_shape: tuple[int, int] | None = None,
    classes: int | None = None,
) -> tuple[Dataset, None]:
    """Read a table of numbers with one label column.

    The separator is a comma, semicolon or tab, whichever the first line has most of. The first line
    is a header if it holds anything that is not a number.

    Args:
        path: UTF-8 text, with or without a byte-order mark.
        label_column: 'first', 'last', a name from the header or a number counted from 1. None: the
            column that the header calls label, class, target or y, else the last.
        image_shape: (height, width), if the features are pixels.
        classes: Labels must be below it.

    Returns:
        The examples, and None: a table has no test part of its own.

    Raises:
        DataError: Lines of unequal length, cells that are no finite numbers, no such label column,
            labels that are not integers or out of range, an empty file.
        OSError: The file cannot be read.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header, table = _parse(path, file)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a table (not UTF-8 text)") from error
    except csv.Error as error:
        raise DataError(f"{path}: not a table of comma-separated values ({error})") from error
    columns = table.shape[1]
    if columns < 2:
        raise DataError(f"{path}: expected features and a label, every line has one value")
    label = _label_column(path, label_column, header, columns)
    features = np.delete(table, label, axis=1)
    names = None
    if header is not None:
        names = tuple(name for column, name in enumerate(header) if column != label)
    data = checked(
        str(path),
        path.stem,
        features,
        table[:, label],
        image_shape=image_shape,
        feature_names=names,
        classes=classes,
    )
    return data, None


def _parse(path: Path, file: Any) -> tuple[list[str] | None, NDArray[Any]]:
    first = file.readline()
    separator = max(",;\t", key=first.count)
    file.seek(0)
    reader = csv.reader(file, delimiter=separator)
    rows = ((reader.line_num, row) for row in reader if row)
    opening = next(rows, None)
    if opening is None:
        raise DataError(f"{path}: is empty")
    header = None
    if not all(_is_number(cell) for cell in opening[1]):
        header = [cell.strip() for cell in opening[1]]
    width = len(opening[1])
    blocks, block, lines = [], [], []

    def all_rows() -> Iterator[tuple[int, list[str]]]:
        if header is None:
            yield opening
        yield from rows

    for line, row in all_rows():
        if len(row) != width:
            raise DataError(
                f"{path}, line {line}: {len(row)} values, the lines before have {width}"
            )
        block.append(row)
        lines.append(line)
        if len(block) == _BLOCK:
            blocks.append(_numbers(path, block, lines, header))
            block, lines = [], []
    if block:
        blocks.append(_numbers(path, block, lines, header))
    if not blocks:
        raise DataError(f"{path}: has a header but no examples")
    return header, np.concatenate(blocks)


def _numbers(
    path: Path, block: list[list[str]], lines: list[int], header: list[str] | None
) -> NDArray[Any]:
    try:
        values = np.array(block, dtype=np.float64)
        if np.isfinite(values).all():
            return compact(values)
    except ValueError:
        pass  # the search below finds the cell
    for line, row in zip(lines, block, strict=True):
        for column, cell in enumerate(row):
            if _is_number(cell) and np.isfinite(float(cell)):
                continue
            place = f"{path}, line {line}, column {column + 1}"
            if header is not None:
                place += f" ({header[column]})"
            if not cell.strip():
                raise DataError(f"{place}: empty cell")
            shown = cell if len(cell) <= 40 else cell[:37] + "..."
            what = "not a finite number" if _is_number(cell) else "not a number"
            raise DataError(f"{place}: {shown!r} is {what}")
    raise DataError(f"{path}: lines {lines[0]} .. {lines[-1]} do not hold numbers alone")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _label_column(path: Path, wanted: str | None, header: list[str] | None, columns: int) -> int:
    if wanted is None:
        for column, name in enumerate(header or ()):
            if name.lower() in LABEL_NAMES:
                return column
        return columns - 1
    if header is not None and wanted in header:
        return header.index(wanted)
    if wanted == "first":
        return 0
    if wanted == "last":
        return columns - 1
    if wanted.isdecimal() and 1 <= int(wanted) <= columns:
        return int(wanted) - 1
    known = f"a name from the header, first, last or 1 .. {columns}"
    if header is None:
        known = f"first, last or 1 .. {columns} (the file has no header)"
    raise DataError(f"{path}: no label column {wanted!r}; expected {known}")
