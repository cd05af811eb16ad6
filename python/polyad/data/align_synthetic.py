"""Generated documents with a translation, to measure what aligning costs; no measure of accuracy.

document = align_synthetic(10_000, seed=0).document

Words follow Zipf's law, and each has its own words that it likes to be followed by, so pairs of
words repeat as in real text; that is what an aligner's cost depends on. Everything is a pure
function of the arguments.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyad.align.documents import LABELS, Alignment, Document

__all__ = ["align_synthetic"]

Integers = NDArray[np.int64]
Uniform = Callable[[int], NDArray[np.float64]]

# Chosen for the English of the LibreOffice help, repeated sentences left out: 12.7 tokens a
# sentence (standard deviation 8.6), 70 % of them with a full stop at the end; 5,700 words and
# 38,000 different pairs among the first 10,000 sentences.
WORDS = 16_000
ZIPF, ZIPF_SHIFT = 1.2, 2.5  # a word's frequency is (rank + shift)^-exponent
FOLLOWED = 0.9  # the share of words that are one of those that the word before likes
FOLLOWERS, FOLLOWER_ZIPF, FOLLOWER_SHIFT = 500, 1.3, 2.0
LENGTH_SHAPE, LENGTH_SCALE, LONGEST = 1.85, 6.6, 80  # gamma distribution of tokens in a sentence
STOPPED = 0.7
FULL_STOP = WORDS  # the number after the last word
COMMA = 2  # its rank

SUBSTITUTED, DROPPED, INSERTED, SWAPPED = 0.25, 0.08, 0.05, 0.06


def align_synthetic(
    sentences: int,
    *,
    seed: int = 0,
    document: int = 0,
    merges: float = 0.05,
    deletions: float = 0.03,
    insertions: float = 0.03,
) -> Alignment:
    """Return a generated document with its translation, and the beads it was made with.

    The target is the source in other words, where some pairs of sentences have become one, some
    are missing, and some have come in; the translation is the source in the target's words, of
    which 25 % are replaced by random ones, 8 % dropped, 6 % change places with the next one, and
    5 % as many come in. With the default shares m = 0.95 n.

    Args:
        sentences: n, of the source.
        seed: 0 .. 2**64 - 1.
        document: 0 .. 2**64 - 1; another one for every document of a collection.
        merges: Target sentences that stand for two of the source, as a share of n.
        deletions: Source sentences that have no target, likewise.
        insertions: Target sentences that have no source, likewise.

    Returns:
        The document, with one translation, and its 1-1 and 2-1 beads with the label GIVEN.

    Raises:
        ValueError: An argument is out of range.
    """
    if sentences < 1:
        raise ValueError(f"sentences: expected at least 1, got {sentences}")
    for name, value in (("seed", seed), ("document", document)):
        if not 0 <= value < 1 << 64:
            raise ValueError(f"{name}: expected 0 .. 2**64 - 1, got {value}")
    for name, share in (("merges", merges), ("deletions", deletions), ("insertions", insertions)):
        if not 0 <= share <= 0.3:
            raise ValueError(f"{name}: expected a share of 0 .. 0.3, got {share}")
    uniform = _uniform(seed, document)
    merged, deleted, inserted = (round(x * sentences) for x in (merges, deletions, insertions))
    text = _text(uniform, sentences + inserted)
    units, sizes = _targets(uniform, sentences, merged, deleted, inserted)
    source = _take(text, np.arange(sentences))
    # the sentences of every unit, in the order of the target
    members = np.repeat(units, sizes) + (np.arange(sizes.sum()) - np.repeat(_starts(sizes), sizes))
    tokens, offsets = _take(text, members)
    target = tokens, offsets[np.append(_starts(sizes), sizes.sum())]
    made = Document(
        _written(source, _words("source")),
        _written(target, _words("target")),
        (_written(_noisy(uniform, source), _words("target")),),
        name=f"synthetic-{seed}-{document}",
    )
    found = np.flatnonzero(units < sentences)
    begin, end = units[found], units[found] + sizes[found]
    spans = np.stack([begin, end, found, found + 1], axis=1).astype(np.int32)
    labels = np.full(len(spans), LABELS.index("GIVEN"), np.int8)
    return Alignment(made, spans, np.full(len(spans), np.nan), labels)


Text = tuple[Integers, Integers]  # word numbers [T], and offsets [sentences + 1] into them


def _uniform(seed: int, document: int) -> Uniform:
    """Return what draws numbers of [0, 1) from Philox's raw words, which numpy keeps stable."""
    bits = np.random.Philox(key=np.array([seed, document], np.uint64))
    return lambda count: (bits.random_raw(count) >> np.uint64(11)).astype(np.float64) * 2.0**-53


