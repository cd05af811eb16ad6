"""What a hypernet learned, as figures: recalled pictures, hyperedges, a decision explained."""

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
    RULE,
    UNKNOWN,
    VERMILION,
    bare,
    in_our_look,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def _rgb(colour: str) -> NDArray[Any]:
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255


@dataclass(frozen=True)
class EdgePicture:
    """One hyperedge as it is drawn.

    Attributes:
        label: The name of its class.
        weight: Its weight.
        on: How strongly each pixel is asked to be on, [height, width] within 0 .. 1.
        off: The same for off.
    """

    label: str
    weight: float
    on: NDArray[Any]
    off: NDArray[Any]


def _on_white(strength: NDArray[Any], colour: str) -> NDArray[np.float64]:
    """RGB [..., 3] between white (strength 0) and ``colour`` (strength 1)."""
    ink: NDArray[np.float64] = np.clip(strength, 0, 1)[..., None] * (1 - _rgb(colour))
    return 1 - ink


@in_our_look
def recalled_pictures(
    original: NDArray[Any],
    mask: NDArray[Any],
    recalled: NDArray[Any],
    wrong: NDArray[np.bool_],
    titles: Sequence[str],
) -> Figure:
    """Draw four rows: the pictures, what was shown of them, what was recalled, and what is new.

    Hidden pixels are sand-coloured. In the last row recalled pixels are blue, and those that are
    wrong carry a dot.

    Args:
        original: The truth, [n, height, width] within 0 .. 1.
        mask: bool, the same shape, True = shown.
        recalled: As ``original``.
        wrong: bool, the same shape: pixels that get a dot.
        titles: n names.
    """
    count, height, width = original.shape
    cell = min(1.0, 11.0 / count)
    figure = new_figure(
        cell * count + 0.95, 4 * (cell * height / width + 0.05) + 0.35, h_pad=0.02, hspace=0.0
    )
    dot = (0.36 * 72 * cell / width) ** 2  # an area in points
    grid = figure.subplots(4, count, squeeze=False)
    completed = np.where(mask, original, recalled)
    inked, shown = _on_white(original, INK), mask[..., None]
    panels = {
        "truth": inked,
        "shown": np.where(shown, inked, _rgb(UNKNOWN)),
        "recalled": _on_white(completed, INK),
        "new in it": np.where(shown, inked, _on_white(recalled, BLUE)),
    }
    for row, (name, pictures) in zip(grid, panels.items(), strict=True):
        for axes, picture in zip(row, pictures, strict=True):
            axes.imshow(picture, interpolation="nearest")
            _box(axes)
        row[0].set_ylabel(name, rotation=0, ha="right", va="center", labelpad=10)
    for column in range(count):
        grid[0, column].set_title(titles[column], loc="center", fontsize=11)
        y, x = np.nonzero(wrong[column] & ~mask[column])
        grid[3, column].scatter(x, y, s=dot, color=VERMILION, linewidths=0, zorder=3)
    return figure


def _box(axes: Axes) -> None:
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color=RULE, linewidth=0.8)


def _draw_edge(axes: Axes, edge: EdgePicture, under: NDArray[Any] | None) -> None:
    """Blue cells ask for ink, vermilion cells for none; ``under`` is drawn faintly below them."""
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    height, width = edge.on.shape
    ground = np.zeros((height, width)) if under is None else under
    axes.imshow(_on_white(0.30 * ground, INK), interpolation="nearest")
    for strengths, colour in ((edge.on, BLUE), (edge.off, VERMILION)):
        y, x = np.nonzero(strengths)
        if not len(y):
            continue
        cells = [Rectangle((i - 0.42, j - 0.42), 0.84, 0.84) for j, i in zip(y, x, strict=True)]
        alphas = 0.30 + 0.65 * strengths[y, x]
        axes.add_collection(
            PatchCollection(cells, facecolor=colour, alpha=alphas, linewidth=0), autolim=False
        )
    _box(axes)


