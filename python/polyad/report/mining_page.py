"""The HTML page of a mining."""

from __future__ import annotations

import heapq
from collections.abc import Mapping

from polyad.align.formats.base import table
from polyad.align.streams import MAX_LINE
from polyad.report.page import Page, Picture, flat
from polyad.run import Run

_YIELD = Picture(
    "yield",
    "What each round found",
    "The share of the source sentences that each round found, over the rounds",
    "Round 0 aligns with what was given; each further one with word vectors trained on the pairs "
    "of the round before it. Of each round those beads count that score at least as high as its "
    "threshold, the lowest at which the estimated accuracy is what was asked for.",
)

SHOWN = 8
"""How many beads of each kind the page shows."""


def write_page(run: Run) -> None:
    """Write report.html: the figures of every round, some beads, settings.

    Args:
        run: A mining; its history, its metrics and mined.tsv.gz are there.
    """
    metrics = run.metrics()
    lowest, others = _beads(run, int(metrics["beads"]))
    page = Page(
        "Mined sentence pairs",
        "Documents in two languages, aligned again and again: what a round finds trains the word "
        "vectors that the next one aligns with.",
    )
    page.tiles(_tiles(metrics))
    page.note(
        "The accuracy is an estimate, by what the aligner finds in documents whose target was "
        "turned round; nobody has judged these beads. The commands below let you judge some."
    )
    page.section(run, _YIELD)
    page.heading("Round by round")
    page.table(*_rounds(run, metrics))
    for title, text, beads in (
        ("Near the threshold", "The pairs of lowest score: mistakes are likeliest here.", lowest),
        ("From all over", "Pairs at equal distances in the file, by their place in it.", others),
    ):
        if beads:
            page.heading(title)
            page.text(text)
            page.table(
                ["source", "target", "score"],
                [[bead["source"], bead["target"], f"{float(bead['score']):.3f}"] for bead in beads],
                texts=2,
            )
    page.heading("Go on")
    page.text("mined-s and mined-t hold the pairs, line by line; mined.tsv.gz has their scores.")
    words = [
        f" --{side}-tokenize {run.settings[name]}"
        for side, name in (("source", "source_tokenize"), ("target", "tokenize"))
    ]
    page.command(
        f"polyad review {run.file('mined.tsv.gz')}\n"
        f"polyad train vectors -s {run.file('mined-s')} -t {run.file('mined-t')} -o pairs.vec"
        + "".join(words)
    )
    page.folded(
        "Every figure (metrics.json)",
        [(name, f"{value:,.6g}") for name, value in metrics.items()],
    )
    page.folded("Settings (settings.json)", list(flat(run.settings)))
    page.save(run.file("report.html"))


def _beads(run: Run, count: int) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Return the mined beads of lowest score, and some from all over the file."""
    lowest: list[tuple[float, int, dict[str, str]]] = []
    others: list[dict[str, str]] = []
    every = max(1, count // SHOWN)
    rows = table(run.file("mined.tsv.gz"), ("score", "source", "target"), MAX_LINE)
    for place, (_, row) in enumerate(rows, 1):
        lowest = heapq.nsmallest(SHOWN, [*lowest, (float(row["score"]), place, row)])
        if place % every == 0 and len(others) < SHOWN:
            others.append(row)
    return [row for _, _, row in lowest], others


def _tiles(metrics: Mapping[str, float]) -> list[tuple[str, str]]:
    return [
        (f"{metrics['beads']:,.0f}", "pairs mined"),
        (f"{metrics['yield_percent']:.2f} %", "of the source sentences are in them"),
        (f"{metrics['gain_percent']:+.1f} %", "sentences beside the first round"),
        (f"{metrics['accuracy_estimated_percent']:.2f} %", "of the pairs are right, by estimate"),
    ]


def _rounds(run: Run, metrics: Mapping[str, float]) -> tuple[list[str], list[list[str]]]:
    rows = [
        [
            f"{row['round']:.0f}{' (mined)' if row['round'] == metrics['round_best'] else ''}",
            f"{row['yield_percent']:.2f} %",
            f"{row['accuracy_estimated_percent']:.2f} %",
            f"{row['threshold']:.3f}",
            f"{row['beads']:,.0f}",
            f"{row['beads_training']:,.0f}",
            f"{row['seconds_round']:.1f}",
        ]
        for row in run.history()
    ]
    head = ["round", "yield", "accuracy (est.)", "score from", "beads", "to learn from", "seconds"]
    return head, rows
