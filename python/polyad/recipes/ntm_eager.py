"""How long training would take with the eager reference in place of the kernel.

python -m polyad.recipes.ntm_eager --task copy --updates 200

Both train the same model on the same sequences, one thread; what is printed is processor time, for
as many sequences as the preset has, scaled from ``--updates`` updates.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from polyad import set_num_threads
from polyad.data.ntm_tasks import task as task_of
from polyad.recipes.experiment import Figures, show
from polyad.recipes.ntm_settings import Preset
from polyad.recipes.ntm_settings import preset as preset_of
from polyad.recipes.ntm_tasks import training_step

if TYPE_CHECKING:
    from polyad.data.ntm_tasks import Task
    from polyad.nn import NTM as Layer

__all__ = ["main", "run"]


def _reference(layer: Layer) -> Callable[..., Any]:
    """What ``layer`` computes, in eager torch."""
    from polyad.reference import ntm

    options = ("read_first", "head_activation", "similarity", "epsilon")

    def forward(inputs: Any, state: Any = None, *, lengths: Any = None) -> Any:
        first = layer.init_state(len(inputs)) if state is None else state
        chosen = {name: getattr(layer, name) for name in options}
        return ntm.scan(inputs, first, layer.native_parameters(), lengths=lengths, **chosen)

    return forward


def _seconds(task: Task, preset: Preset, updates: int, *, eager: bool) -> tuple[float, float]:
    """Processor time of an update, and bits a sequence before the first one."""
    model = preset.model(task, seed=0)
    if eager:
        model.layer.forward = _reference(model.layer)  # type: ignore[arg-type]
    optimizer = preset.optimizer(model)
    first, started = 0.0, 0.0
    for step in range(updates + 1):
        if step == 1:  # the first one warms up
            started = time.process_time()
        batch = task.batch(0, step, preset.batch)
        bits, _ = training_step(model, optimizer, batch, clip=preset.clip, step=step)
        first = bits if step == 0 else first
    return (time.process_time() - started) / updates, first


def run(task: str, preset: str = "small", updates: int = 200) -> Figures:
    """Time training with the kernel and with the reference.

    Args:
        task: A name in `polyad.data.ntm_tasks.TASKS`.
        preset: A name in the task's presets.
        updates: How many are timed.

    Raises:
        ValueError: No such task or preset, or fewer than one update.
        RuntimeError: The two did not compute the same.
    """
    if updates < 1:
        raise ValueError(f"updates: expected at least 1, got {updates}")
    chosen, of = preset_of(task, preset), task_of(task)
    ours, bits = _seconds(of, chosen, updates, eager=False)
    theirs, same = _seconds(of, chosen, updates, eager=True)
    if abs(bits - same) > 1e-5 * abs(same):
        raise RuntimeError(f"the reference came to {same} bits, the kernel to {bits}")
    steps = chosen.sequences / chosen.batch
    return {
        "updates": updates,
        "kernel_milliseconds_per_update": 1e3 * ours,
        "reference_milliseconds_per_update": 1e3 * theirs,
        "reference_over_kernel": theirs / ours,
        "sequences": chosen.sequences,
        "kernel_seconds_scaled": ours * steps,
        "reference_seconds_scaled": theirs * steps,
    }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--task", default="copy", help="default: copy")
    parser.add_argument("--preset", default="small", help="default: small")
    parser.add_argument("--updates", type=int, default=200, help="default: 200")
    options = vars(parser.parse_args())
    import torch

    torch.set_num_threads(1)
    set_num_threads(1)
    try:
        figures = run(**options)
    except (ValueError, ImportError) as error:
        raise SystemExit(str(error)) from error
    for name, value in figures.items():
        show(f"{name:34}  {value:.4g}")


if __name__ == "__main__":
    main()
