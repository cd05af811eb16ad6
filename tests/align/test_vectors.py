"""Files of word vectors, what is wrong with them, and training."""

import gzip
import struct
import sys

import numpy as np
import pytest

from polyad.align.vectors import WordVectors, train_word2vec, train_word2vec_pair


@pytest.fixture
def vectors(rng):
    words = ["the", "고양이", "l'été", "a_b", "\u00a0x", "3.5"]
    return WordVectors(words, rng.normal(size=(6, 5)).astype(np.float32))


@pytest.mark.parametrize("name", ["a.vec", "a.vec.gz", "a.bin", "a.bin.gz", "plain"])
def test_what_is_saved_is_read_again(tmp_path, vectors, name):
    vectors.save(tmp_path / name)
    got = WordVectors.load(tmp_path / name)
    assert got.words == vectors.words
    np.testing.assert_array_equal(got.vectors, vectors.vectors)
    first = WordVectors.load(tmp_path / name, limit=2)
    assert first.words == vectors.words[:2]
    assert (tmp_path / name).read_bytes()[:2] == (b"\x1f\x8b" if name.endswith("gz") else b"6 ")
    before = (tmp_path / name).read_bytes()
    vectors.save(tmp_path / name)
    assert (tmp_path / name).read_bytes() == before


def test_a_binary_file_needs_no_name(tmp_path, vectors):
    vectors.save(tmp_path / "a.bin")
    (tmp_path / "a.bin").rename(tmp_path / "model")
    assert WordVectors.load(tmp_path / "model").words == vectors.words


def test_files_of_gensim_and_of_the_first_word2vec(tmp_path, vectors):
    models = pytest.importorskip("gensim.models")
    keyed = models.KeyedVectors(5)
    keyed.add_vectors(vectors.words, vectors.vectors)
    keyed.save_word2vec_format(str(tmp_path / "t.vec"))
    keyed.save_word2vec_format(str(tmp_path / "b.bin"), binary=True)
    for name in ("t.vec", "b.bin"):
        got = WordVectors.load(tmp_path / name)
        order = [vectors.words.index(word) for word in got.words]
        np.testing.assert_allclose(got.vectors, vectors.vectors[order], rtol=1e-6)
    # the C program ends every vector with a line feed, fastText every line with a space
    (tmp_path / "c").write_bytes(b"2 1\na " + struct.pack("<f", 1) + b"\nb " + struct.pack("<f", 2))
    assert WordVectors.load(tmp_path / "c", binary=True).vectors.tolist() == [[1], [2]]
    (tmp_path / "fast").write_bytes(b"2 2\na 1 2 \r\nb 3e0 -4 \r\n\n")
    assert WordVectors.load(tmp_path / "fast").vectors.tolist() == [[1, 2], [3, -4]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "v:1: expected the number of words and the dimension"),
        (b"2\na 1\n", "v:1: expected the number of words and the dimension"),
        (b"2 0\n", "v:1: expected the number of words and the dimension"),
        (b"a 1 2\n", "v:1: expected the number of words and the dimension"),
        (b"2 99999999999\n", "v:1: expected the number of words and the dimension"),
        (b"2 2\na 1 2\nb 1\n", "v:3: expected a word and 2 numbers between single spaces, got 1"),
        (b"1 2\na 1 2 3\n", "v:2: expected a word and 2 numbers between single spaces, got 3"),
        (b"1 2\n\na 1 2\n", "v:2: expected a word and 2 numbers between single spaces, got 0"),
        (b"1 2\na 1 x\n", "v:2: expected 2 numbers, got b'x' among those of 'a'"),
        (b"1 2\na 1 nan\n", "v:2: expected finite numbers, got nan for 'a'"),
        (b"1 2\na 1 1e60\n", "v:2: expected finite numbers, got inf for 'a'"),
        (b"1 1\n\xffa 1\n", "v:2: expected a word in UTF-8, got the byte 0xff"),
        (b"2 1\na 1\na 2\n", "v:3: expected every word once, got 'a' again .first at .*v:2."),
        (b"3 1\na 1\nb 2\n", "v: expected 3 words, as line 1 says, got 2"),
        (b"1 1\na 1\nb 2\n", "v:3: expected 1 words, as line 1 says, got more"),
    ],
)
def test_bad_text(tmp_path, content, message):
    (tmp_path / "v").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        WordVectors.load(tmp_path / "v", binary=False)
    with gzip.open(tmp_path / "v.gz", "wb") as file:
        file.write(content)
    with pytest.raises(ValueError, match=message.replace("v:", "v.gz:")):
        WordVectors.load(tmp_path / "v.gz", binary=False)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"2 1\na \0\0\0\0", "word 2 of 2: expected 2 words, got 1"),
        (b"1 1\na \0\0", "word 1 of 1: expected 1 float32 .4 bytes., got 2 bytes"),
        (b"1 1\nabc", "word 1 of 1: expected a word and a space within 4096 bytes, got b'abc'"),
        (b"1 1\na \0\0\xc0\x7f", "word 1 of 1: expected finite numbers, got nan"),
        (b"1 1\na \0\0\0\0\nb \0\0\0\0", "expected 1 words, got more bytes after the last one"),
        (b"1 1\n\xff \0\0\0\0", "word 1 of 1: expected a word in UTF-8, got the byte 0xff"),
    ],
)
def test_bad_binary(tmp_path, content, message):
    (tmp_path / "v.bin").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        WordVectors.load(tmp_path / "v.bin")


