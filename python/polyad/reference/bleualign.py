"""Bleualign's beads in plain Python: the oracle of the mode 'bleualign'.

Sennrich and Volk, "MT-based Sentence Alignment for OCR-generated Parallel Texts" (AMTA 2010) and
"Iterative, MT-based Sentence Alignment of Parallel Texts" (NODALIDA 2011) describe the method.
What they leave open (ties, caches, windows, sums that underflow) is settled here as the program
that they published settles it, because its users compare beads.

A run compares hypotheses (a translation of the source) with references (the target); ids are
places in these lists.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

__all__ = ["Options", "Run", "align", "candidates", "gale_church", "run"]

Ids: TypeAlias = tuple[int, ...]
Words: TypeAlias = Sequence[str]
Found: TypeAlias = tuple[Ids, Ids, str]
"""A bead and how it was found."""


@dataclass(frozen=True)
class Options:
    """What may be chosen.

    Attributes:
        max_n: The highest order of n-grams.
        top_k: How many references are kept for a hypothesis.
        max_join: How many neighbours are joined in gaps.
        link_gaps: Whether the first sentences of a gap are linked if they score best.
        length_gaps: Whether what is left of a gap is aligned by length.
        length_only: Whether everything is aligned by length.
    """

    max_n: int = 2
    top_k: int = 3
    max_join: int = 2
    link_gaps: bool = True
    length_gaps: bool = True
    length_only: bool = False


class Candidate(NamedTuple):
    """A reference that scores well, and its clipped counts of the orders 1, 2 ..."""

    score: float
    reference: int
    clipped: tuple[int, ...]


class Run(NamedTuple):
    """What one comparison of hypotheses with references gives.

    ``beads`` stand in the order in which they were found; one may be there twice.
    """

    anchors: list[tuple[int, int]]
    beads: list[Found]


# -- scores ----------------------------------------------------------------------------------------


def ngrams(words: Words, order: int) -> Counter[Words]:
    """How often every n-gram of an order occurs."""
    return Counter(tuple(words[i : i + order]) for i in range(len(words) - order + 1))


def bleu(clipped: Sequence[int], length: int, other: int) -> float:
    """BLEU without smoothing of a text of ``length`` words; the operations in this very order."""
    mean = 0.0
    for k, count in enumerate(clipped):
        mean += math.log(count) - math.log(length - k)
    return math.exp(mean / len(clipped) + min(0, 1 - other / length))


def candidates(
    hypotheses: Sequence[Words], references: Sequence[Words], *, max_n: int = 2, top_k: int = 3
) -> list[list[Candidate]]:
    """The best references of every hypothesis, ties in the order of the references.

    A reference has the score of the first one with the same *set* of n-grams: counts and lengths
    are not looked at again.
    """
    counted = [[ngrams(words, k + 1) for k in range(max_n)] for words in references]
    keys = [frozenset().union(*orders) for orders in counted]
    ranked = []
    for words in hypotheses:
        orders = [ngrams(words, k + 1) for k in range(max_n)]
        known: dict[frozenset[Words], tuple[float, tuple[int, ...]] | None] = {}
        row = []
        for j, (others, key) in enumerate(zip(counted, keys, strict=True)):
            if key not in known:
                clipped = tuple((a & b).total() for a, b in zip(orders, others, strict=True))
                known[key] = _score(clipped, len(words), len(references[j]))
            found = known[key]
            if found is not None:
                row.append(Candidate(found[0], j, found[1]))
        row.sort(key=lambda candidate: -candidate.score)
        ranked.append(row[:top_k])
    return ranked


def _score(
    clipped: tuple[int, ...], length: int, other: int
) -> tuple[float, tuple[int, ...]] | None:
    if clipped[-1] == 0:
        return None
    forward = bleu(clipped, length, other)
    if not forward > 0:  # underflow: the reference is hundreds of times as long
        return None
    backward = bleu(clipped, other, length)
    return 2 * forward * backward / (forward + backward), clipped


# -- anchors ---------------------------------------------------------------------------------------


def anchors(ranked: Sequence[Sequence[Candidate]], references: int) -> list[tuple[int, int]]:
    """The chain of candidates with the highest sum.

    Ties leave the hypothesis out, then the reference.
    """
    above = [0.0] * (references + 1)
    moves = []
    for row in ranked:
        scores = {candidate.reference: candidate.score for candidate in row}
        values, directions = [0.0], ["end"]
        for j in range(references):
            best, direction = above[j + 1], "hypothesis"
            if values[j] > best:
                best, direction = values[j], "reference"
            if j in scores and scores[j] + above[j] > best:
                best, direction = scores[j] + above[j], "both"
            values.append(best)
            directions.append(direction)
        moves.append(directions)
        above = values
    chain = []
    i, j = len(ranked), references
    while i and j:
        direction = moves[i - 1][j]
        if direction == "both":
            chain.append((i - 1, j - 1))
        i -= direction != "reference"
        j -= direction != "hypothesis"
    return chain[::-1]


# -- gaps ------------------------------------------------------------------------------------------


class _Filler:
    """Walks from anchor to anchor and fills the gaps between them."""

    def __init__(
        self,
        hypotheses: Sequence[str],
        references: Sequence[str],
        words: tuple[Sequence[Words], Sequence[Words]],
        options: Options,
    ) -> None:
        self.texts = hypotheses, references
        self.words = words
        self.options = options
        ranked = candidates(*words, max_n=options.max_n, top_k=options.top_k)
        self.anchors = anchors(ranked, len(references))
        self.beads: list[Found] = []

    def emit(self, hypothesis: Ids, reference: Ids, label: str = "") -> None:
        """Take a bead in, unless a side is empty."""
        if hypothesis and reference:
            is_anchor = len(hypothesis) == len(reference) == 1 and (
                (hypothesis[0], reference[0]) in self.anchors
            )
            label = label or ("BLEU" if is_anchor else "GAPFILLER")
            self.beads.append((hypothesis, reference, label))

    def walk(self) -> None:
        """Fill every gap; the last one begins behind the last anchor, however that has changed."""
        previous: tuple[Ids, Ids] = ((), ())
        for i, j in self.anchors:
            left = list(range(previous[0][-1] + 1 if previous[0] else 0, i))
            right = list(range(previous[1][-1] + 1 if previous[1] else 0, j))
            if left or right:
                previous = self.fill(left, right, previous, ((i,), (j,)))
            else:
                self.emit(*previous)
                previous = ((i,), (j,))
        i, j = self.anchors[-1] if self.anchors else (-1, -1)
        left = list(range(i + 1, len(self.texts[0])))
        right = list(range(j + 1, len(self.texts[1])))
        if left or right:
            previous = self.fill(left, right, previous, ((), ()))
        self.emit(*previous)

    def entries(self, before: Ids, gap: list[int], after: Ids) -> list[Ids]:
        """What is scored in a gap: the anchors, its ends, and joins of neighbours among these."""
        width = self.options.max_join + (10 if self.options.link_gaps else 0)
        ends = [(i,) for place, i in enumerate(gap) if place < width or len(gap) - place <= width]
        singles = [before, *ends, after]
        joins = [
            sum(singles[place : place + size], ())
            for size in range(2, self.options.max_join + 1)
            for place in range(len(singles) - size + 1)
        ]
        return singles + joins

    def best(
        self, left: list[int], right: list[int], pre: tuple[Ids, Ids], post: tuple[Ids, Ids]
    ) -> dict[Ids, tuple[float, Ids, tuple[int, ...]]]:
        """The best reference of every entry that has one: score, ids, clipped counts."""
        ids = [self.entries(pre[side], gap, post[side]) for side, gap in enumerate((left, right))]
        joined = [
            [[word for i in entry for word in words[i]] for entry in entries]
            for words, entries in zip(self.words, ids, strict=True)
        ]
        ranked = candidates(*joined, max_n=self.options.max_n, top_k=self.options.top_k)
        return {
            entry: (row[0].score, ids[1][row[0].reference], row[0].clipped)
            for entry, row in zip(ids[0], ranked, strict=True)
            if row
        }

    def fill(
        self, left: list[int], right: list[int], pre: tuple[Ids, Ids], post: tuple[Ids, Ids]
    ) -> tuple[Ids, Ids]:
        """Take in what lies between two anchors; return the second, as it is then."""
        best = self.best(left, right, pre, post)
        joins = self.options.max_join > 1

        def gains(longer: Ids, anchor: tuple[Ids, Ids]) -> bool:
            if not joins or longer not in best or anchor[0] not in best:
                return False
            (score, reference, clipped), old = best[longer], best[anchor[0]]
            return score > old[0] and clipped > old[2] and reference == anchor[1]

        def moved(anchor: Ids) -> Ids | None:
            """The best reference of an anchor, unless it belongs to one of the two."""
            if not joins or anchor not in best or best[anchor][1] in (pre[1], post[1]):
                return None
            return best[anchor][1]

        while left or right:
            if left and pre[0] and gains((*pre[0], left[0]), pre):
                pre = ((*pre[0], left.pop(0)), pre[1])
            elif left and post[0] and gains((left[-1], *post[0]), post):
                post = ((left.pop(), *post[0]), post[1])
            elif right and pre[0] and (reference := moved(pre[0])) is not None:
                pre = (pre[0], reference)
                right = [j for j in right if j not in reference]
            elif right and post[0] and (reference := moved(post[0])) is not None:
                post = (post[0], reference)
                right = [j for j in right if j not in reference]
            elif (
                left
                and right
                and self.options.link_gaps
                and (left[0],) in best
                and best[(left[0],)][1] == (right[0],)
            ):
                self.emit(*pre)
                pre = ((left.pop(0),), (right.pop(0),))
            else:
                self.by_length(left, right)
                break
        if not any(bead[:2] == pre for bead in self.beads):
            self.emit(*pre)
        return post

    def by_length(self, left: list[int], right: list[int]) -> None:
        """Align the rest of a gap by its lengths, unless it is long and lopsided."""
        more, fewer = max(len(left), len(right)), min(len(left), len(right))
        if self.options.length_gaps and fewer and (more < 4 or more / fewer < 2):
            hypotheses, references = self.texts
            for bead in _by_length([hypotheses[i] for i in left], [references[j] for j in right]):
                self.emit(
                    tuple(left[i] for i in bead[0]), tuple(right[j] for j in bead[1]), "GALECHURCH"
                )


# -- Gale and Church -------------------------------------------------------------------------------

PRIORS = {(1, 0): 0.0099, (0, 1): 0.0099, (1, 1): 0.89, (2, 1): 0.089, (1, 2): 0.089, (2, 2): 0.011}
VARIANCE = 6.8
ERFC = (
    *(-1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806),
    *(0.27886807, -1.13520398, 1.48851587, -0.82215223, 0.17087277),
)
"""Chebyshev's fit to erfc of Numerical Recipes (section 6.2), for positive arguments."""


