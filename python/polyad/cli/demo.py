"""``polyad demo``: real digits learned and recalled, two texts aligned, in less than a minute."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from polyad.cli.console import (
    Seed,
    Threads,
    err,
    out,
    percent,
    progress,
    training_bar,
    use_threads,
)
from polyad.cli.console import table as console_table

if TYPE_CHECKING:
    from polyad.recipes.align_demo import AlignDemo


def demo(
    folder: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Where the pictures and the page go. An earlier demo there is replaced; beside "
            "anything else a numbered folder is made.",
        ),
    ] = Path("polyad-demo"),
    seed: Seed = 0,
    threads: Threads = None,
) -> None:
    """Teach a hypernet handwritten digits, align two texts, and show what came of it.

    The hypernet meets digits one at a time, then learns from its errors. Prints its accuracy as it
    sees more examples and how well it recalls digits from half their pixels; draws recalled digits,
    the strongest hyperedges and an explained decision; writes PNGs and one self-contained HTML
    page. Then aligns a Korean text with its English one by a rough translation, and writes a page
    to judge the beads on. Needs scikit-learn and matplotlib: pip install 'polyad[demo]'.
    """
    from polyad.recipes import align_demo, digits_demo
    from polyad.report.hypernet_page import NOT_COMPARABLE, accuracy_by_seen

    use_threads(threads)
    chosen, remark = digits_demo.choose_folder(folder)
    if remark is not None:
        err().print(remark, soft_wrap=True)
    with progress() as bars:
        examples = bars.add_task("one example at a time", total=None, note="", rate=0.0)
        started = time.perf_counter()

        def seen(count: int, total: int, share: float) -> None:
            rate = count / (time.perf_counter() - started)
            note = f"{100 * share:.1f} % of held-out right"
            bars.update(examples, completed=count, total=total, rate=rate, note=note)

        learning = training_bar(bars, "learning from errors")
        made = digits_demo.run(chosen, seed=seed, on_seen=seen, on_progress=learning)
    aligned = align_demo.run(made.path)
    made.add_metrics(**aligned.metrics())
    metrics = made.metrics()
    shown = out()
    table = Table(title="One example at a time, each seen once", title_justify="left", box=None)
    table.add_column("examples seen", justify="right")
    table.add_column("held-out digits right", justify="right")
    table.add_column("")
    rows = [(f"{n:,}", value) for n, value in accuracy_by_seen(metrics)]
    for name, value in [*rows, ("after learning", metrics["accuracy_test_percent"])]:
        table.add_row(name, percent(value), f"[blue]{'█' * round(value * 0.3)}[/blue]")
    shown.print(table)
    shown.print()
    table = Table(title="Recall of hidden pixels", title_justify="left", box=None)
    for column, side in (("hidden", "left"), ("right", "right"), ("per-pixel majority", "right")):
        table.add_column(column, justify=side)  # type: ignore[arg-type]
    for name, what in (("recall", "half, at random"), ("recall_lower", "the lower half")):
        table.add_row(
            what,
            f"[bold]{percent(metrics[f'{name}_right_percent'])}[/bold]",
            percent(metrics[f"{name}_majority_right_percent"]),
        )
    shown.print(table)
    shown.print()
    shown.print(NOT_COMPARABLE)
    shown.print()
    _print_beads(shown, aligned)
    shown.print()
    shown.print(f"pictures and figures: {made.path.absolute()}", soft_wrap=True)
    shown.print(f"page: {made.file('report.html').absolute()}", soft_wrap=True)
    shown.print(f"page to judge beads on: {aligned.page.absolute()}", soft_wrap=True)


def _print_beads(shown: Console, aligned: AlignDemo) -> None:
    from polyad.recipes.align_demo import SUMMARY

    table = Table(title="A Korean and an English text, aligned", title_justify="left", box=None)
    for column in ("score", "right", "kind"):
        table.add_column(column, no_wrap=True)
    for column in ("Korean", "English"):
        width = max(10, (shown.width - 25) // 2)
        table.add_column(column, width=width, no_wrap=True, overflow="ellipsis")
    for row in aligned.rows():
        table.add_row(*row)
    shown.print(table)
    shown.print()
    shown.print(
        f"{sum(bool(b.source and b.target) for b in aligned.gold)} beads are right. Found, by mode:"
    )
    shown.print(console_table(SUMMARY, aligned.summary()))
