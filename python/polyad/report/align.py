"""The review page of an alignment: beads to judge, what follows from it, the path of a document."""

from __future__ import annotations

import json
import math
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from polyad.align.documents import LABELS, Alignment
from polyad.align.review import FORMAT_VERSION, KIND, Item, Sample
from polyad.report.page import Page

NEAR = 2
"""So many sentences before and after a bead are shown with it, to judge where it should end."""

CLIP = 4000
"""Longer sentences are cut on the page."""

PATHS = 50
"""The paths of so many documents are drawn at most, those with judged beads first."""

PATH_SENTENCES = 20_000
"""Documents with so many sentences in all bring their texts to the path, others only numbers."""

_HEAD = (
    ("Scores", "Scores of the beads of a band"),
    ("Beads", "Beads in the band"),
    ("Judged", "Beads that were judged"),
    ("Correct", ""),
    ("Partly", ""),
    ("Wrong", ""),
    ("Correct, %", "With an interval of 95 %"),
    ("Or partly, %", "Correct or partly, with an interval of 95 %"),
    ("Kept from here up", "Beads in this band and in those with higher scores"),
    ("Correct of these, %", "With an interval of 95 %"),
)


def write_review(
    path: Path, sample: Sample, *, title: str = "How right is this alignment?"
) -> None:
    """Write a page on which a person judges the beads of a sample.

    The page needs no other file and no network. It shows each bead with the sentences around it,
    takes verdicts from the keyboard, keeps them in the browser and in JSON files
    (`polyad.align.review.read_judgements` reads them), reports the accuracy of every band of scores
    and of the whole with intervals, and draws the path of a document.

    Args:
        path: Of the page; it appears whole or not at all.
        sample: What is judged; `polyad.align.review.draw_sample` draws one.
        title: Of the page.
    """
    review_page(sample, title).save(path)


def review_page(sample: Sample, title: str) -> Page:
    """Return the page that `write_review` writes."""
    page = Page(
        _shown(title),
        "Some beads of every band of scores, drawn at random. Judge them, and the table below says "
        "how many of all beads are right, and how sure that is.",
    )
    alignments = sample.alignments
    beads = sum(len(a.scores) for a in alignments)
    sentences = sum(len(a.document.source) + len(a.document.target) for a in alignments)
    lost = sum(_in_no_bead(alignment) for alignment in alignments)
    page.tiles(
        [
            (f"{len(alignments):,}", "document" if len(alignments) == 1 else "documents"),
            (f"{beads:,}", "beads"),
            (f"{lost:,}", f"of {sentences:,} sentences in no bead"),
            (f"{len(sample.items):,}", "beads to judge"),
        ]
    )
    page.heading("Judge")
    page.text(
        "Correct: the marked sentences say the same, nothing is missing and nothing too much. "
        "Partly: they share something, but a sentence or a part of one is missing or too much. "
        "Wrong: they have nothing to do with each other. Scores are shown after the verdict."
    )
    data = (
        f"const REVIEW = {_literal(_review(sample, title))};\n"
        f"const DOCUMENTS = {_literal(_documents(sample))};"
    )
    style = _asset("controls.css") + _asset("align_review.css")
    page.interactive(_asset("align_review.html"), style, data)
    page.heading("Accuracy")
    page.text(
        "A share's interval of 95 % is Wilson's, narrower where much of a band was judged; the "
        "last row weighs each band by the beads it holds: it estimates the share of all beads. "
        "Skipped beads and bands without a verdict do not count."
    )
    page.interactive(_table(), "", _asset("align_path.js"))
    page.heading("Path")
    page.interactive(_asset("align_path.html"), "", _asset("align_review.js"))
    return page


def _asset(name: str) -> str:
    return (files("polyad.report") / name).read_text(encoding="utf-8")


