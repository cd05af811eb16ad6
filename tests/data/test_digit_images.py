"""Images made of images of digits: what they hold, and that they are functions of their arguments."""

import numpy as np
import pytest

from polyad.data.digit_images import affine, pairs, placed, shifted


@pytest.fixture
def images(rng):
    """uint8 [40, 9, 7], of which no pixel is zero."""
    return rng.integers(1, 256, (40, 9, 7), dtype=np.uint8)


@pytest.fixture
def labels():
    return np.array([0, 3, 3, 7, 0, 1, 1, 1] * 5)


def moved(image, down, right):
    """The plain way to shift: roll, then clear what came in."""
    height, width = image.shape[-2:]
    result = np.zeros_like(image)
    for y in range(height):
        for x in range(width):
            if 0 <= y - down < height and 0 <= x - right < width:
                result[..., y, x] = image[..., y - down, x - right]
    return result


def test_shifted_moves_each_image_by_up_to_two_pixels(images):
    result = shifted(images, seed=3)
    assert (result.shape, result.dtype) == (images.shape, images.dtype)
    seen = set()
    for before, after in zip(images, result, strict=True):
        found = [
            (down, right)
            for down in range(-2, 3)
            for right in range(-2, 3)
            if np.array_equal(moved(before, down, right), after)
        ]
        assert len(found) == 1
        seen.add(found[0])
    assert len(seen) > 15
    assert {down for down, _ in seen} == {right for _, right in seen} == set(range(-2, 3))


