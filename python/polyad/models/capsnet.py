"""CapsNet: pictures to one capsule per class, whose length says how sure it is.

Of Sabour, Frosst and Hinton, Dynamic Routing Between Capsules (2017).

model = CapsNet((28, 28), preset="authors")
loss = model.loss(images, labels).total
"""

from __future__ import annotations

import dataclasses
import os
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from polyad._arrays import require_int
from polyad.models import _safetensors
from polyad.models._capsnet_images import checked_sizes, require_images
from polyad.models._capsnet_options import PRESETS, Options, chosen
from polyad.nn.capsule import DenseCapsule, MarginLoss, PrimaryCapsule, multi_hot

__all__ = ["PRESETS", "CapsNet", "CapsNetOutput", "Loss"]

FORMAT_VERSION = 1
KIND = "polyad.models.CapsNet"
PERTURBATIONS = tuple(k / 20 for k in range(-5, 6))
"""What the paper's figure 4 adds to one number of a capsule: -0.25 to 0.25 in steps of 0.05."""


class CapsNetOutput(NamedTuple):
    """What a CapsNet says of a batch of images.

    Attributes:
        v: [B, J, D], the capsules of the classes.
        lengths: [B, J], their lengths, below 1.
    """

    v: Tensor
    lengths: Tensor


class Loss(NamedTuple):
    """What a CapsNet is trained with; scalars, means over the batch.

    Attributes:
        total: margin + (option reconstruction) * reconstruction.
        margin: See `polyad.nn.MarginLoss`.
        reconstruction: The sum of squared errors of the pixels of an image; 0 without a decoder.
    """

    total: Tensor
    margin: Tensor
    reconstruction: Tensor


