"""What the cases of the hypernet family share: settings, data."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from polyad._hyperedges import Hyperedges
from polyad.bench import harness, rows
from polyad.bench.harness import Limits, Timing, measure
from polyad.bench.hypernet_peers import Literals
from polyad.bench.rows import Row

Array = np.ndarray[Any, Any]

SEED = 0
SWEEP_LIMITS = Limits(full_s=0.3, budget_s=0.2, least_repetitions=2)
CLAIM_LIMITS = Limits(full_s=8.0, budget_s=1.0, most_repetitions=200)


@dataclass(frozen=True)
class Settings:
    """Sizes and limits of a run.

    Attributes:
        orders: k of the votes cases.
        edges: Their E.
        samples: Their N.
        claim: (k, E, N) of the stated votes ratios; measured with `claim_limits`.
        variables: I of every case.
        classes: C of every case.
        sweep_limits: For all rows but those of a claim.
        claim_limits: For the rows of a claim: full size wherever that takes seconds.
        energy: (k, E, N) of the energy case.
        single: (k, E, N) of match, match_counts and feedback.
        gibbs: (k, E, N) of gibbs, one sweep.
        tuning_s: Seconds for one try of one variant.
        compile_s: Seconds that torch.compile may take; 0 leaves it out.
        memory: Whether to measure the extra memory of energy, in processes of their own.
        rivals_on_all_threads: Whether rivals run with every number of threads, or the first only.
    """

    orders: Sequence[int]
    edges: Sequence[int]
    samples: Sequence[int]
    claim: tuple[int, int, int]
    variables: int = 784
    classes: int = 10
    sweep_limits: Limits = SWEEP_LIMITS
    claim_limits: Limits = CLAIM_LIMITS
    energy: tuple[int, int, int] = (3, 200_000, 1024)
    single: tuple[int, int, int] = (10, 20_000, 1024)
    gibbs: tuple[int, int, int] = (3, 20_000, 256)
    tuning_s: float = 0.02
    compile_s: float = 60.0
    memory: bool = True
    rivals_on_all_threads: bool = True


Run: TypeAlias = harness.Run[Settings]


def distinct_variables(rng: np.random.Generator, edges: int, order: int, variables: int) -> Array:
    """int64 [edges, order]: uniform sets of variables, each ascending."""
    indices = np.sort(rng.integers(0, variables, (edges, order)), axis=1)
    while True:
        again = np.flatnonzero((np.diff(indices, axis=1) == 0).any(axis=1))
        if not len(again):
            return indices
        indices[again] = np.sort(rng.integers(0, variables, (len(again), order)), axis=1)


@functools.lru_cache(maxsize=1)  # the largest case has hundreds of megabytes
def binary_case(
    order: int, edges: int, samples: int, variables: int, classes: int
) -> tuple[Array, Literals, Hyperedges]:
    """A batch of random bits, uint8 [N, I], and edges that each match at least one sample."""
    rng = np.random.default_rng(SEED)
    x = rng.integers(0, 2, (samples, variables), np.uint8)
    indices = distinct_variables(rng, edges, order, variables)
    values = x[rng.integers(0, samples, (edges, 1)), indices]
    labels = np.sort(rng.integers(0, classes, edges)).astype(np.int32)
    weights = rng.integers(1, 16, edges)
    literals = Literals(indices, values, weights, labels, classes, variables)
    return x, literals, hyperedges(literals)


def hyperedges(literals: Literals) -> Hyperedges:
    """Return the edges of ``literals`` as ours."""
    count, order = literals.indices.shape
    offsets = np.arange(count + 1, dtype=np.int64) * order
    flat = literals.indices.astype(np.int32).ravel()
    return Hyperedges(flat, offsets, literals.values.ravel())


def real_case(order: int, edges: int, samples: int, variables: int) -> tuple[Array, ...]:
    """float32 x in (0.1, 1), indices, weights and a gradient of the energies."""
    rng = np.random.default_rng(SEED)
    x = rng.uniform(0.1, 1.0, (samples, variables)).astype(np.float32)
    indices = distinct_variables(rng, edges, order, variables)
    weights = rng.normal(size=edges).astype(np.float32)
    return x, indices, weights, rng.normal(size=samples).astype(np.float32)


def positive_edges(indices: Array) -> Hyperedges:
    """Return edges whose literals all have value 1."""
    offsets = np.arange(len(indices) + 1, dtype=np.int64) * indices.shape[1]
    return Hyperedges(indices.astype(np.int32).ravel(), offsets)


def sizes_of(order: int, edges: int, samples: int, variables: int) -> dict[str, int]:
    """The sizes that every row of this family states."""
    return {"k": order, "I": variables, "E": edges, "N": samples}


def measure_two(
    here: Run,
    row: Row,
    ours: Callable[[int], object],
    theirs: Callable[[int], object],
    name: str,
    batch: int | None = None,
) -> None:
    """Add a row of ours and, on one thread, one of a rival; both take a number of samples."""
    size = row.sizes["N"]
    limits = here.settings.sweep_limits
    whole = replace(limits, full_s=60.0)
    here.add(row, measure(lambda n: lambda: ours(n), size, whole, step=size))
    if row.threads > 1:
        return
    if row.packing is not None and not _same(ours(64), theirs(64)):
        here.add(replace(row, peer=name), Timing(rows.FAILED, note=f"{name} disagrees with polyad"))
        return
    timing = measure(lambda n: lambda: theirs(n), size, limits, step=batch or 1)
    here.add(replace(row, peer=name, batch=batch), timing)


def _same(a: Any, b: Any) -> bool:
    """Whether two arrays, or two tuples of arrays, are equal."""
    pairs = zip(a, b, strict=True) if isinstance(a, tuple) else [(a, b)]
    return all(np.array_equal(x, y) for x, y in pairs)
