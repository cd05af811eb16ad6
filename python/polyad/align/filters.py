"""Bleualign's filters: which beads or whole documents are good enough to keep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import exp, log
from typing import NamedTuple

import numpy as np

from polyad.align.documents import Alignment
from polyad.align.tokenizers import tokenizer

BY = ("sentences", "articles")


class Filtered(NamedTuple):
    """What a filter made of alignments; each list has an alignment for every document.

    Attributes:
        kept: The beads that are good enough.
        foreign: Beads whose source itself is nearer to the target than its translation is.
        below: Beads below the threshold or beyond the share that is kept.
    """

    kept: list[Alignment]
    foreign: list[Alignment]
    below: list[Alignment]


def filter_alignments(
    alignments: Iterable[Alignment],
    *,
    by: str = "sentences",
    percent: float = 90.0,
    threshold: float = 0.0,
    other_language: bool = False,
    max_n: int = 2,
    compatible: bool = True,
) -> Filtered:
    """Keep the best beads, or the best documents, of all.

    The score of a bead is the harmonic mean of BLEU(translation, target) and
    BLEU(target, translation), of words by the rule 'nist', without smoothing; the score of a
    document is that of all its beads together, counts summed. Scores are sorted, the best first
    and equal ones in document order, and kept up to and including the one with which more than
    ``percent`` of all beads are kept. The translation is the document's first; a document without
    one is its own.

    Args:
        alignments: All alignments; their documents are held until the end.
        by: 'sentences': beads are kept or not; 'articles': documents are.
        percent: How many of the beads, 0 to 100.
        threshold: Lowest score that is kept; 0 is none.
        other_language: First put away beads, or documents, with BLEU(source, target) >
            BLEU(translation, target): text that was never translated. They do not count for
            ``percent``.
        max_n: Longest n-gram.
        compatible: With 'articles', as Bleualign does: where a document without beads is not kept,
            what follows is not kept either, up to the end of the next document that is not kept.

    Raises:
        ValueError: An argument out of its range.
    """
    if by not in BY:
        raise ValueError(f"by: expected {' or '.join(BY)}, got {by!r}")
    if not 0 <= percent <= 100:
        raise ValueError(f"percent: expected 0 to 100, got {percent}")
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold: expected 0 to 1, got {threshold}")
    if max_n < 1:
        raise ValueError(f"max_n: expected at least 1, got {max_n}")
    listed = list(alignments)
    items: list[tuple[int, list[int], float]] = []  # document, its beads, their score
    foreign: list[list[int]] = [[] for _ in listed]
    for number, alignment in enumerate(listed):
        sums = _bead_sums(alignment, max_n, other_language)
        beads = list(range(len(sums)))
        groups = [[i] for i in beads] if by == "sentences" else [beads]
        for group in groups:
            total = _Sums.of([sums[i] for i in group], max_n)
            forward = total.bleu(total.translated, total.target)
            if other_language and total.bleu_of_source() > forward:
                foreign[number].extend(group)
                continue
            score = 0.0
            if forward > 0:
                backward = total.bleu(total.target, total.translated)
                score = (2 * forward * backward) / (forward + backward)
            items.append((number, group, score))
    kept: list[list[int]] = [[] for _ in listed]
    below: list[list[int]] = [[] for _ in listed]
    for (number, group, _), bad in zip(
        items, _bad(items, percent, threshold, compatible), strict=True
    ):
        (below if bad else kept)[number].extend(group)
    return Filtered(
        *(
            [_only(alignment, rows) for alignment, rows in zip(listed, side, strict=True)]
            for side in (kept, foreign, below)
        )
    )


def _only(alignment: Alignment, rows: Sequence[int]) -> Alignment:
    chosen = np.array(rows, np.int64)
    return Alignment(
        alignment.document,
        alignment.spans[chosen],
        alignment.scores[chosen],
        alignment.labels[chosen],
        {
            place: alignment.scattered[row]
            for place, row in enumerate(rows)
            if row in alignment.scattered
        },
    )


def _bad(
    items: Sequence[tuple[int, list[int], float]],
    percent: float,
    threshold: float,
    compatible: bool,
) -> list[bool]:
    """Whether each item is not kept."""
    order = sorted(range(len(items)), key=lambda i: -items[i][2])
    goal = sum(len(beads) for _, beads, _ in items) * percent / 100
    bad = [False] * len(items)
    total, full = 0, False
    for i in order:
        _, beads, score = items[i]
        bad[i] = full or (threshold > 0 and score < threshold)
        total += len(beads)
        full = full or total > goal
    if not compatible:
        return bad
    switched, result = False, []
    begins_bad = False  # an item without beads begins where the next one does
    ends_bad = False
    for (_, beads, _), this in zip(items, bad, strict=True):
        if not beads:
            begins_bad, ends_bad = begins_bad or this, ends_bad or this
            result.append(this)
            continue
        begins_bad = begins_bad or this
        switched = begins_bad or (switched and not ends_bad)
        result.append(switched)
        begins_bad, ends_bad = False, this
    return result


class _Sums:
    """Clipped counts and lengths, of one bead or of several together."""

    def __init__(
        self,
        matches: list[int],
        translated: list[int],
        target: list[int],
        source_matches: list[int],
        source: list[int],
    ) -> None:
        self.matches = matches  # of the translation with the target, by order
        self.translated = translated  # length, then number of n-grams by order
        self.target = target
        self.source_matches = source_matches  # of the source itself with the target
        self.source = source

    @classmethod
    def of(cls, parts: Sequence[_Sums], max_n: int) -> _Sums:
        """Return the sums of several beads."""
        if len(parts) == 1:
            return parts[0]
        fields = ("matches", "translated", "target", "source_matches", "source")
        lengths = (max_n, max_n + 1, max_n + 1, max_n, max_n + 1)
        return cls(
            *(
                [sum(getattr(part, name)[k] for part in parts) for k in range(length)]
                for name, length in zip(fields, lengths, strict=True)
            )
        )

    def bleu(self, candidate: list[int], reference: list[int]) -> float:
        return _bleu(self.matches, candidate, reference)

    def bleu_of_source(self) -> float:
        return _bleu(self.source_matches, self.source, self.target)


def _bleu(matches: list[int], candidate: list[int], reference: list[int]) -> float:
    """exp(mean of log(matches / n-grams) + min(0, 1 - reference / candidate)), 0 without matches.

    In Bleualign's order of operations, so that equal scores stay equal.
    """
    value = 0.0
    for count, possible in zip(matches, candidate[1:], strict=True):
        if count == 0:
            return 0.0
        value += log(count) - log(possible)
    value /= len(matches)
    return exp(value + min(0, 1 - reference[0] / candidate[0]))


def _bead_sums(alignment: Alignment, max_n: int, of_source: bool) -> list[_Sums]:
    document = alignment.document
    words = tokenizer("nist")
    source = words(list(document.source)) if of_source or not document.translations else []
    translated = words(list(document.translations[0])) if document.translations else source
    target = words(list(document.target))
    nothing = [0] * max_n
    sums = []
    for bead in alignment.beads:
        candidate, reference = _joined(translated, bead.source), _joined(target, bead.target)
        reference_grams = _grams(reference, max_n)
        source_matches, source_possible = nothing, [0, *nothing]
        if of_source:
            own = _joined(source, bead.source)
            source_matches = _matches(_grams(own, max_n), reference_grams)
            source_possible = _possible(own, max_n)
        sums.append(
            _Sums(
                _matches(_grams(candidate, max_n), reference_grams),
                _possible(candidate, max_n),
                _possible(reference, max_n),
                source_matches,
                source_possible,
            )
        )
    return sums


def _joined(sentences: Sequence[list[str]], indices: tuple[int, ...]) -> list[str]:
    return [word for i in indices for word in sentences[i]]


def _grams(words: list[str], max_n: int) -> list[Counter[tuple[str, ...]]]:
    return [Counter(zip(*(words[i:] for i in range(n)), strict=False)) for n in range(1, max_n + 1)]


def _matches(
    candidate: list[Counter[tuple[str, ...]]], reference: list[Counter[tuple[str, ...]]]
) -> list[int]:
    return [sum((a & b).values()) for a, b in zip(candidate, reference, strict=True)]


def _possible(words: list[str], max_n: int) -> list[int]:
    return [len(words), *(max(len(words) - n + 1, 0) for n in range(1, max_n + 1))]
