"""What a CapsNet sees and says, as figures: reconstructions, dimensions, couplings, mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from polyad.report.look import (
    BLUE,
    GREY,
    INK,
    PAPER,
    RULE,
    SKY,
    VERMILION,
    bare,
    in_our_look,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 8.9
"""Of a figure that is as wide as the page, in inches."""

COLUMNS = 10
"""Pictures side by side."""

MOST_MISTAKES = 40


@dataclass(frozen=True)
class Shown:
    """One picture, and what the network made of it.

    Attributes:
        index: Which of the test examples.
        image: [H, W] in 0 .. 1.
        truth: The classes that are in it.
        answer: As many classes, the surest.
        sure: [J], how sure of each class: the lengths of its capsules, or probabilities.
        made: [P, H, W], what the decoder draws from the capsule of each class of ``answer``; None:
            there is no decoder.
        made_of_truth: [P, H, W], from those of ``truth``.
        parts: [P, H, W], what each object looks like alone, in the order of ``truth``.
    """

    index: int
    image: NDArray[Any]
    truth: tuple[int, ...]
    answer: tuple[int, ...]
    sure: NDArray[Any]
    made: NDArray[Any] | None = None
    made_of_truth: NDArray[Any] | None = None
    parts: NDArray[Any] | None = None

    @property
    def right(self) -> bool:
        """Whether the answer is the truth."""
        return sorted(self.truth) == sorted(self.answer)


@dataclass(frozen=True)
class Routed:
    """Where the capsules sit that vote for the class of a picture.

    Attributes:
        image: [H, W].
        truth: Its class.
        maps: [r, H', W'], by iteration: the mean coupling to that class of the primary capsules at
            each place, weighted by their lengths.
    """

    image: NDArray[Any]
    truth: int
    maps: NDArray[Any]


UNIFORM = "uniform"
"""A CapsNet whose couplings are the same for all pictures: there is no routing."""


@dataclass(frozen=True)
class SeedError:
    """One training of one network, as in the paper's table 1.

    Attributes:
        network: 'capsnet', 'cnn', 'matched-cnn', or `UNIFORM`.
        iterations: Of routing; 0: there is none.
        reconstruction: Whether a decoder was trained beside it.
        seed: Of the training.
        error_percent: On test data.
    """

    network: str
    iterations: int
    reconstruction: bool
    seed: int
    error_percent: float

    @property
    def condition(self) -> tuple[str, int, bool]:
        """What is the same for all seeds."""
        return self.network, self.iterations, self.reconstruction


PAPERS: dict[tuple[str, int, bool], tuple[float, float | None]] = {
    ("cnn", 0, False): (0.39, None),
    ("capsnet", 1, False): (0.34, 0.032),
    ("capsnet", 1, True): (0.29, 0.011),
    ("capsnet", 3, False): (0.35, 0.036),
    ("capsnet", 3, True): (0.25, 0.005),
}
"""Test error on MNIST in % and its deviation over three trainings, by (network, iterations,
reconstruction): Sabour, Frosst and Hinton (2017), table 1."""


def _picture(axes: Axes, image: NDArray[Any], frame: str = RULE) -> None:
    axes.imshow(image, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color=frame, linewidth=0.8)


def _names(classes: Sequence[int]) -> str:
    return " + ".join(str(label) for label in sorted(classes))


def _label(axes: Axes, text: str) -> None:
    axes.set_ylabel(text, rotation=0, ha="right", va="center", labelpad=8)


@in_our_look
def reconstructions(right: Sequence[Shown], wrong: Sequence[Shown]) -> Figure:
    """Draw pictures, and what the decoder draws from the capsule of the answer, and of the truth.

    Args:
        right: Pictures answered rightly, with reconstructions.
        wrong: Pictures answered wrongly; may be none.
    """
    right, wrong = right[:COLUMNS], wrong[:COLUMNS]
    rows = 2 + (3 if wrong else 0)
    cell = (WIDTH - 1.2) / COLUMNS
    figure = new_figure(WIDTH, rows * cell + 0.35 + 0.5 * bool(wrong), h_pad=0.02, w_pad=0.02)
    panels = figure.subplots(rows, COLUMNS, squeeze=False)
    for axes in panels.flat:
        bare(axes)
    for column, one in enumerate(right):
        assert one.made is not None
        _picture(panels[0, column], one.image)
        panels[0, column].set_title(_names(one.truth), loc="center", fontsize=10)
        _picture(panels[1, column], one.made.max(0), frame=BLUE)
    _label(panels[0, 0], "picture")
    _label(panels[1, 0], "redrawn")
    for column, one in enumerate(wrong):
        assert one.made is not None
        assert one.made_of_truth is not None
        title = f"{_names(one.truth)} → {_names(one.answer)}"
        _picture(panels[2, column], one.image)
        panels[2, column].set_title(title, loc="center", fontsize=10)
        _picture(panels[3, column], one.made.max(0), frame=VERMILION)
        _picture(panels[4, column], one.made_of_truth.max(0), frame=BLUE)
    if wrong:
        for row, text in ((2, "answered\nwrongly"), (3, "redrawn from\nthe answer"),
                          (4, "redrawn from\nthe truth")):  # fmt: skip
            _label(panels[row, 0], text)
    return figure


@in_our_look
def dimensions(images: NDArray[Any], amounts: Sequence[float], label: int) -> Figure:
    """Draw what the decoder draws when one number of a capsule changes.

    Args:
        images: [D, n, H, W].
        amounts: The n changes.
        label: The class of the capsule.
    """
    size, count, height, width = images.shape
    gap = max(1, height // 14)
    tall, wide = height + gap, width + gap
    canvas = np.ones((size * tall - gap, count * wide - gap), np.float32)  # 1: ink of the gap
    canvas[:] = np.nan
    for d in range(size):
        for k in range(count):
            at = slice(d * tall, d * tall + height), slice(k * wide, k * wide + width)
            canvas[at] = images[d, k]
    cell = (WIDTH - 1.0) / count * 0.72
    figure = new_figure(cell * count + 1.0, cell * size * tall / wide + 0.7)
    axes = figure.add_subplot()
    axes.imshow(canvas, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
    bare(axes)
    axes.set_xticks(
        [k * wide + width / 2 for k in range(count)], [f"{amount:+.2f}" for amount in amounts]
    )
    axes.set_yticks([d * tall + height / 2 for d in range(size)], [str(d + 1) for d in range(size)])
    axes.tick_params(length=0, labelsize=9)
    axes.set(xlabel="added to one number of the capsule", ylabel="which number")
    axes.set_title(f"the capsule of class {label}")
    return figure


@in_our_look
def couplings(routed: Sequence[Routed], bits: Sequence[float], classes: int) -> Figure:
    """Draw where the capsules sit that are coupled to the class of a picture, by iteration.

    Args:
        routed: Pictures.
        bits: Mean entropy of the couplings of a capsule, by iteration.
        classes: J; before routing every coupling is 1 / J.
    """
    shown = routed[:COLUMNS]
    iterations = len(bits)
    cell = (WIDTH - 2.2) / COLUMNS
    figure = new_figure(WIDTH, (1 + iterations) * cell + 0.55, h_pad=0.02, w_pad=0.02)
    panels = figure.subplots(1 + iterations, COLUMNS, squeeze=False)
    most = max(float(max(one.maps.max() for one in shown)), 1.5 / classes)
    image: Any = None
    for axes in panels.flat:
        bare(axes)
    for column, one in enumerate(shown):
        _picture(panels[0, column], one.image)
        panels[0, column].set_title(str(one.truth), loc="center", fontsize=10)
        for t in range(iterations):
            axes = panels[1 + t, column]
            image = axes.imshow(
                one.maps[t], cmap="viridis", vmin=0, vmax=most, interpolation="nearest"
            )
            axes.set(xticks=[], yticks=[])
    _label(panels[0, 0], "picture")
    for t, entropy in enumerate(bits):
        _label(panels[1 + t, 0], f"iteration {t + 1}\n{entropy:.3f} bits")
    bar = figure.colorbar(image, ax=panels[1:], shrink=0.8, aspect=22, pad=0.01)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=8.5)
    return figure


def _overlaid(parts: NDArray[Any]) -> NDArray[np.float64]:
    """Two pictures on paper, one in blue ink and one in vermilion, [H, W, 3]."""
    from matplotlib.colors import to_rgb

    made = np.ones((*parts.shape[1:], 3))
    for part, colour in zip(parts, (BLUE, VERMILION), strict=False):
        made *= 1 - part[..., None] * (1 - np.array(to_rgb(colour)))
    return made


@in_our_look
def segmentation(pairs: Sequence[Shown]) -> Figure:
    """Draw pictures of two objects, the truth in two colours, and what is redrawn of each.

    Args:
        pairs: Pictures of two objects, with parts and reconstructions.
    """
    pairs = pairs[:COLUMNS]
    cell = (WIDTH - 1.2) / COLUMNS
    figure = new_figure(WIDTH, 3 * cell + 0.75, h_pad=0.02, w_pad=0.02)
    panels = figure.subplots(3, COLUMNS, squeeze=False)
    for axes in panels.flat:
        bare(axes)
    for column, one in enumerate(pairs):
        assert one.parts is not None
        assert one.made is not None
        _picture(panels[0, column], one.image)
        panels[0, column].set_title(_names(one.truth), loc="center", fontsize=10)
        for row, parts in ((1, one.parts), (2, _in_order(one))):
            _picture(panels[row, column], _overlaid(parts))
        colour = INK if one.right else VERMILION
        answer = _names(one.answer)
        panels[2, column].set_xlabel(answer, color=colour, fontsize=10)
    for axes, text in zip(panels[:, 0], ("picture", "what was\nlaid down", "redrawn"), strict=True):
        _label(axes, text)
    return figure


def _in_order(one: Shown) -> NDArray[Any]:
    """The reconstructions, those of classes that are there in the order of the truth."""
    assert one.made is not None
    left = [k for k, label in enumerate(one.answer) if label not in one.truth]
    order = [one.answer.index(label) if label in one.answer else left.pop(0) for label in one.truth]
    return np.asarray(one.made[order])


@in_our_look
def mistakes(wrong: Sequence[Shown]) -> Figure:
    """Draw the pictures that were answered wrongly: truth, answer, and how sure of both.

    Args:
        wrong: At least one.
    """
    shown = wrong[:MOST_MISTAKES]
    lines = -(-len(shown) // COLUMNS)
    cell = (WIDTH - 0.1) / COLUMNS
    figure = new_figure(
        WIDTH,
        lines * (cell + (0.5 if len(shown[0].truth) == 1 else 0.7)) + 0.1,
        h_pad=0.03,
        w_pad=0.03,
    )
    panels = figure.subplots(lines, COLUMNS, squeeze=False)
    for axes in panels.flat:
        bare(axes)
    for axes, one in zip(panels.flat, shown, strict=False):
        _picture(axes, one.image)
        between = " → " if len(one.truth) == 1 else "\n→ "
        title = f"{_names(one.truth)}{between}{_names(one.answer)}"
        axes.set_title(title, loc="center", fontsize=10)
        missed, instead = ({*one.truth} - {*one.answer}, {*one.answer} - {*one.truth})
        sure = [f"{max(float(one.sure[k]) for k in labels):.2f}" for labels in (missed, instead)]
        axes.set_xlabel(f"{sure[0]} : {sure[1]}", fontsize=8, color=GREY, labelpad=2)
    return figure


def condition(network: str, iterations: int, reconstruction: bool) -> str:
    """Return what a row of the paper's table is called."""
    decoder = "with decoder" if reconstruction else "no decoder"
    if network == "capsnet":
        return f"{iterations} iteration{'s' * (iterations != 1)}, {decoder}"
    if network == UNIFORM:
        return f"no routing, {decoder}"
    return {"cnn": "the paper's CNN", "matched-cnn": "CNN of equal size"}.get(network, network)


