"""Where the heads of a Neural Turing Machine look: `polyad.ops.ntm` gives these names."""

from __future__ import annotations

from polyad._arrays import Array
from polyad.ops._ntm_piece import Piece

_content = Piece("content", ("memory", "key", "beta"), "B H N", cosine=True)
_interpolate = Piece("interpolate", ("content", "previous", "gate"), "B H N")
_shift = Piece("shift", ("weights", "kernel"), "B H N")
_sharpen = Piece("sharpen", ("weights", "gamma"), "B H N")
_addressing = Piece(
    "addressing",
    ("memory", "previous", "key", "beta", "gate", "kernel", "gamma"),
    "B H N",
    cosine=True,
)


def content(
    memory: Array, key: Array, beta: Array, *, epsilon: float = 1e-6, similarity: str = "root"
) -> Array:
    """Find the rows that are like a key; differentiable in all arrays.

    w = softmax(beta c) over rows, with the cosine similarity

    c_i = M_i . k / sqrt((|M_i|^2 + eps) (|k|^2 + eps))      ('root')
    c_i = M_i . k / (|M_i| |k| + eps)                        ('sum')

    Values and gradients are finite for a zero memory, a zero key and any beta.

    Args:
        memory: [B, N, M], float32 or float64; on CUDA also float16 and bfloat16, computed in
            float32. Under autocast half types are taken as float32.
        key: [B, H, M], one for each head.
        beta: [B, H], at least 0: how sharply the best row is preferred.
        epsilon: Above 0: keeps the similarity finite at zero.
        similarity: Where epsilon stands: 'root' or 'sum'.

    Returns:
        [B, H, N]: rows add up to 1.

    Raises:
        TypeError: A wrong kind or dtype.
        ValueError: A wrong shape or device; values that are not finite or out of range.
        NotImplementedError: A second derivative is asked for.

    Source: Graves, Wayne, Danihelka, Neural Turing Machines, 2014, equations 5 and 6.

    >>> import numpy as np
    >>> memory = np.array([[[1.0, 0.0], [0.0, 1.0]]])
    >>> content(memory, np.array([[[2.0, 0.0]]]), np.array([[100.0]])).round(3)
    array([[[1., 0.]]])
    """
    return _content(memory, key, beta, epsilon=epsilon, similarity=similarity)


def interpolate(content: Array, previous: Array, gate: Array) -> Array:
    """Mix the weights found by content with those of the step before; differentiable.

    w = g w_content + (1 - g) w_previous

    Args:
        content: [B, H, N], float32 or float64; on CUDA also float16 and bfloat16.
        previous: [B, H, N].
        gate: [B, H] in [0, 1].

    Returns:
        [B, H, N].

    Raises:
        TypeError: A wrong kind or dtype.
        ValueError: A wrong shape or device; values that are not finite or out of range.
        NotImplementedError: A second derivative is asked for.

    Source: Graves et al., 2014, equation 7.
    """
    return _interpolate(content, previous, gate)


def shift(weights: Array, kernel: Array) -> Array:
    """Move weights around the circle of rows; differentiable.

    w'_i = sum_j s_j w_{(i - j + S // 2) mod N}

    kernel[..., S // 2] is the share that stays, kernel[..., S // 2 + 1] that which moves one row up
    to row i + 1. A kernel may be wider than the memory: it goes around more than once.

    Args:
        weights: [B, H, N], float32 or float64; on CUDA also float16 and bfloat16.
        kernel: [B, H, S], S odd.

    Returns:
        [B, H, N].

    Raises:
        TypeError: A wrong kind or dtype.
        ValueError: A wrong shape or device; an even S; values that are not finite.
        NotImplementedError: A second derivative is asked for.

    Source: Graves et al., 2014, equation 8.

    >>> import numpy as np
    >>> shift(np.array([[[1.0, 0.0, 0.0]]]), np.array([[[0.0, 0.0, 1.0]]]))
    array([[[0., 1., 0.]]])
    """
    return _shift(weights, kernel)


def sharpen(weights: Array, gamma: Array) -> Array:
    """Raise weights to a power and make them add up to 1; differentiable.

    w'_i = w_i^gamma / sum_j w_j^gamma

    computed as softmax(gamma log max(w, 1e-30)), which neither overflows nor divides 0 by 0. At
    w_i = 0 the gradient is the limit from the right.

    Args:
        weights: [B, H, N], not negative, float32 or float64; on CUDA also float16 and bfloat16.
        gamma: [B, H], at least 1.

    Returns:
        [B, H, N].

    Raises:
        TypeError: A wrong kind or dtype.
        ValueError: A wrong shape or device; values that are not finite or out of range.
        NotImplementedError: A second derivative is asked for.

    Source: Graves et al., 2014, equation 9.
    """
    return _sharpen(weights, gamma)


def addressing(
    memory: Array,
    previous: Array,
    key: Array,
    beta: Array,
    gate: Array,
    kernel: Array,
    gamma: Array,
    *,
    epsilon: float = 1e-6,
    similarity: str = "root",
) -> Array:
    """Find by content, interpolate, shift and sharpen in one call; differentiable in all arrays.

    w = sharpen(shift(interpolate(content(memory, key, beta), previous, gate), kernel), gamma)

    Args:
        memory: [B, N, M], float32 or float64; on CUDA also float16 and bfloat16, computed in
            float32. Under autocast half types are taken as float32.
        previous: [B, H, N], the weights of the step before.
        key: [B, H, M].
        beta: [B, H], at least 0.
        gate: [B, H] in [0, 1].
        kernel: [B, H, S], S odd.
        gamma: [B, H], at least 1.
        epsilon: As in `content`.
        similarity: As in `content`.

    Returns:
        [B, H, N].

    Raises:
        TypeError: A wrong kind or dtype.
        ValueError: A wrong shape or device; an even S; values that are not finite or out of range.
        NotImplementedError: A second derivative is asked for.

    Source: Graves et al., 2014, figure 2.
    """
    return _addressing(
        memory, previous, key, beta, gate, kernel, gamma, epsilon=epsilon, similarity=similarity
    )
