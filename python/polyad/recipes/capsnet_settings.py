"""Settings with which a CapsNet, and the networks beside it, are trained.

PRESETS["digits"].network, .epochs, .lr ...
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["NETWORKS", "PRESETS", "Preset", "preset", "preset_for"]

NETWORKS = ("capsnet", "cnn", "matched-cnn")
"""What can be trained: a CapsNet, the paper's convolutional network, and one with as many
parameters as the preset's CapsNet."""

SMALL_PICTURES = 16
"""Pictures with a side below it take the preset 'digits' if none is named, others 'small'."""


@dataclass(frozen=True)
class Preset:
    """A network and how it is trained.

    Attributes:
        network: Options of `polyad.models.CapsNet`, of which ``preset`` is one.
        epochs: Passes over the training data.
        batch: Pictures a step.
        lr: Adam's learning rate.
        decay: The learning rate is multiplied by it ...
        decay_steps: ... every so many steps, smoothly.
        cooldown: Share of the steps, the last, over which the learning rate falls linearly to zero.
        shift: Pixels by which training pictures are moved at random, at most, along each axis.
        cnn: Fields that have another value where a convolutional network is trained.
    """

    network: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = 50
    batch: int = 128
    lr: float = 1e-3
    decay: float = 1.0
    decay_steps: int = 2000
    cooldown: float = 0.0
    shift: int = 2
    cnn: Mapping[str, Any] = field(default_factory=dict)

    def settings(self, network: str = "capsnet") -> dict[str, Any]:
        """Return how ``network`` is trained, by name."""
        values = asdict(self)
        changed = values.pop("cnn")
        del values["network"]
        return {**values, **(changed if network != "capsnet" else {})}

    def model(
        self, kind: str, image_size: tuple[int, int], classes: int, seed: int, **options: Any
    ) -> nn.Module:
        """Make a network; its first weights follow from ``seed`` alone.

        Args:
            kind: A name in `NETWORKS`.
            image_size: (height, width).
            classes: How many.
            seed: Of the weights.
            **options: Of the CapsNet, in place of the preset's.

        Raises:
            ValueError: An option has no such value, or pictures are too small.
            TypeError: There is no such option.
        """
        import torch

        from polyad.models import CapsNet

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            capsnet = CapsNet(image_size, 1, classes, **{**self.network, **options})
            if kind == "capsnet":
                return capsnet
            from polyad.models import CapsNetCNN

            if kind == "cnn":
                torch.manual_seed(seed)
                return CapsNetCNN(image_size, 1, classes)
            torch.manual_seed(seed)
            return CapsNetCNN.matched(capsnet)


def rate(plan: Any, step: int, steps: int) -> float:
    """Return the learning rate of a step of ``steps`` in all.

    Args:
        plan: Has lr, decay, decay_steps and cooldown.
        step: From 0.
        steps: In all.
    """
    value: float = plan.lr * plan.decay ** (step / plan.decay_steps)
    if plan.cooldown > 0:
        value *= min(1.0, (steps - step) / (plan.cooldown * steps))
    return value


def optimizer(model: nn.Module, lr: float) -> torch.optim.Optimizer:
    """Make the optimiser that all networks are trained with."""
    import torch

    return torch.optim.Adam(model.parameters(), lr)


AUTHORS: dict[str, Any] = {"batch": 128, "lr": 1e-3, "decay": 0.96, "decay_steps": 2000, "shift": 2}
"""As in the authors' code; the text of the paper names Adam and an exponentially decaying rate."""

PRESETS: dict[str, Preset] = {
    "digits": Preset({"preset": "digits"}, epochs=80, batch=32, lr=2e-3, cooldown=0.7, shift=1),
    "small": Preset({"preset": "small"}, epochs=10, batch=64, lr=1e-3, cooldown=0.7, shift=2),
    "paper": Preset({"preset": "paper"}, epochs=100, **AUTHORS),
    "authors": Preset({"preset": "authors"}, epochs=100, **AUTHORS),
}
"""Presets by name.

'digits' is for 8 x 8 pictures and takes minutes on a processor, 'small' for 28 x 28 on one; 'paper'
and 'authors' are the paper's network and its authors' code, for a GPU.
"""


def preset(name: str) -> Preset:
    """Return a preset.

    Raises:
        ValueError: There is none of that name.
    """
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"preset: expected one of {', '.join(PRESETS)}, got {name!r}{hint}")
    return PRESETS[name]


def preset_for(image_size: tuple[int, int]) -> str:
    """Return the name of the preset that pictures of a size take if none is named."""
    return "digits" if min(image_size) < SMALL_PICTURES else "small"