def test_a_broken_archive(tmp_path, vectors):
    vectors.save(tmp_path / "v.vec.gz")
    whole = (tmp_path / "v.vec.gz").read_bytes()
    (tmp_path / "v.vec.gz").write_bytes(whole[:-12])
    with pytest.raises(ValueError, match=r"v\.vec\.gz: expected a whole gzip file"):
        WordVectors.load(tmp_path / "v.vec.gz")
    (tmp_path / "v.vec.gz").write_bytes(whole[:40] + b"\xff" * 20 + whole[60:])
    with pytest.raises(ValueError, match=r"v\.vec\.gz"):
        WordVectors.load(tmp_path / "v.vec.gz")


def test_a_word_with_a_space_is_not_saved(tmp_path):
    with pytest.raises(ValueError, match="words: expected none with a space"):
        WordVectors(["a b"], np.ones((1, 1), np.float32)).save(tmp_path / "v")
    assert list(tmp_path.iterdir()) == []


def test_the_container(vectors):
    assert len(vectors) == 6
    assert vectors.dimension == 5
    assert "the" in vectors
    assert "dog" not in vectors
    rows = vectors.rows(["dog", "3.5"])
    np.testing.assert_array_equal(rows, [np.zeros(5), vectors["3.5"]])
    nearest = vectors.nearest("the", 2)
    assert len(nearest) == 2
    assert nearest[0][1] >= nearest[1][1]
    similarity = vectors.similarity(["dog", "the", nearest[0][0]], least_cosine=0)
    assert similarity.row(0)[0].tolist() == []
    with pytest.raises(ValueError, match="words: expected none twice, got 'a' again"):
        WordVectors(["b", "a", "a"], np.ones((3, 1), np.float32))
    with pytest.raises(TypeError, match="vectors: expected a numpy array of float32, got float64"):
        WordVectors(["a"], np.ones((1, 1)))
    with pytest.raises(ValueError, match=r"vectors: expected \[V, D\] = \[1, D\], got \[2, 1\]"):
        WordVectors(["a"], np.ones((2, 1), np.float32))
    with pytest.raises(ValueError, match="vectors: expected finite numbers, got others for 'a'"):
        WordVectors(["a"], np.full((1, 1), np.inf, np.float32))


@pytest.fixture
def pairs(rng):
    """Sentences of a language and of another one, whose word xi translates wi."""
    drawn = [rng.integers(0, 100, 4) for _ in range(600)]
    return [
        ([f"w{i}" for i in numbers], [f"x{i}" for i in rng.permutation(numbers)])
        for numbers in drawn
    ]


def test_word2vec_pair_puts_translations_side_by_side(pairs):
    pytest.importorskip("gensim")
    pairs = [*pairs, (["once 1", "twice"], ["twice"])]
    seen = []
    options = {"dimension": 16, "epochs": 30}
    vectors = train_word2vec_pair(pairs, progress=seen.append, **options)
    assert seen == list(range(1, 31))
    found = [vectors.nearest(f"w{i}", 1)[0][0] == f"x{i}" for i in range(100)]
    assert sum(found) >= 95
    assert "twice" in vectors
    assert "once 1" not in vectors
    again = train_word2vec_pair(pairs, **options)
    assert again.words == vectors.words
    np.testing.assert_array_equal(again.vectors, vectors.vectors)


def test_word2vec_is_deterministic(pairs):
    pytest.importorskip("gensim")
    sentences = [one for one, _ in pairs]
    one, two = (train_word2vec(sentences, dimension=8, epochs=2, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.vectors, two.vectors)
    other = train_word2vec(sentences, dimension=8, epochs=2, seed=4)
    assert not np.array_equal(one.vectors, other.vectors)


def test_bad_training():
    pytest.importorskip("gensim")
    with pytest.raises(ValueError, match="expected words that occur at least 2 times, got none"):
        train_word2vec([["a"]])
    with pytest.raises(ValueError, match=r"dimension: expected 1 \.\. 65536, got 0"):
        train_word2vec([["a", "a"]], dimension=0)


def test_a_missing_gensim_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "gensim", None)
    with pytest.raises(ImportError, match=r"needs gensim: pip install 'polyad\[align\]'"):
        train_word2vec([["a", "b"]] * 3)
