"""Translations for the aligner: by a command of the user, or word by word from vectors."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

__all__ = ["run_lines"]


def run_lines(command: str | Sequence[str], lines: Sequence[str]) -> list[str]:
    """Give lines to a command's standard input and return those it writes, one for each.

    Args:
        command: A line for the shell, or a program and its arguments.
        lines: Without line ends.

    Raises:
        OSError: The program cannot be started.
        ValueError: It failed, wrote another number of lines, or no UTF-8; or a line holds a line
            end.
    """
    name = command if isinstance(command, str) else " ".join(command)
    for place, line in enumerate(lines):
        if "\n" in line or "\r" in line:
            raise ValueError(f"lines[{place}]: expected one line, got {line!r}")
    done = subprocess.run(
        command,
        shell=isinstance(command, str),
        input="".join(f"{line}\n" for line in lines).encode(),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise ValueError(
            f"command {name!r}: failed with exit code {done.returncode}"
            + "".join(f" ({line})" for line in said)
        )
    try:
        text = done.stdout.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"command {name!r}: wrote bytes that are not UTF-8") from error
    made = text.removesuffix("\n").split("\n") if text else []
    if len(made) != len(lines):
        raise ValueError(
            f"command {name!r}: expected {len(lines)} lines, one for each it was given, got "
            f"{len(made)}"
        )
    return made
