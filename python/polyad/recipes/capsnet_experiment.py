"""What experiments with capsule networks share: one training, and a table of many that resumes.

model = learn(task, Cell("capsnet", "digits"), seed=0)
rows = table("rows.json", task, cells, seeds=5)

A training takes the steps of `polyad train capsnet`, and gives the same weights bit for bit.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from polyad._files import written_whole
from polyad.recipes.capsnet_settings import NETWORKS, preset
from polyad.recipes.capsnet_tasks import Batch, Framed, Task, answers_of, wrong
from polyad.recipes.experiment import Figures, over_seeds, show

if TYPE_CHECKING:
    from torch import nn

    from polyad.recipes.capsnet_training import Plan

__all__ = ["Cell", "Row", "learn", "mistakes", "read", "show_table", "summary", "table"]

AT_ONCE = 100
PROGRESS_SECONDS = 60.0
"""A long training says so often how far it is."""


@dataclass(frozen=True)
class Cell:
    """What is trained alike for every seed: one cell of a table.

    Attributes:
        network: A name in `polyad.recipes.capsnet_settings.NETWORKS`.
        preset: A name in `polyad.recipes.capsnet_settings.PRESETS`.
        options: Of `polyad.models.CapsNet`, in place of the preset's.
        plan: Fields of `polyad.recipes.capsnet_training.Plan`, in place of the preset's.
    """

    network: str = "capsnet"
    preset: str = "digits"
    options: Mapping[str, Any] = field(default_factory=dict)
    plan: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Its name in a table: the network, and what of a CapsNet is not as the preset has it."""
        if self.network != "capsnet":
            return self.network.replace("-", "_")
        said = "_".join(f"{name}_{value}" for name, value in sorted(self.options.items()))
        return f"capsnet_{said}" if said else "capsnet"

    def planned(self, seed: int) -> Plan:
        """Return how it is trained.

        Raises:
            ValueError: There is no such network, preset or plan.
            ImportError: Lightning is missing.
        """
        from polyad.recipes.capsnet_training import Plan

        if self.network not in NETWORKS:
            raise ValueError(
                f"network: expected one of {', '.join(NETWORKS)}, got {self.network!r}"
            )
        settings = preset(self.preset).settings(self.network)
        return Plan(**{**settings, **self.plan, "seed": seed})


@dataclass
class Row:
    """One training: `polyad.recipes.capsnet_measure.read_seed_errors` reads a list of these.

    Attributes:
        label: Of the cell.
        network: As of the cell.
        iterations: Of routing, 1 where it is uniform; 0: there is none.
        reconstruction: The decoder's weight in the loss; 0: there is none.
        seed: Of weights, order and shifts.
        error_percent: Of the test pictures.
        wrong: How many of them.
        tests: How many there are.
        affine_error_percent: Of test pictures that are turned, sheared and scaled; task affine.
        parameters: Numbers learned.
        cell: The cell's fields.
        plan: How it was trained, all of it.
        task: A name in `polyad.recipes.capsnet_tasks.TASKS`.
        data: Fingerprint of the examples it was trained on.
        seconds: Of training, by the clock.
        cpu_seconds: Of training, of all threads.
    """

    label: str
    network: str
    iterations: int
    reconstruction: float
    seed: int
    error_percent: float
    wrong: int
    tests: int
    affine_error_percent: float | None
    parameters: int
    cell: dict[str, Any]
    plan: dict[str, Any]
    task: str
    data: str
    seconds: float
    cpu_seconds: float


