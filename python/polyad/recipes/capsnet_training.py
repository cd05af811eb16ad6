"""How a CapsNet, or a network beside it, is trained: its plan, its steps, the rows of its curve."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric

from polyad.recipes import capsnet_settings, capsnet_tasks, training
from polyad.recipes.capsnet_tasks import Batch, Task, answers_of, wrong

__all__ = ["Plan", "Training"]

AT_ONCE = 100
"""Held-out pictures in a batch."""

COLUMNS = ("step", "epoch", "loss_train", "error_percent_train")
HELD_OUT = ("error_percent_validation",)
LAST = ("gradient_norm_largest", "seconds")


@dataclass(frozen=True)
class Plan:
    """How a model is trained; `settings` goes to settings.json and comes back from it.

    Attributes:
        epochs: Passes over the training data.
        batch: Pictures a step; what is left of an epoch after whole batches is passed over.
        lr: Adam's learning rate.
        decay: The learning rate is multiplied by it ...
        decay_steps: ... every so many steps, smoothly.
        cooldown: Share of the steps, the last, over which the learning rate falls linearly to zero.
        shift: Pixels by which training pictures are moved at random, at most, along each axis.
        validation: Training pictures that are held out, for choosing: a row is measured on them.
        seed: Of the first weights, the order of the pictures and what is done to them: step i
            draws from (seed, i).
    """

    epochs: int = 50
    batch: int = 128
    lr: float = 1e-3
    decay: float = 1.0
    decay_steps: int = 2000
    cooldown: float = 0.0
    shift: int = 2
    validation: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (
            ("epochs", 1),
            ("batch", 1),
            ("decay_steps", 1),
            ("shift", 0),
            ("validation", 0),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"{name}: expected an integer of at least {least}, got {value!r}")
        if not 0 < self.lr < math.inf:
            raise ValueError(f"lr: expected a number above 0, got {self.lr}")
        if not 0 < self.decay <= 1:
            raise ValueError(f"decay: expected above 0 and up to 1, got {self.decay}")
        if not 0 <= self.cooldown <= 1:
            raise ValueError(f"cooldown: expected 0 .. 1, got {self.cooldown}")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed: expected 0 .. 2**63 - 1, got {self.seed}")


class _HeldOut:
    """The pictures that are held out of the training data, in batches."""

    def __init__(self, of: Training) -> None:
        self._training = of

    def __iter__(self) -> Iterator[Batch]:
        for batch in self._training.task.batches(self._training.task.held_out, AT_ONCE):
            yield self._training.share(batch)

    def __len__(self) -> int:
        return -(-self._training.plan.validation // AT_ONCE)


class Training(training.Training):
    """A model, its task and its plan.

    Args:
        model: What is trained.
        task: Where the pictures come from; step i's are a function of (seed, i).
        plan: How.
        state: What `polyad.recipes.training.read_checkpoint` gave, to go on from there.

    Attributes:
        wrong: Pictures answered wrongly while training, since the last row, and the share of them
            in each step, summed.
    """

    def __init__(
        self, model: nn.Module, task: Task, plan: Plan, state: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(model, plan.lr, state)
        self.task, self.plan = task, plan
        self.held_out_wrong = MeanMetric()
        self.wrong = 0.0 if state is None else float(state["polyad"]["wrong"])
        self._random = any(isinstance(module, nn.Dropout) for module in model.modules())
        self._answers: Tensor | None = None
        model.register_forward_hook(self._keep_answers)

    @property
    def steps(self) -> int:
        """Steps in all."""
        return self.plan.epochs * self.interval

    @property
    def interval(self) -> int:
        """Steps of an epoch; then comes a row of the curve."""
        return len(self.task) // self.plan.batch

    @property
    def columns(self) -> Sequence[str]:
        """The names of a row's numbers."""
        return (*COLUMNS, *(HELD_OUT if self.plan.validation else ()), *LAST)

    def optimizer(self) -> torch.optim.Optimizer:
        """Make the optimiser."""
        return capsnet_settings.optimizer(self.model, self.plan.lr)

    def set_rate(self, optimizer: torch.optim.Optimizer) -> None:
        """Give the optimiser the learning rate of the next step."""
        rate = capsnet_settings.rate(self.plan, self.done, self.steps)
        for group in optimizer.param_groups:
            group["lr"] = rate

    def draw(self, step: int) -> Batch:
        """Return the pictures of a step."""
        return self.task.batch(self.plan.seed, step, self.plan.batch, self.plan.shift)

    def held_out(self) -> _HeldOut | None:
        """Return the pictures that are held out, in batches."""
        return _HeldOut(self) if self.plan.validation else None

    def cut(self, batch: Batch, rank: int, world: int) -> Batch:
        """Return every world-th picture of a batch."""
        return batch.map(lambda tensor: tensor[rank::world])

    def moved(self, batch: Batch, device: torch.device) -> Batch:
        """Return a batch on a device."""
        return batch.map(lambda tensor: tensor.to(device, non_blocking=True))

    def _keep_answers(self, model: nn.Module, given: Any, found: Any) -> None:
        """See what the loss sees: its own forward pass gives the answers as well."""
        self._answers = answers_of(found).detach()

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss, and count what was answered wrongly.

        Dropout, where there is any, draws from (seed, step, process).
        """
        if self._random:
            devices = [self.device] if self.device.type == "cuda" else []
            with torch.random.fork_rng(devices=devices):
                torch.manual_seed(_mixed(self.plan.seed, self.done, self.global_rank))
                total = capsnet_tasks.loss(self.model, batch)
        else:
            total = capsnet_tasks.loss(self.model, batch)
        assert self._answers is not None
        self.wrong += float(wrong(self._answers, batch.targets).double().mean())
        return total

    def cause(self, batch: Batch, loss: float, norm: float) -> str:
        """Name the first quantity of this step that is not finite."""
        with torch.no_grad():
            answers = answers_of(self.model(batch.images))
        at = (~answers.isfinite()).nonzero()
        if len(at):
            picture, label = at[0].tolist()
            value = answers[picture, label].item()
            return f"the answer for class {label} of picture {picture} is {value}"
        if not math.isfinite(loss):
            return f"the loss is {loss}, from finite answers up to {answers.abs().max():.3g}"
        return f"the norm of the gradient is {norm}, while the loss is {loss:.6g}"

    def validation_step(self, batch: Batch, index: int) -> None:
        """Measure pictures that are held out."""
        try:
            answers = answers_of(self.model(batch.images))
        except (FloatingPointError, ValueError) as error:
            raise self.failure(self.weights_not_finite() or str(error)) from error
        self.held_out_wrong.update(wrong(answers, batch.targets).double())

    def row(self, seconds: float) -> dict[str, float]:
        """Return the next row of the curve, and begin the one after it."""
        held_out = (100 * float(self.held_out_wrong.compute()),) if self.plan.validation else ()
        values = (
            self.done,
            self.done / self.interval,
            self.over_steps(self.losses),
            100 * self.over_steps(self.wrong),
            *held_out,
            self.norm,
            seconds,
        )
        self.held_out_wrong.reset()
        self.begin_row()
        return dict(zip(self.columns, values, strict=True))

    def begin_row(self) -> None:
        """Begin to sum for the next row."""
        super().begin_row()
        self.wrong = 0.0

    def kept(self) -> dict[str, Any]:
        """Return what a checkpoint must hold besides weights, optimiser and counts."""
        return {"wrong": self.wrong}

    def report(self) -> dict[str, Any]:
        """Return what progress shows."""
        return {
            "step": self.done,
            "epoch": self.done / self.interval,
            "epochs": self.plan.epochs,
            "pictures": self.done * self.plan.batch,
            "total": self.steps * self.plan.batch,
            "loss": self.losses / self.counted if self.counted else None,
            "error_percent": 100 * self.wrong / self.counted if self.counted else None,
        }


def _mixed(seed: int, step: int, rank: int) -> int:
    """A seed for torch that differs in all three."""
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0])
