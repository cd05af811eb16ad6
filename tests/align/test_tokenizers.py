"""Tokenisers against the rules they state and against sacrebleu's own."""

import pickle
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyad.align.tokenizers import NAMES, tokenizer

# What NIST's rules look at, and a few characters beside it.
NIST_TEXT = st.text("ab19.,-'&;<>! \t\n\u00a0é中。", max_size=24)
ENTITIES = st.lists(
    st.sampled_from(
        ["&amp;", "&lt;", "&gt;", "&quot;", "&apos;", "<skipped>", "-\n", "1", ".", "x"]
    )
).map("".join)


def words(name, text, **options):
    return tokenizer(name, **options)([text])[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Hello, World. 3.5 a.b 3.a a.3 3. .3 ...",
            "hello , world . 3.5 a . b 3 . a a . 3 3 . . 3 . . .",
        ),
        ("3-4 a-b 3- -3 1--2 3-.5", "3 - 4 a-b 3 - -3 1 - -2 3 - . 5"),
        ("1..2", "1 . . 2"),
        ("1.,2", "1 . , 2"),
        ("it's", "it's"),
        ("\uff11.\uff12", "\uff11 . \uff12"),
        ("12%/€5", "12 % / €5"),
        ("a<skipped>b &amp;lt; &gt;", "ab & lt ; >"),
        ("ΟΔΟΣ", "οδος"),
        ("", ""),
    ],
)
def test_nist_is_the_rule_that_bleualign_uses(text, expected):
    assert words("nist", text) == expected.split(" ") if expected else words("nist", text) == []


def test_nist_leaves_white_space_other_than_the_space_in_words():
    assert words("nist", "x\ty\u00a0z") == ["x\ty\u00a0z"]


@given(NIST_TEXT, NIST_TEXT)
def test_nist_words_of_joined_sentences_are_those_of_both(left, right):
    joined = words("nist", f"{left} {right}".replace("-\n", "").replace("\n", " "))
    apart = [words("nist", side.replace("-\n", "").replace("\n", " ")) for side in (left, right)]
    assert joined == apart[0] + apart[1]


@pytest.mark.parametrize("name", ["13a", "intl", "zh", "char", "none"])
@pytest.mark.parametrize("lowercase", [False, True])
def test_words_are_those_of_sacrebleu(name, lowercase):
    bleu = pytest.importorskip("sacrebleu").BLEU(tokenize=name, lowercase=lowercase)

    @given(st.one_of(st.text(), NIST_TEXT, ENTITIES))
    def agrees(text):
        # the package regex, which sacrebleu uses, may know a newer Unicode than Python
        if all(unicodedata.category(character) != "Cn" for character in text):
            assert words(name, text, lowercase=lowercase) == bleu._preprocess_segment(text).split()

    agrees()


@pytest.mark.parametrize("name", ["13a", "intl", "zh"])
def test_every_character_is_treated_as_sacrebleu_does(name):
    bleu = pytest.importorskip("sacrebleu").BLEU(tokenize=name)
    for first in range(0, 0x30000, 64):
        known = [chr(c) for c in range(first, first + 64) if unicodedata.category(chr(c)) != "Cn"]
        text = "a".join(["", *known, ""])
        assert words(name, text) == bleu._preprocess_segment(text).split(), hex(first)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("L'été, 3.5 °C: l'hôtel-Dieu", "l'été , 3.5 ° c : l'hôtel - dieu"),
        ("U.S.A. a_b x1y 1,234.5, 3.x", "u.s.a . a_b x1y 1,234.5 , 3 . x"),
        ("한국어는 中文字ひら カタカナ ไทย", "한국어는 中 文 字 ひ ら カタカナ ไ ท ย"),
        ("e\u0301te\u0301 q\u0301r", "été q\u0301r"),
        ("नमस्ते hi\u200bho \ufeffx", "नमस्ते hi ho x"),
        ("'x' ... '", "' x ' . . . '"),
        ("中'a \u0301'a a'1 1'a 1'1 x\u0301'y", "中 ' a \u0301 ' a a ' 1 1 ' a 1'1 x\u0301'y"),
        ("  \t", ""),
    ],
)
def test_words_are_unicode_words(text, expected):
    assert words("words", text) == expected.split()


