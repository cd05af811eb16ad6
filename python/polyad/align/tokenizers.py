"""Tokenisers: sentences in, words out, by name or by a function of the caller's."""

from __future__ import annotations

import importlib
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Literal, TypeAlias

from polyad.align.korean import analyser

__all__ = ["NAMES", "NORMAL_FORMS", "Tokenizer", "tokenizer"]

Tokenizer: TypeAlias = Callable[[Sequence[str]], list[list[str]]]
Line: TypeAlias = Callable[[str], list[str]]

Form: TypeAlias = Literal["NFC", "NFD", "NFKC", "NFKD"]

NORMAL_FORMS: tuple[Form, ...] = ("NFC", "NFD", "NFKC", "NFKD")
OURS = ("words", "characters", "korean")
BY_SACREBLEU = ("ja-mecab", "ko-mecab", "spm", "flores101", "flores200")
NAMES = ("nist", *OURS, "13a", "intl", "zh", "char", "none", *BY_SACREBLEU)
"""Every name that `tokenizer` knows."""


def tokenizer(
    name: str | Callable[[str], Sequence[str]],
    *,
    lowercase: bool | None = None,
    normal_form: str | None = None,
) -> Tokenizer:
    """Return the function that splits sentences into words.

    ============= ==================================================== =========== ===========
    name          words                                                lower case  normal form
    ============= ==================================================== =========== ===========
    'nist'        Bleualign's: NIST's rule for ASCII punctuation       always      none
    'words'       Unicode words, see below                             yes         NFC
    'characters'  code points that are not white space                 yes         NFC
    'korean'      morphemes, by kiwipiepy                              yes         NFC
    '13a'         sacrebleu's for BLEU: NIST's mteval-v13a             no          none
    'intl'        sacrebleu's: mteval-v14, punctuation and symbols     no          none
    'zh'          sacrebleu's: Chinese characters singly, then 13a's   no          none
    'char'        sacrebleu's: like 'characters'                       no          none
    'none'        what stands between white space                      no          none
    'ja-mecab'    sacrebleu's, where it is installed; 'ko-mecab',      no          none
                  'spm', 'flores101' and 'flores200' likewise
    ============= ==================================================== =========== ===========

    'words' follows Unicode Standard Annex 29: letters, marks, digits and low lines go together; an
    apostrophe, a full stop or a middle dot between two letters belongs to the word, and so does a
    full stop, a comma or an apostrophe between two digits. Ideographs, hiragana and the letters of
    Thai, Lao, Khmer and Burmese, which are written without spaces, stand singly. Whatever else is
    not white space, a control or a format character is a word of its own.

    The text is brought into its normal form first, then into lower case (`str.lower`), then split.
    'intl' knows the characters of Python's Unicode, sacrebleu those of the package regex.

    >>> tokenizer("words")(["L'été, 3.5 °C: l'hôtel-Dieu"])
    [["l'été", ',', '3.5', '°', 'c', ':', "l'hôtel", '-', 'dieu']]
    >>> tokenizer(str.split, normal_form="NFKC")(["H\u2082O\u00a0ﬁne"])
    [['H2O', 'fine']]

    Args:
        name: A name of the table; a function that splits one sentence; or 'module:function', which
            is imported.
        lowercase: Whether the text is brought into lower case; None: as the table says, for
            functions no.
        normal_form: 'NFC', 'NFD', 'NFKC', 'NFKD' or 'none'; None: as the table says, for functions
            'none'.

    Returns:
        A function of a sequence of sentences that gives a list of words for each.

    Raises:
        ValueError: An unknown name or normal form; no function at 'module:function'; ``lowercase``
            False with 'nist'.
        TypeError: ``name`` is neither a string nor a function; it returned something else than
            strings.
        ImportError: A package that the tokeniser needs is missing.
    """
    if normal_form not in (None, "none", *NORMAL_FORMS):
        raise ValueError(
            f"normal_form: expected one of {', '.join(NORMAL_FORMS)}, none, got {normal_form!r}"
        )
    if name == "nist" and lowercase is False:
        raise ValueError("lowercase: expected True with the tokenizer nist, got False")
    if normal_form is None:
        normal_form = "NFC" if name in OURS else "none"
    if lowercase is None:
        lowercase = name in OURS
    form = next((form for form in NORMAL_FORMS if form == normal_form), None)
    return _Splitter(name, lowercase, form)


