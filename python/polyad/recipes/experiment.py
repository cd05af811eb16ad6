"""What experiments share: figures over several seeds, and a command line of three options."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from polyad._files import written_whole

Figures = dict[str, float]


def over_seeds(name: str, values: Sequence[float]) -> Figures:
    """Return mean, standard deviation and number of ``values`` under flat names.

    Args:
        name: What was measured, unit included.
        values: One figure per seed.
    """
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return {
        f"{name}_mean": float(np.mean(values)),
        f"{name}_deviation": spread,
        f"{name}_seeds": len(values),
    }


def show(text: str) -> None:
    """Print a line at once: an experiment takes minutes."""
    print(text, flush=True)


def main(description: str, run: Callable[..., Figures], **defaults: Any) -> None:
    """Run an experiment from the command line and print its figures.

    Args:
        description: What it does.
        run: Called with the path of the data, and seeds.
        **defaults: Further options of ``run``, integers.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", required=True, metavar="PATH", help="where the data is")
    parser.add_argument("--seeds", type=int, default=5, help="how often to repeat (default: 5)")
    parser.add_argument("--json", metavar="FILE", help="also write the figures here")
    for name, value in defaults.items():
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, type=int, default=value, help=f"default: {value}")
    options = vars(parser.parse_args())
    path, target = options.pop("data"), options.pop("json")
    if options["seeds"] < 1:
        parser.error(f"--seeds: expected at least 1, got {options['seeds']}")
    try:
        figures = run(path, **options)
    except (OSError, ValueError, ImportError) as error:
        raise SystemExit(f"{error}") from error
    width = max(len(name) for name in figures)
    for name, value in figures.items():
        show(f"{name:{width}}  {value:.6g}")
    if target is not None:
        with written_whole(Path(target)) as temporary:
            temporary.write_text(json.dumps(figures, indent=1) + "\n")
