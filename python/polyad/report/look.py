"""The look of every figure: colours, type, and how a figure begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette (2008): its colours stay apart for every common colour-blindness.
BLUE = "#0072b2"
VERMILION = "#d55e00"
GREEN = "#009e73"
AMBER = "#e69f00"
SKY = "#56b4e9"
SERIES = (BLUE, VERMILION, GREEN, AMBER, SKY)

INK = "#1f2933"
GREY = "#7b8794"
RULE = "#cbd2d9"
PAPER = "#ffffff"
UNKNOWN = "#f4e3c1"

_SETTINGS: dict[str, Any] = {
    "figure.facecolor": PAPER,
    "figure.dpi": 110,
    "savefig.facecolor": PAPER,
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same page on every machine
    "font.size": 10.5,
    "text.color": INK,
    "axes.edgecolor": RULE,
    "axes.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.minor.visible": False,
    "ytick.minor.visible": False,
    "lines.linewidth": 2.0,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
}

Arguments = ParamSpec("Arguments")


def require_matplotlib() -> None:
    """Raise ImportError with the cure if matplotlib is missing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "pictures need matplotlib, which is missing: pip install 'polyad[demo]'"
        ) from error


def in_our_look(draw: Callable[Arguments, Figure]) -> Callable[Arguments, Figure]:
    """Wrap a function that returns a figure, so that it draws in our look; pyplot stays unused."""

    @wraps(draw)
    def drawn(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Figure:
        require_matplotlib()
        import matplotlib.style

        with matplotlib.style.context(["default", _SETTINGS]):
            return draw(*args, **kwargs)

    return drawn


def new_figure(width: float, height: float, **padding: Any) -> Figure:
    """Return an empty figure of that size in inches; its parts never overlap.

    Args:
        width: Inches.
        height: Inches.
        **padding: Of matplotlib's ConstrainedLayoutEngine: h_pad, w_pad, hspace, wspace.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(**padding))


def bare(axes: Axes, **titles: Any) -> None:
    """Take ticks and frame off ``axes``: what is left is the picture."""
    axes.set(xticks=[], yticks=[], **titles)
    for spine in axes.spines.values():
        spine.set_visible(False)


def apart(values: Sequence[float], gap: float) -> NDArray[np.float64]:
    """Move ``values`` as little as needed to be ``gap`` apart, so that names do not overlap."""
    order = np.argsort(values, kind="stable")
    placed = np.asarray(values, np.float64)[order]
    for _ in range(100):
        close = np.diff(placed) < gap - 1e-9
        if not close.any():
            break
        for i in np.flatnonzero(close):
            middle = (placed[i] + placed[i + 1]) / 2
            placed[i], placed[i + 1] = middle - gap / 2, middle + gap / 2
    result = np.empty_like(placed)
    result[order] = placed
    return result
