"""What a CapsNet is made of, and the presets."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from polyad._arrays import require_int

METHODS = ("dynamic", "uniform")
INITS = ("torch", "truncated")


@dataclasses.dataclass(frozen=True)
class Options:
    """Everything about a CapsNet but its images and classes; the defaults are the paper's.

    Attributes:
        conv_channels: Of the first convolution.
        conv_kernel: Its side.
        conv_stride: Its stride.
        conv_padding: Zeros around the images.
        types: Types of primary capsules.
        primary_size: K, numbers of a primary capsule.
        primary_kernel: Side of the second convolution, which makes them.
        primary_stride: Its stride.
        primary_padding: Zeros around its input.
        scale_primary: Divide the second convolution by the number of types (and one more where
            leaky), as one step of routing among them does; before bias and squash.
        output_size: D, numbers of the capsule of a class.
        iterations: Of routing.
        method: 'dynamic', or 'uniform': without agreement.
        leaky: One more class takes what fits no other: "none of the above".
        detach: Take agreements as constants in gradients.
        bias: Learn a bias of the capsules of classes.
        learn_logits: Learn what the couplings start from.
        share_weights: Primary capsules of one type share their weights, wherever they are.
        init: 'torch', as convolutions and linear layers of torch start, or 'truncated', as in the
            authors' code: normal within two deviations (0.05 for the first convolution, else 0.1),
            with biases 0.1.
        init_scale: Deviation of the weights of routing at first; None: by their number, see
            `polyad.nn.DenseCapsule`.
        margin_scale: Multiplies the margin loss.
        margin_class_mean: Take the margin loss's mean over classes in place of the sum.
        reconstruction: Weight of the sum of squared errors of the decoder; 0: no decoder.
        decoder_sizes: Hidden layers of the decoder.
    """

    conv_channels: int = 256
    conv_kernel: int = 9
    conv_stride: int = 1
    conv_padding: int = 0
    types: int = 32
    primary_size: int = 8
    primary_kernel: int = 9
    primary_stride: int = 2
    primary_padding: int = 0
    scale_primary: bool = False
    output_size: int = 16
    iterations: int = 3
    method: str = "dynamic"
    leaky: bool = False
    detach: bool = False
    bias: bool = False
    learn_logits: bool = False
    share_weights: bool = False
    init: str = "torch"
    init_scale: float | None = None
    margin_scale: float = 1.0
    margin_class_mean: bool = False
    reconstruction: float = 0.0005
    decoder_sizes: tuple[int, ...] = (512, 1024)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.type == "int":
                least = 0 if field.name.endswith("padding") else 1
                object.__setattr__(self, field.name, require_int(field.name, value, least))
            elif field.type == "bool" and not isinstance(value, bool):
                raise TypeError(f"{field.name}: expected True or False, got {value!r}")
            elif field.type == "float" or (field.name == "init_scale" and value is not None):
                bound = "at least 0" if field.name == "reconstruction" else "above 0"
                if isinstance(value, bool) or not isinstance(value, int | float):
                    raise TypeError(f"{field.name}: expected a number, got {value!r}")
                if not 0 <= value < math.inf or (value == 0 and bound == "above 0"):
                    raise ValueError(f"{field.name}: expected a number {bound}, got {value!r}")
                object.__setattr__(self, field.name, float(value))
        for name, known in (("method", METHODS), ("init", INITS)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name}: expected {' or '.join(map(repr, known))}, got {getattr(self, name)!r}"
                )
        try:
            sizes = tuple(self.decoder_sizes)
        except TypeError:
            raise TypeError(
                f"decoder_sizes: expected sizes of layers, got {self.decoder_sizes!r}"
            ) from None
        sizes = tuple(require_int(f"decoder_sizes[{k}]", n, 1) for k, n in enumerate(sizes))
        object.__setattr__(self, "decoder_sizes", sizes)


PRESETS: dict[str, dict[str, Any]] = {
    # the text of the paper, and the weights of the convolutions as torch draws them
    "paper": {},
    # The code of the authors, which differs from the text: a bias, a scaled primary layer, and a
    # margin loss of a twentieth, beside which reconstruction weighs 20 times more.
    "authors": {
        "scale_primary": True,
        "bias": True,
        "init": "truncated",
        "init_scale": 0.1,
        "margin_scale": 0.5,
        "margin_class_mean": True,
    },
    # 28 x 28 on a CPU
    "small": {
        "conv_channels": 64,
        "types": 8,
        "decoder_sizes": (256, 512),
    },
    # 8 x 8
    "digits": {
        "conv_channels": 64,
        "conv_kernel": 5,
        "types": 16,
        "primary_kernel": 3,
        "primary_stride": 1,
        "decoder_sizes": (128, 256),
    },
}


def chosen(preset: str, options: dict[str, Any]) -> Options:
    """The options of a preset, with some of them given otherwise.

    Raises:
        ValueError: There is no such preset, or an option has no such value.
        TypeError: There is no such option, or it has another type.
    """
    if preset not in PRESETS:
        raise ValueError(f"preset: expected {' or '.join(map(repr, PRESETS))}, got {preset!r}")
    known = [field.name for field in dataclasses.fields(Options)]
    for name in options:
        if name not in known:
            raise TypeError(f"{name}: not an option of CapsNet; it has {', '.join(known)}")
    return Options(**{**PRESETS[preset], **options})
