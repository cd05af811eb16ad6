r"""English-Spanish rows of the LibreOffice help, and a rule-based machine translation of them.

    apt-get download libreoffice-help-en-us libreoffice-help-es
    for package in libreoffice-help-*.deb; do dpkg-deb -x $package help; done
    apt-get install apertium apertium-eng-spa
    python -m polyad.recipes.align_libreoffice prepare --out FOLDER \
        --help-files help/usr/share/libreoffice/help

The help (MPL-2.0 and Apache-2.0) has the same pages in every language, and a paragraph has the same
id in all of them, so which paragraphs belong together is known. FOLDER gets

    en-es.tsv.gz            document, id, English, Spanish
    en-es.apertium.tsv.gz   English sentence, its translation by apertium, unknown words marked *

which `polyad.recipes.align_yield` reads. Other languages of the help (``--to de``) give their rows;
the translation is made where a direction of apertium is named.
"""

from __future__ import annotations

import argparse
import gzip
from collections.abc import Iterable, Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path

from polyad._files import written_whole
from polyad.align.translate import run_lines
from polyad.data import DataError
from polyad.data.align_documents import ParallelRow, pieces
from polyad.recipes.experiment import show

__all__ = ["apertium", "main", "paragraphs", "prepare", "read_translations", "rows_of_help"]

DEBIAN_FOLDER = Path("/usr/share/libreoffice/help")
STARTS = ("hd_", "par_")


class _Paragraphs(HTMLParser):
    """The text of every element whose id begins as those of headings and paragraphs do."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: dict[str, str] = {}
        self._id = self._tag = ""
        self._depth = 0
        self._text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._depth:
            self._depth += tag == self._tag
            if tag in ("br", "td", "li", "p"):
                self._text.append(" ")
            return
        name = dict(attrs).get("id") or ""
        if name.startswith(STARTS):
            self._id, self._tag, self._depth, self._text = name, tag, 1, []

    def handle_endtag(self, tag: str) -> None:
        if self._depth and tag == self._tag:
            self._depth -= 1
            if not self._depth:
                text = " ".join("".join(self._text).split())
                if text:
                    self.found.setdefault(self._id, text)

    def handle_data(self, data: str) -> None:
        if self._depth:
            self._text.append(data)


def paragraphs(page: str) -> dict[str, str]:
    """Return id -> text of the headings and paragraphs of a page, in their order.

    White space is one space; an id that comes twice keeps its first text.
    """
    parser = _Paragraphs()
    parser.feed(page)
    parser.close()
    return parser.found


def rows_of_help(folder: Path, source: str, target: str) -> list[ParallelRow]:
    """Return the rows of two languages of the help.

    Left out are paragraphs that one of the two does not have, that are the same in both (not
    translated, names, code), and those without a letter.

    Args:
        folder: Holds a folder for each language.
        source: Its name, as in 'en-US'.
        target: Likewise.

    Raises:
        DataError: A folder is missing, or the two have no paragraph in common.
    """
    for language in (source, target):
        if not (folder / language).is_dir():
            raise DataError(
                f"{folder / language}: no such folder; the Debian package libreoffice-help-"
                f"{language.lower()} holds it"
            )
    rows = []
    for path in sorted((folder / source).rglob("*.html")):
        name = path.relative_to(folder / source)
        other = folder / target / name
        if not other.is_file():
            continue
        ours = paragraphs(path.read_text(encoding="utf-8", errors="replace"))
        theirs = paragraphs(other.read_text(encoding="utf-8", errors="replace"))
        for key, text in ours.items():
            translated = theirs.get(key, text)
            if translated != text and any(c.isalpha() for c in text):
                rows.append(ParallelRow(name.as_posix(), key, text, translated))
    if not rows:
        raise DataError(f"{folder}: {source} and {target} have no translated paragraph in common")
    return rows


def apertium(sentences: Sequence[str], direction: str, *, unknown_marked: bool = True) -> list[str]:
    """Return translations by Debian's apertium, each sentence on its own.

    A semicolon on a line of its own follows every sentence: otherwise rules reach over the end of
    the line and move words from one to the next. White space is one space afterwards.

    Args:
        sentences: One line each.
        direction: As ``apertium -l`` lists them.
        unknown_marked: Whether a word that is not in the dictionary begins with an asterisk.

    Raises:
        OSError: It is not installed.
        ValueError: It failed, or gave back another number of lines.
    """
    command = ["apertium", *(() if unknown_marked else ("-u",)), direction]
    lines = [line for sentence in sentences for line in (sentence, ";")]
    return [" ".join(line.split()) for line in run_lines(command, lines)[::2]]


def prepare(
    out: Path, *, folder: Path = DEBIAN_FOLDER, to: str = "es", direction: str | None = "eng-spa"
) -> tuple[int, int]:
    """Write the rows and the translation of their sentences.

    Args:
        out: The folder to write to; made if need be.
        folder: Where the packages' files are.
        to: The other language.
        direction: Of apertium; None: no translation is made.

    Returns:
        How many rows, and how many translated sentences.
    """
    rows = rows_of_help(folder, "en-US", to)
    out.mkdir(parents=True, exist_ok=True)
    _write(out / f"en-{to}.tsv.gz", rows)
    if direction is None:
        return len(rows), 0
    sentences = list(dict.fromkeys(piece for row in rows for piece in pieces(row.source)))
    made = apertium(sentences, direction)
    _write(out / f"en-{to}.apertium.tsv.gz", zip(sentences, made, strict=True))
    return len(rows), len(sentences)


def _write(path: Path, rows: Iterable[Sequence[str]]) -> None:
    text = "".join("\t".join(" ".join(text.split()) for text in row) + "\n" for row in rows)
    with written_whole(path) as temporary:
        temporary.write_bytes(gzip.compress(text.encode(), mtime=0))


def read_translations(path: Path) -> Mapping[str, str]:
    """Read source sentence -> translation, as `prepare` writes them.

    Raises:
        DataError: A line with another number of columns.
    """
    table = {}
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file, 1):
            columns = line.rstrip("\n").split("\t")
            if len(columns) != 2:
                raise DataError(f"{path}:{number}: expected 2 columns, got {len(columns)}")
            table[columns[0]] = columns[1]
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Rows of the LibreOffice help, and their MT.")
    verb = parser.add_subparsers(dest="verb", required=True).add_parser("prepare")
    verb.add_argument("--out", required=True, type=Path, metavar="FOLDER")
    verb.add_argument("--help-files", type=Path, default=DEBIAN_FOLDER, metavar="FOLDER")
    verb.add_argument("--to", default="es", help="the other language (default: es)")
    verb.add_argument("--direction", default="eng-spa", help="of apertium; '' for no translation")
    options = parser.parse_args(arguments)
    try:
        rows, sentences = prepare(
            options.out,
            folder=options.help_files,
            to=options.to,
            direction=options.direction or None,
        )
    except (OSError, ValueError) as error:
        raise SystemExit(f"{error}") from error
    show(f"rows  {rows}\nsentences_translated  {sentences}")


if __name__ == "__main__":
    main()
