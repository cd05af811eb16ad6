"""Cases of the ops on real products: energy, its gradients, their memory, and gibbs."""

from __future__ import annotations

import functools
import math
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from polyad.bench import harness, rows
from polyad.bench import hypernet_energy_peers as peers
from polyad.bench.harness import Limits, Timing, first_line, measure, on_first
from polyad.bench.hypernet_cases import (
    SEED,
    Array,
    Run,
    distinct_variables,
    measure_two,
    positive_edges,
    real_case,
    sizes_of,
)
from polyad.bench.rows import Row
from polyad.ops import hypernet


def energy(here: Run) -> None:
    """Measure the energy and its gradients beside numpy, scipy and torch."""
    order, edges, samples = here.settings.energy
    variables = here.settings.variables
    case = real_case(order, edges, samples, variables)
    row = Row(
        "energy",
        "polyad",
        sizes_of(order, edges, samples, variables),
        1,
        work=samples * edges,
    )
    for threads in here.threads:
        here_row = replace(row, threads=threads)
        with harness.use_threads(threads):
            with here.doing("energy: numpy and scipy"):
                _energy_without_torch(here, here_row, case)
            if harness.available("torch"):
                with here.doing("energy: torch"):
                    _energy_in_torch(here, here_row, case)
    if not harness.available("torch"):
        here.remarks.append("energy, torch rows: skipped, torch is not installed")
    elif here.settings.memory:
        with here.doing("energy: memory"):
            _energy_memory(here, row)


def _energy_without_torch(here: Run, row: Row, case: tuple[Array, ...]) -> None:
    x, indices, weights, _ = case
    start = time.perf_counter()
    plan = positive_edges(indices).plan()
    row = replace(row, op="energy forward", prepare_s=time.perf_counter() - start)
    limits = here.settings.sweep_limits
    ours = functools.partial(hypernet.energy, x, plan, weights)
    here.add(row, measure(lambda _: ours, len(x), replace(limits, full_s=60.0), step=len(x)))
    if row.threads > 1:
        return
    expected = hypernet.energy(x[:32], plan, weights)
    block = 32
    formulations: dict[str, Callable[[Array], Array]] = {
        "numpy gather": lambda x: peers.numpy_product(x, indices, weights, block),
        "numpy columns": lambda x: peers.numpy_columns(x, indices, weights, block),
    }
    if harness.available("scipy"):
        log_sum = peers.scipy_log_sum(indices, weights, x.shape[1], block)
        formulations["scipy log-sum"] = log_sum
    for name, energy in formulations.items():
        peer = replace(row, peer=name, batch=block, prepare_s=None)
        if not np.allclose(energy(x[:32]), expected, rtol=1e-3, atol=0.1):
            here.add(peer, Timing(rows.FAILED, note=f"{name} disagrees with polyad"))
            continue
        here.add(peer, measure(on_first(energy, x), len(x), limits, step=block))


def torch_formulations() -> dict[str, tuple[Callable[[Any, Any, Any], Any], int | None]]:
    """Name -> energy(x, indices, weights) and its block of samples, None for all at once."""
    return {
        "torch x[:, idx].prod(-1)": (peers.torch_product, None),
        "torch x[:, idx].prod(-1), blocks": (peers.torch_product, 4),
        "torch columns": (peers.torch_columns, None),
        "torch columns, blocks": (peers.torch_columns, 8),
        "torch rows of x.T, blocks": (peers.torch_rows, 8),
    }


def _energy_in_torch(here: Run, row: Row, case: tuple[Array, ...]) -> None:
    import torch

    x, indices, weights, grad = (torch.from_numpy(array) for array in case)
    plan = positive_edges(case[1]).to("cpu").plan()
    settings = here.settings
    claim = settings.claim_limits if row.threads == 1 else settings.sweep_limits

    def energy(x: Any, indices: Any, weights: Any) -> Any:
        return hypernet.energy(x, plan, weights)

    def add(
        name: str, formulation: Callable[..., Any], block: int | None, limits: Limits, step: int
    ) -> None:
        both = peers.with_gradients(formulation, block)
        make = on_first(lambda x, grad: both(x, indices, weights, grad), x, grad)
        peer = replace(row, op="energy forward+backward", peer=name, batch=block)
        got, want = both(x[:8], indices, weights, grad[:8]), expected
        close = [
            torch.allclose(a, b, rtol=1e-3, atol=1e-3 * float(b.abs().max()))
            for a, b in zip(got, want, strict=True)
        ]
        if not all(close):
            here.add(peer, Timing(rows.FAILED, note=f"{name} disagrees with polyad"))
            return
        here.add(peer, measure(make, len(x), limits, step=step))

    expected = peers.with_gradients(energy)(x[:8], indices, weights, grad[:8])
    add("polyad", energy, None, replace(claim, full_s=60.0), len(x))
    if not here.has_rivals(row.threads):
        return
    for name, (formulation, block) in torch_formulations().items():
        limits = claim if block is None else settings.sweep_limits
        add(name, formulation, block, replace(limits, least_repetitions=2), block or 8)
        if row.threads == 1 and block is None:
            forward = replace(row, op="energy forward", peer=name)
            only = functools.partial(_of_x, formulation, indices, weights)
            here.add(forward, measure(on_first(only, x), len(x), settings.sweep_limits, step=8))
    if settings.compile_s and row.threads == 1:
        _energy_compiled(here, row, peers.torch_product, (x, indices, weights, grad))


