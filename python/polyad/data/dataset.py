"""Labelled examples with what is known about them, and the checks that all readers share."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LABEL_LIMIT = 10_000
"""Labels are below this: a larger one means that the wrong column was taken for the labels."""


class DataError(ValueError):
    """A data source that cannot be used; the message names the source and the place in it."""


@dataclass(frozen=True)
class Dataset:
    """N examples of I features with one class each.

    Attributes:
        name: What the examples are called in tables and pictures.
        X: [N, I]; uint8 where every value is an integer within 0 .. 255, else float64.
        y: int64 [N], the classes, at least 0.
        image_shape: (height, width) with height * width = I, or None: not pictures.
        feature_names: I names, or None.
    """

    name: str
    X: NDArray[Any]
    y: NDArray[np.int64]
    image_shape: tuple[int, int] | None = None
    feature_names: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.y)

    def take(self, ids: NDArray[np.int64]) -> Dataset:
        """Return the examples with the given ids, in that order."""
        return Dataset(self.name, self.X[ids], self.y[ids], self.image_shape, self.feature_names)

    def fingerprint(self) -> str:
        """Return a hash of X and y, by which a run recognises the data it was trained on."""
        digest = hashlib.sha256(f"{self.X.dtype} {self.X.shape}".encode())
        digest.update(np.ascontiguousarray(self.X).data)
        digest.update(np.ascontiguousarray(self.y).data)
        return digest.hexdigest()[:32]


@dataclass(frozen=True)
class Split:
    """Examples to train on and examples to test on.

    Attributes:
        train: What a model may see.
        test: What it is measured on.
        how: One sentence: where the test examples come from.
    """

    train: Dataset
    test: Dataset
    how: str


def checked(
    source: str,
    name: str,
    X: NDArray[Any],
    y: NDArray[Any],
    *,
    image_shape: tuple[int, int] | None = None,
    feature_names: tuple[str, ...] | None = None,
    classes: int | None = None,
) -> Dataset:
    """Make a dataset of two arrays after checking every value.

    Args:
        source: What error messages begin with, usually a path.
        name: The name of the dataset.
        X: Numbers [N, I], or pictures [N, height, width].
        y: Integers [N].
        image_shape: (height, width), where X is [N, I] and known to be pictures.
        feature_names: Names of the I features.
        classes: Labels must be below it; None: below `LABEL_LIMIT`.

    Returns:
        The dataset.

    Raises:
        DataError: Shapes that disagree, no example, values that are not finite numbers, labels that
            are not integers or out of range.
    """
    if X.dtype.kind not in "buif":
        raise DataError(f"{source}: X must hold numbers, it holds {X.dtype}")
    if X.ndim == 3:
        image_shape = (X.shape[1], X.shape[2])
        X = X.reshape(len(X), -1)
    if X.ndim != 2:
        raise DataError(f"{source}: X must be [N, I] or [N, height, width], it is {list(X.shape)}")
    if y.ndim != 1 or len(y) != len(X):
        raise DataError(f"{source}: X has {len(X)} examples, y has shape {list(y.shape)}")
    if X.size == 0:
        raise DataError(f"{source}: holds no examples (X is {list(X.shape)})")
    if image_shape is not None and image_shape[0] * image_shape[1] != X.shape[1]:
        height, width = image_shape
        raise DataError(
            f"{source}: pictures of {height} x {width} have {height * width} pixels, "
            f"the examples have {X.shape[1]} features"
        )
    if X.dtype.kind == "f" and not np.isfinite(X).all():
        row, column = np.argwhere(~np.isfinite(X))[0]
        raise DataError(f"{source}: X[{row}, {column}] is {X[row, column]}, not a finite number")
    return Dataset(
        name, compact(X), _checked_labels(source, y, classes), image_shape, feature_names
    )


def compact(X: NDArray[Any]) -> NDArray[Any]:
    """``X`` as uint8 where that changes no value, else as float64."""
    if X.dtype == np.uint8:
        return X
    if X.dtype == bool:
        return X.astype(np.uint8)
    small = X.min() >= 0 and X.max() <= 255
    if small and (X.dtype.kind in "ui" or np.array_equal(X, np.floor(X))):
        return X.astype(np.uint8)
    return X.astype(np.float64)


def _checked_labels(source: str, y: NDArray[Any], classes: int | None) -> NDArray[np.int64]:
    if y.dtype.kind not in "buif":
        raise DataError(f"{source}: labels must be integers, they are {y.dtype}")
    if y.dtype.kind == "f":
        wrong = ~np.isfinite(y) | (y != np.floor(y))
        if wrong.any():
            row = int(np.argmax(wrong))
            raise DataError(f"{source}: labels must be integers, example {row + 1} has {y[row]:g}")
    limit = LABEL_LIMIT if classes is None else classes
    wrong = (y < 0) | (y >= limit)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"{source}: labels must be within 0 .. {limit - 1}, example {row + 1} has {int(y[row])}"
        )
    return y.astype(np.int64)


def thirds(data: Dataset) -> Split:
    """Split every class by a fixed shuffle: two thirds to train on, one third to test on.

    The shuffle is the order of the raw words of PCG64(0), which numpy keeps stable, so the split of
    a file is the same on every machine and for every version. Of every class the first, second,
    fourth, fifth ... example of the shuffle are for training: each class has at least one.

    Args:
        data: All examples.

    Returns:
        The two parts; inside each the order of ``data`` is kept.

    Raises:
        DataError: No class has three examples, so nothing is left to test on.
    """
    shuffled = np.argsort(np.random.PCG64(0).random_raw(len(data)), kind="stable")
    by_class = shuffled[np.argsort(data.y[shuffled], kind="stable")]
    sizes = np.bincount(data.y)
    rank = np.arange(len(data)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    tested = np.zeros(len(data), bool)
    tested[by_class[rank % 3 == 2]] = True
    if not tested.any():
        raise DataError(
            f"{data.name}: {len(data)} examples are too few to hold out a third of every class"
        )
    return Split(
        data.take(np.flatnonzero(~tested)),
        data.take(np.flatnonzero(tested)),
        "a fixed third of the examples of every class",
    )