def test_channels_move_together_and_dtypes_stay(images):
    colours = np.stack([images, images // 2, 255 - images], axis=1).astype(np.float32)
    result = shifted(colours, 3, seed=1, step=4)
    assert result.dtype == np.float32
    for k in range(3):
        np.testing.assert_array_equal(result[:, k], shifted(colours[:, k], 3, seed=1, step=4))
    np.testing.assert_array_equal(shifted(images, 0, seed=0), images)
    assert len(shifted(images[:0], seed=0)) == 0


@pytest.mark.parametrize("made", [shifted, placed, affine])
def test_an_image_depends_on_seed_step_and_index_alone(images, made):
    size = {} if made is shifted else {"size": 20}
    whole = made(images, seed=5, step=2, **size)
    np.testing.assert_array_equal(whole, made(images, seed=5, step=2, **size))
    some = np.array([7, 3, 31])
    np.testing.assert_array_equal(
        whole[some], made(images[some], seed=5, step=2, index=some, **size)
    )
    for other in ({"seed": 6, "step": 2}, {"seed": 5, "step": 3}, {"seed": 5 + 2**63, "step": 2}):
        different = (made(images, **other, **size) != whole).any(axis=(1, 2))
        assert different.mean() > 0.8


def test_placed_keeps_all_of_an_image(images):
    result = placed(images, 16, seed=0)
    assert result.shape == (40, 16, 16)
    corners = []
    for before, after in zip(images, result, strict=True):
        y, x = np.argwhere(after).min(axis=0)
        np.testing.assert_array_equal(after[y : y + 9, x : x + 7], before)
        assert np.count_nonzero(after) == before.size
        corners.append((y, x))
    assert {y for y, _ in corners} == set(range(8))
    assert {x for _, x in corners} == set(range(10))
    np.testing.assert_array_equal(placed(images[:, :7], 7, seed=0), images[:, :7])


def test_affine_without_change_is_a_move(images):
    options = {"rotation": 0, "shear": 0, "scale": (1, 1), "seed": 0}
    np.testing.assert_array_equal(affine(images[:, :7], 7, **options), images[:, :7])
    result = affine(images, 20, **options)
    # the linear interpolation of a move keeps the sum of all pixels
    np.testing.assert_allclose(
        result.sum(axis=(1, 2)), images.sum(axis=(1, 2), dtype=int), rtol=0.01
    )


def test_affine_turns_and_stretches_about_the_middle():
    bar = np.zeros((400, 15, 15), np.uint8)
    bar[:, 7, 2:13] = 255  # a line of 11 pixels
    y, x = np.mgrid[:31, :31]

    def moments(images):
        weight = images / images.sum(axis=(1, 2), keepdims=True)
        my, mx = (weight * y).sum(axis=(1, 2)), (weight * x).sum(axis=(1, 2))
        dy, dx = y - my[:, None, None], x - mx[:, None, None]
        return [(weight * p).sum(axis=(1, 2)) for p in (dx * dx, dx * dy, dy * dy)]

    xx, xy, yy = moments(affine(bar, 31, shear=0, scale=(1, 1), seed=2))
    degrees = np.degrees(0.5 * np.arctan2(2 * xy, xx - yy))
    assert -20.5 < degrees.min() < -18
    assert 18 < degrees.max() < 20.5
    xx, xy, yy = moments(affine(bar, 31, shear=0, rotation=0, scale=(1, 2), seed=2))
    lengths = np.sqrt(xx / 10)  # the variance of 11 pixels in a row is 10
    assert 0.95 < lengths.min() < 1.05
    assert 1.85 < lengths.max() < 2.05
    np.testing.assert_allclose(xy, 0, atol=5e-3)  # of bytes


def test_affine_keeps_all_ink_inside():
    ring = np.zeros((300, 28, 28), np.uint8)
    ring[:, 4:24, 4:24] = 255
    ring[:, 6:22, 6:22] = 0
    result = affine(ring, seed=4)
    assert result.shape == (300, 40, 40)
    assert result.dtype == np.uint8
    scale = result.sum(axis=(1, 2), dtype=int) / ring[0].sum(dtype=int)
    assert 0.6 < scale.min() < 0.75
    assert 1.3 < scale.max() < 1.5
    everywhere = (result > 0).any(axis=0)
    assert everywhere.mean() > 0.95


def test_affine_of_nothing_and_of_too_much():
    assert not affine(np.zeros((3, 5, 5), np.uint8), 8, seed=0).any()
    assert affine(np.zeros((0, 5, 5), np.uint8), 8, seed=0).shape == (0, 8, 8)
    assert affine(np.full((3, 20, 20), 255, np.uint8), 8, seed=0).all()  # stays in the middle


def test_pairs_are_two_digits_of_different_classes(images, labels):
    result = pairs(images, labels, index=np.arange(400), seed=7)
    assert result.images.shape == (400, 17, 15)
    assert result.parts.shape == (400, 2, 17, 15)
    assert result.images.dtype == result.parts.dtype == np.uint8
    assert result.classes.dtype == result.sources.dtype == np.int64
    np.testing.assert_array_equal(result.sources[:, 0], np.arange(400) % 40)
    np.testing.assert_array_equal(result.classes, labels[result.sources])
    assert (result.classes[:, 0] != result.classes[:, 1]).all()
    np.testing.assert_array_equal(
        result.images, np.minimum(result.parts.sum(axis=1, dtype=int), 255)
    )
    corners = set()
    for parts, sources in zip(result.parts, result.sources, strict=True):
        for part, source in zip(parts, sources, strict=True):
            y, x = np.argwhere(part).min(axis=0)
            np.testing.assert_array_equal(part[y : y + 9, x : x + 7], images[source])
            assert np.count_nonzero(part) == images[source].size
            corners.add((y, x))
    assert corners == {(y, x) for y in range(9) for x in range(9)}


def test_the_second_digit_is_any_of_the_other_classes(images, labels):
    result = pairs(images, labels, index=np.arange(40 * 200), seed=1, shift=0)
    np.testing.assert_array_equal(result.parts[:, 1], images[result.sources[:, 1]])
    for first in (0, 1, 5):
        drawn = result.sources[result.sources[:, 0] == first, 1]
        assert set(labels[drawn]) == {0, 1, 3, 7} - {labels[first]}
        assert len(set(drawn)) == (labels != labels[first]).sum()


def test_a_pair_depends_on_seed_and_index_alone(images, labels):
    whole = pairs(images, labels, index=np.arange(120), seed=1)
    some = np.array([100, 3])
    for a, b in zip(whole, pairs(images, labels, index=some, seed=1), strict=True):
        np.testing.assert_array_equal(a[some], b)
    assert (whole.sources[:40] != whole.sources[40:80]).any()
    assert (pairs(images, labels, index=np.arange(120), seed=2).sources != whole.sources).any()
    assert pairs(images, labels, index=np.arange(0), seed=1).images.shape == (0, 17, 15)


FEW = np.ones((2, 4, 4), np.uint8)
TWO = np.arange(2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: shifted(FEW[0], seed=0), ValueError, r"images: expected \[N, ..., H, W\], got"),
        (lambda: shifted(FEW, -1, seed=0), ValueError, "pixels: expected at least 0, got -1"),
        (lambda: shifted(FEW, seed=-1), ValueError, r"seed: expected 0 .. 2\*\*64 - 1, got -1"),
        (lambda: shifted(FEW, seed=0, step=2**32), ValueError, r"step: expected 0 .. 2\*\*32 - 1"),
        (lambda: shifted(FEW, seed=0, index=TWO[:1]), ValueError, r"index: expected \[2\], got"),
        (lambda: shifted(FEW, seed=0, index=TWO / 2), TypeError, "index: expected integers, got f"),
        (
            lambda: shifted(FEW, seed=0, index=-TWO),
            ValueError,
            "index: expected at least 0, got -1",
        ),
        (lambda: placed(FEW, 3, seed=0), ValueError, "size: expected at least 4, got 3"),
        (lambda: placed(FEW[None], seed=0), ValueError, r"images: expected \[N, H, W\], got"),
        (lambda: affine(FEW / 2, seed=0), TypeError, "images: expected uint8, got float64"),
        (lambda: affine(FEW, 0, seed=0), ValueError, "size: expected at least 1, got 0"),
        (lambda: affine(FEW, rotation=181, seed=0), ValueError, "rotation: expected degrees"),
        (lambda: affine(FEW, shear=-1, seed=0), ValueError, "shear: expected at least 0, got -1"),
        (lambda: affine(FEW, scale=(2, 1), seed=0), ValueError, "scale: expected two factors"),
        (lambda: pairs(FEW, TWO / 2, index=TWO, seed=0), TypeError, "labels: expected integers"),
        (lambda: pairs(FEW, TWO[:1], index=TWO, seed=0), ValueError, r"labels: expected \[N\] ="),
        (lambda: pairs(FEW, TWO * 0, index=TWO, seed=0), ValueError, "at least 2 classes, got 1"),
        (lambda: pairs(FEW, TWO, index=TWO[None], seed=0), ValueError, r"index: expected \[B\]"),
        (lambda: pairs(FEW, TWO, index=TWO, seed=0, shift=-1), ValueError, "shift: expected"),
        (lambda: pairs(FEW, TWO - 1, index=TWO, seed=0), ValueError, "labels: expected at least 0"),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
