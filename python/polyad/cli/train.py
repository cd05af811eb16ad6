"""``polyad train MODEL``: one command per model, all leaving a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from polyad.cli.console import (
    Seed,
    Threads,
    image_shape,
    out,
    percent,
    progress,
    training_bar,
    use_threads,
)

DATA, MODEL = "Data", "Model"

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
        _refuse_settings(context)
        use_threads(threads)
        with progress() as bars:
            run = recipe.resume(out_folder, on_progress=training_bar(bars, "hypernet"))
        _print_run(run)
        return
    if data is None:
        raise typer.BadParameter("say what to learn from: digits or a path", param_hint="--data")
    parameters: dict[str, Any] = {
        "objective": _one_of("--objective", objective, ("votes", "likelihood")),
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
    _one_of("--encoder", encoder, ("binary", "thermometer"))
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


def _refuse_settings(context: typer.Context) -> None:
    """With --resume every setting is RUN's: raise if another one was given."""
    allowed = {"out_folder", "resume", "threads"}
    for option in context.command.params:
        source = context.get_parameter_source(str(option.name))
        if option.name not in allowed and source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter(
                f"--resume goes on with RUN's own settings; leave out {option.opts[0]}"
            )


def _one_of(option: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise typer.BadParameter(
            f"expected {' or '.join(allowed)}, got {value!r}", param_hint=option
        )
    return value


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
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    for name, value in (
        ("test examples right", f"[bold]{percent(metrics['accuracy_test_percent'])}[/bold]"),
        ("training examples right", percent(metrics["accuracy_train_percent"])),
        ("hyperedges", f"{metrics['edges']:,}"),
        ("seconds of training", f"{metrics['seconds_train']:,.1f}"),
    ):
        table.add_row(name, value)
    console = out()
    console.print(table)
    console.print(f"page: {run.file('report.html')}", soft_wrap=True)
    console.print(f"next: polyad recall {run.path}", soft_wrap=True)