def erfc(z: float) -> float:
    """1 minus the error function, to about 1.2e-7."""
    t = 1 / (1 + 0.5 * z)
    series = ERFC[9]
    for coefficient in ERFC[8:0:-1]:
        series = coefficient + t * series
    return t * math.exp(-z * z + ERFC[0] + t * series)


def probability(left: int, right: int, prior: float) -> float:
    """How probable it is that texts of these lengths translate each other."""
    if left == right == 0:
        return 0.0
    delta = abs((right - left) / math.sqrt((left + right) / 2 * VARIANCE))
    # the two differences round the result to multiples of 2^-53, and far ones to 0
    return 2 * (1 - (1 - 0.5 * erfc(delta / math.sqrt(2)))) * prior


def gale_church(left: Sequence[int], right: Sequence[int]) -> list[tuple[Ids, Ids]]:
    """Align by length, in probabilities that underflow where texts are long.

    Gale and Church, "A Program for Aligning Sentences in Bilingual Corpora" (1993). At the start
    one sentence of either side may be left out free of charge. A cell that no path reaches links
    1-1. Of equal paths the one with the greatest last step wins.
    """
    table = {(-1, -1): 1.0, (-1, 0): 1.0, (0, -1): 1.0}
    steps: dict[tuple[int, int], tuple[int, int]] = {}
    for i in range(len(left)):
        for j in range(len(right)):
            reached = [
                (
                    before
                    * probability(
                        sum(left[i + 1 - a : i + 1]), sum(right[j + 1 - b : j + 1]), prior
                    ),
                    (a, b),
                )
                for (a, b), prior in PRIORS.items()
                if (before := table.get((i - a, j - b), 0.0)) > 0
            ]
            table[i, j], steps[i, j] = max(reached, default=(0.0, (1, 1)))
    beads: list[tuple[Ids, Ids]] = []
    i, j = len(left) - 1, len(right) - 1
    while i >= 0 and j >= 0:
        a, b = steps[i, j]
        if a and b:
            beads.append((tuple(range(i + 1 - a, i + 1)), tuple(range(j + 1 - b, j + 1))))
        i, j = i - a, j - b
    return beads[::-1]


