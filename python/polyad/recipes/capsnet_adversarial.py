"""Pictures changed on purpose: how far a CapsNet and CNNs hold out, at equal accuracy.

python -m polyad.recipes.capsnet_adversarial --seeds 5 --json adversarial.json
python -m polyad.recipes.capsnet_adversarial --data FOLDER --preset small --tests 1000

Every network is attacked with its own gradients, which for a CapsNet go through all iterations of
routing; the decoder has no part in it. A change is at most epsilon in every pixel, of pixels in 0
to 1. Only pictures that all networks of a seed answer rightly are counted, so each starts from no
error at all.

fgsm    one step of epsilon along the sign of the gradient of the cost
pgd     many steps of 2.5 epsilon / steps from several random starts, for two costs: the one that
        was trained with, and the lead of the best wrong class; a picture is lost if any finds a way

Whether gradients tell the truth is asked by figures beside it: FGSM on both costs; noise of the
same size, whose harm must be less; what PGD on the other network does to this one, which must be
less than PGD on itself; PGD with four times the steps, which must find little more; and PGD with
epsilon 1, which must lose every picture.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyad._files import written_whole
from polyad.data import load
from polyad.recipes.capsnet_experiment import AT_ONCE, Cell, add_options, learn, mistakes, prepare
from polyad.recipes.capsnet_settings import NETWORKS, PRESETS
from polyad.recipes.capsnet_tasks import Task, answers_of
from polyad.recipes.experiment import Figures, over_seeds, show

if TYPE_CHECKING:
    from torch import Tensor, nn

    Cost = Callable[[Any, Tensor, Tensor], Tensor]

__all__ = ["EPSILONS", "HOW", "attack", "compare", "fgsm", "lead", "main", "pgd", "trained_cost"]

EPSILONS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3)
STEPS, RESTARTS = 20, 3
MORE_STEPS = 4
"""How many times as many steps the check takes."""

HOW = ("noise", "fgsm", "fgsm_lead", "pgd")
CHECKED_EPSILON = 0.1
"""Where other starts, steps and gradients are compared."""


def trained_cost(model: Any, images: Tensor, labels: Tensor) -> Tensor:
    """Return the cost that the network was trained with, without reconstruction, summed.

    Margin loss of a CapsNet, cross-entropy of others.
    """
    from torch.nn import functional

    answers = answers_of(model(images))
    if hasattr(model, "margin"):
        loss: Tensor = model.margin(answers, labels) * len(images)
        return loss
    return functional.cross_entropy(answers, labels, reduction="sum")


def lead(model: Any, images: Tensor, labels: Tensor) -> Tensor:
    """Return how far the best wrong class leads over the right one, summed over pictures.

    Lengths and logits are taken as they are: it stays steep where margin and softmax are flat.
    """
    from torch.nn import functional

    answers = answers_of(model(images))
    there = functional.one_hot(labels, answers.shape[1]).bool()
    best: Tensor = answers.masked_fill(there, -1e9).amax(dim=1)
    return (best - answers[there]).sum()


def _sign(model: nn.Module, images: Tensor, labels: Tensor, cost: Cost) -> Tensor:
    import torch

    images = images.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(cost(model, images, labels), images)
    return gradient.sign()


def fgsm(
    model: nn.Module, images: Tensor, labels: Tensor, epsilon: float, cost: Cost = trained_cost
) -> Tensor:
    """Return pictures after one step of size epsilon: x + epsilon sign(dL/dx), cut to 0 .. 1.

    Args:
        model: In evaluation mode.
        images: [B, C, H, W] in 0 .. 1.
        labels: int64 [B].
        epsilon: Most that a pixel changes by.
        cost: What is made larger.

    Source: Goodfellow, Shlens and Szegedy, Explaining and Harnessing Adversarial Examples (2015).
    """
    return (images + epsilon * _sign(model, images, labels, cost)).clamp(0, 1)


def pgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    epsilon: float,
    *,
    cost: Cost = trained_cost,
    steps: int = STEPS,
    seed: int = 0,
) -> Tensor:
    """Return pictures after many small steps that stay within epsilon, from a random start.

    Args:
        model: In evaluation mode.
        images: [B, C, H, W] in 0 .. 1.
        labels: int64 [B].
        epsilon: Most that a pixel changes by.
        cost: What is made larger.
        steps: Each of 2.5 epsilon / steps.
        seed: Of the start.

    Source: Madry et al., Towards Deep Learning Models Resistant to Adversarial Attacks (2018).
    """
    found = noisy(images, epsilon, seed)
    for _ in range(steps):
        found = found + 2.5 * epsilon / steps * _sign(model, found, labels, cost)
        found = (images + (found - images).clamp(-epsilon, epsilon)).clamp(0, 1)
    return found


def noisy(images: Tensor, epsilon: float, seed: int) -> Tensor:
    """Return pictures with uniform noise of at most epsilon, cut to 0 .. 1."""
    import torch

    draw = torch.Generator().manual_seed(seed)
    noise = torch.rand(images.shape, generator=draw).to(images.device)
    return (images + epsilon * (2 * noise - 1)).clamp(0, 1)


def right(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return which pictures are answered rightly, bool [B]."""
    import torch

    with torch.no_grad():
        return answers_of(model(images)).argmax(dim=1) == labels


