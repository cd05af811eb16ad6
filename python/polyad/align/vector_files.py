"""Word vectors: files of word2vec and fastText; how they are read and written."""

from __future__ import annotations

import gzip
import itertools
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np

from polyad._files import written_whole
from polyad.ops.align import WordSimilarity, word_similarity

__all__ = ["MOST_DIMENSIONS", "WordVectors", "storable"]

MOST_DIMENSIONS = 65_536
BLOCK = 4096  # rows that are gathered before they become one array
LONGEST_WORD = 4096  # bytes; a binary file whose words are longer is something else


class WordVectors:
    """Words and their vectors.

    Args:
        words: V words, none twice.
        vectors: float32 [V, D], finite.

    Raises:
        TypeError: A wrong kind or dtype.
        ValueError: A wrong shape, a word twice, NaN or infinity.
    """

    def __init__(self, words: Sequence[str], vectors: np.ndarray[Any, Any]) -> None:
        if not isinstance(vectors, np.ndarray) or vectors.dtype != np.float32:
            kind = getattr(vectors, "dtype", type(vectors).__name__)
            raise TypeError(f"vectors: expected a numpy array of float32, got {kind}")
        if vectors.ndim != 2 or len(vectors) != len(words) or vectors.shape[1] == 0:
            raise ValueError(
                f"vectors: expected [V, D] = [{len(words)}, D], got {list(vectors.shape)}"
            )
        if not np.isfinite(vectors).all():
            row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
            raise ValueError(f"vectors: expected finite numbers, got others for {words[row]!r}")
        self.words = list(words)
        self.vectors = vectors
        if len(self._places) != len(self.words):
            places = enumerate(self.words)
            twice = next(word for place, word in places if self._places[word] != place)
            raise ValueError(f"words: expected none twice, got {twice!r} again")

    @cached_property
    def _places(self) -> dict[str, int]:
        return {word: place for place, word in enumerate(self.words)}

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        return word in self._places

    def __getitem__(self, word: str) -> np.ndarray[Any, Any]:
        vector: np.ndarray[Any, Any] = self.vectors[self._places[word]]
        return vector

    @property
    def dimension(self) -> int:
        """The number of numbers of a vector, D."""
        return int(self.vectors.shape[1])

    def rows(self, words: Iterable[str]) -> np.ndarray[Any, Any]:
        """Return float32 [words, D]: the vector of each, zeros where there is none."""
        places = np.array([self._places.get(word, -1) for word in words], np.int64)
        rows = np.zeros((len(places), self.dimension), np.float32)
        rows[places >= 0] = self.vectors[places[places >= 0]]
        return rows

    def similarity(
        self, words: Iterable[str], *, neighbours: int = 8, least_cosine: float = 0.35
    ) -> WordSimilarity:
        """Return which of these words are like which: `polyad.ops.align.word_similarity`.

        Args:
            words: Those of a vocabulary; word i gets the number i.
            neighbours: How many words a word is like, at least.
            least_cosine: The least cosine.
        """
        return word_similarity(self.rows(words), neighbours=neighbours, least_cosine=least_cosine)

    def nearest(self, word: str, count: int = 10) -> list[tuple[str, float]]:
        """Return the words whose vectors have the largest cosine with that of a word.

        Raises:
            KeyError: The word has no vector.
        """
        lengths = np.linalg.norm(self.vectors, axis=1)
        cosines = (
            self.vectors @ self[word] / np.maximum(lengths * np.linalg.norm(self[word]), 1e-30)
        )
        cosines[self._places[word]] = -np.inf
        best = np.argsort(-cosines, kind="stable")[: min(count, len(self) - 1)]
        return [(self.words[i], float(cosines[i])) for i in best]

    @classmethod
    def load(
        cls, path: str | Path, *, binary: bool | None = None, limit: int | None = None
    ) -> WordVectors:
        """Read a file of word2vec (text or binary) or fastText (text), plain or gzip.

        The first line says how many words there are and how many numbers each has. In text, a line
        is a word and its numbers between single spaces; in binary, a word, a space and the numbers
        as little-endian float32, then perhaps a line feed.

        Args:
            path: The file.
            binary: Whether it is binary; None: it is where the name ends in .bin or .bin.gz, or a
                NUL is among the bytes at its start.
            limit: Read only the first words, in these files the most frequent ones.

        Raises:
            OSError: The file cannot be read.
            ValueError: It is not such a file: the message gives the file, the line (in binary the
                word's number), what was expected and what was found.
        """
        path = Path(path)
        with _opened(path) as file:
            count, dimension = _header(path, file.readline(LONGEST_WORD))
            start = file.peek(1 << 16)
            if binary is None:
                suffixes = [suffix.lower() for suffix in path.suffixes]
                binary = suffixes[-1:] == [".bin"] or suffixes[-2:] == [".bin", ".gz"]
                binary = binary or b"\0" in start
            read = _binary_rows if binary else _text_rows
            rows = read(path, file, count, dimension)
            if limit is None:
                return cls(*_collected(path, rows, count, dimension, whole=True))
            return cls(
                *_collected(path, itertools.islice(rows, limit), count, dimension, whole=False)
            )

    def save(self, path: str | Path) -> None:
        """Write the format that the name asks for: text, or binary for .bin; gzip for .gz.

        Text gives the same numbers back when it is read.

        Raises:
            OSError: The file cannot be written.
            ValueError: A word is empty or has a space or a line feed in it.
        """
        path = Path(path)
        for word in self.words:
            if not storable(word):
                raise ValueError(f"words: expected none with a space or a line feed, got {word!r}")
        binary = path.name.removesuffix(".gz").endswith(".bin")
        with written_whole(path) as temporary, open(temporary, "wb") as plain:
            # no name and no time inside: equal vectors make equal files
            packed = gzip.GzipFile("", "wb", 6, plain, 0) if path.suffix == ".gz" else None
            file: Any = packed or plain
            file.write(f"{len(self)} {self.dimension}\n".encode())
            for word, vector in zip(self.words, self.vectors, strict=True):
                numbers = vector.astype("<f4").tobytes() if binary else _spelled(vector)
                file.write(word.encode() + b" " + numbers + b"\n")
            if packed is not None:
                packed.close()


