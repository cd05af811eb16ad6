"""CUDA cases of the hypernet family, timed by events on torch's current stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from polyad.bench import harness, rows
from polyad.bench.harness import Timing, first_line, measure, on_first
from polyad.bench.hypernet_cases import (
    Run,
    binary_case,
    positive_edges,
    real_case,
    sizes_of,
)
from polyad.bench.hypernet_energy import torch_formulations
from polyad.bench.hypernet_energy_peers import with_gradients
from polyad.bench.hypernet_peers import Variant, torch_and_loop, torch_gather, torch_gemm
from polyad.bench.rows import Row
from polyad.ops import hypernet

DEVICE = "cuda"

# name, formulation, variant; GEMM compares its product with k
_VOTES: list[tuple[str, Callable[..., Callable[[Any], Any]], Variant]] = [
    ("torch gather", torch_gather, Variant(256, 20_000)),
    ("torch AND-loop", torch_and_loop, Variant(8192, 20_000)),
    ("torch GEMM", torch_gemm, Variant(8192, 20_000, dtype="bfloat16")),
    ("torch GEMM", torch_gemm, Variant(8192, 20_000, dtype="int8")),
]


def run(here: Run, op: str | None) -> None:
    """Measure votes and energy on the current CUDA device."""
    if op in (None, "votes"):
        for order in here.settings.orders:
            for edges in here.settings.edges:
                with here.doing(f"cuda: votes, k = {order}, E = {edges:,}"):
                    _votes(here, order, edges)
    if op in (None, "energy"):
        with here.doing("cuda: energy"):
            _energy(here)


def _add(here: Run, row: Row, make: Callable[[int], Callable[[], object]], step: int) -> None:
    limits = here.settings.sweep_limits
    try:
        timing = measure(make, row.sizes["N"], limits, step=step, clock=harness.cuda_clock)
    except RuntimeError as error:
        timing = Timing(rows.FAILED, note=first_line(error))
    here.add(row, timing)


def _votes(here: Run, order: int, edges: int) -> None:
    import torch

    settings = here.settings
    samples = max(settings.samples)
    host, literals, ours = binary_case(order, edges, samples, settings.variables, settings.classes)
    x = torch.from_numpy(host).to(DEVICE)
    weights = torch.from_numpy(literals.weights).to(DEVICE)
    labels = torch.from_numpy(literals.labels).to(DEVICE)
    plan = ours.to(DEVICE).plan(labels=labels, num_classes=settings.classes)
    sizes = sizes_of(order, edges, samples, settings.variables)
    row = Row("votes", "polyad", sizes, 1, samples * edges, device="cuda", packing=True)
    _add(here, row, on_first(lambda x: hypernet.votes(x, plan, weights), x), samples)
    expected = hypernet.votes(x[:32], plan, weights)
    for name, formulation, variant in _VOTES:
        peer = replace(row, peer=name, batch=variant.samples, variant=str(variant))
        votes = formulation(literals, variant, DEVICE)
        if not torch.equal(votes(x[:32]).long(), expected):
            here.add(peer, Timing(rows.FAILED, note=f"{name} disagrees with polyad"))
            continue

        def blocked(
            x: Any, votes: Callable[[Any], Any] = votes, block: int = variant.samples
        ) -> list[Any]:
            return [votes(part) for part in torch.split(x, block)]

        _add(here, peer, on_first(blocked, x), min(variant.samples, samples))
        del votes, blocked
        torch.cuda.empty_cache()


def _energy(here: Run) -> None:
    import torch

    order, edges, samples = here.settings.energy
    case = real_case(order, edges, samples, here.settings.variables)
    x, indices, weights, grad = (torch.from_numpy(array).to(DEVICE) for array in case)
    plan = positive_edges(case[1]).to(DEVICE).plan()
    sizes = sizes_of(order, edges, samples, here.settings.variables)
    row = Row("energy forward+backward", "polyad", sizes, 1, samples * edges, device="cuda")

    def energy(x: Any, indices: Any, weights: Any) -> Any:
        return hypernet.energy(x, plan, weights)

    formulations: dict[str, tuple[Callable[..., Any], int]] = {"polyad": (energy, samples)}
    for name, (formulation, block) in torch_formulations().items():
        formulations[name] = (formulation, 64 if block else samples)
    for name, (formulation, block) in formulations.items():
        both = with_gradients(formulation, None if block == samples else block)

        make = on_first(lambda x, g, f=both: f(x, indices, weights, g), x, grad)
        batch = None if block == samples else block
        step = samples if name == "polyad" else min(64, samples)
        _add(here, replace(row, peer=name, batch=batch), make, step)
        torch.cuda.empty_cache()
