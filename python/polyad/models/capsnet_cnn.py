"""The convolutional networks beside which a CapsNet is measured.

model = CapsNetCNN.matched(capsnet)
loss = model.loss(images, labels).total
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from polyad._arrays import require_int
from polyad.models import _safetensors
from polyad.models._capsnet_images import checked_sizes, require_images
from polyad.nn.capsule import multi_hot

__all__ = ["CNNLoss", "CapsNetCNN"]

FORMAT_VERSION = 1
KIND = "polyad.models.CapsNetCNN"
PAPER_WIDTHS = (256, 256, 128, 328, 192)
TOLERANCE = 0.02


class CNNLoss(NamedTuple):
    """What the baseline is trained with; scalars, means over the batch.

    Attributes:
        total: The same as ``cross_entropy``.
        cross_entropy: Of the class; for images of several classes the sum over classes of that of
            being there.
    """

    total: Tensor
    cross_entropy: Tensor


class CapsNetCNN(nn.Module):
    """Three convolutions and two hidden layers, the baseline of the paper.

    h = relu(conv(relu(conv(relu(conv(x))))))
    logits = out(dropout(relu(fc(relu(fc(h))))))

    Convolutions have stride 1 and keep the size of the image, as the paper's 35.4 M parameters at
    28 x 28 imply.

    Args:
        image_size: (height, width).
        channels: C of the images.
        classes: J.
        widths: Channels of the three convolutions, then sizes of the two hidden layers; None: the
            paper's, 256, 256, 128, 328, 192.
        kernel_size: Of the convolutions, odd.
        dropout: Probability with which a number of the last hidden layer is left out.

    Raises:
        TypeError: A size that is not an int.
        ValueError: A size or a probability out of range.

    Source: Sabour, Frosst and Hinton, Dynamic Routing Between Capsules (2017), section 5.
    """

    def __init__(
        self,
        image_size: tuple[int, int] = (28, 28),
        channels: int = 1,
        classes: int = 10,
        *,
        widths: Sequence[int] | None = None,
        kernel_size: int = 5,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        image_size, channels, classes = checked_sizes(image_size, channels, classes)
        self.image_size, self.channels, self.classes = image_size, channels, classes
        given = PAPER_WIDTHS if widths is None else tuple(widths)
        if len(given) != len(PAPER_WIDTHS):
            raise ValueError(f"widths: expected 5 sizes, got {list(given)}")
        self.widths = tuple(require_int(f"widths[{k}]", n, 1) for k, n in enumerate(given))
        kernel_size = require_int("kernel_size", kernel_size, 1)
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size: expected an odd size, got {kernel_size}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout: expected a probability below 1, got {dropout!r}")
        self.kernel_size, self.dropout = kernel_size, dropout
        first, second, third, hidden, last = self.widths
        flat = third * self.image_size[0] * self.image_size[1]

        def convolution(inputs: int, outputs: int) -> nn.Conv2d:
            return nn.Conv2d(inputs, outputs, kernel_size, padding=kernel_size // 2)

        self.layers = nn.Sequential(
            convolution(channels, first),
            nn.ReLU(),
            convolution(first, second),
            nn.ReLU(),
            convolution(second, third),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(flat, hidden),
            nn.ReLU(),
            nn.Linear(hidden, last),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(last, classes),
        )

    @classmethod
    def matched(cls, model: Any, *, parameters: int | None = None, **options: Any) -> CapsNetCNN:
        """Return one with as many parameters as a CapsNet, within 2 %, for the same images.

        The five widths are the paper's times one factor; the first hidden layer takes up what is
        left.

        Args:
            model: A CapsNet, or what else has image_size, channels and classes.
            parameters: How many; None: all of the model's, those of a decoder included.
            **options: kernel_size and dropout.

        Raises:
            ValueError: No such widths exist, because there are too few parameters.
        """
        count = sum(p.numel() for p in model.parameters()) if parameters is None else parameters
        require_int("parameters", count, 1)
        size, channels, classes = model.image_size, model.channels, model.classes
        kernel_size = options.get("kernel_size", 5)
        widths = _matched_widths(count, size, channels, classes, kernel_size)
        return cls(size, channels, classes, widths=widths, **options)

    def settings(self) -> dict[str, Any]:
        """Return what it was made with: ``CapsNetCNN(**model.settings())`` has the same shape."""
        return {
            "image_size": self.image_size,
            "channels": self.channels,
            "classes": self.classes,
            "widths": self.widths,
            "kernel_size": self.kernel_size,
            "dropout": self.dropout,
        }

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [B, J] of images [B, C, H, W] in 0 .. 1.

        Raises:
            TypeError: Images of integers.
            ValueError: A wrong shape.
        """
        require_images(images, self.channels, self.image_size)
        logits: Tensor = self.layers(images)
        return logits

    def loss(self, images: Tensor, targets: Tensor) -> CNNLoss:
        """Return the loss of a batch.

        Args:
            images: [B, C, H, W], in 0 .. 1.
            targets: The class of each, integers [B], for a softmax; or which classes are there, 0
                or 1, [B, J], for a sigmoid of each class.

        Raises:
            TypeError: Classes that are not integers.
            ValueError: A wrong shape, a class that does not exist (on the CPU).
        """
        logits = self(images)
        there = multi_hot(targets, logits)
        if targets.dim() == 1:
            cost = functional.cross_entropy(logits, there)
        else:
            cost = functional.binary_cross_entropy_with_logits(logits, there, reduction="none")
            cost = cost.sum(dim=1).mean()
        return CNNLoss(cost, cost)

    @torch.no_grad()
    def predict(self, images: Tensor, top: int = 1) -> Tensor:
        """Return the likeliest classes: int64 [B], or [B, top] likeliest first."""
        require_int("top", top, 1, self.classes)
        logits = self(images)
        found: Tensor = logits.argmax(dim=1) if top == 1 else logits.topk(top, dim=1).indices
        return found

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write weights and settings to a safetensors file, which appears whole or not at all.

        Raises:
            ImportError: safetensors is missing.
        """
        _safetensors.save(
            self, path, kind=KIND, format_version=FORMAT_VERSION, settings=self.settings()
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> CapsNetCNN:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: The file is no such model, is damaged, or of a newer format.
            ImportError: safetensors is missing.
        """
        return _safetensors.load(cls, path, kind=KIND, format_version=FORMAT_VERSION)


