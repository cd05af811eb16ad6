"""The path of beads that a log-linear model believes in."""

import re

import numpy as np
import pytest

from polyad import Sentences, reference
from polyad._sentences import Vocabulary
from polyad.align.accurate_weights import WEIGHTS
from polyad.ops._align_beads import (
    GENERAL_FEATURES,
    GROUP_FEATURES,
    LARGEST_BEAD,
    bead_types,
)
from polyad.ops.align import (
    BeadSide,
    BeadView,
    SparseRows,
    bead_features,
    bead_probabilities,
    best_beads,
    sentence_vectors,
)

WHOLE = 1000  # a margin that takes in everything
WORDS = [f"{first}{second}" for first in ("ab", "cde", "f") for second in ("xy", "z", "uvw", "q")]


def case(seed, n=7, m=6, *, groups=2):
    """Two texts with shared words, seen by letters and by words."""
    random = np.random.default_rng(seed)
    sentences = [list(random.choice(WORDS, random.integers(0, 7))) for _ in range(max(n, m))]
    texts = []
    for count in (n, m):
        noisy = [[w for w in s if random.random() < 0.8] for s in sentences[:count]]
        texts.append([*noisy, *[[] for _ in range(count - len(noisy))]])
    vocabulary = Vocabulary()
    encoded = [vocabulary.encode(text) for text in texts]
    letters = sentence_vectors(encoded, vocabulary.words, by="letters")
    words = sentence_vectors(encoded, vocabulary.words, by="words")
    views = [BeadView(*letters, 0), BeadView(*words, groups - 1), BeadView(*letters, groups - 1)]
    sides = [
        BeadSide(
            np.array([float(sum(map(len, s))) for s in text]),
            random.integers(0, 16, len(text)).astype(np.uint8),
        )
        for text in texts
    ]
    return *sides, views


def weights_of(groups, seed=0):
    return np.random.default_rng(seed).normal(0, 1, 19 + 2 * groups)


def test_vectors_count_the_ngrams_of_the_reference():
    vocabulary = Vocabulary()
    texts = [
        vocabulary.encode([["a", "bc", "a", "bc"], [], ["naïve", "\U0001f600"]]),
        vocabulary.encode([["bc", "a"], ["naïve", "na"], ["a"] * 5]),
    ]
    for by in ("words", "letters"):
        ours = sentence_vectors(texts, vocabulary.words, by=by)
        theirs = reference.align.sentence_vectors(texts, vocabulary.words, by=by)
        number = {}  # equal n-grams have one number in both texts
        for rows, counters in zip(ours, theirs, strict=True):
            for i, counter in enumerate(counters):
                at = slice(rows.offsets[i], rows.offsets[i + 1])
                got = dict(zip(rows.features[at].tolist(), rows.values[at].tolist(), strict=True))
                assert sorted(got.values()) == sorted(counter.values())
                for gram, count in counter.items():
                    if gram in number:
                        assert got[number[gram]] == count
                if len(counter) == 1:
                    number[next(iter(counter))] = next(iter(got))
        assert ours[0].width == ours[1].width == len({g for t in theirs for c in t for g in c})


@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("seed", range(2))
def test_features_are_the_references(seed, groups):
    source, target, views = case(seed, groups=groups)
    views += [BeadView(views[0].source, views[0].target, g) for g in range(groups)]
    ours = bead_features(source, target, views, groups=groups, margin=WHOLE)
    theirs = reference.align.bead_features(source, target, views, groups=groups)
    n, m = len(source.lengths), len(target.lengths)
    assert ours.offsets[-1] == (n + 1) * (m + 1)
    for (i, j), row in theirs.items():
        cell = ours.offsets[i] + j - ours.first[i]
        for place, kind in enumerate(bead_types(6)):
            assert ours.usable[cell, place] == (kind in row)
            if kind in row:
                np.testing.assert_allclose(
                    ours.features[cell, place], row[kind], rtol=1e-5, atol=2e-6
                )


@pytest.mark.parametrize("max_sentences", [2, 4, 6, 8])
@pytest.mark.parametrize("sizes", [(6, 5), (1, 1), (1, 6), (5, 1), (3, 8)])
def test_beads_are_the_references(sizes, max_sentences):
    for seed in range(2):
        source, target, views = case(seed, *sizes)
        weights = weights_of(2, seed)
        for moved_cost in (None, 0.5):
            settings = {"max_sentences": max_sentences, "moved_cost": moved_cost}
            spans, scores = best_beads(source, target, views, weights, margin=WHOLE, **settings)
            theirs = reference.align.best_beads(source, target, views, weights, **settings)
            assert [tuple(span) for span in spans.tolist()] == [span for span, _ in theirs]
            np.testing.assert_allclose(scores, [score for _, score in theirs], atol=1e-4)