def _by_length(left: Iterable[str], right: Iterable[str]) -> list[tuple[Ids, Ids]]:
    return gale_church(*([len(text.strip()) for text in side] for side in (left, right)))


# -- runs and documents ----------------------------------------------------------------------------


def run(
    hypotheses: Sequence[str],
    references: Sequence[str],
    tokenize: Callable[[str], Words],
    options: Options,
) -> Run:
    """Compare hypotheses with references."""
    if options.length_only:
        found = _by_length(hypotheses, references)
        return Run([], [(*bead, "GALECHURCH") for bead in found])
    words = [tokenize(text) for text in hypotheses], [tokenize(text) for text in references]
    filler = _Filler(hypotheses, references, words, options)
    filler.walk()
    return Run(filler.anchors, filler.beads)


def align(
    source: Sequence[str],
    target: Sequence[str],
    translations: Sequence[Sequence[str]],
    back_translations: Sequence[Sequence[str]],
    tokenize: Callable[[str], Words],
    options: Options | None = None,
) -> list[Found]:
    """Return the beads of a document, ascending; those that all runs found.

    Of runs in one direction the labels are compared too. Without any translation the source itself
    is compared with the target.
    """
    if not source or not target:
        return []
    options = options or Options()
    forward = [run(text, target, tokenize, options).beads for text in translations]
    backward = [run(text, source, tokenize, options).beads for text in back_translations]
    if not forward and not backward:
        forward = [run(source, target, tokenize, options).beads]
    ahead = _in_all(forward)
    back = [(source_ids, target_ids, label) for target_ids, source_ids, label in _in_all(backward)]
    # as the program has it: a direction that found nothing at all is ignored
    beads = list(_in_both(ahead, back)) if ahead and back else ahead or back
    return sorted(beads, key=lambda bead: bead[:2])


def _in_all(runs: Sequence[list[Found]]) -> list[Found]:
    if len(runs) < 2:
        return runs[0] if runs else []
    return sorted(set(runs[0]).intersection(*runs[1:]))


def _in_both(ahead: Iterable[Found], back: Sequence[Found]) -> Iterator[Found]:
    for source, target, label in ahead:
        other = next((found[2] for found in back if found[:2] == (source, target)), None)
        if other is not None:
            yield source, target, f"INTERSECT: {label} - {other}"
