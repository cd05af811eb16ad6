"""Cases of whole texts: seconds and peak memory of each aligner in a process of its own."""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from polyad.bench import align_peers, process, rows
from polyad.bench.align_cases import SEED, Case, Run
from polyad.bench.align_peers import Peer, Span
from polyad.bench.align_worker import Done, Work
from polyad.bench.harness import Seconds, Timing
from polyad.bench.process import Finished
from polyad.bench.rows import Row

ALIGN, DOCUMENTS, ACCURATE, ABLEU = "align", "documents", "accurate", "ableu"
OPS = (ALIGN, DOCUMENTS, ACCURATE, ABLEU)
OURS = "polyad"
ALIGNING, FILES, COMMAND = "aligning", "reading and writing", "polyad align"
VECTOR_SIZE, SYNONYMS = 64, 4


def run(here: Run, op: str) -> None:
    """Measure one op."""
    settings = here.settings
    if op == ALIGN:
        _grow(here, [Case(n) for n in settings.sentences], align_peers.peers(settings))
    elif op == DOCUMENTS:
        case = Case(settings.short, settings.documents, collection=True)
        _one(here, DOCUMENTS, case, {}, align_peers.peers(settings))
        with _files(case) as folder:
            _ours(here, ACCURATE, case, folder, {"mode": "accurate"}, 1)
    elif op == ACCURATE:
        for n in settings.accurate:
            _one(here, ACCURATE, Case(n), {"mode": "accurate"})
    else:
        for n in settings.ableu:
            _one(here, ABLEU, Case(n), {"score": "ableu"})


def _grow(here: Run, cases: Sequence[Case], rivals: Sequence[Peer]) -> None:
    """Measure case after case; a rival that ran out of time or memory is done."""
    left = list(rivals)
    for case in cases:
        for row in _one(here, ALIGN, case, {}, left):
            if row.status != rows.MEASURED:
                left = [peer for peer in left if peer.name != row.peer]


def _one(
    here: Run,
    op: str,
    case: Case,
    options: dict[str, Any],
    rivals: Sequence[Peer] = (),
) -> list[Row]:
    """Measure ours with every number of threads, and ``rivals``; return the rows of these."""
    with _files(case) as folder:
        found: dict[int, list[Span] | None] = {
            threads: _ours(here, op, case, folder, options, threads) for threads in here.threads
        }
        return [
            _theirs(here, op, case, folder, peer, found[here.threads[0]])
            for peer in rivals
            if here.has_rivals(here.threads[0])
        ]


@contextmanager
def _files(case: Case) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="polyad-bench-") as name:
        folder = Path(name)
        case.write(folder)
        yield folder


def _environment(threads: int) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": str(threads)}


def _ours(
    here: Run, op: str, case: Case, folder: Path, options: dict[str, Any], threads: int
) -> list[Span] | None:
    """Add our rows: aligning, files, and the command; return the beads of a single document."""
    settings = here.settings
    work = Work(threads, options, settings.repetitions, settings.budget_s)
    if op == ABLEU:
        work = replace(work, vectors=str(_vectors(case, folder)))
    output = folder / "worker.json"
    module = ["-m", "polyad.bench.align_worker", str(folder), json.dumps(asdict(work))]
    # repetitions do not count as time that one document takes
    limit_s = settings.peer_s + threads * settings.budget_s
    row = case.row(op, OURS, threads, ALIGNING)
    with here.doing(f"{op}, n = {case.n:,}: {OURS}, {threads} threads"):
        ended = process.run(
            [sys.executable, *module],
            output,
            limit_s=limit_s,
            limit_bytes=settings.peer_bytes,
            environment=_environment(threads),
        )
    if ended.status != rows.MEASURED:
        here.add(row, Timing(ended.status, note=ended.note))
        return None
    done = Done(**json.loads(output.read_text()))
    times = [Seconds(*each) for each in done.align]
    here.add(
        replace(row, extra_bytes=done.peak_bytes, note=f"{done.beads:,} beads"), _median(times)
    )
    files = Seconds(*(a + b for a, b in zip(done.read, done.write, strict=True)))
    here.add(replace(row, variant=FILES), _median([files]))
    if op in (ALIGN, DOCUMENTS) and threads == here.threads[0]:
        texts: list[str | Path] = ["-s", folder / "source", "-t", folder / "target"]
        texts += ["--srctotarget", folder / "translation", "-o", folder / "command"]
        ended = process.run(
            [sys.executable, "-m", "polyad", "align", *texts],
            folder / "command.log",
            limit_s=settings.peer_s,
            limit_bytes=settings.peer_bytes,
            environment=_environment(threads),
        )
        whole = replace(row, variant=COMMAND, extra_bytes=ended.peak_bytes)
        here.add(replace(whole, note="from files to files"), _once(ended))
    if case.documents > 1:
        return None
    spans: list[Span] = json.loads((folder / "beads").read_text())[0]
    return spans


def _theirs(
    here: Run, op: str, case: Case, folder: Path, peer: Peer, ours: list[Span] | None
) -> Row:
    """Add the row of a rival, with the number of 1-1 beads in which it differs."""
    settings = here.settings
    output = folder / "rival.out"
    with here.doing(f"{op}, n = {case.n:,}: {peer.name}"):
        call = peer.call(case, folder)
        ended = process.run(
            call.arguments,
            output,
            limit_s=settings.peer_s,
            limit_bytes=settings.peer_bytes,
            stdin=call.stdin,
            environment=_environment(1),
        )
    notes = [peer.note]
    row = case.row(op, peer.name)
    if ended.status == rows.MEASURED:
        row = replace(row, extra_bytes=ended.peak_bytes)
        if case.documents == 1 and ours is not None:
            beads = peer.beads(output.read_text(encoding="utf-8", errors="replace"))
            single = align_peers.differing(beads, [])
            differ = align_peers.differing(ours, beads)
            notes.insert(0, f"{differ:,} of {single:,} 1-1 beads differ")
            if peer.same and sorted(map(tuple, ours)) == sorted(beads):
                notes.insert(0, "all beads are the same")
    row = replace(row, note="; ".join(note for note in notes if note))
    here.add(row, _once(ended))
    return here.rows[-1]


def _median(times: Sequence[Seconds]) -> Timing:
    elapsed = [seconds.elapsed for seconds in times]
    # the mean: where the clock of the processor ticks slowly, its ticks average out
    spent = statistics.fmean(seconds.spent for seconds in times)
    return Timing(rows.MEASURED, statistics.median(elapsed), min(elapsed), spent, len(times))


def _once(ended: Finished) -> Timing:
    """What is known of a process that ran once."""
    if ended.status != rows.MEASURED:
        return Timing(ended.status, note=ended.note)
    return _median([ended.seconds])


def _vectors(case: Case, folder: Path) -> Path:
    """Write random vectors of the words of a document, near ones for a few words each."""
    import numpy as np

    from polyad.align.tokenizers import tokenizer
    from polyad.align.vectors import WordVectors

    document = case.made().document
    texts = [*document.target, *document.translations[0]]
    words = sorted({word for line in tokenizer("nist")(texts) for word in line})
    generator = np.random.Generator(np.random.Philox(SEED))
    centres = generator.standard_normal((len(words) // SYNONYMS + 1, VECTOR_SIZE), np.float32)
    own = generator.standard_normal((len(words), VECTOR_SIZE), np.float32)
    path = folder / "vectors.txt"
    WordVectors(words, centres[generator.integers(0, len(centres), len(words))] + own).save(path)
    return path
