"""CUDA cases of `scan`, timed by events on torch's current stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from polyad.bench import harness, ntm_peers, rows
from polyad.bench.harness import Call, Timing, first_line, measure
from polyad.bench.ntm_cases import Case, Run
from polyad.bench.ntm_peers import Formulation
from polyad.bench.ntm_scan import BOTH, disagreement, sweep

if TYPE_CHECKING:
    from torch import Tensor

DEVICE = "cuda"
GRAPHED = "torch eager, CUDA graph"


def run(here: Run) -> None:
    """Measure `scan` on the current CUDA device, beside eager torch and a CUDA graph of it."""
    settings = here.settings
    cases = [Case.of(settings, B=batch, device=DEVICE) for batch in settings.batches]
    cases += [replace(case, device=DEVICE) for case in sweep(settings)]
    main = set(cases[: len(settings.batches)])
    for case in cases:
        with here.doing(f"cuda: scan, N = {case.N}, B = {case.B}, T = {case.T}"):
            _scan(here, case, with_graph=case in main)


def _scan(here: Run, case: Case, with_graph: bool) -> None:
    ours, eager = ntm_peers.ours(case), ntm_peers.eager(case)
    inputs, grad = case.sequences()
    row = replace(case.row(BOTH), device="cuda")
    _add(here, row, lambda: ours.both(inputs, grad))
    row = replace(row, peer=ntm_peers.EAGER)
    disagrees = disagreement(case, eager, ours)
    if disagrees:
        here.add(row, Timing(rows.FAILED, note=f"{ntm_peers.EAGER}: {disagrees}"))
        return
    _add(here, row, lambda: eager.both(inputs, grad))
    if not with_graph:
        return
    row = replace(row, peer=GRAPHED)
    try:
        replay = graphed(eager, inputs, grad)
    except RuntimeError as error:
        here.add(row, Timing(rows.FAILED, note=first_line(error)))
        return
    _add(here, row, replay)


def _add(here: Run, row: rows.Row, call: Call) -> None:
    limits, steps = here.settings.sweep_limits, row.sizes["T"]
    try:
        timing = measure(lambda _: call, steps, limits, step=steps, clock=harness.cuda_clock)
    except RuntimeError as error:
        timing = Timing(rows.FAILED, note=first_line(error))
    here.add(row, timing)


def graphed(formulation: Formulation, inputs: Tensor, grad: Tensor) -> Callable[[], object]:
    """Return a call that replays forward and backward, captured once."""
    import torch

    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(2):  # what is allocated once must not be captured
            formulation.both(inputs, grad)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        formulation.both(inputs, grad)

    def replay() -> None:
        graph.replay()

    return replay