@in_our_look
def strongest_edges(
    edges: Sequence[Sequence[EdgePicture]], under: Sequence[NDArray[Any]]
) -> Figure:
    """Draw the strongest hyperedges, a column per class, over the mean picture of the class.

    Args:
        edges: For every class its edges, strongest first.
        under: The mean picture of every class, [height, width] within 0 .. 1.
    """
    depth, count = max(map(len, edges)), len(edges)
    height, width = under[0].shape
    cell = min(1.05, 11.0 / count)
    figure = new_figure(
        cell * count + 0.1, depth * (cell * height / width + 0.3) + 0.7, h_pad=0.02, hspace=0.0
    )
    grid = figure.subplots(depth, count, squeeze=False)
    for column, column_edges in enumerate(edges):
        for row in range(depth):
            axes = grid[row, column]
            if row >= len(column_edges):
                bare(axes)
                continue
            edge = column_edges[row]
            _draw_edge(axes, edge, under[column])
            axes.set_xlabel(f"{edge.weight:.3g}", fontsize=8.5, color=GREY, labelpad=3)
            if row == 0:
                axes.set_title(edge.label, loc="center")
    _literal_legend(figure)
    return figure


def _literal_legend(figure: Figure) -> None:
    from matplotlib.patches import Patch

    figure.legend(
        handles=[
            Patch(color=BLUE, label="must be on"),
            Patch(color=VERMILION, label="must be off"),
        ],
        loc="outside lower center",
        ncols=2,
        fontsize=9.5,
        handlelength=1.0,
        handleheight=1.0,
    )


@in_our_look
def explained(
    picture: NDArray[Any],
    edges: Sequence[EdgePicture],
    votes: NDArray[Any],
    names: Sequence[str],
    truth: str,
) -> Figure:
    """Draw one decision: the picture, the hyperedges that spoke loudest, and the votes.

    Args:
        picture: [height, width] within 0 .. 1, as the model sees it.
        edges: The matching edges, strongest first.
        votes: The sum of the weights of the matching edges of each class, [C].
        names: C names of classes.
        truth: The name of the true class.
    """
    figure = new_figure(9.6, 3.3)
    parts: Any = figure.subfigures(1, 3, width_ratios=(2.1, 4.6, 3.2), wspace=0.03)
    left, middle, right = parts
    axes = left.add_subplot()
    axes.imshow(_on_white(picture, INK), interpolation="nearest")
    _box(axes)
    axes.set_title(f"a {truth}, as the model sees it", fontsize=9.5, loc="center")
    columns = 4
    rows = max(1, -(-len(edges) // columns))
    grid = middle.subplots(rows, columns, squeeze=False)
    for place, axes in enumerate(grid.ravel()):
        if place >= len(edges):
            bare(axes)
            continue
        _draw_edge(axes, edges[place], picture)
        axes.set_title(
            f"{edges[place].label}: +{edges[place].weight:.3g}", fontsize=8.5, loc="center"
        )
    axes = right.add_subplot()
    order = np.argsort(votes, kind="stable")[-6:]
    winner = int(np.argmax(votes))
    colours = [BLUE if i == winner else RULE for i in order]
    axes.barh([names[i] for i in order], [votes[i] for i in order], color=colours, height=0.66)
    for place, i in enumerate(order):
        axes.annotate(
            f"{votes[i]:,.0f}" if abs(votes).max() >= 100 else f"{votes[i]:.3g}",
            (max(float(votes[i]), 0.0), place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    axes.margins(x=0.18)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(length=0)
    axes.set_title("votes", fontsize=9.5, loc="center")
    return figure


@in_our_look
def class_pictures(pictures: NDArray[Any], titles: Sequence[str]) -> Figure:
    """Draw what was recalled from a label alone, a column per class.

    Args:
        pictures: [C, n, height, width] within 0 .. 1.
        titles: C names.
    """
    classes, count, height, width = pictures.shape
    cell = min(1.0, 11.0 / classes)
    figure = new_figure(cell * classes + 0.1, cell * count * height / width + 0.45)
    grid = figure.subplots(count, classes, squeeze=False)
    for c in range(classes):
        for row in range(count):
            axes = grid[row, c]
            axes.imshow(_on_white(pictures[c, row], BLUE), interpolation="nearest")
            _box(axes)
            if row == 0:
                axes.set_title(titles[c], loc="center", color=INK)
    return figure
