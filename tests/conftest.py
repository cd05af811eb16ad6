"""What several test files share."""

import signal

import numpy as np
import pytest
from hypothesis import settings

import polyad

# what a shared machine takes for an example says nothing about the code
settings.register_profile("polyad", deadline=None)
settings.load_profile("polyad")


def pytest_collection_modifyitems(items):
    """Skip tests marked cuda where there is no device."""
    if polyad.config()["cuda_devices"] > 0:
        return
    skip = pytest.mark.skip(reason="no CUDA device, or built without _cuda")
    for item in items:
        if "cuda" in item.keywords:
            item.add_marker(skip)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def interruptible():
    """Let processes that are started be interrupted; what runs in a shell's background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def _restore_threads():
    """A test that sets the number of threads does not change the next one's."""
    before = polyad.get_num_threads()
    yield
    polyad.set_num_threads(before)
