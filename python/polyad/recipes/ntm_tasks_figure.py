"""Draw the curves of `polyad.recipes.ntm_tasks`.

python -m polyad.recipes.ntm_tasks_figure docs/ntm_curves.json... --out docs/figures/ntm_curves.png
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyad._files import written_whole
from polyad.data.ntm_tasks import TASKS
from polyad.report.look import GREY, SERIES, in_our_look, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["figure", "main"]

LINEAR = ("n-grams", "priority-sort")
"""Tasks whose cost stays away from zero; the others' axes are logarithmic."""


@in_our_look
def figure(curves: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw a panel per task, a line per seed, a colour per preset.

    Args:
        curves: Fields of `polyad.recipes.ntm_tasks.Curve`.
    """
    present = [task for task in TASKS if any(c["task"] == task for c in curves)]
    drawn = new_figure(7.6, 0.3 + 2.3 * -(-len(present) // 2), h_pad=0.08, w_pad=0.08)
    for panel, axes in zip(present, drawn.subplots(-(-len(present) // 2), 2).flat, strict=False):
        of_task = [c for c in curves if c["task"] == panel]
        presets = list(dict.fromkeys(c["preset"] for c in of_task))
        for preset, colour in zip(presets, SERIES, strict=False):
            for k, c in enumerate(c for c in of_task if c["preset"] == preset):
                axes.plot(
                    [n / 1000 for n in c["sequences"]],
                    c["bits"],
                    color=colour,
                    linewidth=1.1,
                    label=preset if k == 0 else None,
                )
        optimal = of_task[0]["optimal_bits"]
        if not math.isnan(optimal):
            axes.axhline(optimal, color=GREY, linewidth=1.2, linestyle=(0, (4, 3)), label="optimal")
        if panel not in LINEAR:
            axes.set_yscale("log")
            axes.axhline(0.05, color=GREY, linewidth=0.8, linestyle=(0, (1, 2)))
        axes.set(title=panel, xlabel="sequences, thousands", ylabel="bits a sequence")
        axes.minorticks_off()
        axes.set_xlim(left=0)
        axes.legend(fontsize=8.5, handlelength=1.2)
    for axes in drawn.axes[len(present) :]:
        axes.set_visible(False)
    return drawn


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Draw curves of polyad.recipes.ntm_tasks.")
    parser.add_argument("files", nargs="+", metavar="JSON", help="what --json wrote")
    parser.add_argument("--out", required=True, metavar="PNG")
    options = parser.parse_args(arguments)
    try:
        curves = [c for file in options.files for c in json.loads(Path(file).read_text())["curves"]]
        drawn = figure(curves)
        with written_whole(Path(options.out)) as temporary:
            drawn.savefig(temporary, format="png", dpi=140)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise SystemExit(f"{error}") from error


if __name__ == "__main__":
    main()
