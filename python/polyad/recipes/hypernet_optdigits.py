"""Handwritten digits, optdigits: one-shot and learned accuracy on binary pixels and thermometers.

python -m polyad.recipes.hypernet_optdigits --data FOLDER     (with optdigits.tra, optdigits.tes)

The official split: 3,823 pictures of 30 writers to learn from, 1,797 of 13 others to test on. All
settings were chosen on the training file alone, by splitting it; the test file is only measured on.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from polyad import data as sources
from polyad.data import Split
from polyad.recipes.experiment import Figures, main, over_seeds, show

THRESHOLD = 7.5
"""Pixels are 0 .. 16; a binary pixel is one of at least 8."""

LEVELS = (1, 3, 5, 7, 8, 10, 12, 14)
"""Thermometer: a variable for each level that a pixel reaches."""

SETTINGS: dict[str, dict[str, Any]] = {
    "one_shot_binary": {"epochs": 0, "orders": 32, "tolerance": 3, "max_edges": 40_000},
    "learned_binary": {"epochs": 60, "max_edges": 8000},
    "learned_thermometer": {"epochs": 30, "max_edges": 8000, "noise": 0.05},
}


def load(path: str | os.PathLike[str]) -> Split:
    """Load the official split from the folder ``path``.

    Raises:
        DataError: A file is missing or no such table.
    """
    folder = Path(path)
    return sources.load(folder / "optdigits.tra", test=folder / "optdigits.tes")


def run(path: str | os.PathLike[str], *, seeds: int = 5) -> Figures:
    """Measure test accuracy.

    Args:
        path: The folder with optdigits.tra and optdigits.tes.
        seeds: How often to repeat, with other seeds.

    Returns:
        Per setting: accuracy (mean, deviation), edges and seconds of training (mean).
    """
    from polyad.models import Hypernet, ThermometerEncoder

    split = load(path)
    train, test = split.train, split.test
    thermometer = ThermometerEncoder(thresholds=LEVELS).fit(train.X)
    figures: Figures = {}
    for name, settings in SETTINGS.items():
        accuracy, edges, seconds = [], [], []
        for seed in range(seeds):
            if name.endswith("thermometer"):
                net = Hypernet(binarize=None, random_state=seed, **settings)
                x, x_test = thermometer.transform(train.X), thermometer.transform(test.X)
            else:
                net = Hypernet(binarize=THRESHOLD, random_state=seed, **settings)
                x, x_test = train.X, test.X
            began = time.perf_counter()
            net.fit(x, train.y)
            seconds.append(time.perf_counter() - began)
            accuracy.append(float(net.score(x_test, test.y)))
            edges.append(len(net.edges_))
            show(f"{name}, seed {seed}: {accuracy[-1]:.4f} with {edges[-1]} edges")
        figures |= over_seeds(f"{name}_accuracy", accuracy)
        figures[f"{name}_edges_mean"] = sum(edges) / seeds
        figures[f"{name}_train_seconds_mean"] = sum(seconds) / seeds
    return figures


if __name__ == "__main__":
    main("Hypernet on the official split of optdigits.", run)
