"""BLEU of texts against reference translations, as sacrebleu has it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from polyad import _arrays as arrays
from polyad._sentences import Sentences, Vocabulary

Numbers: TypeAlias = np.ndarray[Any, Any]
Smoothing: TypeAlias = Literal["none", "floor", "add-k", "exp"]
Tokenize: TypeAlias = str | Callable[[str], Sequence[str]]

SMOOTHING_VALUES = {"none": None, "floor": 0.1, "add-k": 1.0, "exp": None}
MOST_ORDERS = 64


@dataclass(frozen=True)
class BleuScore:
    """BLEU of a corpus and what it is made of; ``float(...)`` is the score.

    Attributes:
        score: 0 to 100.
        precisions: In percent, smoothed, one for each order.
        brevity_penalty: 0 to 1.
        matches: Clipped counts of n-grams, one for each order.
        totals: The n-grams of the candidates.
        candidate_length: Words of the candidates.
        reference_length: Words of the references, of each candidate the closest one.
    """

    score: float
    precisions: tuple[float, ...]
    brevity_penalty: float
    matches: tuple[int, ...]
    totals: tuple[int, ...]
    candidate_length: int
    reference_length: int

    def __float__(self) -> float:
        return self.score

    def __str__(self) -> str:
        precisions = "/".join(f"{precision:.1f}" for precision in self.precisions)
        return (
            f"BLEU = {self.score:.2f} {precisions} (brevity penalty {self.brevity_penalty:.3f}, "
            f"{self.candidate_length} words, {self.reference_length} in the references)"
        )


def corpus_bleu(
    candidates: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    max_n: int = 4,
    tokenize: Tokenize = "13a",
    smoothing: Smoothing = "exp",
    smoothing_value: float | None = None,
    effective_order: bool = False,
    lowercase: bool | None = None,
) -> BleuScore:
    """Score translations of a whole text: BLEU.

        p_n  = 100 sum_i matches_n(i) / sum_i n-grams(i)
        BLEU = BP exp( 1/N sum_n log p_n ),   BP = 1 if c >= r, else exp(1 - r / c)

    over the orders n = 1 .. N = ``max_n``, with the clipped counts of each candidate's n-grams in
    its references, c words in the candidates and r in the references, of each candidate the one of
    the closest length. Papineni, Roukos, Ward and Zhu, "BLEU: a method for automatic evaluation of
    machine translation" (2002). Equal to sacrebleu (Post, "A call for clarity in reporting BLEU
    scores", 2018), which takes the references the other way round, [reference][candidate].

    Smoothing (Chen and Cherry, "A systematic comparison of smoothing techniques for sentence-level
    BLEU", 2014) is of orders without a match: 'none' leaves the score 0; 'floor' counts
    ``smoothing_value`` matches (0.1); 'exp' 1/2 match at the first such order, 1/4 at the next, and
    so on; 'add-k' adds ``smoothing_value`` (1) to the matches and n-grams of all orders from 2 on,
    matched or not. Without a single match of any order the score is 0, and so it is without
    smoothing that makes up for an order that no candidate is long enough for.

    Args:
        candidates: [candidate] translations.
        references: [candidate][reference]: at least one reference for each candidate, not
            necessarily as many for all.
        max_n: N, at least 1.
        tokenize: A name or function of `polyad.align.tokenizers.tokenizer`.
        smoothing: 'none', 'floor', 'add-k' or 'exp'.
        smoothing_value: Of 'floor' and 'add-k'; at least 0.
        effective_order: Whether only orders count that some candidate is long enough for.
        lowercase: Whether the text is brought into lower case; None: as the tokeniser does, '13a'
            and sacrebleu's others do not.

    Returns:
        The score, 0 to 100, with its precisions and lengths.

    Raises:
        TypeError: A wrong kind of an argument.
        ValueError: Lists that do not fit, an unknown name, a number out of range.

    >>> print(corpus_bleu(["the cat sat on the mat"], [["the cat is on the mat", "a cat"]]))
    BLEU = 37.99 83.3/60.0/25.0/16.7 (brevity penalty 1.000, 6 words, 6 in the references)
    """
    _require_smoothing(smoothing, smoothing_value)
    matches, lengths, closest = _counts(candidates, references, max_n, tokenize, lowercase)
    totals = _totals(lengths, max_n).sum(axis=0, keepdims=True)
    matches = matches.sum(axis=0, dtype=np.int64, keepdims=True)
    c, r = lengths.sum(dtype=np.int64), closest.sum(dtype=np.int64)
    scores, precisions, penalties = _scores(
        matches, totals, c[None], r[None], smoothing, smoothing_value, effective_order
    )
    return BleuScore(
        score=float(scores[0]),
        precisions=tuple(precisions[0].tolist()),
        brevity_penalty=float(penalties[0]),
        matches=tuple(matches[0].tolist()),
        totals=tuple(totals[0].tolist()),
        candidate_length=int(c),
        reference_length=int(r),
    )


def sentence_bleu(
    candidates: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    max_n: int = 4,
    tokenize: Tokenize = "13a",
    smoothing: Smoothing = "exp",
    smoothing_value: float | None = None,
    effective_order: bool = True,
    lowercase: bool | None = None,
) -> Numbers:
    """Score translations one by one: the BLEU of each candidate alone.

    The formula of `corpus_bleu` on one candidate at a time; ``effective_order`` is on, so that a
    short sentence is not scored by n-grams that it cannot have.

    Args:
        candidates: [candidate] translations.
        references: [candidate][reference]: at least one reference for each candidate, not
            necessarily as many for all.
        max_n: The longest n-grams, at least 1.
        tokenize: A name or function of `polyad.align.tokenizers.tokenizer`.
        smoothing: 'none', 'floor', 'add-k' or 'exp'; see `corpus_bleu`.
        smoothing_value: Of 'floor' and 'add-k'; at least 0.
        effective_order: Whether only orders count that the candidate is long enough for.
        lowercase: Whether the text is brought into lower case; None: as the tokeniser does.

    Returns:
        float64 [candidate], 0 to 100.

    Raises:
        TypeError: A wrong kind of an argument.
        ValueError: Lists that do not fit, an unknown name, a number out of range.

    >>> sentence_bleu(["the cat", "a dog"], [["the cat"], ["the dog", "a bird"]]).round(2)
    array([100.  ,  70.71])
    """
    _require_smoothing(smoothing, smoothing_value)
    matches, lengths, closest = _counts(candidates, references, max_n, tokenize, lowercase)
    return _scores(
        matches,
        _totals(lengths, max_n),
        lengths,
        closest,
        smoothing,
        smoothing_value,
        effective_order,
    )[0]


def _require_smoothing(smoothing: str, value: float | None) -> None:
    if smoothing not in SMOOTHING_VALUES:
        raise ValueError(
            f"smoothing: expected one of {', '.join(SMOOTHING_VALUES)}, got {smoothing!r}"
        )
    if value is None:
        return
    if SMOOTHING_VALUES[smoothing] is None:
        raise ValueError(f"smoothing_value: expected None with {smoothing!r}, got {value}")
    if not 0 <= value < math.inf:
        raise ValueError(f"smoothing_value: expected a finite number of at least 0, got {value}")


def _counts(
    candidates: Any, references: Any, max_n: int, tokenize: Tokenize, lowercase: bool | None
) -> tuple[Numbers, Numbers, Numbers]:
    """Matches int32 [C, N], words of the candidates int32 [C], words of the closest references."""
    arrays.require_int("max_n", max_n, 1, MOST_ORDERS)
    _require_texts("candidates", candidates)
    if isinstance(references, str) or not isinstance(references, Sequence):
        raise TypeError(
            "references: expected a list of references for each candidate, got "
            f"{type(references).__name__}"
        )
    if len(references) != len(candidates):
        raise ValueError(
            f"references: expected {len(candidates)} lists, one for each candidate, got "
            f"{len(references)}"
        )
    flat: list[str] = []
    places = [0]
    for place, group in enumerate(references):
        _require_texts(f"references[{place}]", group)
        if not len(group):
            raise ValueError(f"references[{place}]: expected at least one reference, got none")
        flat.extend(group)
        places.append(len(flat))
    # here, because the aligner's package is built on the ops
    from polyad.align.tokenizers import tokenizer

    split = tokenizer(tokenize, lowercase=lowercase)
    vocabulary = Vocabulary()
    sentences = vocabulary.encode(split(candidates))
    against: Sentences = vocabulary.encode(split(flat))
    matches = np.zeros((len(sentences), max_n), np.int32)
    closest = np.zeros(len(sentences), np.int32)
    arrays.run(
        "align_bleu_counts",
        sentences.ids,
        *(sentences.ids, sentences.offsets, len(sentences)),
        *(against.ids, against.offsets, len(against), np.array(places, np.int64)),
        *(max_n, matches, closest),
    )
    return matches, sentences.lengths(), closest


def _require_texts(name: str, texts: Any) -> None:
    if isinstance(texts, str) or not isinstance(texts, Sequence):
        raise TypeError(f"{name}: expected a list of str, got {type(texts).__name__}")
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"{name}[{place}]: expected a str, got {type(text).__name__}")


def _totals(lengths: Numbers, max_n: int) -> Numbers:
    """How many n-grams of every order there are, int64 [C, N]."""
    totals: Numbers = np.maximum(lengths[:, None].astype(np.int64) - np.arange(max_n), 0)
    return totals


def _scores(
    matches: Numbers,
    totals: Numbers,
    lengths: Numbers,
    closest: Numbers,
    smoothing: str,
    value: float | None,
    effective_order: bool,
) -> tuple[Numbers, Numbers, Numbers]:
    """Scores [C], precisions [C, N] and brevity penalties [C] of C texts."""
    some = np.asarray(matches.any(axis=1))
    found, out_of = matches.astype(np.float64), totals.astype(np.float64)
    amount = (SMOOTHING_VALUES[smoothing] if value is None else value) or 0.0
    if smoothing == "add-k":
        found[:, 1:] += amount
        out_of[:, 1:] += amount
    # the orders before the first one that the text is too short for
    there: Numbers = np.logical_and.accumulate(out_of > 0, axis=1)
    missed: Numbers = there & (found == 0)
    if smoothing == "floor":
        np.copyto(found, amount, where=missed)
    elif smoothing == "exp":
        np.copyto(found, np.power(0.5, missed.cumsum(axis=1)), where=missed)
    precisions: Numbers = np.zeros_like(found)
    there = there & some[:, None]
    np.divide(100 * found, out_of, out=precisions, where=there)
    orders: Numbers = there.sum(axis=1) if effective_order else np.full(len(there), there.shape[1])
    counted: Numbers = np.arange(there.shape[1]) < orders[:, None]
    with np.errstate(divide="ignore"):
        logs = np.where(counted, np.log(precisions), 0.0).sum(axis=1) / np.maximum(orders, 1)
    c, r = np.maximum(lengths, 1).astype(np.float64), closest.astype(np.float64)
    penalties = np.where(lengths > 0, np.exp(np.minimum(0.0, 1 - r / c)), 1.0 * (closest == 0))
    return np.where(some, penalties * np.exp(logs), 0.0), precisions, penalties
