"""The idx format of MNIST and its relatives: big-endian sizes, then bytes; plain or gzipped."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyad.data.dataset import DataError, Dataset, checked

_UNSIGNED_BYTE = 0x08


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Read one idx file of unsigned bytes.

    Args:
        path: The file; gzipped if its name ends in .gz.
        dimensions: How many the file must have: 3 for pictures, 1 for labels.

    Returns:
        uint8, of the shape that the file's header states.

    Raises:
        DataError: Not an idx file of that kind, or shorter or longer than its header says.
        OSError: The file cannot be read.
    """
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rb") as file:
            content = file.read()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: damaged or truncated gzip file ({error})") from error
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise DataError(f"{path}: truncated: {len(content)} bytes, an idx header has {header}")
    expected = bytes([0, 0, _UNSIGNED_BYTE, dimensions])
    if content[:4] != expected:
        raise DataError(
            f"{path}: wrong magic number 0x{content[:4].hex()}, expected 0x{expected.hex()} "
            f"(unsigned bytes, {dimensions} dimension{'s' if dimensions > 1 else ''})"
        )
    shape = [int(n) for n in np.frombuffer(content, ">u4", dimensions, 4)]
    size = 1
    for n in shape:
        size *= n
    if len(content) - header != size:
        verb = "truncated" if len(content) - header < size else "too long"
        raise DataError(
            f"{path}: {verb}: the header promises {' x '.join(map(str, shape))} = {size} bytes, "
            f"{len(content) - header} follow"
        )
    return np.frombuffer(content, np.uint8, size, header).reshape(shape)


def read_idx_folder(
    folder: Path, *, classes: int | None = None, **_: Any
) -> tuple[Dataset, Dataset | None]:
    """Read a folder with MNIST's file names: train-images-idx3-ubyte[.gz] and so on.

    Args:
        folder: Holds the pictures and labels of 'train' and, optionally, of 't10k'.
        classes: Labels must be below it.

    Returns:
        The training examples, and the test examples if they are there.

    Raises:
        DataError: A file is missing, damaged, or does not fit its partner.
        OSError: A file cannot be read.
    """
    train = _read_part(folder, "train", classes)
    if train is None:
        raise DataError(
            f"{folder}: expected train-images-idx3-ubyte and train-labels-idx1-ubyte "
            "(plain or .gz) in this folder, found neither"
        )
    test = _read_part(folder, "t10k", classes)
    if test is not None and test.image_shape != train.image_shape:
        raise DataError(
            f"{folder}: pictures of {train.image_shape} for training, {test.image_shape} for tests"
        )
    return train, test


def _read_part(folder: Path, part: str, classes: int | None) -> Dataset | None:
    images = _find(folder, f"{part}-images", 3)
    labels = _find(folder, f"{part}-labels", 1)
    if images is None and labels is None:
        return None
    if images is None or labels is None:
        found = labels if images is None else images
        missing = f"{part}-images-idx3-ubyte" if images is None else f"{part}-labels-idx1-ubyte"
        raise DataError(f"{folder}: has {found.name if found else ''} but not {missing}[.gz]")
    X, y = read_idx(images, 3), read_idx(labels, 1)
    if len(X) != len(y):
        raise DataError(
            f"{folder}: {images.name} holds {len(X)} pictures, {labels.name} {len(y)} labels"
        )
    return checked(str(images), folder.resolve().name, X, y, classes=classes)


def _find(folder: Path, stem: str, dimensions: int) -> Path | None:
    for separator in "-.":  # both spellings are in circulation
        for ending in ("", ".gz"):
            path = folder / f"{stem}{separator}idx{dimensions}-ubyte{ending}"
            if path.is_file():
                return path
    return None
