"""The demo of the aligner: what polyad is, in Korean and in English, aligned and laid out to judge.

python -m polyad.recipes.align_demo [--out FOLDER]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

from polyad.align import Aligner, Alignment, Bead
from polyad.align.evaluate import Evaluation, evaluate
from polyad.align.review import draw_sample
from polyad.data.align_sample import korean_readme
from polyad.report.align import write_review

PAGE = "align_review.html"
SHOWN = slice(27, 37)
"""The beads of the table: a stretch of the text with splits, merges and errors."""


class AlignDemo(NamedTuple):
    """What the demo made.

    Attributes:
        alignment: Of the sample.
        gold: What it should be.
        evaluation: How far it is.
        page: The review page.
    """

    alignment: Alignment
    gold: list[Bead]
    evaluation: Evaluation
    page: Path

    def metrics(self) -> dict[str, float]:
        """Return the figures of the demo, as a run's metrics.json names them."""
        strict, lax = self.evaluation.strict, self.evaluation.lax
        return {
            "align_beads": float(strict.found),
            "align_precision_strict_percent": 100 * strict.precision,
            "align_recall_strict_percent": 100 * strict.recall,
            "align_f1_strict_percent": 100 * strict.f1,
            "align_f1_lax_percent": 100 * lax.f1,
        }

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
        out: The folder of the page, which must exist.
    """
    document, gold = korean_readme()
    alignment = Aligner().align(document)
    page = out / PAGE
    sample = draw_sample([alignment])
    write_review(page, sample, title="What polyad is, in Korean and in English")
    return AlignDemo(alignment, gold, evaluate([alignment.beads], [gold]), page)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Align the sample that ships with polyad.")
    parser.add_argument("--out", type=Path, default=Path(), metavar="FOLDER")
    demo = run(parser.parse_args().out)
    for name, value in demo.metrics().items():
        print(f"{name}: {value:.1f}")
    print(f"page: {demo.page.absolute()}")
