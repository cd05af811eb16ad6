"""Rivals that align whole texts, each a program of its own: how it is called, what it prints."""

from __future__ import annotations

import itertools
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from polyad.bench.align_cases import Case, Settings

Span = tuple[int, int, int, int]

BLEUALIGN = "Bleualign"
BLEUALIGN_CPP = "bleualign-cpp"
HUNALIGN = "hunalign"


@dataclass(frozen=True)
class Call:
    """A command, and the file that it reads from stdin."""

    arguments: Sequence[str | Path]
    stdin: Path | None = None


@dataclass(frozen=True)
class Peer:
    """A rival.

    Attributes:
        name: What rows call it.
        call: Aligns the documents of a folder; `Case.write` has written them.
        beads: Reads what was printed when the folder held one document: its beads.
        same: Whether its beads are meant to be ours.
        note: How it differs.
    """

    name: str
    call: Callable[[Case, Path], Call]
    beads: Callable[[str], list[Span]]
    same: bool = False
    note: str = ""


def peers(settings: Settings) -> list[Peer]:
    """Return the rivals that were given."""
    found = []
    if settings.bleualign is not None:
        checkout = settings.bleualign.absolute()
        found.append(Peer(BLEUALIGN, lambda _, at: _bleualign(checkout, at), _of_log, same=True))
    if settings.bleualign_cpp is not None:
        program = settings.bleualign_cpp.absolute()
        found.append(
            Peer(
                BLEUALIGN_CPP,
                lambda _, at: Call([program], at / "table.tsv"),
                _of_table,
                note="no gap filling",
            )
        )
    if settings.hunalign is not None:
        aligner = settings.hunalign.absolute()
        found.append(
            Peer(
                HUNALIGN,
                lambda case, at: _hunalign(aligner, case, at),
                _of_ladder,
                note="the translation as its source, no dictionary",
            )
        )
    return found


def require(given: Mapping[str, Path]) -> None:
    """Check that rivals are where they should be, by the names they have in `Settings`.

    Raises:
        ValueError: One is not.
    """
    for name, path in given.items():
        if name == "bleualign":
            if not (path / "bleualign.py").is_file():
                raise ValueError(f"{name}: expected a checkout with bleualign.py, got {path}")
        elif not (path.is_file() and os.access(path, os.X_OK)):
            raise ValueError(f"{name}: expected a program, got {path}")


def _bleualign(checkout: Path, folder: Path) -> Call:
    texts: list[str | Path] = ["-s", folder / "source", "-t", folder / "target"]
    texts += ["--srctotarget", folder / "translation", "-o", folder / "bleualign.out"]
    # its second level of verbosity says which lines are aligned
    return Call([sys.executable, checkout / "bleualign.py", *texts, "-p", "1", "-v", "2"])


def _of_log(printed: str) -> list[Span]:
    """Read ``alignment: 3,4 - 5``."""
    lines = re.findall(r"^alignment: ([\d,]+) - ([\d,]+)", printed, re.MULTILINE)
    return [_span(source.split(","), target.split(",")) for source, target in lines]


def _of_table(printed: str) -> list[Span]:
    """Read the line numbers that stand in the place of texts."""
    rows = [line.split("\t") for line in printed.splitlines()[1:]]
    return [_span(row[2].split(), row[3].split()) for row in rows]


def _hunalign(program: Path, case: Case, folder: Path) -> Call:
    dictionary = folder / "empty.dic"
    dictionary.write_text("")
    if case.documents == 1:
        return Call([program, dictionary, folder / "translation", folder / "target"])
    jobs = []
    for number in range(case.documents):
        made = case.made(number).document
        names = [folder / f"{number}.{name}" for name in ("translation", "target", "ladder")]
        for path, text in zip(names, (made.translations[0], made.target), strict=False):
            path.write_text("".join(line + "\n" for line in text), encoding="utf-8")
        jobs.append("\t".join(map(str, names)) + "\n")
    (folder / "jobs").write_text("".join(jobs))
    return Call([program, "-batch", dictionary, folder / "jobs"])


def _of_ladder(printed: str) -> list[Span]:
    """Read rungs ``3<TAB>4<TAB>0.5``: the sentences before the next one belong together."""
    rungs = [tuple(map(int, line.split("\t")[:2])) for line in printed.splitlines()]
    return [
        (first[0], second[0], first[1], second[1])
        for first, second in itertools.pairwise(rungs)
        if second[0] > first[0] and second[1] > first[1]
    ]


def _span(source: Sequence[str], target: Sequence[str]) -> Span:
    return int(source[0]), int(source[-1]) + 1, int(target[0]), int(target[-1]) + 1


def differing(ours: Iterable[Span], theirs: Iterable[Span]) -> int:
    """How many 1-1 beads are in one of two alignments only."""

    def single(spans: Iterable[Span]) -> set[Span]:
        return {span for span in map(_tuple, spans) if span[1] - span[0] == span[3] - span[2] == 1}

    return len(single(ours) ^ single(theirs))


def _tuple(span: Sequence[int]) -> Span:
    a, b, c, d = span
    return a, b, c, d
