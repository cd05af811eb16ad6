"""Train, evaluate and recall with a hypernet in a run folder; `polyad train hypernet` and others.

run = train("runs/digits", data="digits")
evaluate(run)
recall(run, hide=0.5)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from polyad import data as sources
from polyad.data import Split
from polyad.recipes.encoding import Encoding
from polyad.recipes.hypernet_measure import CHECKPOINT, evaluate, load_data, load_model, recall
from polyad.report.hypernet_page import write_page
from polyad.report.look import require_matplotlib
from polyad.run import Interrupted, Run, RunError, require_free, stopping

if TYPE_CHECKING:
    from polyad.models import Hypernet

__all__ = ["evaluate", "load_data", "load_model", "recall", "resume", "train"]

MODEL = "hypernet"
CHECKPOINT_SECONDS = 5.0
"""A kill costs at most the epochs of this many seconds, and the one under way."""

CURVE_SAMPLES = 2000
"""Accuracy after every epoch is measured on so many examples of each part."""

Progress = Callable[[Mapping[str, Any]], None]


def train(
    out: Path | str,
    *,
    data: str,
    test: str | None = None,
    label_column: str | None = None,
    image_shape: tuple[int, int] | None = None,
    classes: int | None = None,
    encoder: str = "binary",
    threshold: float | None = None,
    levels: int = 8,
    seed: int = 0,
    replace_run: bool = False,
    recipe: str | None = None,
    on_progress: Progress | None = None,
    **parameters: Any,
) -> Run:
    """Train a hypernet and leave a run folder.

    Args:
        out: The folder.
        data: A name or path; this and the next four as in `polyad.data.load`.
        test: Where test examples are.
        label_column: The label column of a table.
        image_shape: (height, width) of pixels.
        classes: Labels must be below it.
        encoder: 'binary' or 'thermometer'.
        threshold: Where a feature turns on; None: at half the largest value.
        levels: Variables a feature for the thermometer.
        seed: Same data, same seed, same model.
        replace_run: Replace a run that is there.
        recipe: What settings.json says made this run, if not this function alone.
        on_progress: Called after the one-shot pass and after every epoch.
        parameters: Of `polyad.models.Hypernet`.

    Returns:
        The finished run.

    Raises:
        DataError: The data cannot be used.
        RunError: The folder cannot be used.
        ValueError: A setting cannot be used; nothing is left behind.
        Interrupted: Ctrl-C or SIGTERM; a checkpoint is left behind.
    """
    from polyad.models import Hypernet

    require_free(Path(out), replace=replace_run)
    require_matplotlib()
    split = sources.load(
        data, test=test, label_column=label_column, image_shape=image_shape, classes=classes
    )
    encoding = Encoding.choose(encoder, split.train, threshold, levels)
    binarize = None if encoding.levels is not None else encoding.threshold
    model = Hypernet(binarize=binarize, random_state=seed, **parameters)
    settings = {
        "recipe": recipe,
        "data": {
            "source": data,
            "test": test,
            "label_column": label_column,
            "image_shape": image_shape,
            "classes": classes,
            "fingerprint": split.train.fingerprint(),
        },
        "encoder": encoder,
        "encoding": encoding.settings(),
        "parameters": model.get_params(),
    }
    run = Run.create(out, MODEL, settings, replace=replace_run)
    try:
        _learn(run, model, model.fit, split, encoding, on_progress)
    except (Interrupted, KeyboardInterrupt):
        if not run.file(CHECKPOINT).is_file():
            run.discard()
        raise
    except BaseException:
        run.discard()
        raise
    return run


def resume(out: Path | str, *, on_progress: Progress | None = None) -> Run:
    """Go on with a run that was interrupted; the result is that of an uninterrupted one.

    Args:
        out: The folder.
        on_progress: As for `train`.

    Returns:
        The finished run.

    Raises:
        RunError: No run, one that has finished, or one without a checkpoint.
        Interrupted: As for `train`.
    """
    run = Run.open(out, model=MODEL)
    if run.finished:
        raise RunError(f"{run.path}: has finished training; nothing to resume")
    require_matplotlib()
    model = load_model(run)
    _learn(run, model, model.resume, load_data(run), Encoding.of(run), on_progress)
    return run


def _learn(
    run: Run,
    model: Hypernet,
    learn: Callable[..., Any],
    split: Split,
    encoding: Encoding,
    on_progress: Progress | None,
) -> None:
    """Call ``learn`` (fit or resume), keeping checkpoint and history; then measure and report."""
    first = int(getattr(model, "n_iter_", -1))
    rows = [row for row in run.history() if row["epoch"] <= first]
    before = rows[-1]["seconds"] if rows else 0.0
    saved = float("-inf")
    X = encoding.encode(split.train.X)
    few = [
        part.take(np.arange(min(len(part), CURVE_SAMPLES))) for part in (split.train, split.test)
    ]
    few_X = [encoding.encode(part.X) for part in few]
    heard = "stopping after this epoch; once more to stop at the last checkpoint"

    def notice() -> None:
        if on_progress is not None:
            on_progress({"stage": "stopping", "message": heard})

    with stopping(notice) as asked:

        def after_epoch(info: Mapping[str, Any]) -> bool:
            nonlocal saved
            now = time.perf_counter()
            train, test = (
                100 * float((model.predict(x) == part.y).mean())
                for x, part in zip(few_X, few, strict=True)
            )
            rows.append(
                {
                    "epoch": int(info["epoch"]),
                    "accuracy_train_percent": train,
                    "accuracy_test_percent": test,
                    "updates_percent": 100 * float(info["updates"]),
                    "edges": int(info["edges"]),
                    "seconds": before + now - started,
                }
            )
            if asked.is_set() or now - saved > CHECKPOINT_SECONDS:
                saved = now
                _save(run, model, rows)
            if on_progress is not None:
                on_progress({**info, "accuracy_train_percent": train})
            return asked.is_set()

        started = time.perf_counter()
        learn(X, split.train.y, on_progress=after_epoch)
        seconds = before + time.perf_counter() - started
        if asked.is_set() and model.n_iter_ < model.epochs:
            raise Interrupted(
                f"stopped after epoch {model.n_iter_} of {model.epochs}; "
                f"to go on: polyad train {run.model} --out {run.path} --resume"
            )
        _save(run, model, rows)
    evaluate(run, model=model, split=split)
    run.add_metrics(  # seconds_train says that the run has finished: it comes last
        samples_train=len(split.train),
        features=split.train.X.shape[1],
        classes=len(model.classes_),
        edges=len(model.edges_),
        epochs=int(model.n_iter_),
        accuracy_train_percent=100 * float(model.score(X, split.train.y)),
        seconds_train=seconds,
    )
    write_page(run)


def _save(run: Run, model: Hypernet, rows: Sequence[Mapping[str, float]]) -> None:
    """Write history and checkpoint, in this order: the history may run ahead, it is cut again."""
    run.write_history(rows)
    model.save(run.file(CHECKPOINT))
