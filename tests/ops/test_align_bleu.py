"""BLEU against its reference in plain Python and against sacrebleu."""

import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import polyad
from polyad.ops.align import BleuScore, corpus_bleu, sentence_bleu
from polyad.reference import align as reference

# Few words, so that n-grams repeat and match; punctuation, so that tokenisers have work.
SENTENCES = st.lists(
    st.sampled_from(
        ["a", "b", "A", "the", "3.5", "x-y", "1,", "end.", "...", "&amp;", "é", "中文"]
    ),
    max_size=9,
).map(" ".join)
PAIRS = st.tuples(SENTENCES, st.lists(SENTENCES, min_size=1, max_size=3))
SMOOTHINGS = [
    ("none", None),
    ("floor", None),
    ("floor", 0.0),
    ("floor", 0.7),
    ("add-k", None),
    ("add-k", 0.0),
    ("add-k", 2.5),
    ("exp", None),
]


def padded(references):
    """sacrebleu's order of references, [reference][candidate]; None where there is none."""
    most = max(len(group) for group in references)
    return [[dict(enumerate(group)).get(r) for group in references] for r in range(most)]


@pytest.fixture
def sacrebleu(caplog):
    caplog.set_level(logging.ERROR, "sacrebleu")  # it advises against what is tested here
    return pytest.importorskip("sacrebleu")


@pytest.mark.parametrize(("smoothing", "value"), SMOOTHINGS)
@pytest.mark.parametrize("effective_order", [False, True])
def test_scores_are_those_of_sacrebleu(sacrebleu, smoothing, value, effective_order):
    @settings(max_examples=15)
    @given(
        st.lists(PAIRS, min_size=1, max_size=5),
        st.integers(1, 6),
        st.sampled_from(["13a", "intl", "zh", "char", "none"]),
        st.booleans(),
    )
    def agrees(pairs, max_n, tokenize, lowercase):
        candidates, references = zip(*pairs, strict=True)
        metric = sacrebleu.BLEU(
            lowercase=lowercase,
            tokenize=tokenize,
            smooth_method=smoothing,
            smooth_value=value,
            max_ngram_order=max_n,
            effective_order=effective_order,
        )
        options = {
            "lowercase": lowercase,
            "tokenize": tokenize,
            "smoothing": smoothing,
            "smoothing_value": value,
            "max_n": max_n,
            "effective_order": effective_order,
        }
        scores = sentence_bleu(candidates, references, **options)
        assert scores.dtype == np.float64
        expected = [
            metric.sentence_score(candidate, group).score
            for candidate, group in zip(candidates, references, strict=True)
        ]
        np.testing.assert_allclose(scores, expected, rtol=1e-11, atol=1e-9)
        whole = corpus_bleu(candidates, references, **options)
        other = metric.corpus_score(candidates, padded(references))
        assert whole.score == pytest.approx(other.score, rel=1e-11, abs=1e-9)
        assert whole.precisions == pytest.approx(other.precisions, rel=1e-11)
        assert whole.brevity_penalty == pytest.approx(other.bp, rel=1e-11)
        assert (whole.candidate_length, whole.reference_length) == (other.sys_len, other.ref_len)
        if smoothing != "add-k":  # there sacrebleu's counts are the smoothed ones
            assert (list(whole.matches), list(whole.totals)) == (other.counts, other.totals)

    agrees()


def test_defaults_are_those_of_sacrebleu(sacrebleu):
    candidates = ["The cat sat on the mat.", "A dog ran, quickly!", "Yes", ""]
    references = [
        ["The cat is on the mat.", "There is a cat on the mat."],
        ["A dog ran quickly."],
        ["Yes.", "No"],
        ["Nothing"],
    ]
    assert corpus_bleu(candidates, references).score == pytest.approx(
        sacrebleu.corpus_bleu(candidates, padded(references)).score, abs=1e-9
    )
    assert sentence_bleu(candidates, references).tolist() == pytest.approx(
        [
            sacrebleu.sentence_bleu(candidate, group).score
            for candidate, group in zip(candidates, references, strict=True)
        ],
        abs=1e-9,
    )


