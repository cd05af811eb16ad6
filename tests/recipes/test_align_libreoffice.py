"""Rows of the help, from a small help of our own and an apertium that shouts."""

import gzip

import pytest

from polyad.data import DataError
from polyad.data.align_documents import ParallelRow, read_rows
from polyad.recipes import align_libreoffice as recipe

ENGLISH = """<html><body><h1 id="hd_1">A <b>title</b></h1><a id="bm_2">mark</a>
<p id="par_3" class="x">First &amp; best.<br>Second<span id="par_inner">,</span>  one?</p>
<p id="par_4">Name</p><p id="par_5">Only here</p><p id="par_6"> </p><p id="par_7">1 + 1</p>
<td><p id="par_3">again</p></td></body></html>"""
SPANISH = """<html><body><h1 id="hd_1">Un título</h1>
<p id="par_3">Primero y mejor. ¿Segundo?</p><p id="par_4">Name</p><p id="par_7">1 y 1</p></html>"""


@pytest.fixture
def help_files(tmp_path):
    for language, page in (("en-US", ENGLISH), ("es", SPANISH)):
        folder = tmp_path / "help" / language / "text"
        folder.mkdir(parents=True)
        (folder / "page.html").write_text(page, encoding="utf-8")
    (tmp_path / "help" / "en-US" / "alone.html").write_text(ENGLISH, encoding="utf-8")
    return tmp_path / "help"


def put_apertium(tmp_path, monkeypatch, script):
    program = tmp_path / "bin" / "apertium"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")


def test_paragraphs_have_ids_and_plain_text():
    assert recipe.paragraphs(ENGLISH) == {
        "hd_1": "A title",
        "par_3": "First & best. Second, one?",
        "par_4": "Name",
        "par_5": "Only here",
        "par_7": "1 + 1",
    }


def test_rows_are_the_translated_paragraphs_of_both(help_files):
    assert recipe.rows_of_help(help_files, "en-US", "es") == [
        ParallelRow("text/page.html", "hd_1", "A title", "Un título"),
        ParallelRow(
            "text/page.html", "par_3", "First & best. Second, one?", "Primero y mejor. ¿Segundo?"
        ),
    ]


def test_prepare_writes_rows_and_translations(help_files, tmp_path, monkeypatch):
    put_apertium(tmp_path, monkeypatch, '[ "$1" = eng-spa ] && tr a-z A-Z')
    out = tmp_path / "out"
    recipe.main(["prepare", "--out", str(out), "--help-files", str(help_files)])
    assert [row.id for row in read_rows(out / "en-es.tsv.gz")] == ["hd_1", "par_3"]
    assert recipe.read_translations(out / "en-es.apertium.tsv.gz") == {
        "A title": "A TITLE",
        "First & best.": "FIRST & BEST.",
        "Second, one?": "SECOND, ONE?",
    }
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    recipe.prepare(out, folder=help_files)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_a_failing_translator_leaves_no_file_of_translations(help_files, tmp_path, monkeypatch):
    put_apertium(tmp_path, monkeypatch, "echo no such pair >&2; exit 3")
    with pytest.raises(SystemExit, match=r"failed with exit code 3 \(no such pair\)"):
        recipe.main(["prepare", "--out", str(tmp_path), "--help-files", str(help_files)])
    assert sorted(path.name for path in tmp_path.glob("*.gz")) == ["en-es.tsv.gz"]


def test_missing_packages_are_named(tmp_path):
    with pytest.raises(DataError, match="package libreoffice-help-en-us"):
        recipe.rows_of_help(tmp_path, "en-US", "es")
    (tmp_path / "en-US").mkdir()
    (tmp_path / "es").mkdir()
    with pytest.raises(DataError, match="no translated paragraph"):
        recipe.rows_of_help(tmp_path, "en-US", "es")


def test_broken_translations_are_refused(tmp_path):
    path = tmp_path / "x.tsv.gz"
    path.write_bytes(gzip.compress(b"a\tb\nc\n"))
    with pytest.raises(DataError, match=r"x\.tsv\.gz:2: expected 2 columns, got 1"):
        recipe.read_translations(path)
