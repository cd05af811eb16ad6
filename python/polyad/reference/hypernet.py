"""Reference of `polyad.ops.hypernet`; float64 throughout where there is a choice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from polyad._hyperedges import Hyperedges

if TYPE_CHECKING:
    import torch

    NDArray = np.ndarray[Any, Any]


def match(x: NDArray, edges: Hyperedges, *, tolerance: int | NDArray = 0) -> NDArray:
    """Bool [N, E]: at most ``tolerance`` literals of the edge differ from x (uint8 [N, I])."""
    values = np.uint8(1) if edges.values is None else edges.values
    differs = x[:, edges.indices] != values
    running = np.cumsum(np.pad(differs, ((0, 0), (1, 0))), axis=1)
    mismatches = running[:, edges.offsets[1:]] - running[:, edges.offsets[:-1]]
    return mismatches <= tolerance  # type: ignore[no-any-return]


def votes(
    x: NDArray,
    edges: Hyperedges,
    weights: NDArray,
    labels: NDArray,
    num_classes: int,
    *,
    tolerance: int | NDArray = 0,
) -> NDArray:
    """[N, C]: weights of the matching edges, summed by label."""
    one_hot = np.arange(num_classes) == np.asarray(labels)[:, None]
    weighted = one_hot * weights[:, None]
    if weighted.dtype.kind in "iu":
        weighted = weighted.astype(np.int64)
    return match(x, edges, tolerance=tolerance).astype(weighted.dtype) @ weighted  # type: ignore[no-any-return]


def match_counts(x: NDArray, edges: Hyperedges, *, tolerance: int | NDArray = 0) -> NDArray:
    """Int64 [E]: the samples that each edge matches."""
    return match(x, edges, tolerance=tolerance).sum(axis=0, dtype=np.int64)  # type: ignore[no-any-return]


def feedback(
    x: NDArray,
    edges: Hyperedges,
    right: NDArray,
    wrong: NDArray,
    *,
    tolerance: int | NDArray = 0,
) -> tuple[NDArray, NDArray]:
    """Int64 [E] twice: the matches of each edge among the ``right`` and the ``wrong`` samples."""
    matched = match(x, edges, tolerance=tolerance)
    return matched[right].sum(axis=0, dtype=np.int64), matched[wrong].sum(axis=0, dtype=np.int64)


def products(x: torch.Tensor, edges: Hyperedges) -> torch.Tensor:
    """[N, E]: the product of each edge's factors, x_j or 1 - x_j for a literal of value 0."""
    import torch

    host = edges.numpy()
    sizes = np.diff(host.offsets)
    samples, variables = x.shape
    longest = int(sizes.max()) if len(sizes) else 0
    # Short edges are filled up with a column of ones; negated variables are columns of their own.
    columns = np.full((len(host), longest), 2 * variables)
    place = np.arange(len(host.indices)) - np.repeat(host.offsets[:-1], sizes)
    negated = 0 if host.values is None else (1 - host.values.astype(np.int64)) * variables
    columns[np.repeat(np.arange(len(host)), sizes), place] = host.indices + negated
    extended = torch.cat([x, 1 - x, x.new_ones(samples, 1)], dim=1)
    return extended[:, torch.from_numpy(columns).to(x.device)].prod(dim=-1)


def energy(x: torch.Tensor, edges: Hyperedges, weights: torch.Tensor) -> torch.Tensor:
    """[N]: - sum_i w_i prod_{j in E_i} x_j."""
    return -(products(x, edges) * weights).sum(dim=-1)


def moments(x: torch.Tensor, edges: Hyperedges) -> torch.Tensor:
    """[E]: the mean product of each edge."""
    return products(x, edges).mean(dim=0)


def philox(seed: int, sample: NDArray, variable: int, sweep: int) -> NDArray:
    """Uint32 [N]: first word of Philox4x32-10, key = seed, counter = (sample, variable, sweep)."""
    low = np.uint64(0xFFFFFFFF)
    shift = np.uint64(32)
    counter = [
        sample.astype(np.uint64) & low,
        sample.astype(np.uint64) >> shift,
        np.full(sample.shape, variable, np.uint64),
        np.full(sample.shape, sweep, np.uint64),
    ]
    key = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        first = np.uint64(0xD2511F53) * counter[0]
        second = np.uint64(0xCD9E8D57) * counter[2]
        counter = [
            (second >> shift) ^ counter[1] ^ np.uint64(key[0]),
            second & low,
            (first >> shift) ^ counter[3] ^ np.uint64(key[1]),
            first & low,
        ]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return counter[0].astype(np.uint32)


def gibbs(
    x: NDArray,
    edges: Hyperedges,
    weights: NDArray,
    *,
    sweeps: int,
    domain: str = "01",
    clamp: NDArray | None = None,
    temperature: float = 1.0,
    seed: int = 0,
) -> NDArray:
    """[N, I]: the states after ``sweeps`` passes of single-variable Gibbs sampling."""
    state = x.astype(np.float64)
    low = -1.0 if domain == "pm1" else 0.0
    scale = (2.0 if domain == "pm1" else 1.0) / temperature
    asked = np.ones(len(edges.indices)) if edges.values is None else edges.values.astype(float)
    members = [slice(a, b) for a, b in zip(edges.offsets[:-1], edges.offsets[1:], strict=True)]
    chains = np.arange(len(x))
    for sweep in range(sweeps):
        for variable in range(x.shape[1]):
            field = np.zeros(len(x))
            for inside, weight in zip(members, weights, strict=True):
                variables, value = edges.indices[inside], asked[inside]
                if variable not in variables:
                    continue
                others = variables != variable
                factors = np.where(value[others] == 1, 1, -1) * state[:, variables[others]]
                factors = factors + (value[others] == 0)
                sign = 1.0 if value[~others][0] == 1 else -1.0
                field += weight * sign * factors.prod(axis=1)
            uniform = (philox(seed, chains, variable, sweep) + 0.5) * 2.0**-32
            drawn = np.where(uniform * (1 + np.exp(-field * scale)) < 1, 1.0, low)
            fixed = False if clamp is None else clamp[:, variable]
            state[:, variable] = np.where(fixed, state[:, variable], drawn)
    return state.astype(x.dtype)
