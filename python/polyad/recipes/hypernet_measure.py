"""Measure a hypernet in a run folder: accuracy, confusions, and recall of hidden features."""

from __future__ import annotations

import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from polyad.data import Dataset, Split
from polyad.recipes.encoding import Encoding
from polyad.recipes.run_data import load_data
from polyad.report import figures, hypernet
from polyad.report.hypernet_page import write_page
from polyad.report.look import require_matplotlib
from polyad.run import Run, RunError

if TYPE_CHECKING:
    from polyad.models import Hypernet

CHECKPOINT = "model.npz"


def load_model(run: Run) -> Hypernet:
    """Load the model of ``run``, as far as it has been trained."""
    from polyad.models import Hypernet

    path = run.file(CHECKPOINT)
    if not path.is_file():
        raise RunError(f"{run.path}: training stopped before its first checkpoint; train again")
    if not zipfile.is_zipfile(path):
        raise RunError(f"{path}: damaged; train again")
    return Hypernet.load(path)


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` measured.

    Attributes:
        metrics: As written to metrics.json.
        confusion: Counts [C, C], a row per true class.
        classes: The names of the classes.
        where: The file that holds the metrics.
    """

    metrics: dict[str, float]
    confusion: NDArray[np.int64]
    classes: list[str]
    where: Path

    @property
    def summary(self) -> str:
        """The figures that matter most, in a line."""
        return (
            f"{self.metrics['samples_test']:,} test examples: "
            f"{self.metrics['accuracy_test_percent']:.1f} % right, "
            f"{self.metrics['errors_test']:,} wrong; "
            f"{self.metrics['predictions_per_second']:,.0f} predictions/s"
        )


def evaluate(
    run: Run,
    *,
    data: Dataset | None = None,
    model: Hypernet | None = None,
    split: Split | None = None,
) -> Evaluation:
    """Measure a run on test examples; write the figures, the pictures and the page.

    Args:
        run: The run.
        data: Other examples than the run's own; their figures go to metrics-NAME.json, and the
            run's pictures stay as they are.
        model: The run's model, if it is loaded.
        split: The run's data, if it is loaded.

    Raises:
        RunError: No checkpoint, or the run's data has changed.
        ValueError: ``data`` does not fit the model.
    """
    model = model or load_model(run)
    encoding = Encoding.of(run)
    if data is None:
        split = split or load_data(run)
        examples = split.test
    else:
        examples = data
        _require_fit(run, model, encoding, data)
    model.predict(encoding.encode(examples.X[:1]))  # what happens only once is not in the rate
    started = time.perf_counter()
    answers = model.predict(encoding.encode(examples.X))
    seconds = time.perf_counter() - started
    count = len(model.classes_)
    truth = np.searchsorted(model.classes_, examples.y)
    known = np.isin(examples.y, model.classes_)
    table = np.zeros((count, count), np.int64)
    np.add.at(table, (truth[known], np.searchsorted(model.classes_, answers[known])), 1)
    metrics: dict[str, float] = {
        "samples_test": len(examples),
        "errors_test": int((answers != examples.y).sum()),
        "accuracy_test_percent": 100 * float((answers == examples.y).mean()),
        "predictions_per_second": len(examples) / max(seconds, 1e-9),
    }
    for name, row, right in zip(model.classes_, table.sum(1), table.diagonal(), strict=True):
        if row:
            metrics[f"accuracy_class_{name}_percent"] = 100 * float(right) / float(row)
    names = [str(name) for name in model.classes_]
    if data is not None:
        where = run.write_metrics_of(data.name, metrics)
        return Evaluation(metrics, table, names, where)
    run.add_metrics(**metrics)
    draw_learning(run, model, encoding, split or load_data(run), table)
    write_page(run)
    return Evaluation(metrics, table, names, run.file("metrics.json"))


def _require_fit(run: Run, model: Hypernet, encoding: Encoding, data: Dataset) -> None:
    features = model.n_features_in_
    if encoding.levels is not None:
        features //= encoding.levels.shape[-1]
    if data.X.shape[1] != features:
        raise ValueError(
            f"{data.name}: has {data.X.shape[1]} features, {run.path} was trained on {features}"
        )
    unknown = ~np.isin(data.y, model.classes_)
    if unknown.any():
        row = int(np.argmax(unknown))
        raise ValueError(
            f"{data.name}: label {data.y[row]} of example {row + 1} is not among the classes "
            f"of {run.path} ({_listed(model.classes_)})"
        )


def _listed(values: NDArray[Any]) -> str:
    shown = [str(value) for value in values.tolist()]
    return ", ".join(shown if len(shown) <= 12 else [*shown[:5], "...", *shown[-2:]])


def draw_learning(
    run: Run, model: Hypernet, encoding: Encoding, split: Split, table: NDArray[np.int64]
) -> None:
    """Draw the pictures that training and evaluating leave in the run."""
    rows = run.history("epoch", "accuracy_train_percent", "accuracy_test_percent")
    if len(rows) > 1:
        run.save_picture(
            "learning",
            figures.curves(
                [row["epoch"] for row in rows],
                {
                    "training": [row["accuracy_train_percent"] for row in rows],
                    "held out": [row["accuracy_test_percent"] for row in rows],
                },
                x_label="passes over the training examples (0: one-shot)",
                y_label="right, %",
            ),
        )
    if len(model.classes_) <= 60:
        names = [str(name) for name in model.classes_]
        run.save_picture("confusion", figures.confusion(table, names))
    if split.train.image_shape is not None:
        draw_edges(run, model, encoding, split)
        draw_decision(run, model, encoding, split)
    else:
        write_edges(run, model, encoding, split)


def strongest(model: Hypernet, class_number: int, count: int) -> list[int]:
    """Return the edges of a class that have the largest weights, largest first."""
    own = np.flatnonzero(model.labels_ == class_number)
    return [int(e) for e in own[np.argsort(model.weights_[own], kind="stable")[::-1][:count]]]


def write_edges(run: Run, model: Hypernet, encoding: Encoding, split: Split) -> None:
    """Write the strongest hyperedges of each of the first ten classes in words."""
    rows = []
    for c, label in enumerate(model.classes_[:10]):
        for edge in strongest(model, c, 3):
            words = encoding.words(edge, model, split.train.feature_names)
            shown = words if len(words) <= 12 else [*words[:12], "..."]
            allowed = int(model.tolerances_[edge])
            text = f"{', '.join(shown)} ({allowed} of {len(words)} may differ)"
            rows.append((text, str(label), f"{model.weights_[edge]:.3g}"))
    run.write_table("edges", ["the hyperedge asks for", "class", "weight"], rows)


def draw_edges(run: Run, model: Hypernet, encoding: Encoding, split: Split) -> None:
    """Draw the strongest hyperedges of each of the first ten classes."""
    shape = _shape(split.train)
    bits = encoding.bits(split.train.X)
    columns, under = [], []
    for c, name in enumerate(model.classes_[:10]):
        columns.append([encoding.picture(e, model, shape) for e in strongest(model, c, 3)])
        under.append(bits[split.train.y == name].mean(0).reshape(shape))
    run.save_picture("edges", hypernet.strongest_edges(columns, under))


def draw_decision(run: Run, model: Hypernet, encoding: Encoding, split: Split) -> None:
    """Draw why the first test example that is answered rightly was answered so."""
    test = split.test
    shape = _shape(test)
    X = encoding.encode(test.X[:100])
    right = np.flatnonzero(model.predict(X) == test.y[:100])
    chosen = int(right[0]) if len(right) else 0
    votes = model.votes(X[chosen : chosen + 1])[0]
    winner = model.classes_[int(np.argmax(votes))]
    edges = [
        encoding.picture(spoken.edge, model, shape)
        for spoken in model.explain(X[chosen], top=64).edges
        if spoken.label == winner
    ]
    figure = hypernet.explained(
        encoding.shades(encoding.variables(test.X[chosen : chosen + 1])).reshape(shape),
        edges[:8],
        votes,
        [str(name) for name in model.classes_],
        str(test.y[chosen]),
    )
    run.save_picture("decision", figure)


def _shape(data: Dataset) -> tuple[int, int]:
    return data.image_shape or (1, data.X.shape[1])


@dataclass(frozen=True)
class Recall:
    """What `recall` measured; also in metrics.json.

    Attributes:
        hidden_percent: Share of the features that were hidden.
        right_percent: Share of the hidden features that were recalled rightly.
        majority_percent: The same for the more frequent value of each feature in training.
        samples: Test examples measured.
        picture: The drawing, or None if the data are not pictures.
    """

    hidden_percent: float
    right_percent: float
    majority_percent: float
    samples: int
    picture: Path | None


def hidden_at_random(shape: tuple[int, int], hide: float, seed: int) -> NDArray[np.bool_]:
    """Return a mask [N, I], True = shown, that hides the share ``hide`` of every example."""
    rng = np.random.default_rng(seed)
    hidden = int(hide * shape[1] + 0.5)
    order = np.argsort(rng.random(shape), axis=1, kind="stable")
    return order.argsort(axis=1) >= hidden


def recall(
    run: Run,
    *,
    hide: float = 0.5,
    count: int = 10,
    samples: int = 500,
    seed: int = 0,
    name: str = "recall",
    model: Hypernet | None = None,
    split: Split | None = None,
    mask: NDArray[np.bool_] | None = None,
    into: Run | None = None,
) -> Recall:
    """Hide features of test examples, recall them, and draw the first few.

    Args:
        run: The run.
        hide: The share of the features to hide, within (0, 1].
        count: Pictures to draw, one of each class before any class comes twice.
        samples: Test examples to measure on, at most.
        seed: Decides what is hidden.
        name: The name of the picture, and of the metrics.
        model: The run's model, if it is loaded.
        split: The run's data, if it is loaded.
        mask: bool [I] or [samples, I], True = shown, instead of ``hide``.
        into: Another run that gets the figures, the picture and the page.

    Raises:
        RunError: No checkpoint, or the run's data has changed.
        ValueError: Nothing is hidden, or no such share.
    """
    if not 0 < hide <= 1:
        raise ValueError(f"hide: expected a share above 0 and up to 1, got {hide}")
    require_matplotlib()
    model = model or load_model(run)
    split = split or load_data(run)
    encoding = Encoding.of(run)
    test = split.test.take(_one_of_each(split.test.y)[:samples])
    if mask is None:
        mask = hidden_at_random(test.X.shape, hide, seed)
    mask = np.broadcast_to(mask, test.X.shape)
    if mask.all():
        raise ValueError(f"hide: {hide} of {test.X.shape[1]} features hides none of them")
    truth, shown = encoding.bits(test.X), encoding.encode(test.X)
    recalled = model.recall(shown, encoding.spread(mask))
    found = encoding.decode(recalled)
    majority = encoding.bits(split.train.X).mean(0) > 0.5
    right = 100 * float((found == truth)[~mask].mean())
    by_majority = 100 * float((majority == truth)[~mask].mean())
    hidden = 100 * float(1 - mask.mean())
    key = name.replace("-", "_")
    kept = into or run
    kept.add_metrics(
        **{
            f"{key}_hidden_percent": hidden,
            f"{key}_right_percent": right,
            f"{key}_majority_right_percent": by_majority,
            f"{key}_samples": len(test),
        }
    )
    picture = None
    if test.image_shape is not None:
        drawn = slice(0, min(count, len(test)))
        picture = kept.save_picture(
            name,
            hypernet.recalled_pictures(
                encoding.shades(encoding.variables(test.X[drawn])).reshape(-1, *test.image_shape),
                mask[drawn].reshape(-1, *test.image_shape),
                encoding.shades(recalled[drawn]).reshape(-1, *test.image_shape),
                (found != truth)[drawn].reshape(-1, *test.image_shape),
                [str(label) for label in test.y[drawn]],
            ),
        )
    write_page(kept)
    return Recall(hidden, right, by_majority, len(test), picture)


def _one_of_each(y: NDArray[np.int64]) -> NDArray[np.int64]:
    """Ids of all examples: one of each class first, in the order of the classes, and so on."""
    order = np.argsort(y, kind="stable")
    sizes = np.bincount(y)
    starts = np.cumsum(sizes) - sizes
    rank = np.arange(len(y)) - np.repeat(starts, sizes)
    return order[np.argsort(rank, kind="stable")]