def attack(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    epsilon: float,
    *,
    steps: int = STEPS,
    restarts: int = RESTARTS,
) -> Tensor:
    """Return which pictures PGD does not lose, for any cost and start, bool [B]."""
    import torch

    held = torch.ones(len(images), dtype=torch.bool, device=images.device)
    for cost in (trained_cost, lead):
        for start in range(restarts):
            if not bool(held.any()):
                return held
            at = held.nonzero()[:, 0]
            changed = pgd(
                model, images[at], labels[at], epsilon, cost=cost, steps=steps, seed=start
            )
            held[at] = right(model, changed, labels[at])
    return held


class _Target:
    """A network, the pictures that it answers rightly, and the steps of an attack."""

    def __init__(self, model: nn.Module, images: Tensor, labels: Tensor, steps: int) -> None:
        self.model, self.images, self.labels, self.steps = model, images, labels, steps

    def percent(self, held: Callable[[Tensor, Tensor], Tensor]) -> float:
        """Percent of pictures for which ``held`` (bool [B]) of them and their labels is true."""
        kept = 0
        for begin in range(0, len(self.images), AT_ONCE):
            part = slice(begin, begin + AT_ONCE)
            kept += int(held(self.images[part], self.labels[part]).sum())
        return 100 * kept / len(self.images)

    def noise(self, epsilon: float) -> float:
        return self.percent(lambda x, y: right(self.model, noisy(x, epsilon, 0), y))

    def fgsm(self, epsilon: float, cost: Cost) -> float:
        return self.percent(
            lambda x, y: right(self.model, fgsm(self.model, x, y, epsilon, cost), y)
        )

    def pgd(self, epsilon: float, cost: Cost = lead, source: nn.Module | None = None) -> float:
        """One start; gradients are those of ``source``."""

        def held(x: Tensor, y: Tensor) -> Tensor:
            changed = pgd(source or self.model, x, y, epsilon, cost=cost, steps=self.steps)
            return right(self.model, changed, y)

        return self.percent(held)

    def attack(self, epsilon: float, times: int = 1) -> float:
        steps = times * self.steps
        return self.percent(lambda x, y: attack(self.model, x, y, epsilon, steps=steps))


def compare(
    models: dict[str, nn.Module],
    images: Tensor,
    labels: Tensor,
    epsilons: Sequence[float] = EPSILONS,
    *,
    steps: int = STEPS,
) -> dict[str, Any]:
    """Attack networks on pictures that all of them answer rightly.

    Args:
        models: By name, in evaluation mode.
        images: [B, C, H, W] in 0 .. 1.
        labels: int64 [B].
        epsilons: Sizes of the change.
        steps: Of PGD.

    Returns:
        For each name percent that hold out, by attack and epsilon, and the checks.
    """
    found: dict[str, Any] = {}
    for name, model in models.items():
        target, at = _Target(model, images, labels, steps), CHECKED_EPSILON
        found[name] = {
            "noise": {f"{e:g}": target.noise(e) for e in epsilons},
            "fgsm": {f"{e:g}": target.fgsm(e, trained_cost) for e in epsilons},
            "fgsm_lead": {f"{e:g}": target.fgsm(e, lead) for e in epsilons},
            "pgd": {f"{e:g}": target.attack(e) for e in epsilons},
            "checks": {
                "one_start_trained_cost": target.pgd(at, trained_cost),
                "one_start_lead": target.pgd(at),
                "more_steps": target.attack(at, MORE_STEPS),
                "epsilon_1": target.attack(1.0),
            }
            | {
                f"pgd_on_{other}": target.pgd(at, source=source)
                for other, source in models.items()
                if other != name
            },
        }
    return found


