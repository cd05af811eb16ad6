"""``polyad train capsnet``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from polyad.cli.console import (
    DATA,
    MODEL,
    TRAINING,
    Seed,
    image_shape,
    one_of,
    out,
    pictures_bar,
    progress,
    refuse_settings,
    table,
    usable,
)


def capsnet(
    context: typer.Context,
    out_folder: Annotated[Path, typer.Option("--out", metavar="RUN", help="The run folder.")],
    data: Annotated[
        str,
        typer.Option(
            help="digits (comes with scikit-learn), or a path: a folder of MNIST-style idx files, "
            "plain or .gz; .npz with X and y or x_train ...; .csv.",
            rich_help_panel=DATA,
        ),
    ] = "digits",
    test_data: Annotated[
        str | None,
        typer.Option(
            help="Where the test pictures are; else those of the source, else a fixed third.",
            rich_help_panel=DATA,
        ),
    ] = None,
    label_column: Annotated[
        str | None,
        typer.Option(
            help="Of a .csv: first, last, a name, or a number from 1; else what the header calls "
            "label, class, target or y, else the last.",
            rich_help_panel=DATA,
        ),
    ] = None,
    shape: Annotated[
        str | None,
        typer.Option(
            "--image-shape",
            metavar="HxW",
            help="If the data does not say it: 28x28.",
            rich_help_panel=DATA,
        ),
    ] = None,
    task: Annotated[
        str,
        typer.Option(
            help="classify; multimnist: two overlapping pictures at once; affine: pictures in a "
            "larger frame, tested on turned and sheared ones.",
            rich_help_panel=DATA,
        ),
    ] = "classify",
    validation: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Training pictures that are held out, for choosing among settings.",
            rich_help_panel=DATA,
        ),
    ] = None,
    shift: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Pixels by which training pictures are moved at random, at most.",
            rich_help_panel=DATA,
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="Where settings come from that are not given: digits (8x8) or small (28x28), both "
            "minutes on a CPU; paper (its text), authors (their code); else by size of pictures.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    network: Annotated[
        str,
        typer.Option(
            help="capsnet; cnn: the paper's convolutional network; matched-cnn: one with as many "
            "parameters as the CapsNet.",
            rich_help_panel=MODEL,
        ),
    ] = "capsnet",
    iterations: Annotated[
        int | None, typer.Option(min=1, help="Of routing.", rich_help_panel=MODEL)
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="dynamic; uniform: no routing, every coupling the same.", rich_help_panel=MODEL
        ),
    ] = None,
    reconstruction: Annotated[
        float | None,
        typer.Option(
            help="Weight of the decoder's squared error; 0: no decoder.", rich_help_panel=MODEL
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Passes over the training data.", rich_help_panel=TRAINING),
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Pictures a step.", rich_help_panel=TRAINING)
    ] = None,
    lr: Annotated[
        float | None, typer.Option(help="Learning rate of Adam.", rich_help_panel=TRAINING)
    ] = None,
    decay: Annotated[
        float | None,
        typer.Option(
            help="The learning rate is multiplied by it every 2,000 steps, smoothly.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    cooldown: Annotated[
        float | None,
        typer.Option(
            help="Share of the steps, the last, over which the learning rate falls to 0.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    accelerator: Annotated[
        str, typer.Option(help="Of Lightning: cpu, cuda, auto.", rich_help_panel=TRAINING)
    ] = "cpu",
    devices: Annotated[
        int,
        typer.Option(
            min=1, help="Processes; each takes its share of a batch.", rich_help_panel=TRAINING
        ),
    ] = 1,
    seed: Seed = 0,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Of the kernels and of torch; else 1 with preset digits, whose steps take a few "
            "milliseconds, and with others all that there are.",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on where RUN was interrupted, with RUN's data and settings."
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a run that is there.")] = False,
) -> None:
    """Train a CapsNet, capsules that are routed by agreement.

    Settings without a default here are the preset's. The order of the pictures and what is done to
    them depend on the seed alone. Ctrl-C ends the step under way, leaves a checkpoint and says how
    to go on; the result is then the same as without the interrupt. The test pictures are looked at
    once, at the end. Needs pip install 'polyad[train]'.
    """
    from polyad.recipes import capsnet as recipe
    from polyad.recipes.capsnet_settings import NETWORKS
    from polyad.recipes.capsnet_settings import preset as preset_of
    from polyad.recipes.capsnet_tasks import TASKS

    trainer: dict[str, Any] = {
        "accelerator": accelerator,
        "devices": devices,
        "threads": threads,
    }
    if resume:
        refuse_settings(context, "accelerator", "devices")
        with progress() as bars:
            show = pictures_bar(bars, "capsnet")
            run = recipe.resume(out_folder, on_progress=show, **trainer)
        _print_run(run)
        return
    pixels = image_shape(shape)
    one_of("--task", task, tuple(TASKS))
    one_of("--network", network, NETWORKS)
    if method is not None:
        one_of("--method", method, ("dynamic", "uniform"))
    if preset is not None:
        usable("--preset", preset_of, preset)
    options = {"iterations": iterations, "method": method, "reconstruction": reconstruction}
    given = [name for name, value in options.items() if value is not None]
    if network == "cnn" and given:
        raise typer.BadParameter(f"a cnn takes no --{given[0]}", param_hint="--network")
    plan = {
        "epochs": epochs,
        "batch": batch,
        "lr": lr,
        "decay": decay,
        "cooldown": cooldown,
        "shift": shift,
        "validation": validation,
        "seed": seed,
    }
    with progress() as bars:
        run = recipe.train(
            out_folder,
            data=data,
            test=test_data,
            label_column=label_column,
            image_shape=pixels,
            task=task,
            network=network,
            preset=preset,
            options={name: value for name, value in options.items() if value is not None},
            plan={name: value for name, value in plan.items() if value is not None},
            replace_run=force,
            on_progress=pictures_bar(bars, network),
            **trainer,
        )
    _print_run(run)


def _print_run(run: Any) -> None:
    from polyad.recipes.capsnet_measure import measured

    console = out()
    head, rows = measured(run)
    console.print(table(head, rows))
    metrics = run.metrics()
    right = 100 - metrics["error_percent_test"]
    console.print(
        f"{right:.2f} % of held-out pictures right, after {metrics['epochs']:,} epochs in "
        f"{metrics['seconds_train']:,.1f} s"
    )
    console.print(f"page: {run.file('report.html')}", soft_wrap=True)
    console.print(f"next: polyad evaluate {run.path}", soft_wrap=True)
