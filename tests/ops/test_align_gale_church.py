"""Beads by the lengths of sentences."""

import re

import numpy as np
import pytest

from polyad import reference
from polyad.ops.align import gale_church


def lengths(*values):
    return np.array(values, np.float64)


def texts(seed, n, *, drop=0.03, merge=0.1, noise=0.1):
    """Two texts of about n sentences, and the beads they were made of."""
    random = np.random.default_rng(seed)
    source, target, gold = [], [], []
    while len(source) < n:
        i, j, kind = len(source), len(target), random.random()
        chars = np.round(random.gamma(4, 20, 2)) + 5
        other = np.round(chars * np.exp(random.normal(0, noise, 2)))
        if kind < drop:
            source.append(chars[0])
        elif kind < 2 * drop:
            target.append(chars[0])
        elif kind < 2 * drop + merge:
            source.extend(chars)
            target.append(other.sum())
        elif kind < 2 * drop + 2 * merge:
            source.append(chars.sum())
            target.extend(other)
        else:
            source.append(chars[0])
            target.append(other[0])
        gold.append((i, len(source), j, len(target)))
    return np.array(source), np.array(target), gold


@pytest.mark.parametrize("log_space", [True, False])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 30])
@pytest.mark.parametrize("m", [0, 1, 2, 5, 30])
def test_it_is_the_reference(log_space, n, m):
    random = np.random.default_rng(n * 100 + m)
    for high in (3, 40, 300):
        source = random.integers(0, high, n).astype(np.float64)
        target = random.integers(0, high, m).astype(np.float64)
        spans = gale_church(source, target, log_space=log_space)
        assert spans.dtype == np.int32
        np.testing.assert_array_equal(
            spans, reference.align.gale_church(source, target, log_space=log_space)
        )


def test_ratio_and_variance_are_the_references():
    source, target, _ = texts(3, 60)
    for ratio, variance in ((0.5, 6.8), (1.7, 2.0), (1.0, 30.0)):
        np.testing.assert_array_equal(
            gale_church(source, target, ratio=ratio, variance=variance),
            reference.align.gale_church(source, target, ratio=ratio, variance=variance),
        )


@pytest.mark.parametrize("log_space", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_every_sentence_is_in_one_bead(log_space, seed):
    source, target, _ = texts(seed, 40)
    spans = gale_church(source, target, log_space=log_space)
    ends = np.concatenate([[[0, 0]], spans[:, 1::2]])
    np.testing.assert_array_equal(spans[:, ::2], ends[:-1])
    assert ends[-1].tolist() == [len(source), len(target)]


def test_clear_cases():
    spans = gale_church(lengths(50, 40, 60, 100), lengths(50, 100, 55, 48))
    assert spans.tolist() == [[0, 1, 0, 1], [1, 3, 1, 2], [3, 4, 2, 4]]
    assert gale_church(lengths(), lengths(3)).tolist() == [[0, 0, 0, 1]]
    assert gale_church(lengths(), lengths()).shape == (0, 4)


def test_bleualign_leaves_out_a_first_sentence_at_no_cost():
    source, target = lengths(90, 20), lengths(20)
    assert gale_church(source, target, log_space=False).tolist() == [[0, 1, 0, 0], [1, 2, 0, 1]]


def test_products_of_long_texts_are_zero_and_logarithms_are_not():
    source, target, gold = texts(0, 400)
    spans = gale_church(source, target)
    right = {tuple(span) for span in spans.tolist()} & set(gold)
    assert len(right) > 0.8 * len(gold)
    source, target, _ = texts(0, 600, noise=0.8)
    linear = gale_church(source, target, log_space=False)
    # the end of the text: 1-1 beads whatever the lengths
    assert (np.diff(linear, axis=1)[-50:, ::2] == 1).all()


def test_a_band_that_holds_the_path_changes_nothing():
    source, target, _ = texts(1, 300)
    whole = gale_church(source, target)
    np.testing.assert_array_equal(gale_church(source, target, band=60), whole)
    # one that holds no path at all is widened until it does
    spans = gale_church(lengths(*[1] * 30), lengths(*[1] * 60), band=0)
    assert spans[-1, 1::2].tolist() == [30, 60]


def test_long_texts_are_aligned_in_a_band():
    source, target, gold = texts(2, 20_000, noise=0.05)
    spans = gale_church(source, target)
    right = {tuple(span) for span in spans.tolist()} & set(gold)
    assert len(right) > 0.8 * len(gold)


def test_a_block_that_one_text_lacks_widens_the_band():
    source, target, _ = texts(4, 4000, noise=0.05)
    dropped = np.concatenate([target[:1500], target[2000:]])
    automatic = gale_church(source, dropped)
    np.testing.assert_array_equal(automatic, gale_church(source, dropped, band=2000))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([1.0], lengths(1)), TypeError, "source_lengths: expected a numpy array"),
        ((np.array([1]), lengths(1)), TypeError, "source_lengths: expected dtype float64"),
        ((lengths(1), lengths(1)[None]), ValueError, "target_lengths: expected [N] = [N]"),
        ((lengths(1), lengths(-1)), ValueError, "target_lengths: expected finite values of at"),
        ((lengths(np.nan), lengths(1)), ValueError, "source_lengths: expected finite values"),
    ],
)
def test_bad_lengths(arguments, error, message):
    with pytest.raises(error, match=re.escape(message)):
        gale_church(*arguments)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ratio": 0.0}, "ratio: expected a finite number above 0, got 0.0"),
        ({"variance": float("inf")}, "variance: expected a finite number above 0, got inf"),
        ({"band": -1}, "band: expected at least 0, got -1"),
        ({"log_space": False, "ratio": 2.0}, "expected their defaults with log_space=False"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        gale_church(lengths(1), lengths(1), **settings)


def test_one_endless_sentence_does_not_lead_the_band_away():
    random = np.random.default_rng(5)
    target = random.integers(20, 150, 2500).astype(float)
    source = target + random.integers(-3, 4, 2500)
    expected = gale_church(source, target)
    source[100] = 1e7
    found = gale_church(source, target)
    far = [bead for bead in found.tolist() if bead[0] > 110]
    assert far == [bead for bead in expected.tolist() if bead[0] > 110]
    assert len(far) > 2000
