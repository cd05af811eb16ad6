"""numpy's .npz archives as data."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyad.data.dataset import DataError, Dataset, checked

_NAMES = (
    (("x_train", "y_train"), ("x_test", "y_test")),
    (("X_train", "y_train"), ("X_test", "y_test")),
    (("X", "y"), None),
    (("x", "y"), None),
)

_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, KeyError, OSError, RuntimeError)
"""What zipfile and numpy raise for an archive whose bytes are not what they should be."""


def read_npz(
    path: Path,
    *,
    image_shape: tuple[int, int] | None = None,
    classes: int | None = None,
    **_: Any,
) -> tuple[Dataset, Dataset | None]:
    """Read arrays X, y or x_train, y_train (and x_test, y_test).

    X is [N, I] or, for pictures, [N, height, width]; y holds integers [N]. An optional array
    ``feature_names`` names the I features. Arrays of Python objects, which numpy would unpickle,
    are refused: a pickle can run any program.

    Args:
        path: The archive.
        image_shape: (height, width) of pictures given as [N, I].
        classes: Labels must be below it.

    Returns:
        The training examples, and the test examples if the archive has them.

    Raises:
        DataError: Not such an archive; see `polyad.data.dataset.checked` for values.
        OSError: The file cannot be read.
    """
    names, arrays = _arrays(path)
    train, test = next((pair for pair in _NAMES if arrays.keys() >= set(pair[0])), (None, None))
    if train is None:
        raise DataError(
            f"{path}: expected arrays X and y, or x_train and y_train (and x_test, y_test); "
            f"it holds {', '.join(names) or 'nothing'}"
        )
    named = arrays.get("feature_names")
    feature_names = None if named is None else tuple(str(name) for name in named.ravel())

    def dataset(pair: tuple[str, str]) -> Dataset:
        made = checked(
            f"{path} ({pair[0]}, {pair[1]})",
            path.stem,
            arrays[pair[0]],
            arrays[pair[1]],
            image_shape=image_shape,
            feature_names=feature_names,
            classes=classes,
        )
        if feature_names is not None and len(feature_names) != made.X.shape[1]:
            raise DataError(
                f"{path}: {len(feature_names)} feature_names for {made.X.shape[1]} features"
            )
        return made

    present = [name for name in test or () if name in arrays]
    if test is None or not present:
        return dataset(train), None
    if len(present) == 1:
        missing = test[1] if present[0] == test[0] else test[0]
        raise DataError(f"{path}: has {present[0]} but not {missing}")
    first, second = dataset(train), dataset(test)
    if first.X.shape[1] != second.X.shape[1]:
        raise DataError(
            f"{path}: {train[0]} has {first.X.shape[1]} features, {test[0]} {second.X.shape[1]}"
        )
    return first, second


def _arrays(path: Path) -> tuple[list[str], dict[str, NDArray[Any]]]:
    """The names of all arrays in an archive, and those that can be meant."""
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path}: not an .npz archive (or one cut short)")
    wanted = {name for pair in _NAMES for names in pair if names for name in names}
    with path.open("rb") as file:
        try:
            with np.load(file, allow_pickle=False) as archive:
                known = {n: archive[n] for n in archive.files if n in wanted | {"feature_names"}}
                return sorted(archive.files), known
        except ValueError as error:
            if "allow_pickle" in str(error) or "Object arrays" in str(error):
                raise DataError(
                    f"{path}: holds arrays of Python objects (pickles), which are refused; "
                    "save plain numbers"
                ) from error
            raise DataError(f"{path}: damaged .npz archive ({error})") from error
        except _DAMAGED as error:
            raise DataError(f"{path}: damaged .npz archive ({error})") from error
