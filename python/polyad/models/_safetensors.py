"""A torch model in one safetensors file: its state, and in the header what makes it again."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from polyad._files import written_whole

Model = TypeVar("Model", bound=nn.Module)


def save(
    model: nn.Module,
    path: str | os.PathLike[str],
    *,
    kind: str,
    format_version: int,
    settings: dict[str, Any],
) -> None:
    """Write a model to ``path``; the file appears whole or not at all.

    Args:
        model: Its state_dict is written.
        path: Where to.
        kind: What `load` will ask for, such as 'polyad.models.NTM'.
        format_version: Of what the tensors and settings mean.
        settings: What makes a model of that shape; written as json.

    Raises:
        ImportError: safetensors is missing.
    """
    safetensors = _safetensors(kind)
    tensors = {
        name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()
    }
    metadata = {
        "format_version": str(format_version),
        "kind": kind,
        "settings": json.dumps(settings),
    }
    with written_whole(Path(path)) as temporary:
        # not save_file, whose files only their owner may read
        temporary.write_bytes(safetensors.torch.save(tensors, metadata))


def load(
    make: Callable[..., Model],
    path: str | os.PathLike[str],
    *,
    kind: str,
    format_version: int,
) -> Model:
    """Read what `save` wrote.

    Args:
        make: Takes the settings as keywords and returns a model of that shape.
        path: Where from.
        kind: What the file must hold.
        format_version: The newest that can be read.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no such model, is damaged, or of a newer format.
        ImportError: safetensors is missing.
    """
    safetensors = _safetensors(kind)
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("kind") != kind:
                raise ValueError(f"it holds {metadata.get('kind')}")
            if int(metadata["format_version"]) > format_version:
                raise ValueError(
                    f"format_version {metadata['format_version']} is newer than "
                    f"{format_version}, the newest that this polyad reads"
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        model = make(**json.loads(metadata["settings"]))
        model.load_state_dict(tensors)
    except (
        KeyError,
        TypeError,
        ValueError,
        RuntimeError,
        safetensors.SafetensorError,
    ) as error:
        name = kind.rsplit(".", 1)[1]
        raise ValueError(f"{path}: expected a file that {name}.save wrote: {error}") from error
    return model


def _safetensors(kind: str) -> Any:
    try:
        import safetensors
        import safetensors.torch
    except ImportError as error:
        raise ImportError(
            f"files of {kind} need safetensors: pip install 'polyad[train]'"
        ) from error
    return safetensors
