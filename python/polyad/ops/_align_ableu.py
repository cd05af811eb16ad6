"""BLEU whose n-grams match by degrees, and which words are like which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from polyad import _arrays as arrays
from polyad import _backend
from polyad._sentences import INT32_MAX, Sentences, Vocabulary, as_sentences

Numbers: TypeAlias = np.ndarray[Any, Any]
Matching: TypeAlias = Literal["source", "one_to_one"]

MATCHINGS = ("source", "one_to_one")
MOST_ORDERS = 16
MOST_NEIGHBOURS = 64
MOST_CANDIDATES = 2**20


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
        back: The same from the target's words to the source's; None: the transpose.

    Raises:
        TypeError: A wrong kind or dtype.
        ValueError: A wrong shape, offsets or words that do not ascend, NaN or infinity.
    """

    def __init__(
        self,
        offsets: Numbers,
        words: Numbers,
        values: Numbers,
        *,
        back: WordSimilarity | None = None,
    ) -> None:
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
        if len(words) and words.min() < 0:
            raise ValueError(f"words: expected numbers of at least 0, got {words.min()}")
        steps = np.diff(words)
        begins = np.zeros(len(words), bool)
        begins[offsets[:-1][np.diff(offsets) > 0]] = True
        if len(steps) and (steps[~begins[1:]] <= 0).any():
            raise ValueError("words: expected to ascend among those of one word")
        self.offsets = np.ascontiguousarray(offsets)
        self.words = np.ascontiguousarray(words)
        self.values = np.ascontiguousarray(values)
        self.back = self._transposed() if back is None else back

    def _transposed(self) -> WordSimilarity:
        rows = np.repeat(np.arange(len(self), dtype=np.int32), np.diff(self.offsets))
        order = np.argsort(self.words, kind="stable")
        count = int(self.words.max()) + 1 if len(self.words) else 0
        lengths = np.bincount(self.words, minlength=count)
        return WordSimilarity(_offsets(lengths), rows[order], self.values[order], back=self)

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
        if len(rows) and min(rows.min(), columns.min()) < 0:
            raise ValueError("source, target: expected numbers of at least 0")
        order = np.lexsort((columns, rows))
        rows, columns, values = rows[order], columns[order], values[order]
        lengths = np.bincount(rows, minlength=0)
        return cls(_offsets(lengths), columns.astype(np.int32), values)

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

    def _flat(self) -> list[Any]:
        return [
            *(self.offsets, self.words, self.values, len(self)),
            *(self.back.offsets, self.back.words, self.back.values, len(self.back)),
        ]


def _offsets(lengths: Any) -> Numbers:
    offsets = np.concatenate([[0], np.cumsum(np.asarray(lengths, np.int64))])
    if offsets[-1] > INT32_MAX:
        raise ValueError(f"expected fewer than 2^31 pairs of words, got {offsets[-1]}")
    return offsets.astype(np.int32)


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
    device: Any, source: Numbers, target: Numbers, top_k: int, threshold: float
) -> tuple[Numbers, Numbers, Numbers]:
    """(row, column, cosine) of the best columns of every row."""
    sources, dimension = source.shape
    words = np.zeros((sources, top_k), np.int32)
    values = np.zeros((sources, top_k), np.float32)
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
        *(given[0], sources, given[1], len(target), dimension, top_k, float(threshold)),
        *outputs,
        *(scratch, parts),
    )
    words, values, found = (arrays.to_numpy(x) for x in outputs)
    there = np.arange(top_k) < found[:, None]
    return np.repeat(np.arange(sources), found), words[there], values[there]


