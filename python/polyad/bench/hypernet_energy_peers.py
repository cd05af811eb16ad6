"""Rivals of `energy` and `gibbs`: products over gathered variables in numpy, scipy and torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def numpy_product(x: Array, indices: Array, weights: Array, block: int) -> Array:
    """`x[:, idx].prod(-1) @ w` in blocks of samples."""
    starts = range(0, len(x), block)
    parts = [x[start : start + block, indices].prod(-1) @ weights for start in starts]
    total: Array = np.concatenate(parts)
    return -total


def numpy_columns(x: Array, indices: Array, weights: Array, block: int) -> Array:
    """The product of k gathered columns, as rows of the transposed block."""
    columns = np.ascontiguousarray(indices.T)

    def one(part: Array) -> Array:
        rows = np.ascontiguousarray(part.T)
        product = rows[columns[0]]
        for column in columns[1:]:
            product *= rows[column]
        return np.asarray(weights @ product)

    starts = range(0, len(x), block)
    total: Array = np.concatenate([one(x[start : start + block]) for start in starts])
    return -total


def scipy_log_sum(
    indices: Array, weights: Array, variables: int, block: int
) -> Callable[[Array], Array]:
    """exp(A log x), with the incidence matrix A; for x > 0 only."""
    from scipy.sparse import csr_array

    offsets = np.arange(0, indices.size + 1, indices.shape[1], dtype=np.int32)
    ones = np.ones(indices.size, np.float32)
    shape = (len(indices), variables)
    matrix = csr_array((ones, indices.ravel().astype(np.int32), offsets), shape=shape)

    def energy(x: Array) -> Array:
        logs = np.log(x)
        parts = [
            weights @ np.exp(matrix @ np.ascontiguousarray(logs[start : start + block].T))
            for start in range(0, len(x), block)
        ]
        return -np.concatenate(parts)

    return energy


def torch_product(x: Any, indices: Any, weights: Any) -> Any:
    """`x[:, idx].prod(-1)`, as one writes it first."""
    return -(x[:, indices].prod(-1) @ weights)


def torch_columns(x: Any, indices: Any, weights: Any) -> Any:
    """The product of k gathered columns."""
    product = x[:, indices[:, 0]]
    for j in range(1, indices.shape[1]):
        product = product * x[:, indices[:, j]]
    return -(product @ weights)


def torch_rows(x: Any, indices: Any, weights: Any) -> Any:
    """The product of k gathered rows of the transposed batch."""
    rows = x.t().contiguous()
    product = rows.index_select(0, indices[:, 0])
    for j in range(1, indices.shape[1]):
        product = product * rows.index_select(0, indices[:, j])
    return -(weights @ product)


def with_gradients(
    energy: Callable[[Any, Any, Any], Any], block: int | None = None
) -> Callable[[Any, Any, Any, Any], tuple[Any, Any, Any]]:
    """Return a function from (x, indices, weights, grad) to the energy and both gradients.

    With ``block``, samples are taken in blocks, so that intermediates fit in the cache.
    """
    import torch

    def whole(x: Any, indices: Any, weights: Any, grad: Any) -> tuple[Any, Any, Any]:
        x, weights = x.detach().requires_grad_(), weights.detach().requires_grad_()
        out = energy(x, indices, weights)
        return (out.detach(), *torch.autograd.grad(out, (x, weights), grad))

    def blocked(x: Any, indices: Any, weights: Any, grad: Any) -> tuple[Any, Any, Any]:
        parts = [
            whole(some, indices, weights, part)
            for some, part in zip(x.split(block), grad.split(block), strict=True)
        ]
        outs, grads_x, grads_w = zip(*parts, strict=True)
        return torch.cat(outs), torch.cat(grads_x), torch.stack(grads_w).sum(0)

    return whole if block is None else blocked


def numpy_gibbs_sweep(
    x: Array, indices: Array, weights: Array, rng: np.random.Generator
) -> Callable[[], Array]:
    """Prepare one sweep over all variables, vectorised over the chains; domain {0, 1}, T = 1."""
    count = x.shape[1]
    edge, place = np.divmod(np.argsort(indices, axis=None, kind="stable"), indices.shape[1])
    bounds = np.searchsorted(indices[edge, place], np.arange(count + 1))
    keep = np.arange(indices.shape[1]) != place[:, None]
    others = indices[edge][keep].reshape(len(edge), -1)

    def sweep() -> Array:
        state = x.astype(np.float32)
        for variable in range(count):
            at = slice(bounds[variable], bounds[variable + 1])
            field = state[:, others[at]].prod(-1) @ weights[edge[at]]
            state[:, variable] = rng.random(len(state)) < 1.0 / (1.0 + np.exp(-field))
        return state

    return sweep
