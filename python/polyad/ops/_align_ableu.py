"""BLEU whose n-grams match by degrees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from polyad import _arrays as arrays
from polyad._sentences import Sentences, Vocabulary, as_sentences, require_one_numbering
from polyad.ops._align_similarity import WordSimilarity

Numbers: TypeAlias = np.ndarray[Any, Any]
Matching: TypeAlias = Literal["source", "one_to_one"]

MATCHINGS = ("source", "one_to_one")
MOST_ORDERS = 16
MOST_CANDIDATES = 2**20


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
    require_one_numbering("candidates", candidates, "references", references, vocabulary)
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
        *like.arguments(),
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
        TypeError: A wrong kind of argument; `polyad.Sentences` beside lists without a vocabulary.
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


def ableu_pairs(
    sources: Any,
    targets: Any,
    source: Any,
    target: Any,
    similarity: WordSimilarity | None = None,
    *,
    matching: Matching = "source",
    max_n: int = 2,
    orders_last_only: bool = False,
    both_directions: bool = True,
    device: str = "cpu",
    vocabulary: Vocabulary | None = None,
) -> Numbers:
    """Return the ABLEU of pairs out of two lists of sentences: a list of candidate links, say.

    Pair p is sentence ``source[p]`` beside sentence ``target[p]``; the formula is that of `ableu`.

    Args:
        sources: `polyad.Sentences`, strings or lists of words.
        targets: Likewise.
        source: int32 [P], numbers of sentences.
        target: int32 [P].
        similarity: Of source words to target words; None: only equal words match.
        matching: As in `ableu`, like what follows.
        max_n: The highest order, 1 .. 16.
        orders_last_only: Count only the order ``max_n``.
        both_directions: The harmonic mean of both directions.
        device: 'cpu', or a CUDA device that torch knows: one block a pair; pairs with a sentence of
            more than 1024 words are scored on the CPU.
        vocabulary: Numbers the words of lists and strings.

    Returns:
        float64 [P], 0 .. 1. Devices agree within 1e-12.

    Raises:
        TypeError: A wrong kind or dtype.
        ValueError: Lists of different lengths, a number that no sentence has, a number out of
            range.
    """
    one_to_one = _require_matching(matching)
    arrays.require_int("max_n", max_n, 1, MOST_ORDERS)
    known = Vocabulary() if vocabulary is None else vocabulary
    require_one_numbering("sources", sources, "targets", targets, vocabulary)
    left = as_sentences("sources", sources, known)
    right = as_sentences("targets", targets, known)
    like = WordSimilarity.identity() if similarity is None else _require_similarity(similarity)
    for name, numbers, count in (("source", source, len(left)), ("target", target, len(right))):
        if not isinstance(numbers, np.ndarray):
            raise TypeError(f"{name}: expected a numpy array, got {type(numbers).__name__}")
        arrays.require_dtype(name, numbers, ("int32",))
        arrays.require_shape(name, numbers, "P", [len(source)])
        if len(numbers) and not (numbers.min() >= 0 and numbers.max() < count):
            raise ValueError(
                f"{name}: expected sentences 0 .. {count - 1}, got {numbers.min()} .. "
                f"{numbers.max()}"
            )
    first = max_n if orders_last_only else 1

    def run(source: Numbers, target: Numbers, place: Any) -> Numbers:
        scores = np.zeros(len(source), np.float64)
        flat = [
            *(left.ids, left.offsets, len(left), right.ids, right.offsets, len(right)),
            *(np.ascontiguousarray(source), np.ascontiguousarray(target), len(source)),
            *like.arguments(),
            *(one_to_one, first, max_n, both_directions, scores),
        ]
        if place is not None:
            flat = [arrays.like(place, x) if isinstance(x, np.ndarray) else x for x in flat]
        arrays.run("align_ableu_pairs", flat[0], *flat)
        return arrays.to_numpy(flat[-1])

    if device == "cpu":
        return run(source, target, None)
    import torch

    scores = run(source, target, torch.empty(0, device=device)).copy()
    long = np.flatnonzero(np.isnan(scores))
    scores[long] = run(source[long], target[long], None)
    return scores


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
        TypeError: A wrong kind of argument; `polyad.Sentences` beside lists without a vocabulary.
        ValueError: A number out of range; weights that are too few, negative or not finite.
    """
    one_to_one = _require_matching(matching)
    arrays.require_int("max_n", max_n, 1, MOST_ORDERS)
    arrays.require_int("top_k", top_k, 1, MOST_CANDIDATES)
    arrays.require_int("candidates", candidates, 1, MOST_CANDIDATES)
    known = Vocabulary() if vocabulary is None else vocabulary
    require_one_numbering("sources", sources, "targets", targets, vocabulary)
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
        *like.arguments(),
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
