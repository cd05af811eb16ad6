"""``polyad align``: what users get wrong, and the one line that says so."""

import io
import sys
from types import SimpleNamespace

import pytest
from align_command_cases import ALIGN, TARGET, documents, write_texts


@pytest.fixture
def texts(tmp_path, monkeypatch):
    """The texts of `write_texts`, in the current folder."""
    monkeypatch.chdir(tmp_path)
    return write_texts(tmp_path)


# name: (files to write, more words, exit code, what the line must say)
BAD = {
    "missing file": ({}, ["-s", "no"], 1, "no: No such file"),
    "missing translation": ({}, ["--srctotarget", "no"], 1, "no: No such file"),
    "not utf-8": ({"t": b"a\nb\xff\n"}, [], 1, "polyad: t:2:2: not UTF-8 (byte 0xff)\n"),
    "utf-16": ({"t": TARGET.encode("utf-16")}, [], 1, "t:1:1: not UTF-8 but UTF-16"),
    "nul": ({"m": b"a\0\n"}, [], 1, "m:1:2: a NUL byte; expected text"),
    "empty source": ({"s": b""}, [], 1, "s: is empty; expected a sentence a line"),
    "empty target": ({"t": b""}, [], 1, "t: is empty; expected a sentence a line"),
    "unequal lines": ({"m": b"a\n"}, [], 1, "m: expected 3 lines, one for every line of s, got 1"),
    "articles": (
        {"s": b"a\n.EOA\nb\nc\n", "m": b"a\n\nb\nc\n"},
        [],
        1,
        "s: expected as many articles (",
    ),
    "long line": ({}, ["--max-line-bytes", "20"], 1, "s:2: a line of more than 20 bytes"),
    "no folder": ({}, ["-o", "no/out"], 1, "no: no such folder"),
    "folder": ({}, ["--format", "jsonl", "-o", "."], 1, ".: is a folder"),
    "no folder for a filter": (
        {"m": b"\0"},
        ["-f", "articles", "-o", "no/out"],
        1,
        "no: no such f",
    ),
    "folder for a filter": (
        {"m": b"\0"},
        ["-f", "articles", "--format", "jsonl", "-o", "."],
        1,
        ".: is a folder",
    ),
    "gzip": ({"s.gz": b"no"}, ["-s", "s.gz"], 1, "s.gz: broken or cut short"),
    "unknown mode": ({}, ["--mode", "best"], 2, "expected bleualign or accurate, got 'best'"),
    "unknown score": ({}, ["--score", "chrf"], 2, "expected bleu or ableu, got 'chrf'"),
    "unknown filter": ({}, ["-f", "words"], 2, "expected sentences or articles, got 'words'"),
    "unknown format": ({}, ["--format", "csv"], 2, "expected moses or tsv or"),
    "ableu without vectors": (
        {},
        ["--score", "ableu"],
        2,
        "--score ableu and --vectors go together",
    ),
    "option of the other mode": (
        {},
        ["--mode", "accurate", "--galechurch"],
        2,
        "--galechurch has no meaning with --mode accurate",
    ),
    "n-grams of the other mode": (
        {},
        ["--mode", "accurate", "--bleu_n", "3"],
        2,
        "--bleu_n has no",
    ),
    "split without languages": (
        {},
        ["--split"],
        2,
        "--split needs --source-lang and --target-lang",
    ),
    "moses to stdout": ({}, ["--format", "moses", "-o", "-"], 2, "moses writes two files: give -o"),
    "threshold": ({}, ["--filterthreshold", "101"], 2, "less than or equal to 100"),
    "both documents and -s": (
        {},
        ["d.jsonl"],
        2,
        "-s and -t are the documents; what is 'd.jsonl'?",
    ),
    "another format of -s": (
        {},
        ["--input-format", "tsv"],
        2,
        "-s and -t are read as moses, not as",
    ),
    "tokenizer": (
        {},
        ["--tokenize", "best"],
        2,
        "for --tokenize: expected a function, module:function or one of nist,",
    ),
    "tokenizer of the source": (
        {},
        ["--source-tokenize", "best"],
        2,
        "for --source-tokenize: expected a function",
    ),
    "tokenizer to import": ({}, ["--tokenize", "no:f"], 2, "--tokenize: cannot import no:f"),
    "tokenizer that gives no words": (
        {},
        ["--tokenize", "builtins:len"],
        1,
        "expected a list of words for '', got 0",
    ),
    "two ways to split": (
        {},
        ["--tokenize", "words", "--bleu_charlevel"],
        2,
        "--bleu_charlevel does not go with --tokenize",
    ),
    "matching of no vectors": (
        {},
        ["--matching", "one_to_one"],
        2,
        "--matching has no meaning without --vectors",
    ),
    "matching of the other mode": (
        {},
        ["--mode", "accurate", "--matching", "one_to_one"],
        2,
        "--matching has no meaning with --mode accurate",
    ),
    "languages of no one": (
        {},
        ["--target-lang", "en"],
        2,
        "--target-lang has no meaning without --split or --format tmx",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(polyad, texts, case):
    files, words, code, message = BAD[case]
    for name, data in files.items():
        (texts / name).write_bytes(data)
    (texts / "out-s").write_text("earlier")
    before = sorted(path.name for path in texts.iterdir())
    result = polyad(*ALIGN, "-o", "out", *words)
    assert result.code == code
    assert message in result.err
    assert result.err.count("\n") == 1
    assert sorted(path.name for path in texts.iterdir()) == before
    assert (texts / "out-s").read_text() == "earlier"


USAGE = {
    "no target": (["-s", "s"], "-t, the target text, is missing"),
    "no source": (["-t", "t"], "-s, the source text, is missing"),
    "no translation": (["-s", "s", "-t", "t"], "no translation: give --srctotarget FILE"),
    "translation of the target alone": (
        ["-s", "s", "-t", "t", "--targettosrc", "s", "--srctotarget", "-"],
        "make that text the source",
    ),
    "translation beside documents": (
        ["d.jsonl", "--srctotarget", "m"],
        "--srctotarget goes with -s and -t; documents of jsonl hold their translations",
    ),
    "documents of what": (["d"], "what is 'd'? Give --input-format, or -s and -t"),
    "moses without files": (["--input-format", "moses"], "moses needs -s, the source text, and -t"),
    "parquet from a pipe": (["--input-format", "parquet"], "parquet needs a file, not stdin"),
    "n-grams of single words": (
        ["-s", "s", "-t", "t", "--vectors", "v.vec", "--bleu_n", "3"],
        "--bleu_n has no meaning with --vectors and no translation",
    ),
    "characters of vectors": (
        ["-s", "s", "-t", "t", "--vectors", "v.vec", "--bleu_charlevel"],
        "--bleu_charlevel does not go with --vectors",
    ),
    "stdin twice": (["-s", "-", "-t", "-", "--srctotarget", "m"], "only one of -s and -t"),
}


@pytest.mark.parametrize("case", USAGE)
def test_usage(polyad, texts, case):
    words, message = USAGE[case]
    result = polyad("align", *words)
    assert result.code == 2
    assert message in result.err
    assert result.err.count("\n") == 1


BAD_DOCUMENTS = {
    "empty": ("", "stdin: is empty; expected a header with src_text, trg_text"),
    "columns": ("a\tb\n", "stdin:1: no column src_text, trg_text; the header has a, b"),
    "base64": (documents(1).replace("=", "*"), "stdin:2: "),
    "rows": (documents(1) + "a\tb\n", "stdin:3: expected 5 columns as in the header, got 2"),
}


@pytest.mark.parametrize("case", BAD_DOCUMENTS)
def test_bad_documents(polyad, texts, monkeypatch, case):
    text, message = BAD_DOCUMENTS[case]
    stdin = SimpleNamespace(buffer=io.BytesIO(text.encode()), isatty=lambda: False)
    monkeypatch.setattr(sys, "stdin", stdin)
    result = polyad("align", "-o", "out.tsv")
    assert result.code == 1
    assert message in result.err
    assert result.err.count("\n") == 1
    assert not (texts / "out.tsv").exists()
    stdin.buffer = io.BytesIO(text.encode())
    result = polyad("align")
    assert (result.code, result.out) == (1, "")
