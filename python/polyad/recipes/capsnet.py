"""Train and evaluate a CapsNet in a run folder; `polyad train capsnet` and others.

run = train("runs/digits", data="digits")
evaluate(run)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyad import data as sources
from polyad.recipes import capsnet_settings
from polyad.recipes.capsnet_measure import evaluate, load_model, load_task, seed_errors
from polyad.recipes.capsnet_tasks import task_of
from polyad.recipes.learn import Progress, learn, require_lightning, require_shares
from polyad.recipes.run_data import described
from polyad.report.capsnet_page import write_page
from polyad.report.look import require_matplotlib
from polyad.run import Run, RunError, require_free

if TYPE_CHECKING:
    from torch import nn

    from polyad.recipes.capsnet_measure import Evaluation
    from polyad.recipes.capsnet_tasks import Task
    from polyad.recipes.capsnet_training import Plan, Training

__all__ = ["evaluate", "load_model", "load_task", "resume", "train"]

MODEL = "capsnet"


def train(
    out: Path | str,
    *,
    data: str = "digits",
    test: str | None = None,
    label_column: str | None = None,
    image_shape: tuple[int, int] | None = None,
    task: str = "classify",
    network: str = "capsnet",
    preset: str | None = None,
    options: Mapping[str, Any] | None = None,
    plan: Mapping[str, Any] | None = None,
    accelerator: str = "cpu",
    devices: int = 1,
    threads: int | None = None,
    replace_run: bool = False,
    on_progress: Progress | None = None,
) -> Run:
    """Train a CapsNet, or a network beside it, and leave a run folder.

    Step i's pictures are a function of (seed, i) and nothing else is random, so the same settings
    give the same model, interrupted or not.

    Args:
        out: The folder.
        data: A name or path; this and the next three as in `polyad.data.load`.
        test: Where test examples are.
        label_column: The label column of a table.
        image_shape: (height, width) of pixels.
        task: A name in `polyad.recipes.capsnet_tasks.TASKS`: classify, multimnist, affine.
        network: A name in `polyad.recipes.capsnet_settings.NETWORKS`.
        preset: A name in `polyad.recipes.capsnet_settings.PRESETS`: where the settings come from
            that are not given here. None: the one for pictures of this size.
        options: Of `polyad.models.CapsNet`, in place of the preset's; a 'matched-cnn' has as many
            parameters as the CapsNet of these options.
        plan: Fields of `polyad.recipes.capsnet_training.Plan`: epochs, batch, lr, decay,
            decay_steps, cooldown, shift, validation, seed.
        accelerator: Of Lightning's trainer: cpu, cuda, auto.
        devices: Processes; each takes its share of every batch. More than one start the program
            again, as Lightning does.
        threads: Of torch and of the kernels, until it returns. None: 1 with preset 'digits', whose
            steps take a few milliseconds and on a busy machine wait for a second one, else as many
            as are set.
        replace_run: Replace a run that is there.
        on_progress: Called several times a second with stage 'train' and ``epoch``, ``epochs``,
            ``pictures``, ``seconds``, ``loss``, ``error_percent`` (since the last row) and ``row``
            (the last); with stage 'stopping' (and a message) when a stop was asked for, and
            'measure' when training is done.

    Returns:
        The finished run.

    Raises:
        DataError: The data cannot be used.
        RunError: The folder cannot be used.
        ValueError: A setting cannot be used; nothing is left behind.
        ImportError: lightning or another package of polyad[train] is missing.
        TrainingError: A number is not finite.
        Interrupted: Ctrl-C or SIGTERM; a checkpoint is left behind.
    """
    training_module = require_lightning("capsnet_training")
    from polyad.recipes.training import is_main_process

    if is_main_process():
        require_free(Path(out), replace=replace_run)
    require_matplotlib()
    if network not in capsnet_settings.NETWORKS:
        raise ValueError(
            f"network: expected one of {', '.join(capsnet_settings.NETWORKS)}, got {network!r}"
        )
    where = {"test": test, "label_column": label_column, "image_shape": image_shape}
    split = sources.load(data, **where)  # type: ignore[arg-type]
    validation = int((plan or {}).get("validation", 0))
    made = task_of(task, split, validation=validation)
    name = preset or capsnet_settings.preset_for(made.image_size)
    chosen_preset = capsnet_settings.preset(name)
    chosen: Plan = training_module.Plan(**{**chosen_preset.settings(network), **(plan or {})})
    _require_batches(chosen, made, devices)
    model: Any = chosen_preset.model(
        network, made.image_size, made.classes, chosen.seed, **(options or {})
    )
    settings = {
        "data": described(split, data, **where),  # type: ignore[arg-type]
        "task": made.name,
        "network": network,
        "preset": name,
        "options": model.settings(),
        "plan": asdict(chosen),
    }
    run = Run(out, MODEL, settings)
    training = training_module.Training(model, made, chosen)
    with _threads(threads, name):
        _learn(run, training, accelerator, devices, on_progress)
    return run


def resume(
    out: Path | str,
    *,
    accelerator: str = "cpu",
    devices: int = 1,
    threads: int | None = None,
    on_progress: Progress | None = None,
) -> Run:
    """Go on with a run that was interrupted; the result is that of an uninterrupted one.

    Args:
        out: The folder.
        accelerator: As for `train`.
        devices: As for `train`; on as many as before, sums are in the same order.
        threads: As for `train`.
        on_progress: As for `train`.

    Returns:
        The finished run.

    Raises:
        RunError: No run, one that has finished, one without a checkpoint, or whose data changed.
        TrainingError: As for `train`.
        Interrupted: As for `train`.
    """
    training_module = require_lightning("capsnet_training")
    from polyad.recipes.training import is_main_process, read_checkpoint

    run = Run.open(out, model=MODEL)
    if run.finished:
        raise RunError(f"{run.path}: has finished training; nothing to resume")
    require_matplotlib()
    task = load_task(run)
    state = read_checkpoint(run)
    try:
        plan = training_module.Plan(**run.setting("plan", dict))
        training = training_module.Training(_made_again(run), task, plan, state)
    except (KeyError, TypeError, RuntimeError, ValueError) as error:
        raise RunError(f"{run.path}: settings and checkpoint do not fit ({error})") from error
    _require_batches(plan, task, devices)
    if is_main_process():
        run.sweep()
    with _threads(threads, run.settings.get("preset")):
        _learn(run, training, accelerator, devices, on_progress)
    return run


@contextmanager
def _threads(asked: int | None, preset: Any) -> Iterator[None]:
    """Set the threads of torch and of the kernels, and what they were at the end."""
    import torch

    import polyad

    before = torch.get_num_threads(), polyad.get_num_threads()
    count = asked or (1 if preset == "digits" else None)
    try:
        if count is not None:
            torch.set_num_threads(count)
            polyad.set_num_threads(count)
        yield
    finally:
        torch.set_num_threads(before[0])
        polyad.set_num_threads(before[1])


def _made_again(run: Run) -> nn.Module:
    """A network of the run's settings; its weights come from the checkpoint."""
    from polyad.models import CapsNet, CapsNetCNN

    options = run.setting("options", dict)
    if run.setting("network", str) == "capsnet":
        return CapsNet(**options)
    return CapsNetCNN(**options)


def _learn(
    run: Run, training: Training, accelerator: str, devices: int, on_progress: Progress | None
) -> None:
    """Train to the end of the plan, keeping checkpoints and curve; then measure and report."""
    found: list[Evaluation] = []

    def measure(model: nn.Module) -> None:
        found.append(evaluate(run, model=model, task=training.task))
        run.add_metrics(
            samples_train=len(training.task),
            samples_validation=len(training.task.held_out),
            epochs=training.plan.epochs,
            error_percent_train=run.history()[-1]["error_percent_train"],
        )

    learn(run, training, measure, accelerator=accelerator, devices=devices, on_progress=on_progress)
    write_page(run, found[0].perturbed, seed_errors(run))


def _require_batches(plan: Plan, task: Task, devices: int) -> None:
    if plan.batch > len(task):
        raise ValueError(
            f"batch: expected at most the {len(task):,} training examples, got {plan.batch:,}"
        )
    require_shares(plan.batch, devices)
