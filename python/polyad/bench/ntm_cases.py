"""What the cases of the NTM family share: settings, sizes, a layer with its sequences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from polyad.bench import harness
from polyad.bench.harness import Limits
from polyad.bench.rows import Row

if TYPE_CHECKING:
    from torch import Tensor

SEED = 0
LIMITS = Limits(full_s=3.0, budget_s=0.5, most_repetitions=500)
SWEEP_LIMITS = Limits(full_s=3.0, budget_s=0.2, least_repetitions=2, most_repetitions=200)


@dataclass(frozen=True)
class Settings:
    """Sizes and limits of a run.

    Attributes:
        batches: B of the cases with every rival.
        steps: Their T.
        rows: Their N.
        width: M of every case.
        hidden: H of the LSTM that controls every case.
        inputs: I of every case.
        outputs: O of every case.
        sweep_batches: More values of B, beside the eager reference only.
        sweep_steps: Values of T, with the least of ``batches``.
        sweep_rows: Values of N, with ``sweep_batch`` sequences.
        sweep_batch: B while N varies.
        heads: H of the ops of one step.
        limits: For the cases with every rival.
        sweep_limits: For the others.
        compile_s: Seconds that torch.compile may take for a whole sequence; 0 leaves it out.
        compile_step_s: Seconds that it may take for one step.
        memory: Whether to measure the extra memory, in processes of their own.
        rivals_on_all_threads: Whether rivals run with every number of threads, or the first only.
        pytorch_ntm: A checkout of loudinthecloud/pytorch-ntm, or None.
    """

    batches: Sequence[int] = (1, 16, 64)
    steps: int = 41
    rows: int = 128
    width: int = 20
    hidden: int = 100
    inputs: int = 9
    outputs: int = 8
    sweep_batches: Sequence[int] = (4, 256)
    sweep_steps: Sequence[int] = (10, 100, 400)
    sweep_rows: Sequence[int] = (64, 256, 1024, 4096)
    sweep_batch: int = 16
    heads: int = 2
    limits: Limits = LIMITS
    sweep_limits: Limits = SWEEP_LIMITS
    compile_s: float = 60.0
    compile_step_s: float = 300.0
    memory: bool = True
    rivals_on_all_threads: bool = True
    pytorch_ntm: Path | None = None


Run: TypeAlias = harness.Run[Settings]


@dataclass(frozen=True)
class Case:
    """The sizes of one case; one read head and one write head."""

    N: int
    M: int
    H: int
    B: int
    T: int
    inputs: int
    outputs: int
    device: str = "cpu"

    @classmethod
    def of(cls, settings: Settings, **changes: Any) -> Case:
        """Return the case of ``settings`` with ``changes``."""
        base = cls(
            settings.rows,
            settings.width,
            settings.hidden,
            min(settings.batches),
            settings.steps,
            settings.inputs,
            settings.outputs,
        )
        return replace(base, **changes)

    def sizes(self) -> dict[str, int]:
        """The sizes that every row of `scan` states."""
        return {"N": self.N, "M": self.M, "H": self.H, "B": self.B, "T": self.T}

    def row(self, op: str, peer: str = "polyad", **fields: Any) -> Row:
        """Return a row of this case; a step is one of the whole batch."""
        return Row(op, peer, self.sizes(), 1, work=self.T, unit="steps", **fields)

    def layer(self) -> Any:
        """Return our layer; two of them have the same weights."""
        import torch

        from polyad.nn import NTM

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            return NTM(
                self.inputs,
                self.outputs,
                hidden_size=self.H,
                memory_rows=self.N,
                memory_width=self.M,
            ).to(self.device)

    def sequences(self) -> tuple[Tensor, Tensor]:
        """Bits [B, T, I] as float32, and a gradient of the outputs [B, T, O]."""
        import torch

        generator = torch.Generator().manual_seed(SEED)
        inputs = torch.randint(0, 2, (self.B, self.T, self.inputs), generator=generator).float()
        grad = torch.randn(self.B, self.T, self.outputs, generator=generator)
        return inputs.to(self.device), grad.to(self.device)
