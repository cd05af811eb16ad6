"""Cases of `routing` beside its rivals: time forward and backward, forward alone, and memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from polyad.bench import capsule_peers as peers
from polyad.bench import harness, rows
from polyad.bench.capsule_cases import Case, Run
from polyad.bench.capsule_peers import Formulation
from polyad.bench.harness import Limits, Timing, first_line, measure_in_turn
from polyad.bench.rows import Row

if TYPE_CHECKING:
    from torch import Tensor

BOTH = "routing forward+backward"
INFERENCE = "routing without gradients"
MEMORY = "routing forward+backward, memory"

PLAIN = (peers.EINSUM, peers.BMM, peers.COMPILED)
ALL = (*peers.EAGER_PEERS, *peers.COMPILED_PEERS)
LARGE = (peers.EINSUM, peers.BMM, peers.POPULAR, peers.in_blocks(peers.BMM, 1))
IN_MEMORY = (peers.EINSUM, peers.BMM, peers.FACTORED, peers.POPULAR, peers.COMPILED)


def routing(here: Run) -> None:
    """Measure every case of the settings, with every number of threads."""
    settings = here.settings
    for threads in here.threads:
        with harness.use_threads(threads):
            for case in settings.main:
                blocks = _blocks(settings.blocks) if case in settings.in_blocks else []
                _case(here, case, threads, (*ALL, *blocks), settings.limits)
            for case in settings.others:
                _case(here, case, threads, PLAIN, settings.limits)
            for case in settings.large:
                _case(here, case, threads, LARGE, settings.large_limits, (BOTH,))
    for case in settings.memory:
        names = [name for name in IN_MEMORY if settings.compile_s or not peers.compiles(name)]
        for name in (peers.OURS, *names):
            with here.doing(f"routing, memory, B = {case.B}, I = {case.I}: {name}"):
                _memory(here, case, name)


def _blocks(sizes: Sequence[int]) -> list[str]:
    """Names of formulations in blocks; compiling takes long, so that one size has to do."""
    eager = [peers.in_blocks(name, size) for name in peers.EAGER for size in sizes]
    return eager + [
        peers.in_blocks(name, size) for name in peers.COMPILED_PEERS for size in sizes[:1]
    ]


def _case(
    here: Run,
    case: Case,
    threads: int,
    names: Sequence[str],
    limits: Limits,
    ops: Sequence[str] = (BOTH, INFERENCE),
) -> None:
    first = threads == here.threads[0]
    rivals = here.has_rivals(threads) and (first or case in here.settings.threaded)
    found = formulations(here, case, names if rivals else (), threads)
    u, _, grad = case.inputs()
    steps = {name: each.step(case.B) for name, each in found.items()}
    steps[peers.OURS] = case.B
    for op in ops:
        inference = op == INFERENCE
        makes = {name: calls(each, u, grad, inference) for name, each in found.items()}
        if inference and case.detach:
            continue  # the same
        with here.doing(f"{case.op(op)}, B = {case.B}, I = {case.I}, J = {case.J}"):
            timings = measure_in_turn(
                makes,
                case.B,
                limits,
                rounds=here.settings.rounds,
                steps=steps,
                unit="B",
            )
        for name, timing in timings.items():
            formulation = found[name]
            prepare_s = None if inference else formulation.prepare_s
            row = case.row(op, name, prepare_s=prepare_s)
            here.add(replace(row, threads=threads), timing)


def formulations(
    here: Run, case: Case, names: Sequence[str], threads: int
) -> dict[str, Formulation]:
    """Return ours and the rivals that can be timed; add the rows of those that cannot."""
    if any(map(peers.compiles, names)):
        import torch

        torch._dynamo.reset()  # code for other sizes and threads
    ours = peers.ours(case)
    found = {peers.OURS: ours}
    settings = here.settings
    for name in names:
        if peers.compiles(name) and not settings.compile_s:
            continue
        with here.doing(f"{case.op('routing')}, B = {case.B}, I = {case.I}: {name}"):
            row = replace(case.row(BOTH, name, device=case.device), threads=threads)
            try:
                formulation = peers.make(name, case, settings.compile_s)
                differs = disagreement(case, formulation, ours)
            except TimeoutError as error:
                here.add(row, Timing(rows.OUT_OF_TIME, note=f"compiling: {error}"))
                continue
            except Exception as error:
                if not peers.compiles(name):
                    raise
                here.remarks.append(f"{name}: skipped, {first_line(error)}")  # no C++ compiler ...
                continue
            if differs:
                here.add(row, Timing(rows.FAILED, note=f"{name}: {differs}"))
                continue
        found[name] = formulation
    return found


def disagreement(case: Case, formulation: Formulation, ours: Formulation) -> str:
    """How outputs and gradients of the first samples differ from ours, or nothing."""
    import torch

    u, _, grad = case.inputs()
    # two blocks: how their gradients are added up is compared, too
    samples = case.B if formulation.whole else min(case.B, 2 * (formulation.block or 2))
    v, grad_u, grad_weight = formulation.both(u[:samples], grad[:samples])
    if formulation.restored is not None:
        grad_weight = formulation.restored(grad_weight)
    wanted = ours.both(u[:samples], grad[:samples])
    for got, want in zip((v, grad_u, grad_weight), wanted, strict=True):
        if not torch.allclose(got, want, rtol=1e-3, atol=1e-3 * float(want.abs().max())):
            return "disagrees with polyad"
    return ""


def calls(formulation: Formulation, u: Tensor, grad: Tensor, inference: bool) -> Any:
    """Return what `measure` makes calls with: a pass over the first samples."""

    def make(samples: int) -> harness.Call:
        some, part = u[:samples], grad[:samples]
        if inference:
            return lambda: formulation.inference(some)
        return lambda: formulation.both(some, part)

    return make


def inputs_and_outputs(case: Case) -> int:
    """Bytes of u, the weights, their gradients, v and its gradient."""
    u, weight, v = case.B * case.I * case.K, case.J * case.D * case.K, case.B * case.J * case.D
    return 4 * 2 * (u + (case.types or case.I) * weight + v)


def _memory(here: Run, case: Case, name: str) -> None:
    """Add the peak memory of forward and backward, measured in a process of its own."""
    code = (
        "from polyad.bench.capsule_cases import Case; "
        "from polyad.bench.capsule_routing import print_extra_memory; "
        f"print_extra_memory({name!r}, {case!r}, {here.settings.compile_s!r})"
    )
    row: Row = case.row(MEMORY, name)
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=180, check=True
        )
    except subprocess.TimeoutExpired:
        here.add(row, Timing(rows.OUT_OF_TIME))
        return
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or [f"exit code {error.returncode}"]
        here.add(row, Timing(rows.FAILED, note=lines[-1]))
        return
    if done.stdout.strip() == rows.OUT_OF_MEMORY:
        limit = f"more than {Limits().bytes / 1e9:.0f} GB, or than there is"
        here.add(row, Timing(rows.OUT_OF_MEMORY, note=limit))
        return
    extra, needed = float(done.stdout), inputs_and_outputs(case)
    note = f"beside {needed / 1e6:,.0f} MB in and out"
    here.add(replace(row, extra_bytes=extra, note=note), Timing(rows.MEASURED))


def print_extra_memory(name: str, case: Case, compile_s: float) -> None:
    """Print the bytes that forward and backward need at their peak, over what comes in and out."""
    harness.use_threads(1).__enter__()  # for the life of this process
    if not peers.compiles(name):  # which runs once when it compiles
        small = replace(case, B=2, I=32)
        u, _, grad = small.inputs()
        peers.make(name, small, compile_s).both(u, grad)  # loads what is loaded once
    formulation = peers.make(name, case, compile_s)
    u, _, grad = case.inputs()
    try:
        with harness.memory_limit(Limits().bytes):
            extra, outputs = harness.peak_memory(lambda: formulation.both(u, grad))
    except (MemoryError, RuntimeError) as error:
        if not harness.is_memory(error):
            raise
        print(rows.OUT_OF_MEMORY)
        return
    print(max(0, extra - sum(out.nbytes for out in outputs)))
