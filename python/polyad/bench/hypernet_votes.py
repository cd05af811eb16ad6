"""Cases of the matching ops: votes beside every rival, match and the counts beside numpy."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from polyad._bit_planes import BitPlanes
from polyad._hyperedges import Hyperedges, HyperedgesPlan
from polyad.bench import harness, hypernet_peers, rows
from polyad.bench.harness import Limits, Timing, first_line, measure, on_first
from polyad.bench.hypernet_cases import (
    SEED,
    Array,
    Run,
    Settings,
    binary_case,
    hyperedges,
    measure_two,
    sizes_of,
)
from polyad.bench.hypernet_peers import Literals, Rival, Variant
from polyad.bench.rows import Row
from polyad.ops import hypernet

TUNING_EDGES = 20_000


def votes(here: Run) -> None:
    """Measure votes for every k, E, N and number of threads, beside every rival."""
    rivals, missing = hypernet_peers.available_rivals(harness.available)
    here.remarks += missing
    settings = here.settings
    for order in settings.orders:
        variants: dict[tuple[str, int], Variant] = {}
        for edges in settings.edges:
            with here.doing(f"votes, k = {order}, E = {edges:,}: data"):
                x, literals, ours = binary_case(
                    order, edges, max(settings.samples), settings.variables, settings.classes
                )
                start = time.perf_counter()
                plan = ours.plan(labels=literals.labels, num_classes=settings.classes)
                plan_s = time.perf_counter() - start
            for threads in here.threads:
                with harness.use_threads(threads):
                    for samples in settings.samples:
                        _votes_ours(here, x[:samples], literals, plan, plan_s, threads)
                        _votes_reference(here, x[:samples], literals, ours, threads)
            for rival in rivals:
                with here.doing(f"votes, k = {order}, E = {edges:,}: {rival.name}"):
                    _votes_rival(here, rival, x, literals, variants)
    here.rows.sort(key=lambda row: (*row.sizes.values(), row.threads, row.peer != "polyad"))


def _limits(settings: Settings, row: Row) -> Limits:
    sizes = (row.sizes["k"], row.sizes["E"], row.sizes["N"])
    is_claim = sizes == settings.claim and row.threads == 1
    return settings.claim_limits if is_claim else settings.sweep_limits


def _votes_ours(
    here: Run, x: Array, literals: Literals, plan: HyperedgesPlan, plan_s: float, threads: int
) -> None:
    sizes = sizes_of(literals.order, len(literals), len(x), literals.variables)
    row = Row(
        "votes",
        "polyad",
        sizes,
        threads,
        work=len(x) * len(literals),
        packing=True,
        prepare_s=plan_s,
    )
    limits = replace(_limits(here.settings, row), full_s=60.0)

    def add(row: Row, batch: Array | BitPlanes, weights: Array) -> None:
        call = functools.partial(hypernet.votes, batch, plan, weights)
        here.add(row, measure(lambda _: call, len(x), limits, step=len(x)))

    add(row, x, literals.weights)
    if len(x) == max(here.settings.samples):
        packed = replace(row, peer="polyad, packed before", packing=False)
        add(packed, BitPlanes.pack(x), literals.weights)
        add(replace(row, peer="polyad, unit weights"), x, np.ones_like(literals.weights))
        weights = literals.weights.astype(np.float32)
        add(replace(row, peer="polyad, float32 weights"), x, weights)


def _votes_reference(
    here: Run, x: Array, literals: Literals, ours: Hyperedges, threads: int
) -> None:
    if threads > 1:
        return  # integer products of numpy use one thread
    from polyad.reference import hypernet as reference

    sizes = sizes_of(literals.order, len(literals), len(x), literals.variables)
    row = Row("votes", "reference", sizes, 1, work=len(x) * len(literals), packing=True)

    def votes(x: Array) -> Array:
        return reference.votes(x, ours, literals.weights, literals.labels, literals.classes)

    here.add(row, measure(on_first(votes, x), len(x), here.settings.sweep_limits))


def _votes_rival(
    here: Run, rival: Rival, x: Array, literals: Literals, variants: dict[tuple[str, int], Variant]
) -> None:
    """Rows of one rival for all N and threads; ``variants`` holds what the search has found."""
    settings = here.settings
    if rival.most_edges is not None and len(literals) > rival.most_edges:
        remark = f"{rival.name}: at most {rival.most_edges:,} edges, which it keeps as lists"
        here.remarks += [] if remark in here.remarks else [remark]
        return
    prepared: dict[Variant, tuple[hypernet_peers.Votes, float]] = {}
    for threads, samples in itertools.product(here.threads, settings.samples):
        if rival.threads not in (None, threads) or not here.has_rivals(threads):
            continue
        sizes = sizes_of(literals.order, len(literals), samples, literals.variables)
        work = samples * len(literals)
        row = Row("votes", rival.name, sizes, threads, work=work, packing=True)
        try:
            if (rival.name, samples) not in variants:
                part = literals.part(slice(0, None, -(-len(literals) // TUNING_EDGES)))
                with harness.use_threads(1):
                    variants[rival.name, samples] = _fastest(rival, part, x[:samples], settings)
            variant = variants[rival.name, samples]
            setup = replace(variant, samples=0)  # the block of samples is not part of it
            if setup not in prepared:
                prepared.clear()  # one at a time: a million edges are large
                prepared[setup] = _prepare(rival, literals, variant, settings)
        except Exception as error:  # a rival may fail in its own way; the run goes on
            state = rows.OUT_OF_MEMORY if harness.is_memory(error) else rows.FAILED
            here.add(row, Timing(state, note=first_line(error)))
            continue
        row = replace(row, variant=str(variant), prepare_s=prepared[setup][1])
        _time_rival(here, row, rival, prepared[setup][0], variant, x[:samples])


def _prepare(
    rival: Rival, literals: Literals, variant: Variant, settings: Settings
) -> tuple[hypernet_peers.Votes, float]:
    start = time.perf_counter()
    with harness.memory_limit(settings.claim_limits.bytes):
        votes = rival.prepare(literals, variant)
    return votes, time.perf_counter() - start


def _time_rival(
    here: Run, row: Row, rival: Rival, votes: hypernet_peers.Votes, variant: Variant, x: Array
) -> None:
    shared = rival.pooled and row.threads > 1
    block = min(variant.samples, -(-len(x) // row.threads) if shared else len(x))
    with harness.use_threads(row.threads), ThreadPoolExecutor(row.threads) as pool:
        blocked = hypernet_peers.in_blocks(votes, block, pool if shared else None)
        step = block * (row.threads if shared else 1)
        limits = _limits(here.settings, row)
        timing = measure(on_first(blocked, x), len(x), limits, step=step)
    here.add(replace(row, batch=block), timing)


def _fastest(rival: Rival, literals: Literals, x: Array, settings: Settings) -> Variant:
    """Try every variant on one thread and a part of the edges; each must agree with our votes.

    Raises:
        ArithmeticError: A variant disagrees.
        Exception: What the last variant raised, if none of them ran.
    """
    plan = hyperedges(literals).plan(labels=literals.labels, num_classes=literals.classes)
    expected = hypernet.votes(x, plan, literals.weights)
    # with few samples, variants that differ in larger blocks only are the same
    distinct = {
        replace(v, samples=min(v.samples, len(x)), edges=min(v.edges, len(literals))): v
        for v in reversed(rival.variants)
    }
    rates: dict[Variant, float] = {}
    failure: Exception | None = None
    for variant in distinct.values():
        best = max(rates.values(), default=0.0)
        try:
            with harness.memory_limit(settings.claim_limits.bytes):
                votes = hypernet_peers.in_blocks(
                    rival.prepare(literals, variant), variant.samples, None
                )
                rates[variant] = _rate(votes, x, expected, variant.samples, settings, best)
        except ArithmeticError as error:
            raise ArithmeticError(f"{rival.name} [{variant}] {error}") from error
        except Exception as error:
            failure = error
    if not rates:
        raise failure or RuntimeError(f"{rival.name}: no variant")
    return max(rates, key=rates.__getitem__)


def _rate(
    votes: hypernet_peers.Votes,
    x: Array,
    expected: Array,
    block: int,
    settings: Settings,
    best: float,
) -> float:
    """Samples per second of processor time, roughly if it is far from the best one so far."""
    part = min(block, len(x))
    outputs: list[Array] = []
    first = harness.wall_clock(lambda: outputs.append(votes(x[:part])))
    if not np.array_equal(outputs[0], expected[:part]):
        raise ArithmeticError("disagrees with polyad")
    if part < best * first.spent / 3:
        return part / first.spent
    while True:
        call = functools.partial(votes, x[:part])
        spent = min(harness.wall_clock(call).spent for _ in range(3))
        if spent >= settings.tuning_s or part == len(x):
            return part / max(spent, 1e-9)
        part = min(part * 2, len(x))


def counts(here: Run) -> None:
    """Measure match, match_counts and feedback beside numpy."""
    order, edges, samples = here.settings.single
    variables, classes = here.settings.variables, here.settings.classes
    x, literals, ours = binary_case(order, edges, samples, variables, classes)
    plan = ours.plan()
    right = np.random.default_rng(SEED).random(samples) < 0.5
    sizes = sizes_of(order, edges, samples, variables)

    def matched(n: int) -> Array:
        return hypernet_peers.numpy_match(literals, x[:n])

    def numpy_feedback(n: int) -> tuple[Array, Array]:
        match = matched(n)
        return match[right[:n]].sum(0), match[~right[:n]].sum(0)

    formulations: dict[str, tuple[Callable[[int], object], Callable[[int], object]]] = {
        "match": (lambda n: hypernet.match(x[:n], plan), matched),
        "match_counts": (
            lambda n: hypernet.match_counts(x[:n], plan),
            lambda n: matched(n).sum(0),
        ),
        "feedback": (
            lambda n: hypernet.feedback(x[:n], plan, right[:n], ~right[:n]),
            numpy_feedback,
        ),
    }
    for threads in here.threads:
        with harness.use_threads(threads), here.doing("match, match_counts, feedback"):
            for op, (mine, numpy) in formulations.items():
                row = Row(op, "polyad", sizes, threads, samples * edges, packing=True)
                measure_two(here, row, mine, numpy, "numpy gather", batch=16)
