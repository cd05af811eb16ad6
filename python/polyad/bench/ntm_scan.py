"""Cases of `scan`: whole sequences beside every rival, cost and memory against N, B and T."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from polyad.bench import harness, ntm_peers, rows
from polyad.bench.harness import Call, Limits, Timing, first_line, measure
from polyad.bench.ntm_cases import Case, Run, Settings
from polyad.bench.ntm_peers import Formulation

if TYPE_CHECKING:
    from torch import Tensor

BOTH = "scan forward+backward"
FORWARD, BACKWARD, INFERENCE = "scan forward", "scan backward", "scan without gradients"
MEMORY = "scan forward+backward, memory"
# what the note of a row means
_REMARKS = {
    ntm_peers.STEP_COMPILED: f"{ntm_peers.COMPILED}: {ntm_peers.STEP_COMPILED}; a whole sequence "
    "compiles for longer than the limit of {:.0f} s",
    ntm_peers.VARIANT: f"{ntm_peers.PUBLIC}: its heads read and write one after the other, and its "
    "weightings start at zero: shapes were compared, not values",
    ntm_peers.ANOTHER: f"{ntm_peers.LSTM}: the size that Graves et al. (2014) compare with: shapes "
    "were compared, not values",
}


def scan(here: Run) -> None:
    """Measure `scan` beside every rival, then beside the eager reference while one size varies."""
    for threads in here.threads:
        with harness.use_threads(threads):
            for batch in here.settings.batches:
                _with_rivals(here, Case.of(here.settings, B=batch), threads)
            for case in sweep(here.settings):
                _in_sweep(here, case, threads)
    if here.settings.pytorch_ntm is None:
        here.remarks.append(f"{ntm_peers.PUBLIC}: skipped, no checkout was named")
    if here.settings.memory:
        with here.doing("scan: memory"):
            for case in (
                Case.of(here.settings, B=max(here.settings.batches)),
                *sweep(here.settings),
            ):
                _memory(here, case)


def sweep(settings: Settings) -> Iterator[Case]:
    """Cases in which one size varies, without those that have every rival."""
    for batch in settings.sweep_batches:
        yield Case.of(settings, B=batch)
    for steps in settings.sweep_steps:
        yield Case.of(settings, T=steps)
    for count in settings.sweep_rows:
        yield Case.of(settings, N=count, B=settings.sweep_batch)


def _with_rivals(here: Run, case: Case, threads: int) -> None:
    ours = ntm_peers.ours(case)
    settings = here.settings
    _passes(here, case, threads, ntm_peers.OURS, ours, settings.limits)
    if not here.has_rivals(threads):
        return
    peers: dict[str, Callable[[], Formulation]] = {
        ntm_peers.EAGER: lambda: ntm_peers.eager(case),
        ntm_peers.LSTM: lambda: ntm_peers.lstm(case),
    }
    checkout = settings.pytorch_ntm
    if checkout is not None:
        peers[ntm_peers.PUBLIC] = lambda: ntm_peers.public(case, checkout)
    # inductor's code is for one number of threads
    if settings.compile_step_s and threads == here.threads[0]:
        tried = any(row.note == ntm_peers.STEP_COMPILED for row in here.rows)
        whole_s = 0.0 if tried else settings.compile_s
        peers[ntm_peers.COMPILED] = lambda: ntm_peers.compiled(
            case, whole_s, settings.compile_step_s
        )
    for name, make in peers.items():
        with here.doing(f"scan, B = {case.B}: {name}"):
            row = case.row(BOTH, name, note="")
            try:
                formulation = make()
                disagrees = disagreement(case, formulation, ours)
            except TimeoutError as error:
                here.add(row, Timing(rows.OUT_OF_TIME, note=f"compiling: {error}"))
                continue
            except Exception as error:
                if name != ntm_peers.COMPILED:
                    raise
                here.remarks.append(f"{name}: skipped, {first_line(error)}")  # no C++ compiler ...
                continue
            if disagrees:
                row = replace(row, threads=threads)
                here.add(row, Timing(rows.FAILED, note=f"{name}: {disagrees}"))
                continue
            _passes(here, case, threads, name, formulation, settings.limits)
            remark = _REMARKS.get(formulation.note, "").format(settings.compile_s)
            if remark and remark not in here.remarks:
                here.remarks.append(remark)


def _in_sweep(here: Run, case: Case, threads: int) -> None:
    peers = {ntm_peers.OURS: ntm_peers.ours}
    if threads == here.threads[0]:
        peers[ntm_peers.EAGER] = ntm_peers.eager
    limits = here.settings.sweep_limits
    for name, make in peers.items():
        with here.doing(f"scan, N = {case.N}, B = {case.B}, T = {case.T}: {name}"):
            _passes(here, case, threads, name, make(case), limits, (BOTH,))


def disagreement(case: Case, formulation: Formulation, ours: Formulation) -> str:
    """How a formulation's outputs and gradients differ from ours, or nothing."""
    import torch

    inputs, grad = case.sequences()
    if not formulation.same:
        shape = formulation.forward(inputs).shape
        return "" if shape == grad.shape else f"outputs of shape {list(shape)}"
    for got, want in zip(formulation.both(inputs, grad), ours.both(inputs, grad), strict=True):
        if not torch.allclose(got, want, rtol=1e-3, atol=1e-3 * float(want.abs().max())):
            return "disagrees with polyad"
    return ""


