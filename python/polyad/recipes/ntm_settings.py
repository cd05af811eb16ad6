"""Settings with which every task of the Neural Turing Machine is learned.

PRESETS["copy"]["small"].network, .lr, .batch ...
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from polyad.data.ntm_tasks import Task
    from polyad.models import NTM

__all__ = ["PRESETS", "Preset", "preset"]


@dataclass(frozen=True)
class Preset:
    """A network and how it is trained.

    Attributes:
        network: Options of `polyad.models.NTM`.
        optimiser: 'graves-rmsprop' or 'adam'.
        lr: Learning rate.
        clip: The norm of the gradient is cut to it.
        batch: Sequences a step.
        sequences: When to stop at the latest.
        cooldown: Share of the sequences, the last, over which the learning rate falls linearly to
            zero.
        beta2: Adam's memory of squared gradients.
    """

    network: Mapping[str, Any] = field(default_factory=dict)
    optimiser: str = "graves-rmsprop"
    lr: float = 1e-4
    clip: float = 10.0
    batch: int = 1
    sequences: int = 100_000
    cooldown: float = 0.0
    beta2: float = 0.999

    def settings(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)

    def model(self, task: Task, seed: int) -> NTM:
        """Make the model of a task; its first weights follow from ``seed`` alone."""
        import torch

        from polyad.models import NTM

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return NTM(task.input_size, task.output_size, **self.network)

    def optimizer(self, model: NTM) -> torch.optim.Optimizer:
        """Make the optimiser of a model."""
        import torch

        from polyad.optim import GravesRMSprop

        if self.optimiser == "adam":
            return torch.optim.Adam(model.parameters(), self.lr, betas=(0.9, self.beta2))
        return GravesRMSprop(model.parameters(), self.lr)

    def set_rate(self, optimizer: torch.optim.Optimizer, step: int, steps: int) -> None:
        """Give an optimiser the learning rate of a step of ``steps`` in all."""
        if self.cooldown > 0:
            for group in optimizer.param_groups:
                group["lr"] = self.lr * min(1.0, (steps - step) / (self.cooldown * steps))


def _feedforward(heads: int, hidden: int, **training: Any) -> Preset:
    network = {"controller": "feedforward", "hidden_size": hidden, "epsilon": EPSILON}
    return Preset(network | {"read_heads": heads, "write_heads": heads}, **training)


def _with_lstm(heads: int, layers: int = 1, **training: Any) -> Preset:
    network = {"controller": "lstm", "hidden_size": 100, "num_layers": layers, "epsilon": EPSILON}
    return Preset(network | {"read_heads": heads, "write_heads": heads}, **training)


def _lstm(hidden: int, **training: Any) -> Preset:
    return Preset({"network": "lstm", "hidden_size": hidden, "num_layers": 3}, **training)


EPSILON = 1e-2
"""Under the norms of the cosine. With 1e-6, unwritten rows of 1e-6 turn slowly but their gradients
are a thousand times too large: some seeds that learn with 1e-2 do not learn with 1e-6."""

QUICK: dict[str, Any] = {"lr": 1e-3, "clip": 1.0, "batch": 8}
STEADY: dict[str, Any] = {"lr": 3e-4, "clip": 1.0, "batch": 4}
ADAM: dict[str, Any] = {
    "optimiser": "adam", "beta2": 0.98, "clip": 10.0, "batch": 16, "cooldown": 1.0
}  # fmt: skip
SLOW: dict[str, Any] = {"lr": 1e-4, "clip": 10.0, "batch": 1}
"""As in the paper, which cut every component of the gradient to -10 .. 10; here its norm is."""

SLOWER = SLOW | {"lr": 3e-5}

SMALL_RECALL: dict[str, Any] = {
    "controller": "lstm", "hidden_size": 100, "memory_init": "learned", "epsilon": EPSILON
}  # fmt: skip
# One row for each of the 32 contexts and some to spare; counting needs no walk along the rows.
SMALL_N_GRAMS: dict[str, Any] = {
    "controller": "lstm", "hidden_size": 64, "memory_rows": 64, "memory_init": "learned",
    "shift_width": 1, "head_activation": "tanh", "epsilon": EPSILON
}  # fmt: skip
SMALL_SORT: dict[str, Any] = {
    "controller": "feedforward", "hidden_size": 128, "memory_rows": 32, "read_heads": 4,
    "write_heads": 2, "memory_init": "learned", "weights_init": "learned",
    "head_activation": "tanh", "epsilon": EPSILON
}  # fmt: skip

PRESETS: dict[str, dict[str, Preset]] = {
    "copy": {
        "small": _feedforward(1, 100, sequences=20_000, **QUICK),
        "paper-ff": _feedforward(1, 100, sequences=100_000, **SLOW),
        "paper-lstm": _with_lstm(1, sequences=100_000, **SLOW),
        "lstm": _lstm(256, sequences=1_000_000, **SLOWER),
    },
    "repeat-copy": {
        "small": _with_lstm(1, sequences=60_000, cooldown=0.4, **STEADY),
        "paper-ff": _feedforward(1, 100, sequences=200_000, **SLOW),
        "paper-lstm": _with_lstm(1, sequences=200_000, **SLOW),
        "lstm": _lstm(512, sequences=500_000, **SLOWER),
    },
    "associative-recall": {
        "small": Preset(
            SMALL_RECALL, optimiser="adam", lr=1e-3, batch=4, cooldown=0.4, sequences=40_000
        ),
        "paper-ff": _feedforward(4, 256, sequences=100_000, **SLOW),
        "paper-lstm": _with_lstm(1, sequences=100_000, **SLOW),
        "lstm": _lstm(256, sequences=1_000_000, **SLOW),
    },
    "n-grams": {
        "small": Preset(SMALL_N_GRAMS, lr=7e-3, sequences=100_000, **ADAM),
        "paper-ff": _feedforward(1, 100, sequences=400_000, **SLOWER),
        "paper-lstm": _with_lstm(1, sequences=400_000, **SLOWER),
        "lstm": _lstm(128, sequences=400_000, **SLOW),
    },
    "priority-sort": {
        "small": Preset(SMALL_SORT, lr=5e-3, sequences=100_000, **ADAM),
        "small-lstm": _lstm(128, lr=3e-3, sequences=100_000, **ADAM),
        "paper-ff": _feedforward(8, 512, sequences=500_000, **SLOWER),
        "paper-lstm": _with_lstm(5, 2, sequences=500_000, **SLOWER),
        "lstm": _lstm(128, sequences=500_000, **SLOWER),
    },
}
"""Presets by task and name.

'small' is learned in minutes on a processor; 'paper-ff' and 'paper-lstm' are the controllers, heads
and learning rates of the paper's tables 1 and 2, 'lstm' those of table 3.
"""


def preset(task: str, name: str) -> Preset:
    """Return a preset.

    Raises:
        ValueError: There is no such task, or it has no such preset.
    """
    for what, given, known in (("task", task, PRESETS), ("preset", name, PRESETS.get(task, {}))):
        if given not in known:
            near = difflib.get_close_matches(given, known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"{what}: expected one of {', '.join(known)}, got {given!r}{hint}")
    return PRESETS[task][name]
