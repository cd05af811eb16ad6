"""``polyad evaluate RUN`` and ``polyad recall RUN``: commands that read a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from polyad.cli.console import Seed, Threads, image_shape, out, percent, use_threads

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A folder that 'train' made.")]


def evaluate(
    folder: RunFolder,
    data: Annotated[
        str | None,
        typer.Option(
            help="Other data than the run's own: of a source with test examples those, else all."
        ),
    ] = None,
    label_column: Annotated[
        str | None, typer.Option(help="Of a .csv: first, last, a name, or a number from 1.")
    ] = None,
    shape: Annotated[
        str | None, typer.Option("--image-shape", metavar="HxW", help="If features are pixels.")
    ] = None,
    threads: Threads = None,
) -> None:
    """Measure a run: its accuracy, and what it took for what.

    The figures go into RUN/metrics.json, or for other data into RUN/metrics-NAME.json;
    pictures and page are drawn again.
    """
    from polyad.data import load_test
    from polyad.recipes import of_run
    from polyad.run import Run

    pixels = image_shape(shape)
    if data is None and (label_column is not None or pixels is not None):
        raise typer.BadParameter("--label-column and --image-shape describe --data; give it too")
    use_threads(threads)
    run = Run.open(folder)
    module = of_run(run, "evaluate")
    examples = None
    if data is not None:
        examples = load_test(data, label_column=label_column, image_shape=pixels)
    found = module.evaluate(run, data=examples)
    console = out()
    console.print(found.summary, soft_wrap=True)
    if len(found.classes) <= 20:
        console.print(_confusion_table(found))
    console.print(f"figures: {found.where}", soft_wrap=True)


def _confusion_table(found: Any) -> Table:
    table = Table(box=None, pad_edge=False, title="truth (rows), answer (columns)")
    table.title_justify = "left"
    table.add_column("", style="bold", justify="right")
    for name in found.classes:
        table.add_column(name, justify="right")
    table.add_column("right", justify="right")
    for i, name in enumerate(found.classes):
        row = found.confusion[i]
        cells = [
            f"[dim]{n}[/dim]" if i == j else (f"[bold]{n}[/bold]" if n else "[dim].[/dim]")
            for j, n in enumerate(row.tolist())
        ]
        share = percent(100 * row[i] / row.sum()) if row.sum() else "-"
        table.add_row(name, *cells, share)
    return table


def recall(
    folder: RunFolder,
    hide: Annotated[
        float, typer.Option(help="The share of the features to hide, above 0 and up to 1.")
    ] = 0.5,
    count: Annotated[int, typer.Option(min=1, max=100, help="Pictures to draw.")] = 10,
    samples: Annotated[int, typer.Option(min=1, help="Test examples to measure on.")] = 500,
    seed: Seed = 0,
    threads: Threads = None,
) -> None:
    """Hide part of test examples and let the run recall it.

    What is hidden is drawn at random. Draws RUN/pictures/recall.png if the data are pictures,
    and says which share of the hidden features was recalled rightly, beside answering with the
    more frequent value of each feature.
    """
    from polyad.recipes import of_run
    from polyad.run import Run

    if not 0 < hide <= 1:
        raise typer.BadParameter(
            f"expected a share above 0 and up to 1, got {hide:g}", param_hint="--hide"
        )
    use_threads(threads)
    run = Run.open(folder)
    found = of_run(run, "recall").recall(run, hide=hide, count=count, samples=samples, seed=seed)
    console = out()
    table = Table(box=None, pad_edge=False)
    table.add_column(f"{found.hidden_percent:.0f} % hidden, {found.samples:,} test examples")
    table.add_column("right", justify="right")
    table.add_row("hypernet", f"[bold]{percent(found.right_percent)}[/bold]")
    table.add_row("more frequent value of each feature", percent(found.majority_percent))
    console.print(table)
    if found.picture is not None:
        console.print(f"picture: {found.picture}", soft_wrap=True)
    console.print(f"page: {run.file('report.html')}", soft_wrap=True)
