"""Layers of capsule networks: primary, dense and convolutional capsules, and the margin loss."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from polyad._arrays import checks_values, require_int
from polyad.ops import capsule as ops

__all__ = ["ConvCapsule", "DenseCapsule", "MarginLoss", "PrimaryCapsule"]

METHODS = ("dynamic", "uniform")


class PrimaryCapsule(nn.Module):
    """Turn the channels of a convolution into capsules, the first layer of them.

    s = scale conv(x) + bias,    u = squash(s)

    Args:
        in_channels: C.
        types: Capsules at each place, each with a kernel and a bias of its own.
        size: K, numbers of a capsule; the convolution has types * size channels.
        kernel_size: Of the convolution, square.
        stride: Of the convolution.
        padding: Zeros around the images.
        scale: Multiplies the convolution. The authors' code treats it as one step of routing among
            the types and so uses 1 / types (1 / (types + 1) where routing is leaky); the paper
            has 1.
        bias: Learn a bias for each number of each type; added after ``scale``.
        device: As everywhere in torch.
        dtype: As everywhere in torch.

    Raises:
        TypeError: A size that is not an int.
        ValueError: A size below 1, a padding below 0.

    Source: Sabour, Frosst and Hinton, Dynamic Routing Between Capsules (2017), section 4.
    """

    def __init__(
        self,
        in_channels: int,
        types: int,
        size: int,
        kernel_size: int = 9,
        stride: int = 2,
        padding: int = 0,
        *,
        scale: float = 1.0,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        for name, value in (
            ("in_channels", in_channels),
            ("types", types),
            ("size", size),
            ("kernel_size", kernel_size),
            ("stride", stride),
        ):
            require_int(name, value, 1)
        require_int("padding", padding, 0)
        self.in_channels, self.types, self.size = in_channels, types, size
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.scale = scale
        self.weight = nn.Parameter(
            torch.empty(
                types * size, in_channels, kernel_size, kernel_size, device=device, dtype=dtype
            )
        )
        self.bias = (
            nn.Parameter(torch.empty(types, size, device=device, dtype=dtype)) if bias else None
        )
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw new weights as torch.nn.Conv2d does."""
        bound = (self.in_channels * self.kernel_size**2) ** -0.5
        self.weight.uniform_(-bound, bound)
        if self.bias is not None:
            self.bias.uniform_(-bound, bound)

    def capsules(self, height: int, width: int) -> tuple[int, int, int]:
        """Return (types, H', W'), the capsules that images of this size give.

        Raises:
            ValueError: The kernel does not fit into such an image.
        """
        sides = []
        for name, side in (("height", height), ("width", width)):
            least = max(1, self.kernel_size - 2 * self.padding)
            require_int(name, side, least)
            sides.append((side + 2 * self.padding - self.kernel_size) // self.stride + 1)
        return self.types, sides[0], sides[1]

    def forward(self, x: Tensor) -> Tensor:
        """Return capsules u [B, types * H' * W', K] of x [B, C, H, W], by type, then y, then x.

        Raises:
            ValueError: A wrong shape, or images smaller than the kernel.
        """
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(
                f"x: expected [B, C, H, W] = [B, {self.in_channels}, H, W], got {list(x.shape)}"
            )
        types, height, width = self.capsules(x.shape[2], x.shape[3])
        s = functional.conv2d(x, self.weight, stride=self.stride, padding=self.padding)
        # under autocast the convolution is of a half type, whose squares overflow from 256 on
        s = s.to(self.weight.dtype)
        s = s.view(len(x), types, self.size, height, width).permute(0, 1, 3, 4, 2)
        if self.scale != 1:
            s = s * self.scale
        if self.bias is not None:
            s = s + self.bias[:, None, None]
        u: Tensor = ops.squash(s.reshape(len(x), types * height * width, self.size))
        return u

    def extra_repr(self) -> str:
        """Name the sizes, as the layers of torch do."""
        return (
            f"{self.in_channels}, {self.types}, {self.size}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}, padding={self.padding}, scale={self.scale:g}, "
            f"bias={self.bias is not None}"
        )


class _Routed(nn.Module):
    """Weights of routing from I inputs of size K to J outputs of size D, and how it is done."""

    def __init__(
        self,
        weights: int,
        inputs: int,
        input_size: int,
        outputs: int,
        output_size: int,
        *,
        iterations: int,
        method: str,
        leaky: bool,
        detach: bool,
        bias: bool,
        learn_logits: bool,
        init_scale: float | None,
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        require_int("iterations", iterations, 1)
        if method not in METHODS:
            raise ValueError(f"method: expected 'dynamic' or 'uniform', got {method!r}")
        if init_scale is None:
            init_scale = outputs / (3 * inputs**0.5)
        if not init_scale > 0:
            raise ValueError(f"init_scale: expected a number above 0, got {init_scale!r}")
        self.iterations = iterations
        self.method: Literal["dynamic", "uniform"] = "dynamic" if method == "dynamic" else "uniform"
        self.leaky, self.detach, self.init_scale = leaky, detach, init_scale

        def parameter(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(*shape, device=device, dtype=dtype))

        self.weight = parameter(weights, outputs, output_size, input_size)
        self.bias = parameter(outputs, output_size) if bias else None
        self.logits = parameter(inputs, outputs) if learn_logits else None
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw normal weights of deviation init_scale within two of it; bias 0.1, logits 0."""
        limit = 2 * self.init_scale
        nn.init.trunc_normal_(self.weight, std=self.init_scale, a=-limit, b=limit)
        if self.bias is not None:
            nn.init.constant_(self.bias, 0.1)
        if self.logits is not None:
            nn.init.zeros_(self.logits)

    def _route(
        self, u: Tensor, capsule_type: Tensor | None, iterations: int, *, couplings: bool
    ) -> Any:
        u = u.to(self.weight.dtype) if torch.is_autocast_enabled(u.device.type) else u
        route = ops.routing_with_couplings if couplings else ops.routing
        return route(
            u,
            self.weight,
            self.bias,
            self.logits,
            iterations=iterations,
            method=self.method,
            leaky=self.leaky,
            detach=self.detach,
            capsule_type=capsule_type,
        )

    def _how(self) -> str:
        return (
            f"iterations={self.iterations}, method={self.method!r}, leaky={self.leaky}, "
            f"detach={self.detach}, bias={self.bias is not None}, "
            f"learn_logits={self.logits is not None}"
        )


class DenseCapsule(_Routed):
    """Route every input capsule to every output capsule by agreement.

    u_hat_ij = W_ij u_i
    t = 1..r:  c_i. = softmax_j(b_ij + u_hat_ij . (v_j^1 + ... + v_j^(t-1)))
               v_j^t = squash(beta_j + sum_i c_ij u_hat_ij)
    output v^r

    Arithmetic is float32, or float64 where the weights are; under autocast as well.

    Args:
        inputs: I.
        input_size: K.
        outputs: J.
        output_size: D.
        iterations: r, at least 1.
        method: 'dynamic', or 'uniform': the control, in which every c is 1 / J.
        leaky: One more output, which no one sees, takes what fits no other: "none of the above".
        detach: Take the agreements u_hat . v as constants, as most public repositories do; the
            paper's code differentiates through all iterations.
        bias: Learn beta [J, D], from 0.1, as the authors' code; the paper has none.
        learn_logits: Learn b [I, J], from zero; else it is zero.
        capsule_type: Integers [I] within 0 .. types - 1: inputs of one type share their weights,
            which are then [types, J, D, K]; None: every input has its own.
        init_scale: Deviation of the normal weights at first, truncated at twice that. None:
            J / (3 sqrt(I)), by which outputs start equally long for any I and J; at the paper's
            sizes it is 0.098, where the authors' code has 0.1.
        device: As everywhere in torch.
        dtype: As everywhere in torch.

    Raises:
        TypeError: A size that is not an int, types that are not integers.
        ValueError: A size below 1, a name that is not among these, types of a wrong shape or below
            zero.

    Source: Sabour, Frosst and Hinton, Dynamic Routing Between Capsules (2017), procedure 1.
    """

    capsule_type: Tensor | None

    def __init__(
        self,
        inputs: int,
        input_size: int,
        outputs: int,
        output_size: int,
        *,
        iterations: int = 3,
        method: str = "dynamic",
        leaky: bool = False,
        detach: bool = False,
        bias: bool = False,
        learn_logits: bool = False,
        capsule_type: Any = None,
        init_scale: float | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        for name, value in (
            ("inputs", inputs),
            ("input_size", input_size),
            ("outputs", outputs),
            ("output_size", output_size),
        ):
            require_int(name, value, 1)
        kinds = None if capsule_type is None else _checked_types(capsule_type, inputs)
        super().__init__(
            inputs if kinds is None else int(kinds.max()) + 1,
            inputs,
            input_size,
            outputs,
            output_size,
            iterations=iterations,
            method=method,
            leaky=leaky,
            detach=detach,
            bias=bias,
            learn_logits=learn_logits,
            init_scale=init_scale,
            device=device,
            dtype=dtype,
        )
        self.inputs, self.input_size = inputs, input_size
        self.outputs, self.output_size = outputs, output_size
        # what a layer was made with is no part of its state
        self.register_buffer(
            "capsule_type", None if kinds is None else kinds.to(device), persistent=False
        )

    def _checked(self, u: Tensor) -> Tensor:
        if u.dim() != 3 or u.shape[1:] != (self.inputs, self.input_size):
            raise ValueError(
                f"u: expected [B, I, K] = [B, {self.inputs}, {self.input_size}], "
                f"got {list(u.shape)}"
            )
        return u

    def forward(self, u: Tensor) -> Tensor:
        """Return output capsules v [B, J, D] of input capsules u [B, I, K].

        Raises:
            TypeError: A wrong kind or dtype.
            ValueError: A wrong shape or device, values that are not finite (on the CPU).
        """
        v: Tensor = self._route(
            self._checked(u), self.capsule_type, self.iterations, couplings=False
        )
        return v

    def couplings(self, u: Tensor, *, iterations: int | None = None) -> tuple[Tensor, Tensor]:
        """Return (v [B, J, D], c [B, I, J]) of the last iteration; c carries no gradient.

        Args:
            u: [B, I, K].
            iterations: r; None: the layer's own.
        """
        r = self.iterations if iterations is None else iterations
        v, c = self._route(self._checked(u), self.capsule_type, r, couplings=True)
        return v, c

    def extra_repr(self) -> str:
        """Name the sizes, as the layers of torch do."""
        shared = "" if self.capsule_type is None else f", types={len(self.weight)}"
        return (
            f"{self.inputs}, {self.input_size}, {self.outputs}, {self.output_size}{shared}, "
            f"{self._how()}"
        )


class ConvCapsule(_Routed):
    """Route the capsules of every window of a grid to those of one place above.

    As `DenseCapsule` with I = in_types * kernel_size^2 inputs at each place, by type, then y, then
    x of the window; weights, bias and logits are the same at all places. Beyond the border capsules
    are zero: they vote zero.

    Args:
        in_types: Capsules at each place below.
        input_size: K.
        out_types: J, capsules at each place above.
        output_size: D.
        kernel_size: Of the windows, square.
        stride: Of the windows.
        padding: Zero capsules around the grid.
        iterations: As of `DenseCapsule`, and so are those that follow.
        method: See there.
        leaky: See there.
        detach: See there.
        bias: See there.
        learn_logits: See there.
        init_scale: See there.
        device: As everywhere in torch.
        dtype: As everywhere in torch.

    Raises:
        TypeError: A size that is not an int.
        ValueError: A size below 1, a padding below 0, a name that is not among these.
    """

    def __init__(
        self,
        in_types: int,
        input_size: int,
        out_types: int,
        output_size: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        *,
        iterations: int = 3,
        method: str = "dynamic",
        leaky: bool = False,
        detach: bool = False,
        bias: bool = False,
        learn_logits: bool = False,
        init_scale: float | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        for name, value in (
            ("in_types", in_types),
            ("input_size", input_size),
            ("out_types", out_types),
            ("output_size", output_size),
            ("kernel_size", kernel_size),
            ("stride", stride),
        ):
            require_int(name, value, 1)
        require_int("padding", padding, 0)
        window = in_types * kernel_size**2
        super().__init__(
            window,
            window,
            input_size,
            out_types,
            output_size,
            iterations=iterations,
            method=method,
            leaky=leaky,
            detach=detach,
            bias=bias,
            learn_logits=learn_logits,
            init_scale=init_scale,
            device=device,
            dtype=dtype,
        )
        self.in_types, self.input_size = in_types, input_size
        self.out_types, self.output_size = out_types, output_size
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def forward(self, u: Tensor) -> Tensor:
        """Return capsules [B, J, D, H', W'] of capsules u [B, in_types, K, H, W].

        H' = (H + 2 padding - kernel_size) // stride + 1.

        Raises:
            ValueError: A wrong shape, or a grid smaller than the window.
        """
        sizes = (self.in_types, self.input_size)
        if u.dim() != 5 or u.shape[1:3] != sizes:
            raise ValueError(
                f"u: expected [B, types, K, H, W] = [B, {sizes[0]}, {sizes[1]}, H, W], "
                f"got {list(u.shape)}"
            )
        batch, height, width = len(u), u.shape[3], u.shape[4]
        least = max(1, self.kernel_size - 2 * self.padding)
        if min(height, width) < least:
            raise ValueError(
                f"u: expected [B, types, K, H, W] with H and W of at least {least} for "
                f"kernel_size = {self.kernel_size} and padding = {self.padding}, "
                f"got {list(u.shape)}"
            )
        above = [
            (side + 2 * self.padding - self.kernel_size) // self.stride + 1
            for side in (height, width)
        ]
        windows = functional.unfold(
            u.flatten(1, 2), self.kernel_size, padding=self.padding, stride=self.stride
        )  # [B, types K k k, places]
        windows = windows.view(batch, *sizes, self.kernel_size**2, above[0] * above[1])
        windows = windows.permute(0, 4, 1, 3, 2)
        v = self._route(
            windows.reshape(-1, len(self.weight), self.input_size),
            None,
            self.iterations,
            couplings=False,
        )
        v = v.view(batch, *above, self.out_types, self.output_size)
        grid: Tensor = v.permute(0, 3, 4, 1, 2).contiguous()
        return grid

    def extra_repr(self) -> str:
        """Name the sizes, as the layers of torch do."""
        return (
            f"{self.in_types}, {self.input_size}, {self.out_types}, {self.output_size}, "
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"{self._how()}"
        )


class MarginLoss(nn.Module):
    """Ask for a long capsule of each class that is there, and for short ones of the others.

    L_k = T_k max(0, m+ - |v_k|)^2 + down_weight (1 - T_k) max(0, |v_k| - m-)^2
    loss = scale * mean over the batch of sum_k L_k

    Args:
        m_plus: m+, from which on the capsule of a class that is there is long enough.
        m_minus: m-, below which that of another is short enough.
        down_weight: Of classes that are not there.
        scale: Of all. The authors' code has scale 0.5 and class_mean, a twentieth of the paper's
            loss for 10 classes.
        class_mean: Take the mean over classes in place of the sum.

    Source: Sabour, Frosst and Hinton, Dynamic Routing Between Capsules (2017), equation 4.
    """

    def __init__(
        self,
        m_plus: float = 0.9,
        m_minus: float = 0.1,
        down_weight: float = 0.5,
        *,
        scale: float = 1.0,
        class_mean: bool = False,
    ) -> None:
        super().__init__()
        self.m_plus, self.m_minus, self.down_weight = m_plus, m_minus, down_weight
        self.scale, self.class_mean = scale, class_mean

    def forward(self, lengths: Tensor, targets: Tensor) -> Tensor:
        """Return the loss, a scalar.

        Args:
            lengths: |v|, [B, J].
            targets: The class of each, integers [B]; or which classes are there, 0 or 1, [B, J].

        Raises:
            TypeError: Classes that are not integers.
            ValueError: A wrong shape, a class that does not exist (on the CPU).
        """
        there = multi_hot(targets, lengths)
        missing = functional.relu(self.m_plus - lengths).square()
        wrong = functional.relu(lengths - self.m_minus).square()
        cost = there * missing + self.down_weight * (1 - there) * wrong
        per_sample = cost.mean(dim=1) if self.class_mean else cost.sum(dim=1)
        loss: Tensor = self.scale * per_sample.mean()
        return loss

    def extra_repr(self) -> str:
        """Name the numbers, as the layers of torch do."""
        return (
            f"{self.m_plus}, {self.m_minus}, {self.down_weight}, scale={self.scale}, "
            f"class_mean={self.class_mean}"
        )


def multi_hot(targets: Tensor, lengths: Tensor) -> Tensor:
    """``targets`` as 0 and 1 of the shape [B, J] and the dtype of ``lengths``, checked."""
    if lengths.dim() != 2:
        raise ValueError(f"lengths: expected [B, J], got {list(lengths.shape)}")
    batch, classes = lengths.shape
    if targets.dim() == 2:
        if targets.shape != lengths.shape:
            raise ValueError(
                f"targets: expected [B] = [{batch}] or [B, J] = [{batch}, {classes}], "
                f"got {list(targets.shape)}"
            )
        if checks_values(targets):
            other = (targets != 0) & (targets != 1)
            if other.any():
                at = other.nonzero()[0].tolist()
                raise ValueError(
                    f"targets: expected 0 or 1 in [B, J], got {targets[tuple(at)].item()} at {at}"
                )
        return targets.to(lengths.dtype)
    if targets.shape != (batch,):
        raise ValueError(
            f"targets: expected [B] = [{batch}] or [B, J] = [{batch}, {classes}], "
            f"got {list(targets.shape)}"
        )
    if targets.is_floating_point() or targets.is_complex() or targets.dtype == torch.bool:
        raise TypeError(f"targets: expected integers in [B], got {targets.dtype}")
    if checks_values(targets):
        other = (targets < 0) | (targets >= classes)
        if other.any():
            k = int(other.nonzero()[0])
            raise ValueError(
                f"targets: expected classes in 0 .. {classes - 1}, got {targets[k].item()} at [{k}]"
            )
    columns = torch.arange(classes, device=targets.device)
    return (targets[:, None] == columns).to(lengths.dtype)


def _checked_types(capsule_type: Any, inputs: int) -> Tensor:
    kinds = torch.as_tensor(capsule_type, device="cpu")  # whose values can be looked at
    if kinds.is_floating_point() or kinds.is_complex() or kinds.dtype == torch.bool:
        raise TypeError(f"capsule_type: expected integers, got {kinds.dtype}")
    if kinds.shape != (inputs,):
        raise ValueError(f"capsule_type: expected [I] = [{inputs}], got {list(kinds.shape)}")
    if int(kinds.min()) < 0:
        raise ValueError(f"capsule_type: expected types of at least 0, got {int(kinds.min())}")
    return kinds.to(torch.int32)
