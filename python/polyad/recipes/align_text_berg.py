"""Text+Berg (Alpine yearbooks, German-French): Bleualign's beads, and how right each mode's are.

python -m polyad.recipes.align_text_berg --data FOLDER [--bleualign CHECKOUT] [--look REASON]

FOLDER holds eval1957.de, eval1957.fr, their translations and gold (development), and the same of
eval1989 (test, seven articles). Translations are named after the systems that made them: google and
europarlfull, each of both sides.

With a checkout of Bleualign, which is run as a program and not read, the beads of the mode
'bleualign' are compared with its own, one translation, both directions, and all intersected.

The gold of eval1989 is opened with ``--look`` alone; every look is appended to a log with its date,
reason, settings and figures before they are shown.
"""

from __future__ import annotations

import argparse
import datetime
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from polyad.align import Aligner, Alignment, Bead, Document, formats
from polyad.align.evaluate import Evaluation, evaluate
from polyad.recipes.experiment import show

SYSTEMS: dict[str, tuple[str, ...]] = {
    "none": (),
    "G": ("google.fr",),
    "E": ("europarlfull.fr",),
    "GG": ("google.fr", "google.de"),
    "EE": ("europarlfull.fr", "europarlfull.de"),
    "GE": ("google.fr", "europarlfull.fr"),
    "all": ("google.fr", "europarlfull.fr", "google.de", "europarlfull.de"),
}
"""Sets of translations; .fr are of the source, .de of the target."""


class Table(NamedTuple):
    """One row of the accuracy table.

    Attributes:
        mode: Of the aligner.
        systems: A name of `SYSTEMS`.
        evaluation: Against the gold.
    """

    mode: str
    systems: str
    evaluation: Evaluation

    def __str__(self) -> str:
        strict, lax = self.evaluation.strict, self.evaluation.lax
        return (
            f"{self.mode:9}  {self.systems:5}  strict {strict.precision:.4f} {strict.recall:.4f} "
            f"{strict.f1:.4f}  lax {lax.precision:.4f} {lax.recall:.4f} {lax.f1:.4f}"
        )


def read_articles(folder: Path, name: str, systems: Sequence[str]) -> list[Document]:
    """Return the articles of a text, between its markers, with their translations.

    Raises:
        OSError: A file is missing.
        ValueError: A translation with another number of lines, or texts of other numbers of
            articles.
    """
    texts = [folder / f"{name}.{language}" for language in ("de", "fr")]
    translations = [folder / f"{name}.{system}" for system in systems]
    return list(
        formats.read(
            "moses",
            *texts,
            translations=[path for path in translations if path.suffix == ".fr"],
            back_translations=[path for path in translations if path.suffix == ".de"],
        )
    )


def read_document(folder: Path, name: str, systems: Sequence[str]) -> tuple[Document, list[Bead]]:
    """Return a text of one article and its gold beads."""
    (document,) = read_articles(folder, name, systems)
    return document, read_gold(folder / f"gold.{name}.txt")


def read_gold(path: Path) -> list[Bead]:
    """Return the beads of one article.

    Raises:
        OSError: The file is missing.
        ValueError: A line that is no bead.
    """
    return [bead for beads in formats.read_beads(path, "vecalign") for bead in beads]


def accuracy(
    documents: dict[str, list[Document]], gold: Sequence[Sequence[Bead]], modes: Sequence[str]
) -> list[Table]:
    """Return how right the beads of each mode are with each set of translations.

    Args:
        documents: The articles with each set of `SYSTEMS`.
        gold: Of each article.
        modes: Of the aligner; 'bleualign' needs a translation.
    """
    rows = []
    for mode in modes:
        for systems, articles in documents.items():
            if mode == "bleualign" and not SYSTEMS[systems]:
                continue
            found = [alignment.beads for alignment in Aligner(mode).align_all(articles)]
            rows.append(Table(mode, systems, evaluate(found, gold)))
    return rows


def differences(ours: Sequence[Alignment], theirs: Sequence[Sequence[Bead]]) -> tuple[int, int]:
    """Return how many beads only one of two alignments has, and how many the other has in all."""
    different = total = 0
    for mine, other in zip(ours, theirs, strict=True):
        a = {(bead.source, bead.target) for bead in mine.beads}
        b = {(bead.source, bead.target) for bead in other}
        different += len(a ^ b)
        total += len(b)
    return different, total


