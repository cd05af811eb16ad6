"""Train and evaluate a Neural Turing Machine in a run folder; `polyad train ntm` and others.

run = train("runs/copy", task="copy")
evaluate(run)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyad.data.ntm_tasks import task as task_of
from polyad.recipes import ntm_settings
from polyad.recipes.learn import Progress, learn, require_lightning, require_shares
from polyad.recipes.ntm_measure import evaluate, load_model, load_task
from polyad.recipes.ntm_settings import Preset
from polyad.report.look import require_matplotlib
from polyad.report.ntm import Record
from polyad.report.ntm_page import write_page
from polyad.run import Run, RunError, require_free

if TYPE_CHECKING:
    from polyad.models import NTM
    from polyad.recipes.ntm_training import Plan, Training

__all__ = ["evaluate", "load_model", "load_task", "preset_settings", "resume", "train"]

MODEL = "ntm"


def preset_settings(task: str, name: str) -> dict[str, Any]:
    """Return the fields of a preset of a task.

    Raises:
        ValueError: There is no such task or preset.
    """
    return ntm_settings.preset(task, name).settings()


def train(
    out: Path | str,
    *,
    task: str,
    preset: str = "small",
    ranges: Mapping[str, int] | None = None,
    network: Mapping[str, Any] | None = None,
    plan: Mapping[str, Any] | None = None,
    accelerator: str = "cpu",
    devices: int = 1,
    replace_run: bool = False,
    on_progress: Progress | None = None,
) -> Run:
    """Train a Neural Turing Machine on a task and leave a run folder.

    Step i's sequences are a function of (seed, i) and nothing else is random, so the same settings
    give the same model, interrupted or not.

    Args:
        out: The folder.
        task: A name in `polyad.data.ntm_tasks.TASKS`.
        preset: A name in `polyad.recipes.ntm_settings.PRESETS` of the task: where the settings come
            from that are not given here.
        ranges: Of the task, where they are not the paper's.
        network: Options of `polyad.models.NTM`.
        plan: Fields of `polyad.recipes.ntm_training.Plan`: optimiser, lr, clip, batch, sequences,
            seed, validate_every, validation, target_bits.
        accelerator: Of Lightning's trainer: cpu, cuda, auto.
        devices: Processes; each takes its share of every batch. More than one start the program
            again, as Lightning does.
        replace_run: Replace a run that is there.
        on_progress: Called several times a second with stage 'train' and ``sequences``, ``total``,
            ``seconds``, ``bits_train``, ``bits``; with stage 'stopping' (and a message) when a stop
            was asked for, and 'measure' when training is done.

    Returns:
        The finished run.

    Raises:
        RunError: The folder cannot be used.
        ValueError: A setting cannot be used; nothing is left behind.
        ImportError: lightning or another package of polyad[train] is missing.
        TrainingError: A number is not finite.
        Interrupted: Ctrl-C or SIGTERM; a checkpoint is left behind.
    """
    training_module = require_lightning("ntm_training")
    from polyad.recipes.training import is_main_process

    if is_main_process():
        require_free(Path(out), replace=replace_run)
    require_matplotlib()
    sizes = task_of(task, **(ranges or {}))
    given = preset_settings(task, preset)
    options = {**given.pop("network"), **(network or {})}
    chosen: Plan = training_module.Plan(**{**given, **(plan or {})})
    require_shares(chosen.batch, devices)
    model = Preset(options).model(sizes, chosen.seed)
    settings = {
        "task": {"name": sizes.name, "ranges": sizes.settings()},
        "preset": preset,
        "network": model.settings(),
        "plan": asdict(chosen),
    }
    run = Run(out, MODEL, settings)
    _learn(run, training_module.Training(model, sizes, chosen), accelerator, devices, on_progress)
    return run


def resume(
    out: Path | str,
    *,
    accelerator: str = "cpu",
    devices: int = 1,
    on_progress: Progress | None = None,
) -> Run:
    """Go on with a run that was interrupted; the result is that of an uninterrupted one.

    Args:
        out: The folder.
        accelerator: As for `train`.
        devices: As for `train`; on as many as before, sums are in the same order.
        on_progress: As for `train`.

    Returns:
        The finished run.

    Raises:
        RunError: No run, one that has finished, or one without a checkpoint.
        TrainingError: As for `train`.
        Interrupted: As for `train`.
    """
    training_module = require_lightning("ntm_training")
    from polyad.models import NTM
    from polyad.recipes.training import is_main_process, read_checkpoint

    run = Run.open(out, model=MODEL)
    if run.finished:
        raise RunError(f"{run.path}: has finished training; nothing to resume")
    require_matplotlib()
    sizes = load_task(run)
    state = read_checkpoint(run)
    try:
        plan = training_module.Plan(**run.setting("plan", dict))
        training = training_module.Training(NTM(**run.setting("network", dict)), sizes, plan, state)
    except (KeyError, TypeError, RuntimeError, ValueError) as error:
        raise RunError(f"{run.path}: settings and checkpoint do not fit ({error})") from error
    require_shares(plan.batch, devices)
    if is_main_process():
        run.sweep()
    _learn(run, training, accelerator, devices, on_progress)
    return run


def _learn(
    run: Run, training: Training, accelerator: str, devices: int, on_progress: Progress | None
) -> None:
    """Train to the end of the plan, keeping checkpoints and curve; then measure and report."""
    records: list[Record] = []

    def measure(model: NTM) -> None:
        records.extend(evaluate(run, model=model).records)
        run.add_metrics(sequences_train=training.done * training.plan.batch)

    learn(run, training, measure, accelerator=accelerator, devices=devices, on_progress=on_progress)
    write_page(run, records)
