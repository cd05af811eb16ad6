"""Measure a CapsNet, or a network beside it, in a run folder; draw what it does."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from polyad.data import Dataset, Split
from polyad.recipes.capsnet_tasks import Batch, Framed, Overlaid, Task, answers_of, task_of, wrong
from polyad.recipes.run_data import load_data
from polyad.report import capsnet as figures
from polyad.report.capsnet import UNIFORM, Routed, SeedError, Shown
from polyad.report.capsnet_page import write_page
from polyad.report.figures import confusion, curves
from polyad.report.look import require_matplotlib
from polyad.run import Run, RunError

if TYPE_CHECKING:
    from torch import nn

WEIGHTS = "model.safetensors"
AT_ONCE = 100
"""Test pictures that run together."""

CANDIDATES = 1000
"""Test examples among which those are chosen that the page shows."""


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
    routed, bits = _routed(model, task)
    metrics |= {f"coupling_entropy_bits_iteration_{t + 1}": b for t, b in enumerate(bits)}
    run.add_metrics(**metrics)
    run.write_table("tests", HEAD, rows)
    draw(run, model, task, answers, routed, bits)
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


def _taken(data: Dataset, count: int) -> Dataset:
    return data.take(np.arange(min(len(data), count)))


def show(model: Any, task: Task, count: int = CANDIDATES) -> list[Shown]:
    """Return the first test pictures, with what the network made of them.

    Args:
        model: A network in evaluation mode.
        task: Its task.
        count: How many.
    """
    import torch

    found: list[Shown] = []
    decodes = getattr(model, "decoder", None) is not None
    with torch.no_grad():
        for batch in task.batches(_taken(task.test, count), AT_ONCE):
            out = model(batch.images)
            answers = answers_of(out)
            objects = 1 if batch.part_classes is None else batch.part_classes.shape[1]
            truths = batch.targets[:, None] if batch.part_classes is None else batch.part_classes
            said = answers.topk(objects, dim=1).indices
            if not decodes:
                answers = torch.softmax(answers, 1) if objects == 1 else torch.sigmoid(answers)
            for k in range(len(answers)):
                drawn: list[Any] = [None, None]
                if decodes:
                    v = out.v[k : k + 1].expand(objects, -1, -1)
                    drawn = [
                        model.reconstruct(v, classes[k])[:, 0].numpy() for classes in (said, truths)
                    ]
                found.append(
                    Shown(
                        len(found),
                        batch.images[k, 0].numpy(),
                        tuple(truths[k].tolist()),
                        tuple(said[k].tolist()),
                        answers[k].numpy(),
                        drawn[0],
                        drawn[1],
                        None if batch.parts is None else batch.parts[k, :, 0].numpy(),
                    )
                )
    return found


def perturbations(model: Any, task: Task) -> NDArray[Any]:
    """Return what the decoder draws from changed capsules, [J, D, n, H, W], a test picture a class.

    Of each class the first test picture that has its longest capsule there; where there is none,
    the class's capsule of its first picture.

    Args:
        model: A network in evaluation mode.
        task: Its task.
    """
    import torch

    if getattr(model, "decoder", None) is None:
        return np.zeros((0, 0, 0, 0, 0))
    few = _taken(task.test, CANDIDATES)
    chosen: dict[int, Any] = {}
    right: set[int] = set()
    with torch.no_grad():
        for batch in task.batches(few, AT_ONCE):
            v = model(batch.images).v
            lengths = torch.linalg.vector_norm(v, dim=-1)
            there = (
                torch.nn.functional.one_hot(batch.targets, task.classes)
                if batch.targets.dim() == 1
                else batch.targets
            )
            for k, label in there.nonzero().tolist():
                longest = int(lengths[k].argmax()) == label
                if label not in chosen or (longest and label not in right):
                    chosen[label] = v[k]
                    if longest:
                        right.add(label)
        labels = sorted(chosen)
        made = [model.perturb(chosen[j][None], torch.tensor([j]))[0, :, :, 0] for j in labels]
    blank = torch.zeros_like(made[0])
    by_label = dict(zip(labels, made, strict=True))
    return np.stack([by_label.get(j, blank).numpy() for j in range(task.classes)])


def _routed(model: Any, task: Task) -> tuple[list[Routed], list[float]]:
    """Where coupled capsules sit in test pictures, and the entropy of couplings by iteration."""
    import torch

    options = getattr(model, "options", None)
    if options is None or isinstance(task, Overlaid):
        return [], []
    if options.iterations == 1 or options.method == "uniform":
        return [], []  # every coupling is 1 / J, or what was learned
    batch = next(iter(task.batches(_taken(task.test, AT_ONCE), AT_ONCE)))
    with torch.no_grad():
        sizes = torch.linalg.vector_norm(model.primary_capsules(batch.images), dim=-1)
        couplings = model.couplings(batch.images)
    bits = [float(-(c * c.clamp_min(1e-30).log2()).sum(-1).mean()) for c in couplings]
    types, height, width = model.primary_shape
    weights = sizes.view(-1, types, height, width)
    found = []
    for label in range(task.classes):
        at = (batch.targets == label).nonzero()
        if not len(at):
            continue
        k = int(at[0])
        maps = []
        for c in couplings:
            mine = c[k, :, label].view(types, height, width)
            maps.append((mine * weights[k]).sum(0) / weights[k].sum(0).clamp_min(1e-30))
        found.append(Routed(batch.images[k, 0].numpy(), label, torch.stack(maps).numpy()))
    return found, bits


def draw(
    run: Run,
    model: nn.Module,
    task: Task,
    answers: _Answers,
    routed: Sequence[Routed],
    bits: Sequence[float],
) -> None:
    """Draw the pictures that training and evaluating leave in the run."""
    shown = show(model, task)
    right = _one_of_each(one for one in shown if one.right)
    wrong_ones = [one for one in shown if not one.right]
    if isinstance(task, Overlaid):
        if right and right[0].made is not None:
            few = (wrong_ones[:3] + right)[: figures.COLUMNS]
            run.save_picture("segmentation", figures.segmentation(few))
    else:
        if right and right[0].made is not None:
            run.save_picture("reconstructions", figures.reconstructions(right, wrong_ones))
        truth, said = answers.targets, answers.sure.argmax(1)
        counts = np.zeros((task.classes, task.classes), np.int64)
        np.add.at(counts, (truth, said), 1)
        names = [str(label) for label in range(task.classes)]
        run.save_picture("confusion", confusion(counts, names))
    if routed:
        run.save_picture("couplings", figures.couplings(routed, bits, task.classes))
    if wrong_ones:
        run.save_picture("mistakes", figures.mistakes(wrong_ones))
    rows = run.history()
    if len(rows) > 1:
        series = {
            text: [row[column] for row in rows]
            for column, text in (
                ("error_percent_train", "training"),
                ("error_percent_validation", "validation"),
            )
            if column in rows[0]
        }
        run.save_picture(
            "learning",
            curves(
                [row["epoch"] for row in rows],
                series,
                x_label="epochs",
                y_label="error, %",
                levels={"held out, at the end": run.metrics()["error_percent_test"]},
            ),
        )  # fmt: skip
    run.save_picture("routing", figures.routing(seed_errors(run), task.test.name))


def _one_of_each(shown: Iterable[Shown]) -> list[Shown]:
    """The first picture of each class, in the order of classes; then others."""
    first: dict[int, Shown] = {}
    others = []
    for one in shown:
        if one.truth[0] in first:
            others.append(one)
        else:
            first[one.truth[0]] = one
    return [*(first[label] for label in sorted(first)), *others][: figures.COLUMNS]


SEED_ERRORS = "routing.json"


def read_seed_errors(path: Path | str) -> list[SeedError]:
    """Read a list of {network, iterations, reconstruction, seed, error_percent}.

    ``reconstruction`` may be a weight: above 0 there is a decoder. What else a row holds is passed
    over, but for ``cell.options.method``, which may say 'uniform'.

    Raises:
        RunError: The file holds something else.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        return [
            SeedError(
                UNIFORM if _is_uniform(row.get("cell", {})) else str(row["network"]),
                int(row["iterations"]),
                bool(row["reconstruction"]),
                int(row["seed"]),
                float(row["error_percent"]),
            )
            for row in content
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{path}: damaged ({type(error).__name__}: {error})") from error


def _is_uniform(settings: Mapping[str, Any]) -> bool:
    return bool(settings.get("options", {}).get("method") == "uniform")


def seed_errors(run: Run) -> list[SeedError]:
    """Return the trainings of RUN/routing.json, or if there is none, this run's own."""
    path = run.file(SEED_ERRORS)
    if path.is_file():
        return read_seed_errors(path)
    options = run.setting("options", dict)
    network = run.setting("network", str)
    has_capsules = network == "capsnet"
    return [
        SeedError(
            UNIFORM if _is_uniform(run.settings) else network,
            int(options["iterations"]) if has_capsules else 0,
            has_capsules and float(options["reconstruction"]) > 0,
            int(run.setting("plan", dict)["seed"]),
            run.metrics()["error_percent_test"],
        )
    ]
