"""Checks of images that CapsNet and the networks beside it share."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from polyad._arrays import require_int


def checked_sizes(image_size: Any, channels: Any, classes: Any) -> tuple[tuple[int, int], int, int]:
    """The three as integers of Python: (height, width), channels, classes."""
    try:
        height, width = image_size
    except (TypeError, ValueError):
        raise TypeError(f"image_size: expected (height, width), got {image_size!r}") from None
    size = require_int("image_size[0]", height, 1), require_int("image_size[1]", width, 1)
    return size, require_int("channels", channels, 1), require_int("classes", classes, 1)


def require_images(images: Tensor, channels: int, image_size: tuple[int, int]) -> None:
    """Raise unless ``images`` are [B, C, H, W] of these sizes and of a floating dtype."""
    height, width = image_size
    if images.dim() != 4 or images.shape[1:] != (channels, height, width):
        raise ValueError(
            f"images: expected [B, C, H, W] = [B, {channels}, {height}, {width}], "
            f"got {list(images.shape)}"
        )
    if not images.is_floating_point():
        raise TypeError(f"images: expected numbers in 0 .. 1, got {images.dtype}")