def _as_in_the_table(key: tuple[str, int, bool]) -> tuple[bool, int, bool, str]:
    network, iterations, reconstruction = key
    return network in ("capsnet", UNIFORM), iterations, reconstruction, network


@in_our_look
def routing(rows: Sequence[SeedError], data: str) -> Figure:
    """Draw test error by iterations of routing, beside the paper's table 1.

    Args:
        rows: A row for each training.
        data: What they were tested on.
    """
    ours: dict[tuple[str, int, bool], list[float]] = {}
    for row in rows:
        ours.setdefault(row.condition, []).append(row.error_percent)
    order = sorted({*ours, *PAPERS}, key=_as_in_the_table)
    figure = new_figure(WIDTH, 0.48 * len(order) + 1.15)
    axes = figure.add_subplot()
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    for place, key in enumerate(order):
        if key in PAPERS:
            mean, deviation = PAPERS[key]
            axes.errorbar(
                mean, place - 0.16, xerr=deviation, fmt="o", color=GREY, markersize=6,
                markerfacecolor=PAPER, markeredgewidth=1.6, elinewidth=1.6, capsize=3,
            )  # fmt: skip
        if key in ours:
            errors = np.array(ours[key])
            deviation = float(errors.std(ddof=1)) if len(errors) > 1 else None
            axes.plot(errors, [place + 0.16] * len(errors), "o", color=SKY, markersize=4.5)
            axes.errorbar(
                float(errors.mean()), place + 0.16, xerr=deviation, fmt="o", color=BLUE,
                markersize=6.5, elinewidth=1.8, capsize=3,
            )  # fmt: skip
            axes.annotate(
                in_numbers(ours[key]), (1.015, place), xycoords=("axes fraction", "data"),
                va="center", fontsize=9, color=BLUE, annotation_clip=False,
            )  # fmt: skip
    axes.set_yticks(range(len(order)), [condition(*key) for key in order])
    axes.set_ylim(len(order) - 0.5, -0.5)
    axes.tick_params(length=0)
    axes.margins(x=0.04)
    axes.set_xlabel("test error, %")
    axes.plot([], [], "o", color=BLUE, label=f"here, on {data}: mean and deviation over seeds")
    axes.plot(
        [], [], "o", color=GREY, markerfacecolor=PAPER, markeredgewidth=1.6,
        label="the paper, on MNIST",
    )  # fmt: skip
    figure.legend(loc="outside upper right", ncols=2, fontsize=9.5)
    return figure


def in_numbers(errors: Sequence[float]) -> str:
    """Return mean and deviation of some trainings as text."""
    mean = f"{np.mean(errors):.2f}"
    if len(errors) == 1:
        return f"{mean}, 1 seed"
    return f"{mean} ± {np.std(errors, ddof=1):.2f}, {len(errors)} seeds"