def _in_no_bead(alignment: Alignment) -> int:
    """How many sentences of both sides are in no bead; beads may overlap."""
    document, spans = alignment.document, alignment.spans.reshape(-1, 4).astype(np.int64)
    whole = np.ones(len(spans), bool)
    whole[list(alignment.scattered)] = False
    lost = 0
    for side, count in enumerate((len(document.source), len(document.target))):
        held = np.zeros(count + 1, np.int64)  # how many more beads hold a sentence than the last
        np.add.at(held, spans[whole, 2 * side], 1)
        np.add.at(held, spans[whole, 2 * side + 1], -1)
        held = np.cumsum(held[:count])
        for both in alignment.scattered.values():
            held[list(both[side])] += 1
        lost += int((held == 0).sum())
    return lost


def _literal(value: Any) -> str:
    """JavaScript for a value; whatever its texts hold, they end neither the script nor the page."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)  # ASCII: \u for the rest
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _shown(text: str) -> str:
    """``text`` with what HTML or UTF-8 cannot hold drawn or replaced."""
    drawn = "".join(chr(0x2400 + ord(c)) if c < " " and c not in "\t\n" else c for c in text)
    return drawn.encode("utf-8", "replace").decode("utf-8")


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _clipped(text: str) -> str:
    return text if len(text) <= CLIP else f"{text[:CLIP]} … ({len(text):,} characters)"


def _review(sample: Sample, title: str) -> dict[str, Any]:
    return {
        "kind": KIND,
        "format_version": FORMAT_VERSION,
        "title": title,
        "digest": sample.digest(),
        "seed": sample.seed,
        "labels": list(LABELS),
        "bands": [
            {
                "low": _number(band.low),
                "high": _number(band.high),
                "beads": band.beads,
                "sampled": band.sampled,
            }
            for band in sample.bands
        ],
        "items": [_item(sample, item) for item in sample.items],
    }


def _item(sample: Sample, item: Item) -> dict[str, Any]:
    bead, document = sample.bead(item), sample.alignments[item.document].document
    sides = {
        name: {
            "own": list(at),
            "lines": [
                [k, _clipped(sentences[k])]
                for k in range(max(0, at[0] - NEAR), min(len(sentences), at[-1] + 1 + NEAR))
            ],
        }
        for name, at, sentences in (
            ("source", bead.source, document.source),
            ("target", bead.target, document.target),
        )
    }
    return {
        "document": item.document,
        "place": item.place,
        "name": document.name,
        "band": item.band,
        "score": _number(bead.score),
        "label": bead.label,
        **sides,
    }


def _documents(sample: Sample) -> list[dict[str, Any]]:
    """What the path draws: the documents of the beads to judge first, in their order."""
    asked = dict.fromkeys(sorted(item.document for item in sample.items))
    rest = (d for d in range(len(sample.alignments)) if d not in asked)
    made, left = [], PATH_SENTENCES
    for d in sorted([*asked, *rest][:PATHS]):
        alignment = sample.alignments[d]
        document = alignment.document
        n, m = len(document.source), len(document.target)
        with_texts = n + m <= left
        left -= n + m if with_texts else 0
        made.append(
            {
                "index": d,
                "name": document.name,
                "n": n,
                "m": m,
                "spans": alignment.spans.reshape(-1).tolist(),
                "scores": [_number(score) for score in alignment.scores.tolist()],
                "labels": alignment.labels.tolist(),
                "scattered": alignment.scattered,
                "source": [_clipped(text) for text in document.source] if with_texts else None,
                "target": [_clipped(text) for text in document.target] if with_texts else None,
            }
        )
    return made


def _table() -> str:
    head = "".join(
        f'<th scope="col" title="{long}">{short}</th>' if long else f'<th scope="col">{short}</th>'
        for short, long in _HEAD
    )
    return (
        '<noscript><p class="note">This page needs JavaScript.</p></noscript>'
        '<div class="scroll" tabindex="0" role="region" aria-label="Accuracy">'
        f'<table id="accuracy"><thead><tr>{head}</tr></thead><tbody></tbody></table></div>'
    )
