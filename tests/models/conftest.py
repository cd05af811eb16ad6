"""Data that the tests of models share."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def digits():
    """scikit-learn's digits: pictures [N, 64] with values 0 .. 16, and labels."""
    from sklearn.datasets import load_digits

    return load_digits(return_X_y=True)


@pytest.fixture
def patterns():
    """Noisy copies of three patterns over 24 variables: uint8 [240, 24] and labels."""
    rng = np.random.default_rng(5)
    prototypes = rng.integers(0, 2, (3, 24))
    y = np.arange(240) % 3
    return (prototypes[y] ^ (rng.random((240, 24)) < 0.08)).astype(np.uint8), y
