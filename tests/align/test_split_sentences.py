"""Lines of several sentences."""

import pytest

from polyad.align import Document
from polyad.align.split import sentence_splitter, split_document


def test_english_and_an_unknown_language():
    pytest.importorskip("sentencex")
    for tag in ("en", "en-GB", "xx"):
        assert sentence_splitter(tag)("Dr. Smith came. Did he? Yes.") == [
            "Dr. Smith came.",
            "Did he?",
            "Yes.",
        ]
    assert sentence_splitter("en")("") == [""]
    assert sentence_splitter("en")("no end") == ["no end"]


def test_korean_without_full_stops():
    pytest.importorskip("kiwipiepy")
    assert sentence_splitter("ko")("저는 학생입니다 반가워요!") == ["저는 학생입니다", "반가워요!"]


def test_lines_stay_whole_where_a_translation_has_other_sentences():
    pytest.importorskip("sentencex")
    document = Document(
        ["Eins. Zwei.", "Drei. Vier."],
        ["One. Two. Three.", "Four."],
        translations=(["One. Two.", "Three and four."],),
        name="n",
        meta={"k": "v"},
    )
    got = split_document(document, "de", "en")
    assert got.source == ["Eins.", "Zwei.", "Drei. Vier."]
    assert got.translations == (["One.", "Two.", "Three and four."],)
    assert got.target == ["One.", "Two.", "Three.", "Four."]
    assert (got.name, got.meta) == ("n", {"k": "v"})
