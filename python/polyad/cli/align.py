"""``polyad align``: documents in, beads out, with Bleualign's options as they are."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from polyad.cli import align_options as options
from polyad.cli.console import err, one_of, progress, use_threads

if TYPE_CHECKING:
    from polyad.align import Aligner, Alignment, Document

MAX_LINE = 64 * 2**20


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
    split: options.Split = False,
    input_format: options.InputFormat = None,
    output_format: options.OutputFormat = None,
    source_language: options.SourceLanguage = None,
    target_language: options.TargetLanguage = None,
    max_line: options.MaxLine = MAX_LINE,
    batch_sentences: options.BatchSentences = 50_000,
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
    use_threads(threads)
    chosen: dict[str, Any] = {}
    for name, value, default in (
        ("max_n", max_n, 2),
        ("char_level", char_level, False),
        ("length_only", length_only, False),
        ("tokenize", tokenize, None),
        ("score", score, "bleu"),
        ("matching", matching, "source"),
    ):
        if value != default:
            chosen[name] = value
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
    job = _Job(
        Aligner(mode, **chosen, **_vectors(vectors)),
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
    if given is not None:
        writing = one_of("--format", given, tuple(formats.FORMATS))
    elif reading == "bitextor":
        writing = "bitextor"
    else:
        writing = "tsv" if to_stdout else "moses"
    if writing == "moses" and to_stdout:
        raise typer.BadParameter("moses writes two files: give -o NAME", param_hint="--format")
    if writing == "parquet" and to_stdout and sys.stdout.isatty():
        raise typer.BadParameter("parquet is nothing for a terminal: give -o NAME")
    return writing


def _vectors(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    from polyad.align.vectors import WordVectors

    return {"vectors": WordVectors.load(path)}


def _split(documents: Iterable[Document], source: str, target: str) -> Iterator[Document]:
    from polyad.align.split import split_document

    for document in documents:
        yield split_document(document, source, target)


class _Job:
    """Aligns, writes, and says what it did."""

    def __init__(
        self,
        aligner: Aligner,
        writing: str,
        output: str | None,
        verbosity: int,
        batch_sentences: int,
        **writer_options: Any,
    ) -> None:
        self.aligner = aligner
        self.writing = writing
        self.output = None if output in (None, "-") else output
        self.verbosity = verbosity
        self.batch_sentences = batch_sentences
        self.writer_options = writer_options
        self.started = time.perf_counter()
        self.documents = self.beads = self.left_out = 0
        self.sentences, self.used = [0, 0], [0, 0]
        self.remark = ""

    def run(self, documents: Iterable[Document]) -> None:
        """Write beads as they are found."""
        from polyad.align import formats

        target = self.output or "-"
        try:
            with formats.open_writer(self.writing, target, **self.writer_options) as writer:
                for alignment in self._aligned(documents):
                    writer.write(_as_shown(alignment))
                    if self.output is None:
                        writer.flush()
            self.left_out = writer.left_out
        except BrokenPipeError:
            if self.output is not None:
                raise
            _forget_stdout()
        self._say()

    def run_filtered(self, documents: Iterable[Document], **how: Any) -> None:
        """Write what a filter keeps, and where there is a place for it what it does not."""
        from polyad.align import formats
        from polyad.align.filters import filter_alignments

        found = list(self._aligned(documents))
        kept, foreign, below = filter_alignments(found, **how)
        plain = {**self.writer_options, "nulls": False, "blank_documents": False}
        targets = [(self.output or "-", kept, plain)]
        if self.output is not None:
            # A sentence of a bead that is not kept is in no null bead: nothing is there twice.
            nulls = map(_nulls_of, found) if self.writer_options["nulls"] else ()
            bad = _bad_name(self.output, self.writing)
            targets.append((bad, [*foreign, *below, *nulls], plain))
        try:
            with ExitStack() as stack:
                for target, alignments, options_ in targets:
                    writer = stack.enter_context(
                        formats.open_writer(self.writing, target, **options_)
                    )
                    for alignment in alignments:
                        writer.write(_as_shown(alignment))
                    self.left_out += writer.left_out
        except BrokenPipeError:
            if self.output is not None:
                raise
            _forget_stdout()
        count = sum(len(one.beads) for one in kept)
        self.remark = f", {count:,} kept"
        self._say()

    def _aligned(self, documents: Iterable[Document]) -> Iterator[Alignment]:
        """Yield alignments, counted, under a bar."""
        with progress() as bars:
            bar = bars.add_task(
                "aligning",
                total=None,
                note="",
                rate=0.0,
                unit="documents",
                visible=self.verbosity > 0,
            )

            def show(count: int) -> None:
                rate = count / max(time.perf_counter() - self.started, 1e-9)
                bars.update(bar, completed=count, rate=rate, note=f"{self.beads:,} beads")

            for alignment in self.aligner.align_all(
                documents, batch_sentences=self.batch_sentences, progress=show
            ):
                self._count(alignment)
                yield alignment

    def _count(self, alignment: Alignment) -> None:
        beads, document = alignment.beads, alignment.document
        self.documents += 1
        self.beads += len(beads)
        for side, sentences in enumerate((document.source, document.target)):
            self.sentences[side] += len(sentences)
            self.used[side] += len({i for bead in beads for i in (bead.source, bead.target)[side]})
        if self.verbosity > 1:
            for bead in beads:
                sides = " - ".join(",".join(map(str, s)) for s in (bead.source, bead.target))
                print(f"alignment: {sides}  {bead.label} {bead.score:.4f}", file=sys.stderr)

    def _say(self) -> None:
        if not self.verbosity:
            return
        documents = "document" if self.documents == 1 else "documents"
        (n, m), (i, j) = self.sentences, self.used
        text = (
            f"{self.documents:,} {documents}, {self.beads:,} beads{self.remark}; left out "
            f"{n - i:,} of {n:,} source and {m - j:,} of {m:,} target sentences; "
            f"{time.perf_counter() - self.started:.2f} s"
        )
        if self.left_out:
            text += f"; {self.left_out:,} beads have no place in {self.writing}"
        err().print(text, soft_wrap=True)


def _forget_stdout() -> None:
    """Nobody reads what is written: stop without a word, also when Python closes stdout."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _nulls_of(alignment: Alignment) -> Alignment:
    """The null beads alone."""
    import numpy as np

    from polyad.align import LABELS, Alignment

    beads = [bead for bead in alignment.beads_with_nulls() if not (bead.source and bead.target)]
    spans = [(*_span(bead.source), *_span(bead.target)) for bead in beads]
    return Alignment(
        alignment.document,
        np.array(spans, np.int32).reshape(-1, 4),
        np.full(len(beads), np.nan),
        np.full(len(beads), LABELS.index("NULL"), np.int8),
    )


def _span(side: tuple[int, ...]) -> tuple[int, int]:
    return (side[0], side[-1] + 1) if side else (0, 0)


def _as_shown(alignment: Alignment) -> Alignment:
    """The alignment with the texts that outputs show, where others were compared."""
    texts = getattr(alignment.document, "shown", None)
    if texts is None:
        return alignment
    made = copy(alignment)
    made.document = texts
    return made


def _bad_name(output: str, writing: str) -> str:
    """X-bad; of X.jsonl.gz X-bad.jsonl.gz. A moses name has no suffix but that of a compression."""
    from polyad.align.streams import compression_of

    packed = compression_of(output)
    stem = output[: len(output) - len(packed)]
    suffix = "" if writing == "moses" else Path(stem).suffix
    return f"{stem[: len(stem) - len(suffix)]}-bad{suffix}{packed}"
