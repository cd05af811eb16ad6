"""The NTM family: what is measured, what is stated about it, and its figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console

from polyad.bench import harness, ntm_cuda, ntm_peers, ntm_pieces, ntm_scan
from polyad.bench.harness import Limits
from polyad.bench.ntm_cases import Case, Run, Settings
from polyad.bench.rows import Claim, Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OPS = ("scan", *ntm_pieces.OPS)

FULL = Settings()
QUICK = Settings(
    sweep_batches=(4,),
    sweep_steps=(10,),
    sweep_rows=(64, 256),
    limits=Limits(full_s=0.5, budget_s=0.15, most_repetitions=200),
    sweep_limits=Limits(full_s=0.3, budget_s=0.1, least_repetitions=2),
    compile_s=0.0,
    compile_step_s=0.0,
    memory=False,
    rivals_on_all_threads=False,
)


def run(
    settings: Settings, threads: Sequence[int], console: Console, op: str | None = None
) -> tuple[list[Row], list[str]]:
    """Measure every case, or those of ``op``; return rows and remarks."""
    here = Run(settings, threads, console)
    if not harness.available("torch"):
        here.remarks.append("skipped, torch is not installed")
        return [], here.remarks
    here.remarks.append(
        "a step is one time step of the whole batch; inputs are random bits; one read head and one "
        "write head; gradients of every parameter; weights and start of the state are the layer's"
    )
    if op in (None, "scan"):
        ntm_scan.scan(here)
    for name in ntm_pieces.OPS:
        if op in (None, name):
            ntm_pieces.run(here, name)
    missing = harness.cuda_missing()
    if missing is not None:
        here.remarks.append(f"cuda: skipped, {missing}")
    elif op in (None, "scan"):
        ntm_cuda.run(here)
    order = {name: place for place, name in enumerate(dict.fromkeys(row.op for row in here.rows))}
    ours = ntm_peers.OURS
    here.rows.sort(
        key=lambda row: (
            order[row.op],
            *row.sizes.values(),
            row.device,
            row.threads,
            row.peer != ours,
        )
    )
    return here.rows, here.remarks


def claims(settings: Settings, measured: Sequence[Row]) -> list[Claim]:
    """The ratios that this project states, from one run, on one thread."""
    stated: list[tuple[int, str, float | None]] = [
        (1, ntm_peers.EAGER, 30),
        (16, ntm_peers.EAGER, 10),
        (64, ntm_peers.EAGER, 5),
        (1, ntm_peers.PUBLIC, 50),
        (1, ntm_peers.COMPILED, None),
        (16, ntm_peers.COMPILED, None),
        (64, ntm_peers.COMPILED, None),
    ]
    result = []
    for batch, peer, required in stated:
        case = Case.of(settings, B=batch)
        found = {
            row.peer: row
            for row in measured
            if row.op == ntm_scan.BOTH
            and dict(row.sizes) == case.sizes()
            and (row.threads, row.device) == (1, "cpu")
        }
        if ntm_peers.OURS in found and peer in found:
            where = " ".join(f"{name}={size:,}" for name, size in case.sizes().items())
            text = f"{ntm_scan.BOTH}: {peer} / polyad; {where}, 1 thread"
            result.append(Claim.of(text, required, found[ntm_peers.OURS], found[peer]))
    return result


def figure(settings: Settings, measured: Sequence[Row], machine: Mapping[str, Any]) -> Figure:
    """Cost of `scan` against B, T and N, and its memory against T."""
    from polyad.bench import plot

    least = min((row.threads for row in measured), default=1)
    base = Case.of(settings)

    def panel(title: str, label: str, size: str, case: Case, op: str) -> plot.Panel:
        fixed = {name: value for name, value in case.sizes().items() if name != size}
        found = [
            row
            for row in measured
            if row.op == op
            and (row.threads, row.device) == (least, "cpu")
            and {name: value for name, value in row.sizes.items() if name != size} == fixed
        ]
        # a rival that was not run while this size varied is no line
        several = {
            peer
            for peer in {row.peer for row in found}
            if len({row.sizes[size] for row in found if row.peer == peer}) > 1
        }
        found = [row for row in found if row.peer in several]
        if op == ntm_scan.MEMORY:
            return plot.Panel(title, label, size, found, "extra_bytes", "peak bytes of one call")
        # on one thread, what an idle machine would show, whatever else runs on this one
        return plot.Panel(title, label, size, found, "spent_s", "processor seconds of one call")

    sweep = Case.of(settings, B=settings.sweep_batch)
    panels = [
        panel(f"N = {base.N}, T = {base.T}", "sequences B", "B", base, ntm_scan.BOTH),
        panel(f"N = {base.N}, B = {base.B}", "steps T", "T", base, ntm_scan.BOTH),
        panel(f"T = {base.T}, B = {sweep.B}", "rows of memory N", "N", sweep, ntm_scan.BOTH),
    ]
    memory = panel(f"N = {base.N}, T = {base.T}", "sequences B", "B", base, ntm_scan.MEMORY)
    if memory.rows:
        panels.append(memory)
    threads = f"{least} thread{'s' if least > 1 else ''}"
    title = f"{ntm_scan.BOTH}, M = {base.M}, LSTM of {base.H}, {threads}"
    return plot.cost(title, panels, f"{machine['cpu']}, {machine['isa']}")
