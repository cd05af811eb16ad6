"""Which words are like which: cosines beside numpy's, ties, the transpose, bad vectors."""

import numpy as np
import pytest

import polyad
from polyad.ops import align as ops
from polyad.ops.align import WordSimilarity
from polyad.reference import align as reference

KINDS = ["numpy", "torch", pytest.param("cuda", marks=pytest.mark.cuda)]


def put(vectors, kind):
    if kind == "numpy":
        return vectors
    import torch

    return torch.from_numpy(vectors).to("cuda" if kind == "cuda" else "cpu")


def table(similarity, shape):
    dense = np.zeros(shape)
    for i in range(len(similarity)):
        words, values = similarity.row(i)
        dense[i, words] = values
    return dense


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", [(1, 1, 1), (7, 5, 3), (97, 300, 17), (200, 513, 100)])
def test_word_similarity_is_its_reference(rng, kind, dtype, sizes):
    rows, columns, dimension = sizes
    source = rng.normal(size=(rows, dimension)).astype(dtype)
    target = rng.normal(size=(columns, dimension)).astype(dtype)
    for neighbours, least_cosine in ((1, 0.0), (8, 0.1), (63, 0.0)):
        options = {"neighbours": neighbours, "least_cosine": least_cosine}
        got = ops.word_similarity(put(source, kind), put(target, kind), **options)
        want = reference.word_similarity(source, target, **options)
        np.testing.assert_allclose(table(got, want.shape), want, atol=3e-6)
        np.testing.assert_allclose(table(got.back, want.T.shape), want.T, atol=3e-6)
        alone = ops.word_similarity(put(target, kind), **options)
        want = reference.word_similarity(target, **options)
        np.testing.assert_allclose(table(alone, want.shape), want, atol=3e-6)
        np.testing.assert_array_equal(table(alone, want.shape), table(alone.back, want.shape))


def test_ties_go_to_the_lower_number():
    same = np.ones((6, 4), np.float32)
    got = ops.word_similarity(np.ones((1, 4), np.float32), same, neighbours=2)
    # every target has the source among its best, and is kept for that
    assert got.row(0)[0].tolist() == [0, 1, 2, 3, 4, 5]
    alone = ops.word_similarity(same, neighbours=2)
    assert alone.row(5)[0].tolist() == [0, 1]
    assert alone.row(0)[0].tolist() == [1, 2, 3, 4, 5]
    assert alone.row(0)[1].max() <= 1


def test_zero_rows_are_words_without_a_vector():
    vectors = np.array([[0, 0], [1, 0], [0, 0], [2, 0]], np.float32)
    got = ops.word_similarity(vectors)
    assert [got.row(i)[0].tolist() for i in range(4)] == [[], [3], [], [1]]
    empty = ops.word_similarity(np.zeros((3, 2), np.float32))
    assert len(empty) == 3
    assert len(empty.words) == 0
    assert len(ops.word_similarity(np.zeros((0, 2), np.float32))) == 0


def test_lengths_do_not_count_however_large(rng):
    vectors = rng.normal(size=(20, 8)).astype(np.float32)
    scales = 10.0 ** rng.integers(-30, 30, (20, 1))
    one = ops.word_similarity(vectors.astype(np.float64), least_cosine=0)
    other = ops.word_similarity(vectors * scales, least_cosine=0)
    np.testing.assert_allclose(table(one, (20, 20)), table(other, (20, 20)), atol=1e-6)


def test_one_thread_gives_what_two_give(rng):
    vectors = rng.normal(size=(700, 33)).astype(np.float32)
    results = []
    for threads in (1, 2):
        polyad.set_num_threads(threads)
        results.append(ops.word_similarity(vectors, least_cosine=0.1))
    np.testing.assert_array_equal(results[0].words, results[1].words)
    np.testing.assert_array_equal(results[0].values, results[1].values)


def test_bad_arguments(rng):
    vectors = rng.normal(size=(4, 3)).astype(np.float32)
    with pytest.raises(ValueError, match="source_vectors: expected finite values, got nan at"):
        ops.word_similarity(np.full((1, 2), np.nan, np.float32))
    with pytest.raises(ValueError, match=r"target_vectors: expected \[V, D\] = \[V, 3\], got"):
        ops.word_similarity(vectors, vectors[:, :2])
    with pytest.raises(TypeError, match="source_vectors: expected dtype float32 or float64"):
        ops.word_similarity(vectors.astype(np.float16))
    with pytest.raises(ValueError, match=r"neighbours: expected 1 .. 63, got 64"):
        ops.word_similarity(vectors, neighbours=64)
    with pytest.raises(ValueError, match=r"least_cosine: expected 0 .. 1, got 2"):
        ops.word_similarity(vectors, least_cosine=2)
    with pytest.raises(ValueError, match="at least one dimension"):
        ops.word_similarity(np.zeros((2, 0), np.float32))
    with pytest.raises(ValueError, match="offsets: expected to run from 0 to 1"):
        WordSimilarity(np.zeros(2, np.int32), np.zeros(1, np.int32), np.zeros(1, np.float32))
