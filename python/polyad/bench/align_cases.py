"""What the cases of the aligner share: settings, sizes, generated documents as files."""

from __future__ import annotations

import base64
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from polyad.align.documents import Alignment
from polyad.bench import harness
from polyad.bench.harness import Limits
from polyad.bench.rows import Row
from polyad.data.align_synthetic import align_synthetic

SEED = 0
LIMITS = Limits(full_s=6.0, budget_s=0.8, least_repetitions=2, most_repetitions=20)
# so that a document has as many target sentences as source ones
SAME_LENGTH = 0.08


@dataclass(frozen=True)
class Settings:
    """Sizes and limits of a run.

    Attributes:
        sentences: n of the documents of the growth curve; m = 0.95 n.
        claimed: The n at which ours is compared with Bleualign and bleualign-cpp.
        large: The n whose seconds and memory are stated.
        documents: How many documents of ``short`` sentences make a collection.
        short: Their n and m.
        accurate: n of the documents aligned with the mode accurate.
        ableu: n of the documents aligned with ABLEU.
        pieces: n of the cases of `ngram_scores` and `best_path`.
        pairs: Sentence pairs whose BLEU is computed.
        limits: For what is repeated.
        repetitions: How often a process aligns its document, at most.
        budget_s: Seconds that these repetitions may take.
        peer_s: Processor seconds that a rival may take for one document.
        peer_bytes: Memory that it may map.
        rivals_on_all_threads: Rivals of whole texts run on one thread in any case.
        bleualign: A checkout of rsennrich/Bleualign, or None.
        bleualign_cpp: The program of bitextor/bleualign-cpp, or None.
        hunalign: The program of danielvarga/hunalign, or None.
    """

    sentences: Sequence[int] = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000)
    claimed: int = 10_000
    large: int = 50_000
    documents: int = 200
    short: int = 150
    accurate: Sequence[int] = (1_000, 10_000)
    ableu: Sequence[int] = (1_000, 10_000)
    pieces: Sequence[int] = (1_000, 5_000, 20_000)
    pairs: int = 10_000
    limits: Limits = LIMITS
    repetitions: int = 9
    budget_s: float = 3.0
    peer_s: float = 60.0
    peer_bytes: int = 16 * 10**9
    rivals_on_all_threads: bool = False
    bleualign: Path | None = None
    bleualign_cpp: Path | None = None
    hunalign: Path | None = None


Run: TypeAlias = harness.Run[Settings]


@dataclass(frozen=True)
class Case:
    """A collection of generated documents: one long one, or many short ones.

    Attributes:
        n: Sentences of a source.
        documents: How many documents.
        collection: Whether it is one of short documents, with as many target as source sentences.
    """

    n: int
    documents: int = 1
    collection: bool = False

    def made(self, document: int = 0) -> Alignment:
        """The document of this number, and the beads it was made with; the last one is kept."""
        return _made(self.n, document, self.collection)

    @property
    def m(self) -> int:
        """Sentences of a target."""
        return len(self.made().document.target)

    def sizes(self) -> dict[str, int]:
        """The sizes that every row states."""
        return {"documents": self.documents, "n": self.n, "m": self.m}

    def row(self, op: str, peer: str = "polyad", threads: int = 1, variant: str = "") -> Row:
        """Return a row of this case; the unit is a source sentence, or a whole document."""
        work, unit = (self.documents, "documents") if self.collection else (self.n, "sentences")
        return Row(op, peer, self.sizes(), threads, work=work, unit=unit, variant=variant)

    def write(self, folder: Path) -> None:
        """Write the documents as the programs read them.

        ``source``, ``target`` and ``translation`` have a sentence a line, with ``.EOA`` between
        documents. ``table.tsv`` has a document a row, in base64; what is to come out of it are
        line numbers, beside the texts that are compared.
        """
        columns = ("src_url", "trg_url", "src_text", "trg_text", "src_translated", "trg_translated")
        sides: list[list[str]] = [[], [], []]
        table = ["\t".join(columns)]
        for number in range(self.documents):
            made = self.made(number).document
            texts = (made.source, made.target, made.translations[0])
            for side, text in zip(sides, texts, strict=True):
                side.extend([".EOA"] * (number > 0))
                side.extend(text)
            ids = [[str(i) for i in range(len(text))] for text in (made.source, made.target)]
            cells = [*ids, made.translations[0], made.target]
            encoded = [base64.b64encode(_lines(cell).encode()).decode() for cell in cells]
            table.append("\t".join([f"{number}.source", f"{number}.target", *encoded]))
        for name, side in zip(("source", "target", "translation"), sides, strict=True):
            (folder / name).write_text(_lines(side), encoding="utf-8")
        (folder / "table.tsv").write_text(_lines(table), encoding="utf-8")


def _lines(lines: Sequence[str]) -> str:
    return "".join(line + "\n" for line in lines)


@functools.lru_cache(maxsize=1)
def _made(n: int, document: int, collection: bool) -> Alignment:
    options = {"insertions": SAME_LENGTH} if collection else {}
    return align_synthetic(n, seed=SEED, document=document, **options)
