"""Train, evaluate and recall with a hypernet in a run folder; `polyad train hypernet` and others.

run = train("runs/digits", data="digits")
evaluate(run)
recall(run, hide=0.5)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np

from polyad import data as sources
from polyad.data import Split
from polyad.recipes.encoding import Encoding
from polyad.recipes.hypernet_measure import CHECKPOINT, evaluate, load_model, recall
from polyad.recipes.learn import how_to_go_on
from polyad.recipes.run_data import described, load_data
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
        threshold: Where a feature turns on; None: at half the largest value for pictures, at its
            median otherwise.
        levels: Variables a feature for the thermometer.
        seed: Same data, same seed, same model.
        replace_run: Replace a run that is there.
        recipe: What settings.json says made this run, if not this function alone.
        on_progress: Called after the one-shot pass and after every epoch with what the model
            reports and ``accuracy_train_percent``; also with stage 'stopping' (and a message) when
            a stop was asked for, and 'measure' when the epochs are done.
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
    if len(np.unique(split.train.y)) < 2:
        raise sources.DataError(
            f"{data}: every example has label {split.train.y[0]}; expected at least two classes"
        )
    encoding = Encoding.choose(encoder, split.train, threshold, levels)
    model = Hypernet(binarize=encoding.binarize, random_state=seed, **parameters)
    settings = {
        "recipe": recipe,
        "data": described(
            split,
            data,
            test=test,
            label_column=label_column,
            image_shape=image_shape,
            classes=classes,
        ),
        "encoder": encoder,
        "encoding": encoding.settings(),
        "parameters": model.get_params(),
    }
    run = Run(out, MODEL, settings)
    _learn(run, model, model.fit, split, encoding, on_progress)
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
    run.sweep()
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
    curve = _Curve(run, model, split, encoding, on_progress)
    X = encoding.encode(split.train.X)
    try:
        with stopping(curve.say_stopping) as curve.asked:
            learn(X, split.train.y, on_progress=curve.after_epoch)
            curve.save()
        if curve.asked.is_set() and model.n_iter_ < model.epochs:
            raise KeyboardInterrupt
        curve.tell("measure", "")
        evaluate(run, model=model, split=split)
    except KeyboardInterrupt:
        raise Interrupted(how_to_go_on(run)) from None
    run.add_metrics(  # seconds_train says that the run has finished: it comes last
        samples_train=len(split.train),
        features=split.train.X.shape[1],
        classes=len(model.classes_),
        edges=len(model.edges_),
        epochs=int(model.n_iter_),
        accuracy_train_percent=100 * float(model.score(X, split.train.y)),
        seconds_train=curve.rows[-1]["seconds"],
    )
    write_page(run)


_COLUMNS = (
    "epoch",
    "accuracy_train_percent",
    "accuracy_test_percent",
    "updates_percent",
    "edges",
    "seconds",
)


class _Curve:
    """What is measured and kept after every epoch.

    The folder is begun with the first checkpoint: what fails before that writes nothing, and a run
    that is to be replaced stays as it was.
    """

    def __init__(
        self,
        run: Run,
        model: Hypernet,
        split: Split,
        encoding: Encoding,
        on_progress: Progress | None,
    ) -> None:
        self.run, self.model, self.on_progress = run, model, on_progress
        done = int(getattr(model, "n_iter_", -1))
        self.rows = [row for row in run.history(*_COLUMNS) if row["epoch"] <= done]
        self.asked = Event()
        self._seconds = self.rows[-1]["seconds"] if self.rows else 0.0  # of learning alone
        self._parts = []
        for part in (split.train, split.test):
            few = part.take(np.arange(min(len(part), CURVE_SAMPLES)))
            self._parts.append((encoding.encode(few.X), few.y))
        self._saved = float("-inf")
        self._since = time.perf_counter()

    def after_epoch(self, info: Mapping[str, Any]) -> bool:
        """Measure, save if it is time, show; return whether to stop."""
        now = time.perf_counter()
        self._seconds += now - self._since
        train, test = (100 * float((self.model.predict(X) == y).mean()) for X, y in self._parts)
        epoch = int(info["epoch"])
        self.rows = [row for row in self.rows if row["epoch"] < epoch]  # resume repeats epoch 0
        updates = 100 * float(info["updates"])
        row = (epoch, train, test, updates, int(info["edges"]), self._seconds)
        self.rows.append(dict(zip(_COLUMNS, row, strict=True)))
        if self.asked.is_set() or now - self._saved > CHECKPOINT_SECONDS:
            self._saved = now
            self.save()
        if self.on_progress is not None:
            self.on_progress({**info, "accuracy_train_percent": train})
        self._since = time.perf_counter()
        return self.asked.is_set()

    def save(self) -> None:
        """Write history and checkpoint, in this order: a history that runs ahead is cut again."""
        if not self.run.begun:
            self.run.begin()
        self.run.write_history(self.rows)
        self.model.save(self.run.file(CHECKPOINT))

    def tell(self, stage: str, message: str) -> None:
        """Report what is not an epoch."""
        if self.on_progress is not None:
            self.on_progress({"stage": stage, "message": message})

    def say_stopping(self) -> None:
        """Say that the request to stop was heard."""
        self.tell("stopping", "stopping after this epoch; once more to stop at the last checkpoint")
