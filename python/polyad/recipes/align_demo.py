"""The demo of the aligner: what polyad is, in Korean and in English, aligned and laid out to judge.

python -m polyad.recipes.align_demo [--out FOLDER]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

from polyad.align import Aligner, Alignment, Bead
from polyad.align.aligner import MODES
from polyad.align.evaluate import Agreement, Evaluation, evaluate
from polyad.align.review import draw_sample
from polyad.data.align_sample import korean_readme
from polyad.report.align import write_review

PAGE = "align_review.html"
SHOWN = slice(27, 37)
"""The beads of the table: a stretch of the text with splits, merges and errors."""

SUMMARY = ("mode", "beads", "right", "precision", "recall", "strict F1", "lax F1")


class AlignDemo(NamedTuple):
    """What the demo made.

    Attributes:
        alignment: Of the sample, by the first of `MODES`.
        gold: What it should be.
        evaluations: How right it is, by mode.
        page: The review page of ``alignment``.
    """

    alignment: Alignment
    gold: list[Bead]
    evaluations: dict[str, Evaluation]
    page: Path

    def metrics(self) -> dict[str, float]:
        """Return the figures of the demo, as a run's metrics.json names them."""
        found = {}
        for mode, (strict, lax) in self._agreements():
            found[f"align_{mode}_beads"] = float(strict.found)
            found[f"align_{mode}_precision_strict_percent"] = 100 * strict.precision
            found[f"align_{mode}_recall_strict_percent"] = 100 * strict.recall
            found[f"align_{mode}_f1_strict_percent"] = 100 * strict.f1
            found[f"align_{mode}_f1_lax_percent"] = 100 * lax.f1
        return found

    def summary(self) -> list[tuple[str, ...]]:
        """Return a row a mode: name, beads, right ones, precision, recall, F1 and lax F1."""
        return [
            (
                mode,
                str(strict.found),
                str(strict.right),
                *(
                    f"{100 * share:.1f} %"
                    for share in (strict.precision, strict.recall, strict.f1, lax.f1)
                ),
            )
            for mode, (strict, lax) in self._agreements()
        ]

    def _agreements(self) -> list[tuple[str, tuple[Agreement, Agreement]]]:
        return [(mode, (made.strict, made.lax)) for mode, made in self.evaluations.items()]

    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """Return some beads: score, whether gold has it, its kind, the beginnings of its texts."""
        right = {(bead.source, bead.target) for bead in self.gold}
        return [
            (
                f"{bead.score:.2f}",
                "yes" if (bead.source, bead.target) in right else "no",
                f"{len(bead.source)}-{len(bead.target)}",
                *self.alignment.text(bead),
            )
            for bead in self.alignment.beads[SHOWN]
        ]


def run(out: Path) -> AlignDemo:
    """Align the sample and write its review page.

    Args:
        out: The folder of the page; it is made if it is not there.
    """
    out.mkdir(parents=True, exist_ok=True)
    document, gold = korean_readme()
    found = {mode: Aligner(mode).align(document) for mode in MODES}
    page = out / PAGE
    sample = draw_sample([found[MODES[0]]])
    write_review(page, sample, title="What polyad is, in Korean and in English")
    evaluations = {mode: evaluate([made.beads], [gold]) for mode, made in found.items()}
    return AlignDemo(found[MODES[0]], gold, evaluations, page)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Align the sample that ships with polyad.")
    parser.add_argument("--out", type=Path, default=Path(), metavar="FOLDER")
    demo = run(parser.parse_args().out)
    for row in (SUMMARY, *demo.summary()):
        print("".join(f"{cell:12}" for cell in row))
    print(f"page: {demo.page.absolute()}")