def run(
    task: Task,
    cells: Sequence[Cell],
    *,
    seeds: int,
    tests: int | None = None,
    device: str = "cpu",
    epsilons: Sequence[float] = EPSILONS,
    steps: int = STEPS,
) -> tuple[Figures, list[dict[str, Any]]]:
    """Train networks and attack them.

    Args:
        task: Where the pictures come from.
        cells: The networks.
        seeds: 0, 1, ... below it.
        tests: How many test pictures are looked at, the first ones; None: all.
        device: Of torch.
        epsilons: Sizes of the change.
        steps: Of PGD.

    Returns:
        Figures by name, over seeds; and what each seed found.
    """
    import torch

    few = task.test.take(torch.arange(min(len(task.test), tests or len(task.test))).numpy())
    parts = list(task.batches(few, AT_ONCE))
    images = torch.cat([part.images for part in parts]).to(device)
    labels = torch.cat([part.targets for part in parts]).to(device)
    rows: list[dict[str, Any]] = []
    for seed in range(seeds):
        models, clean = {}, {}
        for cell in cells:
            model = learn(task, cell, seed, device=device)
            for parameter in model.parameters():
                parameter.requires_grad_(False)
            models[cell.label] = model
            clean[cell.label] = 100 * float(mistakes(model, parts).mean())
        both = torch.stack([right(m, images, labels) for m in models.values()]).all(dim=0)
        found = compare(models, images[both], labels[both], epsilons, steps=steps)
        rows.append({"seed": seed, "pictures": int(both.sum()), "error_percent": clean, **found})
        for name in models:
            held = ", ".join(f"{e}: {p:.1f}" for e, p in found[name]["pgd"].items())
            show(f"seed {seed}, {name}: error {clean[name]:.2f} %, hold out against pgd {held}")
    figures: Figures = {}
    for cell in cells:
        name = cell.label
        figures |= over_seeds(f"{name}_error_percent", [row["error_percent"][name] for row in rows])
        for how in HOW:
            for size in rows[0][name][how]:
                figures |= over_seeds(
                    f"{name}_{how}_{size}_held_percent", [row[name][how][size] for row in rows]
                )
        for check in rows[0][name]["checks"]:
            figures |= over_seeds(
                f"{name}_check_{check}_held_percent", [row[name]["checks"][check] for row in rows]
            )
    return figures, rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Attacks on a CapsNet and on CNNs.")
    parser.add_argument("--data", default="digits", metavar="PATH", help="default: digits")
    parser.add_argument("--preset", choices=list(PRESETS), default="digits", help="default: digits")
    parser.add_argument(
        "--network",
        action="append",
        choices=NETWORKS,
        help="may be repeated (default: capsnet and matched-cnn)",
    )
    parser.add_argument("--iterations", type=int, nargs="+", default=[3, 1], help="default: 3 1")
    parser.add_argument("--tests", type=int, help="look at so many test pictures (default: all)")
    parser.add_argument(
        "--epsilon", type=float, nargs="+", default=list(EPSILONS), help="sizes of the change"
    )
    parser.add_argument("--steps", type=int, default=STEPS, help=f"of PGD (default: {STEPS})")
    add_options(parser, seeds=5)
    options = parser.parse_args(arguments)
    plan = prepare(parser, options)
    for name in ("tests", "steps"):
        value = getattr(options, name)
        if value is not None and value < 1:
            parser.error(f"--{name}: expected at least 1, got {value}")
    if min(options.epsilon) < 0:
        parser.error(f"--epsilon: expected at least 0, got {min(options.epsilon)}")
    cells = []
    for name in options.network or ("capsnet", "matched-cnn"):
        if name == "capsnet":
            cells += [
                Cell(name, options.preset, {"iterations": count}, plan)
                for count in options.iterations
            ]
        else:
            cells.append(Cell(name, options.preset, plan=plan))
    try:
        figures, rows = run(
            Task(load(options.data)),
            cells,
            seeds=options.seeds,
            tests=options.tests,
            device=options.device,
            epsilons=options.epsilon,
            steps=options.steps,
        )
    except (OSError, ValueError, TypeError, ImportError, FloatingPointError) as error:
        raise SystemExit(f"{error}") from error
    for name, value in figures.items():
        show(f"{name}  {value:.4g}")
    if options.json is not None:
        with written_whole(Path(options.json)) as temporary:
            content = json.dumps({"figures": figures, "seeds": rows}, indent=1)
            temporary.write_text(content + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
