"""CUDA cases of `routing`, timed by events on torch's current stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from polyad.bench import capsule_peers as peers
from polyad.bench import harness, rows
from polyad.bench.capsule_cases import Case, Run
from polyad.bench.capsule_peers import Formulation
from polyad.bench.capsule_routing import BOTH, PLAIN, calls, formulations
from polyad.bench.harness import Call, Timing, first_line, measure_in_turn

if TYPE_CHECKING:
    from torch import Tensor

DEVICE = "cuda"
GRAPHED = "torch einsum, CUDA graph"
NAMES = (*PLAIN, peers.FACTORED, peers.POPULAR)


def run(here: Run) -> None:
    """Measure `routing` on the current CUDA device, beside eager, compiled and captured torch."""
    with harness.use_threads(1):
        for case in here.settings.on(DEVICE):
            _case(here, case, PLAIN if case.types else NAMES)


def _case(here: Run, case: Case, names: Sequence[str]) -> None:
    row = replace(case.row(BOTH), device="cuda")
    try:
        found = formulations(here, case, names, 1)
    except RuntimeError as error:
        here.add(row, Timing(rows.FAILED, note=first_line(error)))
        return
    u, _, grad = case.inputs()
    makes = {name: calls(each, u, grad, False) for name, each in found.items()}
    steps = {name: each.step(case.B) for name, each in found.items()}
    if peers.EINSUM in found:
        try:
            replay = graphed(found[peers.EINSUM], u, grad)
        except RuntimeError as error:
            here.add(replace(row, peer=GRAPHED), Timing(rows.FAILED, note=first_line(error)))
        else:
            makes[GRAPHED], steps[GRAPHED] = lambda samples: replay, case.B
    with here.doing(f"cuda: {case.op(BOTH)}, B = {case.B}, I = {case.I}"):
        timings = measure_in_turn(
            makes,
            case.B,
            here.settings.limits,
            rounds=here.settings.rounds,
            steps=steps,
            unit="B",
            clock=harness.cuda_clock,
        )
    for name, timing in timings.items():
        prepare_s = found[name].prepare_s if name in found else None
        here.add(replace(row, peer=name, prepare_s=prepare_s), timing)


def graphed(formulation: Formulation, u: Tensor, grad: Tensor) -> Call:
    """Return a call that replays forward and backward, captured once."""
    import torch

    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(2):  # what is allocated once must not be captured
            formulation.both(u, grad)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        formulation.both(u, grad)

    def replay() -> None:
        graph.replay()

    return replay