def _count(
    widths: Sequence[int], pixels: int, channels: int, classes: int, kernel_size: int
) -> int:
    area, total, before = kernel_size**2, 0, channels
    for width in widths[:3]:
        total += width * (before * area + 1)
        before = width
    before *= pixels
    for width in (*widths[3:], classes):
        total += width * (before + 1)
        before = width
    return total


def _matched_widths(
    count: int, image_size: tuple[int, int], channels: int, classes: int, kernel_size: int
) -> tuple[int, ...]:
    pixels = image_size[0] * image_size[1]

    def parameters(widths: Sequence[int]) -> int:
        return _count(widths, pixels, channels, classes, kernel_size)

    def scaled(factor: float) -> list[int]:
        return [max(1, round(width * factor)) for width in PAPER_WIDTHS]

    low, high = 0.0, 1.0
    while parameters(scaled(high)) < count:
        high *= 2
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if parameters(scaled(middle)) <= count else (low, middle)
    widths = scaled(low)
    # the count is linear in the size of the first hidden layer
    widths[3] = 1
    one = parameters(widths)
    widths[3] = 2
    each = parameters(widths) - one
    widths[3] = max(1, 1 + round((count - one) / each))
    found = parameters(widths)
    if abs(found - count) > TOLERANCE * count:
        raise ValueError(
            f"parameters: expected enough for a network on {image_size[0]} x {image_size[1]} "
            f"images to have that many within 2 %, got {count}; the nearest has {found}"
        )
    return tuple(widths)
