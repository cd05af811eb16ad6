"""``polyad train MODEL``: one command per model, all leaving a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from polyad.cli.console import (
    DATA,
    MODEL,
    TRAINING,
    Seed,
    Threads,
    image_shape,
    number_of_each,
    one_of,
    out,
    percent,
    progress,
    refuse_settings,
    sequences_bar,
    table,
    training_bar,
    usable,
    use_threads,
)
from polyad.cli.train_capsnet import capsnet
from polyad.cli.train_vectors import vectors

app = typer.Typer(
    rich_markup_mode="markdown",
    no_args_is_help=True,
)


@app.callback()
def train() -> None:
    """Train a model and leave a run folder.

    It holds the settings, a checkpoint, figures (metrics.json), pictures and one HTML page.
    """


@app.command()
def hypernet(
    context: typer.Context,
    out_folder: Annotated[Path, typer.Option("--out", metavar="RUN", help="The run folder.")],
    data: Annotated[
        str | None,
        typer.Option(
            help="digits (comes with scikit-learn), or a path: .npz with X and y or x_train ...; "
            ".csv; a folder of MNIST-style idx files.",
            rich_help_panel=DATA,
        ),
    ] = None,
    test_data: Annotated[
        str | None,
        typer.Option(
            help="Where the test examples are; else those of the source, else a fixed third.",
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
            help="If the features are pixels: 28x28.",
            rich_help_panel=DATA,
        ),
    ] = None,
    classes: Annotated[
        int | None,
        typer.Option(min=2, help="Refuse labels outside 0 .. CLASSES - 1.", rich_help_panel=DATA),
    ] = None,
    encoder: Annotated[
        str,
        typer.Option(
            help="binary: a 0/1 variable a feature; thermometer: one a level.",
            rich_help_panel=MODEL,
        ),
    ] = "binary",
    threshold: Annotated[
        float | None,
        typer.Option(
            help="A feature is on above it; else above half the largest value (pixels) or above "
            "its median (others).",
            rich_help_panel=MODEL,
        ),
    ] = None,
    levels: Annotated[
        int, typer.Option(min=1, max=255, help="Levels of the thermometer.", rich_help_panel=MODEL)
    ] = 8,
    objective: Annotated[
        str,
        typer.Option(
            help="votes: classify and recall; likelihood: also sample, log_prob.",
            rich_help_panel=MODEL,
        ),
    ] = "votes",
    epochs: Annotated[
        int | None,
        typer.Option(min=0, help="Passes that learn; 0: one-shot only.", rich_help_panel=MODEL),
    ] = None,
    orders: Annotated[
        str | None,
        typer.Option(
            metavar="K[,K...]",
            help="Literals of a hyperedge; all: whole examples, to recall with.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            help="Literals that may differ: a count, or a share below 1.", rich_help_panel=MODEL
        ),
    ] = None,
    edges_per_example: Annotated[
        int | None,
        typer.Option(min=1, help="Hyperedges drawn from an example.", rich_help_panel=MODEL),
    ] = None,
    max_edges: Annotated[
        int | None, typer.Option(min=1, help="At most so many.", rich_help_panel=MODEL)
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Size of a correction.", rich_help_panel=MODEL)
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Examples a correction.", rich_help_panel=MODEL)
    ] = None,
    replace: Annotated[
        float | None,
        typer.Option(
            help="Share of the worst hyperedges redrawn in a pass.", rich_help_panel=MODEL
        ),
    ] = None,
    noise: Annotated[
        float | None,
        typer.Option(
            help="Chance that a bit is flipped while the model learns.", rich_help_panel=MODEL
        ),
    ] = None,
    seed: Seed = 0,
    threads: Threads = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on where RUN was interrupted, with RUN's data and settings."
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a run that is there.")] = False,
) -> None:
    """Train a hypernet, a set of weighted hyperedges.

    They are drawn from examples, then reweighted and replaced as the model errs. Settings
    without a default here have the model's: see polyad.models.Hypernet. Ctrl-C ends the pass
    under way, leaves a checkpoint and says how to go on; the result is then the same as
    without the interrupt.
    """
    from polyad.recipes import hypernet as recipe

    if resume:
        refuse_settings(context)
        use_threads(threads)
        with progress() as bars:
            run = recipe.resume(out_folder, on_progress=training_bar(bars, "hypernet"))
        _print_run(run)
        return
    if data is None:
        raise typer.BadParameter("say what to learn from: digits or a path", param_hint="--data")
    parameters: dict[str, Any] = {
        "objective": one_of("--objective", objective, ("votes", "likelihood")),
        "epochs": epochs,
        "orders": _orders(orders),
        "tolerance": _tolerance(tolerance),
        "edges_per_example": edges_per_example,
        "max_edges": max_edges,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "replace": replace,
        "noise": noise,
    }
    pixels = image_shape(shape)
    one_of("--encoder", encoder, ("binary", "thermometer"))
    use_threads(threads)
    with progress() as bars:
        run = recipe.train(
            out_folder,
            data=data,
            test=test_data,
            label_column=label_column,
            image_shape=pixels,
            classes=classes,
            encoder=encoder,
            threshold=threshold,
            levels=levels,
            seed=seed,
            replace_run=force,
            on_progress=training_bar(bars, "hypernet"),
            **{name: value for name, value in parameters.items() if value is not None},
        )
    _print_run(run)


@app.command()
def ntm(
    context: typer.Context,
    out_folder: Annotated[Path, typer.Option("--out", metavar="RUN", help="The run folder.")],
    task: Annotated[
        str | None,
        typer.Option(
            help="copy, repeat-copy, associative-recall, n-grams or priority-sort.",
            rich_help_panel=DATA,
        ),
    ] = None,
    ranges: Annotated[
        list[str] | None,
        typer.Option(
            "--range",
            metavar="NAME=N",
            help="A size of the task, such as longest=10; may be repeated.",
            rich_help_panel=DATA,
        ),
    ] = None,
    preset: Annotated[
        str,
        typer.Option(
            help="Where settings come from that are not given: small or small-lstm (minutes on a "
            "CPU), paper-ff or paper-lstm (the paper's), lstm (its baseline without a memory).",
            rich_help_panel=MODEL,
        ),
    ] = "small",
    controller: Annotated[
        str | None, typer.Option(help="feedforward or lstm.", rich_help_panel=MODEL)
    ] = None,
    hidden_size: Annotated[
        int | None, typer.Option(min=1, help="Of a layer.", rich_help_panel=MODEL)
    ] = None,
    num_layers: Annotated[
        int | None, typer.Option("--layers", min=1, help="Layers.", rich_help_panel=MODEL)
    ] = None,
    memory_rows: Annotated[
        int | None, typer.Option(min=1, help="Rows of the memory.", rich_help_panel=MODEL)
    ] = None,
    memory_width: Annotated[
        int | None, typer.Option(min=1, help="Numbers in a row.", rich_help_panel=MODEL)
    ] = None,
    read_heads: Annotated[
        int | None, typer.Option(min=1, help="Heads that read.", rich_help_panel=MODEL)
    ] = None,
    write_heads: Annotated[
        int | None, typer.Option(min=1, help="Heads that write.", rich_help_panel=MODEL)
    ] = None,
    optimiser: Annotated[
        str | None,
        typer.Option(help="graves-rmsprop or adam.", rich_help_panel=TRAINING),
    ] = None,
    lr: Annotated[
        float | None, typer.Option(help="Learning rate.", rich_help_panel=TRAINING)
    ] = None,
    clip: Annotated[
        float | None,
        typer.Option(help="The gradient's norm is cut to it.", rich_help_panel=TRAINING),
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Sequences a step.", rich_help_panel=TRAINING)
    ] = None,
    sequences: Annotated[
        int | None,
        typer.Option(min=1, help="Stop after so many at the latest.", rich_help_panel=TRAINING),
    ] = None,
    cooldown: Annotated[
        float | None,
        typer.Option(
            help="Share of the sequences, the last, over which the learning rate falls to 0.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    target_bits: Annotated[
        float | None,
        typer.Option(
            help="Stop when two rows of the curve in a row are below it; 0: never.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    validate_every: Annotated[
        int | None,
        typer.Option(
            min=1, help="Sequences between two rows of the curve.", rich_help_panel=TRAINING
        ),
    ] = None,
    validation: Annotated[
        int | None,
        typer.Option(
            min=1, help="Held-out sequences that a row is measured on.", rich_help_panel=TRAINING
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
        int,
        typer.Option(
            min=1,
            help="Of the kernels and of torch; results do not depend on it. A step takes about a "
            "millisecond: on a busy machine it takes longer if it is shared.",
        ),
    ] = 1,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on where RUN was interrupted, with RUN's settings."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a run that is there.")] = False,
) -> None:
    """Train a Neural Turing Machine, a network with heads on a memory.

    Settings without a default here are the preset's. Step i learns from sequences that depend on
    the seed and i alone. Ctrl-C ends the step under way, leaves a checkpoint and says how to go
    on; the result is then the same as without the interrupt. Needs pip install 'polyad[train]'.
    """
    from polyad.data.ntm_tasks import TASKS
    from polyad.recipes import ntm as recipe

    trainer: dict[str, Any] = {"accelerator": accelerator, "devices": devices}
    if resume:
        refuse_settings(context, "accelerator", "devices")
        _use_threads(threads)
        with progress() as bars:
            show = sequences_bar(bars, "ntm")
            run = recipe.resume(out_folder, on_progress=show, **trainer)
        _print_ntm(run)
        return
    if task is None:
        raise typer.BadParameter(f"say what to learn: {', '.join(TASKS)}", param_hint="--task")
    sizes = usable("--range", _task, task, number_of_each(ranges))
    usable("--preset", recipe.preset_settings, task, preset)
    if controller is not None:
        one_of("--controller", controller, ("feedforward", "lstm"))
    network = {
        "controller": controller,
        "hidden_size": hidden_size,
        "num_layers": num_layers,
        "memory_rows": memory_rows,
        "memory_width": memory_width,
        "read_heads": read_heads,
        "write_heads": write_heads,
    }
    plan = {
        "optimiser": optimiser,
        "lr": lr,
        "cooldown": cooldown,
        "clip": clip,
        "batch": batch,
        "sequences": sequences,
        "target_bits": target_bits,
        "validate_every": validate_every,
        "validation": validation,
        "seed": seed,
    }
    _use_threads(threads)
    with progress() as bars:
        run = recipe.train(
            out_folder,
            task=task,
            preset=preset,
            ranges=sizes.settings(),
            network={name: value for name, value in network.items() if value is not None},
            plan={name: value for name, value in plan.items() if value is not None},
            replace_run=force,
            on_progress=sequences_bar(bars, f"ntm: {task}"),
            **trainer,
        )
    _print_ntm(run)


app.command()(capsnet)
app.command()(vectors)


def _use_threads(threads: int) -> None:
    """Set the threads of our kernels and of torch's."""
    import torch

    use_threads(threads)
    torch.set_num_threads(threads)


