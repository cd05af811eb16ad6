"""Beads by what sentences share: sparse vectors of n-grams, and the best path of beads by them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from polyad import _arrays as arrays
from polyad import _backend
from polyad._sentences import Sentences, offsets_of

Array = np.ndarray[Any, Any]

GENERAL_FEATURES: int = _backend.cpu.ALIGN_BEAD_GENERAL
GROUP_FEATURES: int = _backend.cpu.ALIGN_BEAD_PER_GROUP
LARGEST_BEAD: int = _backend.cpu.ALIGN_BEAD_LARGEST


@dataclass(frozen=True)
class SparseRows:
    """Sentences as sparse vectors.

    Args:
        offsets: int64 [N + 1], ascending from 0: row i lies at
            ``offsets[i] : offsets[i + 1]``.
        features: int32 [entries], strictly ascending within a row, 0 .. width - 1.
        values: float32 [entries], finite.
        width: The number of features.

    Raises:
        TypeError: A wrong kind or dtype.
        ValueError: A wrong shape or a value out of range.
    """

    offsets: Array
    features: Array
    values: Array
    width: int

    def __post_init__(self) -> None:
        for name, dtype in (("offsets", "int64"), ("features", "int32"), ("values", "float32")):
            array = getattr(self, name)
            _numpy(name, array, dtype)
            object.__setattr__(self, name, np.ascontiguousarray(array))
        size = len(self.features)
        arrays.require_shape("values", self.values, "E", [size])
        if len(self.offsets) == 0 or self.offsets[0] != 0 or self.offsets[-1] != size:
            raise ValueError(
                f"offsets: expected to run from 0 to {size}, the number of entries, got "
                f"{self.offsets[[0, -1]].tolist() if len(self.offsets) else 'nothing'}"
            )
        if (np.diff(self.offsets) < 0).any():
            raise ValueError("offsets: expected to ascend")
        arrays.require_int("width", self.width, 0, 2**31 - 2)
        if size:
            if self.features.min() < 0 or self.features.max() >= self.width:
                raise ValueError(
                    f"features: expected 0 .. {self.width - 1}, got {self.features.min()} .. "
                    f"{self.features.max()}"
                )
            rising = np.diff(self.features) > 0
            inside = self.offsets[1:-1]
            rising[inside[(inside > 0) & (inside < size)] - 1] = True
            if not rising.all():
                raise ValueError("features: expected to ascend within a row")
            arrays.require_finite("values", self.values)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def arguments(self) -> tuple[int, int, int, int]:
        """Return what the kernels take."""
        return (
            arrays.address(self.offsets),
            arrays.address(self.features),
            arrays.address(self.values),
            len(self),
        )


class BeadView(NamedTuple):
    """Two sides that speak one language.

    Attributes:
        source: A row for every source sentence: of itself or of its translation.
        target: A row for every target sentence.
        group: The number of the group that the view belongs to.
    """

    source: SparseRows
    target: SparseRows
    group: int


class BeadSide(NamedTuple):
    """What is known of the sentences of one text.

    Attributes:
        lengths: float64 [N], at least 0: characters.
        marks: uint8 [N]: how each ends, 0 .. 7, and 8 more if it begins in lower case.
    """

    lengths: Array
    marks: Array

    def arguments(self) -> tuple[int, int, int]:
        """Return what the kernels take."""
        return arrays.address(self.lengths), arrays.address(self.marks), len(self.lengths)


def sentence_vectors(
    texts: Sequence[Sentences], words: Sequence[str], *, by: Literal["words", "letters"]
) -> list[SparseRows]:
    """Count the n-grams of the sentences of texts; equal ones have one number in all of them.

    Args:
        texts: Their ids are places in ``words``.
        words: Spellings.
        by: 'words': single words (their numbers) and pairs of neighbours. 'letters': 3, 4 and 5
            neighbouring characters of a word with a mark before and after it.

    Returns:
        A `SparseRows` of counts for each text.

    Raises:
        TypeError: ``texts`` are not `Sentences`.
        ValueError: A number that is no place in ``words``; an unknown ``by``.
    """
    if by not in ("words", "letters"):
        raise ValueError(f"by: expected words or letters, got {by!r}")
    for place, text in enumerate(texts):
        if not isinstance(text, Sentences):
            raise TypeError(f"texts[{place}]: expected polyad.Sentences, got {type(text).__name__}")
        if len(text.ids) and text.ids.max() >= len(words):
            raise ValueError(
                f"texts[{place}]: expected numbers below {len(words)}, the words, got "
                f"{text.ids.max()}"
            )
    letters = starts = None
    if by == "letters":
        starts = offsets_of([len(word) for word in words])
        # lone surrogates are letters like any other
        joined = "".join(words).encode("utf-32-le", "surrogatepass")
        letters = np.frombuffer(joined + b"\0\0\0\0", np.int32)
    tables, width = _backend.cpu.align_vectors(
        [(arrays.address(t.ids), arrays.address(t.offsets), len(t)) for t in texts],
        arrays.address(letters),
        arrays.address(starts),
        len(words),
    )
    return [SparseRows(offsets, features, values, width) for offsets, features, values in tables]


def best_beads(
    source: BeadSide,
    target: BeadSide,
    views: Sequence[BeadView],
    weights: Array,
    *,
    max_sentences: int = 6,
    margin: int = 8,
    threshold: float = 0.2,
    moved_cost: float | None = None,
) -> tuple[Array, Array]:
    """Find the beads that a log-linear model of paths believes in most.

        P(path) ~ exp(sum over its beads of weights . features(bead))
        p(bead) = sum of P over the paths that hold the bead
        result  = the path with the largest sum of p(bead) - threshold over beads with both sides

    A semi-Markov conditional random field (Sarawagi & Cohen, NIPS 2004), decoded for the largest
    expected number of right beads. Features 0-6 say what shape a bead has (1-1; 1-2; 2-2; 1-3; 2-3;
    1-4; larger; either way round), 7-8 that it is a null bead and how long, 9-12 how well the
    lengths agree, 13-15 ends and beginnings, 16-18 how its similarity changes by one sentence less
    or more, and ``19 + 2 g`` and the next the similarity s of group g, and
    ``s ((a + b) / 2 - 1)``. s is the mean over the group's views of the cosine of the two sides'
    sums, features weighted by ``sqrt(log((N + 1) / df))``, over the cosine that is usual in this
    text (the median of its anchors). 16-18 look at group 0.

    Beads lie in a band around anchors: a chain of sentence pairs by rare features, each the
    other's best. Between two of them all is looked at if that is at most 40,000 cells.

    Args:
        source: Of the source text.
        target: Of the target text.
        views: At least one of each group.
        weights: float64 [19 + 2 groups].
        max_sentences: The largest a + b, 2 .. 8.
        margin: How many sentences the band reaches beyond the anchors.
        threshold: How probable a bead must be at least to be better than none, 0 .. 1.
        moved_cost: Also put together sentences that the path leaves out, up to 50 sentences apart,
            where ``weights . features`` of the bead is larger than that of its null beads by more
            than this; the logistic function of the difference is its score. None: the path alone,
            whose beads do not cross.

    Returns:
        int32 [beads, 4]: first source sentence and the one after the last, first target sentence
        and the one after the last, both sides not empty, in order of the source; float64 [beads]:
        their probabilities.

    Raises:
        TypeError: A wrong kind or dtype of an argument.
        ValueError: A wrong shape or a value out of range; a group without a view.
    """
    groups = _groups(weights)
    passed = _passed(source, target, views, groups)
    max_sentences = arrays.require_int("max_sentences", max_sentences, 2, LARGEST_BEAD)
    margin = arrays.require_int("margin", margin, 1, 2**30)
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold: expected 0 .. 1, got {threshold}")
    if moved_cost is not None and not math.isfinite(moved_cost):
        raise ValueError(f"moved_cost: expected a finite number or None, got {moved_cost}")
    weights = np.ascontiguousarray(weights)
    spans, scores = _backend.cpu.align_best_beads(
        source.arguments(),
        target.arguments(),
        passed,
        groups,
        arrays.address(weights),
        max_sentences,
        margin,
        threshold,
        moved_cost is not None,
        moved_cost or 0.0,
    )
    return spans, scores


class BeadFeatures(NamedTuple):
    """What `best_beads` multiplies with its weights, to learn them.

    Attributes:
        first: int32 [N + 1]: the first target sentence count of every row of the band.
        offsets: int64 [N + 2]: cells before each row.
        features: float32 [cells, types, features]; types in the order of `bead_types`.
        usable: bool [cells, types]: whether the bead that ends in a cell begins in the band.
    """

    first: Array
    offsets: Array
    features: Array
    usable: Array


def bead_types(max_sentences: int) -> list[tuple[int, int]]:
    """Return the types (a, b) of beads: the two null beads, then a + b <= ``max_sentences``."""
    types: list[tuple[int, int]] = _backend.cpu.align_bead_types(max_sentences)
    return types


def bead_features(
    source: BeadSide,
    target: BeadSide,
    views: Sequence[BeadView],
    *,
    groups: int,
    max_sentences: int = 6,
    margin: int = 8,
) -> BeadFeatures:
    """Return the features of all beads in the band; arguments as of `best_beads`.

    Args:
        source: Of the source text.
        target: Of the target text.
        views: At least one of each group.
        groups: How many groups there are.
        max_sentences: The largest a + b, 2 .. 8.
        margin: How many sentences the band reaches beyond the anchors.

    Raises:
        TypeError: A wrong kind or dtype of an argument.
        ValueError: A wrong shape or a value out of range; a group without a view.
    """
    passed = _passed(source, target, views, groups)
    max_sentences = arrays.require_int("max_sentences", max_sentences, 2, LARGEST_BEAD)
    margin = arrays.require_int("margin", margin, 1, 2**30)
    first, offsets, features, usable = _backend.cpu.align_bead_features(
        source.arguments(), target.arguments(), passed, groups, max_sentences, margin
    )
    width = GENERAL_FEATURES + GROUP_FEATURES * groups
    types = len(bead_types(max_sentences))
    return BeadFeatures(
        first,
        offsets,
        features.reshape(-1, types, width),
        usable.reshape(-1, types).astype(bool),
    )


def bead_probabilities(
    first: Array, offsets: Array, target_count: int, scores: Array, *, max_sentences: int = 6
) -> tuple[Array, float]:
    """Sum over all paths of beads through a band.

        P(path) ~ exp(sum of the scores of its beads)

    Args:
        first: As `bead_features` gives it.
        offsets: As `bead_features` gives it.
        target_count: The number of target sentences.
        scores: float64 [cells, types]; -infinity where there is no bead.
        max_sentences: The largest a + b.

    Returns:
        float64 [cells, types], the probability of every bead; and the logarithm of the sum over all
        paths, -infinity if there is none.

    Raises:
        TypeError: A wrong kind or dtype.
        ValueError: A wrong shape; a band without (0, 0) or (N, M).
    """
    _numpy("first", first, "int32")
    _numpy("offsets", offsets, "int64")
    arrays.require_shape("offsets", offsets, "N", [len(first) + 1])
    ends = first + np.diff(offsets) - 1
    if not len(first) or offsets[0] != 0 or (ends < first).any() or (np.diff(first) < 0).any():
        raise ValueError("first, offsets: expected a band as bead_features gives it")
    if first[0] != 0 or (np.diff(ends) < 0).any() or ends[-1] != target_count:
        raise ValueError(f"first, offsets: expected a band from (0, 0) to {target_count}")
    out = np.array(scores, np.float64, order="C")
    arrays.require_shape("scores", out, "C T", [int(offsets[-1]), len(bead_types(max_sentences))])
    first, offsets = np.ascontiguousarray(first), np.ascontiguousarray(offsets)
    total = _backend.cpu.align_bead_probabilities(
        arrays.address(first),
        arrays.address(offsets),
        len(first),
        target_count,
        max_sentences,
        arrays.address(out),
    )
    return out, total


def _numpy(name: str, value: Any, dtype: str) -> None:
    arrays.require_array(name, value)
    if not arrays.is_numpy(value):
        raise TypeError(f"{name}: expected a numpy array, got a torch tensor")
    arrays.require_dtype(name, value, (dtype,))
    arrays.require_shape(name, value, "N", [None])


def _groups(weights: Any) -> int:
    _numpy("weights", weights, "float64")
    arrays.require_finite("weights", weights)
    groups, rest = divmod(len(weights) - GENERAL_FEATURES, GROUP_FEATURES)
    if groups < 1 or rest:
        raise ValueError(
            f"weights: expected {GENERAL_FEATURES} + {GROUP_FEATURES} for each group, at least "
            f"{GENERAL_FEATURES + GROUP_FEATURES}, got {len(weights)}"
        )
    return groups


def _passed(
    source: BeadSide, target: BeadSide, views: Sequence[BeadView], groups: int
) -> list[tuple[Any, ...]]:
    """Check sides and views and return the views as the kernels take them."""
    for name, side in (("source", source), ("target", target)):
        _numpy(f"{name}.lengths", side.lengths, "float64")
        arrays.require_within(f"{name}.lengths", side.lengths, 0)
        _numpy(f"{name}.marks", side.marks, "uint8")
        arrays.require_shape(f"{name}.marks", side.marks, "N", [len(side.lengths)])
        for array in side:
            if not array.flags.c_contiguous:
                raise ValueError(f"{name}: expected contiguous arrays")
    groups = arrays.require_int("groups", groups, 1, 1000)
    _check_views(views, [len(side.lengths) for side in (source, target)])
    for place, view in enumerate(views):
        arrays.require_int(f"views[{place}].group", view.group, 0, groups - 1)
    missing = set(range(groups)) - {view.group for view in views}
    if missing:
        raise ValueError(f"views: expected one of each group, got none of {sorted(missing)}")
    return _arguments(views)


def _check_views(views: Sequence[BeadView], sizes: Sequence[int]) -> None:
    for place, view in enumerate(views):
        for name, rows, size in zip(("source", "target"), view[:2], sizes, strict=True):
            if len(rows) != size:
                raise ValueError(
                    f"views[{place}].{name}: expected {size} rows, a sentence each, got {len(rows)}"
                )
        if view.source.width != view.target.width:
            raise ValueError(
                f"views[{place}]: expected one number of features, got {view.source.width} and "
                f"{view.target.width}"
            )


def _arguments(views: Sequence[BeadView]) -> list[tuple[Any, ...]]:
    return [(v.source.arguments(), v.target.arguments(), v.source.width, v.group) for v in views]
