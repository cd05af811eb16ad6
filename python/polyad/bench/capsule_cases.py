"""What the cases of the capsule family share: settings, sizes, options, inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from polyad.bench import harness
from polyad.bench.harness import Limits
from polyad.bench.rows import Row

if TYPE_CHECKING:
    from torch import Tensor

SEED = 0


@dataclass(frozen=True)
class Case:
    """The sizes and options of one case; `polyad.ops.capsule.routing` says what they mean."""

    B: int
    I: int = 1152  # noqa: E741 - the letter of the formulas
    J: int = 10
    D: int = 16
    K: int = 8
    r: int = 3
    leaky: bool = False
    detach: bool = False
    types: int = 0  # shared weights; 0: every input has its own
    device: str = "cpu"

    def sizes(self) -> dict[str, int]:
        """The sizes that every row of `routing` states."""
        return {"I": self.I, "J": self.J, "D": self.D, "K": self.K, "B": self.B}

    def op(self, name: str) -> str:
        """``name`` and what is not the paper's about this case."""
        told = {
            f"{self.r} iterations": self.r != 3,
            "leaky": self.leaky,
            "detached": self.detach,
            f"{self.types} types": bool(self.types),
        }
        return ", ".join([name, *(text for text, said in told.items() if said)])

    def row(self, name: str, peer: str = "polyad", **fields: Any) -> Row:
        """Return a row of this case."""
        return Row(self.op(name), peer, self.sizes(), 1, work=self.B, unit="samples", **fields)

    def votes_bytes(self) -> int:
        """Bytes of the votes [B, I, J, D], which others store."""
        return 4 * self.B * self.I * self.J * self.D

    def options(self) -> dict[str, Any]:
        """The keyword arguments of `routing`."""
        import torch

        kind = None
        if self.types:
            each = -(-self.I // self.types)
            kind = torch.arange(self.types, dtype=torch.int32).repeat_interleave(each)[: self.I]
            kind = kind.to(self.device)
        return {
            "iterations": self.r,
            "leaky": self.leaky,
            "detach": self.detach,
            "capsule_type": kind,
        }

    def inputs(self) -> tuple[Tensor, Tensor, Tensor]:
        """Capsules u [B, I, K] of length 1/2, weight [I or types, J, D, K], gradient [B, J, D]."""
        import torch

        generator = torch.Generator().manual_seed(SEED)
        u = torch.randn(self.B, self.I, self.K, generator=generator)
        u *= 0.5 / torch.linalg.vector_norm(u, dim=-1, keepdim=True)
        weight = torch.randn(self.types or self.I, self.J, self.D, self.K, generator=generator)
        grad = torch.randn(self.B, self.J, self.D, generator=generator)
        return u.to(self.device), weight.mul_(0.1).to(self.device), grad.to(self.device)


@dataclass(frozen=True)
class Settings:
    """Cases and limits of a run.

    Attributes:
        main: Cases with every rival, forward and backward.
        in_blocks: Of `main`, those with rivals in blocks of samples, too.
        threaded: Cases with rivals for every number of threads, not the first only.
        others: Cases beside the plainest rivals, forward and backward, and without gradients.
        large: Cases whose votes take gigabytes, beside rivals that may not fit.
        memory: Cases whose extra memory is measured, in processes of their own.
        claimed: The case that the stated ratios are about.
        blocks: Samples of a block where a rival works in blocks.
        pieces: B of the other ops, beside the reference.
        network: B of the steps of a whole network.
        preset: Which `polyad.models.CapsNet`.
        limits: For `main` and `others`.
        large_limits: For `large`.
        rounds: How often each formulation of a case has its turn.
        compile_s: Seconds that torch.compile may take; 0 leaves it out.
        rivals_on_all_threads: Whether rivals run with every number of threads, or the first only.
    """

    main: Sequence[Case] = (
        Case(32),
        Case(128),
        Case(32, detach=True),
        Case(128, detach=True),
        Case(32, I=9216),
    )
    in_blocks: Sequence[Case] = (Case(128), Case(128, detach=True))
    threaded: Sequence[Case] = (Case(32), Case(128))
    others: Sequence[Case] = (
        Case(1),
        Case(16),
        Case(64),
        Case(128, I=9216),
        Case(32, leaky=True),
        Case(32, types=32),
        Case(4608, I=72, J=16),
        Case(4608, I=72, J=32),
    )
    large: Sequence[Case] = (Case(128, I=3872, J=196),)
    memory: Sequence[Case] = (
        Case(16),
        Case(32),
        Case(128),
        Case(128, I=9216),
        Case(128, I=3872, J=196),
    )
    claimed: Case = Case(128)
    blocks: Sequence[int] = (16, 32)
    pieces: Sequence[int] = (32, 128)
    network: Sequence[int] = (32, 128)
    preset: str = "paper"
    limits: Limits = field(default_factory=lambda: Limits(full_s=20.0, budget_s=1.0))
    large_limits: Limits = field(
        default_factory=lambda: Limits(full_s=20.0, budget_s=0.0, least_repetitions=2)
    )
    rounds: int = 5
    compile_s: float = 120.0
    rivals_on_all_threads: bool = True

    def on(self, device: str) -> Sequence[Case]:
        """The cases that are measured on another device than the CPU."""
        some = [*self.main, *(case for case in self.others if case.B > 1), *self.large]
        return [replace(case, device=device) for case in some]


Run: TypeAlias = harness.Run[Settings]
