"""polyad review: pages from beads and texts, tables from judgements, one line for what is wrong."""

import json

import pytest

from polyad.align import Aligner, formats
from polyad.align.review import FORMAT_VERSION, KIND
from polyad.data.align_sample import FOLDER, korean_readme

TEXTS = ("-s", FOLDER / "readme.ko", "-t", FOLDER / "readme.en")
GOLD = (FOLDER / "readme.beads", *TEXTS, "--format", "vecalign")


def sampled(html):
    return json.loads(html.split("const REVIEW = ")[1].split(";\nconst DOCUMENTS")[0])


def test_page_of_beads_and_their_texts(polyad, tmp_path):
    page = tmp_path / "page.html"
    result = polyad("review", *GOLD, "-o", page, "--per-band", "7", "--title", "Gold & all")
    assert (result.code, result.out) == (0, f"page: {page}\n")
    assert result.err == "7 of 70 beads to judge, from 1 band of scores\n"
    told = sampled(page.read_text())
    assert told["title"] == "Gold & all"
    assert len(told["items"]) == 7
    assert polyad("review", *GOLD, "-o", page, "--per-band", "7", "--title", "Gold & all").code == 0
    assert sampled(page.read_text()) == told


def test_beads_of_texts_are_vecalign_unless_told(polyad, tmp_path):
    beads = tmp_path / "beads.txt"
    beads.write_bytes((FOLDER / "readme.beads").read_bytes() + b"\n\n")
    for more in ((), ("--format", "vecalign")):
        page = tmp_path / f"page{len(more)}.html"
        result = polyad("review", beads, *TEXTS, *more, "-o", page)
        assert result.code == 0, result.err
    pages = [(tmp_path / f"page{count}.html").read_text() for count in (0, 2)]
    assert pages[0] == pages[1]


def test_page_of_scored_beads(polyad, tmp_path):
    beads, page = tmp_path / "beads.txt", tmp_path / "page.html"
    formats.write("vecalign", beads, [Aligner().align(korean_readme().document)])
    command = ("review", beads, *TEXTS, "--format", "vecalign", "-o", page)
    result = polyad(*command, "--bands", "3")
    assert result.code == 0, result.err
    bands = sampled(page.read_text())["bands"]
    assert len(bands) == 3
    assert polyad(*command, "--edges", "0.2,0.5").code == 0
    edges = sampled(page.read_text())["bands"]
    assert edges[0]["high"] < 0.2 <= edges[1]["low"]
    assert edges != bands


def test_page_of_texts_that_stand_line_by_line(polyad, tmp_path):
    page = tmp_path / "page.html"
    result = polyad("review", "-s", FOLDER / "readme.ko", "-t", FOLDER / "readme.mt.en", "-o", page)
    assert result.code == 0, result.err
    assert "from 1 band" in result.err
    assert {item["score"] for item in sampled(page.read_text())["items"]} == {None}


def own_text(side):
    return " ".join(text for number, text in side["lines"] if number in side["own"] and text)


@pytest.mark.parametrize("format_name", ["jsonl", "tsv", "bitextor", "tmx"])
def test_page_of_what_align_wrote(polyad, tmp_path, format_name):
    beads, page = tmp_path / f"beads.{format_name}", tmp_path / "page.html"
    made = Aligner().align(korean_readme().document)
    formats.write(format_name, beads, [made])
    result = polyad("review", beads, "-o", page, "--format", format_name)
    assert result.code == 0, result.err
    told = sampled(page.read_text())
    assert sum(band["beads"] for band in told["bands"]) == len(made.beads)
    texts = {made.text(bead)[0] for bead in made.beads}
    assert {own_text(item["source"]) for item in told["items"]} <= texts


def test_documents_of_several_files_are_told_apart(polyad, tmp_path):
    for name in ("a.jsonl", "b.jsonl"):
        formats.write("jsonl", tmp_path / name, [Aligner().align(korean_readme().document)])
    page = tmp_path / "page.html"
    result = polyad("review", tmp_path / "a.jsonl", tmp_path / "b.jsonl", "-o", page)
    assert result.code == 0, result.err
    names = {item["name"] for item in sampled(page.read_text())["items"]}
    assert names == {"a.jsonl: readme ko-en", "b.jsonl: readme ko-en"}


def judgements(path, **change):
    band = {"low": 0.25, "high": 0.75, "beads": 60, "sampled": 4}
    verdicts = ("correct", "correct", "partly", "wrong")
    told = {
        "kind": KIND, "format_version": FORMAT_VERSION, "title": "mine",
        "bands": [band, {"low": None, "high": None, "beads": 3, "sampled": 1}],
        "judgements": [{"band": 0, "verdict": verdict} for verdict in verdicts], **change,
    }  # fmt: skip
    path.write_text(json.dumps(told))
    return path


def test_judgements_are_printed(polyad, tmp_path):
    result = polyad("review", "--judgements", judgements(tmp_path / "j.json"))
    assert (result.code, result.err) == (0, "")
    text = " ".join(result.out.split())
    assert text.startswith("mine ")
    assert "0.250-0.750" in text
    assert "no score" in text
    assert "50.0" in text
    assert "75.0" in text


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ((), 2, "expected files of beads, texts or --judgements, got neither"),
        ((*GOLD, "--judgements", "x"), 2, "got both"),
        ((*GOLD[:-1], "moses"), 2, "--format: expected tsv or bitextor or"),
        (("none.txt", *TEXTS), 1, "none.txt: No such file"),
        (("none.txt",), 1, "none.txt: No such file"),
        ((*TEXTS[:2],), 2, "-s and -t go together"),
        ((*GOLD, "b"), 2, "expected one file of beads for the texts, got 2"),
        ((*GOLD, "--edges", "2,1"), 2, "expected ascending numbers such as 0.2,0.4, got '2,1'"),
        ((*GOLD, "--edges", "a"), 2, "expected ascending numbers"),
        ((*GOLD, "--bands", "0"), 2, "bands"),
        (("--judgements", "nowhere.json"), 1, "nowhere.json: No such file"),
        (("--judgements", FOLDER / "readme.ko"), 1, "is not JSON"),
        ((*GOLD, "-o", "nowhere/page.html"), 1, "nowhere: no such folder"),
        ((*GOLD, "-o", "."), 1, ".: is a folder"),
        (TEXTS, 1, "expected as many target as source lines, got 79 and 81"),
        ((FOLDER / "readme.beads",), 1, "give the format; its name does not say which"),
        ((FOLDER / "readme.en", *TEXTS, "--format", "vecalign"), 1, "readme.en:1"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(polyad, tmp_path, monkeypatch, words, code, message):
    monkeypatch.chdir(tmp_path)
    result = polyad("review", *words)
    assert result.code == code, result.err
    assert message in result.err
    assert result.err.count("\n") <= 2
    assert not (tmp_path / "review.html").exists()


def test_nothing_to_judge(polyad, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "none").write_text("[0]:[]\n")
    result = polyad("review", "none", *TEXTS, "--format", "vecalign")
    assert (result.code, result.err.count("\n")) == (1, 1)
    assert "none: expected at least one bead with two sides, got none" in result.err