class CapsNet(nn.Module):
    """A convolution, primary capsules, and a capsule per class, found by agreement.

    h = relu(conv(x)),    u = primary(h),    v = routing(u)
    loss = margin(|v|) + reconstruction * sum of squares of (decoder(v of the true class) - x)

    Args:
        image_size: (height, width).
        channels: C of the images.
        classes: J.
        preset: 'paper' (its text), 'authors' (their code, which differs), 'small' (28 x 28 on a
            CPU) or 'digits' (8 x 8).
        **options: Instead of the preset's; the attributes of `polyad.models.CapsNet.options`:
            conv_channels, conv_kernel, conv_stride, conv_padding, types, primary_size,
            primary_kernel, primary_stride, primary_padding, scale_primary, output_size,
            iterations, method, leaky, detach, bias, learn_logits, share_weights, init, init_scale,
            margin_scale, margin_class_mean, reconstruction, decoder_sizes.

    Attributes:
        options: All options, with their values.
        primary_shape: (types, H', W') of the primary capsules.

    Raises:
        TypeError: There is no such option, or it has another type.
        ValueError: There is no such preset, an option has no such value, or the images are too
            small for the convolutions.

    Sources: Sabour, Frosst and Hinton, Dynamic Routing Between Capsules (2017); their code,
    research/capsules of Sarasra/models on GitHub.
    """

    def __init__(
        self,
        image_size: tuple[int, int] = (28, 28),
        channels: int = 1,
        classes: int = 10,
        *,
        preset: str = "paper",
        **options: Any,
    ) -> None:
        super().__init__()
        image_size, channels, classes = checked_sizes(image_size, channels, classes)
        self.image_size, self.channels, self.classes = image_size, channels, classes
        self.preset = preset
        self.options = o = chosen(preset, options)
        between = [_require_fits(side, self.image_size, o) for side in self.image_size]

        self.conv = nn.Conv2d(
            channels, o.conv_channels, o.conv_kernel, o.conv_stride, o.conv_padding
        )
        self.primary = PrimaryCapsule(
            o.conv_channels,
            o.types,
            o.primary_size,
            o.primary_kernel,
            o.primary_stride,
            o.primary_padding,
            scale=1 / (o.types + o.leaky) if o.scale_primary else 1.0,
        )
        self.primary_shape = self.primary.capsules(between[0], between[1])
        types, height, width = self.primary_shape
        self.capsules = DenseCapsule(
            types * height * width,
            o.primary_size,
            classes,
            o.output_size,
            iterations=o.iterations,
            method=o.method,
            leaky=o.leaky,
            detach=o.detach,
            bias=o.bias,
            learn_logits=o.learn_logits,
            capsule_type=(np.arange(types).repeat(height * width) if o.share_weights else None),
            init_scale=o.init_scale,
        )
        self.margin = MarginLoss(scale=o.margin_scale, class_mean=o.margin_class_mean)
        self.decoder = _decoder(classes * o.output_size, o, channels, self.image_size)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw new weights, as option ``init`` says."""
        self.capsules.reset_parameters()
        linear = [m for m in self.decoder or () if isinstance(m, nn.Linear)]
        others: list[nn.Conv2d | nn.Linear | PrimaryCapsule] = [self.conv, self.primary, *linear]
        for module in others:
            module.reset_parameters()
            if self.options.init == "truncated":
                std = 0.05 if module is self.conv else 0.1
                nn.init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std)
                if module.bias is not None:
                    nn.init.constant_(module.bias, 0.1)

    def settings(self) -> dict[str, Any]:
        """Return what it was made with: ``CapsNet(**model.settings())`` is one of the same shape.

        Every option is there, so that a preset that changes later changes no saved model.
        """
        return {
            "image_size": self.image_size,
            "channels": self.channels,
            "classes": self.classes,
            "preset": self.preset,
            **dataclasses.asdict(self.options),
        }

    def primary_capsules(self, images: Tensor) -> Tensor:
        """Return the primary capsules u [B, I, K], by type, then y, then x.

        Raises:
            TypeError: Images of integers.
            ValueError: A wrong shape.
        """
        require_images(images, self.channels, self.image_size)
        u: Tensor = self.primary(functional.relu(self.conv(images)))
        return u

    def forward(self, images: Tensor) -> CapsNetOutput:
        """Return the capsules of the classes and their lengths.

        Args:
            images: [B, C, H, W], in 0 .. 1.

        Raises:
            TypeError: Images of integers.
            ValueError: A wrong shape.
        """
        v = self.capsules(self.primary_capsules(images))
        return CapsNetOutput(v, torch.linalg.vector_norm(v, dim=-1))

    def loss(
        self,
        images: Tensor,
        targets: Tensor,
        *,
        parts: Tensor | None = None,
        part_classes: Tensor | None = None,
    ) -> Loss:
        """Return the loss of a batch and what it is made of.

        Args:
            images: [B, C, H, W], in 0 .. 1.
            targets: The class of each, integers [B]; or which classes are there, 0 or 1, [B, J].
            parts: [B, P, C, H, W], what each object of an image looks like alone. The decoder then
                reconstructs each from the capsule of its class, and errors add up. None: it
                reconstructs the image from the capsules of all classes that are there.
            part_classes: Integers [B, P], the classes of ``parts``.

        Raises:
            TypeError: Classes that are not integers, one of ``parts`` and its classes alone.
            ValueError: A wrong shape, a class that does not exist (on the CPU).
        """
        v, lengths = self(images)
        margin = self.margin(lengths, targets)
        if self.decoder is None:
            return Loss(margin, margin, torch.zeros_like(margin))
        if (parts is None) != (part_classes is None):
            missing = "parts" if parts is None else "part_classes"
            raise TypeError(f"{missing}: expected with the other of parts and part_classes")
        if parts is None or part_classes is None:
            error = (self.reconstruct(v, targets) - images).square().sum() / len(images)
        else:
            count = _checked_parts(parts, part_classes, images)
            made = self.reconstruct(
                v.repeat_interleave(count, dim=0), part_classes.reshape(-1)
            ).view_as(parts)
            error = (made - parts).square().sum() / len(images)
        return Loss(margin + self.options.reconstruction * error, margin, error)

    @torch.no_grad()
    def predict(self, images: Tensor, top: int = 1) -> Tensor:
        """Return the classes with the longest capsules: int64 [B], or [B, top] longest first."""
        lengths = self(images).lengths
        require_int("top", top, 1, self.classes)
        found: Tensor = lengths.argmax(dim=1) if top == 1 else lengths.topk(top, dim=1).indices
        return found

    def reconstruct(self, v: Tensor, classes: Tensor | None = None) -> Tensor:
        """Return images [B, C, H, W] in 0 .. 1, decoded from capsules of which the rest is zeroed.

        Args:
            v: [B, J, D], as `forward` gives it.
            classes: Integers [B], the one capsule that is decoded; or 0 and 1, [B, J]; None: the
                longest.

        Raises:
            RuntimeError: The model has no decoder (reconstruction = 0).
            ValueError: A wrong shape, a class that does not exist (on the CPU).
        """
        if self.decoder is None:
            raise RuntimeError("reconstruct: this CapsNet has no decoder (reconstruction = 0)")
        shape = (self.classes, self.options.output_size)
        if v.dim() != 3 or v.shape[1:] != shape:
            raise ValueError(
                f"v: expected [B, J, D] = [B, {shape[0]}, {shape[1]}], got {list(v.shape)}"
            )
        if classes is None:
            classes = torch.linalg.vector_norm(v, dim=-1).argmax(dim=1)
        masked = (v * multi_hot(classes, v[..., 0])[..., None]).flatten(1)
        # capsules are float32 also where the weights are of a half type
        images: Tensor = self.decoder(masked.to(self.conv.weight.dtype))
        return images.to(v.dtype).view(len(v), self.channels, *self.image_size)

    @torch.no_grad()
    def perturb(
        self,
        v: Tensor,
        classes: Tensor | None = None,
        *,
        amounts: tuple[float, ...] = PERTURBATIONS,
    ) -> Tensor:
        """Return what the decoder draws when one number of a capsule changes: the paper's figure 4.

        Args:
            v: [B, J, D].
            classes: Integers [B], whose capsules; None: the longest.
            amounts: What is added.

        Returns:
            [B, D, len(amounts), C, H, W]: images by the number that was changed and by how much.
        """
        if classes is None:
            classes = torch.linalg.vector_norm(v, dim=-1).argmax(dim=1)
        batch, size = len(v), v.shape[-1]
        steps = torch.tensor(amounts, dtype=v.dtype, device=v.device)
        change = torch.eye(size, dtype=v.dtype, device=v.device)[:, None] * steps[:, None]
        changed = v[:, None, None] + change[:, :, None]  # [B, D, amounts, J, D]
        images = self.reconstruct(
            changed.flatten(0, 2), classes.repeat_interleave(size * len(amounts))
        )
        return images.view(batch, size, len(amounts), *images.shape[1:])

    @torch.no_grad()
    def couplings(self, images: Tensor, *, iterations: int | None = None) -> list[Tensor]:
        """Return the couplings c [B, I, J] of routing, by iteration.

        Args:
            images: [B, C, H, W].
            iterations: How many; None: the model's own. Uniform routing has one.
        """
        u = self.primary_capsules(images)
        own = 1 if self.options.method == "uniform" else self.options.iterations
        last = own if iterations is None else iterations
        require_int("iterations", last, 1)
        return [self.capsules.couplings(u, iterations=r)[1] for r in range(1, last + 1)]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write weights and settings to a safetensors file, which appears whole or not at all.

        Raises:
            ImportError: safetensors is missing.
        """
        _safetensors.save(
            self, path, kind=KIND, format_version=FORMAT_VERSION, settings=self.settings()
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> CapsNet:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: The file is no such model, is damaged, or of a newer format.
            ImportError: safetensors is missing.
        """
        return _safetensors.load(cls, path, kind=KIND, format_version=FORMAT_VERSION)


def _require_fits(side: int, image_size: tuple[int, int], o: Options) -> int:
    """The side of the first convolution's output; raise unless the second one fits into it."""
    inner = max(1, o.primary_kernel - 2 * o.primary_padding)
    least = max(1, (inner - 1) * o.conv_stride + o.conv_kernel - 2 * o.conv_padding)
    if side < least:
        raise ValueError(
            f"image_size: expected at least {least} x {least} for conv_kernel = {o.conv_kernel} "
            f"and primary_kernel = {o.primary_kernel}, got {image_size[0]} x {image_size[1]}; "
            "smaller kernels or padding (conv_padding, primary_padding) take smaller images"
        )
    return (side + 2 * o.conv_padding - o.conv_kernel) // o.conv_stride + 1


def _decoder(
    inputs: int, o: Options, channels: int, image_size: tuple[int, int]
) -> nn.Sequential | None:
    if o.reconstruction == 0:
        return None
    layers: list[nn.Module] = []
    for size in o.decoder_sizes:
        layers += [nn.Linear(inputs, size), nn.ReLU()]
        inputs = size
    pixels = channels * image_size[0] * image_size[1]
    return nn.Sequential(*layers, nn.Linear(inputs, pixels), nn.Sigmoid())


def _checked_parts(parts: Tensor, part_classes: Tensor, images: Tensor) -> int:
    """P, after looking at the shapes."""
    if parts.dim() != 5 or parts.shape[:1] + parts.shape[2:] != images.shape:
        batch, *rest = images.shape
        raise ValueError(
            f"parts: expected [B, P, C, H, W] = [{batch}, P, {', '.join(map(str, rest))}], "
            f"got {list(parts.shape)}"
        )
    if part_classes.shape != parts.shape[:2]:
        raise ValueError(
            f"part_classes: expected [B, P] = {list(parts.shape[:2])}, "
            f"got {list(part_classes.shape)}"
        )
    return parts.shape[1]
