"""Cases of the ops of one step, addressing and memory, beside the same in eager torch."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from polyad.bench import harness, ntm_peers, rows
from polyad.bench.harness import Timing, measure
from polyad.bench.ntm_cases import SEED, Run
from polyad.bench.rows import Row

if TYPE_CHECKING:
    from torch import Tensor

OPS = ("content", "interpolate", "shift", "sharpen", "addressing", "read", "write")


@dataclass(frozen=True)
class Step:
    """The arguments of every op of one step, by the names of their signatures; H heads."""

    arguments: dict[str, Any]
    sizes: dict[str, int]

    @classmethod
    def random(cls, batch: int, heads: int, rows: int, width: int) -> Step:
        """Draw arguments within their ranges."""
        import torch

        generator = torch.Generator().manual_seed(SEED)

        def normal(*shape: int) -> Tensor:
            return torch.randn(batch, *shape, generator=generator)

        arguments = {
            "memory": normal(rows, width),
            "key": normal(heads, width),
            "beta": 5 * normal(heads).sigmoid(),
            "content": normal(heads, rows).softmax(-1),
            "previous": normal(heads, rows).softmax(-1),
            "gate": normal(heads).sigmoid(),
            "weights": normal(heads, rows).softmax(-1),
            "kernel": normal(heads, 3).softmax(-1),
            "gamma": 1 + normal(heads).square(),
            "erase": normal(heads, width).sigmoid(),
            "add": normal(heads, width),
        }
        return cls(arguments, {"N": rows, "M": width, "B": batch, "H": heads})

    def of(self, function: Callable[..., Any]) -> list[Tensor]:
        """The arguments that a function of the reference takes by position, as leaves."""
        return [
            self.arguments[name].clone().requires_grad_()
            for name, parameter in inspect.signature(function).parameters.items()
            if parameter.kind is not parameter.KEYWORD_ONLY
        ]


def run(here: Run, op: str) -> None:
    """Measure one op, forward and backward, for every B and number of threads."""
    import torch

    from polyad.ops import ntm as ops
    from polyad.reference import ntm as reference

    ours, eager = getattr(ops, op), getattr(reference, op)
    settings = here.settings
    for batch in settings.batches:
        step = Step.random(batch, settings.heads, settings.rows, settings.width)
        leaves = step.of(eager)
        grad = torch.randn_like(eager(*leaves))

        def both(
            function: Callable[..., Any], leaves: list[Tensor] = leaves, grad: Tensor = grad
        ) -> tuple[Tensor, ...]:
            out = function(*leaves)
            return (out.detach(), *torch.autograd.grad(out, leaves, grad))

        same = all(
            torch.allclose(a, b, rtol=1e-3, atol=1e-3 * float(b.abs().max()))
            for a, b in zip(both(eager), both(ours), strict=True)
        )
        row = Row(
            f"{op} forward+backward",
            ntm_peers.OURS,
            step.sizes,
            1,
            work=batch * settings.heads,
            unit="heads",
        )
        for threads in here.threads:
            for name, function in ((ntm_peers.OURS, ours), (ntm_peers.EAGER, eager)):
                if name == ntm_peers.EAGER and not here.has_rivals(threads):
                    continue
                peer = replace(row, peer=name, threads=threads)
                if name == ntm_peers.EAGER and not same:
                    here.add(peer, Timing(rows.FAILED, note=f"{name}: disagrees with polyad"))
                    continue
                with here.doing(f"{op}, B = {batch}: {name}"), harness.use_threads(threads):
                    here.add(peer, _timed(here, functools.partial(both, function), batch))


def _timed(here: Run, call: harness.Call, batch: int) -> Timing:
    return measure(lambda _: call, batch, here.settings.sweep_limits, step=batch, unit="B")
