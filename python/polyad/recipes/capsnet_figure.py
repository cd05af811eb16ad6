"""Draw what experiments with capsule networks found.

python -m polyad.recipes.capsnet_figure digits.json --out docs/figures/capsule_digits.png
python -m polyad.recipes.capsnet_figure adversarial.json --out docs/figures/capsule_adversarial.png
python -m polyad.recipes.capsnet_figure runs/digits --out docs/figures/capsule_dimensions.png

Rows of `polyad.recipes.capsnet_digits` and `capsnet_mnist` become errors beside the paper's table,
those of `polyad.recipes.capsnet_adversarial` curves, and a run what a capsule's numbers mean.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyad._files import written_whole
from polyad.recipes.capsnet_experiment import read
from polyad.recipes.capsnet_measure import load_model, load_task, perturbations, read_seed_errors
from polyad.report.capsnet import dimensions, routing
from polyad.report.figures import curves
from polyad.run import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["attacks", "figure", "main"]


def attacks(figures: Mapping[str, float], how: str = "pgd") -> Figure:
    """Draw the share of pictures that hold out against the size of the change.

    Args:
        figures: Of `polyad.recipes.capsnet_adversarial`.
        how: Which attack, a name in `polyad.recipes.capsnet_adversarial.HOW`.
    """
    found: dict[str, dict[float, float]] = {}
    for name, value in figures.items():
        before, middle, after = name.partition(f"_{how}_")
        size = after.removesuffix("_held_percent_mean")
        if middle and size != after and "_check" not in before:
            found.setdefault(before, {})[float(size)] = value
    sizes = sorted(next(iter(found.values())))
    series = {name.replace("_", " "): [found[name][size] for size in sizes] for name in found}
    return curves(
        sizes, series, x_label=f"{how}: most that a pixel changes by", y_label="hold out, %"
    )


def figure(source: Path, *, label: int = 3, data: str = "digits") -> Figure:
    """Draw what a file or a run holds.

    Args:
        source: JSON of an experiment, or the folder of a run with a decoder.
        label: Of a run, the class whose capsule is changed.
        data: What a table was measured on.

    Raises:
        ValueError: It holds something else, or there is no such class.
    """
    if source.is_dir():
        from polyad.models.capsnet import PERTURBATIONS

        run = Run.open(source, model="capsnet")
        made = perturbations(load_model(run).eval(), load_task(run))
        if not 0 <= label < len(made):
            raise ValueError(f"label: expected a class that {source} redraws, got {label}")
        return dimensions(made[label], PERTURBATIONS, label)
    content: Any = json.loads(source.read_text(encoding="utf-8"))
    if isinstance(content, dict):
        return attacks(content["figures"])
    read(source)
    return routing(read_seed_errors(source), data)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Draw experiments with capsule networks.")
    parser.add_argument("source", metavar="JSON|RUN", help="what an experiment left")
    parser.add_argument("--out", required=True, metavar="PNG")
    parser.add_argument("--label", type=int, default=3, help="of a run: which class (default: 3)")
    parser.add_argument("--data", default="digits", help="the name of the data (default: digits)")
    options = parser.parse_args(arguments)
    try:
        drawn = figure(Path(options.source), label=options.label, data=options.data)
        with written_whole(Path(options.out)) as temporary:
            drawn.savefig(temporary, format="png", dpi=140)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise SystemExit(f"{error}") from error


if __name__ == "__main__":
    main()
