"""The retrieval recipe on made rows: who is held out, and that translations are found."""

import gzip

import numpy as np
import pytest

from polyad.align.vectors import WordVectors
from polyad.data import DataError
from polyad.recipes import align_retrieval as recipe


@pytest.fixture
def rows(rng):
    """Seventy paragraphs in each of four documents, and a short one."""
    made = []
    for document in range(4):
        for _ in range(70):
            words = rng.integers(0, 200, 8)
            made.append((f"d{document}", [f"k{i}" for i in words], [f"e{i}" for i in words]))
    return [*made, ("short", ["k0"], ["e0"])]


def test_held_out_documents_are_not_trained_on(rows):
    rows.append(("short", ["other"], rows[0][2]))
    held, pairs = recipe.held_out(rows, 2, seed=0)
    assert [len(document) for document in held] == [70, 70]
    kept = {tuple(english) for document in held for _, _, english in document}
    assert not kept & {tuple(english) for _, english in pairs}
    assert len(pairs) in (141, 142)
    with pytest.raises(DataError, match="expected 5 documents of 60 to 300 rows, got 4"):
        recipe.held_out(rows, 5, seed=0)


def test_measure(rows, rng):
    meanings = rng.normal(size=(200, 16)).astype(np.float32)
    words = [f"{letter}{i}" for letter in "ke" for i in range(200)]
    vectors = WordVectors(words, np.concatenate([meanings, meanings]))
    held, _ = recipe.held_out(rows, 2, seed=1)
    figures = recipe.measure(held, vectors)
    assert figures["ableu"] > 0.99
    assert figures["ableu_one_to_one"] > 0.99
    assert figures["mean_vector"] > 0.9
    assert figures["shared_words"] == 0


def test_read_rows(tmp_path):
    (tmp_path / "en-ko.tsv.gz").write_bytes(gzip.compress("d\ta\t가\nd\tb\t나\n".encode()))
    assert recipe.read_rows(tmp_path) == [("d", "a", "가"), ("d", "b", "나")]
    (tmp_path / "x.tsv").write_bytes(b"d\ta\tb\nd\ta\n")
    with pytest.raises(DataError, match=r"x\.tsv:2: expected 3 columns"):
        recipe.read_rows(tmp_path / "x.tsv")
    (tmp_path / "x.tsv").write_bytes(b"d\t\xff\tb\n")
    with pytest.raises(DataError, match=r"x\.tsv:1: expected UTF-8"):
        recipe.read_rows(tmp_path / "x.tsv")
