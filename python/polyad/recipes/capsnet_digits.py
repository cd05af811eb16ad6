"""Digits of 8 x 8: routing 1 and 3, with a decoder and without, beside a CNN of the same size.

python -m polyad.recipes.capsnet_digits --seeds 5 --json digits.json
python -m polyad.recipes.capsnet_digits --inner --seeds 2

The first is measured on the held-out third of `polyad.data.load("digits")`, one look a training.
Settings are chosen with ``--inner``, which never sees it: every training picture is answered by a
network that learned from the other three fourths of them.

All networks see the same pictures in the same order with the same shifts, as often. Routing with
one iteration is the control without agreement: every coupling is 1 / J.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np

from polyad.data import Dataset, Split, load
from polyad.recipes.capsnet_experiment import (
    AT_ONCE,
    Cell,
    add_options,
    learn,
    mistakes,
    prepare,
    show_table,
    summary,
    table,
)
from polyad.recipes.capsnet_tasks import Task
from polyad.recipes.experiment import Figures, over_seeds, show

__all__ = ["cells", "inner_folds", "main"]

FOLDS = 4


def cells(*, network: Sequence[str] = ("capsnet", "matched-cnn"), **plan: Any) -> list[Cell]:
    """Return the table's cells: what the preset says first, then what it is compared with.

    Args:
        network: Which networks; see `polyad.recipes.capsnet_settings.NETWORKS`.
        **plan: Fields of `polyad.recipes.capsnet_training.Plan`.
    """
    given: list[Cell] = []
    if "capsnet" in network:
        for iterations in (3, 1):
            for options in ({}, {"reconstruction": 0.0}):
                given.append(Cell(options={"iterations": iterations, **options}, plan=plan))
        given.append(Cell(options={"method": "uniform", "learn_logits": True}, plan=plan))
    return given + [Cell(name, plan=plan) for name in network if name != "capsnet"]


def inner_folds(data: Dataset) -> list[Split]:
    """Return stratified fourths of the examples, each to be answered after learning the rest."""
    shuffled = np.argsort(np.random.PCG64(77).random_raw(len(data)), kind="stable")
    by_class = shuffled[np.argsort(data.y[shuffled], kind="stable")]
    fold = np.empty(len(data), np.int64)
    fold[by_class] = np.arange(len(data)) % FOLDS
    return [
        Split(
            data.take(np.flatnonzero(fold != k)),
            data.take(np.flatnonzero(fold == k)),
            "a fourth of the training examples",
        )
        for k in range(FOLDS)
    ]


def inner(data: Dataset, chosen: Sequence[Cell], *, seeds: int) -> Figures:
    """Return the errors of cells on the inner folds, over seeds."""
    figures: Figures = {}
    for cell in chosen:
        errors = []
        for seed in range(seeds):
            wrong = 0
            for k, split in enumerate(inner_folds(data)):
                task = Task(split)
                model = learn(task, cell, seed * FOLDS + k, quiet=True)
                wrong += int(mistakes(model, task.batches(task.test, AT_ONCE)).sum())
            errors.append(100 * wrong / len(data))
            show(f"{cell.label}, seed {seed}: {wrong} of {len(data):,} wrong on inner folds")
        figures |= over_seeds(f"{cell.label}_inner_error_percent", errors)
    return figures


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="CapsNet and a CNN on digits of 8 x 8.")
    parser.add_argument(
        "--network", action="append", choices=["capsnet", "matched-cnn"], help="default: both"
    )
    parser.add_argument(
        "--inner", action="store_true", help="measure inside the training examples, to choose by"
    )
    add_options(parser, seeds=5)
    options = parser.parse_args(arguments)
    plan = prepare(parser, options)
    chosen = cells(network=options.network or ("capsnet", "matched-cnn"), **plan)
    try:
        split = load("digits")
        if options.inner:
            for name, value in inner(split.train, chosen, seeds=options.seeds).items():
                show(f"{name}  {value:.4g}")
            return
        rows = table(options.json, Task(split), chosen, seeds=options.seeds, device=options.device)
    except (OSError, ValueError, TypeError, ImportError, FloatingPointError) as error:
        raise SystemExit(f"{error}") from error
    for name, value in summary(rows).items():
        show(f"{name}  {value:.6g}")
    show_table(rows, {})


if __name__ == "__main__":
    main()
