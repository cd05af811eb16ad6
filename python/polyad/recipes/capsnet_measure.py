"""Measure a CapsNet, or a network beside it, in a run folder; draw what it does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from polyad.data import Dataset, Split
from polyad.recipes.capsnet_show import (
    AT_ONCE,
    draw,
    perturbations,
    read_seed_errors,
    routes,
    seed_errors,
)
from polyad.recipes.capsnet_tasks import Batch, Framed, Overlaid, Task, answers_of, task_of, wrong
from polyad.recipes.run_data import load_data
from polyad.report.capsnet_page import write_page
from polyad.report.look import require_matplotlib
from polyad.run import Run, RunError

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "Evaluation",
    "evaluate",
    "load_model",
    "load_task",
    "measured",
    "perturbations",
    "read_seed_errors",
    "seed_errors",
]

WEIGHTS = "model.safetensors"


def load_task(run: Run, split: Split | None = None) -> Task:
    """Return what ``run`` was trained on, with its data.

    Args:
        run: The run.
        split: Its data, if it is loaded.

    Raises:
        RunError: settings.json names no such task, or the data has changed.
        DataError: The data cannot be read any more.
    """
    plan = run.setting("plan", dict)
    name = run.setting("task", str)
    split = split or load_data(run)
    try:
        return task_of(name, split, validation=plan["validation"])
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{run.file('settings.json')}: damaged ({error})") from error


def load_model(run: Run) -> nn.Module:
    """Load the model of ``run``, as far as it has been trained.

    Raises:
        RunError: There is no checkpoint, or it is damaged.
    """
    from polyad.models import CapsNet, CapsNetCNN

    path = run.file(WEIGHTS)
    if not path.is_file():
        raise RunError(f"{run.path}: training stopped before its first checkpoint; train again")
    kind = CapsNet if run.setting("network", str) == "capsnet" else CapsNetCNN
    try:
        model: nn.Module = kind.load(path)
    except ValueError as error:
        raise RunError(f"{path}: damaged ({error}); train again") from error
    return model


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` measured.

    Attributes:
        metrics: As written to metrics.json.
        head: Of the table.
        rows: A row for each set of pictures.
        summary: The figures that matter most, in a line.
        where: The file that holds the metrics.
        perturbed: [J, D, n, H, W], what the decoder draws from capsules that are changed, by class;
            empty: there is none.
    """

    metrics: dict[str, float]
    head: list[str]
    rows: list[list[str]]
    summary: str
    where: Path
    perturbed: NDArray[Any] = field(default_factory=lambda: np.zeros((0, 0, 0, 0, 0)))


HEAD = ["pictures", "of them", "wrong", "error"]


@dataclass(frozen=True)
class _Answers:
    """What a network says of pictures: [N, J], which are wrong, and squared error of redrawing."""

    sure: NDArray[Any]
    wrong: NDArray[np.bool_]
    targets: NDArray[np.int64]
    redrawn: float | None


def evaluate(
    run: Run,
    *,
    data: Dataset | None = None,
    model: nn.Module | None = None,
    task: Task | None = None,
    epsilon: float | None = None,
) -> Evaluation:
    """Measure a run on test pictures; write the figures, the pictures and the page.

    error = 100 wrong / all; of a picture of two objects the two surest classes must be right.

    Args:
        run: The run.
        data: Other examples than the run's own; their figures go to metrics-NAME.json, and the
            rest stays as it is.
        model: The run's model, if it is loaded.
        task: The run's task, if it is loaded.
        epsilon: Attack the pictures, with changes of at most it in every pixel of 0 .. 1, see
            `polyad.recipes.capsnet_adversarial`; the figures go to metrics-epsilon-NUMBER.json, and
            the rest stays as it is.

    Raises:
        RunError: No checkpoint, or it is damaged, or the run's data has changed.
        ValueError: The pictures have another size, or labels that the model does not know; answers
            that are not finite; an epsilon out of range, or pictures of two objects.
    """
    require_matplotlib()
    if epsilon is not None and not 0 < epsilon <= 1:
        raise ValueError(f"epsilon: expected above 0 and up to 1, got {epsilon:g}")
    task = task or load_task(run)
    model = model or load_model(run)
    model.eval()
    if epsilon is not None:
        if data is not None:
            _require_same_kind(task, data)
        return _attacked(run, model, task, data, epsilon)
    if data is not None:
        _require_same_kind(task, data)
        metrics, rows, _ = _measured(model, task, data, data.name)
        where = run.write_metrics_of(data.name, metrics)
        return Evaluation(metrics, HEAD, rows, _summary(metrics), where)
    metrics, rows, answers = _measured(model, task, task.test, "held out")
    routed, bits = routes(model, task)
    metrics |= {f"coupling_entropy_bits_iteration_{t + 1}": b for t, b in enumerate(bits)}
    run.add_metrics(**metrics)
    run.write_table("tests", HEAD, rows)
    draw(run, model, task, answers.sure, answers.targets, routed, bits)
    perturbed = perturbations(model, task)
    write_page(run, perturbed, seed_errors(run))
    return Evaluation(metrics, HEAD, rows, _summary(metrics), run.file("metrics.json"), perturbed)


