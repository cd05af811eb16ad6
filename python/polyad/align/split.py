"""Sentences of lines that hold more than one: kiwipiepy for Korean, sentencex for the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from polyad.align.documents import Document
from polyad.align.formats.base import ComparedDocument
from polyad.align.korean import analyser

KOREAN = ("ko", "kor", "ko-kr")


@lru_cache(maxsize=8)
def sentence_splitter(language: str) -> Callable[[str], list[str]]:
    """Return the function that splits a text of a language into sentences.

    Korean is split by kiwipiepy, whose model knows where a sentence ends without a full stop;
    everything else by sentencex (Wikimedia), which knows the punctuation and the abbreviations of
    some 200 languages and treats an unknown one like English. Both work offline.

    Args:
        language: A tag such as 'ko' or 'de'.

    Raises:
        ImportError: The package is not installed.
    """
    code = language.lower().replace("_", "-")
    if code in KOREAN:
        needs = "splitting Korean needs"
        analyser(needs)

        def korean(text: str) -> list[str]:
            sentences = analyser(needs).split_into_sents(text)
            return _clean([sentence.text for sentence in sentences], text)

        return korean
    try:
        from sentencex import segment
    except ImportError:
        raise ImportError("splitting needs sentencex: pip install 'polyad[align]'") from None
    code = code.partition("-")[0]

    def others(text: str) -> list[str]:
        return _clean(segment(code, text), text)

    return others


def _clean(sentences: Sequence[str], text: str) -> list[str]:
    return [s for s in (sentence.strip() for sentence in sentences) if s] or [text]


def split_document(document: Document, source_language: str, target_language: str) -> Document:
    """Return the document with every line split into its sentences.

    A line stays whole if a translation of it does not have as many sentences: beads need
    translations sentence by sentence.

    Args:
        document: Its "sentences" are lines of any length.
        source_language: A tag such as 'ko'; of the source and of back-translations.
        target_language: A tag such as 'en'; of the target and of translations.

    Raises:
        ImportError: See `sentence_splitter`.
        ValueError: The document is compared by other texts than it shows.
    """
    if isinstance(document, ComparedDocument):
        raise ValueError(
            f"document {document.name}: expected texts that are compared as they are, got factored "
            "words or two translations; these cannot be split"
        )
    from_source, from_target = (
        sentence_splitter(language) for language in (source_language, target_language)
    )
    source, translations = _split(document.source, document.translations, from_source, from_target)
    target, back = _split(document.target, document.back_translations, from_target, from_source)
    return Document(source, target, translations, back, document.name, document.meta)


def _split(
    text: Sequence[str],
    translations: Sequence[Sequence[str]],
    own: Callable[[str], list[str]],
    other: Callable[[str], list[str]],
) -> tuple[list[str], tuple[list[str], ...]]:
    sentences: list[str] = []
    translated: tuple[list[str], ...] = tuple([] for _ in translations)
    for place, line in enumerate(text):
        parts = own(line)
        of_parts = [other(lines[place]) for lines in translations]
        if any(len(part) != len(parts) for part in of_parts):
            parts, of_parts = [line], [[lines[place]] for lines in translations]
        sentences.extend(parts)
        for part, so_far in zip(of_parts, translated, strict=True):
            so_far.extend(part)
    return sentences, translated
