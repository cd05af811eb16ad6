"""Reading and writing the memory of a Neural Turing Machine: `polyad.ops.ntm` gives these names."""

from __future__ import annotations

from polyad._arrays import Array
from polyad.ops._ntm_piece import Piece

_read = Piece("read", ("memory", "weights"), "B H M")
_write = Piece("write", ("memory", "weights", "erase", "add"), "B N M")


def read(memory: Array, weights: Array) -> Array:
    """Read the weighted sum of the rows; differentiable in both arrays.

    r_h = sum_i w_hi M_i

    Args:
        memory: [B, N, M], float32 or float64; on CUDA also float16 and bfloat16, computed in
            float32. Under autocast half types are taken as float32.
        weights: [B, H, N].

    Returns:
        [B, H, M].

    Raises:
        TypeError: A wrong kind or dtype.
        ValueError: A wrong shape or device; values that are not finite.
        NotImplementedError: A second derivative is asked for.

    Source: Graves, Wayne, Danihelka, Neural Turing Machines, 2014, equation 2.

    >>> import numpy as np
    >>> read(np.array([[[1.0, 2.0], [3.0, 4.0]]]), np.array([[[0.5, 0.5]]]))
    array([[[2., 3.]]])
    """
    return _read(memory, weights)


def write(memory: Array, weights: Array, erase: Array, add: Array) -> Array:
    """Write with several heads: all erases, then all adds; differentiable in all arrays.

    M'_i = M_i o prod_h (1 - w_hi e_h) + sum_h w_hi a_h

    Args:
        memory: [B, N, M], float32 or float64; on CUDA also float16 and bfloat16, computed in
            float32. Under autocast half types are taken as float32.
        weights: [B, H, N], H at most 16.
        erase: [B, H, M]; the paper's lie in (0, 1).
        add: [B, H, M].

    Returns:
        [B, N, M], the memory after the step; ``memory`` is left as it is.

    Raises:
        TypeError: A wrong kind or dtype.
        ValueError: A wrong shape or device; more than 16 heads; values that are not finite.
        NotImplementedError: A second derivative is asked for.

    Source: Graves et al., 2014, equations 3 and 4.

    >>> import numpy as np
    >>> memory, ones = np.full((1, 2, 2), 5.0), np.ones((1, 1, 2))
    >>> write(memory, np.array([[[1.0, 0.0]]]), ones, 2 * ones)
    array([[[2., 2.],
            [5., 5.]]])
    """
    return _write(memory, weights, erase, add)
