"""The mode 'bleualign': the beads that Bleualign finds, by machine translation and BLEU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Literal, TypeAlias

import numpy as np

from polyad import _arrays as arrays
from polyad import _backend
from polyad._sentences import Sentences, Vocabulary, offsets_of
from polyad.align.documents import Alignment, Document
from polyad.align.numbering import Array, Text, characters_of, native_text
from polyad.align.soft import SoftView
from polyad.align.tokenizers import tokenizer
from polyad.align.vectors import WordVectors
from polyad.ops._align_ableu import MATCHINGS, Matching, soft_scores
from polyad.ops._align_ngram import MAX_ORDER
from polyad.ops._align_similarity import MOST_NEIGHBOURS, WordSimilarity

_Encode: TypeAlias = Callable[[list[Sequence[str]]], Text]


class BleualignMode:
    """Find the beads that Bleualign finds.

    A translation of the source is compared with the target, sentence by sentence; the best chain
    of pairs gives anchors; between these, neighbours are joined as long as the score grows, and
    what is left is aligned by length. With several translations the beads that all of them give
    are kept.
    Sennrich & Volk, MT-based sentence alignment for OCR-generated parallel texts, AMTA 2010;
    Iterative, MT-based sentence alignment of parallel texts, NODALIDA 2011.

    A document without a translation is compared as it is: right for texts of one language.

    Args:
        max_n: The longest n-grams of the scores, 1 to 10.
        tokenize: 'nist', Bleualign's rule; or another name or function of
            `polyad.align.tokenizers.tokenizer`. None: 'nist', or 'words' where ``vectors`` are
            given, as in the mode 'accurate' and in ``polyad train vectors``.
        source_tokenize: Of the source and the back translations; None: as ``tokenize``.
        char_level: Compare characters in place of words.
        top_k: How many targets are kept of every source sentence.
        max_join: How many sentences are joined to one text in a gap; 1: none.
        gap_links: Whether sentences in gaps are linked one to one by their scores.
        gap_lengths: Whether what is left of a gap is aligned by length.
        length_only: Align by length alone (Gale & Church), in products of probabilities as
            Bleualign does, which vanish in texts of some hundred sentences.
        score: 'bleu'; or 'ableu', by which words with similar vectors count too
            (`polyad.ops.align.ableu`, both directions).
        vectors: Of the words, for 'ableu': of the target's language, or of both languages
            (`polyad.align.vectors.train_word2vec_pair`), which needs no translation: single words
            are compared then, rare ones count more (`polyad.align.soft.SoftView`), and ``max_n`` is
            not read.
        matching: Of 'ableu': 'source' or 'one_to_one'.
        neighbours: Of 'ableu': how many similar words each word has, at most, among those of its
            document.
        least_cosine: Of 'ableu': the least cosine of similar words, 0 to 1.

    Raises:
        TypeError: A wrong kind of an argument.
        ValueError: A number out of range, an unknown tokeniser, score or matching; 'ableu' without
            vectors or with char_level, vectors without 'ableu'.
    """

    def __init__(
        self,
        *,
        max_n: int = 2,
        tokenize: str | Callable[[str], Sequence[str]] | None = None,
        source_tokenize: str | Callable[[str], Sequence[str]] | None = None,
        char_level: bool = False,
        top_k: int = 3,
        max_join: int = 2,
        gap_links: bool = True,
        gap_lengths: bool = True,
        length_only: bool = False,
        score: Literal["bleu", "ableu"] = "bleu",
        vectors: WordVectors | None = None,
        matching: Matching = "source",
        neighbours: int = 8,
        least_cosine: float = 0.35,
    ) -> None:
        self.max_n = arrays.require_int("max_n", max_n, 1, MAX_ORDER)
        self.top_k = arrays.require_int("top_k", top_k, 1)
        self.max_join = arrays.require_int("max_join", max_join, 1, 12)
        if tokenize is None:
            tokenize = "nist" if vectors is None else "words"
        if source_tokenize is None:
            source_tokenize = tokenize
        for name, rule in (("tokenize", tokenize), ("source_tokenize", source_tokenize)):
            if char_level and rule != "nist":
                raise ValueError(f"{name}: expected 'nist' with char_level, got {rule!r}")
        self.char_level = char_level
        self.split = tokenizer(tokenize)
        self.source_split = tokenizer(source_tokenize)
        # one vocabulary numbers all words, so both sides are split natively or none
        self.native = tokenize == source_tokenize == "nist"
        self.gap_links = gap_links
        self.gap_lengths = gap_lengths
        self.length_only = length_only
        if score not in ("bleu", "ableu"):
            raise ValueError(f"score: expected bleu or ableu, got {score!r}")
        if (vectors is not None) != (score == "ableu"):
            given = "none" if vectors is None else "some"
            raise ValueError(
                f"vectors: expected with score='ableu' alone, got {given} with {score!r}"
            )
        if vectors is not None and char_level:
            raise ValueError("char_level: expected False with score='ableu', got True")
        if matching not in MATCHINGS:
            raise ValueError(f"matching: expected one of {', '.join(MATCHINGS)}, got {matching!r}")
        self.vectors = vectors
        self.matching: Matching = matching
        self.neighbours = arrays.require_int("neighbours", neighbours, 1, MOST_NEIGHBOURS - 1)
        if not 0 <= least_cosine <= 1:
            raise ValueError(f"least_cosine: expected 0 .. 1, got {least_cosine}")
        self.least_cosine = least_cosine

    def align(self, documents: Sequence[Document]) -> list[Alignment]:
        """Return the alignment of every document, in their order.

        Documents with as many translations are aligned together, on all threads; by vectors, one
        after the other, as each has similarities of its own.
        """
        if self.vectors is not None:
            return [self._align([document])[0] for document in documents]
        groups: dict[tuple[int, int], list[int]] = {}
        for place, document in enumerate(documents):
            kind = (len(document.translations), len(document.back_translations))
            groups.setdefault(kind, []).append(place)
        aligned: list[Alignment | None] = [None] * len(documents)
        for places in groups.values():
            found = self._align([documents[place] for place in places])
            for place, alignment in zip(places, found, strict=True):
                aligned[place] = alignment
        return [alignment for alignment in aligned if alignment is not None]

    def _align(self, documents: list[Document]) -> list[Alignment]:
        encode, encode_source, words = self._encoders()
        compared = not documents[0].translations or bool(documents[0].back_translations)
        source = encode_source([d.source if compared else [""] * len(d.source) for d in documents])
        target = encode([d.target for d in documents])
        translations = [
            encode([d.translations[t] for d in documents])
            for t in range(len(documents[0].translations))
        ]
        back_translations = [
            encode_source([d.back_translations[t] for d in documents])
            for t in range(len(documents[0].back_translations))
        ]
        similarity, max_n = None, self.max_n
        view: SoftView | None = None
        if self.vectors is not None and not translations and not back_translations:
            translations, max_n = [source], 1
            view = SoftView(
                Sentences(source.ids, source.offsets),
                Sentences(target.ids, target.offsets),
                words(),
                self.vectors,
                neighbours=self.neighbours,
                least_cosine=self.least_cosine,
            )
            similarity = view.similarity
        elif self.vectors is not None:
            similarity = self.vectors.similarity(
                words(), neighbours=self.neighbours, least_cosine=self.least_cosine
            )
        kept: list[Array] = []  # as long as the kernel reads them
        source_documents = offsets_of([len(d.source) for d in documents]).astype(np.int64)
        target_documents = offsets_of([len(d.target) for d in documents]).astype(np.int64)
        address = _backend.cpu.address
        found = _backend.cpu.align_bleualign(
            address(source_documents),
            address(target_documents),
            len(documents),
            source.arguments(),
            target.arguments(),
            [self._translation(text, target, similarity, view, kept) for text in translations],
            [self._translation(text, source, similarity, None, kept) for text in back_translations],
            max_n,
            self.top_k,
            self.max_join,
            self.gap_links,
            self.gap_lengths,
            self.length_only,
            _passed(similarity),
            self.matching == "one_to_one",
        )
        return _alignments(documents, *found)

    def _translation(
        self,
        text: Text,
        other: Text,
        similarity: WordSimilarity | None,
        view: SoftView | None,
        kept: list[Array],
    ) -> tuple[tuple[int, int, int, int], int, int, int]:
        """Return a translation as the kernel takes it, with its links where these are soft."""
        if similarity is None or self.length_only:
            return text.arguments(), 0, 0, 0
        if view is not None:
            source, target, score = view.links(top_k=self.top_k, matching=self.matching)
        else:
            source, target, score = soft_scores(
                Sentences(text.ids, text.offsets),
                Sentences(other.ids, other.offsets),
                similarity,
                max_n=self.max_n,
                top_k=self.top_k,
                matching=self.matching,
            )
        offsets = np.searchsorted(source, np.arange(len(text.characters) + 1)).astype(np.int64)
        links = [offsets, np.ascontiguousarray(target), np.ascontiguousarray(score)]
        kept.extend(links)
        address = _backend.cpu.address
        return text.arguments(), address(links[0]), address(links[1]), address(links[2])

    def _encoders(self) -> tuple[_Encode, _Encode, Callable[[], list[str]]]:
        """Return what numbers the words of texts, all with one vocabulary, and what tells them.

        The first is for the target and the translations, the second for the source and the back
        translations.
        """
        if self.native:
            native = _backend.cpu.AlignVocabulary()

            def natively(texts: list[Sequence[str]]) -> Text:
                return native_text(native, texts, self.char_level)

            return (
                natively,
                natively,
                lambda: [word.decode("utf-8", "surrogatepass") for word in native.words()],
            )
        vocabulary = Vocabulary()

        def encoder(split: Callable[[Sequence[str]], list[list[str]]]) -> _Encode:
            def encode(texts: list[Sequence[str]]) -> Text:
                lines = list(chain.from_iterable(texts))
                sentences = vocabulary.encode(split(lines))
                return Text(sentences.ids, sentences.offsets, characters_of(lines))

            return encode

        return encoder(self.split), encoder(self.source_split), lambda: vocabulary.words


def _passed(similarity: WordSimilarity | None) -> list[Any]:
    """The similarity for both directions: of a vocabulary to itself, it serves each."""
    if similarity is None:
        return []
    address = _backend.cpu.address
    sides = tuple(
        (address(side.offsets), address(side.words), address(side.values), len(side))
        for side in (similarity, similarity.back)
    )
    return [sides, sides]


def _alignments(
    documents: list[Document],
    counts: Array,
    source: Array,
    source_offsets: Array,
    target: Array,
    target_offsets: Array,
    labels: Array,
    scores: Array,
) -> list[Alignment]:
    """Hand every document its beads."""
    spans = np.stack(
        [
            source[source_offsets[:-1]],
            source[source_offsets[1:] - 1] + 1,
            target[target_offsets[:-1]],
            target[target_offsets[1:] - 1] + 1,
        ],
        axis=1,
    )
    broken = np.union1d(_broken(source, source_offsets), _broken(target, target_offsets)).tolist()
    ends = np.cumsum(counts)
    alignments = []
    for document, begin, end in zip(
        documents, (ends - counts).tolist(), ends.tolist(), strict=True
    ):
        here = slice(begin, end)
        scattered = {}
        while broken and broken[0] < end:
            place = broken.pop(0)
            sides = (
                source[source_offsets[place] : source_offsets[place + 1]],
                target[target_offsets[place] : target_offsets[place + 1]],
            )
            scattered[place - begin] = (tuple(sides[0].tolist()), tuple(sides[1].tolist()))
            spans[place] = [edge for side in sides for edge in (side.min(), side.max() + 1)]
        alignments.append(Alignment(document, spans[here], scores[here], labels[here], scattered))
    return alignments


def _broken(ids: Array, offsets: Array) -> Array:
    """Beads whose sentences on one side do not follow each other."""
    steps = np.flatnonzero(np.diff(ids) != 1) + 1
    inside = steps[~np.isin(steps, offsets)]
    return np.unique(np.searchsorted(offsets, inside, side="right") - 1)