def _attacked(
    run: Run, model: nn.Module, task: Task, data: Dataset | None, epsilon: float
) -> Evaluation:
    """Measure pictures as they are, with noise, and as two attacks change them."""
    import torch

    from polyad.recipes.capsnet_adversarial import attack, fgsm, noisy, right

    if isinstance(task, Overlaid):
        raise ValueError("epsilon: expected a run on pictures of one object each")
    ways = {"clean": 0, "noise": 0, "fgsm": 0, "pgd": 0}
    count = 0
    for batch in task.batches(data or task.test, AT_ONCE):
        images, labels = batch.images, batch.targets
        kept = right(model, images, labels)
        ways["clean"] += int(kept.sum())
        changed = noisy(images, epsilon, count)
        ways["noise"] += int(right(model, changed, labels).sum())
        changed = fgsm(model, images, labels, epsilon)
        ways["fgsm"] += int(right(model, changed, labels).sum())
        at = torch.nonzero(kept)[:, 0]  # what is wrong already needs no attack
        ways["pgd"] += int(attack(model, images[at], labels[at], epsilon).sum())
        count += len(labels)
    metrics: dict[str, float] = {"samples_test": count, "epsilon": epsilon}
    rows = []
    for name, label in (
        ("clean", "as they are"),
        ("noise", f"noise of at most {epsilon:g}"),
        ("fgsm", f"one step of {epsilon:g} along the gradient (FGSM)"),
        ("pgd", f"many steps within {epsilon:g} (PGD)"),
    ):
        errors = count - ways[name]
        metrics[f"error_percent_{name}"] = 100 * errors / count
        rows.append([label, f"{count:,}", f"{errors:,}", f"{100 * errors / count:.2f} %"])
    name = f"epsilon-{epsilon:g}" + ("" if data is None else f"-{data.name}")
    where = run.write_metrics_of(name, metrics)
    summary = (
        f"{count:,} test pictures, changed by at most {epsilon:g} in every pixel: "
        f"{metrics['error_percent_pgd']:.2f} % error, {metrics['error_percent_clean']:.2f} % before"
    )
    return Evaluation(metrics, HEAD, rows, summary, where)


def measured(run: Run) -> tuple[list[str], list[list[str]]]:
    """Return the head and the rows of the last evaluation's table."""
    return run.table("tests") or (HEAD, [])


def _require_same_kind(task: Task, data: Dataset) -> None:
    if data.image_shape != task.test.image_shape:
        raise ValueError(
            f"{data.name}: expected pictures of {_size(task.test.image_shape)}, "
            f"got {_size(data.image_shape)}"
        )
    if int(data.y.max()) >= task.classes:
        raise ValueError(
            f"{data.name}: expected labels below {task.classes}, as the model was trained on, "
            f"got {int(data.y.max())}"
        )


def _size(shape: tuple[int, int] | None) -> str:
    return "features that are no pixels" if shape is None else f"{shape[0]} x {shape[1]}"


def _summary(metrics: Mapping[str, float]) -> str:
    error = metrics["error_percent_test"]
    return (
        f"{metrics['samples_test']:,} test pictures: {metrics['errors_test']:,} wrong, "
        f"{error:.2f} % error, {100 - error:.2f} % right"
    )


def _measured(
    model: nn.Module, task: Task, data: Dataset, label: str
) -> tuple[dict[str, float], list[list[str]], _Answers]:
    """Flat figures, rows of the table, and the answers on the first set of pictures."""
    answers = _answered(model, task.batches(data, AT_ONCE), label)
    count, errors = len(answers.wrong), int(answers.wrong.sum())
    metrics: dict[str, float] = {
        "samples_test": count,
        "errors_test": errors,
        "error_percent_test": 100 * errors / count,
    }
    if answers.redrawn is not None:
        metrics["squared_error_per_picture_test"] = answers.redrawn
    rows = [_row(label, answers)]
    if isinstance(task, Framed):
        turned = _answered(model, task.turned(data, AT_ONCE), label)
        metrics["error_percent_affine"] = 100 * float(turned.wrong.mean())
        rows.append(_row(f"{label}, turned, sheared and scaled", turned))
    return metrics, rows, answers


def _row(label: str, answers: _Answers) -> list[str]:
    count, errors = len(answers.wrong), int(answers.wrong.sum())
    return [label, f"{count:,}", f"{errors:,}", f"{100 * errors / count:.2f} %"]


def _answered(model: Any, batches: Iterable[Batch], label: str) -> _Answers:
    import torch

    sure, errors, targets, squares = [], [], [], 0.0
    decodes = getattr(model, "decoder", None) is not None
    with torch.no_grad():
        for batch in batches:
            found = model(batch.images)
            answers = answers_of(found)
            if not bool(answers.isfinite().all()):
                raise ValueError(f"{label}: an answer of the network is not finite; train again")
            sure.append(answers.numpy())
            errors.append(wrong(answers, batch.targets).numpy())
            targets.append(batch.targets.numpy())
            if decodes:
                made, wanted = _redrawn(model, found.v, batch)
                squares += float((made - wanted).square().sum())
    count = sum(map(len, errors))
    return _Answers(
        np.concatenate(sure),
        np.concatenate(errors),
        np.concatenate(targets),
        squares / count if decodes else None,
    )


def _redrawn(model: Any, v: Any, batch: Batch) -> tuple[Any, Any]:
    """What the decoder draws from the capsules of the true classes, and what it should draw."""
    if batch.parts is None or batch.part_classes is None:
        return model.reconstruct(v, batch.targets), batch.images
    count = batch.parts.shape[1]
    classes = batch.part_classes.reshape(-1)
    made = model.reconstruct(v.repeat_interleave(count, dim=0), classes)
    return made.view_as(batch.parts), batch.parts