def test_probabilities_are_the_references():
    source, target, views = case(5)
    found = bead_features(source, target, views, groups=2, margin=WHOLE)
    weights = weights_of(2)
    scores = np.where(found.usable, found.features.astype(float) @ weights, -np.inf)
    p, total = bead_probabilities(found.first, found.offsets, 6, scores)
    table = {}
    for i in range(8):
        for j in range(7):
            row = found.offsets[i] + j
            table[i, j] = {
                kind: scores[row, place]
                for place, kind in enumerate(bead_types(6))
                if found.usable[row, place]
            }
    theirs, expected = reference.align.bead_probabilities(table, 7, 6)
    assert total == pytest.approx(expected)
    for (i, j), row in theirs.items():
        for kind, value in row.items():
            got = p[found.offsets[i] + j, bead_types(6).index(kind)]
            assert got == pytest.approx(value, abs=1e-12)
    # every source sentence is in one bead of every path
    sizes = np.array([a for a, _ in bead_types(6)])
    assert (p * sizes).sum() == pytest.approx(7)


def test_features_do_not_depend_on_the_width_of_the_band():
    sides = case(3, 300, 200)
    narrow, wide = (bead_features(*sides, groups=2, margin=margin) for margin in (1, 12))
    seen = 0
    for i, first in enumerate(narrow.first):
        width = narrow.offsets[i + 1] - narrow.offsets[i]
        begin = wide.offsets[i] + first - wide.first[i]
        cells = slice(narrow.offsets[i], narrow.offsets[i + 1])
        usable = narrow.usable[cells]
        assert wide.usable[begin : begin + width][usable].all()
        ours = narrow.features[cells][usable]
        theirs = wide.features[begin : begin + width][usable]
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
        seen += usable.sum()
    assert seen > 10 * 300


def test_numbers_are_those_of_the_kernels():
    assert (GENERAL_FEATURES, GROUP_FEATURES, LARGEST_BEAD) == (19, 2, 8)
    for most in (2, 6, 8):
        assert bead_types(most) == reference.beads.types(most)


def test_texts_that_repeat_themselves_try_few_pairs_of_each_sentence():
    sentence = ["ab", "cde", "f"]
    source, target, views = views_of([sentence] * 14, [sentence] * 14)
    weights = np.zeros(23)
    weights[[0, 7, 19]] = -8, 1, 0.1  # null beads are better, moved beads alike
    settings = {"max_sentences": 3, "moved_cost": -20.0}
    spans, _ = best_beads(source, target, views, weights, margin=WHOLE, **settings)
    theirs = reference.align.best_beads(source, target, views, weights, **settings)
    assert [tuple(span) for span in spans.tolist()] == [span for span, _ in theirs]
    assert 0 < len(spans) <= 8  # of the targets all try the same


def test_no_path_has_no_probability():
    first, offsets = np.zeros(2, np.int32), np.array([0, 2, 4])
    p, total = bead_probabilities(first, offsets, 1, np.full((4, 17), -np.inf))
    assert total == -np.inf
    assert not p.any()


def text_pair(seed, n):
    """A text and itself with joined, dropped and added sentences; the beads between them."""
    random = np.random.default_rng(seed)
    words = ["".join(random.choice(list("abcdefghij"), random.integers(3, 9))) for _ in range(3000)]
    ranks = 1 / np.arange(1, len(words) + 1)
    source, target, gold = [], [], []
    while len(source) < n:
        i, j, kind = len(source), len(target), random.random()
        new = [list(random.choice(words, random.integers(4, 15), p=ranks / ranks.sum()))]
        if kind < 0.1:
            new.append(list(random.choice(words, 8, p=ranks / ranks.sum())))
        source += new if kind >= 0.05 or kind < 0.02 else []
        if kind < 0.02:
            continue
        target.append([w for s in new for w in s if random.random() < 0.8])
        if kind >= 0.05:
            gold.append((i, len(source), j, len(target)))
    return source, target, gold


def views_of(source, target):
    vocabulary = Vocabulary()
    texts = [vocabulary.encode(source), vocabulary.encode(target)]
    views = [
        BeadView(*sentence_vectors(texts, vocabulary.words, by=by), group)
        for group, by in enumerate(("letters", "words"))
    ]
    sides = [
        BeadSide(np.array([float(sum(map(len, s))) for s in text]), np.zeros(len(text), np.uint8))
        for text in (source, target)
    ]
    return *sides, views


