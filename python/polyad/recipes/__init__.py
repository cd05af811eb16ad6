"""Experiments: each file is a model, data, settings, and what it reports."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from polyad.run import Run, RunError

RUNS = {
    "hypernet": "polyad.recipes.hypernet",
    "ntm": "polyad.recipes.ntm",
    "capsnet": "polyad.recipes.capsnet",
}
"""Models that train into a run folder, and the module whose train, evaluate ... do it."""


def of_run(run: Run, verb: str) -> ModuleType:
    """Return the module that serves ``run``, which must have a function called ``verb``.

    Raises:
        RunError: The model is not known, or cannot do that.
    """
    if run.model not in RUNS:
        raise RunError(
            f"{run.path}: is a run of {run.model!r}; this polyad knows {', '.join(RUNS)}"
        )
    module = import_module(RUNS[run.model])
    if not hasattr(module, verb):
        raise RunError(f"{run.path}: a run of {run.model} has nothing to {verb}")
    return module
