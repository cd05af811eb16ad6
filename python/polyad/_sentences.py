"""Tokenised sentences as numbers: the containers that the ops of the family align work on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from polyad import _arrays as arrays

INT32_MAX = 2**31 - 1


class Sentences:
    """Sentences of int32 word numbers, one after the other.

    Sentence i is ``ids[offsets[i] : offsets[i + 1]]``.

    Args:
        ids: int32 [tokens], at least 0.
        offsets: int32 [sentences + 1], ascending from 0 to the number of tokens.

    Raises:
        TypeError: A wrong kind or dtype.
        ValueError: A wrong shape, a negative id, offsets that do not ascend from 0 to the end.
    """

    def __init__(self, ids: np.ndarray[Any, Any], offsets: np.ndarray[Any, Any]) -> None:
        for name, array, letter in (("ids", ids, "T"), ("offsets", offsets, "N")):
            arrays.require_array(name, array)
            if not arrays.is_numpy(array):
                raise TypeError(f"{name}: expected a numpy array, got a torch tensor")
            arrays.require_dtype(name, array, ("int32",))
            arrays.require_shape(name, array, letter, [None])
        if len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != len(ids):
            raise ValueError(
                f"offsets: expected to run from 0 to {len(ids)}, the number of tokens, got "
                f"{offsets[[0, -1]].tolist() if len(offsets) else 'nothing'}"
            )
        steps = np.diff(offsets)
        if len(steps) and steps.min() < 0:
            raise ValueError(f"offsets: expected to ascend, got a step of {steps.min()}")
        if len(ids) and ids.min() < 0:
            raise ValueError(f"ids: expected numbers of at least 0, got {ids.min()}")
        self.ids = np.ascontiguousarray(ids)
        self.offsets = np.ascontiguousarray(offsets)

    @classmethod
    def from_lists(cls, sentences: Iterable[Sequence[int]]) -> Sentences:
        """Return the sentences given as sequences of word numbers."""
        listed = [np.asarray(sentence, np.int32).reshape(-1) for sentence in sentences]
        ids = np.concatenate([np.zeros(0, np.int32), *listed])
        return cls(ids, offsets_of([len(sentence) for sentence in listed]))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> np.ndarray[Any, Any]:
        index = range(len(self))[index]
        return self.ids[self.offsets[index] : self.offsets[index + 1]]

    def __iter__(self) -> Iterator[np.ndarray[Any, Any]]:
        return (self[index] for index in range(len(self)))

    def lengths(self) -> np.ndarray[Any, Any]:
        """Return the number of tokens of every sentence, int32."""
        return np.diff(self.offsets)


class Vocabulary:
    """Words and their numbers, in the order in which they first came.

    Args:
        words: Words to begin with, without repetition.
    """

    def __init__(self, words: Iterable[str] = ()) -> None:
        self._numbers: dict[str, int] = {}
        for word in words:
            self.number(word)

    def __len__(self) -> int:
        return len(self._numbers)

    def __contains__(self, word: object) -> bool:
        return word in self._numbers

    @property
    def words(self) -> list[str]:
        """The words; the place of each is its number."""
        return list(self._numbers)

    def number(self, word: str) -> int:
        """Return the number of a word; a new word gets the next one."""
        return self._numbers.setdefault(word, len(self._numbers))

    def encode(self, sentences: Iterable[Sequence[str]]) -> Sentences:
        """Return the numbers of sentences of words; new words are taken in."""
        number, numbers = self.number, []
        lengths = []
        for sentence in sentences:
            numbers.extend([number(word) for word in sentence])
            lengths.append(len(sentence))
        return Sentences(np.array(numbers, np.int32), offsets_of(lengths))


def offsets_of(lengths: Sequence[int]) -> np.ndarray[Any, Any]:
    """Return int32 offsets of consecutive pieces of these lengths.

    Raises:
        ValueError: They add up to more than int32 can count.
    """
    offsets = np.concatenate([[0], np.cumsum(np.asarray(lengths, np.int64))])
    if offsets[-1] > INT32_MAX:
        raise ValueError(f"expected fewer than 2^31 tokens at a time, got {offsets[-1]}")
    return offsets.astype(np.int32)


def require_one_numbering(
    name: str, value: Any, other_name: str, other: Any, vocabulary: Vocabulary | None
) -> None:
    """Raise TypeError if one argument is numbered and the other would be numbered anew.

    Args:
        name: An argument.
        value: What was given for it.
        other_name: Another argument.
        other: What was given for that.
        vocabulary: That of the caller; it numbers both.
    """
    numbered = isinstance(value, Sentences)
    if vocabulary is None and numbered != isinstance(other, Sentences):
        first, second = (name, other_name) if numbered else (other_name, name)
        raise TypeError(
            f"{second}: expected polyad.Sentences as {first} is, so that both number the same "
            f"words, got a {type(other if numbered else value).__name__}"
        )


def as_sentences(name: str, value: Any, vocabulary: Vocabulary) -> Sentences:
    """Return `Sentences` for what a caller may give.

    Args:
        name: The argument.
        value: `Sentences`, or a sequence whose items are all strings (words between white space) or
            all sequences of words.
        vocabulary: Numbers the words; two arguments of one call share it.

    Raises:
        TypeError: Something else; the message names the argument and the place.
    """
    if isinstance(value, Sentences):
        return value
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(
            f"{name}: expected polyad.Sentences or a list of sentences, got {type(value).__name__}"
        )
    words = []
    for place, sentence in enumerate(value):
        if isinstance(sentence, str):
            words.append(sentence.split())
        elif isinstance(sentence, Sequence) and all(isinstance(word, str) for word in sentence):
            words.append(list(sentence))
        else:
            raise TypeError(
                f"{name}: expected a str or a list of words at {place}, got "
                f"{type(sentence).__name__}"
            )
    return vocabulary.encode(words)
