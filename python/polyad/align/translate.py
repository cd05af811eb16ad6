"""Translations for the aligner: by a command of the user, or word by word from vectors."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["gloss", "gloss_table", "run_lines", "translate_file"]

_BLOCK = 1024
"""Source words whose similarity to all target words is held at a time."""


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
    _check(name, done)
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


def translate_file(command: str, source: Path, target: Path, *, lines: int) -> None:
    """Run a command whose standard input and output are files of lines.

    Args:
        command: A line for the shell.
        source: What it reads.
        target: What it writes; there after an error, too.
        lines: How many it must write.

    Raises:
        OSError: A file cannot be opened.
        ValueError: It failed, wrote another number of lines, or no UTF-8.
    """
    with source.open("rb") as given, target.open("wb") as made:
        done = subprocess.run(
            command, shell=True, stdin=given, stdout=made, stderr=subprocess.PIPE, check=False
        )
    _check(command, done)
    count = 0
    try:
        with target.open(encoding="utf-8", newline="\n") as texts:
            for _ in texts:
                count += 1
    except UnicodeDecodeError as error:
        raise ValueError(
            f"command {command!r}: wrote bytes that are not UTF-8, after line {count}"
        ) from error
    if count != lines:
        raise ValueError(
            f"command {command!r}: expected {lines} lines, one for each it was given, got {count}"
        )


def _check(name: str, done: subprocess.CompletedProcess[bytes]) -> None:
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise ValueError(
            f"command {name!r}: failed with exit code {done.returncode}"
            + "".join(f" ({line})" for line in said)
        )


def gloss_table(
    words: Sequence[str],
    vectors: NDArray[np.float32],
    source_counts: Mapping[str, int],
    target_counts: Mapping[str, int],
    *,
    least_cosine: float = 0.3,
) -> dict[str, str]:
    """Return for every source word the target word whose vector is nearest.

    ``table[w] = argmax_v cos(w, v)`` over the target words v; the first of equals in ``words``. A
    word that the target has at least half as often as the source (a name, a number) stays itself.

    Args:
        words: What the vectors belong to, words of both languages, as vectors trained on pairs have
            them.
        vectors: float32 [V, D].
        source_counts: How often each word occurs in the source.
        target_counts: Likewise in the target.
        least_cosine: A word without a neighbour of at least this cosine is not in the table.

    Raises:
        ValueError: Vectors of another shape than one per word.
    """
    if vectors.ndim != 2 or len(vectors) != len(words):
        raise ValueError(f"vectors: expected [{len(words)}, D], got {list(vectors.shape)}")
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(norms > 0, norms, 1)
    table = {}
    asked = []
    for place, word in enumerate(words):
        count = source_counts.get(word, 0)
        if count and 2 * target_counts.get(word, 0) >= count:
            table[word] = word
        elif count:
            asked.append(place)
    answers = [place for place, word in enumerate(words) if target_counts.get(word, 0)]
    if not answers:
        return table
    column = {place: j for j, place in enumerate(answers)}
    answer_vectors = unit[answers].T
    for begin in range(0, len(asked), _BLOCK):
        block = asked[begin : begin + _BLOCK]
        cosines = unit[block] @ answer_vectors
        for i, place in enumerate(block):
            if place in column:  # seen in the target by chance: it is no translation of itself
                cosines[i, column[place]] = -1
            best = int(cosines[i].argmax())
            if cosines[i, best] >= least_cosine:
                table[words[place]] = words[answers[best]]
    return table


def gloss(sentences: Sequence[Sequence[str]], table: Mapping[str, str]) -> list[str]:
    """Return sentences with every word replaced by its entry; words without one stay."""
    return [" ".join(table.get(word, word) for word in sentence) for sentence in sentences]
