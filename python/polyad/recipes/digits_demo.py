"""The demo: a hypernet meets scikit-learn's digits one by one, then learns, recalls, explains."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from polyad.data import NAMED, Split
from polyad.recipes.encoding import Encoding
from polyad.recipes.hypernet import recall, train
from polyad.report import figures
from polyad.report.hypernet_page import accuracy_by_seen
from polyad.report.look import require_matplotlib
from polyad.run import Run, RunError, require_free

SEEN = (1, 2, 5, 10, 20, 50, 100, 200, 500)
"""Accuracy is measured after so many examples, and after all of them."""


MEMORY = {"encoder": "thermometer", "orders": "all", "edges_per_example": 1, "epochs": 0}
"""A hypernet to recall with: one long, tolerant hyperedge for every example, drawn in one pass."""

RECIPE = "digits_demo"


def choose_folder(wanted: Path) -> tuple[Path, str | None]:
    """Choose the folder of a demo, so that no one's files are lost.

    Args:
        wanted: The folder asked for.

    Returns:
        ``wanted`` where nothing is there or an earlier demo, which will be replaced; else the same
        name with the first free number. And what to tell the user, if anything.
    """
    if not wanted.exists() or (wanted.is_dir() and not any(wanted.iterdir())):
        return wanted, None
    if _is_demo(wanted):
        return wanted, f"{wanted} holds an earlier demo, which is replaced"
    number = 2
    while (other := wanted.with_name(f"{wanted.name}-{number}")).exists() and not _is_demo(other):
        number += 1
    return other, f"{wanted} is in use for something else; using {other}"


def _is_demo(folder: Path) -> bool:
    try:
        return Run.open(folder).settings.get("recipe") == RECIPE
    except (RunError, OSError):
        return False


def stream(split: Split, seed: int) -> Iterator[tuple[int, float]]:
    """Show a hypernet the training examples one by one, each once.

    Args:
        split: The digits.
        seed: Decides the order and the hyperedges.

    Yields:
        (examples seen, share of the test examples answered rightly), for the numbers in `SEEN`.
    """
    from polyad.models import Hypernet

    order = np.random.default_rng(seed).permutation(len(split.train))
    encoding = Encoding.choose("binary", split.train, None, 0)
    model = Hypernet(binarize=encoding.binarize, random_state=seed)
    classes = np.unique(split.train.y)
    for seen, i in enumerate(order, 1):
        model.partial_fit(split.train.X[i : i + 1], split.train.y[i : i + 1], classes=classes)
        if seen in SEEN or seen == len(order):
            yield seen, float(model.score(split.test.X, split.test.y))


def run(
    out: Path,
    *,
    seed: int = 0,
    on_seen: Callable[[int, int, float], None] | None = None,
    on_progress: Callable[[Any], None] | None = None,
) -> Run:
    """Run the demo.

    Args:
        out: The run folder; an earlier demo in it is replaced.
        seed: Same seed, same figures.
        on_seen: Called with every measurement of the stream: seen, of how many, share right.
        on_progress: Called during the learning passes.

    Returns:
        The run; its page is report.html.
    """
    require_matplotlib()
    split = NAMED["digits"]()
    require_free(out, replace=True)
    accuracy = {}
    for seen, share in stream(split, seed):
        accuracy[seen] = share
        if on_seen is not None:
            on_seen(seen, len(split.train), share)
    made = train(
        out,
        data="digits",
        seed=seed,
        replace_run=True,
        recipe=RECIPE,
        on_progress=on_progress,
    )
    made.add_metrics(
        **{f"accuracy_test_after_{n}_examples_percent": 100 * a for n, a in accuracy.items()}
    )
    seen_and_right = accuracy_by_seen(made.metrics())
    made.save_picture(
        "stream",
        figures.curves(
            [n for n, _ in seen_and_right],
            {"one by one": [value for _, value in seen_and_right]},
            x_label="examples seen",
            y_label="held-out pictures right, %",
            log_x=True,
            levels={"after learning": made.metrics()["accuracy_test_percent"]},
            mark_values=True,
        ),
    )
    memory = train(
        out / "memory",
        data="digits",
        seed=seed,
        replace_run=True,
        recipe=RECIPE,
        **MEMORY,  # type: ignore[arg-type]
    )
    upper = np.arange(split.test.X.shape[1]) < split.test.X.shape[1] // 2
    for name, mask in (("recall", None), ("recall-lower", upper)):
        recall(memory, name=name, mask=mask, seed=seed, samples=len(split.test), into=made)
    return made
