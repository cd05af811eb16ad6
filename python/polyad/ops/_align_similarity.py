"""Which words are like which: sparse similarities, and the vectors they come from."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from polyad import _arrays as arrays
from polyad import _backend
from polyad._sentences import offsets_of

Numbers: TypeAlias = np.ndarray[Any, Any]

MOST_NEIGHBOURS = 64
MOST_WORDS = 2**26  # a view from the other side has a row for each up to the highest


class WordSimilarity:
    """Which words are like which: sparse, seen from both sides.

    Word a of the source is like ``words[offsets[a] : offsets[a + 1]]`` of the target, by
    ``values``, and like all others by 0. A word is like itself (the same number on the other side)
    by 1, whatever is stored; words without an entry are like themselves alone. Values below 0 count
    as 0, values above 1 as 1.

    Args:
        offsets: int32 [words + 1], ascending from 0.
        words: int32 [entries], of one word ascending, at least 0.
        values: float32 [entries], finite.

    Raises:
        TypeError: A wrong kind or dtype.
        ValueError: A wrong shape, offsets or words that do not ascend, NaN or infinity.
    """

    def __init__(self, offsets: Numbers, words: Numbers, values: Numbers) -> None:
        for name, array, dtype in (
            ("offsets", offsets, "int32"),
            ("words", words, "int32"),
            ("values", values, "float32"),
        ):
            if not isinstance(array, np.ndarray):
                raise TypeError(f"{name}: expected a numpy array, got {type(array).__name__}")
            arrays.require_dtype(name, array, (dtype,))
            if array.ndim != 1:
                raise ValueError(f"{name}: expected one dimension, got {list(array.shape)}")
        if len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != len(words):
            raise ValueError(
                f"offsets: expected to run from 0 to {len(words)}, the number of words, got "
                f"{offsets[[0, -1]].tolist() if len(offsets) else 'nothing'}"
            )
        if len(offsets) > 1 and np.diff(offsets).min() < 0:
            raise ValueError(f"offsets: expected to ascend, got a step of {np.diff(offsets).min()}")
        arrays.require_shape("values", values, "E", [len(words)])
        arrays.require_finite("values", values)
        if len(words) and not (words.min() >= 0 and words.max() < MOST_WORDS):
            raise ValueError(
                f"words: expected numbers 0 .. {MOST_WORDS - 1}, got {words.min()} .. {words.max()}"
            )
        steps = np.diff(words)
        begins = np.zeros(len(words), bool)
        begins[offsets[:-1][np.diff(offsets) > 0]] = True
        if len(steps) and (steps[~begins[1:]] <= 0).any():
            raise ValueError("words: expected to ascend among those of one word")
        self.offsets = np.ascontiguousarray(offsets)
        self.words = np.ascontiguousarray(words)
        self.values = np.ascontiguousarray(values)
        self._back: WordSimilarity | None = None

    @property
    def back(self) -> WordSimilarity:
        """The same similarity from the target's words to the source's."""
        if self._back is None:
            rows = np.repeat(np.arange(len(self), dtype=np.int32), np.diff(self.offsets))
            order = np.argsort(self.words, kind="stable")
            count = int(self.words.max()) + 1 if len(self.words) else 0
            offsets = offsets_of(np.bincount(self.words, minlength=count).tolist())
            self._back = WordSimilarity(offsets, rows[order], self.values[order])
            self._back._back = self
        return self._back

    @classmethod
    def from_pairs(cls, source: Any, target: Any, value: Any) -> WordSimilarity:
        """Return the similarity that lists of word pairs and their values give.

        Args:
            source: Word numbers.
            target: Word numbers; no pair twice.
            value: Similarities.

        Raises:
            ValueError: Lists of different lengths, a pair twice, a negative number.
        """
        rows, columns = (np.asarray(x, np.int64).reshape(-1) for x in (source, target))
        values = np.asarray(value, np.float32).reshape(-1)
        if not len(rows) == len(columns) == len(values):
            raise ValueError(
                "source, target, value: expected lists of one length, got "
                f"{len(rows)}, {len(columns)}, {len(values)}"
            )
        both = np.append(rows, columns)
        if len(both) and not (both.min() >= 0 and both.max() < MOST_WORDS):
            raise ValueError(
                f"source, target: expected numbers 0 .. {MOST_WORDS - 1}, got {both.min()} .. "
                f"{both.max()}"
            )
        order = np.lexsort((columns, rows))
        rows, columns, values = rows[order], columns[order], values[order]
        lengths = np.bincount(rows, minlength=0)
        return cls(offsets_of(lengths.tolist()), columns.astype(np.int32), values)

    @classmethod
    def identity(cls) -> WordSimilarity:
        """Return the similarity of words that are like themselves alone: ABLEU is BLEU."""
        return cls(np.zeros(1, np.int32), np.zeros(0, np.int32), np.zeros(0, np.float32))

    def __len__(self) -> int:
        """The number of source words that have a row."""
        return len(self.offsets) - 1

    def row(self, word: int) -> tuple[Numbers, Numbers]:
        """Return the words that a word is like, ascending, and their similarities."""
        if not 0 <= word < len(self):
            return self.words[:0], self.values[:0]
        piece = slice(self.offsets[word], self.offsets[word + 1])
        return self.words[piece], self.values[piece]

    def arguments(self) -> list[Any]:
        """Return both views as the kernels take them."""
        return [
            *(self.offsets, self.words, self.values, len(self)),
            *(self.back.offsets, self.back.words, self.back.values, len(self.back)),
        ]


def _unit_rows(name: str, vectors: Any, dimension: int | None) -> tuple[Numbers, Numbers]:
    """Rows of length 1 as float32, and their places among the rows; zero rows are left out."""
    arrays.require_array(name, vectors)
    arrays.require_dtype(name, vectors, ("float32", "float64"))
    arrays.require_shape(name, vectors, "V D", [None, dimension])
    if vectors.shape[1] == 0:
        raise ValueError(f"{name}: expected at least one dimension, got [{vectors.shape[0]}, 0]")
    arrays.require_finite(name, vectors)
    rows = arrays.to_numpy(vectors)
    most = np.abs(rows).max(axis=1, initial=0.0)
    places = np.flatnonzero(most > 0)
    rows = rows[places].astype(np.float64) / most[places, None]  # no length overflows
    rows /= np.sqrt((rows * rows).sum(axis=1, keepdims=True))
    return np.ascontiguousarray(rows, np.float32), places


def _neighbours(
    device: Any, source: Numbers, target: Numbers, neighbours: int, least_cosine: float
) -> tuple[Numbers, Numbers, Numbers]:
    """(row, column, cosine) of the best columns of every row."""
    sources, dimension = source.shape
    words = np.zeros((sources, neighbours), np.int32)
    values = np.zeros((sources, neighbours), np.float32)
    found = np.zeros(sources, np.int32)
    parts = 1 if _backend.cpu.get_num_threads() == 1 else 4 * _backend.cpu.get_num_threads()
    needed = _backend.cpu.align_neighbours_scratch(len(target), dimension, parts)
    outputs = [words, values, found]
    if arrays.on_cpu(device):
        given = [source, target]
        scratch = arrays.empty(source, [needed], "float32")
    else:
        given, scratch = [arrays.like(device, x) for x in (source, target)], None
        outputs = [arrays.like(device, x) for x in outputs]
    arrays.run(
        "align_neighbours",
        given[0],
        *(given[0], sources, given[1], len(target), dimension, neighbours, float(least_cosine)),
        *outputs,
        *(scratch, parts),
    )
    words, values, found = (arrays.to_numpy(x) for x in outputs)
    there = np.arange(neighbours) < found[:, None]
    return np.repeat(np.arange(sources), found), words[there], values[there]


def word_similarity(
    source_vectors: Any,
    target_vectors: Any = None,
    *,
    neighbours: int = 8,
    least_cosine: float = 0.35,
) -> WordSimilarity:
    """Return which words are like which: cosines of their vectors, the largest ones.

    Words a and b are like each other by cos(a, b) if it is at least ``least_cosine`` and b is among
    the ``neighbours`` best of a, or a among those of b; equal cosines go to the lower number. Rows
    of zeros stand for words without a vector.

    Args:
        source_vectors: float32 or float64 [V, D], finite; numpy, or a torch tensor whose device
            computes the products.
        target_vectors: [T, D] likewise; row j of both is the same word where both have one. None:
            the same vectors, a word not among its own neighbours.
        neighbours: 1 .. 63.
        least_cosine: The least cosine, 0 .. 1.

    Raises:
        TypeError: A wrong kind or dtype.
        ValueError: A wrong shape, NaN or infinity, a number out of range.
    """
    arrays.require_int("neighbours", neighbours, 1, MOST_NEIGHBOURS - 1)
    if not 0 <= least_cosine <= 1:
        raise ValueError(f"least_cosine: expected 0 .. 1, got {least_cosine}")
    source, source_words = _unit_rows("source_vectors", source_vectors, None)
    if target_vectors is None:
        # one place more, for the word itself
        i, j, value = _neighbours(source_vectors, source, source, neighbours + 1, least_cosine)
        keep = i != j
        place = np.arange(len(i)) - np.searchsorted(i, i)
        passed = np.zeros(len(source), np.int64)  # how many places stand before the word itself
        passed[:] = neighbours + 1
        passed[i[~keep]] = place[~keep]
        keep &= place - (place > passed[i]) < neighbours
        i, j, value = i[keep], j[keep], value[keep]
        i, j, value = np.append(i, j), np.append(j, i), np.append(value, value)
        target_words = source_words
    else:
        if arrays.is_numpy(source_vectors) or arrays.is_numpy(target_vectors):
            arrays.require_array("target_vectors", target_vectors)
            arrays.require_alike("target_vectors", target_vectors, "source_vectors", source_vectors)
        target, target_words = _unit_rows("target_vectors", target_vectors, source.shape[1])
        i, j, value = _neighbours(source_vectors, source, target, neighbours, least_cosine)
        back_j, back_i, back_value = _neighbours(
            source_vectors, target, source, neighbours, least_cosine
        )
        i, j, value = np.append(i, back_i), np.append(j, back_j), np.append(value, back_value)
    key = i.astype(np.int64) * max(len(target_words), 1) + j
    _, once = np.unique(key, return_index=True)
    i, j, value = source_words[i[once]], target_words[j[once]], value[once]
    rows = np.bincount(i, minlength=len(source_vectors))
    return WordSimilarity(
        offsets_of(rows.tolist()), j.astype(np.int32), np.clip(value, 0, 1).astype(np.float32)
    )
