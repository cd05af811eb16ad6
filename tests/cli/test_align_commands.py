"""``polyad align`` and ``polyad evaluate-alignment``: what they write."""

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from types import SimpleNamespace

import pytest
from align_command_cases import ALIGN, SOURCE, TARGET, documents, write_texts

from polyad.align import formats


@pytest.fixture
def texts(tmp_path, monkeypatch):
    """The texts of `write_texts`, in the current folder."""
    monkeypatch.chdir(tmp_path)
    return write_texts(tmp_path)


def test_writes_what_bleualign_writes(polyad, texts):
    result = polyad(*ALIGN, "-o", "out")
    assert result.code == 0
    assert (texts / "out-s").read_text() == SOURCE
    assert (texts / "out-t").read_text() == TARGET
    assert result.out == ""
    assert result.err.startswith(
        "1 document, 3 beads; left out 0 of 3 source and 0 of 3 target sentences; "
    )
    assert polyad(*ALIGN, "-o", "out", "-v", "0").err == ""
    assert "alignment: 0 - 0  BLEU 1.0000\n" in polyad(*ALIGN, "-o", "out", "-v", "2").err


def test_takes_all_options_of_bleualign(polyad, texts):
    more = ["--bleu_n", "3", "--bleu_charlevel", "--printempty", "-p", "2", "--factored"]
    result = polyad(*ALIGN, "--targettosrc", "s", "-o", "out", *more)
    assert result.code == 0, result.err
    for word in ("sentences", "articles"):
        options = ["--filterthreshold", "50", "--bleuthreshold", "0.1", "--filterlang"]
        result = polyad(*ALIGN, "-o", "out", "--filter", word, *options)
        assert result.code == 0, result.err
        kept, bad = ((texts / name).read_text() for name in ("out-s", "out-bad-s"))
        assert sorted((kept + bad).splitlines()) == sorted(SOURCE.splitlines())
        assert ", 3 beads, " in result.err
    assert polyad(*ALIGN[:5], "--srctotarget", "-", "-o", "out").code == 0
    assert polyad(*ALIGN[:5], "--galechurch", "-o", "out").code == 0
    assert (texts / "out-t").read_text() == TARGET


def test_the_mode_accurate(polyad, texts):
    result = polyad(*ALIGN[:5], "--mode", "accurate", "--srctotarget", "m", "-o", "out")
    assert result.code == 0, result.err
    assert (texts / "out-t").read_text() == TARGET
    words = ["--filter", "sentences", "--bleu_n", "3", "--tokenize", "characters"]
    assert polyad(*ALIGN, "--mode", "accurate", "-o", "out", *words).code == 0


def test_null_beads_go_where_nothing_is_lost(polyad, texts):
    (texts / "t").write_text(TARGET + "Something else altogether follows.\n")
    assert polyad(*ALIGN, "-o", "out", "--printempty").code == 0
    assert (texts / "out-s").read_text() == SOURCE + "\n"
    assert polyad(*ALIGN, "-o", "out", "--printempty", "--filter", "sentences").code == 0
    assert (texts / "out-t").read_text() == TARGET
    assert (texts / "out-bad-t").read_text() == "Something else altogether follows.\n"


@pytest.mark.parametrize("option", ["-d", "-e", "--eval", "--deveval"])
def test_evaluation_is_elsewhere(polyad, texts, option):
    result = polyad(*ALIGN, "-o", "out", option)
    assert result.code == 2
    assert "polyad evaluate-alignment FOUND GOLD" in result.err
    assert not (texts / "out-s").exists()


@pytest.mark.parametrize("name", [name for name in formats.FORMATS if name != "moses"])
def test_every_format(polyad, texts, name):
    if name == "parquet":
        pytest.importorskip("pyarrow")
    result = polyad(*ALIGN, "--format", name, "-o", "beads", "--null-beads")
    assert result.code == 0, result.err
    if formats.FORMATS[name].beads is not None:
        (beads,) = formats.read_beads("beads", name)
        assert [bead[:2] for bead in beads] == [((i,), (i,)) for i in range(3)]


def test_stdout_is_for_beads(polyad, texts):
    result = polyad(*ALIGN)
    assert [line.split("\t")[1:3] for line in result.out.splitlines()] == [
        ["source_ids", "target_ids"],
        *([str(i), str(i)] for i in range(3)),
    ]
    assert polyad(*ALIGN, "--format", "vecalign").out.splitlines()[2] == "[2]:[2]:1.0"
    result = polyad(*ALIGN, "--filter", "sentences", "--filterthreshold", "0")
    assert len(result.out.splitlines()) == 2


