"""What ``polyad align`` does once its options are understood: align, write, say what was done."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from copy import copy
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyad.cli.console import err, progress

if TYPE_CHECKING:
    from polyad.align import Aligner, Alignment, Document


class Job:
    """Aligns, writes, and says what it did.

    Args:
        aligner: Finds the beads.
        writing: The format of the output.
        output: Where it goes; None or '-' is stdout.
        verbosity: 0: nothing is said; 1: a bar and a summary; 2: every bead. On stderr.
        batch_sentences: Sentences that are read ahead.
        **writer_options: Of `polyad.align.formats.base.WriterOptions`.
    """

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
        alignments = self._aligned(documents)
        if self.output is None:  # then no header stands before an error in the first documents
            alignments = chain(list(islice(alignments, 1)), alignments)
        try:
            with formats.open_writer(self.writing, target, **self.writer_options) as writer:
                for alignment in alignments:
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

        self._check_places()
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

    def _check_places(self) -> None:
        """Look whether both outputs of a filter can be written, which is done when all is known."""
        from polyad._files import check_place
        from polyad.align.formats import moses

        if self.output is not None:
            for name in (self.output, _bad_name(self.output, self.writing)):
                for path in moses.paths(name) if self.writing == "moses" else [Path(name)]:
                    check_place(path)

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
