"""The options of ``polyad align``: Bleualign's as they are, and more."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

BLEUALIGN, FILES, FINDING = "As in Bleualign", "Input and output", "How beads are found"


def _option(panel: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, rich_help_panel=panel, **more)


def _no_evaluation(asked: bool) -> None:
    if asked:
        raise typer.BadParameter(
            "there is no evaluation text inside; align your own and compare what was found with a "
            "gold alignment: polyad evaluate-alignment FOUND GOLD",
            param_hint="-d, -e",
        )


Documents = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="DOCUMENTS",
        help="Files of whole documents, see --input-format; '-' or nothing: stdin.",
        show_default=False,
    ),
]
Source = Annotated[
    str | None,
    _option(
        BLEUALIGN,
        "-s",
        "--source",
        metavar="FILE",
        help="Source text, a sentence a line; .EOA lines divide articles.",
    ),
]
Target = Annotated[
    str | None, _option(BLEUALIGN, "-t", "--target", metavar="FILE", help="Target text.")
]
Output = Annotated[
    str | None,
    _option(
        BLEUALIGN,
        "-o",
        "--output",
        metavar="NAME",
        help="Write NAME-s and NAME-t, with a filter NAME-bad-s and NAME-bad-t too; in another "
        "--format NAME. Without it beads go to stdout.",
    ),
]
Translations = Annotated[
    list[str] | None,
    _option(
        BLEUALIGN,
        "--srctotarget",
        metavar="FILE",
        help="Translation of the source, line by line; may be repeated. '-': align without one.",
    ),
]
BackTranslations = Annotated[
    list[str] | None,
    _option(
        BLEUALIGN,
        "--targettosrc",
        metavar="FILE",
        help="Translation of the target, line by line; may be repeated.",
    ),
]
Factored = Annotated[
    bool,
    _option(
        BLEUALIGN, "--factored", help="Words are word|factor|...: align by the words, write all."
    ),
]
FilterBy = Annotated[
    str | None,
    _option(
        BLEUALIGN,
        "-f",
        "--filter",
        metavar="sentences|articles",
        help="Put bad beads, or the beads of bad articles, apart.",
    ),
]
Percent = Annotated[
    float,
    _option(
        BLEUALIGN,
        "--filterthreshold",
        min=0,
        max=100,
        help="Percentage of beads that the filter keeps, the best by BLEU.",
    ),
]
BleuThreshold = Annotated[
    float,
    _option(BLEUALIGN, "--bleuthreshold", min=0, max=1, help="Lowest BLEU that the filter keeps."),
]
FilterLanguage = Annotated[
    bool,
    _option(
        BLEUALIGN,
        "--filterlang",
        help="The filter drops beads whose source is nearer to the target than its translation.",
    ),
]
MaxN = Annotated[
    int, _option(BLEUALIGN, "--bleu_n", min=1, max=10, help="Longest n-grams of the scores.")
]
CharLevel = Annotated[
    bool,
    _option(
        BLEUALIGN,
        "--bleu_charlevel",
        help="Compare characters, for scripts without spaces; take --bleu_n 4 or more.",
    ),
]
LengthOnly = Annotated[
    bool, _option(BLEUALIGN, "--galechurch", help="Align by the lengths of sentences alone.")
]
Nulls = Annotated[
    bool,
    _option(
        BLEUALIGN,
        "--printempty",
        "--null-beads",
        help="Write a bead with an empty side for every sentence that is in none.",
    ),
]
Verbosity = Annotated[
    int,
    _option(
        BLEUALIGN,
        "-v",
        "--verbosity",
        min=0,
        max=3,
        help="0: say nothing; 1: a bar and a summary; 2: every bead too. All on stderr.",
    ),
]
Processes = Annotated[
    int | None,
    _option(
        BLEUALIGN,
        "-p",
        "--processes",
        "--threads",
        min=1,
        help="Threads of the kernels; results do not depend on it.",
    ),
]
Evaluation = Annotated[
    bool,
    typer.Option("-d", "--deveval", "-e", "--eval", hidden=True, callback=_no_evaluation),
]
Mode = Annotated[
    str,
    _option(
        FINDING,
        "--mode",
        metavar="bleualign|accurate",
        help="bleualign: the beads that Bleualign finds. accurate: better ones.",
    ),
]
Score = Annotated[
    str | None,
    _option(
        FINDING,
        "--score",
        metavar="bleu|ableu",
        help="ableu counts near-synonyms by --vectors. [default: ableu with --vectors, else bleu]",
    ),
]
Vectors = Annotated[
    Path | None,
    _option(
        FINDING,
        "--vectors",
        metavar="FILE",
        help="Word vectors, word2vec's or fastText's. Vectors of both languages in one file align "
        "without any translation.",
    ),
]
Matching = Annotated[
    str,
    _option(
        FINDING,
        "--matching",
        metavar="source|one_to_one",
        help="How ABLEU counts: every n-gram with its best, or one to one.",
    ),
]
Tokenize = Annotated[
    str | None,
    _option(
        FINDING,
        "--tokenize",
        metavar="NAME",
        help="nist (Bleualign's), words, characters, korean, 13a, intl, zh, char or none. "
        "[default: the mode's]",
    ),
]
SourceTokenize = Annotated[
    str | None,
    _option(
        FINDING,
        "--source-tokenize",
        metavar="NAME",
        help="Of the source and of --targettosrc, where it is another. [default: as --tokenize]",
    ),
]
Split = Annotated[
    bool,
    _option(
        FINDING,
        "--split",
        help="Lines are paragraphs: split them into sentences first; needs --source-lang and "
        "--target-lang.",
    ),
]
InputFormat = Annotated[
    str | None,
    _option(
        FILES,
        "--input-format",
        metavar="NAME",
        help="moses (-s and -t), bitextor, tsv, jsonl or parquet. [default: by the file's name; "
        "stdin: bitextor]",
    ),
]
OutputFormat = Annotated[
    str | None,
    _option(
        FILES,
        "--format",
        metavar="NAME",
        help="moses, tsv, bitextor, jsonl, parquet, vecalign, hunalign, hunalign-text, tmx or "
        "xces. [default: by the end of -o, .jsonl .tsv .parquet .tmx .xml .ladder; else moses with "
        "-o, tsv without; what is read as bitextor stays bitextor]",
    ),
]
SourceLanguage = Annotated[
    str | None,
    _option(FILES, "--source-lang", metavar="TAG", help="For --split and tmx, such as ko."),
]
TargetLanguage = Annotated[
    str | None,
    _option(FILES, "--target-lang", metavar="TAG", help="For --split and tmx, such as en."),
]
MaxLine = Annotated[
    int, _option(FILES, "--max-line-bytes", min=1, help="Longer lines are an error.")
]
BatchSentences = Annotated[
    int,
    _option(
        FILES,
        "--batch-sentences",
        min=1,
        help="Sentences that are read ahead and aligned side by side, which bounds the memory; a "
        "filter holds all.",
    ),
]
