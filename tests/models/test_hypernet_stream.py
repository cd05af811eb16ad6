"""partial_fit: learning from a stream within bounds."""

import tracemalloc

import numpy as np
import pytest

from polyad.models import Hypernet


def batches(seed, count, size=40):
    """An endless supply of noisy patterns: (x, y) batches."""
    rng = np.random.default_rng(seed)
    prototypes = np.random.default_rng(5).integers(0, 2, (3, 24))
    for _ in range(count):
        y = rng.integers(0, 3, size)
        yield (prototypes[y] ^ (rng.random((size, 24)) < 0.1)).astype(np.uint8), y


@pytest.mark.parametrize(
    "settings",
    [{}, {"epochs": 0}, {"objective": "likelihood"}, {"draw": "common"}],
    ids=["learning", "one-shot", "likelihood", "common"],
)
def test_edges_and_memory_stay_bounded(settings):
    net = Hypernet(max_edges=120, edges_per_example=3, random_state=0, **settings)
    tracemalloc.start()
    peaks = []
    for number, (x, y) in enumerate(batches(0, 40)):
        net.partial_fit(x, y, classes=[0, 1, 2])
        assert len(net.edges_) <= 120
        if number in (19, 39):
            peaks.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.2 + 20_000
    x, y = next(batches(99, 1, 300))
    assert net.score(x, y) > 0.85


def test_fewer_edges_than_classes():
    net = Hypernet(max_edges=2, random_state=0)
    for x, y in batches(0, 5):
        net.partial_fit(x, y, classes=[0, 1, 2])
        assert len(net.edges_) <= 2


def test_a_stream_can_change():
    net = Hypernet(max_edges=90, edges_per_example=2, random_state=0)
    for x, y in batches(0, 20):
        net.partial_fit(x, y, classes=[0, 1, 2])
    for x, y in batches(1, 60):
        net.partial_fit(x, (y + 1) % 3)
    x, y = next(batches(2, 1, 300))
    assert net.score(x, (y + 1) % 3) > 0.85


def test_classes_may_come_late():
    net = Hypernet(max_edges=90, random_state=0)
    x, y = next(batches(0, 1, 200))
    net.partial_fit(x[y == 0], y[y == 0], classes=[0, 1, 2])
    assert set(net.predict(x)) == {0}
    for _ in range(4):
        net.partial_fit(x, y)
    assert net.score(x, y) > 0.8


def test_single_examples():
    net = Hypernet(max_edges=60, edges_per_example=2, random_state=0)
    x, y = next(batches(0, 1, 150))
    for row, label in zip(x, y, strict=True):
        net.partial_fit(row[None], [label], classes=[0, 1, 2])
    assert net.score(x, y) > 0.6


def test_errors():
    x, y = next(batches(0, 1))
    with pytest.raises(ValueError, match="classes: expected all labels in the first call"):
        Hypernet().partial_fit(x, y)
    net = Hypernet(random_state=0).partial_fit(x, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match=r"classes: expected \[0 1 2\] as in the first call"):
        net.partial_fit(x, y, classes=[0, 1])
    with pytest.raises(ValueError, match=r"y: expected labels among \[0, 1, 2\], got 7"):
        net.partial_fit(x[:1], [7])