@pytest.mark.parametrize("margin", [8, 40])
def test_long_texts_need_a_band_only(margin):
    source, target, gold = text_pair(0, 600)
    weights = np.array(WEIGHTS["direct"])
    spans, scores = best_beads(*views_of(source, target), weights, margin=margin)
    right = {tuple(span) for span in spans.tolist()} & set(gold)
    assert len(right) > 0.95 * len(gold)
    assert ((scores > 0) & (scores <= 1)).all()
    found = bead_features(*views_of(source[:300], target[:300]), groups=2, margin=8)
    assert len(found.features) < 60 * 300


def test_sentences_that_moved_are_found_on_request():
    source, target, gold = text_pair(1, 80)
    lone = [span for span in gold if span[1] - span[0] == 1]
    i, j = lone[20][0], lone[28][0]
    source.insert(j, source.pop(i))
    sides = views_of(source, target)
    weights = np.array(WEIGHTS["direct"])
    moved = (j, j + 1, *lone[20][2:])
    path, _ = best_beads(*sides, weights)
    assert moved not in {tuple(span) for span in path.tolist()}
    assert (np.diff(path[:, 2]) > 0).all()
    spans, scores = best_beads(*sides, weights, moved_cost=4.0)
    assert moved in {tuple(span) for span in spans.tolist()}
    assert (np.diff(spans[:, 0]) > 0).all()
    assert len(spans) == len(scores) > len(path)


def test_texts_without_sentences_have_no_beads():
    source, target, views = case(0, 0, 4)
    spans, scores = best_beads(source, target, views, weights_of(2))
    assert spans.shape == (0, 4)
    assert len(scores) == 0
    assert bead_features(source, target, views, groups=2).features.shape[1:] == (17, 23)


ROWS = SparseRows(np.array([0, 1]), np.array([0], np.int32), np.ones(1, np.float32), 2)
SIDE = BeadSide(np.ones(1), np.zeros(1, np.uint8))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"views": []}, "views: expected one of each group, got none of [0, 1]"),
        ({"views": [BeadView(ROWS, ROWS, 2)]}, "views[0].group: expected 0 .. 1, got 2"),
        ({"source": BeadSide(np.ones(2), np.zeros(2, np.uint8))}, "source: expected 2 rows"),
        ({"source": BeadSide(-np.ones(1), np.zeros(1, np.uint8))}, "source.lengths: expected"),
        ({"weights": np.ones(20)}, "weights: expected 19 + 2 for each group"),
        ({"weights": np.full(23, np.nan)}, "weights: expected finite values"),
        ({"max_sentences": 9}, "max_sentences: expected 2 .. 8, got 9"),
        ({"margin": 0}, "margin: expected 1 .."),
        ({"threshold": 2.0}, "threshold: expected 0 .. 1, got 2.0"),
        ({"moved_cost": np.inf}, "moved_cost: expected a finite number or None, got inf"),
    ],
)
def test_bad_arguments(changes, message):
    arguments = {
        "source": SIDE,
        "target": SIDE,
        "views": [BeadView(ROWS, ROWS, 0), BeadView(ROWS, ROWS, 1)],
        "weights": np.ones(23),
    }
    with pytest.raises(ValueError, match=re.escape(message)):
        best_beads(**{**arguments, **changes})


@pytest.mark.parametrize(
    ("offsets", "features", "message"),
    [
        ([0, 1], [2], "features: expected 0 .. 1, got 2 .. 2"),
        ([0, 2], [1, 0], "features: expected to ascend within a row"),
        ([0, 2], [1, 1], "features: expected to ascend within a row"),
        ([0, 2, 1], [0], "offsets: expected to ascend"),
        ([1, 1], [0], "offsets: expected to run from 0 to 1"),
    ],
)
def test_bad_rows(offsets, features, message):
    values = np.ones(len(features), np.float32)
    with pytest.raises(ValueError, match=re.escape(message)):
        SparseRows(np.array(offsets), np.array(features, np.int32), values, 2)


def test_rows_may_begin_with_a_lower_feature_than_the_one_before():
    SparseRows(np.array([0, 1, 1, 2]), np.array([1, 0], np.int32), np.ones(2, np.float32), 2)


def test_bad_vectors():
    text = Sentences.from_lists([[3]])
    with pytest.raises(ValueError, match=re.escape("texts[0]: expected numbers below 1")):
        sentence_vectors([text], ["a"], by="words")
    with pytest.raises(ValueError, match="by: expected words or letters"):
        sentence_vectors([], [], by="sounds")
    with pytest.raises(TypeError, match=re.escape("texts[0]: expected polyad.Sentences, got list")):
        sentence_vectors([[]], [], by="words")
