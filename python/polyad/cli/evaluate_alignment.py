"""``polyad evaluate-alignment FOUND GOLD``: how many beads are right."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from polyad.cli.console import one_of, out, table

if TYPE_CHECKING:
    from polyad.align import Bead
    from polyad.align.formats.base import NamedBeads


def evaluate_alignment(
    found: Annotated[str, typer.Argument(metavar="FOUND", help="Beads to judge; '-': stdin.")],
    gold: Annotated[
        list[str],
        typer.Argument(
            metavar="GOLD...", help="The right beads; several files follow each other's documents."
        ),
    ],
    found_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="NAME",
            help="Of FOUND: vecalign, hunalign, jsonl, tsv, bitextor, parquet, tmx or xces. "
            "[default: by its name, else vecalign]",
        ),
    ] = None,
    gold_format: Annotated[
        str | None, typer.Option("--gold-format", metavar="NAME", help="Of GOLD, likewise.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the figures there too.")
    ] = None,
) -> None:
    """Compare beads with gold ones: precision, recall and F1.

    Strict: a bead is right if the gold alignment has it, sentence by sentence. Lax: if it shares a
    source and a target sentence with a gold bead. Null beads do not count. Documents stand in the
    same order in both; a blank line divides them in vecalign's and hunalign's files.
    """
    from polyad._files import check_place, written_whole
    from polyad.align.evaluate import evaluate

    if json_file is not None:
        check_place(json_file)
    files = [_documents(name, gold_format, "--gold-format") for name in gold]
    documents = _documents(found, found_format, "--format")
    if len(documents) != sum(map(len, files)):
        # blank lines at the end of a file, which divide nothing, or documents without beads
        documents, *files = map(_without_blank_end, (documents, *files))
    right = [beads for file in files for _, beads in file]
    beads = _in_their_places(documents, len(right))
    if len(beads) != len(right):
        raise ValueError(
            f"{found}: expected {len(right)} documents, as the gold files have, got {len(beads)}"
        )
    made = evaluate(beads, right)
    kinds = {"strict": made.strict, "lax": made.lax}
    console = out()
    console.print(
        table(
            ("", "precision", "recall", "F1"),
            [
                (name, *(f"{v:.3f}" for v in (one.precision, one.recall, one.f1)))
                for name, one in kinds.items()
            ],
        )
    )
    console.print(
        f"{made.strict.found:,} beads found, {made.strict.gold:,} in gold, "
        f"{made.strict.right:,} exactly right",
        soft_wrap=True,
    )
    if json_file is not None:
        figures = {
            f"{kind}_{name}": getattr(one, name)
            for kind, one in kinds.items()
            for name in ("found", "gold", "right", "recalled", "precision", "recall", "f1")
        }
        with written_whole(json_file) as temporary:
            temporary.write_text(json.dumps(figures, indent=2) + "\n")


def _documents(name: str, format_name: str | None, option: str) -> list[NamedBeads]:
    from polyad.align import formats

    if format_name is None:
        format_name = formats.format_by_name(name) or "vecalign"
    one_of(option, format_name, formats.BEAD_FORMATS)
    return list(formats.read_named_beads(name, format_name))


def _without_blank_end(documents: list[NamedBeads]) -> list[NamedBeads]:
    """The documents up to the last that has beads."""
    last = max((k for k, (_, beads) in enumerate(documents) if beads), default=-1)
    return documents[: last + 1]


def _in_their_places(documents: list[NamedBeads], count: int) -> list[list[Bead]]:
    """The beads by document; some formats say nothing of documents without beads.

    What was read from parallel texts is numbered from 1, which shows where they are.
    """
    numbers = [int(name) if name.isdecimal() else 0 for name, _ in documents]
    ascending = all(a < b for a, b in pairwise([0, *numbers]))
    if len(documents) >= count or not ascending or max(numbers, default=0) > count:
        return [beads for _, beads in documents]
    by_number = dict(zip(numbers, (beads for _, beads in documents), strict=True))
    return [by_number.get(number, []) for number in range(1, count + 1)]
