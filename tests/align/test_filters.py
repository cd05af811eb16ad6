"""Bleualign's filters, against sums done by hand and its order of things."""

import math

import numpy as np
import pytest

from polyad.align import Alignment, Document
from polyad.align.filters import filter_alignments


def one_to_one(source, target, translation=None, name=""):
    rows = np.arange(len(source), dtype=np.int32)
    document = Document(source, target, () if translation is None else (translation,), name=name)
    return Alignment(
        document,
        np.stack([rows, rows + 1, rows, rows + 1], axis=1),
        np.full(len(rows), 0.5),
        np.zeros(len(rows), np.int8),
    )


def numbers(alignments):
    return [[bead.source[0] for bead in one.beads] for one in alignments]


def graded(count):
    """Beads whose scores fall: the translation has ever more words that are wrong."""
    target = ["a b c d e f g h i j k l m n o p q r s t u v"] * count
    words = target[0].split()
    translation = [" ".join(words[: len(words) - i] + ["x"] * i) for i in range(count)]
    return one_to_one(["s"] * count, target, translation)


def test_the_share_that_is_kept():
    for count, percent, kept in ((10, 90, 10), (20, 90, 19), (20, 0, 1), (20, 100, 20), (8, 50, 5)):
        found = filter_alignments([graded(count)], percent=percent)
        assert numbers(found.kept) == [list(range(kept))]
        assert numbers(found.below) == [list(range(kept, count))]


def test_the_score_is_the_harmonic_mean_of_both_directions():
    # Translation "a b c x", target "a b c": 3 of 4 and 2 of 3 n-grams one way, 3 of 3 and 2 of 2
    # the other way, where the translation is the longer: exp(1 - 4 / 3).
    made = one_to_one(["s"], ["a b c"], ["a b c x"])
    forward, backward = math.sqrt(3 / 4 * 2 / 3), math.exp(1 - 4 / 3)
    score = 2 * forward * backward / (forward + backward)
    for threshold, kept in ((score * 0.999, [[0]]), (score * 1.001, [[]])):
        assert numbers(filter_alignments([made], threshold=threshold).kept) == kept


def test_articles_are_kept_whole():
    good = one_to_one(["s"] * 3, ["a b c"] * 3, ["a b c", "a b c", "x y z"])
    bad = one_to_one(["s"] * 2, ["a b c"] * 2, ["x b c", "y z"])
    found = filter_alignments([bad, good], by="articles", percent=50)
    assert numbers(found.kept) == [[], [0, 1, 2]]
    assert numbers(found.below) == [[0, 1], []]


def test_what_was_never_translated_goes_first():
    made = one_to_one(["a b c", "s"], ["a b c", "a b c"], ["x y z", "a b c"])
    found = filter_alignments([made], other_language=True, percent=100)
    assert numbers(found.foreign) == [[0]]
    assert numbers(found.kept) == [[1]]
    longer = one_to_one(["a b c", "s s s s"], ["a b c", "a b c"], ["x y z", "a b c"])
    found = filter_alignments([longer], other_language=True, percent=100, by="articles")
    assert numbers(found.kept) == [[0, 1]]


def test_an_article_without_beads_switches_as_in_bleualign():
    good = one_to_one(["s"] * 9, ["a b c"] * 9, ["a b c"] * 9)
    bad = one_to_one(["s"], ["a b c"], ["x y z"])
    empty = one_to_one([], [], [])
    documents = [good, empty, good, bad, good]
    for compatible, kept in ((True, [9, 0, 0, 0, 9]), (False, [9, 0, 9, 0, 9])):
        found = filter_alignments(documents, by="articles", compatible=compatible)
        assert [len(rows) for rows in numbers(found.kept)] == kept


def test_beads_of_scattered_sentences_keep_them():
    made = one_to_one(["s"] * 4, ["a b"] * 4, ["a b"] * 4)
    made.scattered = {3: ((1, 3), (3,))}
    found = filter_alignments([made], percent=100)
    assert found.kept[0].beads[3].source == (1, 3)


def test_without_a_translation_the_source_is_its_own():
    made = one_to_one(["a b", "x"], ["a b", "a b"])
    assert numbers(filter_alignments([made], threshold=0.5).kept) == [[0]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "words"}, "by: expected sentences or articles, got 'words'"),
        ({"percent": 101}, "percent: expected 0 to 100, got 101"),
        ({"threshold": -1}, "threshold: expected 0 to 1, got -1"),
        ({"max_n": 0}, "max_n: expected at least 1, got 0"),
    ],
)
def test_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        filter_alignments([], **options)
