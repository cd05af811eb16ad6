"""What a Neural Turing Machine does, as figures: sequences, heads, memory, its curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

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
    apart,
    in_our_look,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

WIDTH = 8.9
"""Of a figure that is as wide as the page, in inches."""

UNCOUNTED = "#eceff2"
USED = 0.02
"""A row of memory is drawn if some head ever gives it so much weight."""

LEAST = 1e-3
"""Bits below it are drawn at it: the axis is logarithmic and ends somewhere."""


@dataclass(frozen=True)
class Record:
    """One sequence, and what the machine did at each of its T steps.

    Attributes:
        label: What it is called.
        inputs: [T, I].
        targets: [T, O], 0 or 1.
        outputs: [T, O], the probability of 1.
        mask: bool [T], the steps whose outputs count.
        weights: [T, R + W, N], read heads first; None: the network has no heads.
        memory: [T + 1, N, M], before the first step and after each; None: there is none.
        read_heads: R.
    """

    label: str
    inputs: NDArray[Any]
    targets: NDArray[Any]
    outputs: NDArray[Any]
    mask: NDArray[np.bool_]
    weights: NDArray[Any] | None
    memory: NDArray[Any] | None
    read_heads: int

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """Target bits that are on the other side of 1/2, [T, O]."""
        other_side: NDArray[np.bool_] = (self.outputs > 0.5) != (self.targets > 0.5)
        return other_side & self.mask[:, None]

    def heads(self) -> list[tuple[str, bool, NDArray[Any]]]:
        """Return the heads, those that write first: (name, whether it writes, weights [T, N])."""
        if self.weights is None:
            return []
        reading = self.read_heads
        writing = self.weights.shape[1] - reading
        found = []
        for k in range(writing):
            name = "write" if writing == 1 else f"write {k + 1}"
            found.append((name, True, self.weights[:, reading + k]))
        for k in range(reading):
            name = "read" if reading == 1 else f"read {k + 1}"
            found.append((name, False, self.weights[:, k]))
        return found


class Published(NamedTuple):
    """A point of a learning curve of Graves et al. (2014), read off a figure.

    Attributes:
        network: Which one.
        sequences: After so many; None: in the end.
        bits: A sequence; None: about 0.
    """

    network: str
    sequences: float | None
    bits: float | None


PUBLISHED: dict[str, tuple[Published, ...]] = {
    "copy": (
        Published("NTM", 1.5e5, None),
        Published("LSTM", 1e5, 5.0),
        Published("LSTM", 2e5, 2.0),
        Published("LSTM", 7.5e5, 0.5),
    ),
    "repeat-copy": (Published("NTM", 1e5, None), Published("LSTM", 3e5, None)),
    "associative-recall": (Published("NTM", 3e4, None),),
    "n-grams": (Published("NTM", None, 133.5), Published("LSTM", None, 137.0)),
    "priority-sort": (Published("NTM", None, 15.0), Published("LSTM", None, 50.0)),
}
"""By task. They are read off the printed figures, some at second hand: good to a factor of two."""


def _towards(colour: str) -> Colormap:
    """Return the colours from paper to ``colour``, and on to ink."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list(colour, [PAPER, colour])