def _of_x(formulation: Callable[..., Any], indices: Any, weights: Any, x: Any) -> Any:
    return formulation(x, indices, weights)


def _energy_compiled(
    here: Run, row: Row, formulation: Callable[..., Any], case: tuple[Any, ...]
) -> None:
    """torch.compile of the eager formulation, at one size: a new size would be compiled again."""
    import torch

    x, indices, weights, grad = case
    samples = math.gcd(len(x), 64)
    both = peers.with_gradients(torch.compile(formulation), samples)
    row = replace(row, op="energy forward+backward", peer="torch.compile", batch=samples)
    try:
        with harness.time_limit(here.settings.compile_s):
            start = time.perf_counter()
            both(x[:samples], indices, weights, grad[:samples])
            compile_s = time.perf_counter() - start
    except TimeoutError as error:
        here.add(row, Timing(rows.OUT_OF_TIME, note=f"compiling: {error}"))
        return
    except Exception as error:
        here.remarks.append(f"torch.compile: skipped, {first_line(error)}")
        return
    make = on_first(lambda x, grad: both(x, indices, weights, grad), x, grad)
    timing = measure(make, len(x), here.settings.sweep_limits, step=samples)
    here.add(replace(row, prepare_s=compile_s), timing)


def _energy_memory(here: Run, row: Row) -> None:
    """Rows of peak memory, each in a process of its own; rivals on an eighth of the samples."""
    samples = row.sizes["N"]
    needed = 4 * (samples * row.sizes["I"] + row.sizes["E"] * row.sizes["k"])
    for name in ("polyad", "torch x[:, idx].prod(-1)", "torch columns"):
        part = samples if name == "polyad" else max(1, samples // 8)
        sizes = (row.sizes["k"], row.sizes["E"], part, row.sizes["I"])
        code = (
            "from polyad.bench.hypernet_energy import print_extra_memory; "
            f"print_extra_memory({name!r}, {sizes})"
        )
        peer = replace(row, op="energy forward+backward, memory", peer=name)
        try:
            done = subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
            )
        except subprocess.TimeoutExpired:
            here.add(peer, Timing(rows.OUT_OF_TIME))
            continue
        except subprocess.CalledProcessError as error:
            lines = error.stderr.strip().splitlines() or [f"exit code {error.returncode}"]
            here.add(peer, Timing(rows.FAILED, note=lines[-1]))
            continue
        extra = float(done.stdout) * samples / part
        scaled = part < samples
        timing = (
            Timing(rows.SCALED, measured_on=f"N = {part:,}") if scaled else Timing(rows.MEASURED)
        )
        note = f"{extra / needed:,.1f} x the bytes of x and the edges"
        here.add(replace(peer, extra_bytes=extra, note=note), timing)


def print_extra_memory(name: str, sizes: tuple[int, int, int, int]) -> None:
    """Print the bytes that energy and its gradients need at their peak, over inputs and outputs."""
    import torch

    harness.use_threads(1).__enter__()  # for the life of this process
    case = real_case(*sizes)
    x, indices, weights, grad = (torch.from_numpy(array) for array in case)
    plan = positive_edges(case[1]).to("cpu").plan()

    def energy(x: Any, indices: Any, weights: Any) -> Any:
        return hypernet.energy(x, plan, weights)

    formulation = energy if name == "polyad" else torch_formulations()[name][0]
    both = peers.with_gradients(formulation)
    both(x[:1], indices, weights, grad[:1])  # loads what is loaded once
    with harness.memory_limit(Limits().bytes):
        extra, outputs = harness.peak_memory(lambda: both(x, indices, weights, grad))
    print(extra - sum(out.nbytes for out in outputs))


def gibbs(here: Run) -> None:
    """Measure one sweep of the chains beside numpy."""
    order, edges, samples = here.settings.gibbs
    variables = here.settings.variables
    rng = np.random.default_rng(SEED)
    indices = distinct_variables(rng, edges, order, variables)
    x = rng.integers(0, 2, (samples, variables), np.uint8)
    weights = rng.normal(size=edges).astype(np.float32) * np.float32(0.1)
    plan = positive_edges(indices).plan()
    row = Row(
        "gibbs",
        "polyad",
        sizes_of(order, edges, samples, variables),
        1,
        work=samples * variables,
        unit="updates",
        note="1 sweep",
    )
    for threads in here.threads:
        with harness.use_threads(threads), here.doing("gibbs"):
            measure_two(
                here,
                replace(row, threads=threads),
                lambda n: hypernet.gibbs(x[:n], plan, weights, sweeps=1),
                lambda n: peers.numpy_gibbs_sweep(x[:n], indices, weights, rng)(),
                "numpy sweep",
            )
