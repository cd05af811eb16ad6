"""Random batches and hyperedges for the tests of the hypernet ops, and the kinds of arrays."""

import numpy as np
import pytest
import torch

import polyad

KINDS = ["numpy", "torch", pytest.param("cuda", marks=pytest.mark.cuda)]


def put(array, kind):
    """A numpy array as the kind that the test asks for."""
    if kind == "numpy":
        return array
    if isinstance(array, polyad.Hyperedges):
        return array.to("cuda" if kind == "cuda" else "cpu")
    return torch.from_numpy(np.ascontiguousarray(array)).to("cuda" if kind == "cuda" else "cpu")


def get(array):
    """A numpy array, whatever the kind."""
    return array if isinstance(array, np.ndarray) else array.detach().cpu().numpy()


def random_edges(rng, count, variables, longest, *, valued=True, shortest=0):
    """Hyperedges of mixed orders."""
    orders = rng.integers(shortest, min(longest, variables) + 1, count)
    lists = [rng.choice(variables, order, replace=False) for order in orders]
    values = [rng.integers(0, 2, order) for order in orders] if valued else None
    return polyad.Hyperedges.from_lists(lists, values)


def random_batch(rng, samples, variables):
    return rng.integers(0, 2, (samples, variables)).astype(np.uint8)