def _passes(
    here: Run,
    case: Case,
    threads: int,
    name: str,
    formulation: Formulation,
    limits: Limits,
    ops: tuple[str, ...] = (BOTH, FORWARD, BACKWARD, INFERENCE),
) -> None:
    """Add the rows of a formulation; only the first states what it took to prepare."""
    inputs, grad = case.sequences()
    is_ours = name == ntm_peers.OURS
    compiled = name == ntm_peers.COMPILED
    for op in ops:
        if compiled and op == INFERENCE:
            continue  # it would be compiled again
        row = replace(
            case.row(op, name, variant=formulation.variant, note=formulation.note),
            threads=threads,
            prepare_s=formulation.prepare_s if op == BOTH else None,
        )
        timing = measure(
            _calls(op, formulation, inputs, grad),
            case.T,
            replace(limits, full_s=60.0) if is_ours else limits,
            step=case.T if is_ours or compiled else 8,
            unit="T",
            clock=harness.prepared(harness.wall_clock) if op == BACKWARD else harness.wall_clock,
        )
        here.add(row, timing)


def _calls(
    op: str, formulation: Formulation, inputs: Tensor, grad: Tensor
) -> Callable[[int], Call]:
    """Return what `measure` makes calls with: a pass over the first steps."""
    import torch

    def make(steps: int) -> Call:
        some, part = inputs[:, :steps].contiguous(), grad[:, :steps].contiguous()

        def backward() -> Call:
            out = formulation.forward(some)
            return lambda: torch.autograd.grad(out, formulation.parameters, part)

        def inference() -> object:
            with torch.no_grad():
                return formulation.forward(some)

        passes: dict[str, Call] = {
            BOTH: lambda: formulation.both(some, part),
            FORWARD: lambda: formulation.forward(some),
            BACKWARD: backward,
            INFERENCE: inference,
        }
        return passes[op]

    return make


def _memory(here: Run, case: Case) -> None:
    """Rows of peak memory of forward and backward, each in a process of its own."""
    needed = 4 * case.B * case.T * (case.inputs + case.outputs)
    needed += sum(p.nbytes for p in case.layer().parameters()) + 4 * case.B * case.N * case.M
    for name in (ntm_peers.OURS, ntm_peers.EAGER):
        code = (
            "from polyad.bench.ntm_cases import Case; "
            "from polyad.bench.ntm_scan import print_extra_memory; "
            f"print_extra_memory({name!r}, {case!r})"
        )
        row = case.row(MEMORY, name)
        try:
            done = subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
            )
        except subprocess.TimeoutExpired:
            here.add(row, Timing(rows.OUT_OF_TIME))
            continue
        except subprocess.CalledProcessError as error:
            lines = error.stderr.strip().splitlines() or [f"exit code {error.returncode}"]
            here.add(row, Timing(rows.FAILED, note=lines[-1]))
            continue
        extra = float(done.stdout)
        note = f"{extra / needed:,.1f} x the bytes of inputs, outputs, weights and memory"
        here.add(replace(row, extra_bytes=extra, note=note), Timing(rows.MEASURED))


def print_extra_memory(name: str, case: Case) -> None:
    """Print the bytes that forward and backward need at their peak, over inputs and outputs."""
    harness.use_threads(1).__enter__()  # for the life of this process
    make: dict[str, Callable[[Any], Formulation]] = {
        ntm_peers.OURS: ntm_peers.ours,
        ntm_peers.EAGER: ntm_peers.eager,
    }
    small = replace(case, B=1, T=2, N=4)
    make[name](small).both(*small.sequences())  # loads what is loaded once
    formulation = make[name](case)
    inputs, grad = case.sequences()
    with harness.memory_limit(Limits().bytes):
        extra, outputs = harness.peak_memory(lambda: formulation.both(inputs, grad))
    print(max(0, extra - sum(out.nbytes for out in outputs)))