def _both_ways() -> Colormap:
    """Return the colours of signed numbers: vermilion below zero, blue above."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("both", [VERMILION, PAPER, BLUE])


def _frame(axes: Axes) -> None:
    """Outline the axes; ticks are set again where they mean something."""
    axes.set(xticks=[], yticks=[])
    axes.tick_params(which="both", length=0)
    for spine in axes.spines.values():
        spine.set(visible=True, color=RULE, linewidth=0.8)


def _name(axes: Axes, text: str, colour: str = INK) -> None:
    axes.set_ylabel(text, rotation=0, ha="right", va="center", labelpad=10, color=colour)


def _steps_axis(axes: Axes, steps: int) -> None:
    every = next(n for n in (5, 10, 20, 50, 100, 200, 500, 1000) if steps / n <= 14 or n == 1000)
    axes.set_xticks(range(0, steps, every))  # of all panels that share the axis
    axes.tick_params(axis="x", length=3, color=RULE)
    axes.set_xlabel("time step")


def _bits(axes: Axes, values: NDArray[Any], mask: NDArray[np.bool_] | None = None) -> None:
    """Draw [T, C] as T columns of cells; steps that do not count are grey."""
    image = _both_ways()(0.5 + 0.5 * np.clip(values.T, -1, 1))
    if mask is not None:
        from matplotlib.colors import to_rgba

        image[:, ~mask] = to_rgba(UNCOUNTED)
    axes.imshow(image, aspect="auto", interpolation="nearest")
    if len(values) <= 130:  # lines between cells, as long as cells can be told apart
        thin = 0.7 if len(values) <= 70 else 0.35
        steps, channels = values.shape
        across, down = np.arange(0.5, steps - 1), np.arange(0.5, channels - 1)
        axes.vlines(across, -0.5, channels - 0.5, color=PAPER, linewidth=thin)
        axes.hlines(down, -0.5, steps - 0.5, color=PAPER, linewidth=thin)
    _frame(axes)


def _dots(axes: Axes, wrong: NDArray[np.bool_], size: float) -> None:
    at, channel = np.nonzero(wrong)
    axes.scatter(at, channel, s=size, color=VERMILION, linewidths=0, zorder=3)


@in_our_look
def sequence(record: Record) -> Figure:
    """Draw input, target and output over time; wrong bits carry a dot.

    Args:
        record: The sequence.
    """
    steps, channels = record.inputs.shape
    outputs = record.targets.shape[1]
    cell = min(0.2, (WIDTH - 1.2) / steps)
    row = max(cell, 0.12)
    heights = [row * channels, row * outputs, row * outputs]
    figure = new_figure(max(4.5, cell * steps + 1.2), sum(heights) + 0.9, h_pad=0.03, hspace=0.0)
    panels = figure.subplots(3, 1, height_ratios=heights, sharex=True)
    _bits(panels[0], record.inputs)
    _bits(panels[1], record.targets, record.mask)
    _bits(panels[2], record.outputs, record.mask)
    _dots(panels[2], record.wrong, (0.45 * 72 * min(cell, row)) ** 2)
    for axes, name in zip(panels, ("input", "target", "output"), strict=True):
        _name(axes, name)
    _steps_axis(panels[2], steps)
    return figure


@in_our_look
def longer(records: Sequence[Record]) -> Figure:
    """Draw target and output of sequences, only the steps that count, at one scale.

    Args:
        records: The sequences.
    """
    counted = [int(record.mask.sum()) for record in records]
    most, outputs = max(counted), records[0].targets.shape[1]
    columns = max(1, min(len(records), 24 // most))  # short answers stand side by side
    lines = -(-len(records) // columns)
    cell = min(0.2 if columns == 1 else 0.4, (WIDTH - 1.2) / (columns * (most + 0.4)))
    row = max(min(cell, 0.16), 0.07)
    figure = new_figure(
        max(4.5, 1.2 + columns * cell * (most + 0.4)),
        lines * (2 * row * outputs + (0.42 if columns == 1 else 0.6)) + 0.1,
        h_pad=0.03,
        hspace=0.0,
    )
    grid = figure.add_gridspec(2 * lines, columns)
    for i, (record, steps) in enumerate(zip(records, counted, strict=True)):
        wrong = record.wrong[record.mask]
        line, column = divmod(i, columns)
        found = f"{int(wrong.sum())} of {wrong.size:,} bits wrong"
        for j, (name, values) in enumerate(
            (("target", record.targets), ("output", record.outputs))
        ):
            axes = figure.add_subplot(grid[2 * line + j, column])
            _bits(axes, values[record.mask])
            axes.set_xlim(-0.5, most - 0.5)
            for spine in axes.spines.values():
                spine.set_visible(False)
            if column == 0:
                _name(axes, name)
            if j == 0:
                between = ": " if columns == 1 else "\n"
                axes.set_title(f"{record.label}{between}{found}", fontsize=10 - 0.3 * columns)
            else:
                _dots(axes, wrong, max(2.2, 0.5 * 72 * min(cell, row)) ** 2)
            axes.add_patch(_outline(steps, outputs))
    return figure


def _outline(steps: int, channels: int) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle(
        (-0.5, -0.5), steps, channels, fill=False, edgecolor=RULE, linewidth=0.8, clip_on=False
    )


@in_our_look
def predicted_bits(record: Record) -> Figure:
    """Draw the bits of a sequence that is to be predicted, and the probability given to a 1.

    Args:
        record: The sequence, of one input and one output.
    """
    figure = new_figure(WIDTH, 2.7)
    axes = figure.add_subplot()
    at = np.flatnonzero(record.mask)
    target, output = record.targets[at, 0], record.outputs[at, 0]
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.plot(at, output, color=BLUE, linewidth=1.3, label="P(1)")
    right = (output > 0.5) == (target > 0.5)
    for chosen, colour, name in ((right, SKY, "likelier bit"), (~right, VERMILION, "the other")):
        axes.scatter(
            at[chosen], 1.06 * target[chosen] - 0.03, s=9, color=colour, label=name, linewidths=0
        )
    axes.set(ylim=(-0.08, 1.08), yticks=[0, 0.5, 1], ylabel="probability of a 1")
    axes.set_xlim(0, len(record.mask))
    axes.set_xlabel("time step")
    figure.legend(loc="outside upper right", ncols=3, fontsize=9.5)
    return figure


def used_rows(record: Record) -> NDArray[np.int64]:
    """Return the rows of memory that are worth drawing, in their order on the ring.

    Row N - 1 is next to row 0 for a head that moves, so the stretch that is left out, the longest
    that no head looked at, may lie in the middle of the numbers.
    """
    assert record.weights is not None
    rows = record.weights.shape[2]
    at = np.flatnonzero((record.weights > USED).any(axis=(0, 1)))
    if len(at) in (0, rows):
        return np.arange(rows)
    gaps = np.diff(at, append=at[0] + rows)  # from each used row to the next on the ring
    widest = int(gaps.argmax())
    margin = min(2, (int(gaps[widest]) - 1) // 2)
    first = int(at[(widest + 1) % len(at)]) - margin
    count = max(rows - int(gaps[widest]) + 1 + 2 * margin, min(8, rows))
    return np.asarray((first + np.arange(count)) % rows)


def _row_ticks(rows: NDArray[np.int64]) -> tuple[list[int], list[str]]:
    """Return where rows stand whose numbers are round, and the numbers."""
    every = next(n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if len(rows) <= 6 * n)
    found = [(i, f"{row:,}") for i, row in enumerate(rows.tolist()) if row % every == 0]
    return [i for i, _ in found], [text for _, text in found]


@in_our_look
def heads(record: Record) -> Figure:
    """Draw where each head looked at every step: a picture of rows against time.

    Args:
        record: The sequence, of a network with heads.
    """
    shown = record.heads()
    rows = used_rows(record)
    steps = len(record.inputs)
    cell = min(0.2, (WIDTH - 1.4) / steps)
    tall = min(2.6, max(1.1, 0.075 * len(rows)), max(0.5, 9 / len(shown)))
    strip = 0.1 * record.inputs.shape[1]
    figure = new_figure(
        max(4.5, cell * steps + 1.4), strip + len(shown) * (tall + 0.08) + 0.7,
        h_pad=0.03, hspace=0.0,
    )  # fmt: skip
    panels = figure.subplots(
        1 + len(shown), 1, height_ratios=[strip, *[tall] * len(shown)], sharex=True
    )
    _bits(panels[0], record.inputs)
    _name(panels[0], "input")
    for axes, (name, writes, weights) in zip(panels[1:], shown, strict=True):
        colour = VERMILION if writes else BLUE
        axes.imshow(
            weights[:, rows].T, cmap=_towards(colour), vmin=0, vmax=1, aspect="auto",
            interpolation="nearest",
        )  # fmt: skip
        _frame(axes)
        axes.set_yticks(*_row_ticks(rows))
        axes.tick_params(axis="y", length=3, color=RULE, labelsize=8.5)
        _name(axes, f"{name} ".replace(" ", "\nhead ", 1).rstrip(), colour)
    _steps_axis(panels[-1], steps)
    return figure


@in_our_look
def memory(record: Record) -> Figure:
    """Draw the memory before the sequence, when the answer begins, and after it; rows lie across.

    Args:
        record: The sequence, of a network with a memory.
    """
    assert record.memory is not None
    rows = used_rows(record)
    begins = int(np.argmax(record.mask)) if record.mask.any() else len(record.mask)
    moments = {"before": 0, "when the\nanswer begins": begins, "after": len(record.mask)}
    kept = record.memory[:, rows]
    most = max(1e-9, float(np.abs(kept[list(moments.values())]).max()))
    count, width = kept.shape[1:]
    cell = min(0.2, (WIDTH - 2.0) / count)
    tall = min(2.0, max(0.9, 0.07 * width))
    figure = new_figure(
        max(5.0, cell * count + 2.0), len(moments) * (tall + 0.08) + 0.75, h_pad=0.03, hspace=0.0
    )
    panels = figure.subplots(len(moments), 1, sharex=True)
    for axes, (name, at) in zip(panels, moments.items(), strict=True):
        image = axes.imshow(
            kept[at].T, cmap=_both_ways(), vmin=-most, vmax=most, aspect="auto",
            interpolation="nearest",
        )  # fmt: skip
        _frame(axes)
        _name(axes, name)
    panels[-1].set_xticks(*_row_ticks(rows))
    panels[-1].tick_params(axis="x", length=3, color=RULE)
    panels[-1].set_xlabel("row of memory")
    bar = figure.colorbar(image, ax=panels, shrink=0.6, aspect=22, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=8.5)
    return figure


def _floor(rows: Sequence[Mapping[str, float]], published: Sequence[Published]) -> float:
    """Return the power of ten below all points: where a logarithmic axis of bits ends."""
    if any(p.bits is None for p in published):
        return LEAST
    least = min([row["bits_per_sequence"] for row in rows] + [p.bits or LEAST for p in published])
    return max(LEAST, float(10 ** np.floor(np.log10(max(LEAST, least)))))


def _name_levels(axes: Axes, levels: Mapping[str, float]) -> None:
    """Write the names of horizontal lines to their right, apart from each other."""
    transform = axes.transData + axes.transAxes.inverted()
    at = [float(transform.transform((1, value))[1]) for value in levels.values()]
    for place, (name, value) in zip(apart(at, 0.075), levels.items(), strict=True):
        axes.annotate(
            f"{name}, {value:.4g}",
            (1.015, place),
            xycoords="axes fraction",
            va="center",
            fontsize=9.5,
            annotation_clip=False,
        )


def _round_numbers(factor: float) -> Any:
    """Return where ticks stand on a logarithmic axis whose ends are that factor apart."""
    from matplotlib.ticker import LogLocator

    return LogLocator(subs=(1,) if factor > 200 else (1, 2, 5))


@in_our_look
def learning(rows: Sequence[Mapping[str, float]], task: str, best: float | None = None) -> Figure:
    """Draw bits a sequence against sequences of training, with the paper's figures beside them.

    Args:
        rows: The curve: sequences, bits_per_sequence, bits_per_sequence_train.
        task: Its name, which says which published points there are.
        best: What the best estimator pays, where chance cannot be escaped.
    """
    figure = new_figure(WIDTH, 3.9)
    axes = figure.add_subplot()
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    published = PUBLISHED.get(task, ())
    floor = _floor(rows, published) if best is None else 0.0
    x = np.array([row["sequences"] for row in rows])
    for name, colour, width in (
        ("bits_per_sequence_train", SKY, 1.2),
        ("bits_per_sequence", BLUE, 2.2),
    ):
        axes.plot(
            x, np.maximum([row[name] for row in rows], floor), color=colour, linewidth=width,
            label="held out" if width > 2 else "while training",
        )  # fmt: skip
    for network, marker in (("NTM", "o"), ("LSTM", "s")):
        points = [p for p in published if p.network == network and p.sequences is not None]
        if points:
            axes.plot(
                [p.sequences or 0.0 for p in points],
                [max(floor, p.bits or floor) for p in points],
                marker, color=GREY, markersize=6.5, markerfacecolor=PAPER, markeredgewidth=1.6,
                label=f"{network} of the paper", zorder=4, clip_on=False,
            )  # fmt: skip
    levels = {f"{p.network} of the paper": p.bits or 0.0 for p in published if not p.sequences}
    if best is not None:
        levels["best estimator"] = best
    for value in levels.values():
        axes.axhline(value, color=GREY, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.set_xscale("log")
    axes.margins(y=0.08)
    if best is None:
        axes.set_yscale("log")
        axes.set_ylim(bottom=floor)
        ticks = [10.0**n for n in range(-3, 4) if floor <= 10.0**n < axes.get_ylim()[1]]
        axes.set_yticks(ticks, [f"≤ {t:g}" if t == LEAST else f"{t:g}" for t in ticks])
    _name_levels(axes, levels)
    axes.minorticks_off()
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(_round_numbers(high / low))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set(xlabel="sequences of training", ylabel="bits a sequence")
    axes.legend(
        fontsize=9.5, loc="best", frameon=True, facecolor=PAPER, edgecolor="none", framealpha=1
    )
    return figure