def word_similarity(
    source_vectors: Any,
    target_vectors: Any = None,
    *,
    top_k: int = 8,
    threshold: float = 0.35,
) -> WordSimilarity:
    """Return which words are like which: cosines of their vectors, the largest ones.

    Words a and b are like each other by cos(a, b) if it is at least ``threshold`` and b is among
    the ``top_k`` best of a, or a among those of b; equal cosines go to the lower number. Rows of
    zeros stand for words without a vector.

    Args:
        source_vectors: float32 or float64 [V, D], finite; numpy, or a torch tensor whose device
            computes the products.
        target_vectors: [T, D] likewise; row j of both is the same word where both have one. None:
            the same vectors, a word not among its own neighbours.
        top_k: 1 .. 63.
        threshold: The least cosine, 0 .. 1.

    Raises:
        TypeError: A wrong kind or dtype.
        ValueError: A wrong shape, NaN or infinity, a number out of range.
    """
    arrays.require_int("top_k", top_k, 1, MOST_NEIGHBOURS - 1)
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold: expected 0 .. 1, got {threshold}")
    source, source_words = _unit_rows("source_vectors", source_vectors, None)
    if target_vectors is None:
        # one place more, for the word itself
        i, j, value = _neighbours(source_vectors, source, source, top_k + 1, threshold)
        keep = i != j
        place = np.arange(len(i)) - np.searchsorted(i, i)
        passed = np.zeros(len(source), np.int64)  # how many places stand before the word itself
        passed[:] = top_k + 1
        passed[i[~keep]] = place[~keep]
        keep &= place - (place > passed[i]) < top_k
        i, j, value = i[keep], j[keep], value[keep]
        i, j, value = np.append(i, j), np.append(j, i), np.append(value, value)
        target_words = source_words
    else:
        if arrays.is_numpy(source_vectors) or arrays.is_numpy(target_vectors):
            arrays.require_array("target_vectors", target_vectors)
            arrays.require_alike("target_vectors", target_vectors, "source_vectors", source_vectors)
        target, target_words = _unit_rows("target_vectors", target_vectors, source.shape[1])
        i, j, value = _neighbours(source_vectors, source, target, top_k, threshold)
        back_j, back_i, back_value = _neighbours(source_vectors, target, source, top_k, threshold)
        i, j, value = np.append(i, back_i), np.append(j, back_j), np.append(value, back_value)
    key = i.astype(np.int64) * max(len(target_words), 1) + j
    _, once = np.unique(key, return_index=True)
    i, j, value = source_words[i[once]], target_words[j[once]], value[once]
    rows = np.bincount(i, minlength=len(source_vectors))
    return WordSimilarity(
        _offsets(rows), j.astype(np.int32), np.clip(value, 0, 1).astype(np.float32)
    )


def _require_matching(matching: str) -> bool:
    if matching not in MATCHINGS:
        raise ValueError(f"matching: expected one of {', '.join(MATCHINGS)}, got {matching!r}")
    return matching == "one_to_one"


def _require_similarity(similarity: Any) -> WordSimilarity:
    if not isinstance(similarity, WordSimilarity):
        raise TypeError(
            f"similarity: expected polyad.ops.align.WordSimilarity, got {type(similarity).__name__}"
        )
    return similarity


def _references(references: Any, count: int, vocabulary: Vocabulary) -> tuple[Sentences, Numbers]:
    """All references one after the other, and where those of each candidate begin."""
    if isinstance(references, Sentences):
        if len(references) != count:
            raise ValueError(
                f"references: expected {count} sentences, one for each candidate, got "
                f"{len(references)}"
            )
        return references, np.arange(count + 1)
    if isinstance(references, str) or not isinstance(references, Sequence):
        raise TypeError(
            "references: expected a list of references for each candidate, or polyad.Sentences, "
            f"got {type(references).__name__}"
        )
    if len(references) != count:
        raise ValueError(
            f"references: expected {count} lists, one for each candidate, got {len(references)}"
        )
    flat: list[Any] = []
    places = [0]
    for place, group in enumerate(references):
        if isinstance(group, str) or not isinstance(group, Sequence) or len(group) == 0:
            raise TypeError(
                f"references[{place}]: expected a list of at least one reference, got "
                f"{'an empty list' if group == [] else type(group).__name__}"
            )
        flat.extend(group)
        places.append(len(flat))
    return as_sentences("references", flat, vocabulary), np.array(places, np.int64)


