"""``polyad review``: how right an alignment is, judged on some of its beads."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from polyad.cli.console import Seed, err, one_of, out, table

if TYPE_CHECKING:
    from polyad.align import Alignment
    from polyad.align.review import Estimate, Judgements

JUDGEMENTS = "--judgements"


def review(
    alignments: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="ALIGNMENT",
            help="Files of beads: with their texts, or with indices of the sentences of -s and -t.",
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "-s", "--source", metavar="FILE", help="The source text, where the beads are indices."
        ),
    ] = None,
    target: Annotated[
        str | None, typer.Option("-t", "--target", metavar="FILE", help="The target text.")
    ] = None,
    page: Annotated[Path, typer.Option("-o", "--out", metavar="FILE", help="The page.")] = Path(
        "review.html"
    ),
    format_name: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="NAME",
            help="Of the files. [default: by their names, else with -s and -t vecalign]",
        ),
    ] = None,
    bands: Annotated[
        int, typer.Option(min=1, help="Bands of scores, with about as many beads in each.")
    ] = 5,
    edges: Annotated[
        str | None,
        typer.Option(metavar="A,B,...", help="Scores at which bands begin, in place of --bands."),
    ] = None,
    per_band: Annotated[int, typer.Option(min=1, help="Beads to judge in each band.")] = 40,
    seed: Seed = 0,
    title: Annotated[str | None, typer.Option(help="Of the page; else the names of the files.")] = (
        None
    ),
    judgements: Annotated[
        Path | None,
        typer.Option(JUDGEMENTS, metavar="FILE", help="Print what these saved judgements say."),
    ] = None,
) -> None:
    """Write a page on which a person judges some beads of an alignment.

    The page needs no network: open it in a browser. Beads are drawn from bands of their score and
    judged with the keyboard (1 correct, 2 partly, 3 wrong, S skip, U undo, N note); the browser
    keeps the judgements, and they can be saved as a JSON file. The page tells the accuracy of each
    band and of all beads, with intervals, and draws the path of a document.

        polyad align -s doc.ko -t doc.en --srctotarget doc.mt.en --format jsonl -o doc.jsonl

        polyad review doc.jsonl -o review.html

        polyad review --judgements judgements.json
    """
    texts = [text for text in (source, target) if text is not None]
    if (judgements is None) == (not alignments and not texts):
        raise typer.BadParameter(
            f"expected files of beads, texts or {JUDGEMENTS}, "
            + ("got neither" if judgements is None else "got both")
        )
    if judgements is not None:
        from polyad.align.review import read_judgements

        _print(read_judgements(judgements))
        return
    from polyad._files import check_place
    from polyad.align.review import draw_sample
    from polyad.data import DataError
    from polyad.report.align import write_review

    check_place(page)
    cuts = _numbers(edges)
    found = list(_read(alignments or [], texts, format_name))
    names = ", ".join([path.name for path in alignments or ()] or texts)
    if not any(len(alignment.scores) for alignment in found):
        raise DataError(f"{names}: expected at least one bead with two sides, got none")
    sample = draw_sample(found, bands=bands, edges=cuts, per_band=per_band, seed=seed)
    write_review(page, sample, title=title if title is not None else names)
    counts = [len(sample.items), sum(band.beads for band in sample.bands), len(sample.bands)]
    told = "{:,} of {:,} beads to judge, from {:,} band{} of scores".format(
        *counts, "" if counts[2] == 1 else "s"
    )
    err().print(told, soft_wrap=True, markup=False)
    out().print(f"page: {page.absolute()}", soft_wrap=True, markup=False)


def _read(files: list[Path], texts: list[str], format_name: str | None) -> Iterator[Alignment]:
    """Read alignments; texts are those that beads by index belong to, or beads line by line."""
    from polyad.align import formats, given

    if texts and len(texts) < 2:
        raise typer.BadParameter("-s and -t go together: a source and a target text")
    if not texts:
        for path in files:
            for alignment in formats.read_alignments(path, format_name):
                if len(files) > 1:
                    name = ": ".join(filter(None, (path.name, alignment.document.name)))
                    alignment.document = replace(alignment.document, name=name)
                yield alignment
        return
    if len(files) > 1:
        raise typer.BadParameter(f"expected one file of beads for the texts, got {len(files)}")
    documents = formats.read("moses", *texts)
    if not files:
        yield from given.line_by_line(documents)
        return
    if format_name is None:
        format_name = formats.format_by_name(files[0]) or "vecalign"
    one_of("--format", format_name, formats.BEAD_FORMATS)
    yield from given.with_texts(documents, formats.read_named_beads(files[0], format_name))


def _numbers(text: str | None) -> list[float] | None:
    """Read '0.2,0.4'.

    Raises:
        typer.BadParameter: Something else.
    """
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = [math.nan]
    if not all(map(math.isfinite, numbers)) or sorted(set(numbers)) != numbers:
        raise typer.BadParameter(
            f"expected ascending numbers such as 0.2,0.4, got {text!r}", param_hint="--edges"
        )
    return numbers


def _print(told: Judgements) -> None:
    """Print the table of the page."""
    from polyad.align.review import accuracy

    def share(of: Estimate) -> str:
        if math.isnan(of.share):
            return "-"
        return f"{100 * of.share:.1f} ({100 * of.low:.1f}-{100 * of.high:.1f})"

    *rows, every = accuracy(told.bands, told.counts)
    shown, kept = [], []
    for row in [*reversed(rows), every]:
        if row.band is None:
            name = "all, weighted"
        elif math.isnan(row.band.low):
            name = "no score"
        else:
            name = f"{row.band.low:.3f}-{row.band.high:.3f}"
            kept.append([f"{row.band.low:.3f}", f"{row.kept:,}", share(row.upwards)])
        beads = row.kept if row.band is None else row.band.beads
        verdicts = f"{row.correct}/{row.partly}/{row.wrong}"
        shown.append([name, f"{beads:,}", verdicts, share(row.strict), share(row.lax)])
    if told.title:
        out().print(told.title, soft_wrap=True, markup=False)
    head = ("scores", "beads", "correct/partly/wrong", "correct, %", "or partly, %")
    out().print(table(head, shown))
    if kept:
        out().print()
        out().print(table(("kept from score", "beads", "correct of these, %"), kept))
    out().print()
    out().print("Intervals of 95 %; a band's share counts by the beads it holds.")
