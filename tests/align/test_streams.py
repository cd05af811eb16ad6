"""Lines of text in, whole files out."""

import io
import os
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyad.align import streams
from polyad.align.streams import lines, written


def test_line_ends():
    data = "a\nb\r\nc\rd\u2028e\x0bf\x85g\n\n h".encode()
    assert list(lines(io.BytesIO(data))) == ["a", "b", "c", "d\u2028e\x0bf\x85g", "", " h"]
    assert list(lines(io.BytesIO(b""))) == []
    assert list(lines(io.BytesIO(b"\n"))) == [""]
    assert list(lines(io.BytesIO(b"a\r"))) == ["a"]
    assert list(lines(io.BytesIO(b"a\n\r"))) == ["a", ""]
    assert list(lines(io.BytesIO(b"\xef\xbb\xbfa\n\xef\xbb\xbfb"))) == ["a", "\ufeffb"]


class Pieces(io.RawIOBase):
    """A stream that gives few bytes at a time."""

    def __init__(self, data, size):
        self.data, self.size = data, size

    def read(self, count=-1):
        piece, self.data = self.data[: self.size], self.data[self.size :]
        return piece


PIECE = st.text(st.sampled_from("a\n\r\ufeffé€😀 "), max_size=30)


@settings(deadline=None)
@given(PIECE, st.integers(1, 7))
def test_any_division_into_chunks_gives_the_same_lines(text, size):
    data = text.encode()
    expected = io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", newline=None).read().split("\n")
    if not expected[-1]:
        expected.pop()
    assert list(lines(Pieces(data, size))) == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"ab\nc\xffd\n", r"x:2:2: not UTF-8 \(byte 0xff\)"),
        ("é".encode() * 3 + b"\xc3\n", r"x:1:4: not UTF-8 \(byte 0xc3\)"),
        (b"a\r\nb\rc\x00d\xff", r"x:3:2: a NUL byte"),
        (b"a\xff\x00", r"x:1:2: not UTF-8"),
        ("ab\n".encode("utf-16"), r"x:1:1: not UTF-8 but UTF-16"),
        (b"\xed\xa0\x80", r"x:1:1: not UTF-8"),
        (b"a\n" + b"b" * 101, r"x:2: a line of more than 100 bytes"),
        (b"a\n" + b"b" * 101 + b"\nc\n", r"x:2: a line of more than 100 bytes"),
    ],
)
@pytest.mark.parametrize("size", [3, 1000])
def test_what_is_wrong_is_said_with_its_place(data, message, size):
    stream = Pieces(data, size)
    stream.name = "x"
    if size < 4 and "UTF-16" in message:
        return
    with pytest.raises(ValueError, match=message):
        list(lines(stream, max_line=100))


@pytest.mark.parametrize("suffix", ["", *streams.COMPRESSIONS])
def test_compression(tmp_path, suffix):
    if suffix == ".zst" and sys.version_info < (3, 14):
        pytest.importorskip("backports.zstd")
    path = tmp_path / f"text{suffix}"
    with written(path) as stream:
        stream.write("ä\n".encode() * 1000)
    first = path.read_bytes()
    assert list(lines(path)) == ["ä"] * 1000
    with written(path) as stream:
        stream.write("ä\n".encode() * 1000)
    assert path.read_bytes() == first
    if suffix:
        assert len(first) < 200
        path.write_bytes(first[: len(first) // 2])
        with pytest.raises(ValueError, match=f"text{suffix}: broken or cut short"):
            list(lines(path))
        path.write_bytes(b"no compressed data at all" * 9)
        with pytest.raises(ValueError, match=f"text{suffix}: broken or cut short"):
            list(lines(path))


def test_files_appear_whole(tmp_path):
    path = tmp_path / "out.gz"

    def write_some_and_fail():
        with written(path) as stream:
            stream.write(b"a" * 100_000)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_some_and_fail()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError) as error, written(tmp_path / "no" / "out"):
        pass
    assert error.value.filename == str(tmp_path / "no")
    with pytest.raises(IsADirectoryError), written(tmp_path):
        pass


def test_what_is_no_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    read = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        with written(tmp_path / "pipe") as stream:
            stream.write(b"abc")
        assert os.read(read, 9) == b"abc"
    finally:
        os.close(read)
    assert (tmp_path / "pipe").is_fifo()
    (tmp_path / "file").write_text("earlier")
    (tmp_path / "link").symlink_to("file")
    with written(tmp_path / "link") as stream:
        stream.write(b"later")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "later"
