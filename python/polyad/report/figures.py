"""Figures that every model can use: curves over training, and confusion matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from polyad.report.look import GREY, INK, SERIES, apart, in_our_look, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@in_our_look
def curves(
    x: Sequence[float],
    series: Mapping[str, Sequence[float]],
    *,
    x_label: str,
    y_label: str,
    log_x: bool = False,
    levels: Mapping[str, float] | None = None,
    mark_values: bool = False,
) -> Figure:
    """Draw curves over one axis, each named at its end instead of in a legend.

    Args:
        x: Where the points are.
        series: Name -> values, one per point.
        x_label: Name and unit of the axis.
        y_label: Name and unit of the values.
        log_x: Give every factor of ten the same width.
        levels: Name -> value of horizontal lines to compare with.
        mark_values: Write the value beside each point; for one short series.
    """
    figure = new_figure(7.2, 3.6)
    axes = figure.add_subplot()
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    ends = []
    for (name, y), colour in zip(series.items(), SERIES, strict=False):
        axes.plot(x, y, color=colour, marker="o" if len(x) < 30 else None, markersize=4.5)
        ends.append((float(y[-1]), name, colour))
        if mark_values:
            for at, value in zip(x, y, strict=True):
                axes.annotate(
                    f"{value:.0f}",
                    (at, value),
                    xytext=(3, -13),  # below: learning curves rise towards what is above them
                    textcoords="offset points",
                    ha="left",
                    fontsize=8.5,
                    color=colour,
                )
    for name, value in (levels or {}).items():
        axes.axhline(value, color=GREY, linewidth=1.2, linestyle=(0, (4, 3)))
        ends.append((value, f"{name}, {value:.0f}" if mark_values else name, GREY))
    if log_x:
        axes.set_xscale("log")
        axes.set_xticks(x, [f"{value:,.0f}" for value in x])
        axes.minorticks_off()
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.margins(y=0.12)
    low, high = axes.get_ylim()
    for place, (_, name, colour) in zip(
        apart([end[0] for end in ends], 0.075 * (high - low)), ends, strict=True
    ):
        axes.annotate(
            name,
            (1.015, place),
            xycoords=("axes fraction", "data"),
            va="center",
            color=INK if colour == GREY else colour,
            annotation_clip=False,
        )
    return figure


@in_our_look
def confusion(matrix: NDArray[Any], names: Sequence[str]) -> Figure:
    """Draw how often each class was taken for which; the diagonal, which is right, stays pale.

    Args:
        matrix: Counts [C, C], a row per true class.
        names: C names.
    """
    classes = len(names)
    side = min(10.0, max(4.0, 0.46 * classes + 1.2))
    figure = new_figure(side, side)
    axes = figure.add_subplot()
    off = np.array(matrix, np.float64)
    np.fill_diagonal(off, 0)
    share = off / np.maximum(matrix.sum(1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=max(0.12, float(share.max()) * 1.6))
    if classes <= 30:
        for i, j in np.argwhere(matrix > 0):
            right = i == j
            axes.text(
                j,
                i,
                f"{matrix[i, j]}",
                ha="center",
                va="center",
                fontsize=9 if classes <= 15 else 6,
                color=GREY if right else INK,
                fontweight="normal" if right else "bold",
            )
    axes.set_xticks(range(classes), names)
    axes.set_yticks(range(classes), names)
    axes.tick_params(length=0)
    axes.set(xlabel="answer", ylabel="truth")
    for spine in axes.spines.values():
        spine.set_visible(True)
    return figure