class _Splitter:
    """Normalises, then splits; pickled by its name, so that another process makes its own."""

    def __init__(
        self, name: str | Callable[[str], Sequence[str]], lowercase: bool, form: Form | None
    ) -> None:
        self._made_of = (name, lowercase, form)
        self._split = _splitter(name)

    def __call__(self, sentences: Sequence[str]) -> list[list[str]]:
        _, lowercase, form = self._made_of
        texts = sentences
        if form is not None:
            texts = [unicodedata.normalize(form, text) for text in texts]
        if lowercase:
            texts = [text.lower() for text in texts]
        return self._split(texts)

    def __reduce__(self) -> tuple[Any, ...]:
        return _Splitter, self._made_of


def _splitter(name: str | Callable[[str], Sequence[str]]) -> Tokenizer:
    if callable(name):
        return _checked(name)
    if not isinstance(name, str):
        raise TypeError(f"tokenize: expected a name or a function, got {type(name).__name__}")
    if name == "korean":
        return _korean()
    if name in BY_SACREBLEU:
        return _each(_by_sacrebleu(name))
    if name in LINES:
        return _each(LINES[name])
    if ":" in name:
        return _checked(_imported(name))
    raise ValueError(
        f"tokenize: expected a function, module:function or one of {', '.join(NAMES)}, got {name!r}"
    )


def _each(line: Line) -> Tokenizer:
    return lambda sentences: [line(sentence) for sentence in sentences]


def _checked(function: Callable[[str], Any]) -> Tokenizer:
    def line(sentence: str) -> list[str]:
        words = function(sentence)
        if isinstance(words, Iterable) and not isinstance(words, (str, bytes)):
            words = list(words)
            if all(isinstance(word, str) for word in words):
                return words
        raise TypeError(f"tokenize: expected a list of words for {sentence!r}, got {words!r}")

    return _each(line)


def _imported(name: str) -> Callable[[str], Any]:
    module, _, attribute = name.partition(":")
    try:
        function = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"tokenize: cannot import {name}: {error}") from error
    if not callable(function):
        raise ValueError(f"tokenize: expected a function at {name}, got {type(function).__name__}")
    found: Callable[[str], Any] = function
    return found


# -- NIST's rules ----------------------------------------------------------------------------------

PUNCTUATION = r" !\"#$%&()*+/:;<=>?@\[\\\]^_`{|}~"
"""ASCII's, without the apostrophe, comma, hyphen and full stop, which depend on what is beside."""

_SEPARATOR = re.compile(f"[{PUNCTUATION}]")
# A word of Bleualign's rule. What it looks at beside a character is the text itself.
_NIST = re.compile(
    rf"[{PUNCTUATION}]|(?<![0-9])[.,]|[.,](?![0-9])|(?<=[0-9])-"
    rf"|(?:[^{PUNCTUATION}.,-]|(?<=[0-9])[.,](?=[0-9])|(?<![0-9])-)+"
)


def _nist(line: str) -> list[str]:
    line = _entities_apart(line, ("&gt;", ">"), ("&lt;", "<"), ("&quot;", '"'), ("&amp;", "&"))
    return [word for word in _NIST.findall(line.lower()) if word != " "]


def _entities_apart(line: str, *entities: tuple[str, str]) -> str:
    """What NIST's rules do first: no <skipped>, no line ends, entities one after the other."""
    line = line.replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for entity, character in entities:
        line = line.replace(entity, character)
    return line


# mteval-v13a goes over the text several times, each time over what the pass before has left, with
# the spaces it put there. Matches of one pass do not overlap, so of two full stops in a row only
# one is set apart in a pass.
_V13A_APART = str.maketrans({c: f" {c} " for c in map(chr, range(128)) if _SEPARATOR.match(c)})
_V13A_STOPS = (
    (re.compile(r"([^0-9])([.,])"), r"\1 \2 "),
    (re.compile(r"([.,])([^0-9])"), r" \1 \2"),
)
_V13A_DASHES = ((re.compile(r"([0-9])-"), r"\1 - "),)


def _v13a(line: str) -> list[str]:
    line = line.translate(_V13A_APART)
    if "." in line or "," in line:
        line = _substituted(line, _V13A_STOPS)
    if "-" in line:
        line = _substituted(line, _V13A_DASHES)
    return line.split()


