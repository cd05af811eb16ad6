"""The capsule family: what is measured, what is stated about it, and its figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console

from polyad.bench import (
    capsule_cuda,
    capsule_network,
    capsule_pieces,
    capsule_routing,
    harness,
)
from polyad.bench import capsule_peers as peers
from polyad.bench.capsule_cases import Case, Run, Settings
from polyad.bench.capsule_routing import BOTH, MEMORY
from polyad.bench.harness import Limits
from polyad.bench.rows import Claim, Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OPS = ("routing", "network", *capsule_pieces.OPS)

FULL = Settings()
QUICK = Settings(
    main=(Case(32),),
    others=(Case(1),),
    large=(),
    memory=(),
    claimed=Case(32),
    pieces=(32,),
    network=(),
    limits=Limits(full_s=2.0, budget_s=0.1),
    rounds=3,
    compile_s=0.0,
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
        "gradients of u and of the weights; formulations take turns; 'processor' is processor time "
        "of all threads together; blocks: a loop over blocks of samples, whose gradients add up"
    )
    if op in (None, "routing"):
        capsule_routing.routing(here)
    if op in (None, "network"):
        capsule_network.run(here)
    for name in capsule_pieces.OPS:
        if op in (None, name):
            capsule_pieces.run(here, name)
    missing = harness.cuda_missing()
    if missing is not None:
        here.remarks.append(f"cuda: skipped, {missing}")
    elif op in (None, "routing"):
        capsule_cuda.run(here)
    order = {name: place for place, name in enumerate(dict.fromkeys(row.op for row in here.rows))}
    here.rows.sort(
        key=lambda row: (
            order[row.op],
            *row.sizes.values(),
            row.device,
            row.threads,
            row.peer != peers.OURS,
        )
    )
    return here.rows, here.remarks


def claims(settings: Settings, measured: Sequence[Row]) -> list[Claim]:
    """The ratios that this project states, from one run: processor times of one thread."""
    case = settings.claimed
    result = []
    for threads in (1, 2):
        found = {
            row.peer: row
            for row in measured
            if row.op == case.op(BOTH)
            and dict(row.sizes) == case.sizes()
            and (row.threads, row.device) == (threads, "cpu")
            and row.spent_s is not None
        }
        if peers.OURS not in found:
            continue
        blocks = [name for name in found if peers.BLOCKS in name]
        compiled = [name for name in blocks if peers.compiles(name)]
        stated: list[tuple[Sequence[str], str, float | None]] = [
            (tuple(peers.COMPILED_PEERS), "the best torch.compile", 3),
            (peers.EAGER, "the best eager torch", 8),
            ((peers.EINSUM,), "", None),
            ((peers.POPULAR,), "", 15),
            ([name for name in blocks if name not in compiled], "the best eager in blocks", None),
            (compiled, "the best torch.compile in blocks", None),
        ]
        for names, words, required in stated:
            rivals = [found[name] for name in names if name in found]
            if not rivals:
                continue
            best = min(rivals, key=_seconds)
            who = f"{words}, {best.peer}," if words else best.peer
            text = f"{case.op(BOTH)}: {who} / polyad; {_where(case)}, {_threads(threads)}"
            # what is stated is about this case and one thread
            least = required if threads == 1 and case == FULL.claimed else None
            ours = found[peers.OURS]
            result.append(Claim.of(text, least, ours, best, by_processor=threads == 1))
    return [*result, *_memory_claims(settings, measured)]


def _memory_claims(settings: Settings, measured: Sequence[Row]) -> list[Claim]:
    """The extra memory of the case that claims are about, and all of the large ones."""
    stated = [(settings.claimed, 16e6, False), *((case, 3e9, True) for case in settings.large)]
    result = []
    for case, limit, whole in stated:
        for row in measured:
            mine = (row.op, row.peer) == (case.op(MEMORY), peers.OURS)
            if not mine or dict(row.sizes) != case.sizes() or row.extra_bytes is None:
                continue
            taken = row.extra_bytes + whole * capsule_routing.inputs_and_outputs(case)
            kind = "memory with inputs and gradients" if whole else "extra memory"
            text = f"{limit / 1e6:,.0f} MB / {kind} of polyad; {_where(case)}"
            result.append(Claim(text, 1, limit / max(taken, 1.0), None, None))
    return result


def _seconds(row: Row) -> float:
    """Processor time on one thread, else the clock's."""
    return (row.spent_s if row.threads == 1 else row.median_s) or float("inf")


def _where(case: Case) -> str:
    return f"I={case.I:,} J={case.J} B={case.B}"


def _threads(count: int) -> str:
    return f"{count} thread{'s' if count > 1 else ''}"


def figure(settings: Settings, measured: Sequence[Row], machine: Mapping[str, Any]) -> Figure:
    """Cost of `routing` against B and I, and its memory against B."""
    from polyad.bench import plot

    least = min((row.threads for row in measured), default=1)
    base = settings.claimed

    def panel(title: str, label: str, size: str, op: str) -> plot.Panel:
        fixed = {name: value for name, value in base.sizes().items() if name != size}
        found = [
            row
            for row in measured
            if row.op == base.op(op)
            and peers.BLOCKS not in row.peer
            and (row.device == "cpu" and row.threads in (least, 1))
            and {name: value for name, value in row.sizes.items() if name != size} == fixed
        ]
        # a rival that was not run while this size varied is no line
        several = {
            peer
            for peer in {row.peer for row in found}
            if len({row.sizes[size] for row in found if row.peer == peer}) > 1
        }
        found = [row for row in found if row.peer in several]
        if op == MEMORY:
            return plot.Panel(title, label, size, found, "extra_bytes", "extra bytes of one call")
        return plot.Panel(title, label, size, found, "spent_s", "processor seconds of one call")

    panels = [
        panel(f"I = {base.I:,}", "samples B", "B", BOTH),
        panel(f"B = {base.B}", "capsules below I", "I", BOTH),
        panel(f"I = {base.I:,}", "samples B", "B", MEMORY),
    ]
    title = f"{base.op(BOTH)}, J = {base.J}, K = {base.K}, D = {base.D}, {_threads(least)}"
    drawn = [each for each in panels if each.rows]
    return plot.cost(title, drawn or panels[:1], f"{machine['cpu']}, {machine['isa']}")