@given(st.lists(PAIRS, max_size=4), st.integers(1, 5), st.sampled_from(SMOOTHINGS), st.booleans())
def test_scores_are_those_of_the_reference(pairs, max_n, smoothing, effective_order):
    candidates = [candidate for candidate, _ in pairs]
    references = [group for _, group in pairs]
    options = {
        "max_n": max_n,
        "smoothing": smoothing[0],
        "smoothing_value": smoothing[1],
        "effective_order": effective_order,
    }
    numbers = {}

    def split(text):
        return [numbers.setdefault(word, len(numbers)) for word in text.split()]

    words = [split(text) for text in candidates], [[split(t) for t in g] for g in references]
    np.testing.assert_allclose(
        sentence_bleu(candidates, references, tokenize="none", **options),
        reference.sentence_bleu(*words, **options),
        rtol=1e-11,
    )
    assert float(corpus_bleu(candidates, references, tokenize="none", **options)) == pytest.approx(
        reference.corpus_bleu(*words, **options), rel=1e-11
    )


def test_counts_are_clipped_by_the_reference_that_has_most():
    score = corpus_bleu(["a a a b"], [["a a", "b b a"]], tokenize="none", max_n=2)
    assert score.matches == (3, 1)
    assert score.totals == (4, 3)
    assert (score.candidate_length, score.reference_length) == (4, 3)
    assert score.brevity_penalty == 1.0


def test_of_two_closest_references_the_shorter_counts():
    score = corpus_bleu(["a b c d"], [["a b c d e f", "a b", "a"]], tokenize="none", max_n=1)
    assert score.reference_length == 2


def test_a_score_prints_and_is_a_number():
    score = corpus_bleu(["a b"], [["a b"]], max_n=2)
    assert isinstance(score, BleuScore)
    assert float(score) == pytest.approx(100)
    assert str(score) == (
        "BLEU = 100.00 100.0/100.0 (brevity penalty 1.000, 2 words, 2 in the references)"
    )


def test_nothing_scores_nothing():
    assert corpus_bleu([], []).score == 0
    assert sentence_bleu([], []).shape == (0,)
    assert sentence_bleu([""], [[""]]).tolist() == [0]


def test_any_number_of_threads_gives_the_same():
    random = np.random.default_rng(3)
    candidates = [" ".join(random.choice(list("abcd"), 8)) for _ in range(2000)]
    references = [[" ".join(random.choice(list("abcd"), 9))] for _ in range(2000)]
    scores = []
    for threads in (1, 2):
        polyad.set_num_threads(threads)
        scores.append(sentence_bleu(candidates, references))
    assert np.array_equal(*scores)
    assert np.unique(scores[0]).size > 50


def test_functions_tokenise():
    assert sentence_bleu(["A-B"], [["a b"]], max_n=2, tokenize=lambda t: t.split("-")) == 0
    scores = sentence_bleu(
        ["A-B"], [["a-b"]], max_n=2, lowercase=True, tokenize=lambda text: text.split("-")
    )
    assert scores.tolist() == pytest.approx([100])


@pytest.mark.parametrize("bleu", [corpus_bleu, sentence_bleu])
@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (("a", [["a"]]), {}, TypeError, "candidates: expected a list of str, got str"),
        (([1], [["a"]]), {}, TypeError, r"candidates\[0\]: expected a str, got int"),
        ((["a"], "a"), {}, TypeError, "references: expected a list of references for each"),
        ((["a"], ["a"]), {}, TypeError, r"references\[0\]: expected a list of str, got str"),
        ((["a"], [["a", None]]), {}, TypeError, r"references\[0\]\[1\]: expected a str"),
        ((["a"], []), {}, ValueError, "references: expected 1 lists, one for each.*got 0"),
        ((["a"], [[]]), {}, ValueError, r"references\[0\]: expected at least one reference"),
        ((["a"], [["a"]]), {"max_n": 0}, ValueError, r"max_n: expected 1 \.\. 64, got 0"),
        ((["a"], [["a"]]), {"smoothing": "x"}, ValueError, "smoothing: expected one of none, fl"),
        ((["a"], [["a"]]), {"smoothing_value": 1}, ValueError, "expected None with 'exp', got 1"),
        (
            (["a"], [["a"]]),
            {"smoothing": "floor", "smoothing_value": -1},
            ValueError,
            "smoothing_value: expected a finite number of at least 0, got -1",
        ),
        ((["a"], [["a"]]), {"tokenize": "x"}, ValueError, "tokenize: expected a function"),
    ],
)
def test_wrong_arguments_are_named(bleu, arguments, options, error, message):
    with pytest.raises(error, match=message):
        bleu(*arguments, **options)
