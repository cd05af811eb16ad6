"""The mode 'bleualign': the beads that Bleualign finds, by machine translation and BLEU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from polyad import _arrays as arrays
from polyad import _backend
from polyad._sentences import Vocabulary, offsets_of
from polyad.align.documents import Alignment, Document
from polyad.align.tokenizers import tokenizer
from polyad.ops._align_ngram import MAX_ORDER

Array = np.ndarray[Any, Any]

SKIPPED = "<skipped>"
CAPITAL_SIGMA = "\u03a3"  # as the last letter of a word it has another lower case than alone
LAST_CASED = 0x20000  # no letter from here on has a lower case
# Stands for U+0130 among characters, whose lower case is two code points but one word.
DOTTED_I = "\U0010fffe"


class _Text(NamedTuple):
    """Sentences of all documents, as the kernels take them."""

    ids: Array
    offsets: Array
    characters: Array

    def arguments(self) -> tuple[int, int, int, int]:
        address = _backend.cpu.address
        return (
            address(self.ids),
            address(self.offsets),
            len(self.characters),
            address(self.characters),
        )


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
            `polyad.align.tokenizers.tokenizer`.
        char_level: Compare characters in place of words.
        top_k: How many targets are kept of every source sentence.
        max_join: How many sentences are joined to one text in a gap; 1: none.
        gap_links: Whether sentences in gaps are linked one to one by their scores.
        gap_lengths: Whether what is left of a gap is aligned by length.
        length_only: Align by length alone (Gale & Church), in products of probabilities as
            Bleualign does, which vanish in texts of some hundred sentences.

    Raises:
        TypeError: A wrong kind of an argument.
        ValueError: A number out of range, an unknown tokeniser.
    """

    def __init__(
        self,
        *,
        max_n: int = 2,
        tokenize: str | Callable[[str], Sequence[str]] = "nist",
        char_level: bool = False,
        top_k: int = 3,
        max_join: int = 2,
        gap_links: bool = True,
        gap_lengths: bool = True,
        length_only: bool = False,
    ) -> None:
        self.max_n = arrays.require_int("max_n", max_n, 1, MAX_ORDER)
        self.top_k = arrays.require_int("top_k", top_k, 1)
        self.max_join = arrays.require_int("max_join", max_join, 1, 12)
        if char_level and tokenize != "nist":
            raise ValueError(f"tokenize: expected 'nist' with char_level, got {tokenize!r}")
        self.tokenize = tokenize
        self.char_level = char_level
        self.split = None if tokenize == "nist" else tokenizer(tokenize)
        self.gap_links = gap_links
        self.gap_lengths = gap_lengths
        self.length_only = length_only

    def align(self, documents: Sequence[Document]) -> list[Alignment]:
        """Return the alignment of every document, in their order.

        Documents with as many translations are aligned together, on all threads.
        """
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
        encode = self._encoder()
        compared = not documents[0].translations or bool(documents[0].back_translations)
        source = encode([d.source if compared else [""] * len(d.source) for d in documents])
        target = encode([d.target for d in documents])
        translations = [
            encode([d.translations[t] for d in documents])
            for t in range(len(documents[0].translations))
        ]
        back_translations = [
            encode([d.back_translations[t] for d in documents])
            for t in range(len(documents[0].back_translations))
        ]
        source_documents = offsets_of([len(d.source) for d in documents]).astype(np.int64)
        target_documents = offsets_of([len(d.target) for d in documents]).astype(np.int64)
        address = _backend.cpu.address
        found = _backend.cpu.align_bleualign(
            address(source_documents),
            address(target_documents),
            len(documents),
            source.arguments(),
            target.arguments(),
            [(text.arguments(), 0, 0, 0) for text in translations],
            [(text.arguments(), 0, 0, 0) for text in back_translations],
            self.max_n,
            self.top_k,
            self.max_join,
            self.gap_links,
            self.gap_lengths,
            self.length_only,
            [],
            False,
        )
        return _alignments(documents, *found)

    def _encoder(self) -> Callable[[list[Sequence[str]]], _Text]:
        """Return what numbers the words of texts, all with one vocabulary."""
        if self.split is None:
            native = _backend.cpu.AlignVocabulary()
            return lambda texts: _native_text(native, texts, self.char_level)
        split, vocabulary = self.split, Vocabulary()

        def encode(texts: list[Sequence[str]]) -> _Text:
            lines = list(chain.from_iterable(texts))
            sentences = vocabulary.encode(split(lines))
            return _Text(sentences.ids, sentences.offsets, _characters(lines))

        return encode


def _native_text(vocabulary: Any, texts: list[Sequence[str]], characters: bool) -> _Text:
    """Tokenise by Bleualign's rule, or into characters."""
    lines = list(chain.from_iterable(texts))
    if not lines:
        return _Text(np.zeros(0, np.int32), np.zeros(1, np.int32), np.zeros(0, np.int32))
    lower = _lower_case()
    address = _backend.cpu.address(lower)

    def tokens(text: str) -> tuple[Array, Array, Array] | None:
        data = text.encode("utf-8", "surrogatepass")
        found: tuple[Array, Array, Array] | None
        found = vocabulary.tokenize(data, characters, address, len(lower))
        return found

    found = tokens("\n".join(lines))
    if found is None or len(found[2]) != len(lines):
        plain = [_plain(line, characters) for line in lines]
        found = tokens("\n".join(plain))
        assert found is not None
        for place, (line, own) in enumerate(zip(plain, lines, strict=True)):
            if line is not own:
                found[2][place] = len(own.strip())
    return _Text(*found)


def _plain(line: str, characters: bool) -> str:
    """Return a sentence without what the kernel leaves to Python, itself where there is nothing."""
    if "\n" in line:
        line = line if characters else line.replace(SKIPPED, "")
        line = line.replace("-\n", "").replace("\n", " ")
    if "İ" not in line and CAPITAL_SIGMA not in line:
        return line
    if characters:
        return line.replace("İ", DOTTED_I).replace(CAPITAL_SIGMA, CAPITAL_SIGMA.lower())
    line = line.replace(SKIPPED, "").replace("İ", "İ".lower())
    # str.lower looks at the neighbours of a sigma; entities end and begin with no letter
    pairs = zip(line, line.lower(), strict=True)
    return "".join(low if letter == CAPITAL_SIGMA else letter for letter, low in pairs)


@cache
def _lower_case() -> Array:
    """Return the lower case of code points; 0 where it is not one, or hangs on the neighbours."""
    codes = np.arange(LAST_CASED, dtype=np.uint32)
    special = np.array([ord("İ"), ord(CAPITAL_SIGMA), *range(0xD800, 0xE000)])
    codes[special] = ord("x")
    lower = np.frombuffer(
        codes.tobytes().decode("utf-32-le").lower().encode("utf-32-le"), np.uint32
    )
    lower = lower.copy()
    lower[special[:2]] = 0
    lower[special[2:]] = special[2:]
    return lower


def _characters(lines: Sequence[str]) -> Array:
    return np.fromiter((len(line.strip()) for line in lines), np.int32, len(lines))


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