def _run_ableu(
    candidates: Any,
    references: Any,
    similarity: WordSimilarity | None,
    matching: str,
    max_n: int,
    orders_last_only: bool,
    both_directions: bool,
    vocabulary: Vocabulary | None,
) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    one_to_one = _require_matching(matching)
    arrays.require_int("max_n", max_n, 1, MOST_ORDERS)
    known = Vocabulary() if vocabulary is None else vocabulary
    sentences = as_sentences("candidates", candidates, known)
    count = len(sentences)
    against, places = _references(references, count, known)
    if both_directions and len(against) != count:
        raise ValueError(
            "references: expected one for each candidate with both_directions, got "
            f"{len(against)} for {count}"
        )
    like = WordSimilarity.identity() if similarity is None else _require_similarity(similarity)
    first = max_n if orders_last_only else 1
    scores = np.zeros(count, np.float64)
    matches = np.zeros((count, 2, max_n - first + 1), np.float64)
    lengths = np.zeros(count, np.int32)
    arrays.run(
        "align_ableu",
        sentences.ids,
        *(sentences.ids, sentences.offsets, count),
        *(against.ids, against.offsets, len(against), places.astype(np.int64)),
        *like._flat(),
        *(one_to_one, first, max_n, both_directions, scores, matches, lengths),
    )
    return scores, matches, sentences.lengths(), lengths


def ableu(
    candidates: Any,
    references: Any,
    similarity: WordSimilarity | None = None,
    *,
    matching: Matching = "source",
    max_n: int = 2,
    orders_last_only: bool = False,
    both_directions: bool = False,
    vocabulary: Vocabulary | None = None,
) -> Numbers:
    """Return the ABLEU of every candidate, BLEU with soft counts.

    s(g, h)      = (prod_k cos(g_k, h_k))^(1/n)
    'source'     : sum_g max_h s(g, h) min(c(g), r(h))
    'one_to_one' : sum_gh s(g, h) x_gh, x taken greedily by decreasing s
    ABLEU        = exp(mean_n log(matches_n / n-grams) + min(0, 1 - r / c))

    over n-grams g of the candidate and h of the references, counts c and r (the maximum over the
    references). Of equal s, identical n-grams are taken first, then the lowest g, then the lowest
    h. Without similarity it is BLEU, unsmoothed; with it never less. Where a candidate repeats no
    n-gram, 'one_to_one' is at most 'source'. Source: Kakao AI Report 8, formula 4; the printed code
    multiplies the similarity into the reference's count alone, which lets a count of 3 make up for
    a similarity of 1/3.

    Args:
        candidates: N sentences: `polyad.Sentences`, strings (words between white space) or lists of
            words.
        references: For each candidate a list of such sentences; or `polyad.Sentences`, one for
            each.
        similarity: Of candidate words to reference words; None: only equal words match.
        matching: What an n-gram of the reference may match.
        max_n: The highest order, 1 .. 16.
        orders_last_only: Count only the order ``max_n``, as the report's printed code does.
        both_directions: The harmonic mean with the reference's ABLEU against the candidate.
        vocabulary: Numbers the words of lists and strings, as the similarity does; new words are
            taken in.

    Returns:
        float64 [N], 0 .. 1.

    Raises:
        TypeError: A wrong kind of argument.
        ValueError: Different numbers of candidates and references, an unknown matching, a number
            out of range, several references with ``both_directions``.
    """
    return _run_ableu(
        candidates,
        references,
        similarity,
        matching,
        max_n,
        orders_last_only,
        both_directions,
        vocabulary,
    )[0]


def corpus_ableu(
    candidates: Any,
    references: Any,
    similarity: WordSimilarity | None = None,
    *,
    matching: Matching = "source",
    max_n: int = 2,
    orders_last_only: bool = False,
    vocabulary: Vocabulary | None = None,
) -> float:
    """Return the ABLEU of a whole corpus: matches, n-grams and lengths are summed first.

    Args and errors as in `ableu`.

    Returns:
        0 .. 1; 0 without a match in some order.
    """
    _, matches, lengths, reference_lengths = _run_ableu(
        candidates, references, similarity, matching, max_n, orders_last_only, False, vocabulary
    )
    first = max_n if orders_last_only else 1
    orders = np.arange(first, max_n + 1)
    grams = np.maximum(lengths[:, None] - orders + 1, 0).sum(axis=0)
    total = matches[:, 0].sum(axis=0)
    if total.size == 0 or total.min() <= 0:
        return 0.0
    penalty = min(0.0, 1 - int(reference_lengths.sum()) / int(lengths.sum()))
    return float(np.exp((np.log(total) - np.log(grams)).mean() + penalty))