def test_compressed_files(polyad, texts):
    for name, text in (("s", SOURCE), ("t", TARGET), ("m", TARGET)):
        (texts / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
    words = ["align", "-s", "s.gz", "-t", "t.gz", "--srctotarget", "m.gz"]
    assert polyad(*words, "-o", "out.xz").code == 0
    assert polyad(*words, "-o", "b.jsonl.gz", "--format", "jsonl", "--filter", "articles").code == 0
    names = ["b-bad.jsonl.gz", "b.jsonl.gz", "m", "m.gz", "out-s.xz", "out-t.xz"]
    assert sorted(path.name for path in texts.iterdir()) == [*names, "s", "s.gz", "t", "t.gz"]


def test_factored_words_are_written_whole(polyad, texts):
    (texts / "s").write_text("This|DT is|VB a|DT sentence|NN\n")
    (texts / "t").write_text("This|DT is|VB a|DT sentence|NN\n")
    result = polyad("align", "-s", "s", "-t", "t", "--srctotarget", "-", "--factored", "-o", "out")
    assert result.code == 0
    assert (texts / "out-s").read_text() == "This|DT is|VB a|DT sentence|NN\n"


def test_many_documents(polyad, texts):
    (texts / "d.tsv").write_text(documents(20))
    result = polyad("align", "d.tsv", "--batch-sentences", "5")
    assert result.code == 0, result.err
    rows = [line.split("\t") for line in result.out.splitlines()]
    assert rows[0][:5] == ["src_url", "trg_url", "src_text", "trg_text", "aligner_score"]
    assert [row[0] for row in rows[1:]] == [f"u{i}" for i in range(20) for _ in range(3)]
    assert polyad("align", "d.tsv", "--batch-sentences", "99999").out == result.out
    assert polyad("align", "d.tsv", "d.tsv").out.count("\n") == 121


SUFFIXES = {
    "a.jsonl": "jsonl",
    "a.jsonl.gz": "jsonl",
    "a.tsv": "tsv",
    "a.tmx": "tmx",
    "a.xml": "xces",
    "a.ladder": "hunalign",
}


@pytest.mark.parametrize("name", SUFFIXES)
def test_the_end_of_a_name_says_the_format(polyad, texts, name):
    (texts / "d.tsv").write_text(documents(1))
    for words in (ALIGN, ["align", "d.tsv"]):
        written = "bitextor" if (SUFFIXES[name], words) == ("tsv", ["align", "d.tsv"]) else None
        format_name = written or SUFFIXES[name]
        for more in (["-o", name], ["-o", "told", "--format", format_name]):
            assert polyad(*words, *more).code == 0
        read = gzip.decompress if name.endswith(".gz") else bytes
        assert read((texts / name).read_bytes()) == (texts / "told").read_bytes()
    assert polyad(*ALIGN, "-o", name, "--format", "moses").code == 0
    assert formats.moses.paths(name)[0].exists()


def test_what_align_wrote_is_read_by_its_name(polyad, texts):
    (texts / "d.tsv").write_text(documents(1))
    assert polyad("align", "d.tsv", "-o", "x.jsonl").code == 0
    assert polyad("review", "x.jsonl").code == 0


def test_stdin(polyad, texts, monkeypatch):
    monkeypatch.setattr(
        sys,
        "stdin",
        SimpleNamespace(buffer=io.BytesIO(documents(2).encode()), isatty=lambda: False),
    )
    assert polyad("align").out.count("\n") == 7
    row = {"source": ["a b"], "target": ["a b"], "doc": "n"}
    data = json.dumps(row).encode()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    result = polyad("align", "-", "--input-format", "jsonl", "--format", "jsonl", "-o", "-")
    assert json.loads(result.out)["src_text"] == "a b"
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(SOURCE.encode())))
    assert polyad("align", "-s", "-", "-t", "t", "--srctotarget", "m").out.count("\n") == 4


def test_split(polyad, texts):
    pytest.importorskip("sentencex")
    (texts / "s").write_text("One word. Two words here.\n")
    (texts / "t").write_text("One word.\nTwo words here.\n")
    languages = ["--split", "--source-lang", "en", "--target-lang", "en"]
    result = polyad("align", "-s", "s", "-t", "t", "--srctotarget", "-", *languages)
    assert [line.split("\t")[1:3] for line in result.out.splitlines()[1:]] == [
        ["0", "0"],
        ["1", "1"],
    ]


def test_vectors_align_without_a_translation(polyad, texts):
    words = {"Katze": "cat", "Hund": "dog", "Haus": "house", "Baum": "tree", "rot": "red"}
    rows = []
    for i, pair in enumerate(words.items()):
        rows += [f"{word.lower()} " + " ".join(str(int(i == k)) for k in range(5)) for word in pair]
    (texts / "v.txt").write_text(f"{len(rows)} 5\n" + "\n".join(rows) + "\n")
    (texts / "s").write_text("Katze Hund\nHaus Baum\nrot Haus Hund\n")
    (texts / "t").write_text("cat dog\nhouse tree\nred house dog\n")
    result = polyad("align", "-s", "s", "-t", "t", "--vectors", "v.txt", "--format", "vecalign")
    assert result.code == 0, result.err
    assert [line[:7] for line in result.out.splitlines()] == [f"[{i}]:[{i}]" for i in range(3)]


