"""Binary batches packed once: one bit per sample and variable."""

from __future__ import annotations

from typing import Any

from polyad import _arrays as arrays
from polyad import _backend
from polyad._arrays import Array
from polyad._register import Op


def _pack(x: Array) -> tuple[Array, Array]:
    samples, variables = x.shape
    x = arrays.contiguous(x)
    width = _backend.cpu.hypernet_plane_width(samples)
    tiles = -(-samples // (64 * width))
    words = arrays.empty(x, (tiles, variables, width), "int64")
    status = arrays.empty(x, (1,), "int32")
    arrays.run("hypernet_pack", x, x, samples, variables, width, words, status)
    return words, status


def _pack_fake(x: Any) -> tuple[Any, Any]:
    import torch

    samples, variables = x.shape
    width = _plane_width(samples)
    tiles = (samples + 64 * width - 1) // (64 * width)
    return (
        x.new_empty((tiles, variables, width), dtype=torch.int64),
        x.new_empty((1,), dtype=torch.int32),
    )


def _plane_width(samples: Any) -> int:
    """csrc/hypernet/planes.hpp `plane_width`, for symbolic sizes."""
    width = 1
    while width < 8 and 64 * width < samples:
        width *= 2
    return width


def _unpack(words: Array, samples: int) -> Array:
    words = arrays.contiguous(words)
    variables, width = words.shape[1], words.shape[2]
    x = arrays.empty(words, (samples, variables), "uint8")
    arrays.run("hypernet_unpack", words, words, samples, variables, width, x)
    return x


def _unpack_fake(words: Any, samples: Any) -> Any:
    import torch

    return words.new_empty((samples, words.shape[1]), dtype=torch.uint8)


pack_op = Op("hypernet_pack(Tensor x) -> (Tensor, Tensor)", _pack, _pack_fake)
unpack_op = Op("hypernet_unpack(Tensor words, int samples) -> Tensor", _unpack, _unpack_fake)


class BitPlanes:
    """A binary batch of N samples over I variables, one bit each.

    Ops of the hypernet take a batch packed or not; packing pays for a batch that is used again.

    ``words[t, j, w]`` holds, as bit s, variable j of sample 64 (t W + w) + s. W is 1, 2, 4 or 8:
    the least that holds the batch in one tile of 64 W samples, at most 8.

    Attributes:
        words: int64 [tiles, I, W], numpy or torch.
        samples: N.
        variables: I.
    """

    __slots__ = ("samples", "variables", "words")

    def __init__(self, words: Array, samples: int, variables: int) -> None:
        """Wrap packed words; `BitPlanes.pack` makes them.

        Raises:
            TypeError: ``words`` is no array, or not int64.
            ValueError: The shape of ``words`` does not fit ``samples`` and ``variables``.
        """
        arrays.require_array("words", words)
        arrays.require_dtype("words", words, ["int64"])
        width = _plane_width(samples)
        tiles = (samples + 64 * width - 1) // (64 * width)
        arrays.require_shape("words", words, "tiles I W", [tiles, variables, width])
        self.words = words
        self.samples = samples
        self.variables = variables

    @classmethod
    def pack(cls, x: Array) -> BitPlanes:
        """Pack a binary batch.

        Args:
            x: bool or uint8 [N, I] with values 0 and 1.

        Returns:
            The packed batch, on the device of ``x``.

        Raises:
            TypeError: ``x`` is no array, or neither bool nor uint8.
            ValueError: ``x`` is not [N, I], or holds a value other than 0 and 1 (checked for CPU
                arrays in eager mode; elsewhere any value but 0 counts as 1).
        """
        arrays.require_array("x", x)
        arrays.require_dtype("x", x, ["bool", "uint8"])
        arrays.require_shape("x", x, "N I", [None, None])
        words, status = pack_op(x)
        if arrays.dtype_name(x) == "uint8" and arrays.checks_values(x):
            bad = int(status[0])
            if bad:
                row = arrays.to_numpy(x[bad - 1])
                raise ValueError(
                    f"x: expected values 0 and 1, got {row[row > 1][0]} in row {bad - 1}"
                )
        return cls(words, x.shape[0], x.shape[1])

    def unpack(self) -> Array:
        """Return the batch as uint8 [N, I] with values 0 and 1."""
        return unpack_op(self.words, self.samples)

    def numpy(self) -> BitPlanes:
        """Return the batch with a numpy array underneath."""
        return BitPlanes(arrays.to_numpy(self.words), self.samples, self.variables)

    def to(self, device: Any) -> BitPlanes:
        """Return the batch as a torch tensor on ``device``."""
        import torch

        words = torch.as_tensor(self.words).to(device)
        return BitPlanes(words, self.samples, self.variables)

    def __len__(self) -> int:
        return self.samples

    def __repr__(self) -> str:
        return f"BitPlanes(samples={self.samples}, variables={self.variables})"