def run_bleualign(
    checkout: Path, folder: Path, name: str, systems: Sequence[str]
) -> list[list[Bead]]:
    """Return the beads that Bleualign finds, per article, from what it prints about each.

    Raises:
        ValueError: It failed, or printed no alignment.
    """
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, str(checkout / "bleualign.py"), "-v", "2"]
        command += ["-s", str(folder / f"{name}.de"), "-t", str(folder / f"{name}.fr")]
        for system in systems:
            option = "--targettosrc" if system.endswith(".de") else "--srctotarget"
            command += [option, str(folder / f"{name}.{system}")]
        command += ["-o", str(Path(scratch) / "out")]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    printed = ended.stdout + ended.stderr
    articles = printed.split("finished with article")[:-1]
    if ended.returncode or not articles:
        raise ValueError(f"{checkout}: Bleualign failed: {printed[-300:].strip()}")
    found = []
    for article in articles:
        lines = re.findall(r"^alignment: ([\d,]+) - ([\d,]+)\s*$", article, flags=re.MULTILINE)
        found.append([Bead(_numbers(source), _numbers(target)) for source, target in lines])
    return found


def conformance(checkout: Path, folder: Path) -> list[str]:
    """Return a line for each run of Bleualign: how many beads differ from the mode 'bleualign'."""
    lines = []
    for name in ("eval1957", "eval1989"):
        for systems in (
            ("google.fr",),
            ("europarlfull.fr",),
            ("google.fr", "google.de"),
            ("europarlfull.fr", "europarlfull.de"),
            ("google.fr", "europarlfull.fr"),
            SYSTEMS["all"],
        ):
            documents = read_articles(folder, name, systems)
            theirs = run_bleualign(checkout, folder, name, systems)
            different, total = differences(list(Aligner("bleualign").align_all(documents)), theirs)
            lines.append(f"{name}  {' + '.join(systems):62}  {different} of {total} beads differ")
    return lines


def append_look(log: Path, reason: str, rows: Sequence[Table], date: str) -> None:
    """Append a look at the gold of the test set to its log, before anybody sees the figures."""
    lines = [] if log.exists() else ["# Looks at the gold of eval1989", ""]
    lines += [f"## {date}: {reason}", "", "    mode       sets   P R F1"]
    lines += [f"    {row}" for row in rows]
    with log.open("a", encoding="utf-8") as file:
        file.write("\n".join([*lines, "", ""]))


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare with Bleualign, and with the gold."""
    parser = argparse.ArgumentParser(description="The modes of the aligner on Text+Berg.")
    parser.add_argument("--data", required=True, type=Path, metavar="FOLDER", help="text+berg")
    parser.add_argument("--bleualign", type=Path, metavar="CHECKOUT", help="compare the beads")
    parser.add_argument("--look", metavar="REASON", help="also open the gold of eval1989")
    parser.add_argument(
        "--log",
        type=Path,
        default=Path("align_looks.md"),
        metavar="FILE",
        help="where looks are noted (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    try:
        if options.bleualign is not None:
            for line in conformance(options.bleualign, options.data):
                show(line)
        texts = ["eval1957"] if options.look is None else ["eval1957", "eval1989"]
        for name in texts:
            documents = {s: read_articles(options.data, name, SYSTEMS[s]) for s in SYSTEMS}
            count = len(next(iter(documents.values())))
            paths = (
                [f"gold.{name}.txt"]
                if count == 1
                else [f"gold.{name}.article{k}.txt" for k in range(count)]
            )
            gold = [read_gold(options.data / path) for path in paths]
            rows = accuracy(documents, gold, ("bleualign", "accurate"))
            if name == "eval1989":
                now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M")
                append_look(options.log, options.look, rows, now)
            show(f"{name}: mode, translations, strict P R F1, lax P R F1")
            for row in rows:
                show(str(row))
    except (OSError, ValueError) as error:
        raise SystemExit(f"{error}") from error


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


if __name__ == "__main__":
    main()
