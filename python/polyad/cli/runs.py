"""``polyad evaluate RUN`` and ``polyad recall RUN``: commands that read a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from polyad.cli.console import (
    Seed,
    Threads,
    image_shape,
    number_of_each,
    out,
    percent,
    table,
    use_threads,
    was_given,
)

EXAMPLES, NTM = "Runs of hypernet and capsnet", "Runs of ntm"
CAPSNET = "Runs of capsnet"
PANELS = {"hypernet": (EXAMPLES,), "capsnet": (EXAMPLES, CAPSNET), "ntm": (NTM,)}

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A folder that 'train' made.")]


def evaluate(
    context: typer.Context,
    folder: RunFolder,
    data: Annotated[
        str | None,
        typer.Option(
            help="Other data than the run's own: of a source with test examples those, else all.",
            rich_help_panel=EXAMPLES,
        ),
    ] = None,
    label_column: Annotated[
        str | None,
        typer.Option(
            help="Of a .csv: first, last, a name, or a number from 1.", rich_help_panel=EXAMPLES
        ),
    ] = None,
    shape: Annotated[
        str | None,
        typer.Option(
            "--image-shape", metavar="HxW", help="If features are pixels.", rich_help_panel=EXAMPLES
        ),
    ] = None,
    epsilon: Annotated[
        float | None,
        typer.Option(
            help="Attack the pictures instead, changing every pixel of 0 .. 1 by at most it (FGSM "
            "and PGD; minutes for thousands of pictures).",
            rich_help_panel=CAPSNET,
        ),
    ] = None,
    sequences: Annotated[
        int,
        typer.Option(
            min=1,
            max=1_000_000,
            help="Fresh sequences; of each longer size a tenth as many.",
            rich_help_panel=NTM,
        ),
    ] = 1000,
    ranges: Annotated[
        list[str] | None,
        typer.Option(
            "--range",
            metavar="NAME=N",
            help="Other sizes than RUN was trained on, such as longest=120; may be repeated.",
            rich_help_panel=NTM,
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Which sequences.", rich_help_panel=NTM)
    ] = 0,
    threads: Threads = None,
) -> None:
    """Measure a run: its accuracy and what it took for what; of ntm, bits on longer sequences too.

    The figures go into RUN/metrics.json, or for other data, sizes and attacks into
    RUN/metrics-NAME.json; pictures and page are drawn again.
    """
    from polyad.recipes import of_run
    from polyad.run import Run

    pixels = image_shape(shape)
    if data is None and (label_column is not None or pixels is not None):
        raise typer.BadParameter("--label-column and --image-shape describe --data; give it too")
    sizes = number_of_each(ranges)
    use_threads(threads)
    run = Run.open(folder)
    module = of_run(run, "evaluate")
    _refuse_options_of_others(context, run.model)
    if run.model == "ntm":
        found = module.evaluate(run, sequences=sequences, seed=seed, ranges=sizes)
    elif run.model == "capsnet":
        examples = _examples(data, label_column, pixels)
        found = module.evaluate(run, data=examples, epsilon=epsilon)
    else:
        found = module.evaluate(run, data=_examples(data, label_column, pixels))
    console = out()
    console.print(found.summary, soft_wrap=True)
    if run.model in ("ntm", "capsnet"):
        console.print(table(found.head, found.rows))
    elif len(found.classes) <= 20:
        console.print(_confusion_table(found))
    console.print(f"figures: {found.where}", soft_wrap=True)


def _refuse_options_of_others(context: typer.Context, model: str) -> None:
    """Raise if an option was given that has no meaning for a run of ``model``."""
    for option in context.command.params:
        panel = getattr(option, "rich_help_panel", None)
        if panel not in (None, *PANELS[model]) and was_given(context, option):
            raise typer.BadParameter(f"a run of {model} takes no {option.opts[0]}")


def _examples(data: str | None, label_column: str | None, pixels: tuple[int, int] | None) -> Any:
    if data is None:
        return None
    from polyad.data import load_test

    return load_test(data, label_column=label_column, image_shape=pixels)


def _confusion_table(found: Any) -> Table:
    counts = Table(box=None, pad_edge=False, title="truth (rows), answer (columns)")
    counts.title_justify = "left"
    counts.add_column("", style="bold", justify="right")
    for name in found.classes:
        counts.add_column(name, justify="right")
    counts.add_column("right", justify="right")
    for i, name in enumerate(found.classes):
        row = found.confusion[i]
        cells = [
            f"[dim]{n}[/dim]" if i == j else (f"[bold]{n}[/bold]" if n else "[dim].[/dim]")
            for j, n in enumerate(row.tolist())
        ]
        share = percent(100 * row[i] / row.sum()) if row.sum() else "-"
        counts.add_row(name, *cells, share)
    return counts


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
    head = [f"{found.hidden_percent:.0f} % hidden, {found.samples:,} test examples", "right"]
    rows = [
        ["hypernet", f"[bold]{percent(found.right_percent)}[/bold]"],
        ["more frequent value of each feature", percent(found.majority_percent)],
    ]
    console.print(table(head, rows))
    if found.picture is not None:
        console.print(f"picture: {found.picture}", soft_wrap=True)
    console.print(f"page: {run.file('report.html')}", soft_wrap=True)
