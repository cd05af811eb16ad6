"""`Aligner`: one object that aligns documents, whichever mode finds the beads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from polyad.align.documents import Alignment, Document


class Mode(Protocol):
    """What finds the beads of many documents at a time."""

    def align(self, documents: Sequence[Document]) -> list[Alignment]:
        """Return the alignment of every document, in their order."""


MODES = ("bleualign", "accurate")
BATCH_SENTENCES = 50_000


class Aligner:
    """Align the sentences of documents.

    Args:
        mode: 'bleualign': the beads that Bleualign finds. 'accurate': better ones.
        **options: Of the mode: see `polyad.align.bleualign.BleualignMode` and
            `polyad.align.accurate.AccurateMode`.

    Raises:
        TypeError: An option that the mode does not know, or a wrong kind of one.
        ValueError: An unknown mode, or an option it cannot use.
    """

    def __init__(self, mode: str = "bleualign", **options: Any) -> None:
        if mode not in MODES:
            raise ValueError(f"mode: expected one of {', '.join(MODES)}, got {mode!r}")
        self.mode: Mode
        if mode == "accurate":
            from polyad.align.accurate import AccurateMode

            self.mode = AccurateMode(**options)
        else:
            from polyad.align.bleualign import BleualignMode

            self.mode = BleualignMode(**options)

    def align(self, document: Document) -> Alignment:
        """Return the alignment of one document."""
        return self.mode.align([document])[0]

    def align_all(
        self,
        documents: Iterable[Document],
        *,
        batch_sentences: int = BATCH_SENTENCES,
        progress: Callable[[int], None] | None = None,
    ) -> Iterator[Alignment]:
        """Yield the alignment of every document, in their order, in bounded memory.

        Documents are read ahead until they hold ``batch_sentences`` sentences, and these are
        aligned side by side on the kernels' threads.

        Args:
            documents: Any number of documents; read as they are needed.
            batch_sentences: How many sentences are held at a time; at least one document is.
            progress: Called with the number of documents that have been aligned, after each batch.
        """
        batch: list[Document] = []
        held = done = 0
        for document in documents:
            batch.append(document)
            held += len(document.source) + len(document.target)
            if held >= batch_sentences:
                yield from self.mode.align(batch)
                done += len(batch)
                if progress is not None:
                    progress(done)
                batch, held = [], 0
        if batch:
            yield from self.mode.align(batch)
            if progress is not None:
                progress(done + len(batch))
