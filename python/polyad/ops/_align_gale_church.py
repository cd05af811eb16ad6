"""Beads by the lengths of sentences."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from polyad import _arrays as arrays
from polyad import _backend


def gale_church(
    source_lengths: Any,
    target_lengths: Any,
    *,
    log_space: bool = True,
    ratio: float = 1.0,
    variance: float = 6.8,
    band: int | None = None,
) -> np.ndarray[Any, Any]:
    """Align two texts by the lengths of their sentences.

        d(s, t) = |t - c s| / sqrt(v (c s + t) / 2)
        P(bead) = prior(type) erfc(d / sqrt(2))

    for a bead whose sides have lengths s and t; the priors are .89 (1-1), .089 (2-1, 1-2), .011
    (2-2) and .0099 (1-0, 0-1). The beads whose product of P is largest win. Gale & Church, A
    program for aligning sentences in bilingual corpora, Computational Linguistics 19(1), 1993.

    Args:
        source_lengths: float64 [N], of at least 0: characters of each sentence.
        target_lengths: float64 [M].
        log_space: Add logarithms. False multiplies probabilities as Bleualign does, for equal
            beads: on hundreds of sentences they are all 0 and 1-1 beads follow.
        ratio: c, target characters per source character.
        variance: v, of the difference, per character.
        band: How many target sentences are looked at to either side of the line on which both
            texts have used up equal shares of their lengths. None takes all in short texts; in
            long ones (more than 4 million pairs of sentences) 256, doubled until the path keeps
            clear of the edge.

    Returns:
        int32 [beads, 4]: first source sentence and the one after the last, first target sentence
        and the one after the last, in document order; null beads hold one sentence. All sentences
        are in one bead each.

    Raises:
        TypeError: A wrong kind or dtype of an argument.
        ValueError: A length that is negative or not finite; ratio or variance not above 0; a
            setting of the logarithmic form given with ``log_space=False``.
    """
    sides = []
    for name, value in (("source_lengths", source_lengths), ("target_lengths", target_lengths)):
        arrays.require_array(name, value)
        if not arrays.is_numpy(value):
            raise TypeError(f"{name}: expected a numpy array, got a torch tensor")
        arrays.require_dtype(name, value, ("float64",))
        arrays.require_shape(name, value, "N", [None])
        arrays.require_within(name, value, 0)
        sides.append(np.ascontiguousarray(value))
    for name, number in (("ratio", ratio), ("variance", variance)):
        if not (math.isfinite(number) and number > 0):
            raise ValueError(f"{name}: expected a finite number above 0, got {number}")
    if band is not None:
        band = arrays.require_int("band", band, 0)
    if not log_space and (ratio != 1.0 or variance != 6.8 or band is not None):
        raise ValueError("ratio, variance, band: expected their defaults with log_space=False")
    source, target = sides
    spans: np.ndarray[Any, Any] = _backend.cpu.align_gale_church(
        arrays.address(source),
        len(source),
        arrays.address(target),
        len(target),
        log_space,
        ratio,
        variance,
        -1 if band is None else band,
    )
    return spans
