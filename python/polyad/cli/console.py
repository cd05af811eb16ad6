"""What the commands share: where they print, how they show progress, options that mean the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

Threads = Annotated[
    int | None,
    typer.Option(min=1, help="Threads of the kernels; results do not depend on it."),
]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Same data, same seed, same answer.")]


def out() -> Console:
    """Return the console for results; made when needed, so that it sees today's stdout."""
    return Console(highlight=False)


def err() -> Console:
    """Return the console for progress and messages."""
    return Console(stderr=True, highlight=False)


def use_threads(threads: int | None) -> None:
    """Set the number of kernel threads, if one was given."""
    if threads is not None:
        import polyad

        polyad.set_num_threads(threads)


def image_shape(text: str | None) -> tuple[int, int] | None:
    """Read '28x28'.

    Raises:
        typer.BadParameter: Something else.
    """
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(p.isdecimal() and 0 < int(p) < 65536 for p in parts):
        raise typer.BadParameter(
            f"expected HEIGHTxWIDTH such as 28x28, got {text!r}", param_hint="--image-shape"
        )
    return int(parts[0]), int(parts[1])


class _Rate(ProgressColumn):
    """Examples a second, over the whole training."""

    def render(self, task: Task) -> Text:
        """Return the rate, once there is one."""
        rate = task.fields["rate"]
        return Text(f"{rate:,.0f} examples/s" if rate else "", style="cyan")


@contextmanager
def progress() -> Iterator[Progress]:
    """Show bars with rates on stderr; nothing where that is not a terminal."""
    console = err()
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        disable=not console.is_terminal,
    ) as bars:
        yield bars


def training_bar(bars: Progress, what: str) -> Callable[[Mapping[str, Any]], None]:
    """Return a function that takes a trainer's reports and shows them as a bar.

    Args:
        bars: Where the bar appears, with the first report.
        what: What is trained.
    """
    started: list[tuple[TaskID, int]] = []

    def report(info: Mapping[str, Any]) -> None:
        if info["stage"] == "stopping":
            bars.console.print(info["message"], soft_wrap=True)
            return
        if info["stage"] == "measure":
            if started:
                bars.update(started[0][0], note="measuring and drawing")
            return
        if not started:
            task = bars.add_task(what, total=info["epochs"], note="", rate=0.0)
            started.append((task, info["epoch"]))
        task, first = started[0]
        bars.update(
            task,
            completed=info["epoch"],
            rate=info["samples"] * (info["epoch"] - first) / max(info["seconds"], 1e-9),
            note=f"{info['accuracy_train_percent']:.1f} % of training right, "
            f"{info['edges']:,} hyperedges",
        )

    return report


def percent(value: float) -> str:
    """Return '97.3 %'."""
    return f"{value:.1f} %"
