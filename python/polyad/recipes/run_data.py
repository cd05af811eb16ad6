"""The data of a run: how settings.json describes it, and how it is found again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from polyad import data as sources
from polyad.data import Split
from polyad.run import Run, RunError

__all__ = ["described", "load_data"]


def described(
    split: Split,
    source: str,
    *,
    test: str | None = None,
    label_column: str | None = None,
    image_shape: tuple[int, int] | None = None,
    classes: int | None = None,
) -> dict[str, Any]:
    """Return what settings.json says under 'data'; the arguments are those of `polyad.data.load`.

    Args:
        split: What they gave.
        source: A name or path; paths are kept so that they can be found from another folder.
        test: Where test examples are.
        label_column: The label column of a table.
        image_shape: (height, width) of pixels.
        classes: Labels must be below it.
    """
    return {
        "source": _lasting(source),
        "test": None if test is None else _lasting(test),
        "label_column": label_column,
        "image_shape": image_shape,
        "classes": classes,
        "fingerprint": split.train.fingerprint(),
    }


def _lasting(source: str) -> str:
    """A source as it can be found from another folder as well."""
    path = Path(source)
    return str(path.absolute()) if path.exists() else source


def load_data(run: Run) -> Split:
    """Load the data that ``run`` was trained on.

    Raises:
        RunError: The data is not what it was.
        DataError: It cannot be read any more.
    """
    kept = run.setting("data", dict)
    try:
        options = {name: kept[name] for name in ("source", "test", "label_column", "classes")}
        shape, fingerprint = kept["image_shape"], kept["fingerprint"]
        if not isinstance(options["source"], str):
            raise TypeError("source")
        if not all(isinstance(options[name], str | None) for name in ("test", "label_column")):
            raise TypeError("test, label_column")
    except (KeyError, TypeError) as error:
        raise RunError(f"{run.file('settings.json')}: damaged (data)") from error
    split = sources.load(**options, image_shape=None if shape is None else tuple(shape))
    if split.train.fingerprint() != fingerprint:
        raise RunError(
            f"{options['source']}: has changed since {run.path} was trained; train again, "
            f"or measure with 'polyad evaluate {run.path} --data ...'"
        )
    return split
