"""Images made of images of digits: shifted, placed on a larger ground, bent, and two in one.

Every image is a pure function of its source, the seed, its index and the step: numbers are
Philox(seed; index, variable, step), so neither the batch nor the order in which images are asked
for matters, and a training that resumes sees what it would have seen.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from polyad.reference.hypernet import philox

__all__ = ["Pairs", "affine", "pairs", "placed", "shifted"]

# what the numbers of an image are for; no two functions share one
_SHIFT, _PLACE, _AFFINE, _PAIR = 0, 2, 4, 16


class Pairs(NamedTuple):
    """Images of two overlapping digits.

    Attributes:
        images: uint8 [B, H', W'], sums of the two, at most 255.
        parts: uint8 [B, 2, H', W'], each digit alone.
        classes: int64 [B, 2], of the two; they differ.
        sources: int64 [B, 2], of which images they were made.
    """

    images: NDArray[np.uint8]
    parts: NDArray[np.uint8]
    classes: NDArray[np.int64]
    sources: NDArray[np.int64]


def shifted(
    images: NDArray[Any],
    pixels: int = 2,
    *,
    seed: int,
    step: int = 0,
    index: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Move each image by up to some pixels in both directions, zeros coming in.

    It is all the augmentation of Sabour, Frosst and Hinton (2017).

    Args:
        images: [N, ..., H, W], of any dtype; channels move together.
        pixels: Moves are uniform over -pixels .. pixels.
        seed: 0 .. 2**64 - 1.
        step: 0 .. 2**32 - 1, such as the epoch.
        index: Integers [N], which image each is; None: 0 .. N - 1.

    Returns:
        Of the shape and dtype of ``images``.

    Raises:
        ValueError: An argument is out of range or of a wrong shape.
    """
    _require_images(images, 3)
    if pixels < 0:
        raise ValueError(f"pixels: expected at least 0, got {pixels}")
    draw = _Draw(seed, step, _checked_index(index, len(images)))
    down = draw.integers(_SHIFT, -pixels, pixels)
    right = draw.integers(_SHIFT + 1, -pixels, pixels)
    height, width = images.shape[-2:]
    planes = images.reshape(len(images), math.prod(images.shape[1:-2]), height, width)
    moved = _window(planes, -down, -right, (height, width), pixels)
    return moved.reshape(images.shape)


