"""What the commands share: where they print, how they show progress, options that mean the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
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
from rich.table import Table
from rich.text import Text

DATA, MODEL, TRAINING = "Data", "Model", "Training"
"""Panels of the help of ``polyad train MODEL``."""

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


def was_given(context: typer.Context, option: Any) -> bool:
    """Whether an option of the command stands on the command line."""
    source = context.get_parameter_source(str(option.name))
    return source is not None and source.name == "COMMANDLINE"


def refuse_settings(context: typer.Context, *more: str) -> None:
    """Refuse settings with --resume, where every one is RUN's.

    Args:
        context: Of the command.
        *more: Names of options that may be given.

    Raises:
        typer.BadParameter: Another one was given.
    """
    allowed = {"out_folder", "resume", "threads", *more}
    for option in context.command.params:
        if option.name not in allowed and was_given(context, option):
            raise typer.BadParameter(
                f"--resume goes on with RUN's own settings; leave out {option.opts[0]}"
            )


def one_of(option: str, value: str, allowed: tuple[str, ...]) -> str:
    """Return ``value``, which must be one of those allowed.

    Raises:
        typer.BadParameter: It is not.
    """
    if value not in allowed:
        raise typer.BadParameter(
            f"expected {' or '.join(allowed)}, got {value!r}", param_hint=option
        )
    return value


def usable(option: str, make: Callable[..., Any], *arguments: Any) -> Any:
    """Return ``make(*arguments)``; a ValueError means that the option was used wrongly.

    Raises:
        typer.BadParameter: It was.
    """
    try:
        return make(*arguments)
    except ValueError as error:
        named = option.rpartition("-")[2] + ": "  # the option says that already
        raise typer.BadParameter(str(error).removeprefix(named), param_hint=option) from error


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


def number_of_each(texts: list[str] | None, option: str = "--range") -> dict[str, int]:
    """Read ['longest=20', ...].

    Raises:
        typer.BadParameter: Something else.
    """
    found = {}
    for text in texts or ():
        name, equals, number = text.partition("=")
        if not (name.isidentifier() and equals and number.isdecimal()):
            raise typer.BadParameter(
                f"expected NAME=NUMBER such as longest=20, got {text!r}", param_hint=option
            )
        found[name] = int(number)
    return found


class _Rate(ProgressColumn):
    """Examples or sequences a second, over the whole training."""

    def render(self, task: Task) -> Text:
        """Return the rate, once there is one."""
        rate = task.fields["rate"]
        unit = task.fields.get("unit", "examples")
        return Text(f"{rate:,.0f} {unit}/s" if rate else "", style="cyan")


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


def _said(info: Mapping[str, Any], bars: Progress, task: TaskID | None) -> bool:
    """Show a report that is not about progress; return whether it was one."""
    if info["stage"] == "stopping":
        bars.console.print(info["message"], soft_wrap=True)
    elif info["stage"] != "measure":
        return False
    elif task is not None:
        bars.update(task, note="measuring and drawing")
    return True


def training_bar(bars: Progress, what: str) -> Callable[[Mapping[str, Any]], None]:
    """Return a function that takes a trainer's reports and shows them as a bar.

    Args:
        bars: Where the bar appears, with the first report.
        what: What is trained.
    """
    started: list[tuple[TaskID, int]] = []

    def report(info: Mapping[str, Any]) -> None:
        if _said(info, bars, started[0][0] if started else None):
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


def sequences_bar(bars: Progress, what: str) -> Callable[[Mapping[str, Any]], None]:
    """Return a function that takes reports of a training on sequences and shows them as a bar.

    Args:
        bars: Where the bar appears, with the first report.
        what: What is trained.
    """
    started: list[tuple[TaskID, int, float]] = []

    def report(info: Mapping[str, Any]) -> None:
        if _said(info, bars, started[0][0] if started else None):
            return
        done, seconds = info["sequences"], info["seconds"]
        if not started:
            task = bars.add_task(what, total=info["total"], note="", rate=0.0, unit="sequences")
            started.append((task, done, seconds))
        task, first, since = started[0]
        parts = []
        for name, value in (
            ("training", info["bits_train"]),
            ("held out", info["row"].get("bits_per_sequence")),
        ):
            if value is not None:
                parts.append(f"{value:.3g} {name}")
        note = f"bits a sequence: {', '.join(parts)}" if parts else ""
        rate = (done - first) / max(seconds - since, 1e-9)
        bars.update(task, completed=done, rate=rate, note=note)

    return report


def pictures_bar(bars: Progress, what: str) -> Callable[[Mapping[str, Any]], None]:
    """Return a function that takes reports of a training on pictures and shows them as a bar.

    Args:
        bars: Where the bar appears, with the first report.
        what: What is trained.
    """
    started: list[tuple[TaskID, int, float]] = []

    def report(info: Mapping[str, Any]) -> None:
        if _said(info, bars, started[0][0] if started else None):
            return
        done, seconds = info["pictures"], info["seconds"]
        if not started:
            task = bars.add_task(what, total=info["total"], note="", rate=0.0, unit="pictures")
            started.append((task, done, seconds))
        task, first, since = started[0]
        parts = [f"epoch {min(int(info['epoch']) + 1, info['epochs'])} of {info['epochs']}"]
        for form, value in (
            ("loss {:.4f}", info["loss"]),
            ("{:.2f} % wrong", info["error_percent"]),
            ("{:.2f} % of validation", info["row"].get("error_percent_validation")),
        ):
            if value is not None:
                parts.append(form.format(value))
        rate = (done - first) / max(seconds - since, 1e-9)
        bars.update(task, completed=done, rate=rate, note=", ".join(parts))

    return report


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Return a table whose first column is text and whose others are numbers."""
    made = Table(box=None, pad_edge=False)
    for i, name in enumerate(head):
        made.add_column(name, justify="right" if i else "left")
    for row in rows:
        made.add_row(*row)
    return made


def percent(value: float) -> str:
    """Return '97.3 %'."""
    return f"{value:.1f} %"
