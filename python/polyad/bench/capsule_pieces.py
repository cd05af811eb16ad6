"""Cases of the other ops of capsules beside the same in eager torch: forward and backward."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from polyad.bench import harness, rows
from polyad.bench.capsule_cases import SEED, Run
from polyad.bench.harness import Timing, measure_in_turn
from polyad.bench.rows import Row

if TYPE_CHECKING:
    from torch import Tensor

OPS = ("squash", "routing_votes", "em_routing")
EAGER = "torch eager"
INPUTS, OUTPUTS, SIZE, POSE = 1152, 10, 16, 4
EM_INPUTS, EM_OUTPUTS = 288, 16  # a window of 3 x 3 over 32 types


def arguments(op: str, batch: int) -> tuple[list[Tensor], dict[str, Any], dict[str, int]]:
    """Return the leaves an op takes by position, its keywords, and the sizes of the case."""
    import torch

    generator = torch.Generator().manual_seed(SEED)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    if op == "squash":
        leaves = [normal(batch, INPUTS, 8)]
        return leaves, {}, {"I": INPUTS, "D": 8, "B": batch}
    if op == "routing_votes":
        leaves = [0.1 * normal(batch, INPUTS, OUTPUTS, SIZE)]
        return leaves, {}, {"I": INPUTS, "J": OUTPUTS, "D": SIZE, "B": batch}
    leaves = [
        normal(batch, EM_INPUTS, POSE * POSE),
        torch.rand(batch, EM_INPUTS, generator=generator),
        0.5 * normal(EM_INPUTS, EM_OUTPUTS, POSE, POSE),
        normal(EM_OUTPUTS),
        normal(EM_OUTPUTS),
    ]
    sizes = {"I": EM_INPUTS, "J": EM_OUTPUTS, "P": POSE * POSE, "B": batch}
    return leaves, {"inverse_temperature": 0.01}, sizes


def run(here: Run, op: str) -> None:
    """Measure one op for every B and number of threads."""
    from polyad.ops import capsule as ops
    from polyad.reference import capsule as reference

    for batch in here.settings.pieces:
        leaves, options, sizes = arguments(op, batch)
        row = Row(f"{op} forward+backward", "polyad", sizes, 1, work=batch, unit="samples")
        both = {
            "polyad": _both(getattr(ops, op), leaves, options),
            EAGER: _both(getattr(reference, op), leaves, options),
        }
        differs = disagreement(both["polyad"](batch)(), both[EAGER](batch)())
        for threads in here.threads:
            peer = replace(row, peer=EAGER, threads=threads)
            if differs:
                here.add(peer, Timing(rows.FAILED, note=f"{EAGER}: {differs}"))
            wanted = dict(both)
            if differs or not here.has_rivals(threads):
                del wanted[EAGER]
            with here.doing(f"{op}, B = {batch}"), harness.use_threads(threads):
                found = measure_in_turn(
                    wanted,
                    batch,
                    here.settings.limits,
                    rounds=here.settings.rounds,
                    steps=dict.fromkeys(wanted, batch),
                    unit="B",
                )
            for name, timing in found.items():
                here.add(replace(row, peer=name, threads=threads), timing)


def disagreement(ours: Any, theirs: Any) -> str:
    """How results differ, or nothing."""
    import torch

    for got, want in zip(theirs, ours, strict=True):
        if not torch.allclose(got, want, rtol=1e-3, atol=1e-3 * float(want.abs().max())):
            return "disagrees with polyad"
    return ""


def _both(
    function: Callable[..., Any], leaves: list[Tensor], options: dict[str, Any]
) -> Callable[[int], harness.Call]:
    """Return what `measure` makes calls with: outputs and gradients of every argument."""
    import torch

    leaves = [leaf.clone().requires_grad_() for leaf in leaves]

    def both() -> tuple[Tensor, ...]:
        found = function(*leaves, **options)
        outputs = list(found) if isinstance(found, tuple) else [found]
        grads = torch.autograd.grad(outputs, leaves, [torch.ones_like(out) for out in outputs])
        return (*(out.detach() for out in outputs), *grads)

    return lambda samples: both
