"""``polyad train vectors``: word vectors from parallel text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from polyad.cli.console import DATA, MODEL, TRAINING, Seed, one_of, out, progress, usable

KINDS = ("word2vec-pair", "word2vec")


def vectors(
    out_file: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Where the vectors go: text, or binary if it ends in .bin; .gz packs it.",
        ),
    ],
    source: Annotated[
        Path | None,
        typer.Option(
            "--source", "-s", metavar="FILE", help="A sentence a line.", rich_help_panel=DATA
        ),
    ] = None,
    target: Annotated[
        Path | None,
        typer.Option(
            "--target",
            "-t",
            metavar="FILE",
            help="The translation of each; not needed by word2vec.",
            rich_help_panel=DATA,
        ),
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Both in one file: a sentence, a tab, its translation.",
            rich_help_panel=DATA,
        ),
    ] = None,
    columns: Annotated[
        str,
        typer.Option(
            metavar="A,B", help="Columns of --pairs, counted from 1.", rich_help_panel=DATA
        ),
    ] = "1,2",
    source_tokenize: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="words, nist, characters, korean ... or module:function: as align will split.",
            rich_help_panel=DATA,
        ),
    ] = "words",
    target_tokenize: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Of the translations; else the same.", rich_help_panel=DATA
        ),
    ] = None,
    kind: Annotated[
        str,
        typer.Option(
            metavar="word2vec-pair|word2vec",
            help="word2vec-pair: the words of both sentences together, shuffled; words of both "
            "languages become comparable. word2vec: every sentence by itself.",
            rich_help_panel=MODEL,
        ),
    ] = "word2vec-pair",
    dimension: Annotated[
        int, typer.Option(min=1, max=65536, help="Numbers of a vector.", rich_help_panel=MODEL)
    ] = 128,
    window: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How far a context reaches; else 5 words, or the whole pair.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    min_count: Annotated[
        int,
        typer.Option(min=1, help="Rarer words get no vector.", rich_help_panel=MODEL),
    ] = 2,
    epochs: Annotated[
        int,
        typer.Option(min=1, help="How often the text is gone through.", rich_help_panel=TRAINING),
    ] = 10,
    seed: Seed = 0,
    workers: Annotated[
        int,
        typer.Option(
            min=1,
            help="Threads; with more than one the vectors differ from run to run.",
            rich_help_panel=TRAINING,
        ),
    ] = 1,
) -> None:
    """Train word vectors for *align --score ableu* and *align --vectors*; leaves one file.

    Both need *[align]* (gensim). Examples:

        polyad train vectors -s found-s -t found-t -o vectors.vec

        polyad train vectors --pairs pairs.tsv --source-tokenize korean -o vectors.bin
    """
    one_of("--kind", kind, KINDS)
    if (pairs is None) == (source is None) or (pairs is not None and target is not None):
        raise typer.BadParameter("expected --pairs, or --source and --target")
    if target is None and pairs is None and kind != "word2vec":
        raise typer.BadParameter("expected --target beside --source", param_hint="--kind")
    if pairs is None and columns != "1,2":
        raise typer.BadParameter("--columns needs --pairs")
    from polyad._files import check_place
    from polyad.align.tokenizers import tokenizer
    from polyad.align.vectors import train_word2vec, train_word2vec_pair

    check_place(out_file)
    split = usable("--source-tokenize", tokenizer, source_tokenize)
    split_target = usable("--target-tokenize", tokenizer, target_tokenize or source_tokenize)
    if pairs is not None:
        one, other = _columns(pairs, _numbers(columns))
    else:
        assert source is not None
        one = list(_lines(source))
        other = [] if target is None else list(_lines(target))
        if target is not None and len(one) != len(other):
            raise ValueError(
                f"{target}: expected {len(one)} lines, one for each of {source}, got {len(other)}"
            )
    left, right = split(one), split_target(other)
    with progress() as bars:
        task = bars.add_task(kind, total=epochs, note="", rate=0.0)
        report: Callable[[int], None] = lambda done: bars.update(task, completed=done)  # noqa: E731
        if kind == "word2vec":
            found = train_word2vec(
                [*left, *right],
                dimension=dimension,
                window=window or 5,
                epochs=epochs,
                min_count=min_count,
                seed=seed,
                workers=workers,
                progress=report,
            )
        else:
            found = train_word2vec_pair(
                list(zip(left, right, strict=True)),
                dimension=dimension,
                window=window,
                epochs=epochs,
                min_count=min_count,
                seed=seed,
                workers=workers,
                progress=report,
            )
    found.save(out_file)
    out().print(
        f"{len(found):,} words of {found.dimension} numbers, from {len(one):,} "
        f"{'pairs' if other else 'sentences'}: {out_file}",
        soft_wrap=True,
        markup=False,
    )


def _numbers(text: str) -> tuple[int, int]:
    parts = text.split(",")
    if len(parts) != 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise typer.BadParameter(
            f"expected two numbers from 1, such as 3,4, got {text!r}", param_hint="--columns"
        )
    return int(parts[0]), int(parts[1])


def _lines(path: Path) -> Iterator[str]:
    from polyad.align.streams import lines

    return lines(path)


def _columns(path: Path, places: Sequence[int]) -> tuple[list[str], list[str]]:
    one, other = [], []
    for number, line in enumerate(_lines(path), 1):
        cells = line.split("\t")
        if len(cells) < max(places):
            raise ValueError(
                f"{path}:{number}: expected at least {max(places)} columns between tabs, got "
                f"{len(cells)}"
            )
        one.append(cells[places[0] - 1])
        other.append(cells[places[1] - 1])
    return one, other