def learn(
    task: Task, cell: Cell, seed: int = 0, *, device: str = "cpu", quiet: bool = False
) -> nn.Module:
    """Train one network.

    Args:
        task: Where the pictures come from.
        cell: What, and how.
        seed: Of the first weights, the order of the pictures and their shifts.
        device: Of torch.
        quiet: Say nothing on the way.

    Returns:
        The network, ready to be measured.

    Raises:
        ValueError: A setting cannot be used, or an epoch has no whole batch.
        FloatingPointError: The loss is not finite.
        ImportError: Lightning is missing.
    """
    from polyad.recipes.capsnet_training import Plan, Training

    if cell.network not in NETWORKS:
        raise ValueError(f"network: expected one of {', '.join(NETWORKS)}, got {cell.network!r}")
    given = preset(cell.preset)
    plan = Plan(**{**given.settings(cell.network), **cell.plan, "seed": seed})
    model = given.model(cell.network, task.image_size, task.classes, seed, **cell.options)
    training = Training(model.to(device), task, plan).to(device)
    if not training.interval:
        raise ValueError(f"batch: expected at most {len(task)}, the pictures, got {plan.batch}")
    optimiser = training.optimizer()
    began = said = time.perf_counter()
    while training.done < training.steps:
        training.set_rate(optimiser)
        optimiser.zero_grad()
        batch = training.draw(training.done).map(lambda tensor: tensor.to(device))
        loss = training.loss(batch)
        if not math.isfinite(value := loss.item()):
            raise FloatingPointError(f"{cell.label}, seed {seed}: loss {value} at {training.done}")
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        training.done += 1
        if not quiet and time.perf_counter() - said > PROGRESS_SECONDS:
            said = time.perf_counter()
            show(f"  {cell.label}, seed {seed}: step {training.done:,} of {training.steps:,}, "
                 f"loss {value:.4f}, {said - began:.0f} s")  # fmt: skip
    return model.eval()


def mistakes(model: nn.Module, batches: Iterable[Batch]) -> NDArray[np.bool_]:
    """Return which pictures a network answers wrongly."""
    import torch

    device = next(model.parameters()).device
    found = []
    with torch.no_grad():
        for batch in batches:
            answers = answers_of(model(batch.images.to(device)))
            found.append(wrong(answers.cpu(), batch.targets).numpy())
    return np.concatenate(found)


def measured(
    model: Any, task: Task, cell: Cell, plan: dict[str, Any], seconds: float, cpu: float
) -> Row:
    """Return the row of a network, after a look at the test pictures."""
    of_test = mistakes(model, task.batches(task.test, AT_ONCE))
    turned = None
    if isinstance(task, Framed):
        turned = 100 * float(mistakes(model, task.turned(task.test, AT_ONCE)).mean())
    options = getattr(model, "options", None)
    iterations = 0 if options is None else 1 if options.method == "uniform" else options.iterations
    return Row(
        label=cell.label,
        network=cell.network,
        iterations=iterations,
        reconstruction=0.0 if options is None else options.reconstruction,
        seed=plan["seed"],
        error_percent=100 * float(of_test.mean()),
        wrong=int(of_test.sum()),
        tests=len(of_test),
        affine_error_percent=turned,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        cell=json.loads(json.dumps(asdict(cell))),
        plan=plan,
        task=task.name,
        data=task.train.fingerprint(),
        seconds=round(seconds, 2),
        cpu_seconds=round(cpu, 2),
    )


def read(path: Path | str) -> list[dict[str, Any]]:
    """Read the rows that a table wrote.

    Raises:
        ValueError: The file holds something else.
        OSError: It cannot be read.
    """
    try:
        rows = json.loads(Path(path).read_text(encoding="utf-8"))
        known = {name for name in Row.__dataclass_fields__}
        if not isinstance(rows, list) or any(set(row) != known for row in rows):
            raise ValueError("expected a list of rows with the fields of Row")
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: no table of an experiment ({error})") from error
    return rows


