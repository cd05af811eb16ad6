"""The mode 'accurate': the beads that a trained model of similarities, lengths and ends finds."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any, Literal, NamedTuple

import numpy as np

from polyad import _arrays as arrays
from polyad import _backend
from polyad._sentences import Sentences, offsets_of
from polyad.align.accurate_weights import WEIGHTS
from polyad.align.documents import LABELS, Alignment, Document
from polyad.align.soft import SoftView
from polyad.align.tokenizers import tokenizer
from polyad.align.vectors import WordVectors
from polyad.ops._align_beads import (
    BeadSide,
    BeadView,
    best_beads,
    sentence_vectors,
)

# Full width forms and the marks of other scripts stand beside those of ASCII.
_ENDS = {
    letter: kind
    for kind, letters in enumerate(
        (
            ".\u2026\u3002\uff0e\uff61\u0964",
            "!\uff01",
            "?\uff1f\u061f",
            ":;\uff1a\uff1b",
            "\"')]\u00bb\u00ab\u201d\u201c\u2019\u2018\uff09\u300d\u300f",
            ",\uff0c\u3001\u060c",
        )
    )
    for letter in letters
}
_OTHER_END = len(set(_ENDS.values()))
_LETTER = re.compile(r"\w")


class Evidence(NamedTuple):
    """What `best_beads` gets to see of a document.

    Attributes:
        kind: 'both', 'translated' or 'direct': which of `WEIGHTS` are for it.
        source: Lengths and marks of the source.
        target: Lengths and marks of the target.
        views: Letters of translations, words of translations, letters of the texts themselves; or
            letters and words of the texts themselves.
    """

    kind: str
    source: BeadSide
    target: BeadSide
    views: list[BeadView]


class AccurateMode:
    """Find the beads that are most probably right.

    A bead's probability comes from a log-linear model of whole paths
    (`polyad.ops.align.best_beads`) that looks at character n-grams and words shared with each
    translation, in either direction, lengths, and how sentences begin and end. Its weights were
    trained on one document, Text+Berg's eval1957 (German-French), by
    `polyad.recipes.align_accurate_training`.

    Without any translation, what the texts themselves share (names, numbers, cognates) and lengths
    are left: enough for languages with common words, not for others; unless there are word vectors
    of both.

    Args:
        tokenize: A name or function of `polyad.align.tokenizers.tokenizer`.
        source_tokenize: Of the source and the back translations; None: as ``tokenize``.
        max_sentences: The most sentences of a bead, both sides together, 2 to 8.
        direct: Whether source and target are compared themselves even where there are translations.
            It helps where the languages share many words, and harms where they do not.
        threshold: Beads are left out rather than taken where they are less probable, 0 to 1.
        margin: How many sentences are looked at beyond what anchors suggest.
        moved_cost: Sentences that stand elsewhere in the other text (captions, boxes) are put
            together too where the model's scores are larger by this than without; their beads
            cross the others. None: no bead crosses another.
        score: 'ableu' where ``vectors`` are given, else 'bleu'.
        vectors: Words with similar vectors count as shared, too: those of a translation and the
            other text; without translations those of the two texts, which needs vectors of both
            languages (`polyad.align.soft.SoftView`).

    Raises:
        TypeError: A wrong kind of an argument.
        ValueError: A number out of range, an unknown tokeniser, 'ableu' without vectors or vectors
            without 'ableu'.
    """

    def __init__(
        self,
        *,
        tokenize: str | Callable[[str], Sequence[str]] = "words",
        source_tokenize: str | Callable[[str], Sequence[str]] | None = None,
        max_sentences: int = 6,
        direct: bool = False,
        threshold: float = 0.2,
        margin: int = 8,
        moved_cost: float | None = 4.0,
        score: Literal["bleu", "ableu"] = "bleu",
        vectors: WordVectors | None = None,
    ) -> None:
        if score not in ("bleu", "ableu"):
            raise ValueError(f"score: expected bleu or ableu, got {score!r}")
        if (vectors is not None) != (score == "ableu"):
            given = "none" if vectors is None else "some"
            raise ValueError(
                f"vectors: expected with score='ableu' alone, got {given} with {score!r}"
            )
        self.vectors = vectors
        self.split = tokenizer(tokenize)
        self.source_split = tokenizer(tokenize if source_tokenize is None else source_tokenize)
        self.max_sentences = arrays.require_int("max_sentences", max_sentences, 2, 8)
        self.direct = direct
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold: expected 0 .. 1, got {threshold}")
        self.threshold = threshold
        self.margin = arrays.require_int("margin", margin, 1)
        if moved_cost is not None and not math.isfinite(moved_cost):
            raise ValueError(f"moved_cost: expected a finite number or None, got {moved_cost}")
        self.moved_cost = moved_cost

    def align(self, documents: Sequence[Document]) -> list[Alignment]:
        """Return the alignment of every document, in their order; documents share the threads."""
        threads = min(_backend.cpu.get_num_threads(), len(documents))
        if threads <= 1:
            return [self._align(document) for document in documents]
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(self._align, documents))

    def evidence(self, document: Document) -> Evidence:
        """Return what the model looks at."""
        # a new word gets the next number; a dictionary alone is faster than Vocabulary
        numbers: defaultdict[str, int] = defaultdict()
        numbers.default_factory = numbers.__len__
        texts = [
            _encoded(split(text), numbers)
            for split, text in (
                (self.source_split, document.source),
                (self.split, document.target),
                *((self.split, text) for text in document.translations),
                *((self.source_split, text) for text in document.back_translations),
            )
        ]
        spellings = list(numbers)
        letters = sentence_vectors(texts, spellings, by="letters")
        words = sentence_vectors(texts, spellings, by="words")
        first_back = 2 + len(document.translations)
        pairs = [(t, 1) for t in range(2, first_back)]
        pairs += [(0, t) for t in range(first_back, len(texts))]
        views = [BeadView(letters[s], letters[t], 0) for s, t in pairs]
        views += [BeadView(words[s], words[t], 1) for s, t in pairs]
        if self.vectors is not None:
            soft = [
                SoftView(texts[s], texts[t], spellings, self.vectors).rows()
                for s, t in pairs or [(0, 1)]
            ]
            views += [BeadView(*rows, 1) for rows in soft]
            if not pairs:  # they are all there is, and take the place of letters
                views.append(BeadView(*soft[0], 0))
        if not views:
            kind = "direct"
            views = [BeadView(letters[0], letters[1], 0), BeadView(words[0], words[1], 1)]
        else:
            kind = "both" if self.direct else "translated"
            if self.direct:
                views.append(BeadView(letters[0], letters[1], 2))
        return Evidence(kind, _side(document.source), _side(document.target), views)

    def _align(self, document: Document) -> Alignment:
        kind, source, target, views = self.evidence(document)
        spans, scores = best_beads(
            source,
            target,
            views,
            np.array(WEIGHTS[kind]),
            max_sentences=self.max_sentences,
            margin=self.margin,
            threshold=self.threshold,
            moved_cost=self.moved_cost,
        )
        labels: np.ndarray[Any, Any] = np.full(len(spans), LABELS.index("PATH"), np.int8)
        return Alignment(document, spans, scores, labels)


def _encoded(sentences: Sequence[Sequence[str]], numbers: defaultdict[str, int]) -> Sentences:
    ids = np.array(list(map(numbers.__getitem__, chain.from_iterable(sentences))), np.int32)
    return Sentences(ids, offsets_of([len(sentence) for sentence in sentences]))


def _side(sentences: Sequence[str]) -> BeadSide:
    marks = []
    for sentence in sentences:
        text = sentence.rstrip()
        mark = _ENDS.get(text[-1:], _OTHER_END)
        letter = _LETTER.search(text)
        marks.append(mark + 8 if letter is not None and letter.group().islower() else mark)
    lengths = np.array([len("".join(s.split())) for s in sentences], np.float64)
    return BeadSide(lengths, np.array(marks, np.uint8))
