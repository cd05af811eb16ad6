"""Cost against size: log-log panels with a line per formulation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from polyad._files import written_whole
from polyad.bench.rows import SCALED, Row
from polyad.report.look import (
    BLUE,
    GREEN,
    GREY,
    PAPER,
    VERMILION,
    apart,
    in_our_look,
    new_figure,
    require_matplotlib,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")
# one hue per library, so that lines which belong together look alike
HUES = {
    "numpy": BLUE,
    "scipy": GREEN,
    "torch": "#8a4f9e",
    "reference": GREY,
    "pytorch-ntm": BLUE,
    "Bleualign": BLUE,
    "bleualign-cpp": GREEN,
    "hunalign": "#8a4f9e",
    "polyad,": "#e39a6e",  # a second line of ours
}


@dataclass(frozen=True)
class Panel:
    """One axis of a cost figure.

    Attributes:
        title: What stays fixed.
        label: Name of the axis.
        size: The size of `Row.sizes` along the axis.
        rows: The rows to draw.
        value: The field of `Row` to draw.
        value_label: Its name; panels of one name share their axis.
    """

    title: str
    label: str
    size: str
    rows: Sequence[Row]
    value: str = "median_s"
    value_label: str = "median seconds of one call"


def require_format(path: Path) -> None:
    """Check that a figure can be written to ``path``.

    Raises:
        ImportError: matplotlib is missing.
        ValueError: The suffix is none of `FORMATS`.
    """
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"plot_path: expected {', '.join(FORMATS)}, got {path.name}")
    require_matplotlib()


def save(figure: Figure, path: Path) -> None:
    """Write a figure; the file appears whole or not at all."""
    with written_whole(path) as temporary:
        figure.savefig(temporary, format=path.suffix.lower().lstrip("."))


@in_our_look
def cost(title: str, panels: Sequence[Panel], machine: str) -> Figure:
    """Draw values against a size, each line named at its end; hollow points are scaled."""
    figure = new_figure(5.6 * len(panels), 5.2)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    figure.supxlabel(
        f"{machine}. Hollow points: measured on a subsample and scaled.",
        x=0.01,
        ha="left",
        fontsize=8,
        color=GREY,
    )
    shared: dict[str, Axes] = {}
    drawn = []
    for place, panel in enumerate(panels):
        same = shared.get(panel.value_label)
        axes = figure.add_subplot(1, len(panels), place + 1, sharey=same)
        shared.setdefault(panel.value_label, axes)
        drawn.append((axes, _draw(axes, panel)))
    for axes, ends in drawn:  # after every panel is drawn: they share their limits
        _name_ends(axes, ends)
    return figure


def _hue(peer: str) -> str:
    return VERMILION if peer == "polyad" else HUES.get(peer.split()[0].split(".")[0], "#6b5b2e")


def _draw(axes: Axes, panel: Panel) -> list[tuple[str, float, float]]:
    """Draw the lines of a panel; return the name and the last point of each."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.set_title(panel.title)
    axes.set_xlabel(panel.label)
    axes.set_ylabel(panel.value_label)
    ticks = sorted({row.sizes[panel.size] for row in panel.rows})
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()
    ends = []
    for peer in dict.fromkeys(row.peer for row in panel.rows):
        points = sorted(
            (row.sizes[panel.size], getattr(row, panel.value), row.status == SCALED)
            for row in panel.rows
            if row.peer == peer and getattr(row, panel.value) is not None
        )
        if not points:
            continue
        xs, ys, scaled = zip(*points, strict=True)
        hue = _hue(peer)
        width = 3.0 if peer == "polyad" else 1.4
        axes.plot(
            xs,
            ys,
            color=hue,
            linewidth=width,
        )
        faces = ["white" if hollow else hue for hollow in scaled]
        axes.scatter(xs, ys, s=26, c=faces, edgecolors=hue, zorder=3, linewidths=1.2)
        ends.append((peer, float(xs[-1]), float(ys[-1])))
    return ends


def _name_ends(axes: Axes, ends: Sequence[tuple[str, float, float]]) -> None:
    """Write each line's name to the right of its end, moved apart where names would overlap.

    A line that ends early, for a rival that cannot go on, is named where it ends.
    """
    low, high = np.log10(axes.get_ylim())
    right = max((x for _, x, _ in ends), default=0.0)
    wanted = [float(np.log10(y)) for _, x, y in ends if x == right]
    places = iter(apart(wanted, 0.05 * (high - low)))
    for peer, x, y in ends:
        ours = peer == "polyad"
        style: dict[str, Any] = {
            "va": "center",
            "fontsize": 10 if ours else 9,
            "fontweight": "bold" if ours else "normal",
            "color": _hue(peer),
            "annotation_clip": False,
        }
        if x < right:
            patch = {"facecolor": PAPER, "edgecolor": "none", "pad": 1}  # other lines pass below
            axes.annotate(
                peer, (x, y), xytext=(9, 0), textcoords="offset points", bbox=patch, **style
            )
            continue
        leader = {"arrowstyle": "-", "color": _hue(peer), "linewidth": 0.5, "shrinkB": 4}
        at = (1.04, (next(places) - low) / (high - low))
        axes.annotate(
            peer, (x, y), xytext=at, textcoords="axes fraction", arrowprops=leader, **style
        )
