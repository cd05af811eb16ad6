"""Optimisers that torch lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

__all__ = ["GravesRMSprop"]


class GravesRMSprop(torch.optim.Optimizer):
    """Step by momentum on gradients over their running deviation (Graves, 2013, equations 38-41).

    n <- decay n + (1 - decay) g^2
    m <- decay m + (1 - decay) g
    d <- momentum d - lr g / sqrt(n - m^2 + eps)
    w <- w + d

    torch.optim.RMSprop(centered=True) divides by sqrt(n - m^2) + eps instead: with eps inside the
    root, a gradient that hardly varies makes steps of at most 1 / sqrt(eps) times its size.

    Args:
        params: As for every optimiser of torch.
        lr: Learning rate, at least 0.
        decay: Of the running means, in 0 .. 1 (1 excluded).
        momentum: In 0 .. 1 (1 excluded).
        eps: Above 0.

    Raises:
        ValueError: A value is out of range.

    Source:
        A. Graves, Generating sequences with recurrent neural networks, arXiv:1308.0850.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-4,
        decay: float = 0.95,
        momentum: float = 0.9,
        eps: float = 1e-4,
    ) -> None:
        if not lr >= 0:
            raise ValueError(f"lr: expected at least 0, got {lr}")
        for name, value in (("decay", decay), ("momentum", momentum)):
            if not 0 <= value < 1:
                raise ValueError(f"{name}: expected 0 <= {name} < 1, got {value}")
        if not eps > 0:
            raise ValueError(f"eps: expected a number above 0, got {eps}")
        super().__init__(params, {"lr": lr, "decay": decay, "momentum": momentum, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step; parameters without a gradient stay.

        Args:
            closure: Computes the loss again, with gradients.

        Returns:
            What the closure returned.

        Raises:
            RuntimeError: A gradient is sparse.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            # foreach wants one device and one dtype in a call
            kinds: dict[tuple[torch.device, torch.dtype], list[Tensor]] = {}
            for parameter in parameters:
                kinds.setdefault((parameter.device, parameter.dtype), []).append(parameter)
            for alike in kinds.values():
                self._step(alike, group)
        return loss

    def _step(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        gradients, squares, means, steps = [], [], [], []
        for parameter in parameters:
            gradient = parameter.grad
            assert gradient is not None
            if gradient.is_sparse:
                raise RuntimeError("GravesRMSprop: expected dense gradients, got a sparse one")
            state = self.state[parameter]
            if not state:
                for name in ("square", "mean", "step"):
                    state[name] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
            gradients.append(gradient)
            squares.append(state["square"])
            means.append(state["mean"])
            steps.append(state["step"])
        decay = group["decay"]
        torch._foreach_mul_(squares, decay)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - decay)
        torch._foreach_lerp_(means, gradients, 1 - decay)
        deviation = torch._foreach_addcmul(squares, means, means, -1)
        # n - m^2 is a variance: below zero only by rounding
        torch._foreach_clamp_min_(deviation, 0.0)
        torch._foreach_add_(deviation, group["eps"])
        torch._foreach_sqrt_(deviation)
        torch._foreach_mul_(steps, group["momentum"])
        torch._foreach_addcdiv_(steps, gradients, deviation, -group["lr"])
        torch._foreach_add_(parameters, steps)
