"""MNIST: (routing 1, 3) x (reconstruction no, yes) over seeds, beside the paper's table 1.

python -m polyad.recipes.capsnet_mnist --data FOLDER --device cuda --json paper.json
python -m polyad.recipes.capsnet_mnist --data FOLDER --device cuda --preset authors --json a.json

These are the whole table, and the test of whether the weighting of the authors' code, in which
reconstruction weighs 20 times more, explains the errors of other implementations; both are for a
GPU. An epoch on a processor: ``--iterations 3 --reconstruction yes --epochs 1 --seeds 1``.

``--task affine`` trains on digits anywhere in a larger frame, and measures also on turned, sheared
and scaled ones. The file is a list of rows, written after each training, of which none is done
again; as RUN/routing.json it becomes the table of a run's page.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from polyad.data import load
from polyad.recipes.capsnet_experiment import (
    Cell,
    add_options,
    prepare,
    show_table,
    summary,
    table,
)
from polyad.recipes.capsnet_settings import NETWORKS, PRESETS
from polyad.recipes.capsnet_tasks import TASKS, task_of
from polyad.recipes.experiment import show
from polyad.report.capsnet import PAPERS

__all__ = ["cells", "main"]


def cells(
    preset: str,
    *,
    iterations: Sequence[int] = (1, 3),
    reconstruction: Sequence[str] = ("no", "yes"),
    networks: Sequence[str] = ("capsnet",),
    **plan: Any,
) -> list[Cell]:
    """Return the cells of the paper's table.

    Args:
        preset: A name in `polyad.recipes.capsnet_settings.PRESETS`.
        iterations: Of routing.
        reconstruction: 'yes' is the preset's weight, 'no' is no decoder.
        networks: Names in `polyad.recipes.capsnet_settings.NETWORKS`.
        **plan: Fields of `polyad.recipes.capsnet_training.Plan`.
    """
    found: list[Cell] = []
    for network in networks:
        if network != "capsnet":
            found.append(Cell(network, preset, plan=plan))
            continue
        for count in iterations:
            for decoder in reconstruction:
                weight = {} if decoder == "yes" else {"reconstruction": 0.0}
                found.append(Cell(network, preset, {"iterations": count, **weight}, plan))
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="The table of the CapsNet paper.")
    parser.add_argument("--data", required=True, metavar="PATH", help="a folder of idx files")
    parser.add_argument("--preset", choices=list(PRESETS), default="paper", help="default: paper")
    parser.add_argument("--task", choices=list(TASKS), default="classify", help="default: classify")
    parser.add_argument(
        "--network", action="append", choices=NETWORKS, help="may be repeated (default: capsnet)"
    )
    parser.add_argument("--iterations", type=int, nargs="+", default=[1, 3], help="default: 1 3")
    parser.add_argument(
        "--reconstruction",
        nargs="+",
        choices=["no", "yes"],
        default=["no", "yes"],
        help="default: no yes",
    )
    add_options(parser, seeds=3)
    options = parser.parse_args(arguments)
    plan = prepare(parser, options)
    try:
        rows = table(
            options.json,
            task_of(options.task, load(options.data)),
            cells(
                options.preset,
                iterations=options.iterations,
                reconstruction=options.reconstruction,
                networks=options.network or ["capsnet"],
                **plan,
            ),
            seeds=options.seeds,
            device=options.device,
        )
    except (OSError, ValueError, TypeError, ImportError, FloatingPointError) as error:
        raise SystemExit(f"{error}") from error
    for name, value in summary(rows).items():
        show(f"{name}  {value:.6g}")
    beside = {
        key: f"the paper: {error}" + ("" if deviation is None else f" +- {deviation}")
        for key, (error, deviation) in PAPERS.items()
    }
    show_table(rows, beside if options.task == "classify" else {})


if __name__ == "__main__":
    main()
