"""The family align: what is measured, what is stated about it, and its figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rich.console import Console

from polyad.bench import align_peers, align_pieces, align_texts, rows
from polyad.bench.align_cases import Case, Run, Settings
from polyad.bench.harness import Limits
from polyad.bench.rows import Claim, Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OPS = (*align_texts.OPS, *align_pieces.OPS)

FULL = Settings()
QUICK = Settings(
    sentences=(1_000, 5_000),
    claimed=5_000,
    large=5_000,
    documents=100,
    accurate=(1_000,),
    ableu=(1_000,),
    pieces=(1_000,),
    pairs=500,
    limits=Limits(full_s=1.0, budget_s=0.2, most_repetitions=10),
    repetitions=3,
    budget_s=1.0,
    peer_s=5.0,
)

# what a document of `FULL.large` sentences, and a second, have to do with
LARGE_S, LARGE_BYTES, DOCUMENTS_PER_S = 10.0, 150e6, 1000.0


def run(
    settings: Settings, threads: Sequence[int], console: Console, op: str | None = None
) -> tuple[list[Row], list[str]]:
    """Measure every case, or those of ``op``; return rows and remarks."""
    here = Run(settings, threads, console)
    here.remarks.append(
        "texts are generated (polyad.data.align_synthetic), to measure cost only; each aligner "
        "runs in a process of its own, rivals on one thread, from files to files; ours: "
        f"'{align_texts.ALIGNING}' is tokenising, scoring and searching, strings in and beads out; "
        "memory is the most that the process had resident, interpreter included"
    )
    missing = {
        align_peers.BLEUALIGN: ("--bleualign CHECKOUT", settings.bleualign),
        align_peers.BLEUALIGN_CPP: ("--bleualign-cpp PROGRAM", settings.bleualign_cpp),
        align_peers.HUNALIGN: ("--hunalign PROGRAM", settings.hunalign),
    }
    for name, (option, path) in missing.items():
        if path is None and op in (None, align_texts.ALIGN, align_texts.DOCUMENTS):
            here.remarks.append(f"{name}: left out; {option} measures it, too")
    for module in (align_texts, align_pieces):
        for name in module.OPS:
            if op in (None, name):
                module.run(here, name)
    order = {name: place for place, name in enumerate(OPS)}
    here.rows.sort(
        key=lambda row: (order[row.op], *row.sizes.values(), row.threads, row.peer != "polyad")
    )
    return here.rows, here.remarks


def claims(settings: Settings, measured: Sequence[Row]) -> list[Claim]:
    """What this project states about one thread, from one run."""
    stated = []
    found = _of_aligning(measured)
    for n, peer, required in (
        (settings.claimed, align_peers.BLEUALIGN, 100.0),
        (settings.claimed, align_peers.BLEUALIGN_CPP, 40.0),
        (settings.claimed, align_peers.HUNALIGN, None),
    ):
        ours, theirs = found.get((n, "polyad")), found.get((n, peer))
        if ours is not None and theirs is not None:
            text = f"align: {peer} / polyad; n={n:,} m={Case(n).m:,}, 1 thread"
            if theirs.status == rows.OUT_OF_TIME:
                # it was stopped then, so the ratio is at least this
                theirs = replace(
                    theirs,
                    median_s=settings.peer_s,
                    min_s=settings.peer_s,
                    spent_s=settings.peer_s,
                )
                text += f", at least: it was stopped after {settings.peer_s:.0f} s"
            stated.append(Claim.of(text, required, ours, theirs, by_processor=True))
    large = found.get((settings.large, "polyad"))
    # smaller documents, those of a quick run, would say nothing of what is stated
    if large is not None and large.spent_s and settings.large == FULL.large:
        where = f"n={settings.large:,} m={Case(settings.large).m:,}, 1 thread"
        allowed = replace(large, median_s=LARGE_S, min_s=LARGE_S, spent_s=LARGE_S)
        text = f"align: {LARGE_S:.0f} s / polyad; {where}"
        stated.append(Claim.of(text, 1.0, large, allowed, by_processor=True))
        if large.extra_bytes:
            ratio = LARGE_BYTES / large.extra_bytes
            text = f"align: {LARGE_BYTES / 1e6:.0f} MB / polyad; {where}"
            stated.append(Claim(text, 1.0, ratio, ratio, ratio))
    for row in measured:
        many = row.op == align_texts.DOCUMENTS and row.variant == align_texts.ALIGNING
        if many and row.threads == 1 and row.spent_s:
            seconds = row.work / DOCUMENTS_PER_S
            allowed = replace(row, median_s=seconds, min_s=seconds, spent_s=seconds)
            text = (
                f"documents: polyad / {DOCUMENTS_PER_S:,.0f} a second; n={row.sizes['n']} "
                f"m={row.sizes['m']}, 1 thread"
            )
            stated.append(Claim.of(text, 1.0, row, allowed, by_processor=True))
    return stated


def _of_aligning(measured: Sequence[Row]) -> dict[tuple[int, str], Row]:
    """The rows of `align_texts.ALIGN` on one thread by n and peer."""
    return {
        (row.sizes["n"], row.peer): row
        for row in measured
        if row.op == align_texts.ALIGN
        and row.threads == 1
        and row.variant not in (align_texts.FILES, align_texts.COMMAND)
    }


def figure(settings: Settings, measured: Sequence[Row], machine: Mapping[str, Any]) -> Figure:
    """Seconds and memory of aligning one document against its sentences."""
    from polyad.bench import plot

    found = list(_of_aligning(measured).values())
    command = [row for row in measured if row.variant == align_texts.COMMAND]
    found += [
        replace(row, peer="polyad, files to files")
        for row in command
        if row.op == align_texts.ALIGN and row.threads == 1
    ]
    # what was stopped has no point, and memory is that of processes, which all of them are
    found = [row for row in found if row.status == rows.MEASURED]
    panels = [
        plot.Panel("", "source sentences n", "n", found, "spent_s", "processor seconds"),
        plot.Panel("", "source sentences n", "n", found, "extra_bytes", "peak bytes"),
    ]
    title = f"Aligning one document, m = 0.95 n, 1 thread, up to {settings.peer_s:.0f} s"
    return plot.cost(title, panels, f"{machine['cpu']}, {machine['isa']}")
