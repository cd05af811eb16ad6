"""Recall: completing examples from any part of them."""

import numpy as np
import pytest

from polyad.models import Hypernet


@pytest.fixture
def net(patterns):
    return Hypernet(draw="common", epochs=0, random_state=0).fit(*patterns)


def test_hidden_halves_come_back(net, patterns):
    x, _ = patterns
    mask = np.random.default_rng(1).random(x.shape) < 0.5
    filled = net.recall(x, mask)
    assert filled.dtype == np.uint8
    np.testing.assert_array_equal(filled[mask], x[mask])
    assert (filled == x)[~mask].mean() > 0.88  # 8 % of the bits are noise
    majority = (x.mean(axis=0) > 0.5) == x
    assert (filled == x)[~mask].mean() > majority[~mask].mean() + 0.1


def test_digits_come_back_better_than_by_majority(digits):
    x, y = digits
    bits = x >= 8
    net = Hypernet(binarize=7.5, draw="common", epochs=0, random_state=0).fit(x[:1200], y[:1200])
    mask = np.random.default_rng(0).random((597, 64)) < 0.5
    share = (net.recall(x[1200:], mask) == bits[1200:])[~mask].mean()
    majority = ((bits[:1200].mean(axis=0) > 0.5) == bits[1200:])[~mask].mean()
    assert share > majority + 0.05


@pytest.mark.parametrize("settings", [{"epochs": 4}, {"epochs": 0, "orders": "all"}])
def test_every_kind_of_edge_recalls(patterns, settings):
    x, y = patterns
    net = Hypernet(random_state=0, **settings).fit(x, y)
    mask = np.random.default_rng(1).random(x.shape) < 0.5
    assert (net.recall(x, mask) == x)[~mask].mean() > 0.8


def test_odd_masks(net, patterns):
    x, _ = patterns
    everything, nothing = np.ones(24, bool), np.zeros(24, bool)
    np.testing.assert_array_equal(net.recall(x, everything), x)
    alike = net.recall(x[:5], nothing)
    assert (alike == alike[0]).all()  # nothing is known: nothing tells the rows apart
    mixed = np.array([everything, nothing, np.arange(24) == 3])
    filled = net.recall(x[:3], mixed)
    np.testing.assert_array_equal(filled[0], x[0])
    assert filled[2, 3] == x[2, 3]
    assert net.recall(x[:0], everything).shape == (0, 24)


def test_hidden_values_are_not_looked_at(net, patterns):
    x = patterns[0].astype(float)
    mask = np.random.default_rng(2).random(x.shape) < 0.6
    garbage = np.where(mask, x, np.nan)
    np.testing.assert_array_equal(net.recall(garbage, mask), net.recall(x, mask))
    with pytest.raises(ValueError, match="X: expected finite values where mask is True"):
        net.recall(garbage, ~mask)


def test_a_known_label_helps(net, patterns):
    x, y = patterns
    mask = np.random.default_rng(3).random(x.shape) < 0.08
    blind = (net.recall(x, mask) == x)[~mask].mean()
    told = (net.recall(x, mask, y=y) == x)[~mask].mean()
    assert told > blind + 0.02


def test_shares_are_what_recall_decides_by(net, patterns):
    x, _ = patterns
    mask = np.random.default_rng(4).random(x.shape) < 0.5
    shares = net.recall_proba(x, mask)
    assert shares.dtype == np.float32
    assert ((shares >= 0) & (shares <= 1)).all()
    np.testing.assert_array_equal(shares > 0.5, net.recall(x, mask) == 1)


def test_filling_the_most_certain_first(net, patterns):
    x, _ = patterns
    mask = np.random.default_rng(5).random(x.shape) < 0.4
    filled = net.recall(x, mask, fill="iterative")
    np.testing.assert_array_equal(filled[mask], x[mask])
    assert (filled == x)[~mask].mean() > 0.85


@pytest.mark.parametrize("objective", ["votes", "likelihood"])
def test_an_example_from_its_label(patterns, objective):
    x, y = patterns
    net = Hypernet(objective=objective, epochs=3, random_state=0).fit(x, y)
    for label in range(3):
        made = net.recall_label(label, n=4, random_state=1)
        assert made.shape == (4, 24)
        typical = x[y == label].mean(axis=0) > 0.5
        assert (made == typical).mean() > 0.8
    np.testing.assert_array_equal(
        net.recall_label(0, n=3, random_state=7), net.recall_label(0, n=3, random_state=7)
    )


def test_gibbs_recall(patterns):
    x, y = patterns
    net = Hypernet(objective="likelihood", max_edges=300, epochs=3, random_state=0).fit(x, y)
    mask = np.random.default_rng(1).random(x.shape) < 0.5
    filled = net.recall(x, mask, sweeps=40)
    np.testing.assert_array_equal(filled[mask], x[mask])
    assert (filled == x)[~mask].mean() > 0.85
    np.testing.assert_array_equal(filled, net.recall(x, mask, sweeps=40))
    assert (net.recall(x, mask, method="votes") == x)[~mask].mean() > 0.6


def test_errors(net, patterns):
    x, _ = patterns
    mask = np.ones(24, bool)
    with pytest.raises(TypeError, match="mask: expected bool, got int64"):
        net.recall(x, np.ones(24, int))
    with pytest.raises(ValueError, match=r"mask: expected \[N, I\] = \[240, 24\], got \[240, 23\]"):
        net.recall(x, mask[:23])
    with pytest.raises(ValueError, match=r"X: expected \[N, I\] = \[N, 24\], got \[240, 23\]"):
        net.recall(x[:, :23], mask[:23])
    with pytest.raises(ValueError, match="method: expected 'votes' or 'gibbs', got 'guess'"):
        net.recall(x, mask, method="guess")
    with pytest.raises(ValueError, match=r"method: 'gibbs' needs .*objective='likelihood'"):
        net.recall(x, mask, method="gibbs")
    with pytest.raises(ValueError, match="fill: expected 'once' or 'iterative', got 'all'"):
        net.recall(x, mask, fill="all")
    with pytest.raises(ValueError, match=r"y: expected labels among \[0, 1, 2\], got 5"):
        net.recall(x, mask, y=5)
