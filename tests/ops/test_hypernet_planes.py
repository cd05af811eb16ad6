"""BitPlanes: packing and back."""

import numpy as np
import pytest
import torch
from hypernet_cases import KINDS, get, put, random_batch

import polyad


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("samples", [0, 1, 63, 64, 65, 128, 129, 256, 257, 512, 513, 1030])
@pytest.mark.parametrize("variables", [0, 1, 63, 64, 65, 130])
def test_round_trip(rng, kind, samples, variables):
    x = random_batch(rng, samples, variables)
    for given in (x, x.astype(bool)):
        planes = polyad.BitPlanes.pack(put(given, kind))
        assert len(planes) == samples
        np.testing.assert_array_equal(get(planes.unpack()), x)


def test_layout(rng):
    x = random_batch(rng, 1500, 7)
    planes = polyad.BitPlanes.pack(x)
    assert planes.words.shape == (3, 7, 8)
    words = planes.words.view(np.uint64)
    for n in (0, 63, 64, 511, 512, 1499):
        word = words[n // 512, :, n % 512 // 64]
        np.testing.assert_array_equal(word >> np.uint64(n % 64) & np.uint64(1), x[n])
    tail = np.unpackbits(words[2].copy().view(np.uint8), axis=1, bitorder="little")
    assert not tail[:, 1500 - 1024 :].any()


def test_numpy_and_torch_pack_alike(rng):
    x = random_batch(rng, 700, 33)
    ours, theirs = polyad.BitPlanes.pack(x), polyad.BitPlanes.pack(torch.from_numpy(x))
    np.testing.assert_array_equal(ours.words, theirs.numpy().words)
    np.testing.assert_array_equal(ours.to("cpu").unpack().numpy(), x)
    assert repr(ours) == "BitPlanes(samples=700, variables=33)"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: polyad.BitPlanes.pack(np.full((200, 3), 7, np.uint8)), ValueError, "x: expected values 0 and 1, got 7 in row 0"),
        (lambda: polyad.BitPlanes.pack(np.zeros((2, 3), np.int64)), TypeError, "x: expected dtype bool or uint8, got int64"),
        (lambda: polyad.BitPlanes.pack(np.zeros(3, bool)), ValueError, r"x: expected \[N, I\]"),
        (lambda: polyad.BitPlanes(np.zeros((1, 3, 2), np.int64), 5, 3), ValueError, r"words: expected \[tiles, I, W\] = \[1, 3, 1\], got \[1, 3, 2\]"),
        (lambda: polyad.BitPlanes(np.zeros((1, 3, 1)), 5, 3), TypeError, "words: expected dtype int64, got float64"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_the_first_bad_row_is_named(rng):
    x = random_batch(rng, 900, 80)
    x[700, 79] = 2
    x[333, 65] = 3
    with pytest.raises(ValueError, match="got 3 in row 333"):
        polyad.BitPlanes.pack(x)
