"""polyad train vectors: from two files or from columns; what is wrong with them."""

import pytest

from polyad.align.vectors import WordVectors


@pytest.fixture
def texts(tmp_path, rng):
    numbers = [rng.integers(0, 20, 5) for _ in range(80)]
    one = [" ".join(f"w{i}" for i in row) for row in numbers]
    other = [" ".join(f"x{i}" for i in row) for row in numbers]
    (tmp_path / "s").write_text("\n".join(one) + "\n")
    (tmp_path / "t").write_text("\n".join(other) + "\n")
    rows = [f"{i}\t{a}\t{b}" for i, (a, b) in enumerate(zip(one, other, strict=True))]
    (tmp_path / "pairs.tsv").write_text("\n".join(rows) + "\n")
    return tmp_path


FAST = ["--dimension", 4, "--epochs", 1]


def test_two_files_and_one_give_the_same(polyad, texts):
    pytest.importorskip("gensim")
    done = polyad(
        "train", "vectors", "-s", texts / "s", "-t", texts / "t", "-o", texts / "a.vec", *FAST
    )
    assert (done.code, done.err) == (0, "")
    assert "40 words of 4 numbers, from 80 pairs" in done.out
    one = WordVectors.load(texts / "a.vec")
    assert {"w1", "x1"} <= set(one.words)
    pairs = ["--pairs", texts / "pairs.tsv", "--columns", "2,3"]
    assert polyad("train", "vectors", *pairs, "-o", texts / "b.bin", *FAST).code == 0
    assert (WordVectors.load(texts / "b.bin").vectors == one.vectors).all()
    alone = ["-s", texts / "s", "--kind", "word2vec", "-o", texts / "c.vec"]
    done = polyad("train", "vectors", *alone, *FAST)
    assert done.code == 0
    assert "20 words of 4 numbers, from 80 sentences" in done.out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 2, "expected --pairs, or --source and --target"),
        (["-s", "s"], 2, "expected --target beside --source"),
        (["-s", "s", "-t", "t", "--pairs", "pairs.tsv"], 2, "expected --pairs, or --source"),
        (["--pairs", "pairs.tsv", "--columns", "0,2"], 2, "expected two numbers from 1"),
        (["--pairs", "pairs.tsv", "--kind", "x"], 2, "expected word2vec-pair or word2vec"),
        (["--pairs", "pairs.tsv", "--source-tokenize", "x"], 2, "--source-tokenize"),
        (["--pairs", "pairs.tsv", "--columns", "2,4"], 1, "pairs.tsv:1: expected at least 4"),
        (["-s", "s", "-t", "short"], 1, "short: expected 80 lines, one for each of"),
        (["-s", "s", "-t", "t", "--columns", "2,3"], 2, "--columns needs --pairs"),
        (["-s", "s", "-t", "t", "-o", "none/x"], 1, "polyad: none: no such folder"),
        (["-s", "s", "-t", "t", "-o", "."], 1, "polyad: .: is a folder"),
        (["-s", "s", "-t", "none"], 1, "none: No such file"),
    ],
)
def test_bad_input(polyad, texts, monkeypatch, words, code, message):
    monkeypatch.chdir(texts)
    (texts / "short").write_text("a\n")
    out = [] if "-o" in words else ["-o", "out.vec"]
    done = polyad("train", "vectors", *words, *out, *FAST)
    assert done.code == code
    assert message in done.err
    assert len(done.err.splitlines()) == 1
    assert not (texts / "out.vec").exists()
