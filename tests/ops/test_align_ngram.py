"""Scores of sentence pairs by the n-grams they share, against the reference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import polyad
from polyad.ops.align import ngram_scores
from polyad.reference import align as reference

# Few words, so that pairs share n-grams, scores tie and sets of n-grams repeat.
TEXTS = st.lists(st.lists(st.integers(0, 3), max_size=9), max_size=12)


def sentences(texts):
    return polyad.Sentences.from_lists(texts)


def same(found, expected):
    for got, want in zip(found, expected, strict=True):
        assert got.dtype == want.dtype
        assert np.array_equal(got, want)  # scores bit for bit: ties depend on it


@given(TEXTS, TEXTS, st.integers(1, 5), st.integers(1, 5))
def test_scores_are_those_of_the_reference(sources, targets, max_n, top_k):
    same(
        ngram_scores(sentences(sources), sentences(targets), max_n=max_n, top_k=top_k),
        reference.ngram_scores(sources, targets, max_n=max_n, top_k=top_k),
    )


@pytest.mark.parametrize("words", [2, 30, 1000])
@pytest.mark.parametrize("max_n", [1, 2, 4])
def test_longer_texts_are_those_of_the_reference(rng, words, max_n):
    sides = [
        [
            (words * rng.random(length) ** 3).astype(np.int32).tolist()
            for length in rng.integers(0, 70, size=count)
        ]
        for count in (30, 50)
    ]
    sides[0].append(list(range(400)))  # longer than what is looked up in tables
    sides[1].append(list(range(1, 390)) * 2)
    same(
        ngram_scores(*map(sentences, sides), max_n=max_n),
        reference.ngram_scores(*sides, max_n=max_n),
    )


def test_ties_go_to_the_lower_target():
    source, target, score = ngram_scores(["a b"], ["c", "a b", "x", "a b", "a b", "a b"])
    assert source.tolist() == [0, 0, 0]
    assert target.tolist() == [1, 3, 4]
    assert score.tolist() == [1, 1, 1]


def test_equal_sets_of_ngrams_have_the_score_of_the_first():
    _, target, score = ngram_scores(["a a"], ["a a a a", "a a"])
    assert target.tolist() == [0, 1]
    assert score[0] == score[1] < 1
    # the other way round the first is the equal one
    assert ngram_scores(["a a"], ["a a", "a a a a"])[2].tolist() == [1, 1]


def test_without_a_common_ngram_of_the_highest_order_there_is_no_score():
    assert len(ngram_scores(["a b"], ["b a"])[0]) == 0
    assert ngram_scores(["a b"], ["b a"], max_n=1)[2].tolist() == [1]


def test_a_target_hundreds_of_times_as_long_has_no_score():
    long = "a b " * 1000
    assert len(ngram_scores(["a b"], [long])[0]) == 0
    # the other way round only one of the two directions vanishes: score 0, still an entry
    assert ngram_scores([long], ["a b"])[2].tolist() == [0]


def test_sentences_are_text_lists_of_words_or_numbers():
    expected = ngram_scores(["a b c"], ["b c", "a b"])
    same(ngram_scores([["a", "b", "c"]], [["b", "c"], ["a", "b"]]), expected)
    same(ngram_scores(sentences([[0, 1, 2]]), sentences([[1, 2], [0, 1]])), expected)


@pytest.mark.parametrize("sides", [([], []), ([], ["a b"]), (["a b"], []), ([""], [""])])
def test_nothing_has_no_scores(sides):
    for part, dtype in zip(ngram_scores(*sides), ("int32", "int32", "float64"), strict=True):
        assert part.shape == (0,)
        assert part.dtype == dtype


def test_any_number_of_threads_gives_the_same(rng):
    sides = [
        sentences([rng.integers(0, 50, 12).tolist() for _ in range(count)]) for count in (700, 500)
    ]
    results = []
    for threads in (1, 2):
        polyad.set_num_threads(threads)
        results.append(ngram_scores(*sides))
    same(*results)
    assert len(results[0][0]) > 1000


@pytest.mark.parametrize(
    ("sources", "targets", "options", "error", "message"),
    [
        ("a b", ["a"], {}, TypeError, "sources: expected polyad.Sentences or a list"),
        (["a"], 3, {}, TypeError, "targets: expected polyad.Sentences or a list"),
        (["a"], [["a", 1]], {}, TypeError, "targets: expected a str or a list of words at 0"),
        (["a"], ["a"], {"max_n": 0}, ValueError, "max_n: expected 1 .. 10, got 0"),
        (["a"], ["a"], {"max_n": 11}, ValueError, "max_n: expected 1 .. 10, got 11"),
        (["a"], ["a"], {"max_n": 1.5}, TypeError, "max_n: expected an int, got float"),
        (["a"], ["a"], {"top_k": 0}, ValueError, "top_k: expected at least 1, got 0"),
    ],
)
def test_wrong_arguments_are_named(sources, targets, options, error, message):
    with pytest.raises(error, match=message):
        ngram_scores(sources, targets, **options)


def test_numbers_on_one_side_alone_are_refused():
    numbered = polyad.Sentences.from_lists([[0, 1]])
    with pytest.raises(TypeError, match=r"targets: expected polyad.Sentences as sources is"):
        ngram_scores(numbered, ["c d"])
    with pytest.raises(TypeError, match=r"sources: expected polyad.Sentences as targets is"):
        ngram_scores(["c d"], numbered)
