"""Yields at an accuracy: against a plain search, with gold beads, and with decoys."""

import math

import numpy as np
import pytest

from polyad.align import Aligner, Bead, Document
from polyad.align.yields import (
    align_with_decoys,
    counted,
    highest_yield,
    judge,
    known_yield,
    reversed_target,
    text_mark,
)


def plain(scores, sentences, wrong, accuracy, surplus):
    """The lowest threshold among the scores that is accurate enough, by trying all."""
    best = (math.inf, 0, 0)
    for threshold in sorted(set(scores), reverse=True):
        kept = [n for s, n in zip(scores, sentences, strict=True) if s >= threshold]
        bad = surplus + sum(s >= threshold for s in wrong)
        if (len(kept) - min(bad, len(kept))) / len(kept) >= accuracy:
            best = (threshold, len(kept), sum(kept))
    return best


@pytest.mark.parametrize("seed", range(20))
def test_highest_yield_equals_a_plain_search(seed):
    random = np.random.default_rng(seed)
    scores = random.integers(0, 30, 200) / 30
    sentences = random.integers(1, 4, 200)
    wrong = scores[random.random(200) < (1 - scores) * 0.4]
    for accuracy in (0.5, 0.8, 0.9, 0.95):
        found = highest_yield(
            scores, sentences, wrong, possible=500, accuracy=accuracy, surplus=seed % 2
        )
        expected = plain(scores.tolist(), sentences.tolist(), wrong.tolist(), accuracy, seed % 2)
        assert (found.threshold, found.beads, found.sentences) == expected
        assert found.share == found.sentences / 500
        assert found.accuracy >= accuracy or found.beads == 0


def test_highest_yield_of_nothing_and_of_beads_without_scores():
    nothing = highest_yield([], [], [], possible=0)
    assert (nothing.threshold, nothing.beads, nothing.share) == (math.inf, 0, 0)
    assert highest_yield([0.5], [1], [0.9], possible=1).beads == 0
    some = highest_yield([math.nan, 0.5, 0.0], [3, 2, 1], [math.nan], possible=6)
    assert (some.beads, some.sentences, some.share, some.accuracy) == (2, 3, 0.5, 1.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"accuracy": 1.1}, r"accuracy: expected 0 to 1, got 1\.1"),
        ({"sentences": [1]}, r"expected one of each per bead, got \[2\] and \[1\]"),
    ],
)
def test_highest_yield_refuses(arguments, message):
    given = {"scores": [0.1, 0.2], "sentences": [1, 1], "wrong": [], "possible": 2}
    with pytest.raises(ValueError, match=message):
        highest_yield(**(given | arguments))


def test_known_yield_counts_alignable_sentences_and_right_beads():
    gold = [[Bead((0,), (0,)), Bead((1, 2), (1,)), Bead((3,), ()), Bead((4,), (2,))], []]
    found = [
        [
            Bead((0,), (0,), 0.9),
            Bead((1,), (1,), 0.5),
            Bead((2,), ()),
            Bead((3,), (3,), 0.1),
            Bead((4,), (2,), 0.4),
        ],
        [Bead((0,), (0,), 0.05)],
    ]
    judged = [judge(*each) for each in zip(found, gold, strict=True)]
    whole = known_yield(judged, accuracy=0.6)
    assert (whole.threshold, whole.beads, whole.sentences) == (0.4, 3, 3)
    assert whole.share == 3 / 4
    assert whole.accuracy == 2 / 3
    assert whole.lax == 1.0
    best = known_yield(judged, accuracy=0.95)
    assert (best.threshold, best.sentences, best.share) == (0.9, 1, 1 / 4)
    by_lax = known_yield(judged, accuracy=1, lax=True)
    assert (by_lax.threshold, by_lax.accuracy, by_lax.lax) == (0.4, 2 / 3, 1.0)
    assert known_yield([judge([], [])]).lax == known_yield([]).share == 0


SENTENCES = [f"w{i} w{i + 1} w{i + 2} and the end" for i in range(0, 90, 3)]


def test_decoys_are_few_and_low_where_documents_are_parallel():
    document = Document(SENTENCES, SENTENCES, translations=(SENTENCES,), name="same")
    (alignment, decoys), *rest = align_with_decoys(Aligner(), [document])
    assert rest == []
    assert len(alignment.beads) == 30
    marks = {text_mark(*alignment.text(bead)) for bead in alignment.beads}
    scores = counted(decoys, marks)
    assert list(scores) == sorted(scores, reverse=True)
    assert len(scores) <= 30
    assert all(score < 0.6 for score in scores)


def test_a_decoy_that_is_a_pair_somewhere_does_not_count():
    decoys = [(0.9, text_mark("a", "b")), (0.4, text_mark("a", "c")), (0.6, text_mark("", "ab"))]
    assert list(counted(decoys, {text_mark("a", "b")})) == [0.6, 0.4]
    assert text_mark("a b", "c") != text_mark("a", "b c")


def test_reversed_target_turns_what_belongs_to_the_target():
    document = Document(["a"], ["x", "y"], (["t"],), (["u", "v"],), name="n", meta={"k": "v"})
    turned = reversed_target(document)
    assert turned.target == ["y", "x"]
    assert turned.back_translations == (["v", "u"],)
    assert (turned.source, turned.translations) == (["a"], (["t"],))
    assert (turned.name, turned.meta) == ("n", {"k": "v"})
