"""Bytes in and out: lines of text from plain and compressed files, outputs that appear whole."""

from __future__ import annotations

import bz2
import gzip
import lzma
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import IO, Any, BinaryIO, TypeAlias, cast

from polyad._files import check_place, written_whole

Source: TypeAlias = str | Path | BinaryIO
"""A path, '-' for stdin, or an open binary stream."""

MAX_LINE = 64 * 2**20
"""Longest line that is read unless a caller says otherwise, bytes."""

CHUNK = 2**20
COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst")
STANDARD = "-"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def name_of(source: Source) -> str:
    """Return what messages call a source."""
    if isinstance(source, (str, Path)):
        return "stdin" if str(source) == STANDARD else str(source)
    return str(getattr(source, "name", "stream"))


def compression_of(path: str | Path) -> str:
    """Return the suffix of a path if it is one of `COMPRESSIONS`, else ''."""
    suffix = Path(path).suffix.lower()
    return suffix if suffix in COMPRESSIONS else ""


def _zstandard() -> ModuleType:
    """The module of the standard library, or its backport before Python 3.14."""
    import importlib

    for name in ("compression.zstd", "backports.zstd"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise ImportError(".zst needs backports.zstd before Python 3.14: pip install 'polyad[align]'")


def _compressed(path: str | Path, mode: str, suffix: str) -> IO[bytes]:
    """Open a file; compressed bytes depend on the content alone, not on the time."""
    if suffix == ".gz":
        if mode == "rb":
            return cast(IO[bytes], gzip.open(path, mode))
        return cast(IO[bytes], _Gzip(path))
    if suffix == ".bz2":
        return cast(IO[bytes], bz2.open(path, mode))
    if suffix == ".xz":
        return cast(IO[bytes], lzma.open(path, mode))
    if suffix == ".zst":
        return cast(IO[bytes], _zstandard().open(path, mode))
    return cast(IO[bytes], open(path, mode))


class _Gzip(gzip.GzipFile):
    """A gzip file to write, without time and name in its header."""

    def __init__(self, path: str | Path) -> None:
        self._file = open(path, "wb")  # noqa: SIM115 - closed by close()
        super().__init__(filename="", mode="wb", compresslevel=6, fileobj=self._file, mtime=0)

    def close(self) -> None:
        """Write what is left and close the file."""
        try:
            super().close()
        finally:
            self._file.close()


@contextmanager
def opened(source: Source) -> Iterator[IO[bytes]]:
    """Open a source for reading, decompressed by its suffix.

    Raises:
        OSError: It cannot be opened.
        ImportError: It ends in .zst and there is no package for that.
    """
    if not isinstance(source, (str, Path)):
        yield source
    elif str(source) == STANDARD:
        yield cast(IO[bytes], getattr(sys.stdin, "buffer", sys.stdin))
    else:
        with _compressed(source, "rb", compression_of(source)) as stream:
            yield stream


def chunks(source: Source) -> Iterator[bytes]:
    """Yield the bytes of a source as they come, decompressed, about 1 MiB at a time.

    Raises:
        OSError: It cannot be read.
        ValueError: A compressed file is broken or cut short.
    """
    name = name_of(source)
    with opened(source) as stream:
        read: Callable[[int], bytes] = getattr(stream, "read1", stream.read)
        while True:
            try:
                chunk = read(CHUNK)
            except Exception as error:
                if isinstance(error, (EOFError, zlib.error, lzma.LZMAError)) or (
                    isinstance(error, OSError) and error.errno is None
                ):
                    raise ValueError(f"{name}: broken or cut short: {error}") from error
                if type(error).__name__ == "ZstdError":
                    raise ValueError(f"{name}: broken or cut short: {error}") from error
                raise
            if not chunk:
                return
            yield chunk


def lines(source: Source, *, max_line: int = MAX_LINE) -> Iterator[str]:
    r"""Yield the lines of a text in UTF-8, without their ends, in bounded memory.

    ``\n``, ``\r\n`` and ``\r`` alone end a line, nothing else does. A last line needs no end. A
    byte order mark at the beginning is left out.

    Args:
        source: What to read.
        max_line: Longest line, bytes.

    Raises:
        OSError: It cannot be read.
        ValueError: Bytes that are not UTF-8, or NUL (file:line:column, counted from 1 in
            characters); a line that is too long; a broken compressed file.
    """
    name = name_of(source)
    number = 0  # of lines so far
    pieces: list[bytes] = []  # of the line that is not complete yet
    held = 0
    carriage = False  # the last chunk ended in \r: \n may follow

    def too_long(line: int) -> ValueError:
        return ValueError(
            f"{name}:{line}: a line of more than {max_line:,} bytes, the longest that is read "
            "(--max-line-bytes)"
        )

    for chunk in chunks(source):
        if carriage:
            chunk = b"\r" + chunk
        carriage = chunk.endswith(b"\r")
        if carriage:
            chunk = chunk[:-1]
        if b"\r" in chunk:
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        cut = chunk.rfind(b"\n")
        if cut < 0:
            pieces.append(chunk)
            held += len(chunk)
            if held > max_line:
                raise too_long(number + 1)
            continue
        block = b"".join([*pieces, chunk[:cut]])
        found = _decoded(block, name, number)
        if len(block) > max_line:
            for place, line in enumerate(block.split(b"\n"), number + 1):
                if len(line) > max_line:
                    raise too_long(place)
        yield from found
        number += len(found)
        pieces = [chunk[cut + 1 :]]
        held = len(pieces[0])
        if held > max_line:
            raise too_long(number + 1)
    rest = b"".join(pieces)
    if carriage or rest not in (b"", BYTE_ORDER_MARK if number == 0 else b""):
        yield from _decoded(rest, name, number)


def _decoded(block: bytes, name: str, number: int) -> list[str]:
    """The lines of a block of whole lines, the first of which is line ``number`` + 1."""
    if number == 0:
        if block.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise ValueError(f"{name}:1:1: not UTF-8 but UTF-16, by its byte order mark")
        block = block.removeprefix(BYTE_ORDER_MARK)
    nul = block.find(b"\0")
    try:
        text = block.decode()
    except UnicodeDecodeError as error:
        bad = error.start
        what = f"not UTF-8 (byte 0x{block[bad]:02x})"
    else:
        if nul < 0:
            return text.split("\n")
        bad = len(block)
        what = ""
    if 0 <= nul < bad:
        bad, what = nul, "a NUL byte; expected text"
    begin = block.rfind(b"\n", 0, bad) + 1
    line = number + 1 + block.count(b"\n", 0, bad)
    raise ValueError(f"{name}:{line}:{len(block[begin:bad].decode()) + 1}: {what}")


class _AsText:
    """A binary stream on top of a text stream that has none, as stdout is where it is captured."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, data: bytes) -> int:
        self._stream.write(data.decode())
        return len(data)

    def flush(self) -> None:
        self._stream.flush()


@contextmanager
def written(target: str | Path | BinaryIO) -> Iterator[IO[bytes]]:
    """Open a target for writing: a path, compressed by its suffix; '-', stdout; or a stream.

    A file appears whole at the end of the block, or not at all if an error or an interrupt ends it;
    of a link, the file that it points to. Devices and named pipes are written as they are.

    Raises:
        OSError: It cannot be written.
        ImportError: It ends in .zst and there is no package for that.
    """
    if not isinstance(target, (str, Path)):
        yield target
        target.flush()
    elif str(target) == STANDARD:
        stream = cast(IO[bytes], getattr(sys.stdout, "buffer", None) or _AsText(sys.stdout))
        yield stream
        stream.flush()
    else:
        path = Path(target)
        check_place(path)
        with ExitStack() as stack:
            if path.exists() and not path.is_file():  # a device or a pipe, not to be replaced
                yield stack.enter_context(_compressed(path, "wb", compression_of(path)))
                return
            temporary = stack.enter_context(
                written_whole(path.resolve() if path.is_symlink() else path)
            )
            yield stack.enter_context(_compressed(temporary, "wb", compression_of(path)))
