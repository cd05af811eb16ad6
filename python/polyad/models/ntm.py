"""A Neural Turing Machine, or the LSTM beside it, as a model of a task of bits.

model = NTM(9, 8, hidden_size=100)
loss = model.loss(task("copy").batch(seed=0, step=0, batch_size=16))
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from polyad import nn as layers
from polyad.data.ntm_tasks import Batch
from polyad.models import _safetensors
from polyad.models._ntm_lstm import SkipLSTM

__all__ = ["NTM"]

FORMAT_VERSION = 1
KIND = "polyad.models.NTM"
NETWORKS: dict[str, Callable[..., nn.Module]] = {"ntm": layers.NTM, "lstm": SkipLSTM}
NATS_OF_A_BIT = 0.6931471805599453


class NTM(nn.Module):
    """Predict bits step by step with a network over sequences.

    cost of a sequence = - sum over counted steps and outputs of
                           log2 P(target),  P(1) = sigmoid(output)

    Args:
        input_size: I, features of a step.
        output_size: O, bits of a target step.
        network: 'ntm' (`polyad.nn.NTM`) or 'lstm' (the paper's baseline: layers that all see the
            input and are all seen by the output).
        **options: Of the network; see `polyad.nn.NTM`. An 'lstm' has hidden_size and num_layers.

    Attributes:
        layer: The network; ``layer(inputs, state, lengths=...)`` gives (logits, state).

    Raises:
        ValueError: There is no such network, or an option has no such value.
        TypeError: The network has no such option.
    """

    def __init__(
        self, input_size: int, output_size: int, *, network: str = "ntm", **options: Any
    ) -> None:
        super().__init__()
        if network not in NETWORKS:
            raise ValueError(f"network: expected 'ntm' or 'lstm', got {network!r}")
        for name, value in (("input_size", input_size), ("output_size", output_size)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}: expected an integer of at least 1, got {value!r}")
        known = inspect.signature(NETWORKS[network]).parameters
        for name in options:
            if name not in known or name in ("device", "dtype"):
                raise TypeError(
                    f"{name}: not an option of the network {network!r}; it has "
                    f"{', '.join(k for k in list(known)[2:] if k not in ('device', 'dtype'))}"
                )
        self._settings = {
            "input_size": input_size, "output_size": output_size, "network": network, **options
        }  # fmt: skip
        self.layer = NETWORKS[network](input_size, output_size, **options)

    def settings(self) -> dict[str, Any]:
        """Return what it was made with: ``NTM(**model.settings())`` is one of the same shape."""
        return dict(self._settings)

    def logits(self, batch: Batch) -> Tensor:
        """Run the sequences of a batch: [B, T, O], zero after their ends."""
        size = self._settings["input_size"]
        if batch.inputs.dim() != 3 or batch.inputs.shape[-1] != size:
            raise ValueError(
                f"batch.inputs: expected [B, T, I] with I = {size}, got {list(batch.inputs.shape)}"
            )
        outputs: Tensor = self.layer(batch.inputs, lengths=batch.lengths)[0]
        if outputs.shape != batch.targets.shape:
            raise ValueError(
                f"batch.targets: expected [B, T, O] = {list(outputs.shape)}, "
                f"got {list(batch.targets.shape)}"
            )
        return outputs

    def forward(self, batch: Batch) -> Tensor:
        """Return the probability that each output is 1, [B, T, O]."""
        return torch.sigmoid(self.logits(batch))

    def bits(self, batch: Batch) -> Tensor:
        """Return the cost of each sequence: cross-entropy summed over its target bits, [B] bits."""
        return _bits(self.logits(batch), batch)

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean cost of a sequence in bits, for training."""
        return self.bits(batch).mean()

    @torch.no_grad()
    def wrong_bits(self, batch: Batch) -> Tensor:
        """Count the target bits of each sequence that are wrong, thresholded at 1/2: int64 [B]."""
        return _wrong_bits(self.logits(batch), batch)

    @torch.no_grad()
    def measure(self, batch: Batch, *, at_once: int = 100) -> tuple[Tensor, Tensor]:
        """Return bits [B] and wrong bits [B] of many sequences, without gradients.

        Args:
            batch: Sequences.
            at_once: How many run together, which bounds the space taken.
        """
        bits, wrong = [], []
        for begin in range(0, len(batch.lengths), at_once):
            part = batch.part(begin, begin + at_once)
            logits = self.logits(part)
            bits.append(_bits(logits, part))
            wrong.append(_wrong_bits(logits, part))
        return torch.cat(bits), torch.cat(wrong)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write weights and settings to a safetensors file, which appears whole or not at all.

        Raises:
            ImportError: safetensors is missing.
        """
        _safetensors.save(
            self, path, kind=KIND, format_version=FORMAT_VERSION, settings=self._settings
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> NTM:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: The file is no such model, is damaged, or of a newer format.
            ImportError: safetensors is missing.
        """
        return _safetensors.load(cls, path, kind=KIND, format_version=FORMAT_VERSION)


def _bits(logits: Tensor, batch: Batch) -> Tensor:
    nats = functional.binary_cross_entropy_with_logits(logits, batch.targets, reduction="none")
    return (nats.sum(-1) * batch.mask).sum(-1) / NATS_OF_A_BIT


def _wrong_bits(logits: Tensor, batch: Batch) -> Tensor:
    wrong = (logits > 0) != (batch.targets > 0.5)
    return (wrong & batch.mask[..., None]).sum((1, 2))
