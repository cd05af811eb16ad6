"""What the page of a CapsNet shows: test pictures, changed capsules, couplings, other trainings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from polyad.data import Dataset
from polyad.recipes.capsnet_tasks import Overlaid, Task, answers_of
from polyad.report import capsnet as figures
from polyad.report.capsnet import UNIFORM, Routed, SeedError, Shown
from polyad.report.figures import confusion, curves
from polyad.run import Run, RunError

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "draw",
    "perturbations",
    "read_seed_errors",
    "routes",
    "seed_errors",
    "show",
]

AT_ONCE = 100
"""Test pictures that run together."""

CANDIDATES = 1000
"""Test examples among which those are chosen that the page shows."""


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


def routes(model: Any, task: Task) -> tuple[list[Routed], list[float]]:
    """Return where coupled capsules sit in pictures, and the entropy of couplings by iteration.

    Of each class the first test picture; nothing where there is no routing.

    Args:
        model: A network in evaluation mode.
        task: Its task.
    """
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
    sure: NDArray[Any],
    truth: NDArray[np.int64],
    routed: Sequence[Routed],
    bits: Sequence[float],
) -> None:
    """Draw the pictures that training and evaluating leave in the run.

    Args:
        run: The run, with its curve and its error.
        model: A network in evaluation mode.
        task: Its task.
        sure: [N, J], its answers on the test pictures.
        truth: [N], their classes.
        routed: What `routes` gave, and so
        bits: is this.
    """
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
        said = sure.argmax(1)
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
