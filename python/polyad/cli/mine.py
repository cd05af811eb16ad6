"""``polyad mine``: align, learn from what was found, align again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from polyad.cli.console import (
    Seed,
    Threads,
    err,
    one_of,
    out,
    progress,
    refuse_settings,
    table,
    usable,
    use_threads,
)

if TYPE_CHECKING:
    from rich.progress import Progress

    from polyad.align import Document
    from polyad.run import Run

FILES, ALIGNING, LEARNING = "Documents", "How beads are found", "The loop"


def mine(
    context: typer.Context,
    out_folder: Annotated[Path, typer.Option("--out", metavar="RUN", help="The run folder.")],
    documents: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DOCUMENTS]...",
            help="Files of whole documents in --input-format.",
            show_default=False,
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "-s",
            "--source",
            metavar="FILE",
            rich_help_panel=FILES,
            help="Source text, a sentence a line; .EOA lines divide articles.",
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option("-t", "--target", metavar="FILE", rich_help_panel=FILES, help="Target text."),
    ] = None,
    translations: Annotated[
        list[str] | None,
        typer.Option(
            "--srctotarget",
            metavar="FILE",
            rich_help_panel=FILES,
            help="Translation of the source, line by line; may be repeated.",
        ),
    ] = None,
    back_translations: Annotated[
        list[str] | None,
        typer.Option(
            "--targettosrc",
            metavar="FILE",
            rich_help_panel=FILES,
            help="Translation of the target, line by line; may be repeated.",
        ),
    ] = None,
    input_format: Annotated[
        str | None,
        typer.Option(
            "--input-format",
            metavar="NAME",
            rich_help_panel=FILES,
            help="moses (-s and -t), bitextor, tsv, jsonl or parquet. [default: by the file's "
            "name]",
        ),
    ] = None,
    mode: Annotated[
        str,
        typer.Option(
            metavar="accurate|bleualign",
            rich_help_panel=ALIGNING,
            help="accurate: the best beads. bleualign: those that Bleualign finds.",
        ),
    ] = "accurate",
    matching: Annotated[
        str,
        typer.Option(
            metavar="source|one_to_one",
            rich_help_panel=ALIGNING,
            help="How ABLEU counts, in the mode bleualign: each n-gram with its best, or 1-1.",
        ),
    ] = "source",
    least_cosine: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            rich_help_panel=ALIGNING,
            help="In the mode bleualign, words whose vectors are less similar are different.",
        ),
    ] = 0.35,
    tokenize: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            rich_help_panel=ALIGNING,
            help="Words of the target and the translations: words, characters, korean ...",
        ),
    ] = "words",
    source_tokenize: Annotated[
        str,
        typer.Option(
            "--source-tokenize", metavar="NAME", rich_help_panel=ALIGNING, help="Of the source."
        ),
    ] = "words",
    vectors: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=ALIGNING,
            help="Word vectors (word2vec or fastText) for the first round, which else counts equal "
            "words only.",
        ),
    ] = None,
    known_source: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=LEARNING,
            help="Sentences whose translations are known, to learn from in every round ...",
        ),
    ] = None,
    known_target: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=LEARNING,
            help="... and these translations, line by line. With few documents it takes both.",
        ),
    ] = None,
    translate: Annotated[
        str | None,
        typer.Option(
            metavar="COMMAND",
            rich_help_panel=LEARNING,
            help="Translates the source: a command for the shell, from lines on stdin to as many "
            "on stdout. With {source} or {target} in it, the files of the pairs found last, it is "
            "run in every round. gloss: word for word, by the vectors.",
        ),
    ] = None,
    accuracy: Annotated[
        float,
        typer.Option(
            rich_help_panel=LEARNING,
            help="Estimated accuracy, 0 to 1, that the threshold of the score is chosen for.",
        ),
    ] = 0.95,
    training_accuracy: Annotated[
        float,
        typer.Option(
            rich_help_panel=LEARNING, help="The same for the pairs that vectors learn from."
        ),
    ] = 0.8,
    rounds: Annotated[
        int, typer.Option(min=1, rich_help_panel=LEARNING, help="At most, with the first.")
    ] = 5,
    min_gain: Annotated[
        float,
        typer.Option(
            min=0,
            rich_help_panel=LEARNING,
            help="Stop when a round yields less than this share more than the best before.",
        ),
    ] = 0.01,
    dimension: Annotated[
        int, typer.Option(min=1, rich_help_panel=LEARNING, help="Of the vectors.")
    ] = 100,
    window: Annotated[
        int,
        typer.Option(
            min=1, rich_help_panel=LEARNING, help="Of a context, in the shuffled words of a pair."
        ),
    ] = 20,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            rich_help_panel=LEARNING,
            help="Of a training of vectors. [default: until two million words, 5 to 50]",
        ),
    ] = None,
    min_count: Annotated[
        int, typer.Option(min=1, rich_help_panel=LEARNING, help="Rarer words get no vector.")
    ] = 2,
    seed: Seed = 0,
    threads: Threads = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on where RUN was interrupted, with RUN's documents and settings."
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a run that is there.")] = False,
) -> None:
    """Mine documents for sentence pairs: align, learn word vectors from what was found, repeat.

    `polyad mine -s doc.ko -t doc.en --srctotarget doc.mt.en --out RUN` leaves the pairs in
    RUN/mined-s and RUN/mined-t, with indices and scores in RUN/mined.tsv.gz, and a page about
    them, RUN/report.html. The threshold of
    the score is the lowest at which the estimated accuracy is --accuracy; the estimate compares
    with documents whose target is turned round (see docs/align.md), so judge some beads with
    `polyad review RUN/mined.tsv.gz`. Needs gensim: pip install 'polyad[align]'.
    """
    from polyad.align.mining import MODEL, Miner, begin
    from polyad.align.mining_settings import MiningSettings
    from polyad.run import Interrupted, Run, RunError, require_free

    if resume:
        refuse_settings(context)
        run = Run.open(out_folder, model=MODEL)
    else:
        inputs = _inputs(input_format, documents, source, target, translations, back_translations)
        one_of("--mode", mode, ("bleualign", "accurate"))
        one_of("--matching", matching, ("source", "one_to_one"))
        settings = usable(
            "settings",
            lambda: MiningSettings(
                mode=mode,
                tokenize=tokenize,
                source_tokenize=source_tokenize,
                translate=translate,
                vectors=None if vectors is None else str(vectors.absolute()),
                matching=matching,
                least_cosine=least_cosine,
                known=_known(known_source, known_target),
                accuracy=accuracy,
                training_accuracy=training_accuracy,
                rounds=rounds,
                min_gain=min_gain,
                dimension=dimension,
                window=window,
                epochs=epochs,
                min_count=min_count,
                seed=seed,
            ),
        )
        require_free(out_folder, replace=force)
        if rounds > 1:
            from polyad.align.vectors import require_gensim

            require_gensim()
        run = begin(out_folder, settings, inputs)
    use_threads(threads)
    reader = _reader(run)
    try:
        with progress() as bars:
            metrics = Miner(run, reader, report=_bar(bars)).mine()
    except KeyboardInterrupt:
        raise Interrupted(f"stopped; to go on: polyad mine --out {run.path} --resume") from None
    except RunError:
        raise
    except (OSError, ValueError) as error:
        if run.begun and not resume:
            err().print(f"polyad: {run.path} holds what was done; --resume goes on", soft_wrap=True)
        raise error
    _print(run, metrics)


def _inputs(
    input_format: str | None,
    documents: list[str] | None,
    source: str | None,
    target: str | None,
    translations: list[str] | None,
    back_translations: list[str] | None,
) -> dict[str, Any]:
    """Where the documents are, so that a run can be resumed from any folder."""
    from polyad.cli.align import _input_format

    if not documents and source is None and target is None:
        raise typer.BadParameter("give -s and -t, or documents")
    reading = _input_format(input_format, documents, source, target)
    files = [str(source), str(target)] if reading == "moses" else list(documents or ())
    given = {"translations": translations or [], "back_translations": back_translations or []}
    if reading != "moses" and (translations or back_translations):
        raise typer.BadParameter(
            f"--srctotarget and --targettosrc go with -s and -t; {reading} documents hold theirs"
        )
    for name in (*files, *given["translations"], *given["back_translations"]):
        if name == "-":
            raise typer.BadParameter("documents are read several times: give files, not stdin")
        if not Path(name).is_file():
            raise typer.BadParameter(f"{name}: no such file")
    return {
        "format": reading,
        "files": [str(Path(name).absolute()) for name in files],
        **{key: [str(Path(name).absolute()) for name in names] for key, names in given.items()},
    }


def _known(source: Path | None, target: Path | None) -> tuple[str, str] | None:
    if (source is None) != (target is None):
        raise typer.BadParameter("--known-source and --known-target go together")
    if source is None or target is None:
        return None
    for file in (source, target):
        if not file.is_file():
            raise typer.BadParameter(f"{file}: no such file")
    return str(source.absolute()), str(target.absolute())


def _reader(run: Run) -> Callable[[], Iterator[Document]]:
    """What reads the run's documents, again and again."""
    from polyad.align import formats
    from polyad.run import RunError

    inputs = run.setting("inputs", dict)
    try:
        name, files = str(inputs["format"]), [str(file) for file in inputs["files"]]
        translations = [str(file) for file in inputs["translations"]]
        back_translations = [str(file) for file in inputs["back_translations"]]
    except (KeyError, TypeError) as error:
        raise RunError(f"{run.file('settings.json')}: damaged ({error})") from error
    return lambda: formats.read(
        name, *files, translations=translations, back_translations=back_translations
    )


