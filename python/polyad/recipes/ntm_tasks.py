"""The Neural Turing Machine learns a task: bits against sequences, and lengths it never saw.

python -m polyad.recipes.ntm_tasks --task copy --preset small --seeds 5 --json copy.json

Every seed draws its own first weights and its own sequences. Bits are the cross-entropy summed over
the target bits of a sequence: along a curve of 200 held-out sequences, in the end of 1,000, and of
100 where sequences are longer. A wrong bit is one thresholded at 1/2.
`polyad.recipes.ntm_tasks_figure` draws the files.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyad._files import written_whole
from polyad.data.ntm_tasks import TASKS, Batch, NGrams, Task
from polyad.data.ntm_tasks import task as task_of
from polyad.recipes.experiment import Figures, over_seeds, show
from polyad.recipes.ntm_settings import Preset
from polyad.recipes.ntm_settings import preset as preset_of

if TYPE_CHECKING:
    import torch

    from polyad.models import NTM

__all__ = ["Curve", "learn", "main", "run", "training_step"]

CURVE_SEQUENCES, LAST_SEQUENCES, LONGER_SEQUENCES = 200, 1000, 100
ROWS = 40
"""Measurements along a curve."""


@dataclass
class Curve:
    """How one seed learned.

    Attributes:
        task: A name in `polyad.data.ntm_tasks.TASKS`.
        preset: A name in the task's `polyad.recipes.ntm_settings.PRESETS`.
        seed: Of weights and sequences.
        settings: Of the preset.
        parameters: Numbers learned.
        sequences: Seen at each measurement.
        bits: Held-out bits a sequence, at each.
        seconds: Spent training until each.
        last_bits: Bits a sequence on 1,000 held-out sequences, at the end.
        last_wrong: Wrong bits a sequence on the same.
        optimal_bits: What the best estimator pays on the same; n-grams only.
        longer: Label -> bits a sequence, wrong bits a sequence, share of sequences without one.
    """

    task: str
    preset: str
    seed: int
    settings: dict[str, Any]
    parameters: int
    sequences: list[int] = field(default_factory=list)
    bits: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    last_bits: float = math.nan
    last_wrong: float = math.nan
    optimal_bits: float = math.nan
    longer: dict[str, tuple[float, float, float]] = field(default_factory=dict)

    def reached(self, bits: float) -> float:
        """Return the sequences seen when a measurement was first below ``bits``; inf: never."""
        below = [n for n, b in zip(self.sequences, self.bits, strict=True) if b < bits]
        return below[0] if below else math.inf


def training_step(
    model: NTM, optimizer: torch.optim.Optimizer, batch: Batch, *, clip: float, step: int = 0
) -> tuple[float, float]:
    """Take one step of training, the one that every trainer takes.

    Args:
        model: What learns.
        optimizer: Of its parameters.
        batch: Sequences.
        clip: The norm of the gradient is cut to it.
        step: For the message of an error.

    Returns:
        Bits a sequence before the step, and the norm of the gradient before it was cut.

    Raises:
        FloatingPointError: One of the two is not finite; nothing has been changed.
    """
    import torch

    loss = model.loss(batch)
    bits = loss.item()
    if not math.isfinite(bits):
        raise FloatingPointError(f"bits per sequence: {bits} at step {step}")
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), clip).item()
    if not math.isfinite(norm):
        raise FloatingPointError(f"norm of the gradient: {norm} at step {step}")
    optimizer.step()
    return bits, norm


def learn(
    task: Task,
    preset: Preset,
    *,
    name: str = "",
    seed: int = 0,
    target_bits: float = 0.0,
) -> tuple[NTM, Curve]:
    """Train one model and measure it on the way.

    Args:
        task: Where sequences come from.
        preset: The network and how it is trained.
        name: Of the preset.
        seed: Of the first weights and of the sequences.
        target_bits: Stop when two measurements in a row are below it; 0: never.

    Returns:
        The model and its curve.

    Raises:
        FloatingPointError: A number is not finite.
    """
    model = preset.model(task, seed)
    optimizer = preset.optimizer(model)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    curve = Curve(task.name, name, seed, preset.settings(), parameters)
    held_out = task.held_out(CURVE_SEQUENCES, seed=1)
    steps = -(-preset.sequences // preset.batch)
    every = max(1, steps // ROWS)
    spent, began = 0.0, time.perf_counter()
    for step in range(steps):
        preset.set_rate(optimizer, step, steps)
        batch = task.batch(seed, step, preset.batch)
        training_step(model, optimizer, batch, clip=preset.clip, step=step)
        if (step + 1) % every and step + 1 < steps:
            continue
        spent += time.perf_counter() - began
        bits = model.measure(held_out)[0].mean().item()
        curve.sequences.append((step + 1) * preset.batch)
        curve.bits.append(bits)
        curve.seconds.append(round(spent, 2))
        show(f"  {name}, seed {seed}: {curve.sequences[-1]:7} sequences, {bits:9.4f} bits, "
             f"{spent:6.1f} s")  # fmt: skip
        if len(curve.bits) > 1 and max(curve.bits[-2:]) < target_bits:
            break
        began = time.perf_counter()
    return model, curve


def measure(model: NTM, task: Task, curve: Curve) -> None:
    """Write down how good a model is in the end, also on longer sequences."""
    last = task.held_out(LAST_SEQUENCES)
    bits, wrong = model.measure(last)
    curve.last_bits, curve.last_wrong = bits.mean().item(), wrong.float().mean().item()
    if isinstance(task, NGrams):
        curve.optimal_bits = float(task.optimal_bits(last).mean())
    for label, longer in task.longer():
        bits, wrong = model.measure(longer.held_out(LONGER_SEQUENCES))
        curve.longer[label] = (
            bits.mean().item(),
            wrong.float().mean().item(),
            (wrong == 0).float().mean().item(),
        )


def summary(curves: Sequence[Curve]) -> Figures:
    """Return the figures of the curves of one preset, over its seeds."""
    preset = curves[0].preset.replace("-", "_")
    figures = over_seeds(f"{preset}_bits_per_sequence", [c.last_bits for c in curves])
    figures[f"{preset}_bits_per_sequence_median"] = sorted(c.last_bits for c in curves)[
        len(curves) // 2
    ]
    figures |= over_seeds(f"{preset}_wrong_bits_per_sequence", [c.last_wrong for c in curves])
    figures |= over_seeds(f"{preset}_seconds", [c.seconds[-1] for c in curves])
    for bits in (0.1, 0.05, 0.01):
        figures[f"{preset}_seeds_below_{bits}_bits"] = sum(c.last_bits < bits for c in curves)
    if not math.isnan(curves[0].optimal_bits):
        figures[f"{preset}_optimal_bits_per_sequence"] = curves[0].optimal_bits
    for label in curves[0].longer:
        at = f"{preset}_{label.replace(' ', '_').replace(',', '')}"
        best = min(curves, key=lambda c: c.longer[label][1])
        figures |= over_seeds(f"{at}_bits_per_sequence", [c.longer[label][0] for c in curves])
        figures[f"{at}_wrong_bits_per_sequence_best"] = best.longer[label][1]
    return figures


def run(
    task: str,
    presets: Sequence[str] = ("small",),
    *,
    seeds: int = 5,
    sequences: int | None = None,
    cooldown: float | None = None,
    target_bits: float = 0.0,
) -> tuple[Figures, list[Curve]]:
    """Train presets of a task over several seeds.

    Args:
        task: A name in `polyad.data.ntm_tasks.TASKS`.
        presets: Names in its `polyad.recipes.ntm_settings.PRESETS`.
        seeds: 0, 1, ... below it.
        sequences: How long, if not as the preset says.
        cooldown: Share of the sequences, the last, over which the learning rate falls to zero, if
            not as the preset says.
        target_bits: Stop a seed when two measurements in a row are below it; 0: never.

    Returns:
        Figures by name, and the curves.

    Raises:
        ValueError: There is no such task or preset.
        FloatingPointError: A number is not finite.
    """
    sizes = task_of(task)
    figures: Figures = {}
    curves: list[Curve] = []
    for name in presets:
        preset = preset_of(task, name)
        if sequences is not None:
            preset = replace(preset, sequences=sequences)
        if cooldown is not None:
            preset = replace(preset, cooldown=cooldown)
        found = []
        for seed in range(seeds):
            model, curve = learn(sizes, preset, name=name, seed=seed, target_bits=target_bits)
            measure(model, sizes, curve)
            show(f"{name}, seed {seed}: {curve.last_bits:.4f} bits, {curve.last_wrong:.4f} wrong")
            for label, (bits, wrong, right) in curve.longer.items():
                show(f"  {label}: {bits:.3f} bits, {wrong:.3f} wrong, {right:.0%} all right")
            found.append(curve)
        figures |= summary(found)
        curves += found
    return figures, curves


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="A Neural Turing Machine learns a task.")
    parser.add_argument("--task", required=True, choices=list(TASKS))
    parser.add_argument(
        "--preset", action="append", help="of the task; may be repeated (default: small)"
    )
    parser.add_argument("--seeds", type=int, default=5, help="how often to repeat (default: 5)")
    parser.add_argument("--sequences", type=int, help="default: as the preset says")
    parser.add_argument(
        "--until-bits", type=float, default=0.0, help="stop a seed below it (default: 0, never)"
    )
    parser.add_argument(
        "--cooldown",
        type=float,
        help="share of the sequences, the last, over which the learning rate falls to zero "
        "(default: as the preset says)",
    )
    parser.add_argument("--threads", type=int, default=1, help="default: 1")
    parser.add_argument("--json", metavar="FILE", help="also write figures and curves here")
    options = parser.parse_args(arguments)
    for name in ("seeds", "sequences", "threads"):
        value = getattr(options, name)
        if value is not None and value < 1:
            parser.error(f"--{name}: expected at least 1, got {value}")
    if options.cooldown is not None and not 0 <= options.cooldown <= 1:
        parser.error(f"--cooldown: expected 0 .. 1, got {options.cooldown}")
    try:
        import torch

        import polyad

        torch.set_num_threads(options.threads)
        polyad.set_num_threads(options.threads)
        figures, curves = run(
            options.task,
            options.preset or ["small"],
            seeds=options.seeds,
            sequences=options.sequences,
            cooldown=options.cooldown,
            target_bits=options.until_bits,
        )
    except (OSError, ValueError, ImportError, FloatingPointError) as error:
        raise SystemExit(f"{error}") from error
    width = max(len(name) for name in figures)
    for name, value in figures.items():
        show(f"{name:{width}}  {value:.6g}")
    if options.json is not None:
        whole = {"figures": figures, "curves": [asdict(curve) for curve in curves]}
        with written_whole(Path(options.json)) as temporary:
            temporary.write_text(json.dumps(whole, indent=1) + "\n")


if __name__ == "__main__":
    main()
