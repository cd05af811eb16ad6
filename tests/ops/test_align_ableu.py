"""BLEU with soft counts: the formula, its limits, the examples of the report, soft_scores."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import polyad
from polyad import Sentences
from polyad.ops import align as ops
from polyad.ops.align import WordSimilarity
from polyad.reference import align as reference

WORDS = 6
MATCHINGS = ["source", "one_to_one"]

sentence = st.lists(st.integers(0, WORDS + 1), max_size=8)  # words past the similarity's, too
values = st.sampled_from([0.0, -0.5, 0.25, 0.5, 0.9, 1.0, 1.5])
similarity_table = st.lists(values, min_size=WORDS * WORDS, max_size=WORDS * WORDS).map(
    lambda x: np.array(x, np.float32).reshape(WORDS, WORDS)
)


def sparse(table):
    """A table as a similarity; zeros are left out."""
    i, j = np.nonzero(table)
    return WordSimilarity.from_pairs(i, j, table[i, j])


def spelled(text):
    """Words of a text as numbers: its letters."""
    return [ord(letter) - ord("a") for letter in text]


def scored(candidate, against, similarity=None, **options):
    sentences = Sentences.from_lists([candidate])
    references = Sentences.from_lists(against)
    if len(against) == 1:
        return ops.ableu(sentences, references, similarity, **options)[0]
    words = [[str(word) for word in text] for text in against]
    return ops.ableu([[str(word) for word in candidate]], [words], similarity, **options)[0]


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.tuples(sentence, sentence), max_size=4),
    similarity_table,
    st.sampled_from(MATCHINGS),
    st.integers(1, 4),
    st.booleans(),
    st.booleans(),
)
def test_ableu_is_its_reference(pairs, table, matching, max_n, last, both):
    candidates = [pair[0] for pair in pairs]
    against = [pair[1] for pair in pairs]
    options = {"matching": matching, "max_n": max_n, "orders_last_only": last}
    got = ops.ableu(
        Sentences.from_lists(candidates),
        Sentences.from_lists(against),
        sparse(table),
        both_directions=both,
        **options,
    )
    groups = [[text] for text in against]
    want = reference.ableu(candidates, groups, table, both_directions=both, **options)
    np.testing.assert_allclose(got, want, rtol=1e-12)
    assert ((got >= 0) & (got <= 1 + 1e-12)).all()
    corpus = ops.corpus_ableu(
        Sentences.from_lists(candidates), Sentences.from_lists(against), sparse(table), **options
    )
    assert corpus == pytest.approx(reference.corpus_ableu(candidates, groups, table, **options))


@settings(deadline=None)
@given(
    sentence,
    st.lists(sentence, min_size=1, max_size=3),
    similarity_table,
    st.sampled_from(MATCHINGS),
)
def test_several_references(candidate, against, table, matching):
    vocabulary = polyad.Vocabulary(str(word) for word in range(WORDS + 2))
    words = [[str(word) for word in text] for text in [candidate, *against]]
    options = {"matching": matching, "max_n": 2}
    got = ops.ableu(words[:1], [words[1:]], sparse(table), vocabulary=vocabulary, **options)
    want = reference.ableu([candidate], [against], table, **options)
    np.testing.assert_allclose(got, want, rtol=1e-12)


@given(sentence, sentence, st.sampled_from(MATCHINGS), st.integers(1, 3))
def test_without_similarity_it_is_bleu_exactly(one, other, matching, max_n):
    options = {"matching": matching, "max_n": max_n, "both_directions": True}
    want = reference.pair_score(one, other, max_n)
    assert scored(one, [other], None, **options) == want
    table = np.eye(WORDS, dtype=np.float32)
    assert scored(one, [other], sparse(table), **options) == want


@given(sentence, sentence, similarity_table, st.sampled_from(MATCHINGS))
def test_it_is_never_less_than_bleu(one, other, table, matching):
    table = np.maximum(table, table.T)  # one pair of words, one similarity
    soft = scored(one, [other], sparse(table), matching=matching)
    assert soft >= scored(one, [other], None) - 1e-15


@given(st.permutations(range(WORDS)), sentence, similarity_table, st.integers(0, WORDS))
def test_one_to_one_is_at_most_source_where_nothing_is_repeated(words, other, table, length):
    one = words[:length]
    greedy = scored(one, [other], sparse(table), matching="one_to_one")
    assert greedy <= scored(one, [other], sparse(table), matching="source") + 1e-12


def test_the_examples_of_the_report():
    like = {"orders_last_only": True, "max_n": 1}  # precision of words alone; lengths are equal
    assert ops.ableu(["나는 밥을 먹었다"], [["나는 밥을 버렸다"]], **like)[0] == pytest.approx(
        2 / 3
    )
    the = "the the the the the the the"
    mats = ["the cat is on the mat", "there is a cat on the mat"]
    assert ops.ableu([the], [mats], **like)[0] == pytest.approx(2 / 7)
    assert ops.ableu(["나는"], [["나는 밥을"]], **like)[0] == pytest.approx(0.368, abs=5e-4)
    # both orders, and the printed code's last one alone
    pair = ["나는 밥을 먹었다"], [["나는 밥을 버렸다"]]
    assert ops.ableu(*pair)[0] == pytest.approx(math.sqrt(2 / 3 * 1 / 2))
    assert ops.ableu(*pair, orders_last_only=True)[0] == pytest.approx(0.5)


def test_similarity_does_not_make_up_for_counts():
    vocabulary = polyad.Vocabulary(["large", "big"])
    like = WordSimilarity.from_pairs([0], [1], [0.9])
    got = ops.ableu(["large"], [["big big big"]], like, max_n=1, vocabulary=vocabulary)[0]
    assert got == pytest.approx(0.9 * math.exp(1 - 3))


def test_a_reference_word_serves_once_in_one_to_one():
    vocabulary = polyad.Vocabulary(["big", "large", "huge", "dog"])
    like = WordSimilarity.from_pairs([1, 2], [0, 0], [0.9, 0.9])
    texts = ["big large huge dog"], [["big dog"]]
    options = {"max_n": 1, "vocabulary": vocabulary}
    assert ops.ableu(*texts, like, **options)[0] == pytest.approx(0.95, abs=0.03)
    assert ops.ableu(*texts, like, matching="one_to_one", **options)[0] == pytest.approx(0.5)


def test_ties_go_to_the_same_word_then_to_the_lowest():
    # 0 and 1 are one word by their vectors: equal ones are taken first, so both match
    like = WordSimilarity.from_pairs([0, 1, 2], [1, 0, 1], [1.0, 1.0, 1.0])
    assert scored([0, 1], [[1, 0]], like, matching="one_to_one", max_n=1) == 1.0
    # the first of two candidates gets the one reference; the weights tell which
    sources, targets = Sentences.from_lists([[3, 4]]), Sentences.from_lists([[5]])
    like = WordSimilarity.from_pairs([3, 4], [5, 5], [0.5, 0.5])
    weights = np.array([1, 1, 1, 3, 1, 1], np.float64)
    options = {"max_n": 1, "matching": "one_to_one", "weights": weights}
    score = ops.soft_scores(sources, targets, like, **options)[2]
    assert score == pytest.approx(2 * (1.5 / 4) * 0.5 / (1.5 / 4 + 0.5))


def test_negative_and_unknown():
    assert scored([0], [[1]], WordSimilarity.from_pairs([0], [1], [-0.9]), max_n=1) == 0
    like = WordSimilarity.from_pairs([0], [1], [0.9])
    big = 2**31 - 1
    assert scored([big, 0], [[big, 1]], like, max_n=1) == pytest.approx(0.95)
    assert scored([big], [[big - 1]], like, max_n=1) == 0
    assert scored([], [[1]], like) == scored([1], [[]], like) == 0


@settings(deadline=None, max_examples=60)
@given(
    st.lists(sentence, max_size=6),
    st.lists(sentence, max_size=6),
    similarity_table,
    st.sampled_from(MATCHINGS),
    st.integers(1, 3),
    st.integers(1, 4),
    st.booleans(),
)
def test_soft_scores_is_its_reference(sources, targets, table, matching, max_n, top_k, weighted):
    options = {"matching": matching, "max_n": 1 if weighted else max_n, "top_k": top_k}
    if weighted:
        options["weights"] = np.linspace(0, 2, WORDS + 2)
    got = ops.soft_scores(
        Sentences.from_lists(sources), Sentences.from_lists(targets), sparse(table), **options
    )
    want = reference.soft_scores(sources, targets, table, **options)
    np.testing.assert_array_equal(got[0], want[0])
    np.testing.assert_allclose(got[2], want[2], rtol=1e-12)
    for i, j, score in zip(*got, strict=True):  # where scores tie to the last bit, either order
        row = want[2][want[0] == i]
        alone = {**options, "top_k": 1}
        again = reference.soft_scores([sources[i]], [targets[j]], table, **alone)[2]
        assert score == pytest.approx(again[0], rel=1e-12)
        assert row.min() <= score * (1 + 1e-12)


def random_sentences(rng, count, words, longest=30):
    return Sentences.from_lists(
        [rng.integers(0, words, rng.integers(0, longest)) for _ in range(count)]
    )


def test_candidates_are_the_best_of_all(rng):
    words = 300
    table = np.where(rng.random((words, words)) < 0.01, rng.random((words, words)), 0)
    like = sparse(table.astype(np.float32))
    sources = random_sentences(rng, 60, words)
    # targets are noisy sources
    targets = Sentences.from_lists(
        [np.where(rng.random(len(s)) < 0.3, rng.integers(0, words, len(s)), s) for s in sources]
    )
    few = ops.soft_scores(sources, targets, like, top_k=1)
    all_of_them = ops.soft_scores(sources, targets, like, top_k=1, candidates=60)
    assert len(few[0]) == len(all_of_them[0]) > 40
    assert (few[2] == all_of_them[2]).mean() > 0.95


def test_one_thread_gives_what_two_give(rng):
    sources, targets = (random_sentences(rng, 300, 50) for _ in range(2))
    table = np.where(rng.random((50, 50)) < 0.1, rng.random((50, 50)), 0)
    like = sparse(table.astype(np.float32))
    results = []
    for threads in (1, 2):
        polyad.set_num_threads(threads)
        links = ops.soft_scores(sources, targets, like, matching="one_to_one")
        results.append([*links, ops.ableu(sources, targets, like, both_directions=True)])
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)


def test_word_numbers_may_be_large():
    big = 2**31 - 2
    sentences = Sentences.from_lists([[big, 3, 4], [big - 1, 3]])
    source, target, score = ops.soft_scores(sentences, sentences, top_k=1)
    assert (source.tolist(), target.tolist(), score.tolist()) == ([0, 1], [0, 1], [1, 1])


def test_bad_arguments():
    texts = ["a b"], [["a b"]]
    with pytest.raises(ValueError, match="matching: expected one of source, one_to_one, got 'x'"):
        ops.ableu(*texts, matching="x")
    with pytest.raises(TypeError, match=r"similarity: expected .*WordSimilarity, got dict"):
        ops.ableu(*texts, {})
    with pytest.raises(ValueError, match="references: expected 1 lists, one for each candidate"):
        ops.ableu(["a"], [])
    with pytest.raises(TypeError, match=r"references\[0\]: expected a list of at least one"):
        ops.ableu(["a"], [[]])
    with pytest.raises(TypeError, match=r"references\[0\]: expected a list of at least one"):
        ops.ableu(["a"], ["a"])
    with pytest.raises(ValueError, match="one for each candidate with both_directions"):
        ops.ableu(["a"], [["a", "b"]], both_directions=True)
    with pytest.raises(ValueError, match=r"max_n: expected 1 .. 16, got 17"):
        ops.ableu(*texts, max_n=17)
    with pytest.raises(ValueError, match=r"weights: expected \[V\] with V above 1, got \[1\]"):
        ops.soft_scores(["a b"], ["a"], max_n=1, weights=np.ones(1))
    with pytest.raises(ValueError, match="max_n: expected 1 with weights, got 2"):
        ops.soft_scores(["a b"], ["a"], weights=np.ones(2))
    with pytest.raises(ValueError, match="weights: expected finite values of at least 0"):
        ops.soft_scores(["a"], ["a"], max_n=1, weights=-np.ones(1))
    with pytest.raises(ValueError, match="words: expected to ascend among those of one word"):
        WordSimilarity.from_pairs([0, 0], [1, 1], [0.5, 0.5])
    with pytest.raises(ValueError, match="values: expected finite values, got nan"):
        WordSimilarity.from_pairs([0], [1], [float("nan")])


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
@pytest.mark.parametrize("matching", MATCHINGS)
@pytest.mark.parametrize("both", [False, True])
def test_ableu_pairs_is_its_reference(rng, device, matching, both):
    words = 40
    table = np.where(rng.random((words, words)) < 0.1, rng.random((words, words)), 0)
    table = np.where(rng.random((words, words)) < 0.02, 1, table).astype(np.float32)
    sources, targets = (random_sentences(rng, 30, words + 5) for _ in range(2))
    long = Sentences.from_lists([*targets, rng.integers(0, words, 300)])
    source = rng.integers(0, 30, 100).astype(np.int32)
    target = rng.integers(0, 31, 100).astype(np.int32)
    for max_n, last in ((1, False), (2, False), (3, True)):
        options = {"matching": matching, "max_n": max_n, "orders_last_only": last}
        options["both_directions"] = both
        got = ops.ableu_pairs(
            sources, long, source, target, sparse(table), device=device, **options
        )
        want = reference.ableu_pairs(sources, long, source, target, table, **options)
        np.testing.assert_allclose(got, want, rtol=1e-12)


@pytest.mark.cuda
def test_a_sentence_too_long_for_a_block(rng):
    texts = Sentences.from_lists([rng.integers(0, 9, n) for n in (1024, 1025, 0, 2000)])
    pairs = np.arange(4, dtype=np.int32)
    one, other = (ops.ableu_pairs(texts, texts, pairs, pairs, device=d) for d in ("cpu", "cuda"))
    np.testing.assert_allclose(one, [1, 1, 0, 1], rtol=1e-12)
    np.testing.assert_allclose(other, one, rtol=1e-12)


def test_numbers_and_words_do_not_mix():
    numbers = Sentences.from_lists([[0, 1]])
    zero = np.zeros(1, np.int32)
    with pytest.raises(TypeError, match=r"references: expected polyad\.Sentences as candidates is"):
        ops.ableu(numbers, [["c d"]])
    with pytest.raises(TypeError, match=r"candidates: expected polyad\.Sentences as references is"):
        ops.corpus_ableu(["c d"], numbers)
    with pytest.raises(TypeError, match=r"targets: expected polyad\.Sentences as sources is"):
        ops.soft_scores(numbers, ["c d"])
    with pytest.raises(TypeError, match=r"targets: expected polyad\.Sentences as sources is"):
        ops.ableu_pairs(numbers, ["c d"], zero, zero)
    vocabulary = polyad.Vocabulary(["c", "d"])
    assert ops.ableu(numbers, [["c d"]], vocabulary=vocabulary).tolist() == [1]


def test_bad_pairs():
    texts = ["a b", "c"], ["a"]
    one, two = np.zeros(1, np.int32), np.zeros(2, np.int32)
    with pytest.raises(ValueError, match=r"target: expected \[P\] = \[1\], got \[2\]"):
        ops.ableu_pairs(*texts, one, two)
    with pytest.raises(ValueError, match=r"target: expected sentences 0 .. 0, got 1 .. 1"):
        ops.ableu_pairs(*texts, one, one + 1)
    with pytest.raises(TypeError, match="source: expected dtype int32, got int64"):
        ops.ableu_pairs(*texts, one.astype(np.int64), one)
    assert len(ops.ableu_pairs(*texts, one[:0], one[:0])) == 0


def test_texts_that_fit_no_table(rng):
    words = 3000
    one, other = (
        Sentences.from_lists([rng.permutation(words)[:n] for n in (1500, 5, 900)]) for _ in range(2)
    )
    like = WordSimilarity.from_pairs(range(0, words, 2), range(1, words, 2), [0.5] * (words // 2))
    for matching in MATCHINGS:
        options = {"max_n": 1, "matching": matching}
        source, target, score = ops.soft_scores(one, other, like, **options)
        assert len(score) > 3
        pairs = ops.ableu_pairs(one, other, source, target, like, **options)
        np.testing.assert_allclose(score, pairs, rtol=1e-12)
        ones = np.ones(words)
        weighted = ops.soft_scores(one, other, like, weights=ones, **options)
        assert (weighted[2] >= score - 1e-12).all()  # no brevity penalty


def test_a_word_with_many_followers(rng):
    """A text whose cost would be the square of a word's followers takes minutes."""
    followers = 100_000
    ids = np.zeros(3 * followers, np.int32)
    ids[1::3] = 1 + rng.permutation(followers)
    ids[2::3] = 1 + rng.permutation(followers)
    line = Sentences.from_lists([ids])
    source, target, score = ops.soft_scores(line, line)
    assert (source.tolist(), target.tolist()) == ([0], [0])
    np.testing.assert_allclose(score, [1], rtol=1e-12)


@pytest.mark.parametrize("matching", MATCHINGS)
def test_long_texts_are_their_reference(rng, matching):
    """Where there are many n-grams they are found by whichever word leads to the fewest."""
    one, other = (np.minimum(rng.geometric(0.04, 500), 90).astype(np.int32) for _ in range(2))
    table = np.where(rng.random((91, 91)) < 0.04, rng.random((91, 91)), 0).astype(np.float32)
    np.fill_diagonal(table, 1)
    options = {"matching": matching, "max_n": 3}
    got = ops.ableu(
        Sentences.from_lists([one]), Sentences.from_lists([other]), sparse(table), **options
    )
    want = reference.ableu([one.tolist()], [[other.tolist()]], table, **options)
    np.testing.assert_allclose(got, want, rtol=1e-12)
    assert 0 < want[0] < 1