def _bar(bars: Progress) -> Callable[[Mapping[str, Any]], None]:
    """Return a function that takes a mining's reports: a bar a round, and a line when it ends."""
    tasks: dict[int, Any] = {}
    names = {"align": "aligning", "vectors": "training vectors", "translate": "translating"}

    def report(info: Mapping[str, Any]) -> None:
        number = info["round"]
        if number not in tasks:
            total = info["documents"]
            tasks[number] = bars.add_task(
                f"round {number}", total=total, note="", rate=0.0, unit="documents"
            )
        if info["stage"] == "done":
            figures = info["figures"]
            bars.update(
                tasks[number],
                completed=info["documents"],
                note=f"{figures['yield_percent']:.2f} % of the source sentences",
            )
        elif info["stage"] == "align":
            bars.update(tasks[number], completed=info["done"], note=names["align"])
        else:
            bars.update(tasks[number], note=names[info["stage"]])

    return report


def _print(run: Run, metrics: Mapping[str, float]) -> None:
    rows = [
        [
            f"{int(row['round'])}{' *' if row['round'] == metrics['round_best'] else ''}",
            f"{row['yield_percent']:.2f} %",
            f"{row['accuracy_estimated_percent']:.2f} %",
            f"{row['threshold']:.3f}",
            f"{int(row['beads']):,}",
        ]
        for row in run.history()
    ]
    out().print(table(["round", "yield", "accuracy (est.)", "score from", "beads"], rows))
    out().print(
        f"{run.path}: mined-s and mined-t hold the {int(metrics['beads']):,} pairs of round "
        f"{int(metrics['round_best'])} (*), {metrics['gain_percent']:+.1f} % beside the first",
        soft_wrap=True,
    )
    out().print(f"page: {run.file('report.html')}", soft_wrap=True)