def soft_scores(
    sources: Any,
    targets: Any,
    similarity: WordSimilarity | None = None,
    *,
    max_n: int = 2,
    top_k: int = 3,
    matching: Matching = "source",
    weights: Any = None,
    candidates: int = 16,
    vocabulary: Vocabulary | None = None,
) -> tuple[Numbers, Numbers, Numbers]:
    """Return the best targets of every source by ABLEU in both directions.

    score = 2 a b / (a + b),    a = ABLEU(source -> target), b = ABLEU(target -> source)

    or, with weights, of the weighted soft precision and recall of words

    P = sum_g w(g) max_h s(g, h) min(c(g), r(h)) / sum_g w(g) c(g)

    Pairs are not all compared: the words of a source, and those like them, lead to the targets that
    hold them; the ``candidates`` that share most are scored exactly.

    Args:
        sources: `polyad.Sentences`, strings or lists of words.
        targets: Likewise; numbers, or the vocabulary, are those of the similarity.
        similarity: Of source words to target words; None: only equal words match.
        max_n: The highest order; 1 with weights.
        top_k: How many targets are kept of each source.
        matching: As in `ableu`.
        weights: float64 [V], finite and at least 0, for every word that occurs; inverse document
            frequencies, say.
        candidates: How many targets of each source are scored.
        vocabulary: Numbers the words of lists and strings.

    Returns:
        source int32, target int32, score float64: ordered by source, then decreasing score, ties by
        the lower target; scores above 0 only.

    Raises:
        TypeError: A wrong kind of argument.
        ValueError: A number out of range; weights that are too few, negative or not finite.
    """
    one_to_one = _require_matching(matching)
    arrays.require_int("max_n", max_n, 1, MOST_ORDERS)
    arrays.require_int("top_k", top_k, 1, MOST_CANDIDATES)
    arrays.require_int("candidates", candidates, 1, MOST_CANDIDATES)
    known = Vocabulary() if vocabulary is None else vocabulary
    left = as_sentences("sources", sources, known)
    right = as_sentences("targets", targets, known)
    like = WordSimilarity.identity() if similarity is None else _require_similarity(similarity)
    most = max(int(side.ids.max()) if len(side.ids) else -1 for side in (left, right))
    if weights is None:
        left, right = _renumbered(left, right, max(len(like), len(like.back)))
    else:
        if max_n != 1:
            raise ValueError(f"max_n: expected 1 with weights, got {max_n}")
        arrays.require_array("weights", weights)
        arrays.require_dtype("weights", weights, ("float64",))
        arrays.require_shape("weights", weights, "V", [None])
        arrays.require_within("weights", weights, 0)
        if len(weights) <= most:
            raise ValueError(f"weights: expected [V] with V above {most}, got [{len(weights)}]")
        weights = np.ascontiguousarray(arrays.to_numpy(weights))
    top_k = min(top_k, max(len(right), 1))
    target = np.zeros((len(left), top_k), np.int32)
    score = np.zeros((len(left), top_k), np.float64)
    found = np.zeros(len(left), np.int32)
    arrays.run(
        "align_soft_scores",
        left.ids,
        *(left.ids, left.offsets, len(left), right.ids, right.offsets, len(right)),
        *like._flat(),
        *(one_to_one, max_n, weights, candidates, top_k, target, score, found),
    )
    there = np.arange(top_k) < found[:, None]
    source = np.repeat(np.arange(len(left), dtype=np.int32), found)
    return source, target[there], score[there]


def _renumbered(left: Sentences, right: Sentences, known: int) -> tuple[Sentences, Sentences]:
    """The same sentences with small numbers: memory of the index grows with the largest one."""
    ids = np.concatenate([left.ids, right.ids])
    if len(ids) == 0 or int(ids.max()) < known + len(ids):
        return left, right
    high = ids >= known
    _, ranks = np.unique(ids[high], return_inverse=True)
    ids[high] = known + ranks
    cut = len(left.ids)
    return Sentences(ids[:cut], left.offsets), Sentences(ids[cut:], right.offsets)
