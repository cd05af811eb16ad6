"""Data by name or path: `load` for training, `load_test` for measuring."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from polyad.data.csv_table import read_csv
from polyad.data.dataset import DataError, Dataset, Split, thirds
from polyad.data.idx import read_idx_folder
from polyad.data.npz import read_npz


def digits() -> Split:
    """Return scikit-learn's handwritten digits in fixed thirds.

    1,797 pictures of 8 x 8 pixels with values 0 .. 16. They are, row for row, the test file of the
    optdigits data: nothing measured on this split can be compared with optdigits figures.

    Raises:
        ImportError: scikit-learn is missing.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError(
            "the data 'digits' comes with scikit-learn, which is missing: "
            "pip install 'polyad[demo]'"
        ) from error
    bunch = load_digits()
    data = Dataset(
        "digits", bunch.data.astype(np.uint8), bunch.target.astype(np.int64), image_shape=(8, 8)
    )
    return thirds(data)


NAMED: dict[str, Callable[[], Split]] = {"digits": digits}
"""Data that an installed package brings along, by name."""


def load(
    source: str | os.PathLike[str],
    *,
    test: str | os.PathLike[str] | None = None,
    label_column: str | None = None,
    image_shape: tuple[int, int] | None = None,
    classes: int | None = None,
) -> Split:
    """Load examples to train on and examples to test on.

    Args:
        source: A name in `NAMED`, or the path of an .npz archive, a .csv table (also any other
            text, such as optdigits.tra) or a folder of MNIST-style idx files.
        test: Where the test examples are, as a path of the same kinds. None: those that come with
            the source, else a fixed third of every class.
        label_column: Of a table; see `polyad.data.csv_table.read_csv`.
        image_shape: (height, width), where a table's or archive's features are pixels.
        classes: Labels must be below it.

    Returns:
        The two parts.

    Raises:
        DataError: The source or a value in it cannot be used; one line that says where.
        OSError: A file cannot be read.
        ImportError: The named data needs a package that is missing.
    """
    options: dict[str, Any] = {
        "label_column": label_column,
        "image_shape": image_shape,
        "classes": classes,
    }
    named = _named(source)
    train, own_test = (named.train, named.test) if named else _read(Path(source), **options)
    if test is not None:
        held_out = load_test(test, **options)
        if held_out.X.shape[1] != train.X.shape[1]:
            raise DataError(
                f"{os.fspath(test)}: {held_out.X.shape[1]} features, "
                f"{os.fspath(source)} has {train.X.shape[1]}"
            )
        return Split(train, held_out, f"{held_out.name}, given apart")
    if named is not None:
        return named
    if own_test is not None:
        return Split(train, own_test, "the test examples that come with the data")
    return thirds(train)


def load_test(
    source: str | os.PathLike[str],
    *,
    label_column: str | None = None,
    image_shape: tuple[int, int] | None = None,
    classes: int | None = None,
) -> Dataset:
    """Load examples to measure on: the test part of a source that has one, else all of it.

    Args and errors are those of `load`.
    """
    given = _named(source)
    if given is not None:
        return given.test
    first, second = _read(
        Path(source), label_column=label_column, image_shape=image_shape, classes=classes
    )
    return first if second is None else second


def _named(source: str | os.PathLike[str]) -> Split | None:
    """The named data, unless a file or folder of that name is there to be meant instead."""
    name = os.fspath(source)
    if name in NAMED and not Path(name).exists():
        return NAMED[name]()
    return None


def _read(path: Path, **options: Any) -> tuple[Dataset, Dataset | None]:
    if path.is_dir():
        return read_idx_folder(path, **options)
    if not path.exists():
        near = difflib.get_close_matches(str(path), NAMED, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise DataError(
            f"{path}: no such file or folder, nor a name of data ({', '.join(NAMED)}){hint}"
        )
    if path.suffix == ".npz":
        return read_npz(path, **options)
    if path.name.endswith(("-ubyte", "-ubyte.gz")):
        raise DataError(f"{path}: is one file of several; name the folder that holds them")
    if path.suffix in (".gz", ".zip", ".xz", ".bz2", ".parquet", ".npy", ".pkl", ".h5"):
        raise DataError(
            f"{path}: cannot read {path.suffix}; expected .npz, .csv or a folder of idx files"
        )
    return read_csv(path, **options)