def _substituted(line: str, passes: Sequence[tuple[re.Pattern[str], str]]) -> str:
    for pattern, replacement in passes:
        line = pattern.sub(replacement, line)
    return line


def _13a(line: str) -> list[str]:
    # sacrebleu takes white space off the end before it tokenises
    line = _entities_apart(
        line.rstrip(), ("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")
    )
    return _v13a(f" {line} ")


# Blocks that sacrebleu takes for Chinese. Two of its ranges were meant for characters beyond
# U+FFFF; as they are written they take in U+2001 .. U+2A6D and U+2F81 .. U+2FA1.
_CHINESE = re.compile(
    "([\u2001-\u2a6d\u2e80-\u2fdf\u2ff0-\u2fff\u3000-\u303f\u3100-\u312f\u31a0-\u31bf\u31c0-\u31ef"
    "\u3200-\u33ff\u3400-\u4db5\u4e00-\u9fbb\uf900-\ufa2d\ufa30-\ufa6a\ufa70-\ufad9\ufe10-\ufe1f\ufe30-\ufe4f"
    "\uff00-\uffef])"
)


def _zh(line: str) -> list[str]:
    return _v13a(_CHINESE.sub(r" \1 ", line.strip()))


def _intl(line: str) -> list[str]:
    return _substituted(line.rstrip(), _v14()).split()


@lru_cache(maxsize=1)
def _v14() -> tuple[tuple[re.Pattern[str], str], ...]:
    numbers, punctuation, symbols = (_of_category(letter) for letter in "NPS")
    return (
        (re.compile(f"([^{numbers}])([{punctuation}])"), r"\1 \2 "),
        (re.compile(f"([{punctuation}])([^{numbers}])"), r" \1 \2"),
        (re.compile(f"([{symbols}])"), r" \1 "),
    )


def _characters(line: str) -> list[str]:
    return [character for character in line if not character.isspace()]


# -- Unicode words ---------------------------------------------------------------------------------

_SINGLE = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u309f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)


@lru_cache(maxsize=1)
def _word_pattern() -> re.Pattern[str]:
    # marks, and the two joiners and the soft hyphen, which stand inside words
    mark = f"[{_of_category('M')}\u200c\u200d\u00ad]"
    letter = rf"[^\W\d_{_SINGLE}]"
    run = rf"[0-9A-Z_a-z]+|[^\W{_SINGLE}]"  # the ASCII part only saves time
    other = rf"[!-/:-@\[-^`{{-~]|[^\s{_of_category('C')}{_of_category('Z')}]"
    return re.compile(
        rf"(?:{run})(?:{run}|{mark}|['\u2019.\u00b7](?<![\d_].)(?={letter})"
        rf"|[.,'\u2019](?<=\d.)(?=\d))*"
        rf"|(?:{other}){mark}*"
    )


def _words(line: str) -> list[str]:
    return _word_pattern().findall(line)


def _of_category(letter: str) -> str:
    """The characters of a general category, for a class of a regular expression."""

    def ranges() -> Iterator[str]:
        first = None
        for point in range(sys.maxunicode + 2):
            inside = point <= sys.maxunicode and unicodedata.category(chr(point))[0] == letter
            if inside and first is None:
                first = point
            elif not inside and first is not None:
                yield f"\\U{first:08x}-\\U{point - 1:08x}"
                first = None

    return "".join(ranges())


# -- what other packages do ------------------------------------------------------------------------


def _korean() -> Tokenizer:
    needs = "the tokenizer korean needs"
    analyser(needs)
    return lambda sentences: [
        [morpheme.form for morpheme in morphemes]
        for morphemes in analyser(needs).tokenize(sentences)
    ]


def _by_sacrebleu(name: str) -> Line:
    try:
        from sacrebleu.metrics.bleu import BLEU
    except ImportError as error:
        raise ImportError(f"the tokenizer {name} needs sacrebleu: pip install sacrebleu") from error
    try:
        split = BLEU(tokenize=name).tokenizer
    except (RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())
        raise ImportError(f"the tokenizer {name} of sacrebleu does not load: {reason}") from error
    return lambda line: split(line.rstrip()).split()


LINES: dict[str, Line] = {
    "nist": _nist,
    "words": _words,
    "characters": _characters,
    "13a": _13a,
    "intl": _intl,
    "zh": _zh,
    "char": _characters,
    "none": str.split,
}