def test_evaluate(polyad, texts):
    (texts / "found").write_text("[0]:[0]:0.9\n[1, 2]:[1]:0.8\n[3]:[]:0\n\n[0]:[0]\n")
    (texts / "gold1").write_text("[0]:[0]\n[1]:[1]\n[2]:[2]\n")
    (texts / "gold2").write_text("[0]:[0]\n")
    result = polyad("evaluate-alignment", "found", "gold1", "gold2", "--json", "f.json")
    assert result.code == 0, result.err
    assert "strict      0.667   0.500  0.571" in result.out
    assert "3 beads found, 4 in gold, 2 exactly right" in result.out
    figures = json.loads((texts / "f.json").read_text())
    assert figures["lax_precision"] == 1.0
    assert figures["strict_right"] == 2
    result = polyad("evaluate-alignment", "found", "gold1")
    assert (result.code, result.err) == (
        1,
        "polyad: found: expected 1 documents, as the gold files have, got 2\n",
    )
    result = polyad("evaluate-alignment", "found", "gold2", "--json", "no/f.json")
    assert (result.code, result.err) == (1, "polyad: no: no such folder\n")
    result = polyad("evaluate-alignment", "found", "gold1", "--format", "moses")
    assert result.code == 2
    ladder = ["evaluate-alignment", "l.ladder", "gold2"]
    (texts / "l.ladder").write_text("0\t0\t1\n1\t1\t0\n")
    assert "lax         1.000   1.000  1.000" in polyad(*ladder).out


@pytest.mark.parametrize("end", ["\n", "\n\n"])
def test_blank_lines_at_the_end_are_no_documents(polyad, texts, end):
    for name, text in (("one", "[0]:[0]\n"), ("two", "[0]:[0]\n\n[1]:[1]\n")):
        (texts / name).write_text(text)
        (texts / f"{name}-blank").write_text(text + end)
    for words in (
        ("one-blank", "one"),
        ("one", "one-blank"),
        ("two-blank", "one-blank", "one"),
        ("two", "two-blank"),
    ):
        result = polyad("evaluate-alignment", *words)
        assert result.code == 0, result.err
    (texts / "empty").write_text("\n")
    assert "1 beads found, 2 in gold" in polyad("evaluate-alignment", "one", "two").out
    assert "0 beads found, 2 in gold" in polyad("evaluate-alignment", "empty", "two").out
    assert polyad("evaluate-alignment", "two-blank", "one").code == 1


def test_evaluate_knows_documents_without_beads_by_number(polyad, texts):
    for name, last in (("s", "Haus"), ("t", "house"), ("m", "dwelling")):
        text = (texts / name).read_text()
        (texts / name).write_text(f"{text}.EOA\n{last} {last}\nx\ny\nz\nu\nv\n.EOA\n{text}")
    (texts / "t").write_text((texts / "t").read_text().replace("x\ny\nz\nu\nv\n", ""))
    words = ["--bleu_n", "2", "--format", "jsonl", "-o", "found.jsonl"]
    assert polyad(*ALIGN, *words).err.startswith("3 documents, 6 beads")
    (texts / "gold").write_text(
        "\n".join(["[0]:[0]\n[1]:[1]\n[2]:[2]\n", "[0]:[0]\n", "[0]:[0]\n"])
    )
    result = polyad("evaluate-alignment", "found.jsonl", "gold")
    assert result.code == 0, result.err
    assert "6 beads found, 5 in gold, 4 exactly right" in result.out


PROCESS = [sys.executable, "-m", "polyad", "align", "--batch-sentences", "30"]


def started(*words, **streams):
    return subprocess.Popen([*PROCESS, *words], stdin=subprocess.PIPE, bufsize=0, **streams)


def fed(process, name):
    """Write documents until the process has begun a file."""
    process.stdin.write(documents(50).encode())
    process.stdin.flush()
    for _ in range(600):
        if any(name in path for path in os.listdir()):
            return
        time.sleep(0.05)
    raise AssertionError("nothing was begun")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_runs_leave_whole_files(texts, interruptible, number):
    (texts / "out.tsv").write_text("earlier")
    process = started("-o", "out.tsv", stderr=subprocess.PIPE)
    fed(process, ".part")
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert (texts / "out.tsv").read_text() == "earlier"
    if number != signal.SIGKILL:
        assert process.returncode == 130
        assert said == b"polyad: interrupted\n"
        assert not any(".part" in path.name for path in texts.iterdir())


def test_a_closed_pipe_ends_it_quietly(texts):
    process = started("-v", "0", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.write(documents(400).encode())
    process.stdin.flush()
    assert process.stdout.readline().startswith(b"src_url\t")
    process.stdout.close()
    head = documents(400).encode().partition(b"\n")[2]
    with suppress(BrokenPipeError):
        for _ in range(20):
            process.stdin.write(head)
    process.stdin.close()
    assert process.wait(60) == 0
    assert process.stderr.read() == b""
    process.stderr.close()


def test_beads_come_while_documents_go_in(texts):
    process = started("-v", "0", stdout=subprocess.PIPE)
    process.stdin.write(documents(20).encode())
    process.stdin.flush()
    assert process.stdout.readline().startswith(b"src_url\t")
    assert process.stdout.readline().startswith(b"u0\tv0\t")
    process.stdin.close()
    assert process.stdout.read().count(b"\n") == 59
    process.stdout.close()
    assert process.wait(60) == 0
