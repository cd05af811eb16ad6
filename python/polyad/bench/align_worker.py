"""What a process of its own does for the benchmark: read documents, align them, write the beads.

python -m polyad.bench.align_worker FOLDER OPTIONS prints its seconds and its memory as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from polyad.bench.harness import wall_clock
from polyad.bench.process import own_peak


@dataclass(frozen=True)
class Work:
    """What is to be done.

    Attributes:
        threads: Threads of the kernels.
        options: Of `polyad.align.Aligner`.
        repetitions: How often to align, at most.
        budget_s: Seconds that the repetitions may take.
        vectors: A file of word vectors, or nothing.
    """

    threads: int = 1
    options: dict[str, Any] = field(default_factory=dict)
    repetitions: int = 1
    budget_s: float = 0.0
    vectors: str = ""


@dataclass(frozen=True)
class Done:
    """What it took.

    Attributes:
        read: Seconds of reading, by the clock and of the processor.
        align: The same of aligning, for each repetition.
        write: The same of writing.
        peak_bytes: The most memory that was resident after one round, interpreter included.
        beads: How many were found.
    """

    read: tuple[float, float]
    align: list[tuple[float, float]]
    write: tuple[float, float]
    peak_bytes: int
    beads: int


def work(folder: Path, wanted: Work) -> Done:
    """Read, align and write the documents of a folder; ``beads`` there has the beads found."""
    from polyad import set_num_threads
    from polyad.align import Aligner, formats

    set_num_threads(wanted.threads)
    options = dict(wanted.options)
    if wanted.vectors:
        from polyad.align.vectors import WordVectors

        options["vectors"] = WordVectors.load(wanted.vectors)
    aligner = Aligner(**options)
    documents: list[Any] = []
    found: list[Any] = []

    def read() -> None:
        documents[:] = formats.read(
            "moses",
            folder / "source",
            folder / "target",
            translations=[folder / "translation"],
        )

    def align() -> None:
        found[:] = aligner.align_all(documents)

    def write() -> None:
        formats.write("moses", folder / "out", found)

    reading = wall_clock(read)
    aligning = [wall_clock(align)]
    writing = wall_clock(write)
    peak = own_peak()
    (folder / "beads").write_text(json.dumps([one.spans.tolist() for one in found]))
    start = time.perf_counter()
    while (
        len(aligning) < wanted.repetitions
        and time.perf_counter() - start + aligning[-1].elapsed < wanted.budget_s
    ):
        aligning.append(wall_clock(align))
    if len(aligning) >= 3:
        del aligning[0]  # it warmed up
    return Done(
        (reading.elapsed, reading.spent),
        [(seconds.elapsed, seconds.spent) for seconds in aligning],
        (writing.elapsed, writing.spent),
        peak,
        sum(len(one.spans) for one in found),
    )


if __name__ == "__main__":
    print(json.dumps(asdict(work(Path(sys.argv[1]), Work(**json.loads(sys.argv[2]))))))
