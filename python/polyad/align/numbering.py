"""Sentences as numbers: the text of many documents as the kernels of the aligner take it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from polyad import _backend

Array = np.ndarray[Any, Any]

SKIPPED = "<skipped>"
CAPITAL_SIGMA = "\u03a3"  # as the last letter of a word it has another lower case than alone
LAST_CASED = 0x20000  # no letter from here on has a lower case
# Stands for U+0130 among characters, whose lower case is two code points but one word.
DOTTED_I = "\U0010fffe"


class Text(NamedTuple):
    """Sentences of all documents, as the kernels take them.

    Attributes:
        ids: int32 [tokens], words by number.
        offsets: int32 [sentences + 1].
        characters: int32 [sentences], code points without white space at the ends.
    """

    ids: Array
    offsets: Array
    characters: Array

    def arguments(self) -> tuple[int, int, int, int]:
        """Return addresses and sizes."""
        address = _backend.cpu.address
        return (
            address(self.ids),
            address(self.offsets),
            len(self.characters),
            address(self.characters),
        )


def native_text(vocabulary: Any, texts: list[Sequence[str]], characters: bool) -> Text:
    """Tokenise by Bleualign's rule, or into characters.

    Args:
        vocabulary: The kernels' own, which numbers the words.
        texts: The sentences of every document.
        characters: Whether each code point but the space is a word.
    """
    lines = list(chain.from_iterable(texts))
    if not lines:
        return Text(np.zeros(0, np.int32), np.zeros(1, np.int32), np.zeros(0, np.int32))
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
    return Text(*found)


def _plain(line: str, characters: bool) -> str:
    """Return a sentence without what the kernel leaves to Python, itself where there is nothing."""
    if "\n" not in line and "İ" not in line and CAPITAL_SIGMA not in line:
        return line
    if characters:
        line = line.replace("\n", " ").replace("İ", DOTTED_I)
        return line.replace(CAPITAL_SIGMA, CAPITAL_SIGMA.lower())
    line = line.replace(SKIPPED, "").replace("-\n", "").replace("\n", " ")
    line = line.replace("İ", "İ".lower())
    if CAPITAL_SIGMA in line:
        # str.lower looks at the neighbours of a sigma; entities end and begin with no letter
        pairs = zip(line, line.lower(), strict=True)
        line = "".join(low if letter == CAPITAL_SIGMA else letter for letter, low in pairs)
    # what only now reads like the mark stays: the kernel knows it by its lower case
    return line.replace(SKIPPED, SKIPPED.title())


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


def characters_of(lines: Sequence[str]) -> Array:
    """Return the lengths of sentences, without white space at their ends."""
    return np.fromiter((len(line.strip()) for line in lines), np.int32, len(lines))
