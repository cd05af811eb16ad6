"""How a Neural Turing Machine is trained: its plan, its steps, the rows of its curve."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchmetrics import MeanMetric

from polyad.data.ntm_tasks import Batch, Task
from polyad.models.ntm import NTM
from polyad.recipes import training
from polyad.recipes.ntm_settings import Preset

__all__ = ["COLUMNS", "Plan", "Training"]

OPTIMISERS = ("graves-rmsprop", "adam")
VALIDATION_SEED = 1
"""Of the held-out sequences that decide when to stop; `evaluate` measures on others."""

AT_ONCE = 100
"""Held-out sequences in a batch."""

COLUMNS = (
    "step",
    "sequences",
    "bits_per_sequence_train",
    "bits_per_sequence",
    "wrong_bits_per_sequence",
    "gradient_norm_largest",
    "seconds",
)


@dataclass(frozen=True)
class Plan:
    """How a model is trained; `settings` goes to settings.json and comes back from it.

    Attributes:
        optimiser: 'graves-rmsprop' or 'adam'.
        lr: Learning rate.
        clip: The norm of the gradient is cut to it.
        batch: Sequences a step.
        sequences: When to stop at the latest.
        cooldown: Share of the sequences, the last, over which the learning rate falls to zero.
        beta2: Adam's memory of squared gradients.
        seed: Of the first weights and of the sequences: step i draws from (seed, i).
        validate_every: Sequences between two rows of the curve.
        validation: Held-out sequences on which a row is measured. On few of them the target is met
            by a model that still fails at one sequence in a hundred.
        target_bits: Stop when two rows in a row are below it; 0: never.
    """

    optimiser: str = "graves-rmsprop"
    lr: float = 1e-4
    clip: float = 10.0
    batch: int = 1
    sequences: int = 20_000
    cooldown: float = 0.0
    beta2: float = 0.999
    seed: int = 0
    validate_every: int = 1000
    validation: int = 1000
    target_bits: float = 0.01

    def __post_init__(self) -> None:
        if self.optimiser not in OPTIMISERS:
            raise ValueError(
                f"optimiser: expected {' or '.join(OPTIMISERS)}, got {self.optimiser!r}"
            )
        for name in ("batch", "sequences", "validate_every", "validation"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}: expected an integer of at least 1, got {value!r}")
        for name in ("lr", "clip"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise ValueError(f"{name}: expected a number above 0, got {value}")
        if not 0 <= self.cooldown <= 1:
            raise ValueError(f"cooldown: expected 0 .. 1, got {self.cooldown}")
        if not 0 <= self.beta2 < 1:
            raise ValueError(f"beta2: expected at least 0 and below 1, got {self.beta2}")
        if not 0 <= self.target_bits < math.inf:
            raise ValueError(f"target_bits: expected at least 0, got {self.target_bits}")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed: expected 0 .. 2**63 - 1, got {self.seed}")

    @property
    def steps(self) -> int:
        """Steps in all, if the target is not met before."""
        return -(-self.sequences // self.batch)

    @property
    def interval(self) -> int:
        """Steps between two rows of the curve."""
        return max(1, round(self.validate_every / self.batch))

    def met(self, rows: Sequence[Mapping[str, float]]) -> bool:
        """Whether the last two rows are below the target."""
        last = [row["bits_per_sequence"] for row in rows[-2:]]
        return len(last) == 2 and max(last) < self.target_bits


class _HeldOut:
    """The held-out sequences, in batches."""

    def __init__(self, of: Training) -> None:
        every = of.task.held_out(of.plan.validation, seed=VALIDATION_SEED)
        self._training = of
        self._parts = [
            every.part(begin, begin + AT_ONCE) for begin in range(0, len(every.lengths), AT_ONCE)
        ]

    def __iter__(self) -> Iterator[Batch]:
        for part in self._parts:
            yield self._training.share(part)

    def __len__(self) -> int:
        return len(self._parts)


class Training(training.Training):
    """A model, its task and its plan.

    Args:
        model: What is trained.
        task: Where the sequences come from: step i draws from Philox(seed, i).
        plan: How.
        state: What `polyad.recipes.training.read_checkpoint` gave, to go on from there.
    """

    model: NTM

    def __init__(
        self, model: NTM, task: Task, plan: Plan, state: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(model, plan.lr, state)
        self.task, self.plan, self.clip = task, plan, plan.clip
        self.held_out_bits, self.held_out_wrong = MeanMetric(), MeanMetric()
        self._preset = Preset(
            optimiser=plan.optimiser, lr=plan.lr, cooldown=plan.cooldown, beta2=plan.beta2
        )

    @property
    def steps(self) -> int:
        """Steps in all, if the target is not met before."""
        return self.plan.steps

    @property
    def interval(self) -> int:
        """Steps between two rows of the curve."""
        return self.plan.interval

    @property
    def columns(self) -> Sequence[str]:
        """The names of a row's numbers."""
        return COLUMNS

    def met(self, rows: Sequence[Mapping[str, float]]) -> bool:
        """Whether the last two rows are below the target."""
        return self.plan.met(rows)

    def optimizer(self) -> torch.optim.Optimizer:
        """Make the optimiser."""
        return self._preset.optimizer(self.model)

    def set_rate(self, optimizer: torch.optim.Optimizer) -> None:
        """Give the optimiser the learning rate of the next step."""
        self._preset.set_rate(optimizer, self.done, self.steps)

    def draw(self, step: int) -> Batch:
        """Return the sequences of a step."""
        return self.task.batch(self.plan.seed, step, self.plan.batch)

    def held_out(self) -> _HeldOut:
        """Return the held-out sequences, in batches."""
        return _HeldOut(self)

    def cut(self, batch: Batch, rank: int, world: int) -> Batch:
        """Return every world-th sequence of a batch."""
        return Batch(*(tensor[rank::world] for tensor in batch))

    def moved(self, batch: Batch, device: torch.device) -> Batch:
        """Return a batch on a device."""
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in batch))

    def loss(self, batch: Batch) -> Tensor:
        """Return bits a sequence."""
        return self.model.loss(batch)

    def cause(self, batch: Batch, loss: float, norm: float) -> str:
        """Name the first quantity of this step that is not finite."""
        with torch.no_grad():
            logits = self.model.logits(batch)
        wrong = (~logits.isfinite()).any(-1).nonzero()
        if len(wrong):
            sequence, at = wrong[wrong[:, 1].argmin()].tolist()
            value = logits[sequence, at][~logits[sequence, at].isfinite()][0].item()
            return f"the output at time step {at} of sequence {sequence} is {value}"
        if not math.isfinite(loss):
            return f"the loss is {loss}, from finite outputs up to {logits.abs().max():.3g}"
        return f"the norm of the gradient is {norm}, while the loss is {loss:.6g} bits"

    def validation_step(self, batch: Batch, index: int) -> None:
        """Measure held-out sequences."""
        try:
            bits, wrong = self.model.measure(batch)
        except (FloatingPointError, ValueError) as error:
            raise self.failure(self.weights_not_finite() or str(error)) from error
        self.held_out_bits.update(bits)
        self.held_out_wrong.update(wrong)

    def row(self, seconds: float) -> dict[str, float]:
        """Return the next row of the curve, and begin the one after it."""
        bits, wrong = float(self.held_out_bits.compute()), float(self.held_out_wrong.compute())
        if not math.isfinite(bits):
            raise self.failure(f"the bits of held-out sequences are {bits}")
        values = (
            self.done,
            self.done * self.plan.batch,
            self.over_steps(self.losses),
            bits,
            wrong,
            self.norm,
            seconds,
        )
        self.held_out_bits.reset()
        self.held_out_wrong.reset()
        self.begin_row()
        return dict(zip(COLUMNS, values, strict=True))

    def report(self) -> dict[str, Any]:
        """Return what progress shows."""
        return {
            "sequences": self.done * self.plan.batch,
            "total": self.steps * self.plan.batch,
            "bits_train": self.losses / self.counted if self.counted else None,
        }
