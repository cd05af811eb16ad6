"""What every model that Lightning trains goes through: learn to the end, then measure and report.

Lightning itself is imported by `require_lightning` only, which says what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from polyad.run import Interrupted, Run, stopping

if TYPE_CHECKING:
    from polyad.recipes.training import Training

__all__ = ["Progress", "how_to_go_on", "learn", "require_lightning", "require_shares"]

Progress = Callable[[Mapping[str, Any]], None]


def learn(
    run: Run,
    training: Training,
    measure: Callable[[Any], None],
    *,
    accelerator: str,
    devices: int,
    on_progress: Progress | None,
) -> None:
    """Train to the end, keeping checkpoints and curve; then measure, and say how long it took.

    Args:
        run: Its folder is begun with the first checkpoint.
        training: What, and from where on.
        measure: Called with the trained model, on the CPU.
        accelerator: Of Lightning's trainer.
        devices: Processes; all but the first end here.
        on_progress: Called several times a second with stage 'train'; with stage 'stopping' (and a
            message) when a stop was asked for, and 'measure' when training is done.

    Raises:
        TrainingError: A number is not finite.
        Interrupted: Ctrl-C or SIGTERM; a checkpoint is left behind.
    """
    from polyad.recipes.training import Stopped, fit, is_main_process

    tell = on_progress or (lambda info: None)

    def say_stopping() -> None:
        message = "stopping after this step; once more to stop at the last checkpoint"
        tell({"stage": "stopping", "message": message})

    kept = run.history(*training.columns) if run.begun else []
    rows = [row for row in kept if row["step"] <= training.done]
    try:
        if not training.finished(rows):
            with stopping(say_stopping) as asked:
                rows = fit(
                    run,
                    training,
                    asked,
                    rows=rows,
                    accelerator=accelerator,
                    devices=devices,
                    on_progress=on_progress,
                )
        if not is_main_process():
            raise SystemExit(0)  # the main process does the rest
        tell({"stage": "measure", "message": ""})
        measure(training.model.cpu())
    except (KeyboardInterrupt, Stopped):
        raise Interrupted(how_to_go_on(run)) from None
    run.add_metrics(  # seconds_train says that the run has finished: it comes last
        steps_train=training.done,
        parameters=sum(p.numel() for p in training.model.parameters()),
        seconds_train=rows[-1]["seconds"],
    )


def how_to_go_on(run: Run) -> str:
    """Return what an interrupt says."""
    if not run.begun:
        return "stopped before the first checkpoint; nothing was written"
    return f"stopped; to go on: polyad train {run.model} --out {run.path} --resume"


def require_shares(batch: int, devices: int) -> None:
    """Raise ValueError unless every process can take an equal share of a batch."""
    if devices < 1:
        raise ValueError(f"devices: expected at least 1, got {devices}")
    if batch % devices:
        raise ValueError(
            f"batch: expected a multiple of devices = {devices}, so that each takes an equal "
            f"share, got {batch}"
        )


def require_lightning(module: str) -> Any:
    """Return a module of recipes that imports Lightning, or raise ImportError with the cure."""
    try:
        import lightning
        import safetensors
        import tensorboard
        import torchmetrics  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"training needs {error.name}, which is missing: pip install 'polyad[train]'"
        ) from error
    del lightning, safetensors, tensorboard
    return import_module(f"polyad.recipes.{module}")
