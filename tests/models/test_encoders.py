"""Encoders: scikit-learn's contract, what the bits mean, and the way back."""

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from polyad.models import ThermometerEncoder, ThresholdEncoder


@parametrize_with_checks([ThresholdEncoder(), ThermometerEncoder()])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def test_thermometer_says_which_levels_are_reached(rng):
    x = rng.normal(size=(50, 3))
    encoder = ThermometerEncoder(levels=5).fit(x)
    bits = encoder.transform(x).reshape(50, 3, 5)
    assert bits.dtype == np.uint8
    np.testing.assert_array_equal(bits, x[:, :, None] >= encoder.thresholds_)
    assert (np.diff(bits.astype(int), axis=2) <= 0).all()


def test_hamming_distance_counts_levels():
    encoder = ThermometerEncoder(thresholds=[1, 2, 3, 4]).fit([[0.0]])
    bits = encoder.transform(np.array([[0.0], [2.5], [9.0]]))
    assert (bits[0] != bits[1]).sum() == 2
    assert (bits[1] != bits[2]).sum() == 2


def test_levels_are_inside_the_range_of_the_data():
    x = np.array([[0.0, 10.0], [16.0, 20.0]])
    whole = ThermometerEncoder(levels=4).fit(x).thresholds_
    np.testing.assert_allclose(whole[0], [2.5, 7.5, 12.5, 17.5])
    np.testing.assert_allclose(whole[0], whole[1])
    each = ThermometerEncoder(levels=2, spread="feature").fit(x).thresholds_
    np.testing.assert_allclose(each, [[4, 12], [12.5, 17.5]])


def test_thermometer_returns_to_the_middle_of_the_interval(rng):
    x = rng.uniform(0, 16, (200, 4))
    encoder = ThermometerEncoder(levels=8).fit(x)
    back = encoder.inverse_transform(encoder.transform(x))
    assert np.abs(back - x).max() <= 1.01
    np.testing.assert_array_equal(encoder.transform(back), encoder.transform(x))


def test_a_mask_of_features_becomes_one_of_levels():
    encoder = ThermometerEncoder(levels=3).fit([[0.0, 1.0]])
    mask = encoder.expand_mask(np.array([True, False]))
    assert mask.tolist() == [True] * 3 + [False] * 3
    assert encoder.expand_mask(np.ones((5, 2), bool)).shape == (5, 6)


def test_names_say_the_comparison():
    encoder = ThermometerEncoder(thresholds=[0.5, 7]).fit([[0.0, 1.0]])
    assert encoder.get_feature_names_out().tolist() == ["x0>=0.5", "x0>=7", "x1>=0.5", "x1>=7"]
    assert ThresholdEncoder(8).fit([[0.0, 1.0]]).get_feature_names_out(["a", "b"]).tolist() == [
        "a>8",
        "b>8",
    ]


@pytest.mark.parametrize(("threshold", "at"), [("mean", 3.0), ("median", 2.0), (1.5, 1.5)])
def test_threshold(threshold, at):
    x = np.array([[0.0], [2.0], [7.0]])
    encoder = ThresholdEncoder(threshold).fit(x)
    assert encoder.thresholds_ == [at]
    np.testing.assert_array_equal(encoder.transform(x), x > at)


def test_threshold_returns_to_the_mean_of_each_side():
    encoder = ThresholdEncoder(3.0).fit([[1.0], [2.0], [6.0]])
    np.testing.assert_allclose(encoder.inverse_transform([[0], [1]]), [[1.5], [6.0]])


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (ThresholdEncoder("most"), "threshold: expected a number, 'mean' or 'median', got 'most'"),
        (ThresholdEncoder(float("nan")), "threshold: expected a number"),
        (ThermometerEncoder(0), "levels: expected at least 1, got 0"),
        (ThermometerEncoder(thresholds=[2, 1]), "thresholds: expected ascending numbers"),
        (ThermometerEncoder(thresholds=[]), "thresholds: expected finite numbers"),
        (ThermometerEncoder(spread="all"), "spread: expected 'range' or 'feature', got 'all'"),
    ],
)
def test_bad_parameters(encoder, message):
    with pytest.raises(ValueError, match=message):
        encoder.fit([[0.0], [1.0]])


def test_bad_masks_and_codes():
    encoder = ThermometerEncoder(2).fit([[0.0, 1.0]])
    with pytest.raises(TypeError, match="mask: expected bool"):
        encoder.expand_mask(np.array([1, 0]))
    with pytest.raises(ValueError, match=r"mask: expected \[.., F\] = \[.., 2\]"):
        encoder.expand_mask(np.array([True]))
    with pytest.raises(ValueError, match="Z: expected"):
        encoder.inverse_transform(np.zeros((1, 3)))
