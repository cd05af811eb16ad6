"""The application: its commands, and what becomes of errors and interrupts."""

from __future__ import annotations

import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from polyad._version import __version__
from polyad.run import Interrupted

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
"""Exit codes: 1 for data and runs that cannot be used, 2 for wrong arguments."""


ORDER = (
    "demo",
    "info",
    "align",
    "evaluate-alignment",
    "mine",
    "review",
    "train",
    "evaluate",
    "recall",
    "bench",
)


class Commands(TyperGroup):
    """A group whose errors are one line on stderr and an exit code, never a traceback."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands, in the order in which a newcomer meets them."""
        return sorted(super().list_commands(ctx), key=ORDER.index)

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> Any:
        """Run a command line and exit."""
        words = list(sys.argv[1:] if args is None else args)
        debug = "--debug" in words
        extra |= {"standalone_mode": False, "prog_name": "polyad"}
        try:
            code = super().main([word for word in words if word != "--debug"], *rest, **extra)
        except BaseException as error:
            if isinstance(error, SystemExit):
                raise
            code, line = _explain(error)
            if debug:
                traceback.print_exception(error)
            if line:
                print(f"polyad: {line}", file=sys.stderr)
        sys.exit(code if isinstance(code, int) else OK)

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command; SIGTERM is an interrupt, and an interrupt keeps its meaning."""
        in_main = threading.current_thread() is threading.main_thread()
        before = signal.signal(signal.SIGTERM, _interrupt) if in_main else None
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted("interrupted") from None
        finally:
            if in_main:
                signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


def _explain(error: BaseException) -> tuple[int, str]:
    """The exit code of an error, and the one line that says what is wrong."""
    if isinstance(error, Interrupted):
        return INTERRUPTED, str(error)
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        return INTERRUPTED, "interrupted"
    if hasattr(error, "format_message"):  # usage errors of click, wherever typer keeps them
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "polyad"
        if not error.format_message():  # no arguments at all: the help was printed
            return USAGE, ""
        return USAGE, f"{_one_line(error.format_message())} (see '{command} --help')"
    if isinstance(error, MemoryError):
        return FAILED, "out of memory"
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return FAILED, f"{place}{error.strerror}"
    text = _one_line(str(error))
    if isinstance(error, (ValueError, TypeError, RuntimeError, ImportError, OSError)) and text:
        return FAILED, text
    return FAILED, f"internal error: {type(error).__name__}: {text} (--debug shows where)"


def _one_line(text: str) -> str:
    return " ".join(text.split())


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"polyad {__version__}")
        raise typer.Exit


@app.callback(
    epilog="A run is a folder: 'train MODEL --out RUN' writes it, the other commands read it. "
    "Exit codes: 0 done, 1 data or run cannot be used, 2 wrong arguments, 130 interrupted."
)
def polyad(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; may stand anywhere.")
    ] = False,
) -> None:
    """Hypernets, Neural Turing Machines, capsules and sentence alignment on native kernels."""


def _add_commands() -> None:
    from polyad.cli import align, bench, demo, evaluate_alignment, info, mine, review, runs, train

    app.command("demo")(demo.demo)
    app.command("info")(info.info)
    app.command("align")(align.align)
    app.command("evaluate-alignment")(evaluate_alignment.evaluate_alignment)
    app.command("mine")(mine.mine)
    app.add_typer(train.app, name="train")
    app.command("evaluate")(runs.evaluate)
    app.command("recall")(runs.recall)
    app.command("review")(review.review)
    app.command("bench")(bench.bench)


_add_commands()


def main() -> None:
    """Run ``polyad`` with the arguments of the process."""
    app()