def placed(
    images: NDArray[Any],
    size: int = 40,
    *,
    seed: int,
    step: int = 0,
    index: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Put each image at a random place of a larger, black one, where it fits in whole.

    Args:
        images: [N, H, W].
        size: Height and width of the larger ones.
        seed: 0 .. 2**64 - 1.
        step: 0 .. 2**32 - 1.
        index: Integers [N], which image each is; None: 0 .. N - 1.

    Returns:
        [N, size, size], of the dtype of ``images``.

    Raises:
        ValueError: An argument is out of range or of a wrong shape; images larger than ``size``.
    """
    _require_images(images, 3, exactly=True)
    height, width = images.shape[1:]
    if size < max(height, width):
        raise ValueError(f"size: expected at least {max(height, width)}, got {size}")
    draw = _Draw(seed, step, _checked_index(index, len(images)))
    down = draw.integers(_PLACE, 0, size - height)
    right = draw.integers(_PLACE + 1, 0, size - width)
    return _window(images[:, None], -down, -right, (size, size), size)[:, 0]


def affine(
    images: NDArray[np.uint8],
    size: int = 40,
    *,
    rotation: float = 20.0,
    shear: float = 0.2,
    scale: tuple[float, float] = (0.8, 1.2),
    seed: int,
    step: int = 0,
    index: NDArray[Any] | None = None,
) -> NDArray[np.uint8]:
    """Turn, shear and stretch each image and put it at a random place of a larger one.

    p = R(angle) [[1, s], [0, 1]] diag(x, y) q + t

    with angle, s, x, y uniform and t uniform over where all ink stays inside (in the middle where
    it cannot); pixels are interpolated linearly. In the manner of affNIST, which is another set of
    images: figures of one are not those of the other.

    Args:
        images: uint8 [N, H, W].
        size: Height and width of the results.
        rotation: Angles are within +- this many degrees.
        shear: s is within +- this.
        scale: x and y are within these, drawn apart.
        seed: 0 .. 2**64 - 1.
        step: 0 .. 2**32 - 1.
        index: Integers [N], which image each is; None: 0 .. N - 1.

    Returns:
        uint8 [N, size, size].

    Raises:
        TypeError: Images that are not uint8.
        ValueError: An argument is out of range or of a wrong shape.
    """
    _require_images(images, 3, exactly=True)
    _require_bytes(images)
    if size < 1:
        raise ValueError(f"size: expected at least 1, got {size}")
    if not 0 <= rotation <= 180:
        raise ValueError(f"rotation: expected degrees in 0 .. 180, got {rotation}")
    if not 0 <= shear < math.inf:
        raise ValueError(f"shear: expected at least 0, got {shear}")
    if len(scale) != 2 or not 0 < scale[0] <= scale[1] < math.inf:
        raise ValueError(f"scale: expected two factors above 0, in order, got {scale}")
    count, height, width = images.shape
    draw = _Draw(seed, step, _checked_index(index, count))
    angle = np.radians(draw.between(_AFFINE, -rotation, rotation))
    slant = draw.between(_AFFINE + 1, -shear, shear)
    across, along = (draw.between(_AFFINE + k, *scale) for k in (2, 3))
    cos, sin = np.cos(angle), np.sin(angle)
    # rows of the matrix, on (x, y) from the middle of an image
    matrix = np.stack(
        [
            np.stack([cos * across, (cos * slant - sin) * along], axis=-1),
            np.stack([sin * across, (sin * slant + cos) * along], axis=-1),
        ],
        axis=1,
    )
    places = np.stack([draw.uniform(_AFFINE + 4), draw.uniform(_AFFINE + 5)], axis=-1)
    moved = _places_inside(_ink(images), matrix, size, places)
    back = np.linalg.inv(matrix)
    grid = np.stack(np.meshgrid(*[np.arange(size) - (size - 1) / 2] * 2), axis=-1)  # x, y of [y, x]
    result = np.empty((count, size, size), np.uint8)
    for begin in range(0, count, 256):  # bounds the space that coordinates take
        part = slice(begin, begin + 256)
        at = np.einsum("nij,nyxj->nyxi", back[part], grid[None] - moved[part, None, None])
        x, y = at[..., 0] + (width - 1) / 2, at[..., 1] + (height - 1) / 2
        result[part] = np.rint(_interpolated(images[part], y, x)).astype(np.uint8)
    return result


def pairs(
    images: NDArray[np.uint8],
    labels: NDArray[Any],
    *,
    index: NDArray[Any],
    seed: int,
    shift: int = 4,
) -> Pairs:
    """Lay two digits of different classes over each other: MultiMNIST of MNIST.

    Pair n is image n mod N with one drawn from those of other classes, both on a ground that is
    ``shift`` pixels larger on every side, each moved by up to ``shift`` in both directions, added
    and cut off at 255. 28 x 28 becomes 36 x 36.

    Args:
        images: uint8 [N, H, W].
        labels: Integers [N], at least 0.
        index: Integers [B], which pairs; any from 0 on.
        seed: 0 .. 2**64 - 1.
        shift: Pixels.

    Returns:
        The pairs.

    Raises:
        TypeError: Images that are not uint8, labels or indices that are not integers.
        ValueError: An argument is out of range or of a wrong shape; all images are of one class.

    Source: Sabour, Frosst and Hinton, Dynamic Routing Between Capsules (2017), section 6.
    """
    _require_images(images, 3, exactly=True)
    _require_bytes(images)
    if shift < 0:
        raise ValueError(f"shift: expected at least 0, got {shift}")
    if labels.dtype.kind not in "ui":
        raise TypeError(f"labels: expected integers, got {labels.dtype}")
    if labels.shape != (len(images),):
        raise ValueError(f"labels: expected [N] = [{len(images)}], got {list(labels.shape)}")
    if labels.size and labels.min() < 0:
        raise ValueError(f"labels: expected at least 0, got {labels.min()}")
    counts = np.bincount(labels)
    if (counts > 0).sum() < 2:
        raise ValueError(f"labels: expected at least 2 classes, got {(counts > 0).sum()}")
    index = _checked_index(index, None)
    draw = _Draw(seed, 0, index)
    first = index % len(images)
    # all images but those of the first's class, as if they stood in one row
    by_class = np.argsort(labels, kind="stable")
    own = labels[first].astype(np.int64)
    rank = np.floor(draw.uniform(_PAIR) * (len(images) - counts[own])).astype(np.int64)
    rank += np.where(rank >= (np.cumsum(counts) - counts)[own], counts[own], 0)
    sources = np.stack([first, by_class[rank]], axis=1)
    height, width = images.shape[1] + 2 * shift, images.shape[2] + 2 * shift
    parts = np.stack(
        [
            _window(
                images[sources[:, k], None],
                -draw.integers(_PAIR + 1 + 2 * k, 0, 2 * shift),
                -draw.integers(_PAIR + 2 + 2 * k, 0, 2 * shift),
                (height, width),
                2 * shift,
            )[:, 0]
            for k in range(2)
        ],
        axis=1,
    )
    total = parts.astype(np.uint16).sum(axis=1)
    return Pairs(
        np.minimum(total, 255).astype(np.uint8), parts, labels[sources].astype(np.int64), sources
    )


class _Draw:
    """Numbers of the images with the given indices."""

    def __init__(self, seed: int, step: int, index: NDArray[np.int64]) -> None:
        for name, value, bits in (("seed", seed, 64), ("step", step, 32)):
            if not 0 <= value < 1 << bits:
                raise ValueError(f"{name}: expected 0 .. 2**{bits} - 1, got {value}")
        self._seed, self._step, self._index = seed, step, index

    def uniform(self, variable: int) -> NDArray[np.float64]:
        """In (0, 1)."""
        words = philox(self._seed, self._index, variable, self._step)
        return (words + 0.5) * 2.0**-32

    def between(self, variable: int, low: float, high: float) -> NDArray[np.float64]:
        return low + (high - low) * self.uniform(variable)

    def integers(self, variable: int, low: int, high: int) -> NDArray[np.int64]:
        """Both ends belong to the range."""
        return low + np.floor(self.uniform(variable) * (high - low + 1)).astype(np.int64)


def _window(
    planes: NDArray[Any],
    top: NDArray[np.int64],
    left: NDArray[np.int64],
    size: tuple[int, int],
    most: int,
) -> NDArray[Any]:
    """[N, C, *size] of [N, C, H, W] from row ``top`` and column ``left`` on, zero outside.

    The window lies at most ``most`` outside on every side.
    """
    if not len(planes):
        return np.zeros((0, planes.shape[1], *size), planes.dtype)
    padded = np.pad(planes, ((0, 0), (0, 0), (most, most), (most, most)))
    rows = top[:, None] + most + np.arange(size[0])
    columns = left[:, None] + most + np.arange(size[1])
    which = np.arange(len(planes))[:, None, None]
    result: NDArray[Any] = np.moveaxis(
        padded.transpose(0, 2, 3, 1)[which, rows[:, :, None], columns[:, None, :]], -1, 1
    )
    return np.ascontiguousarray(result)


def _ink(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """[N, 4, 2]: corners of what is not black as (x, y) from the middle; of all where all is."""
    _, height, width = images.shape
    sides = []
    for axis, length in ((1, width), (2, height)):  # columns, then rows
        seen: NDArray[np.bool_] = np.any(images > 0, axis=axis)
        seen |= ~np.any(seen, axis=1)[:, None]
        low = seen.argmax(axis=1)
        high = length - seen[:, ::-1].argmax(axis=1)
        sides.append((low - length / 2, high - length / 2))
    (left, right), (top, bottom) = sides
    corners = [(x, y) for x in (left, right) for y in (top, bottom)]
    return np.stack([np.stack(corner, axis=-1) for corner in corners], axis=1)


def _places_inside(
    corners: NDArray[np.float64],
    matrix: NDArray[np.float64],
    size: int,
    uniform: NDArray[np.float64],
) -> NDArray[np.float64]:
    """[N, 2]: uniform shifts that keep the corners inside, or the one that centres them."""
    turned: NDArray[np.float64] = np.einsum("nij,ncj->nci", matrix, corners)
    low, high = -size / 2 - turned.min(axis=1), size / 2 - turned.max(axis=1)
    places: NDArray[np.float64] = np.where(
        low <= high, low + (high - low) * uniform, (low + high) / 2
    )
    return places


def _interpolated(
    images: NDArray[np.uint8], y: NDArray[np.float64], x: NDArray[np.float64]
) -> NDArray[np.float64]:
    """[N, ...]: values of images [N, H, W] at (y, x), linear between pixels, zero outside."""
    _, height, width = images.shape
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1))).astype(np.float64)
    y, x = np.clip(y + 1, 0, height + 1), np.clip(x + 1, 0, width + 1)
    top = np.minimum(np.floor(y).astype(np.int64), height)
    left = np.minimum(np.floor(x).astype(np.int64), width)
    down, right = y - top, x - left
    which = np.arange(len(images))[:, None, None]
    above = padded[which, top, left] * (1 - right) + padded[which, top, left + 1] * right
    below = padded[which, top + 1, left] * (1 - right) + padded[which, top + 1, left + 1] * right
    result: NDArray[np.float64] = above * (1 - down) + below * down
    return result


def _require_images(images: NDArray[Any], least: int, *, exactly: bool = False) -> None:
    if images.ndim < least or (exactly and images.ndim != least):
        expected = "[N, H, W]" if exactly else "[N, ..., H, W]"
        raise ValueError(f"images: expected {expected}, got {list(images.shape)}")


def _require_bytes(images: NDArray[Any]) -> None:
    if images.dtype != np.uint8:
        raise TypeError(f"images: expected uint8, got {images.dtype}")


def _checked_index(index: NDArray[Any] | None, count: int | None) -> NDArray[np.int64]:
    if index is None:
        return np.arange(count or 0, dtype=np.int64)
    index = np.asarray(index)
    if index.dtype.kind not in "ui" and index.size:
        raise TypeError(f"index: expected integers, got {index.dtype}")
    if index.ndim != 1 or (count is not None and len(index) != count):
        raise ValueError(
            f"index: expected [{'B' if count is None else count}], got {list(index.shape)}"
        )
    if index.size and index.min() < 0:
        raise ValueError(f"index: expected at least 0, got {index.min()}")
    return index.astype(np.int64)
