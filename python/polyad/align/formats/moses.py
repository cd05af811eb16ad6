"""Moses: two parallel files, a sentence a line; ``.EOA`` lines divide articles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count, islice
from pathlib import Path
from typing import IO

from polyad.align.documents import Alignment, Document
from polyad.align.formats.base import ComparedDocument, Format, Target, Writer, WriterOptions
from polyad.align.streams import MAX_LINE, Source, compression_of, lines, name_of, written

END_OF_ARTICLE = ".EOA"


def read_documents(
    source: Source,
    target: Source,
    *,
    translations: Sequence[Source] = (),
    back_translations: Sequence[Source] = (),
    factored: bool = False,
    max_line: int = MAX_LINE,
) -> Iterator[Document]:
    """Yield the articles of two parallel texts.

    Lines lose the white space at their ends; blank ones are sentences. An article ends at a line
    ``.EOA`` of source and target; the line of a translation beside it is not looked at.

    Args:
        source: The source, a sentence a line.
        target: The target.
        translations: Of the source, line by line.
        back_translations: Of the target, line by line.
        factored: Lines are words such as ``word|factor``; documents are `ComparedDocument`,
            aligned by the words and shown whole.
        max_line: Longest line, bytes.

    Raises:
        OSError: A file cannot be read.
        ValueError: An empty text, another number of articles or of lines, or bytes that are no
            text.
    """
    left = _Side(source, translations, max_line)
    right = _Side(target, back_translations, max_line)
    for number in count(1):
        source_lines, of_source = left.article()
        target_lines, of_target = right.article()
        for side in (left, right):
            if side.lines_read == 0:
                raise ValueError(f"{side.name}: is empty; expected a sentence a line")
        name = str(number)
        if factored:
            yield ComparedDocument(
                [_words(line) for line in source_lines],
                [_words(line) for line in target_lines],
                of_source,
                of_target,
                name,
                shown=Document(source_lines, target_lines, name=name),
            )
        else:
            yield Document(source_lines, target_lines, of_source, of_target, name)
        if left.ended or right.ended:
            break
    for side, other in ((left, right), (right, left)):
        if not side.ended and next(side.iterator, None) is not None:
            more = sum(line.rstrip() == END_OF_ARTICLE for line in side.iterator)
            raise ValueError(
                f"{side.name}: expected as many articles ({END_OF_ARTICLE} lines between them) as "
                f"{other.name}, {number}, got at least {number + 1 + more}"
            )
    left.check_ends()
    right.check_ends()


def _words(line: str) -> str:
    return " ".join(word.partition("|")[0] for word in line.split())


class _Side:
    """A text and its translations, read side by side."""

    def __init__(self, text: Source, translations: Sequence[Source], max_line: int) -> None:
        self.name = name_of(text)
        self.iterator = lines(text, max_line=max_line)
        self.translations = [(name_of(t), lines(t, max_line=max_line)) for t in translations]
        self.lines_read = 0
        self.ended = False

    def article(self) -> tuple[list[str], tuple[list[str], ...]]:
        found: list[str] = []
        self.ended = True
        for line in self.iterator:
            stripped = line.rstrip()
            if stripped == END_OF_ARTICLE:
                self.ended = False
                break
            found.append(stripped)
        consumed = len(found) + (not self.ended)
        translated = []
        for name, iterator in self.translations:
            part = [line.rstrip() for line in islice(iterator, consumed)]
            if len(part) < consumed:
                total = self.lines_read + consumed + sum(1 for _ in self.iterator)
                raise self._unequal(name, total, self.lines_read + len(part))
            translated.append(part[: len(found)])
        self.lines_read += consumed
        return found, tuple(translated)

    def check_ends(self) -> None:
        """Raise if a translation goes on after its text; blank lines may follow."""
        for name, iterator in self.translations:
            seen, last = self.lines_read, 0
            for place, line in enumerate(iterator, 1):
                if line.strip():
                    last = place
            if last:
                raise self._unequal(name, seen, seen + last)

    def _unequal(self, name: str, expected: int, got: int) -> ValueError:
        return ValueError(
            f"{name}: expected {expected} lines, one for every line of {self.name}, got {got}"
        )


class MosesWriter(Writer):
    """Writes X-s and X-t as Bleualign does: a bead a line, its sentences joined by a space.

    A document without beads is one blank line in both, unless ``blank_documents`` is off. If X ends
    in .gz, .bz2, .xz or .zst, so do both files: X.gz gives X-s.gz and X-t.gz.
    """

    target: IO[bytes]

    @classmethod
    @contextmanager
    def opened(cls, target: Target, options: WriterOptions) -> Iterator[Writer]:
        """Open both files; they appear when the block ends without an error.

        Raises:
            ValueError: The target is not a path.
        """
        if not isinstance(target, (str, Path)) or str(target) == "-":
            raise ValueError("moses writes two files; expected a path, got a stream")
        with ExitStack() as stack:
            left, right = (stack.enter_context(written(path)) for path in paths(target))
            writer = cls(left, options)
            writer.target = right
            yield writer

    def write(self, alignment: Alignment) -> None:
        """Write one document's beads."""
        rows = [alignment.text(bead) for bead in self.beads(alignment)]
        if not rows and not self.options.blank_documents:
            return
        for stream, side in ((self.stream, 0), (self.target, 1)):
            text = "\n".join([_line(row[side]) for row in rows])
            stream.write((text + "\n").encode())

    def flush(self) -> None:
        """Hand on what was written."""
        self.stream.flush()
        self.target.flush()


def _line(text: str) -> str:
    return text.replace("\r", " ").replace("\n", " ") if "\n" in text or "\r" in text else text


def paths(target: str | Path) -> tuple[Path, Path]:
    """Return the two files of an output: X-s and X-t, before a suffix that compresses."""
    suffix = compression_of(target)
    stem = str(target)[: len(str(target)) - len(suffix)]
    return Path(f"{stem}-s{suffix}"), Path(f"{stem}-t{suffix}")


def read_pairs(
    source: Source, target: Source, *, max_line: int = MAX_LINE
) -> Iterator[tuple[str, str]]:
    """Yield the pairs of lines of two parallel texts, such as the writer's.

    Raises:
        OSError: A file cannot be read.
        ValueError: Unequal numbers of lines, or bytes that are no text.
    """
    left, right = lines(source, max_line=max_line), lines(target, max_line=max_line)
    for number in count(1):
        a, b = next(left, None), next(right, None)
        if a is None or b is None:
            if a is not b:
                short, long = (source, target) if a is None else (target, source)
                raise ValueError(
                    f"{name_of(short)}: {number - 1} lines, but {name_of(long)} goes on"
                )
            return
        yield a, b


FORMAT = Format(
    "moses", "two files, X-s and X-t, a bead a line: text alone", "", writer=MosesWriter
)