@functools.cache
def _tables() -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Cumulative distributions of words by rank, of followers by rank, and of lengths from 1."""
    words = (np.arange(1, WORDS + 1) + ZIPF_SHIFT) ** -ZIPF
    followers = (np.arange(1, FOLLOWERS + 1) + FOLLOWER_SHIFT) ** -FOLLOWER_ZIPF
    at = np.arange(1, LONGEST + 1) - 0.5
    lengths = at ** (LENGTH_SHAPE - 1) * np.exp(-at / LENGTH_SCALE)
    words, followers, lengths = (
        np.cumsum(weights / weights.sum()) for weights in (words, followers, lengths)
    )
    return words, followers, lengths


def _drawn(cumulative: NDArray[Any], uniform: NDArray[Any]) -> Integers:
    return np.minimum(np.searchsorted(cumulative, uniform, side="right"), len(cumulative) - 1)


def _text(uniform: Uniform, sentences: int) -> Text:
    """Draw sentences word by word, the i-th words of all that are long enough at a time."""
    words, followers, by_length = _tables()
    lengths = 1 + _drawn(by_length, uniform(sentences))
    order = np.argsort(-lengths, kind="stable")
    tokens = np.zeros((sentences, int(lengths.max())), np.int64)
    before = np.full(sentences, FULL_STOP)
    for place in range(tokens.shape[1]):
        count = int(np.count_nonzero(lengths > place))
        liked = uniform(count) < FOLLOWED
        rank = _drawn(followers, uniform(count))
        # the follower of this rank is the same word each time, and a frequent word is often one
        fixed = _mixed(before[:count] * FOLLOWERS + rank)
        before = _drawn(words, np.where(liked, fixed, uniform(count)))
        tokens[order[:count], place] = before
    stopped = (uniform(sentences) < STOPPED) & (lengths > 1)
    tokens[stopped, lengths[stopped] - 1] = FULL_STOP
    inside = np.arange(tokens.shape[1]) < lengths[:, None]
    return tokens[inside], _offsets(lengths)


def _mixed(numbers: Integers) -> NDArray[np.float64]:
    """Hash numbers to [0, 1): the finaliser of SplitMix64."""
    x = numbers.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((x ^ (x >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _targets(
    uniform: Uniform, sentences: int, merged: int, deleted: int, inserted: int
) -> tuple[Integers, Integers]:
    """Return for every target sentence the first one that it stands for, and how many."""
    beads = sentences - merged
    chosen = np.argsort(uniform(beads), kind="stable")
    sizes = np.ones(beads, np.int64)
    sizes[chosen[:merged]] = 2
    kept = np.ones(beads, np.bool_)
    kept[chosen[merged : merged + deleted]] = False
    units, sizes = _starts(sizes)[kept], sizes[kept]
    # what comes in are the sentences after those of the source
    where = np.sort((uniform(inserted) * (len(units) + 1)).astype(np.int64))
    units = np.insert(units, where, sentences + np.arange(inserted))
    return units, np.insert(sizes, where, 1)


def _noisy(uniform: Uniform, text: Text) -> Text:
    """Replace, drop, insert and swap words; the first word of a sentence is not dropped."""
    words, _, _ = _tables()
    tokens, offsets = text
    fate = uniform(len(tokens))
    kept = fate >= DROPPED
    kept[offsets[:-1]] = True
    replaced = (fate >= DROPPED) & (fate < DROPPED + SUBSTITUTED)
    tokens = np.where(replaced, _drawn(words, uniform(len(tokens))), tokens)
    more = kept & (uniform(len(tokens)) < INSERTED)
    counts = kept.astype(np.int64) + more
    ends = np.append(0, np.cumsum(counts))
    tokens, offsets = np.repeat(tokens, counts), ends[offsets]
    tokens[ends[1:][more] - 1] = _drawn(words, uniform(int(more.sum())))
    swapped = uniform(len(tokens)) < SWAPPED
    swapped[offsets[1:] - 1] = False
    swapped[1:] &= ~swapped[:-1]
    first = np.flatnonzero(swapped)
    tokens[first], tokens[first + 1] = tokens[first + 1], tokens[first]
    return tokens, offsets


def _offsets(lengths: Integers) -> Integers:
    return np.append(0, np.cumsum(lengths))


def _starts(sizes: Integers) -> Integers:
    return np.cumsum(sizes) - sizes


def _take(text: Text, order: Integers) -> Text:
    """Return the sentences ``order`` of a text."""
    tokens, offsets = text
    lengths = np.diff(offsets)[order]
    taken = _offsets(lengths)
    index = np.arange(taken[-1]) + np.repeat(offsets[order] - taken[:-1], lengths)
    return tokens[index], taken


@functools.cache
def _words(language: str) -> tuple[str, ...]:
    """Return the words of a language by rank, each with the space before it: short ones first."""
    if language == "source":
        consonants, vowels, last = "bdfghjklmnprstvz", "aeiöü", "nrs"
    else:
        consonants, vowels, last = "bcdfghklmnprstvw", "aeiou", "dlt"
    syllables = [consonant + vowel for consonant in consonants for vowel in vowels]
    words = []
    for rank in range(WORDS):
        letters, left = last[rank % len(last)], rank
        while True:
            letters = syllables[left % len(syllables)] + letters
            left //= len(syllables)
            if left == 0:
                break
            left -= 1  # so that no word is another one with a syllable of rank 0 before it
        words.append(" " + letters)
    words[COMMA] = ","
    return (*words, ".")


def _written(text: Text, words: Sequence[str]) -> list[str]:
    """Write sentences out: words with spaces between, a capital first."""
    pieces = [words[token] for token in text[0].tolist()]
    offsets = text[1].tolist()
    lines = []
    for begin, end in itertools.pairwise(offsets):
        line = "".join(pieces[begin:end]).lstrip()
        lines.append(line[:1].upper() + line[1:])
    return lines