def table(
    path: Path | str | None,
    task: Task,
    cells: Sequence[Cell],
    *,
    seeds: int,
    device: str = "cpu",
) -> list[Row]:
    """Train every cell with every seed and measure it; what the file already has stays.

    Args:
        path: Written whole after every training, as a list of rows; None: nowhere.
        task: Where the pictures come from.
        cells: What is trained.
        seeds: 0, 1, ... below it; all cells have the first before any has the second.
        device: Of torch.

    Returns:
        A row for each cell and seed asked for.

    Raises:
        ValueError: The file holds something else; a setting cannot be used.
    """
    kept = [Row(**row) for row in read(path)] if path is not None and Path(path).exists() else []
    asked, data = [], task.train.fingerprint()
    for seed in range(seeds):
        for cell in cells:
            plan = asdict(cell.planned(seed))
            wanted = json.loads(json.dumps([asdict(cell), plan, task.name, data]))
            row = next((r for r in kept if [r.cell, r.plan, r.task, r.data] == wanted), None)
            if row is None:
                began, began_cpu = time.perf_counter(), time.process_time()
                model = learn(task, cell, seed, device=device)
                spent, cpu = time.perf_counter() - began, time.process_time() - began_cpu
                row = measured(model, task, cell, plan, spent, cpu)
                kept.append(row)
                if path is not None:
                    with written_whole(Path(path)) as temporary:
                        content = json.dumps([asdict(one) for one in kept], indent=1)
                        temporary.write_text(content + "\n", encoding="utf-8")
            show(f"{row.label}, seed {seed}: {row.wrong} of {row.tests:,} wrong, "
                 f"{row.error_percent:.2f} % ({row.seconds:.0f} s)")  # fmt: skip
            asked.append(row)
    return asked


def summary(rows: Sequence[Row]) -> Figures:
    """Return errors, parameters and seconds by label, over seeds."""
    figures: Figures = {}
    for label in dict.fromkeys(row.label for row in rows):
        mine = [row for row in rows if row.label == label]
        figures |= over_seeds(f"{label}_error_percent", [row.error_percent for row in mine])
        turned = [r.affine_error_percent for r in mine if r.affine_error_percent is not None]
        if turned:
            figures |= over_seeds(f"{label}_affine_error_percent", turned)
        figures[f"{label}_parameters"] = mine[0].parameters
        figures[f"{label}_cpu_seconds_mean"] = sum(row.cpu_seconds for row in mine) / len(mine)
    return figures


def show_table(rows: Sequence[Row], beside: Mapping[tuple[str, int, bool], str]) -> None:
    """Print the errors by cell.

    Args:
        rows: Of the table.
        beside: What stands beside a cell, by (network, iterations, with reconstruction).
    """
    labels = list(dict.fromkeys(row.label for row in rows))
    width = max(map(len, labels))
    for label in labels:
        mine = [row for row in rows if row.label == label]
        errors = [row.error_percent for row in mine]
        deviation = f" +- {np.std(errors, ddof=1):.3f}" if len(errors) > 1 else ""
        key = (mine[0].network, mine[0].iterations, mine[0].reconstruction > 0)
        other = f"   {beside[key]}" if key in beside else ""
        show(f"{label:{width}}  {np.mean(errors):.3f}{deviation} %, {len(errors)} seeds, "
             f"{mine[0].parameters:,} parameters{other}")  # fmt: skip


def add_options(parser: argparse.ArgumentParser, *, seeds: int) -> None:
    """Add the options that all of these experiments have."""
    parser.add_argument("--seeds", type=int, default=seeds, help=f"default: {seeds}")
    parser.add_argument("--epochs", type=int, help="default: as the preset says")
    parser.add_argument("--batch", type=int, help="default: as the preset says")
    parser.add_argument("--lr", type=float, help="default: as the preset says")
    parser.add_argument("--threads", type=int, default=1, help="default: 1")
    parser.add_argument("--device", default="cpu", help="of torch (default: cpu)")
    parser.add_argument(
        "--json", metavar="FILE", help="rows of the table; what it holds is not trained again"
    )


def prepare(parser: argparse.ArgumentParser, options: argparse.Namespace) -> dict[str, Any]:
    """Check these options, set the threads, and return the fields of the plan among them."""
    for name in ("seeds", "threads", "epochs", "batch"):
        value = getattr(options, name)
        if value is not None and value < 1:
            parser.error(f"--{name}: expected at least 1, got {value}")
    import torch

    import polyad

    torch.set_num_threads(options.threads)
    polyad.set_num_threads(options.threads)
    return {
        name: getattr(options, name)
        for name in ("epochs", "batch", "lr")
        if getattr(options, name) is not None
    }
