"""``polyad align``: documents in, beads out, with Bleualign's options as they are."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from inspect import signature
from typing import TYPE_CHECKING, Any

import typer

from polyad.align.aligner import BATCH_SENTENCES
from polyad.align.streams import MAX_LINE
from polyad.cli import align_options as options
from polyad.cli.align_job import Job
from polyad.cli.console import one_of, usable, use_threads

if TYPE_CHECKING:
    from polyad.align import Document


def align(
    documents: options.Documents = None,
    source: options.Source = None,
    target: options.Target = None,
    output: options.Output = None,
    translations: options.Translations = None,
    back_translations: options.BackTranslations = None,
    factored: options.Factored = False,
    filter_by: options.FilterBy = None,
    percent: options.Percent = 90.0,
    bleu_threshold: options.BleuThreshold = 0.0,
    filter_language: options.FilterLanguage = False,
    max_n: options.MaxN = 2,
    char_level: options.CharLevel = False,
    length_only: options.LengthOnly = False,
    nulls: options.Nulls = False,
    verbosity: options.Verbosity = 1,
    threads: options.Processes = None,
    evaluation: options.Evaluation = False,
    mode: options.Mode = "bleualign",
    score: options.Score = None,
    vectors: options.Vectors = None,
    matching: options.Matching = "source",
    tokenize: options.Tokenize = None,
    source_tokenize: options.SourceTokenize = None,
    split: options.Split = False,
    input_format: options.InputFormat = None,
    output_format: options.OutputFormat = None,
    source_language: options.SourceLanguage = None,
    target_language: options.TargetLanguage = None,
    max_line: options.MaxLine = MAX_LINE,
    batch_sentences: options.BatchSentences = BATCH_SENTENCES,
) -> None:
    """Find which sentences of two texts belong together.

    `polyad align -s doc.ko -t doc.en --srctotarget doc.mt.en -o out` aligns doc.ko with doc.en by
    a machine translation of doc.ko and writes out-s and out-t. Takes Bleualign's options as they
    are; other formats, modes and scores besides. Reads and writes .gz, .bz2, .xz and .zst by
    their names. Outputs appear whole or not at all.
    """
    from polyad.align import Aligner, formats

    one_of("--mode", mode, ("bleualign", "accurate"))
    if score is None:
        score = "bleu" if vectors is None else "ableu"
    one_of("--score", score, ("bleu", "ableu"))
    one_of("--matching", matching, ("source", "one_to_one"))
    if filter_by is not None:
        one_of("--filter", filter_by, ("sentences", "articles"))
    forward = [name for name in translations or () if name != "-"]
    reading = _input_format(input_format, documents, source, target)
    if reading == "moses":
        sources = [str(source), str(target)]
        if sources == ["-", "-"]:
            raise typer.BadParameter("only one of -s and -t can be stdin")
        needed = mode == "bleualign" and vectors is None and not length_only
        _check_translations(
            forward, back_translations, translated=not (needed and not translations)
        )
    else:
        sources = documents or ["-"]
        _refuse_files_of_moses(reading, forward, back_translations, factored)
    writing = _output_format(output_format, output, reading)
    if split and not (source_language and target_language):
        raise typer.BadParameter("--split needs --source-lang and --target-lang")
    if split and factored:
        raise typer.BadParameter("--split does not go with --factored")
    if (score == "ableu") != (vectors is not None):
        raise typer.BadParameter("--score ableu and --vectors go together")
    for option, language in (
        ("--source-lang", source_language),
        ("--target-lang", target_language),
    ):
        if language and not split and writing != "tmx":
            raise typer.BadParameter(f"{option} has no meaning without --split or --format tmx")
    use_threads(threads)
    chosen = _mode_options(
        mode,
        max_n=(max_n, 2),
        char_level=(char_level, False),
        length_only=(length_only, False),
        tokenize=(tokenize, None),
        source_tokenize=(source_tokenize, None),
        score=(score, "bleu"),
        matching=(matching, "source"),
        vectors=(vectors, None),
        filtered=filter_by is not None,
        untranslated=reading == "moses" and not forward,
    )
    read: Iterable[Document] = formats.read(
        reading,
        *sources,
        translations=forward,
        back_translations=back_translations or (),
        factored=factored,
        max_line=max_line,
    )
    if split:
        read = _split(read, str(source_language), str(target_language))
    job = Job(
        Aligner(mode, **chosen),
        writing,
        output,
        verbosity,
        batch_sentences,
        nulls=nulls,
        source_language=source_language or "x-source",
        target_language=target_language or "x-target",
    )
    if filter_by is None:
        job.run(read)
    else:
        job.run_filtered(
            read,
            by=filter_by,
            percent=percent,
            threshold=bleu_threshold,
            other_language=filter_language,
            max_n=max_n,
            compatible=mode == "bleualign",
        )


def _input_format(
    given: str | None, documents: list[str] | None, source: str | None, target: str | None
) -> str:
    from polyad.align import formats

    if source is not None or target is not None:
        if source is None or target is None:
            missing = "-s, the source" if source is None else "-t, the target"
            raise typer.BadParameter(f"{missing} text, is missing")
        if documents:
            raise typer.BadParameter(f"-s and -t are the documents; what is {documents[0]!r}?")
        if given not in (None, "moses"):
            raise typer.BadParameter(f"-s and -t are read as moses, not as {given}")
        return "moses"
    if given == "moses":
        raise typer.BadParameter("moses needs -s, the source text, and -t, the target text")
    if given is not None:
        reading = one_of("--input-format", given, formats.DOCUMENT_FORMATS)
    elif documents and documents != ["-"]:
        by_name = formats.format_by_name(documents[0])
        if by_name not in formats.DOCUMENT_FORMATS:
            raise typer.BadParameter(f"what is {documents[0]!r}? Give --input-format, or -s and -t")
        reading = str(by_name)
    else:
        if sys.stdin.isatty():
            raise typer.BadParameter("give -s and -t, or documents")
        reading = "bitextor"
    if reading == "parquet" and (not documents or "-" in documents):
        raise typer.BadParameter("parquet needs a file, not stdin", param_hint="DOCUMENTS")
    return reading


def _check_translations(forward: list[str], back: list[str] | None, *, translated: bool) -> None:
    if back and not forward:
        raise typer.BadParameter(
            "--targettosrc goes with --srctotarget FILE; with a translation of one text only, "
            "make that text the source"
        )
    if not translated:
        raise typer.BadParameter(
            "no translation: give --srctotarget FILE, or --srctotarget - to compare the texts as "
            "they are, or --galechurch, --vectors or --mode accurate"
        )


def _refuse_files_of_moses(
    reading: str, forward: list[str], back: list[str] | None, factored: bool
) -> None:
    for option, value in (
        ("--srctotarget", forward),
        ("--targettosrc", back),
        ("--factored", factored),
    ):
        if value:
            raise typer.BadParameter(
                f"{option} goes with -s and -t; documents of {reading} hold their translations"
            )


def _output_format(given: str | None, output: str | None, reading: str) -> str:
    from polyad.align import formats

    to_stdout = output in (None, "-")
    by_name = None if output is None else formats.format_by_suffix(output)
    if given is not None:
        writing = one_of("--format", given, tuple(formats.FORMATS))
    elif reading == "bitextor" and by_name in (None, "tsv"):
        writing = "bitextor"
    else:
        writing = by_name or ("tsv" if to_stdout else "moses")
    if writing == "moses" and to_stdout:
        raise typer.BadParameter("moses writes two files: give -o NAME", param_hint="--format")
    if writing == "parquet" and to_stdout and sys.stdout.isatty():
        raise typer.BadParameter("parquet is nothing for a terminal: give -o NAME")
    return writing


OPTIONS = {
    "max_n": "--bleu_n",
    "char_level": "--bleu_charlevel",
    "length_only": "--galechurch",
    "tokenize": "--tokenize",
    "source_tokenize": "--source-tokenize",
    "score": "--score",
    "matching": "--matching",
    "vectors": "--vectors",
}


def _mode_options(
    mode: str, *, filtered: bool, untranslated: bool, **given: tuple[Any, Any]
) -> dict[str, Any]:
    """What differs from its default; refused where the mode would not look at it.

    A filter reads --bleu_n too, whatever the mode; --galechurch still gives its beads scores.
    """
    chosen = {name: value for name, (value, default) in given.items() if value != default}
    idle: list[tuple[str, str]] = []
    if mode == "accurate":
        from polyad.align.accurate import AccurateMode

        known = signature(AccurateMode).parameters
        idle += [(name, "with --mode accurate") for name in chosen if name not in known]
    if "vectors" not in chosen:
        idle.append(("matching", "without --vectors"))
    elif untranslated:
        idle.append(("max_n", "with --vectors and no translation"))
    for name, where in idle:
        if name in chosen and not (name == "max_n" and filtered):
            raise typer.BadParameter(f"{OPTIONS[name]} has no meaning {where}")
    for name in ("tokenize", "source_tokenize", "vectors"):
        if "char_level" in chosen and name in chosen:
            raise typer.BadParameter(f"--bleu_charlevel does not go with {OPTIONS[name]}")
    if mode == "accurate":
        chosen.pop("max_n", None)  # of the filter, then
    for name in ("tokenize", "source_tokenize"):
        if name in chosen:
            from polyad.align.tokenizers import tokenizer

            usable(OPTIONS[name], tokenizer, chosen[name])
    if "vectors" in chosen:
        from polyad.align.vectors import WordVectors

        chosen["vectors"] = WordVectors.load(chosen["vectors"])
    return chosen


def _split(documents: Iterable[Document], source: str, target: str) -> Iterator[Document]:
    from polyad.align.split import split_document

    for document in documents:
        yield split_document(document, source, target)