@given(st.text())
def test_words_and_characters_hold_all_that_can_be_seen(text):
    seen = [c for c in text if unicodedata.category(c)[0] not in "CZ" and not c.isspace()]
    for name in ("words", "characters"):
        found = words(name, text, lowercase=False, normal_form="none")
        held = [c for c in "".join(found) if unicodedata.category(c)[0] not in "CZ"]
        assert held == seen
        assert all(found)


def test_characters_stand_singly_without_white_space():
    assert words("characters", "Ab\u00a0é中 ") == ["a", "b", "é", "中"]


def test_korean_words_are_morphemes():
    pytest.importorskip("kiwipiepy")
    assert words("korean", "나는 밥을 먹었다. API") == [
        "나",
        "는",
        "밥",
        "을",
        "먹",
        "었",
        "다",
        ".",
        "api",
    ]
    assert tokenizer("korean")([]) == []
    # letters in pieces are put together first
    apart = unicodedata.normalize("NFD", "밥을")
    assert words("korean", apart) == ["밥", "을"]


def test_normal_form_and_case_can_be_chosen():
    assert words("words", "\uff21b") == ["\uff41b"]
    assert words("words", "\uff21b", normal_form="NFKC", lowercase=False) == ["Ab"]
    assert words("characters", "é", normal_form="NFD") == ["e", "\u0301"]
    assert words("none", "É e\u0301", normal_form="NFC", lowercase=True) == ["é", "é"]
    assert words("none", "e\u0301") == ["e\u0301"]


def test_functions_serve_as_tokenisers():
    assert words(str.split, "A b") == ["A", "b"]
    assert words("textwrap:wrap", "A b") == ["A b"]
    assert words(lambda text: tuple(text), "ab", lowercase=True) == ["a", "b"]
    for wrong in (str, len, lambda text: [1], "builtins:len"):
        with pytest.raises(TypeError, match="tokenize: expected a list of words for 'some text'"):
            words(wrong, "some text")


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("nosuch", {}, ValueError, r"tokenize: expected a function.*13a.*got 'nosuch'"),
        (3, {}, TypeError, "tokenize: expected a name or a function, got int"),
        ("math:pi", {}, ValueError, "expected a function at math:pi, got float"),
        ("math:nothing", {}, ValueError, "tokenize: cannot import math:nothing"),
        ("words", {"normal_form": "C"}, ValueError, "normal_form: expected one of NFC"),
        ("nist", {"lowercase": False}, ValueError, "lowercase: expected True"),
    ],
)
def test_wrong_names_are_refused(name, options, error, message):
    with pytest.raises(error, match=message):
        tokenizer(name, **options)


@pytest.mark.parametrize(
    ("name", "package"), [("korean", "kiwipiepy"), ("flores101", "sacrebleu.metrics.bleu")]
)
def test_a_missing_package_is_named(name, package, monkeypatch):
    monkeypatch.setattr("polyad.align.korean._analyser", None)
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(ImportError, match=f"{name} needs {package.split('.')[0]}: pip install"):
        tokenizer(name)


def test_a_tokeniser_of_sacrebleu_that_does_not_load_says_why(monkeypatch):
    bleu = pytest.importorskip("sacrebleu.metrics.bleu")

    def fails(*, tokenize):
        raise RuntimeError(f"{tokenize}\nneeds more")

    monkeypatch.setattr(bleu, "BLEU", fails)
    with pytest.raises(
        ImportError, match="ja-mecab of sacrebleu does not load: ja-mecab needs more"
    ):
        tokenizer("ja-mecab")


@pytest.mark.parametrize("name", ["nist", "words", "13a", "textwrap:wrap", "korean"])
def test_tokenisers_can_be_pickled(name):
    if name == "korean":
        pytest.importorskip("kiwipiepy")
    made = tokenizer(name, normal_form="NFKC")
    text = ["An e\u0301, \u2082."]
    assert pickle.loads(pickle.dumps(made))(text) == made(text)


def test_every_name_is_known():
    assert set(NAMES) >= {"nist", "words", "characters", "korean", "13a", "intl", "zh", "char"}