def _task(name: str, ranges: dict[str, int]) -> Any:
    from polyad.data.ntm_tasks import TASKS
    from polyad.data.ntm_tasks import task as task_of

    one_of("--task", name, tuple(TASKS))
    return task_of(name, **ranges)


def _print_ntm(run: Any) -> None:
    from polyad.recipes.ntm_measure import measured

    console = out()
    head, rows = measured(run)
    console.print(table(head, rows))
    metrics = run.metrics()
    console.print(
        f"{metrics['sequences_train']:,} sequences of training in {metrics['seconds_train']:,.1f} s"
    )
    console.print(f"page: {run.file('report.html')}", soft_wrap=True)
    console.print(f"next: polyad evaluate {run.path} --range NAME=N", soft_wrap=True)


def _orders(text: str | None) -> tuple[int, ...] | str | None:
    if text is None or text == "all":
        return text
    parts = text.split(",")
    if not all(part.isdecimal() and int(part) >= 1 for part in parts):
        raise typer.BadParameter(
            f"expected all, or numbers of at least 1 with commas between, got {text!r}",
            param_hint="--orders",
        )
    return tuple(int(part) for part in parts)


def _tolerance(value: float | None) -> float | int | None:
    if value is None or 0 < value < 1:
        return value
    if value < 0 or value != int(value):
        raise typer.BadParameter(
            f"expected a count or a share below 1, got {value:g}", param_hint="--tolerance"
        )
    return int(value)


def _print_run(run: Any) -> None:
    metrics = run.metrics()
    shown = Table(box=None, show_header=False, pad_edge=False)
    shown.add_column()
    shown.add_column(justify="right")
    for name, value in (
        ("test examples right", f"[bold]{percent(metrics['accuracy_test_percent'])}[/bold]"),
        ("training examples right", percent(metrics["accuracy_train_percent"])),
        ("hyperedges", f"{metrics['edges']:,}"),
        ("seconds of training", f"{metrics['seconds_train']:,.1f}"),
    ):
        shown.add_row(name, value)
    console = out()
    console.print(shown)
    console.print(f"page: {run.file('report.html')}", soft_wrap=True)
    console.print(f"next: polyad recall {run.path}", soft_wrap=True)