def storable(word: str) -> bool:
    """Whether the files can hold a word: it is not empty, without spaces and line feeds."""
    return bool(word) and " " not in word and "\n" not in word


def _spelled(vector: np.ndarray[Any, Any]) -> bytes:
    return " ".join(vector.astype(str)).encode()


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    with open(path, "rb") as file:
        if file.peek(2)[:2] != b"\x1f\x8b":
            yield file
            return
        try:
            with gzip.open(file) as unpacked:
                yield unpacked
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"{path}: expected a whole gzip file, got: {error}") from error


def _header(path: Path, line: bytes) -> tuple[int, int]:
    parts = line.split()
    try:
        count, dimension = (int(part) for part in parts)
        if not line.endswith(b"\n") or count < 0 or not 1 <= dimension <= MOST_DIMENSIONS:
            raise ValueError
    except ValueError:
        raise ValueError(
            f"{path}:1: expected the number of words and the dimension (1 .. {MOST_DIMENSIONS}), "
            f"got {line[:60]!r}"
        ) from None
    return count, dimension


Row = tuple[str, np.ndarray[Any, Any], str]  # word, vector, where it stands


def _word(place: str, word: bytes) -> str:
    try:
        return word.decode()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{place}: expected a word in UTF-8, got the byte 0x{word[error.start]:02x}: "
            f"{word[:40]!r}"
        ) from None


def _text_rows(path: Path, file: IO[bytes], count: int, dimension: int) -> Iterator[Row]:
    for number, line in enumerate(file, 2):
        place = f"{path}:{number}"
        parts = line.rstrip(b"\r\n ").split(b" ")
        if len(parts) != dimension + 1 or not parts[0]:
            if not line.strip() and number > count + 1:
                continue  # empty lines at the end
            raise ValueError(
                f"{place}: expected a word and {dimension} numbers between single spaces, got "
                f"{max(len(parts) - 1, 0)} after {parts[0][:40]!r}"
            )
        word = _word(place, parts[0])
        try:
            with np.errstate(over="ignore"):  # too large becomes inf, which is reported
                vector = np.array(parts[1:]).astype(np.float32)
        except ValueError:
            wrong = next(part for part in parts[1:] if not _is_number(part))
            raise ValueError(
                f"{place}: expected {dimension} numbers, got {wrong[:40]!r} among those of {word!r}"
            ) from None
        yield word, vector, place


def _is_number(text: bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _binary_rows(path: Path, file: IO[bytes], count: int, dimension: int) -> Iterator[Row]:
    size = 4 * dimension
    held = b""
    for number in range(1, count + 1):
        place = f"{path}: word {number} of {count}"
        if len(held) < LONGEST_WORD + size:
            held += file.read(max(1 << 20, LONGEST_WORD + size))
        begin = 1 if held[:1] == b"\n" and number > 1 else 0
        space = held.find(b" ", begin, begin + LONGEST_WORD)
        if not held[begin:]:
            raise ValueError(f"{place}: expected {count} words, got {number - 1}")
        if space < 0:
            raise ValueError(
                f"{place}: expected a word and a space within {LONGEST_WORD} bytes, got "
                f"{held[begin : begin + 40]!r}"
            )
        numbers = held[space + 1 : space + 1 + size]
        if len(numbers) < size:
            raise ValueError(
                f"{place}: expected {dimension} float32 ({size} bytes), got {len(numbers)} bytes"
            )
        word = _word(place, held[begin:space])
        held = held[space + 1 + size :]
        yield word, np.frombuffer(numbers, "<f4").astype(np.float32), place
    held = (held or file.read(2)).strip(b"\n")
    if held:
        raise ValueError(f"{path}: expected {count} words, got more bytes after the last one")


def _collected(
    path: Path, rows: Iterable[Row], count: int, dimension: int, *, whole: bool
) -> tuple[list[str], np.ndarray[Any, Any]]:
    places: dict[str, str] = {}
    blocks: list[np.ndarray[Any, Any]] = []
    block: list[np.ndarray[Any, Any]] = []
    for word, vector, place in rows:
        if word in places:
            raise ValueError(
                f"{place}: expected every word once, got {word!r} again (first at {places[word]})"
            )
        if not np.isfinite(vector).all():
            wrong = vector[~np.isfinite(vector)][0]
            raise ValueError(f"{place}: expected finite numbers, got {wrong} for {word!r}")
        places[word] = place
        if whole and len(places) > count:
            raise ValueError(f"{place}: expected {count} words, as line 1 says, got more")
        block.append(vector)
        if len(block) == BLOCK:
            blocks.append(np.stack(block))
            block = []
    if whole and len(places) < count:
        raise ValueError(f"{path}: expected {count} words, as line 1 says, got {len(places)}")
    blocks.append(np.array(block, np.float32).reshape(-1, dimension))
    return list(places), np.concatenate(blocks)
